//! Topics come, get partitions, and vanish; what was written about them is told.

use super::*;

impl Controller {
    pub(super) fn topics_listed(&mut self, listed: &BTreeSet<TopicName>, effects: &mut Vec<Effect>) {
        let gone = self.topics.keys().filter(|name| !listed.contains(*name)).cloned().collect::<Vec<_>>();
        gone.iter().for_each(|name| self.topic_vanished(name, effects));
        let fresh = listed.iter().filter(|name| !self.topics.contains_key(*name));
        effects.extend(fresh.cloned().map(Effect::ReadTopic));
    }

    /// The znode went without our doing: brokers forget the topic, but nobody deletes data because metadata is absent
    /// (law 10).
    pub(super) fn topic_vanished(&mut self, name: &TopicName, effects: &mut Vec<Effect>) {
        if let Some(topic) = self.topics.remove(name) {
            effects.push(Effect::ForgetTopics(vec![(name.clone(), topic.id)]));
        }
        if self.deletions.remove(name).is_some() {
            effects.push(Effect::DropDeletion(name.clone()));
        }
    }

    pub(super) fn topic_read(&mut self, name: TopicName, record: TopicRecord, effects: &mut Vec<Effect>) {
        let Some(id) = record.id else {
            effects.push(Effect::AssignTopicId(name));
            return;
        };
        let known = self.topics.remove(&name).filter(|topic| topic.id == id);
        let mut known = known.map(|topic| topic.partitions).unwrap_or_default();
        let mut states = record.states;
        let mut appeared = BTreeSet::new();
        let partitions = record.replicas.into_iter().map(|(index, replicas)| {
            let before = known.remove(&index).and_then(|partition| partition.state);
            let read = states.remove(&index);
            if before.is_none() && read.is_some() {
                appeared.insert(index);
            }
            (index, Partition { replicas, state: read.or(before) })
        });
        self.topics.insert(name.clone(), Topic { id, partitions: partitions.collect() });
        if self.deletions.contains_key(&name) {
            self.resume_deletion(&name, effects);
            return;
        }
        let notices = self.notices(|notice| notice.topic == name && appeared.contains(&notice.partition));
        self.tell_replicas(&notices, effects);
        self.tell_all(notices, effects);
        write_states(self.repairs(&name), effects);
    }

    /// What was written is known from now on, and told: LeaderAndIsr to the replicas that must hear of it, then UpdateMetadata to
    /// all, as in one of Kafka's batches.
    pub(super) fn states_written(&mut self, changes: Vec<StateChange>, effects: &mut Vec<Effect>) {
        let (mut led, mut all) = (Vec::new(), Vec::new());
        for StateChange { topic: name, partition: index, expected, state, tell } in changes {
            let Some(topic) = self.topics.get_mut(&name) else { continue };
            let topic_id = topic.id;
            let Some(partition) = topic.partitions.get_mut(&index) else { continue };
            partition.state = Some(state.clone());
            let replicas = partition.replicas.clone();
            let notice = PartitionNotice {
                topic: name,
                topic_id,
                partition: index,
                replicas,
                state,
                is_new: expected.is_none(),
            };
            if tell == Tell::Replicas {
                led.push(notice.clone());
            }
            all.push(notice);
        }
        self.tell_replicas(&led, effects);
        self.tell_all(all, effects);
    }

    pub(super) fn tell_replicas(&self, notices: &[PartitionNotice], effects: &mut Vec<Effect>) {
        for &broker in self.brokers.keys() {
            let partitions = notices.iter().filter(|notice| notice.replicas.contains(&broker)).cloned();
            let partitions = partitions.collect::<Vec<_>>();
            if !partitions.is_empty() {
                effects.push(Effect::LeaderAndIsr { broker, partitions });
            }
        }
    }

    pub(super) fn tell_all(&self, partitions: Vec<PartitionNotice>, effects: &mut Vec<Effect>) {
        if !partitions.is_empty() {
            effects.push(Effect::UpdateMetadata { to: self.everybody(), partitions });
        }
    }
}
