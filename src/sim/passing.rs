//! Topics that come and go while everything else goes on, and what is written to them: a topic that is made again under the
//! name of a deleted one must not show anything of it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::admin::{create_once, delete_once, missing};
use super::client::{Client, Trouble};
use super::life::Life;
use super::oracle::{Keeps, Origin, Place, Promise, Strength, Violation};
use crate::model::ErrorCode;
use crate::wire::message::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::wire::record::{BatchBuilder, Codec, NewRecord};

const PRODUCE: i16 = 9;
const TIMEOUT_MS: i32 = 10_000;

/// Partitions of one such topic at most.
const PARTITIONS_MAX: u8 = 3;

/// How their names begin.
const PREFIX: &str = "passing-";

/// Their settings: small segments, so that several are deleted.
const SETTINGS: [(&str, &str); 2] = [("durability", "flushed"), ("segment.bytes", "1400")];

const PROMISE: Promise = Promise { flushed: true, keeps: Keeps::All };

/// Number of the producer for the oracle; no other has it.
const PRODUCER: u64 = 999;

/// What is known of topics that come and go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Acknowledged as created.
    There,
    /// Acknowledged as deleted.
    Gone,
    /// A request about it was not answered.
    Unknown,
}

/// Topics that come and go, by name.
pub type Fates = BTreeMap<String, Fate>;

/// Whether a partition is of a topic that comes and goes.
#[must_use]
pub fn is_passing(place: &Place) -> bool {
    place.topic.starts_with(PREFIX)
}

fn places(name: &str, partitions: i32) -> impl Iterator<Item = Place> + use<> {
    let topic = name.to_owned();
    (0..partitions).map(move |partition| Place { topic: topic.clone(), partition })
}

/// One of a few names is created or deleted, whichever it is time for.
///
/// # Errors
/// [`Trouble`].
pub async fn come_or_go(life: &Life, client: &mut Client, fates: &RefCell<Fates>) -> Result<(), Trouble> {
    let name = format!("{PREFIX}{}", life.below(3));
    let before = fates.borrow().get(&name).copied().unwrap_or(Fate::Gone);
    fates.borrow_mut().insert(name.clone(), Fate::Unknown);
    let partitions = 1 + i32::try_from(life.below(u64::from(PARTITIONS_MAX))).unwrap_or(0);
    let creates = before == Fate::Gone || before == Fate::Unknown && life.percent(50);
    if !creates {
        places(&name, i32::from(PARTITIONS_MAX)).for_each(|place| life.oracle.borrow_mut().forget(&place));
    }
    let (was_full, fills) = (life.disk_is_full.get(), life.disk_fills.get());
    let answer = if creates {
        create_once(client, &name, partitions, &SETTINGS.map(|(key, value)| (key, value.to_owned()))).await
    } else {
        delete_once(client, &name).await
    }?;
    // As in Kafka: what took effect although its reply was lost is tried again, and has been done already then.
    let repeated = life.coordinator_failed.get();
    let (after, expected) = match (creates, answer) {
        (true, ErrorCode::None) => (Fate::There, before != Fate::There),
        (true, ErrorCode::TopicAlreadyExists) => (Fate::There, before == Fate::Unknown || repeated),
        (false, ErrorCode::None) => (Fate::Gone, before != Fate::Gone),
        (false, ErrorCode::UnknownTopicOrPartition) => (Fate::Gone, before == Fate::Unknown || repeated),
        // The coordinator or the disk is in trouble.
        _ => (Fate::Unknown, true),
    };
    let what = if creates { "created" } else { "deleted" };
    life.trace.note(format_args!("{name} {what}: {answer}"));
    if !expected {
        let what = format!("it was {before:?}, and when {what} it answers {answer}");
        life.violation(Violation::Topic { topic: name.clone(), what });
    }
    // A partition that cannot be made because the disk is full is not made before the next session, as in Kafka.
    let had_room = !was_full && life.disk_fills.get() == fills;
    if creates && answer == ErrorCode::None && had_room {
        // It is new, and so are its partitions: a namesake's records would be nobody's.
        places(&name, partitions).for_each(|place| life.oracle.borrow_mut().created(place, PROMISE));
    }
    fates.borrow_mut().insert(name, after);
    Ok(())
}

/// A few records go to one partition of a topic that is there.
///
/// # Errors
/// [`Trouble`].
pub async fn write(life: &Life, client: &mut Client, fates: &RefCell<Fates>) -> Result<(), Trouble> {
    let fates = fates.borrow().clone();
    let is_there = |place: &Place| fates.get(&place.topic) == Some(&Fate::There);
    let known = life.oracle.borrow().places().map(|(place, _)| place.clone()).collect::<Vec<_>>();
    let known = known.into_iter().filter(is_there).collect::<Vec<_>>();
    let pick = usize::try_from(life.below(u64::try_from(known.len()).unwrap_or(0))).unwrap_or(0);
    let Some(place) = known.get(pick) else { return Ok(()) };
    write_to(life, client, place).await.map(drop)
}

/// A few records go to a partition; what the broker says of them.
///
/// # Errors
/// [`Trouble`].
pub async fn write_to(life: &Life, client: &mut Client, place: &Place) -> Result<ErrorCode, Trouble> {
    let mut builder = BatchBuilder::new(Codec::None);
    let timestamp = life.clock.timestamp();
    let mut values = Vec::new();
    for _ in 0..=life.below(4) {
        let number = life.oracle.borrow().sent_to(place);
        let mut value = format!("{place}/{PRODUCER}/{}/{number}|", timestamp.0).into_bytes();
        value.resize(value.len().saturating_add(usize::try_from(life.below(300)).unwrap_or(0)), b'.');
        life.oracle.borrow_mut().sent(place, &value, Origin { producer: PRODUCER, number, idempotent: false });
        let record = NewRecord { timestamp, value: Some(&value), ..NewRecord::default() };
        builder.append(&record).unwrap_or_else(|error| panic!("our own record: {error}"));
        values.push(value);
    }
    let records = builder.build().unwrap_or_else(|error| panic!("our own batch: {error}")).into();
    let data = PartitionProduceData { index: place.partition, records: Some(records) };
    let topic = TopicProduceData { name: place.topic.as_str().into(), partition_data: vec![data] };
    let request = ProduceRequest { acks: -1, timeout_ms: TIMEOUT_MS, topic_data: vec![topic], ..Default::default() };
    let asked = life.now();
    let response = client.call(PRODUCE, &request).await?;
    let answer = response.responses.first().and_then(|topic| topic.partition_responses.first());
    let answer = answer.ok_or_else(|| missing("Produce"))?;
    if answer.error_code == ErrorCode::None {
        life.acknowledged(place, answer.base_offset, &values, Strength::Firm, asked);
    }
    Ok(answer.error_code)
}
