//! OffsetDelete (key 47).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct OffsetDeleteRequest {
        /// TODO
        group_id: Str [0..],
        /// TODO
        topics: Vec<OffsetDeleteRequestTopic> [0..],
    }

    /// An element of [`OffsetDeleteRequest::topics`].
    struct OffsetDeleteRequestTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<OffsetDeleteRequestPartition> [0..],
    }

    /// An element of [`OffsetDeleteRequestTopic::partitions`].
    struct OffsetDeleteRequestPartition {
        /// TODO
        partition_index: i32 [0..],
    }

    /// TODO
    struct OffsetDeleteResponse {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        throttle_time_ms: i32 [0..; ignorable],
        /// TODO
        topics: Vec<OffsetDeleteResponseTopic> [0..],
    }

    /// An element of [`OffsetDeleteResponse::topics`].
    struct OffsetDeleteResponseTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<OffsetDeleteResponsePartition> [0..],
    }

    /// An element of [`OffsetDeleteResponseTopic::partitions`].
    struct OffsetDeleteResponsePartition {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
    }
}
