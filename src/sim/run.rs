//! One run: a broker that lives, dies and is started again several times on the same disk, and the clients around it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use tokio::task::LocalSet;

use super::Reach;
use super::admin::{self, Topic};
use super::consumer::{self, Positions};
use super::disk::{FlushFailures, WatchedDisk};
use super::groups::judge::Judge;
use super::groups::{self, Groups};
use super::life::{Life, RECOVERY_PATIENCE};
use super::nemesis::{self, Victims};
use super::network::Network;
use super::oracle::{End, Keeps, Oracle, Promise, Violation};
use super::passing::Fates;
use super::ports::{Alone, SimClock, SimEntropy};
use super::power::Power;
use super::producer::{self, Habits, Producer};
use super::trace::{Fingerprint, Trace};
use crate::broker::placement::Placement;
use crate::broker::ports::Ports;
use crate::broker::{Broker, Door, Parts, StartError};
use crate::config::{self, Loaded};
use crate::coordination::Coordinator;
use crate::coordination::SessionState;
use crate::coordination::embedded::Embedded;
use crate::coordination::faulty::{FaultRates, Faulty};
use crate::coordination::recipe::session_memory::SessionMemory;
use crate::model::{Clock, Timestamp};
use crate::storage::disk::sim::{self, Dice, SimDisk};
use crate::storage::log_dirs::LogDirs;
use crate::wire::record::Codec;

/// Wall-clock time at which every run begins: 2026-01-01.
pub(super) const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);

/// Wall-clock time that a restart takes.
const RESTART_MS: i64 = 1_500;

/// How far the wall clock may be set while the broker is down, either way. By far less than what producers or records are kept.
const CLOCK_JUMP_MAX_MS: u64 = 3_600_000;

/// Lives of one run at most; the last one ends in peace.
const LIVES_MAX: u64 = 5;

/// Operations of the disk after which a life that is to crash has crashed.
const OPERATIONS_MAX: u64 = 800;

/// Longest time that a piece of work waits for the disk, in ms: enough for answers that do not wait for it to get through.
const DISK_DELAY_MAX_MS: u64 = 15;

/// Longest life in ms, if nothing else ends it.
const LIFE_MAX_MS: u64 = 4_000;

/// How bad the connection to the coordinator is while it is bad.
pub(super) const BAD_CONNECTION: FaultRates = FaultRates {
    lost_requests: 60,
    lost_replies: 60,
    expiries: 10,
    away_max: Duration::from_millis(800),
    delay_max: Duration::from_millis(20),
};

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What decided everything.
    pub seed: u64,
    /// Equal in every run of the seed.
    pub fingerprint: Fingerprint,
    /// What is wrong with the broker.
    pub violations: Vec<Violation>,
    /// Figures.
    pub statistics: Statistics,
}

/// What happened in a run: whether it was worth the time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Times that the power failed.
    pub crashes: u64,
    /// Times that the process died or was stopped.
    pub exits: u64,
    /// Times that the broker gave up by itself.
    pub losses: u64,
    /// Records acknowledged.
    pub acknowledged: u64,
    /// Records read.
    pub read: u64,
    /// Operations of the disk.
    pub operations: u64,
}

impl Statistics {
    /// Those of two runs together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            crashes: self.crashes.saturating_add(other.crashes),
            exits: self.exits.saturating_add(other.exits),
            losses: self.losses.saturating_add(other.losses),
            acknowledged: self.acknowledged.saturating_add(other.acknowledged),
            read: self.read.saturating_add(other.read),
            operations: self.operations.saturating_add(other.operations),
        }
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { crashes, exits, losses, acknowledged, read, operations } = self;
        write!(f, "{crashes} power failures, {exits} other ends, {losses} surrenders, ")?;
        write!(f, "{acknowledged} records acknowledged, {read} read, {operations} disk operations")
    }
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, reach: Reach, trace: &Trace) -> Outcome {
    panics_are_counted();
    let mut world = World::new(seed, reach, trace.clone());
    let lives = 2 + world.dice.below(LIVES_MAX - 1);
    for life in 1..=lives {
        world.live(life == lives);
        if !world.oracle.borrow().violations().is_empty() || 0 < PANICS.get() {
            break;
        }
    }
    world.outcome(seed)
}

thread_local! {
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// Panics of actors end in their tasks: they are counted where they happen.
pub(super) fn panics_are_counted() {
    static HOOK: Once = Once::new();
    PANICS.set(0);
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get().saturating_add(1));
            before(panic);
        }));
    });
}

/// How many there were.
pub(super) fn panics() -> u64 {
    PANICS.get()
}

/// What outlives the broker.
struct World {
    dice: Dice,
    trace: Trace,
    disk: SimDisk,
    wall: Timestamp,
    text: String,
    log_dirs: Vec<PathBuf>,
    topics: Rc<[Topic]>,
    created: bool,
    fates: Rc<RefCell<Fates>>,
    oracle: Rc<RefCell<Oracle>>,
    producers: Vec<Rc<RefCell<Producer>>>,
    consumers: Vec<(&'static str, Positions)>,
    statistics: Statistics,
    groups: Option<groups::Plan>,
    /// What members of groups were told.
    judge: Rc<RefCell<Judge>>,
}

/// Groups are drawn apart from everything else, so that a run without them is what it was.
const GROUPS_SALT: u64 = 0x6772_6f75_7073;

/// The topic that groups read.
const GROUPS_READ: &str = "ledger";

/// How a life is meant to end.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// At an operation of the disk.
    AtOperation(sim::Death),
    /// After a while, by a stop in good order.
    Stop,
    /// When everything is acknowledged and read: the run is over.
    Peace,
}

impl World {
    fn new(seed: u64, reach: Reach, trace: Trace) -> Self {
        let mut dice = Dice::new(seed);
        let disk = SimDisk::new(dice.below(u64::MAX));
        let topics = topics(&mut dice);
        let producers = producers(&mut dice, &topics);
        let positions = |topic: &Topic| {
            let positions = topic.places().map(|place| (place, 0)).collect::<BTreeMap<_, _>>();
            (topic.name, Rc::new(RefCell::new(positions)))
        };
        let consumers = topics.iter().map(positions).collect();
        let dirs = 1 + dice.below(2);
        let log_dirs = (0..dirs).map(|number| PathBuf::from(format!("/data/{number}"))).collect::<Vec<_>>();
        let groups = (reach == Reach::Wide).then(|| groups::Plan::draw(&mut Dice::new(seed ^ GROUPS_SALT))).flatten();
        let more = groups.as_ref().map_or_else(String::new, |plan| plan.settings(1));
        Self {
            text: settings(&mut dice, &log_dirs) + &more,
            groups,
            judge: Rc::default(),
            dice,
            trace,
            disk,
            wall: BEGINNING,
            log_dirs,
            topics: topics.into(),
            created: false,
            fates: Rc::default(),
            oracle: Rc::default(),
            producers,
            consumers,
            statistics: Statistics::default(),
        }
    }

    /// One life: a runtime of its own, dropped whole at the end with all that was in it.
    fn live(&mut self, last: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.unwrap_or_else(|error| panic!("a runtime without threads: {error}"));
        let local = LocalSet::new();
        let plan = match self.dice.below(10) {
            _ if last => Plan::Peace,
            0..=5 => Plan::AtOperation(sim::Death::Power),
            6..=8 => Plan::AtOperation(sim::Death::Process),
            _ => Plan::Stop,
        };
        self.trace.note(format_args!("life {plan:?}"));
        self.disk.heal();
        self.disk.set_capacity(None);
        self.disk.restart();
        self.disk.set_cached(self.dice.percent(50));
        if let Plan::AtOperation(death) = plan {
            // Some lives end before they have begun.
            let after = if self.dice.percent(25) { self.dice.below(60) } else { self.dice.below(OPERATIONS_MAX) };
            self.disk.die_at(self.disk.operations().saturating_add(after).saturating_add(1), death);
        }
        let (clean, elapsed) = local.block_on(&runtime, self.live_as(plan));
        let entered = runtime.enter();
        drop(local);
        drop(entered);
        drop(runtime);
        self.wall.0 = self.wall.0.saturating_add(elapsed).saturating_add(RESTART_MS);
        if self.dice.percent(20) {
            // Somebody sets the clock.
            let jump = i64::try_from(self.dice.below(2 * CLOCK_JUMP_MAX_MS)).unwrap_or(0);
            self.wall.0 = self.wall.0.saturating_add(jump).saturating_sub_unsigned(CLOCK_JUMP_MAX_MS);
        }
        self.die(plan, clean);
    }

    /// After the life: the machine is off, whatever is left of it is gone.
    fn die(&mut self, plan: Plan, clean: bool) {
        // The disk knows best: it may die while the broker starts or stops, and that ends as it would have.
        let end = match plan {
            Plan::AtOperation(sim::Death::Power) if self.disk.is_down() => End::Power,
            Plan::AtOperation(_) | Plan::Stop | Plan::Peace if clean => End::Clean,
            Plan::AtOperation(_) | Plan::Stop | Plan::Peace => End::Process,
        };
        if !self.disk.is_down() {
            self.disk.kill();
        }
        match end {
            End::Power => self.statistics.crashes += 1,
            End::Clean | End::Process => self.statistics.exits += 1,
        }
        self.oracle.borrow_mut().restarted(end);
        if end == End::Power {
            let cached = |topic: &str| self.topics.iter().any(|known| known.name == topic && !known.promise.flushed);
            for producer in &self.producers {
                let mut producer = producer.borrow_mut();
                if producer.sends_to(|place| cached(&place.topic)) {
                    producer.begin_anew();
                }
            }
        }
    }

    /// Whether it ended in good order, and how many ms it took.
    async fn live_as(&mut self, plan: Plan) -> (bool, i64) {
        let clock: Arc<dyn Clock> = Arc::new(SimClock::start(self.wall));
        let power = Power::default();
        let (network, accepted) = Network::new(self.dice.below(u64::MAX), power.clone(), self.trace.clone());
        let failures = FlushFailures::default();
        let disk = WatchedDisk::new(
            self.disk.clone(),
            self.trace.clone(),
            power.clone(),
            Arc::clone(&clock),
            failures.clone(),
        );
        let life = Rc::new(Life {
            way: Rc::new(network.clone()),
            trace: self.trace.clone(),
            power: power.clone(),
            clock: Arc::clone(&clock),
            failures,
            oracle: Rc::clone(&self.oracle),
            dice: RefCell::new(Dice::new(self.dice.below(u64::MAX))),
            draining: Cell::new(false),
            disk_is_full: Cell::new(false),
            faulted: RefCell::default(),
            coordinator_failed: Cell::new(false),
            disk_fills: Cell::new(0),
        });
        let ports = Ports {
            disk: Arc::new(disk),
            clock: Arc::clone(&clock),
            entropy: Arc::new(SimEntropy::new(self.dice.below(u64::MAX))),
            network: Arc::new(Alone),
        };
        let door = Door { listener: "PLAINTEXT".to_owned(), advertised: ("broker".to_owned(), 9092), accepted };
        let clean = tokio::select! {
            biased;
            () = power.went_off() => false,
            clean = self.serve(plan, (&life, network), ports, door) => clean,
        };
        power.cut();
        (clean, clock.moment().0.as_millis().try_into().unwrap_or(i64::MAX))
    }

    /// A life from the start to the stop, if it comes to that; whether it stopped in good order.
    async fn serve(&mut self, plan: Plan, (life, network): (&Rc<Life>, Network), ports: Ports, door: Door) -> bool {
        let started = tokio::time::timeout(RECOVERY_PATIENCE, self.start(ports, door)).await;
        let (mut broker, coordinator) = match started {
            Ok(Ok(started)) => started,
            // It cannot know that the disk is gone.
            _ if !life.power.is_on() || self.disk.is_down() => return false,
            Ok(Err(error)) => {
                life.violation(Violation::Other(format!("it does not start: {error}")));
                return false;
            }
            Err(_) => {
                life.violation(Violation::Other("it does not get done with starting".to_owned()));
                return false;
            }
        };
        let lost = tokio::select! {
            biased;
            () = self.happen(plan, life, network, coordinator) => false,
            _ = broker.lost() => true,
        };
        if lost {
            self.trace.note(format_args!("the broker gives up"));
            self.statistics.losses += 1;
        }
        let clean = broker.stop().await;
        self.trace.note(format_args!("stopped, clean: {clean}"));
        if !clean && matches!(plan, Plan::Peace) {
            life.violation(Violation::Other("it does not stop in good order".to_owned()));
        }
        clean
    }

    /// Starts a broker as its process does.
    async fn start(&mut self, ports: Ports, door: Door) -> Result<(Broker, Faulty), StartError> {
        let Loaded { config, layers, .. } =
            config::load(&self.text, &[]).unwrap_or_else(|error| panic!("our own settings: {error}"));
        let dirs = LogDirs::open(Arc::clone(&ports.disk), &config.log_dirs)?;
        let home = config.log_dirs.first().cloned().unwrap_or_default();
        let mut memory = SessionMemory::load(Arc::clone(&ports.disk), &home);
        let earlier_sessions = memory.sessions().to_vec();
        let embedded = Embedded::open(Arc::clone(&ports.disk), &home, Arc::clone(&ports.clock))
            .map_err(|error| StartError::Other(error.to_string()))?;
        let faulty = Faulty::new(embedded, self.dice.below(u64::MAX), FaultRates::default());
        let session = *faulty.session().borrow();
        if let SessionState::Connected { session } = session {
            // It only saves a wait.
            let _ = memory.opened(session);
        }
        let parts = Parts {
            config,
            written: layers.from_file,
            ports,
            placement: Placement::slow(disk_delay(self.dice.below(u64::MAX))),
            coordinator: Rc::new(faulty.clone()),
            earlier_sessions,
            dirs,
            doors: vec![door],
        };
        let broker = Box::pin(Broker::start(parts)).await?;
        Ok((broker, faulty))
    }

    /// What happens while the broker serves.
    async fn happen(&mut self, plan: Plan, life: &Rc<Life>, network: Network, coordinator: Faulty) {
        if !self.created {
            for topic in &*self.topics {
                admin::create(life, topic).await;
            }
            self.created = true;
            let mut oracle = self.oracle.borrow_mut();
            for topic in &*self.topics {
                topic.places().for_each(|place| oracle.created(place, topic.promise));
            }
        }
        admin::audit(life, &self.topics, &self.fates).await;
        admin::learn_durability(life, &self.topics).await;
        consumer::audit(life).await;
        let producers = self.producers.iter();
        let producers =
            producers.map(|state| tokio::task::spawn_local(producer::run(Rc::clone(life), Rc::clone(state))));
        let producers = producers.collect::<Vec<_>>();
        for (name, positions) in &self.consumers {
            tokio::task::spawn_local(consumer::run(Rc::clone(life), name, Rc::clone(positions)));
        }
        let admin = admin::run(Rc::clone(life), Rc::clone(&self.topics), Rc::clone(&self.fates));
        let admin = tokio::task::spawn_local(admin);
        let mut groups = self.groups.as_ref().map(|plan| {
            let read = self.topics.iter().filter(|topic| topic.name == GROUPS_READ);
            let read = read.map(|topic| (topic.name.to_owned(), topic.partitions)).collect();
            self.judge.borrow_mut().restarted();
            Groups::start(life, Rc::new(network.clone()), Rc::clone(&self.judge), plan, read)
        });
        if self.dice.percent(75) {
            let victims = Victims {
                network,
                disk: self.disk.clone(),
                log_dirs: self.log_dirs.clone(),
                coordinator,
                faults: RefCell::default(),
            };
            tokio::task::spawn_local(nemesis::run(Rc::clone(life), Rc::new(victims)));
        }
        tokio::time::sleep(Duration::from_millis(500 + self.dice.below(LIFE_MAX_MS))).await;
        if matches!(plan, Plan::Peace) {
            if let Some(groups) = &groups {
                groups.calm_down();
            }
            self.calm_down(life, producers.into_iter().chain([admin]).collect()).await;
            if let Some(groups) = &mut groups {
                groups.settle().await;
            }
        }
    }

    /// Everything that was sent is acknowledged in the end, and everything is read once more.
    async fn calm_down(&self, life: &Rc<Life>, clients: Vec<tokio::task::JoinHandle<()>>) {
        life.draining.set(true);
        // What the nemesis has begun ends by itself.
        tokio::time::sleep(Duration::from_secs(5)).await;
        self.disk.heal();
        let drained = tokio::time::timeout(RECOVERY_PATIENCE, async {
            for client in clients {
                // A task that panicked is counted as such.
                let _ = client.await;
            }
        });
        if drained.await.is_err() {
            life.violation(Violation::Other("clients wait although nothing is wrong any more".to_owned()));
        }
        let places = self.oracle.borrow().places().map(|(place, _)| place.clone()).collect::<Vec<_>>();
        places.iter().for_each(|place| {
            life.flush_failure(place);
        });
        consumer::audit(life).await;
    }

    fn outcome(mut self, seed: u64) -> Outcome {
        let oracle = self.oracle.borrow();
        let mut violations = oracle.violations().to_vec();
        if 0 < PANICS.get() {
            violations.push(Violation::Other(format!("{} panics", PANICS.get())));
        }
        self.statistics.acknowledged = oracle.acknowledged;
        self.statistics.read = oracle.read;
        self.statistics.operations = self.disk.operations();
        Outcome { seed, fingerprint: self.trace.fingerprint(), violations, statistics: self.statistics }
    }
}

/// How long the disk pool takes for a piece of work: often no time at all.
pub(super) fn disk_delay(seed: u64) -> impl Fn() -> Duration + Send + Sync {
    let dice = Mutex::new(Dice::new(seed));
    move || {
        let mut dice = dice.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_millis(if dice.percent(50) { 0 } else { dice.below(DISK_DELAY_MAX_MS.saturating_add(1)) })
    }
}

fn settings(dice: &mut Dice, log_dirs: &[PathBuf]) -> String {
    let dirs = log_dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(",");
    let interval = 200 + dice.below(1_000);
    format!(
        "broker.id=1\nlisteners=PLAINTEXT://broker:9092\nlog.dirs={dirs}\nauto.create.topics.enable=false\n\
         log.retention.check.interval.ms={interval}\nreplica.high.watermark.checkpoint.interval.ms={interval}\n\
         log.flush.offset.checkpoint.interval.ms={interval}\nlog.flush.start.offset.checkpoint.interval.ms={interval}\n\
         log.segment.delete.delay.ms=700\n"
    )
}

/// The topics that are there all the time, with segments so small that they roll all the time.
fn topics(dice: &mut Dice) -> Vec<Topic> {
    let flushed = |keeps| Promise { flushed: true, keeps };
    let page_cache = Promise { flushed: false, keeps: Keeps::All };
    let mut topic = |name, partitions, promise: Promise| {
        let durability = if promise.flushed { "flushed" } else { "page-cache" };
        let segment = 1_400 + if dice.percent(30) { dice.below(700) } else { dice.below(10_000) };
        let configs = vec![
            ("durability", durability.to_owned()),
            ("segment.bytes", segment.to_string()),
            ("index.interval.bytes", dice.below(1_000).to_string()),
            ("segment.index.bytes", (16 + dice.below(200)).to_string()),
        ];
        Topic { name, partitions, promise, changes_durability: false, configs }
    };
    let mut window = topic("window", 1, flushed(Keeps::ForAWhile));
    window.configs.push(("retention.bytes", "4000".to_owned()));
    let moody = Topic { changes_durability: true, ..topic("moody", 1, page_cache) };
    vec![
        moody,
        topic("ledger", 3, flushed(Keeps::All)),
        window,
        topic("trimmed", 2, flushed(Keeps::UntilDeleted)),
        topic("cache", 2, page_cache),
    ]
}

fn producers(dice: &mut Dice, topics: &[Topic]) -> Vec<Rc<RefCell<Producer>>> {
    let places = |wanted: &[&str]| {
        let wanted = topics.iter().filter(|topic| wanted.contains(&topic.name));
        wanted.flat_map(Topic::places).collect::<Vec<_>>()
    };
    let mut next = 0;
    let mut producer = |name, acks, idempotent, in_flight_max, topics: &[&str]| {
        let codec = match dice.below(8) {
            0 => Codec::Lz4,
            1 => Codec::Snappy,
            2 => Codec::Gzip,
            _ => Codec::None,
        };
        next += 1;
        let habits = Habits { name, acks, idempotent, in_flight_max, codec, pause_ms: 50 + dice.below(200) };
        Rc::new(RefCell::new(Producer::new(next, habits, places(topics))))
    };
    vec![
        producer("idempotent", -1, true, 1, &["ledger"]),
        producer("pipelined", -1, true, 5, &["ledger", "window"]),
        producer("trimmed-idempotent", -1, true, 1, &["trimmed"]),
        producer("cached", -1, true, 3, &["cache"]),
        producer("moody", -1, true, 1, &["moody"]),
        producer("plain", -1, false, 1, &["ledger", "trimmed"]),
        producer("leader-only", 1, false, 1, &["ledger", "cache", "moody"]),
        producer("careless", 0, false, 1, &["ledger"]),
    ]
}
