//! Writes messages, alone or compressed into one.

use super::{CRC_AT, CRC_COVERS_FROM, LOG_APPEND_TIME, LegacyMagic, OVERHEAD_BYTES, codec_bits, crc32};
use crate::model::{Offset, Timestamp};
use crate::wire::record::compression::break_lz4_checksum;
use crate::wire::record::{BuildError, Codec, Compression, NewRecord, TimestampType, compress};

/// Bytes of a message without those of key and value.
pub(super) const fn overhead(magic: LegacyMagic) -> usize {
    match magic {
        LegacyMagic::V0 => 26,
        LegacyMagic::V1 => 34,
    }
}

/// What a message says beside key and value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) magic: LegacyMagic,
    pub(super) timestamp_type: TimestampType,
    /// The codec's number.
    pub(super) codec: u8,
}

impl Head {
    const fn attributes(self) -> u8 {
        match (self.magic, self.timestamp_type) {
            (LegacyMagic::V1, TimestampType::LogAppendTime) => self.codec | LOG_APPEND_TIME,
            _ => self.codec,
        }
    }
}

/// Appends a message.
pub(super) fn put_message(
    out: &mut Vec<u8>,
    head: Head,
    offset: i64,
    timestamp: Timestamp,
    (key, value): (Option<&[u8]>, Option<&[u8]>),
) -> Result<(), BuildError> {
    let start = out.len();
    let len =
        overhead(head.magic).saturating_add(key.map_or(0, <[u8]>::len)).saturating_add(value.map_or(0, <[u8]>::len));
    out.reserve(len);
    put_head(out, head, offset, timestamp);
    put_nullable(out, key)?;
    put_nullable(out, value)?;
    seal(out, start)
}

/// Appends `inner`, which holds whole messages, as one compressed message.
pub(super) fn put_wrapper(
    out: &mut Vec<u8>,
    (head, compression): (Head, Compression),
    last_offset: i64,
    timestamp: Timestamp,
    inner: &[u8],
) -> Result<(), BuildError> {
    let start = out.len();
    put_head(out, head, last_offset, timestamp);
    put_nullable(out, None)?;
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    let block_at = out.len();
    compress(compression, inner, out)?;
    let block = out.get_mut(block_at..).unwrap_or_default();
    if compression.codec == Codec::Lz4 && head.magic == LegacyMagic::V0 {
        break_lz4_checksum(block);
    }
    let len = i32::try_from(block.len()).map_err(|_| BuildError::TooLarge)?;
    if let Some(place) = out.get_mut(length_at..).and_then(<[u8]>::first_chunk_mut) {
        *place = len.to_be_bytes();
    }
    seal(out, start)
}

/// Appends a message set, as a client of that format sends it: `records` at offsets from `base` on, compressed into one
/// message where `codec` says so.
///
/// # Errors
/// [`BuildError`]; zstd is [`BuildError::TooLarge`] for these formats: there is no number for it.
pub fn message_set(
    magic: LegacyMagic,
    codec: Codec,
    base: Offset,
    records: &[NewRecord<'_>],
) -> Result<Vec<u8>, BuildError> {
    let bits = codec_bits(codec).ok_or(BuildError::TooLarge)?;
    let head = Head { magic, timestamp_type: TimestampType::CreateTime, codec: 0 };
    let relative = codec != Codec::None && magic == LegacyMagic::V1;
    let (mut set, mut last, mut newest) = (Vec::new(), base.0, Timestamp::NONE);
    for (delta, record) in (0_i64..).zip(records) {
        last = base.0.saturating_add(delta);
        newest = newest.max(record.timestamp);
        let offset = if relative { delta } else { last };
        put_message(&mut set, head, offset, record.timestamp, (record.key, record.value))?;
    }
    if set.is_empty() {
        return Err(BuildError::Empty);
    }
    if codec == Codec::None {
        return Ok(set);
    }
    let mut wrapped = Vec::new();
    put_wrapper(&mut wrapped, (Head { codec: bits, ..head }, codec.into()), last, newest, &set)?;
    Ok(wrapped)
}

/// Everything before the key. Length and CRC come last.
fn put_head(out: &mut Vec<u8>, head: Head, offset: i64, timestamp: Timestamp) {
    out.extend_from_slice(&offset.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.push(head.magic.number().cast_unsigned());
    out.push(head.attributes());
    if head.magic == LegacyMagic::V1 {
        out.extend_from_slice(&timestamp.0.to_be_bytes());
    }
}

/// Gives the message that begins at `start` and ends with `out` its length and CRC.
fn seal(out: &mut [u8], start: usize) -> Result<(), BuildError> {
    let message = out.get_mut(start..).unwrap_or_default();
    let len = message.len().saturating_sub(OVERHEAD_BYTES);
    let len = i32::try_from(len).map_err(|_| BuildError::TooLarge)?;
    let crc = crc32(message.get(CRC_COVERS_FROM..).unwrap_or_default());
    if let Some(place) = message.get_mut(8..).and_then(<[u8]>::first_chunk_mut) {
        *place = len.to_be_bytes();
    }
    if let Some(place) = message.get_mut(CRC_AT..).and_then(<[u8]>::first_chunk_mut) {
        *place = crc.to_be_bytes();
    }
    Ok(())
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Result<(), BuildError> {
    let Some(bytes) = bytes else {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        return Ok(());
    };
    let len = i32::try_from(bytes.len()).map_err(|_| BuildError::TooLarge)?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}
