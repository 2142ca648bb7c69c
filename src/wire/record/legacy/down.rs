//! From what lies in the log to what old consumers read.
//!
//! Source: Kafka 3.9 `RecordsUtil.downConvert`. It differs where Kafka leaves a consumer without progress: a batch of which
//! nothing is at or behind the offset that was asked for is left out also when it is compressed, and nothing is filled up
//! with a message that is cut short.

use super::read::{Message, Messages};
use super::write::{Head, overhead, put_message, put_wrapper};
use super::{LegacyError, LegacyMagic, codec_bits};
use crate::model::{Offset, Timestamp};
use crate::wire::record::{
    BATCH_HEADER_BYTES, BatchError, BatchHeader, BuildError, Codec, Compression, DecompressionLimit, ReadError,
    RecordError, TimestampType,
};

/// What a consumer can read and has asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// The newest format that it reads.
    pub magic: LegacyMagic,
    /// The first offset that it wants. Records before it are left out where they stand alone: some old clients would begin
    /// again with them. Inside a compressed message they stay, as all old clients know.
    pub offset: Offset,
    /// How many bytes the answer may have, but that the first message is sent whatever it takes.
    pub bytes_max: usize,
    /// What a batch may take when decompressed.
    pub decompression: DecompressionLimit,
}

/// Why a batch cannot be converted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DownError {
    /// Compressed with zstd, which no old format has.
    #[error("records compressed with zstd cannot be read by a client this old")]
    Zstd,
    /// The batch cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record of it is damaged.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An old message is damaged.
    #[error(transparent)]
    Legacy(#[from] LegacyError),
    /// A message would be longer than its length can say, or a codec failed.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Converts batches one after the other.
#[derive(Debug)]
pub struct DownConverter {
    target: Target,
    /// The messages.
    out: Vec<u8>,
    /// Records that were converted.
    converted: u64,
    /// There is no room for more, or what comes next cannot be converted.
    full: bool,
    /// Offset behind the last batch that was looked at.
    next: Offset,
    /// Room for a block that is decompressed, and for what is to be compressed.
    block: Vec<u8>,
    inner: Vec<u8>,
}

/// A record on its way.
#[derive(Clone, Copy)]
struct Item<'a> {
    offset: i64,
    timestamp: Timestamp,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

impl<'a> Item<'a> {
    const fn of(message: Message<'a>) -> Self {
        let Message { offset, timestamp, key, value, .. } = message;
        Self { offset, timestamp, key, value }
    }
}

impl DownConverter {
    /// With nothing converted yet.
    #[must_use]
    pub const fn new(target: Target) -> Self {
        let next = target.offset;
        Self { target, out: Vec::new(), converted: 0, full: false, next, block: Vec::new(), inner: Vec::new() }
    }

    /// Converts the whole batches at the start of `bytes`, as many as there is room for.
    ///
    /// # Errors
    /// [`DownError`] of a batch that nothing stands before; with something before it that is sent, and the error comes when
    /// the client asks for the rest.
    pub fn convert(&mut self, bytes: &[u8]) -> Result<(), DownError> {
        let mut rest = bytes;
        while !self.full {
            let Some((batch, behind)) = split(rest)? else { return Ok(()) };
            rest = behind;
            let before = self.out.len();
            let converted = match batch.get(16) {
                Some(2) => self.batch(batch),
                _ => self.legacy(batch),
            };
            if let Err(error) = converted {
                self.out.truncate(before);
                self.full = true;
                return if before == 0 { Err(error) } else { Ok(()) };
            }
        }
        Ok(())
    }

    /// Whether another batch has no place.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.full
    }

    /// Whether there is no message yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Where to go on.
    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        self.next
    }

    /// The messages, and how many records were converted.
    #[must_use]
    pub fn finish(self) -> (Vec<u8>, u64) {
        (self.out, self.converted)
    }

    fn batch(&mut self, batch: &[u8]) -> Result<(), DownError> {
        let header = BatchHeader::decode(batch).map_err(ReadError::from)?;
        let next = header.last_offset().next();
        if header.attributes.is_control() || header.records == 0 || next <= self.target.offset {
            self.next = next;
            return Ok(());
        }
        let codec = header.attributes.codec().map_err(ReadError::from)?;
        let head = self.head(codec, header.attributes.timestamp_type())?;
        let mut block = std::mem::take(&mut self.block);
        let records = header.read_records(batch, self.target.decompression, &mut block)?;
        let items = records.map(|record| {
            let record = record?;
            Ok(Item {
                offset: header.offset_of(&record).0,
                timestamp: header.timestamp_of(&record),
                key: record.key,
                value: record.value,
            })
        });
        let stamped = (head.timestamp_type == TimestampType::LogAppendTime).then_some(header.max_timestamp);
        let done =
            if codec == Codec::None { self.alone(head, items) } else { self.wrapped((head, codec), stamped, items) };
        self.block = block;
        done?;
        if !self.full {
            self.next = next;
        }
        Ok(())
    }

    /// A message that is old already, and perhaps older than it need be.
    fn legacy(&mut self, bytes: &[u8]) -> Result<(), DownError> {
        let message = Message::read(bytes)?;
        let next = Offset(message.offset).next();
        if next <= self.target.offset {
            self.next = next;
            return Ok(());
        }
        if message.magic <= self.target.magic {
            if self.has_room(bytes.len()) {
                self.out.extend_from_slice(bytes);
            }
        } else {
            let codec = message.codec()?;
            // Magic 0 says nothing of time.
            let head = self.head(codec, TimestampType::CreateTime)?;
            if codec == Codec::None {
                self.alone(head, std::iter::once(Ok(Item::of(message))))?;
            } else {
                let mut block = std::mem::take(&mut self.block);
                let inside = message.inside(codec, self.target.decompression, &mut block)?;
                let items = inside.map(|message| Ok(Item::of(message?)));
                let done = self.wrapped((head, codec), None, items);
                self.block = block;
                done?;
            }
        }
        if !self.full {
            self.next = next;
        }
        Ok(())
    }

    fn head(&self, codec: Codec, timestamp_type: TimestampType) -> Result<Head, DownError> {
        let codec = codec_bits(codec).ok_or(DownError::Zstd)?;
        Ok(Head { magic: self.target.magic, timestamp_type, codec })
    }

    /// Whether `len` more bytes may be sent. Otherwise there is no room for anything any more.
    fn has_room(&mut self, len: usize) -> bool {
        self.full = !self.out.is_empty() && self.target.bytes_max < self.out.len().saturating_add(len);
        !self.full
    }

    /// Every record as a message of its own.
    fn alone<'a>(
        &mut self,
        head: Head,
        items: impl Iterator<Item = Result<Item<'a>, DownError>>,
    ) -> Result<(), DownError> {
        for item in items {
            let item = item?;
            if item.offset < self.target.offset.0 {
                continue;
            }
            let len = item.key.map_or(0, <[u8]>::len).saturating_add(item.value.map_or(0, <[u8]>::len));
            if !self.has_room(overhead(head.magic).saturating_add(len)) {
                return Ok(());
            }
            put_message(&mut self.out, head, item.offset, item.timestamp, (item.key, item.value))?;
            self.converted += 1;
        }
        Ok(())
    }

    /// All records in one compressed message. `stamped`: when a broker appended them.
    fn wrapped<'a>(
        &mut self,
        (head, codec): (Head, Codec),
        stamped: Option<Timestamp>,
        items: impl Iterator<Item = Result<Item<'a>, DownError>>,
    ) -> Result<(), DownError> {
        let mut inner = std::mem::take(&mut self.inner);
        inner.clear();
        let (mut first, mut last, mut newest, mut count) = (None, 0, Timestamp::NONE, 0);
        let inner_head = Head { codec: 0, ..head };
        for item in items {
            let item = item?;
            let base = *first.get_or_insert(item.offset);
            let offset = match head.magic {
                LegacyMagic::V0 => item.offset,
                LegacyMagic::V1 => item.offset.wrapping_sub(base),
            };
            put_message(&mut inner, inner_head, offset, item.timestamp, (item.key, item.value))?;
            (last, newest, count) = (item.offset, newest.max(item.timestamp), count + 1);
        }
        // What compaction left of it may lie before what is wanted.
        if count != 0 && self.target.offset.0 <= last {
            let before = self.out.len();
            // What is sent once is not worth the effort of what is stored.
            let level = (codec == Codec::Gzip).then_some(1);
            put_wrapper(&mut self.out, (head, Compression { codec, level }), last, stamped.unwrap_or(newest), &inner)?;
            if before != 0 && self.target.bytes_max < self.out.len() {
                self.out.truncate(before);
                self.full = true;
            } else {
                self.converted += count;
            }
        }
        self.inner = inner;
        Ok(())
    }
}

/// A batch or message, and what stands behind it.
type Halves<'a> = (&'a [u8], &'a [u8]);

/// The batch or message at the start of `bytes`, and what is behind it; `None` when it is not whole.
fn split(bytes: &[u8]) -> Result<Option<Halves<'_>>, DownError> {
    if bytes.get(16) == Some(&2) {
        return match BatchHeader::decode(bytes) {
            Ok(header) => Ok(bytes.split_at_checked(header.len)),
            Err(BatchError::Truncated) if bytes.len() < BATCH_HEADER_BYTES => Ok(None),
            Err(error) => Err(ReadError::from(error).into()),
        };
    }
    let Some(message) = Messages::new(bytes).next().transpose()? else { return Ok(None) };
    Ok(bytes.split_at_checked(message.bytes.len()))
}
