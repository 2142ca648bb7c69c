//! ConsumerGroupHeartbeat (key 68): a member of a consumer group of the new protocol is alive, and says what it owns.

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// Joins, stays in or leaves a group (KIP-848). Null means "as last said" where it may.
    struct ConsumerGroupHeartbeatRequest {
        /// The group's name.
        group_id: Str [0..],
        /// The member's id. From version 1 on the client makes it; before the coordinator does, and it is empty at first.
        member_id: Str [0..],
        /// The member's epoch: 0 joins, −1 leaves, −2 leaves for a while as a static member.
        member_epoch: i32 [0..],
        /// The name of a static member; null for a dynamic one.
        instance_id: Option<Str> [0..],
        /// Where the client stands; null when it does not say or it did not change.
        rack_id: Option<Str> [0..],
        /// How long the member may take to rejoin in a rebalance, in ms; −1 for unsaid.
        rebalance_timeout_ms: i32 = -1 [0..],
        /// The topics that the member subscribes to; null when they did not change.
        subscribed_topic_names: Option<Vec<Str>> [0..],
        /// The pattern of the topics that the member subscribes to; null when it did not change, empty for none any more.
        subscribed_topic_regex: Option<Str> [1..],
        /// The assignor that the member wants; null for the broker's choice.
        server_assignor: Option<Str> [0..],
        /// The partitions that the member owns; null when they did not change.
        topic_partitions: Option<Vec<OwnedTopicPartitions>> [0..],
    }

    /// An element of [`ConsumerGroupHeartbeatRequest::topic_partitions`].
    struct OwnedTopicPartitions {
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }

    /// Answers [`ConsumerGroupHeartbeatRequest`]: what the member is to own.
    struct ConsumerGroupHeartbeatResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// The member's id, when the broker chose it; otherwise null.
        member_id: Option<Str> [0..],
        /// The member's epoch (KIP-848).
        member_epoch: i32 [0..],
        /// How often the member should send heartbeats, in ms.
        heartbeat_interval_ms: i32 [0..],
        /// What the member is to own; null when that did not change.
        assignment: Option<Assignment> [0..],
    }

    /// See [`ConsumerGroupHeartbeatResponse::assignment`].
    struct Assignment {
        /// Partitions, by topic.
        topic_partitions: Vec<TopicPartitions> [0..],
    }

    /// An element of [`Assignment::topic_partitions`].
    struct TopicPartitions {
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }
}

nullable_structs! { Assignment }
