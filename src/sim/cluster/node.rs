//! One broker of a simulated cluster: a process that lives, dies and is started again on its own disk.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet};

use super::super::disk::{FlushFailures, WatchedDisk};
use super::super::ports::SimEntropy;
use super::super::power::Power;
use super::super::run::disk_delay;
use super::super::trace::Trace;
use super::fabric::{Fabric, PORT};
use crate::broker::placement::Placement;
use crate::broker::ports::Ports;
use crate::broker::{Broker, Door, Parts, StartError};
use crate::config::{self, Loaded};
use crate::coordination::embedded::Embedded;
use crate::coordination::faulty::{FaultRates, Faulty};
use crate::coordination::recipe::session_memory::SessionMemory;
use crate::coordination::{Coordinator as _, SessionState};
use crate::model::Clock;
use crate::storage::disk::sim::{Dice, SimDisk};
use crate::storage::log_dirs::LogDirs;

/// How long the ensemble waits for a client that says nothing.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// How long an operator waits for a process that was asked to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// How a process ends that was not asked to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Death {
    /// The process dies; what it wrote is in the page cache.
    Process,
    /// The machine loses its power, and what was not flushed.
    Power,
}

/// What all brokers share.
#[derive(Clone)]
pub struct Surroundings {
    /// The way to each other.
    pub fabric: Fabric,
    /// What happens.
    pub trace: Trace,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// A session of nobody: others are made from it.
    pub ensemble: Embedded,
}

/// A broker and its disk.
pub struct Node {
    /// `broker.id`.
    pub id: i32,
    /// Its disk.
    pub disk: SimDisk,
    /// What every piece of work of the disk pool takes in addition, in ms.
    pub disk_is_slow: Arc<AtomicU64>,
    /// Its disk failed: what was given up for that is served again after a restart.
    pub was_faulted: bool,
    dice: Dice,
    text: String,
    life: Option<Life>,
}

struct Life {
    task: JoinHandle<()>,
    power: Power,
    session: Embedded,
    coordinator: Faulty,
    stop: Option<oneshot::Sender<()>>,
    serves: Rc<Cell<bool>>,
    /// The process has ended by itself.
    ended: Rc<Cell<bool>>,
}

impl Node {
    /// A broker that was never started. `settings` go behind its own.
    #[must_use]
    pub fn new(id: i32, seed: u64, settings: &str) -> Self {
        let mut dice = Dice::new(seed);
        let text = format!(
            "broker.id={id}\nlisteners=PLAINTEXT://broker-{id}:{PORT}\nlog.dirs=/data\nauto.create.topics.enable=false\n{settings}"
        );
        let disk_is_slow = Arc::default();
        Self { id, disk: SimDisk::new(dice.below(u64::MAX)), disk_is_slow, was_faulted: false, dice, text, life: None }
    }

    /// Its disk is replaced by an empty one; its process is dead.
    pub fn replace_disk(&mut self) {
        self.disk = SimDisk::new(self.dice.below(u64::MAX));
    }

    /// Whether its process lives.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.life.as_ref().is_some_and(|life| !life.ended.get())
    }

    /// Whether it serves.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.serves.get())
    }

    /// Its connection to the coordinator, while it lives.
    #[must_use]
    pub fn coordinator(&self) -> Option<&Faulty> {
        self.life.as_ref().map(|life| &life.coordinator)
    }

    /// Starts its process, if none lives.
    pub async fn revive(&mut self, around: &Surroundings) {
        if !self.is_up() {
            // What is left of the one that ended by itself.
            self.die(Death::Process, around).await;
            self.start(around);
        }
    }

    /// Starts its process.
    pub fn start(&mut self, around: &Surroundings) {
        around.trace.note(format_args!("broker {} starts", self.id));
        self.disk.heal();
        self.disk.restart();
        let power = Power::default();
        let session = around.ensemble.another_session();
        let coordinator = Faulty::new(session.clone(), self.dice.below(u64::MAX), FaultRates::default());
        let disk = WatchedDisk::new(
            self.disk.clone(),
            around.trace.clone(),
            power.clone(),
            Arc::clone(&around.clock),
            FlushFailures::default(),
        )
        .of(&format!("broker-{}", self.id));
        let ports = Ports {
            disk: Arc::new(disk),
            clock: Arc::clone(&around.clock),
            entropy: Arc::new(SimEntropy::new(self.dice.below(u64::MAX))),
            network: Arc::new(around.fabric.seen_by(self.id)),
        };
        let accepted = around.fabric.open(self.id);
        let door =
            Door { listener: "PLAINTEXT".to_owned(), advertised: (format!("broker-{}", self.id), PORT), accepted };
        let (delay, more) = (disk_delay(self.dice.below(u64::MAX)), Arc::clone(&self.disk_is_slow));
        let placement = Placement::slow(move || {
            let more = Duration::from_millis(more.load(Ordering::Relaxed));
            delay().saturating_add(more)
        });
        let (stop, stopped) = oneshot::channel();
        let (serves, ended) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
        let process = process(
            self.id,
            self.text.clone(),
            (ports, placement, door),
            coordinator.clone(),
            around.trace.clone(),
            stopped,
            Rc::clone(&serves),
        );
        // All that the broker starts lives in a set of its own, which is dropped whole when it dies.
        let set = LocalSet::new();
        let has_ended = Rc::clone(&ended);
        set.spawn_local(async move {
            process.await;
            has_ended.set(true);
        });
        let task = tokio::task::spawn_local(set);
        self.life = Some(Life { task, power, session, coordinator, stop: Some(stop), serves, ended });
    }

    /// Ends its process at once.
    pub async fn die(&mut self, death: Death, around: &Surroundings) {
        let Some(life) = self.life.take() else { return };
        around.trace.note(format_args!("broker {} dies: {death:?}", self.id));
        match death {
            Death::Process => self.disk.kill(),
            Death::Power => self.disk.crash(),
        }
        life.power.cut();
        life.task.abort();
        let _aborted = life.task.await;
        around.fabric.close(self.id);
        let session = life.session;
        tokio::task::spawn_local(async move {
            tokio::time::sleep(SESSION_TIMEOUT).await;
            session.expire();
        });
    }

    /// Asks its process to stop, and waits until it has.
    pub async fn stop(&mut self, around: &Surroundings) {
        let Some(mut life) = self.life.take() else { return };
        around.trace.note(format_args!("broker {} is asked to stop", self.id));
        if let Some(stop) = life.stop.take() {
            let _gone = stop.send(());
        }
        let ended = tokio::time::timeout(STOP_PATIENCE, async {
            while !life.ended.get() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        if ended.await.is_err() {
            around.trace.note(format_args!("broker {} does not stop and is killed", self.id));
        }
        life.power.cut();
        life.task.abort();
        let _aborted = life.task.await;
        self.disk.kill();
        around.fabric.close(self.id);
        life.session.expire();
    }
}

async fn process(
    id: i32,
    text: String,
    (ports, placement, door): (Ports, Placement, Door),
    coordinator: Faulty,
    trace: Trace,
    stopped: oneshot::Receiver<()>,
    serves: Rc<Cell<bool>>,
) {
    let mut broker = match start(&text, ports, placement, door, coordinator).await {
        Ok(broker) => broker,
        Err(error) => {
            trace.note(format_args!("broker {id} does not start: {error}"));
            return;
        }
    };
    trace.note(format_args!("broker {id} serves"));
    serves.set(true);
    tokio::select! {
        biased;
        _ = stopped => {}
        why = broker.lost() => trace.note(format_args!("broker {id} gives up: {why}")),
    }
    let clean = broker.stop().await;
    trace.note(format_args!("broker {id} has stopped, clean: {clean}"));
    serves.set(false);
}

/// Starts a broker as its process does.
async fn start(
    text: &str,
    ports: Ports,
    placement: Placement,
    door: Door,
    coordinator: Faulty,
) -> Result<Broker, StartError> {
    let Loaded { config, layers, .. } =
        config::load(text, &[]).unwrap_or_else(|error| panic!("our own settings: {error}"));
    let dirs = LogDirs::open(Arc::clone(&ports.disk), &config.log_dirs)?;
    let home: PathBuf = config.log_dirs.first().cloned().unwrap_or_default();
    let mut memory = SessionMemory::load(Arc::clone(&ports.disk), &home);
    let earlier_sessions = memory.sessions().to_vec();
    let mut session = coordinator.session();
    tokio::task::spawn_local(async move {
        loop {
            if let SessionState::Connected { session } = *session.borrow_and_update() {
                // It only saves a wait.
                let _ = memory.opened(session);
            }
            if session.changed().await.is_err() {
                return;
            }
        }
    });
    let parts = Parts {
        config,
        written: layers.from_file,
        ports,
        placement,
        coordinator: Rc::new(coordinator),
        earlier_sessions,
        dirs,
        doors: vec![door],
    };
    Box::pin(Broker::start(parts)).await
}
