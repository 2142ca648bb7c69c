//! Changes a broker makes to a batch's header: offset and leader epoch, which lie outside the CRC, and the append time,
//! which does not.
//!
//! *Does not know*: what offset or epoch is right.
//!
//! Source: Kafka 3.9 `DefaultRecordBatch.java` (`setLastOffset`, `setPartitionLeaderEpoch`, `setMaxTimestamp`).

use super::batch::CRC_COVERS_FROM;
use super::{BATCH_HEADER_BYTES, BatchError, BatchHeader, TimestampType};
use crate::model::{LeaderEpoch, Offset, Timestamp};

impl BatchHeader {
    /// This header for a batch whose records block is `body`: its length and CRC are computed.
    #[must_use]
    pub fn sealed(mut self, body: &[u8]) -> Self {
        self.len = BATCH_HEADER_BYTES.saturating_add(body.len());
        let head = self.encode();
        let covered = head.get(CRC_COVERS_FROM..).unwrap_or_default();
        self.crc = crc32c::crc32c_append(crc32c::crc32c(covered), body);
        self
    }

    /// This header with another timestamp type and largest timestamp. The CRC is computed anew, over `body`, only when
    /// something changed.
    #[must_use]
    pub fn stamped(mut self, timestamp_type: TimestampType, max_timestamp: Timestamp, body: &[u8]) -> Self {
        let attributes = self.attributes.with_timestamp_type(timestamp_type);
        if attributes == self.attributes && max_timestamp == self.max_timestamp {
            return self;
        }
        self.attributes = attributes;
        self.max_timestamp = max_timestamp;
        self.sealed(body)
    }
}

/// Gives the batch at the start of `bytes` its place in the log, in place.
///
/// # Errors
/// [`BatchError`] when there is no header; nothing is changed then.
pub fn assign_offset(bytes: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) -> Result<(), BatchError> {
    let header = BatchHeader::decode(bytes)?;
    write_header(bytes, &BatchHeader { base_offset, leader_epoch, ..header })
}

/// Stamps the batch at the start of `bytes` with the time of its append, in place, CRC included.
///
/// # Errors
/// [`BatchError`] when there is no header or `bytes` ends before the batch does; nothing is changed then.
pub fn stamp_append_time(bytes: &mut [u8], now: Timestamp) -> Result<(), BatchError> {
    let header = BatchHeader::decode(bytes)?;
    let body = bytes.get(BATCH_HEADER_BYTES..header.len).ok_or(BatchError::Truncated)?;
    let header = header.stamped(TimestampType::LogAppendTime, now, body);
    write_header(bytes, &header)
}

fn write_header(bytes: &mut [u8], header: &BatchHeader) -> Result<(), BatchError> {
    *bytes.first_chunk_mut().ok_or(BatchError::Truncated)? = header.encode();
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
    use super::super::{BatchBuilder, Codec, NewRecord, verify_crc};
    use super::*;

    fn batch() -> Vec<u8> {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.append(&NewRecord { value: Some(b"value"), ..NewRecord::default() }).expect("a small record");
        builder.build().expect("a small batch")
    }

    #[test]
    fn offset_and_epoch_leave_the_crc_right() {
        let mut bytes = batch();
        let before = bytes.clone();
        assign_offset(&mut bytes, Offset(0x0102_0304_0506_0708), LeaderEpoch(9)).expect("a batch");
        assert_eq!(bytes[16..], before[16..], "nothing behind the epoch changed");
        let header = BatchHeader::decode(&bytes).expect("a header");
        assert_eq!((header.base_offset, header.leader_epoch), (Offset(0x0102_0304_0506_0708), LeaderEpoch(9)));
        assert_eq!(verify_crc(&header, &bytes), Ok(()));
    }

    #[test]
    fn the_append_time_comes_with_a_new_crc() {
        let mut bytes = batch();
        stamp_append_time(&mut bytes, Timestamp(1_234)).expect("a batch");
        let header = BatchHeader::decode(&bytes).expect("a header");
        assert_eq!(header.attributes.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(header.max_timestamp, Timestamp(1_234));
        assert_eq!(verify_crc(&header, &bytes), Ok(()));
        let stump = bytes.len() - 1;
        assert_eq!(stamp_append_time(&mut bytes[..stump], Timestamp(1)), Err(BatchError::Truncated));
    }
}
