//! DescribeUserScramCredentials (key 50).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct DescribeUserScramCredentialsRequest {
        /// TODO
        users: Option<Vec<UserName>> [0..],
    }

    /// An element of [`DescribeUserScramCredentialsRequest::users`].
    struct UserName {
        /// TODO
        name: Str [0..],
    }

    /// TODO
    struct DescribeUserScramCredentialsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        results: Vec<DescribeUserScramCredentialsResult> [0..],
    }

    /// An element of [`DescribeUserScramCredentialsResponse::results`].
    struct DescribeUserScramCredentialsResult {
        /// TODO
        user: Str [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        credential_infos: Vec<CredentialInfo> [0..],
    }

    /// An element of [`DescribeUserScramCredentialsResult::credential_infos`].
    struct CredentialInfo {
        /// TODO
        mechanism: i8 [0..],
        /// TODO
        iterations: i32 [0..],
    }
}
