//! Messages of the formats before 2: magic 0, and magic 1 with timestamps (Kafka 0.10). Clients from before Kafka 0.11
//! write and read them, and they may still lie in old segments.
//!
//! A message stands alone, with its offset, length and CRC-32, or holds other messages compressed in its value. Messages
//! inside a magic 1 wrapper count their offsets from its first one, those inside a magic 0 wrapper have whole offsets; the
//! wrapper's own offset is that of the last message inside. LZ4 frames of magic 0 have a header checksum over the wrong bytes,
//! which nobody may look at, and which old readers demand.
//!
//! The log holds magic 2 only: what old producers send is converted up before it is appended ([`up_convert`]), what old
//! consumers fetch is converted down ([`DownConverter`]). Both take as long as the records are many, and run on the disk pool.
//!
//! *Invariant*: what is read lies within the bytes that were given; memory is bounded by a [`DecompressionLimit`] and by the
//! number of bytes that were asked for.
//! *Does not know*: versions of requests, files, who asks.
//!
//! Source: Kafka 3.9 `LegacyRecord.java`, `AbstractLegacyRecordBatch.java`, `LogValidator.java`, `RecordsUtil.java`;
//! KIP-31, KIP-32, KIP-57.
//!
//! [`DecompressionLimit`]: super::DecompressionLimit

mod down;
mod read;
mod up;
mod write;

#[cfg(test)]
mod tests;

pub use down::{DownConverter, DownError, Target};
pub use up::{Upgraded, up_convert};
pub use write::message_set;

use super::{Codec, CompressionError};

/// A message format before 2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LegacyMagic {
    /// Kafka 0.8 and 0.9: without timestamps.
    V0,
    /// Kafka 0.10.
    V1,
}

impl LegacyMagic {
    /// The format that this number means.
    #[must_use]
    pub const fn of(magic: i8) -> Option<Self> {
        match magic {
            0 => Some(Self::V0),
            1 => Some(Self::V1),
            _ => None,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i8 {
        match self {
            Self::V0 => 0,
            Self::V1 => 1,
        }
    }
}

/// Bytes of a message before the part that its length counts: offset and the length itself.
const OVERHEAD_BYTES: usize = 12;

/// Smallest length that a message may say: a magic 0 message with null key and value.
const LENGTH_MIN: i32 = 14;

/// Where the CRC stands, and where the part begins that it covers: everything from the magic on.
const CRC_AT: usize = 12;
const CRC_COVERS_FROM: usize = 16;

/// The attribute bit that says that a broker stamped the message.
const LOG_APPEND_TIME: u8 = 0x08;

/// The attribute bits that name the codec.
const CODEC_MASK: u8 = 0x07;

/// Why bytes are no message, or not one that can be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LegacyError {
    /// Its fields go on behind its end.
    #[error("a message ends in the middle of its fields")]
    Truncated,
    /// A length smaller than a message.
    #[error("a message says it is {0} bytes long")]
    Length(i32),
    /// Neither 0 nor 1.
    #[error("magic {0} instead of 0 or 1")]
    Magic(i8),
    /// The CRC does not fit.
    #[error("the CRC of a message is {found:08x} instead of {expected:08x}")]
    Crc {
        /// As the message says.
        expected: u32,
        /// Of the bytes.
        found: u32,
    },
    /// A codec that its format does not have.
    #[error("compression codec {0} is not one of the message format")]
    Codec(u8),
    /// Compressed, without a value.
    #[error("a compressed message holds nothing")]
    Hollow,
    /// A compressed message inside a compressed message.
    #[error("a message inside a compressed one is compressed again")]
    Nested,
    /// The wrapper's offset is smaller than that of its last message, which counts from the wrapper's first.
    #[error("a compressed message has offset {outer}, and the last one inside counts {inner} from its first")]
    WrapperOffset {
        /// Of the wrapper.
        outer: i64,
        /// Of the last message inside.
        inner: i64,
    },
    /// What is inside cannot be decompressed, or is too much.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

/// CRC-32 of a message, as zlib has it.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// The codec that a message's attributes name.
fn codec_of(attributes: u8) -> Result<Codec, LegacyError> {
    match attributes & CODEC_MASK {
        0 => Ok(Codec::None),
        1 => Ok(Codec::Gzip),
        2 => Ok(Codec::Snappy),
        3 => Ok(Codec::Lz4),
        // Zstandard came with Kafka 2.1, and never to these formats.
        other => Err(LegacyError::Codec(other)),
    }
}

/// The number of a codec in a message's attributes; `None` for one that these formats do not have.
const fn codec_bits(codec: Codec) -> Option<u8> {
    match codec {
        Codec::None => Some(0),
        Codec::Gzip => Some(1),
        Codec::Snappy => Some(2),
        Codec::Lz4 => Some(3),
        Codec::Zstd => None,
    }
}
