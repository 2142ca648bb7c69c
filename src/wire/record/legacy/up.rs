//! From what old producers send to a batch that can be appended.
//!
//! Source: Kafka 3.9 `LogValidator.convertAndAssignOffsetsNonCompressed`, `validateMessagesAndAssignOffsetsCompressed`,
//! `UnifiedLog.analyzeAndValidateRecords`.

use bytes::Bytes;

use super::read::{Message, Messages};
use super::{LegacyError, LegacyMagic};
use crate::model::Timestamp;
use crate::wire::record::validate::{Findings, whole_batch};
use crate::wire::record::{
    BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, BuildError, Codec, NewRecord, Rejection, Rules, TimestampType,
    ValidBatch, validate,
};

const INNER_MAGIC: &str = "its message format differs from that of the message around it";

/// A record may have no timestamp, but none before 1970, which Kafka cannot write.
const BEFORE_1970: &str = "its timestamp lies before 1970";

/// What a produced message set became.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Upgraded {
    /// It was empty: nothing is appended, and that is no error in the versions of Produce that carry old formats.
    Nothing,
    /// To be appended.
    Batch {
        /// The batch.
        batch: ValidBatch,
        /// Records that were converted; 0 when it had the new format before.
        converted: u64,
    },
}

/// Checks the records field of one partition of a Produce request before version 3, and makes a batch of it. Those may carry
/// messages of any format: many one by one, but only one that is compressed. `scratch` is room for what is decompressed.
///
/// Messages behind the last whole one are cut off, as Kafka does; what has no whole message at all, Kafka acknowledges
/// without having appended anything, and we refuse unless it is empty.
///
/// # Errors
/// [`Rejection`], of which [`Rejection::code`] is for the client.
pub fn up_convert(records: &Bytes, rules: &Rules, scratch: &mut Vec<u8>) -> Result<Upgraded, Rejection> {
    if records.is_empty() {
        return Ok(Upgraded::Nothing);
    }
    if whole_batch(records)?.is_none() {
        return Err(Rejection::NoBatch);
    }
    if records.get(16) == Some(&2) {
        let batch = validate(records, rules, scratch)?;
        return Ok(Upgraded::Batch { batch, converted: 0 });
    }
    let (first, several) = check_set(records, rules)?;
    let codec = first.codec()?;
    if several && codec != Codec::None {
        return Err(Rejection::SeveralBatches);
    }
    let mut conversion = Conversion::new(codec, rules, records.len());
    if codec == Codec::None {
        let mut rest = &records[..];
        while let Some((message, behind)) = next_of(rest, first.magic)? {
            conversion.take(&message, first.magic, message.has_append_time())?;
            rest = behind;
        }
    } else {
        for message in first.inside(codec, rules.decompression, scratch)? {
            let message = message?;
            if message.magic == first.magic {
                message.verify_crc()?;
            }
            conversion.take(&message, first.magic, first.has_append_time())?;
        }
    }
    conversion.finish()
}

/// Looks at every message of a set on its own: size and CRC. Answers the first, and whether there are more.
fn check_set<'a>(records: &'a Bytes, rules: &Rules) -> Result<(Message<'a>, bool), Rejection> {
    let (mut first, mut count, mut compressed) = (None::<Message<'a>>, 0_usize, false);
    let mut rest = &records[..];
    while let Some(len) = whole_batch(rest)? {
        let (bytes, behind) = rest.split_at_checked(len).ok_or(Rejection::NoBatch)?;
        rest = behind;
        if rules.batch_bytes_max < len {
            return Err(Rejection::TooLarge { bytes: len, bytes_max: rules.batch_bytes_max });
        }
        if bytes.get(16) == Some(&2) {
            return Err(Rejection::Header("the message formats of a produced set differ"));
        }
        let message = Message::read(bytes)?;
        message.verify_crc()?;
        compressed |= message.codec()? != Codec::None;
        count += 1;
        let first = first.get_or_insert(message);
        if 1 < count && compressed {
            return Err(Rejection::SeveralBatches);
        }
        if first.magic != message.magic {
            return Err(Rejection::Header("the message formats of a produced set differ"));
        }
    }
    Ok((first.ok_or(Rejection::NoBatch)?, 1 < count))
}

/// The next message of a set that was checked.
fn next_of(rest: &[u8], magic: LegacyMagic) -> Result<Option<(Message<'_>, &[u8])>, Rejection> {
    let Some(message) = Messages::new(rest).next().transpose()?.filter(|message| message.magic == magic) else {
        return Ok(None);
    };
    Ok(Some((message, rest.get(message.bytes.len()..).unwrap_or_default())))
}

/// The batch that is being made.
struct Conversion<'r> {
    rules: &'r Rules,
    builder: BatchBuilder,
    findings: Findings,
    index: i32,
}

impl<'r> Conversion<'r> {
    /// `bytes` is what the messages take, compressed or not: what is made of them takes no less, uncompressed, but for what
    /// their heads take.
    fn new(codec: Codec, rules: &'r Rules, bytes: usize) -> Self {
        let builder = BatchBuilder::new(rules.compression.unwrap_or(codec.into())).with_room(bytes);
        let builder = match rules.timestamp_type {
            TimestampType::CreateTime => builder,
            TimestampType::LogAppendTime => builder.log_append_time(rules.now),
        };
        Self { rules, builder, findings: Findings::default(), index: 0 }
    }

    /// Appends a record, or notes what is wrong with it: then nothing will be appended, but all the rest is looked at.
    fn take(&mut self, message: &Message<'_>, outer: LegacyMagic, claims_append_time: bool) -> Result<(), Rejection> {
        let index = self.index;
        self.index = self.index.saturating_add(1);
        if message.magic != outer {
            self.findings.reject(index, INNER_MAGIC);
            return Ok(());
        }
        if message.timestamp < Timestamp::NONE {
            self.findings.reject_time(index, BEFORE_1970);
            return Ok(());
        }
        self.findings.judge(index, message.key, message.timestamp, claims_append_time, self.rules);
        if !self.findings.is_empty() {
            return Ok(());
        }
        let record = NewRecord { timestamp: message.timestamp, key: message.key, value: message.value, headers: &[] };
        self.builder.append(&record).map_err(refused)
    }

    fn finish(self) -> Result<Upgraded, Rejection> {
        let Self { rules, builder, findings, .. } = self;
        findings.into_result()?;
        let converted = u64::try_from(builder.records()).unwrap_or(0);
        let batch = Bytes::from(builder.build().map_err(refused)?);
        let header = BatchHeader::decode(&batch).map_err(Rejection::Corrupt)?;
        if rules.batch_bytes_max < header.len {
            return Err(Rejection::TooLarge { bytes: header.len, bytes_max: rules.batch_bytes_max });
        }
        if rules.segment_bytes_max < header.len {
            return Err(Rejection::LargerThanSegment { bytes: header.len, bytes_max: rules.segment_bytes_max });
        }
        let batch = ValidBatch { header, body: batch.slice(BATCH_HEADER_BYTES..) };
        Ok(Upgraded::Batch { batch, converted })
    }
}

/// A batch that outgrows its length field is larger than any limit.
fn refused(error: BuildError) -> Rejection {
    match error {
        BuildError::Compression(error) => Rejection::Compression(error),
        BuildError::TooLarge => {
            let max = usize::try_from(i32::MAX).unwrap_or(usize::MAX);
            Rejection::TooLarge { bytes: max.saturating_add(1), bytes_max: max }
        }
        BuildError::Empty => Rejection::NoBatch,
    }
}

impl From<LegacyError> for Rejection {
    fn from(error: LegacyError) -> Self {
        match error {
            LegacyError::Compression(error) => Self::Compression(error),
            other @ (LegacyError::Truncated
            | LegacyError::Length(_)
            | LegacyError::Magic(_)
            | LegacyError::Crc { .. }
            | LegacyError::Codec(_)
            | LegacyError::Hollow
            | LegacyError::Nested
            | LegacyError::WrapperOffset { .. }) => Self::Legacy(other),
        }
    }
}
