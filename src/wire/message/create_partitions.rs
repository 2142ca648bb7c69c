//! CreatePartitions (key 37).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct CreatePartitionsRequest {
        /// TODO
        topics: Vec<CreatePartitionsTopic> [0..],
        /// TODO
        timeout_ms: i32 [0..],
        /// TODO
        validate_only: bool [0..],
    }

    /// An element of [`CreatePartitionsRequest::topics`].
    struct CreatePartitionsTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        count: i32 [0..],
        /// TODO
        assignments: Option<Vec<CreatePartitionsAssignment>> [0..],
    }

    /// An element of [`CreatePartitionsTopic::assignments`].
    struct CreatePartitionsAssignment {
        /// TODO
        broker_ids: Vec<i32> [0..],
    }

    /// TODO
    struct CreatePartitionsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        results: Vec<CreatePartitionsTopicResult> [0..],
    }

    /// An element of [`CreatePartitionsResponse::results`].
    struct CreatePartitionsTopicResult {
        /// TODO
        name: Str [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
    }
}
