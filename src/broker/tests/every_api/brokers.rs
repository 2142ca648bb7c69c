//! The rows of the APIs that brokers speak among themselves.

use super::*;

impl Stage {
    pub(super) async fn leader_and_isr(&mut self, version: i16) {
        use leader_and_isr::{LeaderAndIsrPartitionState, LeaderAndIsrTopicState};
        let name = self.new_name();
        self.names += 1;
        let topic_id = TopicId([u8::try_from(self.names).expect("few names"); 16]);
        let (broker_epoch, controller_epoch) = self.epochs();
        let state = |leader_epoch| LeaderAndIsrPartitionState {
            topic_name: if version < 2 { name.clone() } else { Str::default() },
            leader: 1,
            leader_epoch,
            isr: vec![1],
            replicas: vec![1],
            is_new: true,
            ..Default::default()
        };
        let with = |broker_epoch, controller_epoch, leader_epoch| {
            let mut request =
                LeaderAndIsrRequest { controller_id: 1, controller_epoch, broker_epoch, ..Default::default() };
            if version < 2 {
                request.ungrouped_partition_states = vec![state(leader_epoch)];
            } else {
                let partition_states = vec![state(leader_epoch)];
                request.topic_states =
                    vec![LeaderAndIsrTopicState { topic_name: name.clone(), topic_id, partition_states }];
            }
            request
        };
        let code = |answer: &LeaderAndIsrResponse| match version {
            0..=4 => answer.partition_errors[0].error_code,
            _ => answer.topics[0].partition_errors[0].error_code,
        };
        if 2 <= version {
            let stale = self.ask(version, &with(broker_epoch - 1, controller_epoch, 0)).await;
            assert_eq!(stale.error_code, StaleBrokerEpoch);
        }
        let deposed = self.ask(version, &with(broker_epoch, controller_epoch - 1, 0)).await;
        assert_eq!(deposed.error_code, StaleControllerEpoch);
        assert_eq!(code(&self.ask(version, &with(broker_epoch, controller_epoch, 0)).await), None);
        assert_eq!(code(&self.ask(version, &with(broker_epoch, controller_epoch, 0)).await), StaleControllerEpoch);
        assert_eq!(code(&self.ask(version, &with(broker_epoch, controller_epoch, 1)).await), None);
        let handle = self.broker.broker.env.directory.find(&name, PartitionIndex(0)).expect("it was made");
        assert!(handle.published.role().leading());
    }

    pub(super) async fn update_metadata(&mut self, version: i16) {
        use update_metadata::*;
        let name = self.new_name();
        self.names += 1;
        let topic_id = TopicId([u8::try_from(self.names).expect("few names"); 16]);
        let (broker_epoch, controller_epoch) = self.epochs();
        let before = self.broker.broker.env.metadata.load_full();
        let (host, port) = before.brokers[&BrokerId(1)].endpoints["PLAINTEXT"].address.clone();
        let endpoint = UpdateMetadataEndpoint {
            host: host.as_str().into(),
            port: i32::from(port),
            listener: if version < 3 { Str::default() } else { "PLAINTEXT".into() },
            security_protocol: 0,
        };
        let live = UpdateMetadataBroker {
            id: 1,
            v0_host: if version == 0 { host.as_str().into() } else { Str::default() },
            v0_port: if version == 0 { i32::from(port) } else { 0 },
            endpoints: if version == 0 { vec![] } else { vec![endpoint] },
            rack: (2 <= version).then(|| "r".into()),
        };
        let with = |controller_epoch, leader| {
            let state = UpdateMetadataPartitionState {
                topic_name: if version < 5 { name.clone() } else { Str::default() },
                leader,
                isr: vec![1],
                replicas: vec![1],
                ..Default::default()
            };
            let mut request = UpdateMetadataRequest {
                controller_id: before.controller.0,
                controller_epoch,
                broker_epoch,
                live_brokers: vec![live.clone()],
                ..Default::default()
            };
            if version < 5 {
                request.ungrouped_partition_states = vec![state];
            } else {
                let partition_states = vec![state];
                request.topic_states =
                    vec![UpdateMetadataTopicState { topic_name: name.clone(), topic_id, partition_states }];
            }
            request
        };
        assert_eq!(self.ask(version, &with(controller_epoch - 1, 1)).await.error_code, StaleControllerEpoch);
        let known = |stage: &Self| stage.broker.broker.env.metadata.load().topics.contains_key(name.as_str());
        assert!(!known(self), "a request that is refused has no effect");
        assert_eq!(self.ask(version, &with(controller_epoch, 1)).await.error_code, None);
        assert!(known(self));
        assert_eq!(self.ask(version, &with(controller_epoch, -2)).await.error_code, None);
        assert!(!known(self), "it is being deleted");
        let after = self.broker.broker.env.metadata.load_full();
        assert_eq!(after.brokers[&BrokerId(1)].endpoints, before.brokers[&BrokerId(1)].endpoints);
        self.broker.broker.env.metadata.publish(|image| image.brokers = before.brokers.clone());
    }

    pub(super) async fn stop_replica(&mut self, version: i16) {
        use stop_replica::*;
        let (broker_epoch, controller_epoch) = self.epochs();
        let name = Str::from("nowhere");
        let with = |controller_epoch| {
            let mut request =
                StopReplicaRequest { controller_id: 1, controller_epoch, broker_epoch, ..Default::default() };
            match version {
                0 => {
                    let partition = StopReplicaPartitionV0 { topic_name: name.clone(), partition_index: 0 };
                    request.ungrouped_partitions = vec![partition];
                }
                1 | 2 => {
                    request.topics = vec![StopReplicaTopicV1 { name: name.clone(), partition_indexes: vec![0] }];
                }
                _ => {
                    let state = StopReplicaPartitionState { delete_partition: true, ..Default::default() };
                    let partition_states = vec![state];
                    request.topic_states = vec![StopReplicaTopicState { topic_name: name.clone(), partition_states }];
                }
            }
            request
        };
        assert_eq!(self.ask(version, &with(controller_epoch - 1)).await.error_code, StaleControllerEpoch);
        let answer = self.ask(version, &with(controller_epoch)).await;
        assert_eq!(answer.partition_errors[0].error_code, None, "what is not here is stopped");
    }

    pub(super) async fn alter_partition(&mut self, version: i16) {
        use alter_partition::*;
        let (broker_epoch, _) = self.epochs();
        let topic = |name: &str, topic_id| TopicData {
            topic_name: if version < 2 { name.into() } else { Str::default() },
            topic_id: if version < 2 { TopicId::ZERO } else { topic_id },
            partitions: vec![PartitionData {
                partition_index: 1,
                leader_epoch: 0,
                new_isr: if version < 3 { vec![1] } else { vec![] },
                new_isr_with_epochs: if version < 3 {
                    vec![]
                } else {
                    vec![BrokerState { broker_id: 1, broker_epoch: -1 }]
                },
                partition_epoch: 0,
                ..Default::default()
            }],
        };
        let topics = vec![topic("nowhere", NO_TOPIC), topic("t", self.id)];
        let answer =
            self.ask(version, &AlterPartitionRequest { broker_id: 1, broker_epoch, topics: topics.clone() }).await;
        let unknown = if version < 2 { UnknownTopicOrPartition } else { UnknownTopicId };
        let mut codes = answer.topics.iter().map(|topic| topic.partitions[0].error_code).collect::<Vec<_>>();
        codes.sort();
        let mut expected = vec![unknown, None];
        expected.sort();
        assert_eq!(codes, expected);
        let stale =
            self.ask(version, &AlterPartitionRequest { broker_id: 1, broker_epoch: broker_epoch - 1, topics }).await;
        assert_eq!(stale.error_code, StaleBrokerEpoch);
    }
}
