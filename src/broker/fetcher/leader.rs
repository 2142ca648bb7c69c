//! The leader as its followers ask it: Fetch and ListOffsets, in the newest version that both sides know.
//!
//! *Does not know*: what to ask for, what becomes of the answers.

use bytes::Bytes;

use super::FetcherId;
use crate::broker::image::Metadata;
use crate::broker::link::{Link, LinkError};
use crate::broker::membership::Membership;
use crate::broker::ports::Ports;
use crate::config::ReplicationConfig;
use crate::machine::fetch_session::TopicKey;
use crate::machine::follower::{Answer, Asked, Fetch, LeaderLog, PartitionAnswer};
use crate::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};
use crate::wire::message::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, PartitionData, ReplicaState,
};
use crate::wire::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use crate::wire::{Payload, Str};

/// Version 12 is the first in which the leader says where logs part (KIP-595, Kafka 2.7), 17 that of Kafka 3.9.
const FETCH: (i16, i16) = (12, 17);
/// The newest version in which topics have names.
const FETCH_BY_NAME: i16 = 12;
/// The first version that says which incarnation of the follower asks.
const FETCH_REPLICA_STATE: i16 = 15;
/// Version 4 is the first that is fenced by the leader epoch, 9 that of Kafka 3.9.
const LIST_OFFSETS: (i16, i16) = (4, 9);

/// ListOffsets of the end and of the beginning.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// Who asks whom, and how.
#[derive(Clone)]
pub struct Peer {
    /// From whom is copied.
    pub id: FetcherId,
    /// This broker.
    pub local: BrokerId,
    /// `inter.broker.listener.name`.
    pub listener: String,
    /// Which incarnation of this broker.
    pub membership: Membership,
    /// Where the leader listens.
    pub metadata: Metadata,
    /// Network, clock.
    pub ports: Ports,
    /// Sizes and waits.
    pub config: ReplicationConfig,
}

/// A connection to the leader.
pub(super) struct LeaderLink {
    link: Link,
    fetch: i16,
    list_offsets: i16,
}

impl LeaderLink {
    /// The connection that there is, or a new one.
    pub(super) async fn ready(link: Option<Self>, peer: &Peer) -> Result<Self, LinkError> {
        if let Some(link) = link {
            return Ok(link);
        }
        let image = peer.metadata.load_full();
        let address = image.brokers.get(&peer.id.leader).and_then(|broker| broker.address(&peer.listener));
        let (host, port) = address.ok_or(LinkError::Closed)?;
        let client_id = format!("broker-{}-fetcher-{}", peer.local, peer.id.number);
        let wait = peer.config.answer_patience;
        let mut link = Link::open(&peer.ports, (host, *port), &client_id, wait).await?;
        let offered = link.offered(wait).await?;
        let (fetch, list_offsets) =
            (offered.newest::<FetchRequest>(FETCH)?, offered.newest::<ListOffsetsRequest>(LIST_OFFSETS)?);
        Ok(Self { link, fetch, list_offsets })
    }

    pub(super) async fn fetch(&mut self, peer: &Peer, fetch: Fetch) -> Result<Answer<Bytes>, LinkError> {
        let version = if fetch.by_id { self.fetch } else { FETCH_BY_NAME };
        let request = request(peer, version, fetch);
        let response = self.link.ask(version, &request, peer.config.answer_patience).await?;
        Ok(answer(version, response))
    }

    /// Where the leader's log of each partition begins and ends, in their order.
    pub(super) async fn offsets(&mut self, peer: &Peer, asked: &[Asked]) -> Result<Vec<LeaderLog>, LinkError> {
        let earliest = self.list_offsets(peer, asked, EARLIEST).await?;
        let latest = self.list_offsets(peer, asked, LATEST).await?;
        Ok(earliest.into_iter().zip(latest).map(|(earliest, latest)| Some((earliest?, latest?))).collect())
    }

    async fn list_offsets(
        &mut self,
        peer: &Peer,
        asked: &[Asked],
        timestamp: i64,
    ) -> Result<Vec<Option<Offset>>, LinkError> {
        let topics = asked.chunk_by(|one, other| one.partition.topic == other.partition.topic).map(|of_topic| {
            let partitions = of_topic.iter().map(|asked| ListOffsetsPartition {
                partition_index: asked.partition.partition.0,
                current_leader_epoch: asked.leader_epoch.0,
                timestamp,
                ..Default::default()
            });
            let name = of_topic.first().map(|first| first.partition.topic.as_str().into());
            ListOffsetsTopic { name: name.unwrap_or_default(), partitions: partitions.collect() }
        });
        let request = ListOffsetsRequest { replica_id: peer.local.0, topics: topics.collect(), ..Default::default() };
        let answer = self.link.ask(self.list_offsets, &request, peer.config.answer_patience).await?;
        Ok(asked.iter().map(|asked| offset_of(&answer, &asked.partition)).collect())
    }
}

fn offset_of(answer: &ListOffsetsResponse, id: &TopicPartition) -> Option<Offset> {
    let topics = answer.topics.iter().filter(|topic| topic.name.as_str() == id.topic.as_str());
    let mut partitions = topics.flat_map(|topic| &topic.partitions);
    let found = partitions.find(|partition| partition.partition_index == id.partition.0)?;
    (!found.error_code.is_error() && 0 <= found.offset).then_some(Offset(found.offset))
}

fn request(peer: &Peer, version: i16, fetch: Fetch) -> FetchRequest {
    let config = &peer.config;
    let (mut topics, mut forgotten) = (Vec::<FetchTopic>::new(), Vec::<ForgottenTopic>::new());
    for (id, wanted) in fetch.wanted {
        let partition = FetchPartition {
            partition: id.partition.0,
            current_leader_epoch: wanted.leader_epoch.0,
            fetch_offset: wanted.position.offset.0,
            last_fetched_epoch: wanted.position.last_epoch.0,
            log_start_offset: wanted.position.log_start.0,
            partition_max_bytes: config.partition_bytes_max,
            ..Default::default()
        };
        let (topic, topic_id) = (id.topic.as_str(), wanted.topic_id);
        match topics.last_mut().filter(|last| last.topic.as_str() == topic && last.topic_id == topic_id) {
            Some(last) => last.partitions.push(partition),
            None => topics.push(FetchTopic { topic: topic.into(), topic_id, partitions: vec![partition] }),
        }
    }
    for (id, topic_id) in fetch.forgotten {
        let topic = id.topic.as_str();
        match forgotten.last_mut().filter(|last| last.topic.as_str() == topic && last.topic_id == topic_id) {
            Some(last) => last.partitions.push(id.partition.0),
            None => {
                forgotten.push(ForgottenTopic { topic: topic.into(), topic_id, partitions: vec![id.partition.0] });
            }
        }
    }
    let replica_id = peer.local.0;
    let old = version < FETCH_REPLICA_STATE;
    FetchRequest {
        replica_id: if old { replica_id } else { BrokerId::NONE.0 },
        max_wait_ms: i32::try_from(fetch.max_wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: config.fetch_bytes_min,
        max_bytes: config.response_bytes_max,
        session_id: fetch.session_id,
        session_epoch: fetch.session_epoch,
        topics,
        forgotten_topics_data: forgotten,
        replica_state: if old {
            ReplicaState::default()
        } else {
            ReplicaState { replica_id, replica_epoch: peer.membership.broker_epoch().0 }
        },
        ..Default::default()
    }
}

fn answer(version: i16, response: FetchResponse) -> Answer<Bytes> {
    let partitions = response.responses.into_iter().flat_map(|topic| {
        let (name, id) = (topic.topic, topic.topic_id);
        topic.partitions.into_iter().map(move |partition| partition_answer(key(version, &name, id), partition))
    });
    Answer { error: response.error_code, session_id: response.session_id, partitions: partitions.collect() }
}

fn key(version: i16, name: &Str, id: TopicId) -> TopicKey {
    if version <= FETCH_BY_NAME { TopicKey::Name(name.to_string()) } else { TopicKey::Id(id) }
}

fn partition_answer(topic: TopicKey, data: PartitionData) -> PartitionAnswer<Bytes> {
    let diverging = &data.diverging_epoch;
    PartitionAnswer {
        topic,
        partition: PartitionIndex(data.partition_index),
        error: data.error_code,
        diverging: (0 <= diverging.end_offset).then_some((LeaderEpoch(diverging.epoch), Offset(diverging.end_offset))),
        high_watermark: Offset(data.high_watermark),
        log_start: Offset(data.log_start_offset),
        records: match data.records {
            Payload::Bytes(bytes) if !bytes.is_empty() => Some(bytes),
            Payload::Bytes(_) | Payload::None | Payload::External { .. } => None,
        },
    }
}
