//! Transcripts of a controller's life.

use super::*;

mod reassignment;
mod restarted;

fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("a legal name")
}

fn live(ids: &[i32]) -> Event {
    Event::Brokers(ids.iter().map(|id| (BrokerId(*id), BrokerEpoch(i64::from(*id)))).collect())
}

fn record(id: u8, replicas: &[&[i32]]) -> TopicRecord {
    let settled = |replicas: &&[i32]| Assignment::settled(ids(replicas));
    let assignments = (0..).map(PartitionIndex).zip(replicas.iter().map(settled)).collect();
    TopicRecord { id: Some(TopicId([id; 16])), assignments, states: BTreeMap::new(), written: BTreeMap::new() }
}

fn gone() -> Gone {
    Gone { topic: name("t"), topic_id: TopicId([7; 16]), partitions: vec![PartitionIndex(0)] }
}

struct Transcript(Controller);

impl Transcript {
    fn new(brokers: &[i32]) -> Self {
        let mut transcript = Self(Controller::new(ControllerEpoch(1)));
        transcript.after(live(brokers));
        transcript.after(Event::Topics(BTreeSet::new()));
        transcript
    }

    fn after(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.0.step(event, &mut effects);
        effects
    }

    /// Reads a topic and lets the write of its first states succeed; what the brokers are told.
    fn created(&mut self, topic: &str, record: TopicRecord) -> Vec<Effect> {
        let effects = self.after(Event::TopicsRead(vec![(name(topic), Some(record))]));
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
    let [Effect::LeaderAndIsr { broker, partitions }, Effect::UpdateMetadata { partitions: all, .. }] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((*broker, partitions.len(), all.len()), (BrokerId(1), 2, 2));
    assert!(partitions.iter().all(|p| p.is_new && p.state.leader == BrokerId(1) && p.state.isr == [BrokerId(1)]));
}

#[test]
fn a_topic_without_id_gets_one_first() {
    let mut c = Transcript::new(&[1]);
    let old = TopicRecord { id: None, ..record(0, &[&[1]]) };
    assert_eq!(c.after(Event::TopicsRead(vec![(name("t"), Some(old))])), [Effect::AssignTopicId(name("t"))]);
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
    let told = c.after(Event::TopicsRead(vec![(name("t"), Some(taken_over))]));
    let [Effect::LeaderAndIsr { partitions, .. }, Effect::UpdateMetadata { .. }] = &told[..] else {
        panic!("{told:?}")
    };
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
    c.after(Event::TopicsRead(vec![(name("t"), Some(dead))]));
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
    let effects = c.after(Event::TopicsRead(vec![(name("t"), Some(record(7, &[&[1], &[1]])))]));
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
            Effect::ForgetTopics(vec![gone()]),
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
fn a_deletion_goes_on_when_a_broker_starts_again_that_has_not_answered() {
    let told = |effects: Vec<Effect>| effects.iter().filter(|e| matches!(e, Effect::DeleteReplicas { .. })).count();
    let deleted = |broker| Event::ReplicasDeleted { broker: BrokerId(broker), topic: name("t"), done: true };
    let bounced = |epoch| BTreeMap::from([(BrokerId(1), BrokerEpoch(1)), (BrokerId(2), BrokerEpoch(epoch))]);
    let mut c = Transcript::new(&[1, 2]);
    c.created("t", record(7, &[&[1, 2]]));
    c.after(Event::Deletions(BTreeSet::from([name("t")])));
    assert_eq!(c.after(deleted(1)), []);
    assert_eq!(told(c.after(Event::Brokers(bounced(40)))), 2, "seen only when it was there again");
    assert_eq!(told(c.after(live(&[1]))), 0, "it is waited for");
    assert_eq!(c.after(deleted(1)), [], "the answer of one that was told before");
    assert_eq!(told(c.after(Event::Brokers(bounced(50)))), 2);
    assert_eq!(c.after(deleted(1)), []);
    assert_eq!(c.after(deleted(2)), [Effect::RemoveTopic(name("t"))]);
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
    assert_eq!(c.after(Event::Topics(BTreeSet::new())), [Effect::ForgetTopics(vec![gone()])]);
}

#[test]
fn a_new_controller_says_which_topics_there_are_when_it_has_read_all_of_them() {
    let state = PartitionState {
        controller_epoch: ControllerEpoch(0),
        leader: BrokerId(1),
        leader_epoch: LeaderEpoch(3),
        isr: ids(&[1]),
        partition_epoch: PartitionEpoch(4),
        recovering: false,
    };
    let led =
        |id: u8| TopicRecord { states: BTreeMap::from([(PartitionIndex(0), state.clone())]), ..record(id, &[&[1]]) };
    let everything = |effects: &[Effect]| {
        effects.iter().find_map(|effect| {
            let Effect::TellEverything { to, partitions } = effect else { return None };
            Some((to.len(), partitions.iter().map(|notice| notice.topic.clone()).collect::<Vec<_>>()))
        })
    };
    let mut c = Transcript(Controller::new(ControllerEpoch(1)));
    assert_eq!(everything(&c.after(live(&[1, 2]))), None, "it knows of none");
    let listed = ["gone", "old", "t"].map(name);
    assert_eq!(everything(&c.after(Event::Topics(BTreeSet::from(listed)))), None);
    let unread = TopicRecord { id: None, ..led(8) };
    let read = vec![(name("gone"), None), (name("old"), Some(unread)), (name("t"), Some(led(7)))];
    assert_eq!(everything(&c.after(Event::TopicsRead(read))), None, "one has no id yet");
    assert_eq!(everything(&c.after(live(&[1]))), None);
    assert_eq!(everything(&c.after(live(&[1, 2]))), None);
    let told = everything(&c.after(Event::TopicsRead(vec![(name("old"), Some(led(8)))])));
    assert_eq!(told, Some((2, vec![name("old"), name("t")])));
    assert_eq!(everything(&c.after(Event::TopicsRead(vec![(name("t"), Some(led(7)))]))), None, "once");
    c.after(live(&[1]));
    assert_eq!(everything(&c.after(live(&[1, 2]))), Some((1, vec![name("old"), name("t")])), "who was away as well");
}

#[test]
fn what_a_new_controller_repairs_is_told_after_everything() {
    let mut c = Transcript(Controller::new(ControllerEpoch(1)));
    c.after(live(&[1]));
    c.after(Event::Topics(BTreeSet::from([name("t")])));
    let effects = c.after(Event::TopicsRead(vec![(name("t"), Some(record(7, &[&[1]])))]));
    let is = |wanted: fn(&Effect) -> bool| effects.iter().position(wanted).expect("it is there");
    let told = is(|effect| matches!(effect, Effect::TellEverything { .. }));
    // The states that are written come with the next effects, before those that are left of these.
    assert!(told < is(|effect| matches!(effect, Effect::WriteStates(_))), "{effects:?}");
}

#[test]
fn a_new_controller_without_topics_says_so() {
    let mut c = Transcript(Controller::new(ControllerEpoch(1)));
    c.after(live(&[1]));
    let told = c.after(Event::Topics(BTreeSet::new()));
    assert_eq!(told, [Effect::TellEverything { to: BTreeSet::from([BrokerId(1)]), partitions: vec![] }]);
}

/// Three brokers and a topic whose only partition lives on all of them, led by broker 1.
fn three() -> Transcript {
    let mut c = Transcript::new(&[1, 2, 3]);
    c.created("t", record(7, &[&[1, 2, 3]]));
    c
}

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn writes(effect: &Effect) -> Option<&Vec<StateChange>> {
    if let Effect::WriteStates(changes) = effect { Some(changes) } else { None }
}

/// The states that effects write: leader, leader epoch, ISR.
fn written(effects: &[Effect]) -> Vec<(i32, i32, Vec<BrokerId>)> {
    let changes = effects.iter().filter_map(writes);
    changes.flatten().map(|c| (c.state.leader.0, c.state.leader_epoch.0, c.state.isr.clone())).collect()
}

/// Lets what effects write succeed, each state with the next version; what follows.
fn succeed(c: &mut Transcript, effects: &[Effect]) -> Vec<Effect> {
    let mut changes = effects.iter().find_map(writes).expect("something is written").clone();
    for change in &mut changes {
        change.state.partition_epoch = PartitionEpoch(change.expected.map_or(0, |version| version.0 + 1));
    }
    c.after(Event::StatesWritten(changes))
}

fn t() -> TopicPartition {
    TopicPartition { topic: name("t"), partition: PartitionIndex(0) }
}

fn wish(leader_epoch: i32, partition_epoch: i32, isr: &[i32]) -> IsrChange {
    IsrChange {
        partition: t(),
        topic_id: TopicId([7; 16]),
        leader_epoch: LeaderEpoch(leader_epoch),
        partition_epoch: PartitionEpoch(partition_epoch),
        isr: ids(isr),
        joins: BTreeMap::new(),
        recovering: false,
    }
}

/// Who is told to lead or follow: broker, replicas, whether the replica is new there.
fn told(effects: &[Effect]) -> Vec<(i32, Vec<BrokerId>, bool)> {
    let told = effects.iter().filter_map(|effect| {
        let Effect::LeaderAndIsr { broker, partitions } = effect else { return None };
        Some((broker.0, partitions[0].assignment.replicas.clone(), partitions[0].is_new))
    });
    told.collect()
}

fn grows(c: &mut Transcript, leader: i32, wished: IsrChange) -> Vec<Effect> {
    let effects = c.after(Event::AlterIsr { token: 1, broker: BrokerId(leader), changes: vec![wished] });
    succeed(c, &effects)
}

#[test]
fn a_dead_leader_is_followed_by_the_next_in_sync() {
    let mut c = three();
    let effects = c.after(live(&[2, 3]));
    assert_eq!(written(&effects), [(2, 1, ids(&[2, 3]))]);
    let told = succeed(&mut c, &effects);
    let receivers = told.iter().filter_map(|effect| {
        let Effect::LeaderAndIsr { broker, partitions } = effect else { return None };
        Some((*broker, partitions[0].is_new))
    });
    assert_eq!(receivers.collect::<Vec<_>>(), [(BrokerId(2), false), (BrokerId(3), false)]);
    let Some(Effect::UpdateMetadata { to, .. }) = told.last() else { panic!("{told:?}") };
    assert_eq!(*to, BTreeSet::from([BrokerId(2), BrokerId(3)]));
}

#[test]
fn a_dead_follower_leaves_the_isr_under_a_new_leader_epoch() {
    let mut c = three();
    assert_eq!(written(&c.after(live(&[1, 3]))), [(1, 1, ids(&[1, 3]))]);
}

#[test]
fn the_last_in_sync_replica_stays_in_the_isr_and_leads_again_when_it_is_back() {
    let mut c = three();
    let effects = c.after(live(&[1]));
    assert_eq!(written(&effects), [(1, 1, ids(&[1]))]);
    succeed(&mut c, &effects);
    let effects = c.after(live(&[]));
    assert_eq!(written(&effects), [(-1, 2, ids(&[1]))]);
    succeed(&mut c, &effects);
    assert_eq!(written(&c.after(live(&[2, 3]))), [], "they may miss what was committed");
    assert_eq!(written(&c.after(live(&[1, 2, 3]))), [(1, 3, ids(&[1]))]);
}

#[test]
fn a_broker_that_was_started_again_is_told_everything_and_was_dead_in_between() {
    let mut c = three();
    let mut brokers = [1, 2, 3].map(|id| (BrokerId(id), BrokerEpoch(i64::from(id))));
    brokers[0].1 = BrokerEpoch(40);
    let effects = c.after(Event::Brokers(brokers.into()));
    let known = BTreeSet::from([BrokerId(2), BrokerId(3)]);
    assert_eq!(effects[0], Effect::UpdateMetadata { to: known, partitions: vec![] });
    let Effect::TellEverything { to, partitions } = &effects[1] else { panic!("{effects:?}") };
    assert_eq!((to.len(), partitions.len()), (1, 1), "it knows nothing yet");
    assert_eq!(written(&effects), [(2, 1, ids(&[2, 3]))], "what it had not flushed may be lost");
    let told = succeed(&mut c, &effects);
    let hears = |effect: &&Effect| matches!(effect, Effect::LeaderAndIsr { broker: BrokerId(1), .. });
    let Some(Effect::LeaderAndIsr { partitions, .. }) = told.iter().find(hears) else { panic!("{told:?}") };
    assert!(!partitions[0].is_new);
    assert!(!effects.iter().any(|effect| hears(&effect)), "it must not lead under the old epoch: {effects:?}");
}

#[test]
fn the_only_replica_in_sync_leads_anew_when_it_was_started_again() {
    let mut c = three();
    let effects = c.after(live(&[1]));
    succeed(&mut c, &effects);
    let effects = c.after(Event::Brokers(BTreeMap::from([(BrokerId(1), BrokerEpoch(40))])));
    assert_eq!(written(&effects), [(1, 2, ids(&[1]))]);
}

#[test]
fn a_leader_that_refuses_connections_is_replaced_until_it_answers() {
    let mut c = three();
    let effects = c.after(Event::Silent(BrokerId(1), true));
    assert_eq!(written(&effects), [(2, 1, ids(&[2, 3]))]);
    succeed(&mut c, &effects);
    assert_eq!(c.after(Event::Silent(BrokerId(1), true)), [], "said twice");
    let refused = c.after(Event::AlterIsr { token: 1, broker: BrokerId(2), changes: vec![wish(1, 1, &[2, 3, 1])] });
    assert_eq!(answer(&refused), [Some(ErrorCode::IneligibleReplica)]);
    c.after(Event::Silent(BrokerId(1), false));
    let granted = c.after(Event::AlterIsr { token: 2, broker: BrokerId(2), changes: vec![wish(1, 1, &[2, 3, 1])] });
    assert_eq!(answer(&granted), [None]);
}

#[test]
fn the_only_replica_leads_on_while_it_is_merely_silent() {
    let mut c = Transcript::new(&[1, 2]);
    c.created("t", record(7, &[&[1]]));
    assert_eq!(c.after(Event::Silent(BrokerId(1), true)), []);
}

fn answer(effects: &[Effect]) -> Vec<Option<ErrorCode>> {
    let Some(Effect::AnswerIsr { wishes, .. }) = effects.last() else { panic!("{effects:?}") };
    wishes.iter().map(|(_, refused)| *refused).collect()
}

#[test]
fn an_isr_grows_and_shrinks_only_as_its_leader_asks() {
    let mut c = three();
    let ask = |c: &mut Transcript, broker, wish: IsrChange| {
        c.after(Event::AlterIsr { token: 1, broker: BrokerId(broker), changes: vec![wish] })
    };
    let effects = ask(&mut c, 1, wish(0, 0, &[1, 2]));
    assert_eq!(
        (written(&effects), answer(&effects)),
        (vec![(1, 0, ids(&[1, 2]))], vec![None]),
        "the leader epoch stays"
    );
    assert_eq!(c.0.isr_answer(&wish(0, 0, &[1, 2])), Err(ErrorCode::InvalidUpdateVersion), "not written yet");
    let told = succeed(&mut c, &effects);
    let [Effect::UpdateMetadata { to, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(to.len(), 3, "all are told, and nobody by LeaderAndIsr");
    let state = c.0.isr_answer(&wish(0, 0, &[1, 2])).expect("written");
    assert_eq!((state.partition_epoch, state.isr), (PartitionEpoch(1), ids(&[1, 2])));

    let refused = |c: &mut Transcript, broker, wish| {
        let effects = ask(c, broker, wish);
        assert_eq!(written(&effects), []);
        answer(&effects)[0]
    };
    assert_eq!(refused(&mut c, 1, wish(0, 0, &[1, 2])), None, "the same again is done already");
    assert_eq!(refused(&mut c, 1, wish(0, 0, &[1])), Some(ErrorCode::InvalidUpdateVersion));
    assert_eq!(refused(&mut c, 1, wish(0, 9, &[1])), Some(ErrorCode::NotController), "it knows more than we do");
    assert_eq!(refused(&mut c, 1, wish(3, 1, &[1])), Some(ErrorCode::NotController));
    assert_eq!(refused(&mut c, 2, wish(0, 1, &[2])), Some(ErrorCode::InvalidRequest), "it does not lead");
    let unknown = IsrChange { topic_id: TopicId([9; 16]), ..wish(0, 1, &[1]) };
    assert_eq!(refused(&mut c, 1, unknown), Some(ErrorCode::UnknownTopicId));
    let elsewhere = IsrChange { partition: TopicPartition { partition: PartitionIndex(5), ..t() }, ..wish(0, 1, &[1]) };
    assert_eq!(refused(&mut c, 1, elsewhere), Some(ErrorCode::UnknownTopicOrPartition));
    let recovering = IsrChange { recovering: true, ..wish(0, 1, &[1]) };
    assert_eq!(refused(&mut c, 1, recovering), Some(ErrorCode::InvalidRequest));
    let effects = c.after(live(&[2, 3]));
    succeed(&mut c, &effects);
    assert_eq!(refused(&mut c, 1, wish(0, 1, &[1])), Some(ErrorCode::FencedLeaderEpoch), "another one leads");
}

#[test]
fn a_broker_that_stops_is_led_by_others_first() {
    let mut c = three();
    c.created("u", record(8, &[&[2, 1]]));
    c.created("alone", record(9, &[&[1]]));
    let effects = c.after(Event::Leaving(BrokerId(1)));
    assert_eq!(written(&effects), [(2, 1, ids(&[2, 3])), (2, 1, ids(&[2]))], "in the order of topics");
    let stopped = |effect: &Effect| matches!(effect, Effect::StopReplicas { broker: BrokerId(1), partitions, delete: false } if partitions.len() == 1);
    assert!(effects.iter().any(stopped), "it follows u no more: {effects:?}");
    assert_eq!(c.0.still_led_by(BrokerId(1)), [t()], "until the states are written");
    succeed(&mut c, &effects);
    assert_eq!(c.0.still_led_by(BrokerId(1)), [], "what has one replica is not waited for");
    assert_eq!(c.0.may_elect(&t(), false), Err(ErrorCode::PreferredLeaderNotAvailable));
    assert_eq!(written(&c.after(live(&[2, 3]))), [(-1, 1, ids(&[1]))], "only `alone` is without a leader now");
}

#[test]
fn an_unclean_election_takes_any_live_replica_and_says_so() {
    let mut c = three();
    let effects = c.after(live(&[1]));
    succeed(&mut c, &effects);
    let effects = c.after(live(&[]));
    succeed(&mut c, &effects);
    c.after(live(&[3]));
    assert_eq!(c.0.may_elect(&t(), true), Ok(()));
    let effects = c.after(Event::Elect { partitions: vec![t()], unclean: true });
    assert_eq!(written(&effects), [(3, 3, ids(&[3]))]);
    let [Effect::WriteStates(changes)] = &effects[..] else { panic!("{effects:?}") };
    assert!(changes[0].state.recovering);
    succeed(&mut c, &effects);
    assert_eq!(c.0.may_elect(&t(), true), Err(ErrorCode::ElectionNotNeeded));
}

/// Asks for other replicas of `t`, and lets the write of the assignment succeed; what follows.
#[test]
fn a_failed_log_dir_is_asked_about_and_others_lead() {
    let mut c = three();
    assert_eq!(told(&c.after(Event::LogDirFailed(BrokerId(1)))), [(1, ids(&[1, 2, 3]), false)]);
    let effects = c.after(Event::ReplicasOffline(BrokerId(1), vec![t()]));
    assert_eq!(written(&effects), [(2, 1, ids(&[2, 3]))]);
    let Effect::UpdateMetadata { partitions, .. } = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(partitions[0].offline, ids(&[1]));
    succeed(&mut c, &effects);
    let refused = c.after(Event::AlterIsr { token: 1, broker: BrokerId(2), changes: vec![wish(1, 1, &[1, 2, 3])] });
    assert_eq!(answer(&refused), [Some(ErrorCode::IneligibleReplica)], "until it starts again");
    let mut brokers = [1, 2, 3].map(|id| (BrokerId(id), BrokerEpoch(i64::from(id))));
    brokers[0].1 = BrokerEpoch(40);
    c.after(Event::Brokers(brokers.into()));
    let granted = c.after(Event::AlterIsr { token: 2, broker: BrokerId(2), changes: vec![wish(1, 1, &[1, 2, 3])] });
    assert_eq!(answer(&granted), [None]);
}

#[test]
fn records_are_given_up_only_where_the_topic_allows_it() {
    let mut c = three();
    let effects = c.after(live(&[1]));
    succeed(&mut c, &effects);
    let effects = c.after(live(&[]));
    assert!(!succeed(&mut c, &effects).iter().any(|effect| matches!(effect, Effect::AskUnclean(_))), "nobody is there");
    let asked = Effect::AskUnclean(BTreeSet::from([name("t")]));
    assert_eq!(c.after(live(&[3])).last(), Some(&asked));
    assert_eq!(c.after(Event::SettingsChanged), [asked]);
    let effects = c.after(Event::UncleanAllowed(BTreeSet::from([name("t")])));
    assert_eq!(written(&effects), [(3, 3, ids(&[3]))]);
    succeed(&mut c, &effects);
    assert_eq!(c.after(Event::SettingsChanged), []);
}

#[test]
fn leaders_go_back_when_a_broker_leads_too_little() {
    let mut c = three();
    let effects = c.after(Event::Leaving(BrokerId(1)));
    succeed(&mut c, &effects);
    let effects = c.after(live(&[2, 3]));
    assert_eq!(written(&effects), []);
    c.after(live(&[1, 2, 3]));
    let balance = Event::Balance { imbalance_max: 10 };
    assert_eq!(c.after(balance), [], "it is not in sync yet");
    grows(&mut c, 2, wish(1, 1, &[2, 3, 1]));
    assert_eq!(c.after(Event::Balance { imbalance_max: 100 }), []);
    assert_eq!(written(&c.after(Event::Balance { imbalance_max: 10 })), [(1, 2, ids(&[2, 3, 1]))]);
}

#[test]
fn what_another_writer_changed_is_told() {
    let mut c = three();
    let state = PartitionState { partition_epoch: PartitionEpoch(4), ..c.0.state(&t()).expect("a state").clone() };
    let state = PartitionState { isr: ids(&[1, 3]), ..state };
    let read = TopicRecord { states: BTreeMap::from([(PartitionIndex(0), state)]), ..record(7, &[&[1, 2, 3]]) };
    let effects = c.after(Event::TopicsRead(vec![(name("t"), Some(read.clone()))]));
    let [Effect::UpdateMetadata { partitions, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(partitions[0].state.isr, ids(&[1, 3]));
    assert_eq!(c.after(Event::TopicsRead(vec![(name("t"), Some(read))])), [], "known by now");
}

/// Its repair is not written, since another writer was faster; what that one wrote needs no repair.
#[test]
fn replicas_are_told_of_a_state_that_turned_out_to_need_no_repair() {
    let mut c = Transcript::new(&[1, 2]);
    let state = |leader: i32, version: i32| PartitionState {
        controller_epoch: ControllerEpoch(1),
        leader: BrokerId(leader),
        leader_epoch: LeaderEpoch(5),
        isr: ids(&[leader]),
        partition_epoch: PartitionEpoch(version),
        recovering: false,
    };
    let led_by = |leader, version| {
        let states = BTreeMap::from([(PartitionIndex(0), state(leader, version))]);
        Event::TopicsRead(vec![(name("t"), Some(TopicRecord { states, ..record(7, &[&[1, 2, 3]]) }))])
    };
    let dead = PartitionState { isr: ids(&[3, 1]), ..state(3, 8) };
    let states = BTreeMap::from([(PartitionIndex(0), dead)]);
    let read = Event::TopicsRead(vec![(name("t"), Some(TopicRecord { states, ..record(7, &[&[1, 2, 3]]) }))]);
    let effects = c.after(read);
    let [Effect::WriteStates(_)] = &effects[..] else { panic!("nobody hears of a leader that is gone: {effects:?}") };
    let told = c.after(led_by(1, 9));
    let [
        Effect::LeaderAndIsr { broker: BrokerId(1), .. },
        Effect::LeaderAndIsr { broker: BrokerId(2), .. },
        Effect::UpdateMetadata { .. },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(c.after(led_by(1, 9)), [], "known by now");
}
