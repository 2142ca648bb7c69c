//! OffsetDelete (key 47): forgets stored offsets.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Deletes offsets of a group for topics that it does not subscribe to (KIP-496).
    struct OffsetDeleteRequest {
        /// The group's name.
        group_id: Str [0..],
        /// One entry per topic.
        topics: Vec<OffsetDeleteRequestTopic> [0..],
    }

    /// An element of [`OffsetDeleteRequest::topics`].
    struct OffsetDeleteRequestTopic {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<OffsetDeleteRequestPartition> [0..],
    }

    /// An element of [`OffsetDeleteRequestTopic::partitions`].
    struct OffsetDeleteRequestPartition {
        /// The partition's number.
        partition_index: i32 [0..],
    }

    /// Answers [`OffsetDeleteRequest`]: the outcome per partition.
    struct OffsetDeleteResponse {
        /// What went wrong with the group, if anything.
        error_code: ErrorCode [0..],
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..; ignorable],
        /// One entry per topic.
        topics: Vec<OffsetDeleteResponseTopic> [0..],
    }

    /// An element of [`OffsetDeleteResponse::topics`].
    struct OffsetDeleteResponseTopic {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<OffsetDeleteResponsePartition> [0..],
    }

    /// An element of [`OffsetDeleteResponseTopic::partitions`].
    struct OffsetDeleteResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }
}
