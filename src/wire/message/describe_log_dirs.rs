//! DescribeLogDirs (key 35): what is in the log dirs of one broker.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for log dirs and the sizes of replicas (KIP-113, KIP-827).
    struct DescribeLogDirsRequest {
        /// The partitions asked for, by topic; null for all.
        topics: Option<Vec<DescribableLogDirTopic>> [0..],
    }

    /// An element of [`DescribeLogDirsRequest::topics`].
    struct DescribableLogDirTopic {
        /// The topic's name.
        topic: Str [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }

    /// Answers [`DescribeLogDirsRequest`]: the log dirs.
    struct DescribeLogDirsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [3..; ignorable],
        /// One entry per log dir.
        results: Vec<DescribeLogDirsResult> [0..],
    }

    /// An element of [`DescribeLogDirsResponse::results`].
    struct DescribeLogDirsResult {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The log dir's absolute path.
        log_dir: Str [0..],
        /// One entry per topic.
        topics: Vec<DescribeLogDirsTopic> [0..],
        /// Size of the log dir's volume; −1 for unknown (KIP-827).
        total_bytes: i64 = -1 [4..; ignorable],
        /// Free bytes of the log dir's volume; −1 for unknown (KIP-827).
        usable_bytes: i64 = -1 [4..; ignorable],
    }

    /// An element of [`DescribeLogDirsResult::topics`].
    struct DescribeLogDirsTopic {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<DescribeLogDirsPartition> [0..],
    }

    /// An element of [`DescribeLogDirsTopic::partitions`].
    struct DescribeLogDirsPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Bytes of the replica's segments.
        partition_size: i64 [0..],
        /// How far the replica is behind: the current one behind the high watermark, a future one behind the current
        /// one.
        offset_lag: i64 [0..],
        /// Whether it is the replica that is to replace the current one.
        is_future_key: bool [0..],
    }
}
