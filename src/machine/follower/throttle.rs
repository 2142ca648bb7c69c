//! Throttled partitions: while more than the quota went through, those that are behind are left out of the fetches (KIP-73).
//!
//! *Invariant*: whether a partition is held back changes only when a fetch is made, or when it is throttled no more: an answer is
//! always about what was asked.
//!
//! Source: Kafka 3.9 `RemoteLeaderEndPoint.shouldFollowerThrottle`.

use super::{Followed, Phase, ReplicaFetcher};
use crate::model::{Moment, TopicPartition};

impl ReplicaFetcher {
    /// Whether what comes must be counted, and [`Event::Quota`](super::Event::Quota) be said.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        !self.throttled.is_empty()
    }

    pub(super) fn throttle(&mut self, partition: TopicPartition, throttled: bool) {
        let Some(followed) = self.partitions.get_mut(&partition) else { return };
        if throttled {
            self.throttled.insert(partition);
        } else if self.throttled.remove(&partition) && std::mem::take(&mut followed.held) {
            self.session.touch(&partition);
        }
    }

    /// Leaves throttled partitions that are behind out of the next fetch, while more than the quota went through.
    pub(super) fn hold_back(&mut self, now: Moment) {
        let exceeded_until = self.exceeded_until.filter(|until| now < *until);
        // The rate may change meanwhile: it is looked again soon.
        let again = exceeded_until.map(|until| until.min(now.after(self.rules.backoff_max)));
        self.held_until = None;
        for id in &self.throttled {
            let Some(followed) = self.partitions.get_mut(id) else { continue };
            let held = again.filter(|_| followed.is_behind());
            self.held_until = self.held_until.or(held);
            if std::mem::replace(&mut followed.held, held.is_some()) != held.is_some() {
                self.session.touch(id);
            }
        }
    }
}

impl Followed {
    /// Whether it can be asked for, and has not all that the leader was last known to have committed.
    fn is_behind(&self) -> bool {
        let Phase::Fetching(position) = self.phase else { return false };
        self.told.is_none_or(|(high_watermark, _)| position.offset < high_watermark)
    }
}
