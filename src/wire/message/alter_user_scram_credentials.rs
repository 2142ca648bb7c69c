//! AlterUserScramCredentials (key 51): changes SCRAM credentials.

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Sets and removes credentials (KIP-554).
    struct AlterUserScramCredentialsRequest {
        /// Credentials to remove.
        deletions: Vec<ScramCredentialDeletion> [0..],
        /// Credentials to set.
        upsertions: Vec<ScramCredentialUpsertion> [0..],
    }

    /// An element of [`AlterUserScramCredentialsRequest::deletions`].
    struct ScramCredentialDeletion {
        /// The user's name.
        name: Str [0..],
        /// The mechanism's number: 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8 [0..],
    }

    /// An element of [`AlterUserScramCredentialsRequest::upsertions`].
    struct ScramCredentialUpsertion {
        /// The user's name.
        name: Str [0..],
        /// The mechanism's number: 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8 [0..],
        /// How often the password was hashed.
        iterations: i32 [0..],
        /// The salt, which the client chose.
        salt: Bytes [0..],
        /// The password, salted and hashed by the client.
        salted_password: Bytes [0..],
    }

    /// Answers [`AlterUserScramCredentialsRequest`]: the outcome per user.
    struct AlterUserScramCredentialsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per thing asked for.
        results: Vec<AlterUserScramCredentialsResult> [0..],
    }

    /// An element of [`AlterUserScramCredentialsResponse::results`].
    struct AlterUserScramCredentialsResult {
        /// The user's name.
        user: Str [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
    }
}
