//! DescribeDelegationToken (key 41): which delegation tokens there are.

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for tokens (KIP-48, KIP-373).
    struct DescribeDelegationTokenRequest {
        /// Whose tokens; null for all.
        owners: Option<Vec<DescribeDelegationTokenOwner>> [0..],
    }

    /// An element of [`DescribeDelegationTokenRequest::owners`].
    struct DescribeDelegationTokenOwner {
        /// What kind of principal, for instance `User`.
        principal_type: Str [0..],
        /// The principal's name.
        principal_name: Str [0..],
    }

    /// Answers [`DescribeDelegationTokenRequest`]: the tokens that the asker may see.
    struct DescribeDelegationTokenResponse {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The tokens.
        tokens: Vec<DescribedDelegationToken> [0..],
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
    }

    /// An element of [`DescribeDelegationTokenResponse::tokens`].
    struct DescribedDelegationToken {
        /// What kind of principal owns the token.
        principal_type: Str [0..],
        /// Who owns the token.
        principal_name: Str [0..],
        /// What kind of principal asked for the token.
        token_requester_principal_type: Str [3..],
        /// Who asked for the token.
        token_requester_principal_name: Str [3..],
        /// When the token was made, in ms since 1970.
        issue_timestamp: i64 [0..],
        /// When the token ends, in ms since 1970.
        expiry_timestamp: i64 [0..],
        /// Until when the token can be renewed, in ms since 1970.
        max_timestamp: i64 [0..],
        /// The token's public half.
        token_id: Str [0..],
        /// The token's secret half.
        hmac: Bytes [0..],
        /// Who may renew the token.
        renewers: Vec<DescribedDelegationTokenRenewer> [0..],
    }

    /// An element of [`DescribedDelegationToken::renewers`].
    struct DescribedDelegationTokenRenewer {
        /// What kind of principal, for instance `User`.
        principal_type: Str [0..],
        /// The principal's name.
        principal_name: Str [0..],
    }
}
