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

use super::isr_change::{IsrAnswer, IsrChange};
use crate::model::{
    BrokerEpoch, BrokerId, Bug, ControllerEpoch, ErrorCode, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicId,
    TopicName, TopicPartition,
};

mod balance;
mod deletion;
mod isr;
mod leaders;
mod log_dirs;
mod reassignment;
mod topics;

#[cfg(test)]
mod tests;

pub use reassignment::{Assignment, Refusal};

/// The active controller's knowledge of the cluster.
#[derive(Debug)]
pub struct Controller {
    epoch: ControllerEpoch,
    brokers: BTreeMap<BrokerId, BrokerEpoch>,
    /// Live brokers that are about to stop: they lead nothing any more, and join no ISR.
    leaving: BTreeSet<BrokerId>,
    /// Live brokers whose process seems to be gone, because nobody listens there: the same, until they answer again.
    silent: BTreeSet<BrokerId>,
    topics: BTreeMap<TopicName, Topic>,
    first_read: FirstRead,
    deletions: BTreeMap<TopicName, Deletion>,
    /// What `/admin/reassign_partitions` asks for, and is not done yet.
    reassign_znode: BTreeMap<TopicPartition, Vec<BrokerId>>,
}

/// A topic as ZooKeeper holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicRecord {
    /// Its id; `None` when a very old tool made it.
    pub id: Option<TopicId>,
    /// Replicas of each partition.
    pub assignments: BTreeMap<PartitionIndex, Assignment>,
    /// State of each partition that has one.
    pub states: BTreeMap<PartitionIndex, PartitionState>,
    /// The transactions in which these were written: a broker whose epoch is a later one was started since.
    pub written: BTreeMap<PartitionIndex, i64>,
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
    assignment: Assignment,
    state: Option<PartitionState>,
    /// Whether its replicas were told of a state (LeaderAndIsr) by this controller.
    told: bool,
    /// Live brokers on which the log dir with this replica has failed.
    offline: BTreeSet<BrokerId>,
}

/// How far the first reading of all topics is: before its end, that a topic is not known says nothing.
#[derive(Debug, PartialEq, Eq)]
enum FirstRead {
    /// Which topics there are is not known.
    NotListed,
    /// These were not read yet, or have no id yet.
    Missing(BTreeSet<TopicName>),
    Done,
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
    /// Topics were read; `None` when one is not there any more.
    TopicsRead(Vec<(TopicName, Option<TopicRecord>)>),
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
    /// A client asks for elections: of the preferred leader, or of any live replica, in sync or not, where there is none.
    Elect {
        /// Of these partitions.
        partitions: Vec<TopicPartition>,
        /// Whether records may be lost by it.
        unclean: bool,
    },
    /// A leader asks for another set of in-sync replicas (AlterPartition).
    AlterIsr {
        /// Names the request in [`Effect::AnswerIsr`].
        token: u64,
        /// Who asks.
        broker: BrokerId,
        /// What it asks for.
        changes: Vec<IsrChange>,
    },
    /// A broker is about to stop and wants to be led by others (ControlledShutdown).
    Leaving(BrokerId),
    /// Nobody listens where a live broker should (`true`), or somebody does again.
    Silent(BrokerId, bool),
    /// A log dir of a broker has failed; which replicas lay in it is to be found out.
    LogDirFailed(BrokerId),
    /// These replicas of a broker lie in a log dir that has failed.
    ReplicasOffline(BrokerId, Vec<TopicPartition>),
    /// Of the topics in [`Effect::AskUnclean`], those that rather lose records than be without a leader.
    UncleanAllowed(BTreeSet<TopicName>),
    /// Settings changed: whether records may be lost is asked again.
    SettingsChanged,
    /// A client wants partitions to have other replicas; `None`: what it wanted before no more (AlterPartitionReassignments).
    Reassign {
        /// Names the request in [`Effect::AnswerReassign`].
        token: u64,
        /// The replicas to be of each partition.
        targets: BTreeMap<TopicPartition, Option<Vec<BrokerId>>>,
    },
    /// An old tool wants the same by znode: everything that is written there.
    ReassignZnode(BTreeMap<TopicPartition, Vec<BrokerId>>),
    /// The assignments of a topic's partitions were written.
    AssignmentsWritten(TopicName, BTreeMap<PartitionIndex, AssignmentChange>),
    /// Preferred leaders are to lead again where a broker leads less than it should.
    Balance {
        /// Share of the partitions that prefer a broker and that others may lead, in percent.
        imbalance_max: u32,
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
    /// Look whether these topics have `unclean.leader.election.enable`; report.
    AskUnclean(BTreeSet<TopicName>),
    /// Tell brokers about all live brokers and these partitions (UpdateMetadata).
    UpdateMetadata {
        /// To whom.
        to: BTreeSet<BrokerId>,
        /// About which partitions.
        partitions: Vec<PartitionNotice>,
    },
    /// Tell brokers about all live brokers and all partitions there are: who knows of another topic, since the word that it is gone was
    /// lost with an earlier controller, forgets it (UpdateMetadata of everything, KIP-866).
    TellEverything {
        /// To whom.
        to: BTreeSet<BrokerId>,
        /// All partitions that have a state.
        partitions: Vec<PartitionNotice>,
    },
    /// Tell every live broker that these topics are gone (UpdateMetadata with leader −2).
    ForgetTopics(Vec<Gone>),
    /// Tell a broker to lead or follow (LeaderAndIsr).
    LeaderAndIsr {
        /// To whom.
        broker: BrokerId,
        /// About which partitions.
        partitions: Vec<PartitionNotice>,
    },
    /// Tell a broker to fetch no more for these replicas (StopReplica).
    StopReplicas {
        /// To whom.
        broker: BrokerId,
        /// Which, and under which leader epoch.
        partitions: Vec<(TopicPartition, LeaderEpoch)>,
        /// Whether they are not replicas any more, and their data goes. Nobody waits for that.
        delete: bool,
    },
    /// Write these assignments into a topic's znode, keeping the others; report.
    WriteAssignments(TopicName, BTreeMap<PartitionIndex, AssignmentChange>),
    /// Answer a client: which of its reassignments were refused, and why.
    AnswerReassign {
        /// Which request.
        token: u64,
        /// In the order of the partitions.
        answers: Vec<(TopicPartition, Result<(), Refusal>)>,
    },
    /// What is left of `/admin/reassign_partitions`; the znode goes when that is nothing.
    WriteReassignZnode(BTreeMap<TopicPartition, Vec<BrokerId>>),
    /// Answer a leader: what [`Controller::isr_answer`] says of each wish that was not refused.
    AnswerIsr {
        /// Which request.
        token: u64,
        /// The wishes, each with the refusal if there is one.
        wishes: Vec<(IsrChange, Option<ErrorCode>)>,
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
    /// Which replicas must hear of it by LeaderAndIsr; all brokers do by UpdateMetadata.
    pub tell: Tell,
    /// These are not replicas any more, and delete their data when the state is written.
    pub drops: Vec<BrokerId>,
}

/// An assignment to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AssignmentChange {
    /// What to write.
    pub assignment: Assignment,
    /// Whether it ends a reassignment, whose outcome the brokers know already.
    pub ends: bool,
}

/// A topic that is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gone {
    /// Its name.
    pub topic: TopicName,
    /// Its id.
    pub topic_id: TopicId,
    /// All its partitions.
    pub partitions: Vec<PartitionIndex>,
}

/// Who hears of a new state by LeaderAndIsr.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tell {
    /// The live replicas: somebody else leads, or the leader must know that its ISR has shrunk.
    Replicas,
    /// Nobody: the leader asked for it, and the others do not mind.
    Nobody,
    /// The live replicas that a reassignment leaves, which with this state is done.
    Target,
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
    /// All its replicas.
    pub assignment: Assignment,
    /// Its state.
    pub state: PartitionState,
    /// Live brokers on which the log dir with this replica has failed.
    pub offline: Vec<BrokerId>,
    /// Whether the partition never had a leader before, or the receiver was no replica.
    pub is_new: bool,
}

impl PartitionNotice {
    /// Topic and partition.
    #[must_use]
    pub fn id(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.clone(), partition: self.partition }
    }
}

impl Controller {
    /// A controller that was just elected and knows nothing yet. Feed it [`Event::Brokers`], [`Event::Topics`] and
    /// [`Event::Deletions`] in this order.
    #[must_use]
    pub fn new(epoch: ControllerEpoch) -> Self {
        Self {
            epoch,
            brokers: BTreeMap::new(),
            leaving: BTreeSet::new(),
            silent: BTreeSet::new(),
            topics: BTreeMap::new(),
            first_read: FirstRead::NotListed,
            deletions: BTreeMap::new(),
            reassign_znode: BTreeMap::new(),
        }
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
            Event::TopicsRead(topics) => self.topics_read(topics, effects),
            Event::Deletions(wanted) => self.deletions_listed(wanted, effects),
            Event::StatesWritten(changes) => self.states_written(changes, effects),
            Event::ReplicasDeleted { broker, topic, done } => self.replicas_deleted(broker, &topic, done, effects),
            Event::TopicRemoved(name) => {
                self.deletions.remove(&name);
                self.topics.remove(&name);
            }
            Event::Elect { partitions, unclean } => self.elect(&partitions, unclean, effects),
            Event::AlterIsr { token, broker, changes } => self.alter_isr(token, broker, changes, effects),
            Event::Leaving(broker) => self.broker_leaves(broker, effects),
            Event::Silent(broker, silent) => self.broker_silent(broker, silent, effects),
            Event::LogDirFailed(broker) => self.log_dir_failed(broker, effects),
            Event::ReplicasOffline(broker, partitions) => self.replicas_offline(broker, &partitions, effects),
            Event::UncleanAllowed(topics) => self.unclean_allowed(&topics, effects),
            Event::SettingsChanged => self.ask_unclean(self.topics.keys(), effects),
            Event::Reassign { token, targets } => self.reassign(token, targets, effects),
            Event::ReassignZnode(wanted) => self.reassign_znode(wanted, effects),
            Event::AssignmentsWritten(topic, changes) => self.assignments_written(&topic, changes, effects),
            Event::Balance { imbalance_max } => self.balance(imbalance_max, effects),
        }
    }

    /// Whether a topic is waiting to be deleted.
    #[must_use]
    pub fn is_deleting(&self, topic: &TopicName) -> bool {
        self.deletions.contains_key(topic)
    }

    /// State of a partition, when the controller knows one.
    #[must_use]
    pub fn state(&self, id: &TopicPartition) -> Option<&PartitionState> {
        self.partition(id)?.state.as_ref()
    }

    fn partition(&self, id: &TopicPartition) -> Option<&Partition> {
        self.topics.get(&id.topic)?.partitions.get(&id.partition)
    }

    /// What brokers are told about the partitions that have a state and that `which` picks.
    fn notices(&self, which: impl Fn(&PartitionNotice) -> bool) -> Vec<PartitionNotice> {
        let known = self.topics.iter().filter(|(name, _)| !self.deletions.contains_key(*name));
        known
            .flat_map(|(name, topic)| {
                topic.partitions.iter().filter_map(|(&index, partition)| partition.notice(name, topic.id, index))
            })
            .filter(which)
            .collect()
    }

    fn everybody(&self) -> BTreeSet<BrokerId> {
        self.brokers.keys().copied().collect()
    }
}

impl Partition {
    /// What brokers are told of it, once it has a state.
    fn notice(&self, topic: &TopicName, topic_id: TopicId, index: PartitionIndex) -> Option<PartitionNotice> {
        Some(PartitionNotice {
            topic: topic.clone(),
            topic_id,
            partition: index,
            assignment: self.assignment.clone(),
            state: self.state.clone()?,
            offline: self.offline.iter().copied().collect(),
            is_new: false,
        })
    }
}

fn write_states(changes: Vec<StateChange>, effects: &mut Vec<Effect>) {
    if !changes.is_empty() {
        effects.push(Effect::WriteStates(changes));
    }
}
