//! AllocateProducerIds (key 67).

use crate::model::ErrorCode;

structs! {
    /// TODO
    struct AllocateProducerIdsRequest {
        /// TODO
        broker_id: i32 [0..],
        /// TODO
        broker_epoch: i64 = -1 [0..],
    }

    /// TODO
    struct AllocateProducerIdsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        producer_id_start: i64 [0..],
        /// TODO
        producer_id_len: i32 [0..],
    }
}
