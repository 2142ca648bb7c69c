//! Who of a group may write results of a partition, and up to which offset they count.
//!
//! A group reads at least once: a member that dies without a word leaves work undone that it had read, and one that was thought
//! dead may still be at work. So results are kept together with the offset of the next record that they do not count yet, as
//! Kafka's documentation recommends to those who keep offsets outside of Kafka: whoever gets a partition goes on from there, what
//! was read again is passed over, and only the last that got the partition may write.
//!
//! *Invariant*: per partition offsets are taken in order, each once, and from one holder at a time.

use std::collections::BTreeMap;

use super::views::View;

/// A member's number within its group, never given twice.
pub(super) type MemberId = u32;

/// A record as a member read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Read {
    pub(super) offset: i64,
    /// `None` when it is no view.
    pub(super) view: Option<View>,
}

/// Somebody else holds the partition by now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NotHeld;

#[derive(Clone, Debug, Default)]
struct Part {
    holder: Option<MemberId>,
    next: i64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    parts: BTreeMap<i32, Part>,
}

impl Ledger {
    /// The group gave a partition to this member, and takes it from whoever had it.
    pub(super) fn take(&mut self, partition: i32, member: MemberId) {
        self.parts.entry(partition).or_default().holder = Some(member);
    }

    /// A member gives a partition back, if it is still its own.
    pub(super) fn give_back(&mut self, partition: i32, member: MemberId) {
        if let Some(part) = self.parts.get_mut(&partition).filter(|part| part.holder == Some(member)) {
            part.holder = None;
        }
    }

    pub(super) fn holder(&self, partition: i32) -> Option<MemberId> {
        self.parts.get(&partition)?.holder
    }

    /// The next offset that the results do not count yet.
    pub(super) fn next(&self, partition: i32) -> i64 {
        self.parts.get(&partition).map_or(0, |part| part.next)
    }

    /// Results were found that count up to here.
    pub(super) fn go_on_at(&mut self, partition: i32, next: i64) {
        self.parts.entry(partition).or_default().next = next;
    }

    /// What of a member's records is to be counted, in order. Everything below `next` is read.
    pub(super) fn accept(
        &mut self,
        partition: i32,
        member: MemberId,
        reads: Vec<Read>,
        next: i64,
    ) -> Result<Vec<Read>, NotHeld> {
        let part = self.parts.get_mut(&partition).filter(|part| part.holder == Some(member)).ok_or(NotHeld)?;
        let mut fresh = reads;
        fresh.retain(|read| {
            let is_fresh = part.next <= read.offset;
            if is_fresh {
                part.next = read.offset.saturating_add(1);
            }
            is_fresh
        });
        part.next = part.next.max(next);
        Ok(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(offsets: impl IntoIterator<Item = i64>) -> Vec<Read> {
        offsets.into_iter().map(|offset| Read { offset, view: None }).collect()
    }

    fn offsets(reads: &[Read]) -> Vec<i64> {
        reads.iter().map(|read| read.offset).collect()
    }

    #[test]
    fn the_next_member_goes_on_where_results_end() {
        let mut ledger = Ledger::default();
        ledger.take(0, 1);
        assert_eq!(ledger.accept(0, 1, reads(0..5), 5).as_deref().map(offsets), Ok(vec![0, 1, 2, 3, 4]));
        // It reads 5 to 9, is killed before it writes, and the next one gets the partition.
        ledger.take(0, 2);
        assert_eq!(ledger.next(0), 5);
        assert_eq!(ledger.accept(0, 2, reads(5..12), 12).as_deref().map(offsets), Ok((5..12).collect()));
        assert_eq!(ledger.next(0), 12);
    }

    #[test]
    fn what_was_counted_is_passed_over() {
        let mut ledger = Ledger::default();
        ledger.take(3, 1);
        assert!(ledger.accept(3, 1, reads(0..10), 10).is_ok());
        assert_eq!(ledger.accept(3, 1, reads([8, 9, 9, 10, 10, 12]), 13).as_deref().map(offsets), Ok(vec![10, 12]));
        assert_eq!(ledger.accept(3, 1, reads(0..13), 13), Ok(Vec::new()));
    }

    #[test]
    fn who_lost_a_partition_writes_no_more() {
        let mut ledger = Ledger::default();
        ledger.take(0, 1);
        ledger.take(0, 2);
        assert_eq!(ledger.accept(0, 1, reads(0..3), 3), Err(NotHeld));
        ledger.give_back(0, 1);
        assert_eq!((ledger.holder(0), ledger.next(0)), (Some(2), 0), "it is not its to give");
        ledger.give_back(0, 2);
        assert_eq!(ledger.accept(0, 2, reads(0..3), 3), Err(NotHeld));
        assert_eq!(ledger.holder(0), None);
    }
}
