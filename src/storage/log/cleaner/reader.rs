//! Reads the batches of a closed segment, whole, one after the other.
//!
//! *Invariant*: memory stays below the buffer's size or that of one batch, and no batch reaches beyond the segment.

use std::sync::Arc;

use super::CleanError;
use crate::model::Offset;
use crate::storage::disk::DiskFile;
use crate::storage::log::types::Corruption;
use crate::storage::log::view::LogView;
use crate::storage::log::{DiskError, ReadError, Wait};
use crate::storage::segment::Segment;
use crate::wire::record::{BATCH_HEADER_BYTES, BatchError, BatchHeader, verify_crc};

/// Where the magic stands in every format.
const MAGIC_AT: usize = 16;

/// A walk over a segment.
#[derive(Debug)]
pub(super) struct Reader {
    segment: Arc<Segment>,
    file: Arc<dyn DiskFile>,
    /// Of the next batch.
    position: u64,
    end: u64,
    /// The next batch begins there or behind it.
    expected: Offset,
    buffer: Vec<u8>,
    buffer_at: u64,
    buffer_bytes: usize,
}

impl Reader {
    /// Opens a segment; `buffer_bytes` are read at once.
    pub(super) fn open(view: &LogView, segment: &Arc<Segment>, buffer_bytes: usize) -> Result<Self, CleanError> {
        let open = view.open(segment, Wait::Allowed).map_err(|error| view.describe(segment, error));
        let open = open.map_err(|error| CleanError::of(view, segment, error))?;
        Ok(Self {
            segment: Arc::clone(segment),
            file: Arc::clone(&open.file),
            position: 0,
            end: segment.size(),
            expected: segment.base_offset(),
            buffer: Vec::new(),
            buffer_at: 0,
            buffer_bytes: buffer_bytes.max(BATCH_HEADER_BYTES),
        })
    }

    /// The next batch, its CRC checked; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(BatchHeader, &[u8])>, CleanError> {
        let left = self.end.saturating_sub(self.position);
        if left == 0 {
            return Ok(None);
        }
        let position = self.position;
        let head = self.bytes(BATCH_HEADER_BYTES)?;
        if matches!(head.get(MAGIC_AT), Some(0 | 1)) {
            return Err(CleanError::OldFormat { path: self.segment.path(), position });
        }
        let header = BatchHeader::decode(head).map_err(|error| self.corrupt(&error.to_string()))?;
        if left < header.len as u64 {
            return Err(self.corrupt(&BatchError::Truncated.to_string()));
        }
        if let Err(error) = verify_crc(&header, self.bytes(header.len)?) {
            return Err(self.corrupt(&error.to_string()));
        }
        // Neither is covered by the CRC.
        let follows = self.expected <= header.base_offset && header.base_offset <= header.last_offset();
        if !follows || self.segment.tail().0 <= header.last_offset() {
            return Err(self.corrupt(&format!("it says that it begins at offset {}", header.base_offset)));
        }
        self.expected = header.last_offset().next();
        let skip = usize::try_from(position - self.buffer_at).unwrap_or(usize::MAX);
        self.position += header.len as u64;
        Ok(Some((header, self.buffer.get(skip..skip.saturating_add(header.len)).unwrap_or_default())))
    }

    /// What is wrong with the batch that was read last.
    pub(super) fn corrupt_before(&self, reason: &str) -> CleanError {
        let corruption =
            Corruption { path: self.segment.path(), position: self.position, reason: format!("{reason} (before)") };
        CleanError::Read(corruption.into())
    }

    fn corrupt(&self, reason: &str) -> CleanError {
        let corruption = Corruption { path: self.segment.path(), position: self.position, reason: reason.to_owned() };
        CleanError::Read(corruption.into())
    }

    /// `want` bytes of the next batch, or what there is before the end.
    fn bytes(&mut self, want: usize) -> Result<&[u8], CleanError> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let want = want.min(left);
        let at_hand =
            self.buffer_at <= self.position && self.position + want as u64 <= self.buffer_at + self.buffer.len() as u64;
        if !at_hand {
            self.buffer.resize(want.max(self.buffer_bytes).min(left), 0);
            self.buffer_at = self.position;
            let read = self.file.read_at(self.position, &mut self.buffer).map_err(|error| {
                CleanError::Read(ReadError::Disk(DiskError::new("read", &self.segment.path(), &error)))
            })?;
            self.buffer.truncate(read);
        }
        let skip = usize::try_from(self.position - self.buffer_at).unwrap_or(usize::MAX);
        Ok(self.buffer.get(skip..skip.saturating_add(want)).unwrap_or_default())
    }
}
