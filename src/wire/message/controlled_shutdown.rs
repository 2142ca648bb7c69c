//! ControlledShutdown (key 7).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct ControlledShutdownRequest {
        /// TODO
        broker_id: i32 [0..],
        /// TODO
        broker_epoch: i64 = -1 [2..; ignorable],
    }

    /// TODO
    struct ControlledShutdownResponse {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        remaining_partitions: Vec<RemainingPartition> [0..],
    }

    /// An element of [`ControlledShutdownResponse::remaining_partitions`].
    struct RemainingPartition {
        /// TODO
        topic_name: Str [0..],
        /// TODO
        partition_index: i32 [0..],
    }
}
