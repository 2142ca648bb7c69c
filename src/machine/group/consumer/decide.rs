//! What a heartbeat, or the end of a member, makes of a group: records, and the answer when they are committed. Nothing here
//! changes anything.
//!
//! Source: Kafka 4.1 `GroupMetadataManager.consumerGroupHeartbeat`, `consumerGroupLeave`, `consumerGroupFenceMembers`,
//! `TargetAssignmentBuilder.java`.

use std::collections::{BTreeMap, BTreeSet};

use super::super::api::{Now, owned};
use super::super::topics::Topics;
use super::assignor::{Assignor, Subscriber, Subscribers};
use super::reconcile::Goal;
use super::regex::resolve;
use super::{
    Assignment, ConsumerHeartbeat, ConsumerHeartbeatReply, ConsumerRules, LEFT_FOR_A_WHILE, Member, Refusal, State,
    collect, to_record,
};
use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;
use crate::wire::group_record::{
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataValue, ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberValue, ConsumerGroupTargetAssignmentMetadataValue, ConsumerRecord,
};

/// What a decision looks at besides the group.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) now: Now,
    pub(super) topics: &'c Topics,
    pub(super) rules: &'c ConsumerRules,
    /// The topics changed since the group's epoch took them into account.
    pub(super) is_stale: bool,
}

/// A member and what becomes of it.
pub(super) struct Update {
    pub(super) member_id: Str,
    /// The static member whose place it takes.
    pub(super) replaced: Option<Str>,
    /// Before this request; an empty one when it is new.
    pub(super) before: Member,
    /// What it says now.
    pub(super) terms: ConsumerGroupMemberMetadataValue,
    /// What it says that it owns.
    pub(super) owned: Option<Assignment>,
}

/// A member that went on, with the records that make it so.
pub(super) struct Decided {
    pub(super) records: Vec<ConsumerRecord>,
    pub(super) member: Member,
}

impl State {
    /// A member says that it is there, and what it wants.
    pub(super) fn heartbeat(
        &self,
        asked: &ConsumerHeartbeat,
        context: Context<'_>,
    ) -> Result<(Vec<ConsumerRecord>, ConsumerHeartbeatReply), Refusal> {
        self.check_room(&asked.member_id, context.rules)?;
        let update = self.updated(asked)?;
        let (member_id, had) = (update.member_id.clone(), update.before.assigned.clone());
        let Decided { records, member } = self.advance(update, context)?;
        let tells = asked.is_full() || member.assigned != had;
        let reply = ConsumerHeartbeatReply {
            member_id,
            epoch: member.epoch,
            interval_ms: context.rules.heartbeat_interval_ms,
            assignment: tells.then(|| {
                let topics = to_record(&member.assigned).into_iter();
                topics.map(|topic| (topic.topic_id, topic.partitions)).collect()
            }),
        };
        Ok((records, reply))
    }

    pub(super) fn check_room(&self, member_id: &str, rules: &ConsumerRules) -> Result<(), Refusal> {
        if self.members.len() < rules.group_size_max || self.members.contains_key(member_id) {
            return Ok(());
        }
        let max = rules.group_size_max;
        let message = format!("The consumer group has reached its maximum capacity of {max} members.");
        Err(Refusal::new(ErrorCode::GroupMaxSizeReached, message))
    }

    /// Whom the request is from, and what it says that is new.
    fn updated(&self, asked: &ConsumerHeartbeat) -> Result<Update, Refusal> {
        let owned_partitions = asked.owned.as_ref().map(|topics| {
            collect(topics.iter().flat_map(|(topic, indexes)| indexes.iter().map(|index| (*topic, *index))))
        });
        let member_id = if asked.member_id.is_empty() {
            Str::from(TopicId(asked.random).to_string())
        } else {
            owned(&asked.member_id)
        };
        let instance = asked.instance_id.as_ref();
        let (replaced, before) = match instance.map(|instance| self.statics.get(instance)) {
            None => (None, self.dynamic_member(&member_id, asked, owned_partitions.as_ref())?),
            Some(None) if asked.joins() => (None, self.dynamic_member(&member_id, asked, owned_partitions.as_ref())?),
            Some(known) => self.static_member(&member_id, known, asked, owned_partitions.as_ref())?,
        };
        let mut terms = before.terms.clone();
        let copy = |text: &Option<Str>, into: &mut Option<Str>| {
            if text.is_some() {
                *into = text.as_ref().map(owned).filter(|text| !text.is_empty());
            }
        };
        copy(&asked.instance_id, &mut terms.instance_id);
        copy(&asked.rack_id, &mut terms.rack_id);
        copy(&asked.assignor, &mut terms.server_assignor);
        copy(&asked.topic_regex, &mut terms.subscribed_topic_regex);
        if let Some(names) = &asked.topic_names {
            let names = names.iter().map(owned).collect::<BTreeSet<_>>();
            terms.subscribed_topic_names = names.into_iter().collect();
        }
        if asked.rebalance_timeout_ms != -1 {
            terms.rebalance_timeout_ms = asked.rebalance_timeout_ms;
        }
        terms.client_id = owned(&asked.client_id);
        terms.client_host = owned(&asked.client_host);
        terms.classic_member_metadata = None;
        Ok(Update { member_id, replaced, before, terms, owned: owned_partitions })
    }

    fn dynamic_member(
        &self,
        member_id: &Str,
        asked: &ConsumerHeartbeat,
        owned: Option<&Assignment>,
    ) -> Result<Member, Refusal> {
        match self.members.get(member_id) {
            None if asked.joins() => Ok(Member::default()),
            None => Err(unknown_member(member_id)),
            Some(member) => member.at(asked.epoch, owned),
        }
    }

    fn static_member(
        &self,
        member_id: &Str,
        known: Option<&Str>,
        asked: &ConsumerHeartbeat,
        owned: Option<&Assignment>,
    ) -> Result<(Option<Str>, Member), Refusal> {
        let instance = asked.instance_id.clone().unwrap_or_default();
        let Some((known, member)) = known.and_then(|known| self.members.get_key_value(known)) else {
            let message = format!("Instance id {instance} is unknown.");
            return Err(Refusal::new(ErrorCode::UnknownMemberId, message));
        };
        if known == member_id {
            return Ok((None, member.at(asked.epoch, owned)?));
        }
        if !asked.joins() {
            let message =
                format!("Static member {member_id} with instance id {instance} was fenced by member {known}.");
            return Err(Refusal::new(ErrorCode::FencedInstanceId, message));
        }
        if member.epoch != LEFT_FOR_A_WHILE && !member.speaks_classic() {
            let message = format!(
                "Static member {member_id} with instance id {instance} cannot join the group because the instance id is owned by \
                 {known} member."
            );
            return Err(Refusal::new(ErrorCode::UnreleasedInstanceId, message));
        }
        Ok((Some(known.clone()), member.anew()))
    }

    /// Takes a member on: what it says is kept, the group's epoch and target follow, and the member goes on towards it.
    pub(super) fn advance(&self, update: Update, context: Context<'_>) -> Result<Decided, Refusal> {
        let Update { member_id, replaced, before, terms, owned } = update;
        let mut records = Vec::new();
        if let Some(old) = &replaced {
            records.extend(end_of_member(old));
            records.push(ConsumerRecord::Member(member_id.clone(), Some(before.terms.clone())));
            let target = self.targets.get(old).map(to_record).unwrap_or_default();
            let target = ConsumerGroupTargetAssignmentMemberValue { topic_partitions: target };
            records.push(ConsumerRecord::TargetMember(member_id.clone(), Some(target)));
            records.push(ConsumerRecord::CurrentMember(member_id.clone(), Some(before.current())));
        }
        let mut member = Member { terms, ..before };
        if member.terms != before.terms {
            records.push(ConsumerRecord::Member(member_id.clone(), Some(member.terms.clone())));
        }
        let subscribes_anew = member.terms.subscribed_topic_names != before.terms.subscribed_topic_names
            || member.terms.subscribed_topic_regex != before.terms.subscribed_topic_regex;
        let mut view = self.members.iter().collect::<BTreeMap<_, _>>();
        if let Some(old) = &replaced {
            view.remove(old);
        }
        view.insert(&member_id, &member);
        let mut epoch = self.epoch;
        let mut regexes = self.regexes.clone();
        if subscribes_anew || context.is_stale || self.epoch == 0 {
            let changed = resolve_all(&mut regexes, &view, &member_id, context, &mut records)?;
            let hash = context.topics.hash(subscribed(&view, &regexes).iter());
            if subscribes_anew || changed || self.epoch == 0 || hash != self.metadata_hash {
                epoch = self.epoch.saturating_add(1);
                let value = ConsumerGroupMetadataValue { epoch, metadata_hash: hash };
                records.push(ConsumerRecord::Group(Some(value)));
            }
        }
        let mut target_epoch = self.target_epoch;
        let mut target = self.targets.get(replaced.as_ref().unwrap_or(&member_id)).cloned().unwrap_or_default();
        if self.target_epoch < epoch {
            let mut targets = self.assign(&view, &regexes, replaced.as_ref().map(|old| (old, &member_id)), context);
            for (id, assignment) in &targets {
                let known = if *id == member_id { replaced.as_ref().unwrap_or(id) } else { id };
                if self.targets.get(known) != Some(assignment) {
                    let value = ConsumerGroupTargetAssignmentMemberValue { topic_partitions: to_record(assignment) };
                    records.push(ConsumerRecord::TargetMember(id.clone(), Some(value)));
                }
            }
            let value = ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch: epoch };
            records.push(ConsumerRecord::Target(Some(value)));
            (target_epoch, target) = (epoch, targets.remove(&member_id).unwrap_or_default());
        }
        let is_free = |topic: TopicId, index: i32| match self.owners.get(&(topic, index)) {
            Some(owner) => *owner == member_id || replaced.as_ref() == Some(owner),
            None => true,
        };
        let goal = Goal { epoch: target_epoch, target: &target, is_free: &is_free, owned: owned.as_ref() };
        member = member.reconcile(&goal).map_err(|_| {
            let message =
                "The member is in a state that is not known here. It must abandon all its partitions and rejoin.";
            Refusal::new(ErrorCode::FencedMemberEpoch, message)
        })?;
        let stands = self.members.get(&member_id).filter(|_| replaced.is_none());
        let same = stands.is_some_and(|stands| stands.current() == member.current());
        if !same {
            records.push(ConsumerRecord::CurrentMember(member_id, Some(member.current())));
        }
        Ok(Decided { records, member })
    }

    /// The target of every member. A static member that takes another one's place has its target before.
    fn assign(
        &self,
        view: &BTreeMap<&Str, &Member>,
        regexes: &BTreeMap<Str, BTreeSet<Str>>,
        renamed: Option<(&Str, &Str)>,
        context: Context<'_>,
    ) -> BTreeMap<Str, Assignment> {
        let mut group = Subscribers::default();
        let mut votes = BTreeMap::<Assignor, usize>::new();
        for (id, member) in view {
            let names = member.terms.subscribed_topic_names.iter();
            let regex = member.terms.subscribed_topic_regex.as_ref().and_then(|regex| regexes.get(regex));
            let topics = names.chain(regex.into_iter().flatten()).filter_map(|name| context.topics.get(name));
            let topics = topics.map(|topic| (topic.id, topic.partitions)).collect::<BTreeMap<_, _>>();
            group.partitions.extend(&topics);
            let topics = topics.into_keys().collect();
            let known = renamed.filter(|(_, new)| new == id).map_or(*id, |(old, _)| old);
            let before = self.targets.get(known).cloned().unwrap_or_default();
            let instance_id = member.terms.instance_id.clone();
            group.members.insert((*id).clone(), Subscriber { instance_id, topics, before });
            let mut offered = context.rules.assignors.iter().copied();
            let wanted = |it: &Assignor| member.terms.server_assignor.as_ref().is_some_and(|name| *name == *it.name());
            if let Some(assignor) = offered.find(wanted) {
                *votes.entry(assignor).or_default() += 1;
            }
        }
        let most = votes.values().copied().max();
        let chosen = votes.into_iter().find(|(_, count)| Some(*count) == most).map(|(assignor, _)| assignor);
        let default = context.rules.assignors.first().copied().unwrap_or(Assignor::Uniform);
        chosen.unwrap_or(default).assign(&group)
    }

    /// The assignor that most members want.
    pub(super) fn preferred_assignor(&self, rules: &ConsumerRules) -> &str {
        let mut votes = BTreeMap::<&str, usize>::new();
        for name in self.members.values().filter_map(|member| member.terms.server_assignor.as_ref()) {
            *votes.entry(name.as_str()).or_default() += 1;
        }
        let most = votes.values().copied().max();
        let chosen = votes.into_iter().find(|(_, count)| Some(*count) == most).map(|(name, _)| name);
        chosen.unwrap_or_else(|| rules.assignors.first().copied().unwrap_or(Assignor::Uniform).name())
    }

    /// Members go: the group has another epoch, for which whoever comes next makes a target.
    pub(super) fn without(&self, ids: &[Str], context: Context<'_>) -> Vec<ConsumerRecord> {
        let mut records = ids.iter().flat_map(end_of_member).collect::<Vec<_>>();
        let view = self.members.iter().filter(|(id, _)| !ids.contains(id)).collect::<BTreeMap<_, _>>();
        let mut regexes = self.regexes.clone();
        drop_unused(&mut regexes, &view, &mut records);
        let metadata_hash = context.topics.hash(subscribed(&view, &regexes).iter());
        let value = ConsumerGroupMetadataValue { epoch: self.epoch.saturating_add(1), metadata_hash };
        records.push(ConsumerRecord::Group(Some(value)));
        records
    }

    /// A record that changes nothing.
    pub(super) fn as_it_is(&self) -> ConsumerRecord {
        let value = ConsumerGroupMetadataValue { epoch: self.epoch, metadata_hash: self.metadata_hash };
        ConsumerRecord::Group(Some(value))
    }

    /// A static member leaves for a while: it keeps what it has.
    pub(super) fn left_for_a_while(&self, id: &Str) -> Vec<ConsumerRecord> {
        let Some(member) = self.members.get(id) else { return Vec::new() };
        let member = Member { epoch: LEFT_FOR_A_WHILE, revoking: Assignment::new(), ..member.clone() };
        vec![ConsumerRecord::CurrentMember(id.clone(), Some(member.current()))]
    }

    /// The records that end the group.
    pub(in super::super) fn tombstones(&self) -> Vec<ConsumerRecord> {
        let current = self.members.keys().map(|id| ConsumerRecord::CurrentMember(id.clone(), None));
        let targets = self.targets.keys().map(|id| ConsumerRecord::TargetMember(id.clone(), None));
        let members = self.members.keys().map(|id| ConsumerRecord::Member(id.clone(), None));
        let regexes = self.regexes.keys().map(|regex| ConsumerRecord::RegularExpression(regex.clone(), None));
        let topics = self.has_partition_metadata.then_some(ConsumerRecord::PartitionMetadata(None));
        let target = [ConsumerRecord::Target(None)];
        let all = current.chain(targets).chain(target).chain(members).chain(regexes).chain(topics);
        all.chain([ConsumerRecord::Group(None)]).collect()
    }

    /// The member that a request to leave is from.
    pub(super) fn leaving(&self, asked: &ConsumerHeartbeat) -> Result<Str, Refusal> {
        let Some(instance_id) = &asked.instance_id else {
            let known = self.members.get_key_value(&asked.member_id);
            return known.map(|(id, _)| id.clone()).ok_or_else(|| unknown_member(&asked.member_id));
        };
        let Some(id) = self.statics.get(instance_id) else {
            let message = format!("Instance id {instance_id} is unknown.");
            return Err(Refusal::new(ErrorCode::UnknownMemberId, message));
        };
        if *id != asked.member_id {
            let message =
                format!("Static member {} with instance id {instance_id} was fenced by member {id}.", asked.member_id);
            return Err(Refusal::new(ErrorCode::FencedInstanceId, message));
        }
        Ok(id.clone())
    }
}

impl Member {
    /// The member, if it may speak under this epoch.
    fn at(&self, epoch: i32, owned: Option<&Assignment>) -> Result<Self, Refusal> {
        let is_part = |owned: &Assignment| {
            owned.iter().all(|(topic, indexes)| self.assigned.get(topic).is_some_and(|it| indexes.is_subset(it)))
        };
        let (known, previous) = (self.epoch, self.previous_epoch);
        if epoch == known {
            return Ok(self.clone());
        }
        // The answer with the new epoch may have been lost.
        if epoch < known && epoch == previous && owned.is_some_and(is_part) {
            return Ok(self.clone());
        }
        if epoch == 0 {
            return Ok(Self { terms: self.terms.clone(), ..Self::default() });
        }
        let differs = if epoch < known { "smaller" } else { "greater" };
        let message = format!(
            "The consumer group member has a {differs} member epoch ({epoch}) than the one known by the group coordinator \
             ({known}). The member must abandon all its partitions and rejoin."
        );
        Err(Refusal::new(ErrorCode::FencedMemberEpoch, message))
    }

    /// The member as it begins under another id.
    pub(super) fn anew(&self) -> Self {
        Self { epoch: 0, previous_epoch: 0, ..self.clone() }
    }
}

pub(super) fn unknown_member(member_id: &str) -> Refusal {
    Refusal::new(ErrorCode::UnknownMemberId, format!("Member {member_id} is not a member of the group."))
}

fn end_of_member(id: &Str) -> [ConsumerRecord; 3] {
    [
        ConsumerRecord::CurrentMember(id.clone(), None),
        ConsumerRecord::TargetMember(id.clone(), None),
        ConsumerRecord::Member(id.clone(), None),
    ]
}

/// Names of all that these members subscribe to.
fn subscribed(view: &BTreeMap<&Str, &Member>, regexes: &BTreeMap<Str, BTreeSet<Str>>) -> BTreeSet<Str> {
    let names = view.values().flat_map(|member| &member.terms.subscribed_topic_names);
    names.chain(regexes.values().flatten()).cloned().collect()
}

/// Looks up what each regular expression of these members stands for now. Says whether that changed anything.
fn resolve_all(
    regexes: &mut BTreeMap<Str, BTreeSet<Str>>,
    view: &BTreeMap<&Str, &Member>,
    asker: &Str,
    context: Context<'_>,
    records: &mut Vec<ConsumerRecord>,
) -> Result<bool, Refusal> {
    let mut changed = drop_unused(regexes, view, records);
    for (id, member) in view {
        let Some(regex) = &member.terms.subscribed_topic_regex else { continue };
        let topics = match resolve(regex, context.topics) {
            Ok(topics) => topics,
            // It was valid where it came in; here it stands for nothing.
            Err(_) if *id != asker => BTreeSet::new(),
            Err(cause) => {
                let message = format!("SubscribedTopicRegex `{regex}` is not a valid regular expression: {cause}.");
                return Err(Refusal::new(ErrorCode::InvalidRegularExpression, message));
            }
        };
        if regexes.get(regex) != Some(&topics) {
            changed = true;
            let value = ConsumerGroupRegularExpressionValue {
                topics: topics.iter().cloned().collect(),
                version: i64::try_from(context.topics.version()).unwrap_or(i64::MAX),
                timestamp: context.now.timestamp.0,
            };
            records.push(ConsumerRecord::RegularExpression(regex.clone(), Some(value)));
            regexes.insert(regex.clone(), topics);
        }
    }
    Ok(changed)
}

/// Forgets the regular expressions that nobody has any more. Says whether there were any.
fn drop_unused(
    regexes: &mut BTreeMap<Str, BTreeSet<Str>>,
    view: &BTreeMap<&Str, &Member>,
    records: &mut Vec<ConsumerRecord>,
) -> bool {
    let used = view.values().filter_map(|member| member.terms.subscribed_topic_regex.as_ref()).collect::<BTreeSet<_>>();
    let unused = regexes.keys().filter(|regex| !used.contains(regex)).cloned().collect::<Vec<_>>();
    for regex in &unused {
        regexes.remove(regex);
        records.push(ConsumerRecord::RegularExpression(regex.clone(), None));
    }
    !unused.is_empty()
}
