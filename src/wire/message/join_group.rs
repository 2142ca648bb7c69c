//! JoinGroup (key 11): a member enters a classic consumer group.

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Joins, or stays through a rebalance (KIP-345, KIP-394, KIP-559, KIP-800, KIP-814).
    struct JoinGroupRequest {
        /// The group's name.
        group_id: Str [0..],
        /// How long the member may be silent before it counts as dead, in ms.
        session_timeout_ms: i32 [0..],
        /// How long the member may take to rejoin in a rebalance, in ms; −1 for unsaid.
        rebalance_timeout_ms: i32 = -1 [1..; ignorable],
        /// The member's id, which the coordinator gives out; empty before that.
        member_id: Str [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Str> [5..],
        /// What kind of group it is, for instance `consumer`; all members must agree.
        protocol_type: Str [0..],
        /// What the member can do, the best first.
        protocols: Vec<JoinGroupRequestProtocol> [0..],
        /// Why the member joins, in words; null for unsaid (KIP-800).
        reason: Option<Str> [8..; ignorable],
    }

    /// An element of [`JoinGroupRequest::protocols`].
    struct JoinGroupRequestProtocol {
        /// The protocol's name: for consumers, that of an assignor.
        name: Str [0..],
        /// What the member says of itself to the assignor.
        metadata: Bytes [0..],
    }

    /// Answers [`JoinGroupRequest`]: who the member is, and for the leader who the others are.
    struct JoinGroupResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [2..; ignorable],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// Which rebalance of the group is meant; −1 when the sender is no member.
        generation_id: i32 = -1 [0..],
        /// What kind of group it is; null when that is not known.
        protocol_type: Option<Str> [7..; ignorable],
        /// The protocol that the group chose; null when it has none.
        protocol_name: Option<Str> [0.., nullable 7..],
        /// The member that is to compute the assignment.
        leader: Str [0..],
        /// Whether the leader is to leave the assignment as it is (KIP-814).
        skip_assignment: bool [9..],
        /// The member's id, which the coordinator gives out; empty before that.
        member_id: Str [0..],
        /// All members, for the leader; empty for the others.
        members: Vec<JoinGroupResponseMember> [0..],
    }

    /// An element of [`JoinGroupResponse::members`].
    struct JoinGroupResponseMember {
        /// The member's id, which the coordinator gives out; empty before that.
        member_id: Str [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Str> [5..; ignorable],
        /// What the member says of itself to the assignor.
        metadata: Bytes [0..],
    }
}
