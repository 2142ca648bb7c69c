//! Writes records to one topic: collects them into batches per partition, keeps several requests on the way, tries again
//! what may pass, and never changes the order within a partition.
//!
//! *Invariant*: the batches of a partition are sent in the order in which they were closed, and after a failure nothing is
//! sent to that partition before everything on the way to it has come back. With an idempotent producer that makes every
//! record appear once (KIP-98); without one, a retry may repeat records but not reorder them.
//! *Does not know*: where records come from.

mod partitioner;
mod queue;

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt as _};

pub use partitioner::Partitioner;

use self::queue::{Batch, Queue};
use super::cluster::{Cluster, TopicLayout};
use super::error::ClientError;
use crate::model::{ErrorCode, PartitionIndex, ProducerEpoch, ProducerId};
use crate::wire::message::produce::{PartitionProduceData, ProduceResponse, TopicProduceData};
use crate::wire::message::{InitProducerIdRequest, ProduceRequest};
use crate::wire::record::{BuildError, Compression, NewRecord};

/// Batches on the way to one partition: what a broker remembers of an idempotent producer (KIP-98, KIP-679).
pub const IN_FLIGHT_PER_PARTITION_MAX: usize = 5;

/// Bytes of batches that wait or are on the way before [`Producer::send`] waits too: `buffer.memory` of Kafka's producer.
const BUFFER_BYTES_MAX: usize = 32 << 20;

/// The first version of Produce without the record formats of old, and the last one that names topics by name.
const PRODUCE_VERSION_MAX: i16 = 11;

/// Whose answer to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Acks {
    /// Nobody's.
    None,
    /// The leader's.
    Leader,
    /// That of all in-sync replicas.
    #[default]
    All,
}

impl Acks {
    /// The number in a request.
    #[must_use]
    pub const fn wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// How a producer behaves.
#[derive(Clone, Copy, Debug)]
pub struct ProducerOptions {
    /// Whose answer counts.
    pub acks: Acks,
    /// How batches are compressed.
    pub compression: Compression,
    /// `batch.size`: a batch is closed when it has so many bytes, before compression.
    pub batch_bytes: usize,
    /// `enable.idempotence`: retries never write a record twice. Needs [`Acks::All`].
    pub idempotent: bool,
    /// `delivery.timeout.ms`: how long one batch may be tried.
    pub delivery_timeout: Duration,
}

impl Default for ProducerOptions {
    /// Durable and without duplicates, with larger batches than Kafka's 16 KiB: a command has nothing to wait for.
    fn default() -> Self {
        Self {
            acks: Acks::All,
            compression: Compression::default(),
            batch_bytes: 64 << 10,
            idempotent: true,
            delivery_timeout: Duration::from_secs(120),
        }
    }
}

/// What has been written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Records acknowledged (with [`Acks::None`]: sent).
    pub records: u64,
    /// Bytes of their batches.
    pub bytes: u64,
}

type Settled = (usize, Batch, Result<ProduceResponse, ClientError>);
type OnItsWay = futures::future::LocalBoxFuture<'static, Settled>;

/// Something that a producer waited for: an answer, or the time to try again.
pub struct News(Option<Settled>);

/// A producer of one topic. Lives on one thread, within a `LocalSet`.
pub struct Producer {
    cluster: Rc<Cluster>,
    topic: String,
    options: ProducerOptions,
    layout: TopicLayout,
    layout_is_old: bool,
    partitioner: Partitioner,
    queues: Vec<Queue>,
    on_its_way: FuturesUnordered<OnItsWay>,
    /// Bytes in the queues and on the way.
    buffered_bytes: usize,
    written: Written,
}

impl Producer {
    /// Finds the topic, lets the brokers create it if they do so by themselves, and asks for a producer id if there shall
    /// be one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn open(cluster: Rc<Cluster>, topic: &str, options: ProducerOptions) -> Result<Self, ClientError> {
        let layout = cluster.layout(topic, true).await?;
        let (id, epoch) = match options.idempotent && options.acks == Acks::All {
            true => producer_id(&cluster).await?,
            false => (ProducerId::NONE, ProducerEpoch::NONE),
        };
        let seed = u32::try_from(cluster.clock().timestamp().0 & 0xffff).unwrap_or_default();
        let partitions = layout.leaders.len();
        let partitioner =
            Partitioner::new(partitions, seed).ok_or_else(|| ClientError::UnknownTopic { topic: topic.to_owned() })?;
        let queues = (0..partitions).map(|_| Queue::new(id, epoch, options.compression)).collect();
        Ok(Self {
            cluster,
            topic: topic.to_owned(),
            options,
            layout,
            layout_is_old: false,
            partitioner,
            queues,
            on_its_way: FuturesUnordered::new(),
            buffered_bytes: 0,
            written: Written::default(),
        })
    }

    /// What has been acknowledged so far.
    #[must_use]
    pub const fn written(&self) -> Written {
        self.written
    }

    /// Puts a record into the batch of its partition: the one given, else that of its key, else any. Sends full batches,
    /// and waits while too much is on the way.
    ///
    /// # Errors
    /// [`ClientError`]: of this record, or of an earlier batch that failed for good. Then the producer is of no more use.
    pub async fn send(&mut self, partition: Option<PartitionIndex>, record: &NewRecord<'_>) -> Result<(), ClientError> {
        let partition = partition.unwrap_or_else(|| self.partitioner.partition(record.key));
        let unknown = || ClientError::UnknownPartition {
            topic: self.topic.clone(),
            partition: partition.0,
            partitions: self.layout.leaders.len(),
        };
        let index = usize::try_from(partition.0).ok().filter(|&index| index < self.queues.len()).ok_or_else(unknown)?;
        let closed = self.queues.get_mut(index).map(|queue| queue.append(record, self.options.batch_bytes));
        match closed.transpose().map_err(|error| self.unbuildable(partition, &error))?.flatten() {
            None => return Ok(()),
            Some(bytes) => self.buffered_bytes += bytes,
        }
        self.partitioner.batch_closed();
        self.dispatch().await?;
        while BUFFER_BYTES_MAX < self.buffered_bytes {
            self.progress().await?;
        }
        Ok(())
    }

    /// Sends what has been collected so far, full or not, without waiting for answers.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn push(&mut self) -> Result<(), ClientError> {
        for index in 0..self.queues.len() {
            let closed = self.queues.get_mut(index).map(Queue::close).transpose();
            let partition = PartitionIndex(i32::try_from(index).unwrap_or(i32::MAX));
            let closed = closed.map_err(|error| self.unbuildable(partition, &error))?.flatten();
            self.buffered_bytes += closed.unwrap_or_default();
        }
        self.partitioner.batch_closed();
        self.dispatch().await
    }

    /// Sends everything and waits until all of it is acknowledged.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        self.push().await?;
        while self.is_busy() {
            self.progress().await?;
        }
        Ok(())
    }

    /// Whether anything waits for an answer or to be sent again.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.on_its_way.is_empty() || self.queues.iter().any(Queue::is_waiting)
    }

    /// Waits for one answer, or until something is to be sent again, and goes on from there.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn progress(&mut self) -> Result<(), ClientError> {
        let news = self.news().await;
        self.handle(news).await
    }

    /// Waits for something to [`Self::handle`]. May be dropped at any point and called again: nothing is lost.
    pub async fn news(&mut self) -> News {
        let now = self.cluster.clock().moment();
        let again = self.queues.iter().filter_map(Queue::again_at).min().map(|again| again.since(now));
        let on_its_way = &mut self.on_its_way;
        let answer = async {
            match on_its_way.next().await {
                Some(answer) => Some(answer),
                None if again.is_some() => std::future::pending().await,
                None => None,
            }
        };
        match again {
            None => News(answer.await),
            Some(wait) => News(tokio::time::timeout(wait, answer).await.ok().flatten()),
        }
    }

    /// Goes on from what [`Self::news`] gave. To be awaited to its end.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn handle(&mut self, news: News) -> Result<(), ClientError> {
        if let Some((index, batch, answer)) = news.0 {
            self.settle(index, batch, answer)?;
        }
        self.dispatch().await
    }

    /// Sends every batch that may be sent.
    async fn dispatch(&mut self) -> Result<(), ClientError> {
        let now = self.cluster.clock().moment();
        for index in 0..self.queues.len() {
            while let Some(batch) = self.queues.get_mut(index).and_then(|queue| queue.take(now)) {
                if self.layout_is_old {
                    match self.cluster.layout_again(&self.topic).await {
                        Ok(layout) => {
                            self.layout = layout;
                            self.layout_is_old = false;
                        }
                        // Counts as a try of the batch, whose time is bounded.
                        Err(error) => {
                            self.settle(index, batch, Err(error))?;
                            break;
                        }
                    }
                }
                self.submit(index, batch).await?;
            }
        }
        Ok(())
    }

    async fn submit(&mut self, index: usize, batch: Batch) -> Result<(), ClientError> {
        let request = self.request(index, batch.bytes.clone());
        let Some(leader) = self.layout.leaders.get(index).cloned() else { return Ok(()) };
        let connection = match self.cluster.connection(&leader).await {
            Ok(connection) => connection,
            Err(error) => return self.settle(index, batch, Err(error)),
        };
        if self.options.acks == Acks::None {
            let told = connection.tell(&request, PRODUCE_VERSION_MAX).await.map(|()| ProduceResponse::default());
            return self.settle(index, batch, told);
        }
        match connection.submit(&request, PRODUCE_VERSION_MAX).await {
            Ok(answer) => self.on_its_way.push(Box::pin(async move { (index, batch, answer.wait().await) })),
            Err(error) => self.settle(index, batch, Err(error))?,
        }
        Ok(())
    }

    fn request(&self, index: usize, records: Bytes) -> ProduceRequest {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        let timeout = self.cluster.options().connection.request_timeout;
        ProduceRequest {
            transactional_id: None,
            acks: self.options.acks.wire(),
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            topic_data: vec![TopicProduceData {
                name: self.topic.as_str().into(),
                partition_data: vec![PartitionProduceData { index, records: Some(records) }],
            }],
        }
    }

    /// Takes an answer, or the lack of one.
    fn settle(
        &mut self,
        index: usize,
        batch: Batch,
        answer: Result<ProduceResponse, ClientError>,
    ) -> Result<(), ClientError> {
        let now = self.cluster.clock().moment();
        let Some(queue) = self.queues.get_mut(index) else { return Ok(()) };
        let error = match answer.and_then(|response| check(&response, &self.topic, index)) {
            Ok(()) => {
                self.written.records += u64::from(batch.records);
                self.written.bytes += u64::try_from(batch.bytes.len()).unwrap_or_default();
                self.buffered_bytes -= batch.bytes.len();
                queue.acknowledged();
                return Ok(());
            }
            Err(error) => error,
        };
        // A batch behind one that failed is out of sequence until that one is there.
        let behind = error.is_refusal(ErrorCode::OutOfOrderSequenceNumber) && queue.is_retrying();
        let started = batch.first_tried.unwrap_or(now);
        if (error.is_retriable() || behind) && now.since(started) < self.options.delivery_timeout {
            self.layout_is_old = true;
            queue.failed(batch, now);
            Ok(())
        } else {
            Err(error)
        }
    }

    fn unbuildable(&self, partition: PartitionIndex, error: &BuildError) -> ClientError {
        ClientError::Corrupt { partition: format!("{}-{partition}", self.topic), reason: error.to_string() }
    }
}

/// What the answer says of the one partition that was asked.
fn check(response: &ProduceResponse, topic: &str, index: usize) -> Result<(), ClientError> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    for partition in partitions {
        // A duplicate: the broker has it already. An earlier try arrived and its answer did not.
        if partition.error_code != ErrorCode::DuplicateSequenceNumber {
            ClientError::check(partition.error_code, partition.error_message.as_deref(), || {
                format!("partition {topic}-{index} did not take a batch")
            })?;
        }
    }
    Ok(())
}

async fn producer_id(cluster: &Cluster) -> Result<(ProducerId, ProducerEpoch), ClientError> {
    let request = InitProducerIdRequest { transaction_timeout_ms: i32::MAX, ..InitProducerIdRequest::default() };
    let response = cluster
        .retry(async || {
            let response = cluster.any().await?.call(&request).await?;
            ClientError::check(response.error_code, None, || "no producer id was given out".to_owned())?;
            Ok(response)
        })
        .await?;
    Ok((ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch)))
}
