//! CreateTopics (key 19).

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// TODO
    struct CreateTopicsRequest {
        /// TODO
        topics: Vec<CreatableTopic> [0..],
        /// TODO
        timeout_ms: i32 = 60_000 [0..],
        /// TODO
        validate_only: bool [1..],
    }

    /// An element of [`CreateTopicsRequest::topics`].
    struct CreatableTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        num_partitions: i32 [0..],
        /// TODO
        replication_factor: i16 [0..],
        /// TODO
        assignments: Vec<CreatableReplicaAssignment> [0..],
        /// TODO
        configs: Vec<CreatableTopicConfig> [0..],
    }

    /// An element of [`CreatableTopic::assignments`].
    struct CreatableReplicaAssignment {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        broker_ids: Vec<i32> [0..],
    }

    /// An element of [`CreatableTopic::configs`].
    struct CreatableTopicConfig {
        /// TODO
        name: Str [0..],
        /// TODO
        value: Option<Str> [0..],
    }

    /// TODO
    struct CreateTopicsResponse {
        /// TODO
        throttle_time_ms: i32 [2..; ignorable],
        /// TODO
        topics: Vec<CreatableTopicResult> [0..],
    }

    /// An element of [`CreateTopicsResponse::topics`].
    struct CreatableTopicResult {
        /// TODO
        name: Str [0..],
        /// TODO
        topic_id: TopicId [7..; ignorable],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [1..; ignorable],
        /// TODO
        num_partitions: i32 = -1 [5..; ignorable],
        /// TODO
        replication_factor: i16 = -1 [5..; ignorable],
        /// TODO
        configs: Option<Vec<CreatableTopicConfigs>> [5..; ignorable],
        /// TODO
        topic_config_error_code: ErrorCode [5.., tag 0; ignorable],
    }

    /// An element of [`CreatableTopicResult::configs`].
    struct CreatableTopicConfigs {
        /// TODO
        name: Str [5..],
        /// TODO
        value: Option<Str> [5..],
        /// TODO
        read_only: bool [5..],
        /// TODO
        config_source: i8 = -1 [5..; ignorable],
        /// TODO
        is_sensitive: bool [5..],
    }
}
