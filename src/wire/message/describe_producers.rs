//! DescribeProducers (key 61).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct DescribeProducersRequest {
        /// TODO
        topics: Vec<TopicRequest> [0..],
    }

    /// An element of [`DescribeProducersRequest::topics`].
    struct TopicRequest {
        /// TODO
        name: Str [0..],
        /// TODO
        partition_indexes: Vec<i32> [0..],
    }

    /// TODO
    struct DescribeProducersResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        topics: Vec<TopicResponse> [0..],
    }

    /// An element of [`DescribeProducersResponse::topics`].
    struct TopicResponse {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<PartitionResponse> [0..],
    }

    /// An element of [`TopicResponse::partitions`].
    struct PartitionResponse {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        active_producers: Vec<ProducerState> [0..],
    }

    /// An element of [`PartitionResponse::active_producers`].
    struct ProducerState {
        /// TODO
        producer_id: i64 [0..],
        /// TODO
        producer_epoch: i32 [0..],
        /// TODO
        last_sequence: i32 = -1 [0..],
        /// TODO
        last_timestamp: i64 = -1 [0..],
        /// TODO
        coordinator_epoch: i32 [0..],
        /// TODO
        current_txn_start_offset: i64 = -1 [0..],
    }
}
