//! Cutting a log's end: what a follower does with records that its leader does not have.
//!
//! *Invariant*: what was cut is durably gone before anything is appended in its place, so that a crash cannot mix the two.
//!
//! Source: Kafka 3.9 `UnifiedLog.truncateTo`, `truncateFullyAndStartAt`; KIP-101.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::flush::Unflushed;
use super::listing::Listing;
use super::rebuild::Rebuild;
use super::recovery::Loader;
use super::{DiskError, Log, OpenError, OpenOptions, OpenReport, ReadError};
use crate::model::{Offset, Timestamp};
use crate::storage::disk::{Access, Disk};
use crate::storage::filename::FileKind;
use crate::storage::scan::Wait;
use crate::storage::segment::Segment;

impl Log {
    /// Cuts the log's end so that it ends at `offset`, or where the batch begins that holds it (followers). Waits for the
    /// disk.
    ///
    /// # Errors
    /// The disk's, or damage; then nothing is appended until the log was opened again.
    pub fn truncate_to(&mut self, offset: Offset, now: Timestamp) -> Result<(), ReadError> {
        if self.next_offset <= offset {
            if self.epochs.truncate_from_end(offset) {
                self.unflushed.epochs_changed();
            }
            return Ok(());
        }
        self.cut(offset, now).inspect_err(|error| self.fail_reading(error))
    }

    /// Empties the log; it starts anew at `offset` (a follower that fell out of the leader's range). Waits for the disk.
    ///
    /// # Errors
    /// The disk's; then nothing is appended until the log was opened again.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset, now: Timestamp) -> Result<(), ReadError> {
        self.start_anew(offset, now).inspect_err(|error| self.fail_reading(error))
    }

    fn cut(&mut self, offset: Offset, now: Timestamp) -> Result<(), ReadError> {
        let segments = self.view.segments();
        if segments.first().is_none_or(|first| offset < first.base_offset()) {
            return self.start_anew(offset, now);
        }
        let kept = segments.partition_point(|segment| segment.base_offset() <= offset);
        let (kept, gone) = segments.split_at(kept);
        if let Some(last) = kept.last() {
            let wanted = self.view.open(last, Wait::Allowed).and_then(|open| {
                let found = last.seek(&open, offset, last.size(), Wait::Allowed)?;
                Ok(found.map(|(batch, _)| batch.position))
            });
            let position = wanted.map_err(|error| self.view.describe(last, error))?;
            self.cut_segment(last, position.unwrap_or(last.size())).map_err(ReadError::Disk)?;
        }
        self.remove_segments(gone).map_err(ReadError::Disk)?;
        self.reload(self.log_start, now)
    }

    /// Cuts one segment's file, durably, so that what was cut cannot be taken for new batches after a crash.
    fn cut_segment(&self, segment: &Segment, size: u64) -> Result<(), DiskError> {
        let path = segment.path();
        let failed = |error: io::Error| DiskError::new("cut", &path, &error);
        let file = self.view.disk.open(&path, Access::Write).map_err(failed)?;
        file.set_len(size).and_then(|()| file.sync()).map_err(failed)?;
        for kind in [FileKind::Index, FileKind::TimeIndex, FileKind::TransactionIndex] {
            remove(&*self.view.disk, &segment.file(kind))?;
        }
        Ok(())
    }

    fn remove_segments(&self, gone: &[Arc<Segment>]) -> Result<(), DiskError> {
        // From the last one on, so that a crash in between leaves no gap.
        for segment in gone.iter().rev() {
            for kind in FileKind::ALL {
                remove(&*self.view.disk, &segment.file(kind))?;
            }
        }
        self.view.disk.sync_dir(&self.view.dir()).map_err(|error| DiskError::new("sync", &self.view.dir(), &error))
    }

    fn start_anew(&mut self, offset: Offset, now: Timestamp) -> Result<(), ReadError> {
        self.remove_segments(&self.view.segments()).map_err(ReadError::Disk)?;
        self.reload(offset, now)
    }

    /// Takes on the state that the files say, as after a clean shutdown, under the same view.
    fn reload(&mut self, log_start: Offset, now: Timestamp) -> Result<(), ReadError> {
        let options = OpenOptions {
            config: self.config.clone(),
            recovery_point: self.unflushed.recovery_point,
            log_start_offset: log_start,
            first_dirty_offset: self.view.first_dirty_offset(),
            clean_shutdown: true,
            rewrite_unflushed: false,
            now,
            seed: self.jitter,
            files: Arc::clone(&self.view.files),
        };
        let (disk, dir) = (Arc::clone(&self.view.disk), self.view.dir());
        let listing = Listing::tidied(&*disk, &dir, options.settled()).map_err(ReadError::from)?;
        let loader = Loader {
            disk,
            dir,
            options: &options,
            listing,
            // Their file is as old as the last flush: it may lack epochs whose records stay.
            rebuild: Rebuild { epochs: self.epochs.clone(), ..Rebuild::default() },
            unflushed: Unflushed::default(),
            report: OpenReport::default(),
            absence_is_trusted: false,
        };
        let (fresh, _) = loader.load(true).map_err(ReadError::from)?;
        self.log_start = fresh.log_start;
        self.next_offset = fresh.next_offset;
        self.active = fresh.active;
        (self.producers, self.snapshot, self.epochs) = (fresh.producers, fresh.snapshot, fresh.epochs);
        self.unflushed.truncated(self.next_offset);
        self.unflushed.names_changed();
        self.unflushed.epochs_changed();
        // Never up: the epochs of what is flushed may still wait for room in their file.
        self.view.set_recovery_point(self.view.recovery_point().min(self.unflushed.recovery_point));
        self.view.set_log_start(self.log_start);
        // What comes in the place of what was cut is not clean.
        self.view.set_first_dirty(self.view.first_dirty_offset().map(|offset| offset.min(self.next_offset)));
        self.view.set_segments(fresh.view.segments());
        Ok(())
    }

    fn fail_reading(&mut self, error: &ReadError) {
        let doing = format!("truncate {}", self.dir().display());
        self.fail(DiskError { doing, kind: io::ErrorKind::Other, message: error.to_string() });
    }
}

impl From<OpenError> for ReadError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Corrupt(corruption) => Self::Corrupt(corruption),
            OpenError::Disk(error) => Self::Disk(error),
        }
    }
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DiskError::new("remove", path, &error)),
        _ => Ok(()),
    }
}
