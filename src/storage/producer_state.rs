//! What a partition knows of its idempotent and transactional producers: which batch comes next, which one was seen before,
//! and which transactions are open.
//!
//! The log asks [`ProducerStates::check`] before it appends a batch, and tells it with [`ProducerStates::apply`] (or
//! [`ProducerStates::apply_marker`]) what it appends. Several batches of one write are checked and applied in turn. When
//! the write fails after all, the table is ahead of the log: what was applied is taken back ([`ProducerStates::take_back`]).
//!
//! *Invariant*: the table is a function of the log: replaying the batches gives the same table (but for the batches beyond
//! the last of each producer, which a snapshot does not keep).
//! *Does not know*: files (see [`super::producer_snapshot`]), coordinators, the verification of transactions (KIP-890).
//!
//! Source: Kafka 3.9 `ProducerStateManager`, `ProducerAppendInfo`, `ProducerStateEntry`; KIP-98.

use std::collections::{BTreeMap, VecDeque};

use crate::model::{ErrorCode, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::wire::record::{BatchHeader, EndTransactionMarker, TransactionOutcome};

/// Batches remembered per producer to tell duplicates. A Java producer has at most 5 requests in flight; Kafka keeps as many.
pub const BATCHES_REMEMBERED: usize = 5;

/// How long after its longest allowed duration an open transaction counts as late: 5 minutes, as in Kafka.
pub const LATE_TRANSACTION_BUFFER_MS: i64 = 5 * 60 * 1_000;

/// Sequence number of a batch that has none: markers, and what the group coordinator writes in transactions.
const NO_SEQUENCE: i32 = -1;

/// Epoch of the coordinator of a producer that has seen no marker.
const NO_COORDINATOR_EPOCH: i32 = -1;

/// Who appends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppendOrigin {
    /// A producer: everything is checked.
    Client,
    /// A coordinator of this broker, or a marker: there are no sequence numbers, but epochs count.
    Coordinator,
    /// The leader's log, or our own when it is replayed: another broker has checked it, and it is not refused for an epoch.
    Replication,
}

/// One of the last batches of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchMetadata {
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Offset of its last record minus that of its first.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: Timestamp,
}

impl BatchMetadata {
    fn of(header: &BatchHeader) -> Self {
        Self {
            last_sequence: last_sequence(header),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        }
    }

    /// Sequence number of its first record: numbers wrap from 2³¹−1 to 0.
    #[must_use]
    pub const fn first_sequence(&self) -> i32 {
        self.last_sequence.wrapping_sub(self.offset_delta) & i32::MAX
    }

    /// Offset of its first record.
    #[must_use]
    pub fn first_offset(&self) -> Offset {
        Offset(self.last_offset.0.saturating_sub(i64::from(self.offset_delta)))
    }
}

/// What is known of one producer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerState {
    /// Its newest epoch.
    pub epoch: ProducerEpoch,
    /// Epoch of the coordinator that wrote its last marker; −1 without one.
    pub coordinator_epoch: i32,
    /// When it last wrote, by its records' timestamps.
    pub last_timestamp: Timestamp,
    /// First offset of its open transaction.
    pub transaction_first_offset: Option<Offset>,
    /// Its last batches under this epoch, oldest first, at most [`BATCHES_REMEMBERED`]. Empty after a marker that brought a
    /// new epoch.
    batches: VecDeque<BatchMetadata>,
}

impl ProducerState {
    fn new(epoch: ProducerEpoch) -> Self {
        Self {
            epoch,
            coordinator_epoch: NO_COORDINATOR_EPOCH,
            last_timestamp: Timestamp::NONE,
            transaction_first_offset: None,
            batches: VecDeque::new(),
        }
    }

    /// A producer as a snapshot keeps it: with its last batch, if it has one.
    #[must_use]
    pub fn restored(
        epoch: ProducerEpoch,
        coordinator_epoch: i32,
        last_timestamp: Timestamp,
        transaction_first_offset: Option<Offset>,
        last_batch: Option<BatchMetadata>,
    ) -> Self {
        let batches = last_batch.into_iter().collect();
        Self { epoch, coordinator_epoch, last_timestamp, transaction_first_offset, batches }
    }

    /// Its last batch.
    #[must_use]
    pub fn last_batch(&self) -> Option<&BatchMetadata> {
        self.batches.back()
    }

    /// Sequence number of its last record; −1 when it has none under this epoch.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        self.last_batch().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    fn remember(&mut self, batch: BatchMetadata) {
        if self.batches.len() == BATCHES_REMEMBERED {
            self.batches.pop_front();
        }
        self.batches.push_back(batch);
        self.last_timestamp = batch.timestamp;
    }

    fn duplicate_of(&self, header: &BatchHeader) -> Option<&BatchMetadata> {
        let same = |batch: &&BatchMetadata| {
            batch.first_sequence() == header.base_sequence && batch.last_sequence == last_sequence(header)
        };
        self.batches.iter().find(same).filter(|_| self.epoch == header.producer_epoch)
    }

    fn is_expired(&self, now: Timestamp, expiration_ms: i64) -> bool {
        self.transaction_first_offset.is_none() && expiration_ms <= now.0.saturating_sub(self.last_timestamp.0)
    }
}

/// What to do with a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is new: append it.
    Append,
    /// It is one of the producer's last five: answer with where it went, and append nothing.
    Duplicate(BatchMetadata),
}

/// Why a batch or a marker is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProducerStateError {
    /// A newer incarnation of the producer has written already.
    #[error("epoch {epoch} of producer {producer_id} is older than the last seen epoch {known}")]
    InvalidProducerEpoch {
        /// Who.
        producer_id: ProducerId,
        /// Of the batch.
        epoch: ProducerEpoch,
        /// Of the table.
        known: ProducerEpoch,
    },
    /// Batches are missing before this one, or it is older than those remembered.
    #[error(
        "producer {producer_id} sent sequence number {sequence} in epoch {epoch} after {known} in epoch {known_epoch}"
    )]
    OutOfOrderSequence {
        /// Who.
        producer_id: ProducerId,
        /// Of the batch.
        epoch: ProducerEpoch,
        /// Of the batch's first record.
        sequence: i32,
        /// Of the table.
        known_epoch: ProducerEpoch,
        /// Of the last record in the table, or −1.
        known: i32,
    },
    /// A batch outside of transactions, while the producer has one open.
    #[error("producer {producer_id} has an open transaction and sent a batch outside of it")]
    InvalidTransactionState {
        /// Who.
        producer_id: ProducerId,
    },
    /// A coordinator that was replaced wrote the marker.
    #[error("coordinator epoch {epoch} of a marker for producer {producer_id} is older than {known}")]
    CoordinatorFenced {
        /// Who.
        producer_id: ProducerId,
        /// Of the marker.
        epoch: i32,
        /// Of the table.
        known: i32,
    },
}

impl From<&ProducerStateError> for ErrorCode {
    fn from(error: &ProducerStateError) -> Self {
        match error {
            ProducerStateError::InvalidProducerEpoch { .. } => Self::InvalidProducerEpoch,
            ProducerStateError::OutOfOrderSequence { .. } => Self::OutOfOrderSequenceNumber,
            ProducerStateError::InvalidTransactionState { .. } => Self::InvalidTxnState,
            ProducerStateError::CoordinatorFenced { .. } => Self::TransactionCoordinatorFenced,
        }
    }
}

/// The end of a transaction in this partition, as its control batch says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marker {
    /// Whose transaction.
    pub producer_id: ProducerId,
    /// The producer's epoch, which the coordinator may have raised to fence it.
    pub producer_epoch: ProducerEpoch,
    /// Where the marker stands in the log.
    pub offset: Offset,
    /// The control record's timestamp.
    pub timestamp: Timestamp,
    /// The control record's content.
    pub end: EndTransactionMarker,
}

impl Marker {
    /// The marker that the control batch with this header and this only record holds.
    #[must_use]
    pub fn new(header: &BatchHeader, timestamp: Timestamp, end: EndTransactionMarker) -> Self {
        Self {
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            offset: header.base_offset,
            timestamp,
            end,
        }
    }
}

/// A transaction that ended in this partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompletedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its marker.
    pub last_offset: Offset,
    /// How it ended: an aborted one belongs into the transaction index.
    pub outcome: TransactionOutcome,
    /// The last stable offset as it is when this transaction counts as ended: what the transaction index keeps with it.
    pub last_stable_offset: Offset,
}

/// One producer as it was before a batch, see [`ProducerStates::before`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Before {
    /// Whose.
    pub producer_id: ProducerId,
    state: Option<ProducerState>,
    end_offset: Offset,
}

/// One producer, as DescribeProducers tells of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerDescription {
    /// Who.
    pub producer_id: ProducerId,
    /// Its newest epoch.
    pub epoch: ProducerEpoch,
    /// Of its last record; −1 without one.
    pub last_sequence: i32,
    /// When it last wrote.
    pub last_timestamp: Timestamp,
    /// Of the coordinator that wrote its last marker; −1 without one.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub transaction_first_offset: Option<Offset>,
}

/// All producers of a partition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProducerStates {
    producers: BTreeMap<ProducerId, ProducerState>,
    /// Open transactions by their first offset.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// First offset → marker of transactions that ended at or above the high watermark: not yet stable.
    unreplicated: BTreeMap<Offset, Offset>,
    /// Exclusive: the table says what all batches below it say.
    end_offset: Offset,
}

impl ProducerStates {
    /// The empty table of a log that begins at `offset`.
    #[must_use]
    pub fn new(offset: Offset) -> Self {
        Self { end_offset: offset, ..Self::default() }
    }

    /// The table of a snapshot that was taken at `offset`, without the producers that have expired meanwhile.
    #[must_use]
    pub fn restored(
        offset: Offset,
        producers: impl IntoIterator<Item = (ProducerId, ProducerState)>,
        now: Timestamp,
        expiration_ms: i64,
    ) -> Self {
        let alive = |(_, state): &(ProducerId, ProducerState)| !state.is_expired(now, expiration_ms);
        let producers = producers.into_iter().filter(alive).collect::<BTreeMap<_, _>>();
        let open = |(id, state): (&ProducerId, &ProducerState)| Some((state.transaction_first_offset?, *id));
        let ongoing = producers.iter().filter_map(open).collect();
        Self { producers, ongoing, unreplicated: BTreeMap::new(), end_offset: offset }
    }

    /// Whether a batch of data may be appended. Batches without a producer id always may.
    ///
    /// # Errors
    /// As Kafka refuses it; for [`AppendOrigin::Replication`] only [`ProducerStateError::InvalidTransactionState`].
    pub fn check(&self, header: &BatchHeader, origin: AppendOrigin) -> Result<Verdict, ProducerStateError> {
        let Some(state) = self.producers.get(&header.producer_id) else { return Ok(Verdict::Append) };
        if origin == AppendOrigin::Client
            && let Some(duplicate) = state.duplicate_of(header)
        {
            return Ok(Verdict::Duplicate(*duplicate));
        }
        check_epoch(state, header.producer_id, header.producer_epoch, origin)?;
        if origin == AppendOrigin::Client {
            check_sequence(state, header)?;
        }
        if state.transaction_first_offset.is_some() && !header.attributes.is_transactional() {
            return Err(ProducerStateError::InvalidTransactionState { producer_id: header.producer_id });
        }
        Ok(Verdict::Append)
    }

    /// Whether a marker may be appended.
    ///
    /// # Errors
    /// An old producer or coordinator epoch; never for [`AppendOrigin::Replication`].
    pub fn check_marker(&self, marker: &Marker, origin: AppendOrigin) -> Result<(), ProducerStateError> {
        let Some(state) = self.producers.get(&marker.producer_id) else { return Ok(()) };
        check_epoch(state, marker.producer_id, marker.producer_epoch, origin)?;
        if marker.end.coordinator_epoch < state.coordinator_epoch && origin != AppendOrigin::Replication {
            return Err(ProducerStateError::CoordinatorFenced {
                producer_id: marker.producer_id,
                epoch: marker.end.coordinator_epoch,
                known: state.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Takes in a batch of data that was checked and got its offsets.
    pub fn apply(&mut self, header: &BatchHeader) {
        self.end_offset = header.last_offset().next();
        if header.producer_id == ProducerId::NONE {
            return;
        }
        let state = self.entry(header.producer_id, header.producer_epoch);
        state.enter_epoch(header.producer_epoch);
        state.remember(BatchMetadata::of(header));
        if header.attributes.is_transactional() && state.transaction_first_offset.is_none() {
            state.transaction_first_offset = Some(header.base_offset);
            self.ongoing.insert(header.base_offset, header.producer_id);
        }
    }

    /// Takes in a marker that was checked and got its offset. Answers with the transaction that it ends; `None` when the
    /// producer wrote nothing in it here.
    pub fn apply_marker(&mut self, marker: &Marker) -> Option<CompletedTransaction> {
        self.end_offset = marker.offset.next();
        let state = self.entry(marker.producer_id, marker.producer_epoch);
        state.enter_epoch(marker.producer_epoch);
        state.coordinator_epoch = marker.end.coordinator_epoch;
        state.last_timestamp = marker.timestamp;
        let first_offset = state.transaction_first_offset.take()?;
        self.ongoing.remove(&first_offset);
        self.unreplicated.insert(first_offset, marker.offset);
        Some(CompletedTransaction {
            producer_id: marker.producer_id,
            first_offset,
            last_offset: marker.offset,
            outcome: marker.end.outcome,
            last_stable_offset: self.first_undecided_offset().unwrap_or(marker.offset.next()),
        })
    }

    /// Notes that the log goes on to `offset`, exclusive, with nothing that concerns producers: a control batch of another
    /// kind, or one that compaction emptied.
    pub fn skip_to(&mut self, offset: Offset) {
        self.end_offset = self.end_offset.max(offset);
    }

    /// The high watermark moved: transactions whose marker is below it are stable.
    pub fn high_watermark_moved(&mut self, high_watermark: Offset) {
        self.unreplicated.retain(|_, marker| high_watermark <= *marker);
    }

    /// The log start moved: nothing below it is unstable any more. Producers stay: they go when they expire.
    pub fn log_start_moved(&mut self, log_start: Offset) {
        self.high_watermark_moved(log_start);
        self.skip_to(log_start);
    }

    /// Forgets the producers without an open transaction that wrote nothing for `expiration_ms`
    /// (`producer.id.expiration.ms`, 24 h).
    pub fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        self.producers.retain(|_, state| !state.is_expired(now, expiration_ms));
    }

    /// The first offset that readers of committed data may not pass: the smallest first offset of a transaction that is
    /// open, or whose marker is not below the high watermark. The last stable offset is this or the high watermark,
    /// whichever is smaller.
    #[must_use]
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let unreplicated = self.unreplicated.first_key_value().map(|(first, _)| *first);
        self.first_undecided_offset().into_iter().chain(unreplicated).min()
    }

    /// First offset of the oldest open transaction.
    #[must_use]
    pub fn first_undecided_offset(&self) -> Option<Offset> {
        self.ongoing.first_key_value().map(|(first, _)| *first)
    }

    /// Whether the producer has a transaction open here: then its next batches need no verification (KIP-890).
    #[must_use]
    pub fn has_open_transaction(&self, producer_id: ProducerId) -> bool {
        self.producers.get(&producer_id).is_some_and(|state| state.transaction_first_offset.is_some())
    }

    /// Whether the oldest open transaction is older than any transaction may get (`transaction.max.timeout.ms`), plus a
    /// buffer: it hangs.
    #[must_use]
    pub fn has_late_transaction(&self, now: Timestamp, transaction_timeout_max_ms: i64) -> bool {
        let oldest = self.ongoing.first_key_value().and_then(|(_, id)| self.producers.get(id));
        let limit = transaction_timeout_max_ms.saturating_add(LATE_TRANSACTION_BUFFER_MS);
        oldest.is_some_and(|state| 0 < state.last_timestamp.0 && limit < now.0.saturating_sub(state.last_timestamp.0))
    }

    /// One past the last offset that the table has taken in: the name of a snapshot of it.
    #[must_use]
    pub const fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// One producer.
    #[must_use]
    pub fn producer(&self, producer_id: ProducerId) -> Option<&ProducerState> {
        self.producers.get(&producer_id)
    }

    /// All producers, by id.
    pub fn producers(&self) -> impl ExactSizeIterator<Item = (ProducerId, &ProducerState)> {
        self.producers.iter().map(|(id, state)| (*id, state))
    }

    /// What a batch or marker of this producer is about to change, for [`Self::take_back`].
    #[must_use]
    pub fn before(&self, producer_id: ProducerId) -> Before {
        Before { producer_id, state: self.producers.get(&producer_id).cloned(), end_offset: self.end_offset }
    }

    /// Undoes all that was applied for a producer since `before` was taken: the write failed. Of several, the newest goes
    /// first.
    pub fn take_back(&mut self, before: Before) {
        let Before { producer_id, state, end_offset } = before;
        self.end_offset = end_offset;
        self.unreplicated.retain(|_, marker| *marker < end_offset);
        self.ongoing.retain(|_, id| *id != producer_id);
        if let Some(first_offset) = state.as_ref().and_then(|state| state.transaction_first_offset) {
            self.ongoing.insert(first_offset, producer_id);
        }
        match state {
            Some(state) => _ = self.producers.insert(producer_id, state),
            None => _ = self.producers.remove(&producer_id),
        }
    }

    /// All producers, as DescribeProducers tells of them.
    #[must_use]
    pub fn describe(&self) -> Vec<ProducerDescription> {
        let describe = |(producer_id, state): (ProducerId, &ProducerState)| ProducerDescription {
            producer_id,
            epoch: state.epoch,
            last_sequence: state.last_sequence(),
            last_timestamp: state.last_timestamp,
            coordinator_epoch: state.coordinator_epoch,
            transaction_first_offset: state.transaction_first_offset,
        };
        self.producers().map(describe).collect()
    }

    fn entry(&mut self, producer_id: ProducerId, epoch: ProducerEpoch) -> &mut ProducerState {
        self.producers.entry(producer_id).or_insert_with(|| ProducerState::new(epoch))
    }
}

fn check_epoch(
    state: &ProducerState,
    producer_id: ProducerId,
    epoch: ProducerEpoch,
    origin: AppendOrigin,
) -> Result<(), ProducerStateError> {
    if epoch < state.epoch && origin != AppendOrigin::Replication {
        return Err(ProducerStateError::InvalidProducerEpoch { producer_id, epoch, known: state.epoch });
    }
    Ok(())
}

/// A new epoch starts at 0; within one, each batch goes on where the last one ended.
fn check_sequence(state: &ProducerState, header: &BatchHeader) -> Result<(), ProducerStateError> {
    if state.epoch == ProducerEpoch::NONE {
        return Ok(()); // a snapshot may hold such a producer: nothing is known of it
    }
    let known = state.last_sequence();
    let expected = match known {
        _ if header.producer_epoch != state.epoch => 0,
        i32::MAX => 0,
        known => known.saturating_add(1),
    };
    if header.base_sequence == expected {
        return Ok(());
    }
    Err(ProducerStateError::OutOfOrderSequence {
        producer_id: header.producer_id,
        epoch: header.producer_epoch,
        sequence: header.base_sequence,
        known_epoch: state.epoch,
        known,
    })
}

/// What coordinators write has no sequence numbers, at its end neither.
const fn last_sequence(header: &BatchHeader) -> i32 {
    if header.base_sequence == NO_SEQUENCE { NO_SEQUENCE } else { header.last_sequence() }
}

#[cfg(test)]
mod tests;
