//! Requests, timers and writes of a group of the consumer protocol, one write at a time.
//!
//! A write that timed out lies in this leader's log all the same, and whoever loads it reads it. So it counts, and only its
//! client is told that nobody knows yet; Kafka's coordinator does not take it back either. Nobody is told of it before a later write
//! is committed, and it with that: another leader that does not have it would give the same partitions to somebody else in the same
//! epoch.

use std::time::Duration;

use super::super::api::{self, JoinReply, Reply, Request, SyncReply};
use super::super::timers::Timer;
use super::super::writes::Purpose;
use super::super::{Group, Join, Phase, Step, WRITES_IN_FLIGHT_MAX};
use super::decide::Context;
use super::{
    ConsumerHeartbeat, ConsumerHeartbeatReply, LEFT_FOR_A_WHILE, Reconciliation, Refusal, State, WAITING_PER_GROUP_MAX,
    Waiting,
};
use crate::model::ErrorCode;
use crate::wire::Str;
use crate::wire::group_record::{ConsumerRecord, GroupMetadataKey, GroupRecord};

/// Wait before a member is taken out again whose removal could not be written.
const RETRY: Duration = Duration::from_millis(500);

/// What follows from a write.
#[derive(Debug)]
pub(in super::super) struct Done<T> {
    /// Who is answered, and how if all goes well.
    pub(super) asked: Option<(T, Reply)>,
    pub(super) then: Then,
    /// Of the topics that it takes into account.
    pub(super) topics: u64,
}

#[derive(Debug)]
pub(super) enum Then {
    /// A member is there, or went on.
    Moved(Str),
    /// A static member left for a while.
    Away(Str),
    /// A member of the classic protocol joined.
    Joined(Str),
    /// Members are gone.
    Ended(Vec<Str>),
    /// A group without members is gone, and somebody joins as in the classic protocol.
    Cleared(Box<Join>),
    /// All that is known of the group is committed, and this request can be answered from it.
    Sure(Box<Request>),
    /// The group was one of the classic protocol.
    Upgraded,
    /// The group is one of the classic protocol.
    Downgraded,
}

impl<T> Done<T> {
    /// What whoever waits is told when the write fails.
    pub(in super::super) fn refused(self, error: ErrorCode) -> Option<(T, Reply)> {
        self.asked.map(|(ticket, reply)| (ticket, refusal_of(&reply, error)))
    }
}

impl<T> Group<T> {
    /// A request, in its turn.
    pub(in super::super) fn ask(&mut self, ticket: T, request: Request, step: &mut Step<'_, T>) {
        if self.consumer.writing.is_none() || !request.concerns_members() {
            self.take(ticket, request, step);
        } else if self.consumer.waiting.len() < WAITING_PER_GROUP_MAX {
            self.consumer.waiting.push_back(Waiting::Request(ticket, request));
        } else {
            step.reply(ticket, request.refused(ErrorCode::CoordinatorNotAvailable));
        }
    }

    pub(super) fn take(&mut self, ticket: T, request: Request, step: &mut Step<'_, T>) {
        let is_of_consumer = self.consumer.state.is_some() && !self.is_dead();
        if self.consumer.unsure && is_of_consumer && request.concerns_members() {
            self.make_sure(ticket, request, step);
            return;
        }
        match request {
            Request::ConsumerHeartbeat(asked) => self.consumer_heartbeat(ticket, &asked, step),
            Request::Join(join) if is_of_consumer => self.join_as_classic(ticket, join, step),
            Request::Sync(sync) if is_of_consumer => self.sync_as_classic(ticket, &sync, step),
            Request::Heartbeat(heartbeat) if is_of_consumer => self.heartbeat_as_classic(ticket, &heartbeat, step),
            Request::Leave(leave) if is_of_consumer => self.leave_as_classic(ticket, &leave, step),
            Request::Join(join) => self.join(ticket, &join, step),
            Request::Sync(sync) => self.sync(ticket, sync, step),
            Request::Heartbeat(heartbeat) => self.heartbeat(ticket, &heartbeat, step),
            Request::Leave(leave) => self.leave(ticket, &leave, step),
            Request::Commit(commit) => self.commit(ticket, commit, step),
            Request::Delete { .. } => self.delete(ticket, step),
            Request::DeleteOffsets { partitions, .. } => self.delete_offsets(ticket, &partitions, step),
        }
    }

    /// Writes what is known already, so that it is committed before this request is answered from it.
    fn make_sure(&mut self, ticket: T, request: Request, step: &mut Step<'_, T>) {
        let reply = request.refused(ErrorCode::CoordinatorNotAvailable);
        match self.consumer.state() {
            Some(state) if step.writes.len() < WRITES_IN_FLIGHT_MAX => {
                let records = vec![state.as_it_is()];
                self.write(vec![], records, Some((ticket, reply)), Then::Sure(Box::new(request)), step);
            }
            Some(_) | None => step.reply(ticket, reply),
        }
    }

    fn consumer_heartbeat(&mut self, ticket: T, asked: &ConsumerHeartbeat, step: &mut Step<'_, T>) {
        if self.is_dead() || WRITES_IN_FLIGHT_MAX <= step.writes.len() {
            let refusal = Refusal::from(ErrorCode::CoordinatorNotAvailable);
            step.reply(ticket, Reply::ConsumerHeartbeat(Err(refusal)));
            return;
        }
        let nothing = State::default();
        let state = match &self.consumer.state {
            Some(state) => state,
            None if !asked.joins() => {
                step.reply(ticket, Reply::ConsumerHeartbeat(Err(self.is_no_consumer_group())));
                return;
            }
            None if self.phase == Phase::Empty => &nothing,
            None => {
                self.upgrade(ticket, asked, step);
                return;
            }
        };
        if asked.leaves() {
            match state.leaving(asked) {
                Ok(id) => self.leave_consumer_group(ticket, asked, id, step),
                Err(refusal) => step.reply(ticket, Reply::ConsumerHeartbeat(Err(refusal))),
            }
            return;
        }
        match state.heartbeat(asked, self.context(step)) {
            Err(refusal) => step.reply(ticket, Reply::ConsumerHeartbeat(Err(refusal))),
            Ok((records, reply)) if records.is_empty() => {
                self.consumer.checked = Some(step.topics.version());
                self.restart_consumer_session(&reply.member_id, step);
                step.reply(ticket, Reply::ConsumerHeartbeat(Ok(reply)));
            }
            Ok((records, reply)) => {
                let was_classic = self.metadata.is_some() || 0 < self.generation;
                let tombstone = GroupRecord::Group(GroupMetadataKey { group: self.id.clone() }, None);
                let first = if was_classic { vec![tombstone] } else { vec![] };
                let then = Then::Moved(reply.member_id.clone());
                self.write(first, records, Some((ticket, Reply::ConsumerHeartbeat(Ok(reply)))), then, step);
            }
        }
    }

    fn leave_consumer_group(&mut self, ticket: T, asked: &ConsumerHeartbeat, id: Str, step: &mut Step<'_, T>) {
        let reply =
            ConsumerHeartbeatReply { member_id: id.clone(), epoch: asked.epoch, interval_ms: 0, assignment: None };
        let asker = Some((ticket, Reply::ConsumerHeartbeat(Ok(reply))));
        if asked.epoch == LEFT_FOR_A_WHILE {
            let records = self.consumer.state().map_or_else(Vec::new, |state| state.left_for_a_while(&id));
            self.write(vec![], records, asker, Then::Away(id), step);
        } else {
            self.end(vec![id], asker, step);
        }
    }

    /// Members go, because they want to or because they were silent.
    pub(super) fn end(&mut self, ids: Vec<Str>, asked: Option<(T, Reply)>, step: &mut Step<'_, T>) {
        let Some(state) = self.consumer.state() else { return };
        match self.downgraded(&ids, step) {
            Some((first, value)) => {
                let last = GroupRecord::Group(GroupMetadataKey { group: self.id.clone() }, Some(value));
                let records = first.into_iter().map(|record| GroupRecord::Consumer(self.id.clone(), record));
                self.append(records.chain([last]).collect(), asked, Then::Downgraded, step);
            }
            None => {
                let records = state.without(&ids, self.context(step));
                self.write(vec![], records, asked, Then::Ended(ids), step);
            }
        }
    }

    pub(super) fn context<'s>(&self, step: &'s Step<'_, T>) -> Context<'s> {
        let is_stale = self.consumer.checked != Some(step.topics.version());
        Context { now: step.now, topics: step.topics, rules: &step.rules.consumer, is_stale }
    }

    pub(super) fn is_no_consumer_group(&self) -> Refusal {
        Refusal::new(ErrorCode::GroupIdNotFound, format!("Group {} is not a consumer group.", self.id))
    }

    pub(super) fn write(
        &mut self,
        mut first: Vec<GroupRecord>,
        records: Vec<ConsumerRecord>,
        asked: Option<(T, Reply)>,
        then: Then,
        step: &mut Step<'_, T>,
    ) {
        first.extend(records.into_iter().map(|record| GroupRecord::Consumer(self.id.clone(), record)));
        self.append(first, asked, then, step);
    }

    fn append(&mut self, records: Vec<GroupRecord>, asked: Option<(T, Reply)>, then: Then, step: &mut Step<'_, T>) {
        assert!(self.consumer.writing.is_none(), "two writes of a group at once");
        let done = Done { asked, then, topics: step.topics.version() };
        self.consumer.writing = Some(step.append(&self.id, None, records, Purpose::Consumer(done)));
    }

    /// The write has an outcome. If it lies in the log, its records were replayed.
    pub(in super::super) fn consumer_written(
        &mut self,
        done: Done<T>,
        result: Result<(), ErrorCode>,
        is_in_log: bool,
        step: &mut Step<'_, T>,
    ) {
        self.consumer.writing = None;
        let Done { asked, then, topics } = done;
        if is_in_log {
            // What lies before it in the log is committed with it.
            self.consumer.unsure = result.is_err();
            // Who goes looks at no topics: what changed in them is for the next heartbeat to see.
            if matches!(then, Then::Moved(_) | Then::Joined(_) | Then::Upgraded) {
                self.consumer.checked = Some(topics);
            }
            self.went_well(&then, step);
        } else {
            self.failed(&then, asked.is_none(), step);
        }
        match (asked, result, then) {
            (None, ..) => {}
            (Some((ticket, _)), Ok(()), Then::Cleared(join)) => self.take(ticket, Request::Join(*join), step),
            (Some((ticket, _)), Ok(()), Then::Sure(request)) => self.take(ticket, *request, step),
            (Some((ticket, reply)), Ok(()), _) => step.reply(ticket, reply),
            (Some((ticket, reply)), Err(error), _) => step.reply(ticket, refusal_of(&reply, client_error(error))),
        }
        self.resume(step);
    }

    fn went_well(&mut self, then: &Then, step: &mut Step<'_, T>) {
        match then {
            Then::Moved(id) | Then::Away(id) => {
                self.become_consumer_group(step);
                self.restart_consumer_session(id, step);
                self.restart_rebalance_timer(id, step);
            }
            Then::Joined(id) => {
                self.restart_consumer_session(id, step);
                step.timers.cancel(&self.id, Timer::Rejoin(id.clone()));
                self.set_rebalance_timer(Timer::Assigned(id.clone()), id, step);
            }
            Then::Ended(ids) => {
                for id in ids {
                    let timers = [Timer::Session, Timer::Rebalance, Timer::Rejoin, Timer::Assigned];
                    timers.into_iter().for_each(|timer| step.timers.cancel(&self.id, timer(id.clone())));
                }
            }
            Then::Cleared(_) => step.timers.cancel_group(&self.id),
            Then::Sure(_) => {}
            Then::Upgraded => {
                self.become_consumer_group(step);
                self.revive_consumer(step);
            }
            Then::Downgraded => self.become_classic_group(step),
        }
    }

    fn failed(&mut self, then: &Then, was_time: bool, step: &mut Step<'_, T>) {
        match then {
            Then::Ended(ids) if was_time => {
                ids.iter().for_each(|id| step.set_timer(&self.id, Timer::Session(id.clone()), RETRY));
            }
            Then::Downgraded if was_time => self.revive_consumer(step),
            Then::Upgraded => self.upgrade_failed(step),
            Then::Moved(_)
            | Then::Away(_)
            | Then::Joined(_)
            | Then::Ended(_)
            | Then::Cleared(_)
            | Then::Sure(_)
            | Then::Downgraded => {}
        }
    }

    /// What waited for the write.
    fn resume(&mut self, step: &mut Step<'_, T>) {
        while self.consumer.writing.is_none() {
            match self.consumer.waiting.pop_front() {
                None => return,
                Some(Waiting::Request(ticket, request)) => match self.missing_after_write(&request) {
                    Some(refused) => step.reply(ticket, refused),
                    None => self.take(ticket, request, step),
                },
                // Whoever was heard of meanwhile has a timer again.
                Some(Waiting::Timer(timer)) if step.timers.is_set(&self.id, &timer) => {}
                Some(Waiting::Timer(timer)) => self.timer(timer, step),
            }
        }
    }

    /// A group that is nowhere in the log and has nobody is not there.
    fn missing_after_write(&self, request: &Request) -> Option<Reply> {
        let is_there = self.consumer.state.is_some() || self.phase != Phase::Empty || self.metadata.is_some();
        let makes = match request {
            Request::Join(join) => join.member_id.is_empty(),
            Request::ConsumerHeartbeat(asked) => asked.joins(),
            Request::Sync(_)
            | Request::Heartbeat(_)
            | Request::Leave(_)
            | Request::Commit(_)
            | Request::Delete { .. }
            | Request::DeleteOffsets { .. } => true,
        };
        let refused = !is_there && !makes;
        refused.then(|| match request {
            Request::ConsumerHeartbeat(_) => request.refused(ErrorCode::GroupIdNotFound),
            Request::Join(_)
            | Request::Sync(_)
            | Request::Heartbeat(_)
            | Request::Leave(_)
            | Request::Commit(_)
            | Request::Delete { .. }
            | Request::DeleteOffsets { .. } => request.refused(ErrorCode::UnknownMemberId),
        })
    }

    /// Time is up for somebody, in a group of the consumer protocol or while one is being made.
    pub(in super::super) fn consumer_timer(&mut self, timer: Timer, step: &mut Step<'_, T>) {
        if self.consumer.writing.is_some() {
            self.consumer.waiting.push_back(Waiting::Timer(timer));
            return;
        }
        let member = |id: &Str| self.consumer.state().and_then(|state| state.members.get(id));
        let ends = match timer {
            Timer::Session(id) | Timer::Rejoin(id) | Timer::Assigned(id) => member(&id).is_some().then_some(id),
            Timer::Rebalance(id) => {
                let stuck = member(&id).is_some_and(|member| member.phase == Reconciliation::Unrevoked);
                stuck.then_some(id)
            }
            Timer::Join | Timer::Sync | Timer::Pending(_) => None,
        };
        if let Some(id) = ends {
            self.end(vec![id], None, step);
        }
    }

    /// The log was read to its end, of which the last part may not be committed.
    pub(in super::super) fn consumer_loaded(&mut self, step: &mut Step<'_, T>) {
        self.consumer.unsure = self.consumer.state.is_some();
        self.revive_consumer(step);
    }

    /// Sessions begin anew, when the group is loaded or became one of this protocol.
    fn revive_consumer(&self, step: &mut Step<'_, T>) {
        let Some(state) = self.consumer.state() else { return };
        for id in state.members.keys() {
            self.restart_consumer_session(id, step);
            self.restart_rebalance_timer(id, step);
        }
    }

    pub(super) fn restart_consumer_session(&self, id: &Str, step: &mut Step<'_, T>) {
        let Some(member) = self.consumer.state().and_then(|state| state.members.get(id)) else { return };
        let classic = member.terms.classic_member_metadata.as_ref();
        let session = classic.map_or(step.rules.consumer.session_timeout, |it| api::timeout(it.session_timeout_ms));
        step.set_timer(&self.id, Timer::Session(id.clone()), session);
    }

    /// A member that has to let go of something has its rebalance time-out for it. In the classic protocol other timers see to that.
    fn restart_rebalance_timer(&self, id: &Str, step: &mut Step<'_, T>) {
        let member = self.consumer.state().and_then(|state| state.members.get(id));
        let lets_go = |member: &&super::Member| member.phase == Reconciliation::Unrevoked && !member.speaks_classic();
        match member.filter(lets_go) {
            Some(_) => self.set_rebalance_timer(Timer::Rebalance(id.clone()), id, step),
            None => step.timers.cancel(&self.id, Timer::Rebalance(id.clone())),
        }
    }

    pub(super) fn set_rebalance_timer(&self, timer: Timer, id: &Str, step: &mut Step<'_, T>) {
        if let Some(member) = self.consumer.state().and_then(|state| state.members.get(id)) {
            step.set_timer(&self.id, timer, api::timeout(member.terms.rebalance_timeout_ms));
        }
    }
}

/// The same kind of answer, saying no.
fn refusal_of(reply: &Reply, error: ErrorCode) -> Reply {
    match reply {
        Reply::Join(join) => Reply::Join(JoinReply::refused(join.member_id.clone(), error)),
        Reply::Sync(_) => Reply::Sync(SyncReply::refused(error)),
        Reply::Heartbeat(_) => Reply::Heartbeat(error),
        Reply::Leave(_) => Reply::Leave(Err(error)),
        Reply::Commit(outcomes) => Reply::Commit(vec![error; outcomes.len()]),
        Reply::Delete(_) => Reply::Delete(error),
        Reply::DeleteOffsets(_) => Reply::DeleteOffsets(Err(error)),
        Reply::ConsumerHeartbeat(_) => Reply::ConsumerHeartbeat(Err(error.into())),
    }
}

/// What a member is told when its group could not be written.
fn client_error(error: ErrorCode) -> ErrorCode {
    if error == ErrorCode::RequestTimedOut {
        ErrorCode::CoordinatorNotAvailable
    } else {
        super::super::writes::store_error(error)
    }
}
