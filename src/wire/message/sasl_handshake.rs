//! SaslHandshake (key 17): which SASL mechanism follows.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Chooses a mechanism (KIP-43, KIP-152).
    struct SaslHandshakeRequest {
        /// The mechanism's name, for instance `SCRAM-SHA-512`.
        mechanism: Str [0..],
    }

    /// Answers [`SaslHandshakeRequest`]: whether the mechanism is there, and which are.
    struct SaslHandshakeResponse {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The mechanisms that the broker offers.
        mechanisms: Vec<Str> [0..],
    }
}
