//! Closing one segment and beginning the next; writing what is derived from the batches into its files.
//!
//! Nothing here waits for the disk: what is written is synced with the next flush.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::active::Active;
use super::{DiskError, Log, LogConfig};
use crate::model::{Offset, Timestamp};
use crate::storage::disk::{Access, Disk, DiskFile};
use crate::storage::filename::FileKind;
use crate::storage::producer_snapshot;
use crate::storage::segment::{Indexes, OpenSegment, Segment, file_path};
use crate::storage::transaction_index::TransactionIndex;

impl Log {
    /// Closes the active segment and begins a new one at the log end.
    pub(super) fn roll(&mut self, now: Timestamp) -> Result<(), DiskError> {
        self.seal_active()?;
        self.write_snapshot()?;
        let next = new_segment(&*self.view.disk, &self.view.dir(), self.next_offset, now, &self.config)?;
        let mut segments = self.view.segments().to_vec();
        segments.push(Arc::clone(&next.segment));
        let old = std::mem::replace(&mut self.active, next);
        old.segment.set_modified(now);
        self.unflushed.add(old.segment.path(), Arc::clone(&old.open.file));
        self.unflushed.names_changed();
        self.view.set_segments(segments.into());
        self.view.files.opened(&old.segment, old.open.indexes.bytes());
        self.choose_segment_age();
        Ok(())
    }

    /// Writes the indexes of the active segment as those of a closed one, and gives back the room that was reserved.
    pub(super) fn seal_active(&mut self) -> Result<(), DiskError> {
        self.active.seal();
        if self.active.size < self.active.reserved {
            let path = self.active.segment.path();
            let cut = self.active.open.file.set_len(self.active.size);
            cut.map_err(|error| DiskError::new("trim", &path, &error))?;
            self.active.reserved = self.active.size;
        }
        let base = self.active.segment.base_offset();
        let written = write_indexes(&*self.view.disk, &self.view.dir(), base, &self.active.open.indexes)?;
        for (path, file) in written {
            self.unflushed.add(path, file);
        }
        let aborted = self.active.segment.transactions.encode();
        if !aborted.is_empty() {
            let path = self.active.segment.file(FileKind::TransactionIndex);
            let file = write_file(&*self.view.disk, &path, &aborted)?;
            self.unflushed.add(path, file);
        }
        self.unflushed.names_changed();
        Ok(())
    }

    /// Brings the index files of the active segment up to date, for whoever looks at the folder while the log is open: readers
    /// have the indexes in memory, and after a crash they are built anew. Not synced.
    ///
    /// # Errors
    /// The disk's; nothing is lost by it.
    pub fn save_indexes(&mut self) -> Result<(), DiskError> {
        let active = &mut self.active;
        if !active.has_unsaved_entries() {
            return Ok(());
        }
        let (disk, indexes) = (&*self.view.disk, &active.open.indexes);
        let path = active.segment.file(FileKind::Index);
        let offsets = indexes.offsets.save_from(disk, &path, active.saved.offsets);
        active.saved.offsets = offsets.map_err(|error| DiskError::new("write", &path, &error))?;
        let path = active.segment.file(FileKind::TimeIndex);
        let times = indexes.times.save_from(disk, &path, active.saved.times);
        active.saved.times = times.map_err(|error| DiskError::new("write", &path, &error))?;
        Ok(())
    }

    /// Writes what is known of the producers at the log end, unless a snapshot says so already.
    pub(super) fn write_snapshot(&mut self) -> Result<(), DiskError> {
        if self.snapshot.is_some_and(|newest| self.next_offset <= newest) {
            return Ok(());
        }
        self.producers.skip_to(self.next_offset);
        let path = file_path(&self.view.dir(), self.next_offset, FileKind::ProducerSnapshot);
        let file = write_file(&*self.view.disk, &path, &producer_snapshot::encode(&self.producers))?;
        self.unflushed.add(path, file);
        self.unflushed.names_changed();
        self.snapshot = Some(self.next_offset);
        Ok(())
    }
}

/// Makes an empty segment.
pub(super) fn new_segment(
    disk: &dyn Disk,
    dir: &Arc<Path>,
    base: Offset,
    now: Timestamp,
    config: &LogConfig,
) -> Result<Active, DiskError> {
    let path = file_path(dir, base, FileKind::Log);
    // The batches' file comes last and does not stay alone: when making the segment fails the log goes on in the one before,
    // past this base offset, and at the next start an empty file in the middle would pass for the end of the log.
    make_indexes(disk, dir, base)?;
    let file = disk.open(&path, Access::Truncate).map_err(|error| DiskError::new("make", &path, &error))?;
    if config.preallocate {
        let room = u64::from(config.segment_bytes);
        if let Err(error) = file.reserve(0, room) {
            disk.remove_file(&path).map_err(|error| DiskError::new("remove", &path, &error))?;
            return Err(DiskError::new("reserve room for", &path, &error));
        }
    }
    let open = Arc::new(OpenSegment { file, indexes: Indexes::new(base) });
    let transactions = TransactionIndex::new(base);
    let segment = Segment::new(Arc::clone(dir), base, base, 0, Some(Arc::clone(&open)), transactions);
    let mut active = Active::new(Arc::new(segment), open, now);
    active.reserved = if config.preallocate { config.segment_bytes.into() } else { 0 };
    Ok(active)
}

/// Makes the index files of an empty segment: whoever looks at the folder finds what Kafka's tools expect.
pub(super) fn make_indexes(disk: &dyn Disk, dir: &Path, base: Offset) -> Result<(), DiskError> {
    for kind in [FileKind::Index, FileKind::TimeIndex] {
        write_file(disk, &file_path(dir, base, kind), &[])?;
    }
    Ok(())
}

/// A file that was written and is still to be synced.
pub(super) type Written = (PathBuf, Arc<dyn DiskFile>);

/// Writes both indexes of a segment; their files are still to be synced.
pub(super) fn write_indexes(
    disk: &dyn Disk,
    dir: &Path,
    base: Offset,
    indexes: &Indexes,
) -> Result<[Written; 2], DiskError> {
    let offsets = file_path(dir, base, FileKind::Index);
    let times = file_path(dir, base, FileKind::TimeIndex);
    let offsets_file = write_file(disk, &offsets, &indexes.offsets.encode())?;
    let times_file = write_file(disk, &times, &indexes.times.encode())?;
    Ok([(offsets, offsets_file), (times, times_file)])
}

/// Makes a file that holds `bytes`; it is still to be synced.
pub(super) fn write_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<Arc<dyn DiskFile>, DiskError> {
    let failed = |error: &std::io::Error| DiskError::new("write", path, error);
    let file = disk.open(path, Access::Truncate).map_err(|error| failed(&error))?;
    if !bytes.is_empty() {
        file.write_all_at(0, &[IoSlice::new(bytes)]).map_err(|error| failed(&error))?;
    }
    Ok(file)
}
