//! A broker whose log dir fails lives on with its others (JBOD, KIP-112): what lay in the dir is offline there until it starts again.
//!
//! The broker says only that a dir has failed; it is told all its replicas again, and names those that it cannot serve.

use super::*;

impl Controller {
    pub(super) fn log_dir_failed(&self, broker: BrokerId, effects: &mut Vec<Effect>) {
        let partitions = self.notices(|notice| notice.assignment.replicas.contains(&broker));
        if self.brokers.contains_key(&broker) && !partitions.is_empty() {
            effects.push(Effect::LeaderAndIsr { broker, partitions });
        }
    }

    /// Others lead what the broker led, and it leaves the other ISRs.
    pub(super) fn replicas_offline(
        &mut self,
        broker: BrokerId,
        partitions: &[TopicPartition],
        effects: &mut Vec<Effect>,
    ) {
        let mut topics = BTreeMap::<&TopicName, BTreeSet<PartitionIndex>>::new();
        for id in partitions {
            let partition = self.topics.get_mut(&id.topic).and_then(|topic| topic.partitions.get_mut(&id.partition));
            if partition.is_some_and(|partition| partition.offline.insert(broker)) {
                topics.entry(&id.topic).or_default().insert(id.partition);
            }
        }
        for (topic, indexes) in topics {
            self.tell_all(self.notices_of(topic, |index| indexes.contains(&index)), effects);
            write_states(self.repairs(topic), effects);
        }
    }

    /// A broker that starts reads all its log dirs again.
    pub(super) fn forget_offline(&mut self, started: &BTreeSet<BrokerId>) {
        for partition in self.topics.values_mut().flat_map(|topic| topic.partitions.values_mut()) {
            partition.offline.retain(|broker| !started.contains(broker));
        }
    }
}
