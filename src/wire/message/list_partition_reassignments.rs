//! ListPartitionReassignments (key 46).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct ListPartitionReassignmentsRequest {
        /// TODO
        timeout_ms: i32 = 60_000 [0..],
        /// TODO
        topics: Option<Vec<ListPartitionReassignmentsTopics>> [0..],
    }

    /// An element of [`ListPartitionReassignmentsRequest::topics`].
    struct ListPartitionReassignmentsTopics {
        /// TODO
        name: Str [0..],
        /// TODO
        partition_indexes: Vec<i32> [0..],
    }

    /// TODO
    struct ListPartitionReassignmentsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        topics: Vec<OngoingTopicReassignment> [0..],
    }

    /// An element of [`ListPartitionReassignmentsResponse::topics`].
    struct OngoingTopicReassignment {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<OngoingPartitionReassignment> [0..],
    }

    /// An element of [`OngoingTopicReassignment::partitions`].
    struct OngoingPartitionReassignment {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        replicas: Vec<i32> [0..],
        /// TODO
        adding_replicas: Vec<i32> [0..],
        /// TODO
        removing_replicas: Vec<i32> [0..],
    }
}
