//! CreateDelegationToken (key 38): a new delegation token.

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for a token (KIP-48, KIP-373).
    struct CreateDelegationTokenRequest {
        /// What kind of principal owns the token; null for the asker's (KIP-373).
        owner_principal_type: Option<Str> [3..],
        /// Who owns the token; null for the asker (KIP-373).
        owner_principal_name: Option<Str> [3..],
        /// Who may renew the token.
        renewers: Vec<CreatableRenewers> [0..],
        /// How long the token may live if it is renewed, in ms; −1 for the broker's limit.
        max_lifetime_ms: i64 [0..],
    }

    /// An element of [`CreateDelegationTokenRequest::renewers`].
    struct CreatableRenewers {
        /// What kind of principal, for instance `User`.
        principal_type: Str [0..],
        /// The principal's name.
        principal_name: Str [0..],
    }

    /// Answers [`CreateDelegationTokenRequest`]: the token.
    struct CreateDelegationTokenResponse {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What kind of principal, for instance `User`.
        principal_type: Str [0..],
        /// The principal's name.
        principal_name: Str [0..],
        /// What kind of principal asked for the token.
        token_requester_principal_type: Str [3..],
        /// Who asked for the token.
        token_requester_principal_name: Str [3..],
        /// When the token was made, in ms since 1970.
        issue_timestamp_ms: i64 [0..],
        /// When the token ends, in ms since 1970.
        expiry_timestamp_ms: i64 [0..],
        /// Until when the token can be renewed, in ms since 1970.
        max_timestamp_ms: i64 [0..],
        /// The token's public half.
        token_id: Str [0..],
        /// The token's secret half.
        hmac: Bytes [0..],
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
    }
}
