//! AlterPartitionReassignments (key 45): moves replicas between brokers.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Sets or cancels the target replicas of partitions (KIP-455).
    struct AlterPartitionReassignmentsRequest {
        /// How long the broker may take, in ms.
        timeout_ms: i32 = 60_000 [0..],
        /// One entry per topic.
        topics: Vec<ReassignableTopic> [0..],
    }

    /// An element of [`AlterPartitionReassignmentsRequest::topics`].
    struct ReassignableTopic {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<ReassignablePartition> [0..],
    }

    /// An element of [`ReassignableTopic::partitions`].
    struct ReassignablePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The brokers that are to hold a replica, the preferred leader first; null cancels the reassignment.
        replicas: Option<Vec<i32>> [0..],
    }

    /// Answers [`AlterPartitionReassignmentsRequest`]: the outcome per partition.
    struct AlterPartitionReassignmentsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// One entry per thing asked for.
        responses: Vec<ReassignableTopicResponse> [0..],
    }

    /// An element of [`AlterPartitionReassignmentsResponse::responses`].
    struct ReassignableTopicResponse {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<ReassignablePartitionResponse> [0..],
    }

    /// An element of [`ReassignableTopicResponse::partitions`].
    struct ReassignablePartitionResponse {
        /// The partition's number.
        partition_index: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
    }
}
