//! ElectLeaders (key 43): elections on request.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks the controller to elect leaders (KIP-183, KIP-460).
    struct ElectLeadersRequest {
        /// 0 elects the preferred leader, 1 one that may have lost records (KIP-460).
        election_type: i8 [1..],
        /// The partitions, by topic; null for all.
        topic_partitions: Option<Vec<TopicPartitions>> [0..],
        /// How long the broker may take, in ms.
        timeout_ms: i32 = 60_000 [0..],
    }

    /// An element of [`ElectLeadersRequest::topic_partitions`].
    struct TopicPartitions {
        /// The topic's name.
        topic: Str [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }

    /// Answers [`ElectLeadersRequest`]: the outcome per partition.
    struct ElectLeadersResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [1..],
        /// One entry per topic.
        replica_election_results: Vec<ReplicaElectionResult> [0..],
    }

    /// An element of [`ElectLeadersResponse::replica_election_results`].
    struct ReplicaElectionResult {
        /// The topic's name.
        topic: Str [0..],
        /// One entry per partition.
        partition_result: Vec<PartitionResult> [0..],
    }

    /// An element of [`ReplicaElectionResult::partition_result`].
    struct PartitionResult {
        /// The partition's number.
        partition_id: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
    }
}
