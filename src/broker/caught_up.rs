//! Followers that rest: they have all that the leader has, and ask again and again for what comes behind. Nothing of that changes
//! anything but the moment at which each was last seen, which the ISR depends on (`lastCaughtUpTimeMs` of Kafka's
//! `Replica.scala`): that is noted here, instead of a message to the partition with each fetch.
//!
//! *Owner*: the partition's actor gives out a [`CaughtUp`] per follower, and revokes it when it wants to hear of the follower
//! again.
//! *Who notes*: the connection by which the follower fetches, on any loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::directory::{PartitionHandle, Published};
use crate::machine::fetch_session::{Key, Wanted};
use crate::model::{BrokerId, LeaderEpoch, Moment, Offset};

/// When a follower was last seen to have all that the leader has.
#[derive(Debug, Default)]
pub struct CaughtUp {
    /// In µs of a [`Moment`].
    at: AtomicU64,
    revoked: AtomicBool,
}

impl CaughtUp {
    fn note(&self, now: Moment) {
        self.at.fetch_max(u64::try_from(now.0.as_micros()).unwrap_or(u64::MAX), Ordering::AcqRel);
    }

    fn at(&self) -> Moment {
        Moment(Duration::from_micros(self.at.load(Ordering::Acquire)))
    }
}

/// The followers of one partition that rest. Of the partition's actor.
#[derive(Debug, Default)]
pub struct Resting(BTreeMap<BrokerId, Rests>);

#[derive(Debug)]
struct Rests {
    seen: Arc<CaughtUp>,
    /// What it asked for last.
    offset: Offset,
    /// What the machine was told last.
    told: Moment,
}

impl Resting {
    /// A follower that has everything need not be told of again while it asks for the same.
    pub fn give(&mut self, replica: BrokerId, offset: Offset, now: Moment) -> Arc<CaughtUp> {
        if self.0.get(&replica).is_some_and(|known| offset < known.offset) {
            // It lost something: whoever noted what it had before must not go on.
            self.take(replica);
        }
        let fresh = || Rests { seen: Arc::default(), offset, told: now };
        let rests = self.0.entry(replica).or_insert_with(fresh);
        rests.offset = offset;
        Arc::clone(&rests.seen)
    }

    /// A follower is to be heard of with every fetch.
    pub fn take(&mut self, replica: BrokerId) {
        if let Some(rests) = self.0.remove(&replica) {
            rests.seen.revoked.store(true, Ordering::Release);
        }
    }

    /// So is everyone.
    pub fn take_all(&mut self) {
        std::mem::take(&mut self.0).into_values().for_each(|rests| rests.seen.revoked.store(true, Ordering::Release));
    }

    /// Who was seen since this was asked last, and when.
    pub fn news(&mut self) -> Vec<(BrokerId, Moment)> {
        let seen = self.0.iter_mut().filter_map(|(replica, rests)| {
            let at = rests.seen.at();
            (rests.told < at).then(|| {
                rests.told = at;
                (*replica, at)
            })
        });
        seen.collect()
    }
}

/// What the partitions were told of a follower, by its fetch session.
#[derive(Debug, Default)]
pub struct Told {
    replica: Option<BrokerId>,
    memos: BTreeMap<Key, Memo>,
}

#[derive(Debug)]
struct Memo {
    published: Arc<Published>,
    leader_epoch: LeaderEpoch,
    offset: Offset,
    last_epoch: LeaderEpoch,
    log_start: Offset,
    seen: Arc<CaughtUp>,
}

impl Told {
    /// Who fetches: of another one than before nothing was told.
    pub fn by(&mut self, replica: BrokerId) {
        if self.replica.replace(replica) != Some(replica) {
            self.clear();
        }
    }

    /// Whether the partition need not be told: the follower asks for what it asked for before, it still has all that the leader
    /// has, and that is noted. `now` must be read before.
    #[must_use]
    pub fn rests(&self, key: &Key, partition: &PartitionHandle, wanted: &Wanted, now: Moment) -> bool {
        let Some(memo) = self.memos.get(key) else { return false };
        let same = Arc::ptr_eq(&memo.published, &partition.published)
            && memo.leader_epoch == partition.published.role().leader_epoch
            && memo.offset == wanted.offset
            && memo.last_epoch == wanted.last_fetched_epoch
            && memo.log_start == wanted.log_start_offset
            && memo.offset == partition.published.log.log_end_offset();
        if !same || memo.seen.revoked.load(Ordering::Acquire) {
            return false;
        }
        memo.seen.note(now);
        true
    }

    /// The partition was told, and need not be again for a while, if it gave something to note instead.
    pub fn told(&mut self, key: &Key, partition: &PartitionHandle, wanted: &Wanted, rests: Option<Arc<CaughtUp>>) {
        match rests {
            Some(seen) => {
                let published = Arc::clone(&partition.published);
                let (offset, last_epoch) = (wanted.offset, wanted.last_fetched_epoch);
                let (leader_epoch, log_start) = (wanted.current_leader_epoch, wanted.log_start_offset);
                let memo = Memo { published, leader_epoch, offset, last_epoch, log_start, seen };
                self.memos.insert(key.clone(), memo);
            }
            None => drop(self.memos.remove(key)),
        }
    }

    /// The session has these partitions no more.
    pub fn forget(&mut self, keys: &[Key]) {
        keys.iter().for_each(|key| drop(self.memos.remove(key)));
    }

    /// The session ended.
    pub fn clear(&mut self) {
        self.memos.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn what_was_noted_is_told_once_and_nothing_after_it_was_revoked() {
        let mut resting = Resting::default();
        let seen = resting.give(BrokerId(2), Offset(5), at(1));
        assert_eq!(resting.news(), []);
        seen.note(at(3));
        seen.note(at(2));
        assert_eq!(resting.news(), [(BrokerId(2), at(3))], "the latest counts");
        assert_eq!(resting.news(), []);
        assert!(Arc::ptr_eq(&seen, &resting.give(BrokerId(2), Offset(6), at(4))), "it goes on");
        let other = resting.give(BrokerId(2), Offset(4), at(5));
        assert!(seen.revoked.load(Ordering::Acquire), "it lost something");
        seen.note(at(9));
        assert_eq!(resting.news(), []);
        resting.take_all();
        assert!(other.revoked.load(Ordering::Acquire));
    }
}
