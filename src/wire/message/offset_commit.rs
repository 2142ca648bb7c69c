//! OffsetCommit (key 8): a group remembers how far it has read.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Stores offsets of a group (KIP-320, KIP-345, KIP-848).
    struct OffsetCommitRequest {
        /// The group's name.
        group_id: Str [0..],
        /// Which rebalance of a classic group, or which epoch of the member of a consumer group; −1 when the sender is
        /// no member.
        generation_id_or_member_epoch: i32 = -1 [1..; ignorable],
        /// The member's id, which the coordinator gives out; empty before that.
        member_id: Str [1..; ignorable],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Str> [7..],
        /// How long to keep the offset, in ms; −1 for the broker's setting.
        retention_time_ms: i64 = -1 [2..=4; ignorable],
        /// One entry per topic.
        topics: Vec<OffsetCommitRequestTopic> [0..],
    }

    /// An element of [`OffsetCommitRequest::topics`].
    struct OffsetCommitRequestTopic {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<OffsetCommitRequestPartition> [0..],
    }

    /// An element of [`OffsetCommitRequestTopic::partitions`].
    struct OffsetCommitRequestPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The offset to continue from.
        committed_offset: i64 [0..],
        /// The leader epoch of the last record read; −1 for unknown (KIP-320).
        committed_leader_epoch: i32 = -1 [6..; ignorable],
        /// When it was stored, in ms since 1970; −1 for now.
        commit_timestamp: i64 = -1 [1..=1],
        /// What the client stored along with the offset.
        committed_metadata: Option<Str> [0..],
    }

    /// Answers [`OffsetCommitRequest`]: the outcome per partition.
    struct OffsetCommitResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [3..; ignorable],
        /// One entry per topic.
        topics: Vec<OffsetCommitResponseTopic> [0..],
    }

    /// An element of [`OffsetCommitResponse::topics`].
    struct OffsetCommitResponseTopic {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<OffsetCommitResponsePartition> [0..],
    }

    /// An element of [`OffsetCommitResponseTopic::partitions`].
    struct OffsetCommitResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }
}
