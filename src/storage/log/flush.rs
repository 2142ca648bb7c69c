//! Making a log durable without its owner waiting for it.
//!
//! *Invariant*: the recovery point moves only when bytes, the names of their files, and what rolling wrote beside them were
//! synced without error; after one error it never moves again (law 9).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DiskError, Log};
use crate::model::{Bug, Offset};
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::filename::SegmentFileName;
use crate::storage::leader_epoch::LeaderEpochCache;

/// What a [`FlushTask`] reached; goes back to [`Log::flush_finished`].
#[derive(Clone, Debug)]
pub struct FlushOutcome {
    /// Everything below is durable when `result` is `Ok`.
    pub up_to: Offset,
    /// The first error.
    pub result: Result<(), DiskError>,
    /// There was no room for the epochs; the records are durable all the same.
    no_room: Option<DiskError>,
    /// Of the log's tail when the task was made: a truncation since then makes the outcome say nothing.
    generation: u64,
    /// Of the log's file names when the task was made.
    names: u64,
    /// Of the newest complete file that the task synced.
    serial: u64,
    /// Of the epochs that the task wrote.
    epochs: u64,
    /// Of the last failed append whose cut the task synced.
    cuts: u64,
}

/// A flush to be run on a thread that may wait. Covers all that was appended when it was made (group commit).
#[derive(Debug)]
pub struct FlushTask {
    disk: Arc<dyn Disk>,
    dir: Arc<Path>,
    /// In the order in which they were written.
    files: Vec<(PathBuf, Arc<dyn DiskFile>)>,
    names_are_new: bool,
    new_epochs: Option<LeaderEpochCache>,
    up_to: Offset,
    generation: u64,
    names: u64,
    serial: u64,
    epochs: u64,
    cuts: u64,
}

impl FlushTask {
    /// Everything below is durable once [`Self::run`] succeeded.
    #[must_use]
    pub fn up_to(&self) -> Offset {
        self.up_to
    }

    /// Waits for the disk.
    #[must_use]
    pub fn run(self) -> FlushOutcome {
        let (result, no_room) = match self.sync() {
            Ok(()) => self.write_epochs(),
            Err(error) => (Err(error), None),
        };
        FlushOutcome {
            up_to: self.up_to,
            result,
            no_room,
            generation: self.generation,
            names: self.names,
            serial: self.serial,
            epochs: self.epochs,
            cuts: self.cuts,
        }
    }

    fn sync(&self) -> Result<(), DiskError> {
        for (path, file) in &self.files {
            let synced = file.sync().map_err(|error| DiskError::new("sync", path, &error));
            synced.or_else(|error| if Bug::B16.is_back() { Ok(()) } else { Err(error) })?;
        }
        if self.names_are_new {
            self.disk.sync_dir(&self.dir).map_err(|error| DiskError::new("sync", &self.dir, &error))?;
        }
        Ok(())
    }

    /// A disk that is full is no disk that fails: the epochs wait for the next flush, and readers and producers go on.
    fn write_epochs(&self) -> (Result<(), DiskError>, Option<DiskError>) {
        let Some(epochs) = &self.new_epochs else { return (Ok(()), None) };
        match epochs.save(&*self.disk, &self.dir) {
            Ok(()) => (Ok(()), None),
            Err(error) => {
                let error = DiskError::new("write epochs of", &self.dir, &error);
                if error.passes() { (Ok(()), Some(error)) } else { (Err(error), None) }
            }
        }
    }
}

/// What was written and not synced.
#[derive(Debug, Default)]
pub(super) struct Unflushed {
    /// Everything below is durable.
    pub(super) recovery_point: Offset,
    /// Files that will not change any more, numbered as they came.
    files: Vec<(u64, PathBuf, Arc<dyn DiskFile>)>,
    serial: u64,
    /// Counts truncations.
    pub(super) generation: u64,
    /// Counts changes of file names, and how many of them were synced.
    names: u64,
    names_synced: u64,
    /// Counts changes of the epochs, and how many of them are in their file.
    epochs: u64,
    epochs_saved: u64,
    /// Counts failed appends whose bytes were cut off the active segment, and how many of these cuts are durable.
    cuts: u64,
    cuts_synced: u64,
}

impl Unflushed {
    pub(super) fn new(recovery_point: Offset) -> Self {
        Self { recovery_point, ..Self::default() }
    }

    /// A file that will not change any more.
    pub(super) fn add(&mut self, path: PathBuf, file: Arc<dyn DiskFile>) {
        self.serial += 1;
        self.files.push((self.serial, path, file));
    }

    /// The files of a segment, and the producer snapshot taken before it, have other names now and will be removed: whether
    /// they reach the disk matters no more, and nobody may keep them open.
    pub(super) fn set_aside(&mut self, base: Offset) {
        self.files.retain(|(_, path, _)| file_name(path).is_none_or(|name| name.offset != base));
    }

    /// A file was made, renamed or removed.
    pub(super) fn names_changed(&mut self) {
        self.names += 1;
    }

    /// The epochs are not as in their file any more.
    pub(super) fn epochs_changed(&mut self) {
        self.epochs += 1;
    }

    /// Bytes behind the log end were written and cut off: until that is durable the file may be longer after a crash.
    pub(super) fn cut_back(&mut self) {
        self.cuts += 1;
    }

    /// The log goes on in another folder, where all below `recovery_point` is durable: flushes under way say nothing about it.
    pub(super) fn relocated(&mut self, recovery_point: Offset) {
        self.files.clear();
        self.generation += 1;
        self.recovery_point = recovery_point;
        // Whatever a flush under way says of these, the next one sees to them.
        (self.names, self.epochs, self.cuts) = (self.names + 1, self.epochs + 1, self.cuts + 1);
    }

    /// What was appended from `offset` on is gone: flushes under way say nothing about what comes in its place.
    pub(super) fn truncated(&mut self, offset: Offset) {
        self.generation += 1;
        self.recovery_point = self.recovery_point.min(offset);
    }
}

fn file_name(path: &Path) -> Option<SegmentFileName> {
    SegmentFileName::parse(path.file_name()?.to_str()?)
}

impl FlushOutcome {
    /// Whether all is in the files that a log leaves behind when it is closed in order.
    pub(super) fn is_complete(&self) -> Result<(), DiskError> {
        self.no_room.clone().map_or(Ok(()), Err)
    }
}

impl Log {
    /// A flush of all that was appended and is not durable; `None` when there is nothing to do. Several may be under way.
    pub fn flush_task(&self) -> Option<FlushTask> {
        let up_to = self.log_end_offset();
        let unflushed = &self.unflushed;
        let active_is_new = unflushed.recovery_point < up_to || unflushed.cuts_synced < unflushed.cuts;
        let mut task = self.task(up_to);
        if active_is_new {
            task.files.push((self.active.segment.path(), Arc::clone(&self.active.open.file)));
            task.cuts = self.unflushed.cuts;
        }
        (!task.files.is_empty() || task.names_are_new || task.new_epochs.is_some()).then_some(task)
    }

    /// A flush of the closed segments alone; `None` when they are durable.
    pub fn flush_closed_task(&self) -> Option<FlushTask> {
        let up_to = self.closed_segments_end().max(self.unflushed.recovery_point);
        (0 < self.unflushed_closed_files()).then(|| self.task(up_to))
    }

    /// Where the active segment begins.
    #[must_use]
    pub fn closed_segments_end(&self) -> Offset {
        self.active.segment.base_offset()
    }

    /// Files of closed segments that are held open until a flush.
    #[must_use]
    pub fn unflushed_closed_files(&self) -> usize {
        self.unflushed.files.len()
    }

    /// A flush of all but the active segment.
    fn task(&self, up_to: Offset) -> FlushTask {
        let unflushed = &self.unflushed;
        FlushTask {
            disk: Arc::clone(&self.view.disk),
            dir: self.view.dir(),
            files: unflushed.files.iter().map(|(_, path, file)| (path.clone(), Arc::clone(file))).collect(),
            names_are_new: unflushed.names_synced < unflushed.names,
            new_epochs: (unflushed.epochs_saved < unflushed.epochs).then(|| self.epochs.clone()),
            up_to,
            generation: unflushed.generation,
            names: unflushed.names,
            serial: unflushed.serial,
            epochs: unflushed.epochs,
            cuts: unflushed.cuts_synced,
        }
    }

    /// Takes the outcome of a flush and gives the offset below which all records are durable. After a failed one nothing is appended until the log was
    /// opened again with [`rewrite_unflushed`](super::OpenOptions::rewrite_unflushed) (law 9).
    ///
    /// # Errors
    /// The outcome's, or that of an earlier flush.
    pub fn flush_finished(&mut self, outcome: FlushOutcome) -> Result<Offset, DiskError> {
        if let Err(error) = outcome.result {
            self.fail(error);
        }
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        let unflushed = &mut self.unflushed;
        unflushed.names_synced = unflushed.names_synced.max(outcome.names);
        if outcome.no_room.is_none() {
            unflushed.epochs_saved = unflushed.epochs_saved.max(outcome.epochs);
        }
        unflushed.cuts_synced = unflushed.cuts_synced.max(outcome.cuts);
        if outcome.generation == unflushed.generation {
            unflushed.recovery_point = unflushed.recovery_point.max(outcome.up_to);
            unflushed.files.retain(|(serial, ..)| outcome.serial < *serial);
        }
        let recovery_point = unflushed.recovery_point;
        if outcome.no_room.is_none() {
            // Else the next start must find the epochs in the batches, and so read them.
            self.view.set_recovery_point(recovery_point);
        }
        Ok(recovery_point)
    }
}
