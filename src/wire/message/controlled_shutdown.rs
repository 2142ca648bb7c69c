//! ControlledShutdown (key 7): a broker asks the controller to take its leaderships away.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// A broker is about to stop (KIP-49, KIP-380).
    struct ControlledShutdownRequest {
        /// The broker that is about to stop.
        broker_id: i32 [0..],
        /// The broker's epoch: which incarnation of it is meant; −1 when it is not checked.
        broker_epoch: i64 = -1 [2..; ignorable],
    }

    /// Answers [`ControlledShutdownRequest`]: the partitions that the broker still leads.
    struct ControlledShutdownResponse {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// Partitions that the broker still leads: it should not stop yet.
        remaining_partitions: Vec<RemainingPartition> [0..],
    }

    /// An element of [`ControlledShutdownResponse::remaining_partitions`].
    struct RemainingPartition {
        /// The topic's name.
        topic_name: Str [0..],
        /// The partition's number.
        partition_index: i32 [0..],
    }
}
