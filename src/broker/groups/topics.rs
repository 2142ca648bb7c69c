//! The topics of the cluster, as the coordinators of groups see them: made of the image of the moment, once for all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::broker::image::{Image, Metadata, TopicImage};
use crate::machine::group::{Topic, Topics};
use crate::model::{BrokerId, TopicName};
use crate::wire::Str;

/// The way to them. Cheap to clone.
#[derive(Clone)]
pub(super) struct TopicsView {
    metadata: Metadata,
    latest: Arc<Mutex<Latest>>,
}

/// What was made last, and of what.
#[derive(Default)]
struct Latest {
    /// Of the image.
    version: Option<u64>,
    racks: BTreeMap<BrokerId, Option<String>>,
    known: BTreeMap<Str, (Arc<TopicImage>, Arc<Topic>)>,
    topics: Arc<Topics>,
}

impl TopicsView {
    pub(super) fn new(metadata: Metadata) -> Self {
        Self { metadata, latest: Arc::default() }
    }

    /// The topics of now. They are the same, with the same version, while no topic changes that matters to a group. `None` before the broker
    /// knows of the topic that groups are kept in: it knows nothing yet.
    pub(super) fn current(&self) -> Option<Arc<Topics>> {
        let image = self.metadata.load();
        if !image.topics.contains_key(TopicName::CONSUMER_OFFSETS) {
            return None;
        }
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.version.is_none_or(|version| version < image.version) {
            latest.update(&image);
        }
        Some(Arc::clone(&latest.topics))
    }
}

impl Latest {
    fn update(&mut self, image: &Image) {
        let racks = image.brokers.iter().map(|(id, broker)| (*id, broker.rack.clone())).collect::<BTreeMap<_, _>>();
        let same_racks = racks == self.racks;
        let mut known = BTreeMap::new();
        for (name, topic) in image.topics.iter().filter(|(_, topic)| !topic.id.is_zero()) {
            let before = self.known.get(name.as_str()).filter(|_| same_racks);
            let (name, made) = match before.filter(|(of, _)| Arc::ptr_eq(of, topic)) {
                Some((_, made)) => (Str::from(name.as_str()), Arc::clone(made)),
                None => (Str::from(name.as_str()), Arc::new(made(name.as_str(), topic, &racks))),
            };
            known.insert(name, (Arc::clone(topic), made));
        }
        let of = |known: &BTreeMap<Str, (Arc<TopicImage>, Arc<Topic>)>| {
            known.iter().map(|(name, (_, topic))| (name.clone(), Arc::clone(topic))).collect::<Vec<_>>()
        };
        if of(&known) != of(&self.known) {
            self.topics = Arc::new(Topics::new(image.version, of(&known)));
        }
        (self.version, self.racks, self.known) = (Some(image.version), racks, known);
    }
}

fn made(name: &str, topic: &TopicImage, racks: &BTreeMap<BrokerId, Option<String>>) -> Topic {
    let of_partition = topic.partitions.values().map(|partition| {
        let racks = partition.replicas.iter().filter_map(|id| racks.get(id)?.as_deref());
        racks.collect::<Vec<_>>()
    });
    Topic::new(name, topic.id, &of_partition.collect::<Vec<_>>())
}
