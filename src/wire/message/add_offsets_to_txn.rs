//! AddOffsetsToTxn (key 25).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct AddOffsetsToTxnRequest {
        /// TODO
        transactional_id: Str [0..],
        /// TODO
        producer_id: i64 [0..],
        /// TODO
        producer_epoch: i16 [0..],
        /// TODO
        group_id: Str [0..],
    }

    /// TODO
    struct AddOffsetsToTxnResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
    }
}
