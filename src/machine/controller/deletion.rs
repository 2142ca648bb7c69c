//! A topic that somebody wants deleted: its replicas go first, then its znodes (Kafka's `TopicDeletionManager`).

use super::*;

impl Controller {
    pub(super) fn deletions_listed(&mut self, wanted: BTreeSet<TopicName>, effects: &mut Vec<Effect>) {
        for name in wanted {
            if !self.topics.contains_key(&name) {
                effects.push(Effect::DropDeletion(name));
            } else if !self.deletions.contains_key(&name) {
                self.deletions.insert(name.clone(), Deletion::Queued);
                self.resume_deletion(&name, effects);
            }
        }
    }

    /// Goes on with a deletion where it stands. It waits while the broker of any replica is away: otherwise that replica
    /// would come back with the data of a topic that nobody knows.
    pub(super) fn resume_deletion(&mut self, name: &TopicName, effects: &mut Vec<Effect>) {
        let (Some(topic), Some(deletion)) = (self.topics.get(name), self.deletions.get_mut(name)) else { return };
        let brokers = topic.partitions.values().flat_map(|partition| partition.assignment.replicas.iter().copied());
        let brokers = brokers.collect::<BTreeSet<_>>();
        if *deletion != Deletion::Queued || !brokers.iter().all(|id| self.brokers.contains_key(id)) {
            return;
        }
        effects.push(Effect::ForgetTopics(vec![topic.gone(name)]));
        for &broker in &brokers {
            let there =
                topic.partitions.iter().filter(|(_, partition)| partition.assignment.replicas.contains(&broker));
            let partitions = there.map(|(index, _)| *index).collect();
            effects.push(Effect::DeleteReplicas { broker, topic: name.clone(), partitions });
        }
        *deletion = Deletion::Stopping(brokers);
        self.remove_if_stopped(name, effects);
    }

    pub(super) fn replicas_deleted(
        &mut self,
        broker: BrokerId,
        name: &TopicName,
        done: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(deletion) = self.deletions.get_mut(name) else { return };
        let Deletion::Stopping(waiting) = deletion else { return };
        if !done {
            // Tried again when that broker starts again.
            *deletion = Deletion::Queued;
            return;
        }
        waiting.remove(&broker);
        self.remove_if_stopped(name, effects);
    }

    fn remove_if_stopped(&mut self, name: &TopicName, effects: &mut Vec<Effect>) {
        let Some(deletion) = self.deletions.get_mut(name) else { return };
        if matches!(deletion, Deletion::Stopping(waiting) if waiting.is_empty()) {
            *deletion = Deletion::Removing;
            effects.push(Effect::RemoveTopic(name.clone()));
        }
    }
}

impl Deletion {
    /// The brokers changed. Nobody answers any more for one that went, or was started again: all are told anew when all are there.
    pub(super) fn heard_of_brokers(&mut self, stays: impl Fn(&BrokerId) -> bool) {
        if matches!(self, Self::Stopping(waiting) if !waiting.iter().all(stays)) {
            *self = Self::Queued;
        }
    }
}
