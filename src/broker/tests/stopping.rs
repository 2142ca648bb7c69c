//! A broker that stops answers what it has begun, and does not wait for those who do not listen.

use std::sync::Arc;
use std::time::Duration;

use super::{TestBroker, produce_request, run};
use crate::coordination::recipe::registration;
use crate::coordination::znode::broker::{Endpoint, Registration};
use crate::model::{BrokerId, ErrorCode, Timestamp};
use crate::storage::disk::sim::SimDisk;
use crate::wire::message::create_topics::{CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest};
use crate::wire::message::fetch::{FetchPartition, FetchRequest, FetchTopic};
use crate::wire::message::produce::ProduceRequest;

async fn broker() -> TestBroker {
    let broker = TestBroker::start(Arc::new(SimDisk::new(1)), &["/data"], &[]).await;
    broker.connect().await.create_topic("t", 1).await;
    broker
}

#[test]
fn a_produce_in_flight_is_answered_before_the_end() {
    run(async {
        let broker = broker().await;
        let mut other = broker.connect().await;
        // The answer is longer than the pipe: it is under way until it is read.
        let mut client = broker.connect_by(8).await;
        client.send(9, &produce_request("t", 0, "a")).await.expect("sent");
        while other.fetch("t", 0).await.expect("records").is_empty() {}
        let (stopped, answer) = tokio::join!(broker.broker.stop(), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            client.receive::<ProduceRequest>(9).await
        });
        let answer = answer.expect("an answer").responses[0].partition_responses[0].clone();
        assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::None, 0));
        assert!(stopped, "and all is written");
        assert_eq!(client.reader.fill().await.expect("an end"), 0);
    });
}

#[test]
fn a_produce_that_waits_for_a_follower_does_not_hold_up_the_end() {
    run(async {
        let settings = [("controlled.shutdown.enable", "false")];
        let broker = TestBroker::start(Arc::new(SimDisk::new(1)), &["/data"], &settings).await;
        // One that is there, and never fetches.
        let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let (listener, security_protocol, host) = ("PLAINTEXT".into(), "PLAINTEXT".into(), "127.0.0.1".into());
        let port = mute.local_addr().expect("bound").port();
        let registration = Registration {
            endpoints: vec![Endpoint { listener, security_protocol, host, port }],
            jmx_port: -1,
            registered_at: Timestamp(0),
            rack: None,
            features: std::collections::BTreeMap::new(),
        };
        let other = broker.coordinator.another_session();
        registration::register(&other, BrokerId(2), &registration, &[]).await.expect("the id is free");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut client = broker.connect().await;
        let both = CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![1, 2] };
        let (num_partitions, replication_factor, assignments) = (-1, -1, vec![both]);
        let topic =
            CreatableTopic { name: "t".into(), num_partitions, replication_factor, assignments, ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        let created = client.ask(7, &request).await.expect("an answer");
        assert_eq!(created.topics[0].error_code, ErrorCode::None);
        client.send(9, &produce_request("t", 0, "a")).await.expect("sent");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (stopped, answer) = tokio::join!(
            tokio::time::timeout(Duration::from_millis(100), broker.broker.stop()),
            client.receive::<ProduceRequest>(9)
        );
        let answer = answer.expect("an answer").responses[0].partition_responses[0].clone();
        assert_eq!(answer.error_code, ErrorCode::NotLeaderOrFollower);
        assert_eq!(stopped, Ok(true));
    });
}

#[test]
fn a_fetch_that_waits_for_records_does_not_hold_up_the_end() {
    run(async {
        let broker = broker().await;
        let mut client = broker.connect().await;
        let wanted = FetchPartition { partition_max_bytes: 1 << 20, ..Default::default() };
        let topics = vec![FetchTopic { topic: "t".into(), partitions: vec![wanted], ..Default::default() }];
        let fetch = FetchRequest { max_wait_ms: 60_000, min_bytes: 1, topics, ..Default::default() };
        client.send(11, &fetch).await.expect("sent");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let stopped = tokio::time::timeout(Duration::from_millis(100), broker.broker.stop()).await;
        assert_eq!(stopped, Ok(true));
    });
}

#[test]
fn a_client_that_does_not_read_is_waited_for_only_so_long_and_nobody_new_comes_in() {
    run(async {
        let broker = broker().await;
        let mut client = broker.connect_by(8).await;
        client.send(9, &produce_request("t", 0, "a")).await.expect("sent");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let door = broker.door.clone();
        let (stopped, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(6), broker.broker.stop()), async {
            tokio::time::timeout(Duration::from_secs(1), door.closed()).await.expect("a closed door");
        });
        assert_eq!(stopped, Ok(true));
    });
}
