//! The log as readers on other threads see it.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Corruption, DiskError, Read, ReadError, ReadRequest, Slice, Wait};
use crate::model::Offset;
use crate::storage::disk::Disk;
use crate::storage::open_files::OpenFiles;
use crate::storage::segment::{OpenSegment, Segment, SegmentError, Wanted};

/// Segments in the order of their base offsets; the last one is active. Never empty.
pub(crate) type SegmentList = Arc<[Arc<Segment>]>;

/// The log as readers on other threads see it: always current, without the owner's mailbox. Obtained once with
/// [`Log::view`](super::Log::view) and kept; cheap to clone as `Arc`.
///
/// Read the high watermark first and then from the view: what the view holds is never older.
#[derive(Debug)]
pub struct LogView {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: Arc<Path>,
    pub(super) files: Arc<OpenFiles>,
    /// Swapped whole when a segment is rolled, removed or truncated. Held only for cloning.
    segments: RwLock<SegmentList>,
    log_start: AtomicI64,
    recovery_point: AtomicI64,
}

impl LogView {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: Arc<Path>,
        files: Arc<OpenFiles>,
        segments: SegmentList,
        log_start: Offset,
    ) -> Self {
        Self {
            disk,
            dir,
            files,
            segments: RwLock::new(segments),
            log_start: AtomicI64::new(log_start.0),
            recovery_point: AtomicI64::new(0),
        }
    }

    pub(super) fn segments(&self) -> SegmentList {
        Arc::clone(&self.segments.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_segments(&self, segments: SegmentList) {
        *self.segments.write().unwrap_or_else(PoisonError::into_inner) = segments;
    }

    pub(super) fn set_log_start(&self, offset: Offset) {
        self.log_start.store(offset.0, Ordering::Release);
    }

    pub(super) fn set_recovery_point(&self, offset: Offset) {
        self.recovery_point.store(offset.0, Ordering::Release);
    }

    /// Everything below is durable.
    #[must_use]
    pub fn recovery_point(&self) -> Offset {
        Offset(self.recovery_point.load(Ordering::Acquire))
    }

    /// First offset that can be read.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        Offset(self.log_start.load(Ordering::Acquire))
    }

    /// One past the last record.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        end_of(&self.segments())
    }

    /// Bytes in all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.segments().iter().map(|segment| segment.size()).sum()
    }

    /// Finds batches to send: from one segment, behind one another.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(&self, request: &ReadRequest, wait: Wait) -> Result<Read, ReadError> {
        let segments = self.segments();
        self.check_range(&segments, request.offset)?;
        let first = segments.partition_point(|segment| segment.base_offset() <= request.offset).saturating_sub(1);
        for (at, segment) in segments.iter().enumerate().skip(first) {
            let (published_end, size) = segment.tail();
            let end_offset = segments.get(at + 1).map_or(published_end, |next| next.base_offset());
            if request.upper_bound <= request.offset.max(segment.base_offset()) || size == 0 {
                continue;
            }
            let wanted = Wanted {
                offset: request.offset,
                upper_bound: request.upper_bound,
                bytes_max: request.bytes_max as u64,
                at_least_one_batch: request.at_least_one_batch,
                size,
                end_offset,
            };
            let found = match self.open(segment, wait).and_then(|open| segment.find(&open, &wanted, wait)) {
                Ok(found) => found,
                Err(error) => return self.refuse(segment, request.offset, error),
            };
            let Some(found) = found else { continue };
            let len = usize::try_from(found.end - found.position).unwrap_or_default();
            if len == 0 {
                return Ok(Read::Empty);
            }
            return Ok(Read::Batches(Slice {
                file: found.file,
                position: found.position,
                len,
                base_offset: found.base_offset,
                next_offset: found.next_offset,
            }));
        }
        Ok(Read::Empty)
    }

    pub(super) fn open(&self, segment: &Arc<Segment>, wait: Wait) -> Result<Arc<OpenSegment>, SegmentError> {
        segment.open(&*self.disk, &self.files, wait)
    }

    fn check_range(&self, segments: &SegmentList, offset: Offset) -> Result<(), ReadError> {
        let (log_start, log_end) = (self.log_start_offset(), end_of(segments));
        if log_start <= offset && offset <= log_end {
            return Ok(());
        }
        Err(ReadError::OutOfRange { offset, log_start, log_end })
    }

    /// What a failed look into a segment means for who asked for `offset`.
    fn refuse(&self, segment: &Segment, offset: Offset, error: SegmentError) -> Result<Read, ReadError> {
        if matches!(error, SegmentError::WouldWait) {
            return Ok(Read::WouldWait);
        }
        // It may have been deleted since the list was read.
        self.check_range(&self.segments(), offset)?;
        Err(self.describe(segment, error))
    }

    pub(super) fn describe(&self, segment: &Segment, error: SegmentError) -> ReadError {
        let path = segment.path();
        match error {
            SegmentError::Corrupt { position, reason } => Corruption { path, position, reason }.into(),
            SegmentError::Disk(error) => ReadError::Disk(DiskError::new("read", &path, &error)),
            SegmentError::WouldWait => ReadError::Disk(DiskError {
                doing: format!("read {}", path.display()),
                kind: std::io::ErrorKind::WouldBlock,
                message: "it is not in memory".to_owned(),
            }),
        }
    }
}

fn end_of(segments: &SegmentList) -> Offset {
    segments.last().map_or(Offset(0), |active| active.tail().0)
}
