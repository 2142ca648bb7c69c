//! InitProducerId (key 22).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct InitProducerIdRequest {
        /// TODO
        transactional_id: Option<Str> [0..],
        /// TODO
        transaction_timeout_ms: i32 [0..],
        /// TODO
        producer_id: i64 = -1 [3..],
        /// TODO
        producer_epoch: i16 = -1 [3..],
    }

    /// TODO
    struct InitProducerIdResponse {
        /// TODO
        throttle_time_ms: i32 [0..; ignorable],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        producer_id: i64 = -1 [0..],
        /// TODO
        producer_epoch: i16 [0..],
    }
}
