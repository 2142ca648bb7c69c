//! What the log's owner does for compaction: it says which producers are known, and puts segments that were written anew into
//! the place of the old ones.
//!
//! The steps are Kafka's (`LocalLog.replaceSegments`): `.cleaned` → `.swap`, old files → `.deleted`, `.swap` → live. Between
//! them the folder is synced, since a crash may keep renames in any order. From the moment on at which `.swap` is durable, the
//! next start brings the rest to its end ([`super::super::listing`]).

use std::io;
use std::sync::Arc;

use super::filter::LastTrace;
use super::writer::{KINDS, path_at};
use super::{Begun, CleanedSegment, remove_cleaned};
use crate::model::{Moment, Offset};
use crate::storage::filename::{FileKind, Stage};
use crate::storage::log::ReadError;
use crate::storage::log::retention::rename_deleted;
use crate::storage::log::{DiskError, Log, PendingDelete, Wait};
use crate::storage::segment::Segment;

impl Log {
    /// What a [`Cleaning`](super::Cleaning) must know.
    #[must_use]
    pub fn begin_cleaning(&self) -> Begun {
        let trace = |state: &crate::storage::producer_state::ProducerState| LastTrace {
            data: state.last_batch().map(|batch| batch.last_offset).filter(|offset| Offset(0) <= *offset),
            epoch: state.epoch,
        };
        let producers = self.producers.producers().map(|(id, state)| (id, trace(state))).collect();
        Begun { generation: self.unflushed.generation, producers }
    }

    /// Puts a segment into the place of those that it was made of, durably; their files come back as a delete that is due after
    /// `file.delete.delay.ms`. `None` when the log changed meanwhile, so that nothing was done. Readers that have found the old
    /// segments go on reading them. Waits for the disk.
    ///
    /// # Errors
    /// The disk's. When the log has [failed](Self::failure) by it, opening it again ends what was begun.
    pub fn replace_segments(
        &mut self,
        cleaned: CleanedSegment,
        moment: Moment,
    ) -> Result<Option<PendingDelete>, DiskError> {
        let CleanedSegment { generation, replaced, segment, index_bytes } = cleaned;
        let segments = self.view.segments();
        let base = segment.base_offset();
        let at = segments.partition_point(|listed| listed.base_offset() < base);
        let listed = segments.get(at..at.saturating_add(replaced.len())).unwrap_or_default();
        let is_same = listed.len() == replaced.len() && listed.iter().zip(&replaced).all(|(a, b)| Arc::ptr_eq(a, b));
        let is_closed = at.saturating_add(replaced.len()) < segments.len();
        if generation != self.unflushed.generation || self.failure.is_some() || !is_same || !is_closed {
            // What stays goes when the log is cleaned or opened the next time.
            let _ = remove_cleaned(&self.view);
            return Ok(None);
        }
        let opened = replaced.iter().map(|old| {
            let open = old.open(&*self.view.disk, &self.view.files, Wait::Allowed);
            open.map_err(|error| self.read_error(old, error))
        });
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        // Whoever has found an old segment reads it from now on through the file that is open here: its name will mean another.
        for (old, open) in replaced.iter().zip(opened) {
            old.retire(open);
        }
        let kept = segments.get(..at).unwrap_or_default().iter();
        let behind = segments.get(at + replaced.len()..).unwrap_or_default().iter();
        let list = kept.chain([&segment]).chain(behind).map(Arc::clone).collect::<Vec<_>>();
        let paths = self.swap_files(&segment, &replaced, list).inspect_err(|error| self.fail(error.clone()))?;
        self.view.files.opened(&segment, index_bytes);
        Ok(Some(PendingDelete::of(paths, moment.after(self.config.file_delete_delay))))
    }

    /// Notes that all below `end` was cleaned, unless the log was cut since `begun`.
    pub fn cleaned(&mut self, begun: &Begun, end: Offset) {
        if begun.generation == self.unflushed.generation {
            self.view.set_first_dirty(Some(end));
        }
    }

    fn swap_files(
        &mut self,
        new: &Segment,
        old: &[Arc<Segment>],
        list: Vec<Arc<Segment>>,
    ) -> Result<Vec<std::path::PathBuf>, DiskError> {
        self.change_stage(new.base_offset(), Stage::Cleaned, Stage::Swap)?;
        self.sync_names()?;
        self.view.set_segments(list.into());
        let mut deleted = Vec::new();
        // The last one first: its files are removed first, too, and while the first is there under both names nobody takes
        // the others for what retention set aside.
        for segment in old.iter().rev() {
            let base = segment.base_offset();
            let keeps_snapshot = base == new.base_offset();
            let kinds = FileKind::ALL.iter().filter(|kind| !keeps_snapshot || **kind != FileKind::ProducerSnapshot);
            deleted.extend(rename_deleted(&*self.view.disk, &self.view.dir(), base, kinds)?);
            self.unflushed.set_aside(base);
        }
        self.sync_names()?;
        self.change_stage(new.base_offset(), Stage::Swap, Stage::Live)?;
        self.sync_names()?;
        Ok(deleted)
    }

    fn change_stage(&self, base: Offset, from: Stage, to: Stage) -> Result<(), DiskError> {
        for kind in KINDS {
            let from = path_at(&self.view.dir(), base, kind, from);
            match self.view.disk.rename(&from, &path_at(&self.view.dir(), base, kind, to)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && kind == FileKind::TransactionIndex => {}
                Err(error) => return Err(DiskError::new("rename", &from, &error)),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        self.view.disk.sync_dir(&self.view.dir()).map_err(|error| DiskError::new("sync", &self.view.dir(), &error))
    }

    fn read_error(&self, segment: &Segment, error: crate::storage::segment::SegmentError) -> DiskError {
        match self.view.describe(segment, error) {
            ReadError::Disk(error) => error,
            other @ (ReadError::OutOfRange { .. } | ReadError::Corrupt(_)) => DiskError {
                doing: format!("read {}", segment.path().display()),
                kind: io::ErrorKind::InvalidData,
                message: other.to_string(),
            },
        }
    }
}
