//! ListPartitionReassignments: which partitions are on the move (KIP-455).

use std::collections::{BTreeMap, BTreeSet};

use super::{is_controller, not_controller};
use crate::broker::ask;
use crate::broker::controller::ControllerCommand;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::model::BrokerId;
use crate::wire::message::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, OngoingPartitionReassignment,
    OngoingTopicReassignment,
};
use crate::wire::{RequestHeader, Str};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    if !is_controller(env) {
        return refused();
    }
    let Some(moving) = ask(&env.controller, |reply| ControllerCommand::Reassignments { reply }).await else {
        return refused();
    };
    let named = request.topics.map(|topics| {
        let partitions = topics.into_iter().flat_map(|topic| {
            topic.partition_indexes.into_iter().map(move |partition| (topic.name.as_str().to_owned(), partition))
        });
        partitions.collect::<BTreeSet<_>>()
    });
    let mut topics = BTreeMap::<Str, Vec<OngoingPartitionReassignment>>::new();
    for (id, assignment) in moving {
        let key = (id.topic.as_str().to_owned(), id.partition.0);
        if named.as_ref().is_none_or(|named| named.contains(&key)) {
            topics.entry(id.topic.as_str().into()).or_default().push(OngoingPartitionReassignment {
                partition_index: id.partition.0,
                replicas: numbers(&assignment.replicas),
                adding_replicas: numbers(&assignment.adding),
                removing_replicas: numbers(&assignment.removing),
            });
        }
    }
    let topics = topics.into_iter().map(|(name, partitions)| OngoingTopicReassignment { name, partitions });
    ListPartitionReassignmentsResponse { topics: topics.collect(), ..Default::default() }
}

fn numbers(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

fn refused() -> ListPartitionReassignmentsResponse {
    let (error_code, reason) = not_controller();
    ListPartitionReassignmentsResponse { error_code, error_message: Some(reason.into()), ..Default::default() }
}
