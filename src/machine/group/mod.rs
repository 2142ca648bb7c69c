//! The coordinator of the groups in one partition of `__consumer_offsets`: who is a member, in which generation, who
//! assigns, and which offsets were committed. The classic protocol is here, that of KIP-848 in `consumer`.
//!
//! *Owner*: an actor per partition of `__consumer_offsets` that this broker leads.
//! *Invariant*: what is durable changes only by replaying a record: decide → records → append → committed → replay → reply
//! (law 3). Loading is replaying. In one generation one assignment is distributed at most, and only after it is committed.
//! *Does not know*: who asked (an opaque `Ticket`), whether they may, which topics exist, bytes of records, logs.
//!
//! # How the shell drives it
//!
//! - **Finding it.** [`partition_for`] names the partition whose leader coordinates a group, given how many partitions
//!   `__consumer_offsets` has. FindCoordinator and every request of a group go by it.
//! - **Election** of this broker as the partition's leader: [`Event::Load`] with the leader epoch; then the log from its
//!   start to its end (uncommitted records too) as [`Event::Replayed`], in order; then, when all of that is committed,
//!   [`Event::Loaded`]. A batch's records are decoded by [`GroupRecord::decode`]; those of transactional batches, and their end
//!   markers, are said as such. When reading fails: try again, from [`Event::Load`]; nothing is served until it succeeds.
//! - **Resignation** (another leader, the replica stopped, the session with ZooKeeper gone): [`Event::Unload`] at once,
//!   before anything of the new epoch. Everybody who waits is told to look elsewhere.
//! - **Requests**: [`Event::Request`]; each ticket comes back in exactly one [`Effect::Reply`]. Before: authorization; in a
//!   commit, topics that do not exist (UNKNOWN_TOPIC_OR_PARTITION) are answered by the handler and left out here. Batches
//!   (DeleteGroups, OffsetFetch, DescribeGroups) are split, since groups live in different partitions. Reads change nothing
//!   and are methods: [`Coordinator::fetch_offsets`], [`Coordinator::describe`], [`Coordinator::list`].
//! - **[`Effect::Append`]**: all records as one batch, uncompressed unless `offsets.topic.compression.codec` says otherwise,
//!   CreateTime, `acks=all`, with `offsets.commit.timeout.ms`; then [`Event::Written`] with the offset of the first record, or
//!   with the log's error. Successes must be reported in the order of the log. A write is answered always; what was appended
//!   under an earlier leader epoch has no effect when it comes (law 5).
//! - **Transactions**: a commit with a producer is appended as a transactional batch. When the partition's marker is in the
//!   log (WriteTxnMarkers): [`Event::TransactionEnded`].
//! - **Topics**, for the consumer protocol: [`Event::TopicsChanged`] whenever there are others, before the next request.
//! - **Deleted topics** (UpdateMetadata with leader −2): [`Event::TopicsDeleted`], to every coordinator here.
//! - **Time**: one timer for [`Coordinator::next_deadline`], whose end is [`Event::Tick`].
//!
//! Source: Kafka 3.9 `GroupCoordinator.scala`, `GroupMetadata.scala`, `GroupMetadataManager.scala`; KIP-62, 134, 211, 345, 394,
//! 447, 496, 559, 814.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub use self::api::{
    Commit, Heartbeat, Join, JoinReply, JoinedMember, Leave, Leaving, NewOffset, Now, Protocol, Reply, Request, Rules,
    Sync, SyncReply,
};
use self::consumer::Consumer;
pub use self::consumer::{
    Assignor, ConsumerDescription, ConsumerHeartbeat, ConsumerHeartbeatReply, ConsumerRules, DescribedConsumer, Refusal,
};
use self::members::Members;
use self::offsets::Offsets;
pub use self::query::{DescribedMember, Description, FetchedOffset, Filter, Listed};
use self::timers::{Timer, Timers};
pub use self::topics::{Topic, Topics};
use self::writes::{Purpose, Writes};
use crate::model::{ErrorCode, LeaderEpoch, Moment, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::wire::Str;
use crate::wire::group_record::{GroupMetadataValue, GroupRecord};

mod api;
mod consumer;
mod join;
mod load;
mod members;
mod offsets;
mod query;
mod rebalance;
mod sync;
mod timers;
mod topics;
mod writes;

#[cfg(test)]
mod tests;

/// Groups that joins and commits may make in one partition; loading takes what is there. A group takes some 300 bytes, so
/// that 50 partitions of nothing but empty groups stay below 4 GB. A cluster has some thousands.
pub const GROUPS_PER_PARTITION_MAX: usize = 250_000;

/// Member ids that one group has given out and that have not come back. A client comes back at once with its id; more of
/// them than members a large group has are clients that went away.
pub const PENDING_MEMBERS_PER_GROUP_MAX: usize = 10_000;

/// Protocols that one member may speak. Consumers name an assignor or two, Connect three.
pub const PROTOCOLS_PER_MEMBER_MAX: usize = 100;

/// Writes that wait for their records to be committed, of one partition. Each holds a client, which waits for it.
pub const WRITES_IN_FLIGHT_MAX: usize = 20_000;

/// How long a new member may wait for its first join to be answered: the answer tells it its id, so that it sends no
/// heartbeats before, and nobody sees that it is gone. Kafka's `NewMemberJoinTimeoutMs`.
pub const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// What kind of group it is whose members' subscriptions the coordinator understands (`ConsumerProtocol.PROTOCOL_TYPE`).
const CONSUMER: &str = "consumer";

/// Number of the partition of `__consumer_offsets` that a group is kept in: Java's `String.hashCode` without its sign, by
/// the number of partitions. 0 when there are none.
#[must_use]
pub fn partition_for(group: &str, partitions: u32) -> u32 {
    let hash = group.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Kafka's `Utils.abs` makes 0 of the one number without a positive counterpart.
    hash.checked_abs().unwrap_or(0).cast_unsigned().checked_rem(partitions).unwrap_or(0)
}

/// The coordinator of the groups in one partition.
#[derive(Debug)]
pub struct Coordinator<Ticket> {
    rules: Rules,
    ownership: Ownership,
    /// The newest leader epoch heard of.
    epoch: LeaderEpoch,
    groups: BTreeMap<Str, Group<Ticket>>,
    timers: Timers,
    writes: Writes<Ticket>,
    sweep: Sweep,
    /// The newest that was heard of.
    topics: Arc<Topics>,
    /// There was a group of the consumer protocol since the last load.
    has_consumer_groups: bool,
    /// Topics that went while the records were being read: what of them is in the log is known when all of it was.
    deleted_meanwhile: BTreeSet<Str>,
}

/// Whether this broker coordinates the partition's groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// Another one does.
    Elsewhere,
    /// The records are being read.
    Loading,
    /// It does.
    Active,
}

/// Where the look for old offsets stands.
#[derive(Debug)]
struct Sweep {
    /// When to look next.
    next: Moment,
    /// The group to go on with; `None` for the first.
    from: Option<Str>,
}

/// Names a write to the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WriteId {
    /// The leader epoch that it was decided under: the batch must not be appended under another one.
    pub epoch: LeaderEpoch,
    /// Counts the writes of this coordinator.
    pub number: u64,
}

/// What happened.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the largest, a request, is the most common by far")]
pub enum Event<Ticket> {
    /// This broker was elected leader of the partition. Begins anew if it was loading this epoch.
    Load(LeaderEpoch),
    /// These records are in the log.
    Replayed(LeaderEpoch, Vec<Replayed>),
    /// All records were replayed.
    Loaded(LeaderEpoch),
    /// Another broker leads, from this epoch on; `None` when the replica is no longer here.
    Unload(Option<LeaderEpoch>),
    /// A client asks.
    Request(Ticket, Request),
    /// A write is committed, its first record having this offset, or could not be.
    Written(WriteId, Result<Offset, ErrorCode>),
    /// A producer's transaction ended: its marker is in the partition. `true` for a commit.
    TransactionEnded(ProducerId, bool),
    /// Topics were deleted.
    TopicsDeleted(BTreeSet<Str>),
    /// There are other topics than before, or they changed.
    TopicsChanged(Arc<Topics>),
    /// Settings changed.
    Configured(Rules),
    /// Time passed.
    Tick,
}

/// One record of the log, or the end of a transaction.
#[derive(Clone, PartialEq, Debug)]
#[expect(clippy::large_enum_variant, reason = "the largest, a request, is the most common by far")]
pub enum Replayed {
    /// A record and its offset; the producer, when its batch is part of a transaction.
    Record(Offset, Option<ProducerId>, GroupRecord),
    /// An end marker: `true` for a commit.
    EndOfTransaction(ProducerId, bool),
}

/// What to do, in this order.
#[derive(PartialEq, Debug)]
pub enum Effect<Ticket> {
    /// Append these records as one batch, and report with [`Event::Written`].
    Append {
        /// Names it in the report.
        write: WriteId,
        /// Of every record.
        timestamp: Timestamp,
        /// The producer of the transaction that the batch belongs to.
        transaction: Option<(ProducerId, ProducerEpoch)>,
        /// Never empty.
        records: Arc<[GroupRecord]>,
    },
    /// Answer a request.
    Reply(Ticket, Reply),
}

#[derive(Debug)]
struct Group<T> {
    id: Str,
    phase: Phase,
    /// When it came into this phase; [`Timestamp::NONE`] for unknown.
    phase_since: Timestamp,
    /// Counts the rebalances; 0 before the first.
    generation: i32,
    /// `None` for a group that never had members.
    protocol_type: Option<Str>,
    /// `None` without members.
    protocol: Option<Str>,
    /// `None` without members.
    leader: Option<Str>,
    members: Members<T>,
    /// Ids that were given out and have not come back.
    pending_members: BTreeSet<Str>,
    /// What the members of this generation subscribe to; `None` when nobody knows.
    subscribed: Option<BTreeSet<Str>>,
    /// Durable: the newest record of the group that is committed. The rest of the group, but for the offsets, lives and
    /// dies with this coordinator.
    metadata: Option<GroupMetadataValue>,
    /// Durable, but for what waits to be.
    offsets: Offsets,
    /// What it is in the consumer protocol. The rest, but for the offsets, is then as before the first member.
    consumer: Consumer<T>,
}

/// Kafka's states.
#[derive(PartialEq, Eq, Debug)]
enum Phase {
    /// No members.
    Empty,
    /// Members are joining.
    PreparingRebalance {
        /// Set while an empty group waits for its first members.
        initial: Option<InitialDelay>,
    },
    /// The members have joined, and their leader is to say who reads what.
    CompletingRebalance {
        /// Who has not asked yet.
        unsynced: BTreeSet<Str>,
        /// The write of the leader's word, once it has spoken.
        storing: Option<u64>,
    },
    /// Everybody may know what to read.
    Stable {
        /// Who has not asked yet.
        unsynced: BTreeSet<Str>,
    },
    /// Its removal is being written. Nothing is taken until that is done.
    Dead {
        /// The write that says so; the last one of the removal.
        writing: u64,
    },
}

/// How long an empty group still waits.
#[derive(PartialEq, Eq, Debug)]
struct InitialDelay {
    /// The wait under way.
    delay: Duration,
    /// How much more it may grow.
    remaining: Duration,
    /// Somebody came during the wait under way.
    new_member_added: bool,
}

impl Phase {
    /// Kafka's name of the state.
    const fn name(&self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance { .. } => "PreparingRebalance",
            Self::CompletingRebalance { .. } => "CompletingRebalance",
            Self::Stable { .. } => "Stable",
            Self::Dead { .. } => "Dead",
        }
    }
}

/// What a group needs for a decision besides itself.
struct Step<'s, T> {
    now: Now,
    rules: &'s Rules,
    topics: &'s Topics,
    timers: &'s mut Timers,
    writes: &'s mut Writes<T>,
    effects: &'s mut Vec<Effect<T>>,
}

impl<T> Step<'_, T> {
    fn reply(&mut self, to: T, reply: Reply) {
        self.effects.push(Effect::Reply(to, reply));
    }

    fn set_timer(&mut self, group: &Str, timer: Timer, wait: Duration) {
        self.timers.set(group, timer, self.now.moment.after(wait));
    }

    fn append(
        &mut self,
        group: &Str,
        transaction: Option<(ProducerId, ProducerEpoch)>,
        records: Vec<GroupRecord>,
        purpose: Purpose<T>,
    ) -> u64 {
        let records = Arc::<[GroupRecord]>::from(records);
        let producer = transaction.map(|(id, _)| id);
        let write = self.writes.begin(group.clone(), producer, Arc::clone(&records), purpose);
        self.effects.push(Effect::Append { write, timestamp: self.now.timestamp, transaction, records });
        write.number
    }
}

impl<T> Coordinator<T> {
    /// A coordinator that has not been elected.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            ownership: Ownership::Elsewhere,
            epoch: LeaderEpoch::NONE,
            groups: BTreeMap::new(),
            timers: Timers::default(),
            writes: Writes::new(LeaderEpoch::NONE),
            sweep: Sweep { next: Moment::default(), from: None },
            topics: Arc::default(),
            has_consumer_groups: false,
            deleted_meanwhile: BTreeSet::new(),
        }
    }

    /// Whether it coordinates.
    #[must_use]
    pub const fn ownership(&self) -> Ownership {
        self.ownership
    }

    /// Whether the topics matter before the next request: a group of the consumer protocol may be here.
    #[must_use]
    pub const fn wants_topics(&self) -> bool {
        self.has_consumer_groups
    }

    /// When [`Event::Tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        match self.ownership {
            Ownership::Elsewhere | Ownership::Loading => None,
            Ownership::Active => Some(self.timers.next().map_or(self.sweep.next, |at| at.min(self.sweep.next))),
        }
    }

    /// Takes in what happened; `effects` gets what to do about it.
    pub fn step(&mut self, now: Now, event: Event<T>, effects: &mut Vec<Effect<T>>) {
        match event {
            Event::Load(epoch) => self.load(epoch, effects),
            Event::Replayed(epoch, records) => self.replayed(epoch, records),
            Event::Loaded(epoch) => self.loaded(now, epoch, effects),
            Event::Unload(epoch) => self.unload(epoch, effects),
            Event::Request(ticket, request) => self.request(now, ticket, request, effects),
            Event::Written(write, result) => self.written(now, write, result, effects),
            Event::TransactionEnded(producer, committed) => self.transaction_ended(producer, committed),
            Event::TopicsDeleted(topics) => self.topics_deleted(now, topics, effects),
            Event::TopicsChanged(topics) => self.topics = topics,
            Event::Configured(rules) => self.rules = rules,
            Event::Tick => {}
        }
        self.expire(now, effects);
    }

    fn request(&mut self, now: Now, ticket: T, request: Request, effects: &mut Vec<Effect<T>>) {
        let refusal = if request.group().is_empty() && !request.takes_nameless_group() {
            Some(request.refused(ErrorCode::InvalidGroupId))
        } else {
            match self.ownership {
                Ownership::Elsewhere => Some(request.refused(ErrorCode::NotCoordinator)),
                Ownership::Loading => Some(request.refused_while_loading()),
                Ownership::Active => self.missing_group(&request),
            }
        };
        if let Some(refusal) = refusal {
            effects.push(Effect::Reply(ticket, refusal));
            return;
        }
        let known = self.groups.get_key_value(request.group());
        let id = known.map_or_else(|| api::owned(request.group()), |(id, _)| id.clone());
        self.with_group(now, &id, effects, |group, step| group.ask(ticket, request, step));
    }

    /// The answer when the request is for a group that is not there and cannot make it, or is wrong in itself.
    fn missing_group(&self, request: &Request) -> Option<Reply> {
        if let Request::Join(join) = request {
            let allowed = self.rules.session_timeout_min_ms..=self.rules.session_timeout_max_ms;
            if !allowed.contains(&join.session_timeout_ms) {
                return Some(request.refused(ErrorCode::InvalidSessionTimeout));
            }
        }
        if let Request::ConsumerHeartbeat(asked) = request
            && let Err(refusal) = asked.check(&self.rules.consumer)
        {
            return Some(Reply::ConsumerHeartbeat(Err(refusal)));
        }
        if self.groups.contains_key(request.group().as_str()) {
            return None;
        }
        let error = match request {
            Request::Join(join) if join.member_id.is_empty() => self.no_room_for_group()?,
            Request::ConsumerHeartbeat(asked) if asked.epoch == 0 => self.no_room_for_group()?,
            Request::Join(_) | Request::Sync(_) | Request::Heartbeat(_) => ErrorCode::UnknownMemberId,
            Request::Leave(leave) => {
                return Some(Reply::Leave(Ok(vec![ErrorCode::UnknownMemberId; leave.members.len()])));
            }
            Request::Commit(commit) if commit.generation < 0 || commit.transaction.is_some() => {
                self.no_room_for_group()?
            }
            Request::Commit(_) => ErrorCode::IllegalGeneration,
            Request::Delete { .. } | Request::DeleteOffsets { .. } | Request::ConsumerHeartbeat(_) => {
                ErrorCode::GroupIdNotFound
            }
        };
        Some(request.refused(error))
    }

    fn no_room_for_group(&self) -> Option<ErrorCode> {
        (GROUPS_PER_PARTITION_MAX <= self.groups.len()).then_some(ErrorCode::CoordinatorNotAvailable)
    }

    /// Lets a group decide. It is made when it is not there, and goes when nothing is left of it.
    fn with_group(
        &mut self,
        now: Now,
        id: &Str,
        effects: &mut Vec<Effect<T>>,
        decide: impl FnOnce(&mut Group<T>, &mut Step<'_, T>),
    ) {
        let group = self.groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone()));
        let (rules, topics) = (&self.rules, &*self.topics);
        let mut step = Step { now, rules, topics, timers: &mut self.timers, writes: &mut self.writes, effects };
        decide(group, &mut step);
        group.check();
        if group.is_blank() {
            self.timers.cancel_group(id);
            self.groups.remove(id);
        }
    }

    fn expire(&mut self, now: Now, effects: &mut Vec<Effect<T>>) {
        if self.ownership != Ownership::Active {
            return;
        }
        while let Some((id, timer)) = self.timers.pop_due(now.moment) {
            if self.groups.contains_key(&id) {
                self.with_group(now, &id, effects, |group, step| group.timer(timer, step));
            }
        }
        self.sweep(now, effects);
    }

    /// Everything of it, for a test that has just stepped.
    #[cfg(test)]
    fn check_whole(&self) {
        self.groups.values().for_each(|group| {
            group.members.check_whole();
            group.consumer.state().into_iter().for_each(|state| state.check_whole());
        });
    }
}

impl<T> Group<T> {
    fn new(id: Str) -> Self {
        Self {
            id,
            phase: Phase::Empty,
            phase_since: Timestamp::NONE,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: Members::default(),
            pending_members: BTreeSet::new(),
            subscribed: None,
            metadata: None,
            offsets: Offsets::default(),
            consumer: Consumer::default(),
        }
    }

    fn enter(&mut self, phase: Phase, step: &Step<'_, T>) {
        self.phase = phase;
        self.phase_since = step.now.timestamp;
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_ref().is_some_and(|leader| *leader == *member_id)
    }

    const fn is_dead(&self) -> bool {
        matches!(self.phase, Phase::Dead { .. })
    }

    fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_ref().is_some_and(|it| *it == *CONSUMER)
    }

    /// Nothing durable, nobody there, and no generation to remember.
    fn is_blank(&self) -> bool {
        self.phase == Phase::Empty
            && self.generation == 0
            && self.metadata.is_none()
            && self.members.is_empty()
            && self.pending_members.is_empty()
            && self.offsets.is_empty()
            && self.consumer.is_blank()
    }

    /// Whether a request comes from a member of this group, in the name of the instance that it says it is.
    fn check_member(&self, member_id: &str, instance_id: Option<&Str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.members.static_id(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if *current != *member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    fn check(&self) {
        self.members.check();
        self.consumer.check();
        assert!(self.consumer.state().is_none() || self.members.is_empty(), "a group of two protocols");
        assert!(self.leader.is_some() != self.members.is_empty(), "members without a leader, or a leader without any");
        match &self.phase {
            Phase::Empty | Phase::Dead { .. } => assert!(self.members.is_empty(), "an empty group has members"),
            Phase::CompletingRebalance { unsynced, .. } | Phase::Stable { unsynced } => {
                assert!(!self.members.is_empty(), "a group that has joined has no members");
                assert!(self.protocol.is_some(), "members without a protocol");
                assert!(unsynced.len() <= self.members.len(), "somebody is to sync who is no member");
            }
            Phase::PreparingRebalance { .. } => {}
        }
    }
}
