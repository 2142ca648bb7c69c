//! What a coordinator is asked and what it answers, in words of its own: no version of the protocol has all of them.
//!
//! Texts and bytes may be slices of a request's frame. What the coordinator keeps, it copies.

use std::time::Duration;

use bytes::Bytes;

use super::consumer::{ConsumerHeartbeat, ConsumerHeartbeatReply, ConsumerRules, Refusal};
use crate::model::{ErrorCode, LeaderEpoch, Moment, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::wire::Str;

/// What time it is, on both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// For deadlines.
    pub moment: Moment,
    /// For what is written into records.
    pub timestamp: Timestamp,
}

/// The broker's settings that a coordinator depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`, in members.
    pub group_size_max: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `offset.metadata.max.bytes`. Kafka counts UTF-16 units, whatever the name says.
    pub offset_metadata_max: usize,
    /// The consumer protocol's.
    pub consumer: ConsumerRules,
}

/// What a member can speak, and what it says about itself in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protocol {
    /// For a consumer the name of an assignor, for instance `range`.
    pub name: Str,
    /// Understood by the leader of the group, and for the type `consumer` a little by the coordinator.
    pub metadata: Bytes,
}

/// A request that may change something. Each is for one group; a batch for many is split before.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// JoinGroup.
    Join(Join),
    /// SyncGroup.
    Sync(Sync),
    /// Heartbeat.
    Heartbeat(Heartbeat),
    /// LeaveGroup.
    Leave(Leave),
    /// ConsumerGroupHeartbeat.
    ConsumerHeartbeat(ConsumerHeartbeat),
    /// OffsetCommit, or TxnOffsetCommit.
    Commit(Commit),
    /// One group of DeleteGroups.
    Delete {
        /// Which.
        group: Str,
    },
    /// OffsetDelete.
    DeleteOffsets {
        /// Of which group.
        group: Str,
        /// Topics and partitions' numbers.
        partitions: Vec<(Str, i32)>,
    },
}

/// JoinGroup.
#[derive(Clone, PartialEq, Debug)]
pub struct Join {
    /// The group.
    pub group: Str,
    /// The request's version: it says whether the client knows of required member ids (4) and of skipped assignments (9),
    /// and that its rebalance time-out is that of the session (0).
    pub version: i16,
    /// Empty when the member has none yet.
    pub member_id: Str,
    /// The name of a static member.
    pub instance_id: Option<Str>,
    /// The request header's client id; empty for none.
    pub client_id: Str,
    /// Where the client comes from, as Kafka writes it: `/192.0.2.1`.
    pub client_host: Str,
    /// How long the member may be silent.
    pub session_timeout_ms: i32,
    /// How long it may take to join again.
    pub rebalance_timeout_ms: i32,
    /// What kind of group it expects.
    pub protocol_type: Str,
    /// What it can speak, the best first.
    pub protocols: Vec<Protocol>,
    /// Random bytes, for the id of a new member.
    pub random: [u8; 16],
}

/// SyncGroup.
#[derive(Clone, PartialEq, Debug)]
pub struct Sync {
    /// The group.
    pub group: Str,
    /// The request's version: from 5 on it must name protocol type and protocol (KIP-559).
    pub version: i16,
    /// Which rebalance the member speaks of.
    pub generation: i32,
    /// The member.
    pub member_id: Str,
    /// The name of a static member.
    pub instance_id: Option<Str>,
    /// What kind of group it is.
    pub protocol_type: Option<Str>,
    /// The protocol that was chosen.
    pub protocol: Option<Str>,
    /// From the leader: what each member is to read.
    pub assignments: Vec<(Str, Bytes)>,
}

/// Heartbeat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    /// The group.
    pub group: Str,
    /// Which rebalance the member speaks of.
    pub generation: i32,
    /// The member.
    pub member_id: Str,
    /// The name of a static member.
    pub instance_id: Option<Str>,
}

/// LeaveGroup. Versions before 3 name one member, which is never static.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leave {
    /// The group.
    pub group: Str,
    /// Who is to leave.
    pub members: Vec<Leaving>,
}

/// One member that is to leave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaving {
    /// Empty when an administrator removes a static member.
    pub member_id: Str,
    /// The name of a static member.
    pub instance_id: Option<Str>,
}

/// OffsetCommit, or TxnOffsetCommit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// The group. Even the empty name is one.
    pub group: Str,
    /// The request's version: from 9 on the client knows of members' epochs (KIP-848).
    pub version: i16,
    /// Which rebalance the member speaks of, or its epoch; −1 when it is no member.
    pub generation: i32,
    /// Empty when it is no member.
    pub member_id: Str,
    /// The name of a static member.
    pub instance_id: Option<Str>,
    /// How long to keep the offsets; `None` (−1) for the broker's setting. Versions 2 to 4 only.
    pub retention_ms: Option<i64>,
    /// The producer whose transaction the commit belongs to. The shell has verified that it is open.
    pub transaction: Option<(ProducerId, ProducerEpoch)>,
    /// What to commit, of topics that exist.
    pub offsets: Vec<NewOffset>,
}

/// One offset to commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewOffset {
    /// The topic.
    pub topic: Str,
    /// The partition's number.
    pub partition: i32,
    /// Where to continue.
    pub offset: Offset,
    /// The leader epoch of the last record read, or [`LeaderEpoch::NONE`].
    pub leader_epoch: LeaderEpoch,
    /// What the client wants stored along with it. Null is stored as the empty text, as Kafka does.
    pub metadata: Str,
    /// When it was committed; `None` for now. Version 1 only.
    pub timestamp: Option<Timestamp>,
}

/// Answers a [`Request`].
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// To a join.
    Join(JoinReply),
    /// To a sync.
    Sync(SyncReply),
    /// To a heartbeat.
    Heartbeat(ErrorCode),
    /// To a leave: what went wrong with all, or each member's outcome in the order of the request. Versions before 3 have
    /// no room for the latter and say the first as the former.
    Leave(Result<Vec<ErrorCode>, ErrorCode>),
    /// To a heartbeat of the consumer protocol.
    ConsumerHeartbeat(Result<ConsumerHeartbeatReply, Refusal>),
    /// To a commit: each offset's outcome, in the order of the request.
    Commit(Vec<ErrorCode>),
    /// To the deletion of a group.
    Delete(ErrorCode),
    /// To the deletion of offsets: what went wrong with the group, or each partition's outcome in the order of the request.
    DeleteOffsets(Result<Vec<ErrorCode>, ErrorCode>),
}

/// Answers a join.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinReply {
    /// What went wrong, if anything.
    pub error: ErrorCode,
    /// Which rebalance this is; −1 for none.
    pub generation: i32,
    /// What kind of group it is.
    pub protocol_type: Option<Str>,
    /// The protocol chosen. Versions before 7 say the empty text instead of null.
    pub protocol: Option<Str>,
    /// The member that assigns; empty for none.
    pub leader: Str,
    /// The leader need not assign: the generation goes on with what it has (KIP-814).
    pub skip_assignment: bool,
    /// The id of the member that asked.
    pub member_id: Str,
    /// All members, for the leader.
    pub members: Vec<JoinedMember>,
}

/// A member, as its leader hears of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: Str,
    /// The name of a static member.
    pub instance_id: Option<Str>,
    /// What it says about itself in the chosen protocol.
    pub metadata: Bytes,
}

/// Answers a sync.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncReply {
    /// What went wrong, if anything.
    pub error: ErrorCode,
    /// What kind of group it is.
    pub protocol_type: Option<Str>,
    /// The protocol chosen.
    pub protocol: Option<Str>,
    /// What the member is to read.
    pub assignment: Bytes,
}

impl JoinReply {
    /// Something went wrong.
    #[must_use]
    pub fn refused(member_id: Str, error: ErrorCode) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: Str::default(),
            skip_assignment: false,
            member_id,
            members: Vec::new(),
        }
    }
}

impl SyncReply {
    /// Something went wrong.
    #[must_use]
    pub const fn refused(error: ErrorCode) -> Self {
        Self { error, protocol_type: None, protocol: None, assignment: Bytes::new() }
    }
}

impl Request {
    /// The group that it is for.
    #[must_use]
    pub const fn group(&self) -> &Str {
        match self {
            Self::Join(join) => &join.group,
            Self::Sync(sync) => &sync.group,
            Self::Heartbeat(heartbeat) => &heartbeat.group,
            Self::Leave(leave) => &leave.group,
            Self::ConsumerHeartbeat(heartbeat) => &heartbeat.group,
            Self::Commit(commit) => &commit.group,
            Self::Delete { group } | Self::DeleteOffsets { group, .. } => group,
        }
    }

    /// Whether it may be for the group without a name: offsets were once committed there.
    pub(super) const fn takes_nameless_group(&self) -> bool {
        match self {
            Self::Join(_)
            | Self::Sync(_)
            | Self::Heartbeat(_)
            | Self::Leave(_)
            | Self::ConsumerHeartbeat(_)
            | Self::DeleteOffsets { .. } => false,
            Self::Commit(commit) => commit.transaction.is_none(),
            Self::Delete { .. } => true,
        }
    }

    /// Whether it is about who is in the group, and so has to wait for what is being written about that.
    pub(super) const fn concerns_members(&self) -> bool {
        match self {
            Self::Join(_)
            | Self::Sync(_)
            | Self::Heartbeat(_)
            | Self::Leave(_)
            | Self::ConsumerHeartbeat(_)
            | Self::Delete { .. } => true,
            Self::Commit(_) | Self::DeleteOffsets { .. } => false,
        }
    }

    /// The answer when all of it is refused for this reason.
    #[must_use]
    pub fn refused(&self, error: ErrorCode) -> Reply {
        match self {
            Self::Join(join) => Reply::Join(JoinReply::refused(owned(&join.member_id), error)),
            Self::Sync(_) => Reply::Sync(SyncReply::refused(error)),
            Self::Heartbeat(_) => Reply::Heartbeat(error),
            Self::Leave(_) => Reply::Leave(Err(error)),
            Self::ConsumerHeartbeat(_) => Reply::ConsumerHeartbeat(Err(error.into())),
            Self::Commit(commit) => Reply::Commit(vec![error; commit.offsets.len()]),
            Self::Delete { .. } => Reply::Delete(error),
            Self::DeleteOffsets { .. } => Reply::DeleteOffsets(Err(error)),
        }
    }

    /// The answer while the group's records are still being read. Old clients do not expect to hear of it here: a member
    /// that syncs has to start over, and one that sends a heartbeat goes on as if nothing was.
    pub(super) fn refused_while_loading(&self) -> Reply {
        match self {
            Self::Sync(_) => self.refused(ErrorCode::RebalanceInProgress),
            Self::Heartbeat(_) => self.refused(ErrorCode::None),
            Self::Join(_)
            | Self::Leave(_)
            | Self::ConsumerHeartbeat(_)
            | Self::Commit(_)
            | Self::Delete { .. }
            | Self::DeleteOffsets { .. } => self.refused(ErrorCode::CoordinatorLoadInProgress),
        }
    }
}

/// A copy that keeps no frame alive.
pub(super) fn owned(text: &Str) -> Str {
    Str::from(text.as_str())
}

/// A time-out as a peer says it: what is negative has passed.
pub(super) fn timeout(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
