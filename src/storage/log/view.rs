//! The log as readers on other threads see it.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Corruption, DiskError, Read, ReadError, ReadRequest, Slice, Wait};
use crate::model::Offset;
use crate::storage::disk::Disk;
use crate::storage::open_files::OpenFiles;
use crate::storage::segment::{OpenSegment, Segment, SegmentError, Wanted};

/// A slice is taken to be in memory when a page in each stretch of this length is, and the last one. What was written or read
/// together is mostly forgotten together, and each look costs about two microseconds: as much as sending 16 KiB.
const STRETCH_BYTES: usize = 256 << 10;

/// Segments in the order of their base offsets; the last one is active. Never empty.
pub(crate) type SegmentList = Arc<[Arc<Segment>]>;

/// The log as readers on other threads see it: always current, without the owner's mailbox. Obtained once with
/// [`Log::view`](super::Log::view) and kept; cheap to clone as `Arc`.
///
/// Read the high watermark first and then from the view: what the view holds is never older.
#[derive(Debug)]
pub struct LogView {
    pub(super) disk: Arc<dyn Disk>,
    /// Another one when the log went to another log dir.
    dir: RwLock<Arc<Path>>,
    pub(super) files: Arc<OpenFiles>,
    /// Swapped whole when a segment is rolled, removed or truncated. Held only for cloning.
    segments: RwLock<SegmentList>,
    log_start: AtomicI64,
    recovery_point: AtomicI64,
    /// Negative: none.
    first_dirty: AtomicI64,
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
            dir: RwLock::new(dir),
            files,
            segments: RwLock::new(segments),
            log_start: AtomicI64::new(log_start.0),
            recovery_point: AtomicI64::new(0),
            first_dirty: AtomicI64::new(Offset::NONE.0),
        }
    }

    /// The folder.
    pub(super) fn dir(&self) -> Arc<Path> {
        Arc::clone(&self.dir.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_dir(&self, dir: Arc<Path>) {
        *self.dir.write().unwrap_or_else(PoisonError::into_inner) = dir;
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

    pub(super) fn set_first_dirty(&self, offset: Option<Offset>) {
        self.first_dirty.store(offset.unwrap_or(Offset::NONE).0, Ordering::Release);
    }

    /// Everything below was compacted; `None` when that never happened.
    #[must_use]
    pub fn first_dirty_offset(&self) -> Option<Offset> {
        Some(Offset(self.first_dirty.load(Ordering::Acquire))).filter(|offset| Offset(0) <= *offset)
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

    /// Finds batches to send: from one segment, behind one another, and in memory, so that sending them waits for no disk.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(&self, request: &ReadRequest, wait: Wait) -> Result<Read, ReadError> {
        self.check_range(&self.segments(), request.offset)?;
        self.find(request, wait)
    }

    /// The same, also of what lies below the log start offset and is there still.
    pub(super) fn find(&self, request: &ReadRequest, wait: Wait) -> Result<Read, ReadError> {
        let segments = self.segments();
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
            let slice = Slice {
                file: found.file,
                position: found.position,
                len,
                base_offset: found.base_offset,
                next_offset: found.next_offset,
            };
            return match bring(&slice, wait) {
                Ok(true) => Ok(Read::Batches(slice)),
                Ok(false) => Ok(Read::WouldWait),
                Err(error) => self.refuse(segment, request.offset, SegmentError::Disk(error)),
            };
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

/// Sees to it that a slice is in memory; `false` when it is not and must not be waited for. Its first page was looked at when
/// it was found.
fn bring(slice: &Slice, wait: Wait) -> std::io::Result<bool> {
    let last = slice.position + slice.len.saturating_sub(1) as u64;
    let inner = (slice.position..last).step_by(STRETCH_BYTES).skip(1);
    for page in inner.chain([last]) {
        if slice.file.read_cached_at(page, &mut [0])?.is_some() {
            continue;
        }
        if wait == Wait::Never {
            return Ok(false);
        }
        // The stretch in front of the page, too: nobody looked at the rest of it.
        let from = page.saturating_sub(STRETCH_BYTES as u64 - 1).max(slice.position);
        slice.file.read_at(from, &mut vec![0; STRETCH_BYTES])?;
    }
    Ok(true)
}

fn end_of(segments: &SegmentList) -> Offset {
    segments.last().map_or(Offset(0), |active| active.tail().0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;
    use std::sync::Mutex;

    use super::*;
    use crate::storage::disk::DiskFile;

    const PAGE_BYTES: u64 = 4_096;

    /// A file of which only some pages are in memory. What is read comes into memory.
    #[derive(Debug, Default)]
    struct Cold {
        pages: Mutex<BTreeSet<u64>>,
    }

    impl DiskFile for Cold {
        fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let last = position + buffer.len() as u64 - 1;
            self.pages.lock().unwrap().extend(position / PAGE_BYTES..=last / PAGE_BYTES);
            Ok(buffer.len())
        }
        fn read_cached_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<Option<usize>> {
            Ok(self.pages.lock().unwrap().contains(&(position / PAGE_BYTES)).then_some(buffer.len()))
        }
        fn write_all_at(&self, _: u64, _: &[io::IoSlice<'_>]) -> io::Result<()> {
            unreachable!("only read")
        }
        fn sync(&self) -> io::Result<()> {
            unreachable!("only read")
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            unreachable!("only read")
        }
        fn len(&self) -> io::Result<u64> {
            unreachable!("only read")
        }
        fn reserve(&self, _: u64, _: u64) -> io::Result<()> {
            unreachable!("only read")
        }
        fn os_file(&self) -> Option<&std::fs::File> {
            None
        }
    }

    #[test]
    fn a_slice_is_sent_once_all_of_it_is_in_memory() {
        for (position, len) in [(0, 1), (5, 4_096), (4_000, 200_000), (70_000, 1 << 20), (4_095, STRETCH_BYTES + 1)] {
            let file = Arc::new(Cold::default());
            let pages = position / PAGE_BYTES..=(position + len as u64 - 1) / PAGE_BYTES;
            let (base_offset, next_offset) = (Offset(0), Offset(1));
            let slice = Slice { file: Arc::<Cold>::clone(&file), position, len, base_offset, next_offset };
            // The one that was looked at when the slice was found.
            file.pages.lock().unwrap().insert(*pages.start());
            let small = pages.clone().count() == 1;
            assert_eq!(bring(&slice, Wait::Never).unwrap(), small, "{len} bytes");
            assert!(bring(&slice, Wait::Allowed).unwrap());
            assert!(pages.clone().all(|page| file.pages.lock().unwrap().contains(&page)), "{len} bytes at {position}");
            assert!(bring(&slice, Wait::Never).unwrap());
            // What is forgotten together is missed.
            let forgotten = *pages.end();
            file.pages.lock().unwrap().remove(&forgotten);
            assert!(!bring(&slice, Wait::Never).unwrap(), "{len} bytes");
        }
    }
}
