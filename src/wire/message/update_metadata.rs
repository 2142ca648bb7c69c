//! UpdateMetadata (key 6).

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// TODO
    struct UpdateMetadataRequest {
        /// TODO
        controller_id: i32 [0..],
        /// TODO
        is_kraft_controller: bool [8..],
        /// TODO
        controller_epoch: i32 [0..],
        /// TODO
        broker_epoch: i64 = -1 [5..; ignorable],
        /// TODO
        ungrouped_partition_states: Vec<UpdateMetadataPartitionState> [0..=4],
        /// TODO
        topic_states: Vec<UpdateMetadataTopicState> [5..],
        /// TODO
        live_brokers: Vec<UpdateMetadataBroker> [0..],
        /// TODO
        request_type: i8 [8.., tag 0],
    }

    /// An element of [`UpdateMetadataRequest::ungrouped_partition_states`].
    struct UpdateMetadataPartitionState {
        /// TODO
        topic_name: Str [0..=4; ignorable],
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
        zk_version: i32 [0..],
        /// TODO
        replicas: Vec<i32> [0..],
        /// TODO
        offline_replicas: Vec<i32> [4..; ignorable],
    }

    /// An element of [`UpdateMetadataRequest::topic_states`].
    struct UpdateMetadataTopicState {
        /// TODO
        topic_name: Str [5..],
        /// TODO
        topic_id: TopicId [7..; ignorable],
        /// TODO
        partition_states: Vec<UpdateMetadataPartitionState> [5..],
    }

    /// An element of [`UpdateMetadataRequest::live_brokers`].
    struct UpdateMetadataBroker {
        /// TODO
        id: i32 [0..],
        /// TODO
        v0_host: Str [0..=0; ignorable],
        /// TODO
        v0_port: i32 [0..=0; ignorable],
        /// TODO
        endpoints: Vec<UpdateMetadataEndpoint> [1..; ignorable],
        /// TODO
        rack: Option<Str> [2..; ignorable],
    }

    /// An element of [`UpdateMetadataBroker::endpoints`].
    struct UpdateMetadataEndpoint {
        /// TODO
        port: i32 [1..],
        /// TODO
        host: Str [1..],
        /// TODO
        listener: Str [3..; ignorable],
        /// TODO
        security_protocol: i16 [1..],
    }

    /// TODO
    struct UpdateMetadataResponse {
        /// TODO
        error_code: ErrorCode [0..],
    }
}
