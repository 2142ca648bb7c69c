//! Replicas on their way from one log dir to another: a copy, in a folder `….-future`, that takes the replica's place when it has caught
//! up, the old folder becoming `….-delete`.
//!
//! *Invariant*: at every moment one folder is known to be the replica's. While two have its name, because a crash fell between the two
//! renames, the one that was left says so: there is a file [`MOVED_FILE_NAME`] in it, which Kafka passes over.
//!
//! Source: Kafka 3.9 `LogManager.replaceCurrentWithFutureLog`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::load::seed_of;
use super::opening::Trouble;
use super::{LogDirIndex, LogDirs, LogDirsError, Mark, Moment, PartitionOffsets, live_name, lock, marked_name};
use crate::model::{Offset, Timestamp, TopicId, TopicPartition};
use crate::storage::disk::{Disk, replace_file};
use crate::storage::log::{DiskError, Log, LogConfig, OpenError, OpenOptions, PendingDelete};
use crate::storage::open_files::OpenFiles;
use crate::storage::partition_metadata;

/// In the folder of a replica that is about to be replaced by its copy in another log dir: the name of the copy's folder.
const MOVED_FILE_NAME: &str = "moved";

/// Where a copy is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Future {
    pub(super) dir: LogDirIndex,
    pub(super) folder: String,
}

/// A folder that has the same name as another one's in an earlier dir.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Namesake {
    pub(super) partition: TopicPartition,
    pub(super) first: LogDirIndex,
    pub(super) second: LogDirIndex,
}

/// Opens the copy of a replica; [`FutureJob::run`] may be called on any thread.
#[derive(Clone, Debug)]
pub struct FutureJob {
    partition: TopicPartition,
    dir: PathBuf,
    path: PathBuf,
    disk: Arc<dyn Disk>,
    files: Arc<OpenFiles>,
}

impl FutureJob {
    /// The log dir.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens a new one, or what an earlier run left of it; all of that is written once more where `rewrite`, since that run may have
    /// failed to flush it. Waits for the disk.
    ///
    /// # Errors
    /// The disk's, or damage.
    pub fn run(&self, config: LogConfig, rewrite: bool, now: Timestamp) -> Result<Log, OpenError> {
        let unknown = options(&self.partition, PartitionOffsets::default(), config, &self.files, now);
        let options = OpenOptions { rewrite_unflushed: rewrite, ..unknown };
        Log::open(Arc::clone(&self.disk), &self.path, options).map(|(log, _)| log)
    }
}

/// What became of a copy that was to take a replica's place.
#[derive(Debug)]
pub enum Joined {
    /// The replica is where it was. The copy can be tried again, or given up.
    Stayed(DiskError),
    /// The copy is the replica.
    Moved {
        /// It, opened, or why that did not work: then the replica must be opened anew.
        log: Result<Box<Log>, OpenError>,
        /// The old folder, to be removed.
        pending: PendingDelete,
        /// The disk of this dir failed meanwhile: the old folder may have its name still.
        failed: Option<(LogDirIndex, DiskError)>,
    },
}

impl LogDirs {
    /// The dir of that path.
    #[must_use]
    pub fn dir_at(&self, path: &Path) -> Option<LogDirIndex> {
        self.dirs.iter().position(|dir| dir.path == path).map(LogDirIndex)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.dirs.len()
    }

    /// Whether a dir works.
    #[must_use]
    pub fn works(&self, dir: LogDirIndex) -> bool {
        self.dirs.get(dir.0).is_some_and(|dir| dir.failure.is_none())
    }

    /// Where a replica is on its way to.
    #[must_use]
    pub fn future_dir_of(&self, partition: &TopicPartition) -> Option<LogDirIndex> {
        self.futures.get(partition).map(|future| future.dir)
    }

    /// The replicas that are on their way to another dir.
    #[must_use]
    pub fn futures(&self) -> Vec<TopicPartition> {
        self.futures.keys().cloned().collect()
    }

    /// In which dir a replica that is not here yet shall be made.
    pub fn prefer(&mut self, partition: &TopicPartition, dir: LogDirIndex) {
        self.preferred.insert(partition.clone(), dir);
    }

    /// Sends a replica to another dir, where it may be on its way already: makes the folder of its copy, durably, so that a restart does not
    /// forget it; what is left is to open the copy. `unique` is random. Waits for the disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn begin_future(
        &mut self,
        partition: &TopicPartition,
        to: LogDirIndex,
        topic_id: TopicId,
        unique: u128,
    ) -> Result<FutureJob, DiskError> {
        let Some(dir) = self.dirs.get(to.0) else { return Err(not_there(partition)) };
        if let Some(failure) = &dir.failure {
            return Err(failure.clone());
        }
        let known = self.futures.get(partition).map(|future| future.folder.clone());
        let folder = known.unwrap_or_else(|| marked_name(partition, Mark::Future, unique.to_be_bytes()));
        let path = dir.path.join(&folder);
        self.disk.create_dir_all(&path).map_err(|error| DiskError::new("make", &path, &error))?;
        if !topic_id.is_zero() {
            let saved = partition_metadata::save(&*self.disk, &path, topic_id);
            saved.map_err(|error| DiskError::new("write topic id of", &path, &error))?;
        }
        self.disk.sync_dir(&dir.path).map_err(|error| DiskError::new("sync", &dir.path, &error))?;
        self.futures.insert(partition.clone(), Future { dir: to, folder });
        let (disk, files) = (Arc::clone(&self.disk), Arc::clone(&self.files));
        Ok(FutureJob { partition: partition.clone(), dir: dir.path.clone(), path, disk, files })
    }

    /// Gives the copy of a replica up; its folder is removed by the answer. `unique` is random. Waits for the disk.
    ///
    /// # Errors
    /// The disk's. The copy is forgotten all the same, until the next start.
    pub fn abandon_future(
        &mut self,
        partition: &TopicPartition,
        unique: u128,
        due: Moment,
    ) -> Result<Option<PendingDelete>, DiskError> {
        let Some(Future { dir, folder }) = self.futures.remove(partition) else { return Ok(None) };
        let Some(dir) = self.dirs.get(dir.0).filter(|dir| dir.failure.is_none()) else { return Ok(None) };
        let to = self.set_aside(&dir.path, &folder, partition, unique)?;
        Ok(Some(PendingDelete::of(vec![to], due)))
    }

    /// Lets the copy of a replica, which has all of it and was closed at an offset, take its place; `offsets` are the replica's. The
    /// replica must not be appended to meanwhile. `unique` is random. Waits for the disk.
    pub fn join_future(
        &mut self,
        partition: &TopicPartition,
        offsets: PartitionOffsets,
        closed: Offset,
        unique: u128,
        (due, config): (Moment, LogConfig),
        now: Timestamp,
    ) -> Joined {
        let (Some(from), Some(Future { dir: to, folder })) =
            (self.dir_of(partition), self.futures.get(partition).cloned())
        else {
            return Joined::Stayed(not_there(partition));
        };
        let (Some(old), Some(new)) = (self.dirs.get(from.0), self.dirs.get(to.0)) else {
            return Joined::Stayed(not_there(partition));
        };
        let (old, new) = (old.path.clone(), new.path.clone());
        let (source, target) = (old.join(live_name(partition)), new.join(live_name(partition)));
        // From here on both dirs' checkpoints know it, whichever counts in the end.
        self.joining = Some(partition.clone());
        let written = self.checkpoint_task([(partition.clone(), offsets)].into()).run();
        self.joining = None;
        if let Some((_, error)) = written.into_iter().find(|(dir, _)| [from, to].contains(dir)) {
            return Joined::Stayed(error);
        }
        let named = self.name_moved(&source, &folder).and_then(|()| {
            self.disk.rename(&new.join(&folder), &target).map_err(|error| DiskError::new("rename", &target, &error))
        });
        if let Err(error) = named {
            let _left = self.disk.remove_file(&source.join(MOVED_FILE_NAME));
            return Joined::Stayed(error);
        }
        // A crash may keep either name: what counts now is decided by which is there.
        let synced = self.disk.sync_dir(&new).map_err(|error| DiskError::new("sync", &new, &error));
        self.partitions.insert(partition.clone(), to);
        self.futures.remove(partition);
        let offsets = PartitionOffsets { recovery_point: closed, first_dirty: None, ..offsets };
        lock(&self.known).insert(partition.clone(), offsets);
        let set_aside = synced.map_err(|error| (to, error)).and_then(|()| {
            let aside = self.set_aside(&old, &live_name(partition), partition, unique);
            aside.map_err(|error| (from, error))
        });
        let (paths, failed) = match set_aside {
            Ok(path) => (vec![path], None),
            Err(failed) => (vec![], Some(failed)),
        };
        let options = OpenOptions { clean_shutdown: true, ..options(partition, offsets, config, &self.files, now) };
        let log = Log::open(Arc::clone(&self.disk), &target, options).map(|(log, _)| Box::new(log));
        Joined::Moved { log, pending: PendingDelete::of(paths, due), failed }
    }

    fn name_moved(&self, source: &Path, folder: &str) -> Result<(), DiskError> {
        replace_file(&*self.disk, &source.join(MOVED_FILE_NAME), folder.as_bytes())
            .map_err(|error| DiskError::new("write to", source, &error))
    }

    /// Renames a folder to `….-delete`, durably; where it is then.
    fn set_aside(
        &self,
        dir: &Path,
        folder: &str,
        partition: &TopicPartition,
        unique: u128,
    ) -> Result<PathBuf, DiskError> {
        let (from, to) = (dir.join(folder), dir.join(marked_name(partition, Mark::Delete, unique.to_be_bytes())));
        self.disk.rename(&from, &to).map_err(|error| DiskError::new("rename", &from, &error))?;
        self.disk.sync_dir(dir).map_err(|error| DiskError::new("sync", dir, &error))?;
        Ok(to)
    }

    /// Brings to its end what a crash interrupted while copies took the places of replicas.
    pub(super) fn resolve_moves(&mut self, namesakes: Vec<Namesake>) -> Result<(), LogDirsError> {
        for Namesake { partition, first, second } in namesakes {
            let folders = [first, second].map(|dir| self.folder_of(&partition, dir));
            let moved = folders.each_ref().map(|folder| is_moved(&*self.disk, folder));
            let (kept, left) = match moved {
                [true, false] => (second, first),
                [false, true] => (first, second),
                [true, true] | [false, false] => {
                    let [first, second] = folders;
                    return Err(LogDirsError::Duplicate { partition, first, second });
                }
            };
            let folder = self.folder_of(&partition, left);
            self.partitions.insert(partition, kept);
            if let Some(dir) = self.dirs.get_mut(left.0) {
                dir.leftovers.push(folder);
            }
        }
        if self.dirs.len() < 2 {
            return Ok(());
        }
        for (partition, dir) in self.partitions.clone() {
            let folder = self.folder_of(&partition, dir);
            if !is_moved(&*self.disk, &folder) {
                continue;
            }
            // The other folder has not got the name, or cannot be seen.
            if !self.futures.contains_key(&partition) && self.dirs.iter().any(|dir| dir.failure.is_some()) {
                return Err(LogDirsError::MovedAway(folder));
            }
            let file = folder.join(MOVED_FILE_NAME);
            if let Err(error) = self.disk.remove_file(&file) {
                self.fail(dir, DiskError::new("remove", &file, &error));
            }
        }
        // A copy of nothing: its replica is gone, or lies in a dir that failed.
        let orphans = self.futures.keys().filter(|id| !self.partitions.contains_key(id)).cloned().collect::<Vec<_>>();
        for orphan in orphans {
            if let Some(Future { dir, folder }) = self.futures.remove(&orphan) {
                let path = self.dirs.get(dir.0).map(|dir| dir.path.join(folder)).unwrap_or_default();
                self.warnings.push(format!("folder {} is left alone: it is no live partition", path.display()));
            }
        }
        Ok(())
    }

    fn folder_of(&self, partition: &TopicPartition, dir: LogDirIndex) -> PathBuf {
        self.dirs.get(dir.0).map(|dir| dir.path.join(live_name(partition))).unwrap_or_default()
    }

    /// Notes a copy that an earlier run left. Of several the first.
    pub(super) fn found_future(&mut self, partition: TopicPartition, dir: LogDirIndex, folder: &str, path: &Path) {
        if self.futures.contains_key(&partition) {
            self.warnings.push(format!("folder {} is left alone: there is another copy", path.display()));
            return;
        }
        self.futures.insert(partition, Future { dir, folder: folder.to_owned() });
    }
}

fn options(
    partition: &TopicPartition,
    offsets: PartitionOffsets,
    config: LogConfig,
    files: &Arc<OpenFiles>,
    now: Timestamp,
) -> OpenOptions {
    OpenOptions {
        config,
        recovery_point: offsets.recovery_point,
        log_start_offset: offsets.log_start,
        first_dirty_offset: None,
        clean_shutdown: false,
        rewrite_unflushed: false,
        now,
        seed: seed_of(partition),
        files: Arc::clone(files),
    }
}

fn is_moved(disk: &dyn Disk, folder: &Path) -> bool {
    disk.exists(&folder.join(MOVED_FILE_NAME)).unwrap_or(false)
}

fn not_there(partition: &TopicPartition) -> DiskError {
    DiskError {
        doing: format!("move {partition}"),
        kind: io::ErrorKind::NotFound,
        message: "it, or its copy, is gone".to_owned(),
    }
}

impl From<LogDirsError> for Trouble {
    fn from(error: LogDirsError) -> Self {
        Self::Start(error)
    }
}
