//! SyncGroup (key 14).

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct SyncGroupRequest {
        /// TODO
        group_id: Str [0..],
        /// TODO
        generation_id: i32 [0..],
        /// TODO
        member_id: Str [0..],
        /// TODO
        group_instance_id: Option<Str> [3..],
        /// TODO
        protocol_type: Option<Str> [5..; ignorable],
        /// TODO
        protocol_name: Option<Str> [5..; ignorable],
        /// TODO
        assignments: Vec<SyncGroupRequestAssignment> [0..],
    }

    /// An element of [`SyncGroupRequest::assignments`].
    struct SyncGroupRequestAssignment {
        /// TODO
        member_id: Str [0..],
        /// TODO
        assignment: Bytes [0..],
    }

    /// TODO
    struct SyncGroupResponse {
        /// TODO
        throttle_time_ms: i32 [1..; ignorable],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        protocol_type: Option<Str> [5..; ignorable],
        /// TODO
        protocol_name: Option<Str> [5..; ignorable],
        /// TODO
        assignment: Bytes [0..],
    }
}
