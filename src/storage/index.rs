//! The two sparse indexes of a segment: offset → file position (`.index`) and timestamp → offset (`.timeindex`).
//!
//! Both are held in memory as the bytes of their file, 8 and 12 per entry, and need no open file. The owner of the segment
//! appends while readers on other threads look up, behind a read-write lock: an entry comes once per
//! `index.interval.bytes` (4 KiB), is a push of a few bytes, and a lookup holds the lock for a binary search in memory, so
//! that neither waits for long; chunks published one by one would save nanoseconds and cost a second structure for
//! truncation.
//!
//! *Invariant*: entries ascend. The files have no checksum, and damage that keeps the order is not seen here. So whoever
//! follows an entry checks what it leads to, and otherwise builds the index anew:
//! * an [`OffsetPosition`] leads to a batch whose base offset is at most the entry's offset. (Equal to its last offset it
//!   need not be: Kafka makes one entry for all batches of an append, with the position of the first and the offset of the
//!   last.)
//! * a [`TimestampOffset`] names an offset in a batch whose largest timestamp is the entry's.
//!
//! *Does not know*: when an entry is due (the log counts the bytes).
//!
//! Source: Kafka 3.9 `AbstractIndex`, `OffsetIndex`, `TimeIndex`.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::disk::{Access, Disk, read_file};
use crate::model::{Offset, Timestamp};

/// Bytes of an entry of the offset index.
pub const OFFSET_INDEX_ENTRY_BYTES: usize = 8;

/// Bytes of an entry of the time index.
pub const TIME_INDEX_ENTRY_BYTES: usize = 12;

/// Largest index file that is read. A segment of 2³¹−1 bytes with an entry per 512-byte batch has 32 MiB of offsets and
/// 48 MiB of timestamps; `segment.index.bytes` is 10 MiB by default.
pub const INDEX_BYTES_MAX: usize = 64 << 20;

/// Where a batch begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetPosition {
    /// Last offset of the batch, as Kafka writes it; of the answer to a lookup that found nothing: the base offset.
    pub offset: Offset,
    /// Where the batch begins in the segment, in bytes.
    pub position: u32,
}

/// The largest timestamp up to an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampOffset {
    /// The timestamp; [`Timestamp::NONE`] in the answer to a lookup that found nothing.
    pub timestamp: Timestamp,
    /// Last offset of the batch that it came in.
    pub offset: Offset,
}

/// Why an index is corrupt, or an entry is refused.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file cannot be read.
    #[error("the index cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The length is no multiple of an entry's.
    #[error("the index has {bytes} bytes, which is no multiple of {entry_bytes}")]
    Length {
        /// Of the file.
        bytes: usize,
        /// Of one entry.
        entry_bytes: usize,
    },
    /// An entry is not larger than the one before.
    #[error("entry {entry} of the index is not larger than the one before")]
    NotAscending {
        /// Its number, from 0.
        entry: usize,
    },
    /// The offset is smaller than the base offset, or larger by more than 2³¹−1.
    #[error("offset {offset} is out of range of an index from {base} on")]
    Range {
        /// Of the segment.
        base: Offset,
        /// The offset in question.
        offset: i64,
    },
}

/// Entries as in the file, ascending.
#[derive(Debug, Default)]
struct Entries<const N: usize>(RwLock<Vec<[u8; N]>>);

impl<const N: usize> Entries<N> {
    /// Splits a file's bytes. A crashed Kafka leaves the room it reserved as zeros behind the last entry: they go. (An entry
    /// of zeros is none: the first batch of a segment has no entry in the offset index, and timestamp 0 is nobody's.)
    fn split(bytes: &[u8]) -> Result<Vec<[u8; N]>, IndexError> {
        let (entries, rest) = bytes.as_chunks::<N>();
        if !rest.is_empty() {
            return Err(IndexError::Length { bytes: bytes.len(), entry_bytes: N });
        }
        let used = entries.iter().rposition(|entry| *entry != [0; N]).map_or(0, |last| last.saturating_add(1));
        Ok(entries.iter().take(used).copied().collect())
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<[u8; N]>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<[u8; N]>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last entry that `below` holds for. It holds for all entries up to some point.
    fn last_where(&self, below: impl FnMut(&[u8; N]) -> bool) -> Option<[u8; N]> {
        let entries = self.read();
        entries.partition_point(below).checked_sub(1).and_then(|at| entries.get(at)).copied()
    }

    /// Drops what `kept` does not hold for.
    fn truncate_where(&self, kept: impl FnMut(&[u8; N]) -> bool) {
        let mut entries = self.write();
        let len = entries.partition_point(kept);
        entries.truncate(len);
    }

    /// Writes the entries from number `from` on, and cuts the file behind them. How many there are in all.
    fn save_from(&self, disk: &dyn Disk, path: &Path, from: usize) -> io::Result<usize> {
        // A copy, so that readers do not wait for the file.
        let new = self.read().get(from..).unwrap_or(&[]).to_vec();
        let start = u64::try_from(from.saturating_mul(N)).unwrap_or(u64::MAX);
        let bytes = new.as_flattened();
        let file = disk.open(path, Access::Create)?;
        file.write_all_at(start, &[IoSlice::new(bytes)])?;
        file.set_len(start.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX)))?;
        Ok(from.saturating_add(new.len()))
    }
}

/// What both indexes offer in the same words.
macro_rules! sparse_index {
    ($index:ident, $entry:ident) => {
        impl $index {
            /// An empty index of the segment that begins at `base`.
            #[must_use]
            pub fn new(base: Offset) -> Self {
                Self { base, entries: Entries::default() }
            }

            /// The index that a file's bytes hold. Zeros behind the last entry are left out.
            ///
            /// # Errors
            /// When it cannot be a whole, ascending index: build it anew from the segment. Stricter than Kafka's
            /// `sanityCheck`, which looks at the ends only.
            pub fn decode(base: Offset, bytes: &[u8]) -> Result<Self, IndexError> {
                let index = Self { base, entries: Entries(RwLock::new(Entries::split(bytes)?)) };
                index.check()?;
                Ok(index)
            }

            /// Reads the index from its file.
            ///
            /// # Errors
            /// The disk's, `NotFound` among them; else as [`Self::decode`].
            pub fn load(disk: &dyn Disk, path: &Path, base: Offset) -> Result<Self, IndexError> {
                Self::decode(base, &read_file(disk, path, INDEX_BYTES_MAX)?)
            }

            /// Writes the entries from number `from` on to the file, which holds those before, and cuts it behind them. How
            /// many there are in all. Not synced and not atomic: a torn file is found corrupt or too short, and built anew, as
            /// after any crash.
            ///
            /// # Errors
            /// The disk's.
            pub fn save_from(&self, disk: &dyn Disk, path: &Path, from: usize) -> io::Result<usize> {
                self.entries.save_from(disk, path, from)
            }

            /// The file's bytes.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                self.entries.read().as_flattened().to_vec()
            }

            /// Number of entries.
            #[must_use]
            pub fn len(&self) -> usize {
                self.entries.read().len()
            }

            /// Whether there is no entry.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// The last entry.
            #[must_use]
            pub fn last(&self) -> Option<$entry> {
                self.entries.read().last().map(|entry| self.entry(entry))
            }

            /// All entries, first to last.
            #[must_use]
            pub fn to_vec(&self) -> Vec<$entry> {
                self.entries.read().iter().map(|entry| self.entry(entry)).collect()
            }

            /// Gives back memory that no further entry will need: the segment was rolled.
            pub fn shrink(&self) {
                self.entries.write().shrink_to_fit();
            }

            /// Drops all entries.
            pub fn clear(&self) {
                self.entries.write().clear();
            }

            /// `offset` as the index keeps it.
            fn relative(&self, offset: Offset) -> Result<u32, IndexError> {
                relative(self.base, offset)
            }

            /// Whether `offset` fits the index: else the segment has to be rolled before it.
            #[must_use]
            pub fn fits(&self, offset: Offset) -> bool {
                self.relative(offset).is_ok()
            }
        }
    };
}

sparse_index!(OffsetIndex, OffsetPosition);
sparse_index!(TimeIndex, TimestampOffset);

/// Offset → position in the segment.
#[derive(Debug)]
pub struct OffsetIndex {
    base: Offset,
    entries: Entries<OFFSET_INDEX_ENTRY_BYTES>,
}

impl OffsetIndex {
    /// Adds the batch that ends with `offset` and begins at `position`.
    ///
    /// # Errors
    /// [`IndexError::Range`], and [`IndexError::NotAscending`] for an offset or position not above the last.
    pub fn append(&self, offset: Offset, position: u32) -> Result<(), IndexError> {
        let relative = self.relative(offset)?;
        let mut entries = self.entries.write();
        if let Some(last) = entries.last().map(|last| self.entry(last))
            && (offset <= last.offset || position <= last.position)
        {
            return Err(IndexError::NotAscending { entry: entries.len() });
        }
        entries.push(join(relative.to_be_bytes(), position.to_be_bytes()));
        Ok(())
    }

    /// The last entry at or below `target`: a scan for it starts there. Without one, the segment's beginning.
    #[must_use]
    pub fn lookup(&self, target: Offset) -> OffsetPosition {
        let found = self.entries.last_where(|entry| self.entry(entry).offset <= target);
        found.map_or(OffsetPosition { offset: self.base, position: 0 }, |entry| self.entry(&entry))
    }

    /// The first entry at or behind `position`: bounds from above the offsets that lie before it.
    #[must_use]
    pub fn upper_bound(&self, position: u32) -> Option<OffsetPosition> {
        let entries = self.entries.read();
        let at = entries.partition_point(|entry| self.entry(entry).position < position);
        entries.get(at).map(|entry| self.entry(entry))
    }

    /// The last entry below `offset` and not behind `position`.
    #[must_use]
    pub fn last_before(&self, offset: Offset, position: u64) -> Option<OffsetPosition> {
        let found = self.entries.last_where(|entry| {
            let entry = self.entry(entry);
            entry.offset < offset && u64::from(entry.position) <= position
        });
        found.map(|entry| self.entry(&entry))
    }

    /// Drops an entry that a reader found wrong: what is left is a sparser index.
    pub fn remove(&self, wrong: OffsetPosition) {
        self.entries.write().retain(|entry| self.entry(entry) != wrong);
    }

    /// Drops the entries at or above `offset`.
    pub fn truncate_to(&self, offset: Offset) {
        self.entries.truncate_where(|entry| self.entry(entry).offset < offset);
    }

    /// Whether another entry would exceed `segment.index.bytes`: then the segment is rolled.
    #[must_use]
    pub fn is_full(&self, index_bytes_max: usize) -> bool {
        index_bytes_max / OFFSET_INDEX_ENTRY_BYTES <= self.len()
    }

    fn entry(&self, bytes: &[u8; OFFSET_INDEX_ENTRY_BYTES]) -> OffsetPosition {
        let (offset, position) = split::<_, 4, 4>(bytes);
        OffsetPosition { offset: absolute(self.base, offset), position: u32::from_be_bytes(position) }
    }

    fn check(&self) -> Result<(), IndexError> {
        let entries = self.entries.read();
        ascending(entries.iter().map(|entry| self.entry(entry)), |last, next| {
            last.offset < next.offset && last.position < next.position
        })?;
        entries.iter().try_for_each(|entry| self.relative(self.entry(entry).offset).map(|_| ()))
    }
}

/// Timestamp → offset.
#[derive(Debug)]
pub struct TimeIndex {
    base: Offset,
    entries: Entries<TIME_INDEX_ENTRY_BYTES>,
}

impl TimeIndex {
    /// Adds the largest timestamp so far and the offset it came with, if it is larger than the last one; it is no error if
    /// it is the same.
    ///
    /// # Errors
    /// [`IndexError::Range`], and [`IndexError::NotAscending`] when the timestamp or the offset is below the last.
    pub fn maybe_append(&self, timestamp: Timestamp, offset: Offset) -> Result<(), IndexError> {
        let relative = self.relative(offset)?;
        let mut entries = self.entries.write();
        let last = entries.last().map(|last| self.entry(last));
        if last.is_some_and(|last| timestamp < last.timestamp || offset < last.offset) {
            return Err(IndexError::NotAscending { entry: entries.len() });
        }
        if last.map_or(Timestamp::NONE, |last| last.timestamp) < timestamp {
            entries.push(join(timestamp.0.to_be_bytes(), relative.to_be_bytes()));
        }
        Ok(())
    }

    /// The last entry at or before `target`: no record before its offset is younger. Without one, the segment's beginning.
    #[must_use]
    pub fn lookup(&self, target: Timestamp) -> TimestampOffset {
        let found = self.entries.last_where(|entry| self.entry(entry).timestamp <= target);
        found.map_or(TimestampOffset { timestamp: Timestamp::NONE, offset: self.base }, |entry| self.entry(&entry))
    }

    /// Drops an entry that a reader found wrong: what is left is a sparser index.
    pub fn remove(&self, wrong: TimestampOffset) {
        self.entries.write().retain(|entry| self.entry(entry) != wrong);
    }

    /// Drops the entries at or above `offset`.
    pub fn truncate_to(&self, offset: Offset) {
        self.entries.truncate_where(|entry| self.entry(entry).offset < offset);
    }

    /// Whether only the entry is left that rolling the segment needs.
    #[must_use]
    pub fn is_full(&self, index_bytes_max: usize) -> bool {
        index_bytes_max / TIME_INDEX_ENTRY_BYTES <= self.len().saturating_add(1)
    }

    fn entry(&self, bytes: &[u8; TIME_INDEX_ENTRY_BYTES]) -> TimestampOffset {
        let (timestamp, offset) = split::<_, 8, 4>(bytes);
        TimestampOffset { timestamp: Timestamp(i64::from_be_bytes(timestamp)), offset: absolute(self.base, offset) }
    }

    fn check(&self) -> Result<(), IndexError> {
        let entries = self.entries.read();
        ascending(entries.iter().map(|entry| self.entry(entry)), |last, next| {
            last.timestamp < next.timestamp && last.offset <= next.offset
        })?;
        entries.iter().try_for_each(|entry| self.relative(self.entry(entry).offset).map(|_| ()))
    }
}

/// Kafka keeps offsets as signed numbers of 32 bits.
fn relative(base: Offset, offset: Offset) -> Result<u32, IndexError> {
    let distance = offset.0.checked_sub(base.0).and_then(|distance| i32::try_from(distance).ok());
    distance.and_then(|distance| u32::try_from(distance).ok()).ok_or(IndexError::Range { base, offset: offset.0 })
}

/// The reverse, without a check: a negative number gives an offset below the base, which is refused on loading.
fn absolute(base: Offset, relative: [u8; 4]) -> Offset {
    Offset(base.0.saturating_add(i64::from(i32::from_be_bytes(relative))))
}

fn ascending<T>(entries: impl Iterator<Item = T> + Clone, ascend: impl Fn(T, T) -> bool) -> Result<(), IndexError> {
    let mut pairs = entries.clone().zip(entries.skip(1));
    match pairs.position(|(last, next)| !ascend(last, next)) {
        Some(at) => Err(IndexError::NotAscending { entry: at.saturating_add(1) }),
        None => Ok(()),
    }
}

fn split<const N: usize, const A: usize, const B: usize>(bytes: &[u8; N]) -> ([u8; A], [u8; B]) {
    const { assert!(A + B == N) };
    let (mut head, mut tail) = ([0; A], [0; B]);
    head.iter_mut().chain(&mut tail).zip(bytes).for_each(|(to, from)| *to = *from);
    (head, tail)
}

fn join<const N: usize, const A: usize, const B: usize>(head: [u8; A], tail: [u8; B]) -> [u8; N] {
    const { assert!(A + B == N) };
    let mut bytes = [0; N];
    bytes.iter_mut().zip(head.into_iter().chain(tail)).for_each(|(to, from)| *to = from);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::disk::sim::SimDisk;

    fn pair(offset: i64, position: u32) -> OffsetPosition {
        OffsetPosition { offset: Offset(offset), position }
    }

    fn moment(timestamp: i64, offset: i64) -> TimestampOffset {
        TimestampOffset { timestamp: Timestamp(timestamp), offset: Offset(offset) }
    }

    #[test]
    fn an_empty_index_points_at_the_beginning() {
        assert_eq!(OffsetIndex::new(Offset(7)).lookup(Offset(100)), pair(7, 0));
        assert_eq!(TimeIndex::new(Offset(7)).lookup(Timestamp(100)), moment(-1, 7));
        assert_eq!(OffsetIndex::new(Offset(7)).last(), None);
    }

    #[test]
    fn entries_ascend_and_fit() {
        let index = OffsetIndex::new(Offset(10));
        assert!(matches!(index.append(Offset(9), 1), Err(IndexError::Range { .. })));
        assert!(matches!(index.append(Offset(10 + (1 << 31)), 1), Err(IndexError::Range { .. })));
        assert!(index.fits(Offset(9 + (1 << 31))) && !index.fits(Offset(10 + (1 << 31))));
        index.append(Offset(12), 100).unwrap();
        assert!(matches!(index.append(Offset(12), 200), Err(IndexError::NotAscending { entry: 1 })));
        assert!(matches!(index.append(Offset(13), 100), Err(IndexError::NotAscending { entry: 1 })));
        let times = TimeIndex::new(Offset(10));
        times.maybe_append(Timestamp(-1), Offset(10)).unwrap();
        assert!(times.is_empty(), "no timestamp, no entry");
        times.maybe_append(Timestamp(5), Offset(12)).unwrap();
        times.maybe_append(Timestamp(5), Offset(13)).unwrap();
        assert_eq!(times.to_vec(), [moment(5, 12)]);
        assert!(times.maybe_append(Timestamp(4), Offset(14)).is_err());
        assert!(times.maybe_append(Timestamp(6), Offset(11)).is_err());
    }

    #[test]
    fn a_full_index_is_noticed_before_it_overflows() {
        let (index, times) = (OffsetIndex::new(Offset(0)), TimeIndex::new(Offset(0)));
        for number in 0..3_u32 {
            assert!(!index.is_full(31) && (!times.is_full(48) || number == 3), "room for 3 and 4");
            index.append(Offset(i64::from(number)), number + 1).unwrap();
            times.maybe_append(Timestamp(i64::from(number)), Offset(i64::from(number))).unwrap();
        }
        assert!(index.is_full(31) && times.is_full(48), "the time index keeps one entry back for the roll");
    }

    #[test]
    fn what_kafka_reserved_but_did_not_use_is_left_out() {
        let index = OffsetIndex::new(Offset(5));
        index.append(Offset(6), 300).unwrap();
        let mut bytes = index.encode();
        bytes.resize(10 << 20, 0);
        let loaded = OffsetIndex::decode(Offset(5), &bytes).unwrap();
        assert_eq!(loaded.to_vec(), [pair(6, 300)]);
        assert!(OffsetIndex::decode(Offset(5), &[0; 80]).unwrap().is_empty());
        assert!(TimeIndex::decode(Offset(5), &[0; 1_020]).unwrap().is_empty());
    }

    #[test]
    fn corrupt_files_are_refused() {
        assert!(matches!(OffsetIndex::decode(Offset(0), &[1; 9]), Err(IndexError::Length { bytes: 9, .. })));
        let entry = |offset: i32, position: u32| join::<8, 4, 4>(offset.to_be_bytes(), position.to_be_bytes());
        let decode = |entries: &[[u8; 8]]| OffsetIndex::decode(Offset(3), entries.as_flattened());
        assert!(matches!(decode(&[entry(-1, 5)]), Err(IndexError::Range { offset: 2, .. })));
        assert!(matches!(decode(&[entry(1, 5), entry(1, 6)]), Err(IndexError::NotAscending { entry: 1 })));
        assert!(matches!(decode(&[entry(1, 5), entry(2, 5)]), Err(IndexError::NotAscending { .. })));
        assert!(matches!(decode(&[entry(1, 5), entry(0, 0), entry(2, 8)]), Err(IndexError::NotAscending { .. })));
        assert!(decode(&[entry(1, 5), entry(2, 6)]).is_ok());
    }

    #[test]
    fn files_are_written_trimmed_whole_or_from_an_entry_on() {
        let disk = SimDisk::new(1);
        let path = Path::new("/00000000000000000000.index");
        let long = disk.open(path, Access::Create).unwrap();
        long.write_all_at(0, &[IoSlice::new(&[9; 100])]).unwrap();
        let index = OffsetIndex::new(Offset(0));
        (1..4_u32).for_each(|at| index.append(Offset(i64::from(at)), at * 10).unwrap());
        assert_eq!(index.save_from(&disk, path, 0).unwrap(), 3);
        assert_eq!(OffsetIndex::load(&disk, path, Offset(0)).unwrap().to_vec(), index.to_vec());
        index.append(Offset(9), 90).unwrap();
        assert_eq!(index.save_from(&disk, path, 3).unwrap(), 4);
        assert_eq!(read_file(&disk, path, 100).unwrap(), index.encode());
        index.truncate_to(Offset(2));
        index.save_from(&disk, path, 1).unwrap();
        assert_eq!(read_file(&disk, path, 100).unwrap(), index.encode());
        let missing = OffsetIndex::load(&disk, Path::new("/no"), Offset(0)).unwrap_err();
        assert!(matches!(missing, IndexError::Io(error) if error.kind() == io::ErrorKind::NotFound));
    }

    proptest! {
        #![proptest_config(crate::storage::cases::same_every_run())]

        /// Against a scan over the list of entries.
        #[test]
        fn lookups_are_a_scan(
            steps in prop::collection::vec((1..50_i64, 1..90_u32, 0..3_i64), 0..60),
            targets in prop::collection::vec(-5..2_000_i64, 1..20),
            cut in 0..2_500_i64,
        ) {
            let (index, times) = (OffsetIndex::new(Offset(10)), TimeIndex::new(Offset(10)));
            let (mut pairs, mut moments) = (Vec::new(), Vec::new());
            let (mut offset, mut position, mut time) = (10, 0, 0);
            for (offsets, bytes, millis) in steps {
                (offset, position, time) = (offset + offsets, position + bytes, time + millis);
                index.append(Offset(offset), position).unwrap();
                pairs.push(pair(offset, position));
                times.maybe_append(Timestamp(time), Offset(offset)).unwrap();
                if moments.last().is_none_or(|last: &TimestampOffset| last.timestamp.0 < time) {
                    moments.push(moment(time, offset));
                }
            }
            for cut in [None, Some(cut)] {
                if let Some(cut) = cut {
                    index.truncate_to(Offset(cut));
                    times.truncate_to(Offset(cut));
                    pairs.retain(|pair| pair.offset.0 < cut);
                    moments.retain(|moment| moment.offset.0 < cut);
                }
                prop_assert_eq!(index.to_vec(), pairs.clone());
                prop_assert_eq!(times.to_vec(), moments.clone());
                prop_assert_eq!(index.last(), pairs.last().copied());
                for target in &targets {
                    let below = pairs.iter().rev().find(|pair| pair.offset.0 <= *target).copied();
                    prop_assert_eq!(index.lookup(Offset(*target)), below.unwrap_or(pair(10, 0)));
                    let position = u32::try_from(*target).unwrap_or(0);
                    let above = pairs.iter().find(|pair| position <= pair.position).copied();
                    prop_assert_eq!(index.upper_bound(position), above);
                    let before = moments.iter().rev().find(|moment| moment.timestamp.0 <= *target).copied();
                    prop_assert_eq!(times.lookup(Timestamp(*target)), before.unwrap_or(moment(-1, 10)));
                }
                let again = OffsetIndex::decode(Offset(10), &index.encode()).unwrap();
                prop_assert_eq!(again.to_vec(), pairs.clone());
                let again = TimeIndex::decode(Offset(10), &times.encode()).unwrap();
                prop_assert_eq!(again.to_vec(), moments.clone());
            }
        }

        /// Any bytes are an index or an error.
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), base in any::<i64>()) {
            if let Ok(index) = OffsetIndex::decode(Offset(base), &bytes) {
                prop_assert!(bytes.starts_with(&index.encode()));
            }
            if let Ok(index) = TimeIndex::decode(Offset(base), &bytes) {
                prop_assert!(bytes.starts_with(&index.encode()));
            }
        }
    }
}
