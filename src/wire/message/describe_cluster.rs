//! DescribeCluster (key 60): which brokers there are.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for the brokers (KIP-700, KIP-919).
    struct DescribeClusterRequest {
        /// Whether to say what the asker may do with the cluster.
        include_cluster_authorized_operations: bool [0..],
        /// Whose addresses: 1 of brokers, 2 of controllers (KIP-919).
        endpoint_type: i8 = 1 [1..],
    }

    /// Answers [`DescribeClusterRequest`]: the brokers.
    struct DescribeClusterResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// Whose addresses: 1 of brokers, 2 of controllers (KIP-919).
        endpoint_type: i8 = 1 [1..],
        /// The cluster's id; null when it is not known.
        cluster_id: Str [0..],
        /// The controller's broker id; −1 when there is none.
        controller_id: i32 = -1 [0..],
        /// The live brokers.
        brokers: Vec<DescribeClusterBroker> [0..],
        /// What the asker may do with the cluster, one bit per operation; `i32::MIN` when that was not asked.
        cluster_authorized_operations: i32 = -2_147_483_648 [0..],
    }

    /// An element of [`DescribeClusterResponse::brokers`].
    struct DescribeClusterBroker {
        /// The broker's id.
        broker_id: i32 [0..],
        /// The host to connect to.
        host: Str [0..],
        /// The port to connect to.
        port: i32 [0..],
        /// Where the broker stands; null when it does not say.
        rack: Option<Str> [0..],
    }
}
