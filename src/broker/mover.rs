//! Moves one replica to another log dir of this broker, while it serves: a shell around
//! [`machine::log_dir_move`](crate::machine::log_dir_move).
//!
//! *State owned*: the copy, until it is the replica. *Who calls*: nobody; the replicas actor starts it, hears how it ended, and ends it when
//! the move is not wanted any more. The work runs on the disk pool, a piece at a time, beside the partition, which is asked only where
//! the two part, and to let the copy in.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::directory::{Directory, PartitionHandle};
use super::partition::{MovingStep, PartitionCommand, cut};
use super::placement::Placement;
use super::ports::Ports;
use super::quotas::SharedQuota;
use super::settings::SettingsStore;
use crate::machine::follower::CutTo;
use crate::machine::log_dir_move::{LogDirMove, Original, Step};
use crate::model::{Durability, LeaderEpoch, Moment, Offset, Timestamp, TopicPartition};
use crate::storage::log::{CopyError, DiskError, Log, LogView, PendingDelete};
use crate::storage::log_dirs::{FutureJob, Joined, LogDirIndex, LogDirs, PartitionOffsets};

/// Bytes that are copied at once.
const COPY_BYTES: usize = 1 << 20;

/// Bytes of a copy that are not flushed: with more they are, so that the last flush, for which the replica's mailbox waits, is short.
const UNFLUSHED_BYTES_MAX: usize = 16 << 20;

/// Wait for a partition that is down, and between two looks at the rate, which may change.
const PAUSE: Duration = Duration::from_millis(500);

/// What could not be read may have been cut meanwhile: so often it is tried again before the move is given up.
const READ_FAILURES_MAX: u32 = 3;

/// See the module.
pub struct Mover {
    /// Which replica.
    pub id: TopicPartition,
    /// Opens the copy.
    pub job: FutureJob,
    /// What is read of the copy, once it is open.
    pub view: Arc<OnceLock<Arc<LogView>>>,
    /// So many moves at once.
    pub slots: Arc<Semaphore>,
    /// Where the replica is.
    pub directory: Directory,
    /// Its topic's, and the rate.
    pub settings: SettingsStore,
    /// Clock.
    pub ports: Ports,
    /// Disk pool.
    pub placement: Placement,
    /// How fast moves go.
    pub quota: SharedQuota,
    /// Has the copy let in.
    pub join: JoinMeans,
}

/// What the partition needs to let a copy in.
#[derive(Clone)]
pub struct JoinMeans {
    /// The log dirs.
    pub dirs: Arc<Mutex<Option<LogDirs>>>,
    /// Names the old folder.
    pub unique: u128,
    /// How long the old folder stays.
    pub kept: Duration,
}

/// How a move ended.
#[derive(Debug)]
pub enum Ended {
    /// The copy is the replica.
    Moved {
        /// The old folder, to be removed.
        pending: PendingDelete,
        /// The disk of this dir failed meanwhile.
        failed: Option<(LogDirIndex, DiskError)>,
    },
    /// The replica stays where it is.
    GivenUp {
        /// Why.
        cause: String,
        /// The disk under the copy failed.
        disk: Option<DiskError>,
    },
}

/// Whether a copy was let in.
#[derive(Debug)]
pub enum LetIn {
    /// Not yet: it is not the beginning of the log any more. It comes back.
    NotYet(Box<Log>),
    /// That is the end of the move.
    Ended(Ended),
}

/// What a mover knows of its copy.
#[derive(Default)]
struct Progress {
    machine: LogDirMove,
    /// Bytes that were copied since the last flush.
    unflushed: usize,
    /// Reads that failed one after the other.
    failures: u32,
}

impl Mover {
    /// Moves it.
    pub async fn run(self) -> Ended {
        let Ok(_slot) = self.slots.acquire().await else { return given_up("the broker stops") };
        let (job, now) = (self.job.clone(), self.ports.clock.timestamp());
        let topic = self.settings.topic(&self.id.topic);
        let rewrite = topic.leader.durability == Durability::Flushed;
        let open = move || job.run(topic.log.clone(), rewrite, now);
        let mut copy = match self.placement.blocking(open).await {
            Some(Ok(copy)) => copy,
            Some(Err(error)) => return given_up(&error.to_string()),
            None => return given_up(PANICKED),
        };
        let _first = self.view.set(copy.view());
        let mut progress = Progress::default();
        loop {
            match self.go_on(copy, &mut progress).await {
                Ok(back) => copy = back,
                Err(ended) => return ended,
            }
        }
    }

    /// Does what comes next.
    async fn go_on(&self, copy: Log, progress: &mut Progress) -> Result<Log, Ended> {
        let handle = self.directory.find(self.id.topic.as_str(), self.id.partition);
        let original = match &handle {
            Some(handle) => self.compare(handle, &copy).await,
            None => None,
        };
        let (Some(handle), Some(original)) = (handle, original) else {
            tokio::time::sleep(PAUSE).await;
            return Ok(copy);
        };
        let (moment, now) = (self.ports.clock.moment(), self.ports.clock.timestamp());
        let exceeded_until = self.quota.exceeded_until(moment, self.settings.broker().replication.move_rate);
        let (copy, copied) = match progress.machine.next(copy.log_end_offset(), &original, exceeded_until) {
            Step::Wait(until) => {
                tokio::time::sleep(until.since(moment).min(PAUSE)).await;
                return Ok(copy);
            }
            Step::Join => return self.join(&handle, copy).await,
            Step::Begin(at) => {
                self.work(copy, move |copy| Ok(copy.truncate_fully_and_start_at(at, now).map(|()| 0)?)).await?
            }
            Step::Cut(epoch, end) => {
                self.work(copy, move |copy| Ok(cut(copy, CutTo::Divergence(epoch, end), now).map(|()| 0)?)).await?
            }
            Step::Copy => {
                let view = Arc::clone(&handle.published.log);
                let flush = UNFLUSHED_BYTES_MAX <= progress.unflushed;
                progress.unflushed = if flush { 0 } else { progress.unflushed };
                let piece = move |copy: &mut Log| {
                    if flush {
                        copy.flush()?;
                    }
                    let copied = copy.copy_from(&view, COPY_BYTES, now)?;
                    copy.advance_log_start(original.start);
                    Ok(copied)
                };
                self.work(copy, piece).await?
            }
        };
        match copied {
            Ok(bytes) => {
                progress.failures = 0;
                progress.unflushed += bytes;
                self.quota.record(self.ports.clock.moment(), bytes);
            }
            Err(CopyError::Read(_)) if copy.failure().is_none() && progress.failures < READ_FAILURES_MAX => {
                progress.failures += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(failed(&error)),
        }
        Ok(copy)
    }

    /// Runs `work` on the disk pool.
    ///
    /// # Errors
    /// It panicked, and the copy is lost with it.
    async fn work(
        &self,
        copy: Log,
        work: impl FnOnce(&mut Log) -> Result<usize, CopyError> + Send + 'static,
    ) -> Result<(Log, Result<usize, CopyError>), Ended> {
        let work = move || {
            let mut copy = copy;
            let done = work(&mut copy);
            (copy, done)
        };
        self.placement.blocking(work).await.ok_or_else(|| given_up(PANICKED))
    }

    async fn compare(&self, handle: &PartitionHandle, copy: &Log) -> Option<Original> {
        let last_epoch = copy.latest_leader_epoch().unwrap_or(LeaderEpoch::NONE);
        let end = copy.log_end_offset();
        ask(handle, |reply| MovingStep::Compare { last_epoch, end, reply }).await
    }

    async fn join(&self, handle: &PartitionHandle, copy: Log) -> Result<Log, Ended> {
        let (copy, flushed) = self.work(copy, |copy| copy.flush().map(|()| 0)).await?;
        flushed.map_err(|error| failed(&error))?;
        let (means, copy) = (self.join.clone(), Box::new(copy));
        match ask(handle, |reply| MovingStep::Join { copy, means, reply }).await {
            Some(LetIn::NotYet(back)) => Ok(*back),
            Some(LetIn::Ended(ended)) => Err(ended),
            // The partition died with it. What lies on the disk is found by the next start.
            None => Err(given_up("the partition ended")),
        }
    }
}

const PANICKED: &str = "the work panicked";

async fn ask<T>(handle: &PartitionHandle, step: impl FnOnce(oneshot::Sender<T>) -> MovingStep) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    handle.addr.send(PartitionCommand::Move(step(reply))).await.ok()?;
    answer.await.ok()
}

fn given_up(cause: &str) -> Ended {
    Ended::GivenUp { cause: cause.to_owned(), disk: None }
}

fn failed(error: &CopyError) -> Ended {
    let disk = match error {
        CopyError::Flush(error) => Some(error.clone()),
        CopyError::Write(error) => error.disk().cloned(),
        CopyError::Read(_) => None,
    };
    Ended::GivenUp { cause: error.to_string(), disk }
}

/// Lets a copy take the place of a replica's log, on the disk pool while the replica's mailbox waits: copies what is missing, and goes on
/// as the copy.
pub(super) fn let_in(
    id: &TopicPartition,
    log: &mut Log,
    mut copy: Box<Log>,
    means: &JoinMeans,
    offsets: PartitionOffsets,
    moment: Moment,
    now: Timestamp,
) -> LetIn {
    loop {
        if compare(log, copy.latest_leader_epoch().unwrap_or(LeaderEpoch::NONE), copy.log_end_offset()).parted.is_some()
        {
            return LetIn::NotYet(copy);
        }
        match copy.copy_from(&log.view(), COPY_BYTES, now) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return LetIn::Ended(failed(&error)),
        }
    }
    if copy.log_end_offset() != log.log_end_offset() {
        return LetIn::NotYet(copy);
    }
    copy.advance_log_start(log.log_start_offset());
    if let Err(error) = log.hold_open() {
        return LetIn::Ended(given_up(&error.to_string()));
    }
    let config = copy.config().clone();
    let closed = match copy.close() {
        Ok(closed) => closed,
        Err(error) => return LetIn::Ended(failed(&CopyError::Flush(error))),
    };
    let mut dirs = means.dirs.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(dirs) = dirs.as_mut() else { return LetIn::Ended(given_up("the broker stops")) };
    let due = moment.after(means.kept);
    match dirs.join_future(id, offsets, closed, means.unique, (due, config), now) {
        Joined::Stayed(error) => LetIn::Ended(given_up(&error.to_string())),
        Joined::Moved { log: opened, pending, failed } => {
            match opened {
                Ok(opened) => log.go_on_as(*opened),
                Err(error) => log.give_up(&error),
            }
            LetIn::Ended(Ended::Moved { pending, failed })
        }
    }
}

/// Where a log stands, seen from a copy that ends at `end`, with this leader epoch.
pub(super) fn compare(log: &Log, last_epoch: LeaderEpoch, end: Offset) -> Original {
    let view = log.view();
    let shared = log.end_offset_for_epoch(last_epoch).filter(|_| last_epoch != LeaderEpoch::NONE);
    let parted = shared.filter(|(epoch, shared_end)| *epoch < last_epoch || *shared_end < end);
    let first = view.first_segment_offset();
    Original { first, start: log.log_start_offset(), end: log.log_end_offset(), parted }
}

/// Where a replica shall be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which.
    pub id: TopicPartition,
    /// One of `log.dirs`, as the client wrote it.
    pub dir: PathBuf,
}
