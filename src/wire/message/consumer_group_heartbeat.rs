//! ConsumerGroupHeartbeat (key 68).

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// TODO
    struct ConsumerGroupHeartbeatRequest {
        /// TODO
        group_id: Str [0..],
        /// TODO
        member_id: Str [0..],
        /// TODO
        member_epoch: i32 [0..],
        /// TODO
        instance_id: Option<Str> [0..],
        /// TODO
        rack_id: Option<Str> [0..],
        /// TODO
        rebalance_timeout_ms: i32 = -1 [0..],
        /// TODO
        subscribed_topic_names: Option<Vec<Str>> [0..],
        /// TODO
        server_assignor: Option<Str> [0..],
        /// TODO
        topic_partitions: Option<Vec<OwnedTopicPartitions>> [0..],
    }

    /// An element of [`ConsumerGroupHeartbeatRequest::topic_partitions`].
    struct OwnedTopicPartitions {
        /// TODO
        topic_id: TopicId [0..],
        /// TODO
        partitions: Vec<i32> [0..],
    }

    /// TODO
    struct ConsumerGroupHeartbeatResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        member_id: Option<Str> [0..],
        /// TODO
        member_epoch: i32 [0..],
        /// TODO
        heartbeat_interval_ms: i32 [0..],
        /// TODO
        assignment: Option<Assignment> [0..],
    }

    /// See [`ConsumerGroupHeartbeatResponse::assignment`].
    struct Assignment {
        /// TODO
        topic_partitions: Vec<TopicPartitions> [0..],
    }

    /// An element of [`Assignment::topic_partitions`].
    struct TopicPartitions {
        /// TODO
        topic_id: TopicId [0..],
        /// TODO
        partitions: Vec<i32> [0..],
    }
}

nullable_structs! { Assignment }
