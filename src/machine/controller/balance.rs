//! Leaders go back to the preferred replicas after brokers came back (`auto.leader.rebalance.enable`).

use super::*;

impl Controller {
    /// Elects the preferred leaders of every broker that leads less than it should.
    ///
    /// Source: Kafka 3.9 `KafkaController.checkAndTriggerAutoLeaderRebalance`.
    pub(super) fn balance(&self, imbalance_max: u32, effects: &mut Vec<Effect>) {
        // Of each broker: how many partitions prefer it, and those of them that it could lead and does not.
        let mut preferring = BTreeMap::<BrokerId, (u64, u64, Vec<TopicPartition>)>::new();
        for (topic, index, partition, state) in self.with_states() {
            let Some(&preferred) = partition.assignment.replicas.first() else { continue };
            let (all, elsewhere, electable) = preferring.entry(preferred).or_default();
            *all += 1;
            if state.leader != preferred {
                *elsewhere += 1;
                if !partition.assignment.is_moving() {
                    electable.push(TopicPartition { topic: topic.clone(), partition: index });
                }
            }
        }
        let imbalanced =
            preferring.into_values().filter(|(all, elsewhere, _)| all * u64::from(imbalance_max) < elsewhere * 100);
        let electable = imbalanced.flat_map(|(.., electable)| electable).collect::<Vec<_>>();
        self.elect(&electable, false, effects);
    }
}
