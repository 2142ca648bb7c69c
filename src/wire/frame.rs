//! Whole frames: the header in front of a request or response, and the length in front of all.
//!
//! The length itself is cut off by whoever reads the socket; what is decoded here is the bytes behind it. What is encoded
//! here has it in front.
//!
//! Source: Kafka 3.9 `RequestHeader.json`, `ResponseHeader.json`; KIP-482, KIP-511.

use bytes::Bytes;

use super::api_key::ApiKey;
use super::decoder::{DecodeError, Decoder};
use super::encoder::{EncodeError, Encoded, Encoder};
use super::field::{Dialect, Field, Nullable};
use super::schema::{Message, Request};
use super::text::Str;

/// The header's strings keep the classic form in all versions, so that a broker can read the header of an ApiVersions
/// request that is newer than itself.
const CLASSIC: Dialect = Dialect { version: 0, flexible: false };

/// What stands in front of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHeader {
    /// What is asked for.
    pub key: ApiKey,
    /// The version of the request, and of its response. In [`ApiKey::versions`].
    pub version: i16,
    /// The client's number for the request; the response carries it back.
    pub correlation_id: i32,
    /// What the client calls itself. Not unique, not checked, not to be trusted.
    pub client_id: Option<Str>,
}

/// Why the front of a frame is no request that the codec can read. A broker closes the connection, but for
/// [`HeaderError::UnsupportedVersion`] of ApiVersions, which it answers (KIP-511).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// Fewer than the eight bytes that every header begins with.
    #[error("a frame of {len} bytes has no request header")]
    Truncated {
        /// Bytes of the frame.
        len: usize,
    },
    /// No such API.
    #[error("API key {code} is unknown (version {version}, correlation id {correlation_id})")]
    UnknownKey {
        /// The number on the wire.
        code: i16,
        /// The version claimed.
        version: i16,
        /// The client's number for the request.
        correlation_id: i32,
    },
    /// The API has no such version. The header is otherwise well-formed.
    #[error("{key} has no version {version} (correlation id {correlation_id})")]
    UnsupportedVersion {
        /// What is asked for.
        key: ApiKey,
        /// The version claimed.
        version: i16,
        /// The client's number for the request.
        correlation_id: i32,
    },
    /// The rest of the header cannot be read.
    #[error("the header of a {key} request, version {version} (correlation id {correlation_id}): {source}")]
    Malformed {
        /// What is asked for.
        key: ApiKey,
        /// The version claimed.
        version: i16,
        /// The client's number for the request.
        correlation_id: i32,
        /// What is wrong.
        source: DecodeError,
    },
}

/// Reads the header of a request. The body is what the decoder gives next: [`Message::decode`] with the header's version.
///
/// # Errors
/// [`HeaderError`] says how far the header could be read.
pub fn decode_request(frame: Bytes) -> Result<(RequestHeader, Decoder), HeaderError> {
    let len = frame.len();
    let mut input = Decoder::new(frame);
    let (code, version, correlation_id) = take_front(&mut input).map_err(|_| HeaderError::Truncated { len })?;
    let key = ApiKey::from_code(code).ok_or(HeaderError::UnknownKey { code, version, correlation_id })?;
    let client_id = take_rest(&mut input, key.request_header_version(version))
        .map_err(|source| HeaderError::Malformed { key, version, correlation_id, source })?;
    if !key.versions().contains(&version) {
        return Err(HeaderError::UnsupportedVersion { key, version, correlation_id });
    }
    Ok((RequestHeader { key, version, correlation_id, client_id }, input))
}

fn take_front(input: &mut Decoder) -> Result<(i16, i16, i32), DecodeError> {
    Ok((i16::take(input, CLASSIC)?, i16::take(input, CLASSIC)?, i32::take(input, CLASSIC)?))
}

fn take_rest(input: &mut Decoder, header_version: i16) -> Result<Option<Str>, DecodeError> {
    let client_id = if header_version == 0 { None } else { Str::take_nullable(input, CLASSIC)? };
    if 2 <= header_version {
        input.take_tagged_fields(&mut |_, _| Ok(false))?;
    }
    Ok(client_id)
}

/// Writes a whole request frame. `header.key` is that of `R`.
///
/// # Errors
/// See [`Message::encode`].
pub fn encode_request<R: Request>(header: &RequestHeader, request: &R) -> Result<Encoded, EncodeError> {
    assert!(header.key == R::KEY, "a {} header in front of a {} request", header.key, R::KEY);
    let header_version = header.key.request_header_version(header.version);
    let mut out = Encoder::new();
    out.put(&[0; 4]);
    header.key.code().put(&mut out, CLASSIC)?;
    header.version.put(&mut out, CLASSIC)?;
    header.correlation_id.put(&mut out, CLASSIC)?;
    if 1 <= header_version {
        header.client_id.put(&mut out, CLASSIC)?;
    }
    if 2 <= header_version {
        out.put_uvarint(0);
    }
    request.encode(&mut out, header.version)?;
    out.finish_frame()
}

/// Reads the header of the response to a `key` request of `version`. The body is what the decoder gives next.
///
/// # Errors
/// [`DecodeError`] when the frame is no response.
pub fn decode_response(frame: Bytes, key: ApiKey, version: i16) -> Result<(i32, Decoder), DecodeError> {
    let mut input = Decoder::new(frame);
    let correlation_id = i32::take(&mut input, CLASSIC)?;
    if 1 <= key.response_header_version(version) {
        input.take_tagged_fields(&mut |_, _| Ok(false))?;
    }
    Ok((correlation_id, input))
}

/// Writes a whole response frame to a `key` request of `version`.
///
/// # Errors
/// See [`Message::encode`].
pub fn encode_response(
    correlation_id: i32,
    key: ApiKey,
    version: i16,
    response: &impl Message,
) -> Result<Encoded, EncodeError> {
    let mut out = Encoder::new();
    out.put(&[0; 4]);
    correlation_id.put(&mut out, CLASSIC)?;
    if 1 <= key.response_header_version(version) {
        out.put_uvarint(0);
    }
    response.encode(&mut out, version)?;
    out.finish_frame()
}
