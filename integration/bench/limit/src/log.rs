//! A log of a few segments without index, recovery or name.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Seek as _, Write as _};

use crate::{HEADER, Settings};

/// Segments that are kept.
const SEGMENTS: usize = 3;
/// Slices that one `writev` takes.
const SLICES: usize = 1024;

pub(crate) struct Log {
    settings: Settings,
    segments: VecDeque<(File, u64)>,
    made: usize,
    next_offset: u64,
}

impl Log {
    pub(crate) fn new(settings: &Settings) -> io::Result<Self> {
        let mut log = Self { settings: settings.clone(), segments: VecDeque::new(), made: 0, next_offset: 0 };
        log.add_segment()?;
        if settings.recycle {
            let filling = vec![0x5a; 1 << 20];
            for number in 0..SEGMENTS {
                if 0 < number {
                    log.add_segment()?;
                }
                let Some((file, _)) = log.segments.back_mut() else { continue };
                for _ in 0..(settings.segment >> 20) + 2 {
                    file.write_all(&filling)?;
                }
                file.rewind()?;
            }
        }
        Ok(log)
    }

    /// A file without a name: its space goes with its descriptor.
    fn add_segment(&mut self) -> io::Result<()> {
        let path = self.settings.folder.join(format!("limit-{}-{}", std::process::id(), self.made));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        std::fs::remove_file(path)?;
        self.made += 1;
        self.segments.push_back((file, 0));
        Ok(())
    }

    fn roll(&mut self) -> io::Result<()> {
        if SEGMENTS <= self.segments.len() {
            let oldest = self.segments.pop_front();
            if let (true, Some((mut file, _))) = (self.settings.recycle, oldest) {
                file.rewind()?;
                self.segments.push_back((file, 0));
                return Ok(());
            }
        }
        self.add_segment()
    }

    /// Checks a batch's CRC and writes its offset into it.
    pub(crate) fn accept(&mut self, batch: &mut [u8]) -> u64 {
        let expected = u32::from_be_bytes(batch[17..21].try_into().expect("four bytes"));
        assert_eq!(crc32c::crc32c(&batch[21..]), expected, "the client's batch is right");
        batch[..8].copy_from_slice(&self.next_offset.to_be_bytes());
        self.next_offset += 1;
        self.next_offset - 1
    }

    /// Appends what lies behind the header of each frame.
    pub(crate) fn append(&mut self, buffer: &[u8], frames: &[(usize, usize)]) -> io::Result<()> {
        for frames in frames.chunks(SLICES) {
            let slices: Vec<IoSlice<'_>> =
                frames.iter().map(|&(at, end)| IoSlice::new(&buffer[at + HEADER..end])).collect();
            let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
            let Some((file, length)) = self.segments.back_mut() else { continue };
            assert_eq!(file.write_vectored(&slices)?, wanted, "a regular file takes all");
            *length += wanted as u64;
            if self.settings.segment <= *length {
                if self.settings.flush {
                    file.sync_data()?;
                }
                self.roll()?;
            }
        }
        Ok(())
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        self.segments.back().map_or(Ok(()), |(file, _)| file.sync_data())
    }

    /// Fills the only segment for reading.
    pub(crate) fn fill(&mut self, bytes: usize) -> io::Result<()> {
        let chunk = vec![0x5a; 1 << 20];
        let Some((file, length)) = self.segments.back_mut() else { return Ok(()) };
        while *length < bytes as u64 {
            file.write_all(&chunk)?;
            *length += chunk.len() as u64;
        }
        Ok(())
    }

    /// The file to read from, and how many bytes it has.
    pub(crate) fn readable(&self) -> Option<(&File, u64)> {
        self.segments.back().map(|(file, length)| (file, *length))
    }
}
