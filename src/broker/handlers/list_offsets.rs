//! ListOffsets: where a partition begins and ends, and which record was the first since a time.

use std::sync::Arc;

use super::fetch::fence;
use super::{led, named_twice};
use crate::broker::directory::PartitionHandle;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::model::{ErrorCode, LeaderEpoch, Offset, Timestamp};
use crate::storage::log::{ReadError, TimestampOffset};
use crate::telemetry::{Event as _, event};
use crate::wire::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use crate::wire::{RequestHeader, Str};

mod by_segments;

/// Times with a meaning of their own (`ListOffsetsRequest.java`).
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// KIP-734.
const MAX_TIMESTAMP: i64 = -3;
/// KIP-405: there are no tiers, so the earliest local offset is the earliest.
const EARLIEST_LOCAL: i64 = -4;
/// KIP-1005: the latest offset that went to another tier; there is none.
const LATEST_TIERED: i64 = -5;

const READ_COMMITTED: i8 = 1;

/// What was found: an offset, the time of its record, and its leader epoch.
struct Found {
    offset: Offset,
    timestamp: Timestamp,
    leader_epoch: LeaderEpoch,
}

/// Up to where whoever asks may look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upper {
    HighWatermark,
    LastStable,
    LogEnd,
}

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    header: &RequestHeader,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    if header.version == 0 {
        return by_segments::handle(env, request).await;
    }
    // A follower asks where the log is, committed or not.
    let upper = match request.isolation_level {
        _ if 0 <= request.replica_id => Upper::LogEnd,
        READ_COMMITTED => Upper::LastStable,
        _ => Upper::HighWatermark,
    };
    let asked = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.clone(), partition.partition_index)));
    // No answer about these could say which time it means.
    let doubled = named_twice(asked);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let found = if doubled.contains(&(topic.name.clone(), wanted.partition_index)) {
                Err(ErrorCode::InvalidRequest)
            } else {
                look(env, header.version, &topic.name, wanted, upper).await
            };
            partitions.push(response(header.version, wanted.partition_index, found));
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..Default::default() }
}

async fn look(
    env: &Env,
    version: i16,
    topic: &Str,
    wanted: &ListOffsetsPartition,
    upper: Upper,
) -> Result<Option<Found>, ErrorCode> {
    if !is_known(wanted.timestamp, version) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let partition = led(env, topic, wanted.partition_index)?;
    fence(&partition, LeaderEpoch(wanted.current_leader_epoch))?;
    let published = &partition.published;
    let role = published.role();
    let high_watermark = published.high_watermark();
    let end = match upper {
        Upper::LogEnd => published.log.log_end_offset(),
        Upper::LastStable => published.last_stable_offset(),
        Upper::HighWatermark => high_watermark,
    };
    // A new leader does not know yet that all before it is committed: any end that it named could lie before one that a
    // client was told earlier (KIP-207).
    let catching_up =
        upper != Upper::LogEnd && role.epoch_start.is_some_and(|epoch_start| high_watermark < epoch_start);
    let unknown_end = Err(if version < 5 { ErrorCode::LeaderNotAvailable } else { ErrorCode::OffsetNotAvailable });
    let here = |offset| Ok(Some(Found { offset, timestamp: Timestamp::NONE, leader_epoch: role.leader_epoch }));
    match wanted.timestamp {
        LATEST if catching_up => unknown_end,
        LATEST => here(end),
        EARLIEST | EARLIEST_LOCAL => here(published.log.log_start_offset()),
        LATEST_TIERED => Ok(None),
        time => {
            let found = search(env, &partition, move |log| match time {
                MAX_TIMESTAMP => log.max_timestamp(),
                time => log.offset_for_timestamp(Timestamp(time)),
            });
            let found = found.await?;
            // A record that is not committed yet does not exist for a client.
            match found.filter(|found| found.offset < end) {
                None if catching_up => unknown_end,
                found => Ok(found),
            }
        }
    }
}

/// Which special times a version knows. Anything else below zero is no time.
fn is_known(timestamp: i64, version: i16) -> bool {
    match timestamp {
        LATEST | EARLIEST => true,
        MAX_TIMESTAMP => 7 <= version,
        EARLIEST_LOCAL => 8 <= version,
        LATEST_TIERED => 9 <= version,
        time => 0 <= time,
    }
}

/// Searches may read the disk: they run on its pool.
async fn search(
    env: &Env,
    partition: &PartitionHandle,
    search: impl FnOnce(&crate::storage::log::LogView) -> Result<Option<TimestampOffset>, ReadError> + Send + 'static,
) -> Result<Option<Found>, ErrorCode> {
    let log = Arc::clone(&partition.published.log);
    let found = env.placement.blocking(move || search(&log)).await;
    match found.ok_or(ErrorCode::KafkaStorageError)? {
        Ok(found) => Ok(found.map(|found| Found {
            offset: found.offset,
            timestamp: found.timestamp,
            leader_epoch: found.leader_epoch,
        })),
        Err(error) => {
            event::ReadFailed { cause: error.to_string() }.emit();
            Err(ErrorCode::KafkaStorageError)
        }
    }
}

fn response(
    version: i16,
    partition_index: i32,
    found: Result<Option<Found>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let nothing = ListOffsetsPartitionResponse { partition_index, ..Default::default() };
    match found {
        Ok(None) => nothing,
        Ok(Some(found)) => ListOffsetsPartitionResponse {
            timestamp: found.timestamp.0,
            offset: found.offset.0,
            leader_epoch: if 4 <= version { found.leader_epoch.0 } else { LeaderEpoch::NONE.0 },
            ..nothing
        },
        Err(error_code) => ListOffsetsPartitionResponse { error_code, ..nothing },
    }
}
