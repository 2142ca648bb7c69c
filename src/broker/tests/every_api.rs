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

mod brokers;
mod groups;
mod records;
mod topics;

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

    /// The epochs that a request of the controller to this broker carries: those that hold, where the version carries them.
    fn epochs(&self) -> (i64, i32) {
        let membership = &self.broker.broker.env.membership;
        (membership.broker_epoch().0, membership.controller_epoch().0)
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
