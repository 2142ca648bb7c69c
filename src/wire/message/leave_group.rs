//! LeaveGroup (key 13).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct LeaveGroupRequest {
        /// TODO
        group_id: Str [0..],
        /// TODO
        member_id: Str [0..=2],
        /// TODO
        members: Vec<MemberIdentity> [3..],
    }

    /// An element of [`LeaveGroupRequest::members`].
    struct MemberIdentity {
        /// TODO
        member_id: Str [3..],
        /// TODO
        group_instance_id: Option<Str> [3..],
        /// TODO
        reason: Option<Str> [5..; ignorable],
    }

    /// TODO
    struct LeaveGroupResponse {
        /// TODO
        throttle_time_ms: i32 [1..; ignorable],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        members: Vec<MemberResponse> [3..],
    }

    /// An element of [`LeaveGroupResponse::members`].
    struct MemberResponse {
        /// TODO
        member_id: Str [3..],
        /// TODO
        group_instance_id: Option<Str> [3..],
        /// TODO
        error_code: ErrorCode [3..],
    }
}
