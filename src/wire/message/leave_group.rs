//! LeaveGroup (key 13): members leave a classic group.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Takes members out of the group (KIP-345, KIP-800). Versions 0 to 2 name one, later ones several.
    struct LeaveGroupRequest {
        /// The group's name.
        group_id: Str [0..],
        /// The member that leaves, up to version 2.
        member_id: Str [0..=2],
        /// The members that leave, from version 3 on.
        members: Vec<MemberIdentity> [3..],
    }

    /// An element of [`LeaveGroupRequest::members`].
    struct MemberIdentity {
        /// The member's id, which the coordinator gives out; empty before that.
        member_id: Str [3..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Str> [3..],
        /// Why the member leaves, in words; null for unsaid (KIP-800).
        reason: Option<Str> [5..; ignorable],
    }

    /// Answers [`LeaveGroupRequest`]: the outcome per member.
    struct LeaveGroupResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [1..; ignorable],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The members.
        members: Vec<MemberResponse> [3..],
    }

    /// An element of [`LeaveGroupResponse::members`].
    struct MemberResponse {
        /// The member's id, which the coordinator gives out; empty before that.
        member_id: Str [3..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Str> [3..],
        /// What went wrong, if anything.
        error_code: ErrorCode [3..],
    }
}
