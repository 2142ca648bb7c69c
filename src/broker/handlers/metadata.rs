//! Metadata: brokers, topics, partitions and their leaders, from the image; creates a topic that is asked for where that is
//! allowed.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::broker::admin::AdminCommand;
use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::image::{Image, PartitionImage, TopicImage};
use crate::broker::peer::Peer;
use crate::model::{BrokerId, ErrorCode, PartitionIndex, TopicId, TopicName};
use crate::wire::message::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use crate::wire::{RequestHeader, Str};

/// How long an answer waits for a topic that it made to have leaders. Kafka answers LEADER_NOT_AVAILABLE at once and lets the
/// client ask again 100 ms later.
const CREATION_PATIENCE: Duration = Duration::from_millis(500);

/// The first version that can ask for topics by their ids.
const BY_ID_FROM: i16 = 12;

/// Every operation on a topic, as a bit field (`AclEntry.supportedOperations`): there is no authorizer.
const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// Every operation on the cluster.
pub(super) const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

pub(super) async fn handle(
    env: &Env,
    peer: &mut Peer,
    header: &RequestHeader,
    request: MetadataRequest,
) -> MetadataResponse {
    let wanted = match request.topics {
        // Version 0 cannot say null: an empty list means all.
        Some(topics) if !(topics.is_empty() && header.version == 0) => Some(topics),
        _ => None,
    };
    if let Some(topics) = wanted.as_deref().filter(|topics| names_by_id_too_early(topics, header.version)) {
        return refuse_all(topics);
    }
    if request.allow_auto_topic_creation && env.settings.auto_create_topics() {
        create_missing(env, wanted.as_deref().unwrap_or_default()).await;
    }
    let image = env.metadata.load_full();
    let answer =
        Answer { image: &image, listener: &peer.listener, operations: request.include_topic_authorized_operations };
    MetadataResponse {
        brokers: answer.brokers(),
        cluster_id: Some(Str::from(&*image.cluster_id)),
        controller_id: image.controller.0,
        topics: match wanted {
            None => image.topics.iter().map(|(name, topic)| answer.topic(name, topic)).collect(),
            Some(topics) => each_once(&topics).map(|topic| answer.wanted(topic)).collect(),
        },
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            CLUSTER_OPERATIONS
        } else {
            i32::MIN
        },
        ..Default::default()
    }
}

/// Versions 10 and 11 have a field for the id of a topic, which must not be used yet (`KafkaApis.handleTopicMetadataRequest`).
fn names_by_id_too_early(topics: &[MetadataRequestTopic], version: i16) -> bool {
    version < BY_ID_FROM && topics.iter().any(|topic| topic.name.is_none() || !topic.topic_id.is_zero())
}

/// A topic that is asked for twice is answered once.
fn each_once(topics: &[MetadataRequestTopic]) -> impl Iterator<Item = &MetadataRequestTopic> {
    let mut seen = BTreeSet::new();
    topics.iter().filter(move |topic| seen.insert((topic.topic_id, topic.name.as_ref())))
}

fn refuse_all(topics: &[MetadataRequestTopic]) -> MetadataResponse {
    let refuse = |topic: &MetadataRequestTopic| MetadataResponseTopic {
        error_code: ErrorCode::InvalidRequest,
        // Null cannot be said yet either.
        name: Some(topic.name.clone().unwrap_or_default()),
        topic_id: topic.topic_id,
        ..Default::default()
    };
    MetadataResponse { topics: topics.iter().map(refuse).collect(), ..Default::default() }
}

/// Creates the topics that are named and not there, and waits a little for their leaders.
async fn create_missing(env: &Env, wanted: &[MetadataRequestTopic]) {
    let missing = {
        let image = env.metadata.load();
        let names = wanted.iter().filter_map(|topic| TopicName::new(topic.name.as_deref()?).ok());
        names.filter(|name| !image.topics.contains_key(name)).collect::<Vec<_>>()
    };
    if missing.is_empty() {
        return;
    }
    let names = missing.clone();
    let created = ask(&env.admin, |reply| AdminCommand::AutoCreate { names, reply });
    let _in_time = tokio::time::timeout(CREATION_PATIENCE, async {
        created.await;
        env.metadata.until(|image| missing.iter().all(|name| image.has_leaders(name))).await;
    })
    .await;
}

struct Answer<'a> {
    image: &'a Image,
    listener: &'a str,
    operations: bool,
}

impl Answer<'_> {
    fn brokers(&self) -> Vec<MetadataResponseBroker> {
        let here = |(id, broker): (&BrokerId, &std::sync::Arc<crate::broker::image::BrokerImage>)| {
            let (host, port) = broker.address(self.listener)?;
            Some(MetadataResponseBroker {
                node_id: id.0,
                host: host.as_str().into(),
                port: i32::from(*port),
                rack: broker.rack.as_deref().map(Str::from),
            })
        };
        self.image.brokers.iter().filter_map(here).collect()
    }

    fn wanted(&self, wanted: &MetadataRequestTopic) -> MetadataResponseTopic {
        // Whoever gives both means the id.
        let text = match &wanted.name {
            Some(text) if wanted.topic_id.is_zero() => text,
            _ => return self.by_id(wanted.topic_id),
        };
        let refuse = |error_code| MetadataResponseTopic {
            error_code,
            name: Some(text.clone()),
            topic_authorized_operations: self.operations(),
            ..Default::default()
        };
        let Ok(name) = TopicName::new(text) else { return refuse(ErrorCode::InvalidTopicException) };
        match self.image.topics.get(&name) {
            Some(topic) => self.topic(&name, topic),
            None => refuse(ErrorCode::UnknownTopicOrPartition),
        }
    }

    fn by_id(&self, id: TopicId) -> MetadataResponseTopic {
        match self.image.topic_by_id(id) {
            Some((name, topic)) => self.topic(name, topic),
            None => MetadataResponseTopic {
                error_code: ErrorCode::UnknownTopicId,
                topic_id: id,
                topic_authorized_operations: i32::MIN,
                ..Default::default()
            },
        }
    }

    fn topic(&self, name: &TopicName, topic: &TopicImage) -> MetadataResponseTopic {
        MetadataResponseTopic {
            error_code: ErrorCode::None,
            name: Some(name.as_str().into()),
            topic_id: topic.id,
            is_internal: name.is_internal(),
            partitions: topic.partitions.iter().map(|(index, partition)| self.partition(*index, partition)).collect(),
            topic_authorized_operations: self.operations(),
        }
    }

    fn operations(&self) -> i32 {
        if self.operations { TOPIC_OPERATIONS } else { i32::MIN }
    }

    fn partition(&self, index: PartitionIndex, partition: &PartitionImage) -> MetadataResponsePartition {
        let state = &partition.state;
        let live = self.image.brokers.get(&state.leader);
        let (error_code, leader) = match live {
            None => (ErrorCode::LeaderNotAvailable, BrokerId::NONE),
            Some(broker) if broker.address(self.listener).is_none() => (ErrorCode::ListenerNotFound, BrokerId::NONE),
            Some(_) => (ErrorCode::None, state.leader),
        };
        MetadataResponsePartition {
            error_code,
            partition_index: index.0,
            leader_id: leader.0,
            leader_epoch: state.leader_epoch.0,
            replica_nodes: partition.replicas.iter().map(|id| id.0).collect(),
            isr_nodes: state.isr.iter().map(|id| id.0).collect(),
            offline_replicas: self.image.offline(partition).map(|id| id.0).collect(),
        }
    }
}
