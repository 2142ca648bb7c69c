//! LeaderAndIsr: the controller says which replicas here lead and which follow.

use std::collections::{BTreeMap, BTreeSet};

use crate::broker::ask;
use crate::broker::config_watch::LoadTopics;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::broker::replicas::ReplicasCommand;
use crate::machine::controller::{Assignment, PartitionNotice, PartitionState};
use crate::model::{
    BrokerEpoch, BrokerId, ControllerEpoch, ErrorCode, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicId, TopicName,
    TopicPartition,
};
use crate::wire::message::leader_and_isr::{
    LeaderAndIsrPartitionError, LeaderAndIsrPartitionState, LeaderAndIsrRequest, LeaderAndIsrResponse,
    LeaderAndIsrTopicError,
};
use crate::wire::{RequestHeader, Str};

/// Answers name topics by id from this version on.
const BY_ID_FROM: i16 = 5;

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    header: &RequestHeader,
    request: LeaderAndIsrRequest,
) -> LeaderAndIsrResponse {
    let epochs = (BrokerEpoch(request.broker_epoch), ControllerEpoch(request.controller_epoch));
    if let Err(error_code) = env.membership.admit(epochs.0, epochs.1) {
        return LeaderAndIsrResponse { error_code, ..Default::default() };
    }
    let (mut notices, mut refused) = (Vec::new(), Vec::new());
    for (topic, topic_id, state) in states(request) {
        match TopicName::new(&topic) {
            Ok(name) => notices.push(notice(name, topic_id, &state)),
            Err(_) => refused.push((topic, topic_id, state.partition_index, ErrorCode::InvalidTopicException)),
        }
    }
    load_settings(env, &notices).await;
    let ids = notices.iter().map(|notice| (notice.id(), notice.topic_id)).collect::<Vec<_>>();
    let asked = ask(&env.replicas, |reply| ReplicasCommand::LeaderAndIsr {
        controller_epoch: epochs.1,
        partitions: notices,
        reply,
    });
    let answers = asked.await.unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>();
    let code = |id: &TopicPartition| answers.get(id).copied().unwrap_or(ErrorCode::UnknownServerError);
    let told = ids.iter().map(|(id, topic_id)| (Str::from(id.topic.as_str()), *topic_id, id.partition.0, code(id)));
    response(header.version, told.chain(refused).collect())
}

/// No notice tells of a new topic's settings: they are read before its partitions are made.
async fn load_settings(env: &Env, notices: &[PartitionNotice]) {
    let topics = {
        let here = env.directory.load();
        let topics = notices.iter().map(|notice| notice.topic.clone()).collect::<BTreeSet<_>>();
        topics.into_iter().filter(|topic| !here.contains_key(topic)).collect::<Vec<_>>()
    };
    if !topics.is_empty() {
        // Without them, defaults hold until the watch has read them again.
        let _ = ask(&env.config_watch, |reply| LoadTopics { topics, reply }).await;
    }
}

/// Every partition's state, however the version groups them.
fn states(request: LeaderAndIsrRequest) -> Vec<(Str, TopicId, LeaderAndIsrPartitionState)> {
    let ungrouped = request.ungrouped_partition_states.into_iter();
    let ungrouped = ungrouped.map(|state| (state.topic_name.clone(), TopicId::ZERO, state));
    let grouped = request.topic_states.into_iter().flat_map(|topic| {
        let (name, id) = (topic.topic_name, topic.topic_id);
        topic.partition_states.into_iter().map(move |state| (name.clone(), id, state))
    });
    ungrouped.chain(grouped).collect()
}

fn notice(topic: TopicName, topic_id: TopicId, state: &LeaderAndIsrPartitionState) -> PartitionNotice {
    PartitionNotice {
        topic,
        topic_id,
        partition: PartitionIndex(state.partition_index),
        assignment: Assignment {
            replicas: state.replicas.iter().copied().map(BrokerId).collect(),
            adding: state.adding_replicas.iter().copied().map(BrokerId).collect(),
            removing: state.removing_replicas.iter().copied().map(BrokerId).collect(),
        },
        offline: vec![],
        state: PartitionState {
            controller_epoch: ControllerEpoch(state.controller_epoch),
            leader: BrokerId(state.leader),
            leader_epoch: LeaderEpoch(state.leader_epoch),
            isr: state.isr.iter().copied().map(BrokerId).collect(),
            partition_epoch: PartitionEpoch(state.partition_epoch),
            recovering: state.leader_recovery_state == 1,
        },
        is_new: state.is_new,
    }
}

fn response(version: i16, answers: Vec<(Str, TopicId, i32, ErrorCode)>) -> LeaderAndIsrResponse {
    let mut response = LeaderAndIsrResponse::default();
    for (topic_name, topic_id, partition_index, error_code) in answers {
        let error = LeaderAndIsrPartitionError { topic_name, partition_index, error_code };
        if version < BY_ID_FROM {
            response.partition_errors.push(error);
            continue;
        }
        let error = LeaderAndIsrPartitionError { topic_name: Str::default(), ..error };
        match response.topics.last_mut().filter(|last| last.topic_id == topic_id) {
            Some(last) => last.partition_errors.push(error),
            None => response.topics.push(LeaderAndIsrTopicError { topic_id, partition_errors: vec![error] }),
        }
    }
    response
}
