//! Transcripts of groups' lives, and lives made up by chance.

mod consumer;
mod loading;
mod membership;
mod offsets;
mod random;
mod statics;

use bytes::Bytes;

use super::*;
use crate::wire::group_record::{GroupMetadataKey, OffsetCommitKey, OffsetCommitValue};

type Ticket = String;

/// A coordinator, the time, and the log that it writes.
struct Desk {
    coordinator: Coordinator<Ticket>,
    ms: u64,
    /// Everything committed, with the offset and the producer.
    log: Vec<Replayed>,
    /// Writes that wait for [`Desk::commit`] or [`Desk::fail`].
    in_flight: Vec<(WriteId, Option<ProducerId>, Arc<[GroupRecord]>)>,
}

fn rules() -> Rules {
    Rules {
        session_timeout_min_ms: 6_000,
        session_timeout_max_ms: 1_800_000,
        initial_rebalance_delay: Duration::from_secs(3),
        group_size_max: 10,
        offsets_retention: Duration::from_secs(3_600),
        offsets_retention_check_interval: Duration::from_secs(600),
        offset_metadata_max: 10,
        consumer: ConsumerRules {
            is_enabled: true,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval_ms: 5_000,
            group_size_max: 10,
            assignors: &[Assignor::Uniform, Assignor::Range],
            is_upgrade_allowed: true,
            is_downgrade_allowed: true,
        },
    }
}

fn no_delay() -> Rules {
    Rules { initial_rebalance_delay: Duration::ZERO, ..rules() }
}

/// A subscription of the consumer protocol to these topics.
fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 0];
    bytes.extend(u32::try_from(topics.len()).expect("few").to_be_bytes());
    for topic in topics {
        bytes.extend(u16::try_from(topic.len()).expect("short").to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend([0xff; 4]);
    bytes.into()
}

fn protocols(names: &[&'static str]) -> Vec<Protocol> {
    let named = |name: &&'static str| Protocol { name: Str::from_static(name), metadata: subscription(&["t"]) };
    names.iter().map(named).collect()
}

/// The id of the member whose random bytes are all `seed`.
fn id(prefix: &str, seed: u8) -> Str {
    let two = format!("{seed:02x}");
    let four = two.repeat(2);
    format!("{prefix}-{}-{four}-4{}{two}-{:02x}{two}-{}", two.repeat(4), &two[1..], seed & 0x3f | 0x80, two.repeat(6))
        .into()
}

/// A join of a consumer of version 9, whose id ends with `seed` when it is new.
fn join(member_id: &str, seed: u8) -> Join {
    Join {
        group: "g".into(),
        version: 9,
        member_id: member_id.into(),
        instance_id: None,
        client_id: "c".into(),
        client_host: "/h".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: protocols(&["range"]),
        random: [seed; 16],
    }
}

/// One that is taken in at once.
fn old_join(seed: u8) -> Join {
    Join { version: 3, ..join("", seed) }
}

fn sync(member_id: &str, generation: i32, assignments: &[(&str, &'static str)]) -> Request {
    Request::Sync(Sync {
        group: "g".into(),
        version: 3,
        generation,
        member_id: member_id.into(),
        instance_id: None,
        protocol_type: None,
        protocol: None,
        assignments: assignments.iter().map(|(to, what)| ((*to).into(), Bytes::from_static(what.as_bytes()))).collect(),
    })
}

fn heartbeat(member_id: &str, generation: i32) -> Request {
    Request::Heartbeat(Heartbeat { group: "g".into(), generation, member_id: member_id.into(), instance_id: None })
}

fn leave(members: &[(&str, Option<&str>)]) -> Request {
    let leaving = |(member_id, instance_id): &(&str, Option<&str>)| Leaving {
        member_id: (*member_id).into(),
        instance_id: instance_id.map(Str::from),
    };
    Request::Leave(Leave { group: "g".into(), members: members.iter().map(leaving).collect() })
}

fn new_offset(topic: &str, partition: i32, offset: i64) -> NewOffset {
    NewOffset {
        topic: topic.into(),
        partition,
        offset: Offset(offset),
        leader_epoch: LeaderEpoch(1),
        metadata: "".into(),
        timestamp: None,
    }
}

fn commit(member_id: &str, generation: i32, offsets: Vec<NewOffset>) -> Commit {
    Commit {
        group: "g".into(),
        version: 8,
        generation,
        member_id: member_id.into(),
        instance_id: None,
        retention_ms: None,
        transaction: None,
        offsets,
    }
}

impl Desk {
    /// One that coordinates and knows of nothing.
    fn new(rules: Rules) -> Self {
        let mut desk = Self { coordinator: Coordinator::new(rules), ms: 0, log: Vec::new(), in_flight: Vec::new() };
        assert_eq!(desk.tell(Event::Load(LeaderEpoch(0))), [""; 0]);
        assert_eq!(desk.tell(Event::Loaded(LeaderEpoch(0))), [""; 0]);
        desk
    }

    fn now(&self) -> Now {
        let ms = i64::try_from(self.ms).expect("a test is short");
        Now { moment: Moment(Duration::from_millis(self.ms)), timestamp: Timestamp(ms) }
    }

    fn tell(&mut self, event: Event<Ticket>) -> Vec<String> {
        let effects = self.step(event);
        effects.iter().map(text).collect()
    }

    fn step(&mut self, event: Event<Ticket>) -> Vec<Effect<Ticket>> {
        let mut effects = Vec::new();
        let now = self.now();
        self.coordinator.step(now, event, &mut effects);
        self.coordinator.check_whole();
        for effect in &effects {
            if let Effect::Append { write, transaction, records, .. } = effect {
                self.in_flight.push((*write, transaction.map(|(id, _)| id), Arc::clone(records)));
            }
        }
        effects
    }

    fn ask(&mut self, ticket: &str, request: Request) -> Vec<String> {
        self.tell(Event::Request(ticket.to_owned(), request))
    }

    fn join(&mut self, ticket: &str, join: Join) -> Vec<String> {
        self.ask(ticket, Request::Join(join))
    }

    /// Time passes; what is due happens when it is.
    fn wait(&mut self, seconds: u64) -> Vec<String> {
        let until = self.ms + seconds * 1_000;
        let mut said = Vec::new();
        while let Some(Moment(next)) = self.coordinator.next_deadline() {
            let next = u64::try_from(next.as_millis()).expect("a test is short");
            if until < next {
                break;
            }
            self.ms = self.ms.max(next);
            said.extend(self.tell(Event::Tick));
        }
        self.ms = until;
        said
    }

    /// The oldest write is committed.
    fn commit(&mut self) -> Vec<String> {
        let effects = self.commit_effects();
        effects.iter().map(text).collect()
    }

    fn commit_effects(&mut self) -> Vec<Effect<Ticket>> {
        let (write, producer, records) = self.in_flight.remove(0);
        let base = i64::try_from(self.log.len()).expect("a test is short");
        for (at, record) in (base..).zip(records.iter()) {
            self.log.push(Replayed::Record(Offset(at), producer, record.clone()));
        }
        self.step(Event::Written(write, Ok(Offset(base))))
    }

    /// The oldest write fails.
    fn fail(&mut self, error: ErrorCode) -> Vec<String> {
        let (write, ..) = self.in_flight.remove(0);
        self.tell(Event::Written(write, Err(error)))
    }

    fn end_transaction(&mut self, producer: i64, committed: bool) -> Vec<String> {
        self.log.push(Replayed::EndOfTransaction(ProducerId(producer), committed));
        self.tell(Event::TransactionEnded(ProducerId(producer), committed))
    }

    /// Another leadership, which reads the log.
    fn reload(&mut self, epoch: i32) -> Vec<String> {
        let mut said = self.tell(Event::Unload(None));
        self.in_flight.clear();
        said.extend(self.tell(Event::Load(LeaderEpoch(epoch))));
        let log = self.log.clone();
        said.extend(self.tell(Event::Replayed(LeaderEpoch(epoch), log)));
        said.extend(self.tell(Event::Loaded(LeaderEpoch(epoch))));
        said
    }

    /// Members 1 to `count`, of which 1 leads, in generation 1, stable. Member n reads what `n` says.
    fn stable(rules: Rules, count: u8) -> Self {
        let mut desk = Self::new(Rules { initial_rebalance_delay: Duration::from_secs(1), ..rules });
        for seed in 1..=count {
            desk.join(&format!("j{seed}"), old_join(seed));
        }
        desk.wait(3);
        for seed in (1..=count).rev() {
            let ids = (1..=count).map(|seed| (id("c", seed), ["0", "1", "2", "3", "4"][usize::from(seed)]));
            let ids = ids.collect::<Vec<_>>();
            let all = ids.iter().map(|(id, what)| (id.as_str(), *what)).collect::<Vec<_>>();
            desk.ask(&format!("s{seed}"), sync(&id("c", seed), 1, if seed == 1 { &all } else { &[] }));
        }
        desk.commit();
        assert_eq!(desk.state(), "Stable");
        desk.coordinator.step(desk.now(), Event::Configured(rules), &mut Vec::new());
        desk
    }

    fn state(&self) -> &'static str {
        self.coordinator.describe("g").expect("it coordinates").state
    }

    fn offset(&self, topic: &str, partition: i32) -> i64 {
        let fetched = self.coordinator.fetch_offsets("g", Some(&[(topic.into(), partition)]), false, None);
        fetched.expect("it coordinates")[0].offset.0
    }
}

/// A member id without most of its random part.
fn short(id: &str) -> String {
    match id.len().checked_sub(37) {
        Some(at) => format!("{}-{}", &id[..at], &id[id.len() - 1..]),
        None => id.to_owned(),
    }
}

fn text(effect: &Effect<Ticket>) -> String {
    match effect {
        Effect::Append { write, transaction, records, .. } => {
            let records = records.iter().map(record).collect::<Vec<_>>().join(", ");
            let producer = transaction.map_or(String::new(), |(id, _)| format!(" in transaction of {id}"));
            format!("append {}{producer}: {records}", write.number)
        }
        Effect::Reply(to, reply) => format!("{to}: {}", reply_text(reply)),
    }
}

fn reply_text(reply: &Reply) -> String {
    let name = |text: &Option<Str>| text.clone().unwrap_or_else(|| "null".into());
    match reply {
        Reply::Join(join) if join.error.is_error() => format!("{} {}", join.error, short(&join.member_id)),
        Reply::Join(join) => {
            let members = join.members.iter().map(|member| short(&member.member_id)).collect::<Vec<_>>().join(" ");
            let skip = if join.skip_assignment { " skip" } else { "" };
            let (id, leader, protocol) = (short(&join.member_id), short(&join.leader), name(&join.protocol));
            format!("{id} joined {} by {protocol} led by {leader} [{members}]{skip}", join.generation)
        }
        Reply::Sync(sync) if sync.error.is_error() => sync.error.to_string(),
        Reply::Sync(sync) => {
            format!("assigned '{}' by {}", String::from_utf8_lossy(&sync.assignment), name(&sync.protocol))
        }
        Reply::Heartbeat(error) | Reply::Delete(error) => error.to_string(),
        Reply::ConsumerHeartbeat(reply) => consumer::reply(reply),
        Reply::Leave(Ok(errors)) | Reply::DeleteOffsets(Ok(errors)) | Reply::Commit(errors) => format!("{errors:?}"),
        Reply::Leave(Err(error)) | Reply::DeleteOffsets(Err(error)) => error.to_string(),
    }
}

fn record(record: &GroupRecord) -> String {
    match record {
        GroupRecord::Offset(key, None) => format!("{}/{}-{} gone", key.group, key.topic, key.partition),
        GroupRecord::Offset(key, Some(value)) => {
            format!("{}/{}-{} = {}", key.group, key.topic, key.partition, value.offset)
        }
        GroupRecord::Group(key, None) => format!("{} gone", key.group),
        GroupRecord::Consumer(_, record) => consumer::record(record),
        GroupRecord::Group(key, Some(value)) => {
            let members = value.members.iter().map(|member| {
                format!("{} '{}'", short(&member.member_id), String::from_utf8_lossy(&member.assignment))
            });
            format!("{} is {} of [{}]", key.group, value.generation, members.collect::<Vec<_>>().join(", "))
        }
    }
}

#[test]
fn groups_are_where_java_says() {
    assert_eq!(partition_for("test", 50), 48, "3556498");
    assert_eq!(partition_for("", 50), 0);
    assert_eq!(partition_for("polygenelubricants", 50), 0, "−2³¹ has no positive counterpart");
    assert_eq!(partition_for("😀", 50), 49, "two UTF-16 units");
    assert_eq!(partition_for("my-group", 0), 0);
}
