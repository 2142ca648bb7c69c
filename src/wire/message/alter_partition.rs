//! AlterPartition (key 56): a leader asks the controller to change the in-sync replicas.

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// New in-sync replicas of partitions that the sender leads (KIP-497, KIP-704, KIP-841, KIP-903).
    struct AlterPartitionRequest {
        /// The leader's broker id.
        broker_id: i32 [0..],
        /// The leader's broker epoch; −1 when it is not checked.
        broker_epoch: i64 = -1 [0..],
        /// One entry per topic.
        topics: Vec<TopicData> [0..],
    }

    /// An element of [`AlterPartitionRequest::topics`].
    struct TopicData {
        /// The topic's name, up to version 1.
        topic_name: Str [0..=1; ignorable],
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [2..; ignorable],
        /// One entry per partition.
        partitions: Vec<PartitionData> [0..],
    }

    /// An element of [`TopicData::partitions`].
    struct PartitionData {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The sender's leader epoch.
        leader_epoch: i32 [0..],
        /// The in-sync replicas that the leader wants, up to version 2.
        new_isr: Vec<i32> [0..=2],
        /// The in-sync replicas that the leader wants, with the incarnations of them that it means (KIP-903).
        new_isr_with_epochs: Vec<BrokerState> [3..],
        /// 1 while the leader recovers from an unclean election, otherwise 0 (KIP-704).
        leader_recovery_state: i8 [1..],
        /// The version of the partition's state (KIP-497).
        partition_epoch: i32 [0..],
    }

    /// An element of [`PartitionData::new_isr_with_epochs`].
    struct BrokerState {
        /// The broker's id.
        broker_id: i32 [3..],
        /// The replica's broker epoch; −1 when it is not checked.
        broker_epoch: i64 = -1 [3..],
    }

    /// Answers [`AlterPartitionRequest`]: the partitions' state after the change, or why there is none.
    struct AlterPartitionResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// One entry per topic.
        topics: Vec<TopicResult> [0..],
    }

    /// An element of [`AlterPartitionResponse::topics`].
    struct TopicResult {
        /// The topic's name, up to version 1.
        topic_name: Str [0..=1; ignorable],
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [2..; ignorable],
        /// One entry per partition.
        partitions: Vec<PartitionResult> [0..],
    }

    /// An element of [`TopicResult::partitions`].
    struct PartitionResult {
        /// The partition's number.
        partition_index: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The leader's broker id; −1 when there is none.
        leader_id: i32 [0..],
        /// The partition's leader epoch; −1 for unknown.
        leader_epoch: i32 [0..],
        /// The in-sync replicas.
        isr: Vec<i32> [0..],
        /// 1 while the leader recovers from an unclean election, otherwise 0 (KIP-704).
        leader_recovery_state: i8 [1..; ignorable],
        /// The version of the partition's state (KIP-497).
        partition_epoch: i32 [0..],
    }
}
