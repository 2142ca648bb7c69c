//! What is taken, sent and settled, without a broker.

use futures::FutureExt as _;

use super::*;
use crate::client::BrokerAddress;
use crate::client::metadata::TopicMetadata;
use crate::client::producer::Delivered;
use crate::model::{ProducerEpoch, ProducerId};

/// An accumulator that knows the topic `t`, led by brokers of these numbers.
fn holding(pairs: &[(&str, &str)], leaders: &[i32]) -> Accumulator {
    let pairs = [("bootstrap.servers", "a:1")].into_iter().chain(pairs.iter().copied());
    let mut held = Accumulator::new(&ProducerConfig::new(pairs).expect("a configuration"));
    held.learn(&led_by(leaders));
    held
}

fn led_by(leaders: &[i32]) -> Metadata {
    let brokers = leaders.iter().map(|id| (BrokerId(*id), BrokerAddress { host: "h".to_owned(), port: 1 }));
    let leaders = leaders.iter().map(|id| Some(BrokerId(*id)).filter(|_| 0 <= *id)).collect();
    let topic = TopicMetadata { is_internal: false, leaders };
    Metadata { brokers: brokers.collect(), topics: [("t".into(), Ok(topic))].into() }
}

fn at(ms: u64) -> Moment {
    Moment(Duration::from_millis(ms))
}

fn append(held: &mut Accumulator, partition: Option<i32>, value: &[u8]) -> Result<Delivery, String> {
    let record = NewRecord { value: Some(value), ..NewRecord::default() };
    let taken = held.append(|| at(0), "t", partition.map(PartitionIndex), &record, || 0);
    taken.map(|taken| taken.delivery).map_err(|error| match error {
        NotTaken::Unknown => "unknown".to_owned(),
        NotTaken::Full => "full".to_owned(),
        NotTaken::Never(error) => error.to_string(),
    })
}

fn identify(held: &mut Accumulator) {
    assert!(held.needs_identity());
    held.identify(Identity { id: ProducerId(1), epoch: ProducerEpoch(0) });
}

/// Broker and partitions of each request.
fn collect(held: &mut Accumulator, now: Moment) -> Vec<Outgoing> {
    held.collect(now, false)
}

fn summary(outgoing: &[Outgoing]) -> Vec<(i32, Vec<usize>)> {
    let partitions = |request: &Outgoing| request.batches.iter().map(|(place, _)| place.partition).collect();
    outgoing.iter().map(|request| (request.broker.0, partitions(request))).collect()
}

/// Answers all batches of a request.
fn answer(held: &mut Accumulator, request: Outgoing, now: Moment, result: Result<i64, ErrorCode>) {
    held.came_back(request.broker);
    for (place, batch) in request.batches {
        let refused = |code| Rc::new(ClientError::Refused { what: "no".to_owned(), code, message: None });
        held.settle(now, place, batch, result.map(Offset).map_err(refused));
    }
}

fn report(delivery: Delivery) -> Option<Result<i64, String>> {
    let offset = |delivered: Delivered| delivered.offset.0;
    delivery.now_or_never().map(|report| report.map(offset).map_err(|error| error.to_string()))
}

#[test]
fn what_cannot_be_taken_is_said_at_once() {
    let mut held = holding(&[("max.request.size", "500"), ("buffer.memory", "800")], &[0, 0]);
    let said = append(&mut held, Some(0), &[0; 500]).expect_err("larger than a request");
    assert_eq!(said, "a record of 521 bytes is larger than max.request.size allows: 500");
    let said = append(&mut held, Some(2), b"x").expect_err("no such partition");
    assert_eq!(said, "topic 't' has no partition 2: it has 2, numbered from 0");
    let nowhere = held.append(|| at(0), "u", None, &NewRecord::default(), || 0);
    assert!(matches!(nowhere, Err(NotTaken::Unknown)));
}

#[test]
fn memory_is_bounded_and_given_back() {
    let mut held = holding(&[("buffer.memory", "1000"), ("batch.size", "100")], &[0]);
    let mut taken = Vec::new();
    while let Ok(delivery) = append(&mut held, None, &[0; 50]) {
        taken.push(delivery);
    }
    assert_eq!(append(&mut held, None, &[0; 50]).expect_err("too much"), "full");
    assert!((5..20).contains(&taken.len()), "{}", taken.len());
    identify(&mut held);
    let mut offset = 0;
    while let Some(request) = collect(&mut held, at(0)).pop() {
        answer(&mut held, request, at(0), Ok(offset));
        offset += 1;
    }
    assert_eq!(held.used_bytes, 0);
    assert!(held.is_settled_before(held.next_number()));
    let offsets = taken.into_iter().map(|delivery| report(delivery).expect("settled")).collect::<Vec<_>>();
    assert!(offsets.iter().all(Result::is_ok), "{offsets:?}");
    assert!(append(&mut held, None, &[0; 50]).is_ok());
}

#[test]
fn a_broker_gets_one_request_for_all_its_partitions_and_not_more_than_may_be_on_the_way() {
    let mut held = holding(&[("max.in.flight.requests.per.connection", "2")], &[0, 1, 0]);
    for partition in 0..3 {
        append(&mut held, Some(partition), b"x").expect("room");
    }
    identify(&mut held);
    let first = collect(&mut held, at(0));
    assert_eq!(summary(&first), [(0, vec![0, 2]), (1, vec![1])]);
    append(&mut held, Some(0), b"y").expect("room");
    assert_eq!(summary(&collect(&mut held, at(0))), [(0, vec![0])]);
    append(&mut held, Some(2), b"y").expect("room");
    append(&mut held, Some(1), b"y").expect("room");
    assert_eq!(summary(&collect(&mut held, at(0))), [(1, vec![1])], "two are on the way to broker 0");
    for request in first {
        answer(&mut held, request, at(0), Ok(0));
    }
    assert_eq!(summary(&collect(&mut held, at(0))), [(0, vec![2])]);
}

#[test]
fn a_partition_that_moves_is_sent_nowhere_else_before_all_came_back() {
    let mut held = holding(&[], &[0]);
    append(&mut held, None, b"x").expect("room");
    identify(&mut held);
    let request = collect(&mut held, at(0)).pop().expect("a request");
    append(&mut held, None, b"y").expect("room");
    held.learn(&led_by(&[1]));
    assert_eq!(summary(&collect(&mut held, at(0))), []);
    answer(&mut held, request, at(0), Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(summary(&collect(&mut held, at(0))), [], "it waits before it tries again");
    assert_eq!(summary(&collect(&mut held, at(1000))), [(1, vec![0])]);
}

#[test]
fn each_error_goes_to_the_records_concerned() {
    let mut held = holding(&[], &[0, 0, 0]);
    let reports = (0..3).map(|partition| append(&mut held, Some(partition), b"x").expect("room"));
    let mut reports = reports.collect::<Vec<_>>();
    identify(&mut held);
    let mut request = collect(&mut held, at(0)).pop().expect("a request");
    held.came_back(request.broker);
    let results = [Ok(Offset(7)), Err(ErrorCode::MessageTooLarge), Err(ErrorCode::NotEnoughReplicas)];
    for ((place, batch), result) in request.batches.drain(..).zip(results) {
        let refused = |code| Rc::new(ClientError::Refused { what: "no".to_owned(), code, message: None });
        held.settle(at(0), place, batch, result.map_err(refused));
    }
    assert_eq!(report(reports.remove(0)), Some(Ok(7)));
    assert!(report(reports.remove(0)).expect("settled").expect_err("refused").contains("MESSAGE_TOO_LARGE"));
    assert!(matches!(held.failure.take(), Some(ProduceError::Refused(_))));
    assert!(!held.is_settled_before(held.next_number()), "the third is tried again");
    held.expire(at(120_000));
    assert_eq!(held.failure.take().map(|error| (error.is_retriable(), error.is_fatal())), Some((true, false)));
    let said = report(reports.remove(0)).expect("settled").expect_err("expired");
    assert_eq!(said, "partition t-2 did not acknowledge within 120000 ms");
    assert!(held.is_settled_before(held.next_number()));
}

#[test]
fn a_producer_that_goes_says_so_to_every_record() {
    let mut held = holding(&[], &[0]);
    let sent = append(&mut held, None, b"x").expect("room");
    identify(&mut held);
    let request = collect(&mut held, at(0));
    let waiting = append(&mut held, None, b"y").expect("room");
    drop((request, held));
    for delivery in [sent, waiting] {
        assert!(matches!(delivery.now_or_never(), Some(Err(ProduceError::Dropped))));
    }
}
