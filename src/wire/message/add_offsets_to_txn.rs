//! AddOffsetsToTxn (key 25): a group's offsets take part in a transaction.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Adds the partition that holds a group's offsets (KIP-98).
    struct AddOffsetsToTxnRequest {
        /// The transactional id.
        transactional_id: Str [0..],
        /// The producer's id; −1 for none.
        producer_id: i64 [0..],
        /// The producer's epoch; −1 for none.
        producer_epoch: i16 [0..],
        /// The group's name.
        group_id: Str [0..],
    }

    /// Answers [`AddOffsetsToTxnRequest`]: the outcome.
    struct AddOffsetsToTxnResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }
}
