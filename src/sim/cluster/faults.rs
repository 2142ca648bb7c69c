//! What goes wrong in a cluster. Faults overlap: each ends by itself after a while, whatever else began meanwhile.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::Reach;
use super::super::oracle::Place;
use super::super::run::BAD_CONNECTION;
use super::World;
use super::fabric::Party;
use super::node::Death;
use crate::coordination::Coordinator as _;
use crate::coordination::faulty::FaultRates;
use crate::coordination::znode::controller;
use crate::coordination::znode::topic::{self, PartitionState};
use crate::model::{BrokerId, Moment, PartitionIndex, TopicName};
use crate::storage::disk::Disk as _;
use crate::storage::disk::sim::{self, Operation};

/// How long it is waited for a commit.
const COMMIT_WAIT: Duration = Duration::from_secs(1);

/// How long a commit takes, in ms: over the network to the log, to the followers and back.
const COMMIT_MS: u64 = 40;

/// How late answers and news of the coordinator come to a controller that does not hear that it is replaced.
const LATE: Duration = Duration::from_secs(3);

/// How long it is waited for an ISR that shrinks or grows.
const COMES_TRUE_WAIT: Duration = Duration::from_secs(10);

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A process dies.
    Kill,
    /// A leader dies, and so does its successor as soon as it is elected; it is back at once.
    Succession,
    /// A machine loses its power, or all do.
    Power,
    /// All machines lose their power at once, while their disks have much to do. Only where all topics are flushed.
    Blackout,
    /// A broker is stopped and started in good order.
    Restart,
    /// Connections break.
    Cut,
    /// A broker does not reach some others, or the other way round, or both.
    Partition,
    /// A direction between two brokers is slow, so that messages of several connections overtake each other.
    SlowNetwork,
    /// A broker looks dead to all others.
    Deaf,
    /// A broker does not reach the coordinator.
    Away,
    /// A broker's session ends.
    Expire,
    /// A broker's session ends, and the next one, and the next one.
    Flap,
    /// The controller looks dead to all others, and hears late that another one was elected.
    Zombie,
    /// A broker's connection with the coordinator is bad.
    Flaky,
    /// A flush fails.
    Fsync,
    /// A disk is full for a while.
    Full,
    /// A log dir fails until the broker starts again.
    Dir,
    /// A disk is slow.
    SlowDisk,
    /// A broker that is about to join the ISR dies and comes back at once with an empty disk, and what its leader asked for it is late.
    Replaced,
    /// The leader of the compacted topic is cut off from its followers, is written to and cleans, and then leads no more. Only where there is
    /// such a topic.
    Stranded,
    /// A topic's name is given anew while a broker has yet to hear that the first one is deleted. Only in some runs.
    Namesake,
    /// The coordinator is away for longer than any session. Only in some runs.
    Outage,
    /// A follower without the last record joins the ISR of a new leader that does not know how much is committed. Only in some runs.
    Upstart,
    /// The coordinator of a group dies while a commit is on its way to it. Only where there are groups.
    Coordinator,
    /// It dies when a commit is with one of its two followers only, and so does that one as soon as it was asked where the group stands.
    /// Only where there are groups.
    Heirs,
}

impl Fault {
    /// Whether it belongs to runs of this reach.
    pub const fn is_within(self, reach: Reach) -> bool {
        match self {
            Self::Succession
            | Self::Blackout
            | Self::Flap
            | Self::Zombie
            | Self::Replaced
            | Self::Stranded
            | Self::Namesake
            | Self::Outage
            | Self::Upstart
            | Self::Coordinator
            | Self::Heirs => {
                matches!(reach, Reach::Wide)
            }
            Self::Kill
            | Self::Power
            | Self::Restart
            | Self::Cut
            | Self::Partition
            | Self::SlowNetwork
            | Self::Deaf
            | Self::Away
            | Self::Expire
            | Self::Flaky
            | Self::Fsync
            | Self::Full
            | Self::Dir
            | Self::SlowDisk => true,
        }
    }

    /// All kinds that need nothing of their own.
    pub const ALL: [Self; 19] = [
        Self::Kill,
        Self::Succession,
        Self::Power,
        Self::Blackout,
        Self::Restart,
        Self::Cut,
        Self::Partition,
        Self::SlowNetwork,
        Self::Deaf,
        Self::Away,
        Self::Expire,
        Self::Flap,
        Self::Zombie,
        Self::Flaky,
        Self::Fsync,
        Self::Full,
        Self::Dir,
        Self::SlowDisk,
        Self::Replaced,
    ];

    /// Whether page-cache topics do not promise to survive it, or not together with a power failure: what a failed flush covered is
    /// never written again by the system.
    #[must_use]
    pub const fn needs_flushed(self) -> bool {
        matches!(self, Self::Fsync | Self::Dir | Self::Blackout)
    }
}

/// How a fault ends.
#[derive(Clone, Debug)]
pub(super) enum Heal {
    Revive(usize),
    Unblock(Vec<(Party, Party)>),
    SpeedUp(Party, Party),
    Hear(i32),
    Reconnect(usize),
    Disk(usize),
}

impl World {
    /// One thing after the other goes wrong.
    pub(super) async fn trouble(&mut self) {
        let over = self.around.clock.moment().after(Duration::from_millis(self.plan.trouble_ms));
        while self.around.clock.moment() < over {
            let pause = self.dice.below(self.plan.pause_ms) + 1;
            let next = self.around.clock.moment().after(Duration::from_millis(pause));
            self.heal_until(next).await;
            let pick = self.dice.below_usize(self.plan.faults.len());
            let Some(fault) = self.plan.faults.get(pick).copied() else { continue };
            let victim = self.dice.below_usize(self.nodes.len());
            self.begin(fault, victim).await;
        }
    }

    /// Waits, and ends what is due meanwhile.
    async fn heal_until(&mut self, until: Moment) {
        loop {
            let due = self.heals.iter().map(|(due, _)| *due).min().filter(|due| *due <= until);
            let wait = due.unwrap_or(until).since(self.around.clock.moment());
            tokio::time::sleep(wait).await;
            let Some(due) = due else { return };
            let at = self.heals.iter().position(|(moment, _)| *moment == due);
            if let Some(at) = at {
                let (_, heal) = self.heals.remove(at);
                self.end(heal).await;
            }
        }
    }

    /// Ends all that was begun.
    pub(super) async fn end_all(&mut self) {
        for (_, heal) in std::mem::take(&mut self.heals) {
            self.end(heal).await;
        }
    }

    pub(super) fn later(&mut self, heal: Heal) {
        let wait = match self.dice.percent(30) {
            true => self.dice.below(200),
            false => self.dice.below(self.plan.down_ms),
        };
        self.heals.push((self.around.clock.moment().after(Duration::from_millis(wait + 1)), heal));
    }

    async fn begin(&mut self, fault: Fault, victim: usize) {
        let Some(id) = self.nodes.get(victim).map(|node| node.id) else { return };
        self.around.trace.note(format_args!("fault {fault:?} at broker {id}"));
        match fault {
            Fault::Kill => self.kill(victim, Death::Process).await,
            Fault::Succession => self.succession().await,
            Fault::Coordinator => self.kill_coordinator().await,
            Fault::Replaced => self.replaced(victim).await,
            Fault::Stranded => self.stranded().await,
            Fault::Namesake => self.namesake().await,
            Fault::Outage => self.outage().await,
            Fault::Upstart => self.upstart().await,
            Fault::Heirs => self.heirs().await,
            Fault::Blackout => self.blackout().await,
            Fault::Flap => self.flap(victim).await,
            Fault::Zombie => self.zombie().await,
            Fault::Power if self.plan.is_all_flushed() && self.dice.percent(15) => {
                for victim in 0..self.nodes.len() {
                    self.kill(victim, Death::Power).await;
                }
            }
            Fault::Power if self.plan.is_all_flushed() => self.kill(victim, Death::Power).await,
            Fault::Power => self.power_failure(victim).await,
            Fault::Restart => {
                let around = self.around.clone();
                let Some(node) = self.nodes.get_mut(victim).filter(|node| node.is_up()) else { return };
                node.stop(&around).await;
                self.life.oracle.borrow_mut().ended(id);
                self.statistics.exits += 1;
                self.later(Heal::Revive(victim));
            }
            Fault::Cut => self.around.fabric.cut(if self.dice.percent(50) { 100 } else { 30 }),
            Fault::Partition => self.partition(id),
            Fault::SlowNetwork => {
                let other = self.dice.below_usize(self.nodes.len());
                let Some(other) = self.nodes.get(other).map(|node| node.id) else { return };
                let (from, to) = (Party::Broker(id), Party::Broker(other));
                let millis = 20 + self.dice.below(1_500);
                self.around.fabric.slow_down(from, to, millis);
                self.later(Heal::SpeedUp(from, to));
            }
            Fault::Deaf => {
                self.around.fabric.deafen(id);
                self.later(Heal::Hear(id));
            }
            Fault::Away | Fault::Expire | Fault::Flaky => {
                let Some(coordinator) = self.nodes.get(victim).and_then(|node| node.coordinator()) else { return };
                if fault == Fault::Away {
                    coordinator.disconnect();
                } else if fault == Fault::Expire {
                    coordinator.expire();
                } else {
                    coordinator.set_rates(BAD_CONNECTION);
                }
                self.later(Heal::Reconnect(victim));
            }
            Fault::Fsync | Fault::Full | Fault::Dir | Fault::SlowDisk => self.disk_fault(fault, victim),
        }
    }

    fn disk_fault(&mut self, fault: Fault, victim: usize) {
        let places = self.all_places();
        let (pick, skip, room) = (self.dice.below_usize(places.len()), self.dice.below(3), self.dice.below(3_000));
        let slow = 10 + self.dice.below(400);
        let (Some(node), Some(place)) = (self.nodes.get_mut(victim), places.get(pick)) else { return };
        if fault == Fault::Fsync {
            let folder = Path::new("/data").join(place.to_string());
            node.disk.inject(sim::Fault::once(Operation::Sync, ErrorKind::Other).below(&folder).after(skip));
        } else if fault == Fault::Dir {
            node.disk.inject(sim::Fault::forever(Operation::Write, ErrorKind::Other).below(Path::new("/data")));
            node.disk.inject(sim::Fault::forever(Operation::Sync, ErrorKind::Other).below(Path::new("/data")));
        } else if fault == Fault::Full {
            let Ok(space) = node.disk.space(Path::new("/")) else { return };
            let used = space.total.saturating_sub(space.usable);
            node.disk.set_capacity(Some(used.saturating_add(room)));
        } else {
            node.disk_is_slow.store(slow, Ordering::Relaxed);
        }
        node.was_faulted |= fault != Fault::SlowDisk;
        if fault != Fault::Fsync {
            self.later(Heal::Disk(victim));
        }
    }

    pub(super) async fn end(&mut self, heal: Heal) {
        let around = self.around.clone();
        match heal {
            Heal::Revive(victim) => {
                if let Some(node) = self.nodes.get_mut(victim) {
                    // It may have ended by itself.
                    self.life.oracle.borrow_mut().ended(node.id);
                    node.revive(&around).await;
                }
            }
            Heal::Unblock(pairs) => pairs.into_iter().for_each(|(from, to)| around.fabric.unblock(from, to)),
            Heal::SpeedUp(from, to) => around.fabric.speed_up(from, to),
            Heal::Hear(id) => around.fabric.hear(id),
            Heal::Reconnect(victim) => {
                if let Some(coordinator) = self.nodes.get(victim).and_then(|node| node.coordinator()) {
                    coordinator.set_rates(FaultRates::default());
                    coordinator.reconnect();
                }
            }
            Heal::Disk(victim) => {
                let Some(node) = self.nodes.get_mut(victim) else { return };
                node.disk.heal();
                node.disk.set_capacity(None);
                node.disk_is_slow.store(0, Ordering::Relaxed);
                // One that gave up.
                self.life.oracle.borrow_mut().ended(node.id);
                node.revive(&around).await;
            }
        }
    }

    pub(super) async fn kill(&mut self, victim: usize, death: Death) {
        let around = self.around.clone();
        let Some(node) = self.nodes.get_mut(victim) else { return };
        node.die(death, &around).await;
        self.life.oracle.borrow_mut().ended(node.id);
        match death {
            Death::Process => self.statistics.exits += 1,
            Death::Power => self.statistics.crashes += 1,
        }
        self.later(Heal::Revive(victim));
    }

    /// What was written last is not on any disk when it happens.
    async fn blackout(&mut self) {
        for node in &self.nodes {
            node.disk_is_slow.store(100 + self.dice.below(1_000), Ordering::Relaxed);
        }
        let moment = 50 + self.dice.below(1_500);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        for victim in 0..self.nodes.len() {
            self.kill(victim, Death::Power).await;
            if let Some(node) = self.nodes.get(victim) {
                node.disk_is_slow.store(0, Ordering::Relaxed);
            }
        }
    }

    async fn flap(&mut self, victim: usize) {
        for _ in 0..2 + self.dice.below(3) {
            let (away, back) = (self.dice.below(400), 20 + self.dice.below(1_500));
            let Some(coordinator) = self.nodes.get(victim).and_then(|node| node.coordinator()) else { return };
            coordinator.expire();
            tokio::time::sleep(Duration::from_millis(away)).await;
            coordinator.reconnect();
            tokio::time::sleep(Duration::from_millis(back)).await;
        }
    }

    /// The leader of a partition as it is written, perhaps none.
    pub(super) fn leader_of(&self, place: &Place) -> Option<BrokerId> {
        self.state_of(place).map(|state| state.leader)
    }

    /// What is written of a partition.
    pub(super) fn state_of(&self, place: &Place) -> Option<PartitionState> {
        let name = TopicName::new(&place.topic).ok()?;
        let path = topic::state_path(&name, PartitionIndex(place.partition));
        self.witness.borrow().state(&path).cloned()
    }

    async fn zombie(&mut self) {
        let Some(id) = self.controller().await else { return };
        let Some(victim) = self.nodes.iter().position(|node| node.id == id.0) else { return };
        let Some(coordinator) = self.nodes.get(victim).and_then(|node| node.coordinator()) else { return };
        coordinator.set_rates(FaultRates { delay_max: LATE, ..FaultRates::default() });
        self.around.fabric.deafen(id.0);
        self.later(Heal::Hear(id.0));
        self.later(Heal::Reconnect(victim));
    }

    pub(super) async fn controller(&self) -> Option<BrokerId> {
        let (data, _) = self.around.ensemble.get(controller::CONTROLLER).await.ok()??;
        Some(controller::Controller::decode(&data).ok()?.broker)
    }

    /// Between a commit's way to the log and its answer's way back.
    async fn kill_coordinator(&mut self) {
        let Some(commits) = self.groups.as_ref().map(super::Groups::commits) else { return };
        let Ok(broker) = tokio::time::timeout(COMMIT_WAIT, commits.next()).await else { return };
        let moment = self.dice.below(COMMIT_MS);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let victim = self.nodes.iter().position(|node| node.id == broker && node.is_up());
        if let Some(victim) = victim {
            self.kill(victim, Death::Process).await;
        }
    }

    /// Whether it becomes true in some seconds.
    pub(super) async fn come_true(&self, is_true: impl Fn(&Self) -> bool) -> bool {
        let over = self.around.clock.moment().after(COMES_TRUE_WAIT);
        while !is_true(self) {
            if over <= self.around.clock.moment() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// Of the machines with page-cache topics that lose their power only one is down at a time. Everybody else is up and in sync before
    /// it goes, and it is back in the ISR before anything else goes wrong: that is what `min.insync.replicas=2` with page-cache
    /// durability promises to survive.
    async fn power_failure(&mut self, victim: usize) {
        if !self.is_well(Duration::from_secs(30)).await {
            return;
        }
        self.kill(victim, Death::Power).await;
        let down = Duration::from_millis(self.dice.below(self.plan.down_ms));
        tokio::time::sleep(down).await;
        self.end_all().await;
        let _late = self.not_in_sync(Duration::from_secs(60)).await;
    }

    /// Ends all that goes wrong: whether everybody is in sync in time.
    pub(super) async fn is_well(&mut self, patience: Duration) -> bool {
        self.end_all().await;
        self.around.fabric.heal();
        self.revive().await;
        self.not_in_sync(patience).await.is_none()
    }

    fn partition(&mut self, id: i32) {
        let direction = self.dice.below(3);
        let mut others = self.nodes.iter().map(|node| node.id).filter(|other| *other != id).collect::<Vec<_>>();
        let count = 1 + self.dice.below_usize(others.len());
        let first = self.dice.below_usize(others.len());
        others.rotate_left(first);
        let mut pairs = Vec::new();
        for other in others.into_iter().take(count) {
            let (one, other) = (Party::Broker(id), Party::Broker(other));
            pairs.extend((direction != 1).then_some((one, other)));
            pairs.extend((direction != 0).then_some((other, one)));
        }
        pairs.iter().for_each(|(from, to)| self.around.fabric.block(*from, *to));
        self.later(Heal::Unblock(pairs));
    }

    /// Starts every broker that is down.
    pub(super) async fn revive(&mut self) {
        for node in &mut self.nodes {
            if !node.is_up() {
                self.life.oracle.borrow_mut().ended(node.id);
            }
            node.revive(&self.around).await;
        }
    }

    /// Everything is well again.
    pub(super) async fn heal_all(&mut self) {
        self.end_all().await;
        self.around.fabric.heal();
        let around = self.around.clone();
        for node in &mut self.nodes {
            node.disk.heal();
            node.disk.set_capacity(None);
            node.disk_is_slow.store(0, Ordering::Relaxed);
            if let Some(coordinator) = node.coordinator() {
                coordinator.set_rates(FaultRates::default());
                coordinator.reconnect();
            }
            if std::mem::take(&mut node.was_faulted) {
                // A replica or a log dir that was given up is served again after a restart.
                node.stop(&around).await;
                self.life.oracle.borrow_mut().ended(node.id);
            }
        }
    }
}
