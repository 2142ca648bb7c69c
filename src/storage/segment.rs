//! One segment of a log as its readers see it: a file of batches and its two indexes.
//!
//! The log's owner appends to the active segment through [`OpenSegment`]; readers on other threads see whole batches up to the
//! published tail. A segment only ever grows: a truncated one is replaced by another object.
//!
//! *Invariant*: end offset and size are published together, after the bytes are in the file and before anybody is told.
//! *Does not know*: other segments.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use crate::model::{Offset, Timestamp};
use crate::storage::disk::{Access, Disk, DiskFile};
use crate::storage::filename::{FileKind, SegmentFileName};
use crate::storage::index::{
    OFFSET_INDEX_ENTRY_BYTES, OffsetIndex, OffsetPosition, TIME_INDEX_ENTRY_BYTES, TimeIndex, TimestampOffset,
};
use crate::storage::open_files::OpenFiles;
use crate::storage::scan::{CHUNK_BYTES_MAX, CHUNK_BYTES_SMALL, Located, ScanError, Scanner, Wait};
use crate::storage::transaction_index::TransactionIndex;
use crate::wire::record::BatchHeader;

/// Path of a live file of the segment that begins at `base`.
pub(crate) fn file_path(dir: &Path, base: Offset, kind: FileKind) -> PathBuf {
    dir.join(SegmentFileName::live(base, kind).to_string())
}

/// The indexes of a segment, in memory.
#[derive(Debug)]
pub(crate) struct Indexes {
    pub(crate) offsets: OffsetIndex,
    pub(crate) times: TimeIndex,
}

impl Indexes {
    /// Empty ones of the segment that begins at `base`.
    pub(crate) fn new(base: Offset) -> Self {
        Self { offsets: OffsetIndex::new(base), times: TimeIndex::new(base) }
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.offsets.len() * OFFSET_INDEX_ENTRY_BYTES + self.times.len() * TIME_INDEX_ENTRY_BYTES
    }

    /// Drops all entries.
    pub(crate) fn clear(&self) {
        self.offsets.clear();
        self.times.clear();
    }

    /// Reads the files; `None` when one is missing or cannot belong to a segment of `size` bytes.
    pub(crate) fn load(disk: &dyn Disk, dir: &Path, base: Offset, size: u64) -> Option<Self> {
        let offsets = OffsetIndex::load(disk, &file_path(dir, base, FileKind::Index), base).ok()?;
        let times = TimeIndex::load(disk, &file_path(dir, base, FileKind::TimeIndex), base).ok()?;
        let fits = offsets.last().is_none_or(|last| u64::from(last.position) < size);
        fits.then_some(Self { offsets, times })
    }

    /// Builds them from the batches' headers.
    pub(crate) fn build(file: &dyn DiskFile, base: Offset, size: u64) -> Result<Self, ScanError> {
        let mut scanner = Scanner::new(file, 0, size, CHUNK_BYTES_MAX, Wait::Allowed);
        let indexes = Self::new(base);
        let mut pace = IndexPace::new(base);
        while let Some(batch) = scanner.next()? {
            pace.note(&batch.header, batch.position, INDEX_INTERVAL_BYTES, &indexes);
        }
        pace.seal(&indexes);
        Ok(indexes)
    }
}

/// Decides which batches of a segment get an index entry (`LogSegment.append`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexPace {
    /// Largest timestamp so far, and the last offset of its batch.
    pub(crate) max_timestamp: (Timestamp, Offset),
    bytes_since_entry: u64,
}

impl IndexPace {
    /// Before the first batch of the segment that begins at `base`.
    pub(crate) fn new(base: Offset) -> Self {
        Self { max_timestamp: (Timestamp::NONE, base), bytes_since_entry: 0 }
    }

    /// Takes the next batch into account; whether it got an entry.
    pub(crate) fn note(&mut self, header: &BatchHeader, position: u64, interval: u32, indexes: &Indexes) -> bool {
        if self.max_timestamp.0 < header.max_timestamp {
            self.max_timestamp = (header.max_timestamp, header.last_offset());
        }
        let due = u64::from(interval) < self.bytes_since_entry;
        if due {
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            // Refused only by an index that holds later batches already: then it needs no entry.
            let _ = indexes.offsets.append(header.last_offset(), position);
            let _ = indexes.times.maybe_append(self.max_timestamp.0, self.max_timestamp.1);
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.len as u64;
        due
    }

    /// Goes on behind what is indexed.
    pub(crate) fn resume(&mut self, indexes: &Indexes) {
        if let Some(last) = indexes.times.last() {
            self.max_timestamp = (last.timestamp, last.offset);
        }
    }

    /// The last time index entry, which a closed segment always has: its largest timestamp.
    pub(crate) fn seal(&self, indexes: &Indexes) {
        let _ = indexes.times.maybe_append(self.max_timestamp.0, self.max_timestamp.1);
    }
}

/// What of a segment costs memory and descriptors.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) indexes: Indexes,
}

/// One segment.
#[derive(Debug)]
pub(crate) struct Segment {
    dir: Arc<Path>,
    base_offset: Offset,
    /// End offset minus base offset in the upper half, bytes in the lower: both fit 32 bits because relative offsets and
    /// positions are `int32` on disk. One word, so that readers never see one without the other.
    tail: AtomicU64,
    /// Largest timestamp in the segment, or [`MAX_TIMESTAMP_UNKNOWN`] until somebody looks.
    max_timestamp: AtomicI64,
    open: RwLock<Option<Arc<OpenSegment>>>,
    /// Files that were open before; whoever was reading then may still hold them.
    let_go: Mutex<Vec<Weak<dyn DiskFile>>>,
    /// When its file last changed.
    modified: AtomicI64,
    used: AtomicBool,
    /// Another segment has its place, and the names of its files.
    retired: AtomicBool,
    /// Transactions that were aborted by a marker in this segment: few, and asked for with every READ_COMMITTED fetch.
    pub(crate) transactions: TransactionIndex,
}

/// Between two entries of an index that is built for reading only, and the default of `index.interval.bytes`.
const INDEX_INTERVAL_BYTES: u32 = 4_096;

/// A closed segment of no more bytes gets its indexes from its batches: that is one read instead of two files.
const SCANNED_BYTES_MAX: u64 = 64 << 10;

/// The largest timestamp of a closed segment is looked up when it is asked for.
pub(crate) const MAX_TIMESTAMP_UNKNOWN: i64 = i64::MIN;

/// A scan that failed on this segment's file.
#[derive(Debug)]
pub(crate) enum SegmentError {
    /// Bytes that should be a batch.
    Corrupt { position: u64, reason: String },
    /// Repeat on the disk pool.
    WouldWait,
    /// The disk did not answer, or the segment is gone (`NotFound`).
    Disk(io::Error),
}

impl From<ScanError> for SegmentError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Bad { position, error } => Self::Corrupt { position, reason: error.to_string() },
            ScanError::WouldWait => Self::WouldWait,
            ScanError::Disk(error) => Self::Disk(error),
        }
    }
}

/// Batches found by [`Segment::find`].
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) position: u64,
    pub(crate) end: u64,
    pub(crate) base_offset: Offset,
    pub(crate) next_offset: Offset,
}

impl Segment {
    /// A segment of which `size` bytes hold whole batches up to `end_offset`, exclusive. `open` stays open when given.
    pub(crate) fn new(
        dir: Arc<Path>,
        base_offset: Offset,
        end_offset: Offset,
        size: u64,
        open: Option<Arc<OpenSegment>>,
        transactions: TransactionIndex,
    ) -> Self {
        let segment = Self {
            dir,
            base_offset,
            transactions,
            tail: AtomicU64::new(0),
            max_timestamp: AtomicI64::new(MAX_TIMESTAMP_UNKNOWN),
            modified: AtomicI64::new(Timestamp::NONE.0),
            open: RwLock::new(open),
            let_go: Mutex::default(),
            used: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        };
        segment.publish(end_offset, size);
        segment
    }

    pub(crate) fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// Shows readers what was appended.
    pub(crate) fn publish(&self, end_offset: Offset, size: u64) {
        let relative = u32::try_from(end_offset.0 - self.base_offset.0).unwrap_or(u32::MAX);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        self.tail.store(u64::from(relative) << 32 | u64::from(size), Ordering::Release);
    }

    /// End offset (exclusive) and size in bytes, as they belong together. The offset is only exact in the active segment: in
    /// closed ones the next segment's base offset counts.
    pub(crate) fn tail(&self) -> (Offset, u64) {
        let tail = self.tail.load(Ordering::Acquire);
        (Offset(self.base_offset.0.saturating_add_unsigned(tail >> 32)), tail & u64::from(u32::MAX))
    }

    pub(crate) fn size(&self) -> u64 {
        self.tail().1
    }

    pub(crate) fn set_max_timestamp(&self, timestamp: Timestamp) {
        self.max_timestamp.store(timestamp.0, Ordering::Release);
    }

    /// Largest timestamp, when it is known; [`Timestamp::NONE`] when no batch has one.
    pub(crate) fn max_timestamp(&self) -> Option<Timestamp> {
        let known = self.max_timestamp.load(Ordering::Acquire);
        (known != MAX_TIMESTAMP_UNKNOWN).then_some(Timestamp(known))
    }

    pub(crate) fn set_modified(&self, now: Timestamp) {
        self.modified.store(now.0, Ordering::Relaxed);
    }

    /// When its file last changed.
    pub(crate) fn modified(&self) -> Timestamp {
        Timestamp(self.modified.load(Ordering::Relaxed))
    }

    /// Whether a read happened since the last call.
    pub(crate) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Keeps file and indexes open until [`Self::forget_open`].
    pub(crate) fn pin(&self, open: &Arc<OpenSegment>) {
        self.replace_open(Some(Arc::clone(open)));
    }

    /// Closes file and indexes, for those who do not hold them.
    pub(crate) fn forget_open(&self) {
        self.replace_open(None);
    }

    /// From now on it is read through `open` only, as long as somebody holds it: its files get other names, and theirs will be
    /// those of another segment.
    pub(crate) fn retire(&self, open: Arc<OpenSegment>) {
        let mut slot = self.open.write().unwrap_or_else(PoisonError::into_inner);
        self.retired.store(true, Ordering::Release);
        *slot = Some(open);
    }

    fn replace_open(&self, open: Option<Arc<OpenSegment>>) {
        let mut slot = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if self.retired.load(Ordering::Acquire) {
            return;
        }
        let old = std::mem::replace(&mut *slot, open);
        drop(slot);
        let Some(old) = old else { return };
        let mut let_go = self.let_go.lock().unwrap_or_else(PoisonError::into_inner);
        let_go.retain(|file| 0 < file.strong_count());
        let_go.push(Arc::downgrade(&old.file));
    }

    /// Closes file and indexes of a segment that is out of every list; whether somebody reads it still.
    pub(crate) fn is_read(self: &Arc<Self>) -> bool {
        self.forget_open();
        let let_go = self.let_go.lock().unwrap_or_else(PoisonError::into_inner);
        1 < Arc::strong_count(self) || let_go.iter().any(|file| 0 < file.strong_count())
    }

    /// Its batches.
    pub(crate) fn path(&self) -> PathBuf {
        self.file(FileKind::Log)
    }

    /// One of its files.
    pub(crate) fn file(&self, kind: FileKind) -> PathBuf {
        file_path(&self.dir, self.base_offset, kind)
    }

    /// File and indexes; opens them when they are not.
    pub(crate) fn open(
        self: &Arc<Self>,
        disk: &dyn Disk,
        files: &OpenFiles,
        wait: Wait,
    ) -> Result<Arc<OpenSegment>, SegmentError> {
        self.used.store(true, Ordering::Relaxed);
        if let Some(open) = &*self.open.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(open));
        }
        if wait == Wait::Never {
            return Err(SegmentError::WouldWait);
        }
        let file = disk.open(&self.path(), Access::Read).map_err(SegmentError::Disk)?;
        let size = self.size();
        let loaded = (SCANNED_BYTES_MAX < size).then(|| Indexes::load(disk, &self.dir, self.base_offset, size));
        let indexes = match loaded.flatten() {
            Some(indexes) => indexes,
            None => Indexes::build(&*file, self.base_offset, size)?,
        };
        let index_bytes = indexes.bytes();
        let open = Arc::new(OpenSegment { file, indexes });
        self.replace_open(Some(Arc::clone(&open)));
        if self.retired.load(Ordering::Acquire) {
            // What was opened may be the file of the segment that has its place.
            let open = self.open.read().unwrap_or_else(PoisonError::into_inner).clone();
            return open.ok_or_else(|| SegmentError::Disk(io::ErrorKind::NotFound.into()));
        }
        files.opened(self, index_bytes);
        Ok(open)
    }

    /// Walks from the first batch that holds `offset` or, where there is a gap, a later one. `None` when the segment holds none.
    pub(crate) fn seek<'o>(
        &self,
        open: &'o OpenSegment,
        offset: Offset,
        size: u64,
        wait: Wait,
    ) -> Result<Option<(Located, Scanner<'o>)>, SegmentError> {
        loop {
            let entry = open.indexes.offsets.lookup(offset);
            let mut scanner = Scanner::new(&*open.file, entry.position.into(), size, CHUNK_BYTES_SMALL, wait);
            let first = scanner.next();
            if entry.position != 0
                && !matches!(first, Err(ScanError::WouldWait | ScanError::Disk(_)))
                && !matches!(&first, Ok(Some(batch)) if self.agrees(batch, entry))
            {
                // The index is damaged here. It is sparse: without this entry it is right again.
                open.indexes.offsets.remove(entry);
                continue;
            }
            let mut next = first?;
            while let Some(batch) = next {
                if offset <= batch.header.last_offset() {
                    return Ok(Some((batch, scanner)));
                }
                next = scanner.next()?;
            }
            return Ok(None);
        }
    }

    /// An entry tells the last offset of an append and the position of its first batch: that batch must not lie beyond.
    fn agrees(&self, batch: &Located, entry: OffsetPosition) -> bool {
        self.base_offset <= batch.header.base_offset && batch.header.base_offset <= entry.offset
    }

    /// An offset before which no record of this segment is as young as `target`.
    pub(crate) fn offset_before(&self, open: &OpenSegment, target: Timestamp) -> Result<Offset, SegmentError> {
        loop {
            let entry = open.indexes.times.lookup(target);
            if entry.timestamp == Timestamp::NONE || self.confirms(open, entry)? {
                return Ok(entry.offset);
            }
            open.indexes.times.remove(entry);
        }
    }

    /// Largest timestamp of a closed segment: the last entry of its time index, or that of a batch behind it, should entries
    /// be missing. Where timestamps ascend no batch is behind it.
    pub(crate) fn find_max_timestamp(&self, open: &OpenSegment) -> Result<Timestamp, SegmentError> {
        let size = self.size();
        let (mut largest, mut scanner) = match open.indexes.times.last() {
            Some(last) if self.confirms(open, last)? => match self.seek(open, last.offset, size, Wait::Allowed)? {
                Some((_, scanner)) => (last.timestamp, scanner),
                None => return Ok(last.timestamp),
            },
            _ => (Timestamp::NONE, Scanner::new(&*open.file, 0, size, CHUNK_BYTES_MAX, Wait::Allowed)),
        };
        while let Some(batch) = scanner.next()? {
            largest = largest.max(batch.header.max_timestamp);
        }
        Ok(largest)
    }

    /// Whether the batch that a time index entry names has the timestamp that it names.
    fn confirms(&self, open: &OpenSegment, entry: TimestampOffset) -> Result<bool, SegmentError> {
        let found = self.seek(open, entry.offset, self.size(), Wait::Allowed)?;
        Ok(found.is_some_and(|(batch, _)| batch.header.max_timestamp == entry.timestamp))
    }

    /// The batches that answer a read, within this segment; `None` when it holds nothing at or behind the offset.
    pub(crate) fn find(&self, open: &OpenSegment, wanted: &Wanted, wait: Wait) -> Result<Option<Found>, SegmentError> {
        let Some((first, scanner)) = self.seek(open, wanted.offset, wanted.size, wait)? else { return Ok(None) };
        let nothing = Found {
            file: Arc::clone(&open.file),
            position: first.position,
            end: first.position,
            base_offset: first.header.base_offset,
            next_offset: wanted.offset,
        };
        if wanted.upper_bound <= first.header.last_offset() {
            return Ok(Some(nothing));
        }
        let limit = first.position.saturating_add(wanted.bytes_max);
        if limit < first.end() {
            let next_offset = first.header.last_offset().next();
            return Ok(Some(match wanted.at_least_one_batch {
                true => Found { end: first.end(), next_offset, ..nothing },
                false => nothing,
            }));
        }
        if wanted.end_offset <= wanted.upper_bound && wanted.size <= limit {
            return Ok(Some(Found { end: wanted.size, next_offset: wanted.end_offset, ..nothing }));
        }
        let last = self.last_before(open, first, scanner, wanted.upper_bound, limit)?;
        Ok(Some(Found { end: last.end(), next_offset: last.header.last_offset().next(), ..nothing }))
    }

    /// The last batch, from `first` on, that ends below `upper_bound` and not behind the position `limit`.
    fn last_before(
        &self,
        open: &OpenSegment,
        first: Located,
        mut scanner: Scanner<'_>,
        upper_bound: Offset,
        limit: u64,
    ) -> Result<Located, SegmentError> {
        let mut last = first;
        let entry = open.indexes.offsets.last_before(upper_bound, limit);
        if let Some(entry) = entry.filter(|entry| first.end() < u64::from(entry.position)) {
            scanner.seek(u64::from(entry.position));
            match scanner.next() {
                Ok(Some(batch))
                    if self.agrees(&batch, entry)
                        && batch.end() <= limit
                        && first.header.last_offset() < batch.header.base_offset
                        && batch.header.last_offset() < upper_bound =>
                {
                    last = batch
                }
                Err(error @ (ScanError::WouldWait | ScanError::Disk(_))) => return Err(error.into()),
                // Too far or damaged: from the first batch on it is slower but sure.
                Ok(_) | Err(ScanError::Bad { .. }) => scanner.seek(first.end()),
            }
        }
        while let Some(batch) = scanner.next()? {
            if upper_bound <= batch.header.last_offset() || limit < batch.end() {
                break;
            }
            last = batch;
        }
        Ok(last)
    }
}

/// What [`Segment::find`] looks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) offset: Offset,
    pub(crate) upper_bound: Offset,
    pub(crate) bytes_max: u64,
    pub(crate) at_least_one_batch: bool,
    /// Of the segment, as published.
    pub(crate) size: u64,
    /// Of the segment: the next one's base offset, or the log's end.
    pub(crate) end_offset: Offset,
}
