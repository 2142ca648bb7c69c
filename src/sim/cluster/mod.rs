//! A cluster under a seed: three to five brokers with disks of their own, one coordinator, a network between all of them that
//! breaks and stops, and clients who find their leaders themselves.
//!
//! The brokers die, lose their power, are cut off from each other and from the coordinator, and are stopped and started in good
//! order. In the end everything is healed: then every partition must have a leader and all of its replicas in sync, everything
//! that was acknowledged must be there, in order, once, and all replicas must hold the same bytes.

pub mod fabric;
pub mod node;
pub mod way;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, LocalSet};

use self::fabric::{Fabric, Party};
use self::node::{Death, Node, Surroundings};
use self::way::Router;
use super::consumer;
use super::disk::FlushFailures;
use super::life::{Life, RECOVERY_PATIENCE};
use super::oracle::{Keeps, Place, Promise, Violation};
use super::ports::SimClock;
use super::power::Power;
use super::producer::{self, Habits, Producer};
use super::run::{BEGINNING, Outcome, Statistics, panics, panics_are_counted};
use super::trace::Trace;
use crate::coordination::embedded::Embedded;
use crate::model::Clock;
use crate::storage::disk::Disk as _;
use crate::storage::disk::sim::{Dice, SimDisk};
use crate::wire::record::Codec;

/// How long everything goes wrong, in ms.
const TROUBLE_MS: u64 = 40_000;

/// Longest time in ms between two things that go wrong.
const PAUSE_MS: u64 = 3_000;

/// Longest time in ms that a broker is down.
const DOWN_MS: u64 = 12_000;

/// Settings of every broker: everything that takes half a minute in life takes seconds here.
const SETTINGS: &str = "replica.lag.time.max.ms=4000\nreplica.fetch.wait.max.ms=200\nreplica.fetch.backoff.ms=200\n\
    replica.high.watermark.checkpoint.interval.ms=500\nlog.flush.offset.checkpoint.interval.ms=500\n\
    log.retention.check.interval.ms=1000\nleader.imbalance.check.interval.seconds=5\nnum.replica.fetchers=2\n";

/// A topic of a run.
struct Topic {
    name: &'static str,
    partitions: i32,
    replication_factor: i16,
    flushed: bool,
}

impl Topic {
    fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let topic = self.name.to_owned();
        (0..self.partitions).map(move |partition| Place { topic: topic.clone(), partition })
    }
}

const TOPICS: [Topic; 2] = [
    Topic { name: "ledger", partitions: 2, replication_factor: 3, flushed: true },
    Topic { name: "cache", partitions: 1, replication_factor: 3, flushed: false },
];

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, trace: &Trace) -> Outcome {
    panics_are_counted();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap_or_else(|error| panic!("a runtime without threads: {error}"));
    let local = LocalSet::new();
    let outcome = local.block_on(&runtime, async {
        let mut world = World::new(seed, trace.clone());
        world.run().await;
        world.outcome(seed)
    });
    let entered = runtime.enter();
    drop(local);
    drop(entered);
    outcome
}

struct World {
    dice: Dice,
    around: Surroundings,
    nodes: Vec<Node>,
    life: Rc<Life>,
    statistics: Statistics,
}

impl World {
    fn new(seed: u64, trace: Trace) -> Self {
        let mut dice = Dice::new(seed);
        let clock: Arc<dyn Clock> = Arc::new(SimClock::start(BEGINNING));
        let fabric = Fabric::new(dice.below(u64::MAX), trace.clone());
        let ensemble = Embedded::in_memory(Arc::clone(&clock));
        let count = 3 + i32::try_from(dice.below(3)).unwrap_or(0);
        let nodes = (1..=count).map(|id| Node::new(id, dice.below(u64::MAX), SETTINGS)).collect::<Vec<_>>();
        let router = Router::new(fabric.clone(), trace.clone(), count, dice.below(u64::MAX));
        let life = Rc::new(Life {
            way: Rc::new(router),
            trace: trace.clone(),
            power: Power::default(),
            clock: Arc::clone(&clock),
            failures: FlushFailures::default(),
            oracle: Rc::default(),
            dice: RefCell::new(Dice::new(dice.below(u64::MAX))),
            draining: Cell::new(false),
            disk_is_full: Cell::new(false),
            faulted: RefCell::default(),
            coordinator_failed: Cell::new(true),
            disk_fills: Cell::new(0),
        });
        let around = Surroundings { fabric, trace, clock, ensemble };
        Self { dice, around, nodes, life, statistics: Statistics::default() }
    }

    async fn run(&mut self) {
        for node in &mut self.nodes {
            node.start(&self.around);
        }
        for topic in &TOPICS {
            let flushed = if topic.flushed { "flushed" } else { "page-cache" };
            let configs = [("durability", flushed), ("min.insync.replicas", "2"), ("segment.bytes", "20000")];
            way::create(&self.life, topic.name, topic.partitions, topic.replication_factor, &configs).await;
            let promise = Promise { flushed: topic.flushed, keeps: Keeps::All };
            let mut oracle = self.life.oracle.borrow_mut();
            oracle.replicated();
            topic.places().for_each(|place| oracle.created(place, promise));
        }
        let producers = self.start_clients();
        self.trouble().await;
        self.heal().await;
        self.calm_down(producers).await;
        self.compare().await;
    }

    fn start_clients(&mut self) -> Vec<JoinHandle<()>> {
        let mut producers = Vec::new();
        let mut number = 0;
        for place in TOPICS.iter().flat_map(Topic::places) {
            for (name, idempotent) in [("idempotent", true), ("plain", false)] {
                number += 1;
                let habits = Habits {
                    name,
                    acks: -1,
                    idempotent,
                    in_flight_max: 1,
                    codec: Codec::None,
                    pause_ms: 50 + self.dice.below(200),
                };
                let state = Rc::new(RefCell::new(Producer::new(number, habits, [place.clone()])));
                producers.push(tokio::task::spawn_local(producer::run(Rc::clone(&self.life), state)));
            }
            let positions = Rc::new(RefCell::new(BTreeMap::from([(place, 0)])));
            tokio::task::spawn_local(consumer::run(Rc::clone(&self.life), "consumer", positions));
        }
        producers
    }

    /// One thing after the other goes wrong. Of the machines that lose their power only one is down at a time, and it is back in
    /// the ISR before the next: that is what `min.insync.replicas=2` with page-cache durability promises to survive.
    async fn trouble(&mut self) {
        let over = self.around.clock.moment().after(Duration::from_millis(TROUBLE_MS));
        while self.around.clock.moment() < over {
            let pause = self.dice.below(PAUSE_MS) + 1;
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let victim = self.dice.below_usize(self.nodes.len());
            match self.dice.below(10) {
                0..=2 => self.kill(victim, Death::Process).await,
                3 => self.power_failure(victim).await,
                4 => self.restart(victim).await,
                5 => self.around.fabric.cut(if self.dice.percent(50) { 100 } else { 30 }),
                6 | 7 => self.partition(victim).await,
                8 => self.away_from_coordinator(victim, false).await,
                _ => self.away_from_coordinator(victim, true).await,
            }
        }
    }

    async fn wait_a_while(&mut self, most: u64) {
        let wait = self.dice.below(most) + 1;
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }

    async fn kill(&mut self, victim: usize, death: Death) {
        let around = self.around.clone();
        let Some(node) = self.nodes.get_mut(victim) else { return };
        node.die(death, &around).await;
        match death {
            Death::Process => self.statistics.exits += 1,
            Death::Power => self.statistics.crashes += 1,
        }
        self.wait_a_while(DOWN_MS).await;
        self.revive().await;
    }

    /// Everybody else is up and in sync before the power goes.
    async fn power_failure(&mut self, victim: usize) {
        self.revive().await;
        if way::all_in_sync(&self.life, Duration::from_secs(30)).await {
            self.kill(victim, Death::Power).await;
            way::all_in_sync(&self.life, Duration::from_secs(60)).await;
        }
    }

    async fn restart(&mut self, victim: usize) {
        let around = self.around.clone();
        let Some(node) = self.nodes.get_mut(victim) else { return };
        node.stop(&around).await;
        self.statistics.exits += 1;
        self.wait_a_while(2_000).await;
        self.revive().await;
    }

    async fn partition(&mut self, victim: usize) {
        let Some(id) = self.nodes.get(victim).map(|node| node.id) else { return };
        let both_ways = self.dice.percent(50);
        let others = self.nodes.iter().map(|node| node.id).filter(|other| *other != id).collect::<Vec<_>>();
        let count = 1 + self.dice.below_usize(others.len());
        for other in others.into_iter().take(count) {
            self.around.fabric.block(Party::Broker(id), Party::Broker(other));
            if both_ways {
                self.around.fabric.block(Party::Broker(other), Party::Broker(id));
            }
        }
        self.wait_a_while(DOWN_MS).await;
        self.around.fabric.unblock_all();
    }

    async fn away_from_coordinator(&mut self, victim: usize, expire: bool) {
        let Some(coordinator) = self.nodes.get(victim).and_then(|node| node.coordinator().cloned()) else { return };
        self.around.trace.note(format_args!("coordinator away, expires: {expire}"));
        if expire {
            coordinator.expire();
        } else {
            coordinator.disconnect();
        }
        self.wait_a_while(6_000).await;
        coordinator.reconnect();
    }

    /// Starts every broker that is down.
    async fn revive(&mut self) {
        for node in &mut self.nodes {
            node.revive(&self.around).await;
        }
    }

    async fn heal(&mut self) {
        self.around.trace.note(format_args!("everything is healed"));
        self.around.fabric.unblock_all();
        for node in &self.nodes {
            if let Some(coordinator) = node.coordinator() {
                coordinator.reconnect();
            }
        }
        // Whoever finds that its own earlier session lives still is started again when that is over.
        for _ in 0..10 {
            self.revive().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if !way::all_in_sync(&self.life, RECOVERY_PATIENCE).await {
            let down = self.nodes.iter().filter(|node| !node.serves()).map(|node| node.id).collect::<Vec<_>>();
            self.life.violation(Violation::Other(format!(
                "not every partition has a leader and all of its replicas in sync although nothing is wrong any more; not serving: {down:?}"
            )));
        }
    }

    async fn calm_down(&mut self, clients: Vec<JoinHandle<()>>) {
        self.life.draining.set(true);
        let drained = tokio::time::timeout(RECOVERY_PATIENCE, async {
            for client in clients {
                // A task that panicked is counted as such.
                let _ = client.await;
            }
        });
        if drained.await.is_err() {
            self.life.violation(Violation::Other("clients wait although nothing is wrong any more".to_owned()));
        }
        consumer::audit(&self.life).await;
    }

    /// All replicas of a partition hold the same bytes once nobody writes any more.
    async fn compare(&mut self) {
        way::all_in_sync(&self.life, RECOVERY_PATIENCE).await;
        // A flush, a fetch and a high watermark.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let around = self.around.clone();
        for node in &mut self.nodes {
            node.stop(&around).await;
            node.disk.restart();
        }
        for place in TOPICS.iter().flat_map(Topic::places) {
            let contents = self.nodes.iter().filter_map(|node| Some((node.id, content(&node.disk, &place)?)));
            let contents = contents.collect::<Vec<_>>();
            let Some((first, expected)) = contents.first() else { continue };
            for (id, found) in contents.iter().skip(1).filter(|(_, found)| found != expected) {
                let same = expected.iter().zip(found).take_while(|(one, other)| one == other).count();
                self.life.violation(Violation::Other(format!(
                    "{place}: the replicas on {first} ({} bytes) and {id} ({} bytes) differ from byte {same} on",
                    expected.len(),
                    found.len()
                )));
            }
        }
    }

    fn outcome(mut self, seed: u64) -> Outcome {
        let oracle = self.life.oracle.borrow();
        let mut violations = oracle.violations().to_vec();
        let panics = panics();
        if 0 < panics {
            violations.push(Violation::Other(format!("{panics} panics")));
        }
        self.statistics.acknowledged = oracle.acknowledged;
        self.statistics.read = oracle.read;
        self.statistics.operations = self.nodes.iter().map(|node| node.disk.operations()).sum();
        Outcome { seed, fingerprint: self.around.trace.fingerprint(), violations, statistics: self.statistics }
    }
}

/// The bytes of a replica's segments, one behind the other; `None` when the broker has no such replica.
fn content(disk: &SimDisk, place: &Place) -> Option<Vec<u8>> {
    let dir: PathBuf = Path::new("/data").join(format!("{}-{}", place.topic, place.partition));
    let names = disk.list(&dir).ok()?.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".log"));
    let mut content = Vec::new();
    for name in names {
        let file = disk.open(&dir.join(name), crate::storage::disk::Access::Read).ok()?;
        let mut bytes = vec![0; usize::try_from(file.len().ok()?).ok()?];
        file.read_at(0, &mut bytes).ok()?;
        content.extend(bytes);
    }
    Some(content)
}
