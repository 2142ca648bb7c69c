//! ListPartitionReassignments (key 46): which replicas are on the move.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for reassignments under way (KIP-455).
    struct ListPartitionReassignmentsRequest {
        /// How long the broker may take, in ms.
        timeout_ms: i32 = 60_000 [0..],
        /// The partitions asked for, by topic; null for all.
        topics: Option<Vec<ListPartitionReassignmentsTopics>> [0..],
    }

    /// An element of [`ListPartitionReassignmentsRequest::topics`].
    struct ListPartitionReassignmentsTopics {
        /// The topic's name.
        name: Str [0..],
        /// The partitions' numbers.
        partition_indexes: Vec<i32> [0..],
    }

    /// Answers [`ListPartitionReassignmentsRequest`]: the reassignments.
    struct ListPartitionReassignmentsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// One entry per topic.
        topics: Vec<OngoingTopicReassignment> [0..],
    }

    /// An element of [`ListPartitionReassignmentsResponse::topics`].
    struct OngoingTopicReassignment {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<OngoingPartitionReassignment> [0..],
    }

    /// An element of [`OngoingTopicReassignment::partitions`].
    struct OngoingPartitionReassignment {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The brokers that hold a replica now.
        replicas: Vec<i32> [0..],
        /// Replicas that a reassignment adds (KIP-455).
        adding_replicas: Vec<i32> [0..],
        /// Replicas that a reassignment removes (KIP-455).
        removing_replicas: Vec<i32> [0..],
    }
}
