//! Partitions move to other brokers (KIP-455): new replicas copy, join the ISR, and then the old ones go.
//!
//! What is under way stands in ZooKeeper alone, in the topic's `adding_replicas` and `removing_replicas`, and each step follows from
//! that and the partition's state: so a new controller goes on where the old one stopped.
//!
//! 1. The assignment is written, and a higher leader epoch; the replicas of before and those to come are told (Kafka's U, A1, A2).
//! 2. Whenever the ISR has grown to hold all that are to stay: a state is written in which only these are in sync and one of them leads
//!    (B3, B4); they are told the new assignment, the others delete their data, and the assignment is written without them (B6).
//!
//! *Invariant*: no replica is deleted before a state is in ZooKeeper that does not need it.
//!
//! Source: Kafka 3.9 `KafkaController.onPartitionReassignment`.

use super::*;

/// The brokers that hold a partition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Assignment {
    /// All replicas in order of preference; during a reassignment those that stay or come, then those that will go.
    pub replicas: Vec<BrokerId>,
    /// Those that a reassignment adds.
    pub adding: Vec<BrokerId>,
    /// Those that it removes in the end.
    pub removing: Vec<BrokerId>,
}

/// Why a reassignment is not begun: Kafka's code, and words for a person.
pub type Refusal = (ErrorCode, String);

impl Assignment {
    /// Of a partition that does not move.
    #[must_use]
    pub fn settled(replicas: Vec<BrokerId>) -> Self {
        Self { replicas, adding: vec![], removing: vec![] }
    }

    /// Whether a reassignment is under way.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        !(self.adding.is_empty() && self.removing.is_empty())
    }

    /// The replicas before the reassignment.
    #[must_use]
    pub fn origin(&self) -> Vec<BrokerId> {
        without(&self.replicas, &self.adding)
    }

    /// The replicas after it.
    #[must_use]
    pub fn target(&self) -> Vec<BrokerId> {
        without(&self.replicas, &self.removing)
    }

    /// The same partition on its way to other replicas, counted from where it was before any reassignment under way.
    #[must_use]
    pub fn toward(&self, target: &[BrokerId]) -> Self {
        let origin = self.origin();
        let kept = without(&origin, target);
        Self {
            replicas: target.iter().chain(&kept).copied().collect(),
            adding: without(target, &origin),
            removing: kept,
        }
    }
}

impl Controller {
    pub(super) fn reassign(
        &mut self,
        token: u64,
        targets: BTreeMap<TopicPartition, Option<Vec<BrokerId>>>,
        effects: &mut Vec<Effect>,
    ) {
        let judged = targets.into_iter().map(|(id, target)| {
            let judged = self.judge_target(&id, target.as_deref());
            (id, judged)
        });
        let judged = judged.collect::<Vec<_>>();
        let (answers, begun) = self.begin(judged, effects);
        // Who asks in this way asks in place of the znode.
        self.drop_from_znode(&begun, effects);
        effects.push(Effect::AnswerReassign { token, answers });
    }

    /// What old tools want. What cannot be done is taken off the list, as is what is done.
    pub(super) fn reassign_znode(
        &mut self,
        wanted: BTreeMap<TopicPartition, Vec<BrokerId>>,
        effects: &mut Vec<Effect>,
    ) {
        let news = wanted.iter().filter(|(id, target)| self.reassign_znode.get(*id) != Some(*target));
        let judged = news.map(|(id, target)| (id.clone(), self.judge_target(id, Some(target)))).collect();
        self.reassign_znode = wanted;
        let (answers, _) = self.begin(judged, effects);
        let begins = |id: &TopicPartition| {
            effects.iter().any(|effect| {
                matches!(effect, Effect::WriteAssignments(topic, changes)
                    if *topic == id.topic && changes.contains_key(&id.partition))
            })
        };
        let done = answers.iter().map(|(id, _)| id.clone()).filter(|id| !begins(id)).collect::<Vec<_>>();
        self.drop_from_znode(&done, effects);
    }

    /// The assignments to write for what may begin, by topic; the answers, and the partitions that were not refused.
    #[expect(clippy::type_complexity, reason = "two lists of the same partitions, used at once")]
    fn begin(
        &self,
        judged: Vec<(TopicPartition, Result<Assignment, Refusal>)>,
        effects: &mut Vec<Effect>,
    ) -> (Vec<(TopicPartition, Result<(), Refusal>)>, Vec<TopicPartition>) {
        let mut writes = BTreeMap::<TopicName, BTreeMap<PartitionIndex, AssignmentChange>>::new();
        let (mut answers, mut begun) = (Vec::new(), Vec::new());
        for (id, judged) in judged {
            let answer = judged.map(|assignment| {
                begun.push(id.clone());
                if self.partition(&id).is_some_and(|known| known.assignment != assignment) {
                    let change = AssignmentChange { assignment, ends: false };
                    writes.entry(id.topic.clone()).or_default().insert(id.partition, change);
                }
            });
            answers.push((id, answer));
        }
        effects.extend(writes.into_iter().map(|(topic, changes)| Effect::WriteAssignments(topic, changes)));
        (answers, begun)
    }

    /// What to write for a wish; `None` wants the reassignment under way undone.
    fn judge_target(&self, id: &TopicPartition, target: Option<&[BrokerId]>) -> Result<Assignment, Refusal> {
        let partition = self.partition(id).filter(|_| !self.deletions.contains_key(&id.topic));
        let unknown = || (ErrorCode::UnknownTopicOrPartition, "The partition does not exist.".to_owned());
        let partition = partition.ok_or_else(unknown)?;
        let known = &partition.assignment;
        let next = match target {
            None if !known.is_moving() => {
                let message = "The partition is not being moved.".to_owned();
                return Err((ErrorCode::NoReassignmentInProgress, message));
            }
            None => Assignment::settled(known.origin()),
            Some(target) => {
                self.check_target(known, target)?;
                known.toward(target)
            }
        };
        if let Some(state) = &partition.state {
            let dropped = without(&known.replicas, &next.replicas);
            if state.isr.iter().all(|id| dropped.contains(id)) {
                // Kafka would delete the only copies of what was acknowledged.
                let message = format!(
                    "Only the replicas on brokers {} are in sync, and they would be deleted; wait until others are.",
                    listed(&state.isr)
                );
                return Err((ErrorCode::InvalidReplicaAssignment, message));
            }
        }
        Ok(next)
    }

    fn check_target(&self, known: &Assignment, target: &[BrokerId]) -> Result<(), Refusal> {
        let refused = |message: String| Err((ErrorCode::InvalidReplicaAssignment, message));
        let distinct = target.iter().collect::<BTreeSet<_>>();
        if target.is_empty() {
            return refused("The list of replicas is empty.".to_owned());
        }
        if distinct.len() < target.len() {
            return refused(format!("A broker is named twice in {}.", listed(target)));
        }
        if target.iter().any(|id| id.0 < 0) {
            return refused(format!("A broker id is negative in {}.", listed(target)));
        }
        let new = without(target, &known.replicas);
        let dead = new.into_iter().filter(|id| !self.brokers.contains_key(id)).collect::<Vec<_>>();
        if !dead.is_empty() {
            let live = self.brokers.keys().copied().collect::<Vec<_>>();
            return refused(format!("Brokers {} are not alive; those that are: {}.", listed(&dead), listed(&live)));
        }
        Ok(())
    }

    /// What was written holds from now on. Replicas that are none any more go with the next state, in which nobody needs them.
    pub(super) fn assignments_written(
        &mut self,
        name: &TopicName,
        changes: BTreeMap<PartitionIndex, AssignmentChange>,
        effects: &mut Vec<Effect>,
    ) {
        let mut ended = Vec::new();
        let mut begun = BTreeMap::new();
        for (index, AssignmentChange { assignment, ends }) in changes {
            let partition = self.topics.get_mut(name).and_then(|topic| topic.partitions.get_mut(&index));
            let Some(partition) = partition else { continue };
            if !assignment.is_moving() {
                ended.push(TopicPartition { topic: name.clone(), partition: index });
            }
            let before = std::mem::replace(&mut partition.assignment, assignment);
            if !ends {
                begun.insert(index, before.replicas);
            }
        }
        self.drop_from_znode(&ended, effects);
        if self.deletions.contains_key(name) {
            return;
        }
        let Some(topic) = self.topics.get(name) else { return };
        let mut writes = Vec::new();
        for (index, before) in begun {
            let Some(partition) = topic.partitions.get(&index) else { continue };
            let Some(state) = &partition.state else { continue };
            let drops = without(&before, &partition.assignment.replicas);
            let isr = without(&state.isr, &drops);
            // Refused before, if it were so.
            let isr = if isr.is_empty() { state.isr.clone() } else { isr };
            let leader = if drops.contains(&state.leader) {
                let next =
                    partition.assignment.replicas.iter().find(|id| isr.contains(id) && self.may_join(partition, **id));
                next.copied().unwrap_or(BrokerId::NONE)
            } else {
                state.leader
            };
            let next = self.succeeding(state, leader, isr);
            writes.push(StateChange { drops, ..leaders::change(name, index, state, next) });
        }
        write_states(writes, effects);
    }

    /// The state that ends a reassignment, once all that are to stay are in sync.
    pub(super) fn completion(&self, partition: &Partition, state: &PartitionState) -> Option<PartitionState> {
        let assignment = &partition.assignment;
        let target = assignment.target();
        if !assignment.is_moving() || !target.iter().all(|id| state.isr.contains(id)) {
            return None;
        }
        let leads_on = target.contains(&state.leader) && self.may_join(partition, state.leader);
        let leader = if leads_on { state.leader } else { *target.iter().find(|id| self.may_join(partition, **id))? };
        let isr = state.isr.iter().copied().filter(|id| target.contains(id)).collect();
        Some(self.succeeding(state, leader, isr))
    }

    pub(super) fn drop_replicas(
        &self,
        dropped: Vec<(BrokerId, (TopicPartition, LeaderEpoch))>,
        effects: &mut Vec<Effect>,
    ) {
        let mut of_broker = BTreeMap::<BrokerId, Vec<_>>::new();
        dropped.into_iter().for_each(|(broker, replica)| of_broker.entry(broker).or_default().push(replica));
        for (broker, partitions) in of_broker {
            if self.brokers.contains_key(&broker) {
                effects.push(Effect::StopReplicas { broker, partitions, delete: true });
            }
        }
    }

    fn drop_from_znode(&mut self, done: &[TopicPartition], effects: &mut Vec<Effect>) {
        let before = self.reassign_znode.len();
        self.reassign_znode.retain(|id, _| !done.contains(id));
        if self.reassign_znode.len() < before {
            effects.push(Effect::WriteReassignZnode(self.reassign_znode.clone()));
        }
    }

    /// All partitions that move, and how (ListPartitionReassignments).
    pub fn moving(&self) -> impl Iterator<Item = (TopicPartition, &Assignment)> {
        let moving = self.with_states().filter(|(_, _, partition, _)| partition.assignment.is_moving());
        moving
            .map(|(topic, partition, known, _)| (TopicPartition { topic: topic.clone(), partition }, &known.assignment))
    }
}

/// Writes assignments without what a reassignment has removed.
pub(super) fn end_reassignments(ended: Vec<(TopicPartition, Assignment)>, effects: &mut Vec<Effect>) {
    let mut of_topic = BTreeMap::<TopicName, BTreeMap<PartitionIndex, AssignmentChange>>::new();
    for (id, assignment) in ended {
        of_topic.entry(id.topic).or_default().insert(id.partition, AssignmentChange { assignment, ends: true });
    }
    effects.extend(of_topic.into_iter().map(|(topic, changes)| Effect::WriteAssignments(topic, changes)));
}

fn without(all: &[BrokerId], some: &[BrokerId]) -> Vec<BrokerId> {
    all.iter().copied().filter(|id| !some.contains(id)).collect()
}

fn listed(ids: &[BrokerId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
