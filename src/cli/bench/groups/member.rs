//! One member of a classic group, for the load generator: what it asks next, given what it hears.
//!
//! *Does not know*: sockets, the clock. Why not [`client::group::member`](crate::client::group::member): that one reads
//! topics, commits and waits as a consumer does; here nobody waits but for the coordinator.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::wire::Str;
use crate::wire::consumer_protocol::{Assignment, PROTOCOL_TYPE, Subscription, TopicPartitions, to_bytes};
use crate::wire::message::join_group::{JoinGroupRequestProtocol, JoinGroupResponseMember};
use crate::wire::message::sync_group::SyncGroupRequestAssignment;
use crate::wire::message::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse,
};

/// What the members say that they can do.
const ASSIGNOR: &str = "range";

/// Wait before a coordinator that loads, or is elsewhere for now, is asked again.
const RETRY: Duration = Duration::from_millis(20);

/// What all members of a run share.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) topic: Str,
    /// How many partitions the leader of each group hands out.
    pub(super) partitions: i32,
    /// Also the time in which members must join again.
    pub(super) session_timeout_ms: i32,
    subscription: Bytes,
}

impl Terms {
    pub(super) fn new(topic: Str, partitions: i32, session_timeout_ms: i32) -> Self {
        let subscription = Subscription { topics: vec![topic.clone()], ..Subscription::default() };
        let subscription = to_bytes(&subscription, 1).unwrap_or_default();
        Self { topic, partitions, session_timeout_ms, subscription }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Member {
    terms: Arc<Terms>,
    group: Str,
    /// Empty before the coordinator gave one out.
    id: Str,
    generation: i32,
    leads: bool,
    state: State,
    /// It is to join again as soon as what it asked is answered.
    is_to_join: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// A JoinGroup is on its way, or is to be sent again.
    Joining,
    /// A SyncGroup is on its way.
    Syncing,
    /// It knows what to read.
    Stable,
    /// It does, and a Heartbeat is on its way.
    Beating,
}

/// What a member asks.
#[derive(Debug)]
pub(super) enum Asked {
    Join(JoinGroupRequest),
    Sync(SyncGroupRequest),
    Heartbeat(HeartbeatRequest),
}

/// What it hears.
#[derive(Debug)]
pub(super) enum Answer {
    Join(JoinGroupResponse),
    Sync(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
}

/// What to do then.
#[derive(Debug)]
pub(super) enum Next {
    Ask(Asked),
    /// Nothing until its next heartbeat is due.
    Rest,
    /// Ask again in a while.
    Again(Duration),
}

/// A refusal that no member gets that does what it should.
#[derive(PartialEq, Eq, Debug, thiserror::Error)]
#[error("group '{group}': {what} was refused: {message}", message = .code.message())]
pub(super) struct Refused {
    group: Str,
    what: &'static str,
    code: ErrorCode,
}

impl Member {
    pub(super) fn new(terms: Arc<Terms>, group: Str) -> Self {
        let id = Str::default();
        Self { terms, group, id, generation: -1, leads: false, state: State::Joining, is_to_join: false }
    }

    pub(super) fn id(&self) -> &Str {
        &self.id
    }

    pub(super) const fn leads(&self) -> bool {
        self.leads
    }

    /// The generation in which it knows what to read; `None` while it does not.
    pub(super) fn settled(&self) -> Option<i32> {
        (matches!(self.state, State::Stable | State::Beating) && !self.is_to_join).then_some(self.generation)
    }

    pub(super) fn join(&mut self) -> Asked {
        (self.state, self.is_to_join) = (State::Joining, false);
        let protocol = JoinGroupRequestProtocol { name: ASSIGNOR.into(), metadata: self.terms.subscription.clone() };
        Asked::Join(JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: self.terms.session_timeout_ms,
            rebalance_timeout_ms: self.terms.session_timeout_ms,
            member_id: self.id.clone(),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: vec![protocol],
            ..JoinGroupRequest::default()
        })
    }

    /// It is to join again, without being asked to: now, or when what is on its way is answered.
    pub(super) fn rejoin(&mut self) -> Option<Asked> {
        if self.state == State::Stable {
            return Some(self.join());
        }
        self.is_to_join = true;
        None
    }

    /// Its rest is over.
    pub(super) fn due(&mut self) -> Option<Asked> {
        match self.state {
            State::Joining => Some(self.join()),
            State::Stable => {
                self.state = State::Beating;
                Some(Asked::Heartbeat(HeartbeatRequest {
                    group_id: self.group.clone(),
                    generation_id: self.generation,
                    member_id: self.id.clone(),
                    group_instance_id: None,
                }))
            }
            State::Syncing | State::Beating => None,
        }
    }

    pub(super) fn heard(&mut self, answer: Answer) -> Result<Next, Refused> {
        match answer {
            Answer::Join(answer) => self.joined(answer),
            Answer::Sync(answer) => self.belongs("SyncGroup", answer.error_code),
            Answer::Heartbeat(answer) => self.belongs("Heartbeat", answer.error_code),
        }
    }

    fn belongs(&mut self, what: &'static str, code: ErrorCode) -> Result<Next, Refused> {
        if code.is_error() {
            return self.refused(what, code);
        }
        self.state = State::Stable;
        Ok(if self.is_to_join { Next::Ask(self.join()) } else { Next::Rest })
    }

    fn joined(&mut self, answer: JoinGroupResponse) -> Result<Next, Refused> {
        if answer.error_code == ErrorCode::MemberIdRequired {
            self.id = answer.member_id;
            return Ok(Next::Ask(self.join()));
        }
        if answer.error_code.is_error() {
            return self.refused("JoinGroup", answer.error_code);
        }
        self.leads = answer.leader == answer.member_id;
        (self.id, self.generation, self.state) = (answer.member_id, answer.generation_id, State::Syncing);
        let assignments = if self.leads { self.assignments(&answer.members) } else { Vec::new() };
        Ok(Next::Ask(Asked::Sync(SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.into()),
            protocol_name: Some(ASSIGNOR.into()),
            assignments,
            ..SyncGroupRequest::default()
        })))
    }

    /// As a consumer does: it joins again at once, or after a while when nobody coordinates now.
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else it is, it does not pass")]
    fn refused(&mut self, what: &'static str, code: ErrorCode) -> Result<Next, Refused> {
        match code {
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => Ok(Next::Ask(self.join())),
            ErrorCode::UnknownMemberId => {
                self.id = Str::default();
                Ok(Next::Ask(self.join()))
            }
            ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                self.state = State::Joining;
                Ok(Next::Again(RETRY))
            }
            code => Err(Refused { group: self.group.clone(), what, code }),
        }
    }

    /// A run of partitions for each member; the first ones get one more when it does not come out even.
    fn assignments(&self, members: &[JoinGroupResponseMember]) -> Vec<SyncGroupRequestAssignment> {
        let count = i32::try_from(members.len()).unwrap_or(i32::MAX).max(1);
        let (each, more) = (self.terms.partitions / count, self.terms.partitions % count);
        let mut next = 0;
        let runs = members.iter().zip(0..).map(|(member, number)| {
            let end = next + each + i32::from(number < more);
            let run = TopicPartitions { topic: self.terms.topic.clone(), partitions: (next..end).collect() };
            next = end;
            let assignment = Assignment { partitions: vec![run], user_data: None };
            let assignment = to_bytes(&assignment, 1).unwrap_or_default();
            SyncGroupRequestAssignment { member_id: member.member_id.clone(), assignment }
        });
        runs.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::consumer_protocol::from_bytes;

    fn member() -> Member {
        Member::new(Arc::new(Terms::new("t".into(), 5, 10_000)), "g".into())
    }

    fn joined(leader: &str, others: &[&str]) -> Answer {
        let members = others.iter().map(|id| JoinGroupResponseMember { member_id: (*id).into(), ..Default::default() });
        Answer::Join(JoinGroupResponse {
            generation_id: 3,
            leader: leader.into(),
            member_id: "m1".into(),
            members: members.collect(),
            ..JoinGroupResponse::default()
        })
    }

    fn refusal(code: ErrorCode) -> Answer {
        Answer::Heartbeat(HeartbeatResponse { error_code: code, ..HeartbeatResponse::default() })
    }

    #[test]
    fn a_leader_comes_in_with_the_id_that_it_gets_and_hands_out_every_partition_once() {
        let mut member = member();
        let Asked::Join(first) = member.join() else { panic!("a member joins first") };
        assert!(first.member_id.is_empty() && member.settled().is_none());
        let id_required = JoinGroupResponse {
            error_code: ErrorCode::MemberIdRequired,
            member_id: "m1".into(),
            ..JoinGroupResponse::default()
        };
        let Ok(Next::Ask(Asked::Join(second))) = member.heard(Answer::Join(id_required)) else { panic!("it joins") };
        assert_eq!(second.member_id, "m1");
        let Ok(Next::Ask(Asked::Sync(sync))) = member.heard(joined("m1", &["m1", "m2"])) else { panic!("it syncs") };
        let given = sync.assignments.iter().map(|it| from_bytes::<Assignment>(&it.assignment).expect("an assignment"));
        let given = given.map(|it| it.partitions[0].partitions.clone()).collect::<Vec<_>>();
        assert_eq!((sync.generation_id, given), (3, vec![vec![0, 1, 2], vec![3, 4]]));
        assert!(matches!(member.heard(Answer::Sync(SyncGroupResponse::default())), Ok(Next::Rest)));
        assert_eq!((member.settled(), member.leads()), (Some(3), true));
    }

    #[test]
    fn a_member_joins_again_when_it_hears_of_a_rebalance_and_when_it_is_told_to() {
        let mut member = member();
        member.join();
        let Ok(Next::Ask(Asked::Sync(sync))) = member.heard(joined("m2", &[])) else { panic!("it syncs") };
        assert!(sync.assignments.is_empty() && !member.leads());
        assert!(member.rejoin().is_none(), "the answer of the sync is waited for");
        let synced = member.heard(Answer::Sync(SyncGroupResponse::default()));
        assert!(matches!(synced, Ok(Next::Ask(Asked::Join(_)))) && member.settled().is_none());
        member.heard(joined("m2", &[])).expect("it is in");
        member.heard(Answer::Sync(SyncGroupResponse::default())).expect("it is in");
        assert!(matches!(member.due(), Some(Asked::Heartbeat(_))) && member.settled() == Some(3));
        assert!(member.due().is_none(), "one heartbeat at a time");
        assert!(matches!(member.heard(refusal(ErrorCode::RebalanceInProgress)), Ok(Next::Ask(Asked::Join(_)))));
        assert!(matches!(member.heard(refusal(ErrorCode::NotCoordinator)), Ok(Next::Again(_))));
        let Some(Asked::Join(join)) = member.due() else { panic!("it joins again") };
        assert_eq!(join.member_id, "m1");
        let Ok(Next::Ask(Asked::Join(anew))) = member.heard(refusal(ErrorCode::UnknownMemberId)) else {
            panic!("it joins")
        };
        assert!(anew.member_id.is_empty());
        let code = ErrorCode::GroupMaxSizeReached;
        let refused = member.heard(refusal(code)).expect_err("nothing that passes");
        assert_eq!(refused, Refused { group: "g".into(), what: "Heartbeat", code });
    }
}
