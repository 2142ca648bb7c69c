//! What a leader checks of a batch that a producer sends, before it gets an offset.
//!
//! The usual way looks at the header and the CRC only, so that the cost per record is that of a checksum and compressed
//! records stay compressed. The records are looked at where the topic's settings ask for it: a compacted topic (keys), a
//! bound on how old a record may be, another codec than the producer's, or [`Rules::every_record`].
//!
//! *Invariant*: pure; what it accepts has one batch, an offset range that fits its count, and a right CRC.
//! *Does not know*: offsets, sequence numbers of the producer, who may write.
//!
//! Source: Kafka 3.9 `ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords`, `LogValidator.java`; the
//! codes are Kafka's, but for those where it answers `UNKNOWN_SERVER_ERROR` to a bad batch.

use std::ops::RangeInclusive;

use bytes::Bytes;

use super::legacy::LegacyError;
use super::{
    BATCH_HEADER_BYTES, BatchError, BatchHeader, Codec, Compression, CompressionError, DecompressionLimit,
    RECORD_BYTES_MIN, ReadError, RecordError, Records, TimestampType, compress, verify_crc,
};
use crate::model::{ErrorCode, LeaderEpoch, Offset, ProducerId, Timestamp};

/// First Produce version whose batches may be compressed with zstd (KIP-110).
const PRODUCE_VERSION_OF_ZSTD: i16 = 7;

/// Smallest length field that any message format has: a magic 0 message with null key and value.
const LEGACY_MESSAGE_BYTES_MIN: i32 = 14;

/// Records that are named one by one in an answer. A batch of a megabyte can hold 150,000 bad ones, whose list would be
/// larger than the batch; clients fail the whole batch whatever the list says.
pub const RECORD_ERRORS_MAX: usize = 1_024;

/// What a topic and a request demand of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// `cleanup.policy` contains `compact`: every record needs a key.
    pub compacted: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`; `i64::MAX` is no bound.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`; `i64::MAX` is no bound.
    pub timestamp_after_max_ms: i64,
    /// `max.message.bytes`: of the batch, as it came and as it is stored, inclusive.
    pub batch_bytes_max: usize,
    /// `segment.bytes`, inclusive.
    pub segment_bytes_max: usize,
    /// `compression.type`; `None` is `producer`, which keeps the codec that the batch came with.
    pub compression: Option<Compression>,
    /// Version of the Produce request.
    pub produce_version: i16,
    /// The request named a transactional id that its sender may write with.
    pub transactional_allowed: bool,
    /// Wall-clock time of the append.
    pub now: Timestamp,
    /// How much a batch whose records must be looked at may grow to.
    pub decompression: DecompressionLimit,
    /// Look at every record even where nothing asks for it, as Kafka does.
    pub every_record: bool,
}

/// A batch as it shall be stored: the bytes of `header`, then `body`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValidBatch {
    /// The header, with the CRC that belongs to it. Offset and leader epoch are still the producer's.
    pub header: BatchHeader,
    /// The records block: a slice of what came, or the records compressed anew.
    pub body: Bytes,
}

impl ValidBatch {
    /// The header's bytes, with the place in the log that the leader gives the batch.
    #[must_use]
    pub fn placed(&self, base_offset: Offset, leader_epoch: LeaderEpoch) -> [u8; BATCH_HEADER_BYTES] {
        BatchHeader { base_offset, leader_epoch, ..self.header }.encode()
    }
}

/// Why a batch is not appended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejection {
    /// No whole batch.
    #[error("there is no whole record batch")]
    NoBatch,
    /// More than one batch.
    #[error("there is more than one record batch")]
    SeveralBatches,
    /// Its length or magic cannot be, or its CRC is wrong.
    #[error("the record batch is corrupt: {0}")]
    Corrupt(BatchError),
    /// Magic 0 or 1 where 2 is demanded.
    #[error("magic {0} in a request whose version allows magic 2 only")]
    LegacyMagic(i8),
    /// A message of magic 0 or 1, in a request that may carry it, that cannot be read.
    #[error("the message set is damaged: {0}")]
    Legacy(LegacyError),
    /// Part of a transaction without a transactional id, or without the right to use it.
    #[error("a transactional record batch needs a transactional id that may be used")]
    TransactionNotAllowed,
    /// A codec that the request's version does not have.
    #[error("codec {codec} needs a Produce request of version {version_min} or newer")]
    CodecTooNew {
        /// The codec.
        codec: Codec,
        /// The first version that has it.
        version_min: i16,
    },
    /// A header that contradicts itself, or says what only a broker may say.
    #[error("{0}")]
    Header(&'static str),
    /// Longer than `max.message.bytes`.
    #[error("the record batch takes {bytes} bytes; max.message.bytes is {bytes_max}")]
    TooLarge {
        /// Bytes of the batch, as it came or as it would be stored.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Longer than a segment.
    #[error("the record batch takes {bytes} bytes; segment.bytes is {bytes_max}")]
    LargerThanSegment {
        /// Bytes of the batch as it would be stored.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The records block is damaged although its CRC is right.
    #[error("the record batch is damaged inside: {0}")]
    Records(#[from] RecordError),
    /// The records block cannot be decompressed, or is too large for that.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// Some of its records are not acceptable.
    #[error("{total} records were rejected, the first because {}", .first.first().map_or("", |record| record.reason))]
    RecordsRejected {
        /// The first of them, at most [`RECORD_ERRORS_MAX`]; never empty.
        first: Vec<RejectedRecord>,
        /// How many there are.
        total: usize,
        /// Whether a timestamp was among the reasons.
        timestamp: bool,
    },
}

/// A record that is not acceptable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RejectedRecord {
    /// Its number within the batch, from 0.
    pub index: i32,
    /// What is wrong with it.
    pub reason: &'static str,
}

const NO_KEY: &str = "a compacted topic takes no record without a key";
const TIMESTAMP_RANGE: &str =
    "its timestamp is further from now than message.timestamp.before.max.ms or message.timestamp.after.max.ms allow";
const PRODUCER_APPEND_TIME: &str = "a producer must not set the timestamp type LogAppendTime";

impl Rejection {
    /// The code for the client.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            // A codec that nobody knows will not be known on retry either, so it is not CORRUPT_MESSAGE.
            Self::Corrupt(BatchError::UnknownCodec(_)) => ErrorCode::InvalidRecord,
            Self::Corrupt(
                BatchError::Truncated | BatchError::Length(_) | BatchError::Magic(_) | BatchError::Crc { .. },
            ) => ErrorCode::CorruptMessage,
            Self::NoBatch
            | Self::SeveralBatches
            | Self::LegacyMagic(_)
            | Self::Header(_)
            | Self::Records(_)
            | Self::RecordsRejected { timestamp: false, .. }
            | Self::Compression(CompressionError::Malformed { .. }) => ErrorCode::InvalidRecord,
            Self::Legacy(LegacyError::Crc { .. } | LegacyError::Length(_)) => ErrorCode::CorruptMessage,
            Self::Legacy(_) => ErrorCode::InvalidRecord,
            Self::TransactionNotAllowed => ErrorCode::TransactionalIdAuthorizationFailed,
            Self::CodecTooNew { .. } => ErrorCode::UnsupportedCompressionType,
            // Java's producer splits a batch that is called too large, which also makes it smaller when decompressed.
            Self::TooLarge { .. } | Self::Compression(CompressionError::TooLarge { .. }) => ErrorCode::MessageTooLarge,
            Self::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
            Self::RecordsRejected { timestamp: true, .. } => ErrorCode::InvalidTimestamp,
            Self::Compression(CompressionError::Encoder(_)) => ErrorCode::UnknownServerError,
        }
    }

    /// The records to name in the answer (Produce version 8 and newer).
    #[must_use]
    pub fn rejected_records(&self) -> &[RejectedRecord] {
        if let Self::RecordsRejected { first, .. } = self { first } else { &[] }
    }
}

impl From<ReadError> for Rejection {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Batch(error) => Self::Corrupt(error),
            ReadError::Compression(error) => Self::Compression(error),
        }
    }
}

/// Checks the records field of one partition of a Produce request. `scratch` is room for decompressed records, which stays
/// empty on the usual way; it may be used again.
///
/// Bytes behind the batch that are no whole batch are cut off, as Kafka does.
///
/// # Errors
/// [`Rejection`], of which [`Rejection::code`] is for the client.
pub fn validate(records: &Bytes, rules: &Rules, scratch: &mut Vec<u8>) -> Result<ValidBatch, Rejection> {
    let len = whole_batch(records)?.ok_or(Rejection::NoBatch)?;
    let (batch, behind) = records.split_at_checked(len).ok_or(Rejection::NoBatch)?;
    let header = decode(batch)?;
    if whole_batch(behind)?.is_some() {
        return Err(Rejection::SeveralBatches);
    }
    if header.base_offset != Offset(0) {
        return Err(Rejection::Header("the base offset of a produced record batch must be 0"));
    }
    if rules.batch_bytes_max < len {
        return Err(Rejection::TooLarge { bytes: len, bytes_max: rules.batch_bytes_max });
    }
    // From here on the header says what the producer meant it to say: damage on the way must not end a transaction.
    verify_crc(&header, batch).map_err(Rejection::Corrupt)?;
    if header.attributes.is_transactional() && !rules.transactional_allowed {
        return Err(Rejection::TransactionNotAllowed);
    }
    let codec = header.attributes.codec().map_err(Rejection::Corrupt)?;
    if codec == Codec::Zstd && rules.produce_version < PRODUCE_VERSION_OF_ZSTD {
        return Err(Rejection::CodecTooNew { codec, version_min: PRODUCE_VERSION_OF_ZSTD });
    }
    check_header(&header, codec)?;
    let body = records.slice(BATCH_HEADER_BYTES..len);
    let valid = if records_wanted(&header, codec, rules) {
        validate_records(&header, batch, body, rules, scratch)?
    } else {
        let max_timestamp = header.max_timestamp;
        stamp(header, body, max_timestamp, rules)?
    };
    if rules.segment_bytes_max < valid.header.len {
        return Err(Rejection::LargerThanSegment { bytes: valid.header.len, bytes_max: rules.segment_bytes_max });
    }
    Ok(valid)
}

/// The same for a batch that the broker has just made, which is whole, has keys, and times between the header's: records and CRC are
/// looked at only where the topic's settings change something of it.
///
/// # Errors
/// See [`validate`].
pub fn validate_own(header: BatchHeader, body: Bytes, rules: &Rules) -> Result<ValidBatch, Rejection> {
    let codec = header.attributes.codec().map_err(Rejection::Corrupt)?;
    let allowed = rules.timestamps();
    let is_in_time = [header.base_timestamp, header.max_timestamp].iter().all(|time| allowed.contains(&time.0));
    let is_kept = rules.timestamp_type == TimestampType::CreateTime
        && rules.compression.is_none_or(|target| target.codec == codec)
        && is_in_time
        && !rules.every_record;
    if !is_kept {
        return validate(&[&header.encode()[..], &body].concat().into(), rules, &mut Vec::new());
    }
    if rules.batch_bytes_max < header.len {
        return Err(Rejection::TooLarge { bytes: header.len, bytes_max: rules.batch_bytes_max });
    }
    if rules.segment_bytes_max < header.len {
        return Err(Rejection::LargerThanSegment { bytes: header.len, bytes_max: rules.segment_bytes_max });
    }
    Ok(ValidBatch { header, body })
}

/// Bytes of the batch at the start of `bytes`, of whatever magic; `None` when it is cut short.
pub(super) fn whole_batch(bytes: &[u8]) -> Result<Option<usize>, Rejection> {
    let Some(length) = bytes.get(8..).and_then(<[u8]>::first_chunk).map(|field| i32::from_be_bytes(*field)) else {
        return Ok(None);
    };
    if length < LEGACY_MESSAGE_BYTES_MIN {
        return Err(Rejection::Corrupt(BatchError::Length(length)));
    }
    let Some(magic) = bytes.get(16).map(|byte| byte.cast_signed()) else { return Ok(None) };
    if !(0..=2).contains(&magic) {
        return Err(Rejection::Corrupt(BatchError::Magic(magic)));
    }
    let len = usize::try_from(length).ok().and_then(|length| length.checked_add(12));
    Ok(len.filter(|len| *len <= bytes.len()))
}

fn decode(batch: &[u8]) -> Result<BatchHeader, Rejection> {
    match batch.get(16).map(|byte| byte.cast_signed()) {
        Some(magic @ (0 | 1)) => Err(Rejection::LegacyMagic(magic)),
        _ => BatchHeader::decode(batch).map_err(Rejection::Corrupt),
    }
}

/// What a header must not say, whatever the topic's settings.
fn check_header(header: &BatchHeader, codec: Codec) -> Result<(), Rejection> {
    let refuse = |why| Err(Rejection::Header(why));
    if header.records <= 0 || header.last_offset_delta != header.records.saturating_sub(1) {
        return refuse("the number of records does not fit the record batch's offsets");
    }
    // Offsets are not to be used up by records that cannot be there.
    let block_bytes_max = header.len.saturating_sub(BATCH_HEADER_BYTES).saturating_mul(codec.expansion_max());
    if usize::try_from(header.records).map_or(true, |records| block_bytes_max / RECORD_BYTES_MIN < records) {
        return Err(Rejection::Records(RecordError::Count(header.records)));
    }
    if header.attributes.is_control() {
        return refuse("a client must not write control records");
    }
    if header.producer_id <= ProducerId::NONE {
        return match header.attributes.is_transactional() {
            true => refuse("a transactional record batch needs a producer id"),
            false => Ok(()),
        };
    }
    if header.base_sequence < 0 {
        return refuse("a record batch with a producer id needs a sequence number");
    }
    if header.producer_epoch.0 < 0 {
        return refuse("a record batch with a producer id needs a producer epoch");
    }
    Ok(())
}

/// Whether something asks for a look at the records.
fn records_wanted(header: &BatchHeader, codec: Codec, rules: &Rules) -> bool {
    let recompressed = rules.compression.is_some_and(|target| target.codec != codec);
    rules.every_record || rules.compacted || recompressed || {
        // A bound that time 0 does not pass is none. Producers that leave the largest timestamp wrong are set right.
        let allowed = rules.timestamps();
        rules.timestamp_type == TimestampType::CreateTime
            && (0 < *allowed.start()
                || *allowed.end() < header.max_timestamp.0
                || header.max_timestamp < header.base_timestamp)
    }
}

impl Rules {
    /// Timestamps that a record may have; no timestamp is always allowed.
    const fn timestamps(&self) -> RangeInclusive<i64> {
        self.now.0.saturating_sub(self.timestamp_before_max_ms)..=self.now.0.saturating_add(self.timestamp_after_max_ms)
    }
}

/// Gives a batch its timestamp type and largest timestamp.
fn stamp(header: BatchHeader, body: Bytes, max_timestamp: Timestamp, rules: &Rules) -> Result<ValidBatch, Rejection> {
    let max_timestamp = match rules.timestamp_type {
        // Kafka takes the append time that a producer claims for a create time here.
        TimestampType::CreateTime => max_timestamp,
        TimestampType::LogAppendTime if header.attributes.timestamp_type() == TimestampType::LogAppendTime => {
            let total = usize::try_from(header.records).unwrap_or(0);
            let first = (0..header.records).take(RECORD_ERRORS_MAX);
            let first = first.map(|index| RejectedRecord { index, reason: PRODUCER_APPEND_TIME }).collect();
            return Err(Rejection::RecordsRejected { first, total, timestamp: true });
        }
        TimestampType::LogAppendTime => rules.now,
    };
    let header = header.stamped(rules.timestamp_type, max_timestamp, &body);
    Ok(ValidBatch { header, body })
}

/// Looks at every record, and compresses them anew where the topic wants another codec.
fn validate_records(
    header: &BatchHeader,
    batch: &[u8],
    body: Bytes,
    rules: &Rules,
    scratch: &mut Vec<u8>,
) -> Result<ValidBatch, Rejection> {
    let records = header.read_records(batch, rules.decompression, scratch)?;
    let seen = look_at_records(header, records.clone(), rules)?;
    let codec = header.attributes.codec().map_err(Rejection::Corrupt)?;
    let target = rules.compression.unwrap_or(codec.into());
    if target.codec == codec && seen.in_order {
        return stamp(*header, body, seen.max_timestamp, rules);
    }
    let mut block = Vec::new();
    if seen.in_order {
        compress(target, records.block(), &mut block)?;
    } else {
        compress(target, &renumbered(records)?, &mut block)?;
    }
    let header = BatchHeader { attributes: header.attributes.with_codec(target.codec), ..*header }.sealed(&block);
    if rules.batch_bytes_max < header.len {
        return Err(Rejection::TooLarge { bytes: header.len, bytes_max: rules.batch_bytes_max });
    }
    stamp(header, block.into(), seen.max_timestamp, rules)
}

/// What a look at the records found.
struct Seen {
    max_timestamp: Timestamp,
    /// The records' offsets count from 0 in steps of one.
    in_order: bool,
}

fn look_at_records(header: &BatchHeader, records: Records<'_>, rules: &Rules) -> Result<Seen, Rejection> {
    let mut seen = Seen { max_timestamp: Timestamp::NONE, in_order: true };
    let mut findings = Findings::default();
    for (index, record) in (0_i32..).zip(records) {
        let record = record?;
        let timestamp = header.timestamp_of(&record);
        seen.max_timestamp = seen.max_timestamp.max(timestamp);
        seen.in_order &= record.offset_delta == index;
        findings.judge(index, record.key, timestamp, false, rules);
    }
    findings.into_result().map(|()| seen)
}

/// The records of a batch that are not acceptable.
#[derive(Default)]
pub(super) struct Findings {
    first: Vec<RejectedRecord>,
    total: usize,
    /// Whether a timestamp was among the reasons.
    timestamp: bool,
}

impl Findings {
    /// Looks at a record. `claims_append_time`: its message says that a broker stamped it.
    pub(super) fn judge(
        &mut self,
        index: i32,
        key: Option<&[u8]>,
        timestamp: Timestamp,
        claims_append_time: bool,
        rules: &Rules,
    ) {
        if key.is_none() && rules.compacted {
            self.reject(index, NO_KEY);
        } else if rules.timestamp_type == TimestampType::CreateTime && timestamp != Timestamp::NONE {
            // Kafka takes the append time that a producer claims for a create time here.
            if !rules.timestamps().contains(&timestamp.0) {
                self.reject_time(index, TIMESTAMP_RANGE);
            }
        } else if claims_append_time {
            self.reject_time(index, PRODUCER_APPEND_TIME);
        }
    }

    pub(super) fn reject_time(&mut self, index: i32, reason: &'static str) {
        self.timestamp = true;
        self.reject(index, reason);
    }

    pub(super) fn reject(&mut self, index: i32, reason: &'static str) {
        self.total += 1;
        if self.first.len() < RECORD_ERRORS_MAX {
            self.first.push(RejectedRecord { index, reason });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub(super) fn into_result(self) -> Result<(), Rejection> {
        let Self { first, total, timestamp } = self;
        if total == 0 { Ok(()) } else { Err(Rejection::RecordsRejected { first, total, timestamp }) }
    }
}

/// The records with offsets that count from 0. Some old clients get the offsets inside a batch wrong; Kafka writes the
/// batch anew rather than refuse it.
fn renumbered(records: Records<'_>) -> Result<Vec<u8>, Rejection> {
    let mut block = Vec::with_capacity(records.block().len());
    for (offset_delta, record) in (0_i32..).zip(records) {
        super::Record { offset_delta, ..record? }.copy_to(&mut block)?;
    }
    Ok(block)
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
