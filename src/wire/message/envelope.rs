//! Envelope (key 58): a broker passes a client's request on to the controller.

use bytes::Bytes;

use crate::model::ErrorCode;

structs! {
    /// A request, and who asked (KIP-590).
    struct EnvelopeRequest {
        /// The request, header included.
        request_data: Bytes [0..],
        /// Who asked, encoded; null when nobody was authenticated.
        request_principal: Option<Bytes> [0..],
        /// The client's address: 4 or 16 bytes.
        client_host_address: Bytes [0..],
    }

    /// Answers [`EnvelopeRequest`]: the response to pass back.
    struct EnvelopeResponse {
        /// The response, header included; null when there is none.
        response_data: Option<Bytes> [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }
}
