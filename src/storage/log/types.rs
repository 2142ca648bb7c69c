//! What goes into a log and what comes out of it: values and errors, without behaviour.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::LogConfig;
use crate::model::{LeaderEpoch, Moment, Offset, Timestamp};
use crate::storage::disk::{Access, Disk, DiskFile};
use crate::storage::filename::{FileKind, SegmentFileName, Stage};
use crate::storage::open_files::OpenFiles;
use crate::storage::producer_state::{AppendOrigin, ProducerStateError};
use crate::storage::segment::Segment;
use crate::wire::record::BatchHeader;

/// A disk error that can be told to several waiters.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot {doing}: {message}")]
pub struct DiskError {
    /// What was tried, with the path: `write /data/t-0/00000000000000000000.log`.
    pub doing: String,
    /// `StorageFull` says that room would help, `ResourceBusy` that the process has too many open files.
    pub kind: io::ErrorKind,
    /// In the operating system's words.
    pub message: String,
}

impl DiskError {
    pub(crate) fn new(doing: &str, path: &Path, error: &io::Error) -> Self {
        let too_many_files = |code| {
            [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].iter().any(|errno| errno.raw_os_error() == code)
        };
        // The standard library has no name for these.
        let kind =
            if error.raw_os_error().is_some_and(too_many_files) { io::ErrorKind::ResourceBusy } else { error.kind() };
        Self { doing: format!("{doing} {}", path.display()), kind, message: error.to_string() }
    }

    /// Whether it says nothing against the disk: it is full, or the process has too few resources just now.
    #[must_use]
    pub fn passes(&self) -> bool {
        use io::ErrorKind::{Interrupted, OutOfMemory, QuotaExceeded, ResourceBusy, StorageFull, WouldBlock};
        matches!(self.kind, StorageFull | QuotaExceeded | ResourceBusy | OutOfMemory | Interrupted | WouldBlock)
    }
}

/// One validated batch to append: what is written is `header` with its place in the log, and then `body`.
#[derive(Clone, Debug)]
pub struct NewBatch {
    /// The header to write. A leader overwrites base offset and leader epoch; `len` is that of header and body together.
    pub header: BatchHeader,
    /// The records block: a slice of the frame that it came in.
    pub body: Bytes,
    /// Who made it.
    pub origin: AppendOrigin,
}

/// Where a batch went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record, inclusive. `last_offset.next()` is what must be flushed or replicated for it.
    pub last_offset: Offset,
    /// The time that its records got when they were appended; −1 when they keep their producer's. A repetition of one of the
    /// producer's last five batches is not written again: its offsets are those of the first time, and this is the largest
    /// timestamp of that, as in Kafka.
    pub log_append_time: Timestamp,
}

/// Why a batch was not appended. Batches before and behind it in the same call have their own results.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AppendError {
    /// Larger than `segment.bytes`.
    #[error("the batch of {len} bytes is larger than segment.bytes {max}")]
    BatchTooLarge {
        /// Of the batch.
        len: usize,
        /// `segment.bytes`.
        max: u32,
    },
    /// Offsets of a replicated batch do not follow the log's end.
    #[error("the batch starts at {found}, the log ends at {expected}")]
    OutOfOrder {
        /// Log end offset.
        expected: Offset,
        /// Base offset of the batch.
        found: Offset,
    },
    /// Its producer's epoch, sequence number or transaction does not fit.
    #[error(transparent)]
    Producer(#[from] ProducerStateError),
    /// Header and body do not belong together, or a delta is negative: the caller did not validate.
    #[error("the batch was not validated: {0}")]
    NotValidated(&'static str),
    /// The write failed and the log was cut back to where it was: nothing of the batch is visible. Later appends may
    /// succeed (`kind` `StorageFull`: as soon as there is room).
    #[error(transparent)]
    Disk(DiskError),
    /// A flush failed earlier, or a failed write could not be undone: nothing is appended until the log was opened again.
    #[error("the log failed and must be opened again: {0}")]
    LogFailed(DiskError),
}

impl AppendError {
    /// The disk's error, if it is one.
    #[must_use]
    pub fn disk(&self) -> Option<&DiskError> {
        match self {
            Self::Disk(error) | Self::LogFailed(error) => Some(error),
            Self::BatchTooLarge { .. } | Self::OutOfOrder { .. } | Self::Producer(_) | Self::NotValidated(_) => None,
        }
    }
}

/// Bytes that are taken off a large file at once when it is deleted. A file system that tells its disk what is free (mounted
/// with `discard`) holds up every flush for as long as that takes: with a whole segment of 1 GiB some 40 ms, with this much 1.
const CUT_BYTES: u64 = 1 << 20;

/// Files and folders that were renamed and are to be removed later.
#[derive(Debug)]
pub struct PendingDelete {
    /// What to remove; what is gone already is no error.
    pub paths: Vec<PathBuf>,
    /// When.
    pub due: Moment,
    /// The segments whose files are among them.
    pub(super) segments: Vec<Arc<Segment>>,
}

impl PendingDelete {
    /// Removes `paths`, which are no segment's alone.
    #[must_use]
    pub fn of(paths: Vec<PathBuf>, due: Moment) -> Self {
        Self { paths, due, segments: Vec::new() }
    }

    /// Removes it all. Waits for the disk.
    ///
    /// # Errors
    /// The first of the disk's; the rest was tried all the same. What is left goes with the next start.
    pub fn run(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        let remove = |path: &PathBuf| match disk.remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => disk.remove_dir_all(path),
            other => other,
        };
        if let Some(dir) = self.paths.first().and_then(|path| path.parent()) {
            // The old names are gone for good before a file is: of an interrupted deletion something is always left to be seen.
            match disk.sync_dir(dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(DiskError::new("sync", dir, &error));
                }
                _ => {}
            }
        }
        for segment in self.segments.iter().filter(|segment| !segment.is_read()) {
            let name = SegmentFileName::live(segment.base_offset(), FileKind::Log).at(Stage::Deleted);
            // What cannot be cut is removed whole.
            let _ = cut_down(disk, &segment.path().with_file_name(name.to_string()));
        }
        let failed = |path: &PathBuf| match remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Some(DiskError::new("remove", path, &error)),
            _ => None,
        };
        let failures = self.paths.iter().filter_map(failed).collect::<Vec<_>>();
        failures.into_iter().next().map_or(Ok(()), Err)
    }
}

/// Takes a file's bytes off its end, some at a time.
fn cut_down(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let file = disk.open(path, Access::Write)?;
    let mut len = file.len()?;
    while CUT_BYTES < len {
        len -= CUT_BYTES;
        file.set_len(len)?;
    }
    Ok(())
}

impl OpenOptions {
    /// Below this offset a crash tore nothing: everything was flushed, and names with it. Compaction leaves holes anywhere.
    pub(super) fn settled(&self) -> Offset {
        if self.is_compacted() { Offset(0) } else { self.recovery_point }
    }

    /// Whether compaction may have been here, under these settings or earlier ones.
    pub(super) fn is_compacted(&self) -> bool {
        self.config.cleanup_policy.compact || self.first_dirty_offset.is_some()
    }
}

/// What a reader asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadRequest {
    /// Of the first record wanted. It may lie within a batch: then the whole batch comes.
    pub offset: Offset,
    /// Exclusive: high watermark, last stable offset, or log end offset for a follower. No batch that reaches it comes.
    pub upper_bound: Offset,
    /// No more bytes than that, in whole batches...
    pub bytes_max: usize,
    /// ...but the first batch comes however large it is.
    pub at_least_one_batch: bool,
}

/// Whole batches that lie one behind the other in one segment.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The segment. Stays readable when the segment is deleted meanwhile.
    pub file: Arc<dyn DiskFile>,
    /// Of the first batch in `file`, in bytes.
    pub position: u64,
    /// Bytes. At least one batch, unless `bytes_max` forbids.
    pub len: usize,
    /// Base offset of the first batch: at most the offset asked for (or beyond it, where compaction left a gap).
    pub base_offset: Offset,
    /// Offset to ask for next: one past the last record of the last batch.
    pub next_offset: Offset,
}

/// What a read found.
#[derive(Clone, Debug)]
pub enum Read {
    /// There are batches.
    Batches(Slice),
    /// Nothing between the offset and the upper bound, or nothing that fits `bytes_max`.
    Empty,
    /// The disk would have to be asked: repeat on the disk pool with [`Wait::Allowed`](super::Wait::Allowed).
    WouldWait,
}

/// Why a read or lookup failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// Below the log start offset or above the log end offset.
    #[error("offset {offset} is not in {log_start}..={log_end}")]
    OutOfRange {
        /// Asked for.
        offset: Offset,
        /// Log start offset.
        log_start: Offset,
        /// Log end offset.
        log_end: Offset,
    },
    /// Bytes below the log end that are no batch: the replica must be taken out of service.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The disk did not answer.
    #[error(transparent)]
    Disk(DiskError),
}

/// Bytes that should be a batch and are none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{path} is damaged at byte {position}: {reason}")]
pub struct Corruption {
    /// The segment's file.
    pub path: PathBuf,
    /// In bytes.
    pub position: u64,
    /// In words for a person.
    pub reason: String,
}

/// A record by its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampOffset {
    /// Of the record (or of its batch, if that says LogAppendTime).
    pub timestamp: Timestamp,
    /// Of the record.
    pub offset: Offset,
    /// Of its batch.
    pub leader_epoch: LeaderEpoch,
}

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Settings.
    pub config: LogConfig,
    /// From `recovery-point-offset-checkpoint`; 0 when it has no entry. Everything below was flushed.
    pub recovery_point: Offset,
    /// From `log-start-offset-checkpoint`; 0 when it has no entry.
    pub log_start_offset: Offset,
    /// From `cleaner-offset-checkpoint`; `None` when it has no entry. Everything below was compacted.
    pub first_dirty_offset: Option<Offset>,
    /// The log dir had its clean-shutdown marker: nothing is scanned.
    pub clean_shutdown: bool,
    /// The log failed to flush in this process: what lies above the recovery point is written once more, because the
    /// page cache may call it clean although the disk never got it.
    pub rewrite_unflushed: bool,
    /// Expires producers and stands for missing timestamps.
    pub now: Timestamp,
    /// Drives the roll jitter; any number that differs between logs.
    pub seed: u64,
    /// Shared by all logs of the process.
    pub files: Arc<OpenFiles>,
}

/// What opening found out, for the log line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OpenReport {
    /// Segments that were scanned.
    pub segments_scanned: usize,
    /// Bytes that were scanned.
    pub bytes_scanned: u64,
    /// Index files that were missing or wrong and were built again.
    pub indexes_rebuilt: usize,
    /// The torn tail that was cut.
    pub cut: Option<Cut>,
    /// The log ends, without a fault, before the offset up to which it had been flushed. That is so after a truncation
    /// whose checkpoint was not written any more; else records are missing.
    pub ends_below_recovery_point: bool,
}

/// A torn tail that was cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// New log end offset.
    pub log_end_offset: Offset,
    /// Bytes that went.
    pub bytes: u64,
    /// Why the first of them were no batch.
    pub reason: String,
}

/// Why a log does not open.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// A bad batch below the recovery point (law 10): quarantine the replica. Nothing was changed or deleted.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The disk did not answer: the log dir failed.
    #[error(transparent)]
    Disk(DiskError),
}
