//! Messages that stand one after the other, and those inside a compressed one.

use super::{
    CRC_AT, CRC_COVERS_FROM, LENGTH_MIN, LOG_APPEND_TIME, LegacyError, LegacyMagic, OVERHEAD_BYTES, codec_of, crc32,
};
use crate::model::Timestamp;
use crate::wire::record::compression::decompress_lz4_of_magic_0;
use crate::wire::record::{Codec, DecompressionLimit, decompress};

/// One message, which may hold others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Message<'a> {
    /// As it stands there: inside a magic 1 wrapper it counts from the wrapper's first.
    pub(super) offset: i64,
    pub(super) magic: LegacyMagic,
    attributes: u8,
    /// [`Timestamp::NONE`] in magic 0.
    pub(super) timestamp: Timestamp,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    /// All of it.
    pub(super) bytes: &'a [u8],
}

/// Iterates over the whole messages at the start of some bytes. Ends at one that is cut short; after an error it ends too.
#[derive(Clone, Debug)]
pub(super) struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, LegacyError>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = i32::from_be_bytes(field(self.rest, 8)?);
        let Some(len) = usize::try_from(length).ok().filter(|_| LENGTH_MIN <= length) else {
            self.rest = &[];
            return Some(Err(LegacyError::Length(length)));
        };
        let (bytes, rest) = self.rest.split_at_checked(len.saturating_add(OVERHEAD_BYTES))?;
        self.rest = rest;
        let message = Message::read(bytes);
        if message.is_err() {
            self.rest = &[];
        }
        Some(message)
    }
}

impl<'a> Message<'a> {
    /// Reads a message that takes all of `bytes`, but for what may stand behind its value, which nobody looks at.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, LegacyError> {
        let number = i8::from_be_bytes(field(bytes, 16).ok_or(LegacyError::Truncated)?);
        let magic = LegacyMagic::of(number).ok_or(LegacyError::Magic(number))?;
        let [attributes] = field(bytes, 17).ok_or(LegacyError::Truncated)?;
        let (timestamp, key_at) = match magic {
            LegacyMagic::V0 => (Timestamp::NONE, 18),
            LegacyMagic::V1 => (Timestamp(i64::from_be_bytes(field(bytes, 18).ok_or(LegacyError::Truncated)?)), 26),
        };
        let (key, rest) = nullable(bytes.get(key_at..).unwrap_or_default())?;
        let (value, _) = nullable(rest)?;
        let offset = i64::from_be_bytes(field(bytes, 0).ok_or(LegacyError::Truncated)?);
        Ok(Self { offset, magic, attributes, timestamp, key, value, bytes })
    }

    pub(super) fn codec(&self) -> Result<Codec, LegacyError> {
        codec_of(self.attributes)
    }

    /// A broker stamped it.
    pub(super) const fn has_append_time(&self) -> bool {
        matches!(self.magic, LegacyMagic::V1) && self.attributes & LOG_APPEND_TIME != 0
    }

    pub(super) fn verify_crc(&self) -> Result<(), LegacyError> {
        let expected = u32::from_be_bytes(field(self.bytes, CRC_AT).ok_or(LegacyError::Truncated)?);
        let found = crc32(self.bytes.get(CRC_COVERS_FROM..).unwrap_or_default());
        if found == expected { Ok(()) } else { Err(LegacyError::Crc { expected, found }) }
    }

    /// The messages inside this compressed one. `scratch` is emptied first; they borrow from it.
    pub(super) fn inside<'s>(
        &self,
        codec: Codec,
        limit: DecompressionLimit,
        scratch: &'s mut Vec<u8>,
    ) -> Result<Inside<'s>, LegacyError> {
        let block = self.value.ok_or(LegacyError::Hollow)?;
        scratch.clear();
        match (codec, self.magic) {
            (Codec::Lz4, LegacyMagic::V0) => decompress_lz4_of_magic_0(block, limit, scratch)?,
            _ => decompress(codec, block, limit, scratch)?,
        }
        let messages = Messages::new(scratch);
        let mut last = None;
        for message in messages.clone() {
            last = Some(message?.offset);
        }
        let last = last.ok_or(LegacyError::Hollow)?;
        let base = match self.magic {
            LegacyMagic::V0 => 0,
            // Some versions of librdkafka say 0 here whatever is inside.
            LegacyMagic::V1 if self.offset == 0 => 0,
            LegacyMagic::V1 if self.offset < last => {
                return Err(LegacyError::WrapperOffset { outer: self.offset, inner: last });
            }
            LegacyMagic::V1 => self.offset.wrapping_sub(last),
        };
        let stamped = self.has_append_time().then_some(self.timestamp);
        Ok(Inside { messages, base, stamped })
    }
}

/// The messages inside a compressed one, with their whole offsets and the timestamps that count.
#[derive(Clone, Debug)]
pub(super) struct Inside<'a> {
    messages: Messages<'a>,
    /// What is added to their offsets.
    base: i64,
    /// The time at which a broker appended all of them.
    stamped: Option<Timestamp>,
}

impl<'a> Iterator for Inside<'a> {
    type Item = Result<Message<'a>, LegacyError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.messages.next()?.and_then(|message| {
            if !matches!(message.codec(), Ok(Codec::None)) {
                return Err(LegacyError::Nested);
            }
            let timestamp = match (message.magic, self.stamped) {
                (LegacyMagic::V1, Some(stamped)) => stamped,
                _ => message.timestamp,
            };
            Ok(Message { offset: self.base.wrapping_add(message.offset), timestamp, ..message })
        }))
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied()
}

/// A length, of which any below zero means null, the bytes, and what is behind them.
fn nullable(bytes: &[u8]) -> Result<(Option<&[u8]>, &[u8]), LegacyError> {
    let (len, rest) = bytes.split_first_chunk().ok_or(LegacyError::Truncated)?;
    let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else { return Ok((None, rest)) };
    let (bytes, rest) = rest.split_at_checked(len).ok_or(LegacyError::Truncated)?;
    Ok((Some(bytes), rest))
}
