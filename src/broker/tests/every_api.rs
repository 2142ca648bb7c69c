//! Every API that ApiVersions advertises, in every version of it, asked of a whole broker: in good order, wrongly in as many
//! ways as there are answers to it, and of a broker that is not the controller.
//!
//! A field that an older version cannot carry makes an answer impossible, and the connection is closed. So the requests
//! here make the handlers fill what they can, and whatever comes back must be an answer to its last byte.

use std::sync::Arc;

use bytes::Bytes;

use super::{Client, TestBroker, run};
use crate::broker::ask;
use crate::broker::handlers::SERVED;
use crate::broker::image::Image;
use crate::broker::replicas::ReplicasCommand;
use crate::machine::controller::{Assignment, PartitionNotice, PartitionState};
use crate::model::ErrorCode::{self, *};
use crate::model::{
    BrokerId, ControllerEpoch, LeaderEpoch, Offset, PartitionEpoch, PartitionIndex, ProducerEpoch, ProducerId, TopicId,
    TopicName,
};
use crate::storage::disk::sim::SimDisk;
use crate::telemetry::{Event as _, event};
use crate::wire::message::metadata::MetadataRequestTopic;
use crate::wire::message::produce::{PartitionProduceData, TopicProduceData};
use crate::wire::message::*;
use crate::wire::record::legacy::{LegacyMagic, message_set};
use crate::wire::record::{BatchBuilder, Codec, NewRecord};
use crate::wire::{ApiKey, Payload, Request, Str};

mod groups;

/// An id that no topic has.
const NO_TOPIC: TopicId = TopicId([9; 16]);
/// The id of the topic `elsewhere`.
const ELSEWHERE: TopicId = TopicId([7; 16]);
/// Times of ListOffsets that mean the ends of a partition.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// A leader epoch that comes much later.
const LATER: i32 = 99;

#[test]
fn every_served_version_of_every_api_is_answered() {
    run(async {
        let mut stage = Stage::set().await;
        for (key, version) in every_version() {
            stage.ask_everything(key, version).await;
        }
    });
}

#[test]
fn a_broker_that_is_not_the_controller_answers_too() {
    run(async {
        let mut stage = Stage::set().await;
        stage.broker.broker.env.metadata.publish(|image| image.controller = BrokerId(7));
        for (key, version) in every_version() {
            stage.ask_the_wrong_broker(key, version).await;
        }
    });
}

/// What ApiVersions advertises.
fn every_version() -> impl Iterator<Item = (ApiKey, i16)> {
    SERVED.iter().flat_map(|(key, versions)| versions.clone().map(move |version| (*key, version)))
}

/// A broker with something of everything:
/// - `t` with two partitions, the first of which has records of an idempotent producer, led under the second leader epoch;
/// - `compact`, which takes only records with keys;
/// - `elsewhere`, led by a broker that is not there.
struct Stage {
    broker: TestBroker,
    client: Client,
    /// The id of `t`.
    id: TopicId,
    /// The leader epoch of `t`.
    epoch: i32,
    /// How many names were made up.
    names: u32,
}

impl Stage {
    async fn set() -> Self {
        let settings = [
            ("broker.rack", "r"),
            ("auto.create.topics.enable", "true"),
            ("group.initial.rebalance.delay.ms", "0"),
            ("group.coordinator.rebalance.protocols", "classic,consumer"),
            ("offsets.topic.num.partitions", "2"),
        ];
        let broker = TestBroker::start(Arc::new(SimDisk::new(8)), &["/data"], &settings).await;
        let mut client = broker.connect().await;
        client.create_topic("t", 2).await;
        create(&mut client, "compact", &[("cleanup.policy", "compact")]).await;
        let env = &broker.broker.env;
        let partitions = second_leadership(&env.metadata.load_full());
        let answers = ask(&env.replicas, |reply| ReplicasCommand::LeaderAndIsr {
            controller_epoch: env.membership.controller_epoch(),
            partitions: partitions.clone(),
            reply,
        });
        assert!(answers.await.expect("answers").iter().all(|(_, error)| *error == None));
        env.metadata.publish(|image| image.merge(partitions.into_iter().chain([elsewhere()]).collect()));
        let mut stage = Self { broker, client, id: TopicId::ZERO, epoch: 0, names: 0 };
        stage.learn().await;
        stage
    }

    /// Learns the id and leader epoch of `t`, and gives it records.
    async fn learn(&mut self) {
        let named = MetadataRequestTopic { name: Some("t".into()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![named]), ..Default::default() };
        let answer = self.ask(12, &request).await;
        self.id = answer.topics[0].topic_id;
        self.epoch = answer.topics[0].partitions[0].leader_epoch;
        assert!(0 < self.epoch, "an earlier leadership is known");
        let batch = PartitionProduceData { index: 0, records: Some(idempotent_batch()) };
        let produced = self.ask(9, &produce("t", vec![batch])).await;
        assert_eq!(produced.responses[0].partition_responses[0].error_code, None);
    }

    async fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let asked = self.client.ask(version, request).await;
        asked.unwrap_or_else(|error| panic!("{} version {version}: {error}\n{request:#?}", R::KEY))
    }

    fn new_name(&mut self) -> Str {
        self.names += 1;
        format!("new-{}", self.names).into()
    }

    #[expect(clippy::too_many_lines, reason = "a table: one row per API")]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is served and has no row must fail, the rest is not asked"
    )]
    async fn ask_everything(&mut self, key: ApiKey, version: i16) {
        match key {
            ApiKey::Produce => self.produce(version).await,
            ApiKey::Fetch => self.fetch(version).await,
            ApiKey::ListOffsets => self.list_offsets(version).await,
            ApiKey::Metadata => self.metadata(version).await,
            ApiKey::SaslHandshake => {
                let answer = self.ask(version, &SaslHandshakeRequest { mechanism: "PLAIN".into() }).await;
                assert_eq!(answer.error_code, IllegalSaslState);
            }
            ApiKey::SaslAuthenticate => {
                let request = SaslAuthenticateRequest { auth_bytes: Bytes::from_static(b"\0user\0password") };
                assert_eq!(self.ask(version, &request).await.error_code, IllegalSaslState);
            }
            ApiKey::ApiVersions => {
                let named = |name: &str| ApiVersionsRequest {
                    client_software_name: name.into(),
                    client_software_version: "1".into(),
                };
                let answer = self.ask(version, &named("test")).await;
                assert_eq!((answer.error_code, answer.api_keys.len()), (None, SERVED.len()));
                let refused = self.ask(version, &named("?")).await.error_code;
                assert_eq!(refused, if version < 3 { None } else { InvalidRequest });
            }
            ApiKey::CreateTopics => self.create_topics(version).await,
            ApiKey::DeleteTopics => self.delete_topics(version).await,
            ApiKey::DeleteRecords => {
                let at = |partition_index, offset| delete_records::DeleteRecordsPartition { partition_index, offset };
                let of = |name: &str, partitions| delete_records::DeleteRecordsTopic { name: name.into(), partitions };
                let topics = vec![
                    of("t", vec![at(1, 0), at(0, 1_000)]),
                    of("nowhere", vec![at(0, 0)]),
                    of("elsewhere", vec![at(0, 0)]),
                    of("compact", vec![at(0, 0)]),
                ];
                let answer = self.ask(version, &DeleteRecordsRequest { topics, timeout_ms: 1_000 }).await;
                let codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|done| done.error_code);
                let all = [None, OffsetOutOfRange, UnknownTopicOrPartition, NotLeaderOrFollower, PolicyViolation];
                assert_eq!(codes.collect::<Vec<_>>(), all);
            }
            ApiKey::InitProducerId => {
                let with = |id: Option<&str>| InitProducerIdRequest {
                    transactional_id: id.map(Str::from),
                    transaction_timeout_ms: 1_000,
                    ..Default::default()
                };
                let mut codes = vec![];
                for id in [Option::None, Some(""), Some("transactional")] {
                    codes.push(self.ask(version, &with(id)).await.error_code);
                }
                assert_eq!(codes, [None, InvalidRequest, CoordinatorNotAvailable]);
            }
            ApiKey::OffsetForLeaderEpoch => self.offset_for_leader_epoch(version).await,
            ApiKey::DescribeConfigs => self.describe_configs(version).await,
            ApiKey::AlterConfigs => {
                let of = |(resource_type, name, key, value)| alter_configs::AlterConfigsResource {
                    resource_type,
                    resource_name: Str::from(name),
                    configs: vec![alter_configs::AlterableConfig {
                        name: Str::from(key),
                        value: Some(Str::from(value)),
                    }],
                };
                let resources = settings_to_alter().into_iter().map(of).collect();
                let answer = self.ask(version, &AlterConfigsRequest { resources, validate_only: false }).await;
                assert_eq!(answer.responses.iter().map(|done| done.error_code).collect::<Vec<_>>(), ALTERED);
            }
            ApiKey::IncrementalAlterConfigs => {
                let of = |(resource_type, name, key, value)| incremental_alter_configs::AlterConfigsResource {
                    resource_type,
                    resource_name: Str::from(name),
                    configs: vec![incremental_alter_configs::AlterableConfig {
                        name: Str::from(key),
                        config_operation: 0,
                        value: Some(Str::from(value)),
                    }],
                };
                let resources = settings_to_alter().into_iter().map(of).collect();
                let request = IncrementalAlterConfigsRequest { resources, validate_only: false };
                let answer = self.ask(version, &request).await;
                assert_eq!(answer.responses.iter().map(|done| done.error_code).collect::<Vec<_>>(), ALTERED);
            }
            ApiKey::AlterReplicaLogDirs => {
                use alter_replica_log_dirs::*;
                let of = |name: &str, partitions| AlterReplicaLogDirTopic { name: name.into(), partitions };
                let there = |path: &str, topics| AlterReplicaLogDir { path: path.into(), topics };
                let here = there("/data", vec![of("t", vec![0]), of("nowhere", vec![0]), of("elsewhere", vec![0])]);
                let request =
                    AlterReplicaLogDirsRequest { dirs: vec![here, there("/nowhere", vec![of("t", vec![1])])] };
                let answer = self.ask(version, &request).await;
                let codes = answer.results.iter().flat_map(|topic| {
                    let name = topic.topic_name.as_str();
                    topic.partitions.iter().map(move |done| (name, done.partition_index, done.error_code))
                });
                let codes = codes.collect::<Vec<_>>();
                assert!(codes.contains(&("t", 0, None)), "where it is: {codes:?}");
                assert!(codes.contains(&("nowhere", 0, UnknownTopicOrPartition)), "{codes:?}");
                assert!(codes.contains(&("elsewhere", 0, ReplicaNotAvailable)), "{codes:?}");
                let second = codes.iter().find(|(name, index, _)| (*name, *index) == ("t", 1));
                assert!(matches!(second, Some((.., LogDirNotFound | UnknownTopicOrPartition))), "{codes:?}");
            }
            ApiKey::DescribeLogDirs => {
                let all = self.ask(version, &DescribeLogDirsRequest { topics: Option::None }).await;
                assert!(2 <= all.results[0].topics.len() && all.results[0].error_code == None, "{all:?}");
                let named = describe_log_dirs::DescribableLogDirTopic { topic: "t".into(), partitions: vec![0, 5] };
                let some = self.ask(version, &DescribeLogDirsRequest { topics: Some(vec![named]) }).await;
                assert_eq!(some.results[0].topics[0].partitions.len(), 1);
            }
            ApiKey::CreatePartitions => self.create_partitions(version).await,
            ApiKey::ElectLeaders => self.elect_leaders(version).await,
            ApiKey::AlterPartitionReassignments => {
                let answer = self.ask(version, &reassignments()).await;
                let code = |topic: usize, partition: usize| answer.responses[topic].partitions[partition].error_code;
                assert_eq!((code(0, 0), code(0, 1)), (UnknownTopicOrPartition, UnknownTopicOrPartition));
                assert_eq!((code(1, 0), code(1, 1)), (NoReassignmentInProgress, InvalidReplicaAssignment));
            }
            ApiKey::ListPartitionReassignments => {
                let answer = self.ask(version, &ListPartitionReassignmentsRequest::default()).await;
                assert_eq!((answer.error_code, answer.topics.len()), (None, 0));
            }
            ApiKey::UpdateFeatures => {
                let answer = self.ask(version, &feature_update()).await;
                assert_eq!(answer.results[0].error_code, InvalidRequest);
            }
            ApiKey::DescribeCluster => {
                let with = |endpoint_type| DescribeClusterRequest {
                    include_cluster_authorized_operations: true,
                    endpoint_type,
                };
                let answer = self.ask(version, &with(1)).await;
                assert_eq!(answer.brokers[0].rack.as_deref(), Some("r"));
                assert_ne!(answer.cluster_authorized_operations, i32::MIN);
                if 1 <= version {
                    assert_eq!(self.ask(version, &with(2)).await.error_code, MismatchedEndpointType);
                    assert_eq!(self.ask(version, &with(9)).await.error_code, UnsupportedEndpointType);
                }
            }
            ApiKey::DescribeProducers => {
                let of =
                    |name: &str| describe_producers::TopicRequest { name: name.into(), partition_indexes: vec![0, 5] };
                let topics = vec![of("t"), of("nowhere"), of("elsewhere")];
                let answer = self.ask(version, &DescribeProducersRequest { topics }).await;
                assert_eq!(answer.topics[0].partitions[0].active_producers[0].producer_id, 4711);
                assert_eq!(answer.topics[1].partitions[0].error_code, UnknownTopicOrPartition);
                assert_eq!(answer.topics[2].partitions[0].error_code, NotLeaderOrFollower);
            }
            ApiKey::FindCoordinator => self.find_coordinator(version).await,
            ApiKey::JoinGroup => self.join_group(version).await,
            ApiKey::SyncGroup => self.sync_group(version).await,
            ApiKey::Heartbeat => self.heartbeat(version).await,
            ApiKey::LeaveGroup => self.leave_group(version).await,
            ApiKey::OffsetCommit => self.offset_commit(version).await,
            ApiKey::OffsetFetch => self.offset_fetch(version).await,
            ApiKey::DescribeGroups | ApiKey::ListGroups | ApiKey::DeleteGroups | ApiKey::OffsetDelete => {
                self.administer_groups(key, version).await;
            }
            ApiKey::ConsumerGroupHeartbeat => self.consumer_group_heartbeat(version).await,
            ApiKey::ConsumerGroupDescribe => self.consumer_group_describe(version).await,
            ApiKey::LeaderAndIsr => self.leader_and_isr(version).await,
            ApiKey::UpdateMetadata => self.update_metadata(version).await,
            ApiKey::StopReplica => self.stop_replica(version).await,
            ApiKey::AlterPartition => self.alter_partition(version).await,
            ApiKey::ControlledShutdown => {
                let request = ControlledShutdownRequest { broker_id: 7, broker_epoch: 1 };
                assert_eq!(self.ask(version, &request).await.error_code, BrokerNotAvailable);
            }
            ApiKey::AllocateProducerIds => {
                let epoch = self.broker.broker.env.membership.broker_epoch().0;
                let of = |broker_id, broker_epoch| AllocateProducerIdsRequest { broker_id, broker_epoch };
                let (first, next) = (self.ask(version, &of(1, epoch)).await, self.ask(version, &of(1, epoch)).await);
                assert_eq!((first.error_code, first.producer_id_len), (None, 1_000));
                assert_eq!(next.producer_id_start, first.producer_id_start + 1_000, "no id twice");
                assert_eq!(self.ask(version, &of(1, epoch - 1)).await.error_code, StaleBrokerEpoch);
                assert_eq!(self.ask(version, &of(7, epoch)).await.error_code, BrokerIdNotRegistered);
            }
            other => panic!("{other} is served, and nothing is asked of it here"),
        }
    }

    async fn produce(&mut self, version: i16) {
        let bad =
            Bytes::from_iter(batch().into_iter().enumerate().map(|(at, byte)| if at == 20 { !byte } else { byte }));
        let data = |index, records| PartitionProduceData { index, records: Some(records) };
        let of = |name: &str, partition_data| TopicProduceData { name: name.into(), partition_data };
        let topic_data = vec![
            of("t", vec![data(1, batch()), data(0, bad), data(5, batch())]),
            of("compact", vec![data(0, batch())]),
            of("elsewhere", vec![data(0, batch())]),
        ];
        let request = ProduceRequest { transactional_id: Option::None, acks: -1, timeout_ms: 10_000, topic_data };
        let answer = self.ask(version, &request).await;
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses).collect::<Vec<_>>();
        let codes = partitions.iter().map(|partition| partition.error_code).collect::<Vec<_>>();
        assert_eq!(codes, [None, CorruptMessage, UnknownTopicOrPartition, InvalidRecord, NotLeaderOrFollower]);
        assert_eq!(partitions[3].record_errors.is_empty(), version < 8, "the record without a key is named");
        if version < 3 {
            self.produce_old(version).await;
        }
        let answer = self.ask(version, &ProduceRequest { acks: 7, ..request }).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, InvalidRequiredAcks);
    }

    /// The formats that these versions are made for.
    async fn produce_old(&mut self, version: i16) {
        let record = NewRecord { value: Some(b"x"), ..Default::default() };
        let set = |codec| {
            let magic = if version < 2 { LegacyMagic::V0 } else { LegacyMagic::V1 };
            Bytes::from(message_set(magic, codec, Offset(0), &[record, record]).expect("a set"))
        };
        let damaged =
            Bytes::from_iter(set(Codec::None).into_iter().enumerate().map(|(at, it)| if at == 13 { !it } else { it }));
        let data = |index, records| PartitionProduceData { index, records };
        let of = |name: &str, partition_data| TopicProduceData { name: name.into(), partition_data };
        let topic_data = vec![
            of("t", vec![data(1, Some(set(Codec::None))), data(1, Some(set(Codec::Lz4))), data(1, Some(damaged))]),
            of("t", vec![data(1, Some(Bytes::new())), data(1, Option::None), data(5, Some(set(Codec::None)))]),
            of("compact", vec![data(0, Some(set(Codec::Gzip)))]),
            of("elsewhere", vec![data(0, Some(set(Codec::None)))]),
        ];
        let before = event::ProduceMessageConversions::counts().total();
        let request = ProduceRequest { transactional_id: Option::None, acks: 1, timeout_ms: 10_000, topic_data };
        let answer = self.ask(version, &request).await;
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses).collect::<Vec<_>>();
        let codes = partitions.iter().map(|partition| partition.error_code).collect::<Vec<_>>();
        let refused = [UnknownTopicOrPartition, InvalidRecord, NotLeaderOrFollower];
        assert_eq!(codes, [&[None, None, CorruptMessage, None, None][..], &refused].concat());
        assert_eq!(partitions[1].base_offset, partitions[0].base_offset + 2, "one after the other");
        assert_eq!(partitions[3].base_offset, -1, "nothing was appended");
        assert!(before + 4 <= event::ProduceMessageConversions::counts().total());
    }

    async fn fetch(&mut self, version: i16) {
        // (topic, its id, partition, offset, leader epoch), and what comes of it.
        let mut asked = vec![
            ("t", self.id, 0, 0, -1, None),
            ("t", self.id, 1, 1_000, -1, OffsetOutOfRange),
            ("t", self.id, 5, 0, -1, UnknownTopicOrPartition),
            ("elsewhere", ELSEWHERE, 0, 0, -1, NotLeaderOrFollower),
            ("nowhere", NO_TOPIC, 0, 0, -1, if version < 13 { UnknownTopicOrPartition } else { UnknownTopicId }),
        ];
        if 9 <= version {
            asked.push(("t", self.id, 0, 0, self.epoch - 1, FencedLeaderEpoch));
            asked.push(("t", self.id, 0, 0, LATER, UnknownLeaderEpoch));
        }
        for (topic, id, partition, offset, epoch, code) in asked {
            let partition = fetch::FetchPartition {
                partition,
                fetch_offset: offset,
                current_leader_epoch: epoch,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            };
            let topics = vec![fetch::FetchTopic { topic: topic.into(), topic_id: id, partitions: vec![partition] }];
            // Committed records only, in a session.
            let session_epoch = if version < 7 { -1 } else { 0 };
            let request = FetchRequest { isolation_level: 1, session_epoch, topics, ..Default::default() };
            let answer = self.ask(version, &request).await;
            let found = &answer.responses[0].partitions[0];
            assert_eq!(found.error_code, code, "{topic}, version {version}");
            assert_eq!(matches!(&found.records, Payload::Bytes(bytes) if !bytes.is_empty()), code == None);
            assert_eq!(found.aborted_transactions.is_some(), code == None && 4 <= version);
            let tells_leader = 16 <= version && matches!(code, NotLeaderOrFollower | FencedLeaderEpoch);
            assert_eq!(found.current_leader != Default::default(), tells_leader, "{topic}, version {version}");
            if 7 <= version {
                assert_ne!(answer.session_id, 0);
                let next = FetchRequest { session_id: answer.session_id, session_epoch: 1, ..Default::default() };
                let news = self.ask(version, &next).await;
                assert_eq!(news.error_code, None);
                let closed = FetchRequest { session_id: answer.session_id, session_epoch: -1, ..Default::default() };
                assert_eq!(self.ask(version, &closed).await.error_code, None);
                assert_eq!(self.ask(version, &next).await.error_code, FetchSessionIdNotFound);
            }
        }
    }

    async fn list_offsets(&mut self, version: i16) {
        let mut asked = vec![
            ("t", -1, -1, None),
            ("t", -2, -1, None),
            ("t", 0, -1, None),
            ("t", i64::MAX, -1, None),
            ("t", -99, -1, UnsupportedVersion),
            ("nowhere", -1, -1, UnknownTopicOrPartition),
            ("elsewhere", -1, -1, NotLeaderOrFollower),
        ];
        for (timestamp, since) in [(-3, 7), (-4, 8), (-5, 9)] {
            asked.push(("t", timestamp, -1, if since <= version { None } else { UnsupportedVersion }));
        }
        if 4 <= version {
            asked.push(("t", -1, self.epoch - 1, FencedLeaderEpoch));
            asked.push(("t", -1, LATER, UnknownLeaderEpoch));
        }
        for (topic, timestamp, current_leader_epoch, code) in asked {
            let partition =
                list_offsets::ListOffsetsPartition { timestamp, current_leader_epoch, ..Default::default() };
            let topics = vec![list_offsets::ListOffsetsTopic { name: topic.into(), partitions: vec![partition] }];
            let request = ListOffsetsRequest { replica_id: -1, isolation_level: i8::from(2 <= version), topics };
            let answer = self.ask(version, &request).await;
            assert_eq!(answer.topics[0].partitions[0].error_code, code, "{topic} at {timestamp}, version {version}");
            let offsets = answer.topics[0].partitions[0].old_style_offsets.len();
            let some = [LATEST, EARLIEST, i64::MAX].contains(&timestamp);
            assert!(
                timestamp == 0 || (offsets == 1) == (version == 0 && code == None && some),
                "{topic} at {timestamp}"
            );
        }
    }

    async fn metadata(&mut self, version: i16) {
        let made = self.new_name();
        let named = |name: &str| MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let mut request = MetadataRequest {
            topics: Some(vec![named("t"), named("elsewhere"), named("a/b"), named(&made)]),
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: (8..=10).contains(&version),
            include_topic_authorized_operations: 8 <= version,
        };
        let answer = self.ask(version, &request).await;
        let codes = answer.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>();
        assert_eq!(codes, [None, None, InvalidTopicException, None], "the last was made for the asking");
        assert_eq!(answer.topics[1].partitions[0].error_code, LeaderNotAvailable);

        if 4 <= version {
            request.allow_auto_topic_creation = false;
            request.topics = Some(vec![named("nowhere")]);
            assert_eq!(self.ask(version, &request).await.topics[0].error_code, UnknownTopicOrPartition);
        }
        request.topics = if version == 0 { Some(vec![]) } else { Option::None };
        assert!(3 <= self.ask(version, &request).await.topics.len(), "all of them");
        if 10 <= version {
            let by_id = |topic_id| MetadataRequestTopic { topic_id, name: Option::None };
            request.topics = Some(vec![by_id(self.id), by_id(NO_TOPIC)]);
            let codes = self.ask(version, &request).await.topics.into_iter().map(|topic| topic.error_code);
            let by_id_is_known = 12 <= version;
            let expected = if by_id_is_known { [None, UnknownTopicId] } else { [InvalidRequest; 2] };
            assert_eq!(codes.collect::<Vec<_>>(), expected, "version {version}");
        }
    }

    async fn create_topics(&mut self, version: i16) {
        let (plain, placed, checked, twice) = (self.new_name(), self.new_name(), self.new_name(), self.new_name());
        let new = |name: &Str, num_partitions, replication_factor| create_topics::CreatableTopic {
            name: name.clone(),
            num_partitions,
            replication_factor,
            ..Default::default()
        };
        let setting = |name: &str, value: &str| create_topics::CreatableTopicConfig {
            name: name.into(),
            value: Some(value.into()),
        };
        let mut with_settings = new(&plain, 2, 1);
        with_settings.configs = vec![setting("retention.ms", "1000")];
        let mut assigned = new(&placed, -1, -1);
        assigned.assignments =
            vec![create_topics::CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![1] }];
        let mut badly_set = new(&"bad".into(), 1, 1);
        badly_set.configs = vec![setting("no.such.key", "1")];
        let topics = vec![
            with_settings,
            assigned,
            new(&"t".into(), 1, 1),
            new(&"a/b".into(), 1, 1),
            new(&"many".into(), 1, 5),
            new(&"none".into(), 0, 1),
            badly_set,
            new(&twice, 1, 1),
            new(&twice, 1, 1),
        ];
        let request = CreateTopicsRequest { topics, timeout_ms: 10_000, validate_only: false };
        let answer = self.ask(version, &request).await;
        let code = |name: &str| answer.topics.iter().find(|topic| &*topic.name == name).expect("named").error_code;
        assert_eq!((code(&plain), code(&placed)), (None, None));
        assert_eq!((code("t"), code("a/b")), (TopicAlreadyExists, InvalidTopicException));
        assert_eq!((code("many"), code("none")), (InvalidReplicationFactor, InvalidPartitions));
        assert_eq!((code("bad"), code(&twice)), (InvalidConfig, InvalidRequest));
        if 1 <= version {
            let topics = vec![new(&checked, 1, 1)];
            let request = CreateTopicsRequest { topics, timeout_ms: 10_000, validate_only: true };
            assert_eq!(self.ask(version, &request).await.topics[0].error_code, None);
        }
    }

    async fn delete_topics(&mut self, version: i16) {
        let name = self.new_name();
        create(&mut self.client, &name, &[]).await;
        let named = |name: &str| delete_topics::DeleteTopicState { name: Some(name.into()), topic_id: TopicId::ZERO };
        let mut request = DeleteTopicsRequest {
            topics: vec![],
            topic_names: vec![name.clone(), "nowhere".into()],
            timeout_ms: 10_000,
        };
        let mut expected = vec![None, UnknownTopicOrPartition];
        if 6 <= version {
            request.topic_names = vec![];
            let by_id = |topic_id| delete_topics::DeleteTopicState { name: Option::None, topic_id };
            let both = delete_topics::DeleteTopicState { name: Some("t".into()), topic_id: self.id };
            request.topics = vec![named(&name), named("nowhere"), by_id(NO_TOPIC)];
            expected.push(UnknownTopicId);
            let refused = DeleteTopicsRequest { topics: vec![both], ..request.clone() };
            assert_eq!(self.ask(version, &refused).await.responses[0].error_code, InvalidRequest);
        }
        let answer = self.ask(version, &request).await;
        assert_eq!(answer.responses.iter().map(|done| done.error_code).collect::<Vec<_>>(), expected);
    }

    async fn offset_for_leader_epoch(&mut self, version: i16) {
        let mut asked = vec![
            ("t", self.epoch, -1, None),
            ("t", LATER, -1, None),
            ("nowhere", 0, -1, UnknownTopicOrPartition),
            ("elsewhere", 0, -1, NotLeaderOrFollower),
        ];
        if 2 <= version {
            asked.push(("t", 0, self.epoch - 1, FencedLeaderEpoch));
            asked.push(("t", 0, LATER, UnknownLeaderEpoch));
        }
        for (topic, leader_epoch, current_leader_epoch, code) in asked {
            let partition =
                offset_for_leader_epoch::OffsetForLeaderPartition { partition: 0, current_leader_epoch, leader_epoch };
            let topics = vec![offset_for_leader_epoch::OffsetForLeaderTopic {
                topic: topic.into(),
                partitions: vec![partition],
            }];
            let answer = self.ask(version, &OffsetForLeaderEpochRequest { topics, ..Default::default() }).await;
            assert_eq!(answer.topics[0].partitions[0].error_code, code, "{topic}, version {version}");
        }
    }

    async fn describe_configs(&mut self, version: i16) {
        let of = |resource_type, name: &str, keys: Option<&[&str]>| describe_configs::DescribeConfigsResource {
            resource_type,
            resource_name: name.into(),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| Str::from(*key)).collect()),
        };
        let resources = vec![
            of(2, "compact", Option::None),
            of(2, "t", Some(&["retention.ms", "no.such.key"])),
            of(4, "1", Option::None),
            of(4, "", Option::None),
            of(2, "nowhere", Option::None),
            of(2, "a/b", Option::None),
            of(4, "7", Option::None),
            of(99, "?", Option::None),
        ];
        let request =
            DescribeConfigsRequest { resources, include_synonyms: 1 <= version, include_documentation: 3 <= version };
        let answer = self.ask(version, &request).await;
        let codes = answer.results.iter().map(|result| result.error_code).collect::<Vec<_>>();
        let [unknown, invalid] = [UnknownTopicOrPartition, InvalidTopicException];
        assert_eq!(codes, [None, None, None, None, unknown, invalid, InvalidRequest, InvalidRequest]);
        assert_eq!(answer.results[1].configs.len(), 1);
        let settings = answer.results.iter().flat_map(|result| &result.configs).collect::<Vec<_>>();
        assert_eq!(settings.iter().any(|setting| setting.is_default), version == 0);
        assert_eq!(settings.iter().any(|setting| !setting.synonyms.is_empty()), 1 <= version);
        assert_eq!(settings.iter().any(|setting| setting.documentation.is_some()), 3 <= version);
    }

    async fn create_partitions(&mut self, version: i16) {
        let name = self.new_name();
        create(&mut self.client, &name, &[]).await;
        let to = |name: &str, count, brokers: Option<i32>| create_partitions::CreatePartitionsTopic {
            name: name.into(),
            count,
            assignments: brokers
                .map(|broker| vec![create_partitions::CreatePartitionsAssignment { broker_ids: vec![broker] }]),
        };
        let topics = vec![
            to(&name, 2, Some(1)),
            to("t", 1, Option::None),
            to("nowhere", 2, Option::None),
            to("compact", 2, Some(7)),
        ];
        let request = CreatePartitionsRequest { topics, timeout_ms: 10_000, validate_only: false };
        let answer = self.ask(version, &request).await;
        let codes = answer.results.iter().map(|result| result.error_code).collect::<Vec<_>>();
        assert_eq!(codes, [None, InvalidPartitions, UnknownTopicOrPartition, InvalidReplicaAssignment]);
    }

    async fn elect_leaders(&mut self, version: i16) {
        let of = |topic: &str| elect_leaders::TopicPartitions { topic: topic.into(), partitions: vec![0] };
        let named = Some(vec![of("t"), of("nowhere"), of("elsewhere")]);
        let with = |election_type, topic_partitions| ElectLeadersRequest {
            election_type,
            topic_partitions,
            timeout_ms: 10_000,
        };
        let answer = self.ask(version, &with(0, named.clone())).await;
        let code = |answer: &ElectLeadersResponse, topic: &str| {
            let of_topic = answer.replica_election_results.iter().find(|result| &*result.topic == topic);
            of_topic.map(|result| result.partition_result[0].error_code)
        };
        assert_eq!(code(&answer, "t"), Some(ElectionNotNeeded));
        assert_eq!(code(&answer, "nowhere"), Some(UnknownTopicOrPartition));
        assert_eq!(self.ask(version, &with(0, Option::None)).await.error_code, None);
        if 1 <= version {
            let answer = self.ask(version, &with(1, named)).await;
            assert_eq!(code(&answer, "t"), Some(ElectionNotNeeded));
            assert_eq!(self.ask(version, &with(5, Some(vec![]))).await.error_code, InvalidRequest);
        }
    }

    /// The epochs that a request of the controller to this broker carries: those that hold, where the version carries them.
    fn epochs(&self) -> (i64, i32) {
        let membership = &self.broker.broker.env.membership;
        (membership.broker_epoch().0, membership.controller_epoch().0)
    }

    async fn leader_and_isr(&mut self, version: i16) {
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

    async fn update_metadata(&mut self, version: i16) {
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

    async fn stop_replica(&mut self, version: i16) {
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

    async fn alter_partition(&mut self, version: i16) {
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

    /// What only the controller does is refused; all else does not mind.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what has no row is asked as ever")]
    async fn ask_the_wrong_broker(&mut self, key: ApiKey, version: i16) {
        match key {
            ApiKey::CreateTopics => {
                let topic = create_topics::CreatableTopic { name: self.new_name(), ..Default::default() };
                let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
                assert_eq!(self.ask(version, &request).await.topics[0].error_code, NotController);
            }
            ApiKey::DeleteTopics => {
                let by_name = delete_topics::DeleteTopicState { name: Some("t".into()), topic_id: TopicId::ZERO };
                let by_id = delete_topics::DeleteTopicState { name: Option::None, topic_id: self.id };
                let request = if version < 6 {
                    DeleteTopicsRequest { topic_names: vec!["t".into()], ..Default::default() }
                } else {
                    DeleteTopicsRequest { topics: vec![by_name, by_id], ..Default::default() }
                };
                let answer = self.ask(version, &request).await;
                assert!(answer.responses.iter().all(|done| done.error_code == NotController), "{answer:?}");
            }
            ApiKey::CreatePartitions => {
                let topic =
                    create_partitions::CreatePartitionsTopic { name: "t".into(), count: 3, ..Default::default() };
                let request = CreatePartitionsRequest { topics: vec![topic], ..Default::default() };
                assert_eq!(self.ask(version, &request).await.results[0].error_code, NotController);
            }
            ApiKey::ElectLeaders => {
                let topic = elect_leaders::TopicPartitions { topic: "t".into(), partitions: vec![0] };
                for topic_partitions in [Some(vec![topic]), Option::None] {
                    let answer =
                        self.ask(version, &ElectLeadersRequest { topic_partitions, ..Default::default() }).await;
                    assert_eq!(answer.error_code, if version == 0 { None } else { NotController });
                    let results = &answer.replica_election_results[0].partition_result;
                    assert_eq!(results[0].error_code, NotController);
                }
            }
            ApiKey::AlterPartitionReassignments => {
                assert_eq!(self.ask(version, &reassignments()).await.error_code, NotController);
            }
            ApiKey::ListPartitionReassignments => {
                let answer = self.ask(version, &ListPartitionReassignmentsRequest::default()).await;
                assert_eq!(answer.error_code, NotController);
            }
            ApiKey::UpdateFeatures => {
                assert_eq!(self.ask(version, &feature_update()).await.error_code, NotController);
            }
            ApiKey::AllocateProducerIds => {
                let answer = self.ask(version, &AllocateProducerIdsRequest { broker_id: 1, broker_epoch: 1 }).await;
                assert_eq!(answer.error_code, NotController);
            }
            other => self.ask_everything(other, version).await,
        }
    }
}

/// Wishes none of which can be: the second topic is `t`.
fn reassignments() -> AlterPartitionReassignmentsRequest {
    let partition =
        |partition_index, replicas| alter_partition_reassignments::ReassignablePartition { partition_index, replicas };
    let topic = |name: &str, second| alter_partition_reassignments::ReassignableTopic {
        name: name.into(),
        partitions: vec![partition(0, Option::None), partition(second, Some(vec![9]))],
    };
    AlterPartitionReassignmentsRequest { topics: vec![topic("nowhere", 7), topic("t", 1)], ..Default::default() }
}

fn feature_update() -> UpdateFeaturesRequest {
    let update = update_features::FeatureUpdateKey {
        feature: "metadata.version".into(),
        max_version_level: 7,
        ..Default::default()
    };
    UpdateFeaturesRequest { feature_updates: vec![update], ..Default::default() }
}

/// What a controller says that elects the leader of `t` again.
fn second_leadership(image: &Image) -> Vec<PartitionNotice> {
    let name = TopicName::new("t").expect("a name");
    let topic = image.topics.get(&name).expect("it is there");
    let partitions = topic.partitions.iter().map(|(index, partition)| PartitionNotice {
        topic: name.clone(),
        topic_id: topic.id,
        partition: *index,
        assignment: Assignment::settled(partition.replicas.clone()),
        offline: vec![],
        state: PartitionState { leader_epoch: LeaderEpoch(1), ..partition.state.clone() },
        is_new: false,
    });
    partitions.collect()
}

/// A topic that a broker leads which is not there.
fn elsewhere() -> PartitionNotice {
    PartitionNotice {
        topic: TopicName::new("elsewhere").expect("a name"),
        topic_id: ELSEWHERE,
        partition: PartitionIndex(0),
        assignment: Assignment::settled(vec![BrokerId(7)]),
        offline: vec![],
        state: PartitionState {
            controller_epoch: ControllerEpoch(1),
            leader: BrokerId(7),
            leader_epoch: LeaderEpoch(3),
            isr: vec![BrokerId(7)],
            partition_epoch: PartitionEpoch(1),
            recovering: false,
        },
        is_new: false,
    }
}

async fn create(client: &mut Client, name: &str, settings: &[(&str, &str)]) {
    let setting = |(name, value): &(&str, &str)| create_topics::CreatableTopicConfig {
        name: (*name).into(),
        value: Some((*value).into()),
    };
    let topic = create_topics::CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        configs: settings.iter().map(setting).collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let answer = client.ask(7, &request).await.expect("an answer");
    assert_eq!(answer.topics[0].error_code, None, "{answer:?}");
}

/// Type, name, key and value of what is altered, one per kind of outcome; see [`ALTERED`].
fn settings_to_alter() -> [(i8, &'static str, &'static str, &'static str); 7] {
    [
        (2, "t", "retention.ms", "100000"),
        (4, "1", "log.cleaner.threads", "2"),
        (2, "compact", "no.such.key", "1"),
        (2, "elsewhere", "retention.ms", "soon"),
        (2, "nowhere", "retention.ms", "1"),
        (4, "7", "log.cleaner.threads", "2"),
        (99, "?", "retention.ms", "1"),
    ]
}

const ALTERED: [ErrorCode; 7] =
    [None, None, InvalidConfig, InvalidConfig, UnknownTopicOrPartition, InvalidRequest, InvalidRequest];

fn produce(topic: &str, partition_data: Vec<PartitionProduceData>) -> ProduceRequest {
    let topic_data = vec![TopicProduceData { name: topic.into(), partition_data }];
    ProduceRequest { transactional_id: Option::None, acks: -1, timeout_ms: 10_000, topic_data }
}

/// A record without a key.
fn batch() -> Bytes {
    super::batch("x")
}

fn idempotent_batch() -> Bytes {
    let mut builder = BatchBuilder::new(Codec::None).producer(ProducerId(4711), ProducerEpoch(0), 0);
    builder.append(&NewRecord { value: Some(b"x"), ..Default::default() }).expect("a small record");
    builder.build().expect("a batch").into()
}
