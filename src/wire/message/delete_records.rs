//! DeleteRecords (key 21): drops the oldest records of partitions.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Moves log start offsets up (KIP-107).
    struct DeleteRecordsRequest {
        /// One entry per topic.
        topics: Vec<DeleteRecordsTopic> [0..],
        /// How long the broker may take, in ms.
        timeout_ms: i32 [0..],
    }

    /// An element of [`DeleteRecordsRequest::topics`].
    struct DeleteRecordsTopic {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<DeleteRecordsPartition> [0..],
    }

    /// An element of [`DeleteRecordsTopic::partitions`].
    struct DeleteRecordsPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The offset that becomes the first; −1 for the high watermark.
        offset: i64 [0..],
    }

    /// Answers [`DeleteRecordsRequest`]: the new log start offsets.
    struct DeleteRecordsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per topic.
        topics: Vec<DeleteRecordsTopicResult> [0..],
    }

    /// An element of [`DeleteRecordsResponse::topics`].
    struct DeleteRecordsTopicResult {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<DeleteRecordsPartitionResult> [0..],
    }

    /// An element of [`DeleteRecordsTopicResult::partitions`].
    struct DeleteRecordsPartitionResult {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The partition's new log start offset.
        low_watermark: i64 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }
}
