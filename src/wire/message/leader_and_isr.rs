//! LeaderAndIsr (key 4).

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// TODO
    struct LeaderAndIsrRequest {
        /// TODO
        controller_id: i32 [0..],
        /// TODO
        is_kraft_controller: bool [7..],
        /// TODO
        controller_epoch: i32 [0..],
        /// TODO
        broker_epoch: i64 = -1 [2..; ignorable],
        /// TODO
        request_type: i8 [5..],
        /// TODO
        ungrouped_partition_states: Vec<LeaderAndIsrPartitionState> [0..=1],
        /// TODO
        topic_states: Vec<LeaderAndIsrTopicState> [2..],
        /// TODO
        live_leaders: Vec<LeaderAndIsrLiveLeader> [0..],
    }

    /// An element of [`LeaderAndIsrRequest::ungrouped_partition_states`].
    struct LeaderAndIsrPartitionState {
        /// TODO
        topic_name: Str [0..=1; ignorable],
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        controller_epoch: i32 [0..],
        /// TODO
        leader: i32 [0..],
        /// TODO
        leader_epoch: i32 [0..],
        /// TODO
        isr: Vec<i32> [0..],
        /// TODO
        partition_epoch: i32 [0..],
        /// TODO
        replicas: Vec<i32> [0..],
        /// TODO
        adding_replicas: Vec<i32> [3..; ignorable],
        /// TODO
        removing_replicas: Vec<i32> [3..; ignorable],
        /// TODO
        is_new: bool [1..; ignorable],
        /// TODO
        leader_recovery_state: i8 [6..],
    }

    /// An element of [`LeaderAndIsrRequest::topic_states`].
    struct LeaderAndIsrTopicState {
        /// TODO
        topic_name: Str [2..],
        /// TODO
        topic_id: TopicId [5..; ignorable],
        /// TODO
        partition_states: Vec<LeaderAndIsrPartitionState> [2..],
    }

    /// An element of [`LeaderAndIsrRequest::live_leaders`].
    struct LeaderAndIsrLiveLeader {
        /// TODO
        broker_id: i32 [0..],
        /// TODO
        host_name: Str [0..],
        /// TODO
        port: i32 [0..],
    }

    /// TODO
    struct LeaderAndIsrResponse {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        partition_errors: Vec<LeaderAndIsrPartitionError> [0..=4],
        /// TODO
        topics: Vec<LeaderAndIsrTopicError> [5..],
    }

    /// An element of [`LeaderAndIsrResponse::partition_errors`].
    struct LeaderAndIsrPartitionError {
        /// TODO
        topic_name: Str [0..=4; ignorable],
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
    }

    /// An element of [`LeaderAndIsrResponse::topics`].
    struct LeaderAndIsrTopicError {
        /// TODO
        topic_id: TopicId [5..],
        /// TODO
        partition_errors: Vec<LeaderAndIsrPartitionError> [5..],
    }
}
