//! One file per API: wire to domain and back, nothing else is decided here.
//!
//! [`SERVED`] is the statement of what this broker supports: ApiVersions answers it, and nothing else is decoded.

use std::ops::RangeInclusive;

use super::env::Env;
use super::peer::Peer;
use crate::wire::{ApiKey, DecodeError, Decoder, EncodeError, Encoded, Message, Request, RequestHeader, encode_response};

mod api_versions;
pub(super) mod fetch;
mod metadata;
pub(super) mod produce;

/// Why a request has no answer: its connection is closed.
#[derive(Debug, thiserror::Error)]
pub enum Unanswerable {
    /// The body is not what its header says.
    #[error("malformed request: {0}")]
    Malformed(#[from] DecodeError),
    /// Our own answer does not fit the version: a bug of ours.
    #[error("an answer that cannot be encoded: {0}")]
    Answer(#[from] EncodeError),
    /// Not served, though the codec knows it.
    #[error("{0} version {1} is not served")]
    NotServed(ApiKey, i16),
}

/// Declares which APIs are served in which versions, and by whom.
macro_rules! serve {
    ($($key:ident $versions:expr => $handler:path;)*) => {
        /// Every API that works, and in which versions. Produce is answered by the connection itself.
        pub const SERVED: &[(ApiKey, RangeInclusive<i16>)] =
            &[(ApiKey::Produce, produce::VERSIONS), $((ApiKey::$key, $versions),)*];

        /// Answers any request but Produce.
        ///
        /// # Errors
        /// [`Unanswerable`]: the connection is to be closed.
        pub async fn answer(
            env: &Env,
            peer: &mut Peer,
            header: &RequestHeader,
            body: Decoder,
        ) -> Result<Encoded, Unanswerable> {
            if !is_served(header.key, header.version) {
                return Err(Unanswerable::NotServed(header.key, header.version));
            }
            match header.key {
                $(ApiKey::$key => {
                    let request = decode(peer, header, body)?;
                    let response = Box::pin($handler(env, peer, header, request)).await;
                    Ok(encode_response(header.correlation_id, header.key, header.version, &response)?)
                })*
                other => Err(Unanswerable::NotServed(other, header.version)),
            }
        }
    };
}

serve! {
    Fetch 4..=17 => fetch::handle;
    Metadata 0..=12 => metadata::handle;
    ApiVersions 0..=4 => api_versions::handle;
}

/// Whether an API is served in a version.
#[must_use]
pub fn is_served(key: ApiKey, version: i16) -> bool {
    SERVED.iter().any(|(served, versions)| *served == key && versions.contains(&version))
}

/// Reads the body. Bytes behind it are counted and ignored, as Kafka does.
pub(super) fn decode<R: Request>(peer: &mut Peer, header: &RequestHeader, mut body: Decoder) -> Result<R, DecodeError> {
    let request = R::decode(&mut body, header.version)?;
    peer.left_over(header.key, body.remaining());
    Ok(request)
}
