//! Topics come, get partitions, and vanish; what was written about them is told.

use super::reassignment::end_reassignments;
use super::*;

impl Controller {
    pub(super) fn topics_listed(&mut self, listed: &BTreeSet<TopicName>, effects: &mut Vec<Effect>) {
        let gone = self.topics.keys().filter(|name| !listed.contains(*name)).cloned().collect::<Vec<_>>();
        gone.iter().for_each(|name| self.topic_vanished(name, effects));
        if self.first_read == FirstRead::NotListed {
            self.first_read = FirstRead::Missing(listed.clone());
            self.tell_everything_once(effects);
        }
        let fresh = listed.iter().filter(|name| !self.topics.contains_key(*name));
        effects.extend(fresh.cloned().map(Effect::ReadTopic));
    }

    /// When all topics were read that were there at the election, everybody hears which there are. Whether that is now.
    fn tell_everything_once(&mut self, effects: &mut Vec<Effect>) -> bool {
        let FirstRead::Missing(missing) = &mut self.first_read else { return false };
        missing.retain(|name| !self.topics.contains_key(name));
        let is_now = missing.is_empty();
        if is_now {
            self.first_read = FirstRead::Done;
            effects.push(Effect::TellEverything { to: self.everybody(), partitions: self.notices(|_| true) });
        }
        is_now
    }

    /// The znode went without our doing: brokers forget the topic, but nobody deletes data because metadata is absent
    /// (law 10).
    pub(super) fn topic_vanished(&mut self, name: &TopicName, effects: &mut Vec<Effect>) {
        if let FirstRead::Missing(missing) = &mut self.first_read {
            missing.remove(name);
        }
        if let Some(topic) = self.topics.remove(name) {
            if Bug::B28.is_back() {
                let partitions = topic.partitions.keys().copied().collect::<Vec<_>>();
                effects.extend(self.brokers.keys().map(|broker| Effect::DeleteReplicas {
                    broker: *broker,
                    topic: name.clone(),
                    partitions: partitions.clone(),
                }));
            }
            effects.push(Effect::ForgetTopics(vec![topic.gone(name)]));
        }
        if self.deletions.remove(name).is_some() {
            effects.push(Effect::DropDeletion(name.clone()));
        }
    }

    /// Partitions that need another state, because nobody leads them, come first: it is they that clients wait for. The brokers
    /// are told of them when that is written, and of all others now.
    pub(super) fn topics_read(&mut self, read: Vec<(TopicName, Option<TopicRecord>)>, effects: &mut Vec<Effect>) {
        let (mut changes, mut led, mut all) = (Vec::new(), Vec::new(), Vec::new());
        let mut known = Vec::new();
        for (name, record) in read {
            let Some(record) = record else {
                self.topic_vanished(&name, effects);
                continue;
            };
            let written = record.written.clone();
            let Some(news) = self.topic_read(&name, record, effects) else { continue };
            let mut repairs = self.bounced_since(&name, &written);
            let bounced = repairs.iter().map(|change| change.partition).collect::<BTreeSet<_>>();
            repairs.extend(self.repairs(&name).into_iter().filter(|change| !bounced.contains(&change.partition)));
            let repaired = repairs.iter().map(|change| change.partition).collect::<BTreeSet<_>>();
            let stands = |index: PartitionIndex| !repaired.contains(&index);
            led.extend(self.notices_of(&name, |index| news.led.contains(&index) && stands(index)));
            all.extend(self.notices_of(&name, |index| news.changed.contains(&index) && stands(index)));
            if let Some(topic) = self.topics.get_mut(&name) {
                let standing = topic.partitions.iter_mut().filter(|(index, _)| !repaired.contains(index));
                standing.for_each(|(_, partition)| partition.told |= partition.state.is_some());
            }
            changes.extend(repairs);
            known.push(name);
        }
        // Before anything is written: what follows from that is told at once, and is newer.
        let everything = self.tell_everything_once(effects);
        write_states(changes, effects);
        self.tell_replicas(&led, effects);
        if !everything {
            self.tell_all(all, effects);
        }
        self.ask_unclean(known.iter(), effects);
    }

    /// Takes in what was read; what of it is news, unless nobody is to be told.
    fn topic_read(&mut self, name: &TopicName, record: TopicRecord, effects: &mut Vec<Effect>) -> Option<TopicNews> {
        let Some(id) = record.id else {
            effects.push(Effect::AssignTopicId(name.clone()));
            return None;
        };
        let known = self.topics.remove(name).filter(|topic| topic.id == id);
        let mut known = known.map(|topic| topic.partitions).unwrap_or_default();
        let mut states = record.states;
        let mut news = TopicNews::default();
        let partitions = record.assignments.into_iter().map(|(index, assignment)| {
            let (before, told, offline) = known
                .remove(&index)
                .map(|partition| (partition.state, partition.told, partition.offline))
                .unwrap_or_default();
            let read = states.remove(&index);
            if let Some(read) = &read {
                // Another writer's: we tell of ours when they are written.
                if !told || before.as_ref().is_none_or(|before| before.leader_epoch != read.leader_epoch) {
                    news.led.insert(index);
                }
                if !told || before.as_ref() != Some(read) {
                    news.changed.insert(index);
                }
            }
            (index, Partition { assignment, state: read.or(before), told, offline })
        });
        let topic = Topic { id, partitions: partitions.collect() };
        self.topics.insert(name.clone(), topic);
        if self.deletions.contains_key(name) {
            self.resume_deletion(name, effects);
            return None;
        }
        Some(news)
    }

    /// What was written is known from now on, and told: LeaderAndIsr to the replicas that must hear of it, then UpdateMetadata to
    /// all, as in one of Kafka's batches.
    pub(super) fn states_written(&mut self, changes: Vec<StateChange>, effects: &mut Vec<Effect>) {
        let (mut led, mut all) = (Vec::new(), Vec::new());
        let (mut dropped, mut ended) = (Vec::new(), Vec::new());
        let (mut moving, mut leaderless) = (BTreeSet::new(), BTreeSet::new());
        for StateChange { topic: name, partition: index, expected, state, tell, drops } in changes {
            let Some(topic) = self.topics.get_mut(&name) else { continue };
            let topic_id = topic.id;
            let Some(partition) = topic.partitions.get_mut(&index) else { continue };
            assert!(
                state.leader == BrokerId::NONE || state.isr.contains(&state.leader),
                "a leader that is not in sync"
            );
            let leader_epoch = state.leader_epoch;
            partition.state = Some(state);
            partition.told = true;
            let Some(notice) = partition.notice(&name, topic_id, index) else { continue };
            let assignment = match tell {
                Tell::Target => Assignment::settled(partition.assignment.target()),
                Tell::Replicas | Tell::Nobody => notice.assignment,
            };
            let notice = PartitionNotice { assignment, is_new: expected.is_none(), ..notice };
            dropped.extend(drops.into_iter().map(|broker| (broker, (notice.id(), leader_epoch))));
            match tell {
                Tell::Replicas => led.push(notice.clone()),
                Tell::Target => {
                    led.push(notice.clone());
                    ended.push((notice.id(), notice.assignment.clone()));
                }
                Tell::Nobody => {}
            }
            if notice.assignment.is_moving() {
                moving.insert(name.clone());
            }
            if notice.state.leader == BrokerId::NONE {
                leaderless.insert(name);
            }
            all.push(notice);
        }
        self.tell_replicas(&led, effects);
        self.tell_all(all, effects);
        self.drop_replicas(dropped, effects);
        end_reassignments(ended, effects);
        moving.iter().for_each(|topic| write_states(self.repairs(topic), effects));
        self.ask_unclean(leaderless.iter(), effects);
    }

    /// What brokers are told of those partitions of a topic that `which` picks.
    pub(super) fn notices_of(&self, name: &TopicName, which: impl Fn(PartitionIndex) -> bool) -> Vec<PartitionNotice> {
        let Some(topic) = self.topics.get(name) else { return vec![] };
        let picked = topic.partitions.iter().filter(|(index, _)| which(**index));
        picked.filter_map(|(&index, partition)| partition.notice(name, topic.id, index)).collect()
    }

    pub(super) fn tell_replicas(&self, notices: &[PartitionNotice], effects: &mut Vec<Effect>) {
        for &broker in self.brokers.keys() {
            let concerned = notices.iter().filter(|notice| notice.assignment.replicas.contains(&broker)).cloned();
            let partitions = concerned.map(|notice| {
                let is_new = notice.is_new || notice.assignment.adding.contains(&broker);
                PartitionNotice { is_new, ..notice }
            });
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

/// What was read of a topic and not known.
#[derive(Default)]
struct TopicNews {
    /// Partitions with another leadership: their replicas are told.
    led: BTreeSet<PartitionIndex>,
    /// These, and partitions with another ISR: everybody is told.
    changed: BTreeSet<PartitionIndex>,
}

impl Topic {
    /// What brokers are told when it is gone.
    pub(super) fn gone(&self, name: &TopicName) -> Gone {
        Gone { topic: name.clone(), topic_id: self.id, partitions: self.partitions.keys().copied().collect() }
    }
}
