//! Walking a segment while a log is opened, with an eye on what its batches should say.
//!
//! *Does not know*: what follows from a fault.

use std::io;
use std::path::Path;

use super::listing::SegmentFile;
use super::{Corruption, DiskError, OpenError};
use crate::model::{LeaderEpoch, Offset, Timestamp};
use crate::storage::disk::DiskFile;
use crate::storage::scan::{CHUNK_BYTES_MAX, Located, ScanError, Scanner, Wait};
use crate::storage::segment::Indexes;

/// A walk over a segment that expects offsets and epochs to go on.
pub(super) struct Walk<'f> {
    scanner: Scanner<'f>,
    base_offset: Offset,
    /// Offset that the next batch should begin with.
    pub(super) expected: Offset,
    epoch: LeaderEpoch,
    /// Batches that reach it have their CRC checked, and begin where the last one ended.
    checked_from: Offset,
    pub(super) gaps: bool,
    /// It did not begin at the segment's beginning.
    pub(super) resumed: bool,
}

/// Why a walk stopped before the end.
pub(super) enum Stop {
    Bad { position: u64, reason: String },
    Disk(io::Error),
}

impl Stop {
    pub(super) fn into_error(self, path: &Path) -> OpenError {
        match self {
            Self::Bad { position, reason } => Corruption { path: path.to_owned(), position, reason }.into(),
            Self::Disk(error) => failed("read", path, &error),
        }
    }
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Bad { position, error } => Self::Bad { position, reason: error.to_string() },
            ScanError::WouldWait => Self::Disk(io::ErrorKind::WouldBlock.into()),
            ScanError::Disk(error) => Self::Disk(error),
        }
    }
}

impl<'f> Walk<'f> {
    pub(super) fn new(file: &'f dyn DiskFile, segment: SegmentFile, checked_from: Offset) -> Self {
        Self {
            scanner: Scanner::new(file, 0, segment.len, CHUNK_BYTES_MAX, Wait::Allowed),
            base_offset: segment.base_offset,
            expected: segment.base_offset,
            epoch: LeaderEpoch::NONE,
            checked_from,
            gaps: true,
            resumed: false,
        }
    }

    /// Begins at the last entry of the index instead.
    pub(super) fn resume(&mut self, indexes: &Indexes) {
        if let Some(last) = indexes.offsets.last() {
            self.scanner.seek(last.position.into());
            self.resumed = true;
        }
    }

    pub(super) fn position(&self) -> u64 {
        self.scanner.position()
    }

    pub(super) fn next(&mut self) -> Result<Option<Located>, Stop> {
        let Some(batch) = self.scanner.next()? else { return Ok(None) };
        let checked = self.checked_from <= batch.header.last_offset();
        if let Some(reason) = self.fault(&batch, checked) {
            return Err(Stop::Bad { position: batch.position, reason });
        }
        if checked {
            self.scanner.verify(&batch)?;
        }
        self.expected = batch.header.last_offset().next();
        self.epoch = self.epoch.max(batch.header.leader_epoch);
        Ok(Some(batch))
    }

    /// What is wrong with a header that was read, beyond its form.
    fn fault(&self, batch: &Located, checked: bool) -> Option<String> {
        let header = &batch.header;
        let follows = self.expected == header.base_offset;
        let may_jump = self.gaps || !checked || batch.is_legacy();
        let jumps = may_jump && self.expected < header.base_offset;
        if !follows && !jumps {
            return Some(format!("it begins at offset {} instead of {}", header.base_offset, self.expected));
        }
        let reach = header.last_offset().0.saturating_sub(self.base_offset.0);
        if header.last_offset_delta < 0 || i64::from(i32::MAX) < reach {
            return Some(format!("it ends at offset {}", header.last_offset()));
        }
        if header.leader_epoch < self.epoch && header.leader_epoch != LeaderEpoch::NONE {
            return Some(format!("its leader epoch {} is older than {}", header.leader_epoch, self.epoch));
        }
        None
    }
}

pub(super) fn failed(doing: &str, path: &Path, error: &io::Error) -> OpenError {
    OpenError::Disk(DiskError::new(doing, path, error))
}

/// Largest timestamp of the first batch of a segment, from which its age counts.
pub(super) fn first_timestamp(file: &dyn DiskFile, len: u64) -> Option<Timestamp> {
    let mut scanner = Scanner::new(file, 0, len, CHUNK_BYTES_MAX, Wait::Allowed);
    scanner.next().ok().flatten().map(|batch| batch.header.max_timestamp)
}

pub(super) fn read_batch(file: &dyn DiskFile, batch: &Located) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; batch.header.len];
    let read = file.read_at(batch.position, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes a part of a file once more as it is, so that the system knows it as changed and the next sync takes it along.
pub(super) fn rewrite(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    let mut at = from;
    while at < to {
        let want = usize::try_from(to - at).unwrap_or(usize::MAX).min(buffer.len());
        let read = file.read_at(at, buffer.get_mut(..want).unwrap_or_default())?;
        let bytes = buffer.get(..read).filter(|bytes| !bytes.is_empty()).ok_or(io::ErrorKind::UnexpectedEof)?;
        file.write_all_at(at, &[io::IoSlice::new(bytes)])?;
        at += read as u64;
    }
    Ok(())
}
