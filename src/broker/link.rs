//! A connection to another broker, as brokers use it among themselves: one request at a time, in versions that are known
//! beforehand, or that were asked for ([`Link::offered`]).
//!
//! *Invariant*: after any error the link is broken: what was asked may or may not have been done.
//! *Does not know*: what is asked, when to try again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ports::Ports;
use crate::model::ErrorCode;
use crate::model::limits::PEER_ANSWER_BYTES_MAX;
use crate::net::{BufferPool, Chunk, ConnectError, FrameError, Reader, Writer};
use crate::wire::message::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{
    DecodeError, EncodeError, Message as _, Part, Request, RequestHeader, Str, decode_response, encode_request,
};

/// Why a link is broken.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It never was whole.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection.
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    /// The peer ended it.
    #[error("the other broker closed the connection")]
    Closed,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// The peer sends no frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The peer's answer is none.
    #[error("a malformed answer: {0}")]
    Malformed(#[from] DecodeError),
    /// It answers something else.
    #[error("the answer to request {found} came for request {expected}")]
    OutOfOrder {
        /// The correlation id that was sent.
        expected: i32,
        /// The one that came.
        found: i32,
    },
    /// The peer is too old, or too new.
    #[error("the other broker knows no version of {api} that fits")]
    NoCommonVersion {
        /// Of which request.
        api: &'static str,
    },
    /// The peer does not say which versions it knows.
    #[error("the other broker does not say which versions it knows: {0}")]
    NoVersions(ErrorCode),
    /// Our own request does not fit the version: a bug of ours.
    #[error("a request that cannot be encoded: {0}")]
    Request(#[from] EncodeError),
}

impl LinkError {
    /// Whether nobody listens at the other end: the broker's process is gone, or not there yet.
    #[must_use]
    pub fn nobody_listens(&self) -> bool {
        matches!(self, Self::Connect(error) if error.nobody_listens())
    }
}

/// Which versions of requests a peer knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offered(BTreeMap<i16, (i16, i16)>);

impl Offered {
    fn of(answer: &ApiVersionsResponse) -> Self {
        Self(answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect())
    }

    /// The newest version that the peer knows and that lies within ours (inclusive).
    ///
    /// # Errors
    /// [`LinkError::NoCommonVersion`].
    pub fn newest<R: Request>(&self, (oldest, newest): (i16, i16)) -> Result<i16, LinkError> {
        let theirs = self.0.get(&R::KEY.code());
        let common = theirs.map(|(min, max)| (oldest.max(*min), newest.min(*max)));
        let common = common.filter(|(min, max)| min <= max).map(|(_, max)| max);
        common.ok_or(LinkError::NoCommonVersion { api: R::KEY.name() })
    }
}

/// A connection to another broker. Lives on the loop that made it.
#[derive(Debug)]
pub struct Link {
    reader: Reader,
    writer: Writer,
    client_id: Str,
    correlation_id: i32,
}

impl Link {
    /// Connects within `wait`. `client_id` is what the other broker's log calls us.
    ///
    /// # Errors
    /// [`LinkError::Connect`].
    pub async fn open(
        ports: &Ports,
        (host, port): (&str, u16),
        client_id: &str,
        wait: Duration,
    ) -> Result<Self, LinkError> {
        let stream = ports.network.connect(host, port, wait).await?;
        let (reader, writer) = stream.split(BufferPool::new());
        Ok(Self { reader, writer, client_id: client_id.into(), correlation_id: 0 })
    }

    /// Asks, and waits at most `wait` for the answer. The future may be dropped; the link is broken then.
    ///
    /// # Errors
    /// [`LinkError`]: the link is broken.
    pub async fn ask<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        wait: Duration,
    ) -> Result<R::Response, LinkError> {
        let answer = tokio::time::timeout(wait, self.exchange(version, request)).await;
        answer.unwrap_or(Err(LinkError::Deadline(wait)))
    }

    /// Asks the peer which versions of requests it knows.
    ///
    /// # Errors
    /// [`LinkError`]: the link is broken, or of no use.
    pub async fn offered(&mut self, wait: Duration) -> Result<Offered, LinkError> {
        // Every broker knows version 0, and nothing more than what it says is needed here.
        let answer = self.ask(0, &ApiVersionsRequest::default(), wait).await?;
        if answer.error_code.is_error() {
            return Err(LinkError::NoVersions(answer.error_code));
        }
        Ok(Offered::of(&answer))
    }

    /// Returns when the connection ends, which it does at once when the other process dies. May be dropped and called again
    /// between requests; what the peer says unasked ends it too.
    pub async fn ended(&mut self) {
        let _why = self.reader.fill().await;
    }

    async fn exchange<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, LinkError> {
        let correlation_id = self.correlation_id;
        self.correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
        let client_id = Some(self.client_id.clone());
        let frame = encode_request(&RequestHeader { key: R::KEY, version, correlation_id, client_id }, request)?;
        for part in frame.parts() {
            // What brokers ask one another lies in memory.
            if let Part::Bytes(bytes) = part {
                self.writer.push(Chunk::Bytes(bytes));
            }
        }
        self.writer.flush().await?;
        let frame = loop {
            if let Some(frame) = self.reader.next_frame(PEER_ANSWER_BYTES_MAX)? {
                break frame;
            }
            if self.reader.fill().await? == 0 {
                return Err(LinkError::Closed);
            }
        };
        let (found, mut body) = decode_response(frame, R::KEY, version)?;
        if found != correlation_id {
            return Err(LinkError::OutOfOrder { expected: correlation_id, found });
        }
        Ok(R::Response::decode(&mut body, version)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::api_versions::ApiVersion;
    use crate::wire::message::fetch::FetchRequest;
    use crate::wire::message::list_offsets::ListOffsetsRequest;

    #[test]
    fn the_newest_common_version_is_taken() {
        let fetch = |min_version, max_version| ApiVersion { api_key: 1, min_version, max_version };
        let newest = |api| {
            let answer = ApiVersionsResponse { api_keys: vec![api], ..Default::default() };
            Offered::of(&answer).newest::<FetchRequest>((12, 17)).ok()
        };
        assert_eq!(newest(fetch(0, 13)), Some(13), "an older peer");
        assert_eq!(newest(fetch(4, 99)), Some(17), "a newer one");
        assert_eq!(newest(fetch(0, 11)), None, "one that is too old");
        assert_eq!(newest(fetch(18, 20)), None, "one that is too new");
        assert_eq!(newest(fetch(17, 3)), None, "nonsense");
        let answer = ApiVersionsResponse { api_keys: vec![fetch(0, 17)], ..Default::default() };
        assert!(Offered::of(&answer).newest::<ListOffsetsRequest>((4, 9)).is_err(), "it does not know it at all");
    }
}
