//! In which order Java's hash tables give what is in them: two of Kafka's assignors let it decide between equals.
//!
//! Source: `java.util.HashMap`: 16 buckets at first, twice as many when three quarters are exceeded, each a list in the order of
//! coming. (A bucket of eight keys becomes a tree. With sixteen-bit luck that bad the order here may be another one.)

/// Buckets of a new table.
const BUCKETS: usize = 16;

/// `String.hashCode`, spread as `HashMap.hash` does.
pub(super) fn hash(text: &str) -> u32 {
    spread(string_hash(text))
}

/// `TopicPartition.hashCode`, spread.
pub(super) fn partition_hash(topic: &str, partition: i32) -> u32 {
    let hash = 31_u32.wrapping_add(partition.cast_unsigned()).wrapping_mul(31).wrapping_add(string_hash(topic));
    spread(hash)
}

fn string_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)))
}

const fn spread(hash: u32) -> u32 {
    hash ^ hash >> 16
}

/// Buckets that a table has when so many keys were put into it.
fn buckets(keys: usize) -> usize {
    let mut buckets = BUCKETS;
    while buckets / 4 * 3 < keys {
        buckets *= 2;
    }
    buckets
}

fn bucket(hash: u32, buckets: usize) -> usize {
    usize::try_from(hash).unwrap_or(0) & (buckets - 1)
}

/// Sorts keys that came in this order as a `HashMap` gives them.
pub(super) fn sort_as_map<T>(keys: &mut [T], hash: impl Fn(&T) -> u32) {
    let buckets = buckets(keys.len());
    keys.sort_by_key(|key| bucket(hash(key), buckets));
}

/// `String.compareTo`: by UTF-16 units.
pub(super) fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// A `HashSet` that says which of its keys comes first.
#[derive(Clone, Debug)]
pub(super) struct Set<T> {
    /// With their hashes, in the order of coming.
    keys: Vec<(u32, T)>,
    buckets: usize,
}

impl<T: PartialEq + Copy> Set<T> {
    pub(super) const fn new() -> Self {
        Self { keys: Vec::new(), buckets: BUCKETS }
    }

    pub(super) fn insert(&mut self, hash: u32, key: T) {
        if self.keys.iter().all(|(_, known)| *known != key) {
            self.keys.push((hash, key));
            // It never shrinks.
            self.buckets = self.buckets.max(buckets(self.keys.len()));
        }
    }

    pub(super) fn remove(&mut self, key: T) {
        self.keys.retain(|(_, known)| *known != key);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn first(&self) -> Option<T> {
        self.keys.iter().min_by_key(|(hash, _)| bucket(*hash, self.buckets)).map(|(_, key)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `new HashMap<>()` of OpenJDK 21 gives for these keys.
    #[test]
    fn keys_come_as_from_java() {
        assert_eq!(string_hash("hello"), 99_162_322);
        let mut keys = ["consumer10", "consumer9", "Aa", "BB", "z"];
        sort_as_map(&mut keys, |key| hash(key));
        assert_eq!(keys, ["Aa", "BB", "consumer10", "consumer9", "z"]);
        let mut set = Set::new();
        set.insert(partition_hash("t", 1), 1);
        set.insert(partition_hash("t", 0), 0);
        assert_eq!((set.first(), partition_hash("t", 0)), (Some(1), 31 * 31 + 116));
        set.remove(1);
        assert_eq!(set.first(), Some(0));
        set.remove(0);
        assert!(set.is_empty());
    }
}
