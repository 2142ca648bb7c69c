//! TxnOffsetCommit (key 28).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct TxnOffsetCommitRequest {
        /// TODO
        transactional_id: Str [0..],
        /// TODO
        group_id: Str [0..],
        /// TODO
        producer_id: i64 [0..],
        /// TODO
        producer_epoch: i16 [0..],
        /// TODO
        generation_id: i32 = -1 [3..],
        /// TODO
        member_id: Str [3..],
        /// TODO
        group_instance_id: Option<Str> [3..],
        /// TODO
        topics: Vec<TxnOffsetCommitRequestTopic> [0..],
    }

    /// An element of [`TxnOffsetCommitRequest::topics`].
    struct TxnOffsetCommitRequestTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<TxnOffsetCommitRequestPartition> [0..],
    }

    /// An element of [`TxnOffsetCommitRequestTopic::partitions`].
    struct TxnOffsetCommitRequestPartition {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        committed_offset: i64 [0..],
        /// TODO
        committed_leader_epoch: i32 = -1 [2..; ignorable],
        /// TODO
        committed_metadata: Option<Str> [0..],
    }

    /// TODO
    struct TxnOffsetCommitResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        topics: Vec<TxnOffsetCommitResponseTopic> [0..],
    }

    /// An element of [`TxnOffsetCommitResponse::topics`].
    struct TxnOffsetCommitResponseTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<TxnOffsetCommitResponsePartition> [0..],
    }

    /// An element of [`TxnOffsetCommitResponseTopic::partitions`].
    struct TxnOffsetCommitResponsePartition {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
    }
}
