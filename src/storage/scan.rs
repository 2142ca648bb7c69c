//! Walks the batches of a segment file, from one header to the next.
//!
//! *Invariant*: memory stays below [`CHUNK_BYTES_MAX`] whatever length a damaged header claims.
//! *Does not know*: indexes, offsets that should be there.
//!
//! Message sets of Kafka before 0.11 (magic 0 and 1) may still lie in old segments. They are walked and checked too, and
//! shown as a batch header without producer and epoch whose base offset is their last.

use std::io;

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::storage::disk::DiskFile;
use crate::wire::record::{Attributes, BATCH_HEADER_BYTES, BatchError, BatchHeader};

/// Bytes read at once when whole segments are checked: large enough that the system call does not count.
pub(crate) const CHUNK_BYTES_MAX: usize = 256 << 10;

/// Bytes read at once when a few headers are looked for: an index entry is at most about this far away.
pub(crate) const CHUNK_BYTES_SMALL: usize = 4 << 10;

/// Bytes of base offset and length, which every format has.
const OVERHEAD_BYTES: usize = 12;

/// Offset, length, CRC, magic, attributes, key length and value length: the smallest message of magic 0.
const LEGACY_BYTES_MIN: usize = 26;

/// Number of records in the header that stands for an older message: no batch has it.
const LEGACY_RECORDS: i32 = -1;

/// Where the magic stands in every format.
const MAGIC_AT: usize = 16;

/// Whether a read may wait for the disk (law 8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Only what is in memory is looked at.
    Never,
    /// The calling thread belongs to a disk pool.
    Allowed,
}

/// A batch in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Located {
    /// Of its first byte.
    pub(crate) position: u64,
    /// As stored.
    pub(crate) header: BatchHeader,
}

impl Located {
    /// Position behind its last byte.
    pub(crate) fn end(&self) -> u64 {
        self.position.saturating_add(self.header.len as u64)
    }

    /// Whether it is a message of Kafka before 0.11: those are stored without a number of records.
    pub(crate) fn is_legacy(&self) -> bool {
        self.header.records == LEGACY_RECORDS
    }
}

/// Why the walk stopped.
#[derive(Debug)]
pub(crate) enum ScanError {
    /// At this position stands no batch.
    Bad {
        /// In bytes.
        position: u64,
        /// Why.
        error: BatchError,
    },
    /// The disk would have to be asked.
    WouldWait,
    /// The disk did not answer.
    Disk(io::Error),
}

/// Walks from one batch to the next.
pub(crate) struct Scanner<'f> {
    file: &'f dyn DiskFile,
    wait: Wait,
    /// Of the next batch.
    position: u64,
    /// Bytes of the file that count.
    end: u64,
    chunk: usize,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl<'f> Scanner<'f> {
    /// A walk over the batches from `position`, where one begins, up to `end`. Reads `chunk` bytes at once.
    pub(crate) fn new(file: &'f dyn DiskFile, position: u64, end: u64, chunk: usize, wait: Wait) -> Self {
        Self { file, wait, position, end, chunk, buffer: Vec::new(), buffer_at: position }
    }

    /// Position of the next batch.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Goes on with the batch at `position`.
    pub(crate) fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// The next batch; `None` at the end. Its CRC is not looked at.
    pub(crate) fn next(&mut self) -> Result<Option<Located>, ScanError> {
        let position = self.position;
        let left = self.end.saturating_sub(position);
        if left == 0 {
            return Ok(None);
        }
        let header = decode_any(self.bytes(position, BATCH_HEADER_BYTES)?)
            .map_err(|error| ScanError::Bad { position, error })?;
        if left < header.len as u64 {
            return Err(ScanError::Bad { position, error: BatchError::Truncated });
        }
        let found = Located { position, header };
        self.position = found.end();
        Ok(Some(found))
    }

    /// Checks the CRC of a batch that [`Self::next`] gave.
    pub(crate) fn verify(&mut self, batch: &Located) -> Result<(), ScanError> {
        let magic = self.bytes(batch.position, MAGIC_AT + 1)?.get(MAGIC_AT).copied().unwrap_or_default();
        let (covers_from, legacy) = if magic == 2 { (21, false) } else { (MAGIC_AT as u64, true) };
        let mut at = batch.position.saturating_add(covers_from);
        let mut crc = 0;
        let mut legacy_crc = flate2::Crc::new();
        while at < batch.end() {
            let want = usize::try_from(batch.end() - at).unwrap_or(usize::MAX);
            let bytes = self.bytes(at, want.min(CHUNK_BYTES_MAX))?;
            let bytes = bytes.get(..want.min(bytes.len())).unwrap_or(bytes);
            if bytes.is_empty() {
                return Err(ScanError::Bad { position: batch.position, error: BatchError::Truncated });
            }
            if legacy {
                legacy_crc.update(bytes);
            } else {
                crc = crc32c::crc32c_append(crc, bytes);
            }
            at += bytes.len() as u64;
        }
        let found = if legacy { legacy_crc.sum() } else { crc };
        if found == batch.header.crc {
            return Ok(());
        }
        let error = BatchError::Crc { expected: batch.header.crc, found };
        Err(ScanError::Bad { position: batch.position, error })
    }

    /// What the file holds from `at` on: `want` bytes, or what there is before the end, at least; more when it is at hand.
    fn bytes(&mut self, at: u64, want: usize) -> Result<&[u8], ScanError> {
        let want = want.min(usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX));
        let at_hand = self.buffer_at <= at && at + want as u64 <= self.buffer_at + self.buffer.len() as u64;
        if !at_hand {
            self.fill(at, want.max(self.chunk))?;
        }
        let skip = usize::try_from(at - self.buffer_at).unwrap_or(usize::MAX);
        Ok(self.buffer.get(skip..).unwrap_or_default())
    }

    fn fill(&mut self, at: u64, want: usize) -> Result<(), ScanError> {
        let want = want.min(usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX));
        self.buffer.resize(want, 0);
        self.buffer_at = at;
        let read = match self.wait {
            Wait::Allowed => self.file.read_at(at, &mut self.buffer).map(Some),
            Wait::Never => self.file.read_cached_at(at, &mut self.buffer),
        };
        let read = read.inspect_err(|_| self.buffer.clear()).map_err(ScanError::Disk)?;
        self.buffer.truncate(read.unwrap_or_default());
        read.map(|_| ()).ok_or(ScanError::WouldWait)
    }
}

/// Decodes the header of a batch or of an older message.
fn decode_any(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    match bytes.get(MAGIC_AT).copied() {
        Some(magic @ (0 | 1)) => decode_legacy(bytes, magic),
        _ => BatchHeader::decode(bytes),
    }
}

fn decode_legacy(bytes: &[u8], magic: u8) -> Result<BatchHeader, BatchError> {
    fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], BatchError> {
        bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(BatchError::Truncated)
    }
    let offset = Offset(i64::from_be_bytes(field(bytes, 0)?));
    let body_len = i32::from_be_bytes(field(bytes, 8)?);
    let len = usize::try_from(body_len).ok().map(|body| body.saturating_add(OVERHEAD_BYTES));
    let len = len.filter(|len| LEGACY_BYTES_MIN <= *len).ok_or(BatchError::Length(body_len))?;
    let timestamp = if magic == 1 { Timestamp(i64::from_be_bytes(field(bytes, 18)?)) } else { Timestamp::NONE };
    let [attributes] = field(bytes, 17)?;
    Ok(BatchHeader {
        base_offset: offset,
        len,
        leader_epoch: LeaderEpoch::NONE,
        crc: u32::from_be_bytes(field(bytes, 12)?),
        attributes: Attributes(i16::from(attributes & 0x0f)),
        last_offset_delta: 0,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: -1,
        records: LEGACY_RECORDS,
    })
}
