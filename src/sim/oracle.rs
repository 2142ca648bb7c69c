//! What must be true of everything that clients were told, over crashes and all: the judge of the simulation.
//!
//! *Invariant*: a violation is a bug of the broker (or of the oracle), never of bad luck: what was not promised is not asked.
//! *Does not know*: how the broker works, how the faults came about.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::Moment;

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

    /// How many records were sent to a partition.
    #[must_use]
    pub fn sent_to(&self, place: &Place) -> u64 {
        self.logs.get(place).and_then(|log| u64::try_from(log.sent.len()).ok()).unwrap_or(0)
    }

    /// Whether a log may have ended further on once: one that promised less than `flushed` at any time.
    #[must_use]
    pub fn may_shrink(&self, place: &Place) -> bool {
        self.logs.get(place).is_none_or(|log| log.was_weak)
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

#[cfg(test)]
mod tests {
    use super::*;

    const FLUSHED: Promise = Promise { flushed: true, keeps: Keeps::All };
    const PAGE_CACHE: Promise = Promise { flushed: false, keeps: Keeps::All };

    /// Asked for and heard at once.
    fn at(second: u64) -> Span {
        let moment = Moment(std::time::Duration::from_secs(second));
        Span { asked: moment, heard: moment }
    }

    fn place() -> Place {
        Place { topic: "t".to_owned(), partition: 0 }
    }

    fn origin(number: u64, idempotent: bool) -> Origin {
        Origin { producer: 1, number, idempotent }
    }

    fn value(number: u64) -> Vec<u8> {
        format!("v{number}").into_bytes()
    }

    fn records(values: &[u64]) -> Vec<(i64, Vec<u8>)> {
        (0..).zip(values.iter().map(|&number| value(number))).collect()
    }

    /// Values 0 to 3 were sent, 0 and 1 acknowledged at their offsets.
    fn history(promise: Promise, strength: Strength, idempotent: bool) -> Oracle {
        let mut oracle = Oracle::default();
        oracle.created(place(), promise);
        (0..4).for_each(|number| oracle.sent(&place(), &value(number), origin(number, idempotent)));
        oracle.acknowledged(&place(), 0, &[value(0), value(1)], strength);
        oracle
    }

    fn audit(oracle: &mut Oracle, values: &[u64]) {
        let records = records(values);
        let high_watermark = i64::try_from(values.len()).expect("few");
        oracle.audit(&place(), &Audit { start: 0, high_watermark, records: &records, when: at(1) });
    }

    fn audited(mut oracle: Oracle, end: End, values: &[u64]) -> Vec<Violation> {
        oracle.restarted(end);
        audit(&mut oracle, values);
        oracle.violations
    }

    #[test]
    fn a_good_history_is_good() {
        for promise in [FLUSHED, PAGE_CACHE] {
            for values in [&[0, 1][..], &[0, 1, 2], &[0, 1, 2, 3]] {
                assert_eq!(audited(history(promise, Strength::Firm, true), End::Process, values), []);
            }
        }
        assert_eq!(audited(history(FLUSHED, Strength::Firm, true), End::Power, &[0, 1, 2]), []);
        assert_eq!(audited(history(PAGE_CACHE, Strength::Firm, true), End::Power, &[0]), []);
        assert_eq!(audited(history(FLUSHED, Strength::Weak, true), End::Power, &[0]), []);
        assert_eq!(audited(history(FLUSHED, Strength::Firm, false), End::Power, &[0, 1, 2, 2, 1]), [], "plain retries");
    }

    #[test]
    fn an_acknowledged_record_that_is_gone_is_lost() {
        let lost = [Violation::Lost { place: place(), offset: 1, value: "v1".to_owned() }];
        assert_eq!(audited(history(FLUSHED, Strength::Firm, true), End::Power, &[0]), lost);
        assert_eq!(audited(history(PAGE_CACHE, Strength::Firm, true), End::Process, &[0]), lost);
        assert_eq!(audited(history(FLUSHED, Strength::Weak, true), End::Process, &[0]), lost);
    }

    #[test]
    fn a_record_that_nobody_sent_is_invented() {
        let found = audited(history(FLUSHED, Strength::Firm, true), End::Power, &[0, 1, 9]);
        assert_eq!(found, [Violation::Invented { place: place(), offset: 2, value: "v9".to_owned() }]);
    }

    #[test]
    fn a_record_elsewhere_is_a_change_of_that_offset() {
        let found = audited(history(FLUSHED, Strength::Firm, false), End::Power, &[0, 0, 1]);
        let changed = Violation::Changed { place: place(), offset: 1, was: "v1".to_owned(), is: "v0".to_owned() };
        assert!(found.contains(&changed), "{found:?}");
    }

    #[test]
    fn an_offset_that_was_read_keeps_its_value() {
        let mut oracle = history(FLUSHED, Strength::Firm, true);
        oracle.fetched(&place(), &Audit { start: 2, high_watermark: 3, records: &[(2, value(2))], when: at(1) });
        oracle.restarted(End::Power);
        oracle.fetched(&place(), &Audit { start: 2, high_watermark: 3, records: &[(2, value(3))], when: at(1) });
        let changed = Violation::Changed { place: place(), offset: 2, was: "v2".to_owned(), is: "v3".to_owned() };
        assert_eq!(oracle.violations, [changed]);
    }

    #[test]
    fn an_idempotent_record_is_there_once() {
        let found = audited(history(FLUSHED, Strength::Firm, true), End::Power, &[0, 1, 2, 2]);
        assert_eq!(found, [Violation::Twice { place: place(), value: "v2".to_owned(), first: 2, second: 3 }]);
        let mut oracle = history(FLUSHED, Strength::Firm, true);
        oracle.acknowledged(&place(), 5, &[value(1)], Strength::Firm);
        assert_eq!(
            oracle.violations,
            [Violation::Twice { place: place(), value: "v1".to_owned(), first: 1, second: 5 }]
        );
    }

    #[test]
    fn a_producers_records_come_in_its_order() {
        for idempotent in [true, false] {
            let found = audited(history(FLUSHED, Strength::Firm, idempotent), End::Power, &[0, 1, 3, 2]);
            assert_eq!(found, [Violation::Reordered { place: place(), producer: 1, earlier: 2, later: 3 }]);
        }
    }

    #[test]
    fn a_fetch_brings_the_next_offset_and_only_what_is_committed() {
        let mut oracle = history(FLUSHED, Strength::Firm, true);
        oracle.fetched(
            &place(),
            &Audit { start: 0, high_watermark: 3, records: &[(0, value(0)), (2, value(2))], when: at(1) },
        );
        assert_eq!(oracle.violations, [Violation::Gap { place: place(), after: 0, found: 2 }]);
        let mut oracle = history(FLUSHED, Strength::Firm, true);
        oracle.fetched(
            &place(),
            &Audit { start: 0, high_watermark: 1, records: &[(0, value(0)), (1, value(1))], when: at(1) },
        );
        assert_eq!(oracle.violations, [Violation::Uncommitted { place: place(), offset: 1, high_watermark: 1 }]);
    }

    #[test]
    fn offsets_do_not_go_back() {
        let mut oracle = history(FLUSHED, Strength::Firm, true);
        oracle.high_watermark(&place(), 4, at(1));
        oracle.restarted(End::Power);
        oracle.high_watermark(&place(), 3, at(2));
        let what = "high watermark";
        assert_eq!(oracle.violations, [Violation::WentBack { place: place(), what, from: 4, to: 3 }]);

        let mut oracle = Oracle::default();
        oracle.created(place(), Promise { flushed: true, keeps: Keeps::ForAWhile });
        oracle.log_starts(&place(), 2, at(3));
        oracle.restarted(End::Process);
        oracle.log_starts(&place(), 1, at(4));
        assert_eq!(oracle.violations, []);
        oracle.log_starts(&place(), 2, at(5));
        oracle.log_starts(&place(), 1, at(6));
        let what = "log start offset";
        assert_eq!(oracle.violations, [Violation::WentBack { place: place(), what, from: 2, to: 1 }]);
    }

    #[test]
    fn a_stop_in_good_order_keeps_the_log_start() {
        let mut oracle = Oracle::default();
        oracle.created(place(), Promise { flushed: true, keeps: Keeps::ForAWhile });
        oracle.log_starts(&place(), 2, at(3));
        oracle.restarted(End::Clean);
        oracle.log_starts(&place(), 1, at(4));
        let what = "log start offset";
        assert_eq!(oracle.violations, [Violation::WentBack { place: place(), what, from: 2, to: 1 }]);
    }

    #[test]
    fn a_flush_covers_all_that_came_before() {
        let mut oracle = history(FLUSHED, Strength::Weak, true);
        oracle.acknowledged(&place(), 2, &[value(2)], Strength::Firm);
        let lost = [Violation::Lost { place: place(), offset: 1, value: "v1".to_owned() }];
        assert!(audited(oracle, End::Power, &[0]).starts_with(&lost));
    }

    #[test]
    fn a_topic_promises_what_its_setting_is_when_it_acknowledges() {
        let mut oracle = history(PAGE_CACHE, Strength::Firm, true);
        oracle.durability("t", true);
        assert_eq!(audited(oracle, End::Power, &[0]), [], "nothing was acknowledged since");
        let mut oracle = history(PAGE_CACHE, Strength::Firm, true);
        oracle.durability("t", true);
        oracle.acknowledged(&place(), 2, &[value(2)], Strength::Firm);
        oracle.durability("t", false);
        oracle.acknowledged(&place(), 3, &[value(3)], Strength::Firm);
        oracle.high_watermark(&place(), 4, at(0));
        oracle.restarted(End::Power);
        audit(&mut oracle, &[0, 1, 2]);
        assert_eq!(oracle.violations, [], "the last one was not promised");
        oracle.restarted(End::Power);
        audit(&mut oracle, &[0, 1]);
        let lost = Violation::Lost { place: place(), offset: 2, value: "v2".to_owned() };
        assert!(oracle.violations.contains(&lost), "{:?}", oracle.violations);
    }

    #[test]
    fn what_was_written_to_a_namesake_is_invented() {
        let mut oracle = history(FLUSHED, Strength::Firm, true);
        oracle.forget(&place());
        audit(&mut oracle, &[]);
        assert_eq!(oracle.violations, [], "a deleted partition owes nothing");
        oracle.created(place(), FLUSHED);
        audit(&mut oracle, &[0]);
        assert_eq!(oracle.violations, [Violation::Invented { place: place(), offset: 0, value: "v0".to_owned() }]);
    }

    #[test]
    fn answers_may_overtake_each_other() {
        let mut oracle = history(FLUSHED, Strength::Firm, true);
        oracle.high_watermark(&place(), 4, at(5));
        oracle.high_watermark(&place(), 3, Span { asked: at(4).asked, heard: at(6).heard });
        assert_eq!(oracle.violations, []);
    }

    #[test]
    fn only_what_was_asked_for_is_deleted() {
        let mut oracle = history(FLUSHED, Strength::Firm, true);
        oracle.log_starts(&place(), 1, at(7));
        assert_eq!(oracle.violations, [Violation::Removed { place: place(), start: 1, allowed: 0 }]);
        let mut oracle = Oracle::default();
        oracle.created(place(), Promise { flushed: true, keeps: Keeps::UntilDeleted });
        oracle.deleting(&place(), 2);
        oracle.log_starts(&place(), 2, at(8));
        assert_eq!(oracle.violations, []);
        oracle.log_starts(&place(), 3, at(9));
        assert_eq!(oracle.violations, [Violation::Removed { place: place(), start: 3, allowed: 2 }]);
    }

    #[test]
    fn after_a_failed_flush_only_flushed_topics_promise() {
        let mut oracle = history(PAGE_CACHE, Strength::Firm, true);
        oracle.flush_failed(&place());
        assert_eq!(audited(oracle, End::Process, &[0]), []);
        let mut oracle = history(FLUSHED, Strength::Firm, true);
        oracle.flush_failed(&place());
        assert_eq!(audited(oracle, End::Power, &[0]).len(), 1, "the acknowledged one is lost");
    }
}
