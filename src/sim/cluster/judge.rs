//! The last judgement on a cluster that is healed and stopped: every replica that is assigned is there, and all of a partition hold
//! the same bytes, or those of a compacted one the last acknowledged value of each key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::oracle::Place;
use super::table::Acknowledged;
use crate::storage::disk::sim::SimDisk;
use crate::storage::disk::{Access, Disk as _};
use crate::wire::record::{Batches, DecompressionLimit};

/// No batch of ours is larger.
const LIMIT: DecompressionLimit = DecompressionLimit { bytes_max: 1 << 20 };

/// What one broker has of a partition: the bytes of its segments, one behind the other, or nothing.
pub type Copy = (i32, Option<Vec<u8>>);

/// What is wrong with the copies of a partition whose replicas are assigned to these brokers.
#[must_use]
pub fn differences(place: &Place, copies: &[Copy]) -> Vec<String> {
    let mut wrong = gone(place, copies);
    let mut there = copies.iter().filter_map(|(id, copy)| Some((id, copy.as_ref()?)));
    let Some((first, expected)) = there.next() else { return wrong };
    for (id, found) in there.filter(|(_, found)| *found != expected) {
        let same = expected.iter().zip(found).take_while(|(one, other)| one == other).count();
        wrong.push(format!(
            "{place}: the replicas on {first} ({} bytes) and {id} ({} bytes) differ from byte {same} on",
            expected.len(),
            found.len()
        ));
    }
    wrong
}

/// What is wrong with the copies of a compacted partition: what was acknowledged may be gone from one only where it has a later value of the
/// same key.
#[must_use]
pub fn lost(place: &Place, copies: &[Copy], acknowledged: &Acknowledged) -> Vec<String> {
    let mut wrong = gone(place, copies);
    for (id, copy) in copies.iter().filter_map(|(id, copy)| Some((id, copy.as_ref()?))) {
        let last = match last_offsets(copy) {
            Ok(last) => last,
            Err(error) => {
                wrong.push(format!("{place}: the replica on {id} cannot be read: {error}"));
                continue;
            }
        };
        for (key, offset) in acknowledged.iter().filter(|(key, offset)| last.get(*key) < Some(*offset)) {
            let key = String::from_utf8_lossy(key);
            wrong.push(format!("{place}: the replica on {id} has lost {key}, acknowledged at offset {offset}"));
        }
    }
    wrong
}

fn gone(place: &Place, copies: &[Copy]) -> Vec<String> {
    let missing = copies.iter().filter(|(_, copy)| copy.is_none());
    missing.map(|(id, _)| format!("{place}: the replica on {id} is gone")).collect()
}

/// The last offset of each key.
fn last_offsets(copy: &[u8]) -> Result<BTreeMap<Vec<u8>, i64>, String> {
    let (mut last, mut scratch) = (BTreeMap::new(), Vec::new());
    for batch in Batches::new(copy) {
        let (header, batch) = batch.map_err(|error| error.to_string())?;
        for record in header.read_records(batch, LIMIT, &mut scratch).map_err(|error| error.to_string())? {
            let record = record.map_err(|error| error.to_string())?;
            last.insert(record.key.unwrap_or_default().to_vec(), header.offset_of(&record).0);
        }
    }
    Ok(last)
}

/// A broker's copy.
#[must_use]
pub fn copy(disk: &SimDisk, place: &Place) -> Option<Vec<u8>> {
    let dir: PathBuf = Path::new("/data").join(place.to_string());
    let mut names = disk.list(&dir).ok()?.into_iter().map(|entry| entry.name).collect::<Vec<_>>();
    names.retain(|name| name.ends_with(".log"));
    names.sort();
    let mut content = Vec::new();
    for name in names {
        let file = disk.open(&dir.join(name), Access::Read).ok()?;
        let mut bytes = vec![0; usize::try_from(file.len().ok()?).ok()?];
        file.read_at(0, &mut bytes).ok()?;
        content.extend(bytes);
    }
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::record::{BatchBuilder, Codec, NewRecord};

    fn judged(copies: &[(i32, Option<&[u8]>)]) -> Vec<String> {
        let place = Place { topic: "t".to_owned(), partition: 0 };
        let copies = copies.iter().map(|(id, copy)| (*id, copy.map(<[u8]>::to_vec))).collect::<Vec<_>>();
        differences(&place, &copies)
    }

    #[test]
    fn equal_copies_are_good() {
        assert_eq!(judged(&[(1, Some(b"abc")), (2, Some(b"abc")), (3, Some(b"abc"))]), [""; 0]);
    }

    #[test]
    fn a_copy_that_differs_is_flagged() {
        let found = judged(&[(1, Some(b"abcd")), (2, Some(b"abcd")), (3, Some(b"abX"))]);
        assert_eq!(found, ["t-0: the replicas on 1 (4 bytes) and 3 (3 bytes) differ from byte 2 on"]);
    }

    /// A copy with one record at each of these offsets.
    fn table(records: &[(i64, &str)]) -> Vec<u8> {
        let batch = |(offset, key): &(i64, &str)| {
            let mut batch = BatchBuilder::new(Codec::None);
            batch.append(&NewRecord { key: Some(key.as_bytes()), ..NewRecord::default() }).expect("a small record");
            let mut batch = batch.build().expect("a small batch");
            batch[..8].copy_from_slice(&offset.to_be_bytes());
            batch
        };
        records.iter().flat_map(batch).collect()
    }

    fn lost_of(records: &[(i64, &str)]) -> Vec<String> {
        let place = Place { topic: "t".to_owned(), partition: 0 };
        let acknowledged = Acknowledged::from([(b"a".to_vec(), 4), (b"b".to_vec(), 7)]);
        lost(&place, &[(1, Some(table(records)))], &acknowledged)
    }

    #[test]
    fn the_last_value_of_each_key_or_a_later_one_is_enough() {
        assert_eq!(lost_of(&[(4, "a"), (7, "b")]), [""; 0]);
        assert_eq!(lost_of(&[(7, "b"), (8, "c"), (9, "a")]), [""; 0]);
    }

    #[test]
    fn a_key_without_its_last_acknowledged_value_is_flagged() {
        let is_lost = ["t-0: the replica on 1 has lost a, acknowledged at offset 4"];
        assert_eq!(lost_of(&[(7, "b")]), is_lost);
        assert_eq!(lost_of(&[(3, "a"), (7, "b")]), is_lost, "an earlier value is not enough");
    }

    #[test]
    fn a_copy_that_is_gone_is_flagged() {
        assert_eq!(judged(&[(1, Some(b"abc")), (2, None)]), ["t-0: the replica on 2 is gone"]);
    }
}
