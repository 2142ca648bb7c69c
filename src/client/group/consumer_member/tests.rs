//! Transcripts: what a member of the consumer protocol hears, and what it asks and says then.

use std::time::Duration;

use super::*;
use crate::client::BrokerAddress;
use crate::client::config::{AssignorName, GroupMembership, GroupProtocol};
use crate::client::group::member::Offsets;
use crate::model::Offset;
use crate::wire::message::consumer_group_heartbeat::{Assignment, TopicPartitions};
use crate::wire::message::offset_commit::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use crate::wire::message::{ConsumerGroupHeartbeatRequest, OffsetCommitResponse};

const NOTHING: [&str; 0] = [];

const fn id(number: u8) -> TopicId {
    TopicId([number; 16])
}

/// A member of the group `g` that reads `t`, whose id is 1, and the time.
struct Desk {
    member: ConsumerMember,
    ms: u64,
}

impl Desk {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut MemberSettings)) -> Self {
        let membership = GroupMembership {
            group: "g".to_owned(),
            instance: None,
            protocol: GroupProtocol::Consumer { assignor: None },
            assignors: vec![AssignorName::Range],
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            poll_interval_max: Duration::from_secs(300),
            commit_interval: Some(Duration::from_secs(5)),
        };
        let mut settings = MemberSettings::new(&membership, ["t"].into(), Duration::from_secs(30));
        change(&mut settings);
        Self { member: ConsumerMember::new(settings, "me".into(), Moment::default()), ms: 0 }
    }

    /// One that reads both partitions of `t` in epoch 1, and has said so.
    fn reading() -> Self {
        Self::new().read_both()
    }

    fn read_both(mut self) -> Self {
        self.tell(Event::Tick);
        assert_eq!(self.hear(beat(1, Some(&[(1, &[0, 1])]))), ["ask names of 1"]);
        assert_eq!(self.hear(named(&[(1, "t")])), ["assigned t-0 t-1", "ask beat in 1: owns 1[0, 1]"]);
        assert_eq!(self.hear(beat(1, None)), NOTHING);
        self
    }

    fn tell(&mut self, event: Event) -> Vec<String> {
        let mut effects = Vec::new();
        self.member.step(Moment(Duration::from_millis(self.ms)), event, &mut effects);
        effects.iter().map(text).collect()
    }

    fn hear(&mut self, answer: Answer) -> Vec<String> {
        self.tell(Event::Answered(Ok(answer)))
    }

    fn fail(&mut self) -> Vec<String> {
        let address = BrokerAddress { host: "b".to_owned(), port: 1 };
        self.tell(Event::Answered(Err(ClientError::Disconnected { address, reason: "it died".to_owned() })))
    }

    fn read(&mut self, partition: i32, next: i64) {
        assert_eq!(self.tell(Event::Read(("t".into(), partition), Offset(next))), NOTHING);
    }

    /// Waits until the member wants something.
    fn wait(&mut self) -> Vec<String> {
        let Moment(at) = self.member.next_deadline().expect("something to wait for");
        self.ms = self.ms.max(u64::try_from(at.as_millis()).expect("a test is short"));
        let mut said = self.tell(Event::Polled);
        said.extend(self.tell(Event::Tick));
        said
    }
}

fn beat(member_epoch: i32, assigned: Option<&[(u8, &[i32])]>) -> Answer {
    let topics = |assigned: &[(u8, &[i32])]| {
        let topics = assigned.iter();
        topics
            .map(|(topic, partitions)| TopicPartitions { topic_id: id(*topic), partitions: partitions.to_vec() })
            .collect()
    };
    Answer::Beat(ConsumerGroupHeartbeatResponse {
        member_epoch,
        heartbeat_interval_ms: 3000,
        assignment: assigned.map(|assigned| Assignment { topic_partitions: topics(assigned) }),
        ..ConsumerGroupHeartbeatResponse::default()
    })
}

fn refused(error_code: ErrorCode) -> Answer {
    Answer::Beat(ConsumerGroupHeartbeatResponse {
        error_code,
        error_message: Some("Because.".into()),
        ..ConsumerGroupHeartbeatResponse::default()
    })
}

fn named(names: &[(u8, &'static str)]) -> Answer {
    Answer::Name(names.iter().map(|(topic, name)| (id(*topic), Str::from_static(name))).collect())
}

fn committed(error_code: ErrorCode) -> Answer {
    let partitions = vec![OffsetCommitResponsePartition { partition_index: 0, error_code }];
    let topics = vec![OffsetCommitResponseTopic { name: "t".into(), partitions }];
    Answer::Commit(OffsetCommitResponse { topics, ..OffsetCommitResponse::default() })
}

fn names(all: &[Partition]) -> String {
    all.iter().map(|(topic, partition)| format!(" {topic}-{partition}")).collect()
}

fn beat_text(request: &ConsumerGroupHeartbeatRequest) -> String {
    let mut said = format!("ask beat in {}", request.member_epoch);
    if let Some(instance) = &request.instance_id {
        said += &format!(" as {instance}");
    }
    let mut parts = Vec::new();
    parts.extend((request.rebalance_timeout_ms != -1).then(|| format!("{} ms", request.rebalance_timeout_ms)));
    parts.extend(request.rack_id.as_ref().map(|rack| format!("in {rack}")));
    parts.extend(request.server_assignor.as_ref().map(|name| format!("by {name}")));
    parts.extend(request.subscribed_topic_names.as_ref().map(|names| format!("names {names:?}")));
    parts.extend(request.subscribed_topic_regex.as_ref().map(|pattern| format!("pattern '{pattern}'")));
    parts.extend(request.topic_partitions.as_ref().map(|owned| {
        let owned = owned.iter().map(|it| format!(" {}{:?}", it.topic_id.0[0], it.partitions));
        format!("owns{}", owned.collect::<String>())
    }));
    if !parts.is_empty() {
        said += &format!(": {}", parts.join(", "));
    }
    said
}

fn text(effect: &Effect) -> String {
    match effect {
        Effect::Ask(Asked::Beat(request)) => beat_text(request),
        Effect::Ask(Asked::Commit(commit)) => {
            let all = commit.topics.iter().flat_map(|topic| topic.partitions.iter().map(|it| (&topic.name, it)));
            let all = all.map(|(topic, it)| format!(" {topic}-{}={}", it.partition_index, it.committed_offset));
            format!("ask commit in {}:{}", commit.generation_id_or_member_epoch, all.collect::<String>())
        }
        Effect::Ask(Asked::Name(ids)) => {
            format!("ask names of {}", ids.iter().map(|id| id.0[0].to_string()).collect::<Vec<_>>().join(" "))
        }
        Effect::Ask(other) => panic!("a member of the consumer protocol asks {other:?}"),
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
fn a_member_says_everything_once_and_then_only_what_is_new() {
    let mut desk = Desk::with(|settings| {
        settings.instance = Some("i".into());
        settings.rack = Some("r".into());
        settings.protocol = GroupProtocol::Consumer { assignor: Some("range".to_owned()) };
    });
    assert_eq!(desk.tell(Event::Tick), ["ask beat in 0 as i: 300000 ms, in r, by range, names [\"t\"], owns"]);
    assert_eq!(desk.hear(beat(1, Some(&[(1, &[0, 1])]))), ["ask names of 1"]);
    assert_eq!(desk.hear(named(&[(1, "t")])), ["assigned t-0 t-1", "ask beat in 1 as i: owns 1[0, 1]"]);
    assert_eq!(desk.hear(beat(1, None)), NOTHING);
    assert_eq!((desk.wait(), desk.ms), (vec!["ask beat in 1 as i".to_owned()], 3000));
    desk.hear(beat(1, None));
    assert_eq!(desk.tell(Event::Subscribe(["u", "t"].into())), ["ask beat in 1 as i: names [\"u\", \"t\"]"]);
    desk.hear(beat(2, None));
    let pattern = Subscription::Pattern("t.*".into());
    assert_eq!(desk.tell(Event::Subscribe(pattern)), ["ask beat in 2 as i: names [], pattern 't.*'"]);
    desk.hear(beat(3, None));
    assert_eq!(desk.tell(Event::Subscribe(["t"].into())), ["ask beat in 3 as i: names [\"t\"], pattern ''"]);
}

#[test]
fn what_may_not_have_been_heard_is_said_again() {
    let mut desk = Desk::reading();
    assert_eq!(desk.wait(), ["ask beat in 1"]);
    assert_eq!(desk.fail(), ["forget the coordinator"]);
    assert_eq!(
        (desk.wait(), desk.ms),
        (vec!["ask beat in 1: 300000 ms, names [\"t\"], owns 1[0, 1]".to_owned()], 3050)
    );
    assert_eq!(desk.fail(), ["forget the coordinator"]);
    assert_eq!((desk.wait().len(), desk.ms), (1, 3150), "it waits longer each time");
    assert_eq!(desk.hear(refused(ErrorCode::CoordinatorLoadInProgress)), NOTHING, "it is where it was");
    desk.wait();
    desk.hear(beat(1, Some(&[(1, &[0, 1])])));
    assert_eq!(desk.wait(), ["ask beat in 1"], "nothing changed by that");
}

#[test]
fn it_gives_back_what_was_read_and_committed_says_so_and_takes_then() {
    let mut desk = Desk::reading();
    desk.read(0, 7);
    desk.read(1, 3);
    desk.wait();
    assert_eq!(desk.hear(beat(1, Some(&[(1, &[1])]))), ["revoked t-0"]);
    assert_eq!(desk.wait(), ["ask commit in 1: t-0=7 t-1=3"], "its time had come anyway");
    desk.hear(committed(ErrorCode::None));
    desk.read(0, 8);
    assert_eq!(desk.wait(), ["ask beat in 1"], "it lives while it gives back, and still owns it");
    desk.hear(beat(1, None));
    assert_eq!(desk.tell(Event::Released), ["ask commit in 1: t-0=8"]);
    assert_eq!(desk.hear(committed(ErrorCode::None)), ["ask beat in 1: owns 1[1]"]);
    assert_eq!(desk.hear(beat(2, Some(&[(1, &[1]), (2, &[5])]))), ["ask names of 2"]);
    assert_eq!(desk.hear(named(&[(2, "u")])), ["assigned u-5", "ask beat in 2: owns 1[1] 2[5]"]);
    desk.hear(beat(2, None));
    desk.read(0, 9);
    assert_eq!(desk.wait(), ["ask beat in 2"], "what is not its own is not committed");
}

#[test]
fn targets_that_come_meanwhile_wait_for_what_is_given_back() {
    let mut desk = Desk::reading();
    desk.wait();
    assert_eq!(desk.hear(beat(1, Some(&[(1, &[1])]))), ["revoked t-0"]);
    desk.wait();
    assert_eq!(desk.hear(beat(1, Some(&[(1, &[0, 1])]))), NOTHING, "it has told already that it gives it back");
    assert_eq!(desk.tell(Event::Released), ["assigned t-0"]);
    desk.wait();
    assert_eq!(desk.hear(beat(2, Some(&[]))), ["revoked t-0 t-1"]);
    assert_eq!(desk.tell(Event::Released), ["ask beat in 2: owns"]);
}

#[test]
fn a_topic_that_was_made_anew_is_another_one() {
    let mut desk = Desk::reading();
    desk.wait();
    assert_eq!(desk.hear(beat(2, Some(&[(9, &[0])]))), ["revoked t-0 t-1", "ask names of 9"]);
    assert_eq!(desk.hear(named(&[])), NOTHING, "nobody knows it yet");
    assert_eq!(desk.tell(Event::Released), ["ask beat in 2: owns"], "what goes does not wait for that");
    desk.hear(beat(2, None));
    assert_eq!(desk.wait(), ["ask names of 9"]);
    assert_eq!(desk.hear(named(&[(9, "t")])), ["assigned t-0", "ask beat in 2: owns 9[0]"]);
}

#[test]
fn a_member_that_the_group_put_out_comes_again_with_empty_hands() {
    for fenced in [ErrorCode::FencedMemberEpoch, ErrorCode::UnknownMemberId, ErrorCode::GroupIdNotFound] {
        let mut desk = Desk::reading();
        desk.read(0, 4);
        desk.wait();
        assert_eq!(desk.hear(refused(fenced)), ["lost t-0 t-1"], "{fenced}");
        assert_eq!(desk.wait(), ["ask beat in 0: 300000 ms, names [\"t\"], owns"], "and commits nothing");
        assert_eq!(desk.hear(beat(7, Some(&[]))), ["assigned"]);
        assert_eq!(desk.wait(), ["ask beat in 7"]);
    }
    let mut desk = Desk::reading();
    desk.read(0, 4);
    desk.ms = 2900;
    desk.tell(Event::Commit(5, [(("t".into(), 0), Offset(4))].into()));
    let lost = desk.hear(committed(ErrorCode::UnknownMemberId));
    let not =
        "not committed 5: group 'g' does not take a commit: UNKNOWN_MEMBER_ID: this member is not in the group now";
    assert_eq!(lost, ["lost t-0 t-1", not]);
}

#[test]
fn who_gives_back_and_is_put_out_meanwhile_gives_back_once() {
    let mut desk = Desk::reading();
    desk.wait();
    assert_eq!(desk.hear(beat(1, Some(&[(1, &[1])]))), ["revoked t-0"]);
    desk.wait();
    assert_eq!(desk.hear(refused(ErrorCode::FencedMemberEpoch)), ["lost t-0 t-1"]);
    desk.wait();
    desk.hear(beat(4, Some(&[(1, &[0])])));
    assert_eq!(desk.hear(named(&[(1, "t")])), ["assigned t-0", "ask beat in 4: owns 1[0]"]);
    assert_eq!(desk.hear(beat(5, Some(&[]))), ["revoked t-0"]);
    assert_eq!(desk.tell(Event::Released), NOTHING, "that was about the first time");
    assert_eq!(desk.tell(Event::Released), ["ask beat in 5: owns"]);
}

#[test]
fn a_commit_in_an_old_epoch_goes_again_in_the_new_one() {
    let mut desk = Desk::reading();
    let offsets = Offsets::from([(("t".into(), 0), Offset(4))]);
    assert_eq!(desk.tell(Event::Commit(5, offsets.clone())), ["ask commit in 1: t-0=4"]);
    assert_eq!(desk.hear(committed(ErrorCode::StaleMemberEpoch)), NOTHING);
    assert_eq!(desk.wait(), ["ask beat in 1: 300000 ms, names [\"t\"], owns 1[0, 1]"], "first it learns the epoch");
    assert_eq!(desk.hear(beat(2, Some(&[(1, &[0, 1])]))), ["ask commit in 2: t-0=4"]);
    assert_eq!(desk.hear(committed(ErrorCode::None)), ["committed 5"]);
    assert_eq!(desk.tell(Event::Commit(6, offsets.clone())), ["ask commit in 2: t-0=4"]);
    let refused = desk.hear(committed(ErrorCode::OffsetMetadataTooLarge));
    let [said] = &refused[..] else { panic!("{refused:?}") };
    assert!(said.starts_with("not committed 6: group 'g' does not take a commit: OFFSET_METADATA_TOO_LARGE"), "{said}");
    assert_eq!(desk.tell(Event::Commit(7, offsets)), ["ask commit in 2: t-0=4"]);
    let mut said = desk.fail();
    while !said.iter().any(|it| it.starts_with("not committed 7")) {
        said.clear();
        said.extend(desk.wait());
        while let Some(asked) = said.last().filter(|it| it.starts_with("ask")).cloned() {
            said.extend(if asked.starts_with("ask beat") { desk.hear(beat(2, None)) } else { desk.fail() });
        }
        assert!(desk.ms <= 31_000, "a commit has an end");
    }
    assert_eq!(desk.wait(), ["ask beat in 2"], "the member lives on");
}

#[test]
fn a_member_leaves_for_good_and_a_static_one_for_a_while() {
    for (instance, asked) in [(None, "ask beat in -1"), (Some("i".into()), "ask beat in -2 as i")] {
        let mut desk = Desk::with(|settings| settings.instance = instance);
        desk.tell(Event::Tick);
        desk.hear(beat(1, Some(&[(1, &[0])])));
        desk.hear(named(&[(1, "t")]));
        desk.hear(beat(1, None));
        desk.read(0, 4);
        assert_eq!(desk.tell(Event::Leave), ["revoked t-0", "ask commit in 1: t-0=4"]);
        assert_eq!(desk.hear(committed(ErrorCode::None)), [asked]);
        assert_eq!(desk.hear(beat(-1, None)), ["left"]);
        assert_eq!(desk.member.next_deadline(), None);
    }
}

#[test]
fn a_farewell_has_an_end() {
    let mut desk = Desk::reading();
    assert_eq!(desk.tell(Event::Leave), ["revoked t-0 t-1", "ask beat in -1"]);
    let mut said = Vec::new();
    while !said.contains(&"left".to_owned()) {
        desk.fail();
        said = desk.wait();
        assert!(desk.ms <= 31_000);
    }
    let mut desk = Desk::reading();
    desk.tell(Event::Leave);
    assert_eq!(desk.hear(refused(ErrorCode::UnknownMemberId)), ["left"], "who is not in it is out of it");
    let mut desk = Desk::new();
    assert_eq!(desk.tell(Event::Leave), ["left"], "it never came");
}

#[test]
fn a_join_on_its_way_is_waited_for_before_leaving() {
    let mut desk = Desk::new();
    desk.tell(Event::Tick);
    assert_eq!(desk.tell(Event::Leave), NOTHING);
    assert_eq!(desk.hear(beat(1, Some(&[(1, &[0])]))), ["ask beat in -1"]);
    assert_eq!(desk.hear(beat(-1, None)), ["left"]);
}

#[test]
fn who_does_not_ask_for_records_goes_and_comes_back() {
    let mut desk = Desk::reading();
    desk.ms = 300_000;
    assert_eq!(desk.tell(Event::Tick), ["lost t-0 t-1", "ask beat in -1"]);
    assert_eq!(desk.hear(beat(-1, None)), NOTHING);
    assert_eq!(desk.tell(Event::Tick), NOTHING);
    assert_eq!(desk.tell(Event::Polled), ["ask beat in 0: 300000 ms, names [\"t\"], owns"]);
}

#[test]
fn what_can_never_work_is_an_error_at_once() {
    for (code, said) in [
        (ErrorCode::UnreleasedInstanceId, "group 'g' does not take this member: UNRELEASED_INSTANCE_ID: Because"),
        (ErrorCode::GroupIdNotFound, "group 'g' does not take this member: GROUP_ID_NOT_FOUND: Because"),
        (
            ErrorCode::InvalidRegularExpression,
            "group 'g' does not take this member: INVALID_REGULAR_EXPRESSION: Because",
        ),
        (
            ErrorCode::UnsupportedVersion,
            "group 'g' cannot be joined with group.protocol=consumer: UNSUPPORTED_VERSION: the coordinator does not take the \
             consumer protocol (KIP-848): Because",
        ),
    ] {
        let mut desk = Desk::new();
        desk.tell(Event::Tick);
        assert_eq!(desk.hear(refused(code)), [format!("failed: {said}")]);
        assert_eq!(desk.member.next_deadline(), None);
    }
    let mut desk = Desk::new();
    desk.tell(Event::Tick);
    let address = BrokerAddress { host: "b".to_owned(), port: 1 };
    let unsupported = ClientError::Unsupported { address, api: crate::wire::ApiKey::ConsumerGroupHeartbeat };
    assert_eq!(
        desk.tell(Event::Answered(Err(unsupported))),
        [
            "failed: group 'g' cannot be joined with group.protocol=consumer: UNSUPPORTED_VERSION: b:1 does not offer the consumer \
          protocol (KIP-848)"
        ]
    );
}

#[test]
fn errors_that_pass_and_do_not_are_given_up() {
    let mut desk = Desk::reading();
    let mut said = desk.wait();
    while !said.iter().any(|it| it.starts_with("failed")) {
        said = desk.fail();
        if !said.iter().any(|it| it.starts_with("failed")) {
            said = desk.wait();
        }
        assert!(desk.ms <= 40_000, "{said:?}");
    }
    assert_eq!(said, ["lost t-0 t-1", "failed: the connection to b:1 broke: it died"]);
}
