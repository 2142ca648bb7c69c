//! RenewDelegationToken (key 39).

use bytes::Bytes;

use crate::model::ErrorCode;

structs! {
    /// TODO
    struct RenewDelegationTokenRequest {
        /// TODO
        hmac: Bytes [0..],
        /// TODO
        renew_period_ms: i64 [0..],
    }

    /// TODO
    struct RenewDelegationTokenResponse {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        expiry_timestamp_ms: i64 [0..],
        /// TODO
        throttle_time_ms: i32 [0..],
    }
}
