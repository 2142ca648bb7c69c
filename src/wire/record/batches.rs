//! Batches that stand one after the other, as in a fetch response or a stretch of a segment, and the way to their records.
//!
//! *Invariant*: yields only whole batches, within the bytes that it was given.
//! *Does not know*: whether a CRC is right (see [`super::verify_crc`]), where the bytes come from.

use super::{
    BATCH_HEADER_BYTES, BatchError, BatchHeader, Codec, CompressionError, DecompressionLimit, Record, Records,
    TimestampType, decompress,
};
use crate::model::{Offset, Timestamp};

/// Iterates over the whole batches at the start of some bytes. Ends at a batch that is cut short, as the last one of a fetch
/// response may be; any other bytes that are no batch are an error, after which it ends too.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// Reads what `bytes` starts with.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not yielded yet: at the end, the batch that is cut short or the bytes that are none.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    /// The header and all bytes of the batch, header included.
    type Item = Result<(BatchHeader, &'a [u8]), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let header = match BatchHeader::decode(self.rest) {
            Ok(header) => header,
            Err(BatchError::Truncated) => return None,
            Err(error) => {
                self.rest = &[];
                return Some(Err(error));
            }
        };
        let (batch, rest) = self.rest.split_at_checked(header.len)?;
        self.rest = rest;
        Some(Ok((header, batch)))
    }
}

impl BatchHeader {
    /// The records of a batch: borrowed from `batch` itself, or from `scratch`, into which they are decompressed. `scratch`
    /// is emptied first; keeping it between batches saves memory from being asked for again.
    ///
    /// # Errors
    /// [`ReadError`]; that a record itself is damaged comes from the iterator.
    pub fn read_records<'a>(
        &self,
        batch: &'a [u8],
        limit: DecompressionLimit,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Records<'a>, ReadError> {
        let block = batch.get(BATCH_HEADER_BYTES..self.len).ok_or(BatchError::Truncated)?;
        let block = match self.attributes.codec()? {
            Codec::None => block,
            // A batch that compaction emptied has nothing to decompress, not even a frame.
            _ if self.records == 0 => &[],
            codec @ (Codec::Gzip | Codec::Snappy | Codec::Lz4 | Codec::Zstd) => {
                scratch.clear();
                decompress(codec, block, limit, scratch)?;
                scratch
            }
        };
        Ok(Records::new(block, self.records))
    }

    /// The offset of one of this batch's records. Saturates.
    #[must_use]
    pub fn offset_of(&self, record: &Record<'_>) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(record.offset_delta)))
    }

    /// The timestamp of one of this batch's records. Saturates.
    #[must_use]
    pub const fn timestamp_of(&self, record: &Record<'_>) -> Timestamp {
        match self.attributes.timestamp_type() {
            TimestampType::LogAppendTime => self.max_timestamp,
            TimestampType::CreateTime => Timestamp(self.base_timestamp.0.saturating_add(record.timestamp_delta)),
        }
    }
}

/// Why a batch's records cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// Its header or length is wrong.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Its records cannot be decompressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
    use super::super::{BatchBuilder, NewRecord};
    use super::*;

    fn batch(value: &[u8]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Codec::Lz4);
        builder.append(&NewRecord { value: Some(value), ..NewRecord::default() }).expect("a small record");
        builder.build().expect("a small batch")
    }

    #[test]
    fn a_tail_that_is_cut_short_is_left_and_everything_before_it_read() {
        let (one, two) = (batch(b"one"), batch(b"two, somewhat longer"));
        let both = [&one[..], &two[..]].concat();
        for len in 0..=both.len() {
            let mut batches = Batches::new(&both[..len]);
            let whole = batches.by_ref().map(|batch| batch.expect("whole batches").1.len()).collect::<Vec<_>>();
            let expected: &[usize] = match len {
                _ if len < one.len() => &[],
                _ if len < both.len() => &[one.len()],
                _ => &[one.len(), two.len()],
            };
            assert_eq!(whole, expected);
            assert_eq!(batches.rest().len(), len - expected.iter().sum::<usize>());
        }
    }

    #[test]
    fn bytes_that_are_no_batch_end_it_with_an_error() {
        let mut bytes = batch(b"x");
        bytes[16] = 9;
        let mut batches = Batches::new(&bytes);
        assert_eq!(batches.next(), Some(Err(BatchError::Magic(9))));
        assert_eq!(batches.next(), None);
    }
}
