//! Which partition a record goes to: the same as Kafka's Java producer for records with a key, so that one key's records
//! stay in one partition whichever client writes them. Source: `BuiltInPartitioner.java`, `Utils.murmur2`, KIP-480.

use crate::model::PartitionIndex;

/// Chooses partitions of one topic.
#[derive(Clone, Copy, Debug)]
pub struct Partitioner {
    /// At least 1.
    partitions: u32,
    /// Where records without a key go until the batch there is full.
    sticky: u32,
}

impl Partitioner {
    /// For a topic of so many partitions; `None` for a topic that has none. `seed` chooses where keyless records begin.
    #[must_use]
    pub fn new(partitions: usize, seed: u32) -> Option<Self> {
        let partitions = u32::try_from(partitions).ok().filter(|&count| 0 < count && i32::try_from(count).is_ok())?;
        Some(Self { partitions, sticky: seed.checked_rem(partitions)? })
    }

    /// The partition of a record with this key in a topic of so many (`BuiltInPartitioner.partitionForKey`); 0 of none.
    #[must_use]
    pub fn of_key(key: &[u8], partitions: u32) -> u32 {
        (murmur2(key) & 0x7fff_ffff).checked_rem(partitions).unwrap_or(0)
    }

    /// The partition of a record with this key, or without one.
    #[must_use]
    pub fn partition(&self, key: Option<&[u8]>) -> PartitionIndex {
        let chosen = key.map_or(self.sticky, |key| Self::of_key(key, self.partitions));
        PartitionIndex(i32::try_from(chosen).unwrap_or(0))
    }

    /// A batch was closed: records without a key go to the next partition.
    pub fn batch_closed(&mut self) {
        self.sticky = self.sticky.wrapping_add(1).checked_rem(self.partitions).unwrap_or(0);
    }
}

/// MurmurHash2 by Austin Appleby, 32 bits, with Kafka's seed.
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    // The length is mixed in as Java's 32-bit int; no key is longer than a request.
    let mut hash = SEED ^ u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut words = bytes.chunks_exact(4);
    for word in words.by_ref() {
        let word = word.iter().rev().fold(0_u32, |sum, &byte| sum << 8 | u32::from(byte)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (word ^ word >> 24).wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0_u32, |sum, &byte| sum << 8 | u32::from(byte));
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are those of `UtilsTest.testMurmur2` in Kafka 3.9.
    #[test]
    fn the_hash_is_kafkas() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn keys_stick_and_keyless_records_move_on_with_the_batch() {
        let mut partitioner = Partitioner::new(6, 5).expect("six partitions");
        let of_key = partitioner.partition(Some(b"foobar"));
        assert_eq!(of_key, PartitionIndex(((-790_332_482_i64) & 0x7fff_ffff) as i32 % 6));
        assert_eq!(partitioner.partition(None), PartitionIndex(5));
        assert_eq!(partitioner.partition(None), PartitionIndex(5));
        partitioner.batch_closed();
        assert_eq!(partitioner.partition(None), PartitionIndex(0));
        assert_eq!(partitioner.partition(Some(b"foobar")), of_key);
        assert!(Partitioner::new(0, 0).is_none());
    }
}
