//! Committed offsets: how they come, what is pending, and when they go.
//!
//! Source: Kafka 3.9 `GroupCoordinator.handleCommitOffsets`, `validateOffsetCommit`, `handleDeleteGroups`,
//! `handleDeleteOffsets`, `GroupMetadata.removeExpiredOffsets`, `GroupMetadataManager.cleanupGroupMetadata`; KIP-211, 496.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use super::api::{Commit, NewOffset, Now, Reply, owned};
use super::consumer::State;
use super::writes::{Purpose, Removal};
use super::{Coordinator, Effect, Group, Ownership, Phase, Step, Sweep, WRITES_IN_FLIGHT_MAX};
use crate::model::{Bug, ErrorCode, Offset, ProducerId, Timestamp};
use crate::wire::Str;
use crate::wire::group_record::{GroupMetadataKey, GroupRecord, OffsetCommitKey, OffsetCommitValue};

/// Bytes of tombstones in one write: half of the batch that `max.message.bytes` allows by default.
const REMOVAL_BYTES_MAX: usize = 512 << 10;

/// Groups looked at in one go for old offsets, so that others get their turn.
const SWEEP_GROUPS_MAX: usize = 1_000;

/// How long others have their turn then.
const SWEEP_PAUSE: Duration = Duration::from_millis(10);

/// A topic and a partition's number.
type Key = (Str, i32);

/// A committed offset and where its record lies.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Committed {
    at: Offset,
    pub(super) value: OffsetCommitValue,
}

/// The offsets of a group.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    /// Durable.
    committed: BTreeMap<Str, BTreeMap<i32, Committed>>,
    /// Being written: the number of the last write of each.
    pending: BTreeMap<Key, u64>,
    /// Of open transactions. Durable once they have a value, but for their being valid.
    transactional: BTreeMap<ProducerId, BTreeMap<Key, Option<Committed>>>,
}

impl Offsets {
    /// Nothing, and nothing to come.
    pub(super) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty() && self.transactional.is_empty()
    }

    /// A topic's name that keeps no frame alive: copied when it comes for the first time.
    fn name_of(&self, topic: &Str) -> Str {
        self.committed.get_key_value(topic).map_or_else(|| owned(topic), |(known, _)| known.clone())
    }

    pub(super) fn committed(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.committed.get(topic)?.get(&partition)
    }

    pub(super) fn all_committed(&self) -> impl Iterator<Item = (&Str, i32, &Committed)> {
        self.committed.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, committed)| (topic, *partition, committed))
        })
    }

    /// Whether a commit of this partition is under way.
    pub(super) fn has_pending(&self, topic: &Str, partition: i32) -> bool {
        let key = (topic.clone(), partition);
        self.pending.contains_key(&key) || self.transactional.values().any(|offsets| offsets.contains_key(&key))
    }

    /// Everything that a removal of all would have to remove.
    fn keys(&self) -> BTreeSet<Key> {
        let committed = self.all_committed().map(|(topic, partition, _)| (topic.clone(), partition));
        let transactional = self.transactional.values().flat_map(BTreeMap::keys);
        committed.chain(self.pending.keys().cloned()).chain(transactional.cloned()).collect()
    }

    /// `false` when it is certain that there is nothing of these topics, found out quickly.
    fn may_have(&self, topics: &BTreeSet<Str>) -> bool {
        let under_way = !self.pending.is_empty() || !self.transactional.is_empty();
        under_way || topics.iter().any(|topic| self.committed.contains_key(topic))
    }

    pub(super) fn replay(&mut self, at: Offset, key: &OffsetCommitKey, value: Option<&OffsetCommitValue>) {
        match value {
            Some(value) => self.set(&key.topic, key.partition, Committed { at, value: value.clone() }),
            None => {
                if let Some(partitions) = self.committed.get_mut(&key.topic) {
                    if partitions.get(&key.partition).is_some_and(|committed| committed.at < at) {
                        partitions.remove(&key.partition);
                    }
                    if partitions.is_empty() {
                        self.committed.remove(&key.topic);
                    }
                }
                // What a transaction wrote before is gone as well, however it ends.
                let key = (key.topic.clone(), key.partition);
                for offsets in self.transactional.values_mut() {
                    offsets.remove(&key);
                }
                self.transactional.retain(|_, offsets| !offsets.is_empty());
            }
        }
    }

    pub(super) fn replay_transactional(
        &mut self,
        at: Offset,
        producer: ProducerId,
        key: &OffsetCommitKey,
        value: Option<&OffsetCommitValue>,
    ) {
        let offsets = self.transactional.entry(producer).or_default();
        let key = (key.topic.clone(), key.partition);
        match value {
            Some(value) => {
                offsets.insert(key, Some(Committed { at, value: value.clone() }));
            }
            None => {
                offsets.remove(&key);
            }
        }
        if offsets.is_empty() {
            self.transactional.remove(&producer);
        }
    }

    pub(super) fn transaction_ended(&mut self, producer: ProducerId, committed: bool) {
        let offsets = self.transactional.remove(&producer).filter(|_| committed);
        for ((topic, partition), offset) in offsets.into_iter().flatten() {
            if let Some(offset) = offset {
                self.set(&topic, partition, offset);
            }
        }
    }

    /// The later record wins, whichever becomes valid last.
    fn set(&mut self, topic: &Str, partition: i32, offset: Committed) {
        let partitions = match self.committed.get_mut(topic) {
            Some(partitions) => partitions,
            None => self.committed.entry(topic.clone()).or_default(),
        };
        match partitions.get(&partition) {
            Some(present) if offset.at < present.at => {}
            Some(_) | None => {
                partitions.insert(partition, offset);
            }
        }
    }

    fn begin(&mut self, write: u64, producer: Option<ProducerId>, keys: Vec<Key>) {
        for key in keys {
            match producer {
                None => {
                    self.pending.insert(key, write);
                }
                Some(producer) => {
                    self.transactional.entry(producer).or_default().entry(key).or_insert(None);
                }
            }
        }
    }

    /// A write of offsets has an outcome. If it is good, its records were replayed.
    pub(super) fn settled(
        &mut self,
        write: u64,
        producer: Option<ProducerId>,
        records: &[GroupRecord],
        is_written: bool,
    ) {
        for key in keys_of(records) {
            if self.pending.get(&key) == Some(&write) {
                self.pending.remove(&key);
            }
            if let Some(producer) = producer.filter(|_| !is_written)
                && let Some(offsets) = self.transactional.get_mut(&producer)
            {
                if offsets.get(&key) == Some(&None) {
                    offsets.remove(&key);
                }
                if offsets.is_empty() {
                    self.transactional.remove(&producer);
                }
            }
        }
    }
}

impl<T> Group<T> {
    pub(super) fn commit(&mut self, ticket: T, commit: Commit, step: &mut Step<'_, T>) {
        let checked = self.check_commit(&commit).and_then(|()| {
            let room = step.writes.len() < WRITES_IN_FLIGHT_MAX;
            if room { Ok(()) } else { Err(ErrorCode::CoordinatorNotAvailable) }
        });
        if let Err(error) = checked {
            step.reply(ticket, Reply::Commit(vec![error; commit.offsets.len()]));
            return;
        }
        if commit.transaction.is_none() && self.members.contains(&commit.member_id) {
            self.restart_session(&owned(&commit.member_id), step);
        }
        let most = step.rules.offset_metadata_max;
        // A byte is one unit at most.
        let fits =
            |NewOffset { metadata, .. }: &NewOffset| metadata.len() <= most || metadata.encode_utf16().count() <= most;
        let outcome = |offset| if fits(offset) { ErrorCode::None } else { ErrorCode::OffsetMetadataTooLarge };
        let outcomes = commit.offsets.iter().map(outcome).collect::<Vec<_>>();
        let now = step.now.timestamp;
        let expiry = commit.retention_ms.map_or(Timestamp::NONE, |keep| Timestamp(now.0.saturating_add(keep)));
        let record = |offset: &NewOffset| {
            let topic = self.offsets.name_of(&offset.topic);
            let key = OffsetCommitKey { group: self.id.clone(), topic, partition: offset.partition };
            let value = OffsetCommitValue {
                offset: offset.offset.0,
                leader_epoch: offset.leader_epoch.0,
                metadata: owned(&offset.metadata),
                commit_timestamp: offset.timestamp.unwrap_or(now).0,
                expire_timestamp: expiry.0,
            };
            GroupRecord::Offset(key, Some(value))
        };
        let records = commit.offsets.iter().filter(|offset| fits(offset)).map(record).collect::<Vec<_>>();
        if records.is_empty() {
            step.reply(ticket, Reply::Commit(outcomes));
            return;
        }
        let keys = keys_of(&records).collect::<Vec<_>>();
        let write = step.append(&self.id, commit.transaction, records, Purpose::Commit(ticket, outcomes));
        self.offsets.begin(write, commit.transaction.map(|(id, _)| id), keys);
    }

    fn check_commit(&self, commit: &Commit) -> Result<(), ErrorCode> {
        let names_member = !commit.member_id.is_empty() || commit.instance_id.is_some();
        if self.is_dead() {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        if 0 <= commit.generation && Bug::B23.is_back() {
            return Ok(());
        }
        if let Some(state) = self.consumer.state() {
            return state.check_commit(commit);
        }
        if commit.generation < 0 && self.phase == Phase::Empty {
            // An administrator, or a consumer that needs no coordination.
            return Ok(());
        }
        if 0 <= commit.generation || names_member {
            if commit.instance_id.is_none() || !Bug::B23Kip345.is_back() {
                self.check_member(&commit.member_id, commit.instance_id.as_ref())?;
            }
            self.check_generation(commit.generation)?;
        } else if commit.transaction.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        if commit.transaction.is_none() && matches!(self.phase, Phase::CompletingRebalance { .. }) {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, ticket: T, step: &mut Step<'_, T>) {
        match self.phase {
            Phase::Dead { .. } => step.reply(ticket, Reply::Delete(ErrorCode::GroupIdNotFound)),
            Phase::PreparingRebalance { .. } | Phase::CompletingRebalance { .. } | Phase::Stable { .. } => {
                step.reply(ticket, Reply::Delete(ErrorCode::NonEmptyGroup));
            }
            Phase::Empty if self.consumer.has_members() => step.reply(ticket, Reply::Delete(ErrorCode::NonEmptyGroup)),
            Phase::Empty => {
                self.pending_members.clear();
                step.timers.cancel_group(&self.id);
                self.remove(&self.offsets.keys(), Some((ticket, Removal::Group)), step);
            }
        }
    }

    pub(super) fn delete_offsets(&mut self, ticket: T, partitions: &[Key], step: &mut Step<'_, T>) {
        let refusal = match self.phase {
            Phase::Dead { .. } => Some(ErrorCode::GroupIdNotFound),
            Phase::Empty => None,
            Phase::PreparingRebalance { .. } | Phase::CompletingRebalance { .. } | Phase::Stable { .. } => {
                (!self.is_consumer_group()).then_some(ErrorCode::NonEmptyGroup)
            }
        };
        if let Some(error) = refusal {
            step.reply(ticket, Reply::DeleteOffsets(Err(error)));
            return;
        }
        let in_use = |topic: &Str| {
            if let Some(state) = self.consumer.state() {
                return state.is_subscribed(topic);
            }
            // What nobody knows may be subscribed.
            self.phase != Phase::Empty && self.subscribed.as_ref().is_none_or(|topics| topics.contains(topic))
        };
        let outcome = |used| if used { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
        let outcomes = partitions.iter().map(|(topic, _)| outcome(in_use(topic))).collect();
        let wanted = partitions.iter().filter(|(topic, _)| !in_use(topic)).cloned().collect::<BTreeSet<_>>();
        let keys = self.offsets.keys().intersection(&wanted).cloned().collect();
        self.remove(&keys, Some((ticket, Removal::Offsets(outcomes))), step);
    }

    fn expire_offsets(&mut self, step: &mut Step<'_, T>) {
        let keys = self.expired_offsets(step);
        let left_behind = self.is_unused() && self.offsets.is_empty();
        if !keys.is_empty() || left_behind {
            self.remove(&keys, None, step);
        }
    }

    /// What nobody reads from any more, for long enough. What is just being committed is spared.
    fn expired_offsets(&self, step: &Step<'_, T>) -> BTreeSet<Key> {
        let nobody = BTreeSet::new();
        let by_consumers = self.consumer.state().map(State::subscribed_topics);
        let (since, subscribed) = match (&self.phase, &self.protocol_type, &self.subscribed) {
            (Phase::Empty, Some(_), _) => (Some(self.phase_since).filter(|it| *it != Timestamp::NONE), &nobody),
            (Phase::Stable { .. }, Some(_), Some(subscribed)) if self.is_consumer_group() => (None, subscribed),
            (Phase::Empty, None, _) => (None, by_consumers.as_ref().unwrap_or(&nobody)),
            _ => return BTreeSet::new(),
        };
        let now = step.now.timestamp.0;
        let retention = i64::try_from(step.rules.offsets_retention.as_millis()).unwrap_or(i64::MAX);
        let is_old = |value: &OffsetCommitValue| {
            if value.expire_timestamp == Timestamp::NONE.0 {
                let since = since.map_or(value.commit_timestamp, |since| since.0);
                retention <= now.saturating_sub(since)
            } else {
                value.expire_timestamp <= now
            }
        };
        let all = self.offsets.all_committed();
        let old = all.filter(|(topic, _, committed)| !subscribed.contains(*topic) && is_old(&committed.value));
        let old = old.map(|(topic, partition, _)| (topic.clone(), partition));
        old.filter(|key| !self.offsets.pending.contains_key(key)).collect()
    }

    /// Writes tombstones for offsets, and one for the group when nothing else is left of it.
    fn remove(&mut self, keys: &BTreeSet<Key>, asked: Option<(T, Removal)>, step: &mut Step<'_, T>) {
        let tombstone = |(topic, partition): &Key| {
            let key = OffsetCommitKey { group: self.id.clone(), topic: topic.clone(), partition: *partition };
            GroupRecord::Offset(key, None)
        };
        let mut records = keys.iter().map(tombstone).collect::<Vec<_>>();
        let dies = self.is_unused() && self.offsets.keys().is_subset(keys);
        let of_consumer = self.consumer.state().filter(|_| dies).into_iter().flat_map(State::tombstones);
        records.extend(of_consumer.map(|record| GroupRecord::Consumer(self.id.clone(), record)));
        if dies && (0 < self.generation || self.metadata.is_some()) {
            records.push(GroupRecord::Group(GroupMetadataKey { group: self.id.clone() }, None));
        }
        let mut parts = in_parts(records);
        let Some(last) = parts.pop() else {
            // There is nothing to remove. A group that dies so never was in the log, and is blank.
            if let Some((ticket, removal)) = asked {
                step.reply(ticket, removal.reply(Ok(())));
            }
            return;
        };
        for part in parts {
            step.append(&self.id, None, part, Purpose::Removal(None));
        }
        let writing = step.append(&self.id, None, last, Purpose::Removal(asked));
        if dies {
            // The time in `phase_since` stays, in case that the removal fails.
            self.phase = Phase::Dead { writing };
        }
    }

    /// The last part of a removal has an outcome.
    pub(super) fn removed(
        &mut self,
        write: u64,
        asked: Option<(T, Removal)>,
        result: Result<(), ErrorCode>,
        step: &mut Step<'_, T>,
    ) {
        let mut outcome = result;
        if self.phase == (Phase::Dead { writing: write }) {
            self.phase = Phase::Empty;
            let is_gone = self.metadata.is_none() && self.offsets.is_empty() && self.consumer.is_blank();
            if result.is_ok() && is_gone {
                self.generation = 0;
            } else if result.is_ok() {
                // An earlier part of the removal failed.
                outcome = Err(ErrorCode::CoordinatorNotAvailable);
            }
        }
        if let Some((ticket, removal)) = asked {
            step.reply(ticket, removal.reply(outcome));
        }
    }

    /// Nobody is there, nor about to come.
    fn is_unused(&self) -> bool {
        let by_consumers = self.consumer.has_members() || self.consumer.is_writing();
        self.phase == Phase::Empty && self.pending_members.is_empty() && !by_consumers
    }

    fn topics_deleted(&mut self, topics: &BTreeSet<Str>, step: &mut Step<'_, T>) {
        if self.is_dead() || !self.offsets.may_have(topics) {
            return;
        }
        let keys = self.offsets.keys().into_iter().filter(|(topic, _)| topics.contains(topic)).collect::<BTreeSet<_>>();
        if !keys.is_empty() {
            self.remove(&keys, None, step);
        }
    }
}

impl<T> Coordinator<T> {
    pub(super) fn topics_deleted(&mut self, now: Now, topics: BTreeSet<Str>, effects: &mut Vec<Effect<T>>) {
        match self.ownership {
            Ownership::Elsewhere => return,
            Ownership::Loading => return self.deleted_meanwhile.extend(topics),
            Ownership::Active => {}
        }
        let ids = self.groups.keys().cloned().collect::<Vec<_>>();
        for id in ids {
            self.with_group(now, &id, effects, |group, step| group.topics_deleted(&topics, step));
        }
    }

    /// Looks for old offsets when it is time, some groups in one go.
    pub(super) fn sweep(&mut self, now: Now, effects: &mut Vec<Effect<T>>) {
        if now.moment < self.sweep.next {
            return;
        }
        let from = self.sweep.from.take().map_or(Bound::Unbounded, Bound::Excluded);
        let ids = self.groups.range((from, Bound::Unbounded)).take(SWEEP_GROUPS_MAX);
        let ids = ids.map(|(id, _)| id.clone()).collect::<Vec<_>>();
        for id in &ids {
            self.with_group(now, id, effects, |group, step| group.expire_offsets(step));
        }
        let is_done = ids.len() < SWEEP_GROUPS_MAX;
        let wait = if is_done { self.rules.offsets_retention_check_interval } else { SWEEP_PAUSE };
        let from = ids.into_iter().last().filter(|_| !is_done);
        self.sweep = Sweep { next: now.moment.after(wait.max(SWEEP_PAUSE)), from };
    }
}

/// Which offsets the records speak of.
fn keys_of(records: &[GroupRecord]) -> impl Iterator<Item = Key> {
    records.iter().filter_map(|record| match record {
        GroupRecord::Offset(key, _) => Some((key.topic.clone(), key.partition)),
        GroupRecord::Group(..) | GroupRecord::Consumer(..) => None,
    })
}

/// Splits records so that each part fits a batch, and in their order.
fn in_parts(records: Vec<GroupRecord>) -> Vec<Vec<GroupRecord>> {
    let mut parts = Vec::<Vec<GroupRecord>>::new();
    let mut bytes = 0;
    for record in records {
        bytes += record.bytes();
        match parts.last_mut() {
            Some(part) if bytes <= REMOVAL_BYTES_MAX => part.push(record),
            Some(_) | None => {
                bytes = record.bytes();
                parts.push(vec![record]);
            }
        }
    }
    parts
}
