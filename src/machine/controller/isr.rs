//! A leader asks for another set of in-sync replicas: the only way in which it grows (AlterPartition, KIP-497).
//!
//! Source: Kafka 3.9 `KafkaController.processAlterPartition`.

use super::*;

impl Controller {
    /// Checks wishes in Kafka's order; those that stand are written, told to all, and then answered.
    pub(super) fn alter_isr(&self, token: u64, broker: BrokerId, changes: Vec<IsrChange>, effects: &mut Vec<Effect>) {
        let (mut wishes, mut writes) = (Vec::new(), Vec::new());
        for wish in changes {
            let judged = self.judge(broker, &wish);
            if let Ok(Some(write)) = &judged {
                writes.push(write.clone());
            }
            wishes.push((wish, judged.err()));
        }
        write_states(writes, effects);
        effects.push(Effect::AnswerIsr { token, wishes });
    }

    /// What to write for a wish; nothing when it is so already.
    fn judge(&self, broker: BrokerId, wish: &IsrChange) -> Result<Option<StateChange>, ErrorCode> {
        let TopicPartition { topic: name, partition: index } = &wish.partition;
        let topic = self.topics.get(name).filter(|topic| wish.topic_id.is_zero() || topic.id == wish.topic_id);
        let Some(topic) = topic else {
            let unknown = wish.topic_id.is_zero();
            return Err(if unknown { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::UnknownTopicId });
        };
        let partition = topic.partitions.get(index).filter(|_| !self.deletions.contains_key(name));
        let partition = partition.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let state = partition.state.as_ref().ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if state.partition_epoch < wish.partition_epoch || state.leader_epoch < wish.leader_epoch {
            // It knows more than we do: another controller told it.
            return Err(ErrorCode::NotController);
        }
        if wish.leader_epoch < state.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if state.leader == broker && state.isr == wish.isr && state.recovering == wish.recovering {
            return Ok(None);
        }
        if wish.partition_epoch < state.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        // Kafka does not look; a broker that does not lead would make itself the leader.
        if state.leader != broker || !wish.isr.contains(&broker) {
            return Err(ErrorCode::InvalidRequest);
        }
        if wish.recovering && (1 < wish.isr.len() || !state.recovering) {
            return Err(ErrorCode::InvalidRequest);
        }
        if wish.isr.iter().any(|id| !self.may_join(partition, *id) && *id != broker) {
            return Err(ErrorCode::IneligibleReplica);
        }
        let is_another = |(id, epoch): (&BrokerId, &BrokerEpoch)| self.brokers.get(id) != Some(epoch);
        if wish.joins.iter().any(is_another) && !Bug::B9.is_back() {
            return Err(ErrorCode::IneligibleReplica);
        }
        Ok(Some(StateChange {
            topic: name.clone(),
            partition: *index,
            expected: Some(state.partition_epoch),
            state: PartitionState {
                controller_epoch: self.epoch,
                isr: wish.isr.clone(),
                recovering: wish.recovering,
                ..state.clone()
            },
            tell: Tell::Nobody,
            drops: vec![],
        }))
    }

    /// What became of a wish that was not refused: the state, if it is what was wished for; else somebody else wrote one
    /// meanwhile.
    ///
    /// # Errors
    /// `INVALID_UPDATE_VERSION`, `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn isr_answer(&self, wish: &IsrChange) -> IsrAnswer {
        let state = self.state(&wish.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let done =
            state.leader_epoch == wish.leader_epoch && state.isr == wish.isr && state.recovering == wish.recovering;
        if done { Ok(state.clone()) } else { Err(ErrorCode::InvalidUpdateVersion) }
    }

    /// The epoch under which a broker is registered, as far as this controller knows.
    #[must_use]
    pub fn broker_epoch(&self, broker: BrokerId) -> Option<BrokerEpoch> {
        self.brokers.get(&broker).copied()
    }
}
