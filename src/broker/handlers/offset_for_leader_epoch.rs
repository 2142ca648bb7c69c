//! OffsetForLeaderEpoch: where a leader's records end, so that a reader finds out whether its own were cut off (KIP-320).

use super::fetch::fence;
use super::led;
use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::partition::PartitionCommand;
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
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let end = look(env, &topic.topic, wanted).await;
            partitions.push(end.unwrap_or_else(|error_code| EpochEndOffset {
                error_code,
                partition: wanted.partition,
                ..Default::default()
            }));
        }
        topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
    }
    OffsetForLeaderEpochResponse { topics, ..Default::default() }
}

async fn look(env: &Env, topic: &Str, wanted: &OffsetForLeaderPartition) -> Result<EpochEndOffset, ErrorCode> {
    let partition = led(env, topic, wanted.partition)?;
    fence(&partition, LeaderEpoch(wanted.current_leader_epoch))?;
    let epoch = LeaderEpoch(wanted.leader_epoch);
    let asked = ask(&partition.addr, |reply| PartitionCommand::EndOffsetForEpoch { epoch, reply });
    let end = asked.await.ok_or(ErrorCode::NotLeaderOrFollower)?;
    let (leader_epoch, end_offset) = end.map_or((-1, -1), |(epoch, end)| (epoch.0, end.0));
    Ok(EpochEndOffset { error_code: ErrorCode::None, partition: wanted.partition, leader_epoch, end_offset })
}
