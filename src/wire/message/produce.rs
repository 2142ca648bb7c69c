//! Produce (key 0): appends record batches to partitions.

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Appends records (KIP-98, KIP-951).
    struct ProduceRequest {
        /// The transactional id; null for a producer without transactions.
        transactional_id: Option<Str> [3..],
        /// Who must have the records before the answer: 0 nobody, there is no answer; 1 the leader; −1 all in-sync
        /// replicas.
        acks: i16 [0..],
        /// How long to wait for the in-sync replicas, in ms.
        timeout_ms: i32 [0..],
        /// The records, by topic.
        topic_data: Vec<TopicProduceData> [0..],
    }

    /// An element of [`ProduceRequest::topic_data`].
    struct TopicProduceData {
        /// The topic's name.
        name: Str [0..],
        /// The records, one entry per partition.
        partition_data: Vec<PartitionProduceData> [0..],
    }

    /// An element of [`TopicProduceData::partition_data`].
    struct PartitionProduceData {
        /// The partition's number.
        index: i32 [0..],
        /// The record batches, as a slice of the frame; message sets in versions 0 to 2.
        records: Option<Bytes> [0..],
    }

    /// Answers [`ProduceRequest`]: the outcome per partition. Not sent at all when `acks` was 0.
    struct ProduceResponse {
        /// One entry per thing asked for.
        responses: Vec<TopicProduceResponse> [0..],
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [1..; ignorable],
        /// Where the new leaders are (KIP-951).
        node_endpoints: Vec<NodeEndpoint> [10.., tag 0],
    }

    /// An element of [`ProduceResponse::responses`].
    struct TopicProduceResponse {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partition_responses: Vec<PartitionProduceResponse> [0..],
    }

    /// Where a broker listens.
    struct NodeEndpoint {
        /// The broker's id.
        node_id: i32 [10..],
        /// The host to connect to.
        host: Str [10..],
        /// The port to connect to.
        port: i32 [10..],
        /// Where the broker stands; null when it does not say.
        rack: Option<Str> [10..],
    }

    /// An element of [`TopicProduceResponse::partition_responses`].
    struct PartitionProduceResponse {
        /// The partition's number.
        index: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The offset of the first record appended; −1 when none was.
        base_offset: i64 [0..],
        /// The time that the broker gave the records, in ms since 1970; −1 when it left the producer's.
        log_append_time_ms: i64 = -1 [2..; ignorable],
        /// The first offset that can be read; −1 for unknown.
        log_start_offset: i64 = -1 [5..; ignorable],
        /// Which records were refused, when single ones were (KIP-467).
        record_errors: Vec<BatchIndexAndErrorMessage> [8..; ignorable],
        /// What all refused records have in common, in words; null for nothing (KIP-467).
        error_message: Option<Str> [8..; ignorable],
        /// Who leads now, when the error says that the receiver does not (KIP-951).
        current_leader: LeaderIdAndEpoch [10.., tag 0],
    }

    /// An element of [`PartitionProduceResponse::record_errors`].
    struct BatchIndexAndErrorMessage {
        /// The record's place in the batch, from 0.
        batch_index: i32 [8..],
        /// What is wrong with the record, in words.
        batch_index_error_message: Option<Str> [8..],
    }

    /// Who leads a partition; unset when both are −1 (KIP-951).
    struct LeaderIdAndEpoch {
        /// The leader's broker id; −1 when there is none.
        leader_id: i32 = -1 [10..],
        /// The partition's leader epoch; −1 for unknown.
        leader_epoch: i32 = -1 [10..],
    }
}
