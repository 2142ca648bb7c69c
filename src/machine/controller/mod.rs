//! What the controller of the cluster decides: who leads each partition, what the brokers must be told, and when a deleted
//! topic is gone.
//!
//! *Owner*: the controller's actor, which reads and writes znodes and sends requests as the effects say.
//! *Invariant*: it tells brokers of a partition state only after that state is in ZooKeeper (law 2); every leader is a live
//! member of the ISR, or there is none.
//! *Does not know*: znode paths, JSON, sockets. Fencing is the shell's: every write checks `/controller_epoch` (law 5).
//!
//! Source: Kafka 3.9 `KafkaController.scala`, `PartitionStateMachine.scala`, `TopicDeletionManager.scala`.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicId, TopicName,
};

#[cfg(test)]
mod tests;

/// The active controller's knowledge of the cluster.
#[derive(Debug)]
pub struct Controller {
    epoch: ControllerEpoch,
    brokers: BTreeMap<BrokerId, BrokerEpoch>,
    topics: BTreeMap<TopicName, Topic>,
    deletions: BTreeMap<TopicName, Deletion>,
}

/// A topic as ZooKeeper holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicRecord {
    /// Its id; `None` when a very old tool made it.
    pub id: Option<TopicId>,
    /// Replicas of each partition in order of preference.
    pub replicas: BTreeMap<PartitionIndex, Vec<BrokerId>>,
    /// State of each partition that has one.
    pub states: BTreeMap<PartitionIndex, PartitionState>,
}

/// A partition's `state` znode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionState {
    /// Epoch of the controller that wrote it.
    pub controller_epoch: ControllerEpoch,
    /// [`BrokerId::NONE`] when there is none.
    pub leader: BrokerId,
    /// Which leadership this is.
    pub leader_epoch: LeaderEpoch,
    /// In-sync replicas in the order of assignment. Never empty.
    pub isr: Vec<BrokerId>,
    /// The znode's data version.
    pub partition_epoch: PartitionEpoch,
    /// After an unclean election, until the leader says otherwise (KIP-704).
    pub recovering: bool,
}

#[derive(Debug)]
struct Topic {
    id: TopicId,
    partitions: BTreeMap<PartitionIndex, Partition>,
}

#[derive(Debug)]
struct Partition {
    replicas: Vec<BrokerId>,
    state: Option<PartitionState>,
}

#[derive(Debug, PartialEq, Eq)]
enum Deletion {
    /// Waits for its replicas' brokers.
    Queued,
    /// These brokers were told to delete, and have not answered.
    Stopping(BTreeSet<BrokerId>),
    /// Its znodes are being removed.
    Removing,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The live brokers changed.
    Brokers(BTreeMap<BrokerId, BrokerEpoch>),
    /// The topics that ZooKeeper lists now.
    Topics(BTreeSet<TopicName>),
    /// One topic was read; `None` when it is not there any more.
    TopicRead(TopicName, Option<TopicRecord>),
    /// The topics that somebody wants deleted.
    Deletions(BTreeSet<TopicName>),
    /// States were written, and have these versions now.
    StatesWritten(Vec<StateChange>),
    /// A broker deleted its replicas of a topic, or could not.
    ReplicasDeleted {
        /// Who answers.
        broker: BrokerId,
        /// Of which topic.
        topic: TopicName,
        /// Whether all are gone.
        done: bool,
    },
    /// The topic's znodes are gone.
    TopicRemoved(TopicName),
    /// A client asks for elections of the preferred leader, or of any, where there is none.
    Elect {
        /// Of these partitions.
        partitions: Vec<(TopicName, PartitionIndex)>,
    },
}

/// What to do, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read a topic and the states of its partitions, and watch it.
    ReadTopic(TopicName),
    /// Draw an id for a topic that has none, write it, and read the topic again.
    AssignTopicId(TopicName),
    /// Write these states; report what was written. A version conflict means: read the topic again.
    WriteStates(Vec<StateChange>),
    /// Tell every live broker about brokers and these partitions (UpdateMetadata).
    UpdateMetadata(Vec<PartitionNotice>),
    /// Tell every live broker that these topics are gone (UpdateMetadata with leader −2).
    ForgetTopics(Vec<(TopicName, TopicId)>),
    /// Tell a broker to lead or follow (LeaderAndIsr).
    LeaderAndIsr {
        /// To whom.
        broker: BrokerId,
        /// About which partitions.
        partitions: Vec<PartitionNotice>,
    },
    /// Tell a broker to delete its replicas of a topic (StopReplica), and report.
    DeleteReplicas {
        /// To whom.
        broker: BrokerId,
        /// Which.
        topic: TopicName,
        /// Its partitions there.
        partitions: Vec<PartitionIndex>,
    },
    /// Remove the topic's znodes, its configuration and the wish to delete it, and report.
    RemoveTopic(TopicName),
    /// Somebody wants a topic deleted that does not exist: remove the wish.
    DropDeletion(TopicName),
}

/// A state to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateChange {
    /// Of this topic.
    pub topic: TopicName,
    /// And this partition.
    pub partition: PartitionIndex,
    /// The version that the znode must have, or `None` when it must not be there yet.
    pub expected: Option<PartitionEpoch>,
    /// What to write. Its partition epoch is the one that the write gives.
    pub state: PartitionState,
}

/// What brokers are told about one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionNotice {
    /// The topic's name.
    pub topic: TopicName,
    /// And its id.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// All its replicas in order of preference.
    pub replicas: Vec<BrokerId>,
    /// Its state.
    pub state: PartitionState,
    /// Whether the partition never had a leader before.
    pub is_new: bool,
}

impl Controller {
    /// A controller that was just elected and knows nothing yet. Feed it [`Event::Brokers`], [`Event::Topics`] and
    /// [`Event::Deletions`] in this order.
    #[must_use]
    pub fn new(epoch: ControllerEpoch) -> Self {
        Self { epoch, brokers: BTreeMap::new(), topics: BTreeMap::new(), deletions: BTreeMap::new() }
    }

    /// The epoch it was elected with.
    #[must_use]
    pub fn epoch(&self) -> ControllerEpoch {
        self.epoch
    }

    /// Takes in what happened; `effects` gets what to do about it.
    pub fn step(&mut self, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Brokers(brokers) => self.brokers_changed(brokers, effects),
            Event::Topics(listed) => self.topics_listed(&listed, effects),
            Event::TopicRead(name, None) => self.topic_vanished(&name, effects),
            Event::TopicRead(name, Some(record)) => self.topic_read(name, record, effects),
            Event::Deletions(wanted) => self.deletions_listed(wanted, effects),
            Event::StatesWritten(changes) => self.states_written(changes, effects),
            Event::ReplicasDeleted { broker, topic, done } => self.replicas_deleted(broker, &topic, done, effects),
            Event::TopicRemoved(name) => {
                self.deletions.remove(&name);
                self.topics.remove(&name);
            }
            Event::Elect { partitions } => self.elect(&partitions, effects),
        }
        self.check();
    }

    /// Whether a topic is waiting to be deleted.
    #[must_use]
    pub fn is_deleting(&self, topic: &TopicName) -> bool {
        self.deletions.contains_key(topic)
    }

    /// State of a partition, when the controller knows one.
    #[must_use]
    pub fn state(&self, topic: &TopicName, partition: PartitionIndex) -> Option<(&[BrokerId], &PartitionState)> {
        let partition = self.topics.get(topic)?.partitions.get(&partition)?;
        Some((&partition.replicas, partition.state.as_ref()?))
    }

    fn brokers_changed(&mut self, brokers: BTreeMap<BrokerId, BrokerEpoch>, effects: &mut Vec<Effect>) {
        let started =
            brokers.iter().filter(|(id, epoch)| self.brokers.get(id) != Some(epoch)).map(|(id, _)| *id).collect();
        self.brokers = brokers;
        effects.push(Effect::UpdateMetadata(self.notices(|_| true)));
        self.start_replicas(&started, effects);
        let changes = self.topics.keys().flat_map(|topic| self.elections(topic)).collect();
        write_states(changes, effects);
        let waiting = self.deletions.keys().cloned().collect::<Vec<_>>();
        waiting.iter().for_each(|topic| self.resume_deletion(topic, effects));
    }

    /// Tells brokers that just started about every replica they have.
    fn start_replicas(&self, started: &BTreeSet<BrokerId>, effects: &mut Vec<Effect>) {
        for &broker in started {
            let partitions = self.notices(|notice| notice.replicas.contains(&broker));
            if !partitions.is_empty() {
                effects.push(Effect::LeaderAndIsr { broker, partitions });
            }
        }
    }

    fn topics_listed(&mut self, listed: &BTreeSet<TopicName>, effects: &mut Vec<Effect>) {
        let gone = self.topics.keys().filter(|name| !listed.contains(*name)).cloned().collect::<Vec<_>>();
        gone.iter().for_each(|name| self.topic_vanished(name, effects));
        let fresh = listed.iter().filter(|name| !self.topics.contains_key(*name));
        effects.extend(fresh.cloned().map(Effect::ReadTopic));
    }

    /// The znode went without our doing: brokers forget the topic, but nobody deletes data because metadata is absent
    /// (law 10).
    fn topic_vanished(&mut self, name: &TopicName, effects: &mut Vec<Effect>) {
        if let Some(topic) = self.topics.remove(name) {
            effects.push(Effect::ForgetTopics(vec![(name.clone(), topic.id)]));
        }
        if self.deletions.remove(name).is_some() {
            effects.push(Effect::DropDeletion(name.clone()));
        }
    }

    fn topic_read(&mut self, name: TopicName, record: TopicRecord, effects: &mut Vec<Effect>) {
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
        self.announce(notices, effects);
        write_states(self.elections(&name), effects);
    }

    /// States for partitions of a topic that have no live leader, where one can be found.
    fn elections(&self, name: &TopicName) -> Vec<StateChange> {
        let Some(topic) = self.topics.get(name).filter(|_| !self.deletions.contains_key(name)) else { return vec![] };
        topic
            .partitions
            .iter()
            .filter_map(|(&index, partition)| {
                let (expected, state) = match &partition.state {
                    None => (None, self.first_state(&partition.replicas)?),
                    Some(state) if self.brokers.contains_key(&state.leader) => return None,
                    Some(state) => (Some(state.partition_epoch), self.offline_election(&partition.replicas, state)?),
                };
                Some(StateChange { topic: name.clone(), partition: index, expected, state })
            })
            .collect()
    }

    /// The first live replica leads, and all live ones are in sync: there is nothing to be behind of.
    fn first_state(&self, replicas: &[BrokerId]) -> Option<PartitionState> {
        let isr = replicas.iter().copied().filter(|id| self.brokers.contains_key(id)).collect::<Vec<_>>();
        Some(PartitionState {
            controller_epoch: self.epoch,
            leader: *isr.first()?,
            leader_epoch: LeaderEpoch(0),
            isr,
            partition_epoch: PartitionEpoch(0),
            recovering: false,
        })
    }

    /// The first replica that is live and in sync leads. There is no unclean election here: none, when there is no such one.
    fn offline_election(&self, replicas: &[BrokerId], state: &PartitionState) -> Option<PartitionState> {
        let live = |id: &&BrokerId| self.brokers.contains_key(id) && state.isr.contains(id);
        let leader = *replicas.iter().find(live)?;
        let isr = state.isr.iter().copied().filter(|id| self.brokers.contains_key(id)).collect();
        Some(PartitionState {
            controller_epoch: self.epoch,
            leader,
            leader_epoch: LeaderEpoch(state.leader_epoch.0.saturating_add(1)),
            isr,
            ..state.clone()
        })
    }

    fn states_written(&mut self, changes: Vec<StateChange>, effects: &mut Vec<Effect>) {
        let mut notices = Vec::new();
        for StateChange { topic: name, partition: index, expected, state } in changes {
            let Some(topic) = self.topics.get_mut(&name) else { continue };
            let topic_id = topic.id;
            let Some(partition) = topic.partitions.get_mut(&index) else { continue };
            partition.state = Some(state.clone());
            let replicas = partition.replicas.clone();
            notices.push(PartitionNotice {
                topic: name,
                topic_id,
                partition: index,
                replicas,
                state,
                is_new: expected.is_none(),
            });
        }
        self.announce(notices, effects);
    }

    /// LeaderAndIsr to the replicas, then UpdateMetadata to all: the order of one of Kafka's batches.
    fn announce(&self, notices: Vec<PartitionNotice>, effects: &mut Vec<Effect>) {
        if notices.is_empty() {
            return;
        }
        for &broker in self.brokers.keys() {
            let partitions = notices.iter().filter(|notice| notice.replicas.contains(&broker)).cloned();
            let partitions = partitions.collect::<Vec<_>>();
            if !partitions.is_empty() {
                effects.push(Effect::LeaderAndIsr { broker, partitions });
            }
        }
        effects.push(Effect::UpdateMetadata(notices));
    }

    fn deletions_listed(&mut self, wanted: BTreeSet<TopicName>, effects: &mut Vec<Effect>) {
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
    fn resume_deletion(&mut self, name: &TopicName, effects: &mut Vec<Effect>) {
        let (Some(topic), Some(deletion)) = (self.topics.get(name), self.deletions.get_mut(name)) else { return };
        let brokers = topic.partitions.values().flat_map(|partition| partition.replicas.iter().copied());
        let brokers = brokers.collect::<BTreeSet<_>>();
        if *deletion != Deletion::Queued || !brokers.iter().all(|id| self.brokers.contains_key(id)) {
            return;
        }
        effects.push(Effect::ForgetTopics(vec![(name.clone(), topic.id)]));
        for &broker in &brokers {
            let there = topic.partitions.iter().filter(|(_, partition)| partition.replicas.contains(&broker));
            let partitions = there.map(|(index, _)| *index).collect();
            effects.push(Effect::DeleteReplicas { broker, topic: name.clone(), partitions });
        }
        *deletion = Deletion::Stopping(brokers);
        self.remove_if_stopped(name, effects);
    }

    fn replicas_deleted(&mut self, broker: BrokerId, name: &TopicName, done: bool, effects: &mut Vec<Effect>) {
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

    fn elect(&self, partitions: &[(TopicName, PartitionIndex)], effects: &mut Vec<Effect>) {
        let preferred = partitions.iter().filter_map(|(name, index)| {
            let partition = self.topics.get(name)?.partitions.get(index)?;
            let state = partition.state.as_ref()?;
            let first = *partition.replicas.first()?;
            let eligible = first != state.leader && self.brokers.contains_key(&first) && state.isr.contains(&first);
            eligible.then(|| StateChange {
                topic: name.clone(),
                partition: *index,
                expected: Some(state.partition_epoch),
                state: PartitionState {
                    controller_epoch: self.epoch,
                    leader: first,
                    leader_epoch: LeaderEpoch(state.leader_epoch.0.saturating_add(1)),
                    ..state.clone()
                },
            })
        });
        write_states(preferred.collect(), effects);
    }

    /// What brokers are told about the partitions that have a state and that `which` picks.
    fn notices(&self, which: impl Fn(&PartitionNotice) -> bool) -> Vec<PartitionNotice> {
        let known = self.topics.iter().filter(|(name, _)| !self.deletions.contains_key(*name));
        known
            .flat_map(|(name, topic)| {
                topic.partitions.iter().filter_map(|(&index, partition)| {
                    Some(PartitionNotice {
                        topic: name.clone(),
                        topic_id: topic.id,
                        partition: index,
                        replicas: partition.replicas.clone(),
                        state: partition.state.clone()?,
                        is_new: false,
                    })
                })
            })
            .filter(which)
            .collect()
    }

    fn check(&self) {
        for partition in self.topics.values().flat_map(|topic| topic.partitions.values()) {
            let Some(state) = &partition.state else { continue };
            // Foreign controllers write states too, so only what we wrote is held to it.
            if state.controller_epoch == self.epoch && state.leader != BrokerId::NONE {
                assert!(state.isr.contains(&state.leader), "a leader that is not in sync");
            }
        }
    }
}

fn write_states(changes: Vec<StateChange>, effects: &mut Vec<Effect>) {
    if !changes.is_empty() {
        effects.push(Effect::WriteStates(changes));
    }
}
