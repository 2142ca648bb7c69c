//! StopReplica (key 5): the controller tells a broker to let go of replicas.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Replicas to stop fetching for, and perhaps to delete (KIP-570).
    struct StopReplicaRequest {
        /// The controller's broker id; −1 when there is none.
        controller_id: i32 [0..],
        /// Whether the controller is a Raft quorum that is taking over from ZooKeeper (KIP-866).
        is_kraft_controller: bool [4..],
        /// The epoch of the controller that says so.
        controller_epoch: i32 [0..],
        /// The broker's epoch: which incarnation of it is meant; −1 when it is not checked.
        broker_epoch: i64 = -1 [1..; ignorable],
        /// Whether to delete the replicas, not only to stop them.
        delete_partitions: bool [0..=2],
        /// One entry per replica, in version 0.
        ungrouped_partitions: Vec<StopReplicaPartitionV0> [0..=0],
        /// The replicas, by topic, in versions 1 and 2.
        topics: Vec<StopReplicaTopicV1> [1..=2],
        /// The replicas, by topic, from version 3 on.
        topic_states: Vec<StopReplicaTopicState> [3..],
    }

    /// An element of [`StopReplicaRequest::ungrouped_partitions`].
    struct StopReplicaPartitionV0 {
        /// The topic's name.
        topic_name: Str [0..=0],
        /// The partition's number.
        partition_index: i32 [0..=0],
    }

    /// An element of [`StopReplicaRequest::topics`].
    struct StopReplicaTopicV1 {
        /// The topic's name.
        name: Str [1..=2],
        /// The partitions' numbers.
        partition_indexes: Vec<i32> [1..=2],
    }

    /// An element of [`StopReplicaRequest::topic_states`].
    struct StopReplicaTopicState {
        /// The topic's name.
        topic_name: Str [3..],
        /// One entry per partition.
        partition_states: Vec<StopReplicaPartitionState> [3..],
    }

    /// An element of [`StopReplicaTopicState::partition_states`].
    struct StopReplicaPartitionState {
        /// The partition's number.
        partition_index: i32 [3..],
        /// The partition's leader epoch; −1 when it is not checked, −2 when the topic is being deleted (KIP-570).
        leader_epoch: i32 = -1 [3..],
        /// Whether to delete the replica, not only to stop it.
        delete_partition: bool [3..],
    }

    /// Answers [`StopReplicaRequest`]: what the broker made of it, per partition.
    struct StopReplicaResponse {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// One entry per partition.
        partition_errors: Vec<StopReplicaPartitionError> [0..],
    }

    /// An element of [`StopReplicaResponse::partition_errors`].
    struct StopReplicaPartitionError {
        /// The topic's name.
        topic_name: Str [0..],
        /// The partition's number.
        partition_index: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }
}
