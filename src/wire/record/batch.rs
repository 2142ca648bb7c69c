//! The 61 bytes before the records.

use std::fmt;

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// Bytes of a batch before its records.
pub const BATCH_HEADER_BYTES: usize = 61;

/// Bytes of a batch before the part that `batchLength` counts: base offset and the length itself.
const LOG_OVERHEAD_BYTES: usize = 12;

/// Where the part begins that the CRC covers: everything from the attributes on.
pub(super) const CRC_COVERS_FROM: usize = 21;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy in xerial's framing, or raw.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard (KIP-110).
    Zstd,
}

impl Codec {
    /// Every codec, in the order of their numbers on the wire.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Kafka's name of it, as in `compression.type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Its number in the attributes.
    const fn bits(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who stamped the records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampType {
    /// The producer.
    #[default]
    CreateTime,
    /// The broker, when it appended.
    LogAppendTime,
}

/// The attribute bits of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC_MASK: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// How the records are compressed.
    ///
    /// # Errors
    /// [`BatchError::UnknownCodec`] for 5, 6 and 7.
    pub const fn codec(self) -> Result<Codec, BatchError> {
        match self.0 & Self::CODEC_MASK {
            0 => Ok(Codec::None),
            1 => Ok(Codec::Gzip),
            2 => Ok(Codec::Snappy),
            3 => Ok(Codec::Lz4),
            4 => Ok(Codec::Zstd),
            other => Err(BatchError::UnknownCodec(other)),
        }
    }

    /// Who stamped the records.
    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// The same, compressed with `codec`.
    #[must_use]
    pub const fn with_codec(self, codec: Codec) -> Self {
        Self(self.0 & !Self::CODEC_MASK | codec.bits())
    }

    /// The same, stamped by the producer or by the broker.
    #[must_use]
    pub const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        match timestamp_type {
            TimestampType::CreateTime => Self(self.0 & !Self::LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Self(self.0 | Self::LOG_APPEND_TIME),
        }
    }

    /// The same, as part of a transaction.
    #[must_use]
    pub const fn transactional(self) -> Self {
        Self(self.0 | Self::TRANSACTIONAL)
    }

    /// The same, as a control batch.
    #[must_use]
    pub const fn control(self) -> Self {
        Self(self.0 | Self::CONTROL)
    }

    /// The same, where the base timestamp is the delete horizon.
    #[must_use]
    pub const fn with_delete_horizon(self) -> Self {
        Self(self.0 | Self::DELETE_HORIZON)
    }

    /// What stays of them when a batch loses all its records: neither codec nor delete horizon.
    #[must_use]
    pub const fn emptied(self) -> Self {
        Self(self.0 & (Self::LOG_APPEND_TIME | Self::TRANSACTIONAL | Self::CONTROL))
    }

    /// Part of a transaction.
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Holds a marker of the broker's instead of a client's records.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// The base timestamp is the time at which tombstones may go (KIP-534).
    #[must_use]
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }
}

/// The header of a batch, decoded. It says nothing of whether the CRC is right: see [`verify_crc`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Offset of the first record the batch was made with (compaction may have removed it).
    pub base_offset: Offset,
    /// Bytes of the whole batch, header included. At least [`BATCH_HEADER_BYTES`].
    pub len: usize,
    /// Epoch of the leader that appended it; outside the CRC.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// Last offset of the batch minus its base offset. Stays when compaction removes records.
    pub last_offset_delta: i32,
    /// Timestamp of the first record, or the delete horizon (see [`Attributes::has_delete_horizon`]).
    pub base_timestamp: Timestamp,
    /// Largest timestamp in the batch.
    pub max_timestamp: Timestamp,
    /// Idempotent or transactional producer, or [`ProducerId::NONE`].
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// Sequence number of the first record; −1 without a producer id and in control batches.
    pub base_sequence: i32,
    /// Number of records; 0 after compaction emptied the batch.
    pub records: i32,
}

/// Why bytes are no batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than a header, or than the header says.
    #[error("the batch is cut short")]
    Truncated,
    /// A length smaller than a header.
    #[error("the batch says it is {0} bytes long")]
    Length(i32),
    /// Not magic 2.
    #[error("magic {0} instead of 2")]
    Magic(i8),
    /// CRC-32C does not fit.
    #[error("CRC is {found:08x} instead of {expected:08x}")]
    Crc {
        /// As the header says.
        expected: u32,
        /// Of the bytes.
        found: u32,
    },
    /// Codec 5, 6 or 7.
    #[error("unknown compression codec {0}")]
    UnknownCodec(i16),
}

impl BatchHeader {
    /// Decodes the header at the start of `bytes`, which may go on behind it.
    ///
    /// # Errors
    /// [`BatchError::Truncated`] when `bytes` is shorter than a header, [`BatchError::Length`] and [`BatchError::Magic`].
    /// Whether `bytes` holds the whole batch is the caller's to check with [`Self::len`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BatchError> {
        let head: &[u8; BATCH_HEADER_BYTES] = bytes.first_chunk().ok_or(BatchError::Truncated)?;
        let magic = i8::from_be_bytes(field(head, 16));
        if magic != 2 {
            return Err(BatchError::Magic(magic));
        }
        let body_len = i32::from_be_bytes(field(head, 8));
        let len = usize::try_from(body_len).ok().map(|body| body.saturating_add(LOG_OVERHEAD_BYTES));
        let Some(len) = len.filter(|len| BATCH_HEADER_BYTES <= *len) else {
            return Err(BatchError::Length(body_len));
        };
        Ok(Self {
            base_offset: Offset(i64::from_be_bytes(field(head, 0))),
            len,
            leader_epoch: LeaderEpoch(i32::from_be_bytes(field(head, 12))),
            crc: u32::from_be_bytes(field(head, 17)),
            attributes: Attributes(i16::from_be_bytes(field(head, 21))),
            last_offset_delta: i32::from_be_bytes(field(head, 23)),
            base_timestamp: Timestamp(i64::from_be_bytes(field(head, 27))),
            max_timestamp: Timestamp(i64::from_be_bytes(field(head, 35))),
            producer_id: ProducerId(i64::from_be_bytes(field(head, 43))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(field(head, 51))),
            base_sequence: i32::from_be_bytes(field(head, 53)),
            records: i32::from_be_bytes(field(head, 57)),
        })
    }

    /// Offset of the last record the batch was made with, inclusive. Saturates.
    #[must_use]
    pub const fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(self.last_offset_delta as i64))
    }

    /// Sequence number of the last record: wraps from 2³¹−1 to 0.
    #[must_use]
    pub const fn last_sequence(&self) -> i32 {
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// The header as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut head = [0; BATCH_HEADER_BYTES];
        let body_len = i32::try_from(self.len.saturating_sub(LOG_OVERHEAD_BYTES)).unwrap_or(i32::MAX);
        put(&mut head, 0, self.base_offset.0.to_be_bytes());
        put(&mut head, 8, body_len.to_be_bytes());
        put(&mut head, 12, self.leader_epoch.0.to_be_bytes());
        put(&mut head, 16, 2_i8.to_be_bytes());
        put(&mut head, 17, self.crc.to_be_bytes());
        put(&mut head, 21, self.attributes.0.to_be_bytes());
        put(&mut head, 23, self.last_offset_delta.to_be_bytes());
        put(&mut head, 27, self.base_timestamp.0.to_be_bytes());
        put(&mut head, 35, self.max_timestamp.0.to_be_bytes());
        put(&mut head, 43, self.producer_id.0.to_be_bytes());
        put(&mut head, 51, self.producer_epoch.0.to_be_bytes());
        put(&mut head, 53, self.base_sequence.to_be_bytes());
        put(&mut head, 57, self.records.to_be_bytes());
        head
    }
}

/// Checks the CRC of a whole batch whose header was decoded from the same bytes.
///
/// # Errors
/// [`BatchError::Truncated`] when `batch` is not as long as its header says, [`BatchError::Crc`].
pub fn verify_crc(header: &BatchHeader, batch: &[u8]) -> Result<(), BatchError> {
    let covered = batch.get(CRC_COVERS_FROM..header.len).ok_or(BatchError::Truncated)?;
    let found = crc32c::crc32c(covered);
    if found == header.crc { Ok(()) } else { Err(BatchError::Crc { expected: header.crc, found }) }
}

/// `N` bytes of the header at `at`, which is one of the constants above and always fits. Written so that the compiler makes
/// one load of it: headers are decoded for every batch that a read passes over.
#[inline(always)]
fn field<const N: usize>(head: &[u8; BATCH_HEADER_BYTES], at: usize) -> [u8; N] {
    head.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

#[inline(always)]
fn put<const N: usize>(head: &mut [u8; BATCH_HEADER_BYTES], at: usize, bytes: [u8; N]) {
    if let Some(to) = head.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *to = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_encode_and_decode() {
        let header = BatchHeader {
            base_offset: Offset(7),
            len: 100,
            leader_epoch: LeaderEpoch(3),
            crc: 0xdead_beef,
            attributes: Attributes(0x14),
            last_offset_delta: 4,
            base_timestamp: Timestamp(1),
            max_timestamp: Timestamp(2),
            producer_id: ProducerId(9),
            producer_epoch: ProducerEpoch(1),
            base_sequence: i32::MAX - 1,
            records: 5,
        };
        assert_eq!(BatchHeader::decode(&header.encode()), Ok(header));
        assert_eq!(header.last_offset(), Offset(11));
        assert_eq!(header.last_sequence(), 2, "sequence numbers wrap to 0 behind 2³¹−1");
        assert_eq!(header.attributes.codec(), Ok(Codec::Zstd));
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let mut head = [0_u8; BATCH_HEADER_BYTES];
        assert_eq!(BatchHeader::decode(&head), Err(BatchError::Magic(0)));
        head[16] = 2;
        assert_eq!(BatchHeader::decode(&head), Err(BatchError::Length(0)));
        assert_eq!(BatchHeader::decode(&head[..60]), Err(BatchError::Truncated));
    }
}
