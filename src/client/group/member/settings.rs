//! What goes into a member and what comes out of it, of either protocol.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::cluster::BackOff;
use crate::client::config::{AssignorName, GroupMembership, GroupProtocol};
use crate::client::error::ClientError;
use crate::model::{Offset, TopicId};
use crate::wire::Str;
use crate::wire::message::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest, OffsetCommitResponse,
    SyncGroupRequest, SyncGroupResponse,
};

/// How a member behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberSettings {
    /// `group.id`.
    pub group: Str,
    /// `group.instance.id`: the name of a static member, which does not leave (KIP-345).
    pub instance: Option<Str>,
    /// What it subscribes to.
    pub subscription: Subscription,
    /// `group.protocol`: which machine it is.
    pub protocol: GroupProtocol,
    /// `client.rack`, which the consumer protocol says to the coordinator.
    pub rack: Option<Str>,
    /// `partition.assignment.strategy`, most wanted first. Of the classic protocol.
    pub assignors: Vec<AssignorName>,
    /// `session.timeout.ms`: silent for longer, it counts as dead. Of the classic protocol.
    pub session_timeout: Duration,
    /// `max.poll.interval.ms`: how long it may take to join again or to give back, and to ask for records again.
    pub poll_interval_max: Duration,
    /// `heartbeat.interval.ms`. Of the classic protocol.
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
    /// Of a member that subscribes to this.
    #[must_use]
    pub fn new(membership: &GroupMembership, subscription: Subscription, patience: Duration) -> Self {
        Self {
            group: membership.group.as_str().into(),
            instance: membership.instance.as_deref().map(Str::from),
            subscription,
            protocol: membership.protocol.clone(),
            rack: None,
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

/// What a member wants to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subscription {
    /// Topics by name.
    Names(Vec<Str>),
    /// All topics whose name an RE2 pattern matches: the coordinator looks for them. Only in the consumer protocol.
    Pattern(Str),
}

impl Subscription {
    /// The names, as far as the member knows them.
    #[must_use]
    pub fn names(&self) -> &[Str] {
        match self {
            Self::Names(names) => names,
            Self::Pattern(_) => &[],
        }
    }
}

impl<const N: usize> From<[&'static str; N]> for Subscription {
    fn from(names: [&'static str; N]) -> Self {
        Self::Names(names.into_iter().map(Str::from_static).collect())
    }
}

/// A topic and a partition's number.
pub type Partition = (Str, i32);

/// Of each partition the next offset to read.
pub type Offsets = BTreeMap<Partition, Offset>;

/// Which commit is meant: the caller's number.
pub type CommitId = u64;

/// What is asked: all but [`Self::Count`] and [`Self::Name`] of the coordinator.
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
    /// The heartbeat of the consumer protocol, which also joins and leaves.
    Beat(ConsumerGroupHeartbeatRequest),
    /// How these topics are called; one that is not there is left out.
    Name(Vec<TopicId>),
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
    Beat(ConsumerGroupHeartbeatResponse),
    Name(BTreeMap<TopicId, Str>),
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
    Subscribe(Subscription),
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
