//! DescribeGroups, ListGroups and DeleteGroups: what administrators ask of groups.

use std::sync::Arc;

use super::{GROUP_OPERATIONS, coordinate, coordinator};
use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::groups::GroupCommand;
use crate::broker::peer::Peer;
use crate::machine::group::{Description, Filter, Reply, Request};
use crate::model::ErrorCode;
use crate::wire::message::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};
use crate::wire::message::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use crate::wire::message::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};
use crate::wire::{RequestHeader, Str};

pub(super) async fn handle_describe(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let authorized_operations = if request.include_authorized_operations { GROUP_OPERATIONS } else { i32::MIN };
    let mut groups = Vec::with_capacity(request.groups.len());
    for group_id in request.groups {
        groups.push(match describe(env, &group_id).await {
            Ok(description) => described(group_id, description, authorized_operations),
            Err(error_code) => DescribedGroup { error_code, group_id, ..Default::default() },
        });
    }
    DescribeGroupsResponse { groups, ..Default::default() }
}

async fn describe(env: &Env, group: &Str) -> Result<Description, ErrorCode> {
    let coordinator = coordinator(env, group).ok_or(ErrorCode::NotCoordinator)?;
    let group = group.clone();
    let described = ask(&coordinator, |reply| GroupCommand::Describe { group, reply }).await;
    described.unwrap_or(Err(ErrorCode::NotCoordinator))
}

fn described(group_id: Str, description: Description, authorized_operations: i32) -> DescribedGroup {
    let members = description.members.into_iter().map(|member| DescribedGroupMember {
        member_id: member.member_id,
        group_instance_id: member.instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    });
    DescribedGroup {
        group_id,
        group_state: description.state.into(),
        protocol_type: description.protocol_type,
        protocol_data: description.protocol,
        members: members.collect(),
        authorized_operations,
        ..Default::default()
    }
}

pub(super) async fn handle_list(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    let filter = Arc::new(Filter { states: request.states_filter, types: request.types_filter });
    let (mut groups, mut error_code) = (Vec::new(), ErrorCode::None);
    for coordinator in env.groups.all() {
        let filter = Arc::clone(&filter);
        match ask(&coordinator, |reply| GroupCommand::List { filter, reply }).await {
            Some(Ok(listed)) => groups.extend(listed.into_iter().map(|listed| ListedGroup {
                group_id: listed.group,
                protocol_type: listed.protocol_type,
                group_state: listed.state.into(),
                group_type: listed.group_type.into(),
            })),
            Some(Err(error)) => error_code = error,
            None => error_code = ErrorCode::CoordinatorNotAvailable,
        }
    }
    ListGroupsResponse { error_code, groups, ..Default::default() }
}

pub(super) async fn handle_delete(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let error_code = match coordinate(env, Request::Delete { group: group_id.clone() }).await {
            Some(Reply::Delete(error)) => error,
            _ => ErrorCode::NotCoordinator,
        };
        results.push(DeletableGroupResult { group_id, error_code });
    }
    DeleteGroupsResponse { results, ..Default::default() }
}
