//! DescribeGroups (key 15): what classic groups look like.

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for groups in detail (KIP-345, KIP-430).
    struct DescribeGroupsRequest {
        /// The groups' names.
        groups: Vec<Str> [0..],
        /// Whether to say what the asker may do.
        include_authorized_operations: bool [3..],
    }

    /// Answers [`DescribeGroupsRequest`]: the groups.
    struct DescribeGroupsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [1..; ignorable],
        /// One entry per group.
        groups: Vec<DescribedGroup> [0..],
    }

    /// An element of [`DescribeGroupsResponse::groups`].
    struct DescribedGroup {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The group's name.
        group_id: Str [0..],
        /// The group's state, by name.
        group_state: Str [0..],
        /// What kind of group it is, for instance `consumer`.
        protocol_type: Str [0..],
        /// The protocol that the group chose.
        protocol_data: Str [0..],
        /// The members.
        members: Vec<DescribedGroupMember> [0..],
        /// What the asker may do, one bit per operation; `i32::MIN` when that was not asked.
        authorized_operations: i32 = -2_147_483_648 [3..],
    }

    /// An element of [`DescribedGroup::members`].
    struct DescribedGroupMember {
        /// The member's id.
        member_id: Str [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Str> [4..; ignorable],
        /// What the member's client calls itself.
        client_id: Str [0..],
        /// The address of the member's client.
        client_host: Str [0..],
        /// What the member said when it joined.
        member_metadata: Bytes [0..],
        /// What the member is to read.
        member_assignment: Bytes [0..],
    }
}
