//! SaslAuthenticate (key 36).

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct SaslAuthenticateRequest {
        /// TODO
        auth_bytes: Bytes [0..],
    }

    /// TODO
    struct SaslAuthenticateResponse {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        auth_bytes: Bytes [0..],
        /// TODO
        session_lifetime_ms: i64 [1..; ignorable],
    }
}
