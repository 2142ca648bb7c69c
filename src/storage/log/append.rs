//! Appending batches, and rolling segments as they fill.
//!
//! The fast path: one write for all batches of a call that go into the same segment, no copy of large records blocks, no
//! index file touched.
//!
//! *Invariant*: a batch is visible, counted and known as its producer's last only if its bytes are in the file.

use std::io::IoSlice;

use super::rebuild::marker_of;
use super::{AppendError, Appended, DiskError, Log, NewBatch};
use crate::model::{LeaderEpoch, Offset, ProducerId, Timestamp};
use crate::storage::producer_state::{Before, CompletedTransaction, Verdict};
use crate::storage::transaction_index::AbortedTransaction;
use crate::wire::record::{BATCH_HEADER_BYTES, BatchHeader, TimestampType, TransactionOutcome};

/// Records blocks up to this size are copied behind their header: an own slice of a `writev` costs more than the copy.
const COPIED_BYTES_MAX: usize = 2 << 10;

/// Room is reserved ahead of a segment that has grown to this size: it spares the file system a search per write and the
/// flush a change of the extent tree. Below, ten thousand quiet partitions would waste it.
const RESERVE_FROM_BYTES: u64 = 1 << 20;

/// Most room reserved at once.
const RESERVE_STEP_BYTES_MAX: u64 = 32 << 20;

/// Batches that have their offsets and await the write that all of them share.
#[derive(Debug, Default)]
pub(super) struct Pending {
    headers: Vec<BatchHeader>,
    /// Headers, and the bodies that are small, in the order of the batches.
    copied: Vec<u8>,
    /// After so many bytes of `copied` comes the body of the batch of this number in the caller's slice.
    referenced: Vec<(usize, usize)>,
    len: u64,
    /// Index of the first batch's result.
    first_result: usize,
    /// The producers as they were, should the write fail.
    before: Vec<Before>,
    /// Transactions that markers among the batches abort.
    aborted: Vec<CompletedTransaction>,
}

impl Pending {
    fn push(&mut self, number: usize, header: BatchHeader, body: &[u8]) {
        self.copied.extend_from_slice(&header.encode());
        if body.len() <= COPIED_BYTES_MAX {
            self.copied.extend_from_slice(body);
        } else {
            self.referenced.push((self.copied.len(), number));
        }
        self.len += header.len as u64;
        self.headers.push(header);
    }

    fn clear(&mut self) {
        self.headers.clear();
        self.copied.clear();
        self.referenced.clear();
        self.before.clear();
        self.aborted.clear();
        self.len = 0;
    }
}

impl Log {
    /// Appends batches in their order with as few writes as can be (hand in all that a mailbox turn brought). Pushes one
    /// result per batch to `results`. Nothing is durable before a flush.
    pub fn append_as_leader(
        &mut self,
        batches: &[NewBatch],
        leader_epoch: LeaderEpoch,
        now: Timestamp,
        results: &mut Vec<Result<Appended, AppendError>>,
    ) {
        self.append(batches, Some(leader_epoch), now, results);
    }

    /// Appends batches as the leader wrote them: offsets and epochs stay.
    ///
    /// # Errors
    /// The first batch's that could not be appended; those before it are in the log.
    pub fn append_as_follower(&mut self, batches: &[NewBatch], now: Timestamp) -> Result<(), AppendError> {
        let mut results = Vec::with_capacity(batches.len());
        self.append(batches, None, now, &mut results);
        results.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }

    fn append(
        &mut self,
        batches: &[NewBatch],
        leader_epoch: Option<LeaderEpoch>,
        now: Timestamp,
        results: &mut Vec<Result<Appended, AppendError>>,
    ) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.first_result = results.len();
        for number in 0..batches.len() {
            let result = self.append_one(number, batches, leader_epoch, now, &mut pending, results);
            let failed = result.is_err();
            results.push(result);
            if failed && leader_epoch.is_none() {
                break;
            }
        }
        self.write(batches, &mut pending, results);
        self.pending = pending;
    }

    /// Gives a batch its place in the log and puts it with the others to be written. Its result holds only if they are.
    fn append_one(
        &mut self,
        number: usize,
        batches: &[NewBatch],
        leader_epoch: Option<LeaderEpoch>,
        now: Timestamp,
        pending: &mut Pending,
        results: &mut [Result<Appended, AppendError>],
    ) -> Result<Appended, AppendError> {
        let batch = batches.get(number).ok_or(AppendError::NotValidated("no such batch"))?;
        self.check_open()?;
        self.check_shape(batch)?;
        let mut placed = self.place(&batch.header, leader_epoch)?;
        if self.roll_is_due(&placed, pending.len, now) {
            self.write(batches, pending, results);
            pending.first_result = results.len();
            self.check_open()?;
            // A failed write of the batches before has moved the end back, perhaps to an active segment that is empty: then
            // that one serves. A second segment with its base offset would be the same file.
            placed = self.place(&batch.header, leader_epoch)?;
            if self.roll_is_due(&placed, pending.len, now) {
                self.roll(now).map_err(AppendError::Disk)?;
            }
        }
        if let Some(duplicate) = self.check_producer(&placed, batch, pending)? {
            return Ok(duplicate);
        }
        self.next_offset = placed.last_offset().next();
        pending.push(number, placed, &batch.body);
        let log_append_time = match placed.attributes.timestamp_type() {
            TimestampType::LogAppendTime => placed.max_timestamp,
            TimestampType::CreateTime => Timestamp::NONE,
        };
        Ok(Appended { base_offset: placed.base_offset, last_offset: placed.last_offset(), log_append_time })
    }

    /// Nothing is appended to a log that failed.
    fn check_open(&self) -> Result<(), AppendError> {
        self.failure.as_ref().map_or(Ok(()), |error| Err(AppendError::LogFailed(error.clone())))
    }

    fn check_shape(&self, batch: &NewBatch) -> Result<(), AppendError> {
        let NewBatch { header, body, .. } = batch;
        if header.len != BATCH_HEADER_BYTES + body.len() {
            return Err(AppendError::NotValidated("the header's length is not that of the batch"));
        }
        if header.last_offset_delta < 0 {
            return Err(AppendError::NotValidated("a negative last offset delta"));
        }
        let max = self.config.segment_bytes;
        if u64::from(max) < header.len as u64 {
            return Err(AppendError::BatchTooLarge { len: header.len, max });
        }
        Ok(())
    }

    /// The header with its place in the log: behind everything that was appended or awaits the write.
    fn place(&self, header: &BatchHeader, leader_epoch: Option<LeaderEpoch>) -> Result<BatchHeader, AppendError> {
        let placed = match leader_epoch {
            Some(leader_epoch) => BatchHeader { base_offset: self.next_offset, leader_epoch, ..*header },
            None if self.next_offset <= header.base_offset => *header,
            None => return Err(AppendError::OutOfOrder { expected: self.next_offset, found: header.base_offset }),
        };
        // One past the last offset must be an offset too.
        if placed.last_offset() == Offset(i64::MAX) {
            return Err(AppendError::NotValidated("no offsets are left"));
        }
        Ok(placed)
    }

    /// Writes what is pending. When that fails the log is as if it had never been asked, and so say the results.
    fn write(&mut self, batches: &[NewBatch], pending: &mut Pending, results: &mut [Result<Appended, AppendError>]) {
        if pending.headers.is_empty() {
            return;
        }
        self.reserve(pending.len);
        match self.write_bytes(batches, pending) {
            Ok(()) => self.account(pending),
            Err(error) => self.take_back(&error, pending, results),
        }
        pending.clear();
    }

    fn write_bytes(&self, batches: &[NewBatch], pending: &Pending) -> std::io::Result<()> {
        let file = &self.active.open.file;
        if pending.referenced.is_empty() {
            return file.write_all_at(self.active.size, &[IoSlice::new(&pending.copied)]);
        }
        let mut slices = Vec::with_capacity(pending.referenced.len() * 2 + 1);
        let mut from = 0;
        for &(to, number) in &pending.referenced {
            slices.extend(pending.copied.get(from..to).map(IoSlice::new));
            slices.extend(batches.get(number).map(|batch| IoSlice::new(&batch.body)));
            from = to;
        }
        slices.extend(pending.copied.get(from..).filter(|rest| !rest.is_empty()).map(IoSlice::new));
        file.write_all_at(self.active.size, &slices)
    }

    /// Notes what was written and shows it to the readers.
    fn account(&mut self, pending: &Pending) {
        for header in &pending.headers {
            self.active.note(header, self.config.index_interval_bytes);
            self.assign_epoch(header.leader_epoch, header.base_offset);
        }
        for ended in &pending.aborted {
            // Markers come in the order of their offsets, so that none is refused.
            let _ = self.active.segment.transactions.append(AbortedTransaction::new(ended));
        }
        self.active.segment.publish(self.next_offset, self.active.size);
    }

    /// Asks the producer's state whether the batch may go in, and notes it there. The answer of a duplicate.
    fn check_producer(
        &mut self,
        placed: &BatchHeader,
        batch: &NewBatch,
        pending: &mut Pending,
    ) -> Result<Option<Appended>, AppendError> {
        if pending.headers.is_empty()
            || placed.producer_id != ProducerId::NONE
                && !pending.before.iter().any(|before| before.producer_id == placed.producer_id)
        {
            pending.before.push(self.producers.before(placed.producer_id));
        }
        if placed.attributes.is_control() {
            self.check_marker(placed, batch, pending)?;
            return Ok(None);
        }
        if placed.producer_id != ProducerId::NONE
            && let Verdict::Duplicate(known) = self.producers.check(placed, batch.origin)?
        {
            return Ok(Some(Appended {
                base_offset: known.first_offset(),
                last_offset: known.last_offset,
                log_append_time: known.timestamp,
            }));
        }
        self.producers.apply(placed);
        Ok(None)
    }

    fn check_marker(
        &mut self,
        placed: &BatchHeader,
        batch: &NewBatch,
        pending: &mut Pending,
    ) -> Result<(), AppendError> {
        if let Some(marker) = marker_of(placed, &batch.body) {
            self.producers.check_marker(&marker, batch.origin)?;
            let ended = self.producers.apply_marker(&marker);
            pending.aborted.extend(ended.filter(|ended| ended.outcome == TransactionOutcome::Aborted));
        }
        self.producers.skip_to(placed.last_offset().next());
        Ok(())
    }

    /// Undoes a write that failed: the file is cut back, and the batches' results become the error.
    fn take_back(
        &mut self,
        error: &std::io::Error,
        pending: &mut Pending,
        results: &mut [Result<Appended, AppendError>],
    ) {
        let path = self.active.segment.path();
        let error = DiskError::new("append to", &path, error);
        self.next_offset = pending.headers.first().map_or(self.next_offset, |first| first.base_offset);
        for before in pending.before.drain(..).rev() {
            self.producers.take_back(before);
        }
        match self.active.open.file.set_len(self.active.size) {
            Ok(()) => self.unflushed.cut_back(),
            Err(cut) => self.fail(DiskError::new("cut back", &path, &cut)),
        }
        self.active.reserved = self.active.size;
        for result in results.iter_mut().skip(pending.first_result) {
            if let Ok(appended) = result
                && self.next_offset <= appended.base_offset
            {
                *result = Err(AppendError::Disk(error.clone()));
            }
        }
    }

    fn reserve(&mut self, bytes: u64) {
        let active = &mut self.active;
        let end = active.size + bytes;
        if end <= active.reserved || active.size < RESERVE_FROM_BYTES {
            return;
        }
        let room = u64::from(self.config.segment_bytes).saturating_sub(active.size);
        let step = active.size.clamp(bytes, RESERVE_STEP_BYTES_MAX.max(bytes)).min(room);
        // A hint: without it the write goes on, or says itself that the disk is full.
        let _ = active.open.file.reserve(active.size, step);
        active.reserved = active.size + step;
    }

    /// Whether the active segment must be closed before a batch goes in behind `pending` bytes (`LogSegment.shouldRoll`).
    fn roll_is_due(&self, header: &BatchHeader, pending: u64, now: Timestamp) -> bool {
        let (active, config) = (&self.active, &self.config);
        let size = active.size + pending;
        let too_large = u64::from(config.segment_bytes) < size + header.len as u64;
        // Before the first write of a call the segment may be empty although batches wait for it.
        let first_timestamp = active.first_timestamp.filter(|first| Timestamp(0) <= *first);
        let age_ms = match first_timestamp {
            Some(first) => header.max_timestamp.0.saturating_sub(first.0),
            None => now.0.saturating_sub(active.created.0),
        };
        let too_old = self.segment_age_ms < age_ms;
        let too_far = i64::from(i32::MAX) < header.last_offset().0 - active.segment.base_offset().0;
        0 < size && (too_large || too_old || too_far || active.indexes_full(config.segment_index_bytes))
    }
}
