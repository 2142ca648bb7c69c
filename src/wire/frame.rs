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
    out.end_frame()?;
    Ok(out.finish())
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
    put_response(&mut out, correlation_id, key, version, response)?;
    Ok(out.finish())
}

/// Writes a whole response frame behind what `buffer` holds: what many small answers leave together in. For responses
/// without blobs only.
///
/// # Errors
/// See [`Message::encode`]. What the buffer held is lost then.
pub fn append_response(
    buffer: &mut Vec<u8>,
    correlation_id: i32,
    key: ApiKey,
    version: i16,
    response: &impl Message,
) -> Result<(), EncodeError> {
    let mut out = Encoder::behind(std::mem::take(buffer));
    put_response(&mut out, correlation_id, key, version, response)?;
    *buffer = out.into_buffer();
    Ok(())
}

fn put_response(
    out: &mut Encoder,
    correlation_id: i32,
    key: ApiKey,
    version: i16,
    response: &impl Message,
) -> Result<(), EncodeError> {
    out.put(&[0; 4]);
    correlation_id.put(out, CLASSIC)?;
    if 1 <= key.response_header_version(version) {
        out.put_uvarint(0);
    }
    response.encode(out, version)?;
    out.end_frame()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DecodeErrorKind;
    use crate::wire::message::{
        ApiVersionsRequest, ApiVersionsResponse, ControlledShutdownRequest, DeleteRecordsRequest,
    };

    /// The first frame that `kcat -L` sends (librdkafka 2.0.2), without its length.
    const KCAT: &[u8] = b"\x00\x12\x00\x03\x00\x00\x00\x01\x00\x07rdkafka\x00\x0blibrdkafka\x062.0.2\x00";

    /// The first frame that Kafka 3.9.1's Java admin client sends, without its length.
    const JAVA: &[u8] = b"\x00\x12\x00\x04\x00\x00\x00\x00\x00\radminclient-1\x00\x12apache-kafka-java\x063.9.1\x00";

    fn read(frame: &[u8]) -> Result<RequestHeader, HeaderError> {
        decode_request(Bytes::copy_from_slice(frame)).map(|(header, _)| header)
    }

    #[test]
    fn the_first_frame_of_real_clients_is_read_and_written_the_same() {
        for (frame, client, software) in [(KCAT, "rdkafka", "librdkafka"), (JAVA, "adminclient-1", "apache-kafka-java")]
        {
            let (header, mut body) = decode_request(Bytes::from_static(frame)).expect("a request");
            assert_eq!((header.key, header.client_id.as_deref()), (ApiKey::ApiVersions, Some(client)));
            let request = ApiVersionsRequest::decode(&mut body, header.version).expect("a body");
            assert_eq!((request.client_software_name.as_str(), body.remaining()), (software, 0));
            let written = encode_request(&header, &request).expect("a frame").bytes;
            assert_eq!(written[..4], u32::try_from(frame.len()).expect("a short frame").to_be_bytes());
            assert_eq!(written[4..], *frame);
        }
    }

    #[test]
    fn every_way_in_which_a_header_can_be_wrong_has_its_error() {
        assert_eq!(read(&[]), Err(HeaderError::Truncated { len: 0 }));
        assert_eq!(read(&KCAT[..7]), Err(HeaderError::Truncated { len: 7 }));
        let unknown = HeaderError::UnknownKey { code: 999, version: 1, correlation_id: 7 };
        assert_eq!(read(&[3, 231, 0, 1, 0, 0, 0, 7]), Err(unknown));
        let source = DecodeError { field: "header", kind: DecodeErrorKind::Truncated { needed: 7, remaining: 6 } };
        let key = ApiKey::ApiVersions;
        let malformed = HeaderError::Malformed { key, version: 3, correlation_id: 1, source };
        assert_eq!(read(&KCAT[..16]), Err(malformed));
    }

    #[test]
    fn a_version_too_new_or_negative_is_told_from_a_broken_header() {
        let key = ApiKey::ApiVersions;
        let too_new = [&[0, 18, 3, 231], &KCAT[4..]].concat();
        let unsupported = |version| Err(HeaderError::UnsupportedVersion { key, version, correlation_id: 1 });
        assert_eq!(read(&too_new), unsupported(999), "a header v2 is expected of a version that is newer than ours");
        assert_eq!(read(&[0, 18, 255, 255, 0, 0, 0, 1, 255, 255]), unsupported(-1), "a header v1 of one that is older");
        let header_v1 = &too_new[..17];
        assert!(matches!(read(header_v1), Err(HeaderError::Malformed { version: 999, .. })), "{:?}", read(header_v1));
    }

    #[test]
    fn a_client_may_call_itself_anything() {
        let nameless = read(&[0, 3, 0, 1, 0, 0, 0, 1, 255, 255]).expect("null is a client id");
        assert_eq!(nameless.client_id, None);
        let odd = read(&[0, 3, 0, 1, 0, 0, 0, 1, 0, 2, b'a', 0xff]).expect("so is what is not UTF-8");
        assert_eq!(odd.client_id.as_deref(), Some("a\u{fffd}"));
    }

    #[test]
    fn the_oldest_request_has_no_client_id() {
        let header = RequestHeader {
            key: ApiKey::ControlledShutdown,
            version: 0,
            correlation_id: 5,
            client_id: Some("not sent".into()),
        };
        let request = ControlledShutdownRequest { broker_id: 2, ..ControlledShutdownRequest::default() };
        let written = encode_request(&header, &request).expect("a frame").bytes;
        assert_eq!(written[..], [0, 0, 0, 12, 0, 7, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2]);
        assert_eq!(read(&written[4..]), Ok(RequestHeader { client_id: None, ..header }));
    }

    #[test]
    fn bytes_behind_a_request_are_counted_not_refused() {
        let request = DeleteRecordsRequest { timeout_ms: 9, ..DeleteRecordsRequest::default() };
        let header = RequestHeader { key: ApiKey::DeleteRecords, version: 2, correlation_id: 1, client_id: None };
        let written = encode_request(&header, &request).expect("a frame").bytes;
        let (_, mut body) = decode_request([&written[4..], b"xyz"].concat().into()).expect("a request");
        assert_eq!(DeleteRecordsRequest::decode(&mut body, 2), Ok(request));
        assert_eq!(body.remaining(), 3);
    }

    #[test]
    fn answers_behind_one_another_are_the_answers() {
        let response = ApiVersionsResponse::default();
        let mut buffer = vec![9; 3];
        let mut expected = buffer.clone();
        for correlation_id in 1..4 {
            append_response(&mut buffer, correlation_id, ApiKey::ApiVersions, 3, &response).expect("a frame");
            let alone = encode_response(correlation_id, ApiKey::ApiVersions, 3, &response).expect("a frame");
            expected.extend_from_slice(&alone.bytes);
        }
        assert_eq!(buffer, expected);
    }

    #[test]
    fn an_api_versions_response_has_the_oldest_header_in_every_version() {
        for version in ApiKey::ApiVersions.versions() {
            let response = ApiVersionsResponse::default();
            let written = encode_response(77, ApiKey::ApiVersions, version, &response).expect("a frame").bytes;
            let mut body = Encoder::new();
            response.encode(&mut body, version).expect("a body");
            assert_eq!(written[4..8], 77_i32.to_be_bytes());
            assert_eq!(written[8..], body.finish().bytes, "v{version}");
            let (correlation_id, mut body) =
                decode_response(written.slice(4..), ApiKey::ApiVersions, version).expect("a response");
            assert_eq!((correlation_id, ApiVersionsResponse::decode(&mut body, version)), (77, Ok(response)));
        }
    }
}
