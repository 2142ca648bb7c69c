//! OffsetForLeaderEpoch: where a leader's records end, so that a reader finds out whether its own were cut off (KIP-320).

use super::fetch::fence;
use super::led;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::model::{ErrorCode, LeaderEpoch};
use crate::wire::message::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};
use crate::wire::{RequestHeader, Str};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            look(env, &topic.topic, wanted).unwrap_or_else(|error_code| EpochEndOffset {
                error_code,
                partition: wanted.partition,
                ..Default::default()
            })
        });
        OffsetForLeaderTopicResult { partitions: partitions.collect(), topic: topic.topic.clone() }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}

fn look(env: &Env, topic: &Str, wanted: &OffsetForLeaderPartition) -> Result<EpochEndOffset, ErrorCode> {
    let partition = led(env, topic, wanted.partition)?;
    fence(&partition, LeaderEpoch(wanted.current_leader_epoch))?;
    let end = partition.published.log.end_offset_for_epoch(LeaderEpoch(wanted.leader_epoch));
    let (leader_epoch, end_offset) = end.map_or((-1, -1), |(epoch, end)| (epoch.0, end.0));
    Ok(EpochEndOffset { error_code: ErrorCode::None, partition: wanted.partition, leader_epoch, end_offset })
}
