//! What waits to be sent: slices of memory and stretches of files, in order.
//!
//! *Invariant*: what was sent is gone from the front, to the byte, so that sending can stop anywhere and go on.
//! *Does not know*: sockets.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};

/// Room that is made at first for answers that leave together: some tens of small ones.
const TAIL_BYTES: usize = 1 << 10;

/// Bytes of a file that are held in memory at a time where the system cannot send them from the file itself.
const STAGE_BYTES_MAX: u64 = 64 * 1024;

/// A file that is sent from. The broker implements it for its log segments.
pub trait FileSource: Send + Sync + fmt::Debug {
    /// The operating system's file, for `sendfile`; `None` where there is none, as in the simulator.
    fn os_file(&self) -> Option<&std::fs::File>;
    /// Reads into `buffer` from `position` on until it is full or the file ends; the number of bytes read.
    ///
    /// # Errors
    /// The operating system's.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// A piece of what is sent.
#[derive(Clone, Debug)]
pub enum Chunk {
    /// From memory.
    Bytes(Bytes),
    /// From a file, which must be at least `position + len` long until it was sent.
    File {
        /// The file.
        file: Arc<dyn FileSource>,
        /// Where to start, in bytes.
        position: u64,
        /// How many bytes.
        len: u64,
    },
}

impl Chunk {
    /// Bytes that the piece sends.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::File { len, .. } => *len,
        }
    }

    /// Whether it sends nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A queue of chunks, and behind them small answers one after the other in one piece of memory. Bounded by who fills it: see
/// [`Outgoing::bytes`]. Empty, it holds no memory for bytes.
#[derive(Debug, Default)]
pub struct Outgoing {
    chunks: VecDeque<Chunk>,
    /// Bytes of the chunks.
    bytes: u64,
    /// What leaves behind the chunks, and how much of it has left already.
    tail: Vec<u8>,
    tail_sent: usize,
}

/// What is to be sent next.
pub(super) enum Front<'a> {
    /// From memory.
    Bytes(&'a [u8]),
    /// From a file: where it starts, and how many bytes.
    File(&'a Arc<dyn FileSource>, u64, u64),
}

impl Outgoing {
    /// Puts a chunk behind all others.
    pub fn push(&mut self, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        self.end_tail();
        self.push_back(chunk);
    }

    /// Memory behind all that waits, for answers to be written behind what it holds.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        if self.tail.capacity() == 0 {
            self.tail.reserve(TAIL_BYTES);
        }
        &mut self.tail
    }

    /// Bytes that wait, those of files included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.saturating_add(self.unsent_tail().len() as u64)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.unsent_tail().is_empty()
    }

    pub(super) fn front(&self) -> Option<Front<'_>> {
        match self.chunks.front() {
            Some(Chunk::Bytes(bytes)) => Some(Front::Bytes(bytes)),
            Some(Chunk::File { file, position, len }) => Some(Front::File(file, *position, *len)),
            None => Some(self.unsent_tail()).filter(|tail| !tail.is_empty()).map(Front::Bytes),
        }
    }

    /// The slices of memory at the front, at most as many as `slices` takes. Returns how many, and whether a file follows
    /// them.
    pub(super) fn slices<'a>(&'a self, slices: &mut [io::IoSlice<'a>]) -> (usize, bool) {
        let mut count = 0;
        for chunk in &self.chunks {
            match chunk {
                Chunk::File { .. } => return (count, true),
                Chunk::Bytes(bytes) => match slices.get_mut(count) {
                    Some(slice) => *slice = io::IoSlice::new(bytes),
                    None => return (count, false),
                },
            }
            count += 1;
        }
        if let (Some(slice), false) = (slices.get_mut(count), self.unsent_tail().is_empty()) {
            *slice = io::IoSlice::new(self.unsent_tail());
            count += 1;
        }
        (count, false)
    }

    fn unsent_tail(&self) -> &[u8] {
        self.tail.get(self.tail_sent..).unwrap_or_default()
    }

    fn push_back(&mut self, chunk: Chunk) {
        self.bytes = self.bytes.saturating_add(chunk.len());
        self.chunks.push_back(chunk);
    }

    /// Makes a chunk of the tail.
    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            let mut bytes = Bytes::from(std::mem::take(&mut self.tail));
            bytes.advance(std::mem::take(&mut self.tail_sent).min(bytes.len()));
            self.push_back(Chunk::Bytes(bytes));
        }
    }

    /// Forgets the first `sent` bytes.
    pub(super) fn advance(&mut self, sent: u64) {
        let of_chunks = sent.min(self.bytes);
        self.advance_chunks(of_chunks);
        self.tail_sent += usize::try_from(sent - of_chunks).unwrap_or_default();
        if self.tail.len() <= self.tail_sent {
            (self.tail, self.tail_sent) = (Vec::new(), 0);
        }
    }

    fn advance_chunks(&mut self, mut sent: u64) {
        self.bytes = self.bytes.saturating_sub(sent);
        while let Some(front) = self.chunks.front_mut().filter(|_| 0 < sent) {
            let whole = front.len();
            if whole <= sent {
                self.chunks.pop_front();
                sent -= whole;
                continue;
            }
            match front {
                Chunk::Bytes(bytes) => bytes.advance(usize::try_from(sent).unwrap_or(usize::MAX)),
                Chunk::File { position, len, .. } => {
                    *position += sent;
                    *len -= sent;
                }
            }
            return;
        }
    }

    /// Reads the beginning of a file at the front into memory, in front of the rest of it.
    ///
    /// # Errors
    /// The file's; [`shorter_than_promised`].
    pub(super) fn stage(&mut self) -> io::Result<()> {
        let Some(Chunk::File { file, position, len }) = self.chunks.front_mut() else { return Ok(()) };
        let step = STAGE_BYTES_MAX.min(*len);
        let mut bytes = vec![0; usize::try_from(step).unwrap_or_default()];
        if file.read_at(*position, &mut bytes)? < bytes.len() {
            return Err(shorter_than_promised());
        }
        *position += step;
        *len -= step;
        if *len == 0 {
            self.chunks.pop_front();
        }
        self.chunks.push_front(Chunk::Bytes(bytes.into()));
        Ok(())
    }
}

/// A file ended before what was announced to the peer: it was cut meanwhile. Only closing the connection keeps the peer from
/// taking the next response for the rest of this one.
pub(super) fn shorter_than_promised() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a file that is being sent became shorter")
}
