//! OffsetCommit, OffsetFetch and OffsetDelete: how far a group has read.

use super::{coordinate, coordinator, zookeeper_offsets};
use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::groups::GroupCommand;
use crate::broker::peer::Peer;
use crate::machine::group::{Commit, FetchedOffset, NewOffset, Reply, Request};
use crate::model::{ErrorCode, LeaderEpoch, Offset, PartitionIndex, Timestamp};
use crate::wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::wire::message::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::wire::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::wire::{RequestHeader, Str};

/// "Not given".
const NONE: i64 = -1;

/// The first version of OffsetFetch that names several groups.
const GROUPS_FROM: i16 = 8;

/// The first version of OffsetFetch in which the group has an error of its own, and no topics mean all.
const ALL_FROM: i16 = 2;

pub(super) async fn handle_commit(
    env: &Env,
    _: &mut Peer,
    header: &RequestHeader,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    if header.version == 0 {
        return zookeeper_offsets::commit(env, request).await;
    }
    // Of each partition of the request, in its order.
    let mut is_known = Vec::new();
    let mut offsets = Vec::new();
    let image = env.metadata.load();
    for topic in &request.topics {
        let known = image.topics.get(topic.name.as_str());
        for partition in &topic.partitions {
            let index = PartitionIndex(partition.partition_index);
            is_known.push(known.is_some_and(|topic| topic.partitions.contains_key(&index)));
            if is_known.last() == Some(&true) {
                offsets.push(NewOffset {
                    topic: topic.name.clone(),
                    partition: partition.partition_index,
                    offset: Offset(partition.committed_offset),
                    leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
                    metadata: partition.committed_metadata.clone().unwrap_or_default(),
                    timestamp: Some(Timestamp(partition.commit_timestamp)).filter(|it| it.0 != NONE),
                });
            }
        }
    }
    drop(image);
    let count = offsets.len();
    let commit = Commit {
        group: request.group_id,
        version: header.version,
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        retention_ms: Some(request.retention_time_ms).filter(|ms| *ms != NONE),
        transaction: None,
        offsets,
    };
    let errors = match coordinate(env, Request::Commit(commit)).await {
        Some(Reply::Commit(errors)) => errors,
        _ => vec![ErrorCode::NotCoordinator; count],
    };
    let (mut is_known, mut errors) = (is_known.into_iter(), errors.into_iter().peekable());
    let mut outcome = || {
        let known = is_known.next().unwrap_or(false);
        errors.next_if(|_| known).unwrap_or(ErrorCode::UnknownTopicOrPartition)
    };
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|it| OffsetCommitResponsePartition { partition_index: it.partition_index, error_code: outcome() });
        OffsetCommitResponseTopic { name: topic.name, partitions: partitions.collect() }
    });
    OffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

pub(super) async fn handle_fetch(
    env: &Env,
    _: &mut Peer,
    header: &RequestHeader,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    if header.version == 0 {
        return zookeeper_offsets::fetch(env, request).await;
    }
    let stable = request.require_stable;
    if GROUPS_FROM <= header.version {
        let mut groups = Vec::with_capacity(request.groups.len());
        for group in request.groups {
            let wanted = group.topics.map(|topics| {
                let topics = topics.into_iter();
                flat(topics.map(|topic| (topic.name, topic.partition_indexes)))
            });
            let member = group.member_id.filter(|id| !id.is_empty() || 0 <= group.member_epoch);
            let member = member.map(|id| (id, group.member_epoch));
            groups.push(match fetch(env, &group.group_id, wanted, stable, member).await {
                Ok(found) => OffsetFetchResponseGroup {
                    group_id: group.group_id,
                    topics: by_topic(found).map(|(name, found)| topic(name, found)).collect(),
                    ..Default::default()
                },
                Err(error_code) => {
                    OffsetFetchResponseGroup { group_id: group.group_id, error_code, ..Default::default() }
                }
            });
        }
        return OffsetFetchResponse { groups, ..Default::default() };
    }
    let wanted = match request.topics {
        None if header.version < ALL_FROM => Some(vec![]),
        topics => topics.map(|topics| {
            let topics = topics.into_iter();
            flat(topics.map(|topic| (topic.name, topic.partition_indexes)))
        }),
    };
    match fetch(env, &request.group_id, wanted.clone(), stable, None).await {
        Ok(found) => {
            let topics = by_topic(found).map(|(name, found)| old_topic(name, found)).collect();
            OffsetFetchResponse { topics, ..Default::default() }
        }
        // Every partition has it, and from version 2 on the group too (`OffsetFetchRequest.getErrorResponse`).
        Err(error) => {
            let error_code = if ALL_FROM <= header.version { error } else { ErrorCode::None };
            let failed = wanted.unwrap_or_default().into_iter().map(|(topic, partition)| FetchedOffset {
                topic,
                partition,
                offset: Offset::NONE,
                leader_epoch: LeaderEpoch::NONE,
                metadata: Str::default(),
                error,
            });
            let topics = by_topic(failed.collect()).map(|(name, found)| old_topic(name, found)).collect();
            OffsetFetchResponse { topics, error_code, ..Default::default() }
        }
    }
}

pub(super) async fn handle_delete(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let named = request
        .topics
        .iter()
        .map(|topic| (topic.name.clone(), topic.partitions.iter().map(|it| it.partition_index).collect::<Vec<_>>()));
    let all = flat(named);
    let partitions = all.iter().filter(|(topic, partition)| is_known(env, topic, *partition)).cloned();
    let partitions = partitions.collect::<Vec<_>>();
    let delete = Request::DeleteOffsets { group: request.group_id, partitions: partitions.clone() };
    let outcome = match coordinate(env, delete).await {
        Some(Reply::DeleteOffsets(outcome)) => outcome,
        _ => Err(ErrorCode::NotCoordinator),
    };
    let errors = match outcome {
        Ok(errors) => errors,
        Err(error_code) => return OffsetDeleteResponse { error_code, ..Default::default() },
    };
    let mut outcomes = partitions.into_iter().zip(errors).peekable();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition_index in topic.partitions.iter().map(|it| it.partition_index) {
            let next = outcomes.next_if(|((name, index), _)| *name == topic.name && *index == partition_index);
            let error_code = next.map_or(ErrorCode::UnknownTopicOrPartition, |(_, error)| error);
            partitions.push(OffsetDeleteResponsePartition { partition_index, error_code });
        }
        topics.push(OffsetDeleteResponseTopic { name: topic.name, partitions });
    }
    OffsetDeleteResponse { topics, ..Default::default() }
}

pub(super) fn is_known(env: &Env, topic: &Str, partition: i32) -> bool {
    let image = env.metadata.load();
    let topic = image.topics.get(topic.as_str());
    topic.is_some_and(|topic| topic.partitions.contains_key(&PartitionIndex(partition)))
}

async fn fetch(
    env: &Env,
    group: &Str,
    wanted: Option<Vec<(Str, i32)>>,
    require_stable: bool,
    member: Option<(Str, i32)>,
) -> Result<Vec<FetchedOffset>, ErrorCode> {
    let coordinator = coordinator(env, group).ok_or(ErrorCode::NotCoordinator)?;
    let group = group.clone();
    let fetch = |reply| GroupCommand::FetchOffsets { group, wanted, require_stable, member, reply };
    ask(&coordinator, fetch).await.unwrap_or(Err(ErrorCode::NotCoordinator))
}

fn flat(topics: impl Iterator<Item = (Str, Vec<i32>)>) -> Vec<(Str, i32)> {
    topics.flat_map(|(name, partitions)| partitions.into_iter().map(move |index| (name.clone(), index))).collect()
}

/// What stands one behind the other, by topic.
pub(super) fn by_topic(found: Vec<FetchedOffset>) -> impl Iterator<Item = (Str, Vec<FetchedOffset>)> {
    let mut topics = Vec::<(Str, Vec<FetchedOffset>)>::new();
    for offset in found {
        match topics.last_mut().filter(|(name, _)| *name == offset.topic) {
            Some((_, offsets)) => offsets.push(offset),
            None => topics.push((offset.topic.clone(), vec![offset])),
        }
    }
    topics.into_iter()
}

fn topic(name: Str, found: Vec<FetchedOffset>) -> OffsetFetchResponseTopics {
    let partitions = found.into_iter().map(|found| OffsetFetchResponsePartitions {
        partition_index: found.partition,
        committed_offset: found.offset.0,
        committed_leader_epoch: found.leader_epoch.0,
        metadata: Some(found.metadata),
        error_code: found.error,
    });
    OffsetFetchResponseTopics { name, partitions: partitions.collect() }
}

pub(super) fn old_topic(name: Str, found: Vec<FetchedOffset>) -> OffsetFetchResponseTopic {
    let partitions = found.into_iter().map(|found| OffsetFetchResponsePartition {
        partition_index: found.partition,
        committed_offset: found.offset.0,
        committed_leader_epoch: found.leader_epoch.0,
        metadata: Some(found.metadata),
        error_code: found.error,
    });
    OffsetFetchResponseTopic { name, partitions: partitions.collect() }
}
