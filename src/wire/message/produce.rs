//! Produce (key 0).

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct ProduceRequest {
        /// TODO
        transactional_id: Option<Str> [3..],
        /// TODO
        acks: i16 [0..],
        /// TODO
        timeout_ms: i32 [0..],
        /// TODO
        topic_data: Vec<TopicProduceData> [0..],
    }

    /// An element of [`ProduceRequest::topic_data`].
    struct TopicProduceData {
        /// TODO
        name: Str [0..],
        /// TODO
        partition_data: Vec<PartitionProduceData> [0..],
    }

    /// An element of [`TopicProduceData::partition_data`].
    struct PartitionProduceData {
        /// TODO
        index: i32 [0..],
        /// TODO
        records: Option<Bytes> [0..],
    }

    /// TODO
    struct ProduceResponse {
        /// TODO
        responses: Vec<TopicProduceResponse> [0..],
        /// TODO
        throttle_time_ms: i32 [1..; ignorable],
        /// TODO
        node_endpoints: Vec<NodeEndpoint> [10.., tag 0],
    }

    /// An element of [`ProduceResponse::responses`].
    struct TopicProduceResponse {
        /// TODO
        name: Str [0..],
        /// TODO
        partition_responses: Vec<PartitionProduceResponse> [0..],
    }

    /// An element of [`ProduceResponse::node_endpoints`].
    struct NodeEndpoint {
        /// TODO
        node_id: i32 [10..],
        /// TODO
        host: Str [10..],
        /// TODO
        port: i32 [10..],
        /// TODO
        rack: Option<Str> [10..],
    }

    /// An element of [`TopicProduceResponse::partition_responses`].
    struct PartitionProduceResponse {
        /// TODO
        index: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        base_offset: i64 [0..],
        /// TODO
        log_append_time_ms: i64 = -1 [2..; ignorable],
        /// TODO
        log_start_offset: i64 = -1 [5..; ignorable],
        /// TODO
        record_errors: Vec<BatchIndexAndErrorMessage> [8..; ignorable],
        /// TODO
        error_message: Option<Str> [8..; ignorable],
        /// TODO
        current_leader: LeaderIdAndEpoch [10.., tag 0],
    }

    /// An element of [`PartitionProduceResponse::record_errors`].
    struct BatchIndexAndErrorMessage {
        /// TODO
        batch_index: i32 [8..],
        /// TODO
        batch_index_error_message: Option<Str> [8..],
    }

    /// See [`PartitionProduceResponse::current_leader`].
    struct LeaderIdAndEpoch {
        /// TODO
        leader_id: i32 = -1 [10..],
        /// TODO
        leader_epoch: i32 = -1 [10..],
    }
}
