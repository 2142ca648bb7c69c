//! Writes records to topics: collects them into batches per partition, keeps several requests on the way, tries again what
//! may pass, and never changes the order within a partition.
//!
//! ```no_run
//! # use std::rc::Rc;
//! # use dohle::client::config::ProducerConfig;
//! # use dohle::client::producer::Producer;
//! # use dohle::model::{Clock, Timestamp};
//! # use dohle::wire::record::NewRecord;
//! # async fn write(clock: Rc<dyn Clock>) -> Result<(), Box<dyn std::error::Error>> {
//! let config = ProducerConfig::new([("bootstrap.servers", "localhost:9092"), ("linger.ms", "5")])?;
//! let producer = Producer::new(&config, clock);
//! let record = NewRecord { timestamp: Timestamp(0), key: Some(b"LH"), value: Some(b"late"), headers: &[] };
//! let report = producer.send("flights", None, &record).await?;
//! producer.flush().await?;
//! println!("written at {}", report.await?.offset);
//! # Ok(())
//! # }
//! ```
//!
//! *Invariant*: what is held takes no more than `buffer.memory`; every record is reported on, in the end. The batches of a
//! partition are sent in the order in which they were closed, and after a failure nothing is sent to that partition before
//! everything on the way to it has come back. With an idempotent producer that makes every record appear once (KIP-98);
//! without one, a retry may repeat records, and with more than one request in flight change their order.
//! *Does not know*: where records come from.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

mod accumulator;
mod delivery;
mod partitioner;
mod queue;
mod sender;

pub use accumulator::Written;
pub use delivery::{Delivered, Delivery, ProduceError};
pub use partitioner::Partitioner;

use self::accumulator::{Accumulator, NotTaken, Taken};
use super::cluster::Cluster;
use super::config::ProducerConfig;
use super::error::ClientError;
use crate::model::{Clock, ErrorCode, Moment, PartitionIndex};
use crate::wire::Str;
use crate::wire::record::NewRecord;

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

/// A producer. Lives on one thread, within a `LocalSet`; dropped, it forgets what is not acknowledged: see [`Self::flush`].
pub struct Producer {
    shared: Rc<Shared>,
    driver: JoinHandle<()>,
}

/// What a producer and its sender share.
struct Shared {
    cluster: Rc<Cluster>,
    config: ProducerConfig,
    held: RefCell<Accumulator>,
    /// Topics that somebody waits for.
    wanted: RefCell<Vec<Wanted>>,
    /// How many wait until all is sent, and how many for room.
    hurrying: Cell<usize>,
    /// Nothing can be written any more.
    fatal: RefCell<Option<ProduceError>>,
    /// Wakes the sender.
    stirred: Notify,
    /// Something was settled, or learnt.
    moved: Notify,
}

/// A topic that somebody waits for.
struct Wanted {
    topic: Str,
    /// What was said of it last.
    said: Option<Rc<ClientError>>,
    waiting: usize,
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Producer {
    /// Connects to nobody yet.
    #[must_use]
    pub fn new(config: &ProducerConfig, clock: Rc<dyn Clock>) -> Self {
        let cluster = Cluster::new(config.common.bootstrap.clone(), config.common.client.clone(), clock);
        Self::with(Rc::new(cluster), config)
    }

    /// Shares a cluster's connections; what the configuration says of connecting has no effect.
    #[must_use]
    pub fn with(cluster: Rc<Cluster>, config: &ProducerConfig) -> Self {
        let shared = Rc::new(Shared {
            cluster,
            held: RefCell::new(Accumulator::new(config)),
            config: config.clone(),
            wanted: RefCell::default(),
            hurrying: Cell::new(0),
            fatal: RefCell::default(),
            stirred: Notify::new(),
            moved: Notify::new(),
        });
        let driver = tokio::task::spawn_local(sender::drive(Rc::clone(&shared)));
        Self { shared, driver }
    }

    /// Hands a record over: it is copied into the batch of its partition, which is the one given, else that of its key, else
    /// any. Waits, for `max.block.ms` at most, while there is no room or nothing is known of the topic. What becomes of the
    /// record is told by the report, which may be dropped.
    ///
    /// # Errors
    /// [`ProduceError`]: then nothing of the record was taken.
    pub async fn send(
        &self,
        topic: &str,
        partition: Option<PartitionIndex>,
        record: &NewRecord<'_>,
    ) -> Result<Delivery, ProduceError> {
        let taken = match self.try_send(topic, partition, record) {
            Ok(taken) => taken,
            Err(NotTaken::Never(error)) => return Err(error),
            Err(NotTaken::Unknown | NotTaken::Full) => self.wait_and_send(topic, partition, record).await?,
        };
        if taken.full {
            self.shared.stirred.notify_one();
            // The sender runs on this thread.
            tokio::task::yield_now().await;
        } else if taken.first {
            self.shared.stirred.notify_one();
        }
        Ok(taken.delivery)
    }

    fn try_send(
        &self,
        topic: &str,
        partition: Option<PartitionIndex>,
        record: &NewRecord<'_>,
    ) -> Result<Taken, NotTaken> {
        if let Some(error) = &*self.shared.fatal.borrow() {
            return Err(NotTaken::Never(error.clone()));
        }
        let now = || self.shared.cluster.clock().moment();
        self.shared.held.borrow_mut().append(now, topic, partition, record, || self.shared.cluster.chance())
    }

    async fn wait_and_send(
        &self,
        topic: &str,
        partition: Option<PartitionIndex>,
        record: &NewRecord<'_>,
    ) -> Result<Taken, ProduceError> {
        let waited = self.shared.config.block_max;
        let end = self.shared.cluster.clock().moment().after(waited);
        let mut waiting = None;
        loop {
            let moved = self.shared.moved.notified();
            match self.try_send(topic, partition, record) {
                Ok(taken) => return Ok(taken),
                Err(NotTaken::Never(error)) => return Err(error),
                Err(NotTaken::Unknown) => {
                    waiting.get_or_insert_with(|| Waiting::new(&self.shared, topic)).check()?;
                    if !self.until(moved, end).await {
                        return Err(self.shared.no_topic(topic));
                    }
                }
                Err(NotTaken::Full) => {
                    let _hurry = Hurry::new(&self.shared);
                    if !self.until(moved, end).await {
                        return Err(ProduceError::Full { waited });
                    }
                }
            }
        }
    }

    /// Waits until something moved. Whether that was in time.
    async fn until(&self, moved: impl Future<Output = ()>, end: Moment) -> bool {
        let left = end.since(self.shared.cluster.clock().moment());
        // Something may always have moved: that must not put off the end.
        !left.is_zero() && tokio::time::timeout(left, moved).await.is_ok()
    }

    /// How many partitions a topic has.
    ///
    /// # Errors
    /// [`ProduceError::NoTopic`] when it is not there in `max.block.ms`.
    pub async fn partitions(&self, topic: &str) -> Result<usize, ProduceError> {
        let end = self.shared.cluster.clock().moment().after(self.shared.config.block_max);
        let waiting = Waiting::new(&self.shared, topic);
        loop {
            let moved = self.shared.moved.notified();
            if let Some(count) = self.shared.held.borrow_mut().partitions(topic) {
                return Ok(count);
            }
            waiting.check()?;
            if !self.until(moved, end).await {
                return Err(self.shared.no_topic(topic));
            }
        }
    }

    /// Sends everything that was handed over so far, and waits until it is reported on.
    ///
    /// # Errors
    /// What went wrong first since the last call, or since [`Self::take_failure`].
    pub async fn flush(&self) -> Result<(), ProduceError> {
        let _hurry = Hurry::new(&self.shared);
        let number = self.shared.held.borrow().next_number();
        loop {
            let moved = self.shared.moved.notified();
            if self.shared.held.borrow().is_settled_before(number) {
                break;
            }
            moved.await;
        }
        match self.take_failure() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// What went wrong first since this was last asked: for those who do not wait for reports.
    #[must_use]
    pub fn take_failure(&self) -> Option<ProduceError> {
        self.shared.held.borrow_mut().failure.take()
    }

    /// Waits until something goes wrong, and says what, as [`Self::take_failure`].
    pub async fn failed(&self) -> ProduceError {
        loop {
            let moved = self.shared.moved.notified();
            if let Some(error) = self.take_failure() {
                return error;
            }
            moved.await;
        }
    }

    /// What has been acknowledged so far.
    #[must_use]
    pub fn written(&self) -> Written {
        self.shared.held.borrow().written
    }
}

/// As long as it lives, nothing waits for batches to fill.
struct Hurry<'a>(&'a Shared);

impl<'a> Hurry<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.hurrying.set(shared.hurrying.get() + 1);
        shared.stirred.notify_one();
        Self(shared)
    }
}

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.hurrying.set(self.0.hurrying.get().saturating_sub(1));
    }
}

/// As long as it lives, a topic is asked for until it is there.
struct Waiting<'a> {
    shared: &'a Shared,
    topic: Str,
}

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared, topic: &str) -> Self {
        let mut wanted = shared.wanted.borrow_mut();
        match wanted.iter_mut().find(|wanted| *wanted.topic == *topic) {
            Some(known) => known.waiting += 1,
            None => wanted.push(Wanted { topic: topic.into(), said: None, waiting: 1 }),
        }
        shared.stirred.notify_one();
        Self { shared, topic: topic.into() }
    }

    /// Whether to go on waiting makes sense.
    fn check(&self) -> Result<(), ProduceError> {
        match self.shared.said(&self.topic).filter(|error| !error.is_retriable()) {
            Some(source) => Err(ProduceError::NoTopic { topic: self.topic.clone(), source }),
            None => Ok(()),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.wanted.borrow_mut().retain_mut(|wanted| {
            wanted.waiting -= usize::from(wanted.topic == self.topic);
            0 < wanted.waiting
        });
    }
}

impl Shared {
    fn said(&self, topic: &str) -> Option<Rc<ClientError>> {
        self.wanted.borrow().iter().find(|wanted| *wanted.topic == *topic)?.said.clone()
    }

    fn no_topic(&self, topic: &str) -> ProduceError {
        let nothing = || {
            let what = format!("topic '{topic}' cannot be written to");
            Rc::new(ClientError::Refused { what, code: ErrorCode::RequestTimedOut, message: None })
        };
        ProduceError::NoTopic { topic: topic.into(), source: self.said(topic).unwrap_or_else(nothing) }
    }
}

#[cfg(test)]
mod tests;
