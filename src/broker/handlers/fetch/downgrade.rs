//! Fetch before version 4: what lies in the log is converted to the formats that the client knows, on the disk pool.

use std::sync::Arc;

use super::Look;
use super::located::find;
use crate::broker::env::Env;
use crate::machine::fetch_session::{Key, TopicKey, Wanted};
use crate::model::{ErrorCode, Offset};
use crate::storage::log::{LogView, Read, ReadError, ReadRequest, Slice, Wait};
use crate::telemetry::{Event as _, event};
use crate::wire::Payload;
use crate::wire::message::fetch::PartitionData;
use crate::wire::record::legacy::{DownConverter, DownError, LegacyMagic, Target};
use crate::wire::record::{CompressionError, ReadError as BatchReadError};

/// The newest message format that a version knows, when that is an old one: timestamps came with version 2 (KIP-32), the new format
/// with version 4 (KIP-98).
pub(super) const fn magic(version: i16) -> Option<LegacyMagic> {
    match version {
        ..=1 => Some(LegacyMagic::V0),
        2 | 3 => Some(LegacyMagic::V1),
        _ => None,
    }
}

/// Puts converted records in the place of the slices that a look found, at most `bytes_max` of them in all, but for the message that
/// each partition needs to go on.
pub(super) async fn downgrade(
    env: &Env,
    magic: LegacyMagic,
    bytes_max: usize,
    wanted: &[(&Key, &Wanted)],
    look: &mut Look,
) {
    let slices = std::mem::take(&mut look.slices);
    let mut room = bytes_max;
    for ((key, data, _), (_, wanted)) in look.partitions.iter_mut().zip(wanted) {
        let Payload::External { token, .. } = data.records else { continue };
        let slice = usize::try_from(token).ok().and_then(|token| slices.get(token)).cloned();
        let (Some(slice), Ok(partition)) = (slice, find(env, key)) else {
            data.records = Payload::EMPTY;
            continue;
        };
        let log = Arc::clone(&partition.published.log);
        let target = Target {
            magic,
            offset: wanted.offset,
            bytes_max: usize::try_from(wanted.max_bytes).unwrap_or(0).min(room),
            decompression: partition.published.settings().batch.decompression,
        };
        let upper_bound = Offset(data.high_watermark);
        let done = env.conversions.run(move || converted(&log, slice, target, upper_bound)).await;
        match done.unwrap_or(Err(ErrorCode::UnknownServerError)) {
            Ok((records, converted)) => {
                room = room.saturating_sub(records.len());
                data.records = if records.is_empty() { Payload::EMPTY } else { Payload::Bytes(records.into()) };
                if converted != 0 {
                    let topic = match &key.0 {
                        TopicKey::Name(name) => name.clone(),
                        // Not in versions this old.
                        TopicKey::Id(id) => id.to_string(),
                    };
                    event::FetchMessageConversions { topic, records: converted }.emit_times(converted);
                }
            }
            Err(error_code) => {
                *data = PartitionData {
                    partition_index: data.partition_index,
                    error_code,
                    high_watermark: -1,
                    records: Payload::EMPTY,
                    ..Default::default()
                };
            }
        }
    }
}

/// Reads and converts. Where a slice has nothing for the client, markers for instance, what is behind it is looked at: the client could
/// not get past it.
fn converted(
    log: &LogView,
    mut slice: Slice,
    target: Target,
    upper_bound: Offset,
) -> Result<(Vec<u8>, u64), ErrorCode> {
    let mut converter = DownConverter::new(target);
    loop {
        let from = converter.next_offset();
        let mut bytes = vec![0; slice.len];
        let read = slice.file.read_at(slice.position, &mut bytes).map_err(|error| {
            event::ReadFailed { cause: error.to_string() }.emit();
            ErrorCode::KafkaStorageError
        })?;
        bytes.truncate(read);
        converter.convert(&bytes).map_err(|error| refused(&error))?;
        let next = converter.next_offset();
        if !converter.is_empty() || converter.is_full() || next <= from {
            return Ok(converter.finish());
        }
        let request = ReadRequest { offset: next, upper_bound, bytes_max: slice.len, at_least_one_batch: true };
        slice = match log.read(&request, Wait::Allowed) {
            Ok(Read::Batches(slice)) => slice,
            Ok(Read::Empty | Read::WouldWait) | Err(ReadError::OutOfRange { .. }) => return Ok(converter.finish()),
            Err(ReadError::Corrupt(_)) => return Err(ErrorCode::CorruptMessage),
            Err(ReadError::Disk(_)) => return Err(ErrorCode::KafkaStorageError),
        };
    }
}

fn refused(error: &DownError) -> ErrorCode {
    let code = match error {
        DownError::Zstd => return ErrorCode::UnsupportedCompressionType,
        DownError::Read(BatchReadError::Compression(CompressionError::TooLarge { .. })) => ErrorCode::MessageTooLarge,
        DownError::Read(_) | DownError::Record(_) | DownError::Legacy(_) => ErrorCode::CorruptMessage,
        DownError::Build(_) => ErrorCode::MessageTooLarge,
    };
    event::ReadFailed { cause: format!("they cannot be converted: {error}") }.emit();
    code
}
