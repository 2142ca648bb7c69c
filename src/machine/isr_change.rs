//! What a leader asks of the controller when the set of in-sync replicas is to change (AlterPartition, KIP-497): the only way
//! in which it grows.

use std::collections::BTreeMap;

use super::controller::PartitionState;
use crate::model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, PartitionEpoch, TopicId, TopicPartition};

/// A wish of a leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IsrChange {
    /// Of which partition.
    pub partition: TopicPartition,
    /// The id of its topic.
    pub topic_id: TopicId,
    /// The leadership under which it was decided.
    pub leader_epoch: LeaderEpoch,
    /// The state that it was decided upon.
    pub partition_epoch: PartitionEpoch,
    /// The in-sync replicas to be, the leader among them.
    pub isr: Vec<BrokerId>,
    /// Under which epochs those that are to join were registered when they last asked for more, where they said so (KIP-903): one that
    /// was started again since may have less by now.
    pub joins: BTreeMap<BrokerId, BrokerEpoch>,
    /// Whether the leader still recovers from an unclean election (KIP-704).
    pub recovering: bool,
}

/// What the controller answers: the state that holds now, or why the wish is refused.
pub type IsrAnswer = Result<PartitionState, ErrorCode>;
