//! A member of a classic group: what it asks of the coordinator next, what it may read, and what it commits.
//!
//! *Invariant*: from [`Effect::Assigned`] until it is given back ([`Effect::Revoked`] and then [`Event::Released`], or
//! [`Effect::Lost`]) a partition is this member's alone; what is committed by itself was said to be read before
//! ([`Event::Read`]). One request is on its way at most.
//! *Does not know*: where the coordinator is, sockets, the clock, and what is done with what is read.
//!
//! When all of its assignors can do it, members keep what they read while they join, and give back only what the group
//! takes from them (the cooperative protocol, KIP-429); otherwise everything is given back before (the eager one).
//!
//! Source: Kafka 3.9 `AbstractCoordinator.java`, `ConsumerCoordinator.java`.

use std::collections::{BTreeMap, BTreeSet};

use super::assignor::{Subscriber, assign};
use super::commits::Commits;
use crate::client::cluster::BackOff;
use crate::client::config::AssignorName;
use crate::client::error::ClientError;
use crate::model::{ErrorCode, Moment};
use crate::wire::EncodeError;
use crate::wire::Str;
use crate::wire::consumer_protocol::{Assignment, TopicPartitions, from_bytes, to_bytes};
use crate::wire::message::sync_group::SyncGroupRequestAssignment;
use crate::wire::message::{JoinGroupResponse, SyncGroupResponse};

mod ending;
mod requests;
mod settings;
#[cfg(test)]
mod tests;
mod verdict;

use ending::not_now;
pub(super) use requests::{commit_topics, millis};
pub use settings::{Answer, Asked, CommitId, Effect, Event, MemberSettings, Offsets, Partition, Subscription};
pub(super) use verdict::code_of_commit;
use verdict::{Verdict, code, verdict};

/// See the module.
#[derive(Debug)]
pub struct Member {
    settings: MemberSettings,
    phase: Phase,
    next: Next,
    /// Empty before the coordinator gave one out.
    id: Str,
    /// −1 outside of one.
    generation: i32,
    /// What it reads.
    owned: BTreeSet<Partition>,
    /// What it was last told to read, and in which generation, for assignors that let members keep it.
    told: (Vec<Partition>, i32),
    commits: Commits,
    /// It subscribes to something else since it joined.
    is_out_of_date: bool,
    back_off: BackOff,
    /// When the coordinator last said something other than an error that passes.
    last_heard: Moment,
    /// When somebody last asked for records.
    polled_at: Moment,
}

/// What the member is about.
#[derive(PartialEq, Debug)]
enum Phase {
    /// It is coming in.
    Joining,
    /// It leads, and must know how many partitions there are.
    Counting(AssignorName, Vec<Subscriber>),
    /// Its generation is complete, and it hears what to read.
    Syncing { assignments: Vec<SyncGroupRequestAssignment>, assignor: Str, counted: Option<BTreeMap<Str, i32>> },
    /// It reads.
    Reading(Reading),
    /// It gives back what was revoked: it is waited for until that is done with, and committed; then it joins again.
    Revoking { heartbeat_at: Moment, released: bool, revoked: Vec<Partition>, added: Vec<Partition> },
    /// It commits and goes.
    Leaving {
        /// What is on its way was asked in this phase.
        asked: bool,
    },
    /// Nobody asks for records: it has left, and comes back when somebody does.
    Away,
    /// Nothing more will happen.
    Over,
}

#[derive(PartialEq, Debug)]
struct Reading {
    heartbeat_at: Moment,
    commit_at: Moment,
    /// For a leader: when to count again, and what it counted.
    look: Option<(Moment, BTreeMap<Str, i32>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// The answer to what was asked.
    Answer,
    /// What the phase asks for, at this time.
    At(Moment),
}

impl Member {
    /// A member that begins to join with the first [`Event::Tick`].
    #[must_use]
    pub fn new(settings: MemberSettings, now: Moment) -> Self {
        let back_off = settings.back_off;
        Self {
            settings,
            phase: Phase::Joining,
            next: Next::At(now),
            id: Str::from_static(""),
            generation: -1,
            owned: BTreeSet::new(),
            told: (Vec::new(), -1),
            commits: Commits::default(),
            is_out_of_date: false,
            back_off,
            last_heard: now,
            polled_at: now,
        }
    }

    /// When [`Event::Tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let stalled = self.polled_at.after(self.settings.poll_interval_max);
        let Next::At(next) = self.next else {
            return self.has_come_in().then_some(stalled);
        };
        let due = match &self.phase {
            Phase::Over | Phase::Away => return None,
            Phase::Reading(reading) => next.max(self.due(reading)),
            Phase::Revoking { released: true, .. } => next,
            Phase::Revoking { heartbeat_at, .. } if !self.commits.has_wanted() => next.max(*heartbeat_at),
            Phase::Revoking { .. }
            | Phase::Joining
            | Phase::Counting(..)
            | Phase::Syncing { .. }
            | Phase::Leaving { .. } => next,
        };
        Some(if self.has_come_in() { due.min(stalled) } else { due })
    }

    /// Takes in what happened; `effects` gets what to do about it.
    pub fn step(&mut self, now: Moment, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Answered(answer) => self.answered(now, answer, effects),
            Event::Read(partition, next) => {
                if self.settings.commit_interval.is_some() && self.owned.contains(&partition) {
                    self.commits.read(partition, next);
                }
            }
            Event::Commit(id, offsets) => self.commit(now, id, offsets, effects),
            Event::Polled => self.polled_at = now,
            Event::Released => self.released(),
            Event::Subscribe(subscription) => {
                self.is_out_of_date |= self.settings.subscription != subscription;
                self.settings.subscription = subscription;
                self.rejoin_if_out_of_date(now, effects);
            }
            Event::Leave => self.leave(now, effects),
            Event::Tick => {}
        }
        let is_stalled = self.polled_at.after(self.settings.poll_interval_max) <= now;
        if self.has_come_in() && is_stalled {
            self.go_away(now, effects);
        }
        if self.phase == Phase::Away && self.next != Next::Answer && !is_stalled {
            self.phase = Phase::Joining;
            self.next = Next::At(now);
        }
        if let Next::At(at) = self.next
            && at <= now
        {
            self.ask(now, effects);
        }
    }

    /// Whether the group waits for this member.
    fn has_come_in(&self) -> bool {
        match self.phase {
            Phase::Reading(_) | Phase::Revoking { .. } => true,
            Phase::Joining
            | Phase::Counting(..)
            | Phase::Syncing { .. }
            | Phase::Leaving { .. }
            | Phase::Away
            | Phase::Over => false,
        }
    }

    fn due(&self, reading: &Reading) -> Moment {
        if self.commits.has_wanted() {
            return Moment::default();
        }
        let commit = self.commits.has_read().then_some(reading.commit_at);
        let look = reading.look.as_ref().map(|(at, _)| *at);
        [commit, look].into_iter().flatten().fold(reading.heartbeat_at, Moment::min)
    }

    /// Asks what the phase asks for, if it is time.
    fn ask(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let mut committing = None;
        let asked = match &self.phase {
            Phase::Joining => self.join_request().map(Asked::Join),
            Phase::Counting(_, members) => Ok(Asked::Count(wanted(members))),
            Phase::Syncing { assignments, assignor, .. } => {
                Ok(Asked::Sync(self.sync_request(assignments.clone(), assignor)))
            }
            Phase::Reading(reading) => {
                committing = self.commits.next(reading.commit_at <= now).filter(|_| now < reading.heartbeat_at);
                let look = reading.look.as_ref().filter(|(at, _)| *at <= now);
                Ok(if reading.heartbeat_at <= now {
                    Asked::Heartbeat(self.heartbeat_request())
                } else if let Some(offsets) = &committing {
                    Asked::Commit(self.commit_request(offsets))
                } else if let Some((_, counted)) = look {
                    Asked::Count(counted.keys().cloned().collect())
                } else {
                    return;
                })
            }
            Phase::Revoking { heartbeat_at, released, .. } => {
                committing = self.commits.next(*released);
                if let Some(offsets) = &committing {
                    Ok(Asked::Commit(self.commit_request(offsets)))
                } else if *released {
                    return self.gave_back(now, effects);
                } else if *heartbeat_at <= now {
                    Ok(Asked::Heartbeat(self.heartbeat_request()))
                } else {
                    return;
                }
            }
            Phase::Leaving { .. } => {
                committing = self.commits.next(true);
                match &committing {
                    Some(offsets) => Ok(Asked::Commit(self.commit_request(offsets))),
                    // A static member is expected back (KIP-345).
                    None if self.settings.instance.is_some() => return self.end(effects),
                    None => Ok(Asked::Leave(self.leave_request())),
                }
            }
            Phase::Away | Phase::Over => return,
        };
        match asked {
            Ok(asked) => {
                self.next = Next::Answer;
                if let Some(offsets) = committing {
                    self.commits.sent(offsets);
                }
                match &mut self.phase {
                    Phase::Leaving { asked } => *asked = true,
                    Phase::Joining => self.is_out_of_date = false,
                    Phase::Counting(..)
                    | Phase::Syncing { .. }
                    | Phase::Reading(_)
                    | Phase::Revoking { .. }
                    | Phase::Away
                    | Phase::Over => {}
                }
                effects.push(Effect::Ask(asked));
            }
            Err(error) => self.fail(error, effects),
        }
    }

    /// Somebody wants this committed, and waits for it.
    fn commit(&mut self, now: Moment, id: CommitId, offsets: Offsets, effects: &mut Vec<Effect>) {
        if self.has_come_in() {
            self.commits.want(id, offsets, now.after(self.settings.patience));
        } else {
            effects.push(Effect::Committed(id, Err(not_now(&self.settings.group))));
        }
    }

    fn answered(&mut self, now: Moment, answer: Result<Answer, ClientError>, effects: &mut Vec<Effect>) {
        self.next = Next::At(now);
        let checked = answer.and_then(|answer| {
            let code = code(&answer);
            if let (Answer::Join(given), ErrorCode::MemberIdRequired) = (&answer, code) {
                // It was given one, and comes back with it (KIP-394).
                self.id = given.member_id.clone();
                return Ok(answer);
            }
            ClientError::check(code, None, || format!("group '{}' does not take this member", self.settings.group))?;
            Ok(answer)
        });
        match checked {
            Ok(answer) => {
                self.last_heard = now;
                self.back_off = self.settings.back_off;
                self.heard(now, answer, effects);
            }
            Err(error) => self.refused(now, error, effects),
        }
        self.rejoin_if_out_of_date(now, effects);
    }

    /// Something good was answered. What was asked in an earlier phase only matters if it still is what it was.
    fn heard(&mut self, now: Moment, answer: Answer, effects: &mut Vec<Effect>) {
        if let Answer::Commit(_) = answer {
            effects.extend(self.commits.written().map(|id| Effect::Committed(id, Ok(()))));
        }
        match (&mut self.phase, answer) {
            (_, Answer::Join(JoinGroupResponse { error_code: ErrorCode::MemberIdRequired, .. })) => {}
            (Phase::Joining, Answer::Join(joined)) => self.joined(joined, effects),
            (Phase::Counting(assignor, members), Answer::Count(counted)) => {
                let (assignor, members) = (*assignor, std::mem::take(members));
                self.assign(assignor, members, counted, effects);
            }
            (Phase::Syncing { counted, .. }, Answer::Sync(synced)) => {
                let look = counted.take().map(|counted| (now.after(self.settings.look_interval), counted));
                self.synced(now, &synced, look, effects);
            }
            (Phase::Reading(reading), Answer::Heartbeat(_)) => {
                reading.heartbeat_at = now.after(self.settings.heartbeat_interval);
            }
            (Phase::Revoking { heartbeat_at, .. }, Answer::Heartbeat(_)) => {
                *heartbeat_at = now.after(self.settings.heartbeat_interval);
            }
            (Phase::Reading(reading), Answer::Commit(_)) => {
                if let Some(interval) = self.settings.commit_interval {
                    reading.commit_at = now.after(interval);
                }
            }
            (Phase::Reading(reading), Answer::Count(found)) => match &mut reading.look {
                Some((at, counted)) if *counted == found => *at = now.after(self.settings.look_interval),
                Some(_) | None => self.rebalance(now, effects),
            },
            (Phase::Leaving { .. }, Answer::Join(joined)) => self.id = joined.member_id,
            (Phase::Leaving { .. }, Answer::Leave) => self.end(effects),
            // It is leaving, or came too late.
            (_, _) => {}
        }
    }

    fn joined(&mut self, joined: JoinGroupResponse, effects: &mut Vec<Effect>) {
        self.id = joined.member_id;
        self.generation = joined.generation_id;
        let assignor = joined.protocol_name.unwrap_or_default();
        if joined.leader != self.id || joined.skip_assignment {
            self.phase = Phase::Syncing { assignments: vec![], assignor, counted: None };
            return;
        }
        let members = joined.members.into_iter();
        let members = members.map(|it| Subscriber::new(it.member_id, it.group_instance_id, &it.metadata));
        match (AssignorName::parse(&assignor), members.collect::<Result<Vec<_>, _>>()) {
            (Some(assignor), Ok(members)) => self.phase = Phase::Counting(assignor, members),
            (None, _) => {
                let what = format!("group '{}' agreed on '{assignor}', which was not offered", self.settings.group);
                let code = ErrorCode::InconsistentGroupProtocol;
                self.fail(ClientError::Refused { what, code, message: None }, effects);
            }
            (_, Err(error)) => self.fail(self.broken(&error), effects),
        }
    }

    fn assign(
        &mut self,
        assignor: AssignorName,
        members: Vec<Subscriber>,
        counted: BTreeMap<Str, i32>,
        effects: &mut Vec<Effect>,
    ) {
        let assignments = assign(assignor, members, &counted).into_iter().map(|(member_id, assigned)| {
            let partitions =
                assigned.into_iter().map(|(topic, partitions)| TopicPartitions { topic, partitions }).collect();
            let assignment = to_bytes(&Assignment { partitions, user_data: None }, 0)?;
            Ok(SyncGroupRequestAssignment { member_id, assignment })
        });
        let assignor = assignor.name().into();
        match assignments.collect::<Result<Vec<_>, EncodeError>>() {
            Ok(assignments) => self.phase = Phase::Syncing { assignments, assignor, counted: Some(counted) },
            Err(error) => self.fail(self.broken(&error), effects),
        }
    }

    fn synced(
        &mut self,
        now: Moment,
        synced: &SyncGroupResponse,
        look: Option<(Moment, BTreeMap<Str, i32>)>,
        effects: &mut Vec<Effect>,
    ) {
        let assignment = match from_bytes::<Assignment>(&synced.assignment) {
            Ok(assignment) => assignment,
            Err(error) => return self.fail(self.broken(&error), effects),
        };
        let all = assignment.partitions.into_iter();
        let all = all.flat_map(|it| it.partitions.into_iter().map(move |index| (it.topic.clone(), index)));
        let all = all.collect::<BTreeSet<_>>();
        self.told = (all.iter().cloned().collect(), self.generation);
        let revoked = self.owned.difference(&all).cloned().collect::<Vec<_>>();
        let added = all.difference(&self.owned).cloned().collect::<Vec<_>>();
        let heartbeat_at = now.after(self.settings.heartbeat_interval);
        if revoked.is_empty() {
            let commit_at = now.after(self.settings.commit_interval.unwrap_or_default());
            self.take(added, effects);
            self.phase = Phase::Reading(Reading { heartbeat_at, commit_at, look });
        } else {
            effects.push(Effect::Revoked(revoked.clone()));
            self.phase = Phase::Revoking { heartbeat_at, released: false, revoked, added };
        }
    }

    fn take(&mut self, added: Vec<Partition>, effects: &mut Vec<Effect>) {
        self.owned.extend(added.iter().cloned());
        effects.push(Effect::Assigned(added));
    }

    fn refused(&mut self, now: Moment, error: ClientError, effects: &mut Vec<Effect>) {
        let verdict = verdict(&error);
        if let Phase::Leaving { asked } = self.phase {
            return self.refused_to_leave(asked, now, &verdict, &error, effects);
        }
        if self.phase == Phase::Away {
            return;
        }
        if matches!(verdict, Verdict::Fatal) || self.last_heard.after(self.settings.patience) <= now {
            return self.fail(error, effects);
        }
        let later = Next::At(now.after(self.back_off.advance()));
        match verdict {
            Verdict::Passes => {
                self.forget_if_elsewhere(&error, effects);
                if matches!(self.phase, Phase::Syncing { .. }) {
                    // Another coordinator knows nothing of a generation that was not distributed.
                    self.phase = Phase::Joining;
                }
                self.next = later;
            }
            Verdict::Rebalance => match &mut self.phase {
                Phase::Reading(_) => self.rebalance(now, effects),
                Phase::Revoking { heartbeat_at, released, .. } => {
                    *heartbeat_at = now.after(self.settings.heartbeat_interval);
                    if *released {
                        // What is not committed now is read again by others.
                        self.abandon_commits(effects);
                        self.next = later;
                    }
                }
                Phase::Joining
                | Phase::Counting(..)
                | Phase::Syncing { .. }
                | Phase::Leaving { .. }
                | Phase::Away
                | Phase::Over => {
                    self.phase = Phase::Joining;
                    self.next = later;
                }
            },
            Verdict::Unknown | Verdict::Fatal => {
                self.lose(effects);
                self.phase = Phase::Joining;
                self.next = later;
            }
        }
    }

    fn refused_to_leave(
        &mut self,
        asked: bool,
        now: Moment,
        verdict: &Verdict,
        error: &ClientError,
        effects: &mut Vec<Effect>,
    ) {
        match verdict {
            Verdict::Passes if !self.id.is_empty() => {
                self.forget_if_elsewhere(error, effects);
                self.next = Next::At(now.after(self.back_off.advance()));
            }
            // What is not committed now is read again by others.
            Verdict::Rebalance if asked => {
                self.abandon_commits(effects);
            }
            Verdict::Rebalance => {}
            Verdict::Passes | Verdict::Unknown | Verdict::Fatal => self.end(effects),
        }
    }

    fn forget_if_elsewhere(&self, error: &ClientError, effects: &mut Vec<Effect>) {
        let moved = [ErrorCode::NotCoordinator, ErrorCode::CoordinatorNotAvailable];
        let is_refusal = matches!(error, ClientError::Refused { .. });
        if !is_refusal || moved.iter().any(|code| error.is_refusal(*code)) {
            effects.push(Effect::ForgetCoordinator);
        }
    }

    /// Others want to come in, or something is to be assigned anew.
    fn rebalance(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let keeps = self.settings.is_cooperative();
        let revoked = if keeps { Vec::new() } else { self.owned.iter().cloned().collect() };
        let released = revoked.is_empty();
        if !released {
            effects.push(Effect::Revoked(revoked.clone()));
        }
        let heartbeat_at = now.after(self.settings.heartbeat_interval);
        self.phase = Phase::Revoking { heartbeat_at, released, revoked, added: Vec::new() };
        self.next = Next::At(now);
    }

    fn rejoin_if_out_of_date(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.is_out_of_date && matches!(self.phase, Phase::Reading(_)) && self.next != Next::Answer {
            self.rebalance(now, effects);
        }
    }

    /// What was revoked is done with.
    fn released(&mut self) {
        if let Phase::Revoking { released, .. } = &mut self.phase {
            *released = true;
        }
    }

    /// All that was to be committed is: it takes what is new, and joins again.
    fn gave_back(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if let Phase::Revoking { revoked, added, .. } = std::mem::replace(&mut self.phase, Phase::Joining) {
            self.owned.retain(|partition| !revoked.contains(partition));
            self.commits.forget(&revoked);
            if !added.is_empty() {
                self.take(added, effects);
            }
        }
        self.next = Next::At(now);
        self.ask(now, effects);
    }
}

/// The topics that anybody wants, each once.
fn wanted(members: &[Subscriber]) -> Vec<Str> {
    let mut topics = members.iter().flat_map(|member| member.topics.iter().cloned()).collect::<Vec<_>>();
    topics.sort_unstable();
    topics.dedup();
    topics
}
