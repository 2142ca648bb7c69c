//! Zig-zag varints as records have them, and a cursor that never reads past its end.
//!
//! Source: Kafka 3.9 `ByteUtils.java`; the encoding is that of protocol buffers.

use super::RecordError;

/// Longest varint of 32 bits.
const VARINT_BYTES_MAX: usize = 5;

/// Longest varint of 64 bits.
const VARLONG_BYTES_MAX: usize = 10;

/// Reads forward over borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn byte(&mut self) -> Result<u8, RecordError> {
        let (&first, rest) = self.rest.split_first().ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A varint length and that many bytes; any negative length stands for null, as Kafka reads it.
    pub(super) fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, RecordError> {
        match usize::try_from(self.varint()?) {
            Ok(len) => self.take(len).map(Some),
            Err(_) => Ok(None),
        }
    }

    pub(super) fn varint(&mut self) -> Result<i32, RecordError> {
        let raw = self.unsigned(VARINT_BYTES_MAX)?;
        let raw = u32::try_from(raw).map_err(|_| RecordError::Varint)?;
        Ok((raw >> 1).cast_signed() ^ (raw & 1).cast_signed().wrapping_neg())
    }

    pub(super) fn varlong(&mut self) -> Result<i64, RecordError> {
        let raw = self.unsigned(VARLONG_BYTES_MAX)?;
        Ok((raw >> 1).cast_signed() ^ (raw & 1).cast_signed().wrapping_neg())
    }

    #[inline]
    fn unsigned(&mut self, bytes_max: usize) -> Result<u64, RecordError> {
        // Most fields of small records.
        if let Some((&byte, rest)) = self.rest.split_first().filter(|(byte, _)| **byte < 0x80) {
            self.rest = rest;
            return Ok(u64::from(byte));
        }
        self.unsigned_long(bytes_max)
    }

    fn unsigned_long(&mut self, bytes_max: usize) -> Result<u64, RecordError> {
        let mut value = 0_u64;
        let mut shift = 0_u32;
        for _ in 0..bytes_max {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte of a varlong has room for one bit only.
            if bits << shift >> shift != bits {
                return Err(RecordError::Varint);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
        Err(RecordError::Varint)
    }
}

pub(super) fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_varlong(out, i64::from(value));
}

/// The zig-zag form of a 32-bit value is the same as that of the value widened to 64 bits.
pub(super) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut left = zigzag(value);
    loop {
        let [low, ..] = left.to_le_bytes();
        left >>= 7;
        if left == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Bytes that `value` takes as a varint.
pub(super) const fn varint_len(value: i64) -> usize {
    let bits = u64::BITS - (zigzag(value) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_survives_both_ways() {
        let edges = (0..63).flat_map(|bit| [1_i64 << bit, -(1_i64 << bit), (1_i64 << bit) - 1]);
        for value in edges.chain([0, -1, i64::MIN, i64::MAX]) {
            let mut bytes = Vec::new();
            put_varlong(&mut bytes, value);
            assert_eq!(bytes.len(), varint_len(value), "length of {value}");
            assert_eq!(Cursor::new(&bytes).varlong(), Ok(value));
            let narrow = i32::try_from(value).map_err(|_| RecordError::Varint);
            assert_eq!(Cursor::new(&bytes).varint(), narrow);
        }
    }

    #[test]
    fn what_is_no_varint_is_refused() {
        assert_eq!(Cursor::new(&[]).varint(), Err(RecordError::Truncated));
        assert_eq!(Cursor::new(&[0x80]).varint(), Err(RecordError::Truncated));
        assert_eq!(Cursor::new(&[0xff; 6]).varint(), Err(RecordError::Varint));
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).varint(), Err(RecordError::Varint));
        assert_eq!(Cursor::new(&[0xff; 11]).varlong(), Err(RecordError::Varint));
        let mut tenth = [0xff; 10];
        tenth[9] = 0x02;
        assert_eq!(Cursor::new(&tenth).varlong(), Err(RecordError::Varint), "bit 64");
    }
}
