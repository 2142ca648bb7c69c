//! ElectLeaders (key 43).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct ElectLeadersRequest {
        /// TODO
        election_type: i8 [1..],
        /// TODO
        topic_partitions: Option<Vec<TopicPartitions>> [0..],
        /// TODO
        timeout_ms: i32 = 60_000 [0..],
    }

    /// An element of [`ElectLeadersRequest::topic_partitions`].
    struct TopicPartitions {
        /// TODO
        topic: Str [0..],
        /// TODO
        partitions: Vec<i32> [0..],
    }

    /// TODO
    struct ElectLeadersResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [1..],
        /// TODO
        replica_election_results: Vec<ReplicaElectionResult> [0..],
    }

    /// An element of [`ElectLeadersResponse::replica_election_results`].
    struct ReplicaElectionResult {
        /// TODO
        topic: Str [0..],
        /// TODO
        partition_result: Vec<PartitionResult> [0..],
    }

    /// An element of [`ReplicaElectionResult::partition_result`].
    struct PartitionResult {
        /// TODO
        partition_id: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
    }
}
