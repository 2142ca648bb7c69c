//! StopReplica: the controller lets go of replicas here, with or without their data.

use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::broker::replicas::{ReplicasCommand, StoppedReplica};
use crate::model::{BrokerEpoch, ControllerEpoch, ErrorCode, LeaderEpoch, PartitionIndex, TopicName, TopicPartition};
use crate::wire::message::stop_replica::{StopReplicaPartitionError, StopReplicaRequest, StopReplicaResponse};
use crate::wire::{RequestHeader, Str};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: StopReplicaRequest,
) -> StopReplicaResponse {
    let epochs = (BrokerEpoch(request.broker_epoch), ControllerEpoch(request.controller_epoch));
    if let Err(error_code) = env.membership.admit(epochs.0, epochs.1) {
        return StopReplicaResponse { error_code, ..Default::default() };
    }
    let mut errors = Vec::new();
    let mut partitions = Vec::new();
    for (topic, partition, leader_epoch, delete) in replicas(&request) {
        match TopicName::new(&topic) {
            Ok(name) => {
                let partition = TopicPartition { topic: name, partition: PartitionIndex(partition) };
                partitions.push(StoppedReplica { partition, leader_epoch: LeaderEpoch(leader_epoch), delete });
            }
            Err(_) => errors.push(error(topic, partition, ErrorCode::InvalidTopicException)),
        }
    }
    let asked = partitions.iter().map(|stopped| stopped.partition.clone()).collect::<Vec<_>>();
    let answers =
        ask(&env.replicas, |reply| ReplicasCommand::StopReplica { controller_epoch: epochs.1, partitions, reply })
            .await;
    let answers = answers.unwrap_or_else(|| asked.into_iter().map(|id| (id, ErrorCode::KafkaStorageError)).collect());
    errors.extend(answers.into_iter().map(|(id, code)| error(id.topic.as_str().into(), id.partition.0, code)));
    StopReplicaResponse { partition_errors: errors, ..Default::default() }
}

fn error(topic_name: Str, partition_index: i32, error_code: ErrorCode) -> StopReplicaPartitionError {
    StopReplicaPartitionError { topic_name, partition_index, error_code }
}

/// Every replica, however the version groups them: topic, partition, leader epoch, whether its data goes.
fn replicas(request: &StopReplicaRequest) -> Vec<(Str, i32, i32, bool)> {
    let delete = request.delete_partitions;
    let first = request.ungrouped_partitions.iter();
    let first = first.map(|partition| (partition.topic_name.clone(), partition.partition_index, -1, delete));
    let second = request
        .topics
        .iter()
        .flat_map(|topic| topic.partition_indexes.iter().map(|partition| (topic.name.clone(), *partition, -1, delete)));
    let third = request.topic_states.iter().flat_map(|topic| {
        let states = topic.partition_states.iter();
        states
            .map(|state| (topic.topic_name.clone(), state.partition_index, state.leader_epoch, state.delete_partition))
    });
    first.chain(second).chain(third).collect()
}
