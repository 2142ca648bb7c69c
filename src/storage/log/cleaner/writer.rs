//! Writes the `.cleaned` files of a segment.
//!
//! *Invariant*: before [`Writer::finish`] gives them away, bytes and names are durable.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CleanError, CleanedSegment};
use crate::model::Offset;
use crate::storage::disk::{Access, Disk, DiskFile};
use crate::storage::filename::{FileKind, SegmentFileName, Stage};
use crate::storage::log::DiskError;
use crate::storage::log::roll::write_file;
use crate::storage::log::view::LogView;
use crate::storage::segment::{IndexPace, Indexes, OpenSegment, Segment};
use crate::storage::transaction_index::{AbortedTransaction, TransactionIndex};
use crate::wire::record::BatchHeader;

/// Files of a segment that compaction makes anew. The producer snapshot stays as it is.
pub(super) const KINDS: [FileKind; 4] =
    [FileKind::Log, FileKind::Index, FileKind::TimeIndex, FileKind::TransactionIndex];

/// A segment being written.
#[derive(Debug)]
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    dir: Arc<Path>,
    base: Offset,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Written, not in the file yet.
    buffer: Vec<u8>,
    buffer_bytes: usize,
    /// Bytes in the file.
    size: u64,
    indexes: Indexes,
    pace: IndexPace,
    index_interval_bytes: u32,
    aborted: Vec<AbortedTransaction>,
}

/// Path of a file at a stage.
pub(super) fn path_at(dir: &Path, base: Offset, kind: FileKind, stage: Stage) -> PathBuf {
    dir.join(SegmentFileName::live(base, kind).at(stage).to_string())
}

impl Writer {
    /// Begins the segment that takes the place of those from `base` on.
    pub(super) fn new(
        view: &LogView,
        base: Offset,
        index_interval_bytes: u32,
        buffer_bytes: usize,
    ) -> Result<Self, CleanError> {
        let path = path_at(&view.dir(), base, FileKind::Log, Stage::Cleaned);
        let file = view.disk.open(&path, Access::Truncate).map_err(|error| DiskError::new("make", &path, &error))?;
        Ok(Self {
            disk: Arc::clone(&view.disk),
            dir: view.dir(),
            base,
            path,
            file,
            buffer: Vec::new(),
            buffer_bytes,
            size: 0,
            indexes: Indexes::new(base),
            pace: IndexPace::new(base),
            index_interval_bytes,
            aborted: Vec::new(),
        })
    }

    /// Adds a batch.
    pub(super) fn push(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(), CleanError> {
        let position = self.size + self.buffer.len() as u64;
        if u64::from(super::SEGMENT_BYTES_MAX) < position + batch.len() as u64 {
            return Err(CleanError::TooLarge { path: self.path.clone() });
        }
        self.pace.note(header, position, self.index_interval_bytes, &self.indexes);
        self.buffer.extend_from_slice(batch);
        if self.buffer_bytes <= self.buffer.len() { self.write() } else { Ok(()) }
    }

    /// Adds aborted transactions whose markers were added.
    pub(super) fn aborted(&mut self, aborted: &mut Vec<AbortedTransaction>) {
        self.aborted.append(aborted);
    }

    fn write(&mut self) -> Result<(), CleanError> {
        if !self.buffer.is_empty() {
            let written = self.file.write_all_at(self.size, &[IoSlice::new(&self.buffer)]);
            written.map_err(|error| DiskError::new("write", &self.path, &error))?;
            self.size += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Writes the indexes and makes all durable. The segment reaches up to `end` and takes the place of `replaced`.
    pub(super) fn finish(
        mut self,
        end: Offset,
        replaced: Vec<Arc<Segment>>,
        generation: u64,
    ) -> Result<CleanedSegment, CleanError> {
        self.write()?;
        self.pace.seal(&self.indexes);
        let transactions = TransactionIndex::new(self.base);
        for aborted in self.aborted.drain(..) {
            // In the order of their markers, so that none is refused.
            let _ = transactions.append(aborted);
        }
        let mut files = vec![(self.path.clone(), Arc::clone(&self.file))];
        let contents = [
            (FileKind::Index, self.indexes.offsets.encode()),
            (FileKind::TimeIndex, self.indexes.times.encode()),
            (FileKind::TransactionIndex, transactions.encode()),
        ];
        for (kind, bytes) in contents {
            if kind == FileKind::TransactionIndex && bytes.is_empty() {
                continue;
            }
            let path = path_at(&self.dir, self.base, kind, Stage::Cleaned);
            let file = write_file(&*self.disk, &path, &bytes)?;
            files.push((path, file));
        }
        for (path, file) in &files {
            file.sync().map_err(|error| DiskError::new("sync", path, &error))?;
        }
        self.disk.sync_dir(&self.dir).map_err(|error| DiskError::new("sync", &self.dir, &error))?;
        let open = Arc::new(OpenSegment { file: self.file, indexes: self.indexes });
        let segment = Segment::new(self.dir, self.base, end, self.size, Some(Arc::clone(&open)), transactions);
        segment.set_max_timestamp(self.pace.max_timestamp.0);
        if let Some(last) = replaced.last() {
            segment.set_modified(last.modified());
        }
        Ok(CleanedSegment { generation, replaced, segment: Arc::new(segment), index_bytes: open.indexes.bytes() })
    }
}
