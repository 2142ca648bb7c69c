//! UpdateMetadata (key 6): the controller tells a broker what the cluster looks like.

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

/// [`UpdateMetadataRequest::request_type`] of a request that names every partition there is.
pub const EVERYTHING: i8 = 2;

structs! {
    /// Live brokers, and the state of partitions that changed (KIP-103, KIP-516, KIP-866).
    struct UpdateMetadataRequest {
        /// The controller's broker id; −1 when there is none.
        controller_id: i32 [0..],
        /// Whether the controller is a Raft quorum that is taking over from ZooKeeper (KIP-866).
        is_kraft_controller: bool [8..],
        /// The epoch of the controller that says so.
        controller_epoch: i32 [0..],
        /// The broker's epoch: which incarnation of it is meant; −1 when it is not checked.
        broker_epoch: i64 = -1 [5..; ignorable],
        /// One entry per partition, before they were grouped by topic.
        ungrouped_partition_states: Vec<UpdateMetadataPartitionState> [0..=4],
        /// The partitions, by topic.
        topic_states: Vec<UpdateMetadataTopicState> [5..],
        /// The brokers that are alive.
        live_brokers: Vec<UpdateMetadataBroker> [0..],
        /// 1 tells what changed, 2 everything; 0 does not say (KIP-866).
        request_type: i8 [8.., tag 0],
    }

    /// What the controller says of one partition.
    struct UpdateMetadataPartitionState {
        /// The topic's name, before partitions were grouped by topic.
        topic_name: Str [0..=4; ignorable],
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
        zk_version: i32 [0..],
        /// The brokers that hold a replica, the preferred leader first.
        replicas: Vec<i32> [0..],
        /// Replicas on dead brokers or failed log dirs (KIP-112).
        offline_replicas: Vec<i32> [4..; ignorable],
    }

    /// An element of [`UpdateMetadataRequest::topic_states`].
    struct UpdateMetadataTopicState {
        /// The topic's name.
        topic_name: Str [5..],
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [7..; ignorable],
        /// One entry per partition.
        partition_states: Vec<UpdateMetadataPartitionState> [5..],
    }

    /// An element of [`UpdateMetadataRequest::live_brokers`].
    struct UpdateMetadataBroker {
        /// The broker's id.
        id: i32 [0..],
        /// The host to connect to, in version 0.
        v0_host: Str [0..=0; ignorable],
        /// The port to connect to, in version 0.
        v0_port: i32 [0..=0; ignorable],
        /// Where the broker listens.
        endpoints: Vec<UpdateMetadataEndpoint> [1..; ignorable],
        /// Where the broker stands; null when it does not say.
        rack: Option<Str> [2..; ignorable],
    }

    /// An element of [`UpdateMetadataBroker::endpoints`].
    struct UpdateMetadataEndpoint {
        /// The port to connect to.
        port: i32 [1..],
        /// The host to connect to.
        host: Str [1..],
        /// The listener's name.
        listener: Str [3..; ignorable],
        /// 0 plain, 1 TLS, 2 SASL, 3 SASL over TLS.
        security_protocol: i16 [1..],
    }

    /// Answers [`UpdateMetadataRequest`]: whether the broker took it.
    struct UpdateMetadataResponse {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }
}
