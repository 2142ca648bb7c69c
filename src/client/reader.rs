//! Reads records of one topic's partitions from given offsets on, without a group.
//!
//! *Invariant*: per partition every record from the start on is given once, in order, whatever happens to connections and
//! leaders in between.
//! *Does not know*: who else reads, and where a reader stopped last time.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::address::BrokerAddress;
use super::cluster::{BackOff, Cluster, TopicLayout};
use super::error::ClientError;
use crate::model::{ErrorCode, Offset, PartitionIndex, ProducerId, Timestamp};
use crate::wire::Payload;
use crate::wire::message::fetch::{FetchPartition, FetchResponse, FetchTopic, PartitionData};
use crate::wire::message::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::message::{FetchRequest, ListOffsetsRequest};
use crate::wire::record::{BatchHeader, Batches, ControlType, DecompressionLimit, Headers, verify_crc};

/// Bytes one batch may have after decompression.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// Fetch up to this version names topics by name.
const FETCH_VERSION_MAX: i16 = 12;

/// Bytes of one answer, and of one partition in it: Kafka's `fetch.max.bytes` and `max.partition.fetch.bytes`.
const ANSWER_BYTES: i32 = 50 << 20;
const PARTITION_BYTES: i32 = 1 << 20;

/// How long a broker may hold an answer back while there is nothing to say.
const WAIT: Duration = Duration::from_millis(500);

/// A place in a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The first record there is.
    Earliest,
    /// Behind the last record there is.
    Latest,
    /// This offset.
    At(Offset),
    /// The first record with this timestamp or a later one; behind the last if there is none.
    Time(Timestamp),
}

/// Which records of transactions are given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Isolation {
    /// All.
    #[default]
    ReadUncommitted,
    /// Those of transactions that were committed, and nothing behind one that is still open.
    ReadCommitted,
}

impl Isolation {
    const fn wire(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// The offset of a place in a partition.
///
/// # Errors
/// [`ClientError`].
pub async fn find_offset(
    cluster: &Cluster,
    topic: &str,
    partition: PartitionIndex,
    place: Place,
    isolation: Isolation,
) -> Result<Offset, ClientError> {
    let timestamp = match place {
        Place::At(offset) => return Ok(offset),
        Place::Earliest => -2,
        Place::Latest => -1,
        Place::Time(Timestamp(millis)) => millis,
    };
    let found = cluster.retry(async || ask_offset(cluster, topic, partition, timestamp, isolation).await).await?;
    if found == Offset::NONE {
        // Nothing is that young.
        return cluster.retry(async || ask_offset(cluster, topic, partition, -1, isolation).await).await;
    }
    Ok(found)
}

async fn ask_offset(
    cluster: &Cluster,
    topic: &str,
    partition: PartitionIndex,
    timestamp: i64,
    isolation: Isolation,
) -> Result<Offset, ClientError> {
    let layout = cluster.layout(topic, false).await?;
    let leader = layout.leader(partition).ok_or_else(|| unknown_partition(topic, partition, &layout))?;
    let asked = ListOffsetsPartition { partition_index: partition.0, timestamp, ..ListOffsetsPartition::default() };
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: isolation.wire(),
        topics: vec![ListOffsetsTopic { name: topic.into(), partitions: vec![asked] }],
    };
    let response = cluster.connection(leader).await?.call(&request).await?;
    let answer = response.topics.iter().flat_map(|topic| &topic.partitions).next();
    let answer = answer.ok_or_else(|| refused(topic, partition, ErrorCode::UnknownServerError))?;
    if answer.error_code.is_error() {
        return Err(refused(topic, partition, answer.error_code));
    }
    Ok(Offset(answer.offset))
}

fn unknown_partition(topic: &str, partition: PartitionIndex, layout: &TopicLayout) -> ClientError {
    ClientError::UnknownPartition { topic: topic.to_owned(), partition: partition.0, partitions: layout.leaders.len() }
}

fn refused(topic: &str, partition: PartitionIndex, code: ErrorCode) -> ClientError {
    ClientError::Refused { what: format!("partition {topic}-{partition} cannot be read"), code, message: None }
}

/// What one answer has of one partition. May be empty.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Which partition.
    pub partition: PartitionIndex,
    /// Where the next fetch goes on.
    pub next: Offset,
    /// One past the last record that consumers may see.
    pub end: Offset,
    from: Offset,
    records: Bytes,
    /// Aborted transactions by first offset, latest first; empty when all records are wanted.
    aborted: Vec<(Offset, ProducerId)>,
    topic: Rc<str>,
}

/// A record as it was read.
#[derive(Clone, Copy, Debug)]
pub struct ReadRecord<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its key, or null.
    pub key: Option<&'a [u8]>,
    /// Its value, or null.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

impl Fetched {
    /// Shows every record to `see`, until it breaks. Control records and those of aborted transactions are left out.
    ///
    /// # Errors
    /// [`ClientError::Corrupt`] for bytes that are no batch or do not fit their CRC; what came before was shown.
    pub fn visit<E: From<ClientError>>(
        &self,
        mut see: impl FnMut(&ReadRecord<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        let corrupt = |reason: String| {
            E::from(ClientError::Corrupt { partition: format!("{}-{}", self.topic, self.partition), reason })
        };
        let mut aborted = Aborted::new(self.aborted.clone());
        let mut scratch = Vec::new();
        for batch in Batches::new(&self.records) {
            let (header, bytes) = batch.map_err(|error| corrupt(error.to_string()))?;
            verify_crc(&header, bytes).map_err(|error| corrupt(format!("offset {}: {error}", header.base_offset)))?;
            let limit = DecompressionLimit { bytes_max: DECOMPRESSED_BYTES_MAX };
            let records = header.read_records(bytes, limit, &mut scratch);
            let records = records.map_err(|error| corrupt(format!("offset {}: {error}", header.base_offset)))?;
            let hidden = aborted.hides(&header);
            for record in records {
                let record = record.map_err(|error| corrupt(format!("offset {}: {error}", header.base_offset)))?;
                if header.attributes.is_control() {
                    aborted.marker(&header, ControlType::of(&record).ok());
                    continue;
                }
                let offset = header.offset_of(&record);
                if hidden || offset < self.from {
                    continue;
                }
                let timestamp = header.timestamp_of(&record);
                let read =
                    ReadRecord { offset, timestamp, key: record.key, value: record.value, headers: record.headers };
                if see(&read)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Which producers' transactional batches are to be left out while walking through an answer.
/// Source: KIP-98, `Fetcher.consumeAbortedTransactionsUpTo`.
struct Aborted {
    /// Not reached yet, latest first.
    ahead: Vec<(Offset, ProducerId)>,
    now: Vec<ProducerId>,
}

impl Aborted {
    fn new(mut ahead: Vec<(Offset, ProducerId)>) -> Self {
        ahead.sort_by(|a, b| b.cmp(a));
        Self { ahead, now: Vec::new() }
    }

    fn hides(&mut self, batch: &BatchHeader) -> bool {
        while let Some((_, producer)) = self.ahead.pop_if(|(first, _)| *first <= batch.last_offset()) {
            self.now.push(producer);
        }
        batch.attributes.is_transactional() && self.now.contains(&batch.producer_id)
    }

    fn marker(&mut self, batch: &BatchHeader, marker: Option<ControlType>) {
        if marker == Some(ControlType::Abort) {
            self.now.retain(|producer| *producer != batch.producer_id);
        }
    }
}

type OnItsWay = futures::future::LocalBoxFuture<'static, (BrokerAddress, Result<FetchResponse, ClientError>)>;

/// A reader of some partitions of one topic. Lives on one thread, within a `LocalSet`.
pub struct Reader {
    cluster: Rc<Cluster>,
    topic: Rc<str>,
    isolation: Isolation,
    layout: TopicLayout,
    /// Where each partition's next fetch begins.
    positions: BTreeMap<PartitionIndex, Offset>,
    /// At most one request per leader.
    on_its_way: FuturesUnordered<OnItsWay>,
    asked: Vec<BrokerAddress>,
    back_off: BackOff,
}

impl Reader {
    /// Begins at the given offsets.
    ///
    /// # Errors
    /// [`ClientError::UnknownTopic`], [`ClientError::UnknownPartition`].
    pub async fn open(
        cluster: Rc<Cluster>,
        topic: &str,
        positions: BTreeMap<PartitionIndex, Offset>,
        isolation: Isolation,
    ) -> Result<Self, ClientError> {
        let layout = cluster.layout(topic, false).await?;
        if let Some(unknown) = positions.keys().find(|partition| layout.leader(**partition).is_none()) {
            return Err(unknown_partition(topic, *unknown, &layout));
        }
        Ok(Self {
            cluster,
            topic: topic.into(),
            isolation,
            layout,
            positions,
            on_its_way: FuturesUnordered::new(),
            asked: Vec::new(),
            back_off: BackOff::new(),
        })
    }

    /// Reads no more of a partition.
    pub fn forget(&mut self, partition: PartitionIndex) {
        self.positions.remove(&partition);
    }

    /// Whether there is nothing to read any more.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.positions.is_empty()
    }

    /// The next answer: something of some partitions, or nothing when there is nothing new.
    ///
    /// # Errors
    /// Errors that do not pass: then the reader is of no more use.
    pub async fn next(&mut self) -> Result<Vec<Fetched>, ClientError> {
        let end = self.cluster.clock().moment().after(self.cluster.options().api_timeout);
        loop {
            let fetched = match self.ask().await {
                Ok(()) => self.hear().await,
                Err(error) => Err(error),
            };
            match fetched {
                Err(error) if error.is_retriable() && self.cluster.clock().moment() < end => {
                    self.back_off.wait(&**self.cluster.clock(), end).await;
                    self.layout = self.cluster.layout_again(&self.topic).await?;
                }
                Ok(fetched) => {
                    self.back_off = BackOff::new();
                    return Ok(fetched);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a request to every leader that has none.
    async fn ask(&mut self) -> Result<(), ClientError> {
        let mut wanted = BTreeMap::<BrokerAddress, Vec<FetchPartition>>::new();
        for (partition, offset) in &self.positions {
            let leader = self.layout.leader(*partition).filter(|leader| !self.asked.contains(leader));
            let Some(leader) = leader else { continue };
            wanted.entry(leader.clone()).or_default().push(FetchPartition {
                partition: partition.0,
                fetch_offset: offset.0,
                partition_max_bytes: PARTITION_BYTES,
                ..FetchPartition::default()
            });
        }
        for (leader, partitions) in wanted {
            let request = FetchRequest {
                max_wait_ms: i32::try_from(WAIT.as_millis()).unwrap_or(i32::MAX),
                min_bytes: 1,
                max_bytes: ANSWER_BYTES,
                isolation_level: self.isolation.wire(),
                topics: vec![FetchTopic { topic: (&*self.topic).into(), partitions, ..FetchTopic::default() }],
                ..FetchRequest::default()
            };
            let answer = self.cluster.connection(&leader).await?.submit(&request, FETCH_VERSION_MAX).await?;
            self.asked.push(leader.clone());
            self.on_its_way.push(Box::pin(async move { (leader, answer.and_also(WAIT).wait().await) }));
        }
        Ok(())
    }

    async fn hear(&mut self) -> Result<Vec<Fetched>, ClientError> {
        let Some((leader, answer)) = self.on_its_way.next().await else { return Ok(Vec::new()) };
        self.asked.retain(|asked| *asked != leader);
        let answer = answer?;
        ClientError::check(answer.error_code, None, || format!("topic '{}' cannot be read", self.topic))?;
        let mut fetched = Vec::new();
        let mut problem = None;
        for partition in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            match self.take(partition) {
                Ok(some) => fetched.extend(some),
                Err(error) => problem = Some(error),
            }
        }
        // What other partitions gave must not be lost: the error comes again with the next answer.
        match problem {
            Some(error) if fetched.iter().all(|part| part.records.is_empty()) => Err(error),
            _ => Ok(fetched),
        }
    }

    /// What an answer has of one partition; `None` for one that is no longer wanted.
    fn take(&mut self, data: &PartitionData) -> Result<Option<Fetched>, ClientError> {
        let partition = PartitionIndex(data.partition_index);
        let Some(position) = self.positions.get_mut(&partition) else { return Ok(None) };
        if data.error_code.is_error() {
            return Err(refused(&self.topic, partition, data.error_code));
        }
        let records = match &data.records {
            Payload::Bytes(bytes) => bytes.clone(),
            Payload::None | Payload::External { .. } => Bytes::new(),
        };
        let from = *position;
        // Damage ends this walk and is told by `visit`, which walks the same way and checks more.
        if let Some((last, _)) = Batches::new(&records).map_while(Result::ok).last() {
            *position = from.max(last.last_offset().next());
        }
        let aborted = data.aborted_transactions.iter().flatten();
        let aborted = aborted.map(|aborted| (Offset(aborted.first_offset), ProducerId(aborted.producer_id))).collect();
        let end = match self.isolation {
            Isolation::ReadUncommitted => data.high_watermark,
            Isolation::ReadCommitted => data.last_stable_offset,
        };
        let topic = Rc::clone(&self.topic);
        Ok(Some(Fetched { partition, next: *position, end: Offset(end), from, records, aborted, topic }))
    }
}
