//! CreateTopics: with a number of partitions or an assignment, and settings; or only checked.

use super::{ask_admin, is_controller, named_twice, not_controller, patience};
use crate::broker::admin::{AdminCommand, CreatedTopic, NewTopic, Refusal};
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::config::{self, Described};
use crate::model::ErrorCode;
use crate::wire::message::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::wire::{RequestHeader, Str};

/// "Not given": from version 4 on the broker's default is meant.
const DEFAULT: i32 = -1;

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let twice = named_twice(request.topics.iter().map(|topic| topic.name.clone()));
    let twice = |topic: &CreatableTopic| twice.contains(&topic.name);
    let (doubled, once): (Vec<_>, Vec<_>) = request.topics.into_iter().partition(twice);

    let names = once.iter().map(|topic| topic.name.clone()).collect::<Vec<_>>();
    let answers = if is_controller(env) {
        let topics = once.into_iter().map(new_topic).collect();
        let (validate_only, patience) = (request.validate_only, patience(request.timeout_ms));
        let command = |reply| AdminCommand::CreateTopics { topics, validate_only, patience, reply };
        ask_admin(env, names.len(), command).await
    } else {
        names.iter().map(|_| Err(not_controller())).collect()
    };
    let answered = names.into_iter().zip(answers).map(|(name, answer)| result(env, name, answer));
    let mut topics = answered.collect::<Vec<_>>();
    for name in doubled.into_iter().map(|topic| topic.name) {
        // Each is answered, as Kafka does.
        let refusal = (ErrorCode::InvalidRequest, "Found multiple entries for this topic.".to_owned());
        topics.push(result(env, name, Err(refusal)));
    }
    CreateTopicsResponse { topics, ..Default::default() }
}

fn new_topic(topic: CreatableTopic) -> NewTopic {
    NewTopic {
        name: topic.name.to_string(),
        partitions: (topic.num_partitions != DEFAULT).then_some(topic.num_partitions),
        replication_factor: (i32::from(topic.replication_factor) != DEFAULT).then_some(topic.replication_factor),
        assignment: topic
            .assignments
            .into_iter()
            .map(|partition| (partition.partition_index, partition.broker_ids))
            .collect(),
        configs: topic
            .configs
            .into_iter()
            .map(|config| (config.name.to_string(), config.value.map(|value| value.to_string())))
            .collect(),
    }
}

fn result(env: &Env, name: Str, answer: Result<CreatedTopic, Refusal>) -> CreatableTopicResult {
    match answer {
        Ok(created) => CreatableTopicResult {
            name,
            topic_id: created.id,
            num_partitions: created.partitions,
            replication_factor: created.replication_factor,
            configs: Some(
                config::describe_topic(&env.settings.layers(), &created.configs).into_iter().map(setting).collect(),
            ),
            ..Default::default()
        },
        Err((error_code, message)) => CreatableTopicResult {
            name,
            error_code,
            error_message: Some(message.into()),
            configs: Some(vec![]),
            ..Default::default()
        },
    }
}

fn setting(described: Described) -> CreatableTopicConfigs {
    CreatableTopicConfigs {
        read_only: described.is_read_only,
        config_source: described.source.code(),
        is_sensitive: described.is_sensitive,
        value: described.value.map(Str::from),
        name: described.name.into(),
    }
}
