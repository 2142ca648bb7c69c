//! Which partition a record goes to: the same as Kafka's Java producer for records with a key, so that one key's records
//! stay in one partition whichever client writes them. Source: `BuiltInPartitioner.java`, `Utils.murmur2`, KIP-480.

use crate::model::PartitionIndex;

/// Where a key's records go.
#[derive(Clone, Copy, Debug)]
pub struct Partitioner;

impl Partitioner {
    /// The partition of a record with this key in a topic of so many (`BuiltInPartitioner.partitionForKey`); 0 of none.
    #[must_use]
    pub fn of_key(key: &[u8], partitions: u32) -> u32 {
        (murmur2(key) & 0x7fff_ffff).checked_rem(partitions).unwrap_or(0)
    }
}

/// Chooses partitions of one topic: by the key, else one until a batch's worth went there (KIP-480, KIP-794).
#[derive(Clone, Copy, Debug)]
pub(super) struct Sticky {
    /// Where records without a key go now, and how many bytes went there.
    now: Option<(PartitionIndex, usize)>,
    /// `batch.size`: after so many bytes it may go on to another partition, after twice as many it must.
    stride: usize,
}

impl Sticky {
    pub(super) const fn new(batch_bytes: usize) -> Self {
        Self { now: None, stride: if batch_bytes == 0 { 1 } else { batch_bytes } }
    }

    /// Where a record without a key goes; `choose` is asked when there is a choice.
    pub(super) fn partition(&mut self, choose: impl FnOnce() -> PartitionIndex) -> PartitionIndex {
        self.now.get_or_insert_with(|| (choose(), 0)).0
    }

    /// So many bytes went there; `full` when that filled a batch.
    pub(super) fn went(&mut self, bytes: usize, full: bool) {
        if let Some((_, produced)) = &mut self.now {
            *produced += bytes;
            if self.stride <= *produced && full || self.stride.saturating_mul(2) <= *produced {
                self.now = None;
            }
        }
    }
}

/// One of the partitions by chance: rather one with few batches that wait. `load` has each that may be chosen; `adaptive` is
/// `partitioner.adaptive.partitioning.enable` (`BuiltInPartitioner.updatePartitionLoadStats`).
pub(super) fn choose(load: &[(PartitionIndex, usize)], adaptive: bool, random: u32) -> Option<PartitionIndex> {
    let most = load.iter().map(|(_, waiting)| *waiting).max()?;
    let weight = |waiting: usize| if adaptive { most + 1 - waiting } else { 1 };
    let sum = load.iter().map(|(_, waiting)| weight(*waiting)).sum::<usize>();
    let mut left = usize::try_from(random).unwrap_or(0).checked_rem(sum)?;
    load.iter().find_map(|(partition, waiting)| {
        let weight = weight(*waiting);
        if left < weight {
            return Some(*partition);
        }
        left -= weight;
        None
    })
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
    fn a_key_has_its_partition() {
        assert_eq!(
            Partitioner::of_key(b"foobar", 6),
            u32::try_from((-790_332_482_i64 & 0x7fff_ffff) % 6).expect("small")
        );
        assert_eq!(Partitioner::of_key(b"foobar", 0), 0);
    }

    #[test]
    fn without_a_key_a_batch_goes_to_one_partition_and_the_next_to_another() {
        let mut sticky = Sticky::new(100);
        let go = |sticky: &mut Sticky, to| sticky.partition(|| PartitionIndex(to)).0;
        assert_eq!((go(&mut sticky, 3), go(&mut sticky, 4)), (3, 3));
        sticky.went(99, true);
        assert_eq!(go(&mut sticky, 4), 3, "not a batch's worth yet");
        sticky.went(1, false);
        assert_eq!(go(&mut sticky, 4), 3, "the batch has room");
        sticky.went(1, true);
        assert_eq!(go(&mut sticky, 4), 4);
        sticky.went(200, false);
        assert_eq!(go(&mut sticky, 5), 5, "twice as much is enough in any case");
    }

    #[test]
    fn a_slow_partition_is_chosen_more_rarely() {
        let load = [(PartitionIndex(0), 0), (PartitionIndex(1), 3), (PartitionIndex(2), 1)];
        let chosen =
            |adaptive| (0..8).map(|random| choose(&load, adaptive, random).expect("some").0).collect::<Vec<_>>();
        assert_eq!(chosen(true), [0, 0, 0, 0, 1, 2, 2, 2]);
        assert_eq!(chosen(false), [0, 1, 2, 0, 1, 2, 0, 1]);
        assert_eq!(choose(&[], true, 7), None);
    }
}
