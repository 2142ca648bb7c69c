//! Becoming the coordinator and ceasing to be: everything that is durable comes from the log, and nothing else survives.
//!
//! Source: Kafka 3.9 `GroupMetadataManager.loadGroupsAndOffsets`, `onGroupLoaded`, `onGroupUnloaded`.

use bytes::Bytes;

use super::api::{JoinReply, Now, Protocol, Reply, SyncReply};
use super::members::{Member, Terms};
use super::timers::Timer;
use super::{Coordinator, Effect, Group, Ownership, Phase, Replayed, Step, Sweep};
use crate::model::{ErrorCode, LeaderEpoch, Offset, ProducerId, Timestamp};
use crate::wire::Str;
use crate::wire::group_record::GroupRecord;

impl<T> Coordinator<T> {
    pub(super) fn load(&mut self, epoch: LeaderEpoch, effects: &mut Vec<Effect<T>>) {
        // While one epoch lasts, what was loaded stays true.
        let done = epoch == self.epoch && self.ownership == Ownership::Active;
        if self.epoch <= epoch && !done {
            self.drop_everything(effects);
            self.epoch = epoch;
            self.writes.restart(epoch);
            self.ownership = Ownership::Loading;
        }
    }

    pub(super) fn unload(&mut self, epoch: Option<LeaderEpoch>, effects: &mut Vec<Effect<T>>) {
        // An older epoch's news is no news.
        let stale = epoch.is_some_and(|epoch| epoch < self.epoch);
        if !stale {
            self.drop_everything(effects);
            // A partition that is made anew counts from the beginning.
            self.epoch = epoch.unwrap_or(LeaderEpoch::NONE);
            self.ownership = Ownership::Elsewhere;
        }
    }

    /// Tells everybody who waits that they must look elsewhere.
    fn drop_everything(&mut self, effects: &mut Vec<Effect<T>>) {
        let error = ErrorCode::NotCoordinator;
        for (_, mut group) in std::mem::take(&mut self.groups) {
            let ids = group.members.ids().cloned().collect::<Vec<_>>();
            for id in ids {
                let join = group.members.take_join(&id);
                effects.extend(join.map(|to| Effect::Reply(to, Reply::Join(JoinReply::refused(id.clone(), error)))));
                let sync = group.members.get_mut(&id).and_then(|member| member.sync.take());
                effects.extend(sync.map(|to| Effect::Reply(to, Reply::Sync(SyncReply::refused(error)))));
            }
            effects.extend(group.consumer.send_away(error).map(|(to, reply)| Effect::Reply(to, reply)));
        }
        let waiting = self.writes.take_all().filter_map(|purpose| purpose.refused(error));
        effects.extend(waiting.map(|(to, reply)| Effect::Reply(to, reply)));
        self.timers.clear();
        self.has_consumer_groups = false;
        self.deleted_meanwhile.clear();
    }

    pub(super) fn replayed(&mut self, epoch: LeaderEpoch, records: Vec<Replayed>) {
        if self.ownership != Ownership::Loading || epoch != self.epoch {
            return;
        }
        for replayed in records {
            match replayed {
                Replayed::Record(at, producer, record) => self.replay(at, producer, &record),
                Replayed::EndOfTransaction(producer, committed) => self.transaction_ended(producer, committed),
            }
        }
    }

    /// The only way in which what is durable changes, besides the end of a transaction.
    pub(super) fn replay(&mut self, at: Offset, producer: Option<ProducerId>, record: &GroupRecord) {
        let id = record.group();
        let group = self.groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone()));
        self.has_consumer_groups |= matches!(record, GroupRecord::Consumer(..));
        match (record, producer) {
            (GroupRecord::Offset(key, value), None) => group.offsets.replay(at, key, value.as_ref()),
            (GroupRecord::Offset(key, value), Some(producer)) => {
                group.offsets.replay_transactional(at, producer, key, value.as_ref());
            }
            (GroupRecord::Group(_, value), _) => group.metadata.clone_from(value),
            (GroupRecord::Consumer(_, record), _) => group.consumer.replay(record),
        }
    }

    pub(super) fn transaction_ended(&mut self, producer: ProducerId, committed: bool) {
        for group in self.groups.values_mut() {
            group.offsets.transaction_ended(producer, committed);
        }
    }

    pub(super) fn loaded(&mut self, now: Now, epoch: LeaderEpoch, effects: &mut Vec<Effect<T>>) {
        if self.ownership != Ownership::Loading || epoch != self.epoch {
            return;
        }
        self.ownership = Ownership::Active;
        self.sweep = Sweep { next: now.moment.after(self.rules.offsets_retention_check_interval), from: None };
        let ids = self.groups.keys().cloned().collect::<Vec<_>>();
        for id in ids {
            self.with_group(now, &id, effects, |group, step| {
                group.revive(step);
                group.consumer_loaded(step);
            });
        }
        let deleted = std::mem::take(&mut self.deleted_meanwhile);
        if !deleted.is_empty() {
            self.topics_deleted(now, deleted, effects);
        }
    }
}

impl<T> Group<T> {
    /// Takes up the generation that the group's record speaks of.
    pub(super) fn revive(&mut self, step: &mut Step<'_, T>) {
        let Some(metadata) = self.metadata.clone() else { return };
        self.generation = metadata.generation;
        self.protocol_type = Some(metadata.protocol_type).filter(|it| !it.is_empty());
        self.phase_since = Timestamp(metadata.current_state_timestamp);
        if !metadata.members.is_empty() {
            self.protocol = Some(metadata.protocol.unwrap_or_default());
            self.phase = Phase::Stable { unsynced: [].into() };
        }
        for stored in metadata.members {
            if self.members.contains(&stored.member_id) {
                continue;
            }
            let rebalance_timeout =
                if stored.rebalance_timeout < 0 { stored.session_timeout } else { stored.rebalance_timeout };
            let name = self.protocol.clone().unwrap_or_default();
            let spoken = Protocol { name, metadata: stored.subscription };
            let terms = Terms::new(stored.session_timeout, rebalance_timeout, &[spoken]);
            let instance_id = stored.group_instance_id.filter(|id| self.members.static_id(id).is_none());
            let mut member = Member::new(instance_id, stored.client_id, stored.client_host, terms);
            member.is_new = false;
            member.assignment = Bytes::copy_from_slice(&stored.assignment);
            step.set_timer(&self.id, Timer::Session(stored.member_id.clone()), member.session_timeout());
            self.members.insert(stored.member_id, member);
        }
        let known = metadata.leader.filter(|leader| self.members.contains(leader));
        self.leader = known.or_else(|| self.first_member());
        self.subscribed = self.subscribed_topics();
        if step.rules.group_size_max < self.members.len() {
            // So that members leave in the way in which they can commit first.
            self.prepare_rebalance(step);
        }
    }

    pub(super) fn first_member(&self) -> Option<Str> {
        self.members.ids().next().cloned()
    }
}
