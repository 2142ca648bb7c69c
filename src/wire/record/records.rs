//! The records inside a batch, uncompressed: a bounded iterator that borrows, and the encoder.
//!
//! *Invariant*: what the iterator yields lies within the bytes that it was given; it allocates nothing.
//! *Does not know*: compression (see [`super::decompress`]), the batch's header.
//!
//! Source: Kafka 3.9 `DefaultRecord.java`.

use super::varint::{Cursor, put_varint, put_varlong, varint_len};

/// Fewest bytes that a record takes: length, attributes, timestamp, offset, null key, null value, no headers.
pub const RECORD_BYTES_MIN: usize = 7;

/// One record. Offset and timestamp are relative to the batch's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Record<'a> {
    /// No bit has a meaning yet.
    pub attributes: i8,
    /// Timestamp minus the batch's base timestamp, in milliseconds. Without meaning under LogAppendTime.
    pub timestamp_delta: i64,
    /// Offset minus the batch's base offset.
    pub offset_delta: i32,
    /// The key; `None` is null, which differs from empty.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone on a compacted topic.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers<'a>,
}

/// The headers of a record, in order; keys may repeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Headers<'a> {
    count: i32,
    /// Checked when the record was read, so that iterating cannot fail.
    encoded: &'a [u8],
}

/// One header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    /// Its key: UTF-8 as Kafka writes it, but nobody checks.
    pub key: &'a [u8],
    /// Its value, which may be null.
    pub value: Option<&'a [u8]>,
}

/// Why bytes are no records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// The bytes end within a record.
    #[error("the records end in the middle of one")]
    Truncated,
    /// A varint that is too long or too large.
    #[error("a varint of a record is too large")]
    Varint,
    /// A record's own length is negative or not what its fields take.
    #[error("a record says that it takes {0} bytes, which its fields do not")]
    Length(i32),
    /// A negative number of headers, or more than the record's bytes can hold.
    #[error("a record says that it has {0} headers")]
    HeaderCount(i32),
    /// A header without a key.
    #[error("a header has a null key")]
    HeaderKey,
    /// More or fewer records than the batch says.
    #[error("the batch says {0} records and holds another number")]
    Count(i32),
}

/// Iterates over the records of an uncompressed block. After an error it ends.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    cursor: Cursor<'a>,
    /// Records that the batch says it has.
    count: i32,
    left: i32,
    /// An error, or the check of the end, was given.
    done: bool,
}

impl<'a> Records<'a> {
    /// Reads `count` records, as the batch's header says, from `block`, which must hold nothing else.
    #[must_use]
    pub const fn new(block: &'a [u8], count: i32) -> Self {
        Self { cursor: Cursor::new(block), count, left: count, done: false }
    }

    /// The bytes not read yet.
    pub(super) const fn block(&self) -> &'a [u8] {
        self.cursor.rest()
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if 0 < self.left {
            self.left -= 1;
            let record = if self.cursor.rest().is_empty() {
                Err(RecordError::Count(self.count))
            } else {
                Record::read(&mut self.cursor)
            };
            self.done = record.is_err();
            return Some(record);
        }
        self.done = true;
        let complete = self.left == 0 && self.cursor.rest().is_empty();
        (!complete).then_some(Err(RecordError::Count(self.count)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // A claim of 2³¹ records must not make a collector reserve that much.
        let possible = self.cursor.rest().len() / RECORD_BYTES_MIN;
        (0, Some(possible.saturating_add(1)))
    }
}

impl<'a> Record<'a> {
    /// Reads one record; the cursor does not move when the length says more than there is.
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, RecordError> {
        let claimed = cursor.varint()?;
        let len = usize::try_from(claimed).map_err(|_| RecordError::Length(claimed))?;
        let mut body = Cursor::new(cursor.take(len)?);
        let record = Self::read_body(&mut body)?;
        if body.rest().is_empty() { Ok(record) } else { Err(RecordError::Length(claimed)) }
    }

    fn read_body(body: &mut Cursor<'a>) -> Result<Self, RecordError> {
        let attributes = body.byte()?.cast_signed();
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = body.nullable_bytes()?;
        let value = body.nullable_bytes()?;
        let headers = Headers::read(body)?;
        Ok(Self { attributes, timestamp_delta, offset_delta, key, value, headers })
    }

    /// Appends the record with these headers, which take the place of [`Record::headers`].
    pub(super) fn write(&self, headers: &[Header<'_>], out: &mut Vec<u8>) -> Result<(), RecordError> {
        let body_len = self.body_len(headers);
        put_varint(out, i32::try_from(body_len).map_err(|_| RecordError::Length(i32::MAX))?);
        out.reserve(body_len);
        out.push(self.attributes.cast_unsigned());
        put_varlong(out, self.timestamp_delta);
        put_varint(out, self.offset_delta);
        put_nullable(out, self.key)?;
        put_nullable(out, self.value)?;
        put_varint(out, i32::try_from(headers.len()).map_err(|_| RecordError::HeaderCount(i32::MAX))?);
        for header in headers {
            put_nullable(out, Some(header.key))?;
            put_nullable(out, header.value)?;
        }
        Ok(())
    }

    /// Appends the record as it is.
    pub(super) fn copy_to(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let body_len = self.body_len(&[]) - varint_len(0) + varint_len(i64::from(self.headers.count));
        let body_len = body_len + self.headers.encoded.len();
        put_varint(out, i32::try_from(body_len).map_err(|_| RecordError::Length(i32::MAX))?);
        out.push(self.attributes.cast_unsigned());
        put_varlong(out, self.timestamp_delta);
        put_varint(out, self.offset_delta);
        put_nullable(out, self.key)?;
        put_nullable(out, self.value)?;
        put_varint(out, self.headers.count);
        out.extend_from_slice(self.headers.encoded);
        Ok(())
    }

    /// Bytes that the record takes with these headers, its length field included.
    pub(super) fn encoded_len(&self, headers: &[Header<'_>]) -> usize {
        let body = self.body_len(headers);
        body + varint_len(i64::try_from(body).unwrap_or(i64::MAX))
    }

    fn body_len(&self, headers: &[Header<'_>]) -> usize {
        let headers_len: usize =
            headers.iter().map(|header| nullable_len(Some(header.key)) + nullable_len(header.value)).sum();
        1 + varint_len(self.timestamp_delta)
            + varint_len(i64::from(self.offset_delta))
            + nullable_len(self.key)
            + nullable_len(self.value)
            + varint_len(i64::try_from(headers.len()).unwrap_or(i64::MAX))
            + headers_len
    }
}

impl<'a> Headers<'a> {
    fn read(body: &mut Cursor<'a>) -> Result<Self, RecordError> {
        let count = body.varint()?;
        let encoded = body.rest();
        // A header takes two bytes at least; this also bounds the loop by the bytes that there are.
        if usize::try_from(count).map_or(true, |count| encoded.len() / 2 < count) {
            return Err(RecordError::HeaderCount(count));
        }
        for _ in 0..count {
            body.nullable_bytes()?.ok_or(RecordError::HeaderKey)?;
            body.nullable_bytes()?;
        }
        let len = encoded.len() - body.rest().len();
        Ok(Self { count, encoded: encoded.get(..len).unwrap_or_default() })
    }

    /// Number of headers.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The headers, in order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.encoded);
        (0..self.count).map_while(move |_| {
            let key = cursor.nullable_bytes().ok()??;
            let value = cursor.nullable_bytes().ok()?;
            Some(Header { key, value })
        })
    }
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    match bytes {
        None => varint_len(-1),
        Some(bytes) => varint_len(i64::try_from(bytes.len()).unwrap_or(i64::MAX)) + bytes.len(),
    }
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Result<(), RecordError> {
    let Some(bytes) = bytes else {
        put_varint(out, -1);
        return Ok(());
    };
    put_varint(out, i32::try_from(bytes.len()).map_err(|_| RecordError::Length(i32::MAX))?);
    out.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn block(records: &[(Record<'_>, &[Header<'_>])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (record, headers) in records {
            let before = out.len();
            record.write(headers, &mut out).expect("small records");
            assert_eq!(out.len() - before, record.encoded_len(headers));
        }
        out
    }

    fn sample() -> Vec<u8> {
        let headers = [
            Header { key: b"trace", value: Some(b"abc") },
            Header { key: b"", value: None },
            Header { key: b"trace", value: Some(b"") },
        ];
        let first = Record { key: Some(b"k"), value: Some(b"v"), ..Record::default() };
        let second = Record { offset_delta: 1, timestamp_delta: -70_000, key: None, value: Some(b""), ..first };
        let third = Record { offset_delta: 2, timestamp_delta: i64::MAX, value: None, ..second };
        block(&[(first, &[]), (second, &headers), (third, &[])])
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let block = sample();
        let records = Records::new(&block, 3).collect::<Result<Vec<_>, _>>().expect("three records");
        assert_eq!((records[0].key, records[0].value), (Some(&b"k"[..]), Some(&b"v"[..])));
        assert_eq!((records[1].timestamp_delta, records[1].offset_delta), (-70_000, 1));
        assert_eq!((records[1].key, records[1].value, records[2].value), (None, Some(&b""[..]), None));
        let headers = records[1].headers.iter().map(|header| (header.key, header.value)).collect::<Vec<_>>();
        assert_eq!(headers, [(&b"trace"[..], Some(&b"abc"[..])), (b"", None), (b"trace", Some(b""))]);
        let mut copy = Vec::new();
        records.iter().for_each(|record| record.copy_to(&mut copy).expect("small records"));
        assert_eq!(copy, block);
    }

    #[test]
    fn a_block_that_is_cut_short_anywhere_is_refused() {
        let block = sample();
        for len in 0..block.len() {
            let read = Records::new(&block[..len], 3).collect::<Result<Vec<_>, _>>();
            assert!(read.is_err(), "{len} of {} bytes were taken", block.len());
        }
    }

    #[test]
    fn a_wrong_count_is_refused_at_either_side() {
        let block = sample();
        for count in [i32::MIN, -1, 0, 2, 4, i32::MAX] {
            let mut records = Records::new(&block, count);
            assert!(records.size_hint().1 <= Some(block.len()), "a claim must not be reserved");
            let error = records.find_map(Result::err);
            assert_eq!(error, Some(RecordError::Count(count)));
            assert_eq!(records.next(), None, "it ends after an error");
        }
        assert_eq!(Records::new(&[], 0).next(), None, "compaction leaves empty batches");
    }

    #[test]
    fn lies_about_lengths_are_refused() {
        let read = |bytes: &[u8]| Records::new(bytes, 1).next().expect("an error").expect_err("a lie");
        // length, attributes, timestamp, offset, key, value, headers
        assert_eq!(read(&[0x01, 0, 0, 0, 1, 1, 0]), RecordError::Length(-1));
        assert_eq!(read(&[0x0e, 0, 0, 0, 1, 1, 0, 9]), RecordError::Length(7), "a byte too many");
        assert_eq!(read(&[0x0a, 0, 0, 0, 1, 1]), RecordError::Truncated, "no header count");
        assert_eq!(read(&[0x0c, 0, 0, 0, 0x7e, 1, 0]), RecordError::Truncated, "a key of 63 bytes");
        assert_eq!(read(&[0x0c, 0, 0, 0, 1, 1, 0x01]), RecordError::HeaderCount(-1));
        assert_eq!(read(&[0x14, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f]), RecordError::HeaderCount(i32::MAX));
        assert_eq!(read(&[0x10, 0, 0, 0, 1, 1, 0x02, 1, 1]), RecordError::HeaderKey);
        assert_eq!(read(&[0x0c, 0, 0, 0, 0x80, 0x80, 0x80]), RecordError::Truncated);
    }
}
