//! Transcripts of reassignments (KIP-455).

use super::*;

fn reassigned(c: &mut Transcript, target: Option<&[i32]>) -> Vec<Effect> {
    let effects = c.after(Event::Reassign { token: 5, targets: BTreeMap::from([(t(), target.map(ids))]) });
    let [Effect::WriteAssignments(topic, changes), Effect::AnswerReassign { token: 5, answers }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(answers[0].1, Ok(()));
    c.after(Event::AssignmentsWritten(topic.clone(), changes.clone()))
}

fn refusal(c: &mut Transcript, target: Option<&[i32]>) -> ErrorCode {
    let effects = c.after(Event::Reassign { token: 5, targets: BTreeMap::from([(t(), target.map(ids))]) });
    let [Effect::AnswerReassign { answers, .. }] = &effects[..] else { panic!("{effects:?}") };
    answers[0].1.clone().expect_err("refused").0
}

fn deleted(effects: &[Effect]) -> Vec<i32> {
    let deleted = effects.iter().filter_map(|effect| {
        let Effect::StopReplicas { broker, delete: true, .. } = effect else { return None };
        Some(broker.0)
    });
    deleted.collect()
}

#[test]
fn a_partition_moves_when_the_new_replicas_are_in_sync_and_only_then_loses_the_old() {
    let mut c = Transcript::new(&[1, 2, 3, 4]);
    c.created("t", record(7, &[&[1, 2]]));
    let effects = reassigned(&mut c, Some(&[3, 4]));
    assert_eq!(written(&effects), [(1, 1, ids(&[1, 2]))], "a new epoch, so that the leader counts the new ones");
    let effects = succeed(&mut c, &effects);
    let all = ids(&[3, 4, 1, 2]);
    assert_eq!(
        told(&effects),
        [(1, all.clone(), false), (2, all.clone(), false), (3, all.clone(), true), (4, all.clone(), true)]
    );
    assert!(deleted(&effects).is_empty());
    assert_eq!(c.0.moving().count(), 1);
    let effects = grows(&mut c, 1, wish(1, 1, &[1, 2, 3]));
    assert_eq!(written(&effects), [], "4 is not in sync yet");
    let effects = grows(&mut c, 1, wish(1, 2, &[1, 2, 3, 4]));
    assert_eq!(written(&effects), [(3, 2, ids(&[3, 4]))]);
    assert!(deleted(&effects).is_empty(), "nothing goes before the state is written");
    let effects = succeed(&mut c, &effects);
    assert_eq!(told(&effects), [(3, ids(&[3, 4]), false), (4, ids(&[3, 4]), false)]);
    assert_eq!(deleted(&effects), [1, 2]);
    let Some(Effect::WriteAssignments(_, changes)) = effects.last() else { panic!("{effects:?}") };
    let change = &changes[&PartitionIndex(0)];
    assert_eq!((change.assignment.clone(), change.ends), (Assignment::settled(ids(&[3, 4])), true));
    assert_eq!(c.after(Event::AssignmentsWritten(name("t"), changes.clone())), []);
    assert_eq!(c.0.moving().count(), 0);
}

#[test]
fn a_reassignment_is_undone() {
    let mut c = Transcript::new(&[1, 2, 3]);
    c.created("t", record(7, &[&[1, 2]]));
    let effects = reassigned(&mut c, Some(&[3, 2]));
    succeed(&mut c, &effects);
    let effects = grows(&mut c, 1, wish(1, 1, &[1, 2, 3]));
    let undone = effects.iter().any(|effect| matches!(effect, Effect::WriteStates(_)));
    assert!(undone, "it is about to end: {effects:?}");
    // The controller dies here, before that is written. The next one finds it under way, and is asked to undo it.
    let mut next = Transcript(Controller::new(ControllerEpoch(2)));
    next.after(live(&[1, 2]));
    let state = c.0.state(&t()).expect("a state").clone();
    let moving = Assignment { replicas: ids(&[3, 2, 1]), adding: ids(&[3]), removing: ids(&[1]) };
    let record = TopicRecord {
        id: Some(TopicId([7; 16])),
        assignments: BTreeMap::from([(PartitionIndex(0), moving)]),
        states: BTreeMap::from([(PartitionIndex(0), state)]),
        written: BTreeMap::new(),
    };
    let effects = next.after(Event::TopicsRead(vec![(name("t"), Some(record))]));
    assert_eq!(written(&effects), [(1, 2, ids(&[1, 2]))], "3 is dead by now");
    succeed(&mut next, &effects);
    next.after(live(&[1, 2, 3]));
    let effects = reassigned(&mut next, None);
    assert_eq!(written(&effects), [(1, 3, ids(&[1, 2]))]);
    let effects = succeed(&mut next, &effects);
    assert_eq!(told(&effects), [(1, ids(&[2, 1]), false), (2, ids(&[2, 1]), false)]);
    assert_eq!(deleted(&effects), [3]);
    assert_eq!(refusal(&mut next, None), ErrorCode::NoReassignmentInProgress);
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let mut c = three();
    for bad in [&[][..], &[1, 1], &[-1], &[1, 9]] {
        assert_eq!(refusal(&mut c, Some(bad)), ErrorCode::InvalidReplicaAssignment, "{bad:?}");
    }
    c.after(Event::Deletions(BTreeSet::from([name("t")])));
    assert_eq!(refusal(&mut c, Some(&[1])), ErrorCode::UnknownTopicOrPartition);
}

#[test]
fn replicas_are_not_deleted_while_they_alone_are_in_sync() {
    let mut c = Transcript::new(&[1, 2]);
    c.created("t", record(7, &[&[1]]));
    let effects = reassigned(&mut c, Some(&[2]));
    succeed(&mut c, &effects);
    let effects = grows(&mut c, 1, wish(1, 1, &[1, 2]));
    assert_eq!(written(&effects), [(2, 2, ids(&[2]))]);
    // That was written, and the controller died: the next one finds only 2 in sync, and is asked to go back to 1.
    succeed(&mut c, &effects);
    assert_eq!(refusal(&mut c, None), ErrorCode::InvalidReplicaAssignment);
}

#[test]
fn a_shorter_list_of_replicas_ends_at_once() {
    let mut c = three();
    let effects = reassigned(&mut c, Some(&[3, 1]));
    let effects = succeed(&mut c, &effects);
    assert_eq!(written(&effects), [(1, 2, ids(&[1, 3]))]);
    let effects = succeed(&mut c, &effects);
    assert_eq!(deleted(&effects), [2]);
}

#[test]
fn an_old_tools_znode_goes_when_all_in_it_is_done_or_cannot_be() {
    let mut c = three();
    let nowhere = TopicPartition { topic: name("nowhere"), partition: PartitionIndex(0) };
    let wanted = BTreeMap::from([(t(), ids(&[2, 3])), (nowhere, ids(&[1]))]);
    let effects = c.after(Event::ReassignZnode(wanted.clone()));
    let [Effect::WriteAssignments(topic, changes), Effect::WriteReassignZnode(left)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(*left, BTreeMap::from([(t(), ids(&[2, 3]))]), "what is not there is taken off");
    let effects = c.after(Event::AssignmentsWritten(topic.clone(), changes.clone()));
    let effects = succeed(&mut c, &effects);
    let effects = succeed(&mut c, &effects);
    let Some(Effect::WriteAssignments(topic, changes)) = effects.last() else { panic!("{effects:?}") };
    let effects = c.after(Event::AssignmentsWritten(topic.clone(), changes.clone()));
    assert_eq!(effects, [Effect::WriteReassignZnode(BTreeMap::new())]);
}
