//! A cluster under a seed: three to five brokers with disks of their own, one coordinator, a network between all of them that
//! breaks, stops and is slow, and clients who find their leaders themselves.
//!
//! The seed draws a [`plan`]. Then [`faults`] overlap: brokers die, lose their power, are cut off from each other and from the
//! coordinator, are stopped and started in good order; flushes fail, disks are full or slow, log dirs fail; and [`admin`]s make
//! and delete topics and move partitions. Some take several steps ([`scripts`]). In the end everything is healed: then every
//! partition must have a leader and all of its replicas in sync, everything that was acknowledged must be there, in order, once,
//! and all replicas must hold the same bytes, or those of a compacted topic ([`table`]) the last value of each key ([`judge`]).
//! Meanwhile the oracle hears what clients were told, and a [`witness`] sees what was written to the coordinator.

pub mod admin;
pub mod fabric;
pub mod faults;
pub mod guide;
pub mod judge;
pub mod native;
pub mod node;
pub mod plan;
pub mod scripts;
pub mod table;
pub mod way;
pub mod witness;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, LocalSet};

use self::fabric::Fabric;
use self::faults::Heal;
use self::guide::ClusterGuide;
use self::native::Native;
use self::node::{Node, Surroundings};
use self::plan::{Plan, Topic};
use self::way::Router;
use self::witness::Witness;
use super::Reach;
use super::consumer;
use super::disk::FlushFailures;
use super::groups::{self, Groups};
use super::life::{Life, RECOVERY_PATIENCE};
use super::oracle::{Keeps, Place, Promise, Violation};
use super::ports::SimClock;
use super::power::Power;
use super::producer::{self, Habits, Producer};
use super::run::{BEGINNING, Outcome, Statistics, panics, panics_are_counted};
use super::trace::Trace;
use crate::coordination::embedded::{self, Embedded};
use crate::coordination::znode::topic;
use crate::coordination::{Coordinator as _, Op};
use crate::model::{Clock, Moment, PartitionIndex, TopicName};
use crate::storage::disk::sim::Dice;
use crate::wire::record::Codec;

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, reach: Reach, trace: &Trace) -> Outcome {
    panics_are_counted();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap_or_else(|error| panic!("a runtime without threads: {error}"));
    let local = LocalSet::new();
    let outcome = local.block_on(&runtime, async {
        let mut world = World::new(seed, reach, trace.clone());
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
    plan: Plan,
    around: Surroundings,
    nodes: Vec<Node>,
    life: Rc<Life>,
    witness: Rc<RefCell<Witness>>,
    /// How and when faults end.
    heals: Vec<(Moment, Heal)>,
    /// Administrators end.
    over: Rc<Cell<bool>>,
    statistics: Statistics,
    groups: Option<Groups>,
    /// What the compacted topic owes.
    acknowledged: Rc<RefCell<table::Acknowledged>>,
}

/// Groups are drawn apart from everything else, so that a run without them is what it was.
const GROUPS_SALT: u64 = 0x6772_6f75_7073;

/// And so is whether Dohle's own client is there, and what it does.
const NATIVE_SALT: u64 = 0x6e61_7469_7665;

/// And so is whether there is a compacted topic.
const TABLE_SALT: u64 = 0x0074_6162_6c65;

/// And so is which scripts there are.
const SCRIPTS_SALT: u64 = 0x6e61_6d65_736b;

/// In how many of 100 runs Dohle's own client is.
const NATIVE_PERCENT: u64 = 50;

impl World {
    fn new(seed: u64, reach: Reach, trace: Trace) -> Self {
        let mut dice = Dice::new(seed);
        let mut plan = Plan::draw(&mut dice, reach);
        if reach == Reach::Wide {
            plan.add_table(&mut Dice::new(seed ^ TABLE_SALT));
            plan.add_scripts(&mut Dice::new(seed ^ SCRIPTS_SALT));
            plan.add_groups(groups::Plan::draw(&mut Dice::new(seed ^ GROUPS_SALT)));
        }
        let mut native = Dice::new(seed ^ NATIVE_SALT);
        plan.native = native.percent(NATIVE_PERCENT).then(|| native.below(u64::MAX));
        trace.note(format_args!("{plan:?}"));
        let clock: Arc<dyn Clock> = Arc::new(SimClock::start(BEGINNING));
        let fabric = Fabric::new(dice.below(u64::MAX), trace.clone());
        let ensemble = Embedded::in_memory(Arc::clone(&clock));
        let witness = Rc::<RefCell<Witness>>::default();
        ensemble.witnessed_by(witnessing(Rc::clone(&witness), trace.clone()));
        let nodes = (1..=plan.brokers).map(|id| Node::new(id, dice.below(u64::MAX), &plan.settings));
        let nodes = nodes.collect::<Vec<_>>();
        let router = Router::new(fabric.clone(), trace.clone(), plan.brokers, dice.below(u64::MAX));
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
        let statistics = Statistics::default();
        Self {
            dice,
            plan,
            around,
            nodes,
            life,
            witness,
            heals: Vec::new(),
            over: Rc::default(),
            statistics,
            groups: None,
            acknowledged: Rc::default(),
        }
    }

    async fn run(&mut self) {
        for node in &mut self.nodes {
            node.start(&self.around);
        }
        let min_insync = self.plan.min_insync_replicas.to_string();
        for topic in &self.plan.topics {
            let flushed = if topic.flushed { "flushed" } else { "page-cache" };
            let segment = topic.segment_bytes.to_string();
            let configs = [("durability", flushed), ("min.insync.replicas", &min_insync), ("segment.bytes", &segment)];
            way::create(&self.life, topic.name, topic.partitions, topic.replication_factor, &configs).await;
            let promise = Promise { flushed: topic.flushed, keeps: Keeps::All };
            let mut oracle = self.life.oracle.borrow_mut();
            oracle.replicated();
            topic.places().for_each(|place| oracle.created(place, promise));
        }
        if let Some(table) = &self.plan.table {
            let flushed = if table.flushed { "flushed" } else { "page-cache" };
            let segment = table.segment_bytes.to_string();
            let configs = [
                ("cleanup.policy", "compact"),
                ("min.cleanable.dirty.ratio", "0.01"),
                ("durability", flushed),
                ("min.insync.replicas", &min_insync),
                ("segment.bytes", &segment),
            ];
            way::create(&self.life, table.name, table.partitions, table.replication_factor, &configs).await;
        }
        if let Some(groups) = &self.plan.groups {
            // The first who asks for a group would make it; without ZooKeeper with one replica.
            let segment = groups.segment_bytes().to_string();
            let configs = [("cleanup.policy", "compact"), ("segment.bytes", segment.as_str())];
            let partitions = i32::try_from(groups.partitions).unwrap_or(i32::MAX);
            way::create(&self.life, TopicName::CONSUMER_OFFSETS, partitions, plan::REPLICATION_FACTOR, &configs).await;
        }
        let producers = self.start_clients();
        self.start_groups();
        self.trouble().await;
        self.heal().await;
        self.calm_down(producers).await;
        if let Some(mut groups) = self.groups.take() {
            groups.settle().await;
        }
        self.compare().await;
    }

    fn places(&self) -> Vec<Place> {
        self.plan.topics.iter().flat_map(Topic::places).collect()
    }

    /// With that of the compacted topic.
    fn all_places(&self) -> Vec<Place> {
        self.plan.topics.iter().chain(&self.plan.table).flat_map(Topic::places).collect()
    }

    fn start_clients(&mut self) -> Vec<JoinHandle<()>> {
        let mut clients = Vec::new();
        let mut number = 0;
        for place in self.places() {
            for (name, idempotent) in [("idempotent", true), ("plain", false)] {
                number += 1;
                let habits = Habits {
                    name,
                    acks: -1,
                    idempotent,
                    in_flight_max: if idempotent { self.plan.in_flight_max } else { 1 },
                    codec: Codec::None,
                    pause_ms: 50 + self.dice.below(self.plan.producer_pause_ms),
                };
                let state = Rc::new(RefCell::new(Producer::new(number, habits, [place.clone()])));
                clients.push(tokio::task::spawn_local(producer::run(Rc::clone(&self.life), state)));
            }
            let positions = Rc::new(RefCell::new(BTreeMap::from([(place, 0)])));
            tokio::task::spawn_local(consumer::run(Rc::clone(&self.life), "consumer", positions));
        }
        if let Some(seed) = self.plan.native {
            let (life, fabric) = (Rc::clone(&self.life), self.around.fabric.clone());
            let native = Rc::new(Native::new(life, fabric, self.plan.brokers, self.places(), seed));
            clients.push(tokio::task::spawn_local(Rc::clone(&native).produce()));
            tokio::task::spawn_local(native.consume());
        }
        for place in self.plan.table.iter().flat_map(Topic::places) {
            let acknowledged = Rc::clone(&self.acknowledged);
            clients.push(tokio::task::spawn_local(table::write(Rc::clone(&self.life), place, acknowledged)));
        }
        if self.plan.topics_pass {
            clients.push(tokio::task::spawn_local(admin::topics(Rc::clone(&self.life), Rc::clone(&self.over))));
        }
        if self.plan.leaders_move {
            let moves =
                admin::moves(Rc::clone(&self.life), Rc::clone(&self.over), self.all_places(), self.plan.brokers);
            clients.push(tokio::task::spawn_local(moves));
        }
        clients
    }

    fn start_groups(&mut self) {
        let Some(plan) = &self.plan.groups else { return };
        let topics = self.plan.topics.iter().map(|topic| (topic.name.to_owned(), topic.partitions)).collect();
        let guide = ClusterGuide::new(
            self.around.fabric.clone(),
            self.plan.brokers,
            Dice::new(self.dice.below(u64::MAX)),
            Rc::clone(&self.witness),
            plan.partitions,
        );
        self.groups = Some(Groups::start(&self.life, Rc::new(guide), Rc::default(), plan, topics));
    }

    async fn heal(&mut self) {
        self.around.trace.note(format_args!("everything is healed"));
        self.over.set(true);
        if let Some(groups) = &self.groups {
            groups.calm_down();
        }
        self.heal_all().await;
        // Whoever finds that its own earlier session lives still is started again when that is over.
        for _ in 0..10 {
            self.revive().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if let Some(wrong) = self.not_in_sync(RECOVERY_PATIENCE).await {
            let down = self.nodes.iter().filter(|node| !node.serves()).map(|node| node.id).collect::<Vec<_>>();
            self.life.violation(Violation::Other(format!(
                "not every partition has a leader and all of its replicas in sync although nothing is wrong any more: {wrong}; not serving: {down:?}"
            )));
        }
    }

    /// Waits until every partition has a leader and all of its replicas in sync; what of that did not come in time.
    async fn not_in_sync(&self, patience: Duration) -> Option<String> {
        let missing = || {
            let replicas = usize::try_from(plan::REPLICATION_FACTOR).unwrap_or(usize::MAX);
            let is_whole = |place: &Place| {
                self.state_of(place).is_some_and(|state| 0 <= state.leader.0 && replicas <= state.isr.len())
            };
            self.all_places()
                .iter()
                .find(|place| !is_whole(place))
                .map(|place| format!("{place} is not written to be in sync"))
        };
        way::not_in_sync(&self.life, patience, missing).await
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
        let _late = self.not_in_sync(RECOVERY_PATIENCE).await;
        // A flush, a fetch and a high watermark.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut places = self.life.oracle.borrow().places().map(|(place, _)| place.clone()).collect::<BTreeSet<_>>();
        places.extend(self.places());
        places.extend(self.plan.groups.iter().filter(|plan| !plan.compacted).flat_map(groups::Plan::places));
        let mut assigned = Vec::new();
        for place in places {
            assigned.push((self.replicas_of(&place).await, place));
        }
        let mut tables = Vec::new();
        for place in self.plan.table.iter().flat_map(Topic::places) {
            tables.push((self.replicas_of(&place).await, place));
        }
        if self.dice.percent(30) {
            self.lose_topics().await;
        }
        let around = self.around.clone();
        for node in &mut self.nodes {
            node.stop(&around).await;
            node.disk.restart();
        }
        let mut wrong = Vec::new();
        for (replicas, place) in assigned {
            wrong.extend(judge::differences(&place, &self.copies(&replicas, &place)));
        }
        for (replicas, place) in tables {
            wrong.extend(judge::lost(&place, &self.copies(&replicas, &place), &self.acknowledged.borrow()));
        }
        wrong.into_iter().for_each(|wrong| self.life.violation(Violation::Other(wrong)));
    }

    /// What these brokers have of a partition.
    fn copies(&self, replicas: &[i32], place: &Place) -> Vec<judge::Copy> {
        let there = self.nodes.iter().filter(|node| replicas.contains(&node.id));
        there.map(|node| (node.id, judge::copy(&node.disk, place))).collect()
    }

    /// The brokers to which a partition is assigned.
    async fn replicas_of(&self, place: &Place) -> Vec<i32> {
        let name = TopicName::new(&place.topic).unwrap_or_else(|_| panic!("our own topic"));
        let Ok(Some((data, _))) = self.around.ensemble.get(&topic::path(&name)).await else { return vec![] };
        let Ok(assignment) = topic::TopicAssignment::decode(&data) else { return vec![] };
        let replicas = assignment.partitions.get(&PartitionIndex(place.partition));
        replicas.map_or_else(Vec::new, |replicas| replicas.replicas.iter().map(|id| id.0).collect())
    }

    /// The tree loses its topics: brokers may forget them, and nobody deletes a byte (law 10).
    async fn lose_topics(&self) {
        self.around.trace.note(format_args!("the tree loses its topics"));
        for topic in &self.plan.topics {
            let name = TopicName::new(topic.name).unwrap_or_else(|_| panic!("our own topic"));
            let mut paths = Vec::new();
            for index in 0..topic.partitions {
                paths.push(topic::state_path(&name, PartitionIndex(index)));
                paths.push(topic::partition_path(&name, PartitionIndex(index)));
            }
            paths.extend([topic::partitions_path(&name), topic::path(&name)]);
            let delete = |path| Op::Delete { path, version: None };
            // Whatever is not there is lost already.
            let _lost = self.around.ensemble.multi(paths.into_iter().map(delete).collect()).await;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }

    fn outcome(mut self, seed: u64) -> Outcome {
        let oracle = self.life.oracle.borrow();
        let mut violations = oracle.violations().to_vec();
        violations.extend(self.witness.borrow().violations.iter().cloned().map(Violation::Other));
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

/// Lets the witness see every transaction, and the trace have every state.
fn witnessing(witness: Rc<RefCell<Witness>>, trace: Trace) -> embedded::Witness {
    Box::new(move |ops| {
        let mut witness = witness.borrow_mut();
        let before = witness.violations.len();
        witness.wrote(ops);
        for op in ops {
            if let Some(state) = witness.state(op.path()) {
                let path = op.path();
                trace.note(format_args!(
                    "tree {path} leader {} epoch {} isr {:?} controller {}",
                    state.leader, state.leader_epoch, state.isr, state.controller_epoch
                ));
            }
        }
        for violation in witness.violations.iter().skip(before) {
            trace.note(format_args!("violation: {violation}"));
        }
    })
}
