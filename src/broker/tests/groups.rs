//! Coordinators of groups whose actor, disk, leadership or peers go wrong.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Client, TestBroker, run};
use crate::broker::groups::GroupCommand;
use crate::broker::inbox::Inbox;
use crate::broker::partition::{AppendItem, PartitionCommand, Promise, Ticket};
use crate::broker::placement::Placement;
use crate::machine::group::{Commit, NewOffset, Reply, Request};
use crate::model::ErrorCode::{
    self, CoordinatorLoadInProgress, IllegalGeneration, InconsistentGroupProtocol, InvalidCommitOffsetSize,
    InvalidGroupId, None, NotCoordinator, NotLeaderOrFollower, OffsetMetadataTooLarge, UnknownMemberId,
};
use crate::model::{LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicName};
use crate::storage::disk::sim::{Fault, Operation, SimDisk};
use crate::storage::log::{NewBatch, Origin, Read, ReadRequest, Wait};
use crate::wire::Str;
use crate::wire::message::find_coordinator::FindCoordinatorRequest;
use crate::wire::message::heartbeat::HeartbeatRequest;
use crate::wire::message::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use crate::wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::wire::message::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic};
use crate::wire::message::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use crate::wire::record::{Batches, validate};

const SETTINGS: &[(&str, &str)] = &[("group.initial.rebalance.delay.ms", "0"), ("offsets.topic.num.partitions", "1")];

/// The one partition that keeps groups.
const OFFSETS: PartitionIndex = PartitionIndex(0);

/// Its folder.
const FOLDER: &str = "/data/__consumer_offsets-0";

/// Panics when it is woken: a bug in the middle of an answer.
struct Mine;

impl Wake for Mine {
    fn wake(self: Arc<Self>) {
        panic!("this panic is wanted");
    }
}

impl Client {
    /// Waits until groups are coordinated, and makes the topic `t`.
    async fn with_groups(broker: &TestBroker) -> Self {
        let mut client = broker.connect().await;
        client.create_topic("t", 1).await;
        loop {
            let request = FindCoordinatorRequest { key: "g".into(), ..Default::default() };
            let found = client.ask(3, &request).await.expect("an answer");
            if found.error_code == None && client.committed("g").await != Err(CoordinatorLoadInProgress) {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn commit(&mut self, group: &str, offset: i64, metadata: &str) -> ErrorCode {
        let partition = OffsetCommitRequestPartition {
            committed_offset: offset,
            committed_metadata: Some(metadata.into()),
            ..Default::default()
        };
        let topics = vec![OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition] }];
        let request = OffsetCommitRequest { group_id: group.into(), topics, ..Default::default() };
        let answer = self.ask(8, &request).await.expect("an answer");
        answer.topics[0].partitions[0].error_code
    }

    async fn committed(&mut self, group: &str) -> Result<i64, ErrorCode> {
        let topics = vec![OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0] }];
        let request = OffsetFetchRequest { group_id: group.into(), topics: Some(topics), ..Default::default() };
        let answer = self.ask(7, &request).await.expect("an answer");
        let found = &answer.topics[0].partitions[0];
        if found.error_code == None { Ok(found.committed_offset) } else { Err(found.error_code) }
    }

    /// Joins alone; the answer's error, and the member's id.
    async fn join(&mut self, group: &str, kind: &str, protocols: Vec<JoinGroupRequestProtocol>) -> (ErrorCode, Str) {
        let request = JoinGroupRequest {
            group_id: group.into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            protocol_type: kind.into(),
            protocols,
            ..Default::default()
        };
        // Version 3 does not ask for a second try.
        let answer = self.ask(3, &request).await.expect("an answer");
        (answer.error_code, answer.member_id)
    }

    async fn sync(&mut self, group: &str, member_id: &Str, assignment: Bytes) -> ErrorCode {
        let assignments = vec![SyncGroupRequestAssignment { member_id: member_id.clone(), assignment }];
        let request = SyncGroupRequest {
            group_id: group.into(),
            generation_id: 1,
            member_id: member_id.clone(),
            assignments,
            ..Default::default()
        };
        self.ask(3, &request).await.expect("an answer").error_code
    }

    async fn beat(&mut self, group: &str, member_id: &Str, generation_id: i32) -> ErrorCode {
        let member_id = member_id.clone();
        let request = HeartbeatRequest { group_id: group.into(), generation_id, member_id, ..Default::default() };
        self.ask(3, &request).await.expect("an answer").error_code
    }

    /// The only member of a stable group.
    async fn member(&mut self, group: &str) -> Str {
        let (error, member_id) = self.join(group, "consumer", spoken(1, b"")).await;
        assert_eq!(error, None);
        assert_eq!(self.sync(group, &member_id, Bytes::from_static(b"all")).await, None);
        member_id
    }
}

/// So many protocols.
fn spoken(count: usize, metadata: &'static [u8]) -> Vec<JoinGroupRequestProtocol> {
    let protocol = |number: usize| JoinGroupRequestProtocol {
        name: format!("p{number}").into(),
        metadata: Bytes::from_static(metadata),
    };
    (0..count).map(protocol).collect()
}

/// Lets the coordinator's actor panic in the middle of an answer.
async fn poison(broker: &TestBroker) {
    let coordinator = broker.broker.env.groups.coordinator(OFFSETS).expect("a coordinator");
    let (reply, answer) = oneshot::channel();
    let mut answer = pin!(answer);
    let waker = Waker::from(Arc::new(Mine));
    assert!(answer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let describe = GroupCommand::Describe { group: "g".into(), reply };
    assert!(coordinator.send(describe).await.is_err(), "it died");
}

#[test]
fn a_coordinator_that_panics_comes_back_with_everything_acknowledged() {
    run(async {
        let broker = TestBroker::start(Arc::new(SimDisk::new(1)), &["/data"], SETTINGS).await;
        let mut client = Client::with_groups(&broker).await;
        assert_eq!(client.commit("g", 5, "").await, None);
        let member = client.member("h").await;
        poison(&broker).await;
        assert_eq!(client.commit("g", 6, "").await, NotCoordinator, "and not silence");
        assert_eq!(client.beat("h", &member, 1).await, NotCoordinator);
        client.produce("t", 0, "elsewhere").await.expect("its neighbours do not notice");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(client.committed("g").await, Ok(5));
        assert_eq!(client.beat("h", &member, 1).await, None, "the generation goes on");
        assert_eq!(client.commit("g", 6, "").await, None);
        assert!(broker.broker.stop().await, "a broker that healed stops in order");
    });
}

#[test]
fn groups_that_cannot_be_read_are_not_there_until_they_can() {
    run(async {
        let disk = SimDisk::new(1);
        let broker = TestBroker::start(Arc::new(disk.clone()), &["/data"], SETTINGS).await;
        let mut client = Client::with_groups(&broker).await;
        assert_eq!(client.commit("g", 5, "").await, None);
        disk.inject(Fault::forever(Operation::Read, std::io::ErrorKind::Other).below(Path::new(FOLDER)));
        poison(&broker).await;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(client.committed("g").await, Err(CoordinatorLoadInProgress));
            assert_eq!(
                client.commit("g", 6, "").await,
                CoordinatorLoadInProgress,
                "nothing is answered from half of it"
            );
        }
        disk.heal();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(client.committed("g").await, Ok(5));
    });
}

#[test]
fn what_was_decided_under_another_leadership_is_not_written() {
    run(async {
        let broker = TestBroker::start(Arc::new(SimDisk::new(1)), &["/data"], SETTINGS).await;
        let mut client = Client::with_groups(&broker).await;
        assert_eq!(client.commit("g", 5, "").await, None);
        let env = &broker.broker.env;
        let partition = env.directory.find(TopicName::CONSUMER_OFFSETS, OFFSETS).expect("it is here");
        let image = env.metadata.load_full();
        let LeaderEpoch(epoch) = image.topics[TopicName::CONSUMER_OFFSETS].partitions[&OFFSETS].state.leader_epoch;
        let end = partition.published.log.log_end_offset();
        for (under, expected) in [(epoch - 1, NotLeaderOrFollower), (epoch + 1, NotLeaderOrFollower), (epoch, None)] {
            let mut rules = partition.published.settings().batch;
            rules.produce_version = 11;
            let bytes = batch_with_key();
            let valid = validate(&bytes, &rules, &mut Vec::new()).expect("a batch");
            let inbox = Arc::new(Inbox::default());
            let ticket = Ticket { request: 0, topic: 0, partition: 0 };
            let item = AppendItem {
                batch: NewBatch { header: valid.header, body: valid.body, origin: Origin::Client },
                promise: Promise::new(Arc::clone(&inbox), ticket),
                all_until: Some(env.ports.clock.moment().after(Duration::from_secs(5))),
                under: Some(LeaderEpoch(under)),
            };
            partition.addr.send(PartitionCommand::Append { items: vec![item] }).await.expect("it lives");
            let mut taken = Vec::new();
            inbox.news(&mut taken).await;
            assert_eq!((taken[0].1.error, under), (expected, under));
            let written = end.0 + i64::from(expected == None);
            assert_eq!(partition.published.log.log_end_offset().0, written, "under {under}");
        }
    });
}

/// A commit of so many partitions of a topic without a group's members.
fn simple(group: &str, offset: i64, partitions: i32, metadata: &str, transaction: Option<ProducerId>) -> Commit {
    let offset = |partition| NewOffset {
        topic: "t".into(),
        partition,
        offset: Offset(offset),
        leader_epoch: LeaderEpoch::NONE,
        metadata: metadata.into(),
        timestamp: Option::None,
    };
    Commit {
        group: group.into(),
        version: 8,
        generation: -1,
        member_id: Str::default(),
        instance_id: Option::None,
        retention_ms: Option::None,
        transaction: transaction.map(|id| (id, ProducerEpoch(0))),
        offsets: (0..partitions).map(offset).collect(),
    }
}

/// How many records each batch of the partition that keeps groups has, from an offset on.
fn batches(broker: &TestBroker, from: Offset) -> Vec<i32> {
    let partition = broker.broker.env.directory.find(TopicName::CONSUMER_OFFSETS, OFFSETS).expect("it is here");
    let log = &partition.published.log;
    let (upper_bound, bytes_max) = (log.log_end_offset(), 1 << 20);
    let request = ReadRequest { offset: from, upper_bound, bytes_max, at_least_one_batch: true };
    let Ok(Read::Batches(slice)) = log.read(&request, Wait::Allowed) else { panic!("nothing was written") };
    let mut bytes = vec![0; slice.len];
    assert_eq!(slice.file.read_at(slice.position, &mut bytes).expect("a read"), slice.len);
    Batches::new(&bytes).map(|batch| batch.expect("a batch").0.records).collect()
}

#[test]
fn what_is_decided_in_one_turn_is_one_batch_but_for_transactions_and_what_is_large() {
    run(async {
        let broker = TestBroker::start(Arc::new(SimDisk::new(1)), &["/data"], SETTINGS).await;
        let mut client = Client::with_groups(&broker).await;
        let coordinator = broker.broker.env.groups.coordinator(OFFSETS).expect("a coordinator");
        let large = "m".repeat(4_000);
        let turns = [
            // The later of two of the same group counts.
            (
                vec![
                    simple("a", 1, 1, "", Option::None),
                    simple("b", 2, 3, "", Option::None),
                    simple("a", 3, 1, "", Option::None),
                ],
                vec![5],
            ),
            (
                vec![
                    simple("a", 4, 1, "", Option::None),
                    simple("b", 5, 20, &large, Option::None),
                    simple("c", 6, 1, "", Option::None),
                ],
                vec![1, 20, 1],
            ),
            (
                vec![
                    simple("a", 7, 1, "", Option::None),
                    simple("d", 8, 1, "", Some(ProducerId(1))),
                    simple("c", 9, 1, "", Option::None),
                ],
                vec![1, 1, 1],
            ),
        ];
        for (commits, expected) in turns {
            let partition = broker.broker.env.directory.find(TopicName::CONSUMER_OFFSETS, OFFSETS).expect("it is here");
            let from = partition.published.log.log_end_offset();
            let mut answers = Vec::new();
            for commit in commits {
                let (reply, answer) = oneshot::channel();
                let count = commit.offsets.len();
                let asked = coordinator.try_send(GroupCommand::Ask { request: Request::Commit(commit), reply });
                assert!(asked.is_ok(), "there is room");
                answers.push((answer, Reply::Commit(vec![None; count])));
            }
            for (answer, good) in answers {
                assert_eq!(answer.await, Ok(good));
            }
            assert_eq!(batches(&broker, from), expected);
        }
        let expected = [("a", 7), ("b", 5), ("c", 9)];
        for (group, offset) in expected {
            assert_eq!(client.committed(group).await, Ok(offset), "of {group}");
        }
        poison(&broker).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        for (group, offset) in expected {
            assert_eq!(client.committed(group).await, Ok(offset), "of {group}, read back");
        }
    });
}

/// A record that a compacted topic takes.
fn batch_with_key() -> Bytes {
    use crate::wire::record::{BatchBuilder, Codec, NewRecord};
    let mut builder = BatchBuilder::new(Codec::None);
    builder.append(&NewRecord { key: Some(b"\0\x63"), ..Default::default() }).expect("a small record");
    builder.build().expect("a batch").into()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what is measured is the loop's own time, which stands still meanwhile")]
fn members_are_heard_while_the_disk_is_slow() {
    run(async {
        let seconds = Arc::new(AtomicU64::new(0));
        let delay = Arc::clone(&seconds);
        let placement = Placement::slow(move || Duration::from_secs(delay.load(Ordering::Relaxed)));
        let broker = TestBroker::start_on(placement, Arc::new(SimDisk::new(1)), &["/data"], SETTINGS).await;
        let mut client = Client::with_groups(&broker).await;
        let member = client.member("h").await;
        let mut other = broker.connect().await;
        seconds.store(4, Ordering::Relaxed);
        let began = tokio::time::Instant::now();
        let (committed, beats) = tokio::join!(async { (client.commit("g", 5, "").await, began.elapsed()) }, async {
            let mut slowest = Duration::ZERO;
            for _ in 0..100 {
                let asked = tokio::time::Instant::now();
                assert_eq!(other.beat("h", &member, 1).await, None);
                slowest = slowest.max(asked.elapsed());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            slowest
        });
        assert_eq!(committed.0, None);
        assert!(Duration::from_secs(4) <= committed.1, "acknowledged after {:?}: before it was flushed", committed.1);
        assert!(beats < Duration::from_millis(10), "a heartbeat took {beats:?}");
    });
}

#[test]
fn what_makes_no_sense_is_refused_and_harms_nobody() {
    run(async {
        let broker = TestBroker::start(Arc::new(SimDisk::new(1)), &["/data"], SETTINGS).await;
        let mut client = Client::with_groups(&broker).await;
        let member = client.member("h").await;

        for (kind, protocols) in [("consumer", spoken(0, b"")), ("consumer", spoken(101, b"")), ("", spoken(1, b""))] {
            assert_eq!(client.join("new", kind, protocols).await.0, InconsistentGroupProtocol);
        }
        for kind in ["connect", "consumer"] {
            let unknown = JoinGroupRequestProtocol { name: "elsewhere".into(), metadata: Bytes::new() };
            assert_eq!(client.join("h", kind, vec![unknown]).await.0, InconsistentGroupProtocol);
        }
        assert_eq!(client.join("", "consumer", spoken(1, b"")).await.0, InvalidGroupId);
        assert_eq!(client.beat("h", &member, 2).await, IllegalGeneration);
        assert_eq!(client.beat("h", &"another".into(), 1).await, UnknownMemberId);

        assert_eq!(client.commit("g", 1, &"m".repeat(4_096)).await, None);
        assert_eq!(client.commit("g", 2, &"m".repeat(4_097)).await, OffsetMetadataTooLarge);
        assert_eq!(client.committed("g").await, Ok(1));

        // What no batch can hold is answered, and the group begins anew.
        let (error, large) = client.join("large", "consumer", spoken(1, b"")).await;
        assert_eq!(error, None);
        assert_eq!(client.sync("large", &large, vec![7; 2 << 20].into()).await, ErrorCode::UnknownServerError);
        let many = (0..40_000).map(|_| OffsetCommitRequestPartition {
            committed_metadata: Some("m".repeat(100).into()),
            ..Default::default()
        });
        let topics = vec![OffsetCommitRequestTopic { name: "t".into(), partitions: many.collect() }];
        let request = OffsetCommitRequest { group_id: "g".into(), topics, ..Default::default() };
        let answer = client.ask(8, &request).await.expect("an answer");
        assert!(answer.topics[0].partitions.iter().all(|done| done.error_code == InvalidCommitOffsetSize));
        assert_eq!(client.committed("g").await, Ok(1));

        assert_eq!(client.beat("h", &member, 1).await, None, "the others did not notice");
        assert!(broker.broker.stop().await);
    });
}
