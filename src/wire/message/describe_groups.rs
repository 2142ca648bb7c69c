//! DescribeGroups (key 15).

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct DescribeGroupsRequest {
        /// TODO
        groups: Vec<Str> [0..],
        /// TODO
        include_authorized_operations: bool [3..],
    }

    /// TODO
    struct DescribeGroupsResponse {
        /// TODO
        throttle_time_ms: i32 [1..; ignorable],
        /// TODO
        groups: Vec<DescribedGroup> [0..],
    }

    /// An element of [`DescribeGroupsResponse::groups`].
    struct DescribedGroup {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        group_id: Str [0..],
        /// TODO
        group_state: Str [0..],
        /// TODO
        protocol_type: Str [0..],
        /// TODO
        protocol_data: Str [0..],
        /// TODO
        members: Vec<DescribedGroupMember> [0..],
        /// TODO
        authorized_operations: i32 = -2_147_483_648 [3..],
    }

    /// An element of [`DescribedGroup::members`].
    struct DescribedGroupMember {
        /// TODO
        member_id: Str [0..],
        /// TODO
        group_instance_id: Option<Str> [4..; ignorable],
        /// TODO
        client_id: Str [0..],
        /// TODO
        client_host: Str [0..],
        /// TODO
        member_metadata: Bytes [0..],
        /// TODO
        member_assignment: Bytes [0..],
    }
}
