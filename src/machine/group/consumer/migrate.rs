//! From one protocol to the other while the group goes on.
//!
//! A classic group becomes one of the consumer protocol when the first member of that joins, and a classic one again when the last such
//! member goes. All of it is one write: the records of one kind are taken away and those of the other written.
//!
//! Source: Kafka 4.1 `GroupMetadataManager.convertToConsumerGroup`, `convertToClassicGroup`, `ConsumerGroup.fromClassicGroup`,
//! `ClassicGroup.fromConsumerGroup`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::super::api::{JoinReply, Reply, SyncReply};
use super::super::members::Members;
use super::super::timers::Timer;
use super::super::{CONSUMER, Group, Join, Phase, Step};
use super::classic::{by_id, by_name};
use super::decide::Context;
use super::drive::Then;
use super::{Assignment, ConsumerHeartbeat, Member, Reconciliation, State, partitions, to_record};
use crate::model::{ErrorCode, Timestamp, TopicId};
use crate::wire::Str;
use crate::wire::group_record::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataValue,
    ConsumerGroupTargetAssignmentMemberValue, ConsumerGroupTargetAssignmentMetadataValue, ConsumerRecord,
    GroupMetadataKey, GroupMetadataValue, GroupRecord, MemberMetadata, Subscription, assigned_partitions,
    assignment_bytes,
};

impl<T> Group<T> {
    /// A member of the consumer protocol joins a classic group with members.
    pub(super) fn upgrade(&mut self, ticket: T, asked: &ConsumerHeartbeat, step: &mut Step<'_, T>) {
        let rules = &step.rules.consumer;
        let allowed =
            rules.is_upgrade_allowed && self.is_consumer_group() && self.members.len() <= rules.group_size_max;
        let context = Context { is_stale: true, ..self.context(step) };
        let converted = if allowed { self.as_consumer_group(context) } else { None };
        let Some(records) = converted else {
            step.reply(ticket, Reply::ConsumerHeartbeat(Err(self.is_no_consumer_group())));
            return;
        };
        let mut state = State::default();
        records.iter().for_each(|record| state.replay(record));
        match state.heartbeat(asked, context) {
            Err(refusal) => step.reply(ticket, Reply::ConsumerHeartbeat(Err(refusal))),
            Ok((more, reply)) => {
                self.send_away(ErrorCode::RebalanceInProgress, step);
                let first = vec![GroupRecord::Group(GroupMetadataKey { group: self.id.clone() }, None)];
                let all = records.into_iter().chain(more).collect();
                let asked = Some((ticket, Reply::ConsumerHeartbeat(Ok(reply))));
                self.write(first, all, asked, Then::Upgraded, step);
            }
        }
    }

    /// Everybody who waits has to join again; no timer runs meanwhile.
    fn send_away(&mut self, error: ErrorCode, step: &mut Step<'_, T>) {
        let ids = self.members.ids().cloned().collect::<Vec<_>>();
        for id in ids {
            if let Some(ticket) = self.members.take_join(&id) {
                step.reply(ticket, Reply::Join(JoinReply::refused(id.clone(), error)));
            }
            if let Some(ticket) = self.members.get_mut(&id).and_then(|member| member.sync.take()) {
                step.reply(ticket, Reply::Sync(SyncReply::refused(error)));
            }
        }
        step.timers.cancel_group(&self.id);
    }

    /// The records of this classic group as one of the consumer protocol; `None` when a member speaks in riddles. What members have is
    /// what was distributed last: while a rebalance is under way they have at most that.
    fn as_consumer_group(&self, context: Context<'_>) -> Option<Vec<ConsumerRecord>> {
        let distributed = self.metadata.iter().flat_map(|metadata| &metadata.members);
        let distributed = distributed.map(|member| (&member.member_id, &member.assignment)).collect::<BTreeMap<_, _>>();
        let mut taken = BTreeSet::<(TopicId, i32)>::new();
        let (mut terms, mut targets, mut current) = (Vec::new(), Vec::new(), Vec::new());
        for (id, member) in self.members.iter() {
            let spoken = member.protocols();
            let subscription = Subscription::read(&spoken.first()?.metadata)?;
            let has = distributed.get(id).map_or_else(|| Some(vec![]), |assignment| assigned_partitions(assignment))?;
            let has = partitions(&by_id(&has, context.topics))
                .filter(|partition| taken.insert(*partition))
                .collect::<Vec<_>>();
            let assigned = super::collect(has.into_iter());
            let protocols =
                spoken.iter().map(|it| ClassicProtocol { name: it.name.clone(), metadata: it.metadata.clone() });
            let names = subscription.topics.iter().map(super::super::api::owned).collect::<BTreeSet<_>>();
            let value = ConsumerGroupMemberMetadataValue {
                instance_id: member.instance_id.clone(),
                rack_id: subscription.rack.as_ref().map(super::super::api::owned),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                subscribed_topic_names: names.into_iter().collect(),
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                classic_member_metadata: Some(ClassicMemberMetadata {
                    session_timeout_ms: member.session_timeout_ms,
                    supported_protocols: protocols.collect(),
                }),
                ..ConsumerGroupMemberMetadataValue::default()
            };
            let target = ConsumerGroupTargetAssignmentMemberValue { topic_partitions: to_record(&assigned) };
            let stands = Member {
                epoch: self.generation,
                previous_epoch: self.generation,
                phase: Reconciliation::Stable,
                assigned,
                revoking: Assignment::new(),
                ..Member::default()
            };
            terms.push(ConsumerRecord::Member(id.clone(), Some(value)));
            targets.push(ConsumerRecord::TargetMember(id.clone(), Some(target)));
            current.push(ConsumerRecord::CurrentMember(id.clone(), Some(stands.current())));
        }
        let epoch = ConsumerGroupMetadataValue { epoch: self.generation, metadata_hash: 0 };
        let target = ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch: self.generation };
        let all = terms.into_iter().chain([ConsumerRecord::Group(Some(epoch))]).chain(targets);
        Some(all.chain([ConsumerRecord::Target(Some(target))]).chain(current).collect())
    }

    /// What was of the classic protocol is no more.
    pub(super) fn become_consumer_group(&mut self, step: &mut Step<'_, T>) {
        for id in std::mem::take(&mut self.pending_members) {
            step.timers.cancel(&self.id, Timer::Pending(id));
        }
        self.members = Members::default();
        self.phase = Phase::Empty;
        self.phase_since = Timestamp::NONE;
        self.generation = 0;
        self.protocol_type = None;
        self.protocol = None;
        self.leader = None;
        self.subscribed = None;
    }

    /// The classic group goes on: its members were told to join again.
    pub(super) fn upgrade_failed(&mut self, step: &mut Step<'_, T>) {
        let ids = self.members.ids().cloned().collect::<Vec<_>>();
        ids.iter().for_each(|id| self.restart_session(id, step));
        if !self.members.is_empty() {
            self.prepare_rebalance(step);
        }
    }

    /// The member whose end makes a classic group of this one, when it joins now under its name in the classic protocol.
    pub(super) fn last_of_consumer(&self, join: &Join, step: &Step<'_, T>) -> Option<Str> {
        let state = self.consumer.state()?;
        let id = state.statics.get(join.instance_id.as_ref()?)?;
        let is_last = state.members.get(id).is_some_and(|member| !member.speaks_classic()) && join.member_id.is_empty();
        let alone = state.members.len() == 1;
        (is_last && (alone || self.downgraded(std::slice::from_ref(id), step).is_some())).then(|| id.clone())
    }

    /// The group without these members as a classic one, if it is to become that: the tombstones and the new record.
    pub(super) fn downgraded(
        &self,
        without: &[Str],
        step: &Step<'_, T>,
    ) -> Option<(Vec<ConsumerRecord>, GroupMetadataValue)> {
        let state = self.consumer.state()?;
        let mut leaves = without.iter().filter_map(|id| state.members.get(id));
        let stay = state.members.iter().filter(|(id, _)| !without.contains(id)).collect::<Vec<_>>();
        let ends =
            leaves.any(|member| !member.speaks_classic()) && stay.iter().all(|(_, member)| member.speaks_classic());
        let fits = !stay.is_empty() && stay.len() <= step.rules.group_size_max;
        if !ends || !fits || !step.rules.consumer.is_downgrade_allowed {
            return None;
        }
        let protocol = common_protocol(&stay)?;
        let members = stay.iter().map(|(id, member)| {
            let classic = member.terms.classic_member_metadata.as_ref()?;
            let spoken = classic.supported_protocols.iter().find(|it| it.name == protocol)?;
            let version = Subscription::read(&spoken.metadata)?.version;
            let target = state.targets.get(*id).map(|target| by_name(target, step.topics)).unwrap_or_default();
            Some(MemberMetadata {
                member_id: (*id).clone(),
                group_instance_id: member.terms.instance_id.clone(),
                client_id: member.terms.client_id.clone(),
                client_host: member.terms.client_host.clone(),
                rebalance_timeout: member.terms.rebalance_timeout_ms,
                session_timeout: classic.session_timeout_ms,
                subscription: Bytes::copy_from_slice(&spoken.metadata),
                assignment: assignment_bytes(version, &target).ok()?,
            })
        });
        let value = GroupMetadataValue {
            protocol_type: CONSUMER.into(),
            generation: state.epoch,
            protocol: Some(protocol.clone()),
            leader: stay.first().map(|(id, _)| (*id).clone()),
            current_state_timestamp: step.now.timestamp.0,
            members: members.collect::<Option<Vec<_>>>()?,
        };
        Some((state.tombstones(), value))
    }

    /// The group is a classic one from now on, whose members have to join again.
    pub(super) fn become_classic_group(&mut self, step: &mut Step<'_, T>) {
        step.timers.cancel_group(&self.id);
        self.consumer.checked = None;
        self.revive(step);
        self.maybe_prepare_rebalance(step);
    }
}

/// What most members like best of what all speak.
fn common_protocol(members: &[(&Str, &Member)]) -> Option<Str> {
    let spoken = members.iter().map(|(_, member)| {
        let classic = member.terms.classic_member_metadata.as_ref();
        classic.map(|classic| classic.supported_protocols.as_slice()).unwrap_or_default()
    });
    let spoken = spoken.collect::<Vec<_>>();
    let by_all = |name: &Str| spoken.iter().all(|protocols| protocols.iter().any(|it| it.name == *name));
    let mut votes = BTreeMap::<&Str, usize>::new();
    for protocols in &spoken {
        if let Some(favourite) = protocols.iter().find(|it| by_all(&it.name)) {
            *votes.entry(&favourite.name).or_default() += 1;
        }
    }
    let most = votes.values().copied().max()?;
    votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
}
