//! What a seed decides before anything happens: how large the cluster is, how it is configured, what it promises, who writes, and
//! which faults there are. Few kinds of faults in many combinations find more than all kinds in every run (swarm testing).

use super::super::oracle::Place;
use super::super::{Reach, groups};
use super::faults::Fault;
use crate::storage::disk::sim::Dice;

/// One in so many kinds of faults is left out of a run.
const LEFT_OUT_PERCENT: u64 = 40;

/// In how many of 100 wide runs there is a compacted topic.
const TABLE_PERCENT: u64 = 40;

/// Each of these is in so many of 100 wide runs: they take long, and all want everybody to be well before.
const SCRIPTS: [(Fault, u64); 3] = [(Fault::Namesake, 25), (Fault::Outage, 15), (Fault::Upstart, 15)];

/// Replicas of every partition.
pub const REPLICATION_FACTOR: i16 = 3;

/// A topic that is there all the time.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// Number of partitions.
    pub partitions: i32,
    /// Number of replicas.
    pub replication_factor: i16,
    /// `durability=flushed`.
    pub flushed: bool,
    /// `segment.bytes`.
    pub segment_bytes: u64,
}

impl Topic {
    /// Its partitions.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let topic = self.name.to_owned();
        (0..self.partitions).map(move |partition| Place { topic: topic.clone(), partition })
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Number of brokers.
    pub brokers: i32,
    /// Settings of every broker: everything that takes half a minute in life takes seconds here.
    pub settings: String,
    /// Topics that are there all the time.
    pub topics: Vec<Topic>,
    /// `min.insync.replicas` of every topic.
    pub min_insync_replicas: i32,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Whether topics come and go.
    pub topics_pass: bool,
    /// Whether partitions are moved, and preferred leaders elected.
    pub leaders_move: bool,
    /// How long everything goes wrong, in ms.
    pub trouble_ms: u64,
    /// Longest time in ms between two things that go wrong.
    pub pause_ms: u64,
    /// Longest time in ms that a broker is down, or something else stays as it is.
    pub down_ms: u64,
    /// Longest pause of a producer, in ms.
    pub producer_pause_ms: u64,
    /// Requests that an idempotent producer has under way.
    pub in_flight_max: usize,
    /// A compacted topic, if there is one.
    pub table: Option<Topic>,
    /// Groups that read the topics, if there are any.
    pub groups: Option<groups::Plan>,
    /// The seed of Dohle's own client, if it is there.
    pub native: Option<u64>,
}

impl Plan {
    /// The plan of a run.
    pub fn draw(dice: &mut Dice, reach: Reach) -> Self {
        let brokers = 3 + i32::try_from(dice.below(3)).unwrap_or(0);
        // Without page-cache topics every machine may lose its power at any time, and all of them at once.
        let all_flushed = dice.percent(60);
        let topic = |name, partitions, flushed, dice: &mut Dice| Topic {
            name,
            partitions,
            replication_factor: REPLICATION_FACTOR,
            flushed,
            segment_bytes: if dice.percent(30) { 4_000 + dice.below(8_000) } else { 20_000 },
        };
        let mut topics = vec![topic("ledger", 2, true, dice)];
        if !all_flushed {
            topics.push(topic("cache", 1, false, dice));
        }
        let faults = Fault::ALL.iter().copied().filter(|fault| fault.is_within(reach));
        let faults = faults.filter(|fault| all_flushed || !fault.needs_flushed());
        let faults = faults.filter(|_| !dice.percent(LEFT_OUT_PERCENT)).collect::<Vec<_>>();
        Self {
            brokers,
            settings: settings(dice),
            topics,
            // With one, what was acknowledged may be on the leader alone.
            min_insync_replicas: if all_flushed && dice.percent(20) { 1 } else { 2 },
            faults: if faults.is_empty() { vec![Fault::Kill] } else { faults },
            topics_pass: dice.percent(40),
            leaders_move: dice.percent(50),
            trouble_ms: 20_000 + dice.below(25_000),
            pause_ms: if dice.percent(50) { 700 } else { 3_000 },
            down_ms: if dice.percent(30) { 2_000 } else { 12_000 },
            producer_pause_ms: 100 + dice.below(500),
            in_flight_max: if dice.percent(50) { 1 } else { 3 },
            table: None,
            groups: None,
            native: None,
        }
    }

    /// Adds a compacted topic in some runs, and what goes wrong only where there is one.
    pub fn add_table(&mut self, dice: &mut Dice) {
        if !dice.percent(TABLE_PERCENT) {
            return;
        }
        self.table = Some(Topic {
            name: "table",
            partitions: 1,
            replication_factor: REPLICATION_FACTOR,
            flushed: self.is_all_flushed(),
            segment_bytes: 400 + dice.below(800),
        });
        self.settings.push_str("log.cleaner.backoff.ms=300\n");
        self.faults.push(Fault::Stranded);
    }

    /// Adds, in some runs, what takes several steps.
    pub fn add_scripts(&mut self, dice: &mut Dice) {
        for (fault, percent) in SCRIPTS {
            self.faults.extend(dice.percent(percent).then_some(fault));
        }
    }

    /// Adds groups, and what goes wrong only where there are any.
    pub fn add_groups(&mut self, groups: Option<groups::Plan>) {
        if let Some(groups) = &groups {
            self.settings.push_str(&groups.settings(REPLICATION_FACTOR));
            self.faults.extend([Fault::Coordinator, Fault::Heirs]);
        }
        self.groups = groups;
    }

    /// Whether every topic is `durability=flushed`.
    #[must_use]
    pub fn is_all_flushed(&self) -> bool {
        self.topics.iter().all(|topic| topic.flushed)
    }
}

fn settings(dice: &mut Dice) -> String {
    let lag = 1_500 + dice.below(4_500);
    let interval = 200 + dice.below(1_500);
    let balance = 2 + dice.below(10);
    format!(
        "unclean.leader.election.enable=false\nreplica.lag.time.max.ms={lag}\nreplica.fetch.wait.max.ms=200\n\
         replica.fetch.backoff.ms=200\nreplica.high.watermark.checkpoint.interval.ms={interval}\n\
         log.flush.offset.checkpoint.interval.ms={interval}\nlog.retention.check.interval.ms=1000\n\
         leader.imbalance.check.interval.seconds={balance}\nlog.segment.delete.delay.ms=1000\n"
    )
}
