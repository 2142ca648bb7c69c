//! OffsetForLeaderEpoch (key 23).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct OffsetForLeaderEpochRequest {
        /// TODO
        replica_id: i32 = -2 [3..; ignorable],
        /// TODO
        topics: Vec<OffsetForLeaderTopic> [0..],
    }

    /// An element of [`OffsetForLeaderEpochRequest::topics`].
    struct OffsetForLeaderTopic {
        /// TODO
        topic: Str [0..],
        /// TODO
        partitions: Vec<OffsetForLeaderPartition> [0..],
    }

    /// An element of [`OffsetForLeaderTopic::partitions`].
    struct OffsetForLeaderPartition {
        /// TODO
        partition: i32 [0..],
        /// TODO
        current_leader_epoch: i32 = -1 [2..; ignorable],
        /// TODO
        leader_epoch: i32 [0..],
    }

    /// TODO
    struct OffsetForLeaderEpochResponse {
        /// TODO
        throttle_time_ms: i32 [2..; ignorable],
        /// TODO
        topics: Vec<OffsetForLeaderTopicResult> [0..],
    }

    /// An element of [`OffsetForLeaderEpochResponse::topics`].
    struct OffsetForLeaderTopicResult {
        /// TODO
        topic: Str [0..],
        /// TODO
        partitions: Vec<EpochEndOffset> [0..],
    }

    /// An element of [`OffsetForLeaderTopicResult::partitions`].
    struct EpochEndOffset {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        partition: i32 [0..],
        /// TODO
        leader_epoch: i32 = -1 [1..; ignorable],
        /// TODO
        end_offset: i64 = -1 [0..],
    }
}
