//! Questions to a group of the consumer protocol that change nothing: ConsumerGroupDescribe, and whether a commit or a fetch of
//! offsets may be.
//!
//! Source: Kafka 4.1 `ConsumerGroup.asDescribedGroup`, `validateOffsetCommit`, `validateOffsetFetch`.

use super::super::topics::Topics;
use super::super::{Commit, Coordinator, Ownership};
use super::{Assignment, ConsumerRules, Member, Refusal, State};
use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

/// First version of OffsetCommit that knows members' epochs.
const EPOCHS_FROM: i16 = 9;

/// A group, described.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerDescription {
    /// Kafka's name of its state.
    pub state: &'static str,
    /// The group's epoch.
    pub epoch: i32,
    /// The epoch of the target assignment.
    pub target_epoch: i32,
    /// The assignor in use.
    pub assignor: Str,
    /// Its members.
    pub members: Vec<DescribedConsumer>,
}

/// A member, described.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedConsumer {
    /// Its id.
    pub member_id: Str,
    /// The name of a static member.
    pub instance_id: Option<Str>,
    /// Where it stands.
    pub rack_id: Option<Str>,
    /// Its epoch.
    pub epoch: i32,
    /// What its client calls itself.
    pub client_id: Str,
    /// Where it comes from.
    pub client_host: Str,
    /// The topics that it subscribes to by name.
    pub topic_names: Vec<Str>,
    /// The pattern of more.
    pub topic_regex: Option<Str>,
    /// What it reads, as far as the topics are there.
    pub assigned: Vec<(TopicId, Str, Vec<i32>)>,
    /// What it is to read.
    pub target: Vec<(TopicId, Str, Vec<i32>)>,
    /// Whether it speaks the classic protocol.
    pub is_classic: bool,
}

impl<T> Coordinator<T> {
    /// ConsumerGroupDescribe of one group.
    ///
    /// # Errors
    /// What is wrong; GROUP_ID_NOT_FOUND for a group of the classic protocol.
    pub fn describe_consumer(&self, group: &str) -> Result<ConsumerDescription, Refusal> {
        match self.ownership {
            Ownership::Elsewhere => return Err(ErrorCode::NotCoordinator.into()),
            Ownership::Loading => return Err(ErrorCode::CoordinatorLoadInProgress.into()),
            Ownership::Active => {}
        }
        let known = self.groups.get(group).filter(|group| !group.is_dead());
        let Some(state) = known.and_then(|group| group.consumer.state()) else {
            let message = if known.is_some() { "is not a consumer group" } else { "not found" };
            return Err(Refusal::new(ErrorCode::GroupIdNotFound, format!("Group {group} {message}.")));
        };
        Ok(state.describe(&self.rules.consumer, &self.topics))
    }
}

impl State {
    /// Kafka's name of its state.
    pub(in super::super) fn name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.target_epoch < self.epoch {
            "Assigning"
        } else if self.members.values().all(|member| member.is_reconciled_to(self.target_epoch)) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    fn describe(&self, rules: &ConsumerRules, topics: &Topics) -> ConsumerDescription {
        let members = self.members.iter();
        let members = members.map(|(id, member)| member.describe(id, self.targets.get(id), topics));
        ConsumerDescription {
            state: self.name(),
            epoch: self.epoch,
            target_epoch: self.target_epoch,
            assignor: self.preferred_assignor(rules).into(),
            members: members.collect(),
        }
    }

    /// Whether offsets may be committed.
    pub(in super::super) fn check_commit(&self, commit: &Commit) -> Result<(), ErrorCode> {
        let is_transactional = commit.transaction.is_some();
        if commit.generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        let names_nobody = commit.member_id.is_empty() && commit.instance_id.is_none() && commit.generation == -1;
        if is_transactional && names_nobody {
            return Ok(());
        }
        let member = self.members.get(&commit.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if !is_transactional && !member.speaks_classic() && commit.version < EPOCHS_FROM {
            return Err(ErrorCode::UnsupportedVersion);
        }
        let stale = member.check_epoch(commit.generation);
        stale.map_err(|error| if is_transactional { ErrorCode::IllegalGeneration } else { error })
    }

    /// Whether offsets may be fetched. Who names nobody is an administrator.
    pub(in super::super) fn check_fetch(&self, member: Option<(&Str, i32)>) -> Result<(), ErrorCode> {
        let Some((member_id, epoch)) = member else { return Ok(()) };
        self.members.get(member_id).ok_or(ErrorCode::UnknownMemberId)?.check_epoch(epoch)
    }
}

impl Member {
    fn check_epoch(&self, epoch: i32) -> Result<(), ErrorCode> {
        if epoch == self.epoch {
            Ok(())
        } else if self.speaks_classic() {
            Err(ErrorCode::IllegalGeneration)
        } else {
            Err(ErrorCode::StaleMemberEpoch)
        }
    }

    fn describe(&self, id: &Str, target: Option<&Assignment>, topics: &Topics) -> DescribedConsumer {
        let named = |assignment: &Assignment| {
            let known = assignment.iter().filter_map(|(topic, indexes)| {
                let indexes = indexes.iter().copied().collect();
                Some((*topic, topics.name(*topic)?.clone(), indexes))
            });
            known.collect::<Vec<_>>()
        };
        DescribedConsumer {
            member_id: id.clone(),
            instance_id: self.terms.instance_id.clone(),
            rack_id: self.terms.rack_id.clone(),
            epoch: self.epoch,
            client_id: self.terms.client_id.clone(),
            client_host: self.terms.client_host.clone(),
            topic_names: self.terms.subscribed_topic_names.clone(),
            topic_regex: self.terms.subscribed_topic_regex.clone(),
            assigned: named(&self.assigned),
            target: target.map(named).unwrap_or_default(),
            is_classic: self.speaks_classic(),
        }
    }
}
