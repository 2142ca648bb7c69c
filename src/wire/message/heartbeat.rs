//! Heartbeat (key 12).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct HeartbeatRequest {
        /// TODO
        group_id: Str [0..],
        /// TODO
        generation_id: i32 [0..],
        /// TODO
        member_id: Str [0..],
        /// TODO
        group_instance_id: Option<Str> [3..],
    }

    /// TODO
    struct HeartbeatResponse {
        /// TODO
        throttle_time_ms: i32 [1..; ignorable],
        /// TODO
        error_code: ErrorCode [0..],
    }
}
