//! The broker's session with the coordinator: who leads, leads in it.

use std::sync::Arc;
use std::time::Duration;

use super::{TestBroker, run};
use crate::coordination::Coordinator as _;
use crate::coordination::faulty::FaultRates;
use crate::model::ErrorCode;
use crate::storage::disk::sim::SimDisk;

const TOPIC: &str = "/brokers/topics/t";

#[test]
fn leaders_stop_as_soon_as_the_session_ends_whatever_the_controller_waits_for() {
    run(async {
        let broker = TestBroker::start(Arc::new(SimDisk::new(1)), &["/data"], &[]).await;
        let mut client = broker.connect().await;
        client.create_topic("t", 1).await;
        client.produce("t", 0, "a").await.expect("acknowledged");

        broker.connection.set_rates(FaultRates { delay_max: Duration::from_secs(60), ..FaultRates::default() });
        let (written, _) = broker.coordinator.get(TOPIC).await.expect("a tree").expect("the topic");
        for _ in 0..60 {
            broker.coordinator.set(TOPIC, &written, None).await.expect("a tree");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // The news has come late, and the controller waits for what it then wanted to read.
        broker.connection.expire();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(client.produce("t", 0, "b").await, Err(ErrorCode::NotLeaderOrFollower));

        broker.connection.set_rates(FaultRates::default());
        broker.connection.reconnect();
        assert_eq!(client.produce_until_done("t", 0, "b").await, 1);
        assert!(broker.broker.stop().await);
    });
}
