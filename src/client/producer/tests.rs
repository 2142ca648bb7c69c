//! A producer and a broker that behaves badly: what is reported, and what the broker has in the end.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::telemetry::OsClock;
use crate::wire::message::api_versions::ApiVersion;
use crate::wire::message::metadata::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use crate::wire::message::produce::{PartitionProduceResponse, TopicProduceResponse};
use crate::wire::message::{
    ApiVersionsResponse, InitProducerIdResponse, MetadataResponse, ProduceRequest, ProduceResponse,
};
use crate::wire::record::BatchHeader;
use crate::wire::{ApiKey, Message, RequestHeader, decode_request, encode_response};

/// What the broker does with the next Produce request.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Move {
    Take,
    /// Writes and then closes: the answer never comes.
    TakeAndClose,
    Close,
    /// Says nothing until the client gives up.
    Silence,
    /// Bytes that are no answer.
    Garbage,
    /// An answer to something else.
    Mixed,
    Refuse(ErrorCode),
}

#[derive(Default)]
struct Broker {
    port: u16,
    moves: VecDeque<Move>,
    /// Sequence numbers and sizes of the batches in the log.
    log: Vec<(i64, i32, i32)>,
    ids: i64,
}

impl Broker {
    /// Writes a batch as a broker does for an idempotent producer.
    fn write(&mut self, records: &Bytes) -> (ErrorCode, i64) {
        let header = BatchHeader::decode(records).expect("a batch");
        let (id, sequence) = (header.producer_id.0, header.base_sequence);
        let of_id = self.log.iter().filter(|(other, ..)| *other == id);
        let expected = of_id.map(|(_, sequence, count)| sequence + count).max().unwrap_or(0);
        let end = self.log.iter().map(|(_, _, count)| i64::from(*count)).sum();
        match sequence.cmp(&expected) {
            std::cmp::Ordering::Less => (ErrorCode::DuplicateSequenceNumber, -1),
            std::cmp::Ordering::Greater => (ErrorCode::OutOfOrderSequenceNumber, -1),
            std::cmp::Ordering::Equal => {
                self.log.push((id, sequence, header.records));
                (ErrorCode::None, end)
            }
        }
    }

    fn produce(&mut self, request: &ProduceRequest, refusal: Option<ErrorCode>) -> ProduceResponse {
        let responses = request.topic_data.iter().map(|topic| {
            let answers = topic.partition_data.iter().map(|part| {
                let write = || self.write(part.records.as_ref().expect("records"));
                let (error_code, base_offset) = refusal.map_or_else(write, |code| (code, -1));
                PartitionProduceResponse { index: part.index, error_code, base_offset, ..Default::default() }
            });
            TopicProduceResponse { name: topic.name.clone(), partition_responses: answers.collect() }
        });
        ProduceResponse { responses: responses.collect(), ..ProduceResponse::default() }
    }
}

fn offered() -> ApiVersionsResponse {
    let keys = [(ApiKey::Produce, 9), (ApiKey::Metadata, 8), (ApiKey::InitProducerId, 3), (ApiKey::ApiVersions, 3)];
    let offer = |(key, max_version): (ApiKey, i16)| ApiVersion { api_key: key.code(), min_version: 0, max_version };
    ApiVersionsResponse { api_keys: keys.map(offer).to_vec(), ..ApiVersionsResponse::default() }
}

fn metadata(port: u16) -> MetadataResponse {
    let broker = MetadataResponseBroker { host: "127.0.0.1".into(), port: i32::from(port), ..Default::default() };
    let topic = MetadataResponseTopic {
        name: Some("t".into()),
        partitions: vec![MetadataResponsePartition::default()],
        ..MetadataResponseTopic::default()
    };
    let missing = MetadataResponseTopic {
        name: Some("no topic".into()),
        error_code: ErrorCode::InvalidTopicException,
        ..MetadataResponseTopic::default()
    };
    MetadataResponse { brokers: vec![broker], topics: vec![topic, missing], ..MetadataResponse::default() }
}

fn encoded(header: &RequestHeader, id: i32, response: &impl Message) -> Bytes {
    encode_response(id, header.key, header.version, response).expect("short").contiguous().expect("one piece")
}

async fn serve(mut stream: TcpStream, broker: Rc<RefCell<Broker>>) -> std::io::Result<()> {
    loop {
        let length = usize::try_from(stream.read_i32().await?).expect("a length");
        let mut frame = vec![0; length];
        stream.read_exact(&mut frame).await?;
        let (header, mut body) = decode_request(frame.into()).expect("a request");
        let mut id = header.correlation_id;
        let answer = if header.key == ApiKey::ApiVersions {
            encoded(&header, id, &offered())
        } else if header.key == ApiKey::Metadata {
            encoded(&header, id, &metadata(broker.borrow().port))
        } else if header.key == ApiKey::InitProducerId {
            broker.borrow_mut().ids += 1;
            let producer_id = broker.borrow().ids;
            encoded(&header, id, &InitProducerIdResponse { producer_id, ..InitProducerIdResponse::default() })
        } else {
            let request = ProduceRequest::decode(&mut body, header.version).expect("a Produce request");
            let next = broker.borrow_mut().moves.pop_front().unwrap_or(Move::Take);
            let refusal = if let Move::Refuse(code) = next { Some(code) } else { None };
            match next {
                Move::Close => return Ok(()),
                Move::Silence => std::future::pending().await,
                Move::Garbage => {
                    stream.write_all(&[0x7f, 0xff, 0xff, 0xff]).await?;
                    continue;
                }
                Move::TakeAndClose => {
                    broker.borrow_mut().produce(&request, None);
                    return Ok(());
                }
                Move::Mixed => id += 100,
                Move::Take | Move::Refuse(_) => {}
            }
            let response = broker.borrow_mut().produce(&request, refusal);
            encoded(&header, id, &response)
        };
        stream.write_all(&answer).await?;
    }
}

/// Runs a producer with batches of one record against a broker that makes these moves first.
fn against<F: Future<Output = ()>>(
    moves: &[Move],
    pairs: &[(&str, &str)],
    talk: impl FnOnce(Producer, Rc<RefCell<Broker>>) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let broker =
            Rc::new(RefCell::new(Broker { port, moves: moves.iter().copied().collect(), ..Broker::default() }));
        let accepting = Rc::clone(&broker);
        let server = tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(serve(stream, Rc::clone(&accepting)));
            }
        });
        let address = format!("127.0.0.1:{port}");
        let own = [
            ("bootstrap.servers", address.as_str()),
            ("batch.size", "0"),
            ("retry.backoff.ms", "1"),
            ("retry.backoff.max.ms", "5"),
            ("reconnect.backoff.ms", "1"),
            ("reconnect.backoff.max.ms", "5"),
            ("request.timeout.ms", "100"),
        ];
        let config = ProducerConfig::new(own.into_iter().chain(pairs.iter().copied())).expect("a configuration");
        let producer = Producer::new(&config, Rc::new(OsClock::start()));
        let ended = tokio::time::timeout(Duration::from_secs(20), talk(producer, broker)).await;
        server.abort();
        assert!(ended.is_ok(), "it hangs");
    });
}

async fn send(producer: &Producer, count: u8) -> Vec<Delivery> {
    let mut reports = Vec::new();
    for number in 0..count {
        let value = [number];
        let record = NewRecord { value: Some(&value), ..NewRecord::default() };
        reports.push(producer.send("t", None, &record).await.expect("room"));
    }
    reports
}

#[test]
fn whatever_the_broker_does_every_record_is_there_once_and_in_order() {
    let retriable = Move::Refuse(ErrorCode::NotLeaderOrFollower);
    let moves = [
        Move::Take,
        retriable,
        Move::Close,
        Move::TakeAndClose,
        Move::Take,
        Move::Garbage,
        Move::Silence,
        Move::Mixed,
        Move::Refuse(ErrorCode::NotEnoughReplicas),
        Move::TakeAndClose,
        Move::Take,
        Move::Close,
    ];
    against(&moves, &[], async |producer, broker| {
        let reports = send(&producer, 60).await;
        producer.flush().await.expect("all is written");
        for report in join_all(reports).await {
            report.expect("written");
        }
        let broker = broker.borrow();
        let records = broker.log.iter().map(|(_, _, count)| count).sum::<i32>();
        assert_eq!(records, 60, "{:?}", broker.log);
        assert_eq!(producer.written().records, 60);
        assert!(broker.log.iter().all(|(id, ..)| *id == 1), "nobody had to begin anew");
    });
}

#[test]
fn a_batch_that_is_refused_fails_alone_and_leaves_no_gap() {
    let moves = [Move::Take, Move::Refuse(ErrorCode::MessageTooLarge)];
    against(&moves, &[], async |producer, broker| {
        let reports = join_all(send(&producer, 20).await).await;
        let failed =
            reports.iter().enumerate().filter_map(|(number, report)| report.as_ref().err().map(|it| (number, it)));
        let failed = failed.collect::<Vec<_>>();
        assert!(matches!(failed[..], [(1, ProduceError::Refused(_))]), "{failed:?}");
        assert_eq!(broker.borrow().log.iter().map(|(_, _, count)| count).sum::<i32>(), 19);
        assert!(producer.flush().await.is_err(), "it was not told yet");
        assert!(producer.flush().await.is_ok());
    });
}

#[test]
fn what_the_broker_never_takes_expires_and_the_next_goes_on() {
    let moves = [Move::Close; 200];
    let pairs = [("delivery.timeout.ms", "200"), ("linger.ms", "0"), ("request.timeout.ms", "50")];
    against(&moves, &pairs, async |producer, broker| {
        for report in join_all(send(&producer, 3).await).await {
            let error = report.expect_err("never taken");
            assert!(matches!(error, ProduceError::Expired { partition: 0, .. }), "{error}");
            assert!(error.is_retriable());
        }
        broker.borrow_mut().moves.clear();
        for report in join_all(send(&producer, 3).await).await {
            report.expect("written");
        }
        assert_eq!(broker.borrow().log.len(), 3);
    });
}

#[test]
fn a_broker_that_answers_nothing_costs_no_more_memory_than_said_and_every_record_hears_of_it() {
    let pairs = [
        ("buffer.memory", "20000"),
        ("batch.size", "2000"),
        ("delivery.timeout.ms", "400"),
        ("request.timeout.ms", "100"),
        ("linger.ms", "0"),
    ];
    against(&[Move::Silence; 500], &pairs, async |producer, broker| {
        let mut reports = futures::stream::FuturesUnordered::new();
        // Behind one that expired, those that may be written do not go again under the next epoch.
        let is_given_up =
            |report: &_| matches!(report, Err(ProduceError::Expired { .. } | ProduceError::Doubtful { .. }));
        let (mut given_up, mut most) = (0, 0);
        for number in 0..200_u8 {
            let record = NewRecord { value: Some(&[number; 500]), ..NewRecord::default() };
            // Waits for room, which there is when others have expired.
            reports.push(producer.send("t", None, &record).await.expect("room in time"));
            most = most.max(producer.shared.held.borrow().used_bytes());
            assert!(most <= 20_000, "{most}");
            while let Some(Some(report)) = futures::StreamExt::next(&mut reports).now_or_never() {
                assert!(is_given_up(&report), "{report:?}");
                given_up += 1;
            }
        }
        assert!(15_000 < most, "it was full: {most}");
        while let Some(report) = futures::StreamExt::next(&mut reports).await {
            assert!(is_given_up(&report), "{report:?}");
            given_up += 1;
        }
        assert_eq!((given_up, producer.shared.held.borrow().used_bytes()), (200, 0));
        broker.borrow_mut().moves.clear();
        assert!(producer.flush().await.is_err(), "it was not told yet");
        join_all(send(&producer, 3).await).await.into_iter().for_each(|report| assert!(report.is_ok()));
    });
}

#[test]
fn a_topic_that_cannot_be_is_told_at_once_and_memory_is_waited_for_no_longer_than_said() {
    let moves = [Move::Silence; 9];
    let pairs = [("max.block.ms", "300"), ("buffer.memory", "500"), ("request.timeout.ms", "30000")];
    against(&moves, &pairs, async |producer, _| {
        let nowhere = producer.send("no topic", None, &NewRecord::default()).await;
        assert!(matches!(nowhere, Err(ProduceError::NoTopic { .. })), "{nowhere:?}");
        let record = NewRecord { value: Some(&[0; 100]), ..NewRecord::default() };
        let mut taken = Vec::new();
        let error = loop {
            match producer.send("t", None, &record).await {
                Ok(report) => taken.push(report),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ProduceError::Full { .. }), "{error}");
        assert!((1..5).contains(&taken.len()), "{}", taken.len());
        drop(producer);
        for report in join_all(taken).await {
            assert!(matches!(report, Err(ProduceError::Dropped)), "{report:?}");
        }
    });
}
