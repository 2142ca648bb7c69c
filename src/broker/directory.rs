//! Which partitions live in this broker, and how to reach each: by its mailbox to change it, by what it publishes to read it.
//!
//! *Owner*: the replicas actor swaps the directory whole; everybody loads it (law 4).
//! *Does not know*: leadership of partitions elsewhere; that is the metadata image's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use actix::Addr;
use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::partition::PartitionActor;
use super::placement::LoopId;
use super::settings::TopicSettings;
use crate::machine::isr_change::IsrChange;
use crate::machine::partition::Leadership;
use crate::model::{ErrorCode, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName, TopicPartition};
use crate::storage::log::LogView;

/// All local partitions. Cheap to clone.
#[derive(Clone, Default)]
pub struct Directory(Arc<Local>);

#[derive(Default)]
struct Local {
    partitions: ArcSwap<Partitions>,
    /// Those that lie here and cannot be served: their log dir failed, or they were given up.
    offline: ArcSwap<BTreeSet<TopicPartition>>,
}

/// Local partitions by topic and number.
pub type Partitions = BTreeMap<TopicName, BTreeMap<PartitionIndex, PartitionHandle>>;

impl Directory {
    /// The current directory.
    #[must_use]
    pub fn load(&self) -> arc_swap::Guard<Arc<Partitions>> {
        self.0.partitions.load()
    }

    /// One partition.
    #[must_use]
    pub fn find(&self, topic: &str, partition: PartitionIndex) -> Option<PartitionHandle> {
        self.0.partitions.load().get(topic)?.get(&partition).cloned()
    }

    /// What to answer about a partition that is known in the cluster and was not found here.
    #[must_use]
    pub fn absence(&self, topic: &str, partition: PartitionIndex) -> ErrorCode {
        let offline = self.0.offline.load();
        let is_offline = offline.iter().any(|id| id.partition == partition && id.topic.as_str() == topic);
        if is_offline { ErrorCode::KafkaStorageError } else { ErrorCode::NotLeaderOrFollower }
    }

    /// Publishes what `change` makes of the current directory. Only the replicas actor calls it.
    pub fn publish(&self, change: impl FnOnce(&mut Partitions)) {
        let mut next = Partitions::clone(&self.0.partitions.load());
        change(&mut next);
        self.0.partitions.store(Arc::new(next));
    }

    /// Takes partitions away that cannot be served, until they are published again or forgotten. Only the replicas actor
    /// calls it.
    pub fn take_offline(&self, ids: &[TopicPartition]) {
        let mut offline = BTreeSet::clone(&self.0.offline.load());
        offline.extend(ids.iter().cloned());
        self.0.offline.store(Arc::new(offline));
        self.publish(|partitions| remove(partitions, ids));
    }

    /// Forgets that partitions were offline. Only the replicas actor calls it.
    pub fn forget_offline<'i>(&self, ids: impl Iterator<Item = &'i TopicPartition>) {
        let offline = self.0.offline.load();
        let forgotten = ids.filter(|id| offline.contains(*id)).collect::<BTreeSet<_>>();
        if !forgotten.is_empty() {
            let left = offline.iter().filter(|id| !forgotten.contains(id)).cloned().collect();
            self.0.offline.store(Arc::new(left));
        }
    }
}

/// Takes partitions out of the directory.
pub fn remove(partitions: &mut Partitions, ids: &[TopicPartition]) {
    for id in ids {
        if let Some(topic) = partitions.get_mut(&id.topic) {
            topic.remove(&id.partition);
            if topic.is_empty() {
                partitions.remove(&id.topic);
            }
        }
    }
}

/// One local partition. Cheap to clone.
#[derive(Clone)]
pub struct PartitionHandle {
    /// Its mailbox.
    pub addr: Addr<PartitionActor>,
    /// The loop that it lives on: connections that use it most move there.
    pub home: LoopId,
    /// What anybody may read of it.
    pub published: Arc<Published>,
}

/// What a partition publishes for readers on any loop. The partition's actor is the only writer.
#[derive(Debug)]
pub struct Published {
    /// See [`Self::topic_id`].
    topic_id: OnceLock<TopicId>,
    /// The log.
    pub log: Arc<LogView>,
    role: ArcSwap<Role>,
    settings: ArcSwap<TopicSettings>,
    /// For the actor that comes after this one.
    standing: Mutex<Option<Standing>>,
    high_watermark: AtomicI64,
    last_stable_offset: AtomicI64,
    /// Consumers, who wait for the high watermark.
    waiters: Mutex<Waiters>,
    /// Followers, who wait for the log's end.
    followers: Mutex<Waiters>,
    /// Whether there are any, so that an append need not look.
    followers_wait: AtomicBool,
}

/// Who leads, as the partition's actor last heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Role {
    /// Which leadership.
    pub leader_epoch: LeaderEpoch,
    /// Where the log ended when we began to lead; `None`: we do not.
    pub epoch_start: Option<Offset>,
    /// Whether another broker leads and we copy from it. Neither after the session with the coordinator has ended: then nobody here knows.
    pub following: bool,
}

impl Role {
    /// Whether the leadership is ours.
    #[must_use]
    pub fn leading(&self) -> bool {
        self.epoch_start.is_some()
    }
}

/// How it stands with a leadership: what the controller said when it began is not what holds once the ISR has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// With the ISR that holds, as the leader last heard.
    pub leadership: Leadership,
    /// The wish for another one that was not answered.
    pub asked: Option<IsrChange>,
}

/// A fetch that waits for records. Woken once; it looks again itself.
#[derive(Debug, Default)]
pub struct FetchWaiter {
    woken: Notify,
    /// Set when woken, so that a partition with many records wakes it only once.
    spent: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiters {
    /// Each with the offset that must be passed.
    waiting: Vec<(Offset, Weak<FetchWaiter>)>,
    /// Length at which fetches that went away are swept out.
    sweep_at: usize,
}

impl Published {
    /// What a partition that has not heard from the controller publishes.
    #[must_use]
    pub fn new(topic_id: TopicId, log: Arc<LogView>, high_watermark: Offset, settings: Arc<TopicSettings>) -> Self {
        Self {
            topic_id: if topic_id.is_zero() { OnceLock::new() } else { topic_id.into() },
            log,
            role: ArcSwap::from_pointee(Role { leader_epoch: LeaderEpoch::NONE, epoch_start: None, following: false }),
            settings: ArcSwap::new(settings),
            standing: Mutex::default(),
            high_watermark: AtomicI64::new(high_watermark.0),
            last_stable_offset: AtomicI64::new(high_watermark.0),
            waiters: Mutex::default(),
            followers: Mutex::default(),
            followers_wait: AtomicBool::new(false),
        }
    }

    /// Id of its topic, to refuse requests that mean a namesake; zero while it has none, as topics of before Kafka 2.8.
    #[must_use]
    pub fn topic_id(&self) -> TopicId {
        self.topic_id.get().copied().unwrap_or(TopicId::ZERO)
    }

    /// Its topic has an id from now on.
    pub fn adopt_topic_id(&self, topic_id: TopicId) {
        assert_eq!(*self.topic_id.get_or_init(|| topic_id), topic_id, "a topic has one id");
    }

    /// Who leads.
    #[must_use]
    pub fn role(&self) -> Role {
        **self.role.load()
    }

    /// The topic's settings.
    #[must_use]
    pub fn settings(&self) -> arc_swap::Guard<Arc<TopicSettings>> {
        self.settings.load()
    }

    /// One past the last committed record.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark.load(Ordering::Acquire))
    }

    /// One past the last record that READ_COMMITTED readers may see. Never above the high watermark.
    #[must_use]
    pub fn last_stable_offset(&self) -> Offset {
        Offset(self.last_stable_offset.load(Ordering::Acquire))
    }

    /// Wakes `waiter` when the high watermark passes `beyond`, or when leadership changes.
    pub fn watch(&self, beyond: Offset, waiter: &Arc<FetchWaiter>) {
        lock(&self.waiters).add(beyond, waiter);
        // The high watermark may have moved between the fetch's look and this registration.
        if beyond < self.high_watermark() {
            waiter.wake();
        }
    }

    /// Wakes `waiter` when the log's end passes `beyond`, or when leadership changes.
    pub fn watch_end(&self, beyond: Offset, waiter: &Arc<FetchWaiter>) {
        lock(&self.followers).add(beyond, waiter);
        self.followers_wait.store(true, Ordering::Release);
        if beyond < self.log.log_end_offset() {
            waiter.wake();
        }
    }

    /// For the partition's actor.
    pub(super) fn set_role(&self, role: Role) {
        self.role.store(Arc::new(role));
        lock(&self.waiters).wake_where(|_| true);
        lock(&self.followers).wake_where(|_| true);
    }

    /// How it stands with the leadership that was the partition's last.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        lock(&self.standing).clone()
    }

    /// For the partition's actor.
    pub(super) fn set_standing(&self, standing: Standing) {
        *lock(&self.standing) = Some(standing);
    }

    /// For the partition's actor.
    pub(super) fn set_settings(&self, settings: Arc<TopicSettings>) {
        self.settings.store(settings);
    }

    /// For the partition's actor.
    pub(super) fn set_offsets(&self, high_watermark: Offset, last_stable_offset: Offset) {
        self.last_stable_offset.store(last_stable_offset.0, Ordering::Release);
        self.high_watermark.store(high_watermark.0, Ordering::Release);
        lock(&self.waiters).wake_where(|beyond| beyond < high_watermark);
    }

    /// For the partition's actor: the log's end moved.
    pub(super) fn appended(&self, end: Offset) {
        if self.followers_wait.swap(false, Ordering::AcqRel) {
            let mut followers = lock(&self.followers);
            followers.wake_where(|beyond| beyond < end);
            if !followers.waiting.is_empty() {
                self.followers_wait.store(true, Ordering::Release);
            }
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiters {
    fn add(&mut self, beyond: Offset, waiter: &Arc<FetchWaiter>) {
        if self.sweep_at <= self.waiting.len() {
            self.waiting.retain(|(_, waiter)| waiter.strong_count() != 0);
            self.sweep_at = (self.waiting.len() * 2).max(16);
        }
        self.waiting.push((beyond, Arc::downgrade(waiter)));
    }

    fn wake_where(&mut self, ready: impl Fn(Offset) -> bool) {
        self.waiting.retain(|(beyond, waiter)| {
            let wake = ready(*beyond);
            if wake && let Some(waiter) = waiter.upgrade() {
                waiter.wake();
            }
            !wake
        });
    }
}

impl FetchWaiter {
    /// Returns when a partition that it watches has news. At once, if that was so already.
    pub async fn woken(&self) {
        self.woken.notified().await;
    }

    fn wake(&self) {
        if !self.spent.swap(true, Ordering::AcqRel) {
            self.woken.notify_one();
        }
    }
}
