//! The index of aborted transactions of a segment (`.txnindex`): what readers of committed data pass over.
//!
//! An entry stands in the segment that holds the transaction's marker. The file is there only when there are entries; it
//! is small, so all of it is held in memory, behind a read-write lock, as readers on other threads ask beside the owner.
//!
//! *Invariant*: last offsets ascend.
//! *Does not know*: committed transactions, other segments.
//!
//! Source: Kafka 3.9 `TransactionIndex`, `AbortedTxn`; KIP-98.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::producer_state::CompletedTransaction;
use crate::model::{Offset, ProducerId};

/// Bytes of an entry.
pub const ABORTED_TRANSACTION_BYTES: usize = 34;

/// Largest index that is read: 7.8 million aborted transactions with a marker in one segment, more than a segment of
/// 512 MiB has room for.
pub const TRANSACTION_INDEX_BYTES_MAX: usize = 256 << 20;

/// The only version there is.
const VERSION: i16 = 0;

/// An aborted transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its marker.
    pub last_offset: Offset,
    /// The last stable offset, as it is when this transaction counts as ended: no entry behind this one is needed to read
    /// up to there.
    pub last_stable_offset: Offset,
}

/// Why an index is corrupt, or an entry is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TransactionIndexError {
    /// A version of a later Kafka.
    #[error("entry {entry} of the transaction index has version {version} instead of 0")]
    Version {
        /// Its number, from 0.
        entry: usize,
        /// As it says.
        version: i16,
    },
    /// It ends before the segment begins, before it began, or not behind the entry before it.
    #[error("entry {entry} of the transaction index ends at offset {last_offset}, which cannot be")]
    LastOffset {
        /// Its number, from 0.
        entry: usize,
        /// As it says.
        last_offset: Offset,
    },
}

impl AbortedTransaction {
    /// The entry of a transaction that was aborted.
    #[must_use]
    pub const fn new(ended: &CompletedTransaction) -> Self {
        Self {
            producer_id: ended.producer_id,
            first_offset: ended.first_offset,
            last_offset: ended.last_offset,
            last_stable_offset: ended.last_stable_offset,
        }
    }

    /// The entry's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; ABORTED_TRANSACTION_BYTES] {
        let numbers = [self.producer_id.0, self.first_offset.0, self.last_offset.0, self.last_stable_offset.0];
        let mut bytes = [0; ABORTED_TRANSACTION_BYTES];
        let fields = VERSION.to_be_bytes().into_iter().chain(numbers.into_iter().flat_map(i64::to_be_bytes));
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        bytes
    }

    /// Version and entry.
    fn decode(bytes: &[u8; ABORTED_TRANSACTION_BYTES]) -> (i16, Self) {
        let (version, numbers) =
            bytes.split_first_chunk().map_or(([0; 2], [].as_slice()), |(head, rest)| (*head, rest));
        let mut numbers = numbers.as_chunks().0.iter().map(|number| i64::from_be_bytes(*number));
        let mut next = || numbers.next().unwrap_or_default();
        let entry = Self {
            producer_id: ProducerId(next()),
            first_offset: Offset(next()),
            last_offset: Offset(next()),
            last_stable_offset: Offset(next()),
        };
        (i16::from_be_bytes(version), entry)
    }
}

/// The index of one segment.
#[derive(Debug)]
pub struct TransactionIndex {
    base: Offset,
    entries: RwLock<Vec<AbortedTransaction>>,
}

impl TransactionIndex {
    /// An empty index of the segment that begins at `base`.
    #[must_use]
    pub const fn new(base: Offset) -> Self {
        Self { base, entries: RwLock::new(Vec::new()) }
    }

    /// The index that a file's bytes hold. A last entry that is cut short is left out, as Kafka does: [`Self::len`] says how
    /// many bytes of the file count.
    ///
    /// # Errors
    /// [`TransactionIndexError`]: build it anew from the segments. Stricter than Kafka's `sanityCheck`, which only compares
    /// with the base offset.
    pub fn decode(base: Offset, bytes: &[u8]) -> Result<Self, TransactionIndexError> {
        let index = Self::new(base);
        for (number, bytes) in bytes.as_chunks().0.iter().enumerate() {
            let (version, entry) = AbortedTransaction::decode(bytes);
            if version != VERSION {
                return Err(TransactionIndexError::Version { entry: number, version });
            }
            index.append(entry)?;
        }
        Ok(index)
    }

    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.read().iter().flat_map(AbortedTransaction::encode).collect()
    }

    /// Adds a transaction whose marker was just written. Its bytes go to the end of the file, at [`Self::len`] times
    /// [`ABORTED_TRANSACTION_BYTES`] before this call.
    ///
    /// # Errors
    /// [`TransactionIndexError::LastOffset`]; the index stays as it was.
    pub fn append(&self, entry: AbortedTransaction) -> Result<(), TransactionIndexError> {
        let mut entries = self.write();
        let behind = entries.last().is_none_or(|last| last.last_offset < entry.last_offset);
        if behind && self.base <= entry.last_offset && entry.first_offset <= entry.last_offset {
            entries.push(entry);
            return Ok(());
        }
        Err(TransactionIndexError::LastOffset { entry: entries.len(), last_offset: entry.last_offset })
    }

    /// Adds to `found` the transactions that touch the offsets from `from` up to, but without, `to`. `true` when no later
    /// segment has to be asked.
    pub fn collect(&self, from: Offset, to: Offset, found: &mut Vec<AbortedTransaction>) -> bool {
        let entries = self.read();
        let first = entries.partition_point(|entry| entry.last_offset < from);
        for (number, entry) in entries.iter().enumerate() {
            if first <= number && entry.first_offset < to {
                found.push(*entry);
            }
            if to <= entry.last_stable_offset {
                return true;
            }
        }
        false
    }

    /// Drops the transactions whose marker is at or above `offset`.
    pub fn truncate_to(&self, offset: Offset) {
        let mut entries = self.write();
        let len = entries.partition_point(|entry| entry.last_offset < offset);
        entries.truncate(len);
    }

    /// All entries, first to last.
    #[must_use]
    pub fn to_vec(&self) -> Vec<AbortedTransaction> {
        self.read().clone()
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there is none: then there is to be no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<AbortedTransaction>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<AbortedTransaction>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn aborted(first: i64, last: i64, stable: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId(1),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(stable),
        }
    }

    fn index(entries: &[AbortedTransaction]) -> TransactionIndex {
        let index = TransactionIndex::new(Offset(0));
        entries.iter().for_each(|entry| index.append(*entry).unwrap());
        index
    }

    #[test]
    fn readers_learn_what_touches_their_range_and_when_to_stop() {
        let index = index(&[aborted(0, 10, 11), aborted(5, 15, 13), aborted(18, 35, 25), aborted(32, 50, 40)]);
        let collect = |from, to| {
            let mut found = Vec::new();
            let enough = index.collect(Offset(from), Offset(to), &mut found);
            (found.iter().map(|entry| entry.first_offset.0).collect::<Vec<_>>(), enough)
        };
        assert_eq!(collect(0, 100), (vec![0, 5, 18, 32], false));
        assert_eq!(collect(0, 32), (vec![0, 5, 18], true));
        assert_eq!(collect(0, 35), (vec![0, 5, 18, 32], true));
        assert_eq!(collect(10, 35), (vec![0, 5, 18, 32], true));
        assert_eq!(collect(11, 35), (vec![5, 18, 32], true));
        assert_eq!(collect(20, 41), (vec![18, 32], false));
        assert_eq!(collect(26, 31), (vec![18], true));
        assert_eq!(collect(51, 60), (vec![], false));
    }

    #[test]
    fn truncation_goes_by_the_marker() {
        let index = index(&[aborted(0, 10, 2), aborted(5, 15, 16), aborted(18, 35, 25)]);
        index.truncate_to(Offset(36));
        assert_eq!(index.len(), 3);
        index.truncate_to(Offset(15));
        assert_eq!(index.to_vec(), [aborted(0, 10, 2)]);
        index.truncate_to(Offset(0));
        assert!(index.is_empty());
    }

    #[test]
    fn corrupt_files_are_refused_and_a_cut_entry_is_left_out() {
        let whole = index(&[aborted(0, 10, 2), aborted(5, 15, 16)]).encode();
        for cut in ABORTED_TRANSACTION_BYTES..2 * ABORTED_TRANSACTION_BYTES {
            assert_eq!(TransactionIndex::decode(Offset(0), whole.get(..cut).unwrap()).unwrap().len(), 1);
        }
        let refusal = |base, bytes: &[u8]| TransactionIndex::decode(Offset(base), bytes).unwrap_err();
        let below = TransactionIndexError::LastOffset { entry: 0, last_offset: Offset(10) };
        assert_eq!(refusal(11, &whole), below);
        let twice = [whole.as_slice(), &whole].concat();
        assert_eq!(refusal(0, &twice), TransactionIndexError::LastOffset { entry: 2, last_offset: Offset(10) });
        let mut newer = whole;
        newer.splice(..2, [0, 1]);
        assert_eq!(refusal(0, &newer), TransactionIndexError::Version { entry: 0, version: 1 });
    }

    proptest! {
        #![proptest_config(crate::storage::cases::same_every_run())]

        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(0..3_u8, 0..150), base in -5..99_i64) {
            if let Ok(index) = TransactionIndex::decode(Offset(base), &bytes) {
                prop_assert!(bytes.starts_with(&index.encode()));
                prop_assert_eq!(index.len(), bytes.len() / ABORTED_TRANSACTION_BYTES);
            }
        }
    }
}
