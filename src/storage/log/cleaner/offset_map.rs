//! Where the last record of each key stands: what decides which records stay.
//!
//! A table with open addressing of 24 bytes per entry: the first 128 bits of the key's SHA-256, and the offset. Kafka takes
//! MD5, for which two keys with one hash can be made, so that one of them is lost.
//!
//! *Invariant*: never grows; says so when it is full.
//! *Does not know*: logs.
//!
//! Source: Kafka 3.9 `SkimpyOffsetMap.java`.

use aws_lc_rs::digest;

use crate::model::Offset;

/// Bytes of an entry.
pub(super) const ENTRY_BYTES: u64 = 24;

/// Entries that even the smallest table has.
const SLOTS_MIN: u64 = 16;

/// An entry; free while its offset is negative.
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: (u64, u64),
    offset: i64,
}

const FREE: Slot = Slot { hash: (0, 0), offset: -1 };

/// Last offset by key.
#[derive(Debug)]
pub(super) struct OffsetMap {
    slots: Vec<Slot>,
    used: usize,
    used_max: usize,
}

impl OffsetMap {
    /// A table of at most `bytes_max`, and no larger than `keys_max` keys need, filled up to `load_factor`. `None` when there is
    /// no memory for it.
    pub(super) fn new(bytes_max: u64, keys_max: u64, load_factor: f64) -> Option<Self> {
        let load_factor = if load_factor.is_finite() { load_factor.clamp(0.1, 0.99) } else { 0.9 };
        // Twice what the keys need costs little, and spares probing.
        let wanted = keys_max.saturating_mul(2).max(SLOTS_MIN);
        let count = usize::try_from(wanted.min(bytes_max / ENTRY_BYTES).max(SLOTS_MIN)).ok()?;
        let mut slots = Vec::new();
        slots.try_reserve_exact(count).ok()?;
        slots.resize(count, FREE);
        let per_thousand = (1..990_usize).take_while(|share| *share as f64 <= load_factor * 1_000.0).count();
        let used_max = (count / 1_000 * per_thousand + count % 1_000 * per_thousand / 1_000).clamp(1, count - 1);
        Some(Self { slots, used: 0, used_max })
    }

    /// Notes the offset of a key, which is behind those noted before; `false` when the key is new and there is no room.
    pub(super) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = hash(key);
        let at = self.find(hash);
        let is_new = self.slots.get(at).is_some_and(|slot| slot.offset < 0);
        if is_new && self.used_max <= self.used {
            return false;
        }
        self.used += usize::from(is_new);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Slot { hash, offset: slot.offset.max(offset.0) };
        }
        true
    }

    /// The last offset of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slots.get(self.find(hash(key)))?;
        (0 <= slot.offset).then_some(Offset(slot.offset))
    }

    /// Where the entry of a hash is, or would be: one slot is always free.
    fn find(&self, hash: (u64, u64)) -> usize {
        let count = self.slots.len();
        let first = usize::try_from(hash.0 % count as u64).unwrap_or_default();
        let wraps = (first..count).chain(0..first);
        let fits = |at: &usize| self.slots.get(*at).is_none_or(|slot| slot.offset < 0 || slot.hash == hash);
        wraps.into_iter().find(fits).unwrap_or(first)
    }
}

fn hash(key: &[u8]) -> (u64, u64) {
    let digest = digest::digest(&digest::SHA256, key);
    let mut words = digest.as_ref().as_chunks().0.iter().map(|word| u64::from_be_bytes(*word));
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn it_says_what_a_map_says_until_it_is_full() {
        let mut map = OffsetMap::new(ENTRY_BYTES * 1_000, u64::MAX, 0.9).unwrap();
        let mut model = HashMap::new();
        for offset in 0_i64..5_000 {
            let key = (offset * 7_919 % 800).to_be_bytes();
            assert!(map.put(&key, Offset(offset)));
            model.insert(key, Offset(offset));
        }
        for (key, offset) in &model {
            assert_eq!(map.get(key), Some(*offset));
        }
        assert_eq!(map.get(b"other"), None);
        let taken = (1_000_i64..2_000).take_while(|key| map.put(&key.to_be_bytes(), Offset(6_000))).count();
        assert_eq!(taken, 100, "nine tenths of a thousand");
        assert!(map.put(&0_i64.to_be_bytes(), Offset(7_000)), "a key that is known needs no room");
        assert_eq!(map.get(&0_i64.to_be_bytes()), Some(Offset(7_000)));
        assert_eq!(map.get(&1_999_i64.to_be_bytes()), None);
    }

    #[test]
    fn a_small_log_takes_a_small_table() {
        let map = OffsetMap::new(1 << 40, 10, 0.9).unwrap();
        assert_eq!(map.slots.len(), 20);
        assert_eq!(OffsetMap::new(0, 0, f64::NAN).unwrap().slots.len(), 16);
    }
}
