//! Decides what of a batch stays.
//!
//! *Invariant*: the last record of a key stays unless it is a tombstone whose time has come; the last batch of a producer that
//! is known stays, emptied if need be.
//! *Does not know*: files.
//!
//! Source: Kafka 3.9 `LogCleaner.cleanInto`, `shouldRetainRecord`, `MemoryRecords.filterTo`; KIP-98, KIP-534.

use std::collections::BTreeMap;

use super::offset_map::OffsetMap;
use super::transactions::{MarkerFate, Transactions};
use crate::model::{Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::storage::transaction_index::AbortedTransaction;
use crate::wire::record::{BatchHeader, DecompressionLimit, Record};

/// Bytes that the records of one batch may grow to. They were within the limits of the topic when they were appended, which
/// may have changed since; this only keeps one batch from taking all memory.
pub(super) const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

/// The last trace of a producer that is known: what restores its sequence number and epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LastTrace {
    /// Of its last record.
    pub(super) data: Option<Offset>,
    /// Without one, its markers of this epoch count.
    pub(super) epoch: ProducerEpoch,
}

/// What stays of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    /// All of it, byte by byte.
    Whole,
    /// The batch with this header, which was appended to the output.
    Changed(BatchHeader),
    /// Nothing.
    Nothing,
}

/// Decides batch by batch, in order.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) map: OffsetMap,
    /// The last offset that the map knows of: records behind it stay.
    pub(super) latest: Offset,
    /// The batch that ends before it stays, so that where the cleaned part ended is not forgotten.
    pub(super) round_end: Offset,
    pub(super) producers: BTreeMap<ProducerId, LastTrace>,
    pub(super) transactions: Transactions,
    pub(super) now: Timestamp,
    /// For tombstones that are met for the first time.
    pub(super) new_horizon: Timestamp,
    pub(super) scratch: Vec<u8>,
}

impl Filter {
    /// The next batch. What stays of a changed one is appended to `out`; an aborted transaction whose marker stays to `aborted`.
    ///
    /// # Errors
    /// In words, when the records are damaged.
    pub(super) fn take(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        out: &mut Vec<u8>,
        aborted: &mut Vec<AbortedTransaction>,
    ) -> Result<Kept, String> {
        let is_control = header.attributes.is_control();
        let discard = if is_control {
            let MarkerFate { discard, aborted: marked } = self.transactions.marker(header, batch);
            aborted.extend(marked);
            discard
        } else {
            self.transactions.data(header)
        };
        let now = self.now;
        let discard_records = discard && (!is_control || header.delete_horizon().is_some_and(|due| due <= now));
        let retain_empty = self.is_last_of_producer(header) || header.last_offset().next() == self.round_end;
        let mut scratch = std::mem::take(&mut self.scratch);
        let kept = if discard_records {
            Ok(None)
        } else {
            self.records(header, batch, is_control && discard, &mut scratch, out)
        };
        self.scratch = scratch;
        Ok(match kept? {
            Some(kept) => kept,
            None if retain_empty && header.records == 0 && !header.attributes.has_delete_horizon() => Kept::Whole,
            None if retain_empty => {
                let emptied = header.emptied();
                out.extend_from_slice(&emptied.encode());
                Kept::Changed(emptied)
            }
            None => Kept::Nothing,
        })
    }

    /// What stays of the records; `None` when none does. `is_spent`: it is a marker of which nothing else is left.
    fn records(
        &self,
        header: &BatchHeader,
        batch: &[u8],
        is_spent: bool,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Kept>, String> {
        let limit = DecompressionLimit { bytes_max: DECOMPRESSED_BYTES_MAX };
        let records = header.read_records(batch, limit, scratch).map_err(|error| error.to_string())?;
        let mut retained = Vec::new();
        let (mut all, mut tombstones) = (true, false);
        for record in records {
            let record = record.map_err(|error| error.to_string())?;
            if header.attributes.is_control() || self.retains(header, &record) {
                tombstones |= record.value.is_none();
                retained.push(record);
            } else {
                all = false;
            }
        }
        if retained.is_empty() {
            return Ok(None);
        }
        let horizon = header.delete_horizon();
        let sets_horizon = horizon.is_none() && (tombstones || is_spent);
        if all && !sets_horizon {
            return Ok(Some(Kept::Whole));
        }
        let horizon = if sets_horizon { Some(self.new_horizon) } else { horizon };
        let rebuilt = header.retain(&retained, horizon, out).map_err(|error| error.to_string())?;
        Ok(Some(Kept::Changed(rebuilt)))
    }

    fn retains(&self, header: &BatchHeader, record: &Record<'_>) -> bool {
        let offset = header.offset_of(record);
        if self.latest < offset {
            return true;
        }
        // Without a key nothing says which record replaces it: compaction drops it, as Kafka does.
        let Some(key) = record.key else { return false };
        let is_last = self.map.get(key).is_none_or(|last| last <= offset);
        is_last && (record.value.is_some() || header.delete_horizon().is_none_or(|due| self.now < due))
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        if header.producer_id == ProducerId::NONE {
            return false;
        }
        self.producers.get(&header.producer_id).is_some_and(|last| match last.data {
            Some(offset) => header.last_offset() == offset,
            None => header.attributes.is_control() && header.producer_epoch == last.epoch,
        })
    }
}
