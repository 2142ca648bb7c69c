//! A log dir whose disk fails takes only its own partitions with it.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Client, TestBroker, run};
use crate::model::ErrorCode;
use crate::storage::disk::Disk as _;
use crate::storage::disk::sim::{Fault, Operation, SimDisk};
use crate::wire::message::describe_log_dirs::DescribeLogDirsRequest;
use crate::wire::message::fetch::{FetchPartition, FetchTopic};
use crate::wire::message::{FetchRequest, MetadataRequest};

const DIRS: [&str; 2] = ["/a", "/b"];

/// Everything that makes something durable below `dir` fails from now on.
fn fails(disk: &SimDisk, dir: &str, error: ErrorKind) {
    for operation in [Operation::Write, Operation::Sync, Operation::SyncDir, Operation::CreateDir, Operation::Remove] {
        disk.inject(Fault::forever(operation, error).below(Path::new(dir)));
    }
}

/// A broker with one record in a topic `t`, and a client of it.
async fn with_a_record(disk: &SimDisk) -> (TestBroker, Client) {
    let broker = TestBroker::start(Arc::new(disk.clone()), &["/data"], &[]).await;
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    assert_eq!(client.produce("t", 0, "a").await, Ok(0));
    (broker, client)
}

/// Produces once a second until the answer is not `passing`.
async fn settled(client: &mut Client, topic: &str, partition: i32) -> Result<i64, ErrorCode> {
    let mut last = Ok(-1);
    for _ in 0..10 {
        last = client.produce(topic, partition, "x").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    last
}

#[test]
fn a_log_dir_that_fails_takes_its_own_partitions_with_it_and_no_others() {
    run(async {
        let disk = SimDisk::new(3);
        let mut broker = TestBroker::start(Arc::new(disk.clone()), &DIRS, &[]).await;
        let mut client = broker.connect().await;
        client.create_topic("t", 2).await;
        assert_eq!((client.produce("t", 0, "a").await, client.produce("t", 1, "b").await), (Ok(0), Ok(0)));

        fails(&disk, "/a", ErrorKind::Other);
        assert_eq!(settled(&mut client, "t", 0).await, Err(ErrorCode::KafkaStorageError));
        assert_eq!(client.fetch("t", 0).await, Err(ErrorCode::KafkaStorageError));
        assert_eq!(client.produce("t", 1, "c").await, Ok(1));
        assert_eq!(client.fetch("t", 1).await.expect("records"), ["b", "c"]);
        let described = client.ask(4, &DescribeLogDirsRequest { topics: None }).await.expect("an answer");
        let errors = described.results.iter().map(|dir| (&*dir.log_dir, dir.error_code)).collect::<Vec<_>>();
        assert_eq!(errors, [("/a", ErrorCode::KafkaStorageError), ("/b", ErrorCode::None)]);

        client.create_topic("new", 2).await;
        assert_eq!(client.produce("new", 0, "d").await, Ok(0), "what is new goes where there is a disk");
        assert_eq!(client.produce("new", 1, "e").await, Ok(0));
        let lost = tokio::time::timeout(Duration::from_secs(60), broker.broker.lost()).await;
        assert!(lost.is_err(), "the broker goes on: {lost:?}");
    });
}

#[test]
fn a_log_dir_that_fails_while_a_partition_is_made_leaves_it_to_another() {
    run(async {
        let disk = SimDisk::new(4);
        let broker = TestBroker::start(Arc::new(disk.clone()), &DIRS, &[]).await;
        let mut client = broker.connect().await;
        disk.inject(Fault::forever(Operation::CreateDir, ErrorKind::Other).below(Path::new("/a")));
        client.create_topic("t", 2).await;
        assert_eq!((client.produce("t", 0, "a").await, client.produce("t", 1, "b").await), (Ok(0), Ok(0)));
    });
}

#[test]
fn without_any_log_dir_the_broker_cannot_go_on_and_says_so() {
    run(async {
        let disk = SimDisk::new(5);
        let mut broker = TestBroker::start(Arc::new(disk.clone()), &DIRS, &[]).await;
        let mut client = broker.connect().await;
        client.create_topic("t", 2).await;
        DIRS.iter().for_each(|dir| fails(&disk, dir, ErrorKind::Other));
        for partition in [0, 1] {
            assert_eq!(settled(&mut client, "t", partition).await, Err(ErrorCode::KafkaStorageError));
        }
        let lost = tokio::time::timeout(Duration::from_secs(60), broker.broker.lost()).await.expect("the end");
        assert!(lost.starts_with("none of the log dirs works any more"), "{lost}");
    });
}

#[test]
fn a_partition_whose_flush_failed_says_so_until_it_is_open_again() {
    run(async {
        let disk = SimDisk::new(7);
        let (broker, mut client) = with_a_record(&disk).await;
        disk.inject(Fault::once(Operation::Sync, ErrorKind::Other).below(Path::new("/data/t-0")));
        let mut refusals = Vec::new();
        let resumed = loop {
            match client.produce("t", 0, "b").await {
                Ok(offset) => break offset,
                Err(error) => refusals.push(error),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        assert!(2 < refusals.len(), "while it is down too: {refusals:?}");
        assert!(refusals.iter().all(|error| *error == ErrorCode::KafkaStorageError), "{refusals:?}");
        assert!((1..=2).contains(&resumed), "what was refused may be there, what was acknowledged is");
        assert!(broker.broker.stop().await);
    });
}

#[test]
fn a_full_disk_refuses_records_and_takes_them_again_when_there_is_room() {
    run(async {
        let disk = SimDisk::new(6);
        let broker = TestBroker::start(Arc::new(disk.clone()), &DIRS, &[]).await;
        let mut client = broker.connect().await;
        client.create_topic("t", 1).await;
        assert_eq!(client.produce("t", 0, "a").await, Ok(0));
        disk.inject(Fault::forever(Operation::Write, ErrorKind::StorageFull).below(Path::new("/a")));
        assert_eq!(settled(&mut client, "t", 0).await, Err(ErrorCode::KafkaStorageError));
        assert_eq!(client.fetch("t", 0).await.expect("records"), ["a"], "reads go on");
        disk.heal();
        assert_eq!(client.produce("t", 0, "b").await, Ok(1));
    });
}

#[test]
fn a_partition_of_before_topics_had_ids_takes_that_of_its_topic_and_is_found_by_it() {
    run(async {
        let disk = SimDisk::new(7);
        let (broker, _client) = with_a_record(&disk).await;
        assert!(broker.broker.stop().await);
        let file = Path::new("/data/t-0/partition.metadata");
        disk.remove_file(file).expect("it is there");
        let broker = TestBroker::start(Arc::new(disk.clone()), &["/data"], &[]).await;
        let mut client = broker.connect().await;
        client.produce_until_done("t", 0, "b").await;
        let metadata = client.ask(12, &MetadataRequest::default()).await.expect("an answer");
        let wanted = FetchPartition { partition_max_bytes: 1 << 20, current_leader_epoch: -1, ..Default::default() };
        let topic_id = metadata.topics[0].topic_id;
        let topics = vec![FetchTopic { topic_id, partitions: vec![wanted], ..Default::default() }];
        let request = FetchRequest { max_bytes: 1 << 20, session_epoch: -1, topics, ..Default::default() };
        let fetched = client.ask(13, &request).await.expect("an answer");
        assert_eq!(fetched.responses[0].partitions[0].error_code, ErrorCode::None);
        assert!(disk.exists(file).expect("a working disk"), "the next start knows it");
    });
}

#[test]
fn a_partition_that_nobody_could_make_has_no_leader() {
    run(async {
        let disk = SimDisk::new(8);
        let broker = TestBroker::start(Arc::new(disk.clone()), &["/data"], &[]).await;
        let mut client = broker.connect().await;
        disk.inject(Fault::forever(Operation::Write, ErrorKind::StorageFull).below(Path::new("/data")));
        let _made_without_leader = client.try_create_topic("t", 1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let metadata = client.ask(9, &MetadataRequest { topics: None, ..Default::default() }).await.expect("an answer");
        let partition = &metadata.topics[0].partitions[0];
        let known = (partition.error_code, partition.leader_id, &*partition.offline_replicas);
        assert_eq!(known, (ErrorCode::LeaderNotAvailable, -1, &[1][..]), "what was told last is what holds");
    });
}
