//! SaslAuthenticate (key 36): one step of a SASL exchange.

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// What the client's side of the mechanism says (KIP-152, KIP-368).
    struct SaslAuthenticateRequest {
        /// What the mechanism says.
        auth_bytes: Bytes [0..],
    }

    /// Answers [`SaslAuthenticateRequest`]: what the broker's side answers.
    struct SaslAuthenticateResponse {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// What the mechanism says.
        auth_bytes: Bytes [0..],
        /// How long until the client must authenticate again, in ms; 0 for never (KIP-368).
        session_lifetime_ms: i64 [1..; ignorable],
    }
}
