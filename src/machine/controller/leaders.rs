//! Who leads: brokers come, leave and die, and every partition gets a leader that is in sync, or none.
//!
//! *Invariant*: the ISR never grows here (only its leader may ask for that), and is never empty: when all of its members are gone
//! it stays, since any of them has everything that was committed.
//!
//! Source: Kafka 3.9 `PartitionStateMachine`, `ReplicaStateMachine`, `Election`.

use super::*;

impl Controller {
    pub(super) fn brokers_changed(&mut self, brokers: BTreeMap<BrokerId, BrokerEpoch>, effects: &mut Vec<Effect>) {
        let is_new = |(id, epoch): &(&BrokerId, &BrokerEpoch)| self.brokers.get(id) != Some(epoch);
        let started = brokers.iter().filter(is_new).map(|(id, _)| *id).collect::<BTreeSet<_>>();
        let before = std::mem::replace(&mut self.brokers, brokers);
        // A broker that was started again has a new epoch: the one that was about to leave is gone.
        let stays = |id: &BrokerId| self.brokers.contains_key(id) && !started.contains(id);
        self.leaving.retain(stays);
        self.silent.retain(stays);
        self.deletions.values_mut().for_each(|deletion| deletion.heard_of_brokers(stays));
        let known = before.keys().copied().filter(stays).collect::<BTreeSet<_>>();
        self.forget_offline(&started);
        let bounced = started.iter().copied().filter(|id| before.contains_key(id)).collect::<BTreeSet<_>>();
        let mut changes = self.bounces(&bounced);
        let changed = changes.iter().map(|change| (change.topic.clone(), change.partition)).collect::<BTreeSet<_>>();
        effects.push(Effect::UpdateMetadata { to: known, partitions: vec![] });
        if !started.is_empty() {
            // It refuses to follow a leader that it does not know.
            let (to, partitions) = (started.clone(), self.notices(|_| true));
            effects.push(if self.first_read == FirstRead::Done {
                Effect::TellEverything { to, partitions }
            } else {
                Effect::UpdateMetadata { to, partitions }
            });
        }
        for &broker in &started {
            // Of what changes it hears when that is written.
            let stands = |notice: &PartitionNotice| !changed.contains(&(notice.topic.clone(), notice.partition));
            let partitions = self.notices(|notice| notice.assignment.replicas.contains(&broker) && stands(notice));
            if !partitions.is_empty() {
                effects.push(Effect::LeaderAndIsr { broker, partitions });
            }
        }
        let repairs = self.topics.keys().flat_map(|topic| self.repairs(topic));
        changes.extend(repairs.filter(|change| !changed.contains(&(change.topic.clone(), change.partition))));
        write_states(changes, effects);
        self.ask_unclean(self.topics.keys(), effects);
        let waiting = self.deletions.keys().cloned().collect::<Vec<_>>();
        waiting.iter().for_each(|topic| self.resume_deletion(topic, effects));
    }

    /// Other states where brokers lead or are in sync that were started again before anybody saw them gone (Kafka's bounced brokers):
    /// one may have lost what it had not flushed, so others lead, and it joins when it has caught up. Where nobody else can lead it
    /// does again, but as another leadership: it knows less of the last one than its followers.
    fn bounces(&mut self, bounced: &BTreeSet<BrokerId>) -> Vec<StateChange> {
        let live = self.brokers.clone();
        self.brokers.retain(|id, _| !bounced.contains(id));
        let concerned = self.with_states().filter(|(.., state)| state.isr.iter().any(|id| bounced.contains(id)));
        let changes = concerned.filter_map(|(name, index, partition, state)| {
            Some(change(name, index, state, self.bounced(partition, state, bounced)?))
        });
        let changes = changes.collect();
        self.brokers = live;
        changes
    }

    /// The state after one whose brokers were started again; these do not count as live.
    fn bounced(
        &self,
        partition: &Partition,
        state: &PartitionState,
        bounced: &BTreeSet<BrokerId>,
    ) -> Option<PartitionState> {
        let by_others = self.repaired(partition, state).filter(|next| next.leader != BrokerId::NONE);
        by_others.or_else(|| {
            let isr = state.isr.iter().copied().filter(|id| bounced.contains(id) || self.holds(partition, *id));
            bounced.contains(&state.leader).then(|| self.succeeding(state, state.leader, isr.collect()))
        })
    }

    /// The same for states of a topic that were read, given in which transactions they were written: no controller may have seen that
    /// brokers went and came since, as when all lose their power at once. Kafka's controllers let them lead on under the same epoch,
    /// and followers that have more of that epoch than their leader take its other records for the same. A partition with one replica
    /// cannot differ from another one.
    pub(super) fn bounced_since(
        &mut self,
        name: &TopicName,
        written: &BTreeMap<PartitionIndex, i64>,
    ) -> Vec<StateChange> {
        let Some(topic) = self.topics.get(name) else { return vec![] };
        let mut found = Vec::new();
        for (index, zxid) in written {
            let Some(partition) = topic.partitions.get(index) else { continue };
            let Some(state) = partition.state.as_ref().filter(|_| 1 < partition.assignment.replicas.len()) else {
                continue;
            };
            let is_later = |id: &&BrokerId| self.brokers.get(id).is_some_and(|epoch| *zxid < epoch.0);
            let bounced = state.isr.iter().filter(is_later).copied().collect::<BTreeSet<_>>();
            if !bounced.is_empty() {
                found.push((*index, bounced));
            }
        }
        let mut changes = Vec::new();
        for (index, bounced) in found {
            let live = self.brokers.clone();
            self.brokers.retain(|id, _| !bounced.contains(id));
            let partition = self.topics.get(name).and_then(|topic| topic.partitions.get(&index));
            let known = partition.and_then(|partition| Some((partition, partition.state.as_ref()?)));
            changes.extend(known.and_then(|(partition, state)| {
                Some(change(name, index, state, self.bounced(partition, state, &bounced)?))
            }));
            self.brokers = live;
        }
        changes
    }

    pub(super) fn broker_silent(&mut self, broker: BrokerId, silent: bool, effects: &mut Vec<Effect>) {
        let changed = match silent {
            true => self.brokers.contains_key(&broker) && self.silent.insert(broker),
            false => self.silent.remove(&broker),
        };
        if changed {
            self.repair_all(effects);
        }
    }

    /// Other leaders for what the broker leads, and it leaves every other ISR (KIP-49).
    pub(super) fn broker_leaves(&mut self, broker: BrokerId, effects: &mut Vec<Effect>) {
        if !self.brokers.contains_key(&broker) {
            return;
        }
        self.leaving.insert(broker);
        let (mut changes, mut stopped) = (Vec::new(), Vec::new());
        for (name, index, partition, state) in self.with_states() {
            if partition.assignment.replicas.len() < 2 || !partition.assignment.replicas.contains(&broker) {
                continue;
            }
            let next = if state.leader == broker {
                self.elected(partition, state, false)
            } else {
                stopped.push((TopicPartition { topic: name.clone(), partition: index }, state.leader_epoch));
                let isr = state.isr.iter().copied().filter(|id| *id != broker).collect::<Vec<_>>();
                let shrinks = !isr.is_empty() && isr.len() < state.isr.len();
                shrinks.then(|| self.succeeding(state, state.leader, isr))
            };
            changes.extend(next.map(|next| change(name, index, state, next)));
        }
        if !stopped.is_empty() {
            effects.push(Effect::StopReplicas { broker, partitions: stopped, delete: false });
        }
        write_states(changes, effects);
    }

    /// The partitions that a broker leads although others could, were they in sync: what a broker that wants to stop hears.
    #[must_use]
    pub fn still_led_by(&self, broker: BrokerId) -> Vec<TopicPartition> {
        let led = self
            .with_states()
            .filter(|(_, _, partition, state)| state.leader == broker && 1 < partition.assignment.replicas.len());
        led.map(|(topic, partition, ..)| TopicPartition { topic: topic.clone(), partition }).collect()
    }

    pub(super) fn elect(&self, partitions: &[TopicPartition], unclean: bool, effects: &mut Vec<Effect>) {
        let elected = partitions.iter().filter_map(|id| {
            let partition = self.partition(id)?;
            let state = partition.state.as_ref()?;
            let next = if unclean {
                let has_leader = self.brokers.contains_key(&state.leader);
                (!has_leader).then(|| self.elected(partition, state, true)).flatten()?
            } else {
                let first = *partition.assignment.replicas.first()?;
                let eligible = first != state.leader && self.may_join(partition, first) && state.isr.contains(&first);
                eligible.then(|| self.succeeding(state, first, state.isr.clone()))?
            };
            Some(change(&id.topic, id.partition, state, next))
        });
        write_states(elected.collect(), effects);
    }

    /// Whether an election that a client asks for makes sense.
    ///
    /// # Errors
    /// Why not.
    pub fn may_elect(&self, id: &TopicPartition, unclean: bool) -> Result<(), ErrorCode> {
        let partition = self.partition(id).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let state = partition.state.as_ref().ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let replicas = &partition.assignment.replicas;
        if self.is_deleting(&id.topic) {
            return Err(ErrorCode::InvalidTopicException);
        }
        let is_led = self.brokers.contains_key(&state.leader);
        if unclean {
            let eligible = replicas.iter().any(|id| self.may_join(partition, *id));
            return if is_led {
                Err(ErrorCode::ElectionNotNeeded)
            } else if eligible {
                Ok(())
            } else {
                Err(ErrorCode::EligibleLeadersNotAvailable)
            };
        }
        match replicas.first() {
            Some(first) if *first == state.leader => Err(ErrorCode::ElectionNotNeeded),
            Some(first) if self.may_join(partition, *first) && state.isr.contains(first) => Ok(()),
            _ => Err(ErrorCode::PreferredLeaderNotAvailable),
        }
    }

    fn repair_all(&self, effects: &mut Vec<Effect>) {
        let changes = self.topics.keys().flat_map(|topic| self.repairs(topic)).collect();
        write_states(changes, effects);
    }

    /// States for the partitions of a topic that need another one since brokers came or went.
    pub(super) fn repairs(&self, name: &TopicName) -> Vec<StateChange> {
        let Some(topic) = self.topics.get(name).filter(|_| !self.deletions.contains_key(name)) else { return vec![] };
        let repair = |(&index, partition): (&PartitionIndex, &Partition)| match &partition.state {
            None => {
                let state = self.first_state(partition)?;
                let (expected, tell, drops) = (None, Tell::Replicas, vec![]);
                Some(StateChange { topic: name.clone(), partition: index, expected, state, tell, drops })
            }
            Some(state) => {
                let repaired = self.repaired(partition, state).map(|next| change(name, index, state, next));
                repaired.or_else(|| {
                    let next = self.completion(partition, state)?;
                    let drops = partition.assignment.removing.clone();
                    Some(StateChange { tell: Tell::Target, drops, ..change(name, index, state, next) })
                })
            }
        };
        topic.partitions.iter().filter_map(repair).collect()
    }

    /// The first live replica leads, and all live ones are in sync: there is nothing to be behind of.
    fn first_state(&self, partition: &Partition) -> Option<PartitionState> {
        let replicas = partition.assignment.replicas.iter().copied();
        let isr = replicas.filter(|id| self.may_join(partition, *id)).collect::<Vec<_>>();
        Some(PartitionState {
            controller_epoch: self.epoch,
            leader: *isr.first()?,
            leader_epoch: LeaderEpoch(0),
            isr,
            partition_epoch: PartitionEpoch(0),
            recovering: false,
        })
    }

    /// Another state, if the leader is gone or a member of the ISR is.
    fn repaired(&self, partition: &Partition, state: &PartitionState) -> Option<PartitionState> {
        let holds = |id: BrokerId| self.holds(partition, id);
        if holds(state.leader) {
            let isr = state.isr.iter().copied().filter(|id| holds(*id)).collect::<Vec<_>>();
            return (isr.len() < state.isr.len()).then(|| self.succeeding(state, state.leader, isr));
        }
        let elected = self.elected(partition, state, false);
        elected.or_else(|| {
            // One that is only silent may be back at once, and nobody else can lead.
            let gone = state.leader != BrokerId::NONE && self.is_lost(partition, state.leader);
            gone.then(|| {
                let isr = state.isr.iter().copied().filter(|id| holds(*id)).collect::<Vec<_>>();
                let isr = if isr.is_empty() { state.isr.clone() } else { isr };
                self.succeeding(state, BrokerId::NONE, isr)
            })
        })
    }

    /// The first replica that is in sync and may lead does, with the members of the ISR that may. `unclean`: where no member of
    /// the ISR is left, any replica that may lead does, alone. One that only seems to be gone is left.
    fn elected(&self, partition: &Partition, state: &PartitionState, unclean: bool) -> Option<PartitionState> {
        let replicas = &partition.assignment.replicas;
        let in_sync = |id: &&BrokerId| self.may_join(partition, **id) && state.isr.contains(id);
        if let Some(leader) = replicas.iter().find(in_sync) {
            let isr = state.isr.iter().copied().filter(|id| self.may_join(partition, *id)).collect();
            return Some(self.succeeding(state, *leader, isr));
        }
        let nobody = state.isr.iter().all(|id| self.is_lost(partition, *id));
        let any = replicas.iter().find(|id| self.may_join(partition, **id)).filter(|_| unclean && nobody)?;
        Some(PartitionState { recovering: true, ..self.succeeding(state, *any, vec![*any]) })
    }

    /// Asks whether records may be lost, where nothing else gives a partition a leader.
    pub(super) fn ask_unclean<'t>(&self, topics: impl Iterator<Item = &'t TopicName>, effects: &mut Vec<Effect>) {
        let stuck = topics.filter(|name| {
            let topic = self.topics.get(*name).filter(|_| !self.deletions.contains_key(*name));
            topic.is_some_and(|topic| topic.partitions.values().any(|partition| self.is_stuck(partition)))
        });
        let stuck = stuck.cloned().collect::<BTreeSet<_>>();
        if !stuck.is_empty() {
            effects.push(Effect::AskUnclean(stuck));
        }
    }

    pub(super) fn unclean_allowed(&self, topics: &BTreeSet<TopicName>, effects: &mut Vec<Effect>) {
        let allowed = self.with_states().filter(|(name, ..)| topics.contains(*name));
        let stuck = allowed.filter(|(_, _, partition, _)| self.is_stuck(partition));
        let elected = stuck.filter_map(|(name, index, partition, state)| {
            Some(change(name, index, state, self.elected(partition, state, true)?))
        });
        write_states(elected.collect(), effects);
    }

    /// Whether there is no leader, nobody in sync is left, and another replica could lead.
    fn is_stuck(&self, partition: &Partition) -> bool {
        let Some(state) = &partition.state else { return false };
        state.leader == BrokerId::NONE
            && state.isr.iter().all(|id| self.is_lost(partition, *id))
            && partition.assignment.replicas.iter().any(|id| self.may_join(partition, *id))
    }

    pub(super) fn succeeding(&self, state: &PartitionState, leader: BrokerId, isr: Vec<BrokerId>) -> PartitionState {
        PartitionState {
            controller_epoch: self.epoch,
            leader,
            leader_epoch: LeaderEpoch(state.leader_epoch.0.saturating_add(1)),
            isr,
            ..state.clone()
        }
    }

    /// Whether a broker is live, as far as anybody knows. One that is about to leave is.
    fn is_there(&self, id: BrokerId) -> bool {
        self.brokers.contains_key(&id) && !self.silent.contains(&id)
    }

    /// Whether a broker has a replica that can be served, as far as anybody knows.
    fn holds(&self, partition: &Partition, id: BrokerId) -> bool {
        self.is_there(id) && !partition.offline.contains(&id)
    }

    /// Whether a broker certainly has none, until it starts again.
    fn is_lost(&self, partition: &Partition, id: BrokerId) -> bool {
        !self.brokers.contains_key(&id) || partition.offline.contains(&id)
    }

    /// Whether a broker may begin to lead a partition, or join its ISR.
    pub(super) fn may_join(&self, partition: &Partition, id: BrokerId) -> bool {
        self.holds(partition, id) && !self.leaving.contains(&id) && partition.assignment.replicas.contains(&id)
    }

    /// All partitions that have a state and are not being deleted.
    pub(super) fn with_states(
        &self,
    ) -> impl Iterator<Item = (&TopicName, PartitionIndex, &Partition, &PartitionState)> {
        let known = self.topics.iter().filter(|(name, _)| !self.deletions.contains_key(*name));
        known.flat_map(|(name, topic)| {
            let partitions = topic.partitions.iter();
            partitions.filter_map(move |(index, partition)| Some((name, *index, partition, partition.state.as_ref()?)))
        })
    }
}

pub(super) fn change(
    topic: &TopicName,
    partition: PartitionIndex,
    from: &PartitionState,
    to: PartitionState,
) -> StateChange {
    let expected = Some(from.partition_epoch);
    StateChange { topic: topic.clone(), partition, expected, state: to, tell: Tell::Replicas, drops: vec![] }
}
