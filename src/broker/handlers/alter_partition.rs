//! AlterPartition: a leader asks the controller for another set of in-sync replicas.

use crate::broker::ask;
use crate::broker::controller::ControllerCommand;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::machine::isr_change::{IsrAnswer, IsrChange};
use crate::model::{
    BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicId, TopicName, TopicPartition,
};
use crate::wire::message::alter_partition::{
    AlterPartitionRequest, AlterPartitionResponse, PartitionResult, TopicData, TopicResult,
};
use crate::wire::{RequestHeader, Str};

/// Topics are named by id from this version on.
const BY_ID_FROM: i16 = 2;

/// The ISR has broker epochs from this version on.
const EPOCHS_FROM: i16 = 3;

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    header: &RequestHeader,
    request: AlterPartitionRequest,
) -> AlterPartitionResponse {
    let (broker, broker_epoch) = (BrokerId(request.broker_id), BrokerEpoch(request.broker_epoch));
    let mut answers = Vec::new();
    let mut changes = Vec::new();
    let mut unknown = Vec::new();
    for topic in request.topics {
        match topic_of(env, header.version, &topic) {
            Ok((name, topic_id)) => changes.extend(changes_of(&name, topic_id, &topic, header.version)),
            Err(code) => unknown.push((topic, code)),
        }
    }
    // Asked even for nothing: one that was just elected has not read the topics yet, and says so by not answering before it has.
    let wishes = changes.clone();
    let asked = ask(&env.controller, |reply| ControllerCommand::AlterPartition {
        broker,
        broker_epoch,
        changes: wishes,
        reply,
    });
    match asked.await.unwrap_or(Err(ErrorCode::NotController)) {
        Ok(found) => answers.extend(changes.into_iter().zip(found).map(|(change, answer)| {
            let TopicPartition { topic, partition } = change.partition;
            let answer = answer.map_err(|code| for_version(code, header.version));
            (topic.as_str().into(), change.topic_id, result(partition.0, answer))
        })),
        Err(error_code) => return AlterPartitionResponse { error_code, ..Default::default() },
    }
    for (topic, code) in unknown {
        // What has come to be known meanwhile is to be asked for again. A leader of Kafka's takes "unknown" as the last word.
        let code = topic_of(env, header.version, &topic).map_or(code, |_| ErrorCode::NotController);
        answers.extend(
            topic.partitions.iter().map(|partition| {
                (topic.topic_name.clone(), topic.topic_id, result(partition.partition_index, Err(code)))
            }),
        );
    }
    response(header.version, answers)
}

/// `INELIGIBLE_REPLICA` came with version 2 (KIP-841).
fn for_version(code: ErrorCode, version: i16) -> ErrorCode {
    let is_new = code == ErrorCode::IneligibleReplica && version < BY_ID_FROM;
    if is_new { ErrorCode::OperationNotAttempted } else { code }
}

/// Name and id of a topic, of which the version carries one; no id where it carries none.
fn topic_of(env: &Env, version: i16, topic: &TopicData) -> Result<(TopicName, TopicId), ErrorCode> {
    if version < BY_ID_FROM {
        let name = TopicName::new(&topic.topic_name).map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
        return Ok((name, TopicId::ZERO));
    }
    let image = env.metadata.load();
    let (name, _) = image.topic_by_id(topic.topic_id).ok_or(ErrorCode::UnknownTopicId)?;
    Ok((name.clone(), topic.topic_id))
}

fn changes_of(name: &TopicName, topic_id: TopicId, topic: &TopicData, version: i16) -> Vec<IsrChange> {
    let change = |partition: &crate::wire::message::alter_partition::PartitionData| {
        let isr = if version < EPOCHS_FROM {
            partition.new_isr.iter().copied().map(BrokerId).collect()
        } else {
            partition.new_isr_with_epochs.iter().map(|state| BrokerId(state.broker_id)).collect()
        };
        // Where the version has no epochs, or the leader does not know one.
        let known = partition.new_isr_with_epochs.iter().filter(|state| 0 <= state.broker_epoch);
        IsrChange {
            partition: TopicPartition { topic: name.clone(), partition: PartitionIndex(partition.partition_index) },
            topic_id,
            leader_epoch: LeaderEpoch(partition.leader_epoch),
            partition_epoch: PartitionEpoch(partition.partition_epoch),
            isr,
            joins: known.map(|state| (BrokerId(state.broker_id), BrokerEpoch(state.broker_epoch))).collect(),
            recovering: partition.leader_recovery_state == 1,
        }
    };
    topic.partitions.iter().map(change).collect()
}

fn result(partition_index: i32, answer: IsrAnswer) -> PartitionResult {
    match answer {
        Ok(state) => PartitionResult {
            partition_index,
            error_code: ErrorCode::None,
            leader_id: state.leader.0,
            leader_epoch: state.leader_epoch.0,
            isr: state.isr.iter().map(|id| id.0).collect(),
            leader_recovery_state: i8::from(state.recovering),
            partition_epoch: state.partition_epoch.0,
        },
        Err(error_code) => PartitionResult { partition_index, error_code, ..Default::default() },
    }
}

fn response(version: i16, answers: Vec<(Str, TopicId, PartitionResult)>) -> AlterPartitionResponse {
    let mut topics = Vec::<TopicResult>::new();
    for (name, id, partition) in answers {
        let (topic_name, topic_id) = if version < BY_ID_FROM { (name, TopicId::ZERO) } else { (Str::default(), id) };
        match topics.last_mut().filter(|last| last.topic_id == topic_id && last.topic_name == topic_name) {
            Some(last) => last.partitions.push(partition),
            None => topics.push(TopicResult { topic_name, topic_id, partitions: vec![partition] }),
        }
    }
    AlterPartitionResponse { topics, ..Default::default() }
}
