//! What a producer holds: records by topic and partition, until they are acknowledged or given up.
//!
//! *Invariant*: the records that wait or are on the way take no more than `buffer.memory`. Every record's outcome is settled
//! once. A partition's batches go to one broker at a time.
//! *Does not know*: connections, the clock, and who waits for memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use super::delivery::{Delivery, ProduceError};
use super::partitioner::{Partitioner, Sticky, choose};
use super::queue::{Batch, BatchNumber, Identity, Making, Queue, record_bytes_max};
use crate::client::config::ProducerConfig;
use crate::client::error::ClientError;
use crate::client::metadata::Metadata;
use crate::model::{BrokerId, ErrorCode, Moment, Offset, PartitionIndex};
use crate::wire::Str;
use crate::wire::record::NewRecord;

/// Bytes of a Produce request beside its batches, at most for each partition, the topic's name not counted.
const PARTITION_OVERHEAD_BYTES: usize = 16;

/// What is held.
#[derive(Debug)]
pub(super) struct Accumulator {
    making: Making,
    delivery_timeout: Duration,
    retries: u32,
    request_bytes_max: usize,
    in_flight_max: usize,
    buffer_bytes: usize,
    idempotent: bool,
    ignore_keys: bool,
    adaptive: bool,
    availability_timeout: Option<Duration>,
    topics: Vec<Topic>,
    by_name: HashMap<Str, usize>,
    /// The topic of the last record: most often the next one's too.
    last: usize,
    used_bytes: usize,
    next_number: BatchNumber,
    /// Batches that are not settled.
    unsettled: BTreeSet<BatchNumber>,
    /// Of batches that were split, how many of one number are to be settled beside the last one.
    halves: BTreeMap<BatchNumber, u32>,
    /// Requests on the way to each broker.
    in_flight: BTreeMap<BrokerId, usize>,
    /// Which topic is first to be sent.
    turn: usize,
    pub(super) written: Written,
    /// Something was settled since this was last taken.
    pub(super) has_settled: bool,
    /// What went wrong first since it was last asked for.
    pub(super) failure: Option<ProduceError>,
}

/// What has been written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Records acknowledged (with `acks=0`: sent).
    pub records: u64,
    /// Bytes of their batches.
    pub bytes: u64,
}

#[derive(Debug)]
struct Topic {
    name: Str,
    sticky: Sticky,
    partitions: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    queue: Queue,
    leader: Option<BrokerId>,
    /// Where what is on the way was sent.
    sent_to: Option<BrokerId>,
}

/// Where a batch belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) topic: usize,
    pub(super) partition: usize,
}

/// One request.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) broker: BrokerId,
    /// Those of one topic are neighbours.
    pub(super) batches: Vec<(Place, Batch)>,
}

/// Why a record was not taken, yet.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// Nothing is known of the topic.
    Unknown,
    /// There is no room.
    Full,
    /// It can never be.
    Never(ProduceError),
}

/// A record was taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) delivery: Delivery,
    /// A batch is full.
    pub(super) full: bool,
    /// A batch was begun.
    pub(super) first: bool,
}

impl Accumulator {
    pub(super) fn new(config: &ProducerConfig) -> Self {
        Self {
            making: Making {
                compression: config.compression,
                batch_bytes: config.batch_bytes,
                linger: config.linger,
                back_off: config.common.client.retry,
                in_flight_max: config.in_flight_max,
            },
            delivery_timeout: config.delivery_timeout,
            retries: config.retries,
            request_bytes_max: config.request_bytes_max,
            in_flight_max: config.in_flight_max,
            buffer_bytes: config.buffer_bytes,
            idempotent: config.idempotent,
            ignore_keys: config.ignore_keys,
            adaptive: config.adaptive,
            availability_timeout: config.availability_timeout,
            topics: Vec::new(),
            by_name: HashMap::new(),
            last: 0,
            used_bytes: 0,
            next_number: 0,
            unsettled: BTreeSet::new(),
            halves: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            turn: 0,
            written: Written::default(),
            has_settled: false,
            failure: None,
        }
    }

    /// Memory that records hold now.
    #[cfg(test)]
    pub(super) const fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    fn find(&mut self, name: &str) -> Option<usize> {
        if self.topics.get(self.last).is_none_or(|topic| *topic.name != *name) {
            self.last = *self.by_name.get(name)?;
        }
        Some(self.last)
    }

    /// How many partitions a topic has, if anything is known of it.
    pub(super) fn partitions(&mut self, name: &str) -> Option<usize> {
        let index = self.find(name)?;
        self.topics.get(index).map(|topic| topic.partitions.len())
    }

    /// Puts a record into a batch of its partition: the one given, else that of its key, else any. Few records need to know
    /// what time it is.
    pub(super) fn append(
        &mut self,
        now: impl Fn() -> Moment,
        name: &str,
        partition: Option<PartitionIndex>,
        record: &NewRecord<'_>,
        random: impl FnOnce() -> u32,
    ) -> Result<Taken, NotTaken> {
        let bytes = record_bytes_max(record);
        let too_large = |key, most| NotTaken::Never(ProduceError::TooLarge { bytes, key, most });
        let with_header = bytes + crate::wire::record::BATCH_HEADER_BYTES;
        if self.request_bytes_max < with_header {
            return Err(too_large("max.request.size", self.request_bytes_max));
        }
        if self.buffer_bytes < with_header {
            return Err(too_large("buffer.memory", self.buffer_bytes));
        }
        let index = self.find(name).ok_or(NotTaken::Unknown)?;
        let (adaptive, patience) = (self.adaptive, self.availability_timeout);
        let Some(topic) = self.topics.get_mut(index) else { return Err(NotTaken::Unknown) };
        let count = topic.partitions.len();
        let key = record.key.filter(|_| !self.ignore_keys);
        let is_sticky = partition.is_none() && key.is_none();
        let chosen = match (partition, key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => {
                let chosen = Partitioner::of_key(key, u32::try_from(count).unwrap_or(u32::MAX));
                PartitionIndex(i32::try_from(chosen).unwrap_or(0))
            }
            (None, None) => {
                let parts = &topic.partitions;
                topic.sticky.partition(|| any(parts, now(), patience, adaptive, random()))
            }
        };
        let place = usize::try_from(chosen.0).ok().filter(|place| *place < count);
        let Some(part) = place.and_then(|place| topic.partitions.get_mut(place)) else {
            let topic = topic.name.clone();
            return Err(NotTaken::Never(ProduceError::NoPartition { topic, partition: chosen.0, partitions: count }));
        };
        let needed = part.queue.needs(bytes, &self.making);
        if self.buffer_bytes < self.used_bytes + needed {
            return Err(NotTaken::Full);
        }
        let appended = part.queue.append(now, self.next_number, record, needed, &self.making);
        let appended = appended.map_err(|error| {
            let partition = format!("{}-{chosen}", topic.name);
            NotTaken::Never(ProduceError::Refused(Rc::new(ClientError::Corrupt {
                partition,
                reason: error.to_string(),
            })))
        })?;
        if appended.first {
            self.unsettled.insert(self.next_number);
            self.next_number += 1;
        }
        self.used_bytes += needed;
        if is_sticky {
            topic.sticky.went(needed, appended.full);
        }
        Ok(Taken {
            delivery: Delivery::new(appended.outcome, appended.index, chosen),
            full: appended.full,
            first: appended.first,
        })
    }

    /// What is known of topics now. A topic that is not there keeps what it had.
    pub(super) fn learn(&mut self, metadata: &Metadata) {
        for (name, found) in &metadata.topics {
            let Ok(found) = found else { continue };
            let index = *self.by_name.entry(name.clone()).or_insert_with(|| {
                let sticky = Sticky::new(self.making.batch_bytes);
                self.topics.push(Topic { name: name.clone(), sticky, partitions: Vec::new() });
                self.topics.len() - 1
            });
            let Some(topic) = self.topics.get_mut(index) else { continue };
            for (place, leader) in found.leaders.iter().enumerate() {
                match topic.partitions.get_mut(place) {
                    Some(part) => part.leader = *leader,
                    None => topic.partitions.push(Part {
                        queue: Queue::new(self.idempotent),
                        leader: *leader,
                        sent_to: None,
                    }),
                }
            }
        }
    }

    pub(super) fn topic_names(&self) -> Vec<Str> {
        self.topics.iter().map(|topic| topic.name.clone()).collect()
    }

    pub(super) fn name(&self, place: Place) -> Str {
        self.topics.get(place.topic).map(|topic| topic.name.clone()).unwrap_or_default()
    }

    fn queues(&mut self) -> impl Iterator<Item = &mut Queue> {
        self.topics.iter_mut().flat_map(|topic| &mut topic.partitions).map(|part| &mut part.queue)
    }

    /// Whether a partition waits for an identity.
    pub(super) fn needs_identity(&mut self) -> bool {
        self.queues().any(|queue| queue.needs_identity())
    }

    /// Whether a partition with something to send has no leader.
    pub(super) fn is_leaderless(&self) -> bool {
        let mut parts = self.topics.iter().flat_map(|topic| &topic.partitions);
        parts.any(|part| part.leader.is_none() && part.queue.holds_any())
    }

    pub(super) fn identify(&mut self, identity: Identity) {
        self.queues().for_each(|queue| queue.identify(identity));
    }

    /// The requests to be sent now. With `hurry` nothing waits for more records.
    pub(super) fn collect(&mut self, now: Moment, hurry: bool) -> Vec<Outgoing> {
        // Who waits for memory cannot wait for batches to fill.
        let hurry = hurry || self.buffer_bytes / 2 < self.used_bytes;
        let mut outgoing = BTreeMap::<BrokerId, (Outgoing, usize)>::new();
        let topics = self.topics.len();
        self.turn = self.turn.wrapping_add(1);
        let mut broken = Vec::new();
        for step in 0..topics {
            let index = (self.turn.wrapping_add(step)) % topics;
            let Some(topic) = self.topics.get_mut(index) else { continue };
            for (partition, part) in topic.partitions.iter_mut().enumerate() {
                let Some(broker) = part.leader else { continue };
                let moved = part.sent_to.is_some_and(|old| old != broker) && 0 < part.queue.on_the_way();
                let busy = self.in_flight.get(&broker).is_some_and(|busy| self.in_flight_max <= *busy);
                if moved || busy || !part.queue.holds_any() {
                    continue;
                }
                let Some(batch) = part.queue.take(now, hurry, &self.making) else { continue };
                if batch.bytes.is_empty() {
                    broken.push((Place { topic: index, partition }, batch));
                    continue;
                }
                let bytes = batch.bytes.len() + topic.name.len() + PARTITION_OVERHEAD_BYTES;
                let empty = || (Outgoing { broker, batches: Vec::new() }, 0);
                let (request, size) = outgoing.entry(broker).or_insert_with(empty);
                if !request.batches.is_empty() && self.request_bytes_max < *size + bytes {
                    part.queue.put_back(batch);
                    continue;
                }
                *size += bytes;
                part.sent_to = Some(broker);
                request.batches.push((Place { topic: index, partition }, batch));
            }
        }
        for (place, batch) in broken {
            let partition = format!("{}-{}", self.name(place), place.partition);
            let reason = "it cannot be compressed".to_owned();
            self.settle(now, place, batch, Err(Rc::new(ClientError::Corrupt { partition, reason })));
        }
        let outgoing = outgoing.into_values().map(|(request, _)| request).collect::<Vec<_>>();
        for request in &outgoing {
            *self.in_flight.entry(request.broker).or_default() += 1;
        }
        outgoing
    }

    /// A request came back, whatever with.
    pub(super) fn came_back(&mut self, broker: BrokerId) {
        if let Some(busy) = self.in_flight.get_mut(&broker) {
            *busy = busy.saturating_sub(1);
        }
    }

    /// Takes what became of a batch: its base offset, or why it is not written. Whether metadata should be read again.
    pub(super) fn settle(
        &mut self,
        now: Moment,
        place: Place,
        mut batch: Batch,
        result: Result<Offset, Rc<ClientError>>,
    ) -> bool {
        let (delivery_timeout, retries, making) = (self.delivery_timeout, self.retries, self.making);
        let Some(topic) = self.topics.get_mut(place.topic) else { return false };
        let name = topic.name.clone();
        let Some(part) = topic.partitions.get_mut(place.partition) else { return false };
        let error = match result {
            Ok(base) => {
                part.queue.acknowledged();
                self.written.records += u64::from(batch.records);
                self.written.bytes += u64::try_from(batch.bytes.len()).unwrap_or_default();
                self.done(batch, Ok(base));
                return false;
            }
            Err(error) => error,
        };
        let behind = error.is_refusal(ErrorCode::OutOfOrderSequenceNumber) && part.queue.may_come_into_sequence(&batch);
        batch.doubtful |= may_be_written(&error);
        let passes = error.is_retriable() || behind;
        let in_time = now < batch.created.after(delivery_timeout);
        if error.is_refusal(ErrorCode::MessageTooLarge) && in_time {
            let number = batch.number;
            match part.queue.split(batch, now, &making) {
                Ok(()) => {
                    *self.halves.entry(number).or_default() += 1;
                    return false;
                }
                Err(whole) => batch = *whole,
            }
        }
        if passes && in_time && batch.tries <= retries {
            part.queue.failed(batch, now, &making);
            return true;
        }
        part.queue.given_up(&batch, !passes && is_surely_not_written(&error));
        let partition = i32::try_from(place.partition).unwrap_or(i32::MAX);
        let failure = if !passes {
            if is_fatal(&error) { ProduceError::Fatal(error) } else { ProduceError::Refused(error) }
        } else if in_time {
            ProduceError::Retriable(error)
        } else {
            ProduceError::Expired { topic: name, partition, waited: delivery_timeout }
        };
        self.done(batch, Err(failure));
        passes
    }

    fn done(&mut self, batch: Batch, result: Result<Offset, ProduceError>) {
        self.used_bytes = self.used_bytes.saturating_sub(batch.reserved);
        match self.halves.get_mut(&batch.number) {
            Some(1) => drop(self.halves.remove(&batch.number)),
            Some(others) => *others -= 1,
            None => drop(self.unsettled.remove(&batch.number)),
        }
        self.has_settled = true;
        if let Err(error) = &result {
            self.failure.get_or_insert_with(|| error.clone());
        }
        batch.promise.settle(result);
    }

    /// Gives up what has waited for too long.
    pub(super) fn expire(&mut self, now: Moment) {
        let waited = self.delivery_timeout;
        let mut gone = Vec::new();
        for topic in &mut self.topics {
            for (partition, part) in (0..).zip(&mut topic.partitions) {
                let topic = || topic.name.clone();
                let expired = part.queue.expired(now, waited).into_iter();
                gone.extend(expired.map(|batch| (batch, ProduceError::Expired { topic: topic(), partition, waited })));
                let doubtful = part.queue.take_doubtful().into_iter();
                gone.extend(doubtful.map(|batch| (batch, ProduceError::Doubtful { topic: topic(), partition })));
            }
        }
        for (batch, error) in gone {
            self.done(batch, Err(error));
        }
    }

    /// Gives up everything that is not on the way.
    pub(super) fn abandon(&mut self, error: &ProduceError) {
        let gone = self.queues().flat_map(Queue::abandon).collect::<Vec<_>>();
        gone.into_iter().for_each(|batch| self.done(batch, Err(error.clone())));
    }

    /// Whether anything waits to be sent.
    pub(super) fn holds_any(&self) -> bool {
        self.topics.iter().flat_map(|topic| &topic.partitions).any(|part| part.queue.holds_any())
    }

    /// The number that the next batch will have: every earlier one is among what [`Self::is_settled_before`] waits for.
    pub(super) const fn next_number(&self) -> BatchNumber {
        self.next_number
    }

    /// Whether every batch before this number is settled.
    pub(super) fn is_settled_before(&self, number: BatchNumber) -> bool {
        self.unsettled.first().is_none_or(|first| number <= *first)
    }

    /// When there is something to do, if only time is missing.
    pub(super) fn next_deadline(&self, now: Moment) -> Option<Moment> {
        let parts = self.topics.iter().flat_map(|topic| &topic.partitions);
        let deadlines = parts.filter_map(|part| part.queue.next_deadline(&self.making, self.delivery_timeout));
        // What is due and cannot be sent waits for something else than time.
        deadlines.filter(|at| now < *at).min()
    }
}

/// A partition for records without a key: one that has a leader and takes what it is sent, if there is one.
fn any(parts: &[Part], now: Moment, patience: Option<Duration>, adaptive: bool, random: u32) -> PartitionIndex {
    let all = (0..).map(PartitionIndex).zip(parts);
    let takes = |part: &Part| {
        let stuck =
            patience.zip(part.queue.waits_since()).is_some_and(|(patience, since)| since.after(patience) <= now);
        part.leader.is_some() && !stuck
    };
    let load = |(index, part): (PartitionIndex, &Part)| (index, part.queue.waiting());
    let available = all.clone().filter(|(_, part)| takes(part)).map(load).collect::<Vec<_>>();
    let chosen = choose(&available, adaptive, random);
    let chosen = chosen.or_else(|| choose(&all.map(load).collect::<Vec<_>>(), false, random));
    chosen.unwrap_or(PartitionIndex(0))
}

/// Whether the broker said so, and said it before it wrote anything.
fn is_surely_not_written(error: &ClientError) -> bool {
    let doubtful = [
        ErrorCode::UnknownServerError,
        ErrorCode::OutOfOrderSequenceNumber,
        ErrorCode::UnknownProducerId,
        ErrorCode::InvalidProducerEpoch,
    ];
    let said = matches!(error, ClientError::Refused { .. } | ClientError::Corrupt { .. });
    said && !doubtful.iter().any(|code| error.is_refusal(*code))
}

/// Whether a try may have been written although it failed: for certain it was not where it never left, or was refused by what is looked at
/// before the log. NOT_LEADER_OR_FOLLOWER does not say so: it also comes when another one leads before all have what was appended.
fn may_be_written(error: &ClientError) -> bool {
    let before_the_log = [
        ErrorCode::LeaderNotAvailable,
        ErrorCode::NotEnoughReplicas,
        ErrorCode::OutOfOrderSequenceNumber,
        ErrorCode::UnknownProducerId,
        ErrorCode::InvalidProducerEpoch,
        ErrorCode::MessageTooLarge,
        ErrorCode::ThrottlingQuotaExceeded,
    ];
    let never_left = matches!(error, ClientError::Connect { .. } | ClientError::NoBroker { .. });
    !never_left && !before_the_log.iter().any(|code| error.is_refusal(*code))
}

/// Whether nothing at all can be written.
fn is_fatal(error: &ClientError) -> bool {
    let codes = [ErrorCode::ClusterAuthorizationFailed, ErrorCode::ProducerFenced];
    matches!(error, ClientError::Unsupported { .. } | ClientError::Inexpressible { .. })
        || codes.iter().any(|code| error.is_refusal(*code))
}

#[cfg(test)]
#[path = "accumulator_tests.rs"]
mod tests;
