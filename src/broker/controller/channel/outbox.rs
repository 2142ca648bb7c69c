//! What one other broker was not told yet, in the order in which it must hear it.
//!
//! *Invariant*: of each partition there is at most one LeaderAndIsr, one state for UpdateMetadata and one StopReplica, and of each
//! topic's name at most one word that it is gone: newer news takes the place of older news, and what came and went before the broker
//! heard of it is not said at all. So however long a broker hangs, and whatever is made, moved and deleted meanwhile, what waits for
//! it grows no larger than what there is now and what it was told.
//! *Does not know*: requests, connections.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::machine::controller::{Gone, PartitionNotice};
use crate::model::{LeaderEpoch, TopicName, TopicPartition};

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    batches: VecDeque<Batch>,
    /// Topics of which the broker may have heard: from an earlier controller too, of those that were there when it was told everything.
    heard_of: BTreeSet<TopicName>,
    /// The first UpdateMetadata was put in.
    introduced: bool,
}

/// What is sent together, in the order of the fields.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) leader_and_isr: BTreeMap<TopicPartition, PartitionNotice>,
    pub(super) metadata: Option<BTreeMap<TopicPartition, PartitionNotice>>,
    /// There are no other partitions than those in `metadata`.
    pub(super) everything: bool,
    pub(super) forgotten: Vec<Gone>,
    pub(super) stopped: Vec<Stopped>,
    /// The first that the broker hears: who else is there. It follows no leader that it does not know, so that nothing else is in it.
    introduces: bool,
}

/// A replica that is to be stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stopped {
    pub(super) partition: TopicPartition,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) delete: bool,
}

impl Outbox {
    pub(super) fn leader_and_isr(&mut self, notices: Vec<PartitionNotice>) {
        let mut news = BTreeMap::new();
        for notice in notices {
            let id = notice.id();
            let was_new = self.take_leader_and_isr(&id).is_some_and(|older| older.is_new);
            news.insert(id, PartitionNotice { is_new: notice.is_new || was_new, ..notice });
        }
        self.behind_what_precedes(|last| last.introduces || news.keys().any(|id| last.ends(id)));
        self.last().leader_and_isr.extend(news);
        self.tidy();
    }

    pub(super) fn update_metadata(&mut self, notices: Vec<PartitionNotice>) {
        let news = notices.into_iter().map(|notice| (notice.id(), notice)).collect::<BTreeMap<_, _>>();
        for batch in &mut self.batches {
            let Some(known) = &mut batch.metadata else { continue };
            if batch.everything {
                // It would forget what is not in there.
                for (id, older) in known {
                    if let Some(newer) = news.get(id).filter(|newer| newer.topic_id == older.topic_id) {
                        older.clone_from(newer);
                    }
                }
            } else {
                known.retain(|id, _| !news.contains_key(id));
            }
        }
        self.behind_what_precedes(|last| news.keys().any(|id| last.ends(id)));
        let first = !std::mem::replace(&mut self.introduced, true);
        let last = self.last();
        last.introduces |= first;
        last.metadata.get_or_insert_default().extend(news);
        self.tidy();
    }

    /// The same, and there are no other partitions.
    pub(super) fn tell_everything(&mut self, notices: Vec<PartitionNotice>) {
        self.heard_of.extend(notices.iter().map(|notice| notice.topic.clone()));
        self.update_metadata(notices);
        self.last().everything = true;
    }

    pub(super) fn forget(&mut self, topics: &[Gone]) {
        for gone in topics {
            let mut was_news = false;
            for batch in &mut self.batches {
                batch.leader_and_isr.retain(|id, _| id.topic != gone.topic);
                if let Some(known) = &mut batch.metadata {
                    let before = known.len();
                    known.retain(|id, _| id.topic != gone.topic);
                    was_news |= known.len() != before;
                }
            }
            // Of a namesake that came after one that it is to forget, or that it never heard of, nothing was said.
            let forgets = self.batches.iter().any(|batch| batch.forgets(&gone.topic));
            let unheard = was_news && !self.heard_of.contains(&gone.topic);
            if !forgets && !unheard {
                self.heard_of.insert(gone.topic.clone());
                let last = self.last();
                last.metadata.get_or_insert_default();
                last.forgotten.push(gone.clone());
            }
        }
        self.tidy();
    }

    pub(super) fn stop(&mut self, stopped: impl Iterator<Item = Stopped>) {
        for mut stopped in stopped {
            self.take_leader_and_isr(&stopped.partition);
            for batch in &mut self.batches {
                let same = |older: &mut Stopped| older.partition == stopped.partition;
                stopped.delete |= batch.stopped.extract_if(.., same).any(|older| older.delete);
            }
            self.last().stopped.push(stopped);
        }
        self.tidy();
    }

    /// What is to be sent next.
    pub(super) fn take(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.heard_of.retain(|topic| !batch.forgets(topic));
        let told = batch.metadata.iter().flat_map(BTreeMap::keys);
        self.heard_of.extend(told.map(|id| id.topic.clone()));
        Some(batch)
    }

    fn take_leader_and_isr(&mut self, id: &TopicPartition) -> Option<PartitionNotice> {
        self.batches.iter_mut().find_map(|batch| batch.leader_and_isr.remove(id))
    }

    /// Begins another batch when the last one holds something that must be heard before what comes now.
    fn behind_what_precedes(&mut self, precedes: impl FnOnce(&Batch) -> bool) {
        if self.batches.back().is_some_and(precedes) {
            self.batches.push_back(Batch::default());
        }
    }

    fn last(&mut self) -> &mut Batch {
        if self.batches.is_empty() {
            self.batches.push_back(Batch::default());
        }
        let last = self.batches.len() - 1;
        &mut self.batches[last]
    }

    /// Removes batches of which nothing is left.
    fn tidy(&mut self) {
        let mut said_later = false;
        let mut kept = VecDeque::with_capacity(self.batches.len());
        for batch in self.batches.drain(..).rev() {
            // With every UpdateMetadata the broker hears who is alive: the last one will do.
            let is_needed = batch.introduces || batch.everything;
            let is_said = batch.metadata.as_ref().is_none_or(|known| known.is_empty() && said_later && !is_needed);
            said_later |= batch.metadata.is_some();
            if !(is_said && batch.leader_and_isr.is_empty() && batch.forgotten.is_empty() && batch.stopped.is_empty()) {
                kept.push_front(batch);
            }
        }
        self.batches = kept;
    }
}

impl Batch {
    fn forgets(&self, topic: &TopicName) -> bool {
        self.forgotten.iter().any(|gone| gone.topic == *topic)
    }

    /// Whether a replica ends here: what comes next of its partition is about another one.
    fn ends(&self, id: &TopicPartition) -> bool {
        self.forgets(&id.topic) || self.stopped.iter().any(|stopped| stopped.partition == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::controller::{Assignment, PartitionState};
    use crate::model::{BrokerId, ControllerEpoch, PartitionEpoch, PartitionIndex, TopicId};

    fn notice(topic: &str, epoch: i32, is_new: bool) -> PartitionNotice {
        PartitionNotice {
            topic: TopicName::new(topic).expect("a name"),
            topic_id: TopicId([1; 16]),
            partition: PartitionIndex(0),
            assignment: Assignment::settled(vec![BrokerId(1)]),
            state: PartitionState {
                controller_epoch: ControllerEpoch(1),
                leader: BrokerId(1),
                leader_epoch: LeaderEpoch(epoch),
                isr: vec![BrokerId(1)],
                partition_epoch: PartitionEpoch(0),
                recovering: false,
            },
            offline: vec![],
            is_new,
        }
    }

    fn gone(topic: &str) -> Gone {
        let topic = TopicName::new(topic).expect("a name");
        Gone { topic, topic_id: TopicId([1; 16]), partitions: vec![PartitionIndex(0)] }
    }

    fn stopped(topic: &str, epoch: i32, delete: bool) -> Stopped {
        Stopped { partition: notice(topic, 0, false).id(), leader_epoch: LeaderEpoch(epoch), delete }
    }

    /// One that was introduced to a cluster with these topics.
    fn introduced(topics: &[&str]) -> Outbox {
        let mut outbox = Outbox::default();
        outbox.update_metadata(vec![]);
        outbox.tell_everything(topics.iter().map(|topic| notice(topic, 0, false)).collect());
        outbox
    }

    impl Outbox {
        fn lead(&mut self, topic: &str, epoch: i32) {
            self.leader_and_isr(vec![notice(topic, epoch, false)]);
        }

        fn tell(&mut self, topic: &str, epoch: i32) {
            self.update_metadata(vec![notice(topic, epoch, false)]);
        }
    }

    /// What is left to be sent, a line for each batch.
    fn rendered(mut outbox: Outbox) -> Vec<String> {
        let mut lines = vec![];
        while let Some(batch) = outbox.take() {
            let of = |notice: &PartitionNotice| {
                let new = if notice.is_new { " new" } else { "" };
                format!("{}@{}{new}", notice.topic, notice.state.leader_epoch.0)
            };
            let mut words =
                batch.leader_and_isr.values().map(|notice| format!("lead {}", of(notice))).collect::<Vec<_>>();
            if let Some(metadata) = batch.metadata {
                words.push(if batch.everything { "all" } else { "tell" }.to_owned());
                words.extend(metadata.values().map(of));
            }
            words.extend(batch.forgotten.iter().map(|gone| format!("forget {}", gone.topic)));
            words.extend(batch.stopped.iter().map(|stopped| {
                let word = if stopped.delete { "delete" } else { "stop" };
                format!("{word} {}@{}", stopped.partition.topic, stopped.leader_epoch.0)
            }));
            lines.push(words.join(" "));
        }
        lines
    }

    #[test]
    fn a_broker_hears_who_is_there_before_it_is_to_follow_anybody() {
        let mut outbox = introduced(&["a"]);
        outbox.lead("a", 1);
        outbox.tell("b", 1);
        assert_eq!(rendered(outbox), ["all a@0", "lead a@1 tell b@1"]);
    }

    #[test]
    fn newer_news_takes_the_place_of_older_news() {
        let mut outbox = introduced(&[]);
        outbox.leader_and_isr(vec![notice("a", 1, true)]);
        outbox.tell("a", 1);
        outbox.lead("a", 2);
        outbox.tell("a", 2);
        assert_eq!(rendered(outbox), ["all", "lead a@2 new tell a@2"], "it never heard that the partition was new");
    }

    #[test]
    fn a_replica_is_stopped_before_it_is_one_again_and_other_partitions_do_not_wait_for_it() {
        let mut outbox = introduced(&["a", "b"]);
        outbox.lead("a", 1);
        outbox.stop([stopped("a", 1, true)].into_iter());
        outbox.lead("b", 5);
        outbox.lead("a", 2);
        assert_eq!(rendered(outbox), ["all a@0 b@0", "lead b@5 delete a@1", "lead a@2"]);
    }

    #[test]
    fn a_deletion_is_not_lost_when_the_replica_is_stopped_once_more() {
        let mut outbox = introduced(&["a"]);
        outbox.stop([stopped("a", 1, true)].into_iter());
        outbox.lead("a", 2);
        outbox.stop([stopped("a", 3, false)].into_iter());
        assert_eq!(rendered(outbox), ["all a@0", "delete a@3"]);
    }

    #[test]
    fn a_topic_is_forgotten_before_its_namesake_is_told() {
        let mut outbox = introduced(&["a"]);
        outbox.forget(&[gone("a")]);
        outbox.lead("a", 0);
        outbox.tell("a", 0);
        outbox.tell("b", 0);
        assert_eq!(rendered(outbox), ["all forget a", "lead a@0 tell a@0 b@0"]);
    }

    #[test]
    fn what_came_and_went_before_it_was_told_is_not_said() {
        let mut outbox = introduced(&["a"]);
        outbox.tell("b", 0);
        outbox.forget(&[gone("b")]);
        outbox.forget(&[gone("c")]);
        assert_eq!(rendered(outbox), ["all a@0 forget c"], "c it may have heard of from an earlier controller");
        let mut outbox = introduced(&["a"]);
        outbox.take();
        outbox.tell("b", 0);
        outbox.take();
        outbox.forget(&[gone("b")]);
        assert_eq!(rendered(outbox), ["tell forget b"], "it was told");
    }

    #[test]
    fn everything_stays_everything_while_it_waits() {
        let mut outbox = introduced(&["a", "b", "c"]);
        outbox.tell("a", 1);
        outbox.tell("d", 0);
        outbox.forget(&[gone("b")]);
        assert_eq!(rendered(outbox), ["all a@1 c@0 d@0 forget b"]);
        let mut outbox = introduced(&["a", "b"]);
        // Another batch begins behind a replica that ends.
        outbox.stop([stopped("a", 0, false)].into_iter());
        outbox.tell("a", 1);
        outbox.tell("b", 1);
        assert_eq!(rendered(outbox), ["all a@1 b@1 stop a@0", "tell a@1 b@1"]);
    }

    #[test]
    fn it_grows_no_larger_than_what_there_is_whatever_comes_and_goes() {
        let mut outbox = introduced(&["stays", "moves", "a"]);
        for round in 0..1_000 {
            // Topics of ever other names, one of ever the same, and a replica that comes and goes.
            let name = format!("of-round-{round}");
            for topic in [&name, "a"] {
                outbox.tell(topic, round);
                outbox.lead(topic, round);
                outbox.stop([stopped(topic, -2, true)].into_iter());
                outbox.forget(&[gone(topic)]);
            }
            outbox.lead("moves", round);
            outbox.tell("moves", round);
            outbox.stop([stopped("moves", round, round % 7 == 0)].into_iter());
            outbox.tell("stays", round);
        }
        let deletions = outbox.batches.iter().flat_map(|batch| &batch.stopped);
        // Each of them a topic that is not gone before this broker has answered.
        assert_eq!(deletions.filter(|stopped| stopped.partition.topic.as_str().starts_with("of-round")).count(), 1_000);
        for batch in &mut outbox.batches {
            batch.stopped.retain(|stopped| !stopped.partition.topic.as_str().starts_with("of-round"));
        }
        outbox.tidy();
        assert_eq!(
            rendered(outbox),
            ["all moves@999 stays@999", "tell forget a", "tell moves@999 stays@999 delete a@-2 delete moves@999"]
        );
    }
}
