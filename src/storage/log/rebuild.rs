//! State that is derived from the batches: producers, leader epochs, aborted transactions.
//!
//! *Invariant*: feeding the batches of a log in order gives what appending them gave.

use crate::storage::leader_epoch::LeaderEpochCache;
use crate::storage::producer_state::{CompletedTransaction, Marker, ProducerStates};
use crate::wire::record::{
    BATCH_HEADER_BYTES, BatchHeader, DecompressionLimit, EndTransactionMarker, Records, TransactionOutcome, decompress,
};

/// Bytes that a control batch may grow to: it holds one record of some 20 bytes.
const CONTROL_BYTES_MAX: usize = 4 << 10;

/// The marker in a control batch whose records block is `body`; `None` when it is of another kind, or compaction emptied it.
pub(super) fn marker_of(header: &BatchHeader, body: &[u8]) -> Option<Marker> {
    let mut block = Vec::new();
    let limit = DecompressionLimit { bytes_max: CONTROL_BYTES_MAX };
    decompress(header.attributes.codec().ok()?, body, limit, &mut block).ok()?;
    let record = Records::new(&block, header.records).next()?.ok()?;
    let end = EndTransactionMarker::of(&record).ok()??;
    Some(Marker::new(header, header.timestamp_of(&record), end))
}

/// Takes in batches one after the other.
#[derive(Debug, Default)]
pub(super) struct Rebuild {
    pub(super) producers: ProducerStates,
    pub(super) epochs: LeaderEpochCache,
    /// Whether the epochs differ from their file.
    pub(super) epochs_changed: bool,
    /// Transactions that were aborted by a marker in the segment at hand.
    pub(super) aborted: Vec<CompletedTransaction>,
}

impl Rebuild {
    /// Takes in the next batch; `bytes` gives the whole of it, and is asked only for control batches.
    pub(super) fn take<E>(
        &mut self,
        header: &BatchHeader,
        bytes: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        self.epochs_changed |= self.epochs.found(header.leader_epoch, header.base_offset, header.last_offset());
        self.take_producer(header, bytes)
    }

    /// As [`Self::take`], without the epochs.
    pub(super) fn take_producer<E>(
        &mut self,
        header: &BatchHeader,
        bytes: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        if !header.attributes.is_control() {
            self.producers.apply(header);
            return Ok(());
        }
        let completed = match marker_of(header, bytes()?.get(BATCH_HEADER_BYTES..).unwrap_or_default()) {
            Some(marker) => self.producers.apply_marker(&marker),
            None => None,
        };
        self.producers.skip_to(header.last_offset().next());
        self.aborted.extend(completed.filter(|ended| ended.outcome == TransactionOutcome::Aborted));
        Ok(())
    }
}
