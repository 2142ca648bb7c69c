//! One connection to one broker: connecting, agreeing on versions, and any number of requests on the way at once.
//!
//! *Invariant*: answers are matched to requests by their order, and checked by their correlation ids; after any error, and
//! after a request that was not answered in time, the connection is given up and every request on it fails.
//! *Does not know*: which broker should be asked (see [`super::cluster`]).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use self::exchange::{Outgoing, drive};
use super::address::BrokerAddress;
use super::error::ClientError;
use crate::model::ErrorCode;
use crate::net::Stream;
use crate::wire::message::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{ApiKey, Message, Request, RequestHeader, Str, decode_response, encode_request};

mod exchange;

/// Requests that wait to be written before callers wait too.
const OUTBOX_REQUESTS: usize = 64;

/// The version of ApiVersions that is tried first: the one that says who we are. A broker that does not know it answers
/// with version 0 (KIP-511).
const API_VERSIONS_VERSION: i16 = 3;

/// How a client connects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionOptions {
    /// `client.id`: what the broker's log and quotas call us.
    pub client_id: String,
    /// `socket.connection.setup.timeout.ms`: how long connecting and agreeing on versions may take at first.
    pub connect_timeout: Duration,
    /// `socket.connection.setup.timeout.max.ms`: and at most, as it doubles with each failure.
    pub connect_timeout_longest: Duration,
    /// `request.timeout.ms`: how long an answer may take.
    pub request_timeout: Duration,
    /// `send.buffer.bytes`; `None` leaves it to the system.
    pub send_buffer_bytes: Option<u32>,
    /// `receive.buffer.bytes`; `None` leaves it to the system.
    pub receive_buffer_bytes: Option<u32>,
}

impl Default for ConnectionOptions {
    /// Kafka's request timeout, and a connect timeout that a person waits for.
    fn default() -> Self {
        Self {
            client_id: "dohle".to_owned(),
            connect_timeout: Duration::from_secs(5),
            connect_timeout_longest: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            send_buffer_bytes: None,
            receive_buffer_bytes: None,
        }
    }
}

/// The way to brokers where it is not the system's network: the simulator's.
pub trait Way {
    /// Connects. The caller bounds the time.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> LocalBoxFuture<'a, io::Result<Stream>>;
}

/// A connection. Cheap to clone; closed when the last clone goes. Lives on one thread, within a `LocalSet`.
#[derive(Clone, Debug)]
pub struct Connection {
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: BrokerAddress,
    client_id: Str,
    request_timeout: Duration,
    versions: RefCell<BTreeMap<i16, RangeInclusive<i16>>>,
    correlation_id: Cell<i32>,
    outbox: mpsc::Sender<Outgoing>,
    driver: JoinHandle<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// An answer on its way.
#[derive(Debug)]
pub struct Answer<R: Request> {
    connection: Connection,
    version: i16,
    timeout: Duration,
    frame: oneshot::Receiver<Result<Bytes, String>>,
    _request: std::marker::PhantomData<fn() -> R>,
}

impl Connection {
    /// Connects and agrees on versions.
    ///
    /// # Errors
    /// [`ClientError::Connect`], or what a first request can meet.
    pub async fn open(address: &BrokerAddress, options: &ConnectionOptions) -> Result<Self, ClientError> {
        Self::begin(address, options, connect(address, options)).await
    }

    /// As [`Self::open`], on another way than the system's network.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_on(
        way: &dyn Way,
        address: &BrokerAddress,
        options: &ConnectionOptions,
    ) -> Result<Self, ClientError> {
        Self::begin(address, options, way.connect(&address.host, address.port)).await
    }

    async fn begin(
        address: &BrokerAddress,
        options: &ConnectionOptions,
        stream: impl Future<Output = io::Result<Stream>>,
    ) -> Result<Self, ClientError> {
        let failed = |source| ClientError::Connect { address: address.clone(), source };
        let connected = async { Self::agreed(address, options, stream.await.map_err(failed)?).await };
        let connected = tokio::time::timeout(options.connect_timeout, connected).await;
        connected.unwrap_or_else(|_| {
            let waited = format!("no answer within {:?}", options.connect_timeout);
            Err(failed(io::Error::new(io::ErrorKind::TimedOut, waited)))
        })
    }

    async fn agreed(address: &BrokerAddress, options: &ConnectionOptions, stream: Stream) -> Result<Self, ClientError> {
        let (outbox, inbox) = mpsc::channel(OUTBOX_REQUESTS);
        let connection = Self {
            shared: Rc::new(Shared {
                address: address.clone(),
                client_id: options.client_id.as_str().into(),
                request_timeout: options.request_timeout,
                versions: RefCell::default(),
                correlation_id: Cell::new(0),
                outbox,
                driver: tokio::task::spawn_local(drive(stream, inbox)),
            }),
        };
        connection.agree_on_versions().await?;
        Ok(connection)
    }

    async fn agree_on_versions(&self) -> Result<(), ClientError> {
        let who = ApiVersionsRequest {
            client_software_name: "dohle".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
        };
        let version = API_VERSIONS_VERSION;
        let mut frame =
            self.send(&who, version, true).await?.ok_or_else(|| self.disconnected("no answer"))?.frame().await?;
        let mut version = version;
        if error_code_of_api_versions(&frame) == Some(ErrorCode::UnsupportedVersion) {
            version = 0;
            let asked = self.send(&ApiVersionsRequest::default(), version, true).await?;
            frame = asked.ok_or_else(|| self.disconnected("no answer"))?.frame().await?;
        }
        let response: ApiVersionsResponse = self.decode(frame, ApiKey::ApiVersions, version)?;
        ClientError::check(response.error_code, None, || {
            format!("{} refuses to say what it can do", self.shared.address)
        })?;
        let offered = response.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version));
        *self.shared.versions.borrow_mut() = offered.collect();
        Ok(())
    }

    /// Whom this connection leads to.
    #[must_use]
    pub fn address(&self) -> &BrokerAddress {
        &self.shared.address
    }

    /// Whether requests can still be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.shared.outbox.is_closed()
    }

    /// The highest version of `R`, at most `most`, that both sides speak.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`].
    pub fn version<R: Request>(&self, most: i16) -> Result<i16, ClientError> {
        let ours = R::VERSIONS;
        let versions = self.shared.versions.borrow();
        let agreed = versions.get(&R::KEY.code()).and_then(|theirs| {
            let highest = most.min(*ours.end()).min(*theirs.end());
            (*ours.start() <= highest && *theirs.start() <= highest).then_some(highest)
        });
        agreed.ok_or_else(|| ClientError::Unsupported { address: self.shared.address.clone(), api: R::KEY })
    }

    /// Asks and waits for the answer, in the highest version that both sides speak.
    ///
    /// # Errors
    /// Everything but what the answer itself says.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        self.call_at_most(request, i16::MAX).await
    }

    /// As [`Self::call`], in no higher version than `most`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_at_most<R: Request>(&self, request: &R, most: i16) -> Result<R::Response, ClientError> {
        self.submit(request, most).await?.wait().await
    }

    /// Asks, and gives the answer to wait for: so several requests are on the way at once. Requests are carried out in the
    /// order in which they were submitted.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn submit<R: Request>(&self, request: &R, most: i16) -> Result<Answer<R>, ClientError> {
        let version = self.version::<R>(most)?;
        let answer = self.send(request, version, true).await?;
        answer.ok_or_else(|| self.disconnected("no answer"))
    }

    /// Sends what has no answer: a Produce request with acks=0.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn tell<R: Request>(&self, request: &R, most: i16) -> Result<(), ClientError> {
        let version = self.version::<R>(most)?;
        self.send(request, version, false).await.map(|_| ())
    }

    async fn send<R: Request>(
        &self,
        request: &R,
        version: i16,
        answered: bool,
    ) -> Result<Option<Answer<R>>, ClientError> {
        let shared = &self.shared;
        let correlation_id = shared.correlation_id.get();
        shared.correlation_id.set(correlation_id.wrapping_add(1) & i32::MAX);
        let header = RequestHeader { key: R::KEY, version, correlation_id, client_id: Some(shared.client_id.clone()) };
        let frame = encode_request(&header, request).map_err(|source| ClientError::Inexpressible {
            address: shared.address.clone(),
            api: R::KEY,
            source,
        })?;
        let (reply, frame_receiver) = oneshot::channel();
        let outgoing = Outgoing { frame, correlation_id, answer: answered.then_some(reply) };
        shared.outbox.send(outgoing).await.map_err(|_| self.disconnected("it was closed"))?;
        Ok(answered.then(|| Answer {
            connection: self.clone(),
            version,
            timeout: shared.request_timeout,
            frame: frame_receiver,
            _request: std::marker::PhantomData,
        }))
    }

    fn decode<M: Message>(&self, frame: Bytes, api: ApiKey, version: i16) -> Result<M, ClientError> {
        let decoded = decode_response(frame, api, version).and_then(|(_, mut body)| M::decode(&mut body, version));
        decoded.map_err(|source| ClientError::Malformed { address: self.shared.address.clone(), api, source })
    }

    fn disconnected(&self, reason: &str) -> ClientError {
        ClientError::Disconnected { address: self.shared.address.clone(), reason: reason.to_owned() }
    }
}

/// Connects over the system's network.
async fn connect(address: &BrokerAddress, options: &ConnectionOptions) -> io::Result<Stream> {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    if let Some(bytes) = options.send_buffer_bytes {
        socket.set_send_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX))?;
    }
    if let Some(bytes) = options.receive_buffer_bytes {
        socket.set_recv_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX))?;
    }
    Ok(Stream::Tcp(stream))
}

impl<R: Request> Answer<R> {
    /// Waits longer than usual: for requests that name a time for which the broker may wait itself.
    #[must_use]
    pub fn and_also(mut self, more: Duration) -> Self {
        self.timeout = self.timeout.saturating_add(more);
        self
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`], [`ClientError::Disconnected`], [`ClientError::Malformed`].
    pub async fn wait(self) -> Result<R::Response, ClientError> {
        let (connection, version) = (self.connection.clone(), self.version);
        let frame = self.frame().await?;
        connection.decode(frame, R::KEY, version)
    }

    async fn frame(self) -> Result<Bytes, ClientError> {
        let Ok(received) = tokio::time::timeout(self.timeout, self.frame).await else {
            // The answer may still come, and with it every later one: too late for the order to be trusted.
            self.connection.shared.driver.abort();
            let address = self.connection.shared.address.clone();
            return Err(ClientError::TimedOut { address, api: R::KEY, waited: self.timeout });
        };
        match received {
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(reason)) => Err(self.connection.disconnected(&reason)),
            Err(_) => Err(self.connection.disconnected("it was closed")),
        }
    }
}

/// The error code in front of every version of an ApiVersions answer, behind the correlation id.
fn error_code_of_api_versions(frame: &[u8]) -> Option<ErrorCode> {
    frame.get(4..).and_then(|body| body.first_chunk()).map(|code| ErrorCode::from_code(i16::from_be_bytes(*code)))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::exchange::{READ_AHEAD_BYTES, read_frame};
    use super::*;
    use crate::wire::message::api_versions::ApiVersion;
    use crate::wire::message::{MetadataRequest, MetadataResponse};
    use crate::wire::{decode_request, encode_response};

    /// What the broker of a test does with a request: the frame of its answer, or none.
    type Script = fn(&RequestHeader) -> Option<Bytes>;

    fn answer(header: &RequestHeader, version: i16, response: &impl Message) -> Option<Bytes> {
        encode_response(header.correlation_id, header.key, version, response).expect("an answer").contiguous()
    }

    /// Offers Metadata in versions 0 to 4.
    fn versions(error_code: ErrorCode) -> ApiVersionsResponse {
        let metadata = ApiVersion { api_key: ApiKey::Metadata.code(), min_version: 0, max_version: 4 };
        ApiVersionsResponse { error_code, api_keys: vec![metadata], ..ApiVersionsResponse::default() }
    }

    /// Runs a client against a broker that follows the script for all but ApiVersions.
    fn with_broker<F: Future<Output = ()>>(script: Script, talk: impl FnOnce(BrokerAddress) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let port = listener.local_addr().expect("bound").port();
            let broker = tokio::task::spawn_local(async move {
                let (stream, _) = listener.accept().await.expect("a client");
                let (mut reader, mut writer) = stream.into_split();
                let mut buffer = BytesMut::new();
                while let Ok(frame) = read_frame(&mut reader, &mut buffer, READ_AHEAD_BYTES).await {
                    let (header, _) = decode_request(frame).expect("a request");
                    let answered = match (header.key, header.version) {
                        // As a broker before KIP-511: it does not know version 3, and says so in version 0.
                        (ApiKey::ApiVersions, 3) => answer(&header, 0, &versions(ErrorCode::UnsupportedVersion)),
                        (ApiKey::ApiVersions, version) => answer(&header, version, &versions(ErrorCode::None)),
                        _ => script(&header),
                    };
                    if let Some(answered) = answered {
                        writer.write_all(&answered).await.expect("a client");
                    }
                }
            });
            talk(BrokerAddress { host: "127.0.0.1".to_owned(), port }).await;
            broker.abort();
        });
    }

    fn options(request_timeout: Duration) -> ConnectionOptions {
        ConnectionOptions { request_timeout, ..ConnectionOptions::default() }
    }

    #[test]
    fn an_old_broker_is_asked_again_and_the_highest_common_version_is_spoken() {
        let script: Script = |header| {
            assert_eq!((header.key, header.version), (ApiKey::Metadata, 4));
            answer(header, 4, &MetadataResponse { controller_id: 7, ..MetadataResponse::default() })
        };
        with_broker(script, async |address| {
            let connection = Connection::open(&address, &ConnectionOptions::default()).await.expect("a broker");
            let metadata = connection.call(&MetadataRequest::default()).await.expect("an answer");
            assert_eq!(metadata.controller_id, 7);
            let unsupported = connection.call(&crate::wire::message::FetchRequest::default()).await;
            assert!(matches!(unsupported, Err(ClientError::Unsupported { api: ApiKey::Fetch, .. })), "{unsupported:?}");
            assert!(connection.is_open());
        });
    }

    #[test]
    fn answers_reach_whom_they_are_for_while_many_are_on_the_way() {
        let script: Script = |header| {
            answer(header, 4, &MetadataResponse { controller_id: header.correlation_id, ..MetadataResponse::default() })
        };
        with_broker(script, async |address| {
            let connection = Connection::open(&address, &ConnectionOptions::default()).await.expect("a broker");
            let mut answers = Vec::new();
            for _ in 0..200 {
                answers.push(connection.submit(&MetadataRequest::default(), i16::MAX).await.expect("room"));
            }
            // One whose owner lost interest must not shift the others.
            drop(answers.remove(3));
            let mut ids = Vec::new();
            for answer in answers {
                ids.push(answer.wait().await.expect("an answer").controller_id);
            }
            assert!(ids.is_sorted() && ids.len() == 199, "{ids:?}");
        });
    }

    #[test]
    fn a_silent_broker_ends_in_a_timeout_and_the_connection_is_given_up() {
        with_broker(
            |_| None,
            async |address| {
                let connection =
                    Connection::open(&address, &options(Duration::from_millis(10))).await.expect("a broker");
                let other = connection.submit(&MetadataRequest::default(), i16::MAX).await.expect("room");
                let silent = connection.call(&MetadataRequest::default()).await;
                assert!(matches!(silent, Err(ClientError::TimedOut { .. })), "{silent:?}");
                assert!(other.wait().await.is_err());
                let late = connection.call(&MetadataRequest::default()).await;
                assert!(matches!(late, Err(ClientError::Disconnected { .. })), "{late:?}");
                assert!(!connection.is_open());
            },
        );
    }

    #[test]
    fn an_answer_to_something_else_ends_the_connection() {
        let script: Script = |header| {
            let header = RequestHeader { correlation_id: header.correlation_id + 1, ..header.clone() };
            answer(&header, 4, &MetadataResponse::default())
        };
        with_broker(script, async |address| {
            let connection = Connection::open(&address, &ConnectionOptions::default()).await.expect("a broker");
            let wrong = connection.call(&MetadataRequest::default()).await;
            assert!(matches!(wrong, Err(ClientError::Disconnected { .. })), "{wrong:?}");
        });
        // A length that no answer has.
        with_broker(
            |_| Some(Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff])),
            async |address| {
                let connection = Connection::open(&address, &ConnectionOptions::default()).await.expect("a broker");
                let wrong = connection.call(&MetadataRequest::default()).await;
                assert!(matches!(&wrong, Err(ClientError::Disconnected { .. })), "{wrong:?}");
            },
        );
    }
}
