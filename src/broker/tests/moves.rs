//! A replica goes from one log dir of a broker to another while it serves.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Client, TestBroker, run};
use crate::model::ErrorCode;
use crate::storage::disk::Disk as _;
use crate::storage::disk::sim::{Fault, Operation, SimDisk};
use crate::wire::message::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use crate::wire::message::describe_log_dirs::DescribeLogDirsRequest;

const DIRS: [&str; 2] = ["/a", "/b"];

/// A broker with `t-0` in `/a`, and records in it.
async fn broker_with(disk: &SimDisk, records: usize) -> (TestBroker, Client) {
    let broker = TestBroker::start(Arc::new(disk.clone()), &DIRS, &[]).await;
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    for number in 0..records {
        client.produce("t", 0, &number.to_string()).await.expect("an offset");
    }
    assert_eq!(places(&mut client).await, [("/a".to_owned(), false)]);
    (broker, client)
}

fn expected(records: usize) -> Vec<String> {
    (0..records).map(|number| number.to_string()).collect()
}

async fn send_to(client: &mut Client, path: &str) -> ErrorCode {
    let topics = vec![AlterReplicaLogDirTopic { name: "t".into(), partitions: vec![0] }];
    let dirs = vec![AlterReplicaLogDir { path: path.into(), topics }];
    let answer = client.ask(2, &AlterReplicaLogDirsRequest { dirs }).await.expect("an answer");
    answer.results[0].partitions[0].error_code
}

/// Where the replica is, and where it is on its way to.
async fn places(client: &mut Client) -> Vec<(String, bool)> {
    let described = client.ask(4, &DescribeLogDirsRequest { topics: None }).await.expect("an answer");
    let dirs = described.results.iter().flat_map(|dir| {
        let of_t = dir.topics.iter().filter(|topic| &*topic.name == "t").flat_map(|topic| &topic.partitions);
        of_t.map(|partition| (dir.log_dir.to_string(), partition.is_future_key))
    });
    dirs.collect()
}

/// Waits until it is in one place.
async fn settled(client: &mut Client) -> String {
    for _ in 0..1_000 {
        if let [(place, false)] = places(client).await.as_slice() {
            return place.clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not arrive: {:?}", places(client).await)
}

#[test]
fn it_arrives_with_all_that_was_written_and_goes_on() {
    run(async {
        let disk = SimDisk::new(1);
        let (broker, mut client) = broker_with(&disk, 30).await;
        assert_eq!(send_to(&mut client, "/b").await, ErrorCode::None);
        let mut records = 30;
        while places(&mut client).await != [("/b".to_owned(), false)] {
            let offset = client.produce("t", 0, &records.to_string()).await;
            assert_eq!(offset, Ok(records as i64), "it serves");
            records += 1;
            assert_eq!(client.fetch("t", 0).await.expect("records"), expected(records));
            assert!(records < 10_000, "it does not arrive");
        }
        assert_eq!(client.produce("t", 0, &records.to_string()).await, Ok(records as i64));
        assert_eq!(client.fetch("t", 0).await.expect("records"), expected(records + 1));
        assert!(
            disk.exists(Path::new("/b/t-0")).expect("a disk") && !disk.exists(Path::new("/a/t-0")).expect("a disk")
        );
        assert_eq!(send_to(&mut client, "/b").await, ErrorCode::None, "it is there");
        assert_eq!(send_to(&mut client, "/a").await, ErrorCode::None, "and back");
        assert_eq!(settled(&mut client).await, "/a");
        assert_eq!(client.fetch("t", 0).await.expect("records"), expected(records + 1));
        assert!(broker.broker.stop().await);

        let broker = TestBroker::start(Arc::new(disk.clone()), &DIRS, &[]).await;
        let mut client = broker.connect().await;
        assert_eq!(settled(&mut client).await, "/a");
        assert_eq!(client.fetch("t", 0).await.expect("records"), expected(records + 1));
    });
}

#[test]
fn what_was_under_way_goes_on_after_a_restart() {
    run(async {
        let disk = SimDisk::new(2);
        let (broker, mut client) = broker_with(&disk, 5).await;
        assert!(broker.broker.stop().await);
        drop(client);
        // As an earlier run leaves it, of Kafka too: a copy that was begun.
        disk.create_dir_all(Path::new("/b/t-0.0123456789abcdef0123456789abcdef-future")).expect("a folder");
        let broker = TestBroker::start(Arc::new(disk.clone()), &DIRS, &[]).await;
        client = broker.connect().await;
        assert_eq!(settled(&mut client).await, "/b");
        assert_eq!(client.fetch("t", 0).await.expect("records"), expected(5));
        assert_eq!(client.produce_until_done("t", 0, "5").await, 5);
    });
}

#[test]
fn it_stays_and_serves_when_the_other_disk_fails() {
    run(async {
        let disk = SimDisk::new(3);
        let (_broker, mut client) = broker_with(&disk, 5).await;
        for operation in [Operation::Write, Operation::Sync, Operation::SyncDir, Operation::CreateDir] {
            disk.inject(Fault::forever(operation, ErrorKind::Other).below(Path::new("/b")));
        }
        assert_eq!(send_to(&mut client, "/b").await, ErrorCode::KafkaStorageError);
        assert_eq!(settled(&mut client).await, "/a");
        assert_eq!(client.produce("t", 0, "5").await, Ok(5));
        assert_eq!(client.fetch("t", 0).await.expect("records"), expected(6));
        assert_eq!(send_to(&mut client, "/b").await, ErrorCode::KafkaStorageError, "it is out of service");
        assert_eq!(send_to(&mut client, "/c").await, ErrorCode::LogDirNotFound);
    });
}

#[test]
fn a_topic_that_is_deleted_takes_its_copy_with_it() {
    use crate::wire::message::delete_topics::DeleteTopicsRequest;
    run(async {
        let disk = SimDisk::new(4);
        let (_broker, mut client) = broker_with(&disk, 5).await;
        assert_eq!(send_to(&mut client, "/b").await, ErrorCode::None);
        let request = DeleteTopicsRequest { topic_names: vec!["t".into()], timeout_ms: 10_000, ..Default::default() };
        let answer = client.ask(5, &request).await.expect("an answer");
        assert_eq!(answer.responses[0].error_code, ErrorCode::None);
        for _ in 0..1_000 {
            if places(&mut client).await.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(places(&mut client).await, []);
        let left = DIRS.map(|dir| disk.list(Path::new(dir)).expect("a folder"));
        let left = left.iter().flatten().filter(|entry| entry.is_dir && entry.name.starts_with("t-"));
        let left = left.map(|entry| entry.name.clone()).collect::<Vec<_>>();
        assert!(left.iter().all(|name| name.ends_with("-delete")), "{left:?}");
    });
}
