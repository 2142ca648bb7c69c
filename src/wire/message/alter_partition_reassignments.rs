//! AlterPartitionReassignments (key 45).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct AlterPartitionReassignmentsRequest {
        /// TODO
        timeout_ms: i32 = 60_000 [0..],
        /// TODO
        topics: Vec<ReassignableTopic> [0..],
    }

    /// An element of [`AlterPartitionReassignmentsRequest::topics`].
    struct ReassignableTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<ReassignablePartition> [0..],
    }

    /// An element of [`ReassignableTopic::partitions`].
    struct ReassignablePartition {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        replicas: Option<Vec<i32>> [0..],
    }

    /// TODO
    struct AlterPartitionReassignmentsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        responses: Vec<ReassignableTopicResponse> [0..],
    }

    /// An element of [`AlterPartitionReassignmentsResponse::responses`].
    struct ReassignableTopicResponse {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<ReassignablePartitionResponse> [0..],
    }

    /// An element of [`ReassignableTopicResponse::partitions`].
    struct ReassignablePartitionResponse {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
    }
}
