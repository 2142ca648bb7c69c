//! From one generation to the next: members join, a protocol is chosen, the leader is told of all.
//!
//! Source: Kafka 3.9 `GroupCoordinator.prepareRebalance`, `onCompleteJoin`, `onExpirePendingSync`, `onExpireHeartbeat`,
//! `DelayedJoin.scala`.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::api::{JoinReply, Reply, SyncReply};
use super::timers::Timer;
use super::writes::Purpose;
use super::{Group, InitialDelay, Phase, Step};
use crate::model::ErrorCode;
use crate::wire::Str;
use crate::wire::group_record::{GroupMetadataKey, GroupMetadataValue, GroupRecord, MemberMetadata, subscribed_topics};

impl<T> Group<T> {
    /// Starts a rebalance where the state allows one. While members join they are waited for anyway.
    pub(super) fn maybe_prepare_rebalance(&mut self, step: &mut Step<'_, T>) {
        match self.phase {
            Phase::Empty | Phase::CompletingRebalance { .. } | Phase::Stable { .. } => self.prepare_rebalance(step),
            Phase::PreparingRebalance { .. } | Phase::Dead { .. } => {}
        }
    }

    pub(super) fn prepare_rebalance(&mut self, step: &mut Step<'_, T>) {
        if matches!(self.phase, Phase::CompletingRebalance { .. }) {
            self.propagate_assignment_error(ErrorCode::RebalanceInProgress, step);
        }
        step.timers.cancel(&self.id, Timer::Sync);
        let timeout = self.members.rebalance_timeout();
        let delay = step.rules.initial_rebalance_delay;
        let was_empty = self.phase == Phase::Empty;
        let remaining = timeout.saturating_sub(delay);
        let initial = was_empty.then_some(InitialDelay { delay, remaining, new_member_added: false });
        step.set_timer(&self.id, Timer::Join, if was_empty { delay } else { timeout });
        self.enter(Phase::PreparingRebalance { initial }, step);
        self.try_complete_join(step);
    }

    /// Goes on when nobody is missing.
    pub(super) fn try_complete_join(&mut self, step: &mut Step<'_, T>) {
        let everybody = self.members.awaiting_join() == self.members.len() && self.pending_members.is_empty();
        if everybody && matches!(self.phase, Phase::PreparingRebalance { initial: None }) {
            self.complete_join(step);
        }
    }

    pub(super) fn timer(&mut self, timer: Timer, step: &mut Step<'_, T>) {
        if self.consumer.state().is_some() || self.consumer.is_writing() {
            self.consumer_timer(timer, step);
            return;
        }
        match timer {
            Timer::Rebalance(_) | Timer::Rejoin(_) | Timer::Assigned(_) => {}
            Timer::Join => self.join_is_due(step),
            Timer::Sync => self.sync_is_due(step),
            Timer::Session(member_id) => {
                let silent = self.members.get(&member_id).is_some_and(|member| !member.is_excused());
                if silent {
                    self.remove_member_and_update(&member_id, step);
                }
            }
            Timer::Pending(member_id) => {
                self.pending_members.remove(&member_id);
                self.try_complete_join(step);
            }
        }
    }

    fn join_is_due(&mut self, step: &mut Step<'_, T>) {
        let Phase::PreparingRebalance { initial } = &mut self.phase else { return };
        match initial {
            Some(wait) if wait.new_member_added && !wait.remaining.is_zero() => {
                let delay = step.rules.initial_rebalance_delay.min(wait.remaining);
                let remaining = wait.remaining.saturating_sub(wait.delay);
                *wait = InitialDelay { delay, remaining, new_member_added: false };
                step.set_timer(&self.id, Timer::Join, delay);
            }
            Some(_) | None => self.complete_join(step),
        }
    }

    fn sync_is_due(&mut self, step: &mut Step<'_, T>) {
        let (Phase::CompletingRebalance { unsynced, .. } | Phase::Stable { unsynced }) = &mut self.phase else {
            return;
        };
        let missing = std::mem::take(unsynced);
        if !missing.is_empty() {
            missing.iter().for_each(|member_id| self.drop_member(member_id, step));
            self.prepare_rebalance(step);
        }
    }

    fn complete_join(&mut self, step: &mut Step<'_, T>) {
        let absent = self.members.iter().filter(|(_, it)| !it.is_awaiting_join() && it.instance_id.is_none());
        let absent = absent.map(|(id, _)| id.clone()).collect::<Vec<_>>();
        absent.iter().for_each(|member_id| self.drop_member(member_id, step));
        self.elect_joined_leader();
        if !self.members.is_empty() && self.members.awaiting_join() == 0 {
            // Static members only, and none came back: their sessions end before the group does.
            let wait = self.members.rebalance_timeout();
            step.set_timer(&self.id, Timer::Join, wait.max(Duration::from_millis(1)));
            self.phase = Phase::PreparingRebalance { initial: None };
            return;
        }
        step.timers.cancel(&self.id, Timer::Join);
        // After two thousand million rebalances it begins anew; Kafka goes on below zero, where no member can commit.
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.members.select_protocol();
        self.subscribed = self.subscribed_topics();
        if self.members.is_empty() {
            self.enter(Phase::Empty, step);
            let record = self.record(&mut |_| Bytes::new());
            step.append(&self.id, None, vec![record], Purpose::Emptied);
            return;
        }
        // Everybody was admitted by what they have in common, so that there is a choice.
        self.protocol.get_or_insert_default();
        self.answer_joins(step);
    }

    /// A leader that did not come back is replaced by somebody who did.
    fn elect_joined_leader(&mut self) {
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        if leader.is_none_or(|leader| !leader.is_awaiting_join()) {
            let joined = self.members.iter().find(|(_, member)| member.is_awaiting_join()).map(|(id, _)| id.clone());
            self.leader = joined.or_else(|| self.leader.take());
        }
    }

    fn answer_joins(&mut self, step: &mut Step<'_, T>) {
        let unsynced = self.members.ids().cloned().collect::<BTreeSet<_>>();
        for member_id in &unsynced {
            if let Some(ticket) = self.members.take_join(member_id) {
                let reply = self.join_reply(member_id, self.is_leader(member_id));
                step.reply(ticket, Reply::Join(reply));
            }
            if let Some(member) = self.members.get_mut(member_id) {
                member.is_new = false;
                member.assignment = Bytes::new();
            }
            self.restart_session(member_id, step);
        }
        step.set_timer(&self.id, Timer::Sync, self.members.rebalance_timeout());
        self.enter(Phase::CompletingRebalance { unsynced, storing: None }, step);
    }

    /// What a member hears of the generation that it is in.
    pub(super) fn join_reply(&self, member_id: &Str, with_members: bool) -> JoinReply {
        let protocol = self.protocol.clone().unwrap_or_default();
        JoinReply {
            error: ErrorCode::None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.clone(),
            members: if with_members { self.members.joined(&protocol) } else { Vec::new() },
        }
    }

    /// From now, the member may be silent for its session's time.
    pub(super) fn restart_session(&self, member_id: &Str, step: &mut Step<'_, T>) {
        if let Some(member) = self.members.get(member_id) {
            step.set_timer(&self.id, Timer::Session(member_id.clone()), member.session_timeout());
        }
    }

    /// Nobody gets anything in this generation.
    pub(super) fn propagate_assignment_error(&mut self, error: ErrorCode, step: &mut Step<'_, T>) {
        let mut waited = Vec::new();
        for (id, member) in self.members.iter_mut() {
            member.assignment = Bytes::new();
            if let Some(ticket) = member.sync.take() {
                waited.push(id.clone());
                step.reply(ticket, Reply::Sync(SyncReply::refused(error)));
            }
        }
        waited.iter().for_each(|member_id| self.restart_session(member_id, step));
    }

    /// Takes a member out, and tells it so if it waits. Another one leads if it did.
    pub(super) fn drop_member(&mut self, member_id: &Str, step: &mut Step<'_, T>) {
        step.timers.cancel(&self.id, Timer::Session(member_id.clone()));
        if let Some(ticket) = self.members.take_join(member_id) {
            let reply = JoinReply::refused(Str::default(), ErrorCode::UnknownMemberId);
            step.reply(ticket, Reply::Join(reply));
        }
        if let Some(ticket) = self.members.remove(member_id).and_then(|member| member.sync) {
            step.reply(ticket, Reply::Sync(SyncReply::refused(ErrorCode::UnknownMemberId)));
        }
        if let Phase::CompletingRebalance { unsynced, .. } | Phase::Stable { unsynced } = &mut self.phase {
            unsynced.remove(member_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.first_member();
        }
    }

    /// A member left, or its session ended.
    pub(super) fn remove_member_and_update(&mut self, member_id: &Str, step: &mut Step<'_, T>) {
        self.drop_member(member_id, step);
        self.maybe_prepare_rebalance(step);
        self.try_complete_join(step);
    }

    /// The topics that the members subscribe to, as far as the coordinator understands them.
    pub(super) fn subscribed_topics(&self) -> Option<BTreeSet<Str>> {
        if !self.is_consumer_group() {
            return None;
        }
        let Some(protocol) = &self.protocol else { return self.members.is_empty().then(BTreeSet::new) };
        self.members.iter().try_fold(BTreeSet::new(), |mut topics, (_, member)| {
            topics.extend(subscribed_topics(&member.metadata(protocol))?);
            Some(topics)
        })
    }

    /// The group's record, with what each member is to read.
    pub(super) fn record(&self, assignment: &mut dyn FnMut(&Str) -> Bytes) -> GroupRecord {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| MemberMetadata {
            member_id: id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: member.metadata(&protocol),
            assignment: assignment(id),
        });
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.phase_since.0,
            members: members.collect(),
        };
        GroupRecord::Group(GroupMetadataKey { group: self.id.clone() }, Some(value))
    }
}
