//! ExpireDelegationToken (key 40): a delegation token ends sooner.

use bytes::Bytes;

use crate::model::ErrorCode;

structs! {
    /// Brings the expiry of a token forward (KIP-48).
    struct ExpireDelegationTokenRequest {
        /// The token's secret half.
        hmac: Bytes [0..],
        /// For how long from now the token shall live, in ms; −1 ends it at once.
        expiry_time_period_ms: i64 [0..],
    }

    /// Answers [`ExpireDelegationTokenRequest`]: the new expiry.
    struct ExpireDelegationTokenResponse {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// When the token ends, in ms since 1970.
        expiry_timestamp_ms: i64 [0..],
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
    }
}
