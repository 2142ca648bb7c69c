//! FindCoordinator: the leader of the partition of `__consumer_offsets` that a group is kept in. The first who asks for a
//! group makes that topic.

use std::time::Duration;

use super::ask_admin;
use crate::broker::admin::{AdminCommand, NewTopic};
use crate::broker::env::Env;
use crate::broker::groups;
use crate::broker::peer::Peer;
use crate::model::{ErrorCode, TopicName};
use crate::telemetry::{Event as _, event};
use crate::wire::message::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::{RequestHeader, Str};

/// How long an answer waits for the topic that it made to have leaders.
const CREATION_PATIENCE: Duration = Duration::from_millis(500);

/// The first version that asks for several.
const SEVERAL_FROM: i16 = 4;

/// Key types (`FindCoordinatorRequest.CoordinatorType`).
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) async fn handle(
    env: &Env,
    peer: &mut Peer,
    header: &RequestHeader,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if request.key_type == GROUP {
        create_topic(env).await;
    }
    let find = |key: &Str| match request.key_type {
        GROUP => find(env, peer, key).ok_or(ErrorCode::CoordinatorNotAvailable),
        TRANSACTION => Err(ErrorCode::CoordinatorNotAvailable),
        _ => Err(ErrorCode::InvalidRequest),
    };
    let answer = |key: &Str| match find(key) {
        Ok((node_id, host, port)) => Coordinator { key: key.clone(), node_id, host, port, ..Default::default() },
        Err(error_code) => Coordinator {
            key: key.clone(),
            node_id: -1,
            port: -1,
            error_code,
            error_message: Some(error_code.to_string().into()),
            ..Default::default()
        },
    };
    if SEVERAL_FROM <= header.version {
        let coordinators = request.coordinator_keys.iter().map(answer).collect();
        return FindCoordinatorResponse { coordinators, ..Default::default() };
    }
    let Coordinator { key: _, node_id, host, port, error_code, error_message } = answer(&request.key);
    FindCoordinatorResponse { error_code, error_message, node_id, host, port, ..Default::default() }
}

/// Id, host and port of the group's coordinator, as the peer's listener has them.
fn find(env: &Env, peer: &Peer, group: &str) -> Option<(i32, Str, i32)> {
    let image = env.metadata.load();
    let offsets = image.topics.get(TopicName::CONSUMER_OFFSETS)?;
    let leader = offsets.partitions.get(&groups::partition_of(group, offsets))?.state.leader;
    let (host, port) = image.brokers.get(&leader)?.address(&peer.listener)?;
    Some((leader.0, host.as_str().into(), i32::from(*port)))
}

/// Makes `__consumer_offsets` unless it is there, in Kafka's way, and waits a little for its leaders.
async fn create_topic(env: &Env) {
    if env.metadata.load().topics.contains_key(TopicName::CONSUMER_OFFSETS) {
        return;
    }
    let broker = env.settings.broker();
    let config = &broker.groups;
    // Without ZooKeeper there is one broker, now and later.
    let replication_factor = if broker.zookeeper.is_some() { config.replication_factor } else { 1 };
    let configs = [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "producer".to_owned()),
        ("segment.bytes", config.segment_bytes.to_string()),
    ];
    let topic = NewTopic {
        name: TopicName::CONSUMER_OFFSETS.to_owned(),
        partitions: Some(config.partitions),
        replication_factor: Some(replication_factor),
        assignment: vec![],
        configs: configs.into_iter().map(|(key, value)| (key.to_owned(), Some(value))).collect(),
    };
    let create = |reply| AdminCommand::CreateTopics {
        topics: vec![topic],
        validate_only: false,
        patience: CREATION_PATIENCE,
        reply,
    };
    for refusal in ask_admin(env, 1, create).await.into_iter().filter_map(Result::err) {
        let known = [ErrorCode::TopicAlreadyExists, ErrorCode::RequestTimedOut];
        if let (Ok(topic), false) = (TopicName::new(TopicName::CONSUMER_OFFSETS), known.contains(&refusal.0)) {
            event::AutoCreateFailed { topic, cause: refusal.1 }.emit();
        }
    }
}
