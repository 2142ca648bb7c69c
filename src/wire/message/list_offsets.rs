//! ListOffsets (key 2).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct ListOffsetsRequest {
        /// TODO
        replica_id: i32 [0..],
        /// TODO
        isolation_level: i8 [2..],
        /// TODO
        topics: Vec<ListOffsetsTopic> [0..],
    }

    /// An element of [`ListOffsetsRequest::topics`].
    struct ListOffsetsTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<ListOffsetsPartition> [0..],
    }

    /// An element of [`ListOffsetsTopic::partitions`].
    struct ListOffsetsPartition {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        current_leader_epoch: i32 = -1 [4..; ignorable],
        /// TODO
        timestamp: i64 [0..],
        /// TODO
        max_num_offsets: i32 = 1 [0..=0],
    }

    /// TODO
    struct ListOffsetsResponse {
        /// TODO
        throttle_time_ms: i32 [2..; ignorable],
        /// TODO
        topics: Vec<ListOffsetsTopicResponse> [0..],
    }

    /// An element of [`ListOffsetsResponse::topics`].
    struct ListOffsetsTopicResponse {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<ListOffsetsPartitionResponse> [0..],
    }

    /// An element of [`ListOffsetsTopicResponse::partitions`].
    struct ListOffsetsPartitionResponse {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        old_style_offsets: Vec<i64> [0..=0],
        /// TODO
        timestamp: i64 = -1 [1..],
        /// TODO
        offset: i64 = -1 [1..],
        /// TODO
        leader_epoch: i32 = -1 [4..],
    }
}
