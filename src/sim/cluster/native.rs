//! Dohle's own client in the cluster, on the simulator's network and clock: a producer that writes to the topics that are there all
//! the time, and a consumer that reads them. They find leaders, connect again and try again by themselves; the oracle hears what
//! they report, and holds it against what is there.
//!
//! A producer one of whose records was not written is given up, and the next one counts anew: what was under way may still arrive.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::super::life::Life;
use super::super::oracle::{Audit, Origin, Place, Strength, Violation};
use super::fabric::{Fabric, PORT, Party};
use crate::client::config::{ConsumerConfig, ProducerConfig};
use crate::client::consumer::{Consumer, Fetched, Polled};
use crate::client::producer::{Delivered, ProduceError, Producer};
use crate::client::{ClientError, Cluster, Way};
use crate::model::{Clock, ErrorCode, Moment, Offset, PartitionIndex, Timestamp};
use crate::net::Stream;
use crate::storage::disk::sim::Dice;
use crate::wire::record::NewRecord;

/// The first producer's number for the oracle: no other producer of a run has it.
const FIRST_NUMBER: u64 = 500_000;

/// How often in a row a position may be out of range: a broker that leads no more may end before it, and not know it yet.
const ASTRAY_MAX: u32 = 50;

/// How often in a row the consumer may give up what it does.
const FAILURES_MAX: u32 = 50;

/// What both share.
pub struct Native {
    life: Rc<Life>,
    fabric: Fabric,
    brokers: i32,
    places: Vec<Place>,
    seed: u64,
}

/// The network as clients use it.
struct Roads(Fabric);

impl Way for Roads {
    fn connect<'a>(&'a self, host: &'a str, _: u16) -> LocalBoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens");
            let broker = host.strip_prefix("broker-").and_then(|id| id.parse().ok()).ok_or_else(refused)?;
            let stream = self.0.connect(Party::Clients, broker).await.ok_or_else(refused)?;
            Ok(Stream::Other(Box::new(stream)))
        })
    }
}

/// The life's clock on one thread.
struct LifeClock(Arc<dyn Clock>);

impl Clock for LifeClock {
    fn timestamp(&self) -> Timestamp {
        self.0.timestamp()
    }

    fn moment(&self) -> Moment {
        self.0.moment()
    }
}

/// A record that was handed over, and what became of it.
type Report = LocalBoxFuture<'static, (Place, Vec<u8>, Moment, Result<Delivered, ProduceError>)>;

impl Native {
    /// Clients of these partitions, in a cluster whose brokers are numbered from 1.
    #[must_use]
    pub const fn new(life: Rc<Life>, fabric: Fabric, brokers: i32, places: Vec<Place>, seed: u64) -> Self {
        Self { life, fabric, brokers, places, seed }
    }

    fn common(&self) -> Vec<(&'static str, String)> {
        let servers = (1..=self.brokers).map(|id| format!("broker-{id}:{PORT}")).collect::<Vec<_>>();
        vec![
            ("bootstrap.servers", servers.join(",")),
            ("client.id", "native".to_owned()),
            ("request.timeout.ms", "8000".to_owned()),
            ("socket.connection.setup.timeout.ms", "2000".to_owned()),
            ("metadata.max.age.ms", "5000".to_owned()),
        ]
    }

    fn cluster(&self, config: &crate::client::config::CommonConfig, seed: u64) -> Rc<Cluster> {
        let clock = Rc::new(LifeClock(Arc::clone(&self.life.clock)));
        let cluster = Cluster::seeded(config.bootstrap.clone(), config.client.clone(), clock, seed);
        Rc::new(cluster.on(Rc::new(Roads(self.fabric.clone()))))
    }

    /// Writes until the life drains, and ends when all is acknowledged.
    pub async fn produce(self: Rc<Self>) {
        let mut dice = Dice::new(self.seed);
        let codec = ["none", "none", "lz4", "gzip"].get(dice.below_usize(4)).copied().unwrap_or("none");
        // No batch is larger than the smallest segment, which would refuse it.
        let batch = [0, 500, 2000].get(dice.below_usize(3)).copied().unwrap_or(0);
        let own = [
            ("linger.ms", dice.below(40).to_string()),
            ("batch.size", batch.to_string()),
            ("max.in.flight.requests.per.connection", (1 + dice.below(5)).to_string()),
            ("compression.type", codec.to_owned()),
            ("buffer.memory", "20000".to_owned()),
            // Longer than everything that goes wrong.
            ("delivery.timeout.ms", "600000".to_owned()),
            ("max.block.ms", "600000".to_owned()),
        ];
        let config = ProducerConfig::new(self.common().into_iter().chain(own));
        let config = config.unwrap_or_else(|error| panic!("our own configuration: {error}"));
        for number in FIRST_NUMBER.. {
            let producer = Producer::with(self.cluster(&config.common, dice.below(u64::MAX)), &config);
            match self.write(&producer, number, &mut dice).await {
                Ok(()) => return,
                Err(error) => self.life.trace.note(format_args!("the native producer begins anew: {error}")),
            }
            drop(producer);
            self.life.pause(300).await;
        }
    }

    async fn write(&self, producer: &Producer, number: u64, dice: &mut Dice) -> Result<(), ProduceError> {
        let life = &self.life;
        let mut counts = BTreeMap::<&Place, u64>::new();
        let mut reports = FuturesUnordered::<Report>::new();
        while !life.draining.get() {
            let Some(place) = self.places.get(dice.below_usize(self.places.len())) else { return Ok(()) };
            let count = counts.entry(place).or_default();
            let mut value = format!("{place}/{number}/{count}|").into_bytes();
            value.extend((0..dice.below(200)).map(|at| u8::try_from((at ^ *count) & 0xff).unwrap_or(0)));
            let origin = Origin { producer: number, number: *count, idempotent: true };
            *count += 1;
            life.oracle.borrow_mut().sent(place, &value, origin);
            let asked = life.now();
            let record = NewRecord { timestamp: life.clock.timestamp(), value: Some(&value), ..NewRecord::default() };
            let delivery = producer.send(&place.topic, Some(PartitionIndex(place.partition)), &record).await;
            let delivery = delivery.map_err(|error| self.explained(place, error))?;
            let place = place.clone();
            reports.push(Box::pin(async move { (place, value, asked, delivery.await) }));
            while let Some(Some(report)) = reports.next().now_or_never() {
                self.hear(report)?;
            }
            if dice.percent(40) {
                tokio::time::sleep(std::time::Duration::from_millis(dice.below(400))).await;
            }
        }
        // What failed is told by its report.
        let _failed = producer.flush().await;
        while let Some(report) = reports.next().await {
            self.hear(report)?;
        }
        Ok(())
    }

    fn hear(
        &self,
        (place, value, asked, report): (Place, Vec<u8>, Moment, Result<Delivered, ProduceError>),
    ) -> Result<(), ProduceError> {
        let delivered = report.map_err(|error| self.explained(&place, error))?;
        let Delivered { partition, offset } = delivered;
        if partition.0 != place.partition {
            self.life.violation(Violation::Other(format!("{place}: a record went to partition {partition}")));
        }
        // Without one the broker had it already and does not remember where.
        if Offset(0) <= offset {
            self.life.acknowledged(&place, offset.0, &[value], Strength::Firm, asked);
        }
        Ok(())
    }

    /// Says what is wrong if a good record should never be told this.
    fn explained(&self, place: &Place, error: ProduceError) -> ProduceError {
        // As for the other idempotent producers: a broker that leads no more may not know it, nor what was written since.
        let forgotten = [ErrorCode::OutOfOrderSequenceNumber, ErrorCode::UnknownProducerId];
        let is_known = |source: &ClientError| forgotten.iter().any(|code| source.is_refusal(*code));
        // What was sent behind such a record.
        let is_doubtful = matches!(error, ProduceError::Doubtful { .. });
        if !is_doubtful && !error.source_error().is_some_and(is_known) {
            self.life.violation(Violation::Refused { place: place.clone(), error: error.to_string() });
        }
        error
    }

    /// Reads everything as it comes, until the life ends.
    pub async fn consume(self: Rc<Self>) {
        let own = [
            ("auto.offset.reset", "none".to_owned()),
            ("fetch.max.wait.ms", "300".to_owned()),
            ("default.api.timeout.ms", "60000".to_owned()),
        ];
        let config = ConsumerConfig::new(self.common().into_iter().chain(own));
        let config = config.unwrap_or_else(|error| panic!("our own configuration: {error}"));
        let mut consumer = Consumer::with(self.cluster(&config.common, !self.seed), config);
        let partition = |place: &Place| (place.topic.as_str().into(), place.partition);
        consumer.assign(self.places.iter().map(partition));
        let mut positions = self.places.iter().map(|place| (place.clone(), 0_i64)).collect::<BTreeMap<_, _>>();
        let (mut astray, mut failures) = (0, 0);
        loop {
            for (place, position) in &positions {
                if consumer.position(&partition(place)) != Some(Offset(*position)) {
                    let sought = consumer.seek(&partition(place), Offset(*position));
                    sought.unwrap_or_else(|error| panic!("it reads {place}: {error}"));
                }
            }
            let asked = self.life.now();
            match consumer.poll().await {
                Ok(Polled::Records(fetched)) => {
                    (astray, failures) = (0, 0);
                    self.take(&fetched, asked, &mut positions);
                }
                Ok(Polled::Assigned(_) | Polled::Revoked(_) | Polled::Lost(_)) => {}
                Err(error) => {
                    let is_astray = error.is_refusal(ErrorCode::OffsetOutOfRange);
                    let count = if is_astray { &mut astray } else { &mut failures };
                    *count += 1;
                    self.life.trace.note(format_args!("the native consumer hears {error}"));
                    if *count == if is_astray { ASTRAY_MAX } else { FAILURES_MAX } {
                        self.life.violation(Violation::Other(format!("the native consumer cannot go on: {error}")));
                    }
                    self.life.pause(300).await;
                }
            }
        }
    }

    fn take(&self, fetched: &Fetched, asked: Moment, positions: &mut BTreeMap<Place, i64>) {
        let place = Place { topic: fetched.partition.0.to_string(), partition: fetched.partition.1 };
        let Some(position) = positions.get_mut(&place) else { return };
        let records = match fetched.records() {
            Ok(records) => records,
            Err(error) => return self.life.violation(Violation::Other(format!("{place}: {error}"))),
        };
        let value = |value: Option<bytes::Bytes>| value.unwrap_or_default().to_vec();
        let records = records.into_iter().map(|record| (record.offset.0, value(record.value))).collect::<Vec<_>>();
        let end = records.last().map_or(*position, |(last, _)| last.saturating_add(1));
        let when = self.life.since(asked);
        // It says no high watermark: what it gives is taken for committed.
        let audit = Audit { start: *position, high_watermark: end, records: &records, when };
        self.life.oracle.borrow_mut().fetched(&place, &audit);
        *position = end;
    }
}
