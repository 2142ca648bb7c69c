//! Metadata (key 3): who leads which partition.

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// Asks for brokers, topics and their partitions; creates topics where it may (KIP-204, KIP-516).
    struct MetadataRequest {
        /// The topics asked for; null for all, empty for none. In version 0 empty is all.
        topics: Option<Vec<MetadataRequestTopic>> [0.., nullable 1..],
        /// Whether the broker may create the topics that do not exist.
        allow_auto_topic_creation: bool = true [4..],
        /// Whether to say what the asker may do with the cluster.
        include_cluster_authorized_operations: bool [8..=10],
        /// Whether to say what the asker may do with each topic.
        include_topic_authorized_operations: bool [8..],
    }

    /// An element of [`MetadataRequest::topics`].
    struct MetadataRequestTopic {
        /// The topic's id; zero to ask by name.
        topic_id: TopicId [10..; ignorable],
        /// The topic's name; null to ask by id.
        name: Option<Str> [0.., nullable 10..],
    }

    /// Answers [`MetadataRequest`]: the cluster as the answering broker knows it.
    struct MetadataResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [3..; ignorable],
        /// The live brokers.
        brokers: Vec<MetadataResponseBroker> [0..],
        /// The cluster's id; null when it is not known.
        cluster_id: Option<Str> [2..; ignorable],
        /// The controller's broker id; −1 when there is none.
        controller_id: i32 = -1 [1..; ignorable],
        /// One entry per topic.
        topics: Vec<MetadataResponseTopic> [0..],
        /// What the asker may do with the cluster, one bit per operation; `i32::MIN` when that was not asked.
        cluster_authorized_operations: i32 = -2_147_483_648 [8..=10],
    }

    /// An element of [`MetadataResponse::brokers`].
    struct MetadataResponseBroker {
        /// The broker's id.
        node_id: i32 [0..],
        /// The host to connect to.
        host: Str [0..],
        /// The port to connect to.
        port: i32 [0..],
        /// Where the broker stands; null when it does not say.
        rack: Option<Str> [1..; ignorable],
    }

    /// An element of [`MetadataResponse::topics`].
    struct MetadataResponseTopic {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The topic's name; null when it was asked for by an unknown id.
        name: Option<Str> [0.., nullable 12..],
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [10..; ignorable],
        /// Whether the topic is the brokers' own.
        is_internal: bool [1..; ignorable],
        /// One entry per partition.
        partitions: Vec<MetadataResponsePartition> [0..],
        /// What the asker may do with the topic, one bit per operation; `i32::MIN` when that was not asked.
        topic_authorized_operations: i32 = -2_147_483_648 [8..],
    }

    /// An element of [`MetadataResponseTopic::partitions`].
    struct MetadataResponsePartition {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The partition's number.
        partition_index: i32 [0..],
        /// The leader's broker id; −1 when there is none.
        leader_id: i32 [0..],
        /// The partition's leader epoch; −1 for unknown.
        leader_epoch: i32 = -1 [7..; ignorable],
        /// The brokers that hold a replica, the preferred leader first.
        replica_nodes: Vec<i32> [0..],
        /// The in-sync replicas.
        isr_nodes: Vec<i32> [0..],
        /// Replicas on dead brokers or failed log dirs (KIP-112).
        offline_replicas: Vec<i32> [5..; ignorable],
    }
}
