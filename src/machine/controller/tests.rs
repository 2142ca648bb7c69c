//! Transcripts of a controller's life.

use super::*;

fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("a legal name")
}

fn live(ids: &[i32]) -> Event {
    Event::Brokers(ids.iter().map(|id| (BrokerId(*id), BrokerEpoch(i64::from(*id)))).collect())
}

fn record(id: u8, replicas: &[&[i32]]) -> TopicRecord {
    let replicas = (0..).map(PartitionIndex).zip(replicas.iter().map(|r| r.iter().copied().map(BrokerId).collect()));
    TopicRecord { id: Some(TopicId([id; 16])), replicas: replicas.collect(), states: BTreeMap::new() }
}

struct Transcript(Controller);

impl Transcript {
    fn new(brokers: &[i32]) -> Self {
        let mut transcript = Self(Controller::new(ControllerEpoch(1)));
        transcript.after(live(brokers));
        transcript
    }

    fn after(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.0.step(event, &mut effects);
        effects
    }

    /// Reads a topic and lets the write of its first states succeed; what the brokers are told.
    fn created(&mut self, topic: &str, record: TopicRecord) -> Vec<Effect> {
        let effects = self.after(Event::TopicRead(name(topic), Some(record)));
        let [Effect::WriteStates(changes)] = &effects[..] else { panic!("expected states to write: {effects:?}") };
        assert!(changes.iter().all(|change| change.expected.is_none()));
        self.after(Event::StatesWritten(changes.clone()))
    }
}

#[test]
fn a_new_topic_gets_states_before_any_broker_hears_of_it() {
    let mut c = Transcript::new(&[1]);
    assert_eq!(c.after(Event::Topics(BTreeSet::from([name("t")]))), [Effect::ReadTopic(name("t"))]);
    let told = c.created("t", record(7, &[&[1], &[1]]));
    let [Effect::LeaderAndIsr { broker, partitions }, Effect::UpdateMetadata(all)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((*broker, partitions.len(), all.len()), (BrokerId(1), 2, 2));
    assert!(partitions.iter().all(|p| p.is_new && p.state.leader == BrokerId(1) && p.state.isr == [BrokerId(1)]));
}

#[test]
fn a_topic_without_id_gets_one_first() {
    let mut c = Transcript::new(&[1]);
    let old = TopicRecord { id: None, ..record(0, &[&[1]]) };
    assert_eq!(c.after(Event::TopicRead(name("t"), Some(old))), [Effect::AssignTopicId(name("t"))]);
}

#[test]
fn a_state_that_is_there_is_kept_with_its_epoch() {
    let mut c = Transcript::new(&[1]);
    let state = PartitionState {
        controller_epoch: ControllerEpoch(9),
        leader: BrokerId(1),
        leader_epoch: LeaderEpoch(5),
        isr: vec![BrokerId(1)],
        partition_epoch: PartitionEpoch(3),
        recovering: false,
    };
    let taken_over = TopicRecord { states: BTreeMap::from([(PartitionIndex(0), state.clone())]), ..record(1, &[&[1]]) };
    let told = c.after(Event::TopicRead(name("t"), Some(taken_over)));
    let [Effect::LeaderAndIsr { partitions, .. }, Effect::UpdateMetadata(_)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(partitions[0].state, state);
    assert!(!partitions[0].is_new);
}

#[test]
fn a_partition_without_a_leader_gets_one_when_an_in_sync_replica_starts() {
    let mut c = Transcript::new(&[]);
    let state = PartitionState {
        controller_epoch: ControllerEpoch(1),
        leader: BrokerId::NONE,
        leader_epoch: LeaderEpoch(5),
        isr: vec![BrokerId(1)],
        partition_epoch: PartitionEpoch(3),
        recovering: false,
    };
    let dead = TopicRecord { states: BTreeMap::from([(PartitionIndex(0), state)]), ..record(1, &[&[2, 1]]) };
    c.after(Event::TopicRead(name("t"), Some(dead)));
    assert!(!c.after(live(&[2])).iter().any(|e| matches!(e, Effect::WriteStates(_))), "2 is not in sync");
    let effects = c.after(live(&[1, 2]));
    let Some(Effect::WriteStates(changes)) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(changes[0].expected, Some(PartitionEpoch(3)));
    assert_eq!((changes[0].state.leader, changes[0].state.leader_epoch), (BrokerId(1), LeaderEpoch(6)));
}

#[test]
fn added_partitions_are_started_and_the_others_left_alone() {
    let mut c = Transcript::new(&[1]);
    c.created("t", record(7, &[&[1]]));
    let effects = c.after(Event::TopicRead(name("t"), Some(record(7, &[&[1], &[1]]))));
    let [Effect::WriteStates(changes)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(changes.iter().map(|c| c.partition).collect::<Vec<_>>(), [PartitionIndex(1)]);
}

#[test]
fn a_deletion_ends_with_the_znodes_and_the_name_is_free_again() {
    let mut c = Transcript::new(&[1]);
    c.created("t", record(7, &[&[1]]));
    let wanted = || Event::Deletions(BTreeSet::from([name("t")]));
    assert_eq!(
        c.after(wanted()),
        [
            Effect::ForgetTopics(vec![(name("t"), TopicId([7; 16]))]),
            Effect::DeleteReplicas { broker: BrokerId(1), topic: name("t"), partitions: vec![PartitionIndex(0)] },
        ]
    );
    assert_eq!(c.after(wanted()), [], "asked twice");
    let deleted = Event::ReplicasDeleted { broker: BrokerId(1), topic: name("t"), done: true };
    assert_eq!(c.after(deleted), [Effect::RemoveTopic(name("t"))]);
    assert_eq!(c.after(Event::TopicRemoved(name("t"))), []);
    assert!(!c.0.is_deleting(&name("t")));
    c.created("t", record(8, &[&[1]]));
}

#[test]
fn a_deletion_waits_for_a_broker_that_is_away() {
    let mut c = Transcript::new(&[1, 2]);
    c.created("t", record(7, &[&[1, 2]]));
    c.after(live(&[1]));
    assert_eq!(c.after(Event::Deletions(BTreeSet::from([name("t")]))), []);
    assert_eq!(c.after(live(&[1, 2])).iter().filter(|e| matches!(e, Effect::DeleteReplicas { .. })).count(), 2);
}

#[test]
fn a_wish_to_delete_what_is_not_there_is_dropped() {
    let mut c = Transcript::new(&[1]);
    assert_eq!(c.after(Event::Deletions(BTreeSet::from([name("t")]))), [Effect::DropDeletion(name("t"))]);
}

#[test]
fn a_znode_that_vanished_makes_brokers_forget_but_not_delete() {
    let mut c = Transcript::new(&[1]);
    c.created("t", record(7, &[&[1]]));
    assert_eq!(c.after(Event::Topics(BTreeSet::new())), [Effect::ForgetTopics(vec![(name("t"), TopicId([7; 16]))])]);
}
