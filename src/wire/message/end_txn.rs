//! EndTxn (key 26): a transaction ends.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Commits or aborts (KIP-98).
    struct EndTxnRequest {
        /// The transactional id.
        transactional_id: Str [0..],
        /// The producer's id; −1 for none.
        producer_id: i64 [0..],
        /// The producer's epoch; −1 for none.
        producer_epoch: i16 [0..],
        /// Whether the transaction was committed.
        committed: bool [0..],
    }

    /// Answers [`EndTxnRequest`]: the outcome.
    struct EndTxnResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }
}
