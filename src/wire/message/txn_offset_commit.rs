//! TxnOffsetCommit (key 28): a group remembers how far it has read, if the transaction commits.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Stores offsets within a transaction (KIP-98, KIP-447).
    struct TxnOffsetCommitRequest {
        /// The transactional id.
        transactional_id: Str [0..],
        /// The group whose offsets they are.
        group_id: Str [0..],
        /// The producer's id; −1 for none.
        producer_id: i64 [0..],
        /// The producer's epoch; −1 for none.
        producer_epoch: i16 [0..],
        /// Which rebalance of the group the sender belongs to; −1 when it is no member.
        generation_id: i32 = -1 [3..],
        /// The member's id, which the coordinator gives out; empty before that.
        member_id: Str [3..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Str> [3..],
        /// One entry per topic.
        topics: Vec<TxnOffsetCommitRequestTopic> [0..],
    }

    /// An element of [`TxnOffsetCommitRequest::topics`].
    struct TxnOffsetCommitRequestTopic {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<TxnOffsetCommitRequestPartition> [0..],
    }

    /// An element of [`TxnOffsetCommitRequestTopic::partitions`].
    struct TxnOffsetCommitRequestPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The offset to continue from; −1 when none is stored.
        committed_offset: i64 [0..],
        /// The leader epoch of the last record read; −1 for unknown (KIP-320).
        committed_leader_epoch: i32 = -1 [2..; ignorable],
        /// What the client stored along with the offset.
        committed_metadata: Option<Str> [0..],
    }

    /// Answers [`TxnOffsetCommitRequest`]: the outcome per partition.
    struct TxnOffsetCommitResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per topic.
        topics: Vec<TxnOffsetCommitResponseTopic> [0..],
    }

    /// An element of [`TxnOffsetCommitResponse::topics`].
    struct TxnOffsetCommitResponseTopic {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<TxnOffsetCommitResponsePartition> [0..],
    }

    /// An element of [`TxnOffsetCommitResponseTopic::partitions`].
    struct TxnOffsetCommitResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }
}
