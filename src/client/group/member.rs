//! A member of a classic group: what it asks of the coordinator next, what it may read, and what it commits.
//!
//! *Invariant*: between [`Effect::Assigned`] and the next [`Effect::Revoked`] the partitions are this member's alone in its
//! generation; what is committed was said to be read before ([`Event::Read`]). One request is on its way at most.
//! *Does not know*: where the coordinator is, sockets, the clock, and what is done with what is read.
//!
//! All partitions are given back before the member joins again (the eager protocol).
//!
//! Source: Kafka 3.9 `AbstractCoordinator.java`, `ConsumerCoordinator.java`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::assignor::{Subscriber, assign};
use crate::client::cluster::BackOff;
use crate::client::config::AssignorName;
use crate::client::error::ClientError;
use crate::model::{ErrorCode, Moment, Offset};
use crate::wire::consumer_protocol::{Assignment, TopicPartitions, from_bytes, to_bytes};
use crate::wire::message::join_group::JoinGroupResponseMember;
use crate::wire::message::sync_group::SyncGroupRequestAssignment;
use crate::wire::message::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest,
    OffsetCommitResponse, SyncGroupRequest, SyncGroupResponse,
};
use crate::wire::{DecodeError, EncodeError, Str};

mod requests;
#[cfg(test)]
mod tests;

/// How a member behaves. The defaults are those of Kafka's consumer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberSettings {
    /// `group.id`.
    pub group: Str,
    /// What it subscribes to.
    pub topics: Vec<Str>,
    /// `session.timeout.ms`: silent for longer, it counts as dead.
    pub session_timeout: Duration,
    /// `max.poll.interval.ms`: how long it may take to join again.
    pub rebalance_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `auto.commit.interval.ms`.
    pub commit_interval: Duration,
    /// `metadata.max.age.ms`: how often the leader looks whether topics have other numbers of partitions.
    pub look_interval: Duration,
    /// How long errors that pass may go on.
    pub patience: Duration,
}

impl MemberSettings {
    /// Of a member of this group that reads these topics.
    #[must_use]
    pub fn new(group: &str, topics: Vec<Str>, patience: Duration) -> Self {
        Self {
            group: group.into(),
            topics,
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(300),
            heartbeat_interval: Duration::from_secs(3),
            commit_interval: Duration::from_secs(5),
            look_interval: Duration::from_secs(300),
            patience,
        }
    }
}

/// A topic and a partition's number.
pub type Partition = (Str, i32);

/// What is asked: all but the count of the coordinator.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "named as what they carry")]
pub enum Asked {
    Join(JoinGroupRequest),
    Sync(SyncGroupRequest),
    Heartbeat(HeartbeatRequest),
    Commit(OffsetCommitRequest),
    Leave(LeaveGroupRequest),
    /// How many partitions these topics have; one that is not there is left out.
    Count(Vec<Str>),
}

/// Answers [`Asked`].
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "named as what they carry")]
pub enum Answer {
    Join(JoinGroupResponse),
    Sync(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    Commit(OffsetCommitResponse),
    Leave,
    Count(BTreeMap<Str, i32>),
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The answer to what was asked.
    Answered(Result<Answer, ClientError>),
    /// Of this partition everything below the offset was read and done with.
    Read(Partition, Offset),
    /// The member is to commit and go.
    Leave,
    /// Time passed.
    Tick,
}

/// What to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Ask the coordinator, and report with [`Event::Answered`]. What is on its way is given up: a member that leaves does
    /// not wait until all others have joined.
    Ask(Asked),
    /// The coordinator may be another one by now: look for it before the next request.
    ForgetCoordinator,
    /// These may be read, from where the group was.
    Assigned(Vec<Partition>),
    /// Nothing may be read.
    Revoked,
    /// The member is gone.
    Left,
    /// It cannot be a member, or not any more.
    Failed(ClientError),
}

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
    /// Read so far and not committed.
    uncommitted: BTreeMap<Partition, Offset>,
    /// What the last commit that was sent says.
    committing: BTreeMap<Partition, Offset>,
    back_off: BackOff,
    /// When the coordinator last said something other than an error that passes.
    last_heard: Moment,
}

/// What the member is about.
#[derive(PartialEq, Debug)]
enum Phase {
    /// It is coming in.
    Joining,
    /// It leads, and must know how many partitions there are.
    Counting(Vec<Subscriber>),
    /// Its generation is complete, and it hears what to read.
    Syncing { assignments: Vec<SyncGroupRequestAssignment>, counted: Option<BTreeMap<Str, i32>> },
    /// It reads.
    Reading(Reading),
    /// It must join again, and commits before.
    Revoking,
    /// It commits and goes.
    Leaving {
        /// What is on its way was asked in this phase.
        asked: bool,
    },
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

/// What an error means to a member.
enum Verdict {
    /// Try again.
    Passes,
    /// The group rebalances.
    Rebalance,
    /// The group knows this member no more.
    Unknown,
    /// It can never work.
    Fatal,
}

impl Member {
    /// A member that begins to join with the first [`Event::Tick`].
    #[must_use]
    pub const fn new(settings: MemberSettings, now: Moment) -> Self {
        Self {
            settings,
            phase: Phase::Joining,
            next: Next::At(now),
            id: Str::from_static(""),
            generation: -1,
            uncommitted: BTreeMap::new(),
            committing: BTreeMap::new(),
            back_off: BackOff::new(),
            last_heard: now,
        }
    }

    /// When [`Event::Tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let Next::At(next) = self.next else { return None };
        match &self.phase {
            Phase::Over => None,
            Phase::Reading(reading) => Some(next.max(self.due(reading))),
            Phase::Joining | Phase::Counting(_) | Phase::Syncing { .. } | Phase::Revoking | Phase::Leaving { .. } => {
                Some(next)
            }
        }
    }

    /// Takes in what happened; `effects` gets what to do about it.
    pub fn step(&mut self, now: Moment, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Answered(answer) => self.answered(now, answer, effects),
            Event::Read(partition, next) => {
                if let Phase::Reading(_) = self.phase {
                    self.uncommitted.insert(partition, next);
                }
            }
            Event::Leave => self.leave(now, effects),
            Event::Tick => {}
        }
        if let Next::At(at) = self.next
            && at <= now
        {
            self.ask(now, effects);
        }
    }

    fn due(&self, reading: &Reading) -> Moment {
        let commit = (!self.uncommitted.is_empty()).then_some(reading.commit_at);
        let look = reading.look.as_ref().map(|(at, _)| *at);
        [commit, look].into_iter().flatten().fold(reading.heartbeat_at, Moment::min)
    }

    /// Asks what the phase asks for, if it is time.
    fn ask(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let asked = match &self.phase {
            Phase::Joining => self.join_request().map(Asked::Join),
            Phase::Counting(members) => Ok(Asked::Count(wanted(members))),
            Phase::Syncing { assignments, .. } => Ok(Asked::Sync(self.sync_request(assignments.clone()))),
            Phase::Reading(reading) => {
                let look = reading.look.as_ref().filter(|(at, _)| *at <= now);
                Ok(if reading.heartbeat_at <= now {
                    Asked::Heartbeat(self.heartbeat_request())
                } else if !self.uncommitted.is_empty() && reading.commit_at <= now {
                    Asked::Commit(self.commit_request())
                } else if let Some((_, counted)) = look {
                    Asked::Count(counted.keys().cloned().collect())
                } else {
                    return;
                })
            }
            Phase::Revoking => Ok(Asked::Commit(self.commit_request())),
            Phase::Leaving { .. } if !self.uncommitted.is_empty() => Ok(Asked::Commit(self.commit_request())),
            Phase::Leaving { .. } => Ok(Asked::Leave(self.leave_request())),
            Phase::Over => return,
        };
        match asked {
            Ok(asked) => {
                self.next = Next::Answer;
                if let Asked::Commit(_) = asked {
                    self.committing.clone_from(&self.uncommitted);
                }
                if let Phase::Leaving { asked } = &mut self.phase {
                    *asked = true;
                }
                effects.push(Effect::Ask(asked));
            }
            Err(error) => self.fail(error, effects),
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
                self.back_off = BackOff::new();
                self.heard(now, answer, effects);
            }
            Err(error) => self.refused(now, error, effects),
        }
    }

    /// Something good was answered. What was asked in an earlier phase only matters if it still is what it was.
    fn heard(&mut self, now: Moment, answer: Answer, effects: &mut Vec<Effect>) {
        match (&mut self.phase, answer) {
            (_, Answer::Join(JoinGroupResponse { error_code: ErrorCode::MemberIdRequired, .. })) => {}
            (Phase::Joining, Answer::Join(joined)) => self.joined(joined, effects),
            (Phase::Counting(members), Answer::Count(counted)) => {
                let members = std::mem::take(members);
                self.assign(members, counted, effects);
            }
            (Phase::Syncing { counted, .. }, Answer::Sync(synced)) => {
                let look = counted.take().map(|counted| (now.after(self.settings.look_interval), counted));
                self.synced(now, &synced, look, effects);
            }
            (Phase::Reading(reading), Answer::Heartbeat(_)) => {
                reading.heartbeat_at = now.after(self.settings.heartbeat_interval);
            }
            (Phase::Reading(reading), Answer::Commit(_)) => {
                reading.commit_at = now.after(self.settings.commit_interval);
                self.committed();
            }
            (Phase::Reading(reading), Answer::Count(found)) => match &mut reading.look {
                Some((at, counted)) if *counted == found => *at = now.after(self.settings.look_interval),
                Some(_) | None => self.revoke(effects),
            },
            (Phase::Revoking, Answer::Commit(_)) => self.join_again(),
            (Phase::Leaving { .. }, Answer::Commit(_)) => self.committed(),
            (Phase::Leaving { .. }, Answer::Join(joined)) => self.id = joined.member_id,
            (Phase::Leaving { .. }, Answer::Leave) => self.end(effects),
            // It is leaving, or came too late.
            (_, _) => {}
        }
    }

    /// More may have been read since the commit was sent.
    fn committed(&mut self) {
        let committing = std::mem::take(&mut self.committing);
        self.uncommitted.retain(|partition, next| committing.get(partition) != Some(next));
    }

    fn joined(&mut self, joined: JoinGroupResponse, effects: &mut Vec<Effect>) {
        self.id = joined.member_id;
        self.generation = joined.generation_id;
        if joined.leader != self.id {
            self.phase = Phase::Syncing { assignments: vec![], counted: None };
            return;
        }
        match joined.members.into_iter().map(subscriber).collect::<Result<Vec<_>, _>>() {
            Ok(members) => self.phase = Phase::Counting(members),
            Err(error) => self.fail(self.broken(&error), effects),
        }
    }

    fn assign(&mut self, members: Vec<Subscriber>, counted: BTreeMap<Str, i32>, effects: &mut Vec<Effect>) {
        let assignments = assign(AssignorName::Range, members, &counted).into_iter().map(|(member_id, assigned)| {
            let partitions =
                assigned.into_iter().map(|(topic, partitions)| TopicPartitions { topic, partitions }).collect();
            let assignment = to_bytes(&Assignment { partitions, user_data: None }, 0)?;
            Ok(SyncGroupRequestAssignment { member_id, assignment })
        });
        match assignments.collect::<Result<Vec<_>, EncodeError>>() {
            Ok(assignments) => self.phase = Phase::Syncing { assignments, counted: Some(counted) },
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
        match from_bytes::<Assignment>(&synced.assignment) {
            Ok(assignment) => {
                let all = assignment.partitions.into_iter();
                let all = all.flat_map(|it| it.partitions.into_iter().map(move |index| (it.topic.clone(), index)));
                effects.push(Effect::Assigned(all.collect()));
                let heartbeat_at = now.after(self.settings.heartbeat_interval);
                let commit_at = now.after(self.settings.commit_interval);
                self.phase = Phase::Reading(Reading { heartbeat_at, commit_at, look });
            }
            Err(error) => self.fail(self.broken(&error), effects),
        }
    }

    fn refused(&mut self, now: Moment, error: ClientError, effects: &mut Vec<Effect>) {
        let verdict = verdict(&error);
        if let Phase::Leaving { asked } = self.phase {
            return self.refused_to_leave(asked, now, &verdict, &error, effects);
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
                    self.join_again();
                }
                self.next = later;
            }
            Verdict::Rebalance if matches!(self.phase, Phase::Reading(_)) => self.revoke(effects),
            Verdict::Rebalance => {
                self.join_again();
                self.next = later;
            }
            Verdict::Unknown | Verdict::Fatal => {
                if matches!(self.phase, Phase::Reading(_)) {
                    effects.push(Effect::Revoked);
                }
                self.id = Str::default();
                self.join_again();
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
            Verdict::Rebalance if asked => self.uncommitted.clear(),
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
    fn revoke(&mut self, effects: &mut Vec<Effect>) {
        effects.push(Effect::Revoked);
        if self.uncommitted.is_empty() {
            self.join_again();
        } else {
            self.phase = Phase::Revoking;
        }
    }

    fn join_again(&mut self) {
        self.phase = Phase::Joining;
        self.generation = -1;
        self.uncommitted.clear();
    }

    fn leave(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let waits_for_others = matches!(self.phase, Phase::Joining | Phase::Syncing { .. }) && !self.id.is_empty();
        match self.phase {
            Phase::Over | Phase::Leaving { .. } => return,
            Phase::Reading(_) => effects.push(Effect::Revoked),
            Phase::Joining | Phase::Counting(_) | Phase::Syncing { .. } | Phase::Revoking => {}
        }
        self.phase = Phase::Leaving { asked: false };
        match self.next {
            Next::At(_) if self.id.is_empty() => self.end(effects),
            Next::Answer if !waits_for_others => {}
            Next::At(_) | Next::Answer => self.next = Next::At(now),
        }
    }

    fn broken(&self, reason: &dyn std::fmt::Display) -> ClientError {
        ClientError::Group { group: self.settings.group.to_string(), reason: reason.to_string() }
    }

    fn end(&mut self, effects: &mut Vec<Effect>) {
        self.phase = Phase::Over;
        effects.push(Effect::Left);
    }

    fn fail(&mut self, error: ClientError, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Reading(_)) {
            effects.push(Effect::Revoked);
        }
        self.phase = Phase::Over;
        effects.push(Effect::Failed(error));
    }
}

/// What an answer says of all that was asked.
fn code(answer: &Answer) -> ErrorCode {
    match answer {
        Answer::Join(joined) => joined.error_code,
        Answer::Sync(synced) => synced.error_code,
        Answer::Heartbeat(heard) => heard.error_code,
        Answer::Commit(committed) => {
            let mut codes = committed.topics.iter().flat_map(|topic| &topic.partitions).map(|it| it.error_code);
            codes.find(|code| code.is_error()).unwrap_or(ErrorCode::None)
        }
        Answer::Leave | Answer::Count(_) => ErrorCode::None,
    }
}

fn verdict(error: &ClientError) -> Verdict {
    if error.is_refusal(ErrorCode::RebalanceInProgress) {
        Verdict::Rebalance
    } else if error.is_refusal(ErrorCode::UnknownMemberId) || error.is_refusal(ErrorCode::IllegalGeneration) {
        Verdict::Unknown
    } else if error.is_retriable() {
        Verdict::Passes
    } else {
        Verdict::Fatal
    }
}

fn subscriber(member: JoinGroupResponseMember) -> Result<Subscriber, DecodeError> {
    Subscriber::new(member.member_id, member.group_instance_id, &member.metadata)
}

/// The topics that anybody wants, each once.
fn wanted(members: &[Subscriber]) -> Vec<Str> {
    let mut topics = members.iter().flat_map(|member| member.topics.iter().cloned()).collect::<Vec<_>>();
    topics.sort_unstable();
    topics.dedup();
    topics
}
