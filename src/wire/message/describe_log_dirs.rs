//! DescribeLogDirs (key 35).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct DescribeLogDirsRequest {
        /// TODO
        topics: Option<Vec<DescribableLogDirTopic>> [0..],
    }

    /// An element of [`DescribeLogDirsRequest::topics`].
    struct DescribableLogDirTopic {
        /// TODO
        topic: Str [0..],
        /// TODO
        partitions: Vec<i32> [0..],
    }

    /// TODO
    struct DescribeLogDirsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [3..; ignorable],
        /// TODO
        results: Vec<DescribeLogDirsResult> [0..],
    }

    /// An element of [`DescribeLogDirsResponse::results`].
    struct DescribeLogDirsResult {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        log_dir: Str [0..],
        /// TODO
        topics: Vec<DescribeLogDirsTopic> [0..],
        /// TODO
        total_bytes: i64 = -1 [4..; ignorable],
        /// TODO
        usable_bytes: i64 = -1 [4..; ignorable],
    }

    /// An element of [`DescribeLogDirsResult::topics`].
    struct DescribeLogDirsTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<DescribeLogDirsPartition> [0..],
    }

    /// An element of [`DescribeLogDirsTopic::partitions`].
    struct DescribeLogDirsPartition {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        partition_size: i64 [0..],
        /// TODO
        offset_lag: i64 [0..],
        /// TODO
        is_future_key: bool [0..],
    }
}
