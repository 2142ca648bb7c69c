//! One partition's log: segments of record batches, in Kafka's format to the byte.
//!
//! A [`Log`] has one owner (a partition's actor), whose calls are synchronous and never wait for the disk but in
//! [`Log::open`]: appends go to the page cache, flushes are [`FlushTask`]s that a disk pool runs. Everybody else reads
//! through a [`LogView`].
//!
//! *Invariant*: log start offset ≤ recovery point ≤ log end offset, and readers see only whole batches below the log end.
//! *Does not know*: high watermark, who leads, what is in a batch behind its header.
//!
//! Source: Kafka 3.9 `UnifiedLog.scala`, `LocalLog.scala`, `LogSegment.java`, `LogLoader.scala`.

mod config;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{LeaderEpoch, Moment, Offset, ProducerId, Timestamp};
use crate::storage::disk::{Disk, DiskFile};
use crate::wire::record::BatchHeader;

pub use config::{CleanupPolicy, LogConfig, SEGMENT_BYTES_MAX};

/// A disk error that can be told to several waiters.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot {doing}: {message}")]
pub struct DiskError {
    /// What was tried, with the path: `write /data/t-0/00000000000000000000.log`.
    pub doing: String,
    /// `StorageFull` says that room would help.
    pub kind: io::ErrorKind,
    /// In the operating system's words.
    pub message: String,
}

/// Who made a batch (`AppendOrigin.java`): decides how strictly its producer is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A client: epoch and sequence numbers are checked.
    Client,
    /// A coordinator of this broker, markers included: epochs are checked, sequence numbers are not.
    Coordinator,
    /// A leader that had checked it: nothing is refused.
    Replication,
}

/// One validated batch to append. `header` may differ from the header in `bytes` (timestamps, CRC, attributes that the
/// broker changed): what is written is `header` with offset and epoch put in, and then `bytes` behind its header.
#[derive(Clone, Debug)]
pub struct NewBatch {
    /// The header to write. `len` is the length of `bytes`; base offset and leader epoch are overwritten for a leader.
    pub header: BatchHeader,
    /// The batch as it came, header included.
    pub bytes: Bytes,
    /// Who made it.
    pub origin: Origin,
}

/// Where a batch went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record, inclusive. `last_offset.next()` is what must be flushed or replicated for it.
    pub last_offset: Offset,
    /// Nothing was written: the same batch is among the producer's last five, at these offsets. Its largest timestamp then.
    pub duplicate: Option<Timestamp>,
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
    /// Header and bytes do not belong together, or a delta is negative: the caller did not validate.
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

/// Deletes that are due later: files renamed to `.deleted`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingDelete {
    /// Files to remove; those that are gone already are no error.
    pub files: Vec<PathBuf>,
    /// When.
    pub due: Moment,
}

/// What a [`FlushTask`] reached; goes back to [`Log::flush_finished`].
#[derive(Clone, Debug)]
pub struct FlushOutcome {
    /// Everything below is durable when `result` is `Ok`.
    pub up_to: Offset,
    /// The first error.
    pub result: Result<(), DiskError>,
    generation: u64,
}

/// A flush to be run on a thread that may wait. Covers all that was appended when it was made (group commit).
#[derive(Debug)]
pub struct FlushTask {
    disk: Arc<dyn Disk>,
    files: Vec<Arc<dyn DiskFile>>,
    up_to: Offset,
    generation: u64,
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
        todo!()
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

/// Whether a read may wait for the disk (law 8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Only what is in memory is looked at.
    Never,
    /// The calling thread belongs to a disk pool.
    Allowed,
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
    /// The disk would have to be asked: repeat on the disk pool with [`Wait::Allowed`].
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

/// An aborted transaction that touches a fetched range (READ_COMMITTED).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// Its first record in this partition.
    pub first_offset: Offset,
}

/// The log as readers on other threads see it: always current, without the owner's mailbox. Obtained once with
/// [`Log::view`] and kept; cheap to clone as `Arc`.
#[derive(Debug)]
pub struct LogView {}

impl LogView {
    /// First offset that can be read.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        todo!()
    }

    /// One past the last record.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        todo!()
    }

    /// Finds batches to send.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(&self, _request: &ReadRequest, _wait: Wait) -> Result<Read, ReadError> {
        todo!()
    }

    /// First record whose timestamp is at least `target`, below `upper_bound`. May wait for the disk.
    ///
    /// # Errors
    /// Corrupt or Disk of [`ReadError`].
    pub fn offset_for_timestamp(
        &self,
        _target: Timestamp,
        _upper_bound: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }

    /// The record with the largest timestamp (KIP-734). May wait for the disk.
    ///
    /// # Errors
    /// Corrupt or Disk of [`ReadError`].
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }

    /// Aborted transactions that a reader of `from..to` must know. May wait for the disk.
    ///
    /// # Errors
    /// Corrupt or Disk of [`ReadError`].
    pub fn aborted_transactions(&self, _from: Offset, _to: Offset) -> Result<Vec<AbortedTransaction>, ReadError> {
        todo!()
    }

    /// Bytes in all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        todo!()
    }
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
    /// The log dir had its clean-shutdown marker: nothing is scanned.
    pub clean_shutdown: bool,
    /// The log failed to flush in this process: what lies above the recovery point is written once more, because the
    /// page cache may call it clean although the disk never got it.
    pub rewrite_unflushed: bool,
    /// Expires producers and stands for missing timestamps.
    pub now: Timestamp,
    /// Drives the roll jitter; any number that differs between logs.
    pub seed: u64,
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

/// One partition's log.
#[derive(Debug)]
pub struct Log {}

impl Log {
    /// Opens the log in the folder `dir`, which exists, and repairs it by the rules of law 10; an empty folder is an empty
    /// log. Waits for the disk.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(_disk: Arc<dyn Disk>, _dir: &Path, _options: OpenOptions) -> Result<(Self, OpenReport), OpenError> {
        todo!()
    }

    /// For readers on any thread.
    #[must_use]
    pub fn view(&self) -> Arc<LogView> {
        todo!()
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        todo!()
    }

    /// First readable offset.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        todo!()
    }

    /// One past the last record.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        todo!()
    }

    /// Everything below is durable.
    #[must_use]
    pub fn recovery_point(&self) -> Offset {
        todo!()
    }

    /// New settings take effect with the next append or retention check.
    pub fn set_config(&mut self, _config: LogConfig) {
        todo!()
    }

    /// Appends batches in their order with as few writes as can be (hand in all that a mailbox turn brought). Pushes one
    /// result per batch to `results`. Nothing is durable before a flush.
    pub fn append_as_leader(
        &mut self,
        _batches: &[NewBatch],
        _leader_epoch: LeaderEpoch,
        _now: Timestamp,
        _results: &mut Vec<Result<Appended, AppendError>>,
    ) {
        todo!()
    }

    /// Appends batches as the leader wrote them: offsets and epochs stay.
    ///
    /// # Errors
    /// The first batch's that could not be appended; those before it are in the log.
    pub fn append_as_follower(&mut self, _batches: &[NewBatch], _now: Timestamp) -> Result<(), AppendError> {
        todo!()
    }

    /// A flush of all that was appended and is not durable; `None` when there is nothing to do. Several may be under way.
    pub fn flush_task(&mut self) -> Option<FlushTask> {
        todo!()
    }

    /// Takes the outcome of a flush. After a failed one nothing is appended until the log was opened again (law 9).
    ///
    /// # Errors
    /// The outcome's.
    pub fn flush_finished(&mut self, _outcome: FlushOutcome) -> Result<Offset, DiskError> {
        todo!()
    }

    /// The error that forbids appends until the log was opened again.
    #[must_use]
    pub fn failure(&self) -> Option<&DiskError> {
        todo!()
    }

    /// Notes that a leadership begins at the log end, even if nothing is ever appended under it (KIP-101).
    pub fn start_leader_epoch(&mut self, _epoch: LeaderEpoch) {
        todo!()
    }

    /// The newest leader epoch the log knows.
    #[must_use]
    pub fn latest_leader_epoch(&self) -> Option<LeaderEpoch> {
        todo!()
    }

    /// The largest epoch up to `epoch`, and where it ends (`OffsetForLeaderEpoch`); `None` for undefined.
    #[must_use]
    pub fn end_offset_for_epoch(&self, _epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        todo!()
    }

    /// First offset that a READ_COMMITTED reader must not pass, given the high watermark; `None` when nothing is open.
    pub fn first_unstable_offset(&mut self, _high_watermark: Offset) -> Option<Offset> {
        todo!()
    }

    /// DeleteRecords, or the leader's log start: nothing below `offset` is read again. Segments go with the next
    /// [`Self::apply_retention`].
    pub fn advance_log_start(&mut self, _offset: Offset) {
        todo!()
    }

    /// Removes the segments that log start, size and age no longer keep, wholly below the high watermark; their files are
    /// renamed and come back as a delete that is due after `file.delete.delay.ms`.
    ///
    /// # Errors
    /// The disk's.
    pub fn apply_retention(
        &mut self,
        _high_watermark: Offset,
        _now: Timestamp,
        _moment: Moment,
    ) -> Result<Option<PendingDelete>, DiskError> {
        todo!()
    }

    /// Cuts the log's end so that it ends at `offset` or before (followers). Waits for the disk.
    ///
    /// # Errors
    /// The disk's; then the log failed.
    pub fn truncate_to(&mut self, _offset: Offset, _now: Timestamp) -> Result<(), DiskError> {
        todo!()
    }

    /// Empties the log; it starts anew at `offset` (a follower that fell out of the leader's range).
    ///
    /// # Errors
    /// The disk's; then the log failed.
    pub fn truncate_fully_and_start_at(&mut self, _offset: Offset) -> Result<(), DiskError> {
        todo!()
    }

    /// Forgets producers that were silent for `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, _now: Timestamp) {
        todo!()
    }

    /// Writes indexes, producer snapshot and epochs, and flushes all: afterwards the log opens without a scan. Waits.
    ///
    /// # Errors
    /// The disk's.
    pub fn close(self) -> Result<Offset, DiskError> {
        todo!()
    }
}
