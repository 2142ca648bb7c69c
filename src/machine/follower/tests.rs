//! Transcripts of a fetcher's life. Records are a number.

use super::*;

const RULES: Rules = Rules { backoff_max: Duration::from_secs(1), fetch_wait: Duration::from_millis(500) };

struct Transcript {
    machine: ReplicaFetcher,
    ms: u64,
}

fn id(name: &str) -> TopicPartition {
    let (topic, partition) = name.rsplit_once('-').expect("topic-number");
    let topic = TopicName::new(topic).expect("a name");
    TopicPartition { topic, partition: PartitionIndex(partition.parse().expect("a number")) }
}

/// The first letter decides; topics of which the name begins with a capital one have none.
fn topic_id(partition: &TopicPartition) -> TopicId {
    let first = partition.topic.as_str().as_bytes()[0];
    if first.is_ascii_uppercase() { TopicId::ZERO } else { TopicId([first; 16]) }
}

fn at(offset: i64) -> FetchPosition {
    FetchPosition { offset: Offset(offset), last_epoch: LeaderEpoch(1), log_start: Offset(0) }
}

/// Of one partition: the error, the diverging epoch and its end, the high watermark, the records.
fn about(name: &str) -> PartitionAnswer<u32> {
    let partition = id(name);
    PartitionAnswer {
        topic: TopicKey::Id(topic_id(&partition)),
        partition: partition.partition,
        error: ErrorCode::None,
        diverging: None,
        high_watermark: Offset(0),
        log_start: Offset(0),
        records: None,
    }
}

fn records(name: &str, records: u32) -> PartitionAnswer<u32> {
    PartitionAnswer { records: Some(records), ..about(name) }
}

fn error(name: &str, error: ErrorCode) -> PartitionAnswer<u32> {
    PartitionAnswer { error, ..about(name) }
}

impl Transcript {
    fn new() -> Self {
        Self { machine: ReplicaFetcher::new(RULES), ms: 0 }
    }

    /// One that copies these from offset 0 on and has a session, 7, with a fetch under way.
    fn copying(names: &[&str]) -> Self {
        let mut t = Self::new();
        names.iter().for_each(|name| t.follow(name, 3));
        t.tick(0);
        for name in names {
            t.told(name, Ok(at(0)));
        }
        let first = names.iter().map(|name| about(name)).collect();
        let replicated = t.answer(ErrorCode::None, 7, first);
        assert_eq!(replicated.len(), names.len(), "{replicated:?}");
        let mut last = vec![];
        for name in names {
            last = t.told(name, Ok(at(0)));
        }
        assert_eq!(last, ["fetch 7/1 wait 500ms"]);
        t
    }

    fn step(&mut self, event: Event<u32>) -> Vec<String> {
        let mut effects = Vec::new();
        self.machine.step(Moment(Duration::from_millis(self.ms)), event, &mut effects);
        self.check();
        effects.iter().map(rendered).collect()
    }

    fn check(&self) {
        let machine = &self.machine;
        let waiting = machine.partitions.iter().filter_map(|(id, followed)| match followed.phase {
            Phase::Waiting { until } => Some((until, id.clone())),
            Phase::Finding | Phase::Working { .. } | Phase::Fetching(_) => None,
        });
        assert_eq!(waiting.collect::<BTreeSet<_>>(), machine.waiting, "the queue is the phases");
        let named = machine.partitions.values().map(|followed| followed.topic_id).filter(|id| !id.is_zero());
        assert_eq!(named.collect::<BTreeSet<_>>(), machine.names.keys().copied().collect(), "every id has its name");
    }

    fn follow(&mut self, name: &str, epoch: i32) {
        let partition = id(name);
        let topic_id = topic_id(&partition);
        assert!(self.step(Event::Follow { partition, topic_id, leader_epoch: LeaderEpoch(epoch) }).is_empty());
    }

    fn leave(&mut self, name: &str) {
        assert!(self.step(Event::Leave(id(name))).is_empty());
    }

    fn throttle(&mut self, name: &str, throttled: bool) {
        assert!(self.step(Event::Throttle { partition: id(name), throttled }).is_empty());
    }

    /// More than the quota went through, until so many ms from now.
    fn exceeded_for(&mut self, ms: u64) {
        let until = Moment(Duration::from_millis(self.ms + ms));
        assert!(self.step(Event::Quota(Some(until))).is_empty());
    }

    fn tick(&mut self, after_ms: u64) -> Vec<String> {
        self.ms += after_ms;
        self.step(Event::Tick)
    }

    fn asked(&self, name: &str) -> Asked {
        self.machine.partitions[&id(name)].asked(&id(name))
    }

    fn told(&mut self, name: &str, found: Result<FetchPosition, ErrorCode>) -> Vec<String> {
        self.step(Event::Told(vec![(self.asked(name), found)]))
    }

    fn answer(&mut self, error: ErrorCode, session_id: i32, partitions: Vec<PartitionAnswer<u32>>) -> Vec<String> {
        let number = self.machine.fetching.expect("a fetch is under way");
        self.step(Event::Answered { number, answer: Answer { error, session_id, partitions } })
    }

    fn unreachable(&mut self) -> Vec<String> {
        let number = self.machine.fetching.expect("a fetch is under way");
        self.step(Event::Unreachable { number })
    }
}

fn rendered(effect: &Effect<u32>) -> String {
    match effect {
        Effect::FindPosition(asked) => format!("find {} in epoch {}", asked.partition, asked.leader_epoch.0),
        Effect::Replicate { asked, records, high_watermark, throttled, .. } => {
            let counted = if *throttled { ", counted" } else { "" };
            format!("replicate {} {records:?} high watermark {}{counted}", asked.partition, high_watermark.0)
        }
        Effect::Truncate { asked, to } => format!("truncate {} to {to:?}", asked.partition),
        Effect::FindOffsets(asked) => format!("leader's log of {}", asked.partition),
        Effect::Fetch(fetch) => {
            let mut text = format!("fetch {}/{} wait {:?}", fetch.session_id, fetch.session_epoch, fetch.max_wait);
            if !fetch.by_id {
                text += " by name";
            }
            for (id, wanted) in &fetch.wanted {
                text += &format!(" {id}@{}", wanted.position.offset.0);
            }
            for (id, _) in &fetch.forgotten {
                text += &format!(" not {id}");
            }
            text
        }
        Effect::Abandon => "abandon".to_owned(),
        Effect::Disconnect => "disconnect".to_owned(),
        Effect::Report { partition, error } => format!("report {partition} {error:?}"),
    }
}

#[test]
fn partitions_are_asked_where_they_stand_and_then_the_leader_for_all_of_them() {
    let mut t = Transcript::new();
    t.follow("a-0", 3);
    t.follow("a-1", 3);
    assert_eq!(t.tick(0), ["find a-0 in epoch 3", "find a-1 in epoch 3"]);
    assert_eq!(t.told("a-0", Ok(at(10))), [""; 0], "one still owes its answer");
    assert_eq!(t.told("a-1", Ok(at(20))), ["fetch 0/0 wait 500ms a-0@10 a-1@20"]);
    assert_eq!(t.machine.next_deadline(), None);
}

#[test]
fn in_a_session_only_what_changed_is_told() {
    let mut t = Transcript::copying(&["a-0", "a-1", "b-0"]);
    assert_eq!(t.answer(ErrorCode::None, 7, vec![]), ["fetch 7/2 wait 500ms"], "nothing changed: nothing is told");
    assert_eq!(
        t.answer(ErrorCode::None, 7, vec![records("a-1", 5)]),
        ["replicate a-1 Some(5) high watermark 0"],
        "the next fetch asks for what comes behind it"
    );
    assert_eq!(t.told("a-1", Ok(at(5))), ["fetch 7/3 wait 500ms a-1@5"]);
    let committed = PartitionAnswer { high_watermark: Offset(5), ..about("a-1") };
    assert_eq!(t.answer(ErrorCode::None, 7, vec![committed.clone()]), ["replicate a-1 None high watermark 5"]);
    assert_eq!(t.told("a-1", Ok(at(5))), ["fetch 7/4 wait 500ms"], "where it stands did not change");
    assert_eq!(t.answer(ErrorCode::None, 7, vec![committed]), ["fetch 7/5 wait 500ms"], "it knows that already");
}

#[test]
fn a_partition_that_leaves_is_forgotten_with_the_next_fetch() {
    let mut t = Transcript::copying(&["a-0", "b-0"]);
    t.leave("a-0");
    assert_eq!(t.tick(1), [""; 0], "nobody waits for it");
    assert_eq!(t.answer(ErrorCode::None, 7, vec![records("a-0", 9)]), ["fetch 7/2 wait 500ms not a-0"]);
    t.leave("b-0");
    assert_eq!(t.answer(ErrorCode::None, 7, vec![]), ["disconnect"]);
    assert_eq!(t.tick(1), [""; 0]);
    t.follow("b-0", 4);
    t.tick(0);
    assert_eq!(t.told("b-0", Ok(at(1))), ["fetch 7/0 wait 500ms b-0@1"], "and the old session is named, to be ended");
}

#[test]
fn a_new_partition_does_not_wait_for_the_fetch_under_way() {
    let mut t = Transcript::copying(&["a-0"]);
    t.follow("b-0", 3);
    t.follow("c-0", 3);
    assert_eq!(t.tick(1), ["find b-0 in epoch 3", "find c-0 in epoch 3"]);
    let late = t.machine.fetching.expect("the first fetch");
    assert_eq!(t.told("b-0", Ok(at(2))), [""; 0]);
    assert_eq!(t.told("c-0", Ok(at(3))), ["abandon", "fetch 7/0 wait 500ms a-0@0 b-0@2 c-0@3"]);
    let answer = Answer { error: ErrorCode::None, session_id: 7, partitions: vec![records("a-0", 1)] };
    assert_eq!(t.step(Event::Answered { number: late, answer }), [""; 0], "of a fetch that was given up");
}

#[test]
fn a_newer_leadership_asks_anew_and_late_answers_of_the_older_one_say_nothing() {
    let mut t = Transcript::copying(&["a-0"]);
    t.answer(ErrorCode::None, 7, vec![records("a-0", 5)]);
    let older = t.asked("a-0");
    t.follow("a-0", 4);
    assert_eq!(t.tick(0), ["find a-0 in epoch 4"]);
    assert_eq!(t.step(Event::Told(vec![(older, Ok(at(5)))])), [""; 0]);
    assert_eq!(t.told("a-0", Ok(at(5))), ["fetch 7/2 wait 500ms a-0@5"]);
}

#[test]
fn a_session_that_the_leader_does_not_know_is_begun_anew_at_once_but_not_for_ever() {
    for (code, named) in [
        (ErrorCode::FetchSessionIdNotFound, 0),
        (ErrorCode::InvalidFetchSessionEpoch, 7),
        (ErrorCode::FetchSessionTopicIdError, 7),
    ] {
        let mut t = Transcript::copying(&["a-0", "b-0"]);
        assert_eq!(t.answer(code, 0, vec![]), [format!("fetch {named}/0 wait 500ms a-0@0 b-0@0")]);
        assert_eq!(t.answer(code, 0, vec![]), [""; 0], "a full fetch cannot be wrong about a session");
        assert_eq!(t.machine.next_deadline(), Some(Moment(Duration::from_secs(1))));
        assert_eq!(t.tick(1_000).len(), 1);
    }
}

#[test]
fn a_leader_without_room_for_a_session_is_told_everything_each_time() {
    let mut t = Transcript::copying(&["a-0", "b-0"]);
    assert_eq!(t.answer(ErrorCode::None, 0, vec![]), ["fetch 0/0 wait 500ms a-0@0 b-0@0"], "it gave the session up");
    assert_eq!(t.answer(ErrorCode::None, 0, vec![about("a-0"), about("b-0")]), ["fetch 0/0 wait 500ms a-0@0 b-0@0"]);
    assert_eq!(t.answer(ErrorCode::None, 9, vec![about("a-0"), about("b-0")]), ["fetch 9/1 wait 500ms"]);
}

#[test]
fn a_topic_without_an_id_is_named_and_so_are_then_all() {
    let mut t = Transcript::copying(&["a-0"]);
    t.follow("B-0", 3);
    t.tick(0);
    let fetch = "fetch 7/0 wait 500ms by name B-0@4 a-0@0";
    assert_eq!(t.told("B-0", Ok(at(4))), ["abandon", fetch]);
    let named = PartitionAnswer { topic: TopicKey::Name("B".to_owned()), ..records("B-0", 2) };
    assert_eq!(t.answer(ErrorCode::None, 8, vec![named]), ["replicate B-0 Some(2) high watermark 0"]);
    assert_eq!(t.told("B-0", Ok(at(6))), ["fetch 8/1 wait 500ms by name B-0@6"]);
    let nobody = PartitionAnswer { topic: TopicKey::Name("no/name".to_owned()), ..records("B-0", 2) };
    assert_eq!(t.answer(ErrorCode::None, 8, vec![nobody]), ["fetch 8/2 wait 500ms by name"]);
}

#[test]
fn a_topic_made_anew_replaces_its_namesake() {
    let mut t = Transcript::copying(&["a-0", "b-0"]);
    let partition = id("a-0");
    let event = Event::Follow { partition, topic_id: TopicId([b'z'; 16]), leader_epoch: LeaderEpoch(0) };
    assert_eq!(t.step(event), [""; 0]);
    t.tick(0);
    t.answer(ErrorCode::None, 7, vec![]);
    assert_eq!(t.told("a-0", Ok(at(0))), ["fetch 7/2 wait 500ms a-0@0 not a-0"]);
    assert_eq!(t.answer(ErrorCode::None, 7, vec![records("a-0", 1)]), ["fetch 7/3 wait 500ms"], "it means the old one");
}

#[test]
fn failures_wait_longer_and_longer_and_the_leader_holds_no_fetch_beyond_that() {
    let mut t = Transcript::copying(&["a-0", "b-0"]);
    let refused = || vec![error("a-0", ErrorCode::UnknownLeaderEpoch)];
    for (session_epoch, wait) in [(2, 20), (4, 40), (6, 80), (8, 160), (10, 320)] {
        let fetch = format!("fetch 7/{session_epoch} wait {wait}ms not a-0");
        assert_eq!(t.answer(ErrorCode::None, 7, refused()), [fetch]);
        assert_eq!(t.tick(wait), ["find a-0 in epoch 3"]);
        assert_eq!(t.answer(ErrorCode::None, 7, vec![]), [""; 0]);
        assert_eq!(t.told("a-0", Ok(at(0))), [format!("fetch 7/{} wait 500ms a-0@0", session_epoch + 1)]);
    }
    assert_eq!(t.answer(ErrorCode::None, 7, refused()), ["fetch 7/12 wait 500ms not a-0"]);
    assert_eq!(t.tick(640), ["find a-0 in epoch 3"]);
    let last = t.told("a-0", Err(ErrorCode::FencedLeaderEpoch));
    assert_eq!(last, ["report a-0 FENCED_LEADER_EPOCH"], "the longest wait is told");
    assert_eq!(t.tick(1000), ["find a-0 in epoch 3"]);
    assert_eq!(t.told("a-0", Err(ErrorCode::FencedLeaderEpoch)), [""; 0], "and then ever more rarely");
    assert_eq!(t.machine.next_deadline(), Some(Moment(Duration::from_millis(t.ms + 1_000))));
}

#[test]
fn a_partition_that_made_progress_has_not_failed() {
    let mut t = Transcript::copying(&["a-0"]);
    t.answer(ErrorCode::None, 7, vec![error("a-0", ErrorCode::NotLeaderOrFollower)]);
    assert_eq!(t.tick(20), ["find a-0 in epoch 3"]);
    assert_eq!(t.told("a-0", Ok(at(0))), ["fetch 7/0 wait 500ms a-0@0"]);
    t.answer(ErrorCode::None, 8, vec![records("a-0", 1)]);
    t.told("a-0", Ok(at(1)));
    t.answer(ErrorCode::None, 8, vec![error("a-0", ErrorCode::NotLeaderOrFollower)]);
    assert_eq!(t.tick(20), ["find a-0 in epoch 3"], "the first wait again");
}

#[test]
fn a_log_that_parts_from_the_leaders_is_cut_and_asked_for_anew() {
    let mut t = Transcript::copying(&["a-0"]);
    let parted = PartitionAnswer { diverging: Some((LeaderEpoch(1), Offset(4))), ..about("a-0") };
    t.answer(ErrorCode::None, 7, vec![records("a-0", 9)]);
    t.told("a-0", Ok(at(9)));
    let cut = "truncate a-0 to Divergence(LeaderEpoch(1), Offset(4))";
    assert_eq!(t.answer(ErrorCode::None, 7, vec![parted.clone()]), [cut]);
    assert_eq!(t.told("a-0", Ok(at(4))), ["fetch 7/3 wait 500ms a-0@4"]);
    assert_eq!(t.answer(ErrorCode::None, 7, vec![parted]), [cut]);
    assert_eq!(t.told("a-0", Ok(at(4))), [""; 0], "a cut that cuts nothing is a failure");
    assert_eq!(t.tick(20), ["find a-0 in epoch 3"]);
}

#[test]
fn out_of_range_the_leader_says_where_its_log_lies() {
    let lost = || vec![error("a-0", ErrorCode::OffsetOutOfRange)];
    for (log, cut) in
        [(Some((0, 3)), "truncate a-0 to Offset(Offset(3))"), (Some((8, 12)), "truncate a-0 to Anew(Offset(8))")]
    {
        let mut t = Transcript::copying(&["a-0"]);
        t.answer(ErrorCode::None, 7, vec![records("a-0", 5)]);
        t.told("a-0", Ok(at(5)));
        assert_eq!(t.answer(ErrorCode::None, 7, lost()), ["leader's log of a-0"]);
        let log = log.map(|(start, end)| (Offset(start), Offset(end)));
        assert_eq!(t.step(Event::Offsets(vec![(t.asked("a-0"), log)])), [cut]);
        assert_eq!(t.told("a-0", Ok(at(7))), ["fetch 7/3 wait 500ms a-0@7"]);
    }
    for log in [None, Some((Offset(0), Offset(9)))] {
        let mut t = Transcript::copying(&["a-0"]);
        t.answer(ErrorCode::None, 7, lost());
        assert_eq!(t.step(Event::Offsets(vec![(t.asked("a-0"), log)])), [""; 0], "nothing to go by: later");
        assert_eq!(t.tick(20), ["find a-0 in epoch 3"]);
    }
}

#[test]
fn a_leader_that_is_not_reached_is_tried_again_with_everything() {
    let mut t = Transcript::copying(&["a-0", "b-0"]);
    assert_eq!(t.unreachable(), [""; 0]);
    assert_eq!(t.tick(999), [""; 0]);
    assert_eq!(t.machine.next_deadline(), Some(Moment(Duration::from_secs(1))));
    assert_eq!(t.tick(1), ["fetch 7/0 wait 500ms a-0@0 b-0@0"]);
}

/// It was started again, and is the leader again, before the wait is over.
#[test]
fn a_leader_that_the_controller_names_anew_is_tried_at_once() {
    let mut t = Transcript::copying(&["a-0", "b-0"]);
    assert_eq!(t.unreachable(), [""; 0]);
    assert_eq!(t.tick(5), [""; 0]);
    t.follow("c-0", 3);
    let effects = [t.tick(0), t.told("c-0", Ok(at(1)))].concat();
    assert!(effects.iter().any(|effect| effect.starts_with("find c-0")), "{effects:?}");
    assert!(effects.iter().any(|effect| effect.starts_with("fetch 7/0")), "{effects:?}");
}

#[test]
fn what_nobody_asked_for_and_what_is_told_twice_has_no_effect() {
    let mut t = Transcript::copying(&["a-0"]);
    let twice = vec![records("a-0", 1), records("a-0", 2), records("x-0", 1), records("a-7", 1)];
    assert_eq!(t.answer(ErrorCode::None, 7, twice), ["replicate a-0 Some(1) high watermark 0"]);
    let number = t.machine.fetches;
    assert_eq!(t.step(Event::Unreachable { number }), [""; 0], "it was answered");
}

/// About records that do not reach up to the high watermark.
fn behind(name: &str, sent: u32, high_watermark: i64) -> PartitionAnswer<u32> {
    PartitionAnswer { high_watermark: Offset(high_watermark), ..records(name, sent) }
}

#[test]
fn a_throttled_partition_that_is_behind_is_left_out_until_the_rate_has_come_down() {
    let mut t = Transcript::copying(&["a-0", "b-0"]);
    t.throttle("a-0", true);
    assert!(t.machine.is_throttled());
    let copied = t.answer(ErrorCode::None, 7, vec![behind("a-0", 9, 100)]);
    assert_eq!(copied, ["replicate a-0 Some(9) high watermark 100, counted"]);
    t.exceeded_for(700);
    assert_eq!(t.told("a-0", Ok(at(9))), ["fetch 7/2 wait 500ms not a-0"]);
    t.ms += 500;
    assert_eq!(t.answer(ErrorCode::None, 7, vec![]), ["fetch 7/3 wait 200ms"], "no longer than it is held back");
    t.ms += 200;
    assert_eq!(t.answer(ErrorCode::None, 7, vec![]), ["fetch 7/4 wait 500ms a-0@9"]);
}

#[test]
fn what_is_not_throttled_or_not_behind_goes_on() {
    let mut t = Transcript::copying(&["a-0", "b-0"]);
    t.throttle("a-0", true);
    let copied = t.answer(ErrorCode::None, 7, vec![behind("a-0", 9, 9), behind("b-0", 9, 100)]);
    let expected = ["replicate a-0 Some(9) high watermark 9, counted", "replicate b-0 Some(9) high watermark 100"];
    assert_eq!(copied, expected);
    t.exceeded_for(700);
    t.told("a-0", Ok(at(9)));
    assert_eq!(t.told("b-0", Ok(at(9))), ["fetch 7/2 wait 500ms a-0@9 b-0@9"]);
}

#[test]
fn with_nothing_else_to_ask_for_it_waits_but_not_so_long_that_another_rate_goes_unnoticed() {
    let mut t = Transcript::copying(&["a-0"]);
    t.throttle("a-0", true);
    t.answer(ErrorCode::None, 7, vec![behind("a-0", 9, 100)]);
    t.exceeded_for(5000);
    assert_eq!(t.told("a-0", Ok(at(9))), [""; 0]);
    let again = t.machine.next_deadline().expect("it is looked again");
    assert_eq!(again, Moment(Duration::from_millis(t.ms + 1000)));
    assert_eq!(t.tick(1000), [""; 0]);
    t.step(Event::Quota(None));
    assert_eq!(t.tick(10), ["fetch 7/0 wait 500ms a-0@9"]);
    assert_eq!(t.machine.next_deadline(), None);
}

#[test]
fn a_partition_that_is_throttled_no_more_goes_on_at_once() {
    let mut t = Transcript::copying(&["a-0"]);
    t.throttle("a-0", true);
    t.answer(ErrorCode::None, 7, vec![behind("a-0", 9, 100)]);
    t.exceeded_for(5000);
    assert_eq!(t.told("a-0", Ok(at(9))), [""; 0]);
    t.throttle("a-0", false);
    assert!(!t.machine.is_throttled());
    assert_eq!(t.tick(10), ["fetch 7/0 wait 500ms a-0@9"]);
    t.leave("a-0");
    t.throttle("a-0", true);
    assert!(!t.machine.is_throttled(), "what is not followed is not throttled");
}
