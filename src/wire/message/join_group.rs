//! JoinGroup (key 11).

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct JoinGroupRequest {
        /// TODO
        group_id: Str [0..],
        /// TODO
        session_timeout_ms: i32 [0..],
        /// TODO
        rebalance_timeout_ms: i32 = -1 [1..; ignorable],
        /// TODO
        member_id: Str [0..],
        /// TODO
        group_instance_id: Option<Str> [5..],
        /// TODO
        protocol_type: Str [0..],
        /// TODO
        protocols: Vec<JoinGroupRequestProtocol> [0..],
        /// TODO
        reason: Option<Str> [8..; ignorable],
    }

    /// An element of [`JoinGroupRequest::protocols`].
    struct JoinGroupRequestProtocol {
        /// TODO
        name: Str [0..],
        /// TODO
        metadata: Bytes [0..],
    }

    /// TODO
    struct JoinGroupResponse {
        /// TODO
        throttle_time_ms: i32 [2..; ignorable],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        generation_id: i32 = -1 [0..],
        /// TODO
        protocol_type: Option<Str> [7..; ignorable],
        /// TODO
        protocol_name: Option<Str> [0.., nullable 7..],
        /// TODO
        leader: Str [0..],
        /// TODO
        skip_assignment: bool [9..],
        /// TODO
        member_id: Str [0..],
        /// TODO
        members: Vec<JoinGroupResponseMember> [0..],
    }

    /// An element of [`JoinGroupResponse::members`].
    struct JoinGroupResponseMember {
        /// TODO
        member_id: Str [0..],
        /// TODO
        group_instance_id: Option<Str> [5..; ignorable],
        /// TODO
        metadata: Bytes [0..],
    }
}
