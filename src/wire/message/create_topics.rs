//! CreateTopics (key 19): new topics.

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// Creates topics (KIP-4, KIP-464, KIP-525).
    struct CreateTopicsRequest {
        /// One entry per topic.
        topics: Vec<CreatableTopic> [0..],
        /// How long the broker may take, in ms.
        timeout_ms: i32 = 60_000 [0..],
        /// Whether to check only, and change nothing.
        validate_only: bool [1..],
    }

    /// An element of [`CreateTopicsRequest::topics`].
    struct CreatableTopic {
        /// The topic's name.
        name: Str [0..],
        /// How many partitions; −1 for the broker's default, or when the assignment says it.
        num_partitions: i32 [0..],
        /// How many replicas each partition has; −1 for the broker's default, or when the assignment says it.
        replication_factor: i16 [0..],
        /// Which brokers hold which replicas; empty to let the broker choose.
        assignments: Vec<CreatableReplicaAssignment> [0..],
        /// The configuration, key by key.
        configs: Vec<CreatableTopicConfig> [0..],
    }

    /// An element of [`CreatableTopic::assignments`].
    struct CreatableReplicaAssignment {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Brokers, the preferred leader first.
        broker_ids: Vec<i32> [0..],
    }

    /// An element of [`CreatableTopic::configs`].
    struct CreatableTopicConfig {
        /// The key.
        name: Str [0..],
        /// The value; null for none.
        value: Option<Str> [0..],
    }

    /// Answers [`CreateTopicsRequest`]: the outcome per topic.
    struct CreateTopicsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [2..; ignorable],
        /// One entry per topic.
        topics: Vec<CreatableTopicResult> [0..],
    }

    /// An element of [`CreateTopicsResponse::topics`].
    struct CreatableTopicResult {
        /// The topic's name.
        name: Str [0..],
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [7..; ignorable],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [1..; ignorable],
        /// How many partitions it has; −1 when that is not told.
        num_partitions: i32 = -1 [5..; ignorable],
        /// How many replicas each partition has; −1 when that is not told.
        replication_factor: i16 = -1 [5..; ignorable],
        /// The topic's configuration; null when it is not told (KIP-525).
        configs: Option<Vec<CreatableTopicConfigs>> [5..; ignorable],
        /// Why the configuration is not told, if it is not (KIP-525).
        topic_config_error_code: ErrorCode [5.., tag 0; ignorable],
    }

    /// An element of [`CreatableTopicResult::configs`].
    struct CreatableTopicConfigs {
        /// The key.
        name: Str [5..],
        /// The value; null for none.
        value: Option<Str> [5..],
        /// Whether it cannot be changed while the broker runs.
        read_only: bool [5..],
        /// Where the value comes from, as Kafka numbers the sources.
        config_source: i8 = -1 [5..; ignorable],
        /// Whether the value is secret, and therefore null here.
        is_sensitive: bool [5..],
    }
}
