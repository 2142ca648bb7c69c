//! What this broker knows of the cluster: an immutable image, swapped whole, with a version (law 4).
//!
//! *Who publishes*: the controller's shell, and the handler of UpdateMetadata. Everybody loads the current image and answers from it.
//! *Does not know*: how the news came (from our own controller, or in an UpdateMetadata request).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::config::SecurityProtocol;
use crate::machine::controller::{PartitionNotice, PartitionState};
use crate::model::{BrokerId, PartitionIndex, TopicId, TopicName};

/// The current image, shared by all loops. Cheap to clone.
#[derive(Clone)]
pub struct Metadata {
    current: Arc<ArcSwap<Image>>,
    /// Held while an image is made: our own controller and another one's requests may publish at the same time.
    publishing: Arc<Mutex<()>>,
    /// Wakes those who wait for the next image, in the order in which they came: a watch channel would draw lots.
    changed: Arc<Notify>,
}

/// The cluster at one moment.
#[derive(Clone, Debug)]
pub struct Image {
    /// Grows with each image.
    pub version: u64,
    /// `/cluster/id`.
    pub cluster_id: Arc<str>,
    /// The active controller, or [`BrokerId::NONE`].
    pub controller: BrokerId,
    /// Live brokers.
    pub brokers: BTreeMap<BrokerId, Arc<BrokerImage>>,
    /// Topics by name.
    pub topics: BTreeMap<TopicName, Arc<TopicImage>>,
    /// Names of topics by id.
    pub names: BTreeMap<TopicId, TopicName>,
}

/// A live broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerImage {
    /// Where it listens, by listener name.
    pub endpoints: BTreeMap<String, EndpointImage>,
    /// `broker.rack`.
    pub rack: Option<String>,
}

/// One of a broker's listeners, as others reach it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointImage {
    /// Host and port.
    pub address: (String, u16),
    /// How it is protected.
    pub security_protocol: SecurityProtocol,
}

impl BrokerImage {
    /// Host and port of a listener.
    #[must_use]
    pub fn address(&self, listener: &str) -> Option<&(String, u16)> {
        self.endpoints.get(listener).map(|endpoint| &endpoint.address)
    }
}

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicImage {
    /// Its id.
    pub id: TopicId,
    /// Its partitions.
    pub partitions: BTreeMap<PartitionIndex, PartitionImage>,
}

/// A partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionImage {
    /// Replicas in order of preference.
    pub replicas: Vec<BrokerId>,
    /// Leader, ISR and epochs.
    pub state: PartitionState,
    /// Replicas that the controller knows to be offline.
    pub offline: Vec<BrokerId>,
}

impl Metadata {
    /// An image of a cluster of which nothing is known but its id.
    #[must_use]
    pub fn new(cluster_id: &str) -> Self {
        let image = Image {
            version: 0,
            cluster_id: cluster_id.into(),
            controller: BrokerId::NONE,
            brokers: BTreeMap::new(),
            topics: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        Self { current: Arc::new(ArcSwap::from_pointee(image)), publishing: Arc::default(), changed: Arc::default() }
    }

    /// The current image.
    #[must_use]
    pub fn load(&self) -> arc_swap::Guard<Arc<Image>> {
        self.current.load()
    }

    /// The current image, to be kept across an await.
    #[must_use]
    pub fn load_full(&self) -> Arc<Image> {
        self.current.load_full()
    }

    /// Returns when an image holds what `condition` asks for.
    pub async fn until(&self, condition: impl Fn(&Image) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no image is missed.
            changed.as_mut().enable();
            if condition(&self.load()) {
                return;
            }
            changed.await;
        }
    }

    /// Publishes the image that `change` makes of the current one.
    pub fn publish(&self, change: impl FnOnce(&mut Image)) {
        let _alone = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Image::clone(&self.current.load());
        next.version += 1;
        change(&mut next);
        self.current.store(Arc::new(next));
        self.changed.notify_waiters();
    }
}

impl Image {
    /// Takes in partitions as UpdateMetadata does: merged, without comparing epochs.
    pub fn merge(&mut self, notices: Vec<PartitionNotice>) {
        for notice in notices {
            let entry = self.topics.entry(notice.topic.clone());
            let topic =
                entry.or_insert_with(|| Arc::new(TopicImage { id: notice.topic_id, partitions: BTreeMap::new() }));
            if topic.id != notice.topic_id {
                self.names.remove(&topic.id);
                *topic = Arc::new(TopicImage { id: notice.topic_id, partitions: BTreeMap::new() });
            }
            let PartitionNotice { assignment, state, offline, .. } = notice;
            let partition = PartitionImage { replicas: assignment.replicas, state, offline };
            Arc::make_mut(topic).partitions.insert(notice.partition, partition);
            if !notice.topic_id.is_zero() {
                self.names.insert(notice.topic_id, notice.topic);
            }
        }
    }

    /// Forgets the topics that are none of these.
    pub fn keep_only(&mut self, notices: &[PartitionNotice]) {
        let ids = notices.iter().map(|notice| notice.topic_id).collect::<BTreeSet<_>>();
        self.topics.retain(|_, topic| ids.contains(&topic.id));
        self.names.retain(|id, _| ids.contains(id));
    }

    /// Forgets a topic, unless another topic has taken its name meanwhile. Whether the name is gone by this.
    pub fn forget(&mut self, name: &TopicName, id: TopicId) -> bool {
        self.names.remove(&id);
        let known = self.topics.get(name).is_some_and(|topic| topic.id == id);
        known && self.topics.remove(name).is_some()
    }

    /// Forgets a partition, and with the last one its topic; a topic of the same name with another id stays. Whether the
    /// topic is gone by this.
    pub fn forget_partition(&mut self, name: &TopicName, id: TopicId, index: PartitionIndex) -> bool {
        let Some(topic) = self.topics.get_mut(name).filter(|topic| id.is_zero() || topic.id == id) else {
            return false;
        };
        Arc::make_mut(topic).partitions.remove(&index);
        let (id, is_empty) = (topic.id, topic.partitions.is_empty());
        is_empty && self.forget(name, id)
    }

    /// A topic by its id.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<(&TopicName, &Arc<TopicImage>)> {
        let name = self.names.get(&id)?;
        self.topics.get_key_value(name)
    }

    /// Whether every partition of a topic has a live leader.
    #[must_use]
    pub fn has_leaders(&self, name: &TopicName) -> bool {
        let led = |partition: &PartitionImage| self.brokers.contains_key(&partition.state.leader);
        self.topics.get(name).is_some_and(|topic| topic.partitions.values().all(led))
    }

    /// Ids of the live brokers.
    #[must_use]
    pub fn live(&self) -> BTreeSet<BrokerId> {
        self.brokers.keys().copied().collect()
    }

    /// Replicas of a partition that cannot be served: their broker is not live, or their log dir has failed.
    pub fn offline<'i>(&'i self, partition: &'i PartitionImage) -> impl Iterator<Item = BrokerId> + 'i {
        let offline = |id: &BrokerId| !self.brokers.contains_key(id) || partition.offline.contains(id);
        partition.replicas.iter().copied().filter(offline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::controller::Assignment;
    use crate::model::{ControllerEpoch, LeaderEpoch, PartitionEpoch};

    fn notice(topic: &str, id: u8) -> PartitionNotice {
        PartitionNotice {
            topic: TopicName::new(topic).expect("a name"),
            topic_id: TopicId([id; 16]),
            partition: PartitionIndex(0),
            assignment: Assignment::settled(vec![BrokerId(1)]),
            state: PartitionState {
                controller_epoch: ControllerEpoch(1),
                leader: BrokerId(1),
                leader_epoch: LeaderEpoch(0),
                isr: vec![BrokerId(1)],
                partition_epoch: PartitionEpoch(0),
                recovering: false,
            },
            offline: vec![],
            is_new: false,
        }
    }

    #[test]
    fn what_everything_does_not_name_is_forgotten_and_so_is_an_earlier_namesake() {
        let metadata = Metadata::new("cluster");
        metadata.publish(|image| image.merge(vec![notice("gone", 1), notice("made-anew", 2), notice("stays", 3)]));
        let everything = vec![notice("made-anew", 4), notice("stays", 3)];
        metadata.publish(|image| {
            image.keep_only(&everything);
            assert_eq!(image.topics.keys().map(TopicName::as_str).collect::<Vec<_>>(), ["stays"]);
            image.merge(everything);
        });
        let image = metadata.load();
        let known = image.topics.iter().map(|(name, topic)| (name.as_str(), topic.id.0[0])).collect::<Vec<_>>();
        assert_eq!(known, [("made-anew", 4), ("stays", 3)]);
        assert_eq!(image.names.keys().map(|id| id.0[0]).collect::<Vec<_>>(), [3, 4]);
    }
}
