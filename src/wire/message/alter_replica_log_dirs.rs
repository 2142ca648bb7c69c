//! AlterReplicaLogDirs (key 34).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct AlterReplicaLogDirsRequest {
        /// TODO
        dirs: Vec<AlterReplicaLogDir> [0..],
    }

    /// An element of [`AlterReplicaLogDirsRequest::dirs`].
    struct AlterReplicaLogDir {
        /// TODO
        path: Str [0..],
        /// TODO
        topics: Vec<AlterReplicaLogDirTopic> [0..],
    }

    /// An element of [`AlterReplicaLogDir::topics`].
    struct AlterReplicaLogDirTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<i32> [0..],
    }

    /// TODO
    struct AlterReplicaLogDirsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        results: Vec<AlterReplicaLogDirTopicResult> [0..],
    }

    /// An element of [`AlterReplicaLogDirsResponse::results`].
    struct AlterReplicaLogDirTopicResult {
        /// TODO
        topic_name: Str [0..],
        /// TODO
        partitions: Vec<AlterReplicaLogDirPartitionResult> [0..],
    }

    /// An element of [`AlterReplicaLogDirTopicResult::partitions`].
    struct AlterReplicaLogDirPartitionResult {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
    }
}
