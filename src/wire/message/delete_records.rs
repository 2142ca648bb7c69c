//! DeleteRecords (key 21).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct DeleteRecordsRequest {
        /// TODO
        topics: Vec<DeleteRecordsTopic> [0..],
        /// TODO
        timeout_ms: i32 [0..],
    }

    /// An element of [`DeleteRecordsRequest::topics`].
    struct DeleteRecordsTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<DeleteRecordsPartition> [0..],
    }

    /// An element of [`DeleteRecordsTopic::partitions`].
    struct DeleteRecordsPartition {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        offset: i64 [0..],
    }

    /// TODO
    struct DeleteRecordsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        topics: Vec<DeleteRecordsTopicResult> [0..],
    }

    /// An element of [`DeleteRecordsResponse::topics`].
    struct DeleteRecordsTopicResult {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<DeleteRecordsPartitionResult> [0..],
    }

    /// An element of [`DeleteRecordsTopicResult::partitions`].
    struct DeleteRecordsPartitionResult {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        low_watermark: i64 [0..],
        /// TODO
        error_code: ErrorCode [0..],
    }
}
