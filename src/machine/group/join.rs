//! JoinGroup: who may come in, and whether that changes anything for the others.
//!
//! Source: Kafka 3.9 `GroupCoordinator.handleJoinGroup` and what it calls; KIP-345, KIP-394, KIP-814.

use std::fmt::Write as _;

use super::api::{Join, JoinReply, Reply, SyncReply, owned};
use super::members::{Member, Terms};
use super::timers::Timer;
use super::writes::{Purpose, StaticRejoin};
use super::{
    Group, NEW_MEMBER_JOIN_TIMEOUT, PENDING_MEMBERS_PER_GROUP_MAX, PROTOCOLS_PER_MEMBER_MAX, Phase, Step,
    WRITES_IN_FLIGHT_MAX, api,
};
use crate::model::ErrorCode;
use crate::wire::Str;

/// First version whose clients come back with the member id that they are given (KIP-394).
pub(super) const MEMBER_ID_REQUIRED_FROM: i16 = 4;

/// First version whose clients need not assign when they are told so (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;

/// Longest member id: the longest string that can be written into a record.
const MEMBER_ID_BYTES_MAX: usize = 0x7fff;

impl<T> Group<T> {
    pub(super) fn join(&mut self, ticket: T, join: &Join, step: &mut Step<'_, T>) {
        if !self.accepts(&join.member_id, step) {
            self.drop_member(&join.member_id, step);
            self.drop_pending_member(&join.member_id, step);
            let reply = JoinReply::refused(Str::default(), ErrorCode::GroupMaxSizeReached);
            step.reply(ticket, Reply::Join(reply));
        } else if let Err(error) = self.check_protocols(join) {
            step.reply(ticket, Reply::Join(JoinReply::refused(owned(&join.member_id), error)));
        } else if join.member_id.is_empty() {
            self.join_new(ticket, join, step);
        } else if join.instance_id.is_none() && self.pending_members.contains(join.member_id.as_str()) {
            self.add_member(ticket, owned(&join.member_id), join, step);
        } else if let Err(error) = self.check_member(&join.member_id, join.instance_id.as_ref()) {
            step.reply(ticket, Reply::Join(JoinReply::refused(owned(&join.member_id), error)));
        } else {
            self.rejoin(ticket, join, step);
        }
        self.try_complete_join(step);
    }

    /// Whether there is room. In a rebalance those count who have come, so that a group that is too large shrinks.
    fn accepts(&self, member_id: &str, step: &Step<'_, T>) -> bool {
        let max = step.rules.group_size_max;
        let member = self.members.get(member_id);
        match self.phase {
            Phase::Empty | Phase::Dead { .. } => true,
            Phase::PreparingRebalance { .. } => {
                member.is_some_and(Member::is_awaiting_join) || self.members.awaiting_join() < max
            }
            Phase::CompletingRebalance { .. } | Phase::Stable { .. } => member.is_some() || self.members.len() < max,
        }
    }

    fn check_protocols(&self, join: &Join) -> Result<(), ErrorCode> {
        if PROTOCOLS_PER_MEMBER_MAX < join.protocols.len() {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let consistent = match self.phase {
            // Kafka's word for it: the group may have moved away, or is about to be made anew.
            Phase::Dead { .. } => return Err(ErrorCode::CoordinatorNotAvailable),
            Phase::Empty => !join.protocol_type.is_empty() && !join.protocols.is_empty(),
            Phase::PreparingRebalance { .. } | Phase::CompletingRebalance { .. } | Phase::Stable { .. } => {
                let same_type = self.protocol_type.as_ref().is_some_and(|it| *it == join.protocol_type);
                same_type && self.members.support_one_of(&join.protocols)
            }
        };
        if consistent { Ok(()) } else { Err(ErrorCode::InconsistentGroupProtocol) }
    }

    fn join_new(&mut self, ticket: T, join: &Join, step: &mut Step<'_, T>) {
        let prefix = join.instance_id.as_ref().unwrap_or(&join.client_id);
        let member_id = Str::from(format!("{prefix}-{}", uuid(join.random)));
        if MEMBER_ID_BYTES_MAX < member_id.len() || self.members.contains(&member_id) {
            let reply = JoinReply::refused(Str::default(), ErrorCode::UnknownServerError);
            step.reply(ticket, Reply::Join(reply));
            return;
        }
        match &join.instance_id {
            Some(instance_id) => match self.members.static_id(instance_id).cloned() {
                Some(_) if WRITES_IN_FLIGHT_MAX <= step.writes.len() => {
                    let reply = JoinReply::refused(Str::default(), ErrorCode::CoordinatorNotAvailable);
                    step.reply(ticket, Reply::Join(reply));
                }
                Some(old) => self.replace_static_member(ticket, &old, &member_id, join, step),
                None => self.add_member(ticket, member_id, join, step),
            },
            None if join.version < MEMBER_ID_REQUIRED_FROM => self.add_member(ticket, member_id, join, step),
            None if PENDING_MEMBERS_PER_GROUP_MAX <= self.pending_members.len() => {
                let reply = JoinReply::refused(Str::default(), ErrorCode::CoordinatorNotAvailable);
                step.reply(ticket, Reply::Join(reply));
            }
            None => {
                self.pending_members.insert(member_id.clone());
                let session = api::timeout(join.session_timeout_ms);
                step.set_timer(&self.id, Timer::Pending(member_id.clone()), session);
                step.reply(ticket, Reply::Join(JoinReply::refused(member_id, ErrorCode::MemberIdRequired)));
            }
        }
    }

    fn add_member(&mut self, ticket: T, member_id: Str, join: &Join, step: &mut Step<'_, T>) {
        self.drop_pending_member(&member_id, step);
        if let Phase::PreparingRebalance { initial: Some(wait) } = &mut self.phase
            && self.generation == 0
        {
            wait.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(owned(&join.protocol_type));
        }
        let instance_id = join.instance_id.as_ref().map(owned);
        let member = Member::new(instance_id, owned(&join.client_id), owned(&join.client_host), terms(join));
        self.members.insert(member_id.clone(), member);
        self.members.await_join(&member_id, ticket);
        self.leader.get_or_insert_with(|| member_id.clone());
        step.set_timer(&self.id, Timer::Session(member_id), NEW_MEMBER_JOIN_TIMEOUT);
        self.maybe_prepare_rebalance(step);
    }

    /// A member id that was given out is used, or will not be. Says whether it was.
    pub(super) fn drop_pending_member(&mut self, member_id: &str, step: &mut Step<'_, T>) -> bool {
        let was_pending = self.pending_members.remove(member_id);
        if was_pending {
            step.timers.cancel(&self.id, Timer::Pending(Str::from(member_id)));
        }
        was_pending
    }

    fn rejoin(&mut self, ticket: T, join: &Join, step: &mut Step<'_, T>) {
        let member_id = owned(&join.member_id);
        let same = self.members.get(&member_id).is_some_and(|member| member.matches(&terms(join)));
        let leads = self.is_leader(&member_id);
        match self.phase {
            Phase::PreparingRebalance { .. } => self.update_member(ticket, &member_id, join, step),
            // It may have missed the answer.
            Phase::CompletingRebalance { .. } if same => {
                let reply = self.join_reply(&member_id, leads);
                step.reply(ticket, Reply::Join(reply));
            }
            // A leader that joins again wants to assign anew: it may know of topics that changed.
            Phase::Stable { .. } if same && !leads => {
                let reply = self.join_reply(&member_id, false);
                step.reply(ticket, Reply::Join(reply));
            }
            Phase::CompletingRebalance { .. } | Phase::Stable { .. } => {
                self.update_member(ticket, &member_id, join, step);
                self.maybe_prepare_rebalance(step);
            }
            Phase::Empty | Phase::Dead { .. } => {
                step.reply(ticket, Reply::Join(JoinReply::refused(member_id, ErrorCode::UnknownMemberId)));
            }
        }
    }

    fn update_member(&mut self, ticket: T, member_id: &Str, join: &Join, step: &mut Step<'_, T>) {
        self.members.update(member_id, terms(join));
        if let Some(superseded) = self.members.await_join(member_id, ticket) {
            // Nobody may listen there any more; who does, tries again. Kafka never answers it.
            let reply = JoinReply::refused(member_id.clone(), ErrorCode::RebalanceInProgress);
            step.reply(superseded, Reply::Join(reply));
        }
    }

    /// A static member came back under its name: it takes the place of what it was, whose id is fenced from now on.
    fn replace_static_member(&mut self, ticket: T, old: &Str, new: &Str, join: &Join, step: &mut Step<'_, T>) {
        let leader_before = self.leader.clone();
        self.fence(old, step);
        self.rename_member(old, new, step);
        let before = self.members.update(new, terms(join));
        self.members.await_join(new, ticket);
        self.restart_session(new, step);
        let same_protocol = self.members.select_protocol() == self.protocol;
        match (&self.phase, before) {
            (Phase::Stable { .. }, Some(before)) if same_protocol => {
                let assignments =
                    self.members.iter().map(|(id, member)| (id.clone(), member.assignment.clone())).collect::<Vec<_>>();
                let mut assignments = assignments.into_iter();
                let record = self.record(&mut |_| assignments.next().unwrap_or_default().1);
                let rejoin = StaticRejoin {
                    generation: self.generation,
                    old: old.clone(),
                    new: new.clone(),
                    before,
                    leader_before: leader_before.unwrap_or_default(),
                    can_skip_assignment: SKIP_ASSIGNMENT_FROM <= join.version,
                };
                step.append(&self.id, None, vec![record], Purpose::StaticRejoin(rejoin));
            }
            // While the leader assigns, it does so to the old id.
            (Phase::Stable { .. } | Phase::CompletingRebalance { .. }, _) => self.prepare_rebalance(step),
            (Phase::PreparingRebalance { .. } | Phase::Empty | Phase::Dead { .. }, _) => {}
        }
    }

    /// Whoever waits under this id is not the instance any more.
    fn fence(&mut self, member_id: &Str, step: &mut Step<'_, T>) {
        let error = ErrorCode::FencedInstanceId;
        if let Some(ticket) = self.members.take_join(member_id) {
            step.reply(ticket, Reply::Join(JoinReply::refused(member_id.clone(), error)));
        }
        if let Some(ticket) = self.members.get_mut(member_id).and_then(|member| member.sync.take()) {
            step.reply(ticket, Reply::Sync(SyncReply::refused(error)));
        }
    }

    pub(super) fn rename_member(&mut self, old: &Str, new: &Str, step: &mut Step<'_, T>) {
        self.members.rename(old, new.clone());
        step.timers.cancel(&self.id, Timer::Session(old.clone()));
        if self.is_leader(old) {
            self.leader = Some(new.clone());
        }
        if let Phase::CompletingRebalance { unsynced, .. } | Phase::Stable { unsynced } = &mut self.phase
            && unsynced.remove(old)
        {
            unsynced.insert(new.clone());
        }
    }
}

fn terms(join: &Join) -> Terms {
    // Version 0 has no time-out for rebalances.
    let rebalance = if join.version == 0 { join.session_timeout_ms } else { join.rebalance_timeout_ms };
    Terms::new(join.session_timeout_ms, rebalance, &join.protocols)
}

/// As Java's `UUID.randomUUID` makes one of random bytes.
fn uuid(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40; // version 4
    random[8] = random[8] & 0x3f | 0x80; // variant 10
    let mut text = String::with_capacity(36);
    for (index, byte) in random.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_look_like_javas() {
        let bytes = std::array::from_fn(|index| u8::try_from(index * 16 + 1).expect("below 256"));
        assert_eq!(super::uuid(bytes), "01112131-4151-4171-8191-a1b1c1d1e1f1");
    }
}
