//! Joins, syncs, heartbeats and leaves.

use super::*;

#[test]
fn a_new_member_gets_an_id_comes_back_waits_and_is_assigned() {
    let mut desk = Desk::new(rules());
    assert_eq!(desk.join("a", join("", 1)), ["a: MEMBER_ID_REQUIRED c-1"]);
    let one = id("c", 1);
    assert_eq!(desk.join("b", join(&one, 0)), [""; 0], "it waits for others");
    assert_eq!(desk.state(), "PreparingRebalance");
    assert_eq!(desk.wait(2), [""; 0]);
    assert_eq!(desk.wait(1), ["b: c-1 joined 1 by range led by c-1 [c-1]"]);
    assert_eq!(desk.ask("h", heartbeat(&one, 1)), ["h: NONE"]);
    assert_eq!(desk.ask("s", sync(&one, 1, &[(&one, "x")])), ["append 0: g is 1 of [c-1 'x']"]);
    assert_eq!(desk.state(), "CompletingRebalance", "nothing is distributed before it is committed");
    assert_eq!(desk.commit(), ["s: assigned 'x' by range"]);
    assert_eq!(desk.state(), "Stable");
    assert_eq!(desk.ask("h", heartbeat(&one, 1)), ["h: NONE"]);
    assert_eq!(desk.ask("s", sync(&one, 1, &[])), ["s: assigned 'x' by range"], "asked again");
}

#[test]
fn an_empty_group_waits_longer_while_more_members_come() {
    let mut desk = Desk::new(rules());
    desk.join("a", old_join(1));
    desk.wait(2);
    desk.join("b", old_join(2));
    assert_eq!(desk.wait(2), [""; 0], "three seconds more");
    assert_eq!(
        desk.wait(2),
        ["a: c-1 joined 1 by range led by c-1 [c-1 c-2]", "b: c-2 joined 1 by range led by c-1 []"]
    );
}

#[test]
fn an_empty_group_waits_no_longer_than_its_rebalance_time_out() {
    let mut desk = Desk::new(rules());
    let hasty = |seed| Join { rebalance_timeout_ms: 7_000, ..old_join(seed) };
    desk.join("a", hasty(1));
    for (seconds, seed) in [(2, 2), (3, 3)] {
        desk.wait(seconds);
        desk.join("x", hasty(seed));
    }
    assert_eq!(desk.wait(1), [""; 0]);
    desk.join("x", hasty(4));
    assert_eq!(desk.wait(1).len(), 4, "at 7 s, whoever came");
}

#[test]
fn without_a_delay_the_first_member_is_answered_at_once() {
    let mut desk = Desk::new(no_delay());
    assert_eq!(desk.join("a", old_join(1)), ["a: c-1 joined 1 by range led by c-1 [c-1]"]);
}

#[test]
fn a_second_member_makes_the_first_join_again_and_both_get_a_share() {
    let mut desk = Desk::stable(rules(), 1);
    let (one, two) = (id("c", 1), id("c", 2));
    assert_eq!(desk.join("b", old_join(2)), [""; 0]);
    assert_eq!(desk.ask("h", heartbeat(&one, 1)), ["h: REBALANCE_IN_PROGRESS"]);
    assert_eq!(desk.ask("s", sync(&one, 1, &[])), ["s: REBALANCE_IN_PROGRESS"]);
    assert_eq!(
        desk.join("a", join(&one, 0)),
        ["a: c-1 joined 2 by range led by c-1 [c-1 c-2]", "b: c-2 joined 2 by range led by c-1 []"]
    );
    assert_eq!(desk.ask("s2", sync(&two, 2, &[(&two, "no leader")])), [""; 0], "waits for the leader");
    assert_eq!(
        desk.ask("s1", sync(&one, 2, &[(&two, "y"), ("nobody", "z")])),
        ["append 1: g is 2 of [c-1 '', c-2 'y']"]
    );
    assert_eq!(desk.commit(), ["s1: assigned '' by range", "s2: assigned 'y' by range"]);
}

#[test]
fn a_leader_that_speaks_twice_is_heard_once() {
    let mut desk = Desk::new(no_delay());
    let one = id("c", 1);
    desk.join("a", old_join(1));
    assert_eq!(desk.ask("s", sync(&one, 1, &[(&one, "x")])).len(), 1);
    assert_eq!(desk.ask("t", sync(&one, 1, &[(&one, "y")])), ["s: REBALANCE_IN_PROGRESS"], "no second write");
    assert_eq!(desk.commit(), ["t: assigned 'x' by range"]);
}

#[test]
fn an_assignment_that_is_not_written_is_nobodys() {
    let mut desk = Desk::new(no_delay());
    let one = id("c", 1);
    desk.join("a", old_join(1));
    desk.ask("s", sync(&one, 1, &[(&one, "x")]));
    assert_eq!(desk.fail(ErrorCode::NotEnoughReplicas), ["s: COORDINATOR_NOT_AVAILABLE"]);
    assert_eq!(desk.state(), "PreparingRebalance");
    assert_eq!(desk.join("b", join(&one, 0)), ["b: c-1 joined 2 by range led by c-1 [c-1]"]);
    desk.ask("s", sync(&one, 2, &[(&one, "x")]));
    assert_eq!(desk.fail(ErrorCode::RequestTimedOut), ["s: REBALANCE_IN_PROGRESS"]);
    desk.join("b", join(&one, 0));
    desk.ask("s", sync(&one, 3, &[(&one, "x")]));
    assert_eq!(desk.fail(ErrorCode::MessageTooLarge), ["s: UNKNOWN_SERVER_ERROR"]);
}

#[test]
fn a_late_write_of_an_earlier_generation_assigns_nothing() {
    let mut desk = Desk::new(no_delay());
    let one = id("c", 1);
    desk.join("a", old_join(1));
    desk.ask("s", sync(&one, 1, &[(&one, "x")]));
    assert_eq!(desk.join("b", old_join(2)), ["s: REBALANCE_IN_PROGRESS"]);
    assert_eq!(desk.commit(), [""; 0]);
    assert_eq!(desk.state(), "PreparingRebalance");
}

#[test]
fn the_protocol_that_all_speak_and_most_prefer_is_chosen() {
    let mut desk = Desk::new(rules());
    let speaks = |seed, names: &[&'static str]| Join { protocols: protocols(names), ..old_join(seed) };
    desk.join("a", speaks(1, &["range", "sticky", "own"]));
    desk.join("b", speaks(2, &["sticky", "range"]));
    desk.join("c", speaks(3, &["new", "sticky", "range"]));
    assert_eq!(desk.join("d", speaks(4, &["own", "new"])), ["d: INCONSISTENT_GROUP_PROTOCOL "]);
    assert_eq!(desk.join("d", speaks(4, &[])), ["d: INCONSISTENT_GROUP_PROTOCOL "]);
    let connect = Join { protocol_type: "connect".into(), ..old_join(4) };
    assert_eq!(desk.join("d", connect), ["d: INCONSISTENT_GROUP_PROTOCOL "]);
    let said = desk.wait(6);
    assert_eq!(said[0], "a: c-1 joined 1 by sticky led by c-1 [c-1 c-2 c-3]");
    let wrong = |kind: &str, protocol: &str| Sync {
        version: 5,
        protocol_type: Some(kind.into()).filter(|it: &Str| !it.is_empty()),
        protocol: Some(protocol.into()),
        group: "g".into(),
        generation: 1,
        member_id: id("c", 2),
        instance_id: None,
        assignments: vec![],
    };
    for (kind, protocol) in [("connect", "sticky"), ("consumer", "range"), ("", "sticky")] {
        assert_eq!(desk.ask("s", Request::Sync(wrong(kind, protocol))), ["s: INCONSISTENT_GROUP_PROTOCOL"]);
    }
    assert_eq!(desk.ask("s", Request::Sync(wrong("consumer", "sticky"))), [""; 0]);
}

#[test]
fn who_comes_from_elsewhere_is_refused() {
    let mut desk = Desk::stable(rules(), 1);
    let one = id("c", 1);
    assert_eq!(desk.join("a", join("who", 0)), ["a: UNKNOWN_MEMBER_ID who"]);
    assert_eq!(desk.join("a", Join { group: "new".into(), ..join("who", 0) }), ["a: UNKNOWN_MEMBER_ID who"]);
    assert_eq!(desk.join("a", Join { group: "".into(), ..join("", 0) }), ["a: INVALID_GROUP_ID "]);
    assert_eq!(desk.join("a", Join { session_timeout_ms: 5_999, ..join("", 0) }), ["a: INVALID_SESSION_TIMEOUT "]);
    let instance = Join { instance_id: Some("i".into()), ..join(&one, 0) };
    assert_eq!(desk.join("a", instance), [format!("a: UNKNOWN_MEMBER_ID {}", short(&one))]);
    assert_eq!(desk.ask("s", sync("who", 1, &[])), ["s: UNKNOWN_MEMBER_ID"]);
    assert_eq!(desk.ask("s", sync(&one, 2, &[])), ["s: ILLEGAL_GENERATION"]);
    assert_eq!(desk.ask("h", heartbeat("who", 1)), ["h: UNKNOWN_MEMBER_ID"]);
    assert_eq!(desk.ask("h", heartbeat(&one, 0)), ["h: ILLEGAL_GENERATION"]);
    assert_eq!(desk.coordinator.groups.len(), 1, "nothing was made for them");
}

#[test]
fn members_that_join_again_change_something_or_do_not() {
    let mut desk = Desk::stable(rules(), 2);
    let (one, two) = (id("c", 1), id("c", 2));
    assert_eq!(desk.join("a", join(&two, 0)), ["a: c-2 joined 1 by range led by c-1 []"], "a follower, unchanged");
    assert_eq!(desk.join("a", join(&one, 0)), [""; 0], "the leader wants to assign anew");
    assert_eq!(desk.state(), "PreparingRebalance");
    assert_eq!(desk.join("b", join(&two, 0)).len(), 2);
    assert_eq!(
        desk.join("a", join(&one, 0)),
        ["a: c-1 joined 2 by range led by c-1 [c-1 c-2]"],
        "it missed the answer"
    );
    assert_eq!(desk.ask("s", sync(&two, 2, &[])), [""; 0]);
    let changed = Join { protocols: protocols(&["range", "sticky"]), ..join(&one, 0) };
    assert_eq!(desk.join("a", changed), ["s: REBALANCE_IN_PROGRESS"]);
    assert_eq!(desk.state(), "PreparingRebalance");
    let again = Join { protocols: protocols(&["range", "sticky"]), ..join(&one, 0) };
    assert_eq!(desk.join("b", again), ["a: REBALANCE_IN_PROGRESS c-1"], "the earlier one is answered");
}

#[test]
fn a_silent_member_is_out_and_the_last_one_leaves_an_empty_generation() {
    let mut desk = Desk::stable(rules(), 2);
    let (one, two) = (id("c", 1), id("c", 2));
    desk.wait(6);
    desk.ask("h", heartbeat(&two, 1));
    assert_eq!(desk.wait(4), [""; 0]);
    assert_eq!(desk.ask("h", heartbeat(&two, 1)), ["h: REBALANCE_IN_PROGRESS"]);
    assert_eq!(desk.ask("h", heartbeat(&one, 1)), ["h: UNKNOWN_MEMBER_ID"]);
    assert_eq!(desk.join("a", join(&two, 0)), ["a: c-2 joined 2 by range led by c-2 [c-2]"]);
    assert_eq!(desk.wait(60), ["append 1: g is 3 of []"]);
    assert_eq!(desk.state(), "Empty");
    assert_eq!(desk.commit(), [""; 0]);
    assert_eq!(desk.ask("h", heartbeat(&two, 3)), ["h: UNKNOWN_MEMBER_ID"]);
}

#[test]
fn who_does_not_join_in_time_is_out() {
    let mut desk = Desk::stable(rules(), 2);
    let (one, two) = (id("c", 1), id("c", 2));
    desk.join("b", old_join(3));
    for _ in 0..11 {
        desk.wait(5);
        desk.ask("h", heartbeat(&one, 1));
    }
    assert_eq!(desk.ask("h", heartbeat(&two, 1)), ["h: UNKNOWN_MEMBER_ID"], "it was silent");
    assert_eq!(desk.wait(5), ["b: c-3 joined 2 by range led by c-3 [c-3]"], "after a minute");
}

#[test]
fn who_does_not_sync_in_time_is_out() {
    let mut desk = Desk::new(rules());
    let (one, two) = (id("c", 1), id("c", 2));
    desk.join("a", old_join(1));
    desk.join("b", old_join(2));
    assert_eq!(desk.wait(6).len(), 2);
    desk.ask("s", sync(&two, 1, &[]));
    for _ in 0..11 {
        desk.wait(5);
        assert_eq!(desk.ask("h", heartbeat(&one, 1)), ["h: NONE"]);
    }
    assert_eq!(desk.wait(5), ["s: REBALANCE_IN_PROGRESS"], "the leader had a minute");
    assert_eq!(desk.join("c", join(&two, 0)), ["c: c-2 joined 2 by range led by c-2 [c-2]"]);
}

#[test]
fn new_members_and_promised_ids_do_not_wait_for_ever() {
    let mut desk = Desk::stable(rules(), 1);
    let one = id("c", 1);
    desk.join("a", join("", 2));
    desk.join("b", Join { rebalance_timeout_ms: 1_000_000, ..old_join(3) });
    desk.join("c", join(&one, 0));
    assert_eq!(desk.state(), "PreparingRebalance", "somebody was promised an id");
    assert_eq!(desk.wait(9), [""; 0]);
    assert_eq!(desk.wait(1).len(), 2, "who did not come in its session's time");
    assert_eq!(desk.join("a", join(&id("c", 2), 0)), ["a: UNKNOWN_MEMBER_ID c-2"]);
    let mut desk = Desk::new(Rules { initial_rebalance_delay: Duration::from_secs(1_000), ..rules() });
    desk.join("b", old_join(3));
    assert_eq!(desk.wait(299), [""; 0]);
    assert_eq!(desk.wait(1), ["b: UNKNOWN_MEMBER_ID "]);
}

#[test]
fn a_group_has_room_for_so_many() {
    let mut desk = Desk::stable(Rules { group_size_max: 2, ..rules() }, 2);
    let (one, two) = (id("c", 1), id("c", 2));
    assert_eq!(desk.join("c", old_join(3)), ["c: GROUP_MAX_SIZE_REACHED "]);
    assert_eq!(desk.join("a", join(&one, 0)), [""; 0]);
    assert_eq!(desk.join("c", old_join(3)), [""; 0], "who comes first in a rebalance");
    assert_eq!(
        desk.join("b", join(&two, 0)),
        [
            "b: GROUP_MAX_SIZE_REACHED ",
            "a: c-1 joined 2 by range led by c-1 [c-1 c-3]",
            "c: c-3 joined 2 by range led by c-1 []"
        ]
    );
}

#[test]
fn members_leave_together() {
    let mut desk = Desk::stable(rules(), 3);
    let (one, two, three) = (id("c", 1), id("c", 2), id("c", 3));
    desk.join("p", join("", 4));
    let said =
        desk.ask("l", leave(&[(&one, None), ("who", None), (&two, Some("i")), (&id("c", 4), None), ("", Some("i"))]));
    assert_eq!(said, ["l: [NONE, UNKNOWN_MEMBER_ID, UNKNOWN_MEMBER_ID, NONE, UNKNOWN_MEMBER_ID]"]);
    assert_eq!(desk.state(), "PreparingRebalance");
    desk.join("b", join(&two, 0));
    assert_eq!(
        desk.ask("l", leave(&[(&three, None)])),
        ["b: c-2 joined 2 by range led by c-2 [c-2]", "l: [NONE]"],
        "nobody else is waited for"
    );
    assert_eq!(desk.ask("l", leave(&[(&two, None)])), ["append 1: g is 3 of []", "l: [NONE]"]);
    let other = Leave { group: "other".into(), members: vec![Leaving { member_id: one, instance_id: None }] };
    assert_eq!(desk.ask("l", Request::Leave(other)), ["l: [UNKNOWN_MEMBER_ID]"]);
}

#[test]
fn version_0_has_one_time_out_for_both() {
    let mut desk = Desk::new(no_delay());
    desk.join("a", Join { version: 0, ..old_join(1) });
    desk.join("b", old_join(2));
    desk.ask("l", leave(&[(&id("c", 2), None)]));
    let Some(group) = desk.coordinator.groups.get("g") else { panic!("it is there") };
    assert_eq!(group.members.rebalance_timeout(), Duration::from_secs(10));
}

#[test]
fn groups_are_described_and_listed() {
    let mut desk = Desk::stable(rules(), 1);
    desk.ask("x", Request::Commit(Commit { group: "simple".into(), ..commit("", -1, vec![new_offset("t", 0, 1)]) }));
    let described = desk.coordinator.describe("g").expect("it coordinates");
    assert_eq!((described.protocol_type.as_str(), described.protocol.as_str()), ("consumer", "range"));
    let member = &described.members[0];
    assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("c", "/h"));
    assert_eq!((&member.metadata, &member.assignment), (&subscription(&["t"]), &Bytes::from_static(b"1")));
    assert_eq!(desk.coordinator.describe("none").expect("it coordinates").state, "Dead");
    let list = |desk: &Desk, states: &[&str], types: &[&str]| {
        let texts = |texts: &[&str]| texts.iter().map(|text| Str::from(*text)).collect();
        let listed = desk.coordinator.list(&Filter { states: texts(states), types: texts(types) });
        let listed = listed.expect("it coordinates").into_iter();
        listed.map(|it| format!("{} {} {}", it.group, it.protocol_type, it.state)).collect::<Vec<_>>()
    };
    assert_eq!(list(&desk, &[], &[]), ["g consumer Stable", "simple  Empty"]);
    assert_eq!(list(&desk, &["sTABLE"], &["Classic"]), ["g consumer Stable"]);
    assert_eq!(list(&desk, &[], &["consumer"]), [""; 0]);
    desk.join("b", old_join(2));
    let described = desk.coordinator.describe("g").expect("it coordinates");
    assert_eq!((described.protocol.as_str(), described.members[0].metadata.len()), ("", 0), "not stable");
}

#[test]
fn what_was_promised_and_never_taken_leaves_nothing_behind() {
    let mut desk = Desk::new(rules());
    desk.join("a", join("", 1));
    assert_eq!(desk.coordinator.groups.len(), 1);
    desk.wait(10);
    assert_eq!((desk.coordinator.groups.len(), desk.coordinator.timers.len()), (0, 0));
}

#[test]
fn a_promised_id_that_finds_no_room_is_not_waited_for() {
    let mut desk = Desk::stable(Rules { group_size_max: 2, ..rules() }, 2);
    let (one, two, three) = (id("c", 1), id("c", 2), id("c", 3));
    desk.join("a", join(&one, 0));
    assert_eq!(desk.join("c", join("", 3)), ["c: MEMBER_ID_REQUIRED c-3"]);
    assert_eq!(desk.join("b", join(&two, 0)), [""; 0], "the third may come");
    let said = desk.join("c", join(&three, 0));
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said[0], "c: GROUP_MAX_SIZE_REACHED ");
    assert_eq!(desk.state(), "CompletingRebalance");
}

#[test]
fn promised_ids_are_bounded() {
    let mut desk = Desk::new(rules());
    for number in 0..u16::try_from(PENDING_MEMBERS_PER_GROUP_MAX).expect("some thousands") {
        let random = std::array::from_fn(|at| number.to_be_bytes()[at % 2] ^ u8::try_from(at).expect("few"));
        desk.join("a", Join { random, ..join("", 0) });
    }
    assert_eq!(desk.join("b", join("", 255)), ["b: COORDINATOR_NOT_AVAILABLE "]);
}

#[test]
fn names_of_groups_are_bounded_and_those_that_came_to_nothing_make_room() {
    let mut coordinator = Desk::new(rules()).coordinator;
    let now = Now { moment: Moment(Duration::ZERO), timestamp: Timestamp(0) };
    let mut effects = Vec::new();
    let mut error = |coordinator: &mut Coordinator<Ticket>, now, group: &str| {
        let join = Join { group: group.into(), ..join("", 1) };
        coordinator.step(now, Event::Request(String::new(), Request::Join(join)), &mut effects);
        let Some(Effect::Reply(_, Reply::Join(reply))) = effects.pop() else { panic!("a reply") };
        assert!(effects.is_empty());
        reply.error
    };
    for number in 0..GROUPS_PER_PARTITION_MAX {
        assert_eq!(error(&mut coordinator, now, &number.to_string()), ErrorCode::MemberIdRequired);
    }
    assert_eq!(error(&mut coordinator, now, "one more"), ErrorCode::CoordinatorNotAvailable);
    assert_eq!(error(&mut coordinator, now, "7"), ErrorCode::MemberIdRequired, "the others go on");
    // Nobody came back with the id that it was given.
    let later = Now { moment: Moment(Duration::from_secs(11)), ..now };
    coordinator.step(later, Event::Tick, &mut Vec::new());
    assert_eq!(error(&mut coordinator, later, "one more"), ErrorCode::MemberIdRequired);
}
