//! SaslHandshake and SaslAuthenticate, where nothing asked for them: no listener demands SASL, so every connection is past
//! the point where they belong. Kafka advertises both on its PLAINTEXT listeners too and answers the same.

use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::model::ErrorCode;
use crate::wire::RequestHeader;
use crate::wire::message::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use crate::wire::message::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};

pub(super) async fn handle_handshake(
    _: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    _: SaslHandshakeRequest,
) -> SaslHandshakeResponse {
    SaslHandshakeResponse { error_code: ErrorCode::IllegalSaslState, ..Default::default() }
}

pub(super) async fn handle_authenticate(
    _: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    _: SaslAuthenticateRequest,
) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse {
        error_code: ErrorCode::IllegalSaslState,
        error_message: Some("SaslAuthenticate request received after successful authentication".into()),
        ..Default::default()
    }
}
