//! ElectLeaders: back to the preferred leaders; or any leader where there is none, which may lose records.

use std::collections::BTreeMap;

use super::{is_controller, not_controller};
use crate::broker::ask;
use crate::broker::controller::ControllerCommand;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::model::{ErrorCode, PartitionIndex, TopicName, TopicPartition};
use crate::wire::message::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use crate::wire::{RequestHeader, Str};

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    header: &RequestHeader,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    if !matches!(request.election_type, PREFERRED | UNCLEAN) {
        return ElectLeadersResponse { error_code: ErrorCode::InvalidRequest, ..Default::default() };
    }
    let all = request.topic_partitions.is_none();
    let named = request.topic_partitions.unwrap_or_default().into_iter().flat_map(|topic| {
        let name = topic.topic;
        topic.partitions.into_iter().map(move |partition| (name.clone(), partition))
    });
    let named = if all { every_partition(env) } else { named.collect() };
    let mut results = BTreeMap::<Str, Vec<PartitionResult>>::new();
    for (topic, partition, error_code) in elect(env, request.election_type, named).await {
        // Asked about everything, only what was to be done is answered (`ElectLeaders` with null).
        if all && error_code == ErrorCode::ElectionNotNeeded {
            continue;
        }
        let error_message = error_code.is_error().then(|| error_code.message().into());
        results.entry(topic).or_default().push(PartitionResult { partition_id: partition, error_code, error_message });
    }
    let results =
        results.into_iter().map(|(topic, partition_result)| ReplicaElectionResult { topic, partition_result });
    // Version 0 says everything per partition.
    let error_code = if is_controller(env) || header.version == 0 { ErrorCode::None } else { not_controller().0 };
    ElectLeadersResponse { error_code, replica_election_results: results.collect(), ..Default::default() }
}

fn every_partition(env: &Env) -> Vec<(Str, i32)> {
    let image = env.metadata.load();
    let named = |(name, topic): (&TopicName, &std::sync::Arc<crate::broker::image::TopicImage>)| {
        let name = Str::from(name.as_str());
        topic.partitions.keys().map(move |index| (name.clone(), index.0)).collect::<Vec<_>>()
    };
    image.topics.iter().flat_map(named).collect()
}

async fn elect(env: &Env, election: i8, named: Vec<(Str, i32)>) -> Vec<(Str, i32, ErrorCode)> {
    if !is_controller(env) {
        return named.into_iter().map(|(topic, partition)| (topic, partition, ErrorCode::NotController)).collect();
    }
    let mut answers = Vec::new();
    let mut partitions = Vec::new();
    for (topic, partition) in named {
        match TopicName::new(&topic) {
            Ok(topic) => partitions.push(TopicPartition { topic, partition: PartitionIndex(partition) }),
            Err(_) => answers.push((topic, partition, ErrorCode::UnknownTopicOrPartition)),
        }
    }
    let (named, unclean) = (partitions.clone(), election == UNCLEAN);
    let asked = ask(&env.controller, |reply| ControllerCommand::Elect { partitions: named, unclean, reply });
    let elected = match asked.await {
        Some(elected) => elected,
        None => partitions.into_iter().map(|id| (id, ErrorCode::NotController)).collect(),
    };
    answers.extend(elected.into_iter().map(|(id, code)| (id.topic.as_str().into(), id.partition.0, code)));
    answers
}
