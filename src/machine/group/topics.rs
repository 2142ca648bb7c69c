//! The topics of the cluster, as far as the consumer protocol assigns them, and the hash by which a coordinator sees that one
//! changed (KIP-1101).
//!
//! Source: Kafka 4.1 `Utils.computeTopicHash`, `computeGroupHash`, which write into hash4j's `Hashing.xxh3_64()`.

use std::collections::BTreeMap;
use std::sync::Arc;

use twox_hash::XxHash3_64;

use crate::model::TopicId;
use crate::wire::Str;

/// Version of the way in which a topic is hashed.
const MAGIC: u8 = 0;

/// Every topic at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Topics {
    /// Grows whenever a topic changes.
    version: u64,
    by_name: BTreeMap<Str, Arc<Topic>>,
    names: BTreeMap<TopicId, Str>,
}

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    /// Its id; never zero.
    pub id: TopicId,
    /// How many partitions it has: 0 to this, exclusive.
    pub partitions: i32,
    /// Of all that is known of it.
    hash: u64,
}

impl Topic {
    /// A topic with the racks of each partition's replicas, as far as they are known.
    #[must_use]
    pub fn new(name: &str, id: TopicId, racks: &[Vec<&str>]) -> Self {
        let partitions = i32::try_from(racks.len()).unwrap_or(i32::MAX);
        let mut hash = Hash::default();
        let [most, least] =
            [&id.0[..8], &id.0[8..]].map(|half| half.iter().fold(0, |so_far, byte| so_far << 8 | u64::from(*byte)));
        hash.bytes(&[MAGIC]).long(most).long(least).text(name).int(partitions);
        for (index, of_partition) in (0..).zip(racks) {
            hash.int(index);
            let mut sorted = of_partition.clone();
            sorted.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            for rack in sorted {
                hash.int(utf16_len(rack)).text(rack);
            }
        }
        Self { id, partitions, hash: hash.finish() }
    }
}

impl Topics {
    /// The topics of a later moment than any with a lower version.
    #[must_use]
    pub fn new(version: u64, topics: impl IntoIterator<Item = (Str, Arc<Topic>)>) -> Self {
        let by_name = topics.into_iter().collect::<BTreeMap<_, _>>();
        let names = by_name.iter().map(|(name, topic)| (topic.id, name.clone())).collect();
        Self { version, by_name, names }
    }

    /// See [`Self::new`].
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// A topic by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// A topic's name.
    #[must_use]
    pub fn name(&self, id: TopicId) -> Option<&Str> {
        self.names.get(&id)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &Str> {
        self.by_name.keys()
    }

    /// Kafka's hash of a group that subscribes to these, of which those count that are there; 0 for none.
    pub(super) fn hash<'n>(&self, subscribed: impl Iterator<Item = &'n Str>) -> i64 {
        let known = subscribed.filter_map(|name| Some((name, self.get(name)?.hash)));
        let mut known = known.collect::<Vec<_>>();
        if known.is_empty() {
            return 0;
        }
        known.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
        let mut hash = Hash::default();
        for (_, of_topic) in known {
            hash.long(of_topic);
        }
        hash.finish().cast_signed()
    }
}

/// Numbers and texts as hash4j puts them into XXH3: little-endian, texts in UTF-16 with their length behind them.
#[derive(Default)]
struct Hash(Vec<u8>);

impl Hash {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn int(&mut self, number: i32) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn long(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        self.int(utf16_len(text))
    }

    fn finish(&self) -> u64 {
        XxHash3_64::oneshot(&self.0)
    }
}

/// Java's length of a text.
fn utf16_len(text: &str) -> i32 {
    i32::try_from(text.encode_utf16().count()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Kafka 4.1.0's own classes say of the same topics.
    #[test]
    fn topics_are_hashed_as_kafka_does() {
        let id = |first: u8| TopicId(std::array::from_fn(|at| first + u8::try_from(at).expect("few")));
        let tt = Topic::new("tt", id(0x01), &[vec!["rack1", "rack0"], vec!["rack0"], vec![]]);
        let a = Topic::new("a", id(0x11), &vec![vec![]; 40]);
        assert_eq!((tt.hash, a.hash), (0x94ac_cc06_93c6_500e, 0xe437_476d_f0ac_e349));
        let topics = Topics::new(1, [("tt".into(), Arc::new(tt)), ("a".into(), Arc::new(a))]);
        let names = ["tt", "none", "a"].map(Str::from);
        assert_eq!(topics.hash(names.iter()), 0xbdaa_1915_beae_9e40_u64.cast_signed());
        assert_eq!(topics.hash([].into_iter()), 0);
        assert_eq!(topics.name(id(0x11)).map(Str::as_str), Some("a"));
    }
}
