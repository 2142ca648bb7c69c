//! Fetches from leaders or from replicas near by, ahead of who reads, and bounded in bytes.
//!
//! *Invariant*: per partition every record from the position on is given once, in order, whatever happens to connections and
//! leaders in between. What is held and not given yet stays below `fetch.max.bytes` and one answer of each broker, which
//! together ask for no more than that again.
//! *Does not know*: groups, committed offsets, and what to do about an offset that is not there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::fetched::Fetched;
use super::offsets::{Isolation, refused};
use crate::client::cluster::{BackOff, Cluster};
use crate::client::error::{ClientError, is_retriable};
use crate::client::group::member::Partition;
use crate::client::metadata::Metadata;
use crate::model::{BrokerId, ErrorCode, Moment, Offset, PartitionIndex, ProducerId};
use crate::wire::message::FetchRequest;
use crate::wire::message::fetch::{FetchPartition, FetchResponse, FetchTopic, PartitionData};
use crate::wire::record::Batches;
use crate::wire::{Payload, Str};

/// Fetch up to this version names topics by name.
const FETCH_VERSION_MAX: i16 = 12;

/// How a fetcher behaves: the consumer's keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FetchOptions {
    pub(super) isolation: Isolation,
    pub(super) rack: Option<Str>,
    pub(super) bytes_max: i32,
    pub(super) partition_bytes_max: i32,
    pub(super) bytes_min: i32,
    pub(super) wait_max: Duration,
    pub(super) check_crcs: bool,
    pub(super) may_create: bool,
}

/// What a fetcher has for its owner.
pub(super) enum Found {
    Records(Fetched),
    /// A partition does not hold its position: it waits until it has another one.
    OutOfRange,
}

/// A partition that is read.
#[derive(Debug)]
struct Fetching {
    /// Where the next request begins; `None` until it is known.
    next: Option<Offset>,
    paused: bool,
    /// A request is on its way.
    asked: bool,
    /// Counts the seeks: an answer to an earlier one is dropped.
    seeks: u64,
    /// Whom the leader names to read from, and until when.
    nearest: Option<(BrokerId, Moment)>,
    not_before: Moment,
    back_off: BackOff,
    /// Since when it cannot be read.
    failing_since: Option<Moment>,
    /// One past the last record that may be seen, once known.
    end: Option<Offset>,
}

struct Answered {
    broker: BrokerId,
    asked: Vec<(Partition, Offset, u64)>,
    response: Result<FetchResponse, ClientError>,
}

type OnItsWay = futures::future::LocalBoxFuture<'static, Answered>;

pub(super) struct Fetcher {
    cluster: Rc<Cluster>,
    options: FetchOptions,
    partitions: BTreeMap<Partition, Fetching>,
    metadata: Metadata,
    /// When it was read; `None` for what must be read again.
    metadata_at: Option<Moment>,
    has_metadata: bool,
    refreshing: Option<futures::future::LocalBoxFuture<'static, Result<Metadata, ClientError>>>,
    /// At most one request per broker.
    on_its_way: FuturesUnordered<OnItsWay>,
    busy: BTreeSet<BrokerId>,
    /// Fetched and not given yet.
    held: VecDeque<Fetched>,
}

impl Fetcher {
    pub(super) fn new(cluster: Rc<Cluster>, options: FetchOptions) -> Self {
        Self {
            cluster,
            options,
            partitions: BTreeMap::new(),
            metadata: Metadata::default(),
            metadata_at: None,
            has_metadata: false,
            refreshing: None,
            on_its_way: FuturesUnordered::new(),
            busy: BTreeSet::new(),
            held: VecDeque::new(),
        }
    }

    /// Begins to read a partition when it has a position.
    pub(super) fn add(&mut self, partition: Partition) {
        let back_off = self.cluster.options().retry;
        self.partitions.entry(partition).or_insert(Fetching {
            next: None,
            paused: false,
            asked: false,
            seeks: 0,
            nearest: None,
            not_before: Moment::default(),
            back_off,
            failing_since: None,
            end: None,
        });
        self.metadata_at = None;
        self.has_metadata = false;
        // What is being read does not tell of it.
        self.refreshing = None;
    }

    /// Reads no more of a partition.
    pub(super) fn remove(&mut self, partition: &Partition) {
        self.partitions.remove(partition);
        self.drop_held(partition);
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.keys()
    }

    /// Those that have no position yet.
    pub(super) fn without_position(&self) -> Vec<Partition> {
        let unknown = self.partitions.iter().filter(|(_, fetching)| fetching.next.is_none());
        unknown.map(|(partition, _)| partition.clone()).collect()
    }

    pub(super) fn has(&self, partition: &Partition) -> bool {
        self.partitions.contains_key(partition)
    }

    /// Goes on from this offset; what is held of another place is dropped.
    pub(super) fn seek(&mut self, partition: &Partition, to: Option<Offset>) {
        if let Some(fetching) = self.partitions.get_mut(partition) {
            fetching.next = to;
            fetching.seeks += 1;
            fetching.failing_since = None;
        }
        self.drop_held(partition);
    }

    pub(super) fn pause(&mut self, partition: &Partition, paused: bool) {
        if let Some(fetching) = self.partitions.get_mut(partition) {
            fetching.paused = paused;
        }
    }

    pub(super) fn is_paused(&self, partition: &Partition) -> bool {
        self.partitions.get(partition).is_some_and(|fetching| fetching.paused)
    }

    /// One past the last record that may be seen, as far as it was heard.
    pub(super) fn end(&self, partition: &Partition) -> Option<Offset> {
        self.partitions.get(partition)?.end
    }

    fn drop_held(&mut self, partition: &Partition) {
        self.held.retain(|fetched| fetched.partition != *partition);
    }

    /// The next records, or a partition that has lost its position. Waits while there is nothing. May be dropped at any point
    /// and called again.
    pub(super) async fn next(&mut self) -> Result<Found, ClientError> {
        loop {
            // What comes next is fetched while this is read: so the request has to leave before.
            if self.ask()? {
                if let Poll::Ready(Some(answered)) = futures::poll!(self.on_its_way.next()) {
                    if self.answered(answered)? {
                        return Ok(Found::OutOfRange);
                    }
                    continue;
                }
                // The connection writes on this thread.
                tokio::task::yield_now().await;
            }
            if let Some(fetched) = self.take_held() {
                return Ok(Found::Records(fetched));
            }
            let now = self.cluster.clock().moment();
            let again = self.again_at().map(|at| at.since(now));
            let answered = tokio::select! {
                biased;
                Some(answered) = self.on_its_way.next() => answered,
                metadata = arrival(&mut self.refreshing) => {
                    self.refreshing = None;
                    self.metadata = metadata?.after(&self.metadata);
                    self.metadata_at = Some(self.cluster.clock().moment());
                    continue;
                }
                () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => continue,
            };
            if self.answered(answered)? {
                return Ok(Found::OutOfRange);
            }
        }
    }

    fn take_held(&mut self) -> Option<Fetched> {
        let readable =
            |fetched: &Fetched| self.partitions.get(&fetched.partition).is_some_and(|fetching| !fetching.paused);
        let place = self.held.iter().position(readable)?;
        self.held.remove(place)
    }

    /// Bytes that wait to be given. What is held of paused partitions must not keep others from being read.
    fn held_bytes(&self) -> usize {
        let waiting = self.held.iter().filter(|fetched| !self.is_paused(&fetched.partition));
        waiting.map(Fetched::bytes).sum()
    }

    /// When something that waits may be asked for.
    fn again_at(&self) -> Option<Moment> {
        let waiting = self.partitions.values().filter(|it| !it.paused && !it.asked && it.next.is_some());
        // A broker that is asked already, or memory that is full, is waited for by other means.
        let times = waiting.map(|it| it.not_before).filter(|at| self.cluster.clock().moment() < *at);
        times.min()
    }

    /// Asks every broker that has something to say and is not asked yet. Whether there was one.
    fn ask(&mut self) -> Result<bool, ClientError> {
        let limit = usize::try_from(self.options.bytes_max).unwrap_or(0).max(1);
        let held = self.held_bytes();
        if limit <= held || self.partitions.is_empty() {
            return Ok(false);
        }
        self.refresh();
        if self.metadata_at.is_none() {
            return Ok(false);
        }
        let now = self.cluster.clock().moment();
        let mut leaderless = false;
        let mut wanted = BTreeMap::<BrokerId, Vec<(Partition, Offset, u64)>>::new();
        for (partition, fetching) in &mut self.partitions {
            let Some(next) =
                fetching.next.filter(|_| !fetching.paused && !fetching.asked && fetching.not_before <= now)
            else {
                continue;
            };
            let nearest =
                fetching.nearest.filter(|(broker, until)| now < *until && self.metadata.brokers.contains_key(broker));
            let leader = || self.metadata.leader(&partition.0, PartitionIndex(partition.1));
            match nearest.map(|(broker, _)| broker).or_else(leader) {
                Some(broker) if self.busy.contains(&broker) => {}
                Some(broker) => wanted.entry(broker).or_default().push((partition.clone(), next, fetching.seeks)),
                None => {
                    leaderless = true;
                    fetching.fail(now, self.cluster.options().api_timeout, || no_leader(partition))?;
                }
            }
        }
        if leaderless {
            self.metadata_at = None;
        }
        let share = (limit - held) / wanted.len().max(1);
        let asks = !wanted.is_empty();
        for (broker, asked) in wanted {
            self.ask_one(broker, asked, i32::try_from(share).unwrap_or(i32::MAX));
        }
        Ok(asks)
    }

    fn ask_one(&mut self, broker: BrokerId, asked: Vec<(Partition, Offset, u64)>, bytes_max: i32) {
        let Some(address) = self.metadata.brokers.get(&broker).cloned() else { return };
        let mut topics = BTreeMap::<Str, Vec<FetchPartition>>::new();
        for ((topic, partition), offset, _) in &asked {
            topics.entry(topic.clone()).or_default().push(FetchPartition {
                partition: *partition,
                // Who no longer leads under it says so, instead of how far it got.
                current_leader_epoch: self.metadata.leader_epoch(topic, PartitionIndex(*partition)).0,
                fetch_offset: offset.0,
                partition_max_bytes: self.options.partition_bytes_max,
                ..FetchPartition::default()
            });
        }
        for (partition, ..) in &asked {
            if let Some(fetching) = self.partitions.get_mut(partition) {
                fetching.asked = true;
            }
        }
        let topics =
            topics.into_iter().map(|(topic, partitions)| FetchTopic { topic, partitions, ..FetchTopic::default() });
        let wait = self.options.wait_max;
        let request = FetchRequest {
            max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: self.options.bytes_min,
            max_bytes: bytes_max,
            isolation_level: self.options.isolation.wire(),
            topics: topics.collect(),
            rack_id: self.options.rack.clone().unwrap_or_default(),
            ..FetchRequest::default()
        };
        self.busy.insert(broker);
        let cluster = Rc::clone(&self.cluster);
        self.on_its_way.push(Box::pin(async move {
            let response = async {
                let answer = cluster.connection(&address).await?.submit(&request, FETCH_VERSION_MAX).await?;
                answer.and_also(wait).wait().await
            };
            let response = response.await;
            Answered { broker, asked, response }
        }));
    }

    /// Has metadata read again when it is old, or did not tell all.
    fn refresh(&mut self) {
        let now = self.cluster.clock().moment();
        let fresh = self.metadata_at.is_some_and(|at| now < at.after(self.cluster.options().metadata_age_max));
        if fresh || self.refreshing.is_some() {
            return;
        }
        let mut topics = self.partitions.keys().map(|(topic, _)| topic.clone()).collect::<Vec<_>>();
        topics.dedup();
        let (cluster, may_create) = (Rc::clone(&self.cluster), self.options.may_create);
        let pause = if self.has_metadata { RETRY } else { Duration::ZERO };
        self.has_metadata = true;
        self.refreshing = Some(Box::pin(async move {
            tokio::time::sleep(pause).await;
            cluster.retry(async || cluster.describe(Some(&topics), may_create).await).await
        }));
    }

    /// Takes an answer in. Whether a partition's position is not there.
    fn answered(&mut self, answered: Answered) -> Result<bool, ClientError> {
        let now = self.cluster.clock().moment();
        let patience = self.cluster.options().api_timeout;
        self.busy.remove(&answered.broker);
        for (partition, ..) in &answered.asked {
            if let Some(fetching) = self.partitions.get_mut(partition) {
                fetching.asked = false;
            }
        }
        let checked = answered.response.and_then(|response| {
            ClientError::check(response.error_code, None, || "records cannot be read".to_owned())?;
            Ok(response)
        });
        let response = match checked {
            Ok(response) => response,
            Err(error) if error.is_retriable() => {
                self.metadata_at = None;
                let text = error.to_string();
                for (partition, ..) in &answered.asked {
                    if let Some(fetching) = self.partitions.get_mut(partition) {
                        fetching.nearest = None;
                        fetching.fail(now, patience, || unreadable(partition, &text))?;
                    }
                }
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let mut lost = false;
        // What was asked before a seek counts no more.
        let current = |partition: &Partition, seeks| self.partitions.get(partition).is_some_and(|it| it.seeks == seeks);
        let asked = answered.asked.into_iter().filter(|(partition, _, seeks)| current(partition, *seeks));
        let mut asked = asked.map(|(partition, ..)| partition).collect::<BTreeSet<_>>();
        for topic in response.responses {
            for data in topic.partitions {
                let partition = (topic.topic.clone(), data.partition_index);
                lost |= asked.remove(&partition) && self.take(&partition, data, now)?;
            }
        }
        Ok(lost)
    }

    /// What an answer has of one partition. Whether its position is not there.
    fn take(&mut self, partition: &Partition, data: PartitionData, now: Moment) -> Result<bool, ClientError> {
        let options = &self.options;
        let patience = self.cluster.options().api_timeout;
        let Some(fetching) = self.partitions.get_mut(partition) else { return Ok(false) };
        let Some(from) = fetching.next else { return Ok(false) };
        let code = data.error_code;
        if code == ErrorCode::OffsetOutOfRange && fetching.nearest.take().is_none() {
            fetching.next = None;
            fetching.seeks += 1;
            return Ok(true);
        }
        if code.is_error() {
            fetching.nearest = None;
            self.metadata_at = None;
            // A topic that was deleted is waited for, as a broker that has just started knows of none.
            if is_retriable(code) || code == ErrorCode::OffsetOutOfRange {
                fetching.fail(now, patience, || refused(&partition.0, PartitionIndex(partition.1), code))?;
                return Ok(false);
            }
            return Err(refused(&partition.0, PartitionIndex(partition.1), code));
        }
        fetching.failing_since = None;
        fetching.back_off = self.cluster.options().retry;
        if 0 <= data.preferred_read_replica {
            let until = now.after(self.cluster.options().metadata_age_max);
            fetching.nearest = Some((BrokerId(data.preferred_read_replica), until));
        }
        let end = match options.isolation {
            Isolation::ReadUncommitted => data.high_watermark,
            Isolation::ReadCommitted => data.last_stable_offset,
        };
        fetching.end = Some(Offset(end));
        let records = match data.records {
            Payload::Bytes(bytes) => bytes,
            Payload::None | Payload::External { .. } => Bytes::new(),
        };
        // Damage ends this walk and is told by `visit`, which walks the same way and checks more.
        let last = Batches::new(&records).map_while(Result::ok).last().map(|(last, _)| last.last_offset().next());
        let damaged = last.is_none() && !records.is_empty();
        let next = from.max(last.unwrap_or(from));
        fetching.next = Some(next);
        if records.is_empty() && next == from {
            return Ok(false);
        }
        if damaged {
            // Shown once, and not fetched again and again.
            fetching.paused = true;
        }
        let aborted = data.aborted_transactions.into_iter().flatten();
        let aborted = aborted.map(|aborted| (Offset(aborted.first_offset), ProducerId(aborted.producer_id))).collect();
        let fetched = Fetched {
            partition: partition.clone(),
            next,
            end: Offset(end),
            from,
            records,
            aborted,
            check_crcs: options.check_crcs,
        };
        self.held.push_back(fetched);
        Ok(false)
    }
}

/// How long to wait before metadata is read again.
const RETRY: Duration = Duration::from_millis(100);

impl Fetching {
    /// Waits longer with each failure, and says so when it took too long.
    fn fail(&mut self, now: Moment, patience: Duration, why: impl FnOnce() -> ClientError) -> Result<(), ClientError> {
        let since = *self.failing_since.get_or_insert(now);
        self.not_before = now.after(self.back_off.advance());
        if since.after(patience) <= now {
            // Who goes on all the same hears of it again when as much time is over.
            self.failing_since = None;
            return Err(why());
        }
        Ok(())
    }
}

fn no_leader((topic, partition): &Partition) -> ClientError {
    refused(topic, PartitionIndex(*partition), ErrorCode::LeaderNotAvailable)
}

fn unreadable((topic, partition): &Partition, why: &str) -> ClientError {
    ClientError::Refused {
        what: format!("partition {topic}-{partition} cannot be read"),
        code: ErrorCode::NetworkException,
        message: Some(why.to_owned()),
    }
}

async fn arrival(
    refreshing: &mut Option<futures::future::LocalBoxFuture<'static, Result<Metadata, ClientError>>>,
) -> Result<Metadata, ClientError> {
    match refreshing {
        Some(refreshing) => refreshing.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_on_after_an_error_neither_spins_nor_hears_it_with_each_try() {
        let mut fetching = Fetching {
            next: Some(Offset(0)),
            paused: false,
            asked: false,
            seeks: 0,
            nearest: None,
            not_before: Moment::default(),
            back_off: BackOff::between(Duration::from_millis(100), Duration::from_secs(1)),
            failing_since: None,
            end: None,
        };
        let partition = (Str::from("t"), 0);
        let (mut now, mut tries, mut errors) = (Moment::default(), 0, 0);
        while now < Moment(Duration::from_secs(100)) {
            tries += 1;
            errors += usize::from(fetching.fail(now, Duration::from_secs(30), || no_leader(&partition)).is_err());
            assert!(now < fetching.not_before);
            now = fetching.not_before;
        }
        assert_eq!(errors, 3);
        assert!(tries < 110, "{tries}");
    }
}
