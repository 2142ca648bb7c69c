//! What goes into a member and what comes out of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::cluster::BackOff;
use crate::client::config::{AssignorName, GroupMembership};
use crate::client::error::ClientError;
use crate::model::Offset;
use crate::wire::Str;
use crate::wire::message::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest,
    OffsetCommitResponse, SyncGroupRequest, SyncGroupResponse,
};

/// How a member behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberSettings {
    /// `group.id`.
    pub group: Str,
    /// `group.instance.id`: the name of a static member, which does not leave (KIP-345).
    pub instance: Option<Str>,
    /// What it subscribes to.
    pub topics: Vec<Str>,
    /// `partition.assignment.strategy`, most wanted first.
    pub assignors: Vec<AssignorName>,
    /// `session.timeout.ms`: silent for longer, it counts as dead.
    pub session_timeout: Duration,
    /// `max.poll.interval.ms`: how long it may take to join again, and to ask for records again.
    pub poll_interval_max: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `auto.commit.interval.ms`; `None` when nothing is committed by itself.
    pub commit_interval: Option<Duration>,
    /// `metadata.max.age.ms`: how often the leader looks whether topics have other numbers of partitions.
    pub look_interval: Duration,
    /// `retry.backoff.ms` and `retry.backoff.max.ms`.
    pub back_off: BackOff,
    /// How long errors that pass may go on.
    pub patience: Duration,
}

impl MemberSettings {
    /// Of a member that reads these topics.
    #[must_use]
    pub fn new(membership: &GroupMembership, topics: Vec<Str>, patience: Duration) -> Self {
        Self {
            group: membership.group.as_str().into(),
            instance: membership.instance.as_deref().map(Str::from),
            topics,
            assignors: membership.assignors.clone(),
            session_timeout: membership.session_timeout,
            poll_interval_max: membership.poll_interval_max,
            heartbeat_interval: membership.heartbeat_interval,
            commit_interval: membership.commit_interval,
            look_interval: Duration::from_secs(300),
            back_off: BackOff::new(),
            patience,
        }
    }

    /// Whether members keep what they read while they join: only when each of the assignors can do it.
    #[must_use]
    pub fn is_cooperative(&self) -> bool {
        self.assignors.iter().all(|assignor| *assignor == AssignorName::CooperativeSticky)
    }
}

/// A topic and a partition's number.
pub type Partition = (Str, i32);

/// Of each partition the next offset to read.
pub type Offsets = BTreeMap<Partition, Offset>;

/// Which commit is meant: the caller's number.
pub type CommitId = u64;

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
    /// Of this partition everything below the offset was read and done with: to be committed by itself, if so configured.
    Read(Partition, Offset),
    /// This is to be committed now; answered by [`Effect::Committed`].
    Commit(CommitId, Offsets),
    /// Somebody asked for records.
    Polled,
    /// What was revoked is done with.
    Released,
    /// It wants other topics.
    Subscribe(Vec<Str>),
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
    /// These may be read too, from where the group was.
    Assigned(Vec<Partition>),
    /// These are to be read no more. They are still this member's until [`Event::Released`].
    Revoked(Vec<Partition>),
    /// These may be somebody else's by now.
    Lost(Vec<Partition>),
    /// A commit came to its end.
    Committed(CommitId, Result<(), ClientError>),
    /// The member is gone.
    Left,
    /// It cannot be a member, or not any more.
    Failed(ClientError),
}
