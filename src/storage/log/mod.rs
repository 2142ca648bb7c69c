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

mod active;
mod append;
pub mod cleaner;
mod config;
mod flush;
mod listing;
mod lookup;
mod rebuild;
mod recovery;
mod relocate;
mod retention;
mod roll;
mod truncate;
mod types;
mod view;
mod walk;

use std::path::Path;
use std::sync::Arc;

use self::active::Active;
use self::append::Pending;
use self::flush::Unflushed;
use self::rebuild::Rebuild;
use crate::model::{LeaderEpoch, Offset, Timestamp};
use crate::storage::leader_epoch::LeaderEpochCache;
use crate::storage::producer_state::{ProducerDescription, ProducerStates};

pub use self::config::{CleanupPolicy, LogConfig, SEGMENT_BYTES_MAX};
pub use self::flush::{FlushOutcome, FlushTask};
pub use self::relocate::CopyError;
pub use self::types::{
    AppendError, Appended, Corruption, Cut, DiskError, NewBatch, OpenError, OpenOptions, OpenReport, PendingDelete,
    Read, ReadError, ReadRequest, Slice, TimestampOffset,
};
pub use self::view::LogView;
pub use crate::storage::producer_state::AppendOrigin as Origin;
pub use crate::storage::scan::Wait;
pub use crate::storage::transaction_index::AbortedTransaction;

/// One partition's log.
#[derive(Debug)]
pub struct Log {
    view: Arc<LogView>,
    config: LogConfig,
    active: Active,
    /// One past the last record that is in the log or awaits the write of the call at hand.
    next_offset: Offset,
    log_start: Offset,
    unflushed: Unflushed,
    producers: ProducerStates,
    /// Offset of the newest producer snapshot.
    snapshot: Option<Offset>,
    epochs: LeaderEpochCache,
    /// Set by the first failed flush, for ever.
    failure: Option<DiskError>,
    /// `segment.ms` less this segment's share of the jitter.
    segment_age_ms: i64,
    jitter: u64,
    /// Kept for its memory only.
    pending: Pending,
}

impl Log {
    /// A log of what opening found.
    fn assembled(
        options: &OpenOptions,
        view: LogView,
        active: Active,
        state: Rebuild,
        unflushed: Unflushed,
        snapshot: Option<Offset>,
    ) -> Self {
        let mut log = Self {
            next_offset: active.segment.tail().0,
            log_start: view.log_start_offset(),
            view: Arc::new(view),
            config: options.config.clone(),
            active,
            unflushed,
            producers: state.producers,
            snapshot,
            epochs: state.epochs,
            failure: None,
            segment_age_ms: 0,
            jitter: options.seed,
            pending: Pending::default(),
        };
        if state.epochs_changed {
            log.unflushed.epochs_changed();
        }
        log.view.set_recovery_point(log.unflushed.recovery_point);
        log.view.set_first_dirty(options.first_dirty_offset);
        log.choose_segment_age();
        log
    }

    /// For readers on any thread.
    #[must_use]
    pub fn view(&self) -> Arc<LogView> {
        Arc::clone(&self.view)
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> Arc<Path> {
        self.view.dir()
    }

    /// First readable offset.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.log_start
    }

    /// One past the last record.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.next_offset
    }

    /// Everything below is durable.
    #[must_use]
    pub fn recovery_point(&self) -> Offset {
        self.unflushed.recovery_point
    }

    /// New settings take effect with the next append or retention check.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
        self.choose_segment_age();
    }

    /// The error that forbids appends until the log was opened again.
    #[must_use]
    pub fn failure(&self) -> Option<&DiskError> {
        self.failure.as_ref()
    }

    /// Notes that a leadership begins at the log end, even if nothing is ever appended under it (KIP-101). It is durable with
    /// the next flush.
    pub fn start_leader_epoch(&mut self, epoch: LeaderEpoch) {
        self.assign_epoch(epoch, self.next_offset);
    }

    /// The newest leader epoch the log knows.
    #[must_use]
    pub fn latest_leader_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest().map(|latest| latest.epoch)
    }

    /// The epoch under which the record at `offset` was appended.
    #[must_use]
    pub fn leader_epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_of(offset)
    }

    /// The largest epoch up to `epoch`, and where it ends (`OffsetForLeaderEpoch`); `None` for undefined.
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.end_offset_for(epoch, self.next_offset)
    }

    /// First offset that a READ_COMMITTED reader must not pass, given the high watermark; `None` when nothing is open.
    pub fn first_unstable_offset(&mut self, high_watermark: Offset) -> Option<Offset> {
        self.producers.high_watermark_moved(high_watermark);
        self.producers.first_unstable_offset().map(|offset| offset.max(self.log_start))
    }

    /// Forgets producers that were silent for `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now: Timestamp) {
        self.producers.expire(now, self.config.producer_expiration_ms());
    }

    /// The producers that are known here (DescribeProducers).
    #[must_use]
    pub fn describe_producers(&self) -> Vec<ProducerDescription> {
        self.producers.describe()
    }

    /// Writes indexes, producer snapshot and epochs, and flushes all: afterwards the log opens without a scan. Waits for the
    /// disk.
    ///
    /// # Errors
    /// The disk's, or that of an earlier flush: then the log was not closed in order.
    pub fn close(mut self) -> Result<Offset, DiskError> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        self.seal_active()?;
        self.write_snapshot()?;
        match self.flush_task() {
            Some(task) => {
                let outcome = task.run();
                outcome.is_complete()?;
                self.flush_finished(outcome)
            }
            None => Ok(self.recovery_point()),
        }
    }

    fn assign_epoch(&mut self, epoch: LeaderEpoch, start: Offset) {
        // Refused only without an epoch, as in batches of leaders before Kafka 0.11.
        if self.epochs.assign(epoch, start).unwrap_or(false) {
            self.unflushed.epochs_changed();
        }
    }

    /// Nothing is appended from now on. The first error is kept.
    fn fail(&mut self, error: DiskError) {
        self.failure.get_or_insert(error);
    }

    /// Takes the next segment's share off `segment.ms`, so that logs that were made together do not all roll together.
    fn choose_segment_age(&mut self) {
        let milliseconds = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let age = milliseconds(self.config.segment_age);
        let jitter = milliseconds(self.config.segment_jitter.min(self.config.segment_age));
        // A step of SplitMix64: only has to differ between logs.
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.jitter ^ self.jitter >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let share = i64::try_from(mixed >> 1).unwrap_or_default().checked_rem(jitter).unwrap_or_default();
        self.segment_age_ms = age - share;
    }
}

#[cfg(test)]
mod tests;
