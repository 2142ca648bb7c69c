//! The last judgement on a cluster that is healed and stopped: every replica that is assigned is there, and all of a partition hold
//! the same bytes.

use std::path::{Path, PathBuf};

use super::super::oracle::Place;
use crate::storage::disk::sim::SimDisk;
use crate::storage::disk::{Access, Disk as _};

/// What one broker has of a partition: the bytes of its segments, one behind the other, or nothing.
pub type Copy = (i32, Option<Vec<u8>>);

/// What is wrong with the copies of a partition whose replicas are assigned to these brokers.
#[must_use]
pub fn differences(place: &Place, copies: &[Copy]) -> Vec<String> {
    let missing = copies.iter().filter(|(_, copy)| copy.is_none());
    let mut wrong = missing.map(|(id, _)| format!("{place}: the replica on {id} is gone")).collect::<Vec<_>>();
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

    #[test]
    fn a_copy_that_is_gone_is_flagged() {
        assert_eq!(judged(&[(1, Some(b"abc")), (2, None)]), ["t-0: the replica on 2 is gone"]);
    }
}
