//! ConsumerGroupHeartbeat and ConsumerGroupDescribe: groups of the consumer protocol (KIP-848).

use super::{GROUP_OPERATIONS, coordinate, coordinator};
use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::groups::GroupCommand;
use crate::broker::peer::Peer;
use crate::broker::ports::random;
use crate::machine::group::{ConsumerDescription, ConsumerHeartbeat, DescribedConsumer, Refusal, Reply, Request};
use crate::model::{ErrorCode, TopicId};
use crate::wire::message::consumer_group_describe::{
    self as describe, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
};
use crate::wire::message::consumer_group_heartbeat::{
    self as heartbeat, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use crate::wire::{RequestHeader, Str};

pub(super) async fn handle_heartbeat(
    env: &Env,
    peer: &mut Peer,
    header: &RequestHeader,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let asked = ConsumerHeartbeat {
        group: request.group_id,
        version: header.version,
        member_id: request.member_id,
        epoch: request.member_epoch,
        instance_id: request.instance_id,
        rack_id: request.rack_id,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        topic_names: request.subscribed_topic_names,
        topic_regex: request.subscribed_topic_regex,
        assignor: request.server_assignor,
        owned: request.topic_partitions.map(|owned| owned.into_iter().map(|it| (it.topic_id, it.partitions)).collect()),
        client_id: header.client_id.clone().unwrap_or_default(),
        client_host: format!("/{}", peer.address.ip()).into(),
        random: random(&*env.ports.entropy),
    };
    let answer = match coordinate(env, Request::ConsumerHeartbeat(asked)).await {
        Some(Reply::ConsumerHeartbeat(answer)) => answer,
        _ => Err(ErrorCode::NotCoordinator.into()),
    };
    match answer {
        Ok(reply) => {
            let topics = |(topic_id, partitions)| heartbeat::TopicPartitions { topic_id, partitions };
            let assignment = reply
                .assignment
                .map(|assigned| heartbeat::Assignment { topic_partitions: assigned.into_iter().map(topics).collect() });
            ConsumerGroupHeartbeatResponse {
                member_id: Some(reply.member_id),
                member_epoch: reply.epoch,
                heartbeat_interval_ms: reply.interval_ms,
                assignment,
                ..Default::default()
            }
        }
        Err(refusal) => ConsumerGroupHeartbeatResponse {
            error_code: refusal.error,
            error_message: refusal.message.map(Str::from),
            ..Default::default()
        },
    }
}

pub(super) async fn handle_describe(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let authorized_operations = if request.include_authorized_operations { GROUP_OPERATIONS } else { i32::MIN };
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for group_id in request.group_ids {
        groups.push(match describe(env, &group_id).await {
            Ok(description) => described(group_id, description, authorized_operations),
            Err(refusal) => DescribedGroup {
                error_code: refusal.error,
                error_message: refusal.message.map(Str::from),
                group_id,
                ..Default::default()
            },
        });
    }
    ConsumerGroupDescribeResponse { groups, ..Default::default() }
}

async fn describe(env: &Env, group: &Str) -> Result<ConsumerDescription, Refusal> {
    let coordinator = coordinator(env, group).ok_or(ErrorCode::NotCoordinator)?;
    let group = group.clone();
    let described = ask(&coordinator, |reply| GroupCommand::DescribeConsumer { group, reply }).await;
    described.unwrap_or_else(|| Err(ErrorCode::NotCoordinator.into()))
}

fn described(group_id: Str, description: ConsumerDescription, authorized_operations: i32) -> DescribedGroup {
    DescribedGroup {
        group_id,
        group_state: description.state.into(),
        group_epoch: description.epoch,
        assignment_epoch: description.target_epoch,
        assignor_name: description.assignor,
        members: description.members.into_iter().map(member).collect(),
        authorized_operations,
        ..Default::default()
    }
}

fn member(member: DescribedConsumer) -> describe::Member {
    describe::Member {
        member_id: member.member_id,
        instance_id: member.instance_id,
        rack_id: member.rack_id,
        member_epoch: member.epoch,
        client_id: member.client_id,
        client_host: member.client_host,
        subscribed_topic_names: member.topic_names,
        subscribed_topic_regex: member.topic_regex,
        assignment: assignment(member.assigned),
        target_assignment: assignment(member.target),
        member_type: if member.is_classic { 0 } else { 1 },
    }
}

fn assignment(topics: Vec<(TopicId, Str, Vec<i32>)>) -> describe::Assignment {
    let topic = |(topic_id, topic_name, partitions)| describe::TopicPartitions { topic_id, topic_name, partitions };
    describe::Assignment { topic_partitions: topics.into_iter().map(topic).collect() }
}
