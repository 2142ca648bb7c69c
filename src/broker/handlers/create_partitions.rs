//! CreatePartitions: more partitions for topics that are there.

use super::{ask_admin, is_controller, named_twice, not_controller, patience};
use crate::broker::admin::{AdminCommand, MorePartitions};
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::model::ErrorCode;
use crate::wire::RequestHeader;
use crate::wire::message::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let doubled = named_twice(request.topics.iter().map(|topic| topic.name.clone()));
    let once = |topic: &CreatePartitionsTopic| !doubled.contains(&topic.name);
    let topics = request.topics.into_iter().filter(once).collect::<Vec<_>>();
    let names = topics.iter().map(|topic| topic.name.clone()).collect::<Vec<_>>();
    let answers = if is_controller(env) {
        let topics = topics.into_iter().map(more).collect();
        let (validate_only, patience) = (request.validate_only, patience(request.timeout_ms));
        let command = |reply| AdminCommand::CreatePartitions { topics, validate_only, patience, reply };
        ask_admin(env, names.len(), command).await
    } else {
        names.iter().map(|_| Err(not_controller())).collect()
    };
    let results = names.into_iter().zip(answers).map(|(name, answer)| match answer {
        Ok(()) => CreatePartitionsTopicResult { name, ..Default::default() },
        Err((error_code, message)) => {
            CreatePartitionsTopicResult { name, error_code, error_message: Some(message.into()) }
        }
    });
    let doubled = doubled.iter().map(|name| CreatePartitionsTopicResult {
        name: name.clone(),
        error_code: ErrorCode::InvalidRequest,
        error_message: Some("Duplicate topic in request.".into()),
    });
    CreatePartitionsResponse { results: results.chain(doubled).collect(), ..Default::default() }
}

fn more(topic: CreatePartitionsTopic) -> MorePartitions {
    let replicas = |assignments: Vec<_>| {
        assignments
            .into_iter()
            .map(|assignment: crate::wire::message::create_partitions::CreatePartitionsAssignment| {
                assignment.broker_ids
            })
            .collect()
    };
    MorePartitions { name: topic.name.to_string(), total: topic.count, assignment: topic.assignments.map(replicas) }
}
