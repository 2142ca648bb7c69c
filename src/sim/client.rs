//! A client that speaks the protocol over a simulated connection, and nothing more: no retries, no metadata, so that what it
//! was told is exactly what the oracle hears.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::trace::Trace;
use crate::wire::{Message as _, Request, RequestHeader, decode_response, encode_request};

/// How long an answer may take: longer than all that the broker may wait for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The connection is gone: nobody knows whether the request was carried out.
    Disconnected,
    /// The connection stands, and no answer came.
    Silence(&'static str),
    /// The answer cannot be read.
    Unreadable(String),
}

/// One connection.
pub struct Client {
    name: String,
    /// The broker at the other end.
    pub broker: i32,
    stream: DuplexStream,
    trace: Trace,
    next: i32,
    buffer: BytesMut,
}

impl Client {
    /// A client that calls itself `name`.
    #[must_use]
    pub fn new(stream: DuplexStream, trace: &Trace, name: &str) -> Self {
        Self { name: name.to_owned(), broker: -1, stream, trace: trace.clone(), next: 0, buffer: BytesMut::new() }
    }

    /// The same, where the broker at the other end is known.
    #[must_use]
    pub fn with(self, broker: i32) -> Self {
        Self { broker, ..self }
    }

    /// Asks and waits.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, Trouble> {
        self.send(version, request).await?;
        self.receive::<R>(version).await
    }

    /// Asks without waiting for the answer.
    ///
    /// # Errors
    /// [`Trouble::Disconnected`].
    pub async fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<(), Trouble> {
        let correlation_id = self.next;
        self.next = self.next.wrapping_add(1);
        let client_id = Some(self.name.as_str().into());
        let header = RequestHeader { key: R::KEY, version, correlation_id, client_id };
        let encoded = encode_request(&header, request).unwrap_or_else(|error| panic!("our own request: {error}"));
        let frame = encoded.contiguous().unwrap_or_default();
        let (name, key) = (&self.name, R::KEY);
        self.trace.note(format_args!("{name} asks {key} {correlation_id}: {:08x}", crc32c::crc32c(&frame)));
        self.stream.write_all(&frame).await.map_err(|_| Trouble::Disconnected)
    }

    /// The answer to the oldest request that has none.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response, Trouble> {
        let frame = tokio::time::timeout(PATIENCE, self.frame()).await;
        let frame = frame.map_err(|_| Trouble::Silence(R::KEY.name()))??;
        let (name, key) = (&self.name, R::KEY);
        self.trace.note(format_args!("{name} hears {key}: {:08x}", crc32c::crc32c(&frame)));
        let unreadable = |error: crate::wire::DecodeError| Trouble::Unreadable(format!("{key}: {error}"));
        let (_, mut body) = decode_response(frame, R::KEY, version).map_err(unreadable)?;
        R::Response::decode(&mut body, version).map_err(unreadable)
    }

    async fn frame(&mut self) -> Result<Bytes, Trouble> {
        loop {
            if let Some(length) = self.buffer.first_chunk() {
                let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(usize::MAX);
                if length.saturating_add(4) <= self.buffer.len() {
                    self.buffer.advance(4);
                    return Ok(self.buffer.split_to(length).freeze());
                }
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return Err(Trouble::Disconnected);
            }
        }
    }
}
