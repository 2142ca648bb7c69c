//! OffsetCommit 0 and OffsetFetch 0: offsets of groups of the ZooKeeper era, which lie in `/consumers`. Any broker answers; there is no
//! coordinator, and what is stored along with an offset is checked and dropped.
//!
//! Source: Kafka 3.9 `KafkaApis.commitOffsetsToZookeeper`, `fetchOffsetsFromZookeeper`.

use super::group_offsets::{by_topic, is_known, old_topic};
use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::zookeeper_offsets::ZookeeperOffsetsCommand;
use crate::coordination::znode::consumer::is_group_name;
use crate::machine::group::FetchedOffset;
use crate::model::{ErrorCode, LeaderEpoch, Offset};
use crate::wire::Str;
use crate::wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::wire::message::offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};

pub(super) async fn commit(env: &Env, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let metadata_max = env.settings.broker().groups.metadata_max;
    let is_group = is_group_name(&request.group_id);
    let mut offsets = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
            let refused = if !is_known(env, &topic.name, index) {
                Some(ErrorCode::UnknownTopicOrPartition)
            } else if metadata_max < metadata.encode_utf16().count() {
                Some(ErrorCode::OffsetMetadataTooLarge)
            } else if is_group {
                offsets.push((topic.name.clone(), index, partition.committed_offset));
                None
            } else {
                Some(ErrorCode::InvalidGroupId)
            };
            partitions.push((index, refused));
        }
        topics.push((topic.name, partitions));
    }
    let (group, count) = (request.group_id, offsets.len());
    let done = ask(&env.zookeeper_offsets, |reply| ZookeeperOffsetsCommand::Commit { group, offsets, reply }).await;
    let mut done = done.unwrap_or_else(|| vec![Err(ErrorCode::CoordinatorNotAvailable); count]).into_iter();
    let mut outcome = |refused: Option<ErrorCode>| match refused {
        Some(error) => error,
        None => done.next().and_then(Result::err).unwrap_or(ErrorCode::None),
    };
    let topics = topics.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(partition_index, refused)| OffsetCommitResponsePartition {
            partition_index,
            error_code: outcome(refused),
        });
        OffsetCommitResponseTopic { name, partitions: partitions.collect() }
    });
    OffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

pub(super) async fn fetch(env: &Env, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let named = request.topics.unwrap_or_default().into_iter();
    let named = named.flat_map(|topic| topic.partition_indexes.into_iter().map(move |it| (topic.name.clone(), it)));
    let named = named.collect::<Vec<_>>();
    let known = named.iter().map(|(topic, partition)| is_known(env, topic, *partition)).collect::<Vec<_>>();
    let partitions = named.iter().zip(&known).filter(|(_, known)| **known).map(|(named, _)| named.clone());
    let (group, partitions) = (request.group_id, partitions.collect::<Vec<_>>());
    let count = partitions.len();
    let found = if is_group_name(&group) {
        ask(&env.zookeeper_offsets, |reply| ZookeeperOffsetsCommand::Fetch { group, partitions, reply }).await
    } else {
        Some(vec![Err(ErrorCode::InvalidGroupId); count])
    };
    let mut found = found.unwrap_or_else(|| vec![Err(ErrorCode::CoordinatorNotAvailable); count]).into_iter();
    let all = named.into_iter().zip(known).map(|((topic, partition), known)| {
        // To a group that never committed the partition is unknown, too.
        let nothing = Ok(None);
        let (offset, error) = match if known { found.next().unwrap_or(nothing) } else { nothing } {
            Ok(Some(offset)) => (offset, ErrorCode::None),
            Ok(None) => (Offset::NONE.0, ErrorCode::UnknownTopicOrPartition),
            Err(error) => (Offset::NONE.0, error),
        };
        let (offset, leader_epoch, metadata) = (Offset(offset), LeaderEpoch::NONE, Str::default());
        FetchedOffset { topic, partition, offset, leader_epoch, metadata, error }
    });
    let topics = by_topic(all.collect()).map(|(name, found)| old_topic(name, found)).collect();
    OffsetFetchResponse { topics, ..Default::default() }
}
