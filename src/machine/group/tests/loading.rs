//! Taking over a partition, and losing it.

use super::*;

#[test]
fn nothing_is_answered_before_everything_is_loaded() {
    let mut desk = Desk::new(rules());
    desk.coordinator = Coordinator::new(rules());
    assert_eq!(desk.ask("h", heartbeat("m", 1)), ["h: NOT_COORDINATOR"]);
    assert_eq!(desk.coordinator.next_deadline(), None);
    desk.tell(Event::Load(LeaderEpoch(3)));
    assert_eq!(desk.coordinator.ownership(), Ownership::Loading);
    assert_eq!(desk.ask("h", heartbeat("m", 1)), ["h: NONE"]);
    assert_eq!(desk.ask("s", sync("m", 1, &[])), ["s: REBALANCE_IN_PROGRESS"]);
    assert_eq!(desk.join("j", join("", 1)), ["j: COORDINATOR_LOAD_IN_PROGRESS "]);
    let asked = Request::Commit(commit("", -1, vec![new_offset("t", 0, 1)]));
    assert_eq!(desk.ask("c", asked), ["c: [COORDINATOR_LOAD_IN_PROGRESS]"]);
    assert_eq!(desk.ask("l", leave(&[("m", None)])), ["l: COORDINATOR_LOAD_IN_PROGRESS"]);
    assert_eq!(desk.coordinator.fetch_offsets("g", None, false, None), Err(ErrorCode::CoordinatorLoadInProgress));
    assert_eq!(desk.coordinator.list(&Filter::default()), Err(ErrorCode::CoordinatorLoadInProgress));
    desk.tell(Event::Loaded(LeaderEpoch(2)));
    assert_eq!(desk.coordinator.ownership(), Ownership::Loading, "that was another leadership");
    desk.tell(Event::Loaded(LeaderEpoch(3)));
    assert_eq!(desk.ask("h", heartbeat("m", 1)), ["h: UNKNOWN_MEMBER_ID"]);
}

#[test]
fn members_and_their_assignments_survive_and_their_sessions_begin_anew() {
    let mut desk = Desk::stable(rules(), 2);
    let (one, two) = (id("c", 1), id("c", 2));
    desk.ask("a", Request::Commit(commit(&one, 1, vec![new_offset("t", 0, 5)])));
    desk.commit();
    desk.wait(9);
    assert_eq!(desk.reload(1), [""; 0]);
    assert_eq!((desk.state(), desk.offset("t", 0)), ("Stable", 5));
    assert_eq!(desk.wait(9), [""; 0]);
    assert_eq!(desk.ask("s", sync(&two, 1, &[])), ["s: assigned '2' by range"]);
    assert_eq!(desk.ask("h", heartbeat(&one, 1)), ["h: NONE"]);
    assert_eq!(desk.join("j", join(&two, 0)), ["j: c-2 joined 1 by range led by c-1 []"], "what it said is known");
    assert_eq!(desk.wait(11), ["append 2: g is 2 of []"], "they were silent");
}

#[test]
fn a_generation_that_was_not_distributed_never_was() {
    let mut desk = Desk::stable(rules(), 1);
    let one = id("c", 1);
    desk.join("b", old_join(2));
    assert_eq!(desk.join("a", join(&one, 0)).len(), 2);
    desk.ask("s", sync(&one, 2, &[(&one, "x")]));
    assert_eq!(desk.reload(1), ["s: NOT_COORDINATOR"]);
    assert_eq!(desk.ask("h", heartbeat(&one, 2)), ["h: ILLEGAL_GENERATION"]);
    assert_eq!(desk.ask("h", heartbeat(&one, 1)), ["h: NONE"]);
    assert_eq!(desk.ask("h", heartbeat(&id("c", 2), 2)), ["h: UNKNOWN_MEMBER_ID"]);
}

#[test]
fn everybody_who_waits_is_told_to_look_elsewhere() {
    let mut desk = Desk::stable(rules(), 1);
    desk.join("b", old_join(2));
    desk.ask("c", Request::Commit(commit(&id("c", 1), 1, vec![new_offset("t", 0, 5)])));
    assert_eq!(desk.tell(Event::Unload(Some(LeaderEpoch(1)))), ["b: NOT_COORDINATOR c-2", "c: [NOT_COORDINATOR]"]);
    assert_eq!(desk.coordinator.ownership(), Ownership::Elsewhere);
    assert_eq!(desk.commit(), [""; 0], "an answer that comes too late has no effect");
    assert_eq!(desk.tell(Event::Load(LeaderEpoch(0))), [""; 0]);
    assert_eq!(desk.coordinator.ownership(), Ownership::Elsewhere, "old news");
}

#[test]
fn epochs_tell_old_news_from_new() {
    let mut desk = Desk::stable(rules(), 1);
    desk.tell(Event::Load(LeaderEpoch(0)));
    assert_eq!(desk.state(), "Stable", "it is loaded");
    desk.tell(Event::Load(LeaderEpoch(2)));
    desk.tell(Event::Unload(Some(LeaderEpoch(1))));
    assert_eq!(desk.coordinator.ownership(), Ownership::Loading);
    let record = desk.log[0].clone();
    desk.tell(Event::Replayed(LeaderEpoch(1), vec![record.clone()]));
    assert_eq!(desk.coordinator.groups.len(), 0, "of another leadership");
    desk.tell(Event::Replayed(LeaderEpoch(2), vec![record.clone()]));
    desk.tell(Event::Load(LeaderEpoch(2)));
    assert_eq!(desk.coordinator.groups.len(), 0, "it begins anew after a failure");
    desk.tell(Event::Replayed(LeaderEpoch(2), vec![record]));
    desk.tell(Event::Loaded(LeaderEpoch(2)));
    assert_eq!(desk.state(), "Stable");
}

#[test]
fn tombstones_take_away_what_was_loaded() {
    let mut desk = Desk::stable(rules(), 1);
    let log = &mut desk.log;
    log.push(Replayed::Record(
        Offset(1),
        None,
        GroupRecord::Offset(
            OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 0 },
            Some(OffsetCommitValue { offset: 5, ..OffsetCommitValue::default() }),
        ),
    ));
    log.push(Replayed::Record(Offset(2), None, GroupRecord::Group(GroupMetadataKey { group: "g".into() }, None)));
    desk.reload(1);
    assert_eq!((desk.state(), desk.offset("t", 0)), ("Empty", 5), "a simple group is left");
    let key = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 0 };
    desk.log.push(Replayed::Record(Offset(3), None, GroupRecord::Offset(key, None)));
    desk.reload(2);
    assert_eq!(desk.coordinator.groups.len(), 0);
}

#[test]
fn a_group_that_is_too_large_has_to_shrink() {
    let mut desk = Desk::stable(rules(), 3);
    desk.tell(Event::Configured(Rules { group_size_max: 2, ..rules() }));
    assert_eq!(desk.reload(1), [""; 0]);
    assert_eq!(desk.state(), "PreparingRebalance");
    for seed in 1..=2 {
        assert_eq!(desk.join("j", join(&id("c", seed), 0)), [""; 0]);
    }
    assert_eq!(desk.join("k", join(&id("c", 3), 0)).len(), 3, "one is refused, two have joined");
}

#[test]
fn a_topic_that_goes_while_its_offsets_are_read_is_forgotten_when_all_were() {
    let mut desk = Desk::stable(rules(), 1);
    let both = vec![new_offset("t", 0, 5), new_offset("u", 0, 7)];
    desk.ask("a", Request::Commit(commit(&id("c", 1), 1, both)));
    desk.commit();
    desk.tell(Event::Unload(None));
    assert_eq!(desk.tell(Event::TopicsDeleted(["u".into()].into())), [""; 0], "another one's business");
    desk.tell(Event::Load(LeaderEpoch(1)));
    let log = desk.log.clone();
    desk.tell(Event::Replayed(LeaderEpoch(1), log));
    assert_eq!(desk.tell(Event::TopicsDeleted(["t".into()].into())), [""; 0]);
    assert_eq!(desk.tell(Event::Loaded(LeaderEpoch(1))), ["append 2: g/t-0 gone"]);
    desk.commit();
    assert_eq!((desk.state(), desk.offset("t", 0), desk.offset("u", 0)), ("Stable", -1, 7));
}

#[test]
fn a_partition_that_is_made_anew_counts_its_epochs_from_the_beginning() {
    let mut desk = Desk::stable(rules(), 1);
    desk.reload(5);
    assert_eq!(desk.state(), "Stable");
    desk.tell(Event::Unload(None));
    desk.log.clear();
    desk.reload(0);
    assert_eq!((desk.coordinator.ownership(), desk.state()), (Ownership::Active, "Dead"));
}
