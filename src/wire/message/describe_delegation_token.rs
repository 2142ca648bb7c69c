//! DescribeDelegationToken (key 41).

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct DescribeDelegationTokenRequest {
        /// TODO
        owners: Option<Vec<DescribeDelegationTokenOwner>> [0..],
    }

    /// An element of [`DescribeDelegationTokenRequest::owners`].
    struct DescribeDelegationTokenOwner {
        /// TODO
        principal_type: Str [0..],
        /// TODO
        principal_name: Str [0..],
    }

    /// TODO
    struct DescribeDelegationTokenResponse {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        tokens: Vec<DescribedDelegationToken> [0..],
        /// TODO
        throttle_time_ms: i32 [0..],
    }

    /// An element of [`DescribeDelegationTokenResponse::tokens`].
    struct DescribedDelegationToken {
        /// TODO
        principal_type: Str [0..],
        /// TODO
        principal_name: Str [0..],
        /// TODO
        token_requester_principal_type: Str [3..],
        /// TODO
        token_requester_principal_name: Str [3..],
        /// TODO
        issue_timestamp: i64 [0..],
        /// TODO
        expiry_timestamp: i64 [0..],
        /// TODO
        max_timestamp: i64 [0..],
        /// TODO
        token_id: Str [0..],
        /// TODO
        hmac: Bytes [0..],
        /// TODO
        renewers: Vec<DescribedDelegationTokenRenewer> [0..],
    }

    /// An element of [`DescribedDelegationToken::renewers`].
    struct DescribedDelegationTokenRenewer {
        /// TODO
        principal_type: Str [0..],
        /// TODO
        principal_name: Str [0..],
    }
}
