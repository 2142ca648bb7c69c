//! Which leader epoch began at which offset: how replicas find where their logs part (KIP-101, KIP-320).
//!
//! *Invariant*: epochs and start offsets ascend together.
//! *Does not know*: the log, and who leads now.
//!
//! Source: Kafka 3.9 `LeaderEpochFileCache`, `LeaderEpochCheckpointFile`.

use std::io;
use std::path::Path;

use super::checkpoint::{self, CheckpointError, decode_lines, encode_lines, fields};
use super::disk::{Disk, replace_file};
use crate::model::{LeaderEpoch, Offset};

/// The cache's file in the folder of a partition.
pub const LEADER_EPOCH_FILE_NAME: &str = "leader-epoch-checkpoint";

/// The first offset of an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Where it begins. Records of it may be missing: a leadership without appends has an entry too.
    pub start_offset: Offset,
}

/// An epoch or an offset below zero: no leader has ever had it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("leader epoch {epoch} cannot begin at offset {start_offset}")]
pub struct InvalidEpochEntry {
    /// As given.
    pub epoch: LeaderEpoch,
    /// As given.
    pub start_offset: Offset,
}

/// The epochs of one partition's log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeaderEpochCache(Vec<EpochEntry>);

impl LeaderEpochCache {
    /// No epochs.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The cache of a file's bytes. Entries that contradict later ones are dropped, as on assignment.
    ///
    /// # Errors
    /// [`CheckpointError`]; a negative number is a malformed line.
    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let entries = decode_lines(bytes, |line| {
            let [epoch, start_offset] = fields(line)?;
            let entry = EpochEntry {
                epoch: LeaderEpoch(epoch.parse().ok()?),
                start_offset: Offset(start_offset.parse().ok()?),
            };
            (LeaderEpoch(0) <= entry.epoch && Offset(0) <= entry.start_offset).then_some(entry)
        })?;
        let mut cache = Self::new();
        entries.into_iter().for_each(|entry| _ = cache.insert(entry));
        Ok(cache)
    }

    /// The file's text.
    #[must_use]
    pub fn encode(&self) -> String {
        encode_lines(self.0.iter().map(|entry| format!("{} {}", entry.epoch, entry.start_offset)))
    }

    /// Reads the cache from the folder of a partition; empty when there is no file.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn load(disk: &dyn Disk, partition_dir: &Path) -> Result<Self, CheckpointError> {
        checkpoint::load(disk, &partition_dir.join(LEADER_EPOCH_FILE_NAME), Self::decode)
    }

    /// Replaces the file in the folder of a partition. Due, before anything else is written, whenever [`Self::assign`] says
    /// `true`; after a truncation it may wait: it is repeated on loading.
    ///
    /// # Errors
    /// The disk's; then the old file is still there.
    pub fn save(&self, disk: &dyn Disk, partition_dir: &Path) -> io::Result<()> {
        replace_file(disk, &partition_dir.join(LEADER_EPOCH_FILE_NAME), self.encode().as_bytes())
    }

    /// Notes that `epoch` begins at `start_offset`. What contradicts it goes: epochs not below it, and those that begin not
    /// before it. `true` when the cache has changed; `false` for the latest epoch again.
    ///
    /// # Errors
    /// [`InvalidEpochEntry`].
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> Result<bool, InvalidEpochEntry> {
        if epoch < LeaderEpoch(0) || start_offset < Offset(0) {
            return Err(InvalidEpochEntry { epoch, start_offset });
        }
        Ok(self.insert(EpochEntry { epoch, start_offset }))
    }

    fn insert(&mut self, new: EpochEntry) -> bool {
        let known = |latest: &EpochEntry| latest.epoch == new.epoch && latest.start_offset <= new.start_offset;
        if self.0.last().is_some_and(known) {
            return false;
        }
        let contradicts = |old: &EpochEntry| new.epoch <= old.epoch || new.start_offset <= old.start_offset;
        while self.0.last().is_some_and(contradicts) {
            self.0.pop();
        }
        self.0.push(new);
        true
    }

    /// A batch of `epoch` holds the offsets `base..=last`, whatever the file says: it may tell of records that were cut off after
    /// it was written, in whose place others were appended, of an earlier epoch even. `true` when the cache has changed.
    ///
    /// Kafka only adds epochs above the latest here (`LogSegment.recover`), and keeps the contradiction.
    pub fn found(&mut self, epoch: LeaderEpoch, base: Offset, last: Offset) -> bool {
        if epoch < LeaderEpoch(0) || self.agrees(epoch, base, last) {
            return false;
        }
        let contradicts = |old: &EpochEntry| epoch < old.epoch || base <= old.start_offset;
        while self.0.last().is_some_and(contradicts) {
            self.0.pop();
        }
        if self.latest().is_none_or(|latest| latest.epoch < epoch) {
            self.0.push(EpochEntry { epoch, start_offset: base });
        }
        true
    }

    fn agrees(&self, epoch: LeaderEpoch, base: Offset, last: Offset) -> bool {
        let Some(first) = self.0.first() else { return false };
        if last < first.start_offset {
            // Below the log start, of which nothing is told.
            return epoch <= first.epoch;
        }
        self.epoch_of(last) == Some(epoch) && self.epoch_of(base).is_none_or(|known| known == epoch)
    }

    /// Where `epoch` ends, exclusive, and the largest known epoch not above it. The latest epoch ends at `log_end`. `None`
    /// for an epoch above the latest, or no epoch at all. For an epoch before all that are known: itself, and the start of
    /// the first one.
    #[must_use]
    pub fn end_offset_for(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        if epoch == LeaderEpoch::NONE {
            return None;
        }
        if self.latest().is_some_and(|latest| latest.epoch == epoch) {
            return Some((epoch, log_end));
        }
        let higher = self.0.partition_point(|entry| entry.epoch <= epoch);
        let end = self.0.get(higher)?.start_offset;
        let floor = higher.checked_sub(1).and_then(|at| self.0.get(at));
        Some((floor.map_or(epoch, |floor| floor.epoch), end))
    }

    /// The log was cut at `end`: drops the epochs that begin at or behind it, also those of leaderships without appends.
    /// `true` when the cache has changed.
    pub fn truncate_from_end(&mut self, end: Offset) -> bool {
        let len = self.0.len();
        if Offset(0) <= end {
            self.0.truncate(self.0.partition_point(|entry| entry.start_offset < end));
        }
        self.0.len() < len
    }

    /// The log now starts with `start`: of the epochs that begin at or before it only the last stays, beginning at `start`.
    /// `true` when the cache has changed.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let dropped = self.0.partition_point(|entry| entry.start_offset <= start);
        let Some(last) = dropped.checked_sub(1) else { return false };
        let unchanged = self.0.get(last).filter(|kept| last == 0 && kept.start_offset == start).is_some();
        self.0.drain(..last);
        if let Some(first) = self.0.first_mut() {
            first.start_offset = start;
        }
        !unchanged
    }

    /// Drops all: the log starts anew elsewhere.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The latest epoch.
    #[must_use]
    pub fn latest(&self) -> Option<EpochEntry> {
        self.0.last().copied()
    }

    /// The largest known epoch below `epoch`.
    #[must_use]
    pub fn previous(&self, epoch: LeaderEpoch) -> Option<EpochEntry> {
        let at = self.0.partition_point(|entry| entry.epoch < epoch);
        at.checked_sub(1).and_then(|at| self.0.get(at)).copied()
    }

    /// The epoch that the record at `offset` was appended in; `None` before the first.
    #[must_use]
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let at = self.0.partition_point(|entry| entry.start_offset <= offset);
        at.checked_sub(1).and_then(|at| self.0.get(at)).map(|entry| entry.epoch)
    }

    /// All epochs, ascending.
    #[must_use]
    pub fn entries(&self) -> &[EpochEntry] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::storage::disk::sim::SimDisk;

    fn cache(entries: &[(i32, i64)]) -> LeaderEpochCache {
        let mut cache = LeaderEpochCache::new();
        for (epoch, start) in entries {
            cache.assign(LeaderEpoch(*epoch), Offset(*start)).unwrap();
        }
        cache
    }

    fn pairs(cache: &LeaderEpochCache) -> Vec<(i32, i64)> {
        cache.entries().iter().map(|entry| (entry.epoch.0, entry.start_offset.0)).collect()
    }

    #[test]
    fn what_contradicts_a_new_epoch_goes() {
        let before = [(1, 10), (3, 20), (5, 30)];
        let assigned = |epoch, start| {
            let mut cache = cache(&before);
            let changed = cache.assign(LeaderEpoch(epoch), Offset(start)).unwrap();
            (changed, pairs(&cache))
        };
        assert_eq!(assigned(5, 30), (false, before.into()));
        assert_eq!(assigned(5, 99), (false, before.into()), "the latest epoch goes on");
        assert_eq!(assigned(6, 30), (true, vec![(1, 10), (3, 20), (6, 30)]), "epoch 5 had no records");
        assert_eq!(assigned(5, 25), (true, vec![(1, 10), (3, 20), (5, 25)]));
        assert_eq!(assigned(4, 40), (true, vec![(1, 10), (3, 20), (4, 40)]));
        assert_eq!(assigned(7, 15), (true, vec![(1, 10), (7, 15)]));
        assert_eq!(assigned(0, 0), (true, vec![(0, 0)]));
        assert!(LeaderEpochCache::new().assign(LeaderEpoch(-1), Offset(0)).is_err());
        assert!(LeaderEpochCache::new().assign(LeaderEpoch(0), Offset(-1)).is_err());
    }

    #[test]
    fn a_batch_that_is_there_is_right() {
        let found = |epoch, base, last| {
            let mut cache = cache(&[(1, 10), (3, 20), (5, 30)]);
            let changed = cache.found(LeaderEpoch(epoch), Offset(base), Offset(last));
            (changed, pairs(&cache))
        };
        let as_before = vec![(1, 10), (3, 20), (5, 30)];
        for (epoch, base, last) in [(-1, 40, 41), (1, 10, 19), (3, 20, 29), (5, 30, 30), (5, 99, 99)] {
            assert_eq!(found(epoch, base, last), (false, as_before.clone()), "epoch {epoch} at {base}");
        }
        for (epoch, base, last) in [(0, 5, 9), (1, 5, 9), (1, 5, 12)] {
            assert_eq!(found(epoch, base, last), (false, as_before.clone()), "the log starts at 10");
        }
        assert_eq!(found(6, 40, 41), (true, vec![(1, 10), (3, 20), (5, 30), (6, 40)]), "it was not in the file yet");
        assert_eq!(found(3, 30, 31), (true, vec![(1, 10), (3, 20)]), "epoch 5 was cut off, epoch 3 goes on");
        assert_eq!(found(3, 29, 30), (true, vec![(1, 10), (3, 20)]), "with a batch that reaches over it");
        assert_eq!(found(3, 35, 36), (true, vec![(1, 10), (3, 20)]), "or was cut below where it began");
        assert_eq!(found(4, 30, 31), (true, vec![(1, 10), (3, 20), (4, 30)]));
        assert_eq!(found(4, 25, 26), (true, vec![(1, 10), (3, 20), (4, 25)]));
        assert_eq!(found(2, 5, 9), (true, vec![(2, 5)]));
        assert!(LeaderEpochCache::new().found(LeaderEpoch(2), Offset(5), Offset(9)));
    }

    #[test]
    fn an_epoch_ends_where_the_next_known_one_begins() {
        let cache = cache(&[(2, 10), (4, 20), (6, 30)]);
        let end = |epoch| cache.end_offset_for(LeaderEpoch(epoch), Offset(35)).map(|(epoch, end)| (epoch.0, end.0));
        assert_eq!(end(-1), None);
        assert_eq!(end(0), Some((0, 10)), "before all: itself");
        assert_eq!(end(2), Some((2, 20)));
        assert_eq!(end(3), Some((2, 20)));
        assert_eq!(end(5), Some((4, 30)));
        assert_eq!(end(6), Some((6, 35)));
        assert_eq!(end(7), None);
        assert_eq!(LeaderEpochCache::new().end_offset_for(LeaderEpoch(0), Offset(0)), None);
        assert_eq!(cache.epoch_of(Offset(9)), None);
        assert_eq!(cache.epoch_of(Offset(20)), Some(LeaderEpoch(4)));
        assert_eq!(cache.epoch_of(Offset(29)), Some(LeaderEpoch(4)));
        assert_eq!(cache.previous(LeaderEpoch(6)).map(|entry| entry.epoch), Some(LeaderEpoch(4)));
        assert_eq!(cache.previous(LeaderEpoch(2)), None);
    }

    #[test]
    fn truncation_cuts_both_ends() {
        let cut_end = |end| {
            let mut cache = cache(&[(2, 10), (4, 20), (6, 30)]);
            let changed = cache.truncate_from_end(Offset(end));
            (changed, pairs(&cache))
        };
        assert_eq!(cut_end(31), (false, vec![(2, 10), (4, 20), (6, 30)]));
        assert_eq!(cut_end(30), (true, vec![(2, 10), (4, 20)]), "an epoch without records at the log end goes");
        assert_eq!(cut_end(0), (true, vec![]));
        assert_eq!(cut_end(-1), (false, vec![(2, 10), (4, 20), (6, 30)]));
        let cut_start = |start| {
            let mut cache = cache(&[(2, 10), (4, 20), (6, 30)]);
            let changed = cache.truncate_from_start(Offset(start));
            (changed, pairs(&cache))
        };
        assert_eq!(cut_start(9), (false, vec![(2, 10), (4, 20), (6, 30)]));
        assert_eq!(cut_start(10), (false, vec![(2, 10), (4, 20), (6, 30)]));
        assert_eq!(cut_start(11), (true, vec![(2, 11), (4, 20), (6, 30)]));
        assert_eq!(cut_start(20), (true, vec![(4, 20), (6, 30)]));
        assert_eq!(cut_start(99), (true, vec![(6, 99)]));
    }

    #[test]
    fn files_of_kafka_are_read_and_written() {
        let file = include_bytes!("fixtures/clean/fixture-0/leader-epoch-checkpoint");
        let cache = LeaderEpochCache::decode(file).unwrap();
        assert_eq!(pairs(&cache), [(0, 5)]);
        assert_eq!(cache.encode().as_bytes(), file);
        let disk = SimDisk::new(1);
        assert_eq!(LeaderEpochCache::load(&disk, Path::new("/")).unwrap(), LeaderEpochCache::new());
        cache.save(&disk, Path::new("/")).unwrap();
        assert_eq!(LeaderEpochCache::load(&disk, Path::new("/")).unwrap(), cache);
        for bad in ["0\n1\n-1 0\n", "0\n1\n0 -1\n", "0\n1\n0\n", "0\n1\n0 1 2\n", "0\n1\nx 1\n"] {
            let refused = LeaderEpochCache::decode(bad.as_bytes());
            assert!(matches!(refused, Err(CheckpointError::Line { line: 3, .. })), "{bad:?}");
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Assign(i32, i64),
        TruncateFromEnd(i64),
        TruncateFromStart(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..20, 0..60_i64).prop_map(|(epoch, start)| Step::Assign(epoch, start)),
            1 => (-1..60_i64).prop_map(Step::TruncateFromEnd),
            1 => (-1..60_i64).prop_map(Step::TruncateFromStart),
        ]
    }

    proptest! {
        #![proptest_config(crate::storage::cases::same_every_run())]

        /// Against a map that is searched as Kafka words it.
        #[test]
        fn the_cache_is_the_map(steps in prop::collection::vec(step(), 1..40)) {
            let (mut cache, mut map) = (LeaderEpochCache::new(), BTreeMap::<i32, i64>::new());
            for step in steps {
                let before = map.clone();
                let changed = match step {
                    Step::Assign(epoch, start) => {
                        let latest = map.last_key_value().map(|(epoch, start)| (*epoch, *start));
                        if latest.is_none_or(|(latest, begins)| latest != epoch || start < begins) {
                            map.retain(|old, begins| *old < epoch && *begins < start);
                            map.insert(epoch, start);
                        }
                        cache.assign(LeaderEpoch(epoch), Offset(start)).unwrap()
                    }
                    Step::TruncateFromEnd(end) => {
                        map.retain(|_, begins| end < 0 || *begins < end);
                        cache.truncate_from_end(Offset(end))
                    }
                    Step::TruncateFromStart(start) => {
                        let last = map.iter().filter(|(_, begins)| **begins <= start).map(|(epoch, _)| *epoch).max();
                        map.retain(|_, begins| start < *begins);
                        map.extend(last.map(|epoch| (epoch, start)));
                        cache.truncate_from_start(Offset(start))
                    }
                };
                prop_assert_eq!(pairs(&cache), map.clone().into_iter().collect::<Vec<_>>());
                prop_assert_eq!(changed, map != before);
                for epoch in -1..21 {
                    let floor = map.range(..=epoch).next_back();
                    let expected = match map.range(epoch.saturating_add(1)..).next() {
                        _ if epoch == -1 => None,
                        None => floor.filter(|(floor, _)| **floor == epoch).map(|_| (epoch, 77)),
                        Some((_, end)) => Some((floor.map_or(epoch, |(floor, _)| *floor), *end)),
                    };
                    let found = cache.end_offset_for(LeaderEpoch(epoch), Offset(77));
                    prop_assert_eq!(found, expected.map(|(epoch, end)| (LeaderEpoch(epoch), Offset(end))));
                }
                prop_assert_eq!(LeaderEpochCache::decode(cache.encode().as_bytes()).unwrap(), cache.clone());
            }
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[0-9 \n-]{0,30}") {
            for bytes in [&bytes, text.as_bytes()] {
                if let Ok(cache) = LeaderEpochCache::decode(bytes) {
                    let ascend = |pair: &[EpochEntry]| matches!(pair, [a, b] if a.epoch < b.epoch && a.start_offset < b.start_offset);
                    prop_assert!(cache.entries().windows(2).all(ascend));
                }
            }
        }
    }
}
