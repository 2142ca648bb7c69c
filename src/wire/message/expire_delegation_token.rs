//! ExpireDelegationToken (key 40).

use bytes::Bytes;

use crate::model::ErrorCode;

structs! {
    /// TODO
    struct ExpireDelegationTokenRequest {
        /// TODO
        hmac: Bytes [0..],
        /// TODO
        expiry_time_period_ms: i64 [0..],
    }

    /// TODO
    struct ExpireDelegationTokenResponse {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        expiry_timestamp_ms: i64 [0..],
        /// TODO
        throttle_time_ms: i32 [0..],
    }
}
