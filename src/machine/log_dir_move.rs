//! How a replica's copy in another log dir catches up with it, and when it takes its place.
//!
//! *Owner*: the mover of one replica, which performs one [`Step`] after the other. *Invariant*: what does not come from the replica's log
//! is cut off before anything is copied behind it, and the copy joins only when little is missing: then the replica's mailbox waits.
//! *Does not know*: bytes, files.
//!
//! Source: Kafka 3.9 `ReplicaAlterLogDirsThread.scala`; KIP-113, KIP-595.

use crate::model::{LeaderEpoch, Moment, Offset};

/// So many copies may be missing when the copy joins: a few megabytes, which the disk writes in less than the time of a flush.
const JOIN_COPIES_MAX: u32 = 4;

/// The move of one replica.
#[derive(Debug, Default)]
pub struct LogDirMove {
    /// Up to here goes this round: the log ended there when it was begun.
    round_end: Option<Offset>,
    /// How often was copied in it.
    copies: u32,
}

/// Where the replica's log stands, as its owner says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Original {
    /// Where its first segment begins.
    pub first: Offset,
    /// First readable offset.
    pub start: Offset,
    /// One past the last record.
    pub end: Offset,
    /// Where the copy parts from it, if it does: the largest leader epoch that both may have, and where that ends in the log.
    pub parted: Option<(LeaderEpoch, Offset)>,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Begin the copy anew at an offset: the log has nothing below any more.
    Begin(Offset),
    /// Cut off the copy's end: this is the largest leader epoch that both may have, and where that ends in the log.
    Cut(LeaderEpoch, Offset),
    /// More than it may went through: wait until then, at most.
    Wait(Moment),
    /// Copy a piece.
    Copy,
    /// Flush the copy, and let it take the replica's place, with what comes meanwhile.
    Join,
}

impl LogDirMove {
    /// What comes next, for a copy that ends at `copied`, while more than may go through does until `exceeded_until`.
    pub fn next(&mut self, copied: Offset, original: &Original, exceeded_until: Option<Moment>) -> Step {
        if let Some((epoch, end)) = original.parted {
            self.round_end = None;
            return Step::Cut(epoch, end);
        }
        if copied < original.first {
            self.round_end = None;
            return Step::Begin(original.first);
        }
        match self.round_end {
            Some(end) if end <= copied && self.copies <= JOIN_COPIES_MAX => {
                // Should it not be let in, it goes on as from the beginning.
                self.round_end = None;
                return Step::Join;
            }
            Some(end) if copied < end => {}
            Some(_) | None => {
                self.round_end = Some(original.end);
                self.copies = 0;
            }
        }
        if let Some(until) = exceeded_until {
            return Step::Wait(until);
        }
        self.copies += 1;
        Step::Copy
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn original(first: i64, end: i64) -> Original {
        Original { first: Offset(first), start: Offset(first), end: Offset(end), parted: None }
    }

    #[test]
    fn it_copies_what_there_was_and_then_what_came_meanwhile_until_that_is_little() {
        let mut moving = LogDirMove::default();
        let mut next = |copied, end| moving.next(Offset(copied), &original(0, end), None);
        assert_eq!(next(0, 60), Step::Copy);
        for copied in [10, 20, 30, 40, 50] {
            assert_eq!(next(copied, 70), Step::Copy, "up to 60, where it ended");
        }
        assert_eq!(next(60, 80), Step::Copy, "that took long: much may have come");
        assert_eq!(next(70, 85), Step::Copy);
        assert_eq!(next(80, 85), Step::Join, "two pieces: little may have come");
        assert_eq!(next(80, 85), Step::Copy, "it was not let in");
        assert_eq!(next(85, 86), Step::Join);
    }

    #[test]
    fn a_log_without_records_is_copied_too() {
        let mut moving = LogDirMove::default();
        assert_eq!(moving.next(Offset(0), &original(0, 0), None), Step::Copy);
        assert_eq!(moving.next(Offset(0), &original(0, 0), None), Step::Join);
    }

    #[test]
    fn what_the_log_has_no_more_is_cut_off_or_begun_anew() {
        let mut moving = LogDirMove::default();
        assert_eq!(moving.next(Offset(5), &original(7, 20), None), Step::Begin(Offset(7)));
        assert_eq!(moving.next(Offset(7), &original(7, 20), None), Step::Copy);
        let parted = Some((LeaderEpoch(3), Offset(15)));
        let cut = moving.next(Offset(20), &Original { parted, ..original(7, 18) }, None);
        assert_eq!(cut, Step::Cut(LeaderEpoch(3), Offset(15)), "not in, although the round is at its end");
        assert_eq!(moving.next(Offset(15), &original(7, 18), None), Step::Copy);
    }

    #[test]
    fn it_goes_no_faster_than_it_may_but_does_not_wait_to_join() {
        let mut moving = LogDirMove::default();
        let until = Moment(Duration::from_secs(9));
        assert_eq!(moving.next(Offset(0), &original(0, 10), Some(until)), Step::Wait(until));
        assert_eq!(moving.next(Offset(0), &original(0, 10), None), Step::Copy);
        assert_eq!(moving.next(Offset(10), &original(0, 12), Some(until)), Step::Join);
    }
}
