//! The partitions that a fetch wants, as they are here: found once, however often it looks.

use std::sync::{Arc, Weak};

use crate::broker::directory::{PartitionHandle, Partitions};
use crate::broker::env::Env;
use crate::broker::image::Image;
use crate::machine::fetch_session::{Key, TopicKey, Wanted};
use crate::model::ErrorCode;

pub(super) struct Located<'w> {
    wanted: &'w [(&'w Key, &'w Wanted)],
    /// What they were found in: to be told from what is there later, not to be kept while the fetch waits.
    image: Weak<Image>,
    directory: Weak<Partitions>,
    /// In the order of `wanted`.
    found: Vec<Result<PartitionHandle, ErrorCode>>,
}

impl<'w> Located<'w> {
    pub(super) fn new(env: &Env, wanted: &'w [(&'w Key, &'w Wanted)]) -> Self {
        // Before anything is looked for: what changes meanwhile is found by the next `refresh`.
        let (image, directory) = (Arc::downgrade(&env.metadata.load()), Arc::downgrade(&env.directory.load()));
        let found = wanted.iter().map(|(key, _)| find(env, key)).collect();
        Self { wanted, image, directory, found }
    }

    /// Looks for them again where the cluster or what lies here has changed.
    pub(super) fn refresh(&mut self, env: &Env) {
        let (image, directory) = (env.metadata.load(), env.directory.load());
        let same = self.image.as_ptr() == Arc::as_ptr(&image) && self.directory.as_ptr() == Arc::as_ptr(&directory);
        if !same {
            *self = Self::new(env, self.wanted);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'w Key, &'w Wanted, &Result<PartitionHandle, ErrorCode>)> {
        self.wanted.iter().zip(&self.found).map(|(&(key, wanted), found)| (key, wanted, found))
    }
}

/// # Errors
/// The code for the client.
pub(super) fn find(env: &Env, key: &Key) -> Result<PartitionHandle, ErrorCode> {
    let (topic, index) = key;
    let image = env.metadata.load();
    let (name, id) = match topic {
        TopicKey::Name(name) => (name.as_str(), None),
        TopicKey::Id(id) if id.is_zero() => return Err(ErrorCode::UnknownTopicId),
        TopicKey::Id(id) => {
            let (name, _) = image.topic_by_id(*id).ok_or(ErrorCode::UnknownTopicId)?;
            (name.as_str(), Some(*id))
        }
    };
    let known = image.topics.get(name).is_some_and(|topic| topic.partitions.contains_key(index));
    if !known {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    let partition = env.directory.find(name, *index).ok_or_else(|| env.directory.absence(name, *index))?;
    if id.is_some_and(|id| id != partition.published.topic_id()) {
        return Err(ErrorCode::InconsistentTopicId);
    }
    Ok(partition)
}
