//! The shell around the accumulator: sends what it gives out, and tells it what comes back.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::accumulator::{Outgoing, Place};
use super::delivery::ProduceError;
use super::queue::{Batch, Identity};
use super::{Acks, Shared};
use crate::client::address::BrokerAddress;
use crate::client::cluster::Cluster;
use crate::client::error::ClientError;
use crate::client::metadata::Metadata;
use crate::model::{BrokerId, ErrorCode, Moment, Offset, ProducerEpoch, ProducerId};
use crate::wire::message::produce::{PartitionProduceData, ProduceResponse, TopicProduceData};
use crate::wire::message::{InitProducerIdRequest, ProduceRequest};

/// The last version of Produce that names topics by name.
const PRODUCE_VERSION_MAX: i16 = 11;

/// How long to wait at most while something is held, whatever it waits for.
const PAUSE: Duration = Duration::from_millis(50);

struct Settled {
    broker: BrokerId,
    batches: Vec<(Place, Batch)>,
    answer: Result<ProduceResponse, ClientError>,
}

/// What is going on.
#[derive(Default)]
struct Going {
    on_its_way: FuturesUnordered<LocalBoxFuture<'static, Settled>>,
    reading: Option<LocalBoxFuture<'static, Result<Metadata, ClientError>>>,
    identifying: Option<LocalBoxFuture<'static, Result<Identity, ClientError>>>,
    brokers: BTreeMap<BrokerId, BrokerAddress>,
    /// When metadata was read; `None` when it must be read again.
    read_at: Option<Moment>,
    /// When it may be read again.
    not_before: Moment,
}

/// Sends until its owner ends it.
pub(super) async fn drive(shared: Rc<Shared>) {
    let mut going = Going::default();
    loop {
        let now = shared.cluster.clock().moment();
        shared.held.borrow_mut().expire(now);
        shared.begin(&mut going, now);
        if std::mem::take(&mut shared.held.borrow_mut().has_settled) {
            shared.moved.notify_waiters();
        }
        let deadline = shared.next_deadline(&going, now);
        let wait = deadline.map(|at| at.since(shared.cluster.clock().moment()));
        tokio::select! {
            biased;
            Some(settled) = going.on_its_way.next() => {
                shared.settle(settled, &mut going);
                // What else is there already.
                while let std::task::Poll::Ready(Some(settled)) = futures::poll!(going.on_its_way.next()) {
                    shared.settle(settled, &mut going);
                }
            }
            read = arrival(&mut going.reading) => {
                going.reading = None;
                shared.learn(read, &mut going);
            }
            identity = arrival(&mut going.identifying) => {
                going.identifying = None;
                shared.identified(identity);
            }
            // Who stirred it hears of nothing new by that.
            () = shared.stirred.notified() => continue,
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
        shared.moved.notify_waiters();
    }
}

async fn arrival<T>(coming: &mut Option<LocalBoxFuture<'static, T>>) -> T {
    match coming {
        Some(coming) => coming.await,
        None => std::future::pending().await,
    }
}

impl Shared {
    /// Begins what can begin now.
    fn begin(self: &Rc<Self>, going: &mut Going, now: Moment) {
        let mut held = self.held.borrow_mut();
        let max_age = self.cluster.options().metadata_age_max;
        let stale = going.read_at.is_none_or(|at| at.after(max_age) <= now) || held.is_leaderless();
        let missing = !self.wanted.borrow().is_empty();
        if going.reading.is_none() && going.not_before <= now && (missing || stale) {
            let mut names = held.topic_names();
            names.extend(self.wanted.borrow().iter().map(|wanted| wanted.topic.clone()));
            names.sort_unstable();
            names.dedup();
            if !names.is_empty() {
                let cluster = Rc::clone(&self.cluster);
                going.reading = Some(Box::pin(async move { cluster.describe(Some(&names), true).await }));
            }
        }
        if going.identifying.is_none() && held.needs_identity() {
            let cluster = Rc::clone(&self.cluster);
            going.identifying = Some(Box::pin(async move { identity(&cluster).await }));
        }
        drop(held);
        loop {
            // Until nothing is left that has room: a request is bounded in bytes.
            let outgoing = self.held.borrow_mut().collect(now, 0 < self.hurrying.get());
            if outgoing.is_empty() {
                return;
            }
            outgoing.into_iter().for_each(|outgoing| self.submit(outgoing, going));
        }
    }

    fn next_deadline(&self, going: &Going, now: Moment) -> Option<Moment> {
        let held = self.held.borrow();
        let reads = (going.reading.is_none() && (held.is_leaderless() || !self.wanted.borrow().is_empty()))
            .then_some(going.not_before);
        let look = held.holds_any().then(|| now.after(PAUSE));
        [reads.map(|at| at.max(now)), held.next_deadline(now), look].into_iter().flatten().min()
    }

    fn submit(self: &Rc<Self>, outgoing: Outgoing, going: &mut Going) {
        let Outgoing { broker, batches } = outgoing;
        let request = self.request(&batches);
        let address = going.brokers.get(&broker).cloned();
        let (cluster, acks) = (Rc::clone(&self.cluster), self.config.acks);
        // Those of one broker are begun in their order, wait for one connection in it, and are written in it.
        going.on_its_way.push(Box::pin(async move {
            let answer = async {
                let address =
                    address.ok_or_else(|| refused("a leader has no address", ErrorCode::LeaderNotAvailable))?;
                let connection = cluster.connection(&address).await?;
                if acks == Acks::None {
                    connection.tell(&request, PRODUCE_VERSION_MAX).await?;
                    return Ok(ProduceResponse::default());
                }
                connection.submit(&request, PRODUCE_VERSION_MAX).await?.wait().await
            };
            let answer = answer.await;
            Settled { broker, batches, answer }
        }));
    }

    fn request(&self, batches: &[(Place, Batch)]) -> ProduceRequest {
        let timeout = self.cluster.options().connection.request_timeout;
        let held = self.held.borrow();
        let mut topic_data = Vec::<TopicProduceData>::new();
        let mut last = None;
        for (place, batch) in batches {
            let index = i32::try_from(place.partition).unwrap_or(i32::MAX);
            let data = PartitionProduceData { index, records: Some(batch.bytes.clone()) };
            match topic_data.last_mut().filter(|_| last == Some(place.topic)) {
                Some(topic) => topic.partition_data.push(data),
                None => topic_data.push(TopicProduceData { name: held.name(*place), partition_data: vec![data] }),
            }
            last = Some(place.topic);
        }
        ProduceRequest {
            transactional_id: None,
            acks: self.config.acks.wire(),
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            topic_data,
        }
    }

    fn settle(&self, settled: Settled, going: &mut Going) {
        let now = self.cluster.clock().moment();
        let mut held = self.held.borrow_mut();
        held.came_back(settled.broker);
        let told = self.config.acks != Acks::None;
        let (answer, failure) = match settled.answer {
            Ok(answer) => (Some(answer), None),
            Err(error) => (None, Some(Rc::new(error))),
        };
        let mut said = BTreeMap::new();
        for topic in answer.iter().flat_map(|answer| &answer.responses) {
            said.extend(topic.partition_responses.iter().map(|part| ((topic.name.as_str(), part.index), part)));
        }
        for (place, batch) in settled.batches {
            let name = held.name(place);
            let index = i32::try_from(place.partition).unwrap_or(i32::MAX);
            let result = match (&failure, said.get(&(name.as_str(), index))) {
                (Some(error), _) => Err(Rc::clone(error)),
                (None, None) if !told => Ok(Offset::NONE),
                (None, None) => Err(Rc::new(refused("a batch was not answered", ErrorCode::NetworkException))),
                // The broker has it already: an earlier try arrived and its answer did not.
                (None, Some(part)) if part.error_code == ErrorCode::DuplicateSequenceNumber => Ok(Offset::NONE),
                (None, Some(part)) => ClientError::check(part.error_code, part.error_message.as_deref(), || {
                    format!("partition {name}-{index} did not take a batch")
                })
                .map(|()| Offset(part.base_offset))
                .map_err(Rc::new),
            };
            if held.settle(now, place, batch, result) {
                going.read_at = None;
            }
        }
        if let Some(error) = held.failure.clone().filter(ProduceError::is_fatal) {
            held.abandon(&error);
            *self.fatal.borrow_mut() = Some(error);
        }
    }

    fn learn(&self, read: Result<Metadata, ClientError>, going: &mut Going) {
        let now = self.cluster.clock().moment();
        going.not_before = now.after(self.cluster.options().retry.shortest());
        let metadata = match read {
            Ok(metadata) => metadata,
            Err(error) => {
                let error = Rc::new(error);
                self.wanted.borrow_mut().iter_mut().for_each(|wanted| wanted.said = Some(Rc::clone(&error)));
                return;
            }
        };
        self.held.borrow_mut().learn(&metadata);
        going.read_at = Some(now);
        going.brokers.clone_from(&metadata.brokers);
        for wanted in self.wanted.borrow_mut().iter_mut() {
            if let Some(Err(code)) = metadata.topics.get(&wanted.topic) {
                let what = format!("topic '{}' cannot be written to", wanted.topic);
                wanted.said = Some(Rc::new(ClientError::Refused { what, code: *code, message: None }));
            }
        }
    }

    fn identified(&self, identity: Result<Identity, ClientError>) {
        match identity {
            Ok(identity) => self.held.borrow_mut().identify(identity),
            // Records wait for it as long as they may wait.
            Err(error) if error.is_retriable() => {}
            Err(error) => {
                let error = ProduceError::Fatal(Rc::new(error));
                self.held.borrow_mut().abandon(&error);
                *self.fatal.borrow_mut() = Some(error);
            }
        }
    }
}

fn refused(what: &str, code: ErrorCode) -> ClientError {
    ClientError::Refused { what: what.to_owned(), code, message: None }
}

async fn identity(cluster: &Cluster) -> Result<Identity, ClientError> {
    let request = InitProducerIdRequest { transaction_timeout_ms: i32::MAX, ..InitProducerIdRequest::default() };
    cluster
        .retry(async || {
            let response = cluster.any().await?.call(&request).await?;
            ClientError::check(response.error_code, None, || "no producer id was given out".to_owned())?;
            let (id, epoch) = (ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch));
            Ok(Identity { id, epoch })
        })
        .await
}
