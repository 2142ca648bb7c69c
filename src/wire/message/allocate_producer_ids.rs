//! AllocateProducerIds (key 67): a broker asks the controller for a block of producer ids.

use crate::model::ErrorCode;

structs! {
    /// Asks for the next block (KIP-730).
    struct AllocateProducerIdsRequest {
        /// The broker that asks.
        broker_id: i32 [0..],
        /// The broker's epoch: which incarnation of it is meant; −1 when it is not checked.
        broker_epoch: i64 = -1 [0..],
    }

    /// Answers [`AllocateProducerIdsRequest`]: the block.
    struct AllocateProducerIdsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The block's first id.
        producer_id_start: i64 [0..],
        /// How many ids the block has.
        producer_id_len: i32 [0..],
    }
}
