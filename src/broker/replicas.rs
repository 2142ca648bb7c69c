//! The replicas of this broker (Kafka's replica manager): owns the log dirs, starts a partition actor per replica, supervises
//! them, and publishes the directory.
//!
//! *State owned*: log dirs, which partitions live here, their deaths. *Who calls*: the controller's link to this broker
//! (lead, delete), the configuration (configure), timers (retention, checkpoints), the broker (shutdown).
//! Disk work runs on the disk pool while the mailbox waits, so commands take effect in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use futures::future::{OptionFuture, join_all};
use futures::stream::{self, StreamExt as _};
use tokio::sync::{Semaphore, oneshot, watch};

use super::cleaner::Cleaner;
use super::directory::{self, Directory, PartitionHandle, Published, Standing};
use super::fetcher::{FetcherId, Follow};
use super::fetchers::{Fetchers, FetchersParts};
use super::groups::{Groups, Tenure, Tenures};
use super::image::Metadata;
use super::isr_changes::IsrChanges;
use super::membership::Membership;
use super::partition::{AfterCut, Chore, PartitionActor, PartitionCommand, PartitionParts};
use super::placement::{LoopId, Placement};
use super::ports::{Ports, random};
use super::quotas::Quotas;
use super::settings::SettingsStore;
use super::supervisor::{Death, DeathNotice};
use crate::config;
use crate::machine::controller::PartitionNotice;
use crate::machine::partition::Leadership;
use crate::machine::restart::{DEATHS_MAX, Intensity, Verdict};
use crate::model::{
    BrokerId, Bug, ControllerEpoch, Durability, ErrorCode, LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId,
    TopicName, TopicPartition,
};
use crate::storage::log::{DiskError, Log, OpenError, OpenReport, PendingDelete};
use crate::storage::log_dirs::{
    LastWords, LoadJob, LoadedPartition, LogDirDescription, LogDirIndex, LogDirs, PartitionOffsets,
};
use crate::telemetry::{Event as _, event};

pub use self::command::{ReplicasCommand, StoppedReplica};
use self::deaths::{death_notice, suspect};
pub use self::moves::FutureReplica;
use self::moves::Move;
use self::roles::coordinator_notice;
use self::upkeep::{checkpoint_of_cut, close};

mod command;
mod deaths;
mod moves;
mod roles;
mod upkeep;

/// Waits for one partition to take a command; far more than a mailbox turn ever takes.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);

/// How long a partition that cannot be opened for want of room waits before it is tried again.
const FULL_DISK_RETRY: Duration = Duration::from_secs(1);

/// Wait before a fetcher that died is started again.
const FETCHER_RESTART: Duration = Duration::from_secs(1);

/// Wait before a coordinator of groups that died is started again.
const COORDINATOR_RESTART: Duration = Duration::from_secs(1);

/// The replicas actor.
pub struct Replicas {
    local: BrokerId,
    /// Locked only by work on the disk pool, one piece at a time.
    dirs: Arc<Mutex<Option<LogDirs>>>,
    replicas: BTreeMap<TopicPartition, Replica>,
    directory: Directory,
    settings: SettingsStore,
    ports: Ports,
    placement: Placement,
    intervals: Intervals,
    recovery_threads_per_dir: usize,
    /// Copy from the leaders.
    fetchers: Fetchers,
    /// The coordinators of groups hear from it where they coordinate.
    tenures: Tenures,
    neighbours: Neighbours,
    lose: watch::Sender<Option<String>>,
    failures: watch::Sender<u64>,
    /// Those that were taken out of service while the broker ran.
    failed_dirs: BTreeSet<LogDirIndex>,
    next_home: usize,
    /// The checkpoints are being written.
    checkpointing: bool,
    /// Replicas on their way to other log dirs.
    moves: BTreeMap<TopicPartition, Move>,
    /// How many were begun.
    move_count: u64,
    /// So many at once.
    move_slots: Arc<Semaphore>,
    quotas: Quotas,
    _notice: DeathNotice,
}

/// How often the background work runs.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    /// `log.retention.check.interval.ms`.
    pub retention: Option<Duration>,
    /// The shortest of `log.flush.offset.checkpoint.interval.ms`, `log.flush.start.offset.checkpoint.interval.ms` and
    /// `replica.high.watermark.checkpoint.interval.ms`: all checkpoints are written together.
    pub checkpoint: Option<Duration>,
    /// `producer.id.expiration.check.interval.ms`.
    pub producers: Option<Duration>,
}

impl Intervals {
    /// From the configuration. An interval of 0 means never, as in Kafka, whose scheduler then runs the work once.
    #[must_use]
    pub fn of(config: &config::LogConfig) -> Self {
        let some = |interval: Duration| Some(interval).filter(|interval| !interval.is_zero());
        let checkpoints = [
            config.recovery_point_checkpoint_interval,
            config.start_offset_checkpoint_interval,
            config.high_watermark_checkpoint_interval,
        ];
        Self {
            retention: some(config.retention_check_interval),
            checkpoint: checkpoints.into_iter().filter_map(some).min(),
            producers: some(config.producer_id_expiration_check_interval),
        }
    }
}

/// What replicas need to know of other brokers.
#[derive(Clone)]
pub struct Neighbours {
    /// `inter.broker.listener.name`.
    pub listener: String,
    /// Which incarnation of this broker.
    pub membership: Membership,
    /// Who lives where.
    pub metadata: Metadata,
    /// Asks the controller for other ISRs.
    pub isr_changes: Addr<IsrChanges>,
}

struct Replica {
    topic_id: TopicId,
    leadership: Option<Leadership>,
    deaths: Intensity,
    /// What was published when its actor died.
    last_words: LastWords,
    /// And how it stood with its leadership.
    standing: Option<Standing>,
    /// Counts the actors of this replica, so that a late death notice of an earlier one is told apart.
    incarnation: u64,
    /// `None` while it is down.
    handle: Option<PartitionHandle>,
    /// What it was asked to do and has not answered.
    chores: Vec<Chore>,
    /// It cannot be served until the broker starts again: its log dir has failed, or its log is corrupt.
    offline: bool,
}

/// What the replicas actor is made of.
pub struct ReplicasParts {
    /// This broker.
    pub local: BrokerId,
    /// Open, identity checked, nothing loaded.
    pub dirs: LogDirs,
    /// Where to publish.
    pub directory: Directory,
    /// Settings of the topics.
    pub settings: SettingsStore,
    /// Disk, clock.
    pub ports: Ports,
    /// Loops and disk pool.
    pub placement: Placement,
    /// Timers.
    pub intervals: Intervals,
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads_per_dir: usize,
    /// Other brokers.
    pub neighbours: Neighbours,
    /// How fast replicas are copied.
    pub quotas: Quotas,
    /// Where the coordinators of groups are found.
    pub groups: Groups,
    /// Told why, when no log dir works any more.
    pub lose: watch::Sender<Option<String>>,
    /// Counts the failures of log dirs and replicas that the controller must hear of.
    pub failures: watch::Sender<u64>,
    /// Tells the broker of an untimely end.
    pub notice: DeathNotice,
}

/// A partition takes a command.
type Told = actix::dev::Request<PartitionActor, PartitionCommand>;

/// A log that was opened, to be given an actor.
struct Opened {
    id: TopicPartition,
    topic_id: TopicId,
    log: Log,
    high_watermark: Offset,
}

impl Replicas {
    /// Replicas that are not loaded yet.
    #[must_use]
    pub fn new(parts: ReplicasParts) -> Self {
        let ReplicasParts {
            local,
            dirs,
            directory,
            settings,
            ports,
            placement,
            intervals,
            recovery_threads_per_dir,
            neighbours,
            quotas,
            groups,
            lose,
            failures,
            notice,
        } = parts;
        let tenures = Tenures::new(
            groups,
            settings.broker().groups.clone(),
            neighbours.metadata.clone(),
            ports.clone(),
            placement.clone(),
        );
        let fetchers = Fetchers::new(FetchersParts {
            local,
            listener: neighbours.listener.clone(),
            membership: neighbours.membership.clone(),
            metadata: neighbours.metadata.clone(),
            ports: ports.clone(),
            settings: settings.clone(),
            quotas: quotas.clone(),
            placement: placement.clone(),
        });
        let move_slots = settings.broker().replication.moves.unwrap_or(dirs.count());
        let move_slots = Arc::new(Semaphore::new(move_slots.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            local,
            dirs: Arc::new(Mutex::new(Some(dirs))),
            replicas: BTreeMap::new(),
            directory,
            settings,
            ports,
            placement,
            intervals,
            recovery_threads_per_dir,
            fetchers,
            tenures,
            neighbours,
            lose,
            failures,
            failed_dirs: BTreeSet::new(),
            next_home: 0,
            checkpointing: false,
            moves: BTreeMap::new(),
            move_count: 0,
            move_slots,
            quotas,
            _notice: notice,
        }
    }

    /// Runs `work` on the disk pool with the log dirs; the mailbox waits, then `then` goes on, unless the work panicked.
    fn with_dirs<T: Send + 'static>(
        &self,
        ctx: &mut Context<Self>,
        work: impl FnOnce(&mut LogDirs) -> T + Send + 'static,
        then: impl FnOnce(&mut Self, T, &mut Context<Self>) + 'static,
    ) {
        self.try_with_dirs(ctx, work, |actor, done, ctx| {
            if let Some(done) = done {
                then(actor, done, ctx);
            }
        });
    }

    /// The same, where `then` hears of a panic too: as `None`.
    fn try_with_dirs<T: Send + 'static>(
        &self,
        ctx: &mut Context<Self>,
        work: impl FnOnce(&mut LogDirs) -> T + Send + 'static,
        then: impl FnOnce(&mut Self, Option<T>, &mut Context<Self>) + 'static,
    ) {
        let dirs = Arc::clone(&self.dirs);
        let work = self.placement.blocking(move || {
            let mut dirs = dirs.lock().unwrap_or_else(PoisonError::into_inner);
            dirs.as_mut().map(work)
        });
        ctx.wait(work.into_actor(self).map(move |done, actor, ctx| then(actor, done.flatten(), ctx)));
    }

    fn load(&mut self, reply: oneshot::Sender<usize>, ctx: &mut Context<Self>) {
        let settings = self.settings.clone();
        let now = self.ports.clock.timestamp();
        let placement = self.placement.clone();
        self.with_dirs(ctx, LogDirs::load_jobs, move |actor, jobs, ctx| {
            let mut of_dir = BTreeMap::<LogDirIndex, Vec<LoadJob>>::new();
            jobs.into_iter().for_each(|job| of_dir.entry(job.dir).or_default().push(job));
            let threads = actor.recovery_threads_per_dir.max(1);
            let loads = of_dir.into_values().map(move |jobs| {
                let (settings, placement) = (settings.clone(), placement.clone());
                let load = move |job: LoadJob| {
                    let topic = settings.topic(&job.partition.topic);
                    let config = topic.log.clone();
                    let job = match topic.leader.durability {
                        Durability::Flushed => job.rewriting(),
                        Durability::PageCache => job,
                    };
                    placement.blocking(move || job.run(config, now))
                };
                stream::iter(jobs).map(load).buffered(threads).collect::<Vec<_>>()
            });
            ctx.wait(join_all(loads).into_actor(actor).map(move |loaded, actor, ctx| {
                let loaded = loaded.into_iter().flatten().flatten();
                let mut opened = Vec::new();
                for loaded in loaded {
                    let (dir, id) = (loaded.dir, loaded.partition.clone());
                    match actor.loaded(loaded) {
                        Ok(log) => opened.push(log),
                        Err(error) => {
                            actor.take_offline(&[id]);
                            if let OpenError::Disk(error) = error {
                                suspect(dir, error, ctx);
                            }
                        }
                    }
                }
                actor.start(opened, ctx);
                let _gone = reply.send(actor.replicas.len());
                actor.start_timers(ctx);
                actor.resume_moves(ctx);
            }));
        });
    }

    /// Says what loading found.
    ///
    /// # Errors
    /// Why the replica cannot be served.
    fn loaded(&mut self, loaded: LoadedPartition) -> Result<Opened, OpenError> {
        let LoadedPartition { partition: id, topic_id, high_watermark, log, dir: _ } = loaded;
        match log {
            Ok((log, report)) => {
                report_open(&id, &report);
                Ok(Opened { id, topic_id: topic_id.unwrap_or(TopicId::ZERO), log, high_watermark })
            }
            Err(error) => {
                event::PartitionUnusable { partition: id.clone(), cause: error.to_string() }.emit();
                self.directory.take_offline(std::slice::from_ref(&id));
                let topic_id = topic_id.unwrap_or(TopicId::ZERO);
                self.replicas.entry(id).or_insert_with(|| Replica::down(topic_id));
                Err(error)
            }
        }
    }

    /// Gives each log an actor and publishes them together.
    fn start(&mut self, opened: Vec<Opened>, ctx: &Context<Self>) {
        let started = opened.into_iter().map(|opened| self.start_one(opened, ctx)).collect::<Vec<_>>();
        if started.is_empty() {
            return;
        }
        self.directory.forget_offline(started.iter().map(|(id, _)| id));
        self.directory.publish(|partitions| {
            for (id, handle) in started {
                partitions.entry(id.topic).or_default().insert(id.partition, handle);
            }
        });
    }

    fn start_one(&mut self, opened: Opened, ctx: &Context<Self>) -> (TopicPartition, PartitionHandle) {
        let Opened { id, topic_id, log, high_watermark } = opened;
        let settings = self.settings.topic(&id.topic);
        let replica = self.replicas.entry(id.clone()).or_insert_with(|| Replica::down(topic_id));
        replica.topic_id = topic_id;
        let published = Arc::new(Published::new(topic_id, log.view(), high_watermark, settings));
        replica.offline = false;
        replica.incarnation += 1;
        let home = LoopId(self.next_home % self.placement.loops());
        self.next_home += 1;
        let parts = PartitionParts {
            id: id.clone(),
            local: self.local,
            log,
            published: Arc::clone(&published),
            high_watermark,
            ports: self.ports.clone(),
            placement: self.placement.clone(),
            isr_changes: self.neighbours.isr_changes.clone(),
            after_cut: checkpoint_of_cut(Arc::clone(&self.dirs), id.clone(), Arc::clone(&published)),
            notice: death_notice(ctx, &id, replica.incarnation),
        };
        let addr = self.placement.start(home, move |_| PartitionActor::new(parts));
        let handle = PartitionHandle { addr, home, published };
        replica.handle = Some(handle.clone());
        if let Some(leadership) = &replica.leadership {
            // A fresh mailbox has room.
            let told = taken_up(leadership, replica.standing.take());
            if let PartitionCommand::Resume(standing) = &told {
                // It may die before it has taken it.
                handle.published.set_standing(standing.clone());
            }
            let _queued = handle.addr.try_send(told);
        }
        self.follow(&id, ctx.address());
        self.coordinate([&id], &ctx.address());
        (id, handle)
    }

    fn configure(&mut self, topic: Option<TopicName>, ctx: &mut Context<Self>) {
        if self.fetchers.resize() {
            let all = self.replicas.keys().cloned().collect::<Vec<_>>();
            all.iter().for_each(|id| self.follow(id, ctx.address()));
        }
        let first = topic.clone().map(|topic| TopicPartition { topic, partition: PartitionIndex(0) });
        let from_first = self.replicas.range((first.map_or(Bound::Unbounded, Bound::Included), Bound::Unbounded));
        let concerned = from_first.take_while(|(id, _)| topic.as_ref().is_none_or(|topic| *topic == id.topic));
        let told = concerned.filter_map(|(id, replica)| {
            self.fetchers.throttle(id, self.is_throttled(id));
            let settings = self.settings.topic(&id.topic);
            Some(replica.handle.as_ref()?.addr.send(PartitionCommand::Configure(settings)))
        });
        self.wait_for(told.collect(), ctx, || ());
    }
}

/// What a fresh actor is told: where the one before it was in the same leadership, or how another one begins.
fn taken_up(leadership: &Leadership, standing: Option<Standing>) -> PartitionCommand {
    let same = standing.filter(|standing| {
        let known = &standing.leadership;
        (known.leader, known.leader_epoch) == (leadership.leader, leadership.leader_epoch)
            && leadership.partition_epoch <= known.partition_epoch
    });
    same.map_or_else(|| PartitionCommand::Assign(leadership.clone()), PartitionCommand::Resume)
}

impl Replica {
    fn down(topic_id: TopicId) -> Self {
        Self {
            topic_id,
            leadership: None,
            deaths: Intensity::default(),
            last_words: LastWords::default(),
            standing: None,
            incarnation: 0,
            handle: None,
            chores: Vec::new(),
            offline: false,
        }
    }
}

fn report_open(id: &TopicPartition, report: &OpenReport) {
    let partition = id.clone();
    if let Some(cut) = &report.cut {
        let (offset, bytes, cause) = (cut.log_end_offset, cut.bytes, cut.reason.clone());
        event::PartitionTruncated { partition, offset, bytes, cause }.emit();
    } else if report.segments_scanned != 0 {
        event::PartitionRecovered { partition, bytes: report.bytes_scanned }.emit();
    }
}

impl Actor for Replicas {
    type Context = Context<Self>;
}

impl Handler<ReplicasCommand> for Replicas {
    type Result = ();

    fn handle(&mut self, command: ReplicasCommand, ctx: &mut Context<Self>) {
        match command {
            ReplicasCommand::Load { reply } => self.load(reply, ctx),
            ReplicasCommand::LeaderAndIsr { controller_epoch, partitions, reply } => {
                if self.is_replaced(controller_epoch) {
                    let refused = |notice: PartitionNotice| (notice.id(), ErrorCode::StaleControllerEpoch);
                    let _gone = reply.send(partitions.into_iter().map(refused).collect());
                    return;
                }
                self.leader_and_isr(partitions, reply, ctx);
            }
            ReplicasCommand::StopReplica { controller_epoch, partitions, reply } => {
                if self.is_replaced(controller_epoch) {
                    let refused = |stopped: StoppedReplica| (stopped.partition, ErrorCode::StaleControllerEpoch);
                    let _gone = reply.send(partitions.into_iter().map(refused).collect());
                    return;
                }
                self.stop_replica(partitions, reply, ctx);
            }
            ReplicasCommand::Fence { only_shared, reply } => self.fence(only_shared, reply, ctx),
            ReplicasCommand::Configure(topic) => self.configure(topic, ctx),
            ReplicasCommand::Describe { reply } => self.describe(reply, ctx),
            ReplicasCommand::AlterDirs { wanted, reply } => self.alter_dirs(wanted, reply, ctx),
            ReplicasCommand::MoveEnded { id, number, ended } => self.move_ended(id, number, ended, ctx),
            ReplicasCommand::Died { id, incarnation, death } => self.died(id, incarnation, death, ctx),
            ReplicasCommand::FetcherDied { fetcher, death } => self.fetcher_died(fetcher, death, ctx),
            ReplicasCommand::CoordinatorDied { partition, death } => {
                let (name, cause) = (partition.to_string(), death.to_string());
                event::ActorDied { actor: "group coordinator", name, cause }.emit();
                ctx.run_later(COORDINATOR_RESTART, move |_, ctx| {
                    ctx.notify(ReplicasCommand::CoordinateAgain(partition));
                });
            }
            ReplicasCommand::CoordinateAgain(partition) => {
                let replicas = ctx.address();
                self.tenures.restart(partition, |partition| coordinator_notice(replicas, partition));
            }
            ReplicasCommand::FollowAgain(leader) => self.follow_again(leader, ctx),
            ReplicasCommand::Reopen(id) => self.reopen(id, ctx),
            ReplicasCommand::DirFailed { dir, error } => self.dir_failed(dir, error, ctx),
            ReplicasCommand::Cleaned(Some(pending)) => self.delete_later(pending, ctx),
            ReplicasCommand::Cleaned(None) => self.write_checkpoints(ctx),
            ReplicasCommand::Shutdown { reply } => self.shutdown(reply, ctx),
        }
    }
}
