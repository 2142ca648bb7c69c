//! LeaderAndIsr (key 4): the controller tells a broker which replicas it leads and follows.

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// The controller's word on partitions of which the receiver holds a replica (KIP-380, KIP-497, KIP-516, KIP-866).
    struct LeaderAndIsrRequest {
        /// The controller's broker id; −1 when there is none.
        controller_id: i32 [0..],
        /// Whether the controller is a Raft quorum that is taking over from ZooKeeper (KIP-866).
        is_kraft_controller: bool [7..],
        /// The epoch of the controller that says so.
        controller_epoch: i32 [0..],
        /// The broker's epoch: which incarnation of it is meant; −1 when it is not checked.
        broker_epoch: i64 = -1 [2..; ignorable],
        /// 1 tells what changed, 2 everything; 0 does not say (KIP-866).
        request_type: i8 [5..],
        /// One entry per partition, before they were grouped by topic.
        ungrouped_partition_states: Vec<LeaderAndIsrPartitionState> [0..=1],
        /// The partitions, by topic.
        topic_states: Vec<LeaderAndIsrTopicState> [2..],
        /// The brokers that lead one of the partitions.
        live_leaders: Vec<LeaderAndIsrLiveLeader> [0..],
    }

    /// What the controller says of one partition.
    struct LeaderAndIsrPartitionState {
        /// The topic's name, before partitions were grouped by topic.
        topic_name: Str [0..=1; ignorable],
        /// The partition's number.
        partition_index: i32 [0..],
        /// The epoch of the controller that says so.
        controller_epoch: i32 [0..],
        /// The leader's broker id; −1 when there is none, −2 when the topic is being deleted.
        leader: i32 [0..],
        /// The partition's leader epoch; −1 for unknown.
        leader_epoch: i32 [0..],
        /// The in-sync replicas.
        isr: Vec<i32> [0..],
        /// The version of the partition's state: the data version of its znode.
        partition_epoch: i32 [0..],
        /// The brokers that hold a replica, the preferred leader first.
        replicas: Vec<i32> [0..],
        /// Replicas that a reassignment adds (KIP-455).
        adding_replicas: Vec<i32> [3..; ignorable],
        /// Replicas that a reassignment removes (KIP-455).
        removing_replicas: Vec<i32> [3..; ignorable],
        /// Whether the replica was just created.
        is_new: bool [1..; ignorable],
        /// 1 while the leader recovers from an unclean election, otherwise 0 (KIP-704).
        leader_recovery_state: i8 [6..],
    }

    /// An element of [`LeaderAndIsrRequest::topic_states`].
    struct LeaderAndIsrTopicState {
        /// The topic's name.
        topic_name: Str [2..],
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [5..; ignorable],
        /// One entry per partition.
        partition_states: Vec<LeaderAndIsrPartitionState> [2..],
    }

    /// An element of [`LeaderAndIsrRequest::live_leaders`].
    struct LeaderAndIsrLiveLeader {
        /// The leader's broker id.
        broker_id: i32 [0..],
        /// The host to connect to.
        host_name: Str [0..],
        /// The port to connect to.
        port: i32 [0..],
    }

    /// Answers [`LeaderAndIsrRequest`]: what the broker made of it, per partition.
    struct LeaderAndIsrResponse {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// One entry per partition, up to version 4.
        partition_errors: Vec<LeaderAndIsrPartitionError> [0..=4],
        /// One entry per topic, from version 5 on.
        topics: Vec<LeaderAndIsrTopicError> [5..],
    }

    /// An element of [`LeaderAndIsrResponse::partition_errors`].
    struct LeaderAndIsrPartitionError {
        /// The topic's name, up to version 4.
        topic_name: Str [0..=4; ignorable],
        /// The partition's number.
        partition_index: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }

    /// An element of [`LeaderAndIsrResponse::topics`].
    struct LeaderAndIsrTopicError {
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [5..],
        /// One entry per partition.
        partition_errors: Vec<LeaderAndIsrPartitionError> [5..],
    }
}
