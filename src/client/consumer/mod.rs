//! Reads records: of partitions that are named ([`Consumer::assign`]), or as a member of a group ([`Consumer::subscribe`]).
//!
//! Everything comes through [`Consumer::poll`]: records, and what the group gives and takes. What was given out by one call
//! counts as read with the next one: then it may be committed, by itself or by [`Consumer::commit`].
//!
//! ```no_run
//! # use std::rc::Rc;
//! # use dohle::client::config::ConsumerConfig;
//! # use dohle::client::consumer::{Consumer, Polled};
//! # use dohle::model::Clock;
//! # async fn read(clock: Rc<dyn Clock>) -> Result<(), Box<dyn std::error::Error>> {
//! let config = ConsumerConfig::new([
//!     ("bootstrap.servers", "localhost:9092"),
//!     ("group.id", "billing"),
//!     ("auto.offset.reset", "earliest"),
//! ])?;
//! let mut consumer = Consumer::new(config, clock);
//! consumer.subscribe(&["flights"])?;
//! loop {
//!     match consumer.poll().await? {
//!         Polled::Records(fetched) => {
//!             for record in fetched.records()? {
//!                 println!("{} {:?}", record.offset, record.value);
//!             }
//!         }
//!         Polled::Assigned(partitions) => println!("reads {partitions:?} too"),
//!         Polled::Revoked(partitions) | Polled::Lost(partitions) => println!("reads {partitions:?} no more"),
//!     }
//! }
//! # }
//! ```
//!
//! *Invariant*: an offset is committed only after the records below it were given out and another call for records, or a
//! commit, says that they are done with.
//! *Does not know*: how members of a group agree (see [`super::group`]), and what a fetch looks like (see `fetcher`).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures::Stream;
use regex::Regex;

mod fetched;
mod fetcher;
mod offsets;

pub use fetched::{ConsumerRecord, Fetched, ReadRecord};
use fetcher::{FetchOptions, Fetcher, Found};
pub use offsets::{FoundOffset, FoundOffsets, Isolation, OffsetQuery, Place, find_offset, list_offsets};

use super::cluster::Cluster;
use super::config::{ConsumerConfig, GroupProtocol, OffsetReset};
use super::error::ClientError;
use super::group::admin::{committed_offsets, set_offsets};
use super::group::member::{MemberSettings, Offsets, Partition, Subscription as Wanted};
use super::group::{Membership, News};
use crate::model::{Clock, ErrorCode, Moment, Offset, PartitionIndex, Timestamp};
use crate::wire::Str;

/// What [`Consumer::poll`] gives.
#[derive(Clone, Debug)]
pub enum Polled {
    /// Records of one partition, one answer's.
    Records(Fetched),
    /// The group lets this consumer read these partitions too. They begin where the group was, else as
    /// `auto.offset.reset` says; [`Consumer::seek`] says otherwise.
    Assigned(Vec<Partition>),
    /// The group takes these from it. Until the next call they are its own: what was read may still be committed.
    Revoked(Vec<Partition>),
    /// These may be read by others already: what was read and not committed will be read again.
    Lost(Vec<Partition>),
}

/// Which topics are subscribed to.
enum Subscription {
    /// None: partitions are named.
    Assigned,
    /// By names, or by a pattern that the coordinator looks for.
    Names,
    Pattern {
        pattern: Regex,
        look_at: Moment,
        found: Vec<Str>,
    },
}

/// A consumer. Lives on one thread, within a `LocalSet`. Dropped without [`Consumer::close`], its group hears of it when the
/// session ends.
pub struct Consumer {
    cluster: Rc<Cluster>,
    config: ConsumerConfig,
    fetcher: Fetcher,
    subscription: Subscription,
    membership: Option<Membership>,
    /// Where reading goes on behind what was given out and is done with.
    positions: Offsets,
    /// What was given out last.
    given: Option<(Partition, Offset)>,
    /// What the group takes with the next call.
    revoked: Vec<Partition>,
    /// Partitions of which nobody has looked up yet what the group committed.
    unknown: BTreeSet<Partition>,
}

impl Consumer {
    /// Connects to nobody yet.
    #[must_use]
    pub fn new(config: ConsumerConfig, clock: Rc<dyn Clock>) -> Self {
        let cluster = Cluster::new(config.common.bootstrap.clone(), config.common.client.clone(), clock);
        Self::with(Rc::new(cluster), config)
    }

    /// Shares a cluster's connections; what the configuration says of connecting has no effect.
    #[must_use]
    pub fn with(cluster: Rc<Cluster>, config: ConsumerConfig) -> Self {
        let options = FetchOptions {
            isolation: config.isolation,
            rack: config.rack.as_deref().map(Str::from),
            bytes_max: config.fetch_bytes_max,
            partition_bytes_max: config.partition_bytes_max,
            bytes_min: config.fetch_bytes_min,
            wait_max: config.fetch_wait_max,
            check_crcs: config.check_crcs,
            may_create: config.may_create,
        };
        Self {
            fetcher: Fetcher::new(Rc::clone(&cluster), options),
            cluster,
            config,
            subscription: Subscription::Assigned,
            membership: None,
            positions: Offsets::new(),
            given: None,
            revoked: Vec::new(),
            unknown: BTreeSet::new(),
        }
    }

    /// Becomes a member of the group that reads these topics, or wants others from now on.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidGroupId`] without a `group.id`.
    pub fn subscribe(&mut self, topics: &[&str]) -> Result<(), ClientError> {
        let topics = topics.iter().map(|topic| Str::from(*topic)).collect::<Vec<_>>();
        self.subscription = Subscription::Names;
        self.join(Wanted::Names(topics))
    }

    /// As [`Self::subscribe`], to all topics whose whole name the pattern matches, now and later (`metadata.max.age.ms`).
    ///
    /// # Errors
    /// As [`Self::subscribe`].
    pub fn subscribe_pattern(&mut self, pattern: Regex) -> Result<(), ClientError> {
        self.group()?;
        self.subscription = Subscription::Pattern { pattern, look_at: Moment::default(), found: Vec::new() };
        Ok(())
    }

    /// As [`Self::subscribe`], to all topics whose whole name the pattern matches, in RE2's syntax: the coordinator looks for
    /// them, which only the consumer protocol can (`group.protocol=consumer`).
    ///
    /// # Errors
    /// As [`Self::subscribe`], and [`ErrorCode::UnsupportedVersion`] in the classic protocol. A pattern that the coordinator
    /// cannot read is an error of [`Self::poll`].
    pub fn subscribe_re2(&mut self, pattern: &str) -> Result<(), ClientError> {
        if self.group()?.protocol == GroupProtocol::Classic {
            return Err(ClientError::Refused {
                what: format!("the pattern '{pattern}' cannot be subscribed to"),
                code: ErrorCode::UnsupportedVersion,
                message: Some("coordinators look for topics only with group.protocol=consumer".to_owned()),
            });
        }
        self.subscription = Subscription::Names;
        self.join(Wanted::Pattern(pattern.into()))
    }

    /// Reads these partitions, and no others, as no member of a group.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = Partition>) {
        self.membership = None;
        self.subscription = Subscription::Assigned;
        let wanted = partitions.into_iter().collect::<BTreeSet<_>>();
        let gone = self.fetcher.partitions().filter(|partition| !wanted.contains(*partition)).cloned();
        self.forget(&gone.collect::<Vec<_>>());
        self.add(wanted);
    }

    fn group(&self) -> Result<&super::config::GroupMembership, ClientError> {
        self.config.membership.as_ref().ok_or_else(|| ClientError::Refused {
            what: "there is no group to be a member of".to_owned(),
            code: ErrorCode::InvalidGroupId,
            message: Some("set group.id".to_owned()),
        })
    }

    fn join(&mut self, wanted: Wanted) -> Result<(), ClientError> {
        let options = self.cluster.options();
        let settings = MemberSettings {
            rack: self.config.rack.as_deref().map(Str::from),
            look_interval: options.metadata_age_max,
            back_off: options.retry,
            ..MemberSettings::new(self.group()?, wanted.clone(), options.api_timeout)
        };
        match &self.membership {
            Some(membership) => membership.subscribe(wanted),
            None => {
                let all = self.fetcher.partitions().cloned().collect::<Vec<_>>();
                self.forget(&all);
                self.membership = Some(Membership::new(Rc::clone(&self.cluster), settings));
            }
        }
        Ok(())
    }

    fn add(&mut self, partitions: impl IntoIterator<Item = Partition>) {
        for partition in partitions {
            if !self.fetcher.has(&partition) {
                self.unknown.insert(partition.clone());
                self.fetcher.add(partition);
            }
        }
    }

    fn forget(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.fetcher.remove(partition);
            self.positions.remove(partition);
            self.unknown.remove(partition);
            if self.given.as_ref().is_some_and(|(given, _)| given == partition) {
                self.given = None;
            }
        }
    }

    /// The next records, or what the group gives and takes. Waits while there is nothing. May be dropped at any point and
    /// called again: nothing is lost.
    ///
    /// # Errors
    /// What does not pass in `default.api.timeout.ms`; an offset that is out of range with `auto.offset.reset=none`.
    pub async fn poll(&mut self) -> Result<Polled, ClientError> {
        self.done_with();
        loop {
            if let Some(membership) = &self.membership {
                membership.polled();
            }
            self.look_for_topics().await?;
            while let Some(news) = self.membership.as_ref().and_then(Membership::news_now) {
                if let Some(polled) = self.hear(news?) {
                    return Ok(polled);
                }
            }
            self.find_positions().await?;
            let look_at = match &self.subscription {
                Subscription::Pattern { look_at, .. } => Some(look_at.since(self.cluster.clock().moment())),
                Subscription::Assigned | Subscription::Names => None,
            };
            let asks = self.config.membership.as_ref().map(|membership| membership.poll_interval_max / 3);
            let found = tokio::select! {
                biased;
                news = news(self.membership.as_ref()) => match self.hear(news?) {
                    Some(polled) => return Ok(polled),
                    None => continue,
                },
                found = self.fetcher.next() => found?,
                () = tokio::time::sleep(look_at.unwrap_or_default()), if look_at.is_some() => continue,
                // Who waits for records asks for them.
                () = tokio::time::sleep(asks.unwrap_or_default()), if asks.is_some() => continue,
            };
            match found {
                Found::Records(fetched) => {
                    self.given = Some((fetched.partition.clone(), fetched.next));
                    return Ok(Polled::Records(fetched));
                }
                // It has no position now, and gets one in the next round.
                Found::OutOfRange => {}
            }
        }
    }

    /// What was given out last is read; what was revoked is given back.
    fn done_with(&mut self) {
        if let Some((partition, next)) = self.given.take() {
            if let Some(membership) = &self.membership {
                membership.read(partition.clone(), next);
            }
            self.positions.insert(partition, next);
        }
        let revoked = std::mem::take(&mut self.revoked);
        if !revoked.is_empty() {
            self.forget(&revoked);
            if let Some(membership) = &self.membership {
                membership.release();
            }
        }
    }

    fn hear(&mut self, news: News) -> Option<Polled> {
        match news {
            News::Assigned(partitions) => {
                self.add(partitions.iter().cloned());
                Some(Polled::Assigned(partitions))
            }
            News::Revoked(partitions) => {
                for partition in &partitions {
                    self.fetcher.remove(partition);
                }
                self.revoked.clone_from(&partitions);
                Some(Polled::Revoked(partitions))
            }
            News::Lost(partitions) => {
                self.forget(&partitions);
                Some(Polled::Lost(partitions))
            }
            News::Left => None,
        }
    }

    /// Looks from time to time which topics a pattern matches.
    async fn look_for_topics(&mut self) -> Result<(), ClientError> {
        let now = self.cluster.clock().moment();
        let Subscription::Pattern { pattern, look_at, found } = &mut self.subscription else { return Ok(()) };
        if now < *look_at {
            return Ok(());
        }
        let cluster = Rc::clone(&self.cluster);
        let metadata = cluster.retry(async || cluster.describe(None, false).await).await?;
        *look_at = now.after(self.cluster.options().metadata_age_max);
        let hidden = |is_internal: bool| is_internal && self.config.exclude_internal;
        let whole = |name: &Str| pattern.find(name).is_some_and(|it| it.len() == name.len());
        let names = metadata
            .topics
            .iter()
            .filter(|(name, topic)| whole(name) && topic.as_ref().is_ok_and(|topic| !hidden(topic.is_internal)));
        let names = names.map(|(name, _)| name.clone()).collect::<Vec<_>>();
        if names != *found || self.membership.is_none() {
            found.clone_from(&names);
            self.join(Wanted::Names(names))?;
        }
        Ok(())
    }

    /// Where to begin: where the group was, else as `auto.offset.reset` says.
    async fn find_positions(&mut self) -> Result<(), ClientError> {
        let missing = self.fetcher.without_position();
        if missing.is_empty() {
            return Ok(());
        }
        let asks = missing.iter().any(|partition| self.unknown.contains(partition));
        let committed = if asks { self.committed().await? } else { Offsets::new() };
        for partition in missing {
            let known = committed.get(&partition).filter(|_| self.unknown.contains(&partition));
            match known.copied() {
                Some(offset) => {
                    self.positions.insert(partition.clone(), offset);
                    self.fetcher.seek(&partition, Some(offset));
                }
                None => self.reset(&partition).await?,
            }
            self.unknown.remove(&partition);
        }
        Ok(())
    }

    async fn reset(&mut self, partition: &Partition) -> Result<(), ClientError> {
        let place = match self.config.offset_reset {
            OffsetReset::Earliest => Place::Earliest,
            OffsetReset::Latest => Place::Latest,
            OffsetReset::None => {
                let what = format!("partition {}-{} cannot be read", partition.0, partition.1);
                return Err(ClientError::Refused { what, code: ErrorCode::OffsetOutOfRange, message: None });
            }
        };
        let offset = self.offset(partition, place).await?;
        self.positions.insert(partition.clone(), offset);
        self.fetcher.seek(partition, Some(offset));
        Ok(())
    }

    /// The offset of a place in a partition.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn offset(&self, partition: &Partition, place: Place) -> Result<Offset, ClientError> {
        let (topic, index) = partition;
        find_offset(&self.cluster, topic, PartitionIndex(*index), place, self.config.isolation).await
    }

    /// Goes on from this offset in a partition that it reads.
    ///
    /// # Errors
    /// [`ClientError::UnknownPartition`] when it does not read it.
    pub fn seek(&mut self, partition: &Partition, to: Offset) -> Result<(), ClientError> {
        if !self.fetcher.has(partition) {
            return Err(self.not_read(partition));
        }
        if self.given.as_ref().is_some_and(|(given, _)| given == partition) {
            self.given = None;
        }
        if let Some(membership) = &self.membership {
            membership.read(partition.clone(), to);
        }
        self.unknown.remove(partition);
        self.positions.insert(partition.clone(), to);
        self.fetcher.seek(partition, Some(to));
        Ok(())
    }

    /// Goes on from the first record with this timestamp or a later one.
    ///
    /// # Errors
    /// As [`Self::seek`], and those of asking for the offset.
    pub async fn seek_to_time(&mut self, partition: &Partition, time: Timestamp) -> Result<(), ClientError> {
        let offset = self.offset(partition, Place::Time(time)).await?;
        self.seek(partition, offset)
    }

    /// Gives no records of these until [`Self::resume`]; what is read ahead is kept.
    pub fn pause(&mut self, partitions: &[Partition]) {
        partitions.iter().for_each(|partition| self.fetcher.pause(partition, true));
    }

    /// Gives records of these again.
    pub fn resume(&mut self, partitions: &[Partition]) {
        partitions.iter().for_each(|partition| self.fetcher.pause(partition, false));
    }

    /// Whether a partition is paused.
    #[must_use]
    pub fn is_paused(&self, partition: &Partition) -> bool {
        self.fetcher.is_paused(partition)
    }

    /// What it reads now.
    #[must_use]
    pub fn assignment(&self) -> Vec<Partition> {
        self.fetcher.partitions().cloned().collect()
    }

    /// The next offset behind what was given out, once it is known.
    #[must_use]
    pub fn position(&self, partition: &Partition) -> Option<Offset> {
        let given = self.given.as_ref().filter(|(given, _)| given == partition).map(|(_, next)| *next);
        given.or_else(|| self.positions.get(partition).copied())
    }

    /// How many offsets lie between the position and the end of what may be read, as far as it was heard.
    #[must_use]
    pub fn lag(&self, partition: &Partition) -> Option<u64> {
        let (position, end) = (self.position(partition)?, self.fetcher.end(partition)?);
        u64::try_from(end.0.saturating_sub(position.0)).ok().or(Some(0))
    }

    /// What the group has committed: nothing without a `group.id`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn committed(&self) -> Result<Offsets, ClientError> {
        match &self.config.membership {
            Some(membership) => committed_offsets(&self.cluster, &membership.group).await,
            None => Ok(BTreeMap::new()),
        }
    }

    /// Commits the positions of all that it reads: everything that was given out counts as read.
    ///
    /// # Errors
    /// [`ErrorCode::RebalanceInProgress`] when the group has moved on, and whatever the coordinator says.
    pub async fn commit(&mut self) -> Result<(), ClientError> {
        if let Some((partition, next)) = self.given.take() {
            self.positions.insert(partition, next);
        }
        let positions = self.positions.clone();
        self.commit_offsets(positions).await
    }

    /// Commits these offsets.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_offsets(&self, offsets: Offsets) -> Result<(), ClientError> {
        if offsets.is_empty() {
            return Ok(());
        }
        match &self.membership {
            Some(membership) => membership.commit(offsets).await,
            None => set_offsets(&self.cluster, &self.group()?.group, &offsets).await,
        }
    }

    /// One record after the other; what the group gives and takes is agreed to. What a record's batch holds counts as read
    /// when the next batch is asked for.
    pub fn records(&mut self) -> impl Stream<Item = Result<ConsumerRecord, ClientError>> + '_ {
        let state = (self, Vec::new().into_iter());
        futures::stream::try_unfold(state, async |(consumer, mut left)| {
            loop {
                if let Some(record) = left.next() {
                    return Ok(Some((record, (consumer, left))));
                }
                if let Polled::Records(fetched) = consumer.poll().await? {
                    left = fetched.records()?.into_iter();
                }
            }
        })
    }

    /// Commits what was read, if that happens by itself, and leaves the group. Takes `default.api.timeout.ms` at most.
    ///
    /// # Errors
    /// [`ClientError`]: then the group hears of it when the session ends.
    pub async fn close(mut self) -> Result<(), ClientError> {
        self.done_with();
        let Some(membership) = self.membership.take() else { return Ok(()) };
        membership.leave();
        let farewell = async {
            loop {
                match membership.news().await? {
                    News::Left => return Ok(()),
                    News::Assigned(_) | News::Revoked(_) | News::Lost(_) => {}
                }
            }
        };
        let patience = self.cluster.options().api_timeout;
        tokio::time::timeout(patience, farewell).await.unwrap_or(Ok(()))
    }

    fn not_read(&self, (topic, partition): &Partition) -> ClientError {
        let partitions = self.fetcher.partitions().filter(|(other, _)| other == topic).count();
        ClientError::UnknownPartition { topic: topic.to_string(), partition: *partition, partitions }
    }
}

async fn news(membership: Option<&Membership>) -> Result<News, ClientError> {
    match membership {
        Some(membership) => membership.news().await,
        None => std::future::pending().await,
    }
}
