//! AlterReplicaLogDirs (key 34): moves replicas between the log dirs of one broker.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Names the log dir in which replicas shall be (KIP-113).
    struct AlterReplicaLogDirsRequest {
        /// One entry per log dir.
        dirs: Vec<AlterReplicaLogDir> [0..],
    }

    /// An element of [`AlterReplicaLogDirsRequest::dirs`].
    struct AlterReplicaLogDir {
        /// The log dir's absolute path.
        path: Str [0..],
        /// The replicas to move there, by topic.
        topics: Vec<AlterReplicaLogDirTopic> [0..],
    }

    /// An element of [`AlterReplicaLogDir::topics`].
    struct AlterReplicaLogDirTopic {
        /// The topic's name.
        name: Str [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }

    /// Answers [`AlterReplicaLogDirsRequest`]: the outcome per replica.
    struct AlterReplicaLogDirsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per thing asked for.
        results: Vec<AlterReplicaLogDirTopicResult> [0..],
    }

    /// An element of [`AlterReplicaLogDirsResponse::results`].
    struct AlterReplicaLogDirTopicResult {
        /// The topic's name.
        topic_name: Str [0..],
        /// One entry per partition.
        partitions: Vec<AlterReplicaLogDirPartitionResult> [0..],
    }

    /// An element of [`AlterReplicaLogDirTopicResult::partitions`].
    struct AlterReplicaLogDirPartitionResult {
        /// The partition's number.
        partition_index: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }
}
