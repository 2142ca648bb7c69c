//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup: what members of a classic group say.

use super::coordinate;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::broker::ports::random;
use crate::machine::group::{Heartbeat, Join, JoinReply, Leave, Leaving, Protocol, Reply, Request, Sync, SyncReply};
use crate::model::ErrorCode;
use crate::wire::RequestHeader;
use crate::wire::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use crate::wire::message::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};
use crate::wire::message::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};
use crate::wire::message::sync_group::{SyncGroupRequest, SyncGroupResponse};

/// The first version of JoinGroup in which "no protocol" is null; before it is empty (KIP-559).
const NULL_PROTOCOL_FROM: i16 = 7;

/// The first version of LeaveGroup that names several members.
const SEVERAL_FROM: i16 = 3;

pub(super) async fn handle_join(
    env: &Env,
    peer: &mut Peer,
    header: &RequestHeader,
    request: JoinGroupRequest,
) -> JoinGroupResponse {
    let member_id = request.member_id.clone();
    let protocols = request.protocols.into_iter();
    let join = Join {
        group: request.group_id,
        version: header.version,
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        client_id: header.client_id.clone().unwrap_or_default(),
        client_host: format!("/{}", peer.address.ip()).into(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type,
        protocols: protocols.map(|it| Protocol { name: it.name, metadata: it.metadata }).collect(),
        random: random(&*env.ports.entropy),
    };
    let reply = match coordinate(env, Request::Join(join)).await {
        Some(Reply::Join(reply)) => reply,
        _ => JoinReply::refused(member_id, ErrorCode::NotCoordinator),
    };
    let protocol_name = match reply.protocol {
        None if header.version < NULL_PROTOCOL_FROM => Some("".into()),
        protocol => protocol,
    };
    let members = reply.members.into_iter().map(|member| JoinGroupResponseMember {
        member_id: member.member_id,
        group_instance_id: member.instance_id,
        metadata: member.metadata,
    });
    JoinGroupResponse {
        error_code: reply.error,
        generation_id: reply.generation,
        protocol_type: reply.protocol_type,
        protocol_name,
        leader: reply.leader,
        skip_assignment: reply.skip_assignment,
        member_id: reply.member_id,
        members: members.collect(),
        ..Default::default()
    }
}

pub(super) async fn handle_sync(
    env: &Env,
    _: &mut Peer,
    header: &RequestHeader,
    request: SyncGroupRequest,
) -> SyncGroupResponse {
    let sync = Sync {
        group: request.group_id,
        version: header.version,
        generation: request.generation_id,
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: request.assignments.into_iter().map(|it| (it.member_id, it.assignment)).collect(),
    };
    let reply = match coordinate(env, Request::Sync(sync)).await {
        Some(Reply::Sync(reply)) => reply,
        _ => SyncReply::refused(ErrorCode::NotCoordinator),
    };
    SyncGroupResponse {
        error_code: reply.error,
        protocol_type: reply.protocol_type,
        protocol_name: reply.protocol,
        assignment: reply.assignment,
        ..Default::default()
    }
}

pub(super) async fn handle_heartbeat(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    let heartbeat = Heartbeat {
        group: request.group_id,
        generation: request.generation_id,
        member_id: request.member_id,
        instance_id: request.group_instance_id,
    };
    let error_code = match coordinate(env, Request::Heartbeat(heartbeat)).await {
        Some(Reply::Heartbeat(error)) => error,
        _ => ErrorCode::NotCoordinator,
    };
    HeartbeatResponse { error_code, ..Default::default() }
}

pub(super) async fn handle_leave(
    env: &Env,
    _: &mut Peer,
    header: &RequestHeader,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    let members = if SEVERAL_FROM <= header.version {
        let members = request.members.into_iter();
        members.map(|it| Leaving { member_id: it.member_id, instance_id: it.group_instance_id }).collect()
    } else {
        vec![Leaving { member_id: request.member_id, instance_id: None }]
    };
    let leave = Leave { group: request.group_id, members: members.clone() };
    let outcome = match coordinate(env, Request::Leave(leave)).await {
        Some(Reply::Leave(outcome)) => outcome,
        _ => Err(ErrorCode::NotCoordinator),
    };
    match outcome {
        Err(error_code) => LeaveGroupResponse { error_code, ..Default::default() },
        Ok(errors) if header.version < SEVERAL_FROM => {
            let error_code = errors.first().copied().unwrap_or(ErrorCode::None);
            LeaveGroupResponse { error_code, ..Default::default() }
        }
        Ok(errors) => {
            let answered = members.into_iter().zip(errors).map(|(member, error_code)| MemberResponse {
                member_id: member.member_id,
                group_instance_id: member.instance_id,
                error_code,
            });
            LeaveGroupResponse { members: answered.collect(), ..Default::default() }
        }
    }
}
