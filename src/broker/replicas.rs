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
use tokio::sync::{oneshot, watch};

use super::cleaner::Cleaner;
use super::directory::{self, Directory, PartitionHandle, Published};
use super::fetcher::{FetcherId, Follow};
use super::fetchers::{Fetchers, FetchersParts};
use super::groups::{Groups, Tenure, Tenures};
use super::image::Metadata;
use super::isr_changes::IsrChanges;
use super::membership::Membership;
use super::partition::{AfterCut, Chore, PartitionActor, PartitionCommand, PartitionParts};
use super::placement::{LoopId, Placement};
use super::ports::{Ports, random};
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
    /// Counts the actors of this replica, so that a late death notice of an earlier one is told apart.
    incarnation: u64,
    /// `None` while it is down.
    handle: Option<PartitionHandle>,
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
    /// Where the coordinators of groups are found.
    pub groups: Groups,
    /// Told why, when no log dir works any more.
    pub lose: watch::Sender<Option<String>>,
    /// Counts the failures of log dirs and replicas that the controller must hear of.
    pub failures: watch::Sender<u64>,
    /// Tells the broker of an untimely end.
    pub notice: DeathNotice,
}

/// Everything that the replicas actor can be asked.
#[derive(Message)]
#[rtype(result = "()")]
pub enum ReplicasCommand {
    /// Load what lies in the log dirs. Answers how many partitions there are.
    Load {
        /// Who hears of it.
        reply: oneshot::Sender<usize>,
    },
    /// The controller says who leads these partitions (LeaderAndIsr). Answers an error code per partition.
    LeaderAndIsr {
        /// Which controller: one that another has replaced by now has no effect.
        controller_epoch: ControllerEpoch,
        /// In the controller's order.
        partitions: Vec<PartitionNotice>,
        /// Who hears of it.
        reply: oneshot::Sender<Vec<(TopicPartition, ErrorCode)>>,
    },
    /// The controller says that these replicas fetch no more, or go (StopReplica). Answers an error code per partition.
    StopReplica {
        /// As for LeaderAndIsr.
        controller_epoch: ControllerEpoch,
        /// Which.
        partitions: Vec<StoppedReplica>,
        /// Who hears of it.
        reply: oneshot::Sender<Vec<(TopicPartition, ErrorCode)>>,
    },
    /// The session with the coordinator ended: no partition leads until told again.
    Fence {
        /// Who hears that all were told.
        reply: oneshot::Sender<()>,
    },
    /// The settings of a topic changed; `None`: of all.
    Configure(Option<TopicName>),
    /// What lies in the log dirs.
    Describe {
        /// Who hears of it.
        reply: oneshot::Sender<Vec<LogDirDescription>>,
    },
    /// A partition ended without having been asked to.
    Died {
        /// Which.
        id: TopicPartition,
        /// Which actor of it.
        incarnation: u64,
        /// How.
        death: Death,
    },
    /// A coordinator of groups ended without having been asked to.
    CoordinatorDied {
        /// Of which partition of `__consumer_offsets`.
        partition: PartitionIndex,
        /// How.
        death: Death,
    },
    /// Start it again.
    CoordinateAgain(PartitionIndex),
    /// A fetcher ended without having been asked to.
    FetcherDied {
        /// Which.
        fetcher: FetcherId,
        /// How.
        death: Death,
    },
    /// Follow this leader again.
    FollowAgain(BrokerId),
    /// Start a partition again that died.
    Reopen(TopicPartition),
    /// The disk failed when it was asked for something in a log dir.
    DirFailed {
        /// Which.
        dir: LogDirIndex,
        /// How.
        error: DiskError,
    },
    /// The cleaner put segments into place: these files are to be removed. `None`: it is done with a log, which is to be noted.
    Cleaned(Option<PendingDelete>),
    /// Flush and close everything, and write the clean-shutdown markers.
    Shutdown {
        /// Whether all was written.
        reply: oneshot::Sender<bool>,
    },
}

/// A replica that is to be stopped.
#[derive(Clone, Debug)]
pub struct StoppedReplica {
    /// Which.
    pub partition: TopicPartition,
    /// Of the leadership that the controller knows; negative: not compared.
    pub leader_epoch: LeaderEpoch,
    /// Whether its data goes too.
    pub delete: bool,
}

impl StoppedReplica {
    /// That of a topic that is deleted (`LeaderAndIsr.EpochDuringDelete`).
    #[must_use]
    pub fn of_deleted_topic(partition: TopicPartition) -> Self {
        Self { partition, leader_epoch: LeaderEpoch(-2), delete: true }
    }
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
            groups,
            lose,
            failures,
            notice,
        } = parts;
        let tenures = Tenures::new(groups, settings.broker().groups.clone(), ports.clone(), placement.clone());
        let fetchers = Fetchers::new(FetchersParts {
            local,
            listener: neighbours.listener.clone(),
            membership: neighbours.membership.clone(),
            metadata: neighbours.metadata.clone(),
            ports: ports.clone(),
            settings: settings.clone(),
            placement: placement.clone(),
        });
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
        let published = Arc::new(Published::new(topic_id, log.view(), high_watermark, settings));
        let replica = self.replicas.entry(id.clone()).or_insert_with(|| Replica::down(topic_id));
        replica.topic_id = topic_id;
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
            let _queued = handle.addr.try_send(PartitionCommand::Assign(leadership.clone()));
        }
        self.follow(&id, ctx.address());
        self.coordinate([&id], &ctx.address());
        (id, handle)
    }

    fn leader_and_isr(
        &mut self,
        partitions: Vec<PartitionNotice>,
        reply: oneshot::Sender<Vec<(TopicPartition, ErrorCode)>>,
        ctx: &mut Context<Self>,
    ) {
        let missing = partitions.iter().filter(|notice| {
            !self.replicas.contains_key(&notice.id()) && notice.assignment.replicas.contains(&self.local)
        });
        let missing = missing.map(|notice| (notice.id(), notice.topic_id, notice.is_new)).collect::<Vec<_>>();
        let settings = self.settings.clone();
        let now = self.ports.clock.timestamp();
        let create = move |dirs: &mut LogDirs| {
            missing
                .into_iter()
                .map(|(id, topic_id, is_new)| {
                    let made = create(dirs, &id, (topic_id, is_new), &settings, now);
                    (id, topic_id, made)
                })
                .collect::<Vec<_>>()
        };
        self.with_dirs(ctx, create, move |actor, created, ctx| {
            let mut opened = Vec::new();
            for (id, topic_id, (made, failed)) in created {
                failed.into_iter().for_each(|(dir, error)| suspect(dir, error, ctx));
                opened.extend(actor.created(id, topic_id, made));
            }
            actor.start(opened, ctx);
            let told = partitions.into_iter().map(|notice| {
                let told = actor.assign(&notice);
                async move {
                    let answer = match told {
                        Ok(told) => {
                            // One that dies meanwhile is told in its next incarnation.
                            let _taken = OptionFuture::from(told).await;
                            ErrorCode::None
                        }
                        Err(refused) => refused,
                    };
                    (notice.id(), answer)
                }
            });
            let told = join_all(told.collect::<Vec<_>>());
            ctx.wait(told.into_actor(actor).map(|answers, actor, ctx| {
                for (id, _) in answers.iter().filter(|(_, code)| !code.is_error()) {
                    actor.follow(id, ctx.address());
                }
                actor.coordinate(answers.iter().map(|(id, _)| id), &ctx.address());
                let _gone = reply.send(answers);
            }));
        });
    }

    fn created(&self, id: TopicPartition, topic_id: TopicId, made: Result<Log, OpenError>) -> Option<Opened> {
        match made {
            Ok(log) => {
                event::PartitionCreated { partition: id.clone() }.emit();
                let high_watermark = log.log_start_offset();
                Some(Opened { id, topic_id, log, high_watermark })
            }
            Err(error) => {
                event::PartitionUnusable { partition: id.clone(), cause: error.to_string() }.emit();
                self.directory.take_offline(&[id]);
                None
            }
        }
    }

    /// Has a replica copied from its leader, if another broker is.
    fn follow(&mut self, id: &TopicPartition, replicas: Addr<Self>) {
        let Some(replica) = self.replicas.get(id) else { return };
        let (Some(leadership), Some(handle)) = (&replica.leadership, &replica.handle) else { return };
        let leader = leadership.leader;
        if leader == self.local || leader == BrokerId::NONE {
            self.fetchers.leave([id]);
            return;
        }
        let (topic_id, leader_epoch) = (replica.topic_id, leadership.leader_epoch);
        event::Following { partition: id.clone(), leader, epoch: leader_epoch }.emit();
        let follow = Follow { id: id.clone(), topic_id, leader_epoch, addr: handle.addr.clone() };
        self.fetchers.follow(leader, follow, |fetcher| fetcher_notice(replicas, fetcher));
    }

    /// Tells the coordinators of groups in these partitions whether they coordinate.
    fn coordinate<'i>(&mut self, ids: impl IntoIterator<Item = &'i TopicPartition>, replicas: &Addr<Self>) {
        for id in ids.into_iter().filter(|id| id.topic.as_str() == TopicName::CONSUMER_OFFSETS) {
            let replica = self.replicas.get(id);
            let leadership = replica.and_then(|replica| replica.leadership.as_ref());
            let led = leadership.filter(|leadership| leadership.leader == self.local);
            let handle = replica.and_then(|replica| replica.handle.clone());
            let tenure = led.zip(handle);
            let tenure = tenure.map(|(led, partition)| Tenure { epoch: led.leader_epoch, partition });
            self.tenures.set(id.partition, tenure, |partition| coordinator_notice(replicas.clone(), partition));
        }
    }

    fn fetcher_died(&mut self, fetcher: FetcherId, death: Death, ctx: &mut Context<Self>) {
        self.fetchers.died(fetcher);
        let FetcherId { leader, number } = fetcher;
        event::ActorDied { actor: "fetcher", name: format!("{number} of broker {leader}"), cause: death.to_string() }
            .emit();
        ctx.run_later(FETCHER_RESTART, move |_, ctx| ctx.notify(ReplicasCommand::FollowAgain(leader)));
    }

    fn follow_again(&mut self, leader: BrokerId, ctx: &Context<Self>) {
        let led = |replica: &Replica| replica.leadership.as_ref().is_some_and(|known| known.leader == leader);
        let followed = self.replicas.iter().filter(|(_, replica)| led(replica)).map(|(id, _)| id.clone());
        for id in followed.collect::<Vec<_>>() {
            self.follow(&id, ctx.address());
        }
    }

    fn stop_replica(
        &mut self,
        partitions: Vec<StoppedReplica>,
        reply: oneshot::Sender<Vec<(TopicPartition, ErrorCode)>>,
        ctx: &mut Context<Self>,
    ) {
        let mut answers = Vec::new();
        let (mut stopped, mut deleted) = (Vec::new(), Vec::new());
        for StoppedReplica { partition, leader_epoch, delete } in partitions {
            let replica = self.replicas.get(&partition);
            let known = replica.and_then(|replica| replica.leadership.as_ref());
            let fenced = known.is_some_and(|known| 0 <= leader_epoch.0 && leader_epoch < known.leader_epoch);
            if replica.is_some_and(|replica| replica.offline) {
                answers.push((partition, ErrorCode::KafkaStorageError));
            } else if fenced {
                answers.push((partition, ErrorCode::FencedLeaderEpoch));
            } else if delete {
                deleted.push(partition);
            } else {
                stopped.push(partition);
            }
        }
        self.fetchers.leave(&stopped);
        answers.extend(stopped.into_iter().map(|id| (id, ErrorCode::None)));
        if deleted.is_empty() {
            let _gone = reply.send(answers);
            return;
        }
        self.delete(deleted, ctx, |deleted| {
            answers.extend(deleted);
            let _gone = reply.send(answers);
        });
    }

    /// One partition of a LeaderAndIsr. Its mailbox may be full of appends: then it is waited for. One that is down is told when it
    /// is up again.
    fn assign(&mut self, notice: &PartitionNotice) -> Result<Option<Told>, ErrorCode> {
        let is_replica = notice.assignment.replicas.contains(&self.local);
        let missing = if is_replica { ErrorCode::KafkaStorageError } else { ErrorCode::UnknownTopicOrPartition };
        let replica = self.replicas.get_mut(&notice.id()).ok_or(missing)?;
        if replica.offline {
            return Err(ErrorCode::KafkaStorageError);
        }
        // Controllers before 2.8 know no ids.
        if !notice.topic_id.is_zero() && !replica.topic_id.is_zero() && replica.topic_id != notice.topic_id {
            return Err(ErrorCode::InconsistentTopicId);
        }
        let adopted = replica.topic_id.is_zero() && !notice.topic_id.is_zero();
        if adopted {
            replica.topic_id = notice.topic_id;
        }
        if let Some(known) = replica.leadership.as_ref().filter(|known| notice.state.leader_epoch <= known.leader_epoch)
        {
            // As Kafka says that there is nothing new in it, unless it is the topic's id.
            let same = adopted && notice.state.leader_epoch == known.leader_epoch;
            return if same { Ok(None) } else { Err(ErrorCode::StaleControllerEpoch) };
        }
        if !is_replica {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        let leadership = Leadership {
            leader: notice.state.leader,
            leader_epoch: notice.state.leader_epoch,
            partition_epoch: notice.state.partition_epoch,
            isr: notice.state.isr.clone(),
            replicas: notice.assignment.replicas.clone(),
        };
        replica.leadership = Some(leadership.clone());
        Ok(replica.handle.as_ref().map(|handle| handle.addr.send(PartitionCommand::Assign(leadership))))
    }

    /// Closes logs and marks them for deletion; then `then` hears what became of each.
    fn delete(
        &mut self,
        ids: Vec<TopicPartition>,
        ctx: &mut Context<Self>,
        then: impl FnOnce(Vec<(TopicPartition, ErrorCode)>) + 'static,
    ) {
        self.fetchers.leave(&ids);
        self.directory.publish(|partitions| directory::remove(partitions, &ids));
        self.directory.forget_offline(ids.iter());
        let handles = ids.iter().filter_map(|id| self.replicas.remove(id)?.handle).collect::<Vec<_>>();
        self.coordinate(&ids, &ctx.address());
        let closed = join_all(handles.into_iter().map(|handle| close(handle, true)));
        let due = self.ports.clock.moment().after(self.settings.file_delete_delay());
        let uniques = ids.iter().map(|_| u128::from_be_bytes(random(&*self.ports.entropy))).collect::<Vec<_>>();
        ctx.wait(closed.into_actor(self).map(move |_, actor, ctx| {
            let rename = move |dirs: &mut LogDirs| {
                let delete = |(id, unique)| {
                    let dir = dirs.dir_of(&id);
                    let renamed = dir.map(|_| dirs.delete_partition(&id, unique, due));
                    (id, dir, renamed)
                };
                ids.into_iter().zip(uniques).map(delete).collect::<Vec<_>>()
            };
            actor.with_dirs(ctx, rename, move |actor, renamed, ctx| {
                let outcome =
                    |(id, dir, renamed): (TopicPartition, Option<LogDirIndex>, Option<Result<_, DiskError>>)| {
                        let code = match renamed {
                            // Never there, or gone already.
                            None => ErrorCode::None,
                            Some(Ok(pending)) => {
                                actor.delete_later(pending, ctx);
                                ErrorCode::None
                            }
                            Some(Err(error)) => {
                                event::DeleteFailed { cause: error.to_string() }.emit();
                                dir.into_iter().for_each(|dir| suspect(dir, error.clone(), ctx));
                                ErrorCode::KafkaStorageError
                            }
                        };
                        (id, code)
                    };
                then(renamed.into_iter().map(outcome).collect());
            });
        }));
    }

    fn delete_later(&self, pending: PendingDelete, ctx: &mut Context<Self>) {
        let wait = pending.due.since(self.ports.clock.moment());
        ctx.run_later(wait, move |actor, ctx| {
            let disk = Arc::clone(&actor.ports.disk);
            let work = actor.placement.blocking(move || pending.run(&*disk));
            ctx.spawn(work.into_actor(actor).map(|done, _, _| {
                if let Some(Err(error)) = done {
                    event::DeleteFailed { cause: error.to_string() }.emit();
                }
            }));
        });
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
            let settings = self.settings.topic(&id.topic);
            Some(replica.handle.as_ref()?.addr.send(PartitionCommand::Configure(settings)))
        });
        self.wait_for(told.collect(), ctx, || ());
    }

    fn fence(&mut self, reply: oneshot::Sender<()>, ctx: &mut Context<Self>) {
        let mut told = Vec::new();
        for replica in self.replicas.values_mut() {
            replica.leadership.take_if(|_| !Bug::B13.is_back());
            if let Some(handle) = &replica.handle {
                told.push(handle.addr.send(PartitionCommand::Fence));
            }
        }
        let all = self.replicas.keys().cloned().collect::<Vec<_>>();
        self.coordinate(&all, &ctx.address());
        self.wait_for(told, ctx, || {
            let _gone = reply.send(());
        });
    }

    /// Lets the mailbox wait until partitions have taken a command, then does `then`. One that died meanwhile starts afresh
    /// with what holds by then.
    fn wait_for(&self, told: Vec<Told>, ctx: &mut Context<Self>, then: impl FnOnce() + 'static) {
        ctx.wait(join_all(told).into_actor(self).map(|_, _, _| then()));
    }

    fn died(&mut self, id: TopicPartition, incarnation: u64, death: Death, ctx: &mut Context<Self>) {
        let now = self.ports.clock.moment();
        let Some(replica) = self.replicas.get_mut(&id).filter(|replica| replica.incarnation == incarnation) else {
            return;
        };
        if let Some(handle) = replica.handle.take() {
            let published = &handle.published;
            replica.last_words = LastWords {
                recovery_point: Some(published.log.recovery_point()),
                log_start: published.log.log_start_offset(),
                high_watermark: published.high_watermark(),
            };
        }
        let verdict = replica.deaths.died(now);
        event::ActorDied { actor: "partition", name: id.to_string(), cause: death.to_string() }.emit();
        self.coordinate([&id], &ctx.address());
        match verdict {
            Verdict::Restart(wait) => {
                ctx.run_later(wait, move |_, ctx| ctx.notify(ReplicasCommand::Reopen(id)));
            }
            Verdict::Escalate => {
                event::ActorEscalated { actor: "partition", name: id.to_string(), deaths: DEATHS_MAX }.emit();
                self.take_offline(std::slice::from_ref(&id));
                if death == Death::Failed {
                    self.probe(id, ctx);
                }
            }
        }
    }

    /// A partition's disk failed again and again: is it the file, or the whole dir?
    fn probe(&self, id: TopicPartition, ctx: &mut Context<Self>) {
        let probe = move |dirs: &mut LogDirs| dirs.dir_of(&id).map(|dir| (dir, dirs.probe(dir)));
        self.with_dirs(ctx, probe, |_, probed, ctx| {
            if let Some((dir, Err(error))) = probed {
                suspect(dir, error, ctx);
            }
        });
    }

    /// Takes a log dir out of service, with all that lies in it; the others go on. Kafka does the same, and asks for a restart
    /// too.
    fn dir_failed(&mut self, dir: LogDirIndex, error: DiskError, ctx: &mut Context<Self>) {
        if !self.failed_dirs.insert(dir) {
            return;
        }
        let cause = error.to_string();
        let fail = move |dirs: &mut LogDirs| {
            dirs.fail(dir, error);
            let path = dirs.path_of(dir).map(Path::to_path_buf).unwrap_or_default();
            (path, dirs.partitions_in(dir), dirs.all_failed())
        };
        self.with_dirs(ctx, fail, move |actor, (path, ids, all), ctx| {
            event::LogDirFailed { dir: event::Dir(path.clone()), cause: cause.clone() }.emit();
            actor.take_offline(&ids);
            actor.coordinate(&ids, &ctx.address());
            let handles = ids.iter().filter_map(|id| actor.replicas.get_mut(id)?.handle.take()).collect::<Vec<_>>();
            let closed = join_all(handles.into_iter().map(|handle| close(handle, true)));
            ctx.spawn(closed.into_actor(actor).map(|_, _, _| ()));
            if all {
                let last = path.display();
                actor
                    .lose
                    .send_replace(Some(format!("none of the log dirs works any more; the last was {last}: {cause}")));
            }
        });
    }

    /// These cannot be served until the broker starts again: clients hear it, and the controller, so that others lead.
    fn take_offline(&mut self, ids: &[TopicPartition]) {
        self.directory.take_offline(ids);
        for id in ids {
            if let Some(replica) = self.replicas.get_mut(id) {
                replica.offline = true;
                replica.leadership = None;
            }
        }
        self.fetchers.leave(ids);
        self.failures.send_modify(|failures| *failures += 1);
    }

    /// Whether a controller was replaced since its request was admitted.
    fn is_replaced(&self, controller: ControllerEpoch) -> bool {
        controller < self.neighbours.membership.controller_epoch()
    }

    fn reopen(&mut self, id: TopicPartition, ctx: &mut Context<Self>) {
        let Some(replica) = self.replicas.get(&id).filter(|replica| replica.handle.is_none()) else { return };
        let last_words = replica.last_words;
        let config = self.settings.topic(&id.topic).log.clone();
        let now = self.ports.clock.timestamp();
        let wanted = id.clone();
        let open = move |dirs: &mut LogDirs| dirs.reopen_partition(&wanted, last_words, config, now);
        self.try_with_dirs(ctx, open, move |actor, loaded, ctx| {
            let panicked = loaded.is_none();
            match loaded.flatten().map(|loaded| actor.loaded(loaded)) {
                Some(Ok(opened)) => {
                    let deaths = actor.deaths(&id);
                    event::ActorRestarted { actor: "partition", name: id.to_string(), deaths }.emit();
                    actor.start(vec![opened], ctx);
                }
                // It will be mended by itself, as a full disk is: no reason to give the partition up.
                Some(Err(OpenError::Disk(error))) if error.passes() => {
                    ctx.run_later(FULL_DISK_RETRY, move |_, ctx| ctx.notify(ReplicasCommand::Reopen(id)));
                }
                // As if the fresh one had died at once: tried again, and given up in the end; only then is the dir asked.
                Some(Err(_)) | None => {
                    let incarnation = actor.replicas.get(&id).map_or(0, |replica| replica.incarnation);
                    let death = if panicked { Death::Panicked } else { Death::Failed };
                    actor.died(id, incarnation, death, ctx);
                }
            }
        });
    }

    /// Deaths of a partition within the last minute.
    fn deaths(&self, id: &TopicPartition) -> u32 {
        self.replicas.get(id).map_or(0, |replica| replica.deaths.recent())
    }

    fn start_timers(&self, ctx: &mut Context<Self>) {
        let Intervals { retention, checkpoint, producers } = self.intervals;
        if let Some(interval) = retention {
            ctx.run_interval(interval, |actor, ctx| actor.housekeep(Chore::Retention, ctx));
        }
        if let Some(interval) = producers {
            ctx.run_interval(interval, |actor, ctx| actor.housekeep(Chore::Producers, ctx));
        }
        if let Some(interval) = checkpoint {
            ctx.run_interval(interval, |actor, ctx| {
                actor.housekeep(Chore::Checkpoint, ctx);
                actor.write_checkpoints(ctx);
            });
        }
        let cleaner = Cleaner {
            directory: self.directory.clone(),
            settings: self.settings.clone(),
            ports: self.ports.clone(),
            placement: self.placement.clone(),
            replicas: ctx.address(),
            uncleanable: BTreeMap::new(),
        };
        ctx.spawn(cleaner.run().into_actor(self));
    }

    /// One at a time; if one is being written, the next round will do.
    fn write_checkpoints(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.checkpointing, true) {
            return;
        }
        let work = self.placement.blocking(self.checkpoint());
        ctx.spawn(work.into_actor(self).map(|failed, actor, ctx| {
            actor.checkpointing = false;
            let failed = failed.unwrap_or_default();
            report_checkpoint(&failed);
            failed.into_iter().for_each(|(dir, error)| suspect(dir, error, ctx));
        }));
    }

    fn housekeep(&self, chore: Chore, ctx: &mut Context<Self>) {
        for handle in self.replicas.values().filter_map(|replica| replica.handle.as_ref()) {
            let (reply, answer) = oneshot::channel();
            if handle.addr.try_send(PartitionCommand::Housekeep { chore, reply }).is_ok() {
                ctx.spawn(answer.into_actor(self).map(|pending, actor, ctx| {
                    if let Ok(Some(pending)) = pending {
                        actor.delete_later(pending, ctx);
                    }
                }));
            }
        }
    }

    /// Writes checkpoints of what the partitions publish by then. For the disk pool.
    fn checkpoint(&self) -> impl FnOnce() -> Vec<(LogDirIndex, DiskError)> + Send + use<> {
        let published = self.replicas.iter().filter_map(|(id, replica)| {
            let published = &replica.handle.as_ref()?.published;
            Some((id.clone(), Arc::clone(published)))
        });
        let published = published.collect::<Vec<_>>();
        let dirs = Arc::clone(&self.dirs);
        move || {
            // One after the other, and no older offsets behind newer ones.
            let dirs = dirs.lock().unwrap_or_else(PoisonError::into_inner);
            let offsets = published.into_iter().map(|(id, published)| (id, offsets_of(&published)));
            dirs.as_ref().map(|dirs| dirs.checkpoint_task(offsets.collect()).run()).unwrap_or_default()
        }
    }

    fn shutdown(&mut self, reply: oneshot::Sender<bool>, ctx: &mut Context<Self>) {
        self.fetchers.retire();
        let high_watermarks = self.replicas.iter().filter_map(|(id, replica)| {
            let handle = replica.handle.clone()?;
            Some((id.clone(), handle))
        });
        let closing = high_watermarks.map(|(id, handle)| async move {
            let published = Arc::clone(&handle.published);
            let recovery_point = close(handle, false).await;
            let offsets = recovery_point.map(|recovery_point| PartitionOffsets {
                recovery_point,
                log_start: published.log.log_start_offset(),
                high_watermark: published.high_watermark(),
                first_dirty: published.log.first_dirty_offset(),
            });
            (id, offsets)
        });
        let closing = join_all(closing.collect::<Vec<_>>());
        let down = self.replicas.values().any(|replica| replica.handle.is_none());
        let dirs = Arc::clone(&self.dirs);
        let placement = self.placement.clone();
        ctx.wait(closing.into_actor(self).map(move |closed, actor, ctx| {
            let clean = !down && closed.iter().all(|(_, offsets)| offsets.is_some());
            let offsets = closed.into_iter().filter_map(|(id, offsets)| Some((id, offsets?))).collect();
            let finish = placement.blocking(move || finish(&dirs, offsets, clean));
            ctx.wait(finish.into_actor(actor).map(move |done, _, _| {
                let _gone = reply.send(done.unwrap_or(false));
            }));
        }));
    }
}

impl Replica {
    fn down(topic_id: TopicId) -> Self {
        Self {
            topic_id,
            leadership: None,
            deaths: Intensity::default(),
            last_words: LastWords::default(),
            incarnation: 0,
            handle: None,
            offline: false,
        }
    }
}

fn offsets_of(published: &Published) -> PartitionOffsets {
    PartitionOffsets {
        recovery_point: published.log.recovery_point(),
        log_start: published.log.log_start_offset(),
        high_watermark: published.high_watermark(),
        first_dirty: published.log.first_dirty_offset(),
    }
}

/// Writes the checkpoint of a log that was cut: until it says so, a crash would take what is appended in place of what was cut for
/// flushed. For the disk pool.
fn checkpoint_of_cut(dirs: Arc<Mutex<Option<LogDirs>>>, id: TopicPartition, published: Arc<Published>) -> AfterCut {
    Arc::new(move || {
        let dirs = dirs.lock().unwrap_or_else(PoisonError::into_inner);
        let offsets = BTreeMap::from([(id.clone(), offsets_of(&published))]);
        dirs.as_ref().is_some_and(|dirs| dirs.checkpoint_task(offsets).run().is_empty())
    })
}

/// The last checkpoint, and the clean-shutdown marker when every log was closed.
fn finish(dirs: &Mutex<Option<LogDirs>>, offsets: BTreeMap<TopicPartition, PartitionOffsets>, clean: bool) -> bool {
    let Some(dirs) = dirs.lock().unwrap_or_else(PoisonError::into_inner).take() else { return false };
    let failed = dirs.checkpoint_task(offsets).run();
    let written = failed.is_empty();
    report_checkpoint(&failed);
    clean && written && dirs.close().is_ok()
}

async fn close(handle: PartitionHandle, discard: bool) -> Option<Offset> {
    let (reply, answer) = oneshot::channel();
    let sent = handle.addr.send(PartitionCommand::Close { reply, discard });
    tokio::time::timeout(COMMAND_PATIENCE, async {
        sent.await.ok()?;
        answer.await.ok()?
    })
    .await
    .ok()?
}

/// Makes a partition in the dir with the fewest. When the disk of that fails it is taken off the list, and the next is tried;
/// the dirs that failed.
fn create(
    dirs: &mut LogDirs,
    id: &TopicPartition,
    (topic_id, is_new): (TopicId, bool),
    settings: &SettingsStore,
    now: Timestamp,
) -> (Result<Log, OpenError>, Vec<(LogDirIndex, DiskError)>) {
    let mut failed = Vec::new();
    if !is_new && let Some((_, error)) = dirs.failed().into_iter().next() {
        // It may lie in the dir that failed: an empty log in another one would pass for all that there ever was (law 10).
        return (Err(OpenError::Disk(error)), failed);
    }
    loop {
        let place = dirs.dir_for_new();
        let config = settings.topic(&id.topic).log.clone();
        match (place, dirs.create_partition(id, Some(topic_id), config, now)) {
            (_, Ok((_, log))) => return (Ok(log), failed),
            (Ok(place), Err(OpenError::Disk(error))) if !error.passes() => {
                dirs.fail(place, error.clone());
                failed.push((place, error.clone()));
                if !dirs.abandon_partition(id) {
                    // Two dirs must not both have it at the next start.
                    return (Err(OpenError::Disk(error)), failed);
                }
            }
            (_, Err(error)) => return (Err(error), failed),
        }
    }
}

/// Notes that the disk failed in a dir, unless it is only full.
fn suspect(dir: LogDirIndex, error: DiskError, ctx: &mut Context<Replicas>) {
    if !error.passes() {
        ctx.notify(ReplicasCommand::DirFailed { dir, error });
    }
}

#[expect(clippy::disallowed_methods, reason = "a death notice must arrive whatever the mailbox holds (law 7)")]
fn death_notice(ctx: &Context<Replicas>, id: &TopicPartition, incarnation: u64) -> DeathNotice {
    let (parent, id) = (ctx.address(), id.clone());
    DeathNotice::new(move |death| parent.do_send(ReplicasCommand::Died { id, incarnation, death }))
}

#[expect(clippy::disallowed_methods, reason = "a death notice must arrive whatever the mailbox holds (law 7)")]
fn coordinator_notice(replicas: Addr<Replicas>, partition: PartitionIndex) -> DeathNotice {
    DeathNotice::new(move |death| replicas.do_send(ReplicasCommand::CoordinatorDied { partition, death }))
}

#[expect(clippy::disallowed_methods, reason = "a death notice must arrive whatever the mailbox holds (law 7)")]
fn fetcher_notice(replicas: Addr<Replicas>, fetcher: FetcherId) -> DeathNotice {
    DeathNotice::new(move |death| replicas.do_send(ReplicasCommand::FetcherDied { fetcher, death }))
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

fn report_checkpoint(failed: &[(LogDirIndex, DiskError)]) {
    for (_, error) in failed {
        event::CheckpointFailed { cause: error.to_string() }.emit();
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
            ReplicasCommand::Fence { reply } => self.fence(reply, ctx),
            ReplicasCommand::Configure(topic) => self.configure(topic, ctx),
            ReplicasCommand::Describe { reply } => self.with_dirs(
                ctx,
                |dirs| dirs.describe(),
                move |_, described, _| {
                    let _gone = reply.send(described);
                },
            ),
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
