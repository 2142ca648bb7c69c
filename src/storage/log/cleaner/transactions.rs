//! Which transactions a walk over a log has met: what was aborted goes, and a marker goes when nothing else of its transaction
//! is left.
//!
//! *Does not know*: keys, horizons.
//!
//! Source: Kafka 3.9 `CleanedTransactionMetadata` in `LogCleaner.scala`.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use crate::model::{Offset, ProducerId};
use crate::storage::log::rebuild::marker_of;
use crate::storage::transaction_index::AbortedTransaction;
use crate::wire::record::{BATCH_HEADER_BYTES, BatchHeader, TransactionOutcome};

/// The transactions that a walk over batches, in order, has met.
#[derive(Debug)]
pub(super) struct Transactions {
    /// Aborted ones that were not reached yet, by their first offset.
    aborted: Peekable<std::vec::IntoIter<AbortedTransaction>>,
    /// Aborted ones whose marker was not reached yet, and whether a batch of theirs was met.
    open_aborted: BTreeMap<ProducerId, (AbortedTransaction, bool)>,
    /// Producers of which a batch was met, in a transaction that was not aborted and whose marker was not reached yet.
    open_committed: BTreeSet<ProducerId>,
}

/// What becomes of a control batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MarkerFate {
    /// Nothing else of the transaction is left: the marker may go, too, some time later.
    pub(super) discard: bool,
    /// Belongs into the transaction index of the segment.
    pub(super) aborted: Option<AbortedTransaction>,
}

impl Transactions {
    /// Knows all transactions that were aborted and touch the offsets to be walked.
    pub(super) fn new(mut aborted: Vec<AbortedTransaction>) -> Self {
        aborted.sort_by_key(|aborted| aborted.first_offset);
        Self { aborted: aborted.into_iter().peekable(), open_aborted: BTreeMap::new(), open_committed: BTreeSet::new() }
    }

    /// The next batch of data; whether its transaction was aborted.
    pub(super) fn data(&mut self, header: &BatchHeader) -> bool {
        self.reach(header.last_offset());
        if !header.attributes.is_transactional() {
            return false;
        }
        match self.open_aborted.get_mut(&header.producer_id) {
            Some((_, met)) => {
                *met = true;
                true
            }
            None => {
                self.open_committed.insert(header.producer_id);
                false
            }
        }
    }

    /// The next control batch.
    pub(super) fn marker(&mut self, header: &BatchHeader, batch: &[u8]) -> MarkerFate {
        self.reach(header.last_offset());
        let keep = MarkerFate { discard: false, aborted: None };
        let gone = MarkerFate { discard: true, aborted: None };
        if header.records == 0 {
            return gone;
        }
        // Of a kind that is not known: not ours to remove.
        let Some(marker) = marker_of(header, batch.get(BATCH_HEADER_BYTES..).unwrap_or_default()) else { return keep };
        match marker.end.outcome {
            TransactionOutcome::Aborted => match self.open_aborted.remove(&header.producer_id) {
                Some((aborted, true)) => MarkerFate { discard: false, aborted: Some(aborted) },
                Some((_, false)) | None => gone,
            },
            TransactionOutcome::Committed if self.open_committed.remove(&header.producer_id) => keep,
            TransactionOutcome::Committed => gone,
        }
    }

    fn reach(&mut self, offset: Offset) {
        while let Some(aborted) = self.aborted.next_if(|aborted| aborted.first_offset <= offset) {
            self.open_aborted.entry(aborted.producer_id).or_insert((aborted, false));
        }
    }
}
