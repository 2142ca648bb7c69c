//! SyncGroup, Heartbeat and LeaveGroup: a member in its generation, until it goes.
//!
//! Source: Kafka 3.9 `GroupCoordinator.doSyncGroup`, `handleHeartbeat`, `handleLeaveGroup`.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::api::{Heartbeat, Leave, Leaving, Reply, Sync, SyncReply, owned};
use super::timers::Timer;
use super::writes::Purpose;
use super::{Group, Phase, Step};
use crate::model::ErrorCode;
use crate::wire::Str;

/// First version that must say what it believes the group's protocol to be (KIP-559).
const PROTOCOL_REQUIRED_FROM: i16 = 5;

impl<T> Group<T> {
    pub(super) fn sync(&mut self, ticket: T, sync: Sync, step: &mut Step<'_, T>) {
        if let Err(error) = self.check_sync(&sync) {
            step.reply(ticket, Reply::Sync(SyncReply::refused(error)));
            return;
        }
        let member_id = owned(&sync.member_id);
        match &mut self.phase {
            Phase::Empty | Phase::Dead { .. } => {
                step.reply(ticket, Reply::Sync(SyncReply::refused(ErrorCode::UnknownMemberId)));
            }
            Phase::PreparingRebalance { .. } => {
                step.reply(ticket, Reply::Sync(SyncReply::refused(ErrorCode::RebalanceInProgress)));
            }
            Phase::CompletingRebalance { unsynced, .. } => {
                unsynced.remove(&member_id);
                let superseded = self.members.get_mut(&member_id).and_then(|member| member.sync.replace(ticket));
                if let Some(superseded) = superseded {
                    step.reply(superseded, Reply::Sync(SyncReply::refused(ErrorCode::RebalanceInProgress)));
                }
                self.stop_sync_timer_when_done(step);
                if self.is_leader(&member_id) {
                    self.store_assignments(sync.assignments, step);
                }
            }
            Phase::Stable { unsynced } => {
                unsynced.remove(&member_id);
                self.stop_sync_timer_when_done(step);
                let reply = self.sync_reply(&member_id);
                step.reply(ticket, Reply::Sync(reply));
                self.restart_session(&member_id, step);
            }
        }
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), ErrorCode> {
        if PROTOCOL_REQUIRED_FROM <= sync.version && (sync.protocol_type.is_none() || sync.protocol.is_none()) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if self.is_dead() {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        self.check_member(&sync.member_id, sync.instance_id.as_ref())?;
        self.check_generation(sync.generation)?;
        let differs = |said: &Option<Str>, known: &Option<Str>| said.is_some() && said != known;
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(())
    }

    pub(super) fn check_generation(&self, generation: i32) -> Result<(), ErrorCode> {
        if generation == self.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    /// The leader has spoken. What it says first in a generation counts: were it stored twice, the log would end with other
    /// assignments than the members have.
    fn store_assignments(&mut self, assignments: Vec<(Str, Bytes)>, step: &mut Step<'_, T>) {
        if !matches!(self.phase, Phase::CompletingRebalance { storing: None, .. }) {
            return;
        }
        let mut said = assignments.into_iter().collect::<BTreeMap<_, _>>();
        let record = self.record(&mut |member_id| {
            said.remove(member_id).map_or_else(Bytes::new, |assignment| Bytes::copy_from_slice(&assignment))
        });
        let purpose = Purpose::Assignment { generation: self.generation };
        let write = step.append(&self.id, None, vec![record], purpose);
        if let Phase::CompletingRebalance { storing, .. } = &mut self.phase {
            *storing = Some(write);
        }
    }

    pub(super) fn sync_reply(&self, member_id: &str) -> SyncReply {
        SyncReply {
            error: ErrorCode::None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members.get(member_id).map_or_else(Bytes::new, |member| member.assignment.clone()),
        }
    }

    fn stop_sync_timer_when_done(&self, step: &mut Step<'_, T>) {
        if let Phase::CompletingRebalance { unsynced, .. } | Phase::Stable { unsynced } = &self.phase
            && unsynced.is_empty()
        {
            step.timers.cancel(&self.id, Timer::Sync);
        }
    }

    pub(super) fn heartbeat(&mut self, ticket: T, heartbeat: &Heartbeat, step: &mut Step<'_, T>) {
        let checked = if self.is_dead() {
            Err(ErrorCode::CoordinatorNotAvailable)
        } else {
            self.check_member(&heartbeat.member_id, heartbeat.instance_id.as_ref())
                .and_then(|()| self.check_generation(heartbeat.generation))
        };
        let answer = match (checked, &self.phase) {
            (Err(error), _) => error,
            (Ok(()), Phase::Empty | Phase::Dead { .. }) => ErrorCode::UnknownMemberId,
            (Ok(()), Phase::PreparingRebalance { .. }) => ErrorCode::RebalanceInProgress,
            (Ok(()), Phase::CompletingRebalance { .. } | Phase::Stable { .. }) => ErrorCode::None,
        };
        if matches!(answer, ErrorCode::None | ErrorCode::RebalanceInProgress) {
            self.restart_session(&owned(&heartbeat.member_id), step);
        }
        step.reply(ticket, Reply::Heartbeat(answer));
    }

    pub(super) fn leave(&mut self, ticket: T, leave: &Leave, step: &mut Step<'_, T>) {
        let outcome = if self.is_dead() {
            Err(ErrorCode::CoordinatorNotAvailable)
        } else {
            let outcomes = leave.members.iter().map(|leaving| {
                let left = self.leave_one(leaving, step);
                left.err().unwrap_or(ErrorCode::None)
            });
            Ok(outcomes.collect())
        };
        step.reply(ticket, Reply::Leave(outcome));
    }

    fn leave_one(&mut self, leaving: &Leaving, step: &mut Step<'_, T>) -> Result<(), ErrorCode> {
        let instance_id = leaving.instance_id.as_ref();
        let member_id = if leaving.member_id.is_empty() {
            let named = instance_id.and_then(|instance_id| self.members.static_id(instance_id));
            named.cloned().ok_or(ErrorCode::UnknownMemberId)?
        } else if self.drop_pending_member(&leaving.member_id, step) {
            self.try_complete_join(step);
            return Ok(());
        } else {
            self.check_member(&leaving.member_id, instance_id)?;
            owned(&leaving.member_id)
        };
        self.remove_member_and_update(&member_id, step);
        Ok(())
    }
}
