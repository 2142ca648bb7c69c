//! DescribeUserScramCredentials (key 50): which users have SCRAM credentials.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for the mechanisms of users, never for secrets (KIP-554).
    struct DescribeUserScramCredentialsRequest {
        /// The users; null for all.
        users: Option<Vec<UserName>> [0..],
    }

    /// An element of [`DescribeUserScramCredentialsRequest::users`].
    struct UserName {
        /// The user's name.
        name: Str [0..],
    }

    /// Answers [`DescribeUserScramCredentialsRequest`]: the users.
    struct DescribeUserScramCredentialsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// One entry per thing asked for.
        results: Vec<DescribeUserScramCredentialsResult> [0..],
    }

    /// An element of [`DescribeUserScramCredentialsResponse::results`].
    struct DescribeUserScramCredentialsResult {
        /// The user's name.
        user: Str [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// One entry per mechanism.
        credential_infos: Vec<CredentialInfo> [0..],
    }

    /// An element of [`DescribeUserScramCredentialsResult::credential_infos`].
    struct CredentialInfo {
        /// The mechanism's number: 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8 [0..],
        /// How often the password was hashed.
        iterations: i32 [0..],
    }
}
