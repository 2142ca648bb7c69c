//! Commits, what is fetched of them, and how they go.

use super::*;

fn request(commit: Commit) -> Request {
    Request::Commit(commit)
}

#[test]
fn without_members_anybody_commits() {
    let mut desk = Desk::new(rules());
    let said = desk.ask("a", request(commit("", -1, vec![new_offset("t", 0, 5), new_offset("t", 1, 6)])));
    assert_eq!(said, ["append 0: g/t-0 = 5, g/t-1 = 6"]);
    assert_eq!(desk.offset("t", 0), -1, "not committed yet");
    assert_eq!(desk.commit(), ["a: [NONE, NONE]"]);
    assert_eq!((desk.offset("t", 0), desk.offset("t", 1), desk.offset("u", 0)), (5, 6, -1));
    assert_eq!(desk.ask("b", request(commit("who", -1, vec![new_offset("t", 0, 4)]))), ["append 1: g/t-0 = 4"]);
    assert_eq!(desk.fail(ErrorCode::RequestTimedOut), ["b: [REQUEST_TIMED_OUT]"]);
    assert_eq!(desk.offset("t", 0), 5);
    assert_eq!(desk.ask("c", request(commit("who", 0, vec![new_offset("t", 0, 4)]))), ["c: [UNKNOWN_MEMBER_ID]"]);
    let other = Commit { group: "other".into(), ..commit("who", 3, vec![new_offset("t", 0, 4)]) };
    assert_eq!(desk.ask("c", request(other)), ["c: [ILLEGAL_GENERATION]"]);
    let nameless = Commit { group: "".into(), ..commit("", -1, vec![new_offset("t", 0, 4)]) };
    assert_eq!(desk.ask("c", request(nameless)), ["append 2: /t-0 = 4"], "the group without a name is one");
}

#[test]
fn with_members_only_they_commit_and_only_in_their_generation() {
    let mut desk = Desk::stable(rules(), 2);
    let one = id("c", 1);
    let offsets = || vec![new_offset("t", 0, 5)];
    assert_eq!(desk.ask("a", request(commit("", -1, offsets()))), ["a: [UNKNOWN_MEMBER_ID]"]);
    assert_eq!(desk.ask("a", request(commit(&one, -1, offsets()))), ["a: [ILLEGAL_GENERATION]"]);
    assert_eq!(desk.ask("a", request(commit(&one, 2, offsets()))), ["a: [ILLEGAL_GENERATION]"]);
    let wrong = Commit { instance_id: Some("i".into()), ..commit(&one, 1, offsets()) };
    assert_eq!(desk.ask("a", request(wrong)), ["a: [UNKNOWN_MEMBER_ID]"]);
    assert_eq!(desk.ask("a", request(commit(&one, 1, offsets()))), ["append 1: g/t-0 = 5"]);
    desk.commit();
    desk.wait(9);
    desk.ask("a", request(commit(&one, 1, offsets())));
    desk.wait(9);
    assert_eq!(desk.ask("h", heartbeat(&one, 1)), ["h: REBALANCE_IN_PROGRESS"], "a commit is a sign of life");
    assert_eq!(desk.ask("a", request(commit(&one, 1, offsets()))), ["append 3: g/t-0 = 5"], "before it joins again");
    desk.join("j", join(&one, 0));
    assert_eq!(desk.ask("a", request(commit(&one, 2, offsets()))), ["a: [REBALANCE_IN_PROGRESS]"]);
}

#[test]
fn too_much_metadata_is_refused_for_its_partition() {
    let mut desk = Desk::new(rules());
    let with = |partition, metadata: &str| NewOffset { metadata: metadata.into(), ..new_offset("t", partition, 5) };
    let said = desk.ask("a", request(commit("", -1, vec![with(0, "12345678901"), with(1, "😀😀😀😀😀")])));
    assert_eq!(said, ["append 0: g/t-1 = 5"], "ten UTF-16 units");
    assert_eq!(desk.commit(), ["a: [OFFSET_METADATA_TOO_LARGE, NONE]"]);
    let said = desk.ask("a", request(commit("", -1, vec![with(0, "😀😀😀😀😀😀")])));
    assert_eq!(said, ["a: [OFFSET_METADATA_TOO_LARGE]"]);
    desk.ask("a", request(commit("", -1, vec![with(0, "12345678901"), with(1, "")])));
    assert_eq!(desk.fail(ErrorCode::MessageTooLarge), ["a: [OFFSET_METADATA_TOO_LARGE, INVALID_COMMIT_OFFSET_SIZE]"]);
    assert_eq!(desk.ask("a", request(commit("", -1, vec![]))), ["a: []"]);
}

#[test]
fn what_is_stored_is_fetched_and_what_is_pending_is_said() {
    let mut desk = Desk::new(rules());
    let offset = NewOffset { metadata: "note".into(), ..new_offset("t", 0, 5) };
    desk.ask("a", request(commit("", -1, vec![offset.clone()])));
    let wanted: [(Str, i32); 2] = [("t".into(), 0), ("t".into(), 1)];
    let fetch = |desk: &Desk, stable| {
        let fetched = desk.coordinator.fetch_offsets("g", Some(&wanted), stable, None).expect("it coordinates");
        fetched
            .iter()
            .map(|it| format!("{} {} {:?} {}", it.offset.0, it.leader_epoch.0, it.metadata, it.error))
            .collect::<Vec<_>>()
    };
    assert_eq!(fetch(&desk, true), ["-1 -1 \"\" UNSTABLE_OFFSET_COMMIT", "-1 -1 \"\" NONE"]);
    assert_eq!(fetch(&desk, false), ["-1 -1 \"\" NONE", "-1 -1 \"\" NONE"]);
    desk.ask("b", request(commit("", -1, vec![offset])));
    desk.commit();
    assert_eq!(fetch(&desk, true)[0], "-1 -1 \"\" UNSTABLE_OFFSET_COMMIT", "one more is under way");
    desk.commit();
    assert_eq!(fetch(&desk, true), ["5 1 \"note\" NONE", "-1 -1 \"\" NONE"]);
    let all = |group| desk.coordinator.fetch_offsets(group, None, false, None).expect("it coordinates").len();
    assert_eq!((all("g"), all("none")), (1, 0));
}

#[test]
fn a_transaction_counts_when_it_is_committed() {
    let mut desk = Desk::new(rules());
    let transactional = |offset| Commit {
        transaction: Some((ProducerId(7), ProducerEpoch(0))),
        ..commit("", -1, vec![new_offset("t", 0, offset)])
    };
    let unstable = |desk: &Desk| {
        let fetched =
            desk.coordinator.fetch_offsets("g", Some(&[("t".into(), 0)]), true, None).expect("it coordinates");
        fetched[0].error == ErrorCode::UnstableOffsetCommit
    };
    assert_eq!(desk.ask("a", request(transactional(5))), ["append 0 in transaction of 7: g/t-0 = 5"]);
    assert!(unstable(&desk));
    assert_eq!(desk.commit(), ["a: [NONE]"]);
    assert!(unstable(&desk));
    desk.end_transaction(7, true);
    assert_eq!((desk.offset("t", 0), unstable(&desk)), (5, false));
    desk.ask("a", request(transactional(9)));
    desk.commit();
    desk.end_transaction(7, false);
    assert_eq!(desk.offset("t", 0), 5, "aborted");
    desk.ask("a", request(transactional(20)));
    assert_eq!(desk.fail(ErrorCode::NotEnoughReplicas), ["a: [COORDINATOR_NOT_AVAILABLE]"]);
    assert!(!unstable(&desk));
    desk.ask("a", request(transactional(30)));
    desk.commit();
    desk.ask("b", request(commit("", -1, vec![new_offset("t", 0, 40)])));
    desk.commit();
    desk.end_transaction(7, true);
    assert_eq!(desk.offset("t", 0), 40, "its record is the later one");
    desk.ask("a", request(transactional(50)));
    desk.commit();
    let log = desk.log.clone();
    assert_eq!(desk.reload(1), [""; 0]);
    assert!(unstable(&desk), "open transactions are loaded");
    desk.end_transaction(7, true);
    assert_eq!(desk.offset("t", 0), 50);
    assert_eq!(log.len() + 1, desk.log.len());
}

#[test]
fn members_are_not_asked_for_in_a_transaction_but_checked() {
    let mut desk = Desk::stable(rules(), 1);
    let transactional = |member_id: &str, generation| Commit {
        transaction: Some((ProducerId(7), ProducerEpoch(0))),
        ..commit(member_id, generation, vec![new_offset("t", 0, 5)])
    };
    assert_eq!(desk.ask("a", request(transactional("", -1))).len(), 1, "older clients do not say who they are");
    assert_eq!(desk.ask("a", request(transactional("who", 1))), ["a: [UNKNOWN_MEMBER_ID]"]);
    assert_eq!(desk.ask("a", request(transactional(&id("c", 1), 0))), ["a: [ILLEGAL_GENERATION]"]);
    let other = Commit { group: "other".into(), ..transactional("who", 1) };
    assert_eq!(desk.ask("a", request(other)), ["a: [UNKNOWN_MEMBER_ID]"]);
    assert_eq!(desk.coordinator.groups.len(), 1);
}

#[test]
fn a_simple_groups_offsets_expire_since_they_were_committed() {
    let mut desk = Desk::new(rules());
    desk.ask("a", request(commit("", -1, vec![new_offset("t", 0, 5)])));
    desk.commit();
    desk.wait(1_500);
    desk.ask("a", request(commit("", -1, vec![new_offset("t", 1, 6)])));
    desk.commit();
    assert_eq!(desk.wait(2_099), [""; 0]);
    assert_eq!(desk.wait(1), ["append 2: g/t-0 gone"], "an hour");
    assert_eq!(desk.offset("t", 0), 5, "until that is committed");
    desk.commit();
    assert_eq!(desk.offset("t", 0), -1);
    assert_eq!(desk.wait(1_800), ["append 3: g/t-1 gone"], "the group was never written");
    assert_eq!(desk.state(), "Dead");
    let refused = request(commit("", -1, vec![new_offset("t", 1, 7)]));
    assert_eq!(desk.ask("a", refused), ["a: [COORDINATOR_NOT_AVAILABLE]"]);
    desk.commit();
    assert_eq!(desk.coordinator.groups.len(), 0);
}

#[test]
fn an_expiry_that_cannot_be_written_is_tried_again() {
    let mut desk = Desk::new(rules());
    desk.ask("a", request(commit("", -1, vec![new_offset("t", 0, 5)])));
    desk.commit();
    assert_eq!(desk.wait(3_600), ["append 1: g/t-0 gone"]);
    assert_eq!(desk.fail(ErrorCode::NotEnoughReplicas), [""; 0]);
    assert_eq!((desk.state(), desk.offset("t", 0)), ("Empty", 5));
    assert_eq!(desk.wait(600), ["append 2: g/t-0 gone"]);
}

#[test]
fn an_empty_groups_offsets_expire_since_it_is_empty() {
    let mut desk = Desk::stable(rules(), 1);
    let one = id("c", 1);
    desk.ask("a", request(commit(&one, 1, vec![new_offset("t", 0, 5)])));
    desk.commit();
    for _ in 0..800 {
        desk.wait(5);
        desk.ask("h", heartbeat(&one, 1));
    }
    desk.ask("l", leave(&[(&one, None)]));
    desk.commit();
    assert_eq!(desk.state(), "Empty");
    let epoch = desk.reload(1);
    assert_eq!(epoch, [""; 0]);
    assert_eq!(desk.wait(3_500), [""; 0], "it is older than an hour, the emptiness is not");
    assert_eq!(desk.wait(700), ["append 3: g/t-0 gone, g gone"]);
    desk.commit();
    assert_eq!(desk.coordinator.groups.len(), 0);
}

#[test]
fn a_stable_group_loses_what_it_does_not_subscribe_to() {
    let mut desk = Desk::stable(rules(), 1);
    let one = id("c", 1);
    desk.ask("a", request(commit(&one, 1, vec![new_offset("t", 0, 5), new_offset("old", 0, 6)])));
    desk.commit();
    let mut said = Vec::new();
    for _ in 0..900 {
        said.extend(desk.wait(5));
        desk.ask("h", heartbeat(&one, 1));
    }
    assert_eq!(
        said,
        ["append 2: g/old-0 gone"; 1]
            .map(str::to_owned)
            .into_iter()
            .chain(said.iter().skip(1).cloned())
            .collect::<Vec<_>>()
    );
    assert!(said.iter().all(|it| !it.contains("t-0")), "it reads that: {said:?}");
}

#[test]
fn who_says_how_long_to_keep_is_heard() {
    let mut desk = Desk::new(rules());
    let brief = Commit { retention_ms: Some(60_000), ..commit("", -1, vec![new_offset("t", 0, 5)]) };
    desk.ask("a", request(brief));
    desk.commit();
    assert_eq!(desk.wait(600), ["append 1: g/t-0 gone"]);
    let stamped = NewOffset { timestamp: Some(Timestamp(-3_600_000)), ..new_offset("t", 1, 5) };
    desk.commit();
    desk.ask("a", request(commit("", -1, vec![stamped])));
    desk.commit();
    assert_eq!(desk.wait(600), ["append 3: g/t-1 gone"]);
}

#[test]
fn an_empty_group_is_deleted_with_all_that_it_committed() {
    let mut desk = Desk::stable(rules(), 1);
    let one = id("c", 1);
    let delete = |group: &str| Request::Delete { group: group.into() };
    assert_eq!(desk.ask("d", delete("none")), ["d: GROUP_ID_NOT_FOUND"]);
    assert_eq!(desk.ask("d", delete("g")), ["d: NON_EMPTY_GROUP"]);
    desk.ask("a", request(commit(&one, 1, vec![new_offset("t", 0, 5)])));
    desk.commit();
    desk.ask("l", leave(&[(&one, None)]));
    desk.commit();
    desk.ask("a", request(commit("", -1, vec![new_offset("t", 1, 5)])));
    assert_eq!(desk.ask("d", delete("g")), ["append 4: g/t-0 gone, g/t-1 gone, g gone"], "what is pending too");
    assert_eq!(desk.ask("e", delete("g")), ["e: GROUP_ID_NOT_FOUND"]);
    assert_eq!(desk.join("j", old_join(2)), ["j: COORDINATOR_NOT_AVAILABLE "]);
    assert_eq!(desk.commit(), ["a: [NONE]"]);
    assert_eq!(desk.fail(ErrorCode::NotEnoughReplicas), ["d: COORDINATOR_NOT_AVAILABLE"]);
    assert_eq!((desk.state(), desk.offset("t", 0)), ("Empty", 5), "as it was");
    desk.ask("d", delete("g"));
    assert_eq!(desk.commit(), ["d: NONE"]);
    assert_eq!(desk.coordinator.groups.len(), 0);
}

#[test]
fn a_deletion_is_written_in_parts_that_fit_a_batch() {
    let mut desk = Desk::new(rules());
    let topic = "t".repeat(249);
    desk.ask("a", request(commit("", -1, (0..4_000).map(|partition| new_offset(&topic, partition, 1)).collect())));
    desk.commit();
    let effects = desk.step(Event::Request("d".to_owned(), Request::Delete { group: "g".into() }));
    assert_eq!(effects.len(), 3);
    assert_eq!(desk.commit(), [""; 0]);
    assert_eq!(desk.fail(ErrorCode::RequestTimedOut), [""; 0]);
    assert_eq!(desk.commit(), ["d: COORDINATOR_NOT_AVAILABLE"], "something is left");
    assert_eq!(desk.state(), "Empty");
}

#[test]
fn offsets_are_deleted_unless_they_are_in_use() {
    let mut desk = Desk::stable(rules(), 1);
    let one = id("c", 1);
    desk.ask("a", request(commit(&one, 1, vec![new_offset("t", 0, 5), new_offset("old", 0, 6)])));
    desk.commit();
    let delete = |group: &str, what: &[(&str, i32)]| Request::DeleteOffsets {
        group: group.into(),
        partitions: what.iter().map(|(topic, partition)| ((*topic).into(), *partition)).collect(),
    };
    assert_eq!(desk.ask("d", delete("none", &[("t", 0)])), ["d: GROUP_ID_NOT_FOUND"]);
    let said = desk.ask("d", delete("g", &[("t", 0), ("old", 0), ("old", 1)]));
    assert_eq!(said, ["append 2: g/old-0 gone"]);
    assert_eq!(desk.commit(), ["d: [GROUP_SUBSCRIBED_TO_TOPIC, NONE, NONE]"]);
    assert_eq!(desk.ask("d", delete("g", &[("old", 0)])), ["d: [NONE]"], "it is gone already");
    desk.ask("l", leave(&[(&one, None)]));
    desk.commit();
    assert_eq!(desk.ask("d", delete("g", &[("t", 0)])), ["append 4: g/t-0 gone, g gone"], "nothing is left then");
    assert_eq!(desk.commit(), ["d: [NONE]"]);
    let connect = Join { group: "c".into(), protocol_type: "connect".into(), ..old_join(1) };
    desk.join("j", connect);
    assert_eq!(desk.ask("d", delete("c", &[("t", 0)])), ["d: NON_EMPTY_GROUP"]);
}

#[test]
fn offsets_of_deleted_topics_go() {
    let mut desk = Desk::stable(rules(), 1);
    let one = id("c", 1);
    desk.ask("a", request(commit(&one, 1, vec![new_offset("t", 0, 5), new_offset("u", 0, 6)])));
    desk.commit();
    assert_eq!(desk.tell(Event::TopicsDeleted(["t".into()].into())), ["append 2: g/t-0 gone"]);
    desk.commit();
    assert_eq!((desk.offset("t", 0), desk.offset("u", 0), desk.state()), (-1, 6, "Stable"));
    assert_eq!(desk.tell(Event::TopicsDeleted(["v".into()].into())), [""; 0]);
}

#[test]
fn writes_in_flight_are_bounded() {
    let mut desk = Desk::new(rules());
    for _ in 0..WRITES_IN_FLIGHT_MAX {
        desk.ask("a", request(commit("", -1, vec![new_offset("t", 0, 5)])));
    }
    let said = desk.ask("a", request(commit("", -1, vec![new_offset("t", 0, 5)])));
    assert_eq!(said, ["a: [COORDINATOR_NOT_AVAILABLE]"]);
}
