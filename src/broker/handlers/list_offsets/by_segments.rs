//! ListOffsets 0: the offsets at which segments begin, newest first, as far as they were written to by a time.
//!
//! Source: Kafka 3.9 `KafkaApis.handleListOffsetRequestV0`, `Partition.legacyFetchOffsetsForTimestamp`.

use std::sync::Arc;

use super::super::led;
use super::{EARLIEST, LATEST, is_known};
use crate::broker::env::Env;
use crate::model::{ErrorCode, Offset, Timestamp};
use crate::telemetry::{Event as _, event};
use crate::wire::Str;
use crate::wire::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

/// Who asks as a consumer, who does not see what is not committed.
const CONSUMER: i32 = -1;

pub(super) async fn handle(env: &Env, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let committed_only = request.replica_id == CONSUMER;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let nothing =
                ListOffsetsPartitionResponse { partition_index: wanted.partition_index, ..Default::default() };
            partitions.push(match look(env, &topic.name, wanted, committed_only).await {
                Ok(offsets) => {
                    let old_style_offsets = offsets.into_iter().map(|offset| offset.0).collect();
                    ListOffsetsPartitionResponse { old_style_offsets, ..nothing }
                }
                Err(error_code) => ListOffsetsPartitionResponse { error_code, ..nothing },
            });
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..Default::default() }
}

async fn look(
    env: &Env,
    topic: &Str,
    wanted: &ListOffsetsPartition,
    committed_only: bool,
) -> Result<Vec<Offset>, ErrorCode> {
    if !is_known(wanted.timestamp, 0) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let partition = led(env, topic, wanted.partition_index)?;
    // Kafka fails with UNKNOWN_SERVER_ERROR here.
    let most = usize::try_from(wanted.max_num_offsets).map_err(|_| ErrorCode::InvalidRequest)?;
    let (published, now) = (&partition.published, env.ports.clock.timestamp());
    let high_watermark = published.high_watermark();
    let log = Arc::clone(&published.log);
    let times = env.placement.blocking(move || log.segment_times(now)).await;
    let times = times.ok_or(ErrorCode::KafkaStorageError)?.map_err(|error| {
        event::ReadFailed { cause: error.to_string() }.emit();
        ErrorCode::KafkaStorageError
    })?;
    let offsets = before(&times, wanted.timestamp, most);
    Ok(if committed_only { committed(offsets, high_watermark) } else { offsets })
}

/// The newest offsets, `most` of them, of segments that were not written to after `time`.
fn before(times: &[(Offset, Timestamp)], time: i64, most: usize) -> Vec<Offset> {
    let count = match time {
        LATEST => times.len(),
        EARLIEST => 1,
        time => times.iter().rposition(|(_, modified)| modified.0 <= time).map_or(0, |last| last + 1),
    };
    let mut offsets = times.iter().take(count).rev().take(most).map(|(offset, _)| *offset).collect::<Vec<_>>();
    offsets.sort_unstable_by_key(|offset| std::cmp::Reverse(*offset));
    offsets
}

/// The high watermark in the place of all that is not committed.
fn committed(offsets: Vec<Offset>, high_watermark: Offset) -> Vec<Offset> {
    if !offsets.iter().any(|offset| high_watermark < *offset) {
        return offsets;
    }
    std::iter::once(high_watermark).chain(offsets.into_iter().filter(|offset| *offset <= high_watermark)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets<const N: usize>(numbers: [i64; N]) -> Vec<Offset> {
        numbers.map(Offset).to_vec()
    }

    #[test]
    fn offsets_are_those_of_segments_newest_first() {
        let times = [(5, 100), (20, 200), (40, 300), (60, 1_000)];
        let times = times.map(|(offset, time)| (Offset(offset), Timestamp(time)));
        assert_eq!(before(&times, LATEST, 1), offsets([60]));
        assert_eq!(before(&times, LATEST, 9), offsets([60, 40, 20, 5]));
        assert_eq!(before(&times, EARLIEST, 9), offsets([5]));
        assert_eq!(before(&times, 250, 9), offsets([20, 5]));
        assert_eq!(before(&times, 200, 1), offsets([20]));
        assert_eq!(before(&times, 99, 9), offsets([]));
        assert_eq!(before(&times, LATEST, 0), offsets([]));
        assert_eq!(before(&[], EARLIEST, 1), offsets([]));
    }

    #[test]
    fn what_is_not_committed_is_the_high_watermark_to_a_consumer() {
        assert_eq!(committed(offsets([60, 40, 20]), Offset(60)), offsets([60, 40, 20]));
        assert_eq!(committed(offsets([60, 40, 20]), Offset(50)), offsets([50, 40, 20]));
        assert_eq!(committed(offsets([60, 40]), Offset(10)), offsets([10]));
    }
}
