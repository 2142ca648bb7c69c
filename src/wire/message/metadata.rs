//! Metadata (key 3).

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// TODO
    struct MetadataRequest {
        /// TODO
        topics: Option<Vec<MetadataRequestTopic>> [0.., nullable 1..],
        /// TODO
        allow_auto_topic_creation: bool = true [4..],
        /// TODO
        include_cluster_authorized_operations: bool [8..=10],
        /// TODO
        include_topic_authorized_operations: bool [8..],
    }

    /// An element of [`MetadataRequest::topics`].
    struct MetadataRequestTopic {
        /// TODO
        topic_id: TopicId [10..; ignorable],
        /// TODO
        name: Option<Str> [0.., nullable 10..],
    }

    /// TODO
    struct MetadataResponse {
        /// TODO
        throttle_time_ms: i32 [3..; ignorable],
        /// TODO
        brokers: Vec<MetadataResponseBroker> [0..],
        /// TODO
        cluster_id: Option<Str> [2..; ignorable],
        /// TODO
        controller_id: i32 = -1 [1..; ignorable],
        /// TODO
        topics: Vec<MetadataResponseTopic> [0..],
        /// TODO
        cluster_authorized_operations: i32 = -2_147_483_648 [8..=10],
    }

    /// An element of [`MetadataResponse::brokers`].
    struct MetadataResponseBroker {
        /// TODO
        node_id: i32 [0..],
        /// TODO
        host: Str [0..],
        /// TODO
        port: i32 [0..],
        /// TODO
        rack: Option<Str> [1..; ignorable],
    }

    /// An element of [`MetadataResponse::topics`].
    struct MetadataResponseTopic {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        name: Option<Str> [0.., nullable 12..],
        /// TODO
        topic_id: TopicId [10..; ignorable],
        /// TODO
        is_internal: bool [1..; ignorable],
        /// TODO
        partitions: Vec<MetadataResponsePartition> [0..],
        /// TODO
        topic_authorized_operations: i32 = -2_147_483_648 [8..],
    }

    /// An element of [`MetadataResponseTopic::partitions`].
    struct MetadataResponsePartition {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        leader_id: i32 [0..],
        /// TODO
        leader_epoch: i32 = -1 [7..; ignorable],
        /// TODO
        replica_nodes: Vec<i32> [0..],
        /// TODO
        isr_nodes: Vec<i32> [0..],
        /// TODO
        offline_replicas: Vec<i32> [5..; ignorable],
    }
}
