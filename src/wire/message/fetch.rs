//! Fetch (key 1).

use crate::model::{ErrorCode, TopicId};
use crate::wire::{Payload, Str};

structs! {
    /// TODO
    struct FetchRequest {
        /// TODO
        replica_id: i32 = -1 [0..=14],
        /// TODO
        max_wait_ms: i32 [0..],
        /// TODO
        min_bytes: i32 [0..],
        /// TODO
        max_bytes: i32 = 0x7fff_ffff [3..; ignorable],
        /// TODO
        isolation_level: i8 [4..; ignorable],
        /// TODO
        session_id: i32 [7..; ignorable],
        /// TODO
        session_epoch: i32 = -1 [7..; ignorable],
        /// TODO
        topics: Vec<FetchTopic> [0..],
        /// TODO
        forgotten_topics_data: Vec<ForgottenTopic> [7..],
        /// TODO
        rack_id: Str [11..; ignorable],
        /// TODO
        cluster_id: Option<Str> [12.., tag 0; ignorable],
        /// TODO
        replica_state: ReplicaState [15.., tag 1],
    }

    /// An element of [`FetchRequest::topics`].
    struct FetchTopic {
        /// TODO
        topic: Str [0..=12; ignorable],
        /// TODO
        topic_id: TopicId [13..; ignorable],
        /// TODO
        partitions: Vec<FetchPartition> [0..],
    }

    /// An element of [`FetchRequest::forgotten_topics_data`].
    struct ForgottenTopic {
        /// TODO
        topic: Str [7..=12; ignorable],
        /// TODO
        topic_id: TopicId [13..; ignorable],
        /// TODO
        partitions: Vec<i32> [7..],
    }

    /// See [`FetchRequest::replica_state`].
    struct ReplicaState {
        /// TODO
        replica_id: i32 = -1 [15..],
        /// TODO
        replica_epoch: i64 = -1 [15..],
    }

    /// An element of [`FetchTopic::partitions`].
    struct FetchPartition {
        /// TODO
        partition: i32 [0..],
        /// TODO
        current_leader_epoch: i32 = -1 [9..; ignorable],
        /// TODO
        fetch_offset: i64 [0..],
        /// TODO
        last_fetched_epoch: i32 = -1 [12..],
        /// TODO
        log_start_offset: i64 = -1 [5..; ignorable],
        /// TODO
        partition_max_bytes: i32 [0..],
        /// TODO
        replica_directory_id: TopicId [17.., tag 0; ignorable],
    }

    /// TODO
    struct FetchResponse {
        /// TODO
        throttle_time_ms: i32 [1..; ignorable],
        /// TODO
        error_code: ErrorCode [7..; ignorable],
        /// TODO
        session_id: i32 [7..],
        /// TODO
        responses: Vec<FetchableTopicResponse> [0..],
        /// TODO
        node_endpoints: Vec<NodeEndpoint> [16.., tag 0],
    }

    /// An element of [`FetchResponse::responses`].
    struct FetchableTopicResponse {
        /// TODO
        topic: Str [0..=12; ignorable],
        /// TODO
        topic_id: TopicId [13..; ignorable],
        /// TODO
        partitions: Vec<PartitionData> [0..],
    }

    /// An element of [`FetchResponse::node_endpoints`].
    struct NodeEndpoint {
        /// TODO
        node_id: i32 [16..],
        /// TODO
        host: Str [16..],
        /// TODO
        port: i32 [16..],
        /// TODO
        rack: Option<Str> [16..],
    }

    /// An element of [`FetchableTopicResponse::partitions`].
    struct PartitionData {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        high_watermark: i64 [0..],
        /// TODO
        last_stable_offset: i64 = -1 [4..; ignorable],
        /// TODO
        log_start_offset: i64 = -1 [5..; ignorable],
        /// TODO
        aborted_transactions: Option<Vec<AbortedTransaction>> [4..; ignorable],
        /// TODO
        preferred_read_replica: i32 = -1 [11..],
        /// TODO
        records: Payload [0..],
        /// TODO
        diverging_epoch: EpochEndOffset [12.., tag 0],
        /// TODO
        current_leader: LeaderIdAndEpoch [12.., tag 1],
        /// TODO
        snapshot_id: SnapshotId [12.., tag 2],
    }

    /// An element of [`PartitionData::aborted_transactions`].
    struct AbortedTransaction {
        /// TODO
        producer_id: i64 [4..],
        /// TODO
        first_offset: i64 [4..],
    }

    /// See [`PartitionData::diverging_epoch`].
    struct EpochEndOffset {
        /// TODO
        epoch: i32 = -1 [12..],
        /// TODO
        end_offset: i64 = -1 [12..],
    }

    /// See [`PartitionData::current_leader`].
    struct LeaderIdAndEpoch {
        /// TODO
        leader_id: i32 = -1 [12..],
        /// TODO
        leader_epoch: i32 = -1 [12..],
    }

    /// See [`PartitionData::snapshot_id`].
    struct SnapshotId {
        /// TODO
        end_offset: i64 = -1 [0..],
        /// TODO
        epoch: i32 = -1 [0..],
    }
}
