//! AlterPartition (key 56).

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// TODO
    struct AlterPartitionRequest {
        /// TODO
        broker_id: i32 [0..],
        /// TODO
        broker_epoch: i64 = -1 [0..],
        /// TODO
        topics: Vec<TopicData> [0..],
    }

    /// An element of [`AlterPartitionRequest::topics`].
    struct TopicData {
        /// TODO
        topic_name: Str [0..=1; ignorable],
        /// TODO
        topic_id: TopicId [2..; ignorable],
        /// TODO
        partitions: Vec<PartitionData> [0..],
    }

    /// An element of [`TopicData::partitions`].
    struct PartitionData {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        leader_epoch: i32 [0..],
        /// TODO
        new_isr: Vec<i32> [0..=2],
        /// TODO
        new_isr_with_epochs: Vec<BrokerState> [3..],
        /// TODO
        leader_recovery_state: i8 [1..],
        /// TODO
        partition_epoch: i32 [0..],
    }

    /// An element of [`PartitionData::new_isr_with_epochs`].
    struct BrokerState {
        /// TODO
        broker_id: i32 [3..],
        /// TODO
        broker_epoch: i64 = -1 [3..],
    }

    /// TODO
    struct AlterPartitionResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        topics: Vec<TopicResult> [0..],
    }

    /// An element of [`AlterPartitionResponse::topics`].
    struct TopicResult {
        /// TODO
        topic_name: Str [0..=1; ignorable],
        /// TODO
        topic_id: TopicId [2..; ignorable],
        /// TODO
        partitions: Vec<PartitionResult> [0..],
    }

    /// An element of [`TopicResult::partitions`].
    struct PartitionResult {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        leader_id: i32 [0..],
        /// TODO
        leader_epoch: i32 [0..],
        /// TODO
        isr: Vec<i32> [0..],
        /// TODO
        leader_recovery_state: i8 [1..; ignorable],
        /// TODO
        partition_epoch: i32 [0..],
    }
}
