//! A member of a group of the consumer protocol (KIP-848): what it asks of the coordinator next, what it may read, and what
//! it commits. The coordinator decides who reads what; heartbeats carry it here, and carry back what the member has let go of
//! and taken.
//!
//! *Invariant*: from [`Effect::Assigned`] until it is given back ([`Effect::Revoked`] and then [`Event::Released`], or
//! [`Effect::Lost`]) a partition is this member's alone, and the coordinator is not told otherwise before. A heartbeat says only
//! what the coordinator has not surely heard. What is committed by itself was said to be read before ([`Event::Read`]). One
//! request is on its way at most.
//! *Does not know*: where the coordinator is, sockets, the clock, and what is done with what is read.
//!
//! Source: KIP-848; Kafka 4.1 `ConsumerHeartbeatRequestManager.java`, `AbstractMembershipManager.java`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::commits::Commits;
use super::member::{Answer, Asked, Effect, Event, MemberSettings, Partition, Subscription};
use crate::client::cluster::BackOff;
use crate::client::error::ClientError;
use crate::model::{ErrorCode, Moment, TopicId};
use crate::wire::Str;
use crate::wire::message::consumer_group_heartbeat::ConsumerGroupHeartbeatResponse;

mod ending;
mod requests;
#[cfg(test)]
mod tests;
mod verdict;

use ending::not_now;
use verdict::{Verdict, code, verdict};

/// See the module.
#[derive(Debug)]
pub struct ConsumerMember {
    settings: MemberSettings,
    /// Its own choice, for as long as it lives (KIP-1082).
    id: Str,
    /// 0 while it is not in the group.
    epoch: i32,
    phase: Phase,
    next: Next,
    heartbeat_at: Moment,
    /// What the coordinator has surely heard; `None` when it is to be told everything.
    said: Option<Said>,
    /// What the heartbeat that is on its way says.
    saying: Option<Said>,
    /// It subscribed to a pattern once, which the coordinator may remember.
    had_pattern: bool,
    /// What it reads.
    owned: BTreeMap<Partition, TopicId>,
    /// What the coordinator wants it to read.
    target: BTreeSet<(TopicId, i32)>,
    /// How the topics of `target` are called, as far as it is known.
    names: BTreeMap<TopicId, Str>,
    /// When to ask for the others.
    name_at: Moment,
    /// How many times [`Event::Released`] is still to come.
    owed: u32,
    commits: Commits,
    /// When to commit by itself.
    commit_at: Moment,
    back_off: BackOff,
    /// When the coordinator last said something other than an error that passes.
    last_heard: Moment,
    /// When somebody last asked for records.
    polled_at: Moment,
}

/// What the member is about.
#[derive(PartialEq, Debug)]
enum Phase {
    /// It is coming in, or comes back with empty hands.
    Joining,
    /// It reads.
    Reading,
    /// It gives back what the coordinator wants to be somebody else's: it is waited for until that is done with, and committed.
    GivingBack {
        goes: BTreeMap<Partition, TopicId>,
        /// When it is given back even if it could not be committed.
        until: Moment,
    },
    /// It commits and goes.
    Leaving { until: Moment },
    /// Nobody asks for records: it has left, and comes back when somebody does.
    Away,
    /// Nothing more will happen.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// The answer to this.
    Answer(Plan),
    /// One of the plans, but not before this time.
    At(Moment),
}

/// What may be done next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Plan {
    Beat,
    Commit,
    Name,
    /// What was to be given back is.
    GoOn,
    Leave,
    End,
}

/// What a heartbeat says of the member.
#[derive(Clone, PartialEq, Debug)]
struct Said {
    subscription: Subscription,
    owned: BTreeMap<TopicId, Vec<i32>>,
}

impl ConsumerMember {
    /// A member that begins to join with the first [`Event::Tick`]. No other process may have the same `id`.
    #[must_use]
    pub fn new(settings: MemberSettings, id: Str, now: Moment) -> Self {
        Self {
            back_off: settings.back_off,
            settings,
            id,
            epoch: 0,
            phase: Phase::Joining,
            next: Next::At(now),
            heartbeat_at: now,
            said: None,
            saying: None,
            had_pattern: false,
            owned: BTreeMap::new(),
            target: BTreeSet::new(),
            names: BTreeMap::new(),
            name_at: now,
            owed: 0,
            commits: Commits::default(),
            commit_at: now,
            last_heard: now,
            polled_at: now,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &Str {
        &self.id
    }

    /// The epoch in which it is in the group; 0 while it is not.
    #[must_use]
    pub const fn epoch(&self) -> i32 {
        self.epoch
    }

    /// When [`Event::Tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let stalled = self.has_come_in().then(|| self.polled_at.after(self.settings.poll_interval_max));
        let Next::At(next) = self.next else { return stalled };
        let plan = self.plans().into_iter().map(|(at, _)| at.max(next)).min();
        [plan, self.commits.next_deadline(), stalled].into_iter().flatten().min()
    }

    /// Takes in what happened; `effects` gets what to do about it.
    pub fn step(&mut self, now: Moment, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Answered(answer) => self.answered(now, answer, effects),
            Event::Read(partition, next) => {
                if self.settings.commit_interval.is_some() && self.owned.contains_key(&partition) {
                    self.commits.read(partition, next);
                }
            }
            Event::Commit(id, offsets) if self.has_come_in() => {
                self.commits.want(id, offsets, now.after(self.settings.patience));
            }
            Event::Commit(id, _) => effects.push(Effect::Committed(id, Err(not_now(&self.settings.group)))),
            Event::Polled => self.polled_at = now,
            Event::Released => self.owed = self.owed.saturating_sub(1),
            Event::Subscribe(subscription) => self.settings.subscription = subscription,
            Event::Leave => self.leave(now, effects),
            Event::Tick => {}
        }
        self.refuse_late_commits(now, effects);
        let is_stalled = self.polled_at.after(self.settings.poll_interval_max) <= now;
        if self.has_come_in() && is_stalled {
            self.go_away(effects);
        }
        if self.phase == Phase::Away && matches!(self.next, Next::At(_)) && !is_stalled {
            self.phase = Phase::Joining;
        }
        self.reconcile(now, effects);
        while let Next::At(at) = self.next
            && at <= now
            && let Some(plan) = self.plans().into_iter().find(|(at, _)| *at <= now).map(|(_, plan)| plan)
        {
            self.carry_out(now, plan, effects);
        }
    }

    /// Whether the group counts on this member.
    fn has_come_in(&self) -> bool {
        match self.phase {
            Phase::Reading | Phase::GivingBack { .. } => true,
            Phase::Joining | Phase::Leaving { .. } | Phase::Away | Phase::Over => false,
        }
    }

    /// What may be done, and from when on; what is more urgent comes first.
    fn plans(&self) -> Vec<(Moment, Plan)> {
        let at_once = Moment::default();
        let (has_wanted, has_read) = (self.commits.has_wanted(), self.commits.has_read());
        let mut plans = Vec::new();
        match &self.phase {
            Phase::Joining => plans.push((at_once, Plan::Beat)),
            Phase::Reading | Phase::GivingBack { .. } => {
                plans.push((if self.has_news() { at_once } else { self.heartbeat_at }, Plan::Beat));
                if has_wanted {
                    plans.push((at_once, Plan::Commit));
                }
                if let Phase::GivingBack { until, .. } = &self.phase
                    && self.owed == 0
                {
                    plans.push((*until, Plan::GoOn));
                    let plan = if has_read || has_wanted { Plan::Commit } else { Plan::GoOn };
                    plans.push((at_once, plan));
                } else if has_read {
                    plans.push((self.commit_at, Plan::Commit));
                }
                if self.target.iter().any(|(id, _)| !self.names.contains_key(id)) {
                    plans.push((self.name_at, Plan::Name));
                }
            }
            Phase::Leaving { until } => {
                plans.push((*until, Plan::End));
                plans.push((
                    at_once,
                    match has_wanted || has_read {
                        // It must know its epoch.
                        true if self.said.is_none() => Plan::Beat,
                        true => Plan::Commit,
                        false => Plan::Leave,
                    },
                ));
            }
            Phase::Away | Phase::Over => {}
        }
        plans
    }

    fn carry_out(&mut self, now: Moment, plan: Plan, effects: &mut Vec<Effect>) {
        let asked = match plan {
            Plan::Beat => {
                self.saying = Some(self.say());
                Asked::Beat(self.heartbeat_request())
            }
            Plan::Commit => {
                let offsets = self.commits.next(true).unwrap_or_default();
                let request = self.commit_request(&offsets);
                self.commits.sent(offsets);
                Asked::Commit(request)
            }
            Plan::Name => Asked::Name(self.nameless()),
            Plan::Leave => Asked::Beat(self.leave_request()),
            Plan::GoOn => return self.go_on(now, effects),
            Plan::End => return self.end(effects),
        };
        self.next = Next::Answer(plan);
        effects.push(Effect::Ask(asked));
    }

    fn answered(&mut self, now: Moment, answer: Result<Answer, ClientError>, effects: &mut Vec<Effect>) {
        let Next::Answer(plan) = std::mem::replace(&mut self.next, Next::At(now)) else { return };
        let checked = answer.and_then(|answer| {
            let (code, message) = code(&answer);
            ClientError::check(code, message, || {
                let what = if plan == Plan::Commit { "a commit" } else { "this member" };
                format!("group '{}' does not take {what}", self.settings.group)
            })?;
            Ok(answer)
        });
        match checked {
            Ok(answer) => {
                self.last_heard = now;
                self.back_off = self.settings.back_off;
                self.heard(now, plan, answer, effects);
            }
            Err(error) => self.refused(now, plan, error, effects),
        }
    }

    fn heard(&mut self, now: Moment, plan: Plan, answer: Answer, effects: &mut Vec<Effect>) {
        match (plan, answer) {
            (Plan::Leave, _) => match self.phase {
                Phase::Leaving { .. } => self.end(effects),
                Phase::Joining | Phase::Reading | Phase::GivingBack { .. } | Phase::Away | Phase::Over => {}
            },
            (_, Answer::Beat(answer)) => self.beat(now, answer, effects),
            (_, Answer::Commit(_)) => self.committed(now, effects),
            (_, Answer::Name(found)) => {
                self.names.extend(found);
                self.name_at = now.after(self.settings.back_off.shortest());
            }
            // Of the classic protocol.
            (_, Answer::Join(_) | Answer::Sync(_) | Answer::Heartbeat(_) | Answer::Leave | Answer::Count(_)) => {}
        }
    }

    /// The coordinator heard a heartbeat.
    fn beat(&mut self, now: Moment, answer: ConsumerGroupHeartbeatResponse, effects: &mut Vec<Effect>) {
        self.said = self.saying.take();
        self.epoch = answer.member_epoch;
        if let Some(id) = answer.member_id.filter(|id| !id.is_empty()) {
            self.id = id;
        }
        let interval = Duration::from_millis(u64::try_from(answer.heartbeat_interval_ms).unwrap_or(0));
        self.heartbeat_at = now.after(interval.max(self.settings.back_off.shortest()));
        if let Some(assignment) = answer.assignment {
            let topics = assignment.topic_partitions.into_iter();
            let all = topics.flat_map(|it| it.partitions.into_iter().map(move |index| (it.topic_id, index)));
            self.target = all.collect();
            let (target, owned) = (&self.target, &self.owned);
            self.names.retain(|id, _| target.iter().any(|(other, _)| other == id) || owned.values().any(|it| it == id));
            self.name_at = now;
        }
        if self.phase == Phase::Joining {
            self.phase = Phase::Reading;
            self.commit_at = now.after(self.settings.commit_interval.unwrap_or_default());
            if self.target.is_empty() {
                // Nothing, for now: that is news too.
                effects.push(Effect::Assigned(Vec::new()));
            }
        }
    }

    /// Goes towards what the coordinator wants: gives back first, and takes then.
    fn reconcile(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.phase != Phase::Reading {
            return;
        }
        let known = self.target.iter().filter_map(|(id, index)| Some(((self.names.get(id)?.clone(), *index), *id)));
        let target = known.collect::<BTreeMap<_, _>>();
        let lacks = |other: &BTreeMap<Partition, TopicId>, (partition, id): (&Partition, &TopicId)| {
            other.get(partition) != Some(id)
        };
        let goes = self.owned.iter().filter(|it| lacks(&target, *it));
        let goes = goes.map(|(partition, id)| (partition.clone(), *id)).collect::<BTreeMap<_, _>>();
        if !goes.is_empty() {
            self.owed += 1;
            effects.push(Effect::Revoked(goes.keys().cloned().collect()));
            self.phase = Phase::GivingBack { goes, until: now.after(self.settings.poll_interval_max) };
            return;
        }
        let comes = target.iter().filter(|it| lacks(&self.owned, *it)).map(|(partition, _)| partition.clone());
        let comes = comes.collect::<Vec<_>>();
        if !comes.is_empty() {
            self.owned = target;
            effects.push(Effect::Assigned(comes));
        }
    }

    fn go_on(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if let Phase::GivingBack { goes, .. } = std::mem::replace(&mut self.phase, Phase::Reading) {
            self.owned.retain(|partition, _| !goes.contains_key(partition));
            self.commits.forget(goes.keys());
        }
        self.reconcile(now, effects);
    }

    fn committed(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if let Some(id) = self.commits.written() {
            effects.push(Effect::Committed(id, Ok(())));
        } else if let Some(interval) = self.settings.commit_interval {
            self.commit_at = now.after(interval);
        }
    }

    fn refused(&mut self, now: Moment, plan: Plan, error: ClientError, effects: &mut Vec<Effect>) {
        let verdict = verdict(&error, plan == Plan::Beat && self.epoch == 0);
        let was_waited_for = plan == Plan::Commit && self.commits.came_back();
        if plan == Plan::Beat || matches!(verdict, Verdict::Stale) {
            // It may have been heard, or not.
            (self.said, self.saying) = (None, None);
        }
        match (&self.phase, verdict) {
            (Phase::Away | Phase::Over, _) => {}
            (Phase::Leaving { .. }, Verdict::Fenced | Verdict::Fatal) => self.end(effects),
            (_, Verdict::Passes | Verdict::Stale) => {
                let was_long = self.last_heard.after(self.settings.patience) <= now;
                if was_long && !matches!(self.phase, Phase::Leaving { .. }) {
                    return self.fail(error, effects);
                }
                if plan != Plan::Name && verdict::may_be_elsewhere(&error) {
                    effects.push(Effect::ForgetCoordinator);
                }
                let later = now.after(self.back_off.advance());
                if plan == Plan::Name { self.name_at = later } else { self.next = Next::At(later) }
            }
            (_, Verdict::Fenced) => {
                self.lose(effects);
                self.phase = Phase::Joining;
                self.next = Next::At(now.after(self.back_off.advance()));
            }
            (_, Verdict::Fatal) if was_waited_for => {
                effects.extend(self.commits.take_first().map(|id| Effect::Committed(id, Err(error))));
            }
            (_, Verdict::Fatal) => self.fail(self.explained(plan, error), effects),
        }
    }

    fn refuse_late_commits(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        while let Some(id) = self.commits.take_late(now) {
            let what = format!("group '{}' does not take a commit", self.settings.group);
            let message = Some(format!("not within {} ms", self.settings.patience.as_millis()));
            let late = ClientError::Refused { what, code: ErrorCode::RequestTimedOut, message };
            effects.push(Effect::Committed(id, Err(late)));
        }
    }
}
