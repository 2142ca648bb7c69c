//! Envelope (key 58).

use bytes::Bytes;

use crate::model::ErrorCode;

structs! {
    /// TODO
    struct EnvelopeRequest {
        /// TODO
        request_data: Bytes [0..],
        /// TODO
        request_principal: Option<Bytes> [0..],
        /// TODO
        client_host_address: Bytes [0..],
    }

    /// TODO
    struct EnvelopeResponse {
        /// TODO
        response_data: Option<Bytes> [0..],
        /// TODO
        error_code: ErrorCode [0..],
    }
}
