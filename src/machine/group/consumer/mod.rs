//! A group of the consumer protocol (KIP-848): the coordinator assigns, and each member goes from epoch to epoch on its own.
//!
//! *Owner*: the group, whose classic part is then as that of a group that never had members.
//! *Invariant*: [`State`] changes only by [`State::replay`] of committed records. One write of a group is under way at most;
//! what comes meanwhile waits, so that every decision is made on what is committed. No partition has two owners.
//!
//! Epochs: the *group's* grows whenever a member, a subscription or a topic changes; the *target's* is the group's epoch that
//! the target assignment was made for; a *member's* is the target's that it has reached. A member lets go of what is not its
//! own any more before it goes on to the next epoch ([`reconcile`]), and is given nothing that somebody else still holds.
//!
//! Different from Kafka 4.1: a regular expression is resolved in the request that brings it, not some time later; a member that
//! is known and joins anew (epoch 0, owning nothing) is taken in, where Kafka fences it until its session ends.
//!
//! Source: Kafka 4.1 `GroupMetadataManager.java`, `modern/consumer/*.java`, KIP-848, KIP-1082, KIP-1101.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use self::api::{ConsumerHeartbeat, ConsumerHeartbeatReply, ConsumerRules, Refusal};
pub use self::assignor::Assignor;
pub use self::query::{ConsumerDescription, DescribedConsumer};
use super::api::{Reply, Request};
use super::timers::Timer;
use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;
use crate::wire::group_record::{
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataValue, ConsumerRecord, TopicPartitions,
};

mod api;
mod assignor;
mod classic;
mod decide;
mod drive;
mod migrate;
mod query;
mod reconcile;
mod regex;

pub(super) use self::drive::Done;

/// Requests that may wait for the write of one group: every member of a large group at once.
pub(super) const WAITING_PER_GROUP_MAX: usize = 10_000;

/// Epoch of a static member that left for a while.
const LEFT_FOR_A_WHILE: i32 = -2;

/// Partitions, by topic. No topic is there without partitions.
pub(super) type Assignment = BTreeMap<TopicId, BTreeSet<i32>>;

/// The part of a group that speaks the consumer protocol.
#[derive(Debug)]
pub(super) struct Consumer<T> {
    /// Durable; `None` for a group of the classic protocol.
    state: Option<Box<State>>,
    /// The write under way.
    writing: Option<u64>,
    /// What came meanwhile, in order.
    waiting: VecDeque<Waiting<T>>,
    /// The version of the topics that the group's epoch takes into account; `None` for none yet.
    checked: Option<u64>,
    /// Whether `state` holds what may not be committed, and be lost with this leader: a write that timed out, or what it loaded.
    unsure: bool,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the largest, a request, is the most common by far")]
enum Waiting<T> {
    Request(T, Request),
    Timer(Timer),
}

/// What is durable of it.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct State {
    /// 0 before the first member.
    epoch: i32,
    metadata_hash: i64,
    /// A record of an earlier release is in the log, and goes with the group.
    has_partition_metadata: bool,
    target_epoch: i32,
    targets: BTreeMap<Str, Assignment>,
    members: BTreeMap<Str, Member>,
    /// What each regular expression stands for.
    regexes: BTreeMap<Str, BTreeSet<Str>>,
    /// Ids of static members by their names. Follows from `members`.
    statics: BTreeMap<Str, Str>,
    /// Who has each partition, or has not yet let go of it. Follows from `members`.
    owners: BTreeMap<(TopicId, i32), Str>,
}

/// A member.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Member {
    /// What it says about itself.
    terms: ConsumerGroupMemberMetadataValue,
    epoch: i32,
    previous_epoch: i32,
    phase: Reconciliation,
    assigned: Assignment,
    /// What it was told to let go of.
    revoking: Assignment,
}

/// Where a member stands on its way to its target (`MemberState`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Reconciliation {
    /// It has reached an epoch.
    #[default]
    Stable,
    /// It has to let go of something first.
    Unrevoked,
    /// Others have to.
    Unreleased,
    /// What a later release wrote. The member has to begin anew.
    Unknown,
}

impl<T> Default for Consumer<T> {
    fn default() -> Self {
        Self { state: None, writing: None, waiting: VecDeque::new(), checked: None, unsure: false }
    }
}

impl<T> Consumer<T> {
    pub(super) fn state(&self) -> Option<&State> {
        self.state.as_deref()
    }

    pub(super) const fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Answers for everybody who waits for their turn.
    pub(super) fn send_away(&mut self, error: ErrorCode) -> impl Iterator<Item = (T, Reply)> + use<T> {
        std::mem::take(&mut self.waiting).into_iter().filter_map(move |waiting| match waiting {
            Waiting::Request(ticket, request) => Some((ticket, request.refused(error))),
            Waiting::Timer(_) => None,
        })
    }

    /// Nothing durable, and nothing under way.
    pub(super) fn is_blank(&self) -> bool {
        self.state.is_none() && self.writing.is_none() && self.waiting.is_empty()
    }

    /// Whether the group has members of this protocol, or in a group of this protocol.
    pub(super) fn has_members(&self) -> bool {
        self.state.as_ref().is_some_and(|state| !state.members.is_empty())
    }

    pub(super) fn replay(&mut self, record: &ConsumerRecord) {
        match record {
            ConsumerRecord::Group(None) => self.state = None,
            ConsumerRecord::Group(Some(_))
            | ConsumerRecord::PartitionMetadata(Some(_))
            | ConsumerRecord::Member(_, Some(_))
            | ConsumerRecord::Target(Some(_))
            | ConsumerRecord::TargetMember(_, Some(_))
            | ConsumerRecord::CurrentMember(_, Some(_))
            | ConsumerRecord::RegularExpression(_, Some(_)) => self.state.get_or_insert_default().replay(record),
            ConsumerRecord::PartitionMetadata(None)
            | ConsumerRecord::Member(_, None)
            | ConsumerRecord::Target(None)
            | ConsumerRecord::TargetMember(_, None)
            | ConsumerRecord::CurrentMember(_, None)
            | ConsumerRecord::RegularExpression(_, None) => {
                if let Some(state) = &mut self.state {
                    state.replay(record);
                }
            }
        }
    }

    pub(super) fn check(&self) {
        assert!(self.waiting.is_empty() || self.writing.is_some(), "requests wait for nothing");
    }
}

impl State {
    /// Whether a member subscribes to the topic.
    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        self.members.values().any(|member| {
            let by_name = member.terms.subscribed_topic_names.iter().any(|name| *name == *topic);
            let regex = member.terms.subscribed_topic_regex.as_ref().and_then(|regex| self.regexes.get(regex));
            by_name || regex.is_some_and(|topics| topics.contains(topic))
        })
    }

    pub(super) fn subscribed_topics(&self) -> BTreeSet<Str> {
        let members = self.members.values();
        let names = members.flat_map(|member| member.terms.subscribed_topic_names.iter());
        names.chain(self.regexes.values().flatten()).cloned().collect()
    }

    fn replay(&mut self, record: &ConsumerRecord) {
        match record {
            ConsumerRecord::Group(value) => {
                let value = value.clone().unwrap_or_default();
                (self.epoch, self.metadata_hash) = (value.epoch, value.metadata_hash);
            }
            ConsumerRecord::PartitionMetadata(value) => self.has_partition_metadata = value.is_some(),
            ConsumerRecord::Member(id, Some(value)) => {
                let member = self.members.entry(id.clone()).or_default();
                let before = std::mem::replace(&mut member.terms, value.clone()).instance_id;
                self.forget_static(before.as_ref(), id);
                if let Some(instance_id) = &value.instance_id {
                    self.statics.insert(instance_id.clone(), id.clone());
                }
            }
            ConsumerRecord::Member(id, None) => {
                if let Some(member) = self.members.remove(id) {
                    self.release(id, &member);
                    self.forget_static(member.terms.instance_id.as_ref(), id);
                }
            }
            ConsumerRecord::Target(value) => self.target_epoch = value.as_ref().map_or(0, |it| it.assignment_epoch),
            ConsumerRecord::TargetMember(id, Some(value)) => {
                self.targets.insert(id.clone(), from_record(&value.topic_partitions));
            }
            ConsumerRecord::TargetMember(id, None) => {
                self.targets.remove(id);
            }
            ConsumerRecord::CurrentMember(id, value) => self.replay_current(id, value.as_ref()),
            ConsumerRecord::RegularExpression(regex, Some(value)) => {
                self.regexes.insert(regex.clone(), value.topics.iter().cloned().collect());
            }
            ConsumerRecord::RegularExpression(regex, None) => {
                self.regexes.remove(regex);
            }
        }
    }

    fn replay_current(&mut self, id: &Str, value: Option<&ConsumerGroupCurrentMemberAssignmentValue>) {
        let before = match value {
            Some(_) => self.members.remove(id).unwrap_or_default(),
            None => match self.members.remove(id) {
                Some(member) => member,
                None => return,
            },
        };
        self.release(id, &before);
        let value = value.cloned().unwrap_or_default();
        let member = Member {
            terms: before.terms,
            epoch: value.member_epoch,
            previous_epoch: value.previous_member_epoch,
            phase: Reconciliation::of(value.state),
            assigned: from_record(&value.assigned_partitions),
            revoking: from_record(&value.partitions_pending_revocation),
        };
        for partition in partitions(&member.assigned).chain(partitions(&member.revoking)) {
            self.owners.insert(partition, id.clone());
        }
        self.members.insert(id.clone(), member);
    }

    fn release(&mut self, id: &Str, member: &Member) {
        for partition in partitions(&member.assigned).chain(partitions(&member.revoking)) {
            if self.owners.get(&partition) == Some(id) {
                self.owners.remove(&partition);
            }
        }
    }

    fn forget_static(&mut self, instance_id: Option<&Str>, id: &Str) {
        if let Some(instance_id) = instance_id
            && self.statics.get(instance_id) == Some(id)
        {
            self.statics.remove(instance_id);
        }
    }

    /// Everything that follows from something else does.
    #[cfg(test)]
    pub(super) fn check_whole(&self) {
        let mut owners = BTreeMap::new();
        for (id, member) in &self.members {
            for partition in partitions(&member.assigned).chain(partitions(&member.revoking)) {
                let other = owners.insert(partition, id.clone());
                assert_eq!(other, None, "{partition:?} has two owners, one of them {id}");
            }
            assert!(member.epoch <= self.epoch, "{id} is ahead of its group");
        }
        assert_eq!(owners, self.owners);
        let statics = self.members.iter();
        let statics = statics.filter_map(|(id, member)| Some((member.terms.instance_id.clone()?, id.clone())));
        assert_eq!(statics.collect::<BTreeMap<_, _>>(), self.statics);
        assert!(self.target_epoch <= self.epoch, "a target for an epoch that is to come");
        assert!(self.targets.keys().all(|id| self.members.contains_key(id)), "a target for nobody");
    }
}

impl Member {
    const fn speaks_classic(&self) -> bool {
        self.terms.classic_member_metadata.is_some()
    }

    fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.phase == Reconciliation::Stable && self.epoch == epoch
    }

    /// The record of where it stands.
    fn current(&self) -> ConsumerGroupCurrentMemberAssignmentValue {
        ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.phase.number(),
            assigned_partitions: to_record(&self.assigned),
            partitions_pending_revocation: to_record(&self.revoking),
        }
    }
}

impl Reconciliation {
    const fn number(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::Unrevoked => 1,
            Self::Unreleased => 2,
            Self::Unknown => 127,
        }
    }

    const fn of(number: i8) -> Self {
        match number {
            0 => Self::Stable,
            1 => Self::Unrevoked,
            2 => Self::Unreleased,
            _ => Self::Unknown,
        }
    }
}

fn partitions(assignment: &Assignment) -> impl Iterator<Item = (TopicId, i32)> {
    assignment.iter().flat_map(|(topic, indexes)| indexes.iter().map(|index| (*topic, *index)))
}

fn from_record(topics: &[TopicPartitions]) -> Assignment {
    collect(topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, *index))))
}

fn to_record(assignment: &Assignment) -> Vec<TopicPartitions> {
    let topics = assignment.iter();
    topics
        .map(|(id, indexes)| TopicPartitions { topic_id: *id, partitions: indexes.iter().copied().collect() })
        .collect()
}

fn collect(partitions: impl Iterator<Item = (TopicId, i32)>) -> Assignment {
    let mut assignment = Assignment::new();
    for (topic, index) in partitions {
        assignment.entry(topic).or_default().insert(index);
    }
    assignment
}
