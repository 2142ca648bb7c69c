//! DescribeCluster (key 60).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct DescribeClusterRequest {
        /// TODO
        include_cluster_authorized_operations: bool [0..],
        /// TODO
        endpoint_type: i8 = 1 [1..],
    }

    /// TODO
    struct DescribeClusterResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        endpoint_type: i8 = 1 [1..],
        /// TODO
        cluster_id: Str [0..],
        /// TODO
        controller_id: i32 = -1 [0..],
        /// TODO
        brokers: Vec<DescribeClusterBroker> [0..],
        /// TODO
        cluster_authorized_operations: i32 = -2_147_483_648 [0..],
    }

    /// An element of [`DescribeClusterResponse::brokers`].
    struct DescribeClusterBroker {
        /// TODO
        broker_id: i32 [0..],
        /// TODO
        host: Str [0..],
        /// TODO
        port: i32 [0..],
        /// TODO
        rack: Option<Str> [0..],
    }
}
