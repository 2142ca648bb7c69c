//! EndTxn (key 26).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct EndTxnRequest {
        /// TODO
        transactional_id: Str [0..],
        /// TODO
        producer_id: i64 [0..],
        /// TODO
        producer_epoch: i16 [0..],
        /// TODO
        committed: bool [0..],
    }

    /// TODO
    struct EndTxnResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
    }
}
