//! SyncGroup (key 14): the leader of a classic group hands out the assignment, the others wait for it.

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Brings the leader's assignment, or waits for it (KIP-345, KIP-559).
    struct SyncGroupRequest {
        /// The group's name.
        group_id: Str [0..],
        /// Which rebalance of the group is meant; −1 when the sender is no member.
        generation_id: i32 [0..],
        /// The member's id, which the coordinator gives out; empty before that.
        member_id: Str [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Str> [3..],
        /// What kind of group the member believes it to be; null for unsaid (KIP-559).
        protocol_type: Option<Str> [5..; ignorable],
        /// The protocol that the member believes the group chose; null for unsaid (KIP-559).
        protocol_name: Option<Str> [5..; ignorable],
        /// What each member is to read, from the leader; empty from the others.
        assignments: Vec<SyncGroupRequestAssignment> [0..],
    }

    /// An element of [`SyncGroupRequest::assignments`].
    struct SyncGroupRequestAssignment {
        /// The member it is for.
        member_id: Str [0..],
        /// What the member is to read.
        assignment: Bytes [0..],
    }

    /// Answers [`SyncGroupRequest`]: what the member is to read.
    struct SyncGroupResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [1..; ignorable],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What kind of group it is; null when that is not known.
        protocol_type: Option<Str> [5..; ignorable],
        /// The protocol that the group chose; null when it has none.
        protocol_name: Option<Str> [5..; ignorable],
        /// What the member is to read.
        assignment: Bytes [0..],
    }
}
