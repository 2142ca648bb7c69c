//! Writes values behind each other, leaving out large blobs: whoever sends the result puts them in, uncopied.

use bytes::{Bytes, BytesMut};

/// Blobs above this are not copied into the encoded bytes but sent from where they are. Below, one `memcpy` is cheaper
/// than one more buffer in the `writev`, or one more system call.
const BLOB_COPIED_BYTES_MAX: usize = 4 << 10;

/// Longest string, as in Kafka.
const STR_BYTES_MAX: usize = 0x7fff;

/// What an encoder reserves at first: most requests and responses but Metadata and those with blobs fit.
const BUFFER_BYTES: usize = 256;

/// Why a value cannot be written. Always the caller's doing, never a peer's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field}: {kind}")]
pub struct EncodeError {
    /// Where in the message, for instance `FetchTopic.topic_id`.
    pub field: &'static str,
    /// What is wrong there.
    pub kind: EncodeErrorKind,
}

/// The ways in which a value can have no encoding.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeErrorKind {
    /// The field says something, the version has no such field, and to leave it out would change the meaning.
    #[error("a value that version {0} cannot carry")]
    NotInVersion(i16),
    /// Null where this version has none.
    #[error("null, which version {0} cannot carry")]
    Null(i16),
    /// A string, blob, array or frame that its length field cannot count.
    #[error("a length of {0} is too much")]
    Length(usize),
    /// The message has no such version.
    #[error("there is no version {0}")]
    Version(i16),
}

/// Bytes of a records field, or what stands for them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Payload {
    /// Null. Kafka's broker never sends it in a fetch response: it sends [`Payload::EMPTY`] where there is nothing.
    #[default]
    None,
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes that are elsewhere, in a file for instance, and are put in when the response is sent.
    External {
        /// Tells the sender which bytes; the codec passes it on.
        token: u32,
        /// How many they are. As many must be sent: the frame's length counts them.
        len: u32,
    },
}

impl Payload {
    /// No bytes, but not null.
    pub const EMPTY: Self = Self::Bytes(Bytes::new());

    /// How many bytes it stands for; null has none.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::External { len, .. } => usize::try_from(*len).unwrap_or(usize::MAX),
        }
    }

    /// Whether it stands for no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A blob that belongs between two encoded bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    /// Where in [`Encoded::bytes`] it goes: in front of the byte with this index.
    pub position: usize,
    /// What goes there; never empty, never [`Payload::None`].
    pub payload: Payload,
}

/// A whole frame, its four length bytes in front, less the blobs that are to be put in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Encoded {
    /// The frame without its blobs.
    pub bytes: Bytes,
    /// The blobs, in the order of their positions.
    pub gaps: Vec<Gap>,
}

/// A stretch of a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// Send these.
    Bytes(Bytes),
    /// Send the `len` bytes that `token` stands for ([`Payload::External`]).
    External {
        /// Which bytes.
        token: u32,
        /// How many.
        len: u32,
    },
}

impl Encoded {
    /// Bytes to send in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() + self.gaps.iter().map(|gap| gap.payload.len()).sum::<usize>()
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.gaps.is_empty()
    }

    /// What to send, one after the other. No part is empty.
    pub fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        let mut sent = 0;
        let with_gaps = self.gaps.iter().flat_map(move |gap| {
            let before = self.bytes.slice(sent..gap.position);
            sent = gap.position;
            let inside = match &gap.payload {
                Payload::None => None,
                Payload::Bytes(bytes) => Some(Part::Bytes(bytes.clone())),
                &Payload::External { token, len } => Some(Part::External { token, len }),
            };
            [Some(Part::Bytes(before)), inside].into_iter().flatten()
        });
        let behind = self.bytes.slice(self.gaps.last().map_or(0, |gap| gap.position)..);
        with_gaps.chain([Part::Bytes(behind)]).filter(|part| !matches!(part, Part::Bytes(bytes) if bytes.is_empty()))
    }

    /// The frame in one piece, with the blobs copied in. `None` when one is not in memory.
    #[must_use]
    pub fn contiguous(&self) -> Option<Bytes> {
        let mut whole = BytesMut::with_capacity(self.len());
        for part in self.parts() {
            match part {
                Part::Bytes(bytes) => whole.extend_from_slice(&bytes),
                Part::External { .. } => return None,
            }
        }
        Some(whole.freeze())
    }
}

/// A growing buffer that values are written to.
#[derive(Debug)]
pub struct Encoder {
    buffer: Vec<u8>,
    /// Bytes at the front of the buffer that were there before.
    start: usize,
    gaps: Vec<Gap>,
    /// Bytes in the gaps so far.
    gap_bytes: usize,
    /// What is being written, for errors.
    field: &'static str,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// Starts with nothing written.
    #[must_use]
    pub fn new() -> Self {
        Self::behind(Vec::with_capacity(BUFFER_BYTES))
    }

    /// Writes behind what `buffer` holds.
    pub(super) const fn behind(buffer: Vec<u8>) -> Self {
        let start = buffer.len();
        Self { buffer, start, gaps: Vec::new(), gap_bytes: 0, field: "header" }
    }

    /// What was written, without a length in front.
    #[must_use]
    pub fn finish(self) -> Encoded {
        Encoded { bytes: self.buffer.into(), gaps: self.gaps }
    }

    /// The buffer, with what was written behind what it held. Nothing may have been left out.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        assert!(self.gaps.is_empty(), "a blob was left out of what must be in one piece");
        self.buffer
    }

    /// Ends a frame: the first four bytes written become the length of all behind them.
    pub(super) fn end_frame(&mut self) -> Result<(), EncodeError> {
        self.field = "frame";
        let len = (self.buffer.len() - self.start).saturating_sub(4).saturating_add(self.gap_bytes);
        let len = i32::try_from(len).map_err(|_| self.error(EncodeErrorKind::Length(len)))?;
        if let Some(front) = self.buffer.get_mut(self.start..).and_then(<[u8]>::first_chunk_mut) {
            *front = len.to_be_bytes();
        }
        Ok(())
    }

    /// Says what is written next, for errors.
    #[inline]
    pub(super) const fn at(&mut self, field: &'static str) {
        self.field = field;
    }

    pub(super) const fn error(&self, kind: EncodeErrorKind) -> EncodeError {
        EncodeError { field: self.field, kind }
    }

    /// Refuses a null that `version` cannot carry.
    #[inline]
    pub(super) const fn refuse_null(&self, null: bool, version: i16) -> Result<(), EncodeError> {
        if null { Err(self.error(EncodeErrorKind::Null(version))) } else { Ok(()) }
    }

    /// Refuses a value that `version` cannot carry.
    #[inline]
    pub(super) const fn refuse_value(&self, told: bool, version: i16) -> Result<(), EncodeError> {
        if told { Err(self.error(EncodeErrorKind::NotInVersion(version))) } else { Ok(()) }
    }

    /// Bytes as they are.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// A number of seven bits per byte, the lowest first, the high bit saying that more follow.
    pub(super) fn put_uvarint(&mut self, value: u32) {
        let mut rest = value;
        loop {
            let [low, ..] = rest.to_le_bytes();
            rest >>= 7;
            if rest == 0 {
                self.buffer.push(low & 0x7f);
                return;
            }
            self.buffer.push(low | 0x80);
        }
    }

    /// A length in the compact form: 0 is null, otherwise one more than the length.
    #[inline]
    pub(super) fn put_compact_length(&mut self, length: Option<usize>) -> Result<(), EncodeError> {
        let raw = match length {
            None => 0,
            Some(length) => self.length_i32(length)?.cast_unsigned() + 1,
        };
        self.put_uvarint(raw);
        Ok(())
    }

    /// A length in the classic form of two bytes; null is −1.
    #[inline]
    pub(super) fn put_length_i16(&mut self, length: Option<usize>) -> Result<(), EncodeError> {
        let raw = match length {
            None => -1,
            Some(length) => i16::try_from(length).map_err(|_| self.error(EncodeErrorKind::Length(length)))?,
        };
        self.put(&raw.to_be_bytes());
        Ok(())
    }

    /// A length in the classic form of four bytes; null is −1.
    #[inline]
    pub(super) fn put_length_i32(&mut self, length: Option<usize>) -> Result<(), EncodeError> {
        let raw = match length {
            None => -1,
            Some(length) => self.length_i32(length)?,
        };
        self.put(&raw.to_be_bytes());
        Ok(())
    }

    #[inline]
    fn length_i32(&self, length: usize) -> Result<i32, EncodeError> {
        i32::try_from(length).map_err(|_| self.error(EncodeErrorKind::Length(length)))
    }

    /// Refuses a string that no reader would take.
    #[inline]
    pub(super) fn refuse_long_str(&self, length: usize) -> Result<(), EncodeError> {
        if STR_BYTES_MAX < length { Err(self.error(EncodeErrorKind::Length(length))) } else { Ok(()) }
    }

    /// A blob whose length was written: copied when small, a gap when large.
    pub(super) fn put_blob(&mut self, bytes: &Bytes) {
        if bytes.len() <= BLOB_COPIED_BYTES_MAX {
            self.buffer.extend_from_slice(bytes);
        } else {
            self.put_gap(Payload::Bytes(bytes.clone()));
        }
    }

    /// A blob whose length was written and whose bytes are put in later.
    pub(super) fn put_gap(&mut self, payload: Payload) {
        if !payload.is_empty() {
            self.gap_bytes = self.gap_bytes.saturating_add(payload.len());
            self.gaps.push(Gap { position: self.buffer.len(), payload });
        }
    }

    /// One tagged field: its number, its length, and the value that `put` writes.
    ///
    /// No tagged field holds a blob, so the length is that of the bytes alone.
    pub(super) fn put_tagged_field(
        &mut self,
        tag: u32,
        put: &dyn Fn(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut value = Self::new();
        value.field = self.field;
        put(&mut value)?;
        assert!(value.gaps.is_empty(), "a tagged field holds a blob");
        let length = self.length_i32(value.buffer.len())?.cast_unsigned();
        self.put_uvarint(tag);
        self.put_uvarint(length);
        self.put(&value.buffer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_blobs_are_copied_and_large_ones_left_where_they_are() {
        let large = Bytes::from(vec![7; BLOB_COPIED_BYTES_MAX + 1]);
        let mut out = Encoder::new();
        out.put(&[0; 4]);
        out.put_blob(&Bytes::from_static(b"ab"));
        out.put_blob(&large);
        out.put(b"c");
        out.put_gap(Payload::External { token: 3, len: 9 });
        out.put_gap(Payload::External { token: 4, len: 0 });
        out.put_gap(Payload::EMPTY);
        out.end_frame().expect("a frame below 2 GiB");
        let encoded = out.finish();
        let len = 3 + large.len() + 9;
        assert_eq!(encoded.len(), 4 + len);
        let head = [&i32::try_from(len).expect("small").to_be_bytes()[..], b"ab"].concat();
        let parts = encoded.parts().collect::<Vec<_>>();
        let expected = [
            Part::Bytes(head.into()),
            Part::Bytes(large.clone()),
            Part::Bytes(Bytes::from_static(b"c")),
            Part::External { token: 3, len: 9 },
        ];
        assert_eq!(parts, expected);
        let [_, Part::Bytes(sent), ..] = parts.as_slice() else { panic!("the second part is the blob") };
        assert_eq!(sent.as_ptr(), large.as_ptr(), "the blob was copied");
        assert_eq!(encoded.contiguous(), None);
    }

    #[test]
    fn variable_length_numbers_are_as_short_as_they_can_be() {
        let write = |value| {
            let mut out = Encoder::new();
            out.put_uvarint(value);
            out.finish().bytes
        };
        assert_eq!(&write(0)[..], [0]);
        assert_eq!(&write(127)[..], [127]);
        assert_eq!(&write(300)[..], [0xac, 0x02]);
        assert_eq!(&write(u32::MAX)[..], [0xff, 0xff, 0xff, 0xff, 0x0f]);
    }

    #[test]
    fn a_tagged_field_says_its_length() {
        let mut out = Encoder::new();
        out.put_tagged_field(5, &|out| {
            out.put(&[9; 200]);
            Ok(())
        })
        .expect("a short field");
        assert_eq!(out.finish().bytes[..4], [5, 200, 1, 9]);
    }
}
