//! Who copies what (Kafka's `ReplicaFetcherManager`): `num.replica.fetchers` fetchers to every leader, over which the partitions
//! are spread as Kafka does. They live on the loops in turn.
//!
//! *State owned*: the fetchers, which of them has which partition. *Owner*: the replicas actor.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::Addr;

use super::fetcher::{Change, Changed, Changes, Fetcher, FetcherId, FetcherParts, Follow, Throttle};
use super::image::Metadata;
use super::membership::Membership;
use super::placement::{LoopId, Placement};
use super::ports::Ports;
use super::quotas::Quotas;
use super::settings::SettingsStore;
use super::supervisor::DeathNotice;
use crate::model::{BrokerId, TopicPartition};

/// See the module.
pub struct Fetchers {
    parts: FetchersParts,
    running: BTreeMap<FetcherId, Running>,
    /// Who copies each partition.
    of: BTreeMap<TopicPartition, FetcherId>,
    /// To each leader.
    count: usize,
    next_home: usize,
}

/// What they are made of.
#[derive(Clone)]
pub struct FetchersParts {
    /// This broker.
    pub local: BrokerId,
    /// `inter.broker.listener.name`.
    pub listener: String,
    /// Which incarnation of this broker.
    pub membership: Membership,
    /// Where leaders listen.
    pub metadata: Metadata,
    /// Network, clock.
    pub ports: Ports,
    /// Their number, sizes and waits.
    pub settings: SettingsStore,
    /// How fast they copy.
    pub quotas: Quotas,
    /// Loops.
    pub placement: Placement,
}

struct Running {
    addr: Addr<Fetcher>,
    changes: Arc<Changes>,
}

impl Running {
    fn tell(&self, change: Change) {
        self.changes.put(change);
        // Full: then it is woken already. Closed: it died, and another one will be told all.
        let _woken_or_gone = self.addr.try_send(Changed);
    }
}

impl Fetchers {
    /// None yet.
    #[must_use]
    pub fn new(parts: FetchersParts) -> Self {
        let count = parts.settings.broker().replication.fetchers;
        Self { parts, running: BTreeMap::new(), of: BTreeMap::new(), count, next_home: 0 }
    }

    /// Has a partition copied from a leader, and from no other. `notice` is for a fetcher that is started for it.
    pub fn follow(&mut self, leader: BrokerId, follow: Follow, notice: impl FnOnce(FetcherId) -> DeathNotice) {
        let id = FetcherId { leader, number: number(&follow.id, self.count) };
        let before = self.of.insert(follow.id.clone(), id).filter(|before| *before != id);
        if let Some(before) = before.and_then(|before| self.running.get(&before)) {
            before.tell(Change::Leave(follow.id.clone()));
        }
        if !self.running.contains_key(&id) {
            let running = self.start(id, notice(id));
            self.running.insert(id, running);
        }
        if let Some(fetcher) = self.running.get(&id) {
            fetcher.tell(Change::Follow(follow));
        }
    }

    /// Whether a partition is throttled has changed, or may have.
    pub fn throttle(&self, id: &TopicPartition, throttled: bool) {
        if let Some(fetcher) = self.of.get(id).and_then(|of| self.running.get(of)) {
            fetcher.tell(Change::Throttle(id.clone(), throttled));
        }
    }

    /// Has partitions copied no more.
    pub fn leave<'i>(&mut self, ids: impl IntoIterator<Item = &'i TopicPartition>) {
        for id in ids {
            if let Some(fetcher) = self.of.remove(id).and_then(|of| self.running.get(&of)) {
                fetcher.tell(Change::Leave(id.clone()));
            }
        }
    }

    /// One is dead: its partitions have none.
    pub fn died(&mut self, id: FetcherId) {
        self.running.remove(&id);
        self.of.retain(|_, of| *of != id);
    }

    /// Ends all when `num.replica.fetchers` is another one now. Whether it is: then every partition must be followed again.
    pub fn resize(&mut self) -> bool {
        let count = self.parts.settings.broker().replication.fetchers;
        if std::mem::replace(&mut self.count, count) == count {
            return false;
        }
        self.retire();
        true
    }

    /// Ends all.
    pub fn retire(&mut self) {
        std::mem::take(&mut self.running).into_values().for_each(|fetcher| fetcher.tell(Change::Retire));
        self.of.clear();
    }

    fn start(&mut self, id: FetcherId, notice: DeathNotice) -> Running {
        // The main loop has enough to do: it is the last in turn.
        self.next_home += 1;
        let home = LoopId(self.next_home % self.parts.placement.loops());
        let FetchersParts { local, listener, membership, metadata, ports, settings, quotas, placement } =
            self.parts.clone();
        let config = settings.broker().replication.clone();
        let throttle = Throttle { settings, quota: quotas.follower };
        let parts = FetcherParts { id, local, listener, membership, metadata, ports, config };
        let changes = Arc::<Changes>::default();
        let own = Arc::clone(&changes);
        let addr = placement.start(home, move |_| Fetcher::new(parts, throttle, own, notice));
        Running { addr, changes }
    }
}

/// Which of `count` fetchers has a partition (`AbstractFetcherManager.getFetcherId`).
fn number(id: &TopicPartition, count: usize) -> usize {
    // Java's `String.hashCode`; names of topics are ASCII.
    let hash = id.topic.as_str().bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)));
    let spread = hash.wrapping_mul(31).wrapping_add(id.partition.0);
    // `Utils.abs`: of the lowest number it is 0.
    usize::try_from(spread.checked_abs().unwrap_or(0)).unwrap_or(0) % count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PartitionIndex, TopicName};

    #[test]
    fn partitions_are_spread_as_kafka_does() {
        let of = |topic: &str, partition| {
            let topic = TopicName::new(topic).expect("a name");
            number(&TopicPartition { topic, partition: PartitionIndex(partition) }, 7)
        };
        // "a".hashCode() is 97, "test".hashCode() 3556498, "polygenelubricants".hashCode() the lowest of all.
        assert_eq!(of("a", 0), 31 * 97 % 7);
        assert_eq!(of("test", 5), (31 * 3_556_498 + 5) % 7);
        assert_eq!(of("polygenelubricants", 0), 0, "31 times it is it again");
        assert_eq!(of("polygenelubricants", 1), (i32::MAX % 7) as usize);
        assert_eq!(
            number(&TopicPartition { topic: TopicName::new("a").expect("a name"), partition: PartitionIndex(3) }, 1),
            0
        );
    }
}
