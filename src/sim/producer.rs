//! A producer as clients have them: batches in order, several requests under way, and after any trouble the same again on a
//! new connection. It outlives the broker's crashes, as a client on another machine does.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;

use super::client::{Client, Trouble};
use super::life::Life;
use super::oracle::{Origin, Place, Strength, Violation};
use crate::model::{ErrorCode, Moment, ProducerEpoch, ProducerId};
use crate::wire::message::InitProducerIdRequest;
use crate::wire::message::produce::{PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData};
use crate::wire::record::{BatchBuilder, Codec, NewRecord};

const PRODUCE: i16 = 9;
const INIT_PRODUCER_ID: i16 = 4;

/// How long the broker may wait for a commit.
const TIMEOUT_MS: i32 = 10_000;

/// How often a leader of a cluster that is healed may say that it does not know a producer.
const STRANGERS_MAX: u32 = 20;

/// How it sends.
#[derive(Clone, Debug)]
pub struct Habits {
    /// What it calls itself.
    pub name: &'static str,
    /// −1, 0 or 1.
    pub acks: i16,
    /// Whether it numbers its batches. Then `acks` is −1.
    pub idempotent: bool,
    /// Requests under way at once. With more than one it is idempotent, else retries would change the order.
    pub in_flight_max: usize,
    /// How it packs its batches.
    pub codec: Codec,
    /// Longest pause between requests, in ms.
    pub pause_ms: u64,
}

/// A producer, with what it has not seen acknowledged.
#[derive(Debug)]
pub struct Producer {
    habits: Habits,
    /// Number for the oracle; another one after each new producer id.
    number: u64,
    id: Option<(ProducerId, ProducerEpoch)>,
    lanes: Vec<Lane>,
}

/// What goes to one partition.
#[derive(Debug)]
struct Lane {
    place: Place,
    next_sequence: i32,
    next_value: u64,
    /// Oldest first.
    unacknowledged: VecDeque<Batch>,
    /// How many of them were sent on this connection.
    under_way: usize,
    /// How often the first was called out of order since everything is healed.
    strangers: u32,
}

#[derive(Clone, Debug)]
struct Batch {
    values: Vec<Vec<u8>>,
    sequence: i32,
}

/// A request under way: its lanes, and when it was sent.
struct UnderWay {
    lanes: Vec<usize>,
    asked: Moment,
}

impl Producer {
    /// A producer for these partitions.
    #[must_use]
    pub fn new(number: u64, habits: Habits, places: impl IntoIterator<Item = Place>) -> Self {
        let lane = |place| Lane {
            place,
            next_sequence: 0,
            next_value: 0,
            unacknowledged: VecDeque::new(),
            under_way: 0,
            strangers: 0,
        };
        Self { habits, number, id: None, lanes: places.into_iter().map(lane).collect() }
    }

    /// Gives up what it has not seen acknowledged and begins anew under another id, as clients do when the broker may have
    /// forgotten where they were.
    pub fn begin_anew(&mut self) {
        self.id = None;
        self.number = self.number.saturating_add(1_000);
        for lane in &mut self.lanes {
            lane.unacknowledged.clear();
            lane.next_sequence = 0;
        }
    }

    /// Whether one of its partitions satisfies `wanted`.
    pub fn sends_to(&self, wanted: impl Fn(&Place) -> bool) -> bool {
        self.lanes.iter().any(|lane| wanted(&lane.place))
    }

    fn has_unacknowledged(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.unacknowledged.is_empty())
    }

    fn reconnected(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.under_way = 0);
    }

    /// The next request: for some partitions the batch that is due again, or else a new one.
    fn next_request(&mut self, life: &Life) -> Option<(ProduceRequest, Vec<usize>)> {
        let mut request = ProduceRequest { acks: self.habits.acks, timeout_ms: TIMEOUT_MS, ..Default::default() };
        let mut sending = Vec::new();
        for index in 0..self.lanes.len() {
            let fresh = !life.draining.get() && life.percent(60);
            let Some(lane) = self.lanes.get_mut(index) else { continue };
            if lane.under_way == lane.unacknowledged.len() {
                if !fresh {
                    continue;
                }
                let batch = lane.new_batch(life, self.number, self.habits.idempotent);
                lane.unacknowledged.push_back(batch);
            }
            let Some(batch) = lane.unacknowledged.get(lane.under_way) else { continue };
            let records = batch.encode(life, &self.habits, self.id);
            lane.under_way += 1;
            sending.push(index);
            let data = PartitionProduceData { index: lane.place.partition, records: Some(records) };
            let topic = lane.place.topic.as_str();
            match request.topic_data.iter_mut().find(|known| known.name.as_str() == topic) {
                Some(known) => known.partition_data.push(data),
                None => request.topic_data.push(TopicProduceData { name: topic.into(), partition_data: vec![data] }),
            }
        }
        (!sending.is_empty()).then_some((request, sending))
    }
}

impl Lane {
    fn new_batch(&mut self, life: &Life, producer: u64, idempotent: bool) -> Batch {
        // No batch is larger than the smallest segment, which would refuse it.
        let count = 1 + life.below(4);
        let values = (0..count).map(|_| {
            let number = self.next_value;
            self.next_value += 1;
            let length = if count == 1 && life.percent(20) { life.below(1_000) } else { life.below(200) };
            let mut value = format!("{}/{producer}/{number}|", self.place).into_bytes();
            value.extend((0..length).map(|at| u8::try_from((at ^ number) & 0xff).unwrap_or(0)));
            life.oracle.borrow_mut().sent(&self.place, &value, Origin { producer, number, idempotent });
            value
        });
        let values = values.collect::<Vec<_>>();
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(i32::try_from(values.len()).unwrap_or(0));
        Batch { values, sequence }
    }
}

impl Batch {
    fn encode(&self, life: &Life, habits: &Habits, id: Option<(ProducerId, ProducerEpoch)>) -> Bytes {
        let mut builder = BatchBuilder::new(habits.codec);
        if let Some((id, epoch)) = id {
            builder = builder.producer(id, epoch, self.sequence);
        }
        let timestamp = life.clock.timestamp();
        for value in &self.values {
            let record = NewRecord { timestamp, value: Some(value), ..NewRecord::default() };
            builder.append(&record).unwrap_or_else(|error| panic!("our own record: {error}"));
        }
        builder.build().unwrap_or_else(|error| panic!("our own batch: {error}")).into()
    }
}

/// Sends until the life ends, or until all is acknowledged when it drains.
pub async fn run(life: Rc<Life>, producer: Rc<RefCell<Producer>>) {
    let habits = producer.borrow().habits.clone();
    loop {
        let place = producer.borrow().lanes.first().map(|lane| lane.place.clone());
        let client = life.connect(habits.name, place.as_ref()).await;
        producer.borrow_mut().reconnected();
        match send_all(&life, &producer, &habits, client).await {
            Ok(()) => return,
            Err(trouble) => life.trouble(&trouble),
        }
        // What is still under way on the old connection arrives meanwhile.
        life.pause(300).await;
    }
}

async fn send_all(
    life: &Life,
    producer: &RefCell<Producer>,
    habits: &Habits,
    mut client: Client,
) -> Result<(), Trouble> {
    if habits.idempotent && producer.borrow().id.is_none() {
        let id = ask_for_id(life, &mut client).await?;
        producer.borrow_mut().id = Some(id);
    }
    let mut under_way = VecDeque::new();
    loop {
        while under_way.len() < habits.in_flight_max {
            let next = producer.borrow_mut().next_request(life);
            let Some((request, lanes)) = next else { break };
            let asked = life.now();
            client.send(PRODUCE, &request).await?;
            if habits.acks == 0 {
                forget(&mut producer.borrow_mut());
                break;
            }
            under_way.push_back(UnderWay { lanes, asked });
            if life.percent(50) {
                break;
            }
        }
        if let Some(oldest) = under_way.pop_front() {
            let response = client.receive::<ProduceRequest>(PRODUCE).await?;
            let parts = response.responses.iter();
            let parts =
                parts.flat_map(|topic| topic.partition_responses.iter().map(|part| (topic.name.as_str(), part)));
            let parts = parts.collect::<Vec<_>>();
            take(life, &mut producer.borrow_mut(), habits, &oldest, &parts)?;
        } else if life.draining.get() && !producer.borrow().has_unacknowledged() {
            return Ok(());
        }
        if life.percent(60) {
            life.pause(habits.pause_ms).await;
        }
    }
}

async fn ask_for_id(life: &Life, client: &mut Client) -> Result<(ProducerId, ProducerEpoch), Trouble> {
    loop {
        let request = InitProducerIdRequest { transaction_timeout_ms: 60_000, ..Default::default() };
        let response = client.call(INIT_PRODUCER_ID, &request).await?;
        if response.error_code == ErrorCode::None {
            return Ok((ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch)));
        }
        life.pause(500).await;
    }
}

/// Nobody will answer.
fn forget(producer: &mut Producer) {
    for lane in &mut producer.lanes {
        lane.unacknowledged.clear();
        lane.under_way = 0;
    }
}

/// Takes in one answer. Trouble with one partition is trouble with the connection: all begins again in order.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the protocol has a hundred codes; two or three mean something here"
)]
fn take(
    life: &Life,
    producer: &mut Producer,
    habits: &Habits,
    request: &UnderWay,
    answers: &[(&str, &PartitionProduceResponse)],
) -> Result<(), Trouble> {
    let mut trouble = None;
    let mut anew = false;
    for &index in &request.lanes {
        let Some(lane) = producer.lanes.get_mut(index) else { continue };
        let Place { topic, partition } = &lane.place;
        let Some((_, answer)) = answers.iter().find(|(name, part)| name == topic && part.index == *partition) else {
            return Err(Trouble::Unreadable(format!("no answer for {}", lane.place)));
        };
        match answer.error_code {
            ErrorCode::None => {
                let Some(batch) = lane.unacknowledged.pop_front() else { continue };
                lane.under_way = lane.under_way.saturating_sub(1);
                let strength = if habits.acks == -1 { Strength::Firm } else { Strength::Weak };
                life.acknowledged(&lane.place, answer.base_offset, &batch.values, strength, request.asked);
                let when = life.since(request.asked);
                life.oracle.borrow_mut().log_starts(&lane.place, answer.log_start_offset, when);
            }
            ErrorCode::OutOfOrderSequenceNumber | ErrorCode::DuplicateSequenceNumber | ErrorCode::UnknownProducerId => {
                // With one request under way the broker knows where it was, if it kept its promise. Of several, the
                // snapshot that it started from names only the last (as in Kafka).
                // In a cluster it may be one that leads no more who says so, and knows no better: once all is healed it must be
                // somebody else, and the same batch is taken.
                let replicated = life.oracle.borrow().is_replicated();
                lane.strangers = if life.draining.get() { lane.strangers.saturating_add(1) } else { 0 };
                if replicated && habits.in_flight_max == 1 && lane.strangers < STRANGERS_MAX {
                    trouble = Some(Trouble::Disconnected);
                    continue;
                }
                anew = true;
                let flushed =
                    life.oracle.borrow().places().any(|(place, promise)| *place == lane.place && promise.flushed);
                if habits.in_flight_max == 1 && (flushed || replicated) {
                    let error = answer.error_code.to_string();
                    life.violation(Violation::Forgotten { place: lane.place.clone(), error });
                }
            }
            error if is_passing(error) => trouble = Some(Trouble::Disconnected),
            error => {
                life.violation(Violation::Refused { place: lane.place.clone(), error: error.to_string() });
                trouble = Some(Trouble::Disconnected);
            }
        }
    }
    if anew {
        life.trace.note(format_args!("{} begins anew", habits.name));
        producer.begin_anew();
        return Err(Trouble::Disconnected);
    }
    trouble.map_or(Ok(()), Err)
}

/// Whether a good batch may meet this error while something is wrong with the broker's disk or coordinator.
fn is_passing(error: ErrorCode) -> bool {
    [
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::KafkaStorageError,
        ErrorCode::RequestTimedOut,
        ErrorCode::NotEnoughReplicas,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::LeaderNotAvailable,
    ]
    .contains(&error)
}
