//! AlterUserScramCredentials (key 51).

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct AlterUserScramCredentialsRequest {
        /// TODO
        deletions: Vec<ScramCredentialDeletion> [0..],
        /// TODO
        upsertions: Vec<ScramCredentialUpsertion> [0..],
    }

    /// An element of [`AlterUserScramCredentialsRequest::deletions`].
    struct ScramCredentialDeletion {
        /// TODO
        name: Str [0..],
        /// TODO
        mechanism: i8 [0..],
    }

    /// An element of [`AlterUserScramCredentialsRequest::upsertions`].
    struct ScramCredentialUpsertion {
        /// TODO
        name: Str [0..],
        /// TODO
        mechanism: i8 [0..],
        /// TODO
        iterations: i32 [0..],
        /// TODO
        salt: Bytes [0..],
        /// TODO
        salted_password: Bytes [0..],
    }

    /// TODO
    struct AlterUserScramCredentialsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        results: Vec<AlterUserScramCredentialsResult> [0..],
    }

    /// An element of [`AlterUserScramCredentialsResponse::results`].
    struct AlterUserScramCredentialsResult {
        /// TODO
        user: Str [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
    }
}
