//! StopReplica (key 5).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct StopReplicaRequest {
        /// TODO
        controller_id: i32 [0..],
        /// TODO
        is_kraft_controller: bool [4..],
        /// TODO
        controller_epoch: i32 [0..],
        /// TODO
        broker_epoch: i64 = -1 [1..; ignorable],
        /// TODO
        delete_partitions: bool [0..=2],
        /// TODO
        ungrouped_partitions: Vec<StopReplicaPartitionV0> [0..=0],
        /// TODO
        topics: Vec<StopReplicaTopicV1> [1..=2],
        /// TODO
        topic_states: Vec<StopReplicaTopicState> [3..],
    }

    /// An element of [`StopReplicaRequest::ungrouped_partitions`].
    struct StopReplicaPartitionV0 {
        /// TODO
        topic_name: Str [0..=0],
        /// TODO
        partition_index: i32 [0..=0],
    }

    /// An element of [`StopReplicaRequest::topics`].
    struct StopReplicaTopicV1 {
        /// TODO
        name: Str [1..=2],
        /// TODO
        partition_indexes: Vec<i32> [1..=2],
    }

    /// An element of [`StopReplicaRequest::topic_states`].
    struct StopReplicaTopicState {
        /// TODO
        topic_name: Str [3..],
        /// TODO
        partition_states: Vec<StopReplicaPartitionState> [3..],
    }

    /// An element of [`StopReplicaTopicState::partition_states`].
    struct StopReplicaPartitionState {
        /// TODO
        partition_index: i32 [3..],
        /// TODO
        leader_epoch: i32 = -1 [3..],
        /// TODO
        delete_partition: bool [3..],
    }

    /// TODO
    struct StopReplicaResponse {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        partition_errors: Vec<StopReplicaPartitionError> [0..],
    }

    /// An element of [`StopReplicaResponse::partition_errors`].
    struct StopReplicaPartitionError {
        /// TODO
        topic_name: Str [0..],
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
    }
}
