//! RenewDelegationToken (key 39): a delegation token lives longer.

use bytes::Bytes;

use crate::model::ErrorCode;

structs! {
    /// Puts the expiry of a token off (KIP-48).
    struct RenewDelegationTokenRequest {
        /// The token's secret half.
        hmac: Bytes [0..],
        /// For how long from now the token shall live, in ms; −1 for the broker's default.
        renew_period_ms: i64 [0..],
    }

    /// Answers [`RenewDelegationTokenRequest`]: the new expiry.
    struct RenewDelegationTokenResponse {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// When the token ends, in ms since 1970.
        expiry_timestamp_ms: i64 [0..],
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
    }
}
