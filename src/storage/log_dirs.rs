//! The log dirs of the broker: locks, identity, checkpoints, which partition lies where.
//!
//! *Invariant*: absence of metadata never deletes data (law 10): folders go only by [`LogDirs::delete_partition`]. What is
//! known of a partition that cannot be loaded stays in the checkpoints, so that the next start judges it no milder.
//! *Does not know*: what is in a log.
//!
//! Source: Kafka 3.9 `LogManager.scala`, `BrokerMetadataCheckpoint`.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{BrokerId, Moment, Offset, Timestamp, TopicId, TopicPartition};
use crate::storage::directory::{Mark, live_name, marked_name};
use crate::storage::disk::{Disk, replace_file};
use crate::storage::log::{DiskError, Log, LogConfig, OpenError, PendingDelete};
use crate::storage::meta_properties::MetaProperties;
use crate::storage::open_files::OpenFiles;
use crate::storage::{clean_shutdown, partition_metadata};

mod checkpoints;
mod future;
mod load;
mod opening;

pub use self::checkpoints::CheckpointTask;
use self::checkpoints::Checkpoints;
use self::future::Future;
pub use self::future::{FutureJob, Joined};
pub use self::load::{LoadJob, LoadedPartition};

/// Written and removed by [`LogDirs::probe`]. Kafka passes over files that it does not know.
const PROBE_FILE_NAME: &str = ".probe";

/// Number of a log dir, in the order of `log.dirs`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LogDirIndex(pub usize);

/// What `meta.properties` must say, or will say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// `broker.id`.
    pub broker_id: BrokerId,
    /// `cluster.id`.
    pub cluster_id: String,
}

/// What the log dirs say of themselves, before ZooKeeper was asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FoundIdentity {
    /// `broker.id` in meta.properties, the same in all dirs that have one.
    pub broker_id: Option<BrokerId>,
    /// `cluster.id` in meta.properties, the same in all dirs that have one.
    pub cluster_id: Option<String>,
}

/// Why the broker must not start on these dirs. Names the dir.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LogDirsError {
    /// Another broker has it.
    #[error("log dir {} is locked by another broker", .0.display())]
    Locked(PathBuf),
    /// `meta.properties` contradict each other or what the broker is told.
    #[error("{0}")]
    Identity(String),
    /// A folder that is no partition's.
    #[error("folder {} is no partition: move it out of the log dir", .0.display())]
    UnknownFolder(PathBuf),
    /// The same partition in two dirs.
    #[error("{partition} lies in {} and in {}", first.display(), second.display())]
    Duplicate {
        /// Which.
        partition: TopicPartition,
        /// One place.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A crash fell into the moment in which a replica went from one dir to another, and the other one does not work.
    #[error(
        "{} was left for another log dir, which does not work: mend that, or remove the file 'moved' in it to go on without what \
         was written since", .0.display()
    )]
    MovedAway(PathBuf),
    /// No dir works.
    #[error("none of the log dirs can be used: {0}")]
    AllFailed(DiskError),
}

/// What the checkpoint files hold of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PartitionOffsets {
    /// [`Log::recovery_point`].
    pub recovery_point: Offset,
    /// [`Log::log_start_offset`].
    pub log_start: Offset,
    /// Of the partition.
    pub high_watermark: Offset,
    /// [`LogView::first_dirty_offset`](crate::storage::log::LogView::first_dirty_offset).
    pub first_dirty: Option<Offset>,
}

/// What a partition had published when its actor died, which the checkpoints need not know yet: clients were told, so that it
/// must not go back while the broker lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LastWords {
    /// [`Log::recovery_point`], where the log was open: a log that was cut has a lower one than the last checkpoint says.
    pub recovery_point: Option<Offset>,
    /// [`Log::log_start_offset`].
    pub log_start: Offset,
    /// Of the partition. A log that was cut behind it ends below.
    pub high_watermark: Offset,
}

/// A log dir, for DescribeLogDirs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogDirDescription {
    /// As configured.
    pub path: PathBuf,
    /// Why it is offline.
    pub error: Option<DiskError>,
    /// Of the file system; `None` when it does not say.
    pub total_bytes: Option<u64>,
    /// Of the file system.
    pub usable_bytes: Option<u64>,
    /// Partitions that lie here.
    pub partitions: Vec<TopicPartition>,
    /// Partitions that are on their way here.
    pub futures: Vec<TopicPartition>,
}

/// All log dirs of the broker, locked for as long as this lives.
#[derive(Debug)]
pub struct LogDirs {
    disk: Arc<dyn Disk>,
    files: Arc<OpenFiles>,
    dirs: Vec<LogDir>,
    found: FoundIdentity,
    partitions: BTreeMap<TopicPartition, LogDirIndex>,
    /// Those of them that are on their way to another dir.
    futures: BTreeMap<TopicPartition, Future>,
    /// One whose copy is taking its place.
    joining: Option<TopicPartition>,
    /// Where partitions that are not here yet are to be made.
    preferred: BTreeMap<TopicPartition, LogDirIndex>,
    /// What the checkpoints say, or will say next, of every partition of [`Self::partitions`] that they know.
    known: Mutex<BTreeMap<TopicPartition, PartitionOffsets>>,
    warnings: Vec<String>,
}

/// One log dir.
struct LogDir {
    path: PathBuf,
    /// Why it is offline.
    failure: Option<DiskError>,
    /// Released when dropped.
    _lock: Option<Box<dyn Send + Sync>>,
    meta: Option<MetaProperties>,
    clean_shutdown: bool,
    /// A partition could not be loaded: the dir is not marked as closed in order, lest the next start trust it.
    tainted: Arc<AtomicBool>,
    /// A log was compacted here: from then on the cleaner's checkpoint is written with the others.
    compacted: AtomicBool,
    /// Folders of deleted partitions.
    leftovers: Vec<PathBuf>,
}

impl fmt::Debug for LogDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogDir").field("path", &self.path).field("failure", &self.failure).finish_non_exhaustive()
    }
}

impl LogDirs {
    /// Makes the dirs that are missing, locks them, reads `meta.properties` and the checkpoints, lists the partitions. A dir
    /// whose disk fails is offline ([`Self::failed`]); the others go on.
    ///
    /// # Errors
    /// See [`LogDirsError`].
    pub fn open(disk: Arc<dyn Disk>, paths: &[PathBuf]) -> Result<Self, LogDirsError> {
        let mut dirs = Self {
            disk,
            files: Arc::default(),
            dirs: Vec::new(),
            found: FoundIdentity::default(),
            partitions: BTreeMap::new(),
            futures: BTreeMap::new(),
            joining: None,
            preferred: BTreeMap::new(),
            known: Mutex::default(),
            warnings: Vec::new(),
        };
        let mut namesakes = Vec::new();
        for path in paths {
            let dir = dirs.open_dir(path, &mut namesakes)?;
            dirs.dirs.push(dir);
        }
        dirs.resolve_moves(namesakes)?;
        for at in 0..dirs.dirs.len() {
            if let Err(error) = dirs.read_checkpoints(LogDirIndex(at)) {
                dirs.fail(LogDirIndex(at), error);
            }
        }
        let failures = dirs.dirs.iter().filter_map(|dir| dir.failure.clone()).collect::<Vec<_>>();
        match failures.into_iter().next() {
            Some(failure) if dirs.dirs.iter().all(|dir| dir.failure.is_some()) => Err(LogDirsError::AllFailed(failure)),
            _ => Ok(dirs),
        }
    }

    /// What `meta.properties` said.
    #[must_use]
    pub fn found_identity(&self) -> &FoundIdentity {
        &self.found
    }

    /// What an operator should know: folders that are left alone, checkpoints that were damaged.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Checks `meta.properties` of all dirs, and writes it where it is missing or incomplete.
    ///
    /// # Errors
    /// [`LogDirsError::Identity`] in words for the operator.
    pub fn set_identity(&mut self, identity: &Identity, now: Timestamp) -> Result<(), LogDirsError> {
        let Identity { broker_id, cluster_id } = identity;
        if let Some(found) = self.found.broker_id.filter(|found| found != broker_id) {
            return Err(LogDirsError::Identity(format!(
                "broker.id is {broker_id}, but the log dirs belong to broker {found}: set broker.id={found}, or use other \
                 log.dirs"
            )));
        }
        if let Some(found) = self.found.cluster_id.as_ref().filter(|found| *found != cluster_id) {
            return Err(LogDirsError::Identity(format!(
                "the cluster's id is {cluster_id}, but the log dirs belong to cluster {found}: this broker is about to join \
                 the wrong cluster; check zookeeper.connect and log.dirs"
            )));
        }
        for dir in self.dirs.iter_mut().filter(|dir| dir.failure.is_none()) {
            let known = dir.meta.clone().unwrap_or_default();
            let wanted =
                MetaProperties { broker_id: Some(*broker_id), cluster_id: Some(cluster_id.clone()), ..known.clone() };
            if dir.meta.is_none() || wanted != known {
                if let Err(error) = wanted.save(&*self.disk, &dir.path, now) {
                    dir.failure = Some(DiskError::new("write meta.properties of", &dir.path, &error));
                }
                dir.meta = Some(wanted);
            }
        }
        self.found = FoundIdentity { broker_id: Some(*broker_id), cluster_id: Some(cluster_id.clone()) };
        Ok(())
    }

    /// Dirs that failed, and why.
    #[must_use]
    pub fn failed(&self) -> Vec<(PathBuf, DiskError)> {
        let failed = self.dirs.iter().filter_map(|dir| Some((dir.path.clone(), dir.failure.clone()?)));
        failed.collect()
    }

    /// Takes a dir offline: its disk failed. Its partitions stay listed, but nothing more is made or written there.
    pub fn fail(&mut self, dir: LogDirIndex, error: DiskError) {
        if let Some(dir) = self.dirs.get_mut(dir.0) {
            dir.failure.get_or_insert(error);
        }
    }

    /// Whether no dir works any more.
    #[must_use]
    pub fn all_failed(&self) -> bool {
        self.dirs.iter().all(|dir| dir.failure.is_some())
    }

    /// The partitions that lie in a dir.
    #[must_use]
    pub fn partitions_in(&self, dir: LogDirIndex) -> Vec<TopicPartition> {
        let here = self.partitions.iter().filter(|(_, place)| **place == dir);
        here.map(|(partition, _)| partition.clone()).collect()
    }

    /// Where a dir is.
    #[must_use]
    pub fn path_of(&self, dir: LogDirIndex) -> Option<&Path> {
        self.dirs.get(dir.0).map(|dir| dir.path.as_path())
    }

    /// Whether a dir takes a small file and makes it durable: to tell its failure from that of one file. Waits for the disk.
    ///
    /// # Errors
    /// The disk's, or why it is offline already.
    pub fn probe(&self, dir: LogDirIndex) -> Result<(), DiskError> {
        let Some(dir) = self.dirs.get(dir.0) else { return Ok(()) };
        if let Some(failure) = &dir.failure {
            return Err(failure.clone());
        }
        let path = dir.path.join(PROBE_FILE_NAME);
        let probed = replace_file(&*self.disk, &path, b"probe\n").and_then(|()| self.disk.remove_file(&path));
        probed.map_err(|error| DiskError::new("write a file to", &dir.path, &error))
    }

    /// The partitions found, to be loaded; once. The clean-shutdown markers and the folders of deleted partitions are removed
    /// first. Waits for the disk.
    pub fn load_jobs(&mut self) -> Vec<LoadJob> {
        let disk = Arc::clone(&self.disk);
        for dir in self.dirs.iter_mut().filter(|dir| dir.failure.is_none()) {
            if let Err(error) = clean_shutdown::unmark(&*disk, &dir.path) {
                dir.failure = Some(DiskError::new("remove the clean-shutdown marker of", &dir.path, &error));
            }
            for leftover in dir.leftovers.drain(..) {
                if let Err(error) = disk.remove_dir_all(&leftover) {
                    self.warnings.push(format!("cannot remove {}: {error}", leftover.display()));
                }
            }
        }
        let jobs = self.partitions.iter().filter_map(|(partition, place)| {
            let clean = self.dirs.get(place.0)?.clean_shutdown;
            self.job(partition, *place, clean, false)
        });
        jobs.collect()
    }

    /// Opens a partition once more after its actor died. `None` when it is not here. Waits for the disk.
    pub fn reopen_partition(
        &mut self,
        partition: &TopicPartition,
        last_words: LastWords,
        config: LogConfig,
        now: Timestamp,
    ) -> Option<LoadedPartition> {
        let place = self.dir_of(partition)?;
        // Its last flush may have failed: what the page cache calls clean may not be on disk.
        let mut job = self.job(partition, place, false, true)?;
        if let Some(recovery_point) = last_words.recovery_point {
            job.known.recovery_point = job.known.recovery_point.min(recovery_point);
        }
        job.known.log_start = job.known.log_start.max(last_words.log_start);
        job.known.high_watermark = job.known.high_watermark.max(last_words.high_watermark);
        Some(job.run(config, now))
    }

    fn job(&self, partition: &TopicPartition, place: LogDirIndex, clean: bool, rewrite: bool) -> Option<LoadJob> {
        let dir = self.dirs.get(place.0).filter(|dir| dir.failure.is_none())?;
        Some(LoadJob {
            partition: partition.clone(),
            dir: place,
            disk: Arc::clone(&self.disk),
            path: dir.path.join(live_name(partition)),
            known: lock(&self.known).get(partition).copied().unwrap_or_default(),
            clean_shutdown: clean,
            rewrite_unflushed: rewrite,
            files: Arc::clone(&self.files),
            tainted: Arc::clone(&dir.tainted),
        })
    }

    /// Makes the folder of a new partition in the dir with the fewest, and an empty log in it. Waits for the disk.
    ///
    /// # Errors
    /// The disk's: then that dir should be taken offline ([`Self::fail`]).
    pub fn create_partition(
        &mut self,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
        config: LogConfig,
        now: Timestamp,
    ) -> Result<(LogDirIndex, Log), OpenError> {
        let place = self.dir_for_new(partition)?;
        let Some(dir) = self.dirs.get(place.0) else { return Err(no_dir()) };
        let path = dir.path.join(live_name(partition));
        let failed = |doing: &str, error: &io::Error| OpenError::Disk(DiskError::new(doing, &path, error));
        if lock(&self.known).remove(partition).is_some() {
            // Left by a namesake: its offsets must not be applied to this one after a crash.
            let failed = self.checkpoint_task(BTreeMap::new()).run();
            if let Some((_, error)) = failed.into_iter().find(|(failed, _)| *failed == place) {
                return Err(OpenError::Disk(error));
            }
        }
        self.disk.create_dir_all(&path).map_err(|error| failed("make", &error))?;
        if let Some(topic_id) = topic_id.filter(|id| !id.is_zero())
            && let Err(error) = partition_metadata::save(&*self.disk, &path, topic_id)
        {
            // At the next start it would pass for a partition of a topic that has no id.
            let _left_behind = self.disk.remove_dir_all(&path);
            return Err(failed("write topic id of", &error));
        }
        self.disk.sync_dir(&dir.path).map_err(|error| failed("sync the folder of", &error))?;
        self.partitions.insert(partition.clone(), place);
        self.preferred.remove(partition);
        let Some(job) = self.job(partition, place, false, false) else { return Err(no_dir()) };
        let (log, _) = job.open(config, now)?;
        // Of a log whose first segment has no name after a crash, the second may be left: it would begin in the middle.
        self.disk.sync_dir(&path).map_err(|error| failed("sync", &error))?;
        Ok((place, log))
    }

    /// Notes the id of a partition's topic, which had none.
    ///
    /// # Errors
    /// The disk's; then it still has none.
    pub fn adopt_topic_id(&self, partition: &TopicPartition, topic_id: TopicId) -> Result<(), DiskError> {
        let Some(dir) = self.dir_of(partition).and_then(|place| self.path_of(place)) else { return Ok(()) };
        let path = dir.join(live_name(partition));
        partition_metadata::save(&*self.disk, &path, topic_id)
            .map_err(|error| DiskError::new("write topic id of", &path, &error))
    }

    /// Forgets a partition that could not be made, and removes its folder; whether nothing is left of it.
    pub fn abandon_partition(&mut self, partition: &TopicPartition) -> bool {
        let removed = self.dirs.iter().filter(|dir| dir.failure.is_some()).all(|dir| {
            let path = dir.path.join(live_name(partition));
            match self.disk.remove_dir_all(&path) {
                Ok(()) => true,
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            }
        });
        self.partitions.remove(partition);
        removed
    }

    /// The dir where a partition is wanted, or the one that works and has the fewest; of several the first.
    ///
    /// # Errors
    /// When no dir works.
    pub fn dir_for_new(&self, partition: &TopicPartition) -> Result<LogDirIndex, OpenError> {
        if let Some(preferred) = self.preferred.get(partition).filter(|dir| self.works(**dir)) {
            return Ok(*preferred);
        }
        let mut counts = vec![0_usize; self.dirs.len()];
        for place in self.partitions.values() {
            if let Some(count) = counts.get_mut(place.0) {
                *count += 1;
            }
        }
        let working = self.dirs.iter().zip(counts).enumerate().filter(|(_, (dir, _))| dir.failure.is_none());
        let fewest = working.min_by_key(|(_, (_, count))| *count);
        fewest.map(|(at, _)| LogDirIndex(at)).ok_or_else(no_dir)
    }

    /// Where a partition lies.
    #[must_use]
    pub fn dir_of(&self, partition: &TopicPartition) -> Option<LogDirIndex> {
        self.partitions.get(partition).copied()
    }

    /// Renames a partition's folder to `…-delete`; it is removed by the answer once due, or at the next start. The log must be
    /// dropped before. `unique` is random.
    ///
    /// # Errors
    /// The disk's.
    pub fn delete_partition(
        &mut self,
        partition: &TopicPartition,
        unique: u128,
        due: Moment,
    ) -> Result<PendingDelete, DiskError> {
        let place = self.dir_of(partition);
        let Some(dir) = place.and_then(|place| self.dirs.get(place.0)) else {
            return Ok(PendingDelete::of(Vec::new(), due));
        };
        let from = dir.path.join(live_name(partition));
        let to = dir.path.join(marked_name(partition, Mark::Delete, unique.to_be_bytes()));
        self.disk.rename(&from, &to).map_err(|error| DiskError::new("rename", &from, &error))?;
        self.disk.sync_dir(&dir.path).map_err(|error| DiskError::new("sync", &dir.path, &error))?;
        self.partitions.remove(partition);
        Ok(PendingDelete::of(vec![to], due))
    }

    /// The checkpoint files of all dirs, to be written on a thread that may wait. Partitions that are not in `offsets` keep
    /// what was known of them.
    pub fn checkpoint_task(&self, offsets: BTreeMap<TopicPartition, PartitionOffsets>) -> CheckpointTask {
        let mut known = lock(&self.known);
        known.extend(offsets);
        // Those of deleted partitions stay until a namesake is made: then they are gone from the files first.
        let mut files = vec![Checkpoints::default(); self.dirs.len()];
        for (partition, offsets) in &*known {
            let joining = self.joining.as_ref() == Some(partition);
            let future = self.futures.get(partition).filter(|_| joining).map(|future| future.dir);
            for place in self.partitions.get(partition).copied().into_iter().chain(future) {
                let Some(files) = files.get_mut(place.0) else { continue };
                files.note(partition, offsets);
            }
        }
        let working = self.dirs.iter().zip(files).enumerate().filter(|(_, (dir, _))| dir.failure.is_none());
        let dirs = working.map(|(at, (dir, mut files))| {
            files.compacted = !files.first_dirty.is_empty() || dir.compacted.load(Ordering::Acquire);
            dir.compacted.store(files.compacted, Ordering::Release);
            (LogDirIndex(at), dir.path.clone(), files)
        });
        let dirs = dirs.collect();
        CheckpointTask { disk: Arc::clone(&self.disk), dirs }
    }

    /// Sizes and partitions per dir.
    #[must_use]
    pub fn describe(&self) -> Vec<LogDirDescription> {
        let describe = |(at, dir): (usize, &LogDir)| {
            let space = self.disk.space(&dir.path).ok();
            let here = self.partitions.iter().filter(|(_, place)| place.0 == at);
            let coming = self.futures.iter().filter(|(_, future)| future.dir.0 == at);
            LogDirDescription {
                path: dir.path.clone(),
                error: dir.failure.clone(),
                total_bytes: space.map(|space| space.total),
                usable_bytes: space.map(|space| space.usable),
                partitions: here.map(|(partition, _)| partition.clone()).collect(),
                futures: coming.map(|(partition, _)| partition.clone()).collect(),
            }
        };
        self.dirs.iter().enumerate().map(describe).collect()
    }

    /// Writes the clean-shutdown markers; every log that was opened was closed, and the last checkpoint written. A dir with a
    /// partition that could not be loaded gets none.
    ///
    /// # Errors
    /// The first of the disk's.
    pub fn close(self) -> Result<(), DiskError> {
        let mut result = Ok(());
        for dir in self.dirs.iter().filter(|dir| dir.failure.is_none() && !dir.tainted.load(Ordering::Acquire)) {
            if let Err(error) = clean_shutdown::mark(&*self.disk, &dir.path) {
                result = result.and(Err(DiskError::new("mark as closed", &dir.path, &error)));
            }
        }
        result
    }
}

fn no_dir() -> OpenError {
    OpenError::Disk(DiskError {
        doing: "make a partition".to_owned(),
        kind: io::ErrorKind::Other,
        message: "no log dir works".to_owned(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod future_tests;
#[cfg(test)]
mod tests;
