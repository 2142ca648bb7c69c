//! CreatePartitions (key 37): more partitions for topics.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Raises the number of partitions (KIP-195, KIP-599).
    struct CreatePartitionsRequest {
        /// One entry per topic.
        topics: Vec<CreatePartitionsTopic> [0..],
        /// How long the broker may take, in ms.
        timeout_ms: i32 [0..],
        /// Whether to check only, and change nothing.
        validate_only: bool [0..],
    }

    /// An element of [`CreatePartitionsRequest::topics`].
    struct CreatePartitionsTopic {
        /// The topic's name.
        name: Str [0..],
        /// How many partitions the topic is to have.
        count: i32 [0..],
        /// Where the replicas of the new partitions are to be; null to let the broker choose.
        assignments: Option<Vec<CreatePartitionsAssignment>> [0..],
    }

    /// An element of [`CreatePartitionsTopic::assignments`].
    struct CreatePartitionsAssignment {
        /// Brokers, the preferred leader first.
        broker_ids: Vec<i32> [0..],
    }

    /// Answers [`CreatePartitionsRequest`]: the outcome per topic.
    struct CreatePartitionsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per thing asked for.
        results: Vec<CreatePartitionsTopicResult> [0..],
    }

    /// An element of [`CreatePartitionsResponse::results`].
    struct CreatePartitionsTopicResult {
        /// The topic's name.
        name: Str [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
    }
}
