//! A whole broker on two event loops, and clients that talk to it over loopback.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use actix::MessageResult;
use actix_rt::System;

use super::super::placement::{self, Placement};
use super::super::ports::{OsEntropy, OsNetwork, Ports};
use super::super::{Broker, Door, Parts};
use super::*;
use crate::config::load;
use crate::coordination::embedded::Embedded;
use crate::machine::homing::WINDOW_MIN;
use crate::model::{ErrorCode, Offset, PartitionIndex};
use crate::net::{Reader, SocketOptions, Stream, Writer};
use crate::storage::disk::sim::SimDisk;
use crate::storage::log_dirs::LogDirs;
use crate::telemetry::OsClock;
use crate::wire::message::ApiVersionsRequest;
use crate::wire::message::create_topics::{CreatableTopic, CreateTopicsRequest};
use crate::wire::message::fetch::{FetchPartition, FetchRequest, FetchTopic};
use crate::wire::message::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use crate::wire::record::{BatchBuilder, Codec, NewRecord};
use crate::wire::{Message as _, Request, RequestHeader, decode_response, encode_request};

const TOPIC: &str = "t";

/// Requests that the clients here have in flight, as Kafka's producer has.
const IN_FLIGHT: usize = 5;

/// So many pipelined produces that the connection is judged, however many of them share a message.
const ENOUGH: usize = (WINDOW_MIN as usize + 1) * IN_FLIGHT;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker, and the way in.
struct Rig {
    broker: Broker,
    door: mpsc::Sender<(Incoming, SocketAddr)>,
    bound: crate::net::Listener,
}

/// Runs `test` against a broker on two loops, with its topic of two partitions.
fn on_two_loops(test: impl AsyncFnOnce(Rig)) {
    let system = System::new();
    let (placement, _loops) = Placement::threads(2, 1).expect("threads");
    let done = async {
        let rig = Rig::start(placement).await;
        let mut client = rig.connect().await;
        client.create_topic().await;
        drop(client);
        rig.until(|places| places.homes.is_empty()).await;
        test(rig).await;
    };
    system.block_on(async { tokio::time::timeout(PATIENCE, done).await.expect("it ends in time") });
}

impl Rig {
    async fn start(placement: Placement) -> Self {
        let dir = PathBuf::from("/data");
        let properties = "broker.id=1\nlisteners=PLAINTEXT://127.0.0.1:0\nlog.dirs=/data\n";
        let loaded = load(properties, &[]).expect("a good configuration");
        let clock = Arc::new(OsClock::start());
        let ports = Ports {
            disk: Arc::new(SimDisk::new(1)),
            clock: clock.clone(),
            entropy: Arc::new(OsEntropy),
            network: Arc::new(OsNetwork::default()),
        };
        let dirs = LogDirs::open(Arc::clone(&ports.disk), &[dir]).expect("an empty disk");
        let address = "127.0.0.1:0".parse().expect("an address");
        let bound = crate::net::Listener::bind(address, 50, SocketOptions::default()).expect("a free port");
        let (door, accepted) = mpsc::channel(8);
        let advertised = ("127.0.0.1".to_owned(), bound.local_addr().expect("an address").port());
        let parts = Parts {
            config: loaded.config,
            written: loaded.layers.from_file,
            ports,
            placement,
            coordinator: Rc::new(Embedded::in_memory(clock)),
            earlier_sessions: vec![],
            dirs,
            doors: vec![Door { listener: "PLAINTEXT".to_owned(), advertised, accepted }],
        };
        Self { broker: Broker::start(parts).await.expect("it starts"), door, bound }
    }

    async fn connect(&self) -> Client {
        let port = self.bound.local_addr().expect("an address").port();
        let options = SocketOptions::default();
        let connecting = crate::net::connect("127.0.0.1", port, PATIENCE, &options);
        let (client, accepted) = tokio::join!(connecting, self.bound.accept());
        let accepted = accepted.expect("accepted");
        let incoming: Incoming = Box::new(move || Stream::from_socket(accepted.socket));
        self.door.send((incoming, accepted.peer)).await.expect("the listener takes it");
        let (reader, writer) = client.expect("connected").split(placement::buffers());
        let mut client = Client { reader, writer, sent: VecDeque::new(), next: 0 };
        // Answered, so the listener has counted it.
        client.ask_versions().await;
        client
    }

    /// The number of the partition that lives on a loop.
    fn partition_on(&self, home: LoopId) -> i32 {
        let here = |number: &i32| {
            let found = self.broker.env.directory.find(TOPIC, PartitionIndex(*number));
            found.expect("both partitions live here").home == home
        };
        (0..2).find(here).expect("a partition on each loop")
    }

    async fn places(&self) -> Places {
        self.broker.listeners[0].send(Where).await.expect("the listener lives")
    }

    /// Returns when the connections are as wanted.
    async fn until(&self, wanted: impl Fn(&Places) -> bool) {
        while !wanted(&self.places().await) {
            tokio::task::yield_now().await;
        }
    }
}

/// Asks the listener what it knows.
#[derive(Message)]
#[rtype(result = "Places")]
struct Where;

#[derive(PartialEq, Eq, Debug)]
struct Places {
    /// Of the connections, in the order in which they came.
    homes: Vec<usize>,
    per_loop: Vec<usize>,
    /// Of the one address that all clients here have.
    per_ip: usize,
}

impl Handler<Where> for ListenerActor {
    type Result = MessageResult<Where>;

    fn handle(&mut self, _: Where, _: &mut Context<Self>) -> Self::Result {
        MessageResult(Places {
            homes: self.connections.values().map(|connected| connected.on.0).collect(),
            per_loop: self.per_loop.clone(),
            per_ip: self.quotas.of_ips(),
        })
    }
}

/// A client that knows the order in which answers must come.
struct Client {
    reader: Reader,
    writer: Writer,
    /// Requests without an answer.
    sent: VecDeque<Sent>,
    next: i32,
}

struct Sent {
    correlation_id: i32,
    /// `None` for what is no produce.
    produced_to: Option<i32>,
}

const PRODUCE_VERSION: i16 = 9;
const VERSIONS_VERSION: i16 = 3;

impl Client {
    fn push<R: Request>(&mut self, version: i16, request: &R, produced_to: Option<i32>) {
        let (correlation_id, client_id) = (self.next, Some("test".into()));
        self.next += 1;
        let header = RequestHeader { key: R::KEY, version, correlation_id, client_id };
        let frame = encode_request(&header, request).map(|frame| frame.contiguous().expect("in memory"));
        self.writer.push(crate::net::Chunk::Bytes(frame.expect("a good request")));
        self.sent.push_back(Sent { correlation_id, produced_to });
    }

    fn push_produce(&mut self, partition: i32) {
        let mut batch = BatchBuilder::new(Codec::None);
        batch.append(&NewRecord { value: Some(b"value"), ..NewRecord::default() }).expect("a small record");
        let records = Some(batch.build().expect("a record").into());
        let partition_data = vec![PartitionProduceData { index: partition, records }];
        let topic_data = vec![TopicProduceData { name: TOPIC.into(), partition_data }];
        let request = ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data, ..ProduceRequest::default() };
        self.push(PRODUCE_VERSION, &request, Some(partition));
    }

    /// The next answer, which must be that to the oldest request.
    async fn answer<R: Request>(&mut self, version: i16) -> (Sent, R::Response) {
        self.writer.flush().await.expect("a connection");
        let frame = loop {
            if let Some(frame) = self.reader.next_frame(1 << 20).expect("good frames") {
                break frame;
            }
            assert!(self.reader.fill().await.expect("a connection") != 0, "closed before all was answered");
        };
        let sent = self.sent.pop_front().expect("an answer to something");
        let (correlation_id, mut body) = decode_response(frame, R::KEY, version).expect("a good answer");
        assert_eq!(correlation_id, sent.correlation_id, "answers come in the order of the requests");
        (sent, R::Response::decode(&mut body, version).expect("a good answer"))
    }

    async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.push(version, request, None);
        self.answer::<R>(version).await.1
    }

    async fn ask_versions(&mut self) {
        assert_eq!(self.call(VERSIONS_VERSION, &versions()).await.error_code, ErrorCode::None);
    }

    async fn create_topic(&mut self) {
        let topic =
            CreatableTopic { name: TOPIC.into(), num_partitions: 2, replication_factor: 1, ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
        let answer = self.call(5, &request).await;
        assert_eq!(answer.topics[0].error_code, ErrorCode::None);
    }

    /// Produces to these partitions, some requests in flight at any time, every so often one of another kind between them.
    /// Adds the number of records to `ends`, by partition, and checks that each got the next offset.
    async fn produce(&mut self, partitions: impl IntoIterator<Item = i32>, ends: &mut [i64; 2]) {
        let mut partitions = partitions.into_iter().enumerate();
        loop {
            while self.sent.len() < IN_FLIGHT
                && let Some((number, partition)) = partitions.next()
            {
                self.push_produce(partition);
                if number % 17 == 16 {
                    self.push(VERSIONS_VERSION, &versions(), None);
                }
            }
            match self.sent.front() {
                None => return,
                Some(Sent { produced_to: None, .. }) => {
                    self.answer::<ApiVersionsRequest>(VERSIONS_VERSION).await;
                }
                Some(Sent { produced_to: Some(_), .. }) => {
                    let (sent, answer) = self.answer::<ProduceRequest>(PRODUCE_VERSION).await;
                    let partition = sent.produced_to.expect("a produce");
                    let end = &mut ends[usize::try_from(partition).expect("0 or 1")];
                    assert_eq!(base_offset(&answer), Ok(Offset(*end)), "partition {partition}");
                    *end += 1;
                }
            }
        }
    }

    /// Opens a fetch session (`id` 0), or goes on with one. Its id.
    async fn fetch(&mut self, session_id: i32, session_epoch: i32) -> i32 {
        let partition = |partition| FetchPartition { partition, partition_max_bytes: 1_000, ..Default::default() };
        let topic =
            FetchTopic { topic: TOPIC.into(), partitions: (0..2).map(partition).collect(), ..Default::default() };
        let topics = if session_id == 0 { vec![topic] } else { vec![] };
        let answer = self.call(12, &FetchRequest { session_id, session_epoch, topics, ..Default::default() }).await;
        assert_eq!(answer.error_code, ErrorCode::None, "session {session_id}, epoch {session_epoch}");
        answer.session_id
    }
}

fn versions() -> ApiVersionsRequest {
    ApiVersionsRequest { client_software_name: "test".into(), client_software_version: "1".into() }
}

fn base_offset(answer: &ProduceResponse) -> Result<Offset, ErrorCode> {
    let partition = &answer.responses[0].partition_responses[0];
    if partition.error_code.is_error() { Err(partition.error_code) } else { Ok(Offset(partition.base_offset)) }
}

const OTHER: LoopId = LoopId(1);

#[test]
fn connections_are_spread_and_write_to_partitions_on_every_loop() {
    on_two_loops(async |rig| {
        let (mut a, mut b) = (rig.connect().await, rig.connect().await);
        let spread = Places { homes: vec![0, 1], per_loop: vec![1, 1], per_ip: 2 };
        assert_eq!(rig.places().await, spread);
        let mut ends = [0; 2];
        a.produce((0..2).cycle().take(ENOUGH * 2), &mut ends).await;
        b.produce((0..2).cycle().take(ENOUGH * 2), &mut ends).await;
        assert_eq!(rig.places().await, spread, "a mixed load moves nobody");
        drop(a);
        rig.until(|places| places.per_ip == 1).await;
        assert_eq!(rig.places().await, Places { homes: vec![1], per_loop: vec![0, 1], per_ip: 1 });
        drop(b);
        rig.until(|places| places.per_ip == 0).await;
        assert_eq!(rig.places().await, Places { homes: vec![], per_loop: vec![0, 0], per_ip: 0 });
        assert!(rig.broker.stop().await);
    });
}

#[test]
fn a_connection_follows_its_partition_with_answers_in_order_and_its_fetch_session() {
    on_two_loops(async |rig| {
        let mut client = rig.connect().await;
        assert_eq!(rig.places().await, Places { homes: vec![0], per_loop: vec![1, 0], per_ip: 1 });
        let session = client.fetch(0, 0).await;
        assert_ne!(session, 0, "a session was opened");
        let mut ends = [0; 2];
        let there = rig.partition_on(OTHER);
        client.produce(std::iter::repeat_n(there, ENOUGH), &mut ends).await;
        assert_eq!(rig.places().await, Places { homes: vec![1], per_loop: vec![0, 1], per_ip: 1 });
        assert_eq!(client.fetch(session, 1).await, session);
        // And back: the window is twice as long now.
        let here = rig.partition_on(LoopId::MAIN);
        client.produce(std::iter::repeat_n(here, ENOUGH * 2), &mut ends).await;
        assert_eq!(rig.places().await, Places { homes: vec![0], per_loop: vec![1, 0], per_ip: 1 });
        assert_eq!(client.fetch(session, 2).await, session);
        assert_eq!(ends.iter().sum::<i64>(), i64::try_from(ENOUGH * 3).expect("few"));
        drop(client);
        rig.until(|places| places.per_ip == 0).await;
        assert_eq!(rig.places().await, Places { homes: vec![], per_loop: vec![0, 0], per_ip: 0 });
        assert!(rig.broker.stop().await);
    });
}

#[test]
fn stopping_closes_the_connections_on_every_loop_those_on_their_way_included() {
    on_two_loops(async |rig| {
        let mut clients = [rig.connect().await, rig.connect().await, rig.connect().await];
        let there = rig.partition_on(OTHER);
        clients[0].produce(std::iter::repeat_n(there, ENOUGH), &mut [0; 2]).await;
        assert_eq!(rig.places().await.homes, [1, 1, 0]);
        // The third is about to move, or moves, while the broker stops.
        for _ in 0..ENOUGH {
            clients[2].push_produce(there);
        }
        let [first, second, third] = &mut clients;
        let (clean, _) = tokio::join!(rig.broker.stop(), third.writer.flush());
        assert!(clean);
        for client in [first, second, third] {
            // A reset, when there was something that the broker had not read.
            while client.reader.fill().await.is_ok_and(|bytes| bytes != 0) {
                while client.reader.next_frame(1 << 20).expect("good frames").is_some() {}
            }
        }
    });
}
