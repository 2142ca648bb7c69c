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
