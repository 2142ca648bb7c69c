//! AlterPartitionReassignments: partitions are to move to other brokers, or not any more (KIP-455).

use std::collections::BTreeMap;

use super::{is_controller, named_twice, not_controller};
use crate::broker::ask;
use crate::broker::controller::{ControllerCommand, Reassigned};
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::model::{BrokerId, ErrorCode, PartitionIndex, TopicName, TopicPartition};
use crate::wire::message::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartitionResponse,
    ReassignableTopicResponse,
};
use crate::wire::{RequestHeader, Str};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    if !is_controller(env) {
        return refused();
    }
    let wishes = request.topics.into_iter().flat_map(|topic| {
        let name = topic.name;
        topic.partitions.into_iter().map(move |wish| ((name.clone(), wish.partition_index), wish.replicas))
    });
    let wishes = wishes.collect::<Vec<_>>();
    let twice = named_twice(wishes.iter().map(|(partition, _)| partition.clone()));
    let mut answers = Vec::<(Str, ReassignablePartitionResponse)>::new();
    let mut targets = BTreeMap::new();
    for ((topic, partition), replicas) in wishes {
        if twice.contains(&(topic.clone(), partition)) {
            let reason = "The partition is named twice in the request.".to_owned();
            answers.push((topic, answer(partition, Err((ErrorCode::InvalidRequest, reason)))));
        } else if let Ok(name) = TopicName::new(&topic) {
            let id = TopicPartition { topic: name, partition: PartitionIndex(partition) };
            targets.insert(id, replicas.map(|replicas| replicas.into_iter().map(BrokerId).collect()));
        } else {
            let reason = "The partition does not exist.".to_owned();
            answers.push((topic, answer(partition, Err((ErrorCode::UnknownTopicOrPartition, reason)))));
        }
    }
    let Some(judged) = ask(&env.controller, |reply| ControllerCommand::Reassign { targets, reply }).await else {
        return refused();
    };
    let judged = judged.into_iter();
    answers.extend(judged.map(|(id, outcome): Reassigned| (id.topic.as_str().into(), answer(id.partition.0, outcome))));
    let mut topics = BTreeMap::<Str, Vec<ReassignablePartitionResponse>>::new();
    answers.into_iter().for_each(|(topic, answer)| topics.entry(topic).or_default().push(answer));
    let topics = topics.into_iter().map(|(name, partitions)| ReassignableTopicResponse { name, partitions });
    AlterPartitionReassignmentsResponse { responses: topics.collect(), ..Default::default() }
}

fn answer(partition_index: i32, outcome: Result<(), (ErrorCode, String)>) -> ReassignablePartitionResponse {
    match outcome {
        Ok(()) => ReassignablePartitionResponse { partition_index, ..Default::default() },
        Err((error_code, reason)) => {
            ReassignablePartitionResponse { partition_index, error_code, error_message: Some(reason.into()) }
        }
    }
}

fn refused() -> AlterPartitionReassignmentsResponse {
    let (error_code, reason) = not_controller();
    AlterPartitionReassignmentsResponse { error_code, error_message: Some(reason.into()), ..Default::default() }
}
