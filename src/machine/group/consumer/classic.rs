//! Members that speak the classic protocol in a group of the consumer protocol: a generation is the member's epoch, and a rebalance is
//! their way to hear of another assignment.
//!
//! Source: Kafka 4.1 `GroupMetadataManager.classicGroupJoinToConsumerGroup`, `classicGroupSyncToConsumerGroup`,
//! `classicGroupHeartbeatToConsumerGroup`, `classicGroupLeaveToConsumerGroup`.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::super::api::{JoinReply, Reply, SyncReply, owned};
use super::super::join::MEMBER_ID_REQUIRED_FROM;
use super::super::timers::Timer;
use super::super::topics::Topics;
use super::super::{
    CONSUMER, Group, Heartbeat, Join, Leave, Leaving, PROTOCOLS_PER_MEMBER_MAX, Request, Step, Sync,
    WRITES_IN_FLIGHT_MAX,
};
use super::decide::{Decided, Update};
use super::drive::Then;
use super::{Assignment, Member, Reconciliation, State, Waiting, collect};
use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;
use crate::wire::group_record::{ClassicMemberMetadata, ClassicProtocol, Subscription, assignment_bytes};

impl<T> Group<T> {
    pub(super) fn join_as_classic(&mut self, ticket: T, join: Join, step: &mut Step<'_, T>) {
        let refuse = |member_id: &Str, error| Reply::Join(JoinReply::refused(owned(member_id), error));
        let Some(state) = self.consumer.state() else { return };
        if WRITES_IN_FLIGHT_MAX <= step.writes.len() {
            step.reply(ticket, refuse(&join.member_id, ErrorCode::CoordinatorNotAvailable));
            return;
        }
        if state.members.is_empty() {
            let records = state.tombstones();
            let reply = refuse(&join.member_id, ErrorCode::CoordinatorNotAvailable);
            self.write(vec![], records, Some((ticket, reply)), Then::Cleared(Box::new(join)), step);
            return;
        }
        // The last member of the consumer protocol comes back under its name in the other one.
        if let Some(old) = self.last_of_consumer(&join, step) {
            self.end(vec![old], None, step);
            self.consumer.waiting.push_front(Waiting::Request(ticket, Request::Join(join)));
            return;
        }
        match state.classic_join(&join, self.context(step)) {
            Err(error) => step.reply(ticket, refuse(&join.member_id, error)),
            Ok((member_id, None)) => step.reply(ticket, refuse(&member_id, ErrorCode::MemberIdRequired)),
            Ok((member_id, Some(Decided { records, member }))) => {
                let reply = Reply::Join(JoinReply {
                    error: ErrorCode::None,
                    generation: member.epoch,
                    protocol_type: Some(CONSUMER.into()),
                    protocol: member.protocol().map(|protocol| protocol.name.clone()),
                    leader: Str::default(),
                    skip_assignment: false,
                    member_id: member_id.clone(),
                    members: Vec::new(),
                });
                if records.is_empty() {
                    self.restart_consumer_session(&member_id, step);
                    step.timers.cancel(&self.id, Timer::Rejoin(member_id.clone()));
                    self.set_rebalance_timer(Timer::Assigned(member_id.clone()), &member_id, step);
                    step.reply(ticket, reply);
                } else {
                    self.write(vec![], records, Some((ticket, reply)), Then::Joined(member_id), step);
                }
            }
        }
    }

    pub(super) fn sync_as_classic(&self, ticket: T, sync: &Sync, step: &mut Step<'_, T>) {
        let reply = match self.synced(sync, step) {
            Ok(assignment) => SyncReply {
                error: ErrorCode::None,
                protocol_type: sync.protocol_type.as_ref().map(owned),
                protocol: sync.protocol.as_ref().map(owned),
                assignment,
            },
            Err(error) => SyncReply::refused(error),
        };
        step.reply(ticket, Reply::Sync(reply));
    }

    fn synced(&self, sync: &Sync, step: &mut Step<'_, T>) -> Result<Bytes, ErrorCode> {
        let state = self.consumer.state().ok_or(ErrorCode::UnknownMemberId)?;
        let (id, member) = state.classic_member(&sync.member_id, sync.instance_id.as_ref())?;
        member.check_generation(sync.generation)?;
        let protocol = member.protocol();
        let other_type = sync.protocol_type.as_ref().is_some_and(|it| *it != *CONSUMER);
        let other_name = sync.protocol.as_ref().is_some_and(|it| protocol.is_none_or(|spoken| spoken.name != *it));
        if other_type || other_name {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if member.epoch < state.epoch && member.phase != Reconciliation::Unrevoked {
            self.await_rejoin(id, step);
            return Err(ErrorCode::RebalanceInProgress);
        }
        step.timers.cancel(&self.id, Timer::Assigned(id.clone()));
        self.restart_consumer_session(id, step);
        member.assignment_bytes(step.topics).ok_or(ErrorCode::UnknownServerError)
    }

    pub(super) fn heartbeat_as_classic(&self, ticket: T, heartbeat: &Heartbeat, step: &mut Step<'_, T>) {
        let beat = |step: &mut Step<'_, T>| {
            let state = self.consumer.state().ok_or(ErrorCode::UnknownMemberId)?;
            let (id, member) = state.classic_member(&heartbeat.member_id, heartbeat.instance_id.as_ref())?;
            member.check_generation(heartbeat.generation)?;
            self.restart_consumer_session(id, step);
            let may_get_more = member.phase == Reconciliation::Unreleased && !state.waits_for_others(id, member);
            if member.epoch < state.epoch || member.phase == Reconciliation::Unrevoked || may_get_more {
                self.await_rejoin(id, step);
                return Err(ErrorCode::RebalanceInProgress);
            }
            Ok(())
        };
        let error = beat(step).err().unwrap_or(ErrorCode::None);
        step.reply(ticket, Reply::Heartbeat(error));
    }

    /// Who does not join again in its rebalance time-out is taken out.
    fn await_rejoin(&self, id: &Str, step: &mut Step<'_, T>) {
        let timer = Timer::Rejoin(id.clone());
        if !step.timers.is_set(&self.id, &timer) {
            self.set_rebalance_timer(timer, id, step);
        }
    }

    pub(super) fn leave_as_classic(&mut self, ticket: T, leave: &Leave, step: &mut Step<'_, T>) {
        let Some(state) = self.consumer.state() else { return };
        let mut gone = Vec::new();
        let outcomes = leave.members.iter().map(|leaving| match state.classic_leaving(leaving) {
            Ok(id) if gone.contains(&id) => ErrorCode::UnknownMemberId,
            Ok(id) => {
                gone.push(id);
                ErrorCode::None
            }
            Err(error) => error,
        });
        let reply = Reply::Leave(Ok(outcomes.collect()));
        if gone.is_empty() {
            step.reply(ticket, reply);
        } else {
            self.end(gone, Some((ticket, reply)), step);
        }
    }
}

impl State {
    /// The id of the member that joins and what becomes of it; nothing when it has to come back with the id first.
    fn classic_join(
        &self,
        join: &Join,
        context: super::decide::Context<'_>,
    ) -> Result<(Str, Option<Decided>), ErrorCode> {
        let is_unknown = join.member_id.is_empty();
        let member_id = if is_unknown { Str::from(TopicId(join.random).to_string()) } else { owned(&join.member_id) };
        self.check_room(&join.member_id, context.rules).map_err(|refusal| refusal.error)?;
        if join.protocol_type != *CONSUMER || !self.supports(join) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if is_unknown && join.instance_id.is_none() && MEMBER_ID_REQUIRED_FROM <= join.version {
            return Ok((member_id, None));
        }
        let (replaced, before) = match &join.instance_id {
            None => (None, self.members.get(&member_id).cloned().unwrap_or_default()),
            Some(instance_id) => match self.statics.get(instance_id).and_then(|id| self.members.get_key_value(id)) {
                None if is_unknown => (None, Member::default()),
                None => return Err(ErrorCode::UnknownMemberId),
                Some((old, member)) if is_unknown => (Some(old.clone()), member.anew()),
                Some((old, _)) if *old != member_id => return Err(ErrorCode::FencedInstanceId),
                Some((_, member)) => (None, member.clone()),
            },
        };
        let first = join.protocols.first().ok_or(ErrorCode::InconsistentGroupProtocol)?;
        let subscription = Subscription::read(&first.metadata).ok_or(ErrorCode::InconsistentGroupProtocol)?;
        let mut terms = before.terms.clone();
        if join.instance_id.is_some() {
            terms.instance_id = join.instance_id.as_ref().map(owned);
        }
        if subscription.rack.is_some() {
            terms.rack_id = subscription.rack.as_ref().map(owned);
        }
        terms.rebalance_timeout_ms =
            if join.version == 0 { join.session_timeout_ms } else { join.rebalance_timeout_ms };
        let names = subscription.topics.iter().map(owned).collect::<BTreeSet<_>>();
        terms.subscribed_topic_names = names.into_iter().collect();
        terms.subscribed_topic_regex = None;
        terms.server_assignor = None;
        terms.client_id = owned(&join.client_id);
        terms.client_host = owned(&join.client_host);
        let protocols = join.protocols.iter().map(|protocol| ClassicProtocol {
            name: owned(&protocol.name),
            metadata: Bytes::copy_from_slice(&protocol.metadata),
        });
        terms.classic_member_metadata = Some(ClassicMemberMetadata {
            session_timeout_ms: join.session_timeout_ms,
            supported_protocols: protocols.collect(),
        });
        let owned = Some(by_id(&subscription.owned, context.topics));
        let update = Update { member_id: member_id.clone(), replaced, before, terms, owned };
        let decided = self.advance(update, context).map_err(|refusal| refusal.error)?;
        Ok((member_id, Some(decided)))
    }

    /// Whether all members of the classic protocol can talk to one that speaks these.
    fn supports(&self, join: &Join) -> bool {
        let others = self.members.iter().filter(|(id, _)| **id != join.member_id);
        let others = others.filter_map(|(_, member)| member.terms.classic_member_metadata.as_ref()).collect::<Vec<_>>();
        let by_all = |name: &Str| others.iter().all(|it| it.supported_protocols.iter().any(|it| it.name == *name));
        join.protocols.len() <= PROTOCOLS_PER_MEMBER_MAX && join.protocols.iter().any(|protocol| by_all(&protocol.name))
    }

    /// The member that a request of the classic protocol is from.
    fn classic_member(&self, member_id: &str, instance_id: Option<&Str>) -> Result<(&Str, &Member), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.statics.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(known) if *known != *member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        let known = self.members.get_key_value(member_id).filter(|(_, member)| member.speaks_classic());
        known.ok_or(ErrorCode::UnknownMemberId)
    }

    fn classic_leaving(&self, leaving: &Leaving) -> Result<Str, ErrorCode> {
        let instance = leaving.instance_id.as_ref();
        let member_id = match instance.filter(|_| leaving.member_id.is_empty()) {
            Some(instance_id) => self.statics.get(instance_id).ok_or(ErrorCode::UnknownMemberId)?,
            None => &leaving.member_id,
        };
        self.classic_member(member_id, instance).map(|(id, _)| id.clone())
    }

    /// Whether others still have something that the member is to get.
    fn waits_for_others(&self, id: &Str, member: &Member) -> bool {
        let target = self.targets.get(id).into_iter().flat_map(super::partitions);
        let mut missing =
            target.filter(|(topic, index)| !member.assigned.get(topic).is_some_and(|it| it.contains(index)));
        missing.any(|partition| self.owners.contains_key(&partition))
    }
}

impl Member {
    /// What it likes to speak best.
    fn protocol(&self) -> Option<&ClassicProtocol> {
        self.terms.classic_member_metadata.as_ref()?.supported_protocols.first()
    }

    fn check_generation(&self, generation: i32) -> Result<(), ErrorCode> {
        if generation == self.epoch { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    /// What it reads, as a leader of its protocol would tell it.
    fn assignment_bytes(&self, topics: &Topics) -> Option<Bytes> {
        let subscription = Subscription::read(&self.protocol()?.metadata)?;
        assignment_bytes(subscription.version, &by_name(&self.assigned, topics)).ok()
    }
}

/// Partitions of topics that are there.
pub(super) fn by_id(owned: &[(Str, Vec<i32>)], topics: &Topics) -> Assignment {
    let known = owned.iter().filter_map(|(name, indexes)| Some((topics.get(name)?.id, indexes)));
    collect(known.flat_map(|(topic, indexes)| indexes.iter().map(move |index| (topic, *index))))
}

/// The same by the topics' names.
pub(super) fn by_name(assignment: &Assignment, topics: &Topics) -> Vec<(Str, Vec<i32>)> {
    let named = assignment.iter().filter_map(|(topic, indexes)| Some((topics.name(*topic)?, indexes)));
    named.map(|(name, indexes)| (name.clone(), indexes.iter().copied().collect())).collect()
}
