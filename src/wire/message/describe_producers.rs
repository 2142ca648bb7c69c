//! DescribeProducers (key 61): which producers write to partitions.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks leaders for the state of producers (KIP-664).
    struct DescribeProducersRequest {
        /// One entry per topic.
        topics: Vec<TopicRequest> [0..],
    }

    /// An element of [`DescribeProducersRequest::topics`].
    struct TopicRequest {
        /// The topic's name.
        name: Str [0..],
        /// The partitions' numbers.
        partition_indexes: Vec<i32> [0..],
    }

    /// Answers [`DescribeProducersRequest`]: the producers, per partition.
    struct DescribeProducersResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per topic.
        topics: Vec<TopicResponse> [0..],
    }

    /// An element of [`DescribeProducersResponse::topics`].
    struct TopicResponse {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<PartitionResponse> [0..],
    }

    /// An element of [`TopicResponse::partitions`].
    struct PartitionResponse {
        /// The partition's number.
        partition_index: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// The producers.
        active_producers: Vec<ProducerState> [0..],
    }

    /// An element of [`PartitionResponse::active_producers`].
    struct ProducerState {
        /// The producer's id; −1 for none.
        producer_id: i64 [0..],
        /// The producer's epoch; −1 for none.
        producer_epoch: i32 [0..],
        /// The sequence number of its last record; −1 for none.
        last_sequence: i32 = -1 [0..],
        /// The time of its last record, in ms since 1970; −1 for none.
        last_timestamp: i64 = -1 [0..],
        /// The epoch of the transaction coordinator: the leader epoch of its partition.
        coordinator_epoch: i32 [0..],
        /// Where its open transaction began; −1 when it has none.
        current_txn_start_offset: i64 = -1 [0..],
    }
}
