//! SaslHandshake (key 17).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct SaslHandshakeRequest {
        /// TODO
        mechanism: Str [0..],
    }

    /// TODO
    struct SaslHandshakeResponse {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        mechanisms: Vec<Str> [0..],
    }
}
