//! A cluster as a client sees it: who leads what, a connection to each broker that was needed, and patience with errors
//! that pass.
//!
//! *Invariant*: every wait has an end ([`ClientOptions::api_timeout`]).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use super::address::{Bootstrap, BrokerAddress};
use super::connection::{Connection, ConnectionOptions, Way};
use super::error::ClientError;
use super::metadata::Metadata;
use crate::model::{BrokerId, Clock, ErrorCode, Moment, PartitionIndex, TopicId};
use crate::wire::Str;
use crate::wire::message::metadata::MetadataRequestTopic;
use crate::wire::message::{MetadataRequest, MetadataResponse};

/// How a client behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientOptions {
    /// How it connects.
    pub connection: ConnectionOptions,
    /// How long one operation may be tried again before its last error is given: Kafka's `default.api.timeout.ms`, but
    /// shorter, as a person waits.
    pub api_timeout: Duration,
    /// `retry.backoff.ms` and `retry.backoff.max.ms`.
    pub retry: BackOff,
    /// `reconnect.backoff.ms` and `reconnect.backoff.max.ms`.
    pub reconnect: BackOff,
    /// `metadata.max.age.ms`.
    pub metadata_age_max: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connection: ConnectionOptions::default(),
            api_timeout: Duration::from_secs(30),
            retry: BackOff::new(),
            reconnect: BackOff::new(),
            metadata_age_max: Duration::from_secs(300),
        }
    }
}

/// Waits between tries: the first, and the longest. Each is twice the one before.
const BACK_OFF_FIRST: Duration = Duration::from_millis(50);
const BACK_OFF_LONGEST: Duration = Duration::from_secs(1);

/// Where a topic's partitions are.
#[derive(Clone, Debug)]
pub struct TopicLayout {
    /// The topic's id; zero when the broker names none.
    pub id: TopicId,
    /// Leaders' addresses by partition, in the order of the partitions' numbers, which begin at 0 and leave none out.
    pub leaders: Vec<BrokerAddress>,
}

impl TopicLayout {
    /// Who leads a partition, if it exists.
    #[must_use]
    pub fn leader(&self, partition: PartitionIndex) -> Option<&BrokerAddress> {
        usize::try_from(partition.0).ok().and_then(|index| self.leaders.get(index))
    }

    /// The partitions of each leader.
    #[must_use]
    pub fn by_leader(&self) -> BTreeMap<BrokerAddress, Vec<PartitionIndex>> {
        let mut grouped = BTreeMap::<_, Vec<_>>::new();
        for (leader, partition) in self.leaders.iter().zip(0..) {
            grouped.entry(leader.clone()).or_default().push(PartitionIndex(partition));
        }
        grouped
    }
}

/// One broker, as far as reaching it goes.
#[derive(Default)]
struct Broker {
    open: RefCell<Option<Connection>>,
    /// Held while somebody connects: the others wait, and get the same connection or the same patience.
    connecting: tokio::sync::Mutex<Option<Failing>>,
}

/// What a broker that could not be reached is given.
struct Failing {
    back_off: BackOff,
    not_before: Moment,
    /// How long connecting may take next time.
    timeout: Duration,
}

impl Broker {
    fn open(&self) -> Option<Connection> {
        self.open.borrow().as_ref().filter(|connection| connection.is_open()).cloned()
    }
}

/// A client's view of a cluster. Lives on one thread, within a `LocalSet`.
pub struct Cluster {
    bootstrap: Bootstrap,
    options: ClientOptions,
    clock: Rc<dyn Clock>,
    /// `None` for the system's network.
    way: Option<Rc<dyn Way>>,
    brokers: RefCell<BTreeMap<BrokerAddress, Rc<Broker>>>,
    /// Which bootstrap address to begin with: another one each time.
    next_bootstrap: Cell<usize>,
    chance: Cell<u64>,
    /// Whether a broker ever answered.
    met: Cell<bool>,
}

impl Cluster {
    /// Connects to nobody yet.
    #[must_use]
    pub fn new(bootstrap: Bootstrap, options: ClientOptions, clock: Rc<dyn Clock>) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the simulator brings a seed of its own")]
        Self::seeded(bootstrap, options, clock, rand::random())
    }

    /// As [`Self::new`]: with the same seed the same choices are made.
    #[must_use]
    pub fn seeded(bootstrap: Bootstrap, options: ClientOptions, clock: Rc<dyn Clock>, seed: u64) -> Self {
        let chance = Cell::new(seed | 1);
        Self {
            bootstrap,
            options,
            clock,
            way: None,
            brokers: RefCell::default(),
            next_bootstrap: Cell::new(0),
            chance,
            met: Cell::new(false),
        }
    }

    /// Connects on another way than the system's network.
    #[must_use]
    pub fn on(self, way: Rc<dyn Way>) -> Self {
        Self { way: Some(way), ..self }
    }

    /// How this client behaves.
    #[must_use]
    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// The clock that this client's waits are measured by.
    #[must_use]
    pub fn clock(&self) -> &Rc<dyn Clock> {
        &self.clock
    }

    /// A number by chance, for choices that clients should not all make alike. No secret.
    #[must_use]
    pub fn chance(&self) -> u32 {
        // Xorshift (Marsaglia 2003).
        let mut state = self.chance.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.chance.set(state);
        u32::try_from(state >> 32).unwrap_or(0)
    }

    /// A fifth more or less, so that clients that failed together do not come back together (`ExponentialBackoff`).
    fn jittered(&self, wait: Duration) -> Duration {
        wait.mul_f64(0.8 + 0.4 * f64::from(self.chance()) / f64::from(u32::MAX))
    }

    /// A connection to one broker: the open one, or a new one.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn connection(&self, address: &BrokerAddress) -> Result<Connection, ClientError> {
        let broker = Rc::clone(self.brokers.borrow_mut().entry(address.clone()).or_default());
        if let Some(open) = broker.open() {
            return Ok(open);
        }
        let mut failing = broker.connecting.lock().await;
        if let Some(open) = broker.open() {
            return Ok(open);
        }
        let options = &self.options.connection;
        let mut timeout = options.connect_timeout;
        if let Some(failing) = &*failing {
            tokio::time::sleep(failing.not_before.since(self.clock.moment())).await;
            timeout = failing.timeout;
        }
        match self.open(address, timeout).await {
            Ok(connection) => {
                *failing = None;
                self.met.set(true);
                *broker.open.borrow_mut() = Some(connection.clone());
                Ok(connection)
            }
            Err(error) => {
                let mut back_off = failing.as_ref().map_or(self.options.reconnect, |failing| failing.back_off);
                let not_before = self.clock.moment().after(self.jittered(back_off.advance()));
                let timeout = timeout.saturating_mul(2).min(options.connect_timeout_longest);
                *failing = Some(Failing { back_off, not_before, timeout });
                Err(error)
            }
        }
    }

    /// A connection that nobody else uses.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn own_connection(&self, address: &BrokerAddress) -> Result<Connection, ClientError> {
        self.open(address, self.options.connection.connect_timeout).await
    }

    async fn open(&self, address: &BrokerAddress, connect_timeout: Duration) -> Result<Connection, ClientError> {
        let options = ConnectionOptions { connect_timeout, ..self.options.connection.clone() };
        match &self.way {
            None => Connection::open(address, &options).await,
            Some(way) => Connection::open_on(&**way, address, &options).await,
        }
    }

    /// A connection to any broker: an open one, or to the first bootstrap address that answers.
    ///
    /// # Errors
    /// [`ClientError::NoBroker`].
    pub async fn any(&self) -> Result<Connection, ClientError> {
        let open = self.brokers.borrow().values().find_map(|broker| broker.open());
        if let Some(open) = open {
            return Ok(open);
        }
        let mut reason = String::new();
        let addresses = self.bootstrap.addresses();
        let first = self.next_bootstrap.get() % addresses.len();
        self.next_bootstrap.set(first + 1);
        for address in addresses.iter().cycle().skip(first).take(addresses.len()) {
            match self.connection(address).await {
                Ok(connection) => return Ok(connection),
                Err(ClientError::Connect { source, .. }) => reason = source.to_string(),
                Err(other) => reason = other.to_string(),
            }
        }
        Err(ClientError::NoBroker { addresses: self.bootstrap.to_string(), reason })
    }

    /// A connection to the controller.
    ///
    /// # Errors
    /// [`ErrorCode::BrokerNotAvailable`] while there is none: try again.
    pub async fn controller(&self) -> Result<Connection, ClientError> {
        let metadata = self.any().await?.call(&metadata_request(Some(&[]), false)).await?;
        let address =
            broker_address(&metadata, BrokerId(metadata.controller_id)).ok_or_else(|| ClientError::Refused {
                what: "the cluster has no controller now".to_owned(),
                code: ErrorCode::NotController,
                message: None,
            })?;
        self.connection(&address).await
    }

    /// Metadata of some topics, or of all (`None`). Nothing is created.
    ///
    /// # Errors
    /// That of the request; what each topic's own error code says is left to the caller.
    pub async fn metadata(&self, topics: Option<&[&str]>) -> Result<MetadataResponse, ClientError> {
        self.any().await?.call(&metadata_request(topics, false)).await
    }

    /// What the brokers say of some topics, or of all (`None`).
    ///
    /// # Errors
    /// That of the request; what there is to say against a topic stands in its place.
    pub async fn describe(&self, topics: Option<&[Str]>, may_create: bool) -> Result<Metadata, ClientError> {
        let names = topics.map(|topics| topics.iter().map(Str::as_str).collect::<Vec<_>>());
        let request = metadata_request(names.as_deref(), may_create);
        Ok(Metadata::of(&self.any().await?.call(&request).await?))
    }

    /// How topics are called. One that is not there, or not yet, is left out.
    ///
    /// # Errors
    /// That of the request.
    pub async fn names(&self, ids: &[TopicId]) -> Result<BTreeMap<TopicId, Str>, ClientError> {
        let asked = |id: &TopicId| MetadataRequestTopic { topic_id: *id, name: None };
        let request = MetadataRequest {
            topics: Some(ids.iter().map(asked).collect()),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let response = self.any().await?.call(&request).await?;
        let found = response.topics.into_iter().filter(|topic| !topic.error_code.is_error());
        Ok(found.filter_map(|topic| Some((topic.topic_id, topic.name?))).collect())
    }

    /// Where a topic's partitions are. Waits while one has no leader.
    ///
    /// # Errors
    /// [`ClientError::UnknownTopic`] when it is not there and the brokers do not create topics by themselves, or
    /// `may_create` is false.
    pub async fn layout(&self, topic: &str, may_create: bool) -> Result<TopicLayout, ClientError> {
        let unknown = || ClientError::UnknownTopic { topic: topic.to_owned() };
        let found = self
            .retry(async || match self.layout_now(topic, may_create).await {
                // Without auto-creation a missing topic does not come by waiting.
                Err(error) if error.is_refusal(ErrorCode::UnknownTopicOrPartition) && !may_create => Err(unknown()),
                found => found,
            })
            .await;
        found.map_err(|error| if error.is_refusal(ErrorCode::UnknownTopicOrPartition) { unknown() } else { error })
    }

    async fn layout_now(&self, topic: &str, may_create: bool) -> Result<TopicLayout, ClientError> {
        layout_of(&self.any().await?.call(&metadata_request(Some(&[topic]), may_create)).await?, topic)
    }

    /// Tries until it succeeds, fails for good, or [`ClientOptions::api_timeout`] is over; then the last error is given.
    /// While no broker ever answered, [`ClientError::NoBroker`] is not tried again: a person who forgot to start one
    /// should know at once.
    ///
    /// # Errors
    /// Those of `attempt`.
    pub async fn retry<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, ClientError> {
        let end = self.clock.moment().after(self.options.api_timeout);
        let mut back_off = self.options.retry;
        loop {
            match attempt().await {
                Err(error @ ClientError::NoBroker { .. }) if !self.met.get() => return Err(error),
                Err(error) if error.is_retriable() && self.clock.moment() < end => {
                    let left = end.since(self.clock.moment());
                    tokio::time::sleep(self.jittered(back_off.advance()).min(left)).await;
                }
                done => return done,
            }
        }
    }
}

/// Waits that grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackOff {
    next: Duration,
    longest: Duration,
}

impl BackOff {
    /// Begins with the shortest wait.
    #[must_use]
    pub const fn new() -> Self {
        Self::between(BACK_OFF_FIRST, BACK_OFF_LONGEST)
    }

    /// Begins with `first` and grows up to `longest`.
    #[must_use]
    pub const fn between(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// The next wait.
    #[must_use]
    pub const fn shortest(&self) -> Duration {
        self.next
    }

    /// How long to wait now; the next one is twice as long, up to a limit.
    pub fn advance(&mut self) -> Duration {
        let now = self.next.min(self.longest);
        self.next = now.saturating_mul(2).min(self.longest);
        now
    }
}

impl Default for BackOff {
    fn default() -> Self {
        Self::new()
    }
}

fn metadata_request(topics: Option<&[&str]>, may_create: bool) -> MetadataRequest {
    let named = |name: &&str| MetadataRequestTopic { name: Some((*name).into()), ..MetadataRequestTopic::default() };
    MetadataRequest {
        topics: topics.map(|names| names.iter().map(named).collect()),
        allow_auto_topic_creation: may_create,
        ..MetadataRequest::default()
    }
}

/// Where a broker of the answer listens.
#[must_use]
pub fn broker_address(metadata: &MetadataResponse, broker: BrokerId) -> Option<BrokerAddress> {
    let found = metadata.brokers.iter().find(|candidate| candidate.node_id == broker.0)?;
    Some(BrokerAddress { host: found.host.to_string(), port: u16::try_from(found.port).ok()? })
}

fn layout_of(metadata: &MetadataResponse, topic: &str) -> Result<TopicLayout, ClientError> {
    let refused = |code| ClientError::Refused { what: format!("topic '{topic}' cannot be used"), code, message: None };
    let found = metadata.topics.iter().find(|found| found.name.as_deref() == Some(topic));
    let found = found.ok_or_else(|| refused(ErrorCode::UnknownTopicOrPartition))?;
    if found.error_code.is_error() {
        return Err(refused(found.error_code));
    }
    let mut partitions = found.partitions.iter().collect::<Vec<_>>();
    partitions.sort_by_key(|partition| partition.partition_index);
    let numbered = partitions.iter().map(|partition| partition.partition_index).eq((0..).take(partitions.len()));
    if partitions.is_empty() || !numbered {
        // The controller has not told this broker of all of them yet.
        return Err(refused(ErrorCode::LeaderNotAvailable));
    }
    let leaders = partitions.iter().map(|partition| broker_address(metadata, BrokerId(partition.leader_id)));
    let leaders = leaders.collect::<Option<Vec<_>>>().ok_or_else(|| refused(ErrorCode::LeaderNotAvailable))?;
    Ok(TopicLayout { id: found.topic_id, leaders })
}
