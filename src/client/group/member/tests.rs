//! Transcripts: what a member hears, and what it asks and says then.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::client::BrokerAddress;
use crate::client::config::{GroupMembership, GroupProtocol};
use crate::model::Offset;
use crate::wire::consumer_protocol;
use crate::wire::message::join_group::JoinGroupResponseMember;
use crate::wire::message::offset_commit::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use crate::wire::message::{HeartbeatResponse, OffsetCommitResponse};

/// A member of the group `g` that reads `t`, and the time.
struct Desk {
    member: Member,
    ms: u64,
    /// What the members have agreed on.
    assignor: &'static str,
}

impl Desk {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut GroupMembership)) -> Self {
        let mut membership = GroupMembership {
            group: "g".to_owned(),
            instance: None,
            protocol: GroupProtocol::Classic,
            assignors: vec![AssignorName::Range],
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            poll_interval_max: Duration::from_secs(300),
            commit_interval: Some(Duration::from_secs(5)),
        };
        change(&mut membership);
        let settings = MemberSettings::new(&membership, ["t"].into(), Duration::from_secs(30));
        let assignor = membership.assignors[0].name();
        Self { member: Member::new(settings, Moment(Duration::ZERO)), ms: 0, assignor }
    }

    /// One that leads generation 1, and reads both partitions of `t` since the beginning.
    fn reading() -> Self {
        Self::new().read_both()
    }

    fn read_both(mut self) -> Self {
        let desk = &mut self;
        assert_eq!(desk.tell(Event::Tick), ["ask join as ''"]);
        assert_eq!(desk.hear(joined(ErrorCode::MemberIdRequired, -1, "", &[])), ["ask join as 'me'"]);
        assert_eq!(desk.hear(joined(ErrorCode::None, 1, "me", &["me"])), ["ask count of t"]);
        assert_eq!(desk.hear(counted(2)), ["ask sync of 1: me t[0, 1]"]);
        assert_eq!(desk.hear(synced(ErrorCode::None, &[0, 1])), ["assigned t-0 t-1"]);
        self
    }

    fn tell(&mut self, event: Event) -> Vec<String> {
        let mut effects = Vec::new();
        self.member.step(Moment(Duration::from_millis(self.ms)), event, &mut effects);
        effects.iter().map(text).collect()
    }

    fn hear(&mut self, mut answer: Answer) -> Vec<String> {
        if let Answer::Join(joined) = &mut answer {
            joined.protocol_name = Some(self.assignor.into());
        }
        self.tell(Event::Answered(Ok(answer)))
    }

    fn fail(&mut self) -> Vec<String> {
        let address = BrokerAddress { host: "b".to_owned(), port: 1 };
        self.tell(Event::Answered(Err(ClientError::Disconnected { address, reason: "it died".to_owned() })))
    }

    fn read(&mut self, partition: i32, next: i64) {
        assert_eq!(self.tell(Event::Read(("t".into(), partition), Offset(next))), [""; 0]);
    }

    /// Waits until the member wants something.
    fn wait(&mut self) -> Vec<String> {
        let Moment(at) = self.member.next_deadline().expect("something to wait for");
        self.ms = self.ms.max(u64::try_from(at.as_millis()).expect("a test is short"));
        let mut said = self.tell(Event::Polled);
        said.extend(self.tell(Event::Tick));
        said
    }

    /// Answers heartbeats until the member wants something else.
    fn beat(&mut self) -> Vec<String> {
        let mut said = self.wait();
        while said == ["ask heartbeat of 1"] {
            said = self.hear(beaten(ErrorCode::None));
            if said.is_empty() {
                said = self.wait();
            }
        }
        said
    }
}

fn joined(error_code: ErrorCode, generation_id: i32, leader: &str, members: &[&str]) -> Answer {
    let metadata = to_bytes(&consumer_protocol::Subscription { topics: vec!["t".into()], ..Default::default() }, 0)
        .expect("short");
    let members = members.iter().map(|id| JoinGroupResponseMember {
        member_id: (*id).into(),
        group_instance_id: None,
        metadata: metadata.clone(),
    });
    Answer::Join(JoinGroupResponse {
        error_code,
        generation_id,
        leader: leader.into(),
        member_id: "me".into(),
        members: members.collect(),
        ..JoinGroupResponse::default()
    })
}

fn counted(partitions: i32) -> Answer {
    Answer::Count([("t".into(), partitions)].into())
}

fn synced(error_code: ErrorCode, partitions: &[i32]) -> Answer {
    let partitions = vec![TopicPartitions { topic: "t".into(), partitions: partitions.to_vec() }];
    let assignment = to_bytes(&Assignment { partitions, user_data: None }, 0).expect("short");
    Answer::Sync(SyncGroupResponse { error_code, assignment, ..SyncGroupResponse::default() })
}

fn beaten(error_code: ErrorCode) -> Answer {
    Answer::Heartbeat(HeartbeatResponse { error_code, ..HeartbeatResponse::default() })
}

fn committed(error_code: ErrorCode) -> Answer {
    let partitions = vec![OffsetCommitResponsePartition { partition_index: 0, error_code }];
    let topics = vec![OffsetCommitResponseTopic { name: "t".into(), partitions }];
    Answer::Commit(OffsetCommitResponse { topics, ..OffsetCommitResponse::default() })
}

fn names(all: &[Partition]) -> String {
    all.iter().map(|(topic, partition)| format!(" {topic}-{partition}")).collect()
}

fn text(effect: &Effect) -> String {
    match effect {
        Effect::Ask(Asked::Join(join)) => format!("ask join as '{}'", join.member_id),
        Effect::Ask(Asked::Sync(sync)) => {
            let said = sync.assignments.iter().map(|it| {
                let assignment = from_bytes::<Assignment>(&it.assignment).expect("our own");
                let partitions = assignment.partitions.iter().map(|it| format!(" {}{:?}", it.topic, it.partitions));
                format!(" {}{}", it.member_id, partitions.collect::<String>())
            });
            format!("ask sync of {}:{}", sync.generation_id, said.collect::<String>())
        }
        Effect::Ask(Asked::Heartbeat(heartbeat)) => format!("ask heartbeat of {}", heartbeat.generation_id),
        Effect::Ask(Asked::Commit(commit)) => {
            let all = commit.topics.iter().flat_map(|topic| topic.partitions.iter().map(|it| (&topic.name, it)));
            let all = all.map(|(topic, it)| format!(" {topic}-{}={}", it.partition_index, it.committed_offset));
            format!("ask commit in {}:{}", commit.generation_id_or_member_epoch, all.collect::<String>())
        }
        Effect::Ask(Asked::Leave(leave)) => format!("ask leave of '{}'", leave.members[0].member_id),
        Effect::Ask(other @ (Asked::Beat(_) | Asked::Name(_))) => panic!("a classic member asks {other:?}"),
        Effect::Ask(Asked::Count(topics)) => format!("ask count of {}", topics.join(" ")),
        Effect::ForgetCoordinator => "forget the coordinator".to_owned(),
        Effect::Assigned(all) => format!("assigned{}", names(all)),
        Effect::Revoked(all) => format!("revoked{}", names(all)),
        Effect::Lost(all) => format!("lost{}", names(all)),
        Effect::Committed(id, Ok(())) => format!("committed {id}"),
        Effect::Committed(id, Err(error)) => format!("not committed {id}: {error}"),
        Effect::Left => "left".to_owned(),
        Effect::Failed(error) => format!("failed: {error}"),
    }
}

#[test]
fn a_member_lives_by_heartbeats_and_commits_what_was_read() {
    let mut desk = Desk::reading();
    assert_eq!(desk.wait(), ["ask heartbeat of 1"]);
    assert_eq!(desk.hear(beaten(ErrorCode::None)), [""; 0]);
    desk.read(0, 7);
    assert_eq!(desk.wait(), ["ask commit in 1: t-0=7"]);
    desk.read(0, 8);
    desk.read(1, 3);
    assert_eq!((desk.hear(committed(ErrorCode::None)), desk.ms), (vec![], 5_000));
    assert_eq!(desk.wait(), ["ask heartbeat of 1"]);
    desk.hear(beaten(ErrorCode::None));
    assert_eq!(desk.wait(), ["ask heartbeat of 1"]);
    desk.hear(beaten(ErrorCode::None));
    assert_eq!(desk.wait(), ["ask commit in 1: t-0=8 t-1=3"], "what was read meanwhile is not forgotten");
    desk.hear(committed(ErrorCode::None));
    assert_eq!(desk.wait(), ["ask heartbeat of 1"], "nothing is committed twice");
}

#[test]
fn in_a_rebalance_everything_is_committed_and_given_back_before_the_next_join() {
    let mut desk = Desk::reading();
    desk.read(1, 4);
    desk.wait();
    assert_eq!(desk.hear(beaten(ErrorCode::RebalanceInProgress)), ["revoked t-0 t-1"]);
    assert_eq!(desk.tell(Event::Released), ["ask commit in 1: t-1=4"]);
    assert_eq!(desk.hear(committed(ErrorCode::None)), ["ask join as 'me'"]);
    assert_eq!(desk.hear(joined(ErrorCode::None, 2, "other", &[])), ["ask sync of 2:"], "another one assigns");
    let [waits] = &desk.hear(synced(ErrorCode::RebalanceInProgress, &[]))[..] else {
        assert_eq!(desk.wait(), ["ask join as 'me'"]);
        desk.hear(joined(ErrorCode::None, 3, "other", &[]));
        assert_eq!(desk.hear(synced(ErrorCode::None, &[1])), ["assigned t-1"]);
        return;
    };
    panic!("{waits}");
}

#[test]
fn a_commit_that_comes_too_late_for_its_generation_is_dropped() {
    let mut desk = Desk::reading();
    desk.read(0, 4);
    desk.wait();
    desk.hear(beaten(ErrorCode::RebalanceInProgress));
    assert_eq!(desk.tell(Event::Released), ["ask commit in 1: t-0=4"]);
    assert_eq!(desk.hear(committed(ErrorCode::RebalanceInProgress)), [""; 0]);
    assert_eq!(desk.wait(), ["ask join as 'me'"]);
}

#[test]
fn a_member_that_the_group_forgot_comes_as_a_new_one() {
    for forgotten in [ErrorCode::UnknownMemberId, ErrorCode::IllegalGeneration] {
        let mut desk = Desk::reading();
        desk.read(0, 4);
        desk.wait();
        assert_eq!(desk.hear(beaten(forgotten)), ["lost t-0 t-1"], "{forgotten}");
        assert_eq!(desk.wait(), ["ask join as ''"], "and commits nothing: another one may read there by now");
    }
}

#[test]
fn another_coordinator_goes_on_with_the_generation() {
    let mut desk = Desk::reading();
    desk.read(0, 4);
    desk.wait();
    assert_eq!(desk.fail(), ["forget the coordinator"]);
    assert_eq!(desk.wait(), ["ask heartbeat of 1"]);
    assert_eq!(desk.hear(beaten(ErrorCode::NotCoordinator)), ["forget the coordinator"]);
    assert_eq!(desk.wait(), ["ask heartbeat of 1"]);
    desk.hear(beaten(ErrorCode::None));
    assert_eq!(desk.wait(), ["ask commit in 1: t-0=4"]);
    assert_eq!(desk.hear(committed(ErrorCode::CoordinatorLoadInProgress)), [""; 0], "it is the right one");
    assert_eq!(desk.wait(), ["ask commit in 1: t-0=4"]);
}

#[test]
fn a_generation_that_nobody_distributed_ends_with_its_coordinator() {
    let mut desk = Desk::new();
    desk.tell(Event::Tick);
    desk.hear(joined(ErrorCode::None, 1, "me", &["me"]));
    desk.hear(counted(2));
    assert_eq!(desk.hear(synced(ErrorCode::NotCoordinator, &[])), ["forget the coordinator"]);
    assert_eq!(desk.wait(), ["ask join as 'me'"]);
}

#[test]
fn errors_that_pass_do_not_pass_for_ever_and_others_end_it_at_once() {
    let mut desk = Desk::reading();
    desk.wait();
    let failed = loop {
        let said = desk.fail();
        if said != ["forget the coordinator"] {
            break said;
        }
        assert_eq!(desk.wait(), ["ask heartbeat of 1"]);
    };
    assert_eq!(failed, ["lost t-0 t-1", "failed: the connection to b:1 broke: it died"]);
    assert!((30_000..32_000).contains(&desk.ms), "{}", desk.ms);
    assert_eq!(desk.member.next_deadline(), None);

    let mut desk = Desk::new();
    desk.tell(Event::Tick);
    let said = desk.hear(joined(ErrorCode::InconsistentGroupProtocol, -1, "", &[]));
    assert!(said[0].starts_with("failed: group 'g' does not take this member: INCONSISTENT"), "{said:?}");
}

#[test]
fn who_leaves_commits_first_whatever_is_on_its_way() {
    let mut desk = Desk::reading();
    desk.read(0, 4);
    assert_eq!(desk.tell(Event::Leave), ["revoked t-0 t-1", "ask commit in 1: t-0=4"]);
    assert_eq!(desk.hear(committed(ErrorCode::None)), ["ask leave of 'me'"]);
    assert_eq!(desk.hear(Answer::Leave), ["left"]);

    let mut desk = Desk::reading();
    desk.read(0, 4);
    desk.wait();
    assert_eq!(desk.tell(Event::Leave), ["revoked t-0 t-1"]);
    assert_eq!(desk.hear(beaten(ErrorCode::RebalanceInProgress)), ["ask commit in 1: t-0=4"]);
    assert_eq!(desk.hear(committed(ErrorCode::RebalanceInProgress)), ["ask leave of 'me'"]);
    assert_eq!(desk.fail(), ["forget the coordinator"]);
    assert_eq!(desk.wait(), ["ask leave of 'me'"]);
    assert_eq!(desk.hear(Answer::Leave), ["left"]);

    let mut desk = Desk::new();
    assert_eq!(desk.tell(Event::Leave), ["left"], "it never came in");
    let mut desk = Desk::new();
    desk.tell(Event::Tick);
    assert_eq!(desk.tell(Event::Leave), [""; 0]);
    assert_eq!(desk.hear(joined(ErrorCode::None, 1, "me", &["me"])), ["ask leave of 'me'"]);
    let mut desk = Desk::new();
    desk.tell(Event::Tick);
    desk.hear(joined(ErrorCode::MemberIdRequired, -1, "", &[]));
    assert_eq!(desk.tell(Event::Leave), ["ask leave of 'me'"], "without waiting until all others have joined");
    assert_eq!(desk.hear(Answer::Leave), ["left"]);
}

#[test]
fn a_leader_that_sees_more_partitions_has_them_assigned() {
    let mut desk = Desk::reading();
    assert_eq!((desk.beat(), desk.ms), (vec!["ask count of t".to_owned()], 300_000));
    assert_eq!(desk.hear(counted(2)), [""; 0]);
    assert_eq!((desk.beat(), desk.ms), (vec!["ask count of t".to_owned()], 600_000));
    assert_eq!(desk.hear(counted(3)), ["revoked t-0 t-1"]);
    assert_eq!(desk.tell(Event::Released), ["ask join as 'me'"]);
}

#[test]
fn what_other_members_say_is_read_with_care() {
    let mut desk = Desk::new();
    desk.tell(Event::Tick);
    let Answer::Join(mut join) = joined(ErrorCode::None, 1, "me", &["me"]) else { panic!("a join") };
    join.members[0].metadata = Bytes::from_static(b"\0\0\x7f\xff\xff\xff");
    let said = desk.hear(Answer::Join(join));
    assert!(said[0].starts_with("failed: group 'g' cannot be joined"), "{said:?}");
}

/// A member that keeps what it reads while it joins.
fn cooperative() -> Desk {
    Desk::with(|it| it.assignors = vec![AssignorName::CooperativeSticky]).read_both()
}

#[test]
fn a_cooperative_member_reads_on_and_gives_back_only_what_is_taken() {
    let mut desk = cooperative();
    desk.read(0, 4);
    desk.wait();
    assert_eq!(desk.hear(beaten(ErrorCode::RebalanceInProgress)), ["ask commit in 1: t-0=4"], "nothing is revoked");
    assert_eq!(desk.hear(committed(ErrorCode::None)), ["ask join as 'me'"]);
    desk.read(1, 9);
    assert_eq!(desk.hear(joined(ErrorCode::None, 2, "other", &[])), ["ask sync of 2:"]);
    assert_eq!(desk.hear(synced(ErrorCode::None, &[0, 2])), ["revoked t-1"]);
    assert_eq!(desk.tell(Event::Released), ["ask commit in 2: t-1=9"], "in the new generation");
    let taken = desk.hear(committed(ErrorCode::None));
    assert_eq!(taken, ["assigned t-2", "ask join as 'me'"], "so that another one gets what was given back");
    desk.hear(joined(ErrorCode::None, 3, "other", &[]));
    assert_eq!(desk.hear(synced(ErrorCode::None, &[0, 2])), ["assigned"], "nothing new");
}

#[test]
fn what_a_member_owns_is_said_when_it_joins() {
    let mut desk = cooperative();
    let mut effects = Vec::new();
    desk.wait();
    let now = Moment(Duration::from_millis(desk.ms));
    desk.member.step(now, Event::Answered(Ok(beaten(ErrorCode::RebalanceInProgress))), &mut effects);
    let [Effect::Ask(Asked::Join(join))] = &effects[..] else { panic!("{effects:?}") };
    let said = from_bytes::<consumer_protocol::Subscription>(&join.protocols[0].metadata).expect("our own");
    let owned = vec![TopicPartitions { topic: "t".into(), partitions: vec![0, 1] }];
    assert_eq!((said.owned_partitions, said.generation_id), (owned, 1));
    assert_eq!(said.user_data.as_deref(), Some(&[0, 0, 0, 1][..]));
}

#[test]
fn a_commit_that_somebody_waits_for_goes_first_and_is_answered() {
    let mut desk = Desk::with(|it| it.commit_interval = None).read_both();
    desk.read(0, 3);
    let offsets = |next| Offsets::from([(("t".into(), 0), Offset(next))]);
    assert_eq!(desk.tell(Event::Commit(7, offsets(4))), ["ask commit in 1: t-0=4"]);
    assert_eq!(desk.tell(Event::Commit(8, offsets(5))), [""; 0], "one after the other");
    assert_eq!(desk.hear(committed(ErrorCode::None)), ["committed 7", "ask commit in 1: t-0=5"]);
    assert_eq!(desk.fail(), ["forget the coordinator"]);
    assert_eq!(desk.wait(), ["ask commit in 1: t-0=5"]);
    assert_eq!(desk.hear(committed(ErrorCode::None)), ["committed 8"]);
    desk.wait();
    assert_eq!(desk.hear(beaten(ErrorCode::RebalanceInProgress)), ["revoked t-0 t-1"]);
    assert_eq!(desk.tell(Event::Commit(9, offsets(6))), ["ask commit in 1: t-0=6"], "what is revoked is still its own");
    assert_eq!(desk.hear(committed(ErrorCode::None)), ["committed 9"]);
    assert_eq!(desk.tell(Event::Released), ["ask join as 'me'"], "nothing is committed by itself");
    let refused = desk.tell(Event::Commit(10, offsets(7)));
    assert!(refused[0].starts_with("not committed 10: group 'g' does not take a commit: REBALANCE"), "{refused:?}");
}

#[test]
fn who_does_not_ask_for_records_goes_and_comes_back_when_it_does() {
    let mut desk = Desk::with(|it| it.poll_interval_max = Duration::from_secs(10)).read_both();
    desk.ms = 9_000;
    assert_eq!(desk.tell(Event::Tick), ["ask heartbeat of 1"]);
    desk.hear(beaten(ErrorCode::None));
    desk.ms = 10_000;
    assert_eq!(desk.tell(Event::Tick), ["lost t-0 t-1", "ask leave of 'me'"]);
    assert_eq!(desk.hear(Answer::Leave), [""; 0]);
    assert_eq!(desk.member.next_deadline(), None);
    desk.ms = 20_000;
    assert_eq!(desk.tell(Event::Polled), ["ask join as ''"]);
}

#[test]
fn other_topics_are_joined_for() {
    let mut desk = Desk::reading();
    assert_eq!(desk.tell(Event::Subscribe(["t"].into())), [""; 0]);
    assert_eq!(desk.tell(Event::Subscribe(["t", "u"].into())), ["revoked t-0 t-1"]);
    assert_eq!(desk.tell(Event::Released), ["ask join as 'me'"]);
}

#[test]
fn a_static_member_is_expected_back() {
    let mut desk = Desk::with(|it| it.instance = Some("i".to_owned())).read_both();
    desk.read(0, 4);
    assert_eq!(desk.tell(Event::Leave), ["revoked t-0 t-1", "ask commit in 1: t-0=4"]);
    assert_eq!(desk.hear(committed(ErrorCode::None)), ["left"], "without a word");
}
