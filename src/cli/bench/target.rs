//! What a load goes to: the topic's partitions, their leaders, and the requests for them, encoded once.

use std::net::TcpStream;
use std::sync::Arc;

use bytes::Bytes;

use super::TopicArguments;
use super::answers::Answers;
use super::canned::{Canned, Sender};
use super::fetch::{self, FetchShape};
use super::produce::{self, Carries};
use crate::cli::failure::Failure;
use crate::client::admin::{self, NewTopic};
use crate::client::consumer::{Isolation, Place, find_offset};
use crate::client::producer::Acks;
use crate::client::{BrokerAddress, ClientError, Cluster, TopicLayout};
use crate::model::{Offset, PartitionIndex, Timestamp};
use crate::wire::message::fetch::{FetchPartition, FetchTopic, FetchableTopicResponse, PartitionData};
use crate::wire::message::produce::{
    PartitionProduceData, PartitionProduceResponse, TopicProduceData, TopicProduceResponse,
};
use crate::wire::message::{FetchRequest, FetchResponse, ProduceRequest, ProduceResponse};
use crate::wire::record::legacy::{LegacyMagic, message_set};
use crate::wire::record::{BATCH_HEADER_BYTES, BatchBuilder, Codec, NewRecord};
use crate::wire::{Encoded, Part, Payload, Request, RequestHeader, encode_request, encode_response};

/// The last versions without compact lengths: in them a fixed field has a fixed place.
const PRODUCE_VERSION_MAX: i16 = 8;
const FETCH_VERSION_MAX: i16 = 11;

/// The last version of Produce that carries the formats before 2.
const OLD_PRODUCE_VERSION_MAX: i16 = 2;

/// The first version of Fetch with an error code for the whole answer, which our brokers and Kafka's have had for long.
const FETCH_VERSION_MIN: i16 = 7;

/// How long a broker may take for an answer, as said in the requests.
const TIMEOUT_MS: i32 = 30_000;

/// How long a broker may hold back an empty answer to a fetch.
const FETCH_WAIT_MS: i32 = 500;

/// A value that stands nowhere else in a message: it shows where a field is.
pub(super) const MARK: i64 = 0x6d61_726b_2068_6572;

/// The batch that every request carries. Without a producer id, so that the same bytes may be sent for ever.
pub(super) struct Batch {
    bytes: Bytes,
    records: u64,
    /// The newest version of Produce that may carry it.
    produce_version_max: i16,
}

impl Batch {
    /// As many records as `batch_bytes` hold in today's format, at least one. With `magic` they are messages of that format, as
    /// many, from a client that knows no other.
    pub(super) fn new(
        batch_bytes: usize,
        record_bytes: usize,
        codec: Codec,
        magic: Option<LegacyMagic>,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let cannot = |error| Failure::new(format_args!("cannot make such a batch: {error}"));
        let mut builder = BatchBuilder::new(codec);
        let mut random = XorShift(0x9e37_79b9_7f4a_7c15);
        let mut values = Vec::new();
        loop {
            let mut value = values.last().cloned().unwrap_or_else(|| vec![0; record_bytes]);
            random.fill_half(&mut value);
            let before = builder.bytes_uncompressed();
            builder.append(&record_of(&value, now)).map_err(cannot)?;
            values.push(value);
            // The next record takes about as much as this one.
            let after = builder.bytes_uncompressed();
            if batch_bytes < after + (after - before) {
                break;
            }
        }
        let records = u64::try_from(builder.records()).unwrap_or_default();
        let (bytes, produce_version_max) = match magic {
            None => (builder.build().map_err(cannot)?, PRODUCE_VERSION_MAX),
            Some(magic) => {
                let records = values.iter().map(|value| record_of(value, now)).collect::<Vec<_>>();
                let set = message_set(magic, codec, Offset(0), &records).map_err(cannot)?;
                (set, OLD_PRODUCE_VERSION_MAX)
            }
        };
        Ok(Self { bytes: bytes.into(), records, produce_version_max })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn carries(&self) -> Carries {
        Carries { bytes: u64::try_from(self.bytes.len()).unwrap_or(u64::MAX), records: self.records }
    }
}

fn record_of(value: &[u8], now: Timestamp) -> NewRecord<'_> {
    NewRecord { timestamp: now, key: None, value: Some(value), headers: &[] }
}

/// Cheap noise, the same in every run.
struct XorShift(u64);

impl XorShift {
    /// Fills the first half with noise; the second half stays, so that codecs have something to do and something to gain.
    fn fill_half(&mut self, bytes: &mut [u8]) {
        let half = bytes.len().div_ceil(2);
        for chunk in bytes.iter_mut().take(half).collect::<Vec<_>>().chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            chunk.iter_mut().zip(self.0.to_le_bytes()).for_each(|(to, from)| **to = from);
        }
    }
}

/// The topic and what its brokers speak.
pub(super) struct Target {
    topic: String,
    layout: TopicLayout,
    produce_version: i16,
    fetch_version: i16,
    /// Where each partition's log begins.
    starts: Vec<Offset>,
}

impl Target {
    /// Finds the topic or makes it, such that it takes batches of `batch_bytes`.
    pub(super) async fn prepare(
        cluster: &Cluster,
        arguments: &TopicArguments,
        batch_bytes: usize,
    ) -> Result<Self, Failure> {
        let topic = arguments.topic.as_str();
        let layout = match cluster.layout(topic, false).await {
            Ok(layout) => layout,
            Err(ClientError::UnknownTopic { .. }) => {
                create(cluster, arguments, batch_bytes).await?;
                wait_for(cluster, topic).await?
            }
            Err(error) => return Err(error.into()),
        };
        let connection = cluster.any().await?;
        let mut starts = Vec::new();
        for partition in (0..).take(layout.leaders.len()).map(PartitionIndex) {
            starts.push(find_offset(cluster, topic, partition, Place::Earliest, Isolation::ReadUncommitted).await?);
        }
        let fetch_version = connection.version::<FetchRequest>(FETCH_VERSION_MAX)?;
        if fetch_version < FETCH_VERSION_MIN {
            return Err(Failure::new("the broker is too old for this load generator"));
        }
        let produce_version = connection.version::<ProduceRequest>(PRODUCE_VERSION_MAX)?;
        Ok(Self { topic: topic.to_owned(), layout, produce_version, fetch_version, starts })
    }

    /// How many partitions the topic has.
    pub(super) fn partitions(&self) -> i32 {
        i32::try_from(self.layout.leaders.len()).unwrap_or(i32::MAX)
    }

    /// Connections that write to all partitions in turn, each to those of one leader.
    pub(super) fn write_lanes(
        &self,
        batch: &Batch,
        acks: Acks,
        connections: usize,
    ) -> Result<Vec<produce::Lane>, Failure> {
        let mut leaders = Vec::new();
        for (leader, partitions) in self.layout.by_leader() {
            let requests = partitions.iter().map(|partition| self.produce_request(*partition, batch, acks));
            leaders.push((leader, Arc::<[Canned]>::from(requests.collect::<Result<Vec<_>, _>>()?)));
        }
        let error_at = self.produce_error_at(self.produce_version.min(batch.produce_version_max))?;
        let turns = leaders.iter().cycle().zip(0..connections);
        let lanes = turns.map(|((leader, requests), number)| {
            let answers = (acks != Acks::None).then(|| Answers::new(error_at));
            let sender = Sender::new(Arc::clone(requests), number / leaders.len());
            Ok(produce::Lane::new(open(leader)?, sender, answers))
        });
        lanes.collect()
    }

    /// Connections that read one partition each, the partitions in turn.
    pub(super) fn read_lanes(&self, fetch_bytes: i32, connections: usize) -> Result<Vec<fetch::Lane>, Failure> {
        let partitions = self.layout.leaders.iter().zip(&self.starts).zip(0..).cycle();
        let lanes = partitions.take(connections).map(|((leader, start), partition)| {
            let (request, shape) = self.fetch_request(PartitionIndex(partition), fetch_bytes)?;
            Ok(fetch::Lane::new(open(leader)?, request, shape, start.0))
        });
        lanes.collect()
    }

    fn produce_request(&self, partition: PartitionIndex, batch: &Batch, acks: Acks) -> Result<Canned, Failure> {
        let records = Some(batch.bytes.clone());
        let request = ProduceRequest {
            acks: acks.wire(),
            timeout_ms: TIMEOUT_MS,
            topic_data: vec![TopicProduceData {
                name: self.topic.as_str().into(),
                partition_data: vec![PartitionProduceData { index: partition.0, records }],
            }],
            ..ProduceRequest::default()
        };
        let encoded = encode(&request, self.produce_version.min(batch.produce_version_max))?;
        let mut parts = encoded.parts().filter_map(|part| match part {
            Part::Bytes(bytes) => Some(bytes),
            Part::External { .. } => None,
        });
        let head = parts.next().unwrap_or_default().to_vec();
        let body = parts.next().map_or_else(|| Arc::from([]), |body| Arc::from(&body[..]));
        assert!(parts.next().is_none(), "something stands behind the batch of a produce request");
        Ok(Canned { head, body })
    }

    /// Where the error code stands in the answer to a produce request for one partition.
    fn produce_error_at(&self, version: i16) -> Result<usize, Failure> {
        let partition = PartitionProduceResponse { base_offset: MARK, ..PartitionProduceResponse::default() };
        let topic = TopicProduceResponse { name: self.topic.as_str().into(), partition_responses: vec![partition] };
        let response = ProduceResponse { responses: vec![topic], ..ProduceResponse::default() };
        let encoded = encode_response(0, ProduceRequest::KEY, version, &response).map_err(Failure::new)?;
        // The error code's two bytes stand in front of the base offset.
        Ok(position_of_mark(&contiguous(&encoded)?)? - 2)
    }

    fn fetch_request(&self, partition: PartitionIndex, bytes: i32) -> Result<(Vec<u8>, FetchShape), Failure> {
        let asked = FetchPartition {
            partition: partition.0,
            fetch_offset: MARK,
            partition_max_bytes: bytes,
            ..FetchPartition::default()
        };
        let request = FetchRequest {
            max_wait_ms: FETCH_WAIT_MS,
            min_bytes: 1,
            max_bytes: bytes,
            topics: vec![FetchTopic {
                topic: self.topic.as_str().into(),
                partitions: vec![asked],
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        };
        let request = contiguous(&encode(&request, self.fetch_version)?)?.to_vec();
        let shape = FetchShape {
            offset_in_request_at: position_of_mark(&request)?,
            error_at: FETCH_ERROR_AT,
            ..self.fetch_shape()?
        };
        Ok((request, shape))
    }

    fn fetch_shape(&self) -> Result<FetchShape, Failure> {
        let position = |partition: PartitionData| {
            let topic = FetchableTopicResponse {
                topic: self.topic.as_str().into(),
                partitions: vec![partition],
                ..FetchableTopicResponse::default()
            };
            let response = FetchResponse { responses: vec![topic], ..FetchResponse::default() };
            let encoded = encode_response(0, FetchRequest::KEY, self.fetch_version, &response).map_err(Failure::new)?;
            position_of_mark(&contiguous(&encoded)?)
        };
        let high_watermark = position(PartitionData { high_watermark: MARK, ..PartitionData::default() })?;
        let records = Payload::Bytes(Bytes::copy_from_slice(&MARK.to_be_bytes()));
        let records = position(PartitionData { records, ..PartitionData::default() })?;
        Ok(FetchShape {
            error_at: FETCH_ERROR_AT,
            partition_error_at: high_watermark - 2,
            records_at: records - 4,
            offset_in_request_at: 0,
        })
    }
}

/// Behind length, correlation id and throttle time.
const FETCH_ERROR_AT: usize = 12;

async fn create(cluster: &Cluster, arguments: &TopicArguments, batch_bytes: usize) -> Result<(), Failure> {
    let mut configs = arguments.configs.clone();
    // The largest batch that a topic takes by default is 1 MiB and a little.
    if 1_048_588 < batch_bytes && !configs.iter().any(|(key, _)| key == "max.message.bytes") {
        configs.push(("max.message.bytes".to_owned(), (batch_bytes + BATCH_HEADER_BYTES).to_string()));
    }
    let topic = NewTopic {
        name: arguments.topic.clone(),
        partitions: Some(arguments.partitions),
        replication_factor: Some(arguments.replication_factor),
        configs,
    };
    Ok(admin::create_topic(cluster, &topic, false).await?)
}

/// A topic just made is not known to every broker at once.
async fn wait_for(cluster: &Cluster, topic: &str) -> Result<TopicLayout, Failure> {
    let layout = cluster
        .retry(async || match cluster.layout(topic, false).await {
            Err(ClientError::UnknownTopic { .. }) => Err(ClientError::Refused {
                what: format!("topic '{topic}' was made and is not there"),
                code: crate::model::ErrorCode::LeaderNotAvailable,
                message: None,
            }),
            found => found,
        })
        .await?;
    Ok(layout)
}

pub(super) fn open(address: &BrokerAddress) -> Result<TcpStream, Failure> {
    let opened = TcpStream::connect((address.host.as_str(), address.port)).and_then(|stream| {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    });
    opened.map_err(|error| Failure::new(format_args!("cannot connect to {address}: {error}")))
}

pub(super) fn encode<R: Request>(request: &R, version: i16) -> Result<Encoded, Failure> {
    // Every request has the same correlation id: answers come in order, and nobody looks at it.
    let header = RequestHeader { key: R::KEY, version, correlation_id: 0, client_id: Some("dohle-bench".into()) };
    encode_request(&header, request).map_err(Failure::new)
}

pub(super) fn contiguous(encoded: &Encoded) -> Result<Bytes, Failure> {
    encoded.contiguous().ok_or_else(|| Failure::new("a message has bytes that are not in memory"))
}

fn position_of_mark(bytes: &[u8]) -> Result<usize, Failure> {
    let at = bytes.windows(8).position(|window| window == MARK.to_be_bytes());
    at.ok_or_else(|| Failure::new("a message has no place for a field that it must have"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::record::{BatchHeader, verify_crc};

    fn target(topic: &str) -> Target {
        let leaders = vec![BrokerAddress { host: "localhost".to_owned(), port: 1 }];
        let layout = TopicLayout { id: crate::model::TopicId::ZERO, leaders };
        Target {
            topic: topic.to_owned(),
            layout,
            produce_version: PRODUCE_VERSION_MAX,
            fetch_version: FETCH_VERSION_MAX,
            starts: vec![Offset(0)],
        }
    }

    #[test]
    fn a_batch_is_as_large_as_asked_and_has_at_least_one_record() {
        let now = Timestamp(1_700_000_000_000);
        let small = Batch::new(0, 100, Codec::None, None, now).expect("a batch");
        assert_eq!((small.records, small.len()), (1, 61 + 9 + 100), "header, record overhead and value");
        let large = Batch::new(65_536, 1024, Codec::None, None, now).expect("a batch");
        assert!(64_000 < large.len() && large.len() <= 65_536, "{}", large.len());
        let header = BatchHeader::decode(&large.bytes).expect("a batch");
        verify_crc(&header, &large.bytes).expect("a right CRC");
        let packed = Batch::new(65_536, 1024, Codec::Lz4, None, now).expect("a batch");
        assert!(packed.len() < large.len() * 3 / 4, "half of each value is the same: {}", packed.len());
        let old = Batch::new(65_536, 1024, Codec::Gzip, Some(LegacyMagic::V1), now).expect("a message");
        assert_eq!((old.records, old.produce_version_max, old.bytes[16]), (large.records, 2, 1));
    }

    #[test]
    fn the_error_code_of_a_produce_answer_is_found() {
        // Length, correlation id, one topic, its name, one partition, its number.
        for version in [2, PRODUCE_VERSION_MAX] {
            assert_eq!(target("abc").produce_error_at(version).expect("a place"), 4 + 4 + 4 + (2 + 3) + 4 + 4);
        }
    }

    #[test]
    fn the_fields_of_a_fetch_answer_are_found() {
        let (request, shape) = target("abc").fetch_request(PartitionIndex(0), 1 << 20).expect("a request");
        assert_eq!(request[shape.offset_in_request_at..][..8], MARK.to_be_bytes());
        // Behind the code: session id, one topic, its name, one partition, its number.
        assert_eq!(shape.partition_error_at, FETCH_ERROR_AT + 2 + 4 + 4 + (2 + 3) + 4 + 4);
        // Behind that code: three offsets, no aborted transactions, the preferred replica.
        assert_eq!(shape.records_at, shape.partition_error_at + 2 + 3 * 8 + 4 + 4);
    }
}
