//! What must be true of everything that clients were told, over crashes and all: the judge of the simulation.
//!
//! *Invariant*: a violation is a bug of the broker (or of the oracle), never of bad luck: what was not promised is not asked.
//! *Does not know*: how the broker works, how the faults came about.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::Moment;

#[cfg(test)]
mod tests;

/// One partition of one topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// What a topic promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Promise {
    /// `durability=flushed`: what `acks=all` acknowledges outlives a power failure. May change, see
    /// [`Oracle::durability`].
    pub flushed: bool,
    /// What may remove records.
    pub keeps: Keeps,
}

/// What may remove records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeps {
    /// Nothing.
    All,
    /// DeleteRecords.
    UntilDeleted,
    /// Retention.
    ForAWhile,
}

/// Who sent a record, and as which of its records for that partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The producer: another one after each new producer id.
    pub producer: u64,
    /// Counts its records for that partition.
    pub number: u64,
    /// Whether it sends with sequence numbers.
    pub idempotent: bool,
}

/// How strong an acknowledgement is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Strength {
    /// `acks=1`: outlives the process, not the power.
    Weak,
    /// `acks=all`: what the topic promises.
    Firm,
}

/// How a life of the broker ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It was stopped in good order: everything is there as it was.
    Clean,
    /// Its process died, or did not stop in good order: what was written is there.
    Process,
    /// The power failed: what was flushed is there.
    Power,
}

/// When something was asked for, and when the answer was heard. Answers to several clients may overtake each other, so what
/// one says is only held against what was heard before it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// When it was asked for.
    pub asked: Moment,
    /// When it was heard.
    pub heard: Moment,
}

/// A number that never goes back, as it was told.
#[derive(Debug, Default)]
struct Mark {
    /// From earlier lives.
    base: i64,
    /// Of this life, both rising.
    told: Vec<(Moment, i64)>,
}

impl Mark {
    /// The highest that was heard before `asked`.
    fn before(&self, asked: Moment) -> i64 {
        let earlier = self.told.partition_point(|(heard, _)| *heard < asked);
        earlier.checked_sub(1).and_then(|last| self.told.get(last)).map_or(self.base, |(_, value)| *value)
    }

    /// What it must not be below, when `value` is.
    fn tell(&mut self, value: i64, when: Span) -> Option<i64> {
        let floor = self.before(when.asked);
        if self.told.last().map_or(self.base, |(_, highest)| *highest) < value {
            self.told.push((when.heard, value));
        }
        (value < floor).then_some(floor)
    }

    /// A new life begins, with what was told before, or with nothing.
    fn restarted(&mut self, keep: bool) {
        let highest = self.told.last().map_or(self.base, |(_, highest)| *highest);
        *self = Self { base: if keep { highest } else { 0 }, told: Vec::new() };
    }
}

/// Something that must not be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum Violation {
    #[error("{place}: acknowledged at offset {offset}, and lost: {value}")]
    Lost { place: Place, offset: i64, value: String },
    #[error("{place}: nobody sent what was read at offset {offset}: {value}")]
    Invented { place: Place, offset: i64, value: String },
    #[error("{place}: offset {offset} was {was}, and is {is}")]
    Changed { place: Place, offset: i64, was: String, is: String },
    #[error("{place}: an idempotent producer's {value} is at offsets {first} and {second}")]
    Twice { place: Place, value: String, first: i64, second: i64 },
    #[error("{place}: producer {producer}'s record {later} comes before its record {earlier}")]
    Reordered { place: Place, producer: u64, earlier: u64, later: u64 },
    #[error("{place}: after offset {after} comes {found}")]
    Gap { place: Place, after: i64, found: i64 },
    #[error("{place}: offset {offset} was read, and the high watermark is {high_watermark}")]
    Uncommitted { place: Place, offset: i64, high_watermark: i64 },
    #[error("{place}: the {what} went back from {from} to {to}")]
    WentBack { place: Place, what: &'static str, from: i64, to: i64 },
    #[error("{place}: the log starts at {start}, and nobody asked for more than {allowed} to be deleted")]
    Removed { place: Place, start: i64, allowed: i64 },
    #[error("{place}: acknowledged at offset {offset} after a failed flush, before the log was opened again")]
    AcknowledgedUnflushed { place: Place, offset: i64 },
    #[error("{place}: a good batch is refused with {error}")]
    Refused { place: Place, error: String },
    #[error("{place}: the producer that sent everything in order is told {error}")]
    Forgotten { place: Place, error: String },
    #[error("{place}: brokers {first} and {second} both lead under leader epoch {leader_epoch}")]
    TwoLeaders { place: Place, leader_epoch: i32, first: i32, second: i32 },
    #[error("{place}: a fetch under leader epoch {asked} is served by a broker that knows {known}")]
    Unfenced { place: Place, asked: i32, known: i32 },
    #[error("topic {topic}: {what}")]
    Topic { topic: String, what: String },
    #[error("{0}")]
    Other(String),
}

#[derive(Debug)]
struct Sent {
    origin: Origin,
    acknowledged: Option<(i64, Strength)>,
}

#[derive(Debug)]
struct Log {
    promise: Promise,
    sent: BTreeMap<Vec<u8>, Sent>,
    /// What was read or acknowledged at an offset: so it stays.
    known: BTreeMap<i64, Vec<u8>>,
    high_watermark: Mark,
    start: Mark,
    /// DeleteRecords was asked for below this offset.
    deleted: i64,
    /// Everything below was flushed, whatever was promised when it was acknowledged: a flush covers all that came before.
    durable: i64,
    /// It promised less than `flushed` at some time.
    was_weak: bool,
    /// The power failed, and nothing was promised for that case: the log may have lost its beginning, too.
    cut: bool,
    /// A flush failed in this life: only what `flushed` promises is promised.
    shaken: bool,
}

/// What reading a partition gave.
#[derive(Clone, Copy, Debug)]
pub struct Audit<'a> {
    /// First readable offset, as told; of a fetch, its position.
    pub start: i64,
    /// One past the last, as told.
    pub high_watermark: i64,
    /// Offsets and values of all that is between.
    pub records: &'a [(i64, Vec<u8>)],
    /// When.
    pub when: Span,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Oracle {
    logs: BTreeMap<Place, Log>,
    violations: Vec<Violation>,
    replicated: bool,
    /// Who led under each leader epoch, and the high watermark that was told then.
    leaders: BTreeMap<(Place, i32), i32>,
    marks: BTreeMap<(Place, i32), Mark>,
    /// Records acknowledged, and records read, for the statistics.
    pub acknowledged: u64,
    /// See [`Self::acknowledged`].
    pub read: u64,
}

impl Oracle {
    /// There are several replicas: after a change of leader the high watermark that is told may be older (KIP-207).
    pub fn replicated(&mut self) {
        self.replicated = true;
    }

    /// Whether there are several replicas.
    #[must_use]
    pub fn is_replicated(&self) -> bool {
        self.replicated
    }

    /// A broker said, or showed by serving it, that it leads a partition under an epoch.
    pub fn leads(&mut self, place: &Place, leader_epoch: i32, broker: i32) {
        let first = *self.leaders.entry((place.clone(), leader_epoch)).or_insert(broker);
        if first != broker {
            self.violations.push(Violation::TwoLeaders { place: place.clone(), leader_epoch, first, second: broker });
        }
    }

    /// The newest epoch under which somebody was seen to lead; −1 before the first.
    #[must_use]
    pub fn newest_epoch(&self, place: &Place) -> i32 {
        let epochs = self.leaders.keys().filter(|(known, _)| known == place).map(|(_, epoch)| *epoch);
        epochs.max().unwrap_or(-1)
    }

    /// A high watermark was told by the leader of an epoch: within that it never goes back.
    pub fn high_watermark_under(&mut self, place: &Place, leader_epoch: i32, high_watermark: i64, when: Span) {
        if high_watermark == -1 || !self.logs.contains_key(place) {
            return;
        }
        let mark = self.marks.entry((place.clone(), leader_epoch)).or_default();
        if let Some(from) = mark.tell(high_watermark, when) {
            let what = "high watermark of one leader epoch";
            self.violations.push(Violation::WentBack { place: place.clone(), what, from, to: high_watermark });
        }
    }

    /// A broker's process ended: under the leader epochs of its leaderships it may go on with an older high watermark.
    pub fn ended(&mut self, broker: i32) {
        let leaders = &self.leaders;
        self.marks.retain(|led, _| leaders.get(led) != Some(&broker));
    }

    /// A fetch was served under `asked` although the same broker had served one under the later epoch `known` before.
    pub fn unfenced(&mut self, place: &Place, asked: i32, known: i32) {
        if asked < known {
            self.violations.push(Violation::Unfenced { place: place.clone(), asked, known });
        }
    }

    /// A partition that is there from now on.
    pub fn created(&mut self, place: Place, promise: Promise) {
        let log = Log {
            promise,
            sent: BTreeMap::new(),
            known: BTreeMap::new(),
            high_watermark: Mark::default(),
            start: Mark::default(),
            deleted: 0,
            durable: 0,
            was_weak: !promise.flushed,
            cut: false,
            shaken: false,
        };
        self.logs.insert(place, log);
    }

    /// A partition that may be gone from now on: nothing more is asked of it.
    pub fn forget(&mut self, place: &Place) {
        self.logs.remove(place);
        self.leaders.retain(|(known, _), _| known != place);
        self.marks.retain(|(known, _), _| known != place);
    }

    /// What a topic promises from now on. Nothing may be acknowledged meanwhile of which nobody knows under which setting:
    /// before it becomes stronger the broker must have said so, before it becomes weaker the broker must not have been asked.
    pub fn durability(&mut self, topic: &str, flushed: bool) {
        for (_, log) in self.logs.iter_mut().filter(|(place, _)| place.topic == topic) {
            log.promise.flushed = flushed;
            log.was_weak |= !flushed;
        }
    }

    /// All partitions, and what they promise.
    pub fn places(&self) -> impl Iterator<Item = (&Place, Promise)> {
        self.logs.iter().map(|(place, log)| (place, log.promise))
    }

    /// What is wrong so far; one thing that is wrong may show in many ways.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Something is wrong that only the caller can know.
    pub fn violation(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    /// One past the last offset of a partition that is known to hold a record.
    #[must_use]
    pub fn end(&self, place: &Place) -> i64 {
        let last = self.logs.get(place).and_then(|log| log.known.last_key_value());
        last.map_or(0, |(offset, _)| offset.saturating_add(1))
    }

    /// How many records were sent to a partition.
    #[must_use]
    pub fn sent_to(&self, place: &Place) -> u64 {
        self.logs.get(place).and_then(|log| u64::try_from(log.sent.len()).ok()).unwrap_or(0)
    }

    /// Whether a log may have ended further on once: one that promised less than `flushed` at any time.
    #[must_use]
    pub fn may_shrink(&self, place: &Place) -> bool {
        self.logs.get(place).is_none_or(|log| log.was_weak && !self.replicated)
    }

    /// A record is about to be sent.
    pub fn sent(&mut self, place: &Place, value: &[u8], origin: Origin) {
        if let Some(log) = self.logs.get_mut(place) {
            log.sent.insert(value.to_vec(), Sent { origin, acknowledged: None });
        }
    }

    /// A batch was acknowledged.
    pub fn acknowledged(&mut self, place: &Place, base_offset: i64, values: &[Vec<u8>], strength: Strength) {
        let Some(log) = self.logs.get_mut(place) else { return };
        for (offset, value) in (base_offset..).zip(values) {
            self.acknowledged = self.acknowledged.saturating_add(1);
            if !log.counts(strength) {
                continue;
            }
            let Some(sent) = log.sent.get_mut(value) else { continue };
            match sent.acknowledged {
                Some((first, _)) if first != offset && sent.origin.idempotent => {
                    let value = show(value);
                    self.violations.push(Violation::Twice { place: place.clone(), value, first, second: offset });
                }
                Some(_) => {}
                None => sent.acknowledged = Some((offset, strength)),
            }
            if strength == Strength::Firm && log.promise.flushed {
                log.durable = log.durable.max(offset.saturating_add(1));
            }
            if strength == Strength::Firm {
                self.violations.extend(log.learn(place, offset, value));
            }
        }
    }

    /// DeleteRecords is about to be asked for.
    pub fn deleting(&mut self, place: &Place, before: i64) {
        if let Some(log) = self.logs.get_mut(place) {
            log.deleted = log.deleted.max(before);
        }
    }

    /// A log start offset was told.
    pub fn log_starts(&mut self, place: &Place, start: i64, when: Span) {
        let Some(log) = self.logs.get_mut(place).filter(|_| start != -1) else { return };
        if let Some(from) = log.start.tell(start, when) {
            let what = "log start offset";
            self.violations.push(Violation::WentBack { place: place.clone(), what, from, to: start });
        }
        let allowed = match log.promise.keeps {
            Keeps::All if log.cut => i64::MAX,
            Keeps::All => 0,
            Keeps::UntilDeleted => log.deleted,
            Keeps::ForAWhile => i64::MAX,
        };
        if allowed < start {
            self.violations.push(Violation::Removed { place: place.clone(), start, allowed });
        }
    }

    /// A high watermark was told.
    pub fn high_watermark(&mut self, place: &Place, high_watermark: i64, when: Span) {
        if self.replicated {
            return;
        }
        let Some(log) = self.logs.get_mut(place).filter(|_| high_watermark != -1) else { return };
        let went_back = log.high_watermark.tell(high_watermark, when);
        if let Some(from) = went_back.filter(|_| !log.is_loose()) {
            let what = "high watermark";
            self.violations.push(Violation::WentBack { place: place.clone(), what, from, to: high_watermark });
        }
    }

    /// A fetch from `start` brought records, those before it left out.
    pub fn fetched(&mut self, place: &Place, fetched: &Audit<'_>) {
        let Audit { start: position, high_watermark, records, when } = *fetched;
        self.high_watermark(place, high_watermark, when);
        let Some(log) = self.logs.get_mut(place) else { return };
        let mut after = position.saturating_sub(1);
        for (offset, value) in records {
            self.read = self.read.saturating_add(1);
            if *offset != after.saturating_add(1) {
                self.violations.push(Violation::Gap { place: place.clone(), after, found: *offset });
            }
            after = *offset;
            if high_watermark <= *offset {
                let offset = *offset;
                self.violations.push(Violation::Uncommitted { place: place.clone(), offset, high_watermark });
            }
            if !log.sent.contains_key(value) {
                let (offset, value) = (*offset, show(value));
                self.violations.push(Violation::Invented { place: place.clone(), offset, value });
            }
            if !log.is_loose() {
                self.violations.extend(log.learn(place, *offset, value));
            }
        }
    }

    /// A partition was read from its start to its high watermark, after a restart and before anything else was sent.
    pub fn audit(&mut self, place: &Place, audit: &Audit<'_>) {
        self.log_starts(place, audit.start, audit.when);
        self.fetched(place, audit);
        let Some(log) = self.logs.get(place) else { return };
        let found = audit.records.iter().map(|(offset, value)| (value.as_slice(), *offset));
        let mut offsets = BTreeMap::<&[u8], i64>::new();
        for (value, second) in found {
            match offsets.entry(value) {
                Entry::Vacant(first) => {
                    first.insert(second);
                }
                Entry::Occupied(first) if log.sent.get(value).is_some_and(|sent| sent.origin.idempotent) => {
                    let (first, value) = (*first.get(), show(value));
                    self.violations.push(Violation::Twice { place: place.clone(), value, first, second });
                }
                Entry::Occupied(_) => {}
            }
        }
        for (value, sent) in &log.sent {
            let Some((offset, _)) = sent.acknowledged.filter(|(offset, _)| audit.start <= *offset) else { continue };
            let at = audit.records.binary_search_by_key(&offset, |(offset, _)| *offset).ok();
            if at.and_then(|at| audit.records.get(at)).is_none_or(|(_, found)| found != value) {
                self.violations.push(Violation::Lost { place: place.clone(), offset, value: show(value) });
            }
        }
        self.violations.extend(log.out_of_order(place, audit));
    }

    /// A flush of a partition failed.
    pub fn flush_failed(&mut self, place: &Place) {
        if let Some(log) = self.logs.get_mut(place).filter(|log| !log.shaken) {
            log.shaken = true;
            log.loosen();
        }
    }

    /// The broker is started again.
    pub fn restarted(&mut self, end: End) {
        for log in self.logs.values_mut() {
            log.shaken = false;
            // As in Kafka, the new start of a log is written from time to time: until then deleted records may come back.
            log.start.restarted(end == End::Clean);
            log.high_watermark.restarted(true);
            if end == End::Power {
                log.cut |= !log.promise.flushed && log.durable == 0;
                log.loosen();
            }
        }
    }
}

impl Log {
    /// Whether nothing but what was sent binds it now.
    const fn is_loose(&self) -> bool {
        self.shaken && !self.promise.flushed
    }

    const fn counts(&self, strength: Strength) -> bool {
        match strength {
            Strength::Firm => !self.is_loose(),
            Strength::Weak => !self.shaken,
        }
    }

    /// What was not promised to outlive a power failure is not asked for any more.
    fn loosen(&mut self) {
        let durable = self.durable;
        for sent in self.sent.values_mut() {
            sent.acknowledged = sent.acknowledged.filter(|(offset, _)| *offset < durable);
        }
        if !self.promise.flushed {
            self.known.retain(|offset, _| *offset < durable);
            self.high_watermark = Mark { base: durable, told: Vec::new() };
            self.start.restarted(false);
        }
    }

    fn learn(&mut self, place: &Place, offset: i64, value: &[u8]) -> Option<Violation> {
        let was = self.known.entry(offset).or_insert_with(|| value.to_vec());
        let changed = was.as_slice() != value;
        changed.then(|| Violation::Changed { place: place.clone(), offset, was: show(was), is: show(value) })
    }

    /// A producer's records come in its order: those of an idempotent one each time, others when they come first. What a
    /// log that lost its beginning shows first may be a repetition.
    fn out_of_order(&self, place: &Place, audit: &Audit<'_>) -> Vec<Violation> {
        let mut newest = BTreeMap::<u64, (u64, BTreeSet<u64>)>::new();
        let mut violations = Vec::new();
        for sent in audit.records.iter().filter_map(|(_, value)| self.sent.get(value)) {
            let Origin { producer, number, idempotent } = sent.origin;
            let (earlier, seen) = newest.entry(producer).or_insert((number, BTreeSet::new()));
            let repeated = !idempotent && (audit.start != 0 || seen.contains(&number));
            if number < *earlier && !repeated {
                violations.push(Violation::Reordered {
                    place: place.clone(),
                    producer,
                    earlier: number,
                    later: *earlier,
                });
            }
            *earlier = (*earlier).max(number);
            if !idempotent {
                seen.insert(number);
            }
        }
        violations
    }
}

/// The readable beginning of a value.
fn show(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == b'|').unwrap_or(value.len().min(40));
    String::from_utf8_lossy(value.get(..end).unwrap_or(value)).into_owned()
}
