//! What is taken, sent and settled, without a broker.

use futures::FutureExt as _;

use super::*;
use crate::client::BrokerAddress;
use crate::client::metadata::TopicMetadata;
use crate::client::producer::Delivered;
use crate::model::{ProducerEpoch, ProducerId};
use crate::wire::record::{BatchHeader, DecompressionLimit};

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
    let topic = TopicMetadata { leaders, ..TopicMetadata::default() };
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

/// Answers as a broker of an idempotent producer that takes batches of so many bytes: values in the log, and sequence numbers.
fn take_up_to(held: &mut Accumulator, bytes_max: usize, log: &mut Vec<u8>) -> Vec<i32> {
    let mut sequences = Vec::new();
    for wait in 1..100 {
        let now = at(wait * 1000);
        // All that may be on the way at once.
        let requests = std::iter::from_fn(|| held.collect(now, true).pop()).collect::<Vec<_>>();
        for (place, batch) in requests.into_iter().flat_map(|request| request.batches) {
            held.came_back(BrokerId(0));
            let header = BatchHeader::decode(&batch.bytes).expect("a batch");
            let expected = i32::try_from(log.len()).expect("few");
            let result = if bytes_max < batch.bytes.len() {
                Err(ErrorCode::MessageTooLarge)
            } else if header.base_sequence != expected {
                Err(ErrorCode::OutOfOrderSequenceNumber)
            } else {
                sequences.push(header.base_sequence);
                let mut scratch = Vec::new();
                let limit = DecompressionLimit { bytes_max: 1 << 20 };
                let records = header.read_records(&batch.bytes, limit, &mut scratch).expect("readable");
                log.extend(records.map(|record| record.expect("whole").value.expect("a value")[0]));
                Ok(Offset(i64::from(expected)))
            };
            let refused = |code| Rc::new(ClientError::Refused { what: "no".to_owned(), code, message: None });
            held.settle(now, place, batch, result.map_err(refused));
        }
    }
    sequences
}

#[test]
fn a_batch_that_is_too_large_is_sent_in_halves_in_order() {
    for codec in ["none", "gzip", "lz4"] {
        let mut held = holding(&[("batch.size", "700"), ("compression.type", codec)], &[0]);
        let reports = (0..40_u8).map(|number| {
            // Not much smaller when it is compressed.
            let noise =
                (0..30_u32).map(|at| (u32::from(number) * 30 + at).wrapping_mul(2_654_435_761).to_be_bytes()[0]);
            let value = std::iter::once(number).chain(noise).collect::<Vec<_>>();
            append(&mut held, Some(0), &value).expect("room")
        });
        let reports = reports.collect::<Vec<_>>();
        identify(&mut held);
        let mut log = Vec::new();
        let sequences = take_up_to(&mut held, 200, &mut log);
        assert_eq!(log, (0..40).collect::<Vec<_>>(), "{codec}: each once and in order");
        assert!(5 <= sequences.len() && sequences.is_sorted(), "{codec}: {sequences:?}");
        let offsets = reports.into_iter().map(|delivery| report(delivery).expect("settled").expect("written"));
        assert_eq!(offsets.collect::<Vec<_>>(), (0..40).collect::<Vec<_>>(), "{codec}: each hears of its own offset");
        assert_eq!((held.used_bytes, held.halves.len(), held.written.records), (0, 0, 40));
        assert!(held.is_settled_before(held.next_number()));
    }
}

#[test]
fn a_record_that_is_too_large_fails_alone_among_the_halves() {
    let mut held = holding(&[("batch.size", "4000")], &[0]);
    let large = |number: u8| if number % 7 == 3 { 300 } else { 20 };
    let reports = (0..40_u8).map(|number| append(&mut held, Some(0), &vec![number; large(number)]).expect("room"));
    let reports = reports.collect::<Vec<_>>();
    identify(&mut held);
    let mut log = Vec::new();
    take_up_to(&mut held, 200, &mut log);
    assert_eq!(log, (0..40).filter(|number| large(*number) == 20).collect::<Vec<_>>());
    for (number, delivery) in (0..).zip(reports) {
        match report(delivery).expect("settled") {
            Ok(offset) => assert_eq!(log[usize::try_from(offset).expect("small")], number),
            Err(error) => assert!(large(number) == 300 && error.contains("MESSAGE_TOO_LARGE"), "{number}: {error}"),
        }
    }
    assert!(matches!(held.failure.take(), Some(ProduceError::Refused(_))));
    assert_eq!((held.used_bytes, held.halves.len()), (0, 0));
    assert!(held.is_settled_before(held.next_number()));
}

#[test]
fn halves_keep_their_order_through_whatever_happens_to_them() {
    let mut held = holding(&[("batch.size", "4000")], &[0]);
    let reports = (0..8_u8).map(|number| append(&mut held, Some(0), &[number; 20]).expect("room")).collect::<Vec<_>>();
    identify(&mut held);
    let request = held.collect(at(0), true).pop().expect("a request");
    answer(&mut held, request, at(0), Err(ErrorCode::MessageTooLarge));
    assert!(!held.is_settled_before(held.next_number()));
    // The first half fails, and comes before the second again.
    let request = held.collect(at(0), true).pop().expect("the first half");
    assert!(held.collect(at(0), true).is_empty(), "one after the other");
    answer(&mut held, request, at(0), Err(ErrorCode::NotEnoughReplicas));
    let mut log = Vec::new();
    assert_eq!(take_up_to(&mut held, 4000, &mut log), [0, 4]);
    assert_eq!(log, (0..8).collect::<Vec<_>>());
    assert!(reports.into_iter().all(|delivery| matches!(report(delivery), Some(Ok(_)))));
}

#[test]
fn who_waits_for_a_record_hears_of_it_though_its_batch_was_split() {
    let mut held = holding(&[("batch.size", "4000")], &[0]);
    let reports = (0..4_u8).map(|number| append(&mut held, Some(0), &[number; 20]).expect("room"));
    let mut reports = reports.collect::<futures::stream::FuturesOrdered<_>>();
    let next = |reports: &mut futures::stream::FuturesOrdered<Delivery>| {
        futures::StreamExt::next(reports).now_or_never().flatten().map(|report| report.expect("written").offset.0)
    };
    identify(&mut held);
    assert_eq!(next(&mut reports), None, "it waits, and is woken");
    take_up_to(&mut held, 100, &mut Vec::new());
    assert_eq!((0..4).map(|_| next(&mut reports)).collect::<Vec<_>>(), [Some(0), Some(1), Some(2), Some(3)]);
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
