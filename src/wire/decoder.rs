//! Reads values from a frame: every length is checked against what is left before anything is taken or reserved.

use bytes::Bytes;

use crate::model::limits::{PREALLOCATED_ELEMENTS_MAX, TAGGED_FIELDS_MAX};

use super::Str;

/// Bytes of memory that the elements of arrays may take per byte of the frame. An array's elements are larger in memory
/// than on the wire: a one-letter string has two bytes there and 32 here. Kafka's own messages stay below 4 on average.
const MEMORY_PER_FRAME_BYTE_MAX: usize = 8;

/// Bytes of memory that the elements of arrays may take in any case, so that small frames of short names are never refused.
const MEMORY_FREE: usize = 512 << 10;

/// Longest string in either form of length, as in Kafka: the classic form could not carry more.
const STR_BYTES_MAX: usize = 0x7fff;

/// Most bytes of a variable-length number of 32 bits.
const UVARINT_BYTES_MAX: u32 = 5;

/// Why bytes are not the message they should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field}: {kind}")]
pub struct DecodeError {
    /// Where in the message, for instance `FetchTopic.partitions`.
    pub field: &'static str,
    /// What is wrong there.
    pub kind: DecodeErrorKind,
}

/// The ways in which bytes can fail to be a message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeErrorKind {
    /// The value ends behind the end of its frame.
    #[error("{needed} bytes needed, {remaining} left")]
    Truncated {
        /// Bytes that the value takes.
        needed: usize,
        /// Bytes that are left.
        remaining: usize,
    },
    /// An array with more elements than bytes are left.
    #[error("{count} elements cannot be in the {remaining} bytes left")]
    Count {
        /// Elements that the array claims.
        count: usize,
        /// Bytes that are left.
        remaining: usize,
    },
    /// The arrays of the message would take far more memory than its frame ([`MEMORY_PER_FRAME_BYTE_MAX`]).
    #[error("{count} more elements would take too much memory for a frame of this size")]
    Memory {
        /// Elements of the array that went too far.
        count: usize,
    },
    /// Null where this version has no null.
    #[error("null is not allowed")]
    Null,
    /// A string longer than 32,767 bytes.
    #[error("a string of {0} bytes is too long")]
    StrLength(usize),
    /// A variable-length number that does not fit 32 bits.
    #[error("a variable-length number that does not fit 32 bits")]
    Uvarint,
    /// More than [`TAGGED_FIELDS_MAX`] tagged fields in one struct.
    #[error("{0} tagged fields are too many")]
    TagCount(u32),
    /// Tags must ascend; this one does not.
    #[error("tag {0} is out of order or twice there")]
    TagOrder(u32),
    /// A tagged field whose value is shorter than its length says.
    #[error("tag {tag} has {surplus} bytes behind its value")]
    TagLength {
        /// Its number.
        tag: u32,
        /// Bytes that its value left over.
        surplus: usize,
    },
    /// The message has no such version.
    #[error("there is no version {0}")]
    Version(i16),
}

/// A place in a frame, moving on with each value read. What it hands out are slices of the frame: nothing is copied.
#[derive(Clone, Debug)]
pub struct Decoder {
    frame: Bytes,
    position: usize,
    /// One past the last byte that may be read: the frame's end, or that of the tagged field being read.
    end: usize,
    /// Bytes of memory that further array elements may take.
    memory: usize,
    /// What is being read, for errors.
    field: &'static str,
}

impl Decoder {
    /// Starts at the first byte of `frame`.
    #[must_use]
    pub fn new(frame: Bytes) -> Self {
        let end = frame.len();
        let memory = end.saturating_mul(MEMORY_PER_FRAME_BYTE_MAX).saturating_add(MEMORY_FREE);
        Self { frame, position: 0, end, memory, field: "header" }
    }

    /// Bytes not read yet. More than 0 behind a whole request is not an error in Kafka: clients have sent such requests.
    #[inline]
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// Says what is read next, for errors.
    #[inline]
    pub(super) const fn at(&mut self, field: &'static str) {
        self.field = field;
    }

    pub(super) const fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { field: self.field, kind }
    }

    /// Refuses a null where `version` has none.
    #[inline]
    pub(super) const fn refuse_null(&self, null: bool) -> Result<(), DecodeError> {
        if null { Err(self.error(DecodeErrorKind::Null)) } else { Ok(()) }
    }

    /// Moves on by `count` bytes and says where they began.
    #[inline]
    fn advance(&mut self, count: usize) -> Result<usize, DecodeError> {
        let remaining = self.remaining();
        if remaining < count {
            return Err(self.error(DecodeErrorKind::Truncated { needed: count, remaining }));
        }
        let from = self.position;
        self.position += count;
        Ok(from)
    }

    /// The next `N` bytes as they are.
    #[inline]
    pub(super) fn take_array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let from = self.advance(N)?;
        let next = self.frame.get(from..).and_then(|rest| rest.first_chunk());
        next.copied()
            .ok_or(DecodeError { field: self.field, kind: DecodeErrorKind::Truncated { needed: N, remaining: 0 } })
    }

    /// The next `count` bytes as a slice of the frame.
    #[inline]
    pub(super) fn take_bytes(&mut self, count: usize) -> Result<Bytes, DecodeError> {
        let from = self.advance(count)?;
        Ok(self.frame.slice(from..from + count))
    }

    /// The next `count` bytes as text.
    #[inline]
    pub(super) fn take_str(&mut self, count: usize) -> Result<Str, DecodeError> {
        if STR_BYTES_MAX < count {
            return Err(self.error(DecodeErrorKind::StrLength(count)));
        }
        self.take_bytes(count).map(Str::from_wire)
    }

    /// A number of seven bits per byte, the lowest first, the high bit saying that more follow.
    pub(super) fn take_uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for index in 0..UVARINT_BYTES_MAX {
            let [byte] = self.take_array()?;
            let bits = u32::from(byte & 0x7f);
            let shifted = bits << (7 * index);
            if shifted >> (7 * index) != bits {
                break;
            }
            value |= shifted;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error(DecodeErrorKind::Uvarint))
    }

    /// A length in the compact form: 0 is null, otherwise one more than the length.
    #[inline]
    pub(super) fn take_compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let raw = self.take_uvarint()?;
        Ok(raw.checked_sub(1).map(|length| usize::try_from(length).unwrap_or(usize::MAX)))
    }

    /// A length in the classic form of two bytes; any negative one is null, as in Kafka.
    #[inline]
    pub(super) fn take_length_i16(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(usize::try_from(i16::from_be_bytes(self.take_array()?)).ok())
    }

    /// A length in the classic form of four bytes; any negative one is null, as in Kafka.
    #[inline]
    pub(super) fn take_length_i32(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(usize::try_from(i32::from_be_bytes(self.take_array()?)).ok())
    }

    /// Room for `count` elements of an array, of which every one takes at least a byte of the frame.
    #[inline]
    pub(super) fn reserve<T>(&mut self, count: usize) -> Result<Vec<T>, DecodeError> {
        let remaining = self.remaining();
        if remaining < count {
            return Err(self.error(DecodeErrorKind::Count { count, remaining }));
        }
        let memory = count.saturating_mul(size_of::<T>());
        self.memory = self.memory.checked_sub(memory).ok_or_else(|| self.error(DecodeErrorKind::Memory { count }))?;
        Ok(Vec::with_capacity(count.min(PREALLOCATED_ELEMENTS_MAX)))
    }

    /// Reads the tagged fields of a struct. `known` reads the value of a tag that it knows and says so; the others are
    /// passed over.
    pub(super) fn take_tagged_fields(
        &mut self,
        known: &mut dyn FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.take_uvarint()?;
        if TAGGED_FIELDS_MAX < count {
            return Err(self.error(DecodeErrorKind::TagCount(count)));
        }
        let mut tag_min = 0;
        for _ in 0..count {
            let tag = self.take_uvarint()?;
            if tag < tag_min {
                return Err(self.error(DecodeErrorKind::TagOrder(tag)));
            }
            tag_min = tag.saturating_add(1);
            let length = usize::try_from(self.take_uvarint()?).unwrap_or(usize::MAX);
            self.take_tagged_field(tag, length, known)?;
        }
        Ok(())
    }

    fn take_tagged_field(
        &mut self,
        tag: u32,
        length: usize,
        known: &mut dyn FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let from = self.advance(length)?;
        let (end_outside, end) = (self.end, self.position);
        (self.position, self.end) = (from, end);
        if known(tag, self)? && self.position < end {
            return Err(self.error(DecodeErrorKind::TagLength { tag, surplus: self.remaining() }));
        }
        (self.position, self.end) = (end, end_outside);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder(bytes: &[u8]) -> Decoder {
        Decoder::new(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn variable_length_numbers_end_after_five_bytes() {
        let read = |bytes: &[u8]| decoder(bytes).take_uvarint().map_err(|error| error.kind);
        assert_eq!(read(&[0x00]), Ok(0));
        assert_eq!(read(&[0xac, 0x02]), Ok(300));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(DecodeErrorKind::Uvarint), "33 bits");
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), Err(DecodeErrorKind::Uvarint), "six bytes");
        assert_eq!(read(&[0x80]), Err(DecodeErrorKind::Truncated { needed: 1, remaining: 0 }));
    }

    #[test]
    fn a_tagged_field_cannot_read_beyond_its_length() {
        // One field, tag 0, length 1, then a byte that belongs to what follows.
        let mut input = decoder(&[1, 0, 1, 7, 8]);
        let read = input.take_tagged_fields(&mut |_, input| input.take_array::<2>().map(|_| true));
        assert_eq!(read.map_err(|error| error.kind), Err(DecodeErrorKind::Truncated { needed: 2, remaining: 1 }));
        let mut input = decoder(&[1, 0, 2, 7, 8]);
        let read = input.take_tagged_fields(&mut |_, input| input.take_array::<1>().map(|_| true));
        assert_eq!(read.map_err(|error| error.kind), Err(DecodeErrorKind::TagLength { tag: 0, surplus: 1 }));
    }

    #[test]
    fn unknown_tags_are_passed_over_in_order_and_within_bounds() {
        let skip = |bytes: &[u8]| {
            let mut input = decoder(bytes);
            input.take_tagged_fields(&mut |_, _| Ok(false)).map(|()| input.remaining()).map_err(|error| error.kind)
        };
        assert_eq!(skip(&[2, 5, 1, 9, 6, 0, 42]), Ok(1));
        assert_eq!(skip(&[2, 5, 0, 5, 0]), Err(DecodeErrorKind::TagOrder(5)));
        assert_eq!(skip(&[2, 5, 0, 4, 0]), Err(DecodeErrorKind::TagOrder(4)));
        assert_eq!(skip(&[65]), Err(DecodeErrorKind::TagCount(65)));
        assert_eq!(skip(&[1, 5, 2, 0]), Err(DecodeErrorKind::Truncated { needed: 2, remaining: 1 }));
    }

    #[test]
    fn memory_for_elements_is_bounded_by_the_frame() {
        struct Large([u8; 4_096]);
        let mut input = decoder(&[0; 1_000]);
        let room = input.reserve::<Large>(100).map(|elements| elements.capacity());
        assert_eq!(room.map_err(|error| error.kind), Ok(100));
        let room = input.reserve::<Large>(100).map(|elements| elements.len());
        assert_eq!(room.map_err(|error| error.kind), Err(DecodeErrorKind::Memory { count: 100 }));
        assert_eq!(size_of_val(&Large([0; 4_096]).0), 4_096);
        let room = input.reserve::<u8>(1_001).map(|elements| elements.len());
        assert_eq!(room.map_err(|error| error.kind), Err(DecodeErrorKind::Count { count: 1_001, remaining: 1_000 }));
    }
}
