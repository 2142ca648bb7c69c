//! A whole broker in a test: simulated disk, embedded coordinator, connections over pipes in memory, one event loop.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::placement::Placement;
use super::ports::{OsEntropy, OsNetwork, Ports};
use super::{Broker, Door, Incoming, Parts};
use crate::config::{BrokerConfig, Settings};
use crate::coordination::embedded::Embedded;
use crate::coordination::faulty::{FaultRates, Faulty};
use crate::model::ErrorCode;
use crate::net::{BufferPool, Chunk, Duplex, Reader, Stream, Writer};
use crate::storage::disk::Disk;
use crate::storage::log_dirs::LogDirs;
use crate::telemetry::OsClock;
use crate::wire::message::create_topics::{CreatableTopic, CreateTopicsRequest};
use crate::wire::message::fetch::{FetchPartition, FetchRequest, FetchTopic};
use crate::wire::message::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::wire::record::{BatchBuilder, BatchHeader, Codec, DecompressionLimit, NewRecord};
use crate::wire::{Message as _, Part, Payload, Request, RequestHeader, decode_response, encode_request};

mod every_api;
mod groups;
mod log_dirs;
mod moves;
mod sessions;
mod stopping;
mod supervision;

/// Bytes that a pipe takes before its writer waits.
const PIPE_BYTES: usize = 1 << 20;

/// A broker, and the way in.
struct TestBroker {
    broker: Broker,
    coordinator: Embedded,
    /// Its way to the coordinator, as good as can be.
    connection: Faulty,
    door: mpsc::Sender<(Incoming, SocketAddr)>,
    next_port: AtomicU16,
}

/// One client's connection.
struct Client {
    reader: Reader,
    writer: Writer,
    next: i32,
}

/// Runs a test on one event loop whose time stands still while anything can go on.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), test);
}

impl TestBroker {
    /// A broker on `disk`, with its data in the log dirs `dirs`, and settings over the defaults.
    async fn start(disk: Arc<dyn Disk>, dirs: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::start_on(Placement::single(), disk, dirs, settings).await
    }

    /// The same with this disk pool.
    async fn start_on(placement: Placement, disk: Arc<dyn Disk>, dirs: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut written = Settings::from([
            ("log.dirs".to_owned(), dirs.join(",")),
            ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:9092".to_owned()),
            ("broker.id".to_owned(), "1".to_owned()),
        ]);
        written.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let config = BrokerConfig::of(&written).expect("good settings");
        let ports = Ports {
            disk,
            clock: Arc::new(OsClock::start()),
            entropy: Arc::new(OsEntropy),
            network: Arc::new(OsNetwork::default()),
        };
        let paths = dirs.iter().map(PathBuf::from).collect::<Vec<_>>();
        let home = PathBuf::from("/coordinator");
        ports.disk.create_dir_all(&home).expect("a folder");
        let coordinator =
            Embedded::open(Arc::clone(&ports.disk), &home, Arc::clone(&ports.clock)).expect("a coordinator");
        let connection = Faulty::new(coordinator.clone(), 1, FaultRates::default());
        let (door, accepted) = mpsc::channel(16);
        let parts = Parts {
            config,
            written,
            dirs: LogDirs::open(Arc::clone(&ports.disk), &paths).expect("log dirs"),
            ports,
            placement,
            coordinator: Rc::new(connection.clone()),
            earlier_sessions: vec![],
            doors: vec![Door {
                listener: "PLAINTEXT".to_owned(),
                advertised: ("localhost".to_owned(), 9092),
                accepted,
            }],
        };
        let broker = Broker::start(parts).await.expect("a broker");
        Self { broker, coordinator, connection, door, next_port: AtomicU16::new(40_000) }
    }

    /// Lets a connection in whose end at the broker is `pipe`.
    async fn admit(&self, pipe: impl Duplex + Send + 'static) {
        let peer = SocketAddr::from(([127, 0, 0, 1], self.next_port.fetch_add(1, Ordering::Relaxed)));
        let incoming: Incoming = Box::new(move || Ok(Stream::Other(Box::new(pipe))));
        assert!(self.door.send((incoming, peer)).await.is_ok(), "the listener is gone");
    }

    /// A client's connection.
    async fn connect(&self) -> Client {
        self.connect_by(PIPE_BYTES).await
    }

    /// A client's connection that takes so many bytes before it must be read.
    async fn connect_by(&self, pipe_bytes: usize) -> Client {
        let (ours, theirs) = tokio::io::duplex(pipe_bytes);
        self.admit(theirs).await;
        Client::over(ours)
    }
}

impl Client {
    fn over(pipe: DuplexStream) -> Self {
        let (reader, writer) = Stream::Other(Box::new(pipe)).split(BufferPool::new());
        Self { reader, writer, next: 0 }
    }

    /// Sends a request and does not wait for the answer.
    async fn send<R: Request>(&mut self, version: i16, request: &R) -> io::Result<()> {
        self.next += 1;
        let header = RequestHeader { key: R::KEY, version, correlation_id: self.next, client_id: Some("test".into()) };
        let encoded = encode_request(&header, request).expect("a request");
        for part in encoded.parts() {
            let Part::Bytes(bytes) = part else { panic!("a request has no files") };
            self.writer.push(Chunk::Bytes(bytes));
        }
        self.writer.flush().await
    }

    /// The next answer.
    async fn receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        loop {
            if let Some(frame) = self.reader.next_frame(usize::MAX).map_err(io::Error::other)? {
                let (_, mut body) = decode_response(frame, R::KEY, version).expect("an answer");
                let response = R::Response::decode(&mut body, version).expect("an answer");
                assert_eq!(body.remaining(), 0, "bytes behind a {} answer, version {version}", R::KEY);
                return Ok(response);
            }
            if self.reader.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn ask<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        self.send(version, request).await?;
        self.receive::<R>(version).await
    }

    async fn create_topic(&mut self, name: &str, partitions: i32) {
        assert_eq!(self.try_create_topic(name, partitions).await, ErrorCode::None);
    }

    async fn try_create_topic(&mut self, name: &str, partitions: i32) -> ErrorCode {
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        let response = self.ask(7, &request).await.expect("an answer");
        response.topics[0].error_code
    }

    /// Produces one record with `acks=all`: its offset, or the error.
    async fn produce(&mut self, topic: &str, partition: i32, value: &str) -> Result<i64, ErrorCode> {
        let response = self.ask(9, &produce_request(topic, partition, value)).await.expect("an answer");
        let answer = &response.responses[0].partition_responses[0];
        if answer.error_code.is_error() { Err(answer.error_code) } else { Ok(answer.base_offset) }
    }

    /// As producers do: tries again as long as the error is one that passes.
    async fn produce_until_done(&mut self, topic: &str, partition: i32, value: &str) -> i64 {
        for _ in 0..100 {
            match self.produce(topic, partition, value).await {
                Ok(offset) => return offset,
                Err(ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError) => {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                Err(other) => panic!("{other}"),
            }
        }
        panic!("{topic}-{partition} did not come back");
    }

    /// The values of all records from the beginning on, or the error.
    async fn fetch(&mut self, topic: &str, partition: i32) -> Result<Vec<String>, ErrorCode> {
        let wanted =
            FetchPartition { partition, partition_max_bytes: 1 << 20, current_leader_epoch: -1, ..Default::default() };
        let topics = vec![FetchTopic { topic: topic.into(), partitions: vec![wanted], ..Default::default() }];
        let request = FetchRequest { max_bytes: 1 << 20, session_epoch: -1, topics, ..Default::default() };
        let response = self.ask(11, &request).await.expect("an answer");
        let answer = &response.responses[0].partitions[0];
        if answer.error_code.is_error() {
            return Err(answer.error_code);
        }
        let Payload::Bytes(mut rest) = answer.records.clone() else { panic!("files do not travel") };
        let mut values = Vec::new();
        while !rest.is_empty() {
            let header = BatchHeader::decode(&rest).expect("whole batches");
            let batch = rest.split_to(header.len);
            let mut scratch = Vec::new();
            let records = header.read_records(&batch, DecompressionLimit { bytes_max: 1 << 20 }, &mut scratch);
            for record in records.expect("records") {
                values.push(String::from_utf8_lossy(record.expect("a record").value.unwrap_or_default()).into_owned());
            }
        }
        Ok(values)
    }
}

fn batch(value: &str) -> Bytes {
    let mut builder = BatchBuilder::new(Codec::None);
    builder.append(&NewRecord { value: Some(value.as_bytes()), ..Default::default() }).expect("a small record");
    builder.build().expect("a batch").into()
}

/// A produce of one record with `acks=all`.
fn produce_request(topic: &str, partition: i32, value: &str) -> ProduceRequest {
    let partition_data = vec![PartitionProduceData { index: partition, records: Some(batch(value)) }];
    let topic_data = vec![TopicProduceData { name: topic.into(), partition_data }];
    ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 10_000, topic_data }
}
