//! What a broker keeps at hand for the day when it becomes the controller: the states of all partitions, as it last read them. The
//! watch that every broker has on the tree says which are true no more, and those are read again, a few at a time.
//!
//! So a new controller reads the topics, and of their partitions only those that changed a moment ago, before its first election: not
//! tens of thousands of znodes.
//!
//! *Invariant*: a state that is used was read from the tree, belongs to this topic and not to an earlier one of its name, and no event
//! that told of another one has come. It may be old nevertheless, by what is still on its way: whoever writes by it names its version.
//! *Does not know*: what the states are for.

use super::*;

/// States that are read in one go, and how long the coordinator is left alone then.
const READS: usize = 500;
pub(super) const PAUSE: Duration = Duration::from_millis(250);

#[derive(Default)]
pub(super) struct Standby {
    /// Whether all partitions were found, since events were last missed.
    listed: bool,
    known: BTreeMap<TopicPartition, Known>,
    /// To be read.
    unread: BTreeSet<TopicPartition>,
}

struct Known {
    state: PartitionState,
    /// The transaction that made the znode.
    czxid: i64,
}

impl Standby {
    /// Something changed.
    pub(super) fn note(&mut self, event: &WatchEvent) {
        match event {
            WatchEvent::Resync => *self = Self::default(),
            WatchEvent::Created(path) | WatchEvent::DataChanged(path) => {
                if let Some(id) = topic::partition_of_state(path) {
                    self.known.remove(&id);
                    self.unread.insert(id);
                }
            }
            WatchEvent::Deleted(path) => {
                if let Some(id) = topic::partition_of_state(path) {
                    self.known.remove(&id);
                    self.unread.remove(&id);
                }
            }
        }
    }

    pub(super) fn is_behind(&self) -> bool {
        !self.listed || !self.unread.is_empty()
    }

    /// The state of a partition whose topic was made by this transaction, if it is known.
    pub(super) fn state(&self, id: &TopicPartition, topic_czxid: i64) -> Option<&PartitionState> {
        self.known.get(id).filter(|known| topic_czxid < known.czxid).map(|known| &known.state)
    }
}

impl Running {
    /// Takes in what the watch told.
    pub(super) fn note(&mut self, event: WatchEvent) {
        self.standby.note(&event);
        self.dirty.note(event);
    }

    /// Takes in all that the watch has told so far.
    pub(super) fn note_all(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.note(event);
        }
    }

    /// Reads some of what this broker does not know.
    pub(super) async fn catch_up_standby(&mut self) -> Result<(), CoordinationError> {
        let coordinator = Rc::clone(&self.parts.coordinator);
        if !self.standby.listed {
            let names = coordinator.children(topic::TOPICS).await?;
            let names = names.iter().filter_map(|name| TopicName::new(name).ok()).collect::<Vec<_>>();
            let reads = join_all(names.iter().map(|name| coordinator.get(&topic::path(name)))).await;
            for (topic, read) in names.into_iter().zip(reads) {
                // One that cannot be read is named when this broker is the controller.
                let found = read?.and_then(|(data, _)| topic::TopicAssignment::decode(&data).ok());
                let partitions = found.into_iter().flat_map(|found| found.partitions.into_keys());
                let ids = partitions.map(|partition| TopicPartition { topic: topic.clone(), partition });
                self.standby.unread.extend(ids);
            }
            self.standby.listed = true;
        }
        let ids = std::iter::from_fn(|| self.standby.unread.pop_first()).take(READS).collect::<Vec<_>>();
        let reads = ids.iter().map(|id| coordinator.get(&topic::state_path(&id.topic, id.partition)));
        let reads = join_all(reads.collect::<Vec<_>>()).await;
        for (id, read) in ids.into_iter().zip(reads) {
            let Some((data, stat)) = read? else { continue };
            if let Ok(state) = topic::PartitionState::decode(&data) {
                let state = read::from_znode(state, PartitionEpoch(stat.version));
                self.standby.known.insert(id, Known { state, czxid: stat.czxid });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(partition: i32) -> TopicPartition {
        TopicPartition { topic: TopicName::new("t").expect("a name"), partition: PartitionIndex(partition) }
    }

    fn path(partition: i32) -> String {
        topic::state_path(&id(partition).topic, PartitionIndex(partition))
    }

    fn state() -> PartitionState {
        PartitionState {
            controller_epoch: ControllerEpoch(1),
            leader: BrokerId(1),
            leader_epoch: LeaderEpoch(0),
            isr: vec![BrokerId(1)],
            partition_epoch: PartitionEpoch(0),
            recovering: false,
        }
    }

    /// Knows the states of partitions 0 to 2, whose znodes the transactions 10 to 12 made.
    fn standby() -> Standby {
        let known = (0..3).map(|partition| (id(partition), Known { state: state(), czxid: 10 + i64::from(partition) }));
        Standby { listed: true, known: known.collect(), unread: BTreeSet::new() }
    }

    #[test]
    fn what_changed_is_not_known_until_it_was_read() {
        let mut standby = standby();
        assert!(!standby.is_behind());
        standby.note(&WatchEvent::DataChanged(path(0)));
        standby.note(&WatchEvent::Deleted(path(1)));
        standby.note(&WatchEvent::Created(path(3)));
        // Not of a state.
        standby.note(&WatchEvent::DataChanged("/brokers/topics/t".to_owned()));
        standby.note(&WatchEvent::Created("/brokers/topics/t/partitions/2".to_owned()));
        let known = (0..4).map(|partition| standby.state(&id(partition), 5).is_some()).collect::<Vec<_>>();
        assert_eq!(known, [false, false, true, false]);
        assert_eq!(standby.unread, BTreeSet::from([id(0), id(3)]));
        assert!(standby.is_behind());
    }

    #[test]
    fn a_state_of_an_earlier_topic_of_the_name_is_none() {
        let standby = standby();
        assert!(standby.state(&id(1), 10).is_some());
        assert!(standby.state(&id(1), 11).is_none());
        assert!(standby.state(&id(1), 20).is_none());
    }

    #[test]
    fn after_events_were_missed_nothing_is_known() {
        let mut standby = standby();
        standby.note(&WatchEvent::Resync);
        assert!((0..3).all(|partition| standby.state(&id(partition), 0).is_none()));
        assert!(standby.is_behind());
    }
}
