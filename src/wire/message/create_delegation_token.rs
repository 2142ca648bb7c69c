//! CreateDelegationToken (key 38).

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct CreateDelegationTokenRequest {
        /// TODO
        owner_principal_type: Option<Str> [3..],
        /// TODO
        owner_principal_name: Option<Str> [3..],
        /// TODO
        renewers: Vec<CreatableRenewers> [0..],
        /// TODO
        max_lifetime_ms: i64 [0..],
    }

    /// An element of [`CreateDelegationTokenRequest::renewers`].
    struct CreatableRenewers {
        /// TODO
        principal_type: Str [0..],
        /// TODO
        principal_name: Str [0..],
    }

    /// TODO
    struct CreateDelegationTokenResponse {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        principal_type: Str [0..],
        /// TODO
        principal_name: Str [0..],
        /// TODO
        token_requester_principal_type: Str [3..],
        /// TODO
        token_requester_principal_name: Str [3..],
        /// TODO
        issue_timestamp_ms: i64 [0..],
        /// TODO
        expiry_timestamp_ms: i64 [0..],
        /// TODO
        max_timestamp_ms: i64 [0..],
        /// TODO
        token_id: Str [0..],
        /// TODO
        hmac: Bytes [0..],
        /// TODO
        throttle_time_ms: i32 [0..],
    }
}
