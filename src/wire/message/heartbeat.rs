//! Heartbeat (key 12): a member of a classic group is alive.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Says that the member lives (KIP-345).
    struct HeartbeatRequest {
        /// The group's name.
        group_id: Str [0..],
        /// Which rebalance of the group is meant; −1 when the sender is no member.
        generation_id: i32 [0..],
        /// The member's id, which the coordinator gives out; empty before that.
        member_id: Str [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Str> [3..],
    }

    /// Answers [`HeartbeatRequest`]: whether the member still belongs.
    struct HeartbeatResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [1..; ignorable],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }
}
