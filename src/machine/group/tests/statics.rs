//! Static members (KIP-345, KIP-814).

use super::*;

fn named(member_id: &str, seed: u8, instance: &str) -> Join {
    Join { instance_id: Some(instance.into()), ..join(member_id, seed) }
}

/// Members i-1 and j-2, of which the first leads, stable in generation 1.
fn stable_statics() -> Desk {
    let mut desk = Desk::new(rules());
    desk.join("a", named("", 1, "i"));
    desk.join("b", named("", 2, "j"));
    assert_eq!(desk.wait(6)[0], "a: i-1 joined 1 by range led by i-1 [i-1 j-2]");
    let (one, two) = (id("i", 1), id("j", 2));
    desk.ask("s2", sync(&two, 1, &[]));
    desk.ask("s1", sync(&one, 1, &[(&one, "x"), (&two, "y")]));
    assert_eq!(desk.commit(), ["s1: assigned 'x' by range", "s2: assigned 'y' by range"]);
    desk
}

#[test]
fn one_that_comes_back_takes_its_place_without_a_rebalance() {
    let mut desk = stable_statics();
    let (old, new) = (id("j", 2), id("j", 3));
    assert_eq!(desk.join("b", named("", 3, "j")), ["append 1: g is 1 of [i-1 'x', j-3 'y']"]);
    assert_eq!(desk.commit(), ["b: j-3 joined 1 by range led by i-1 []"]);
    assert_eq!(desk.ask("s", sync(&new, 1, &[])), ["s: assigned 'y' by range"]);
    let fenced = Heartbeat { group: "g".into(), generation: 1, member_id: old, instance_id: Some("j".into()) };
    assert_eq!(desk.ask("h", Request::Heartbeat(fenced)), ["h: FENCED_INSTANCE_ID"]);
    assert_eq!(desk.join("c", named(&id("j", 2), 0, "j")), ["c: FENCED_INSTANCE_ID j-2"]);
    assert_eq!(desk.ask("l", leave(&[(&id("j", 2), Some("j"))])), ["l: [FENCED_INSTANCE_ID]"]);
    assert_eq!(desk.state(), "Stable");
}

#[test]
fn a_leader_that_comes_back_leads_without_assigning_if_it_knows_how() {
    let mut desk = stable_statics();
    desk.join("a", named("", 3, "i"));
    assert_eq!(desk.commit(), ["a: i-3 joined 1 by range led by i-3 [i-3 j-2] skip"]);
    let mut desk = stable_statics();
    desk.join("a", Join { version: 8, ..named("", 3, "i") });
    assert_eq!(desk.commit(), ["a: i-3 joined 1 by range led by i-1 []"], "an older client hears of its old id");
    assert_eq!(desk.coordinator.groups["g"].leader, Some(id("i", 3)));
}

#[test]
fn one_that_cannot_be_written_keeps_its_old_id() {
    let mut desk = stable_statics();
    desk.join("b", named("", 3, "j"));
    assert_eq!(desk.fail(ErrorCode::NotLeaderOrFollower), ["b: NOT_COORDINATOR "]);
    assert_eq!(desk.ask("h", heartbeat(&id("j", 2), 1)), ["h: NONE"]);
    assert_eq!(desk.ask("h", heartbeat(&id("j", 3), 1)), ["h: UNKNOWN_MEMBER_ID"]);
}

#[test]
fn one_that_changes_the_protocol_makes_a_rebalance() {
    let mut desk = Desk::new(no_delay());
    desk.join("a", Join { protocols: protocols(&["range", "sticky"]), ..named("", 1, "i") });
    let one = id("i", 1);
    desk.ask("s", sync(&one, 1, &[(&one, "x")]));
    desk.commit();
    let said = desk.join("b", Join { protocols: protocols(&["sticky", "range"]), ..named("", 2, "i") });
    assert_eq!(said, ["b: i-2 joined 2 by sticky led by i-2 [i-2]"]);
}

#[test]
fn whoever_waits_under_the_name_is_fenced() {
    let mut desk = Desk::new(rules());
    desk.join("a", named("", 1, "i"));
    assert_eq!(desk.join("b", named("", 2, "i")), ["a: FENCED_INSTANCE_ID i-1"]);
    assert_eq!(desk.wait(3), ["b: i-2 joined 1 by range led by i-2 [i-2]"]);
    let two = id("i", 2);
    desk.ask("s", sync(&two, 1, &[(&two, "x")]));
    assert_eq!(
        desk.join("c", named("", 3, "i")),
        ["s: FENCED_INSTANCE_ID", "c: i-3 joined 2 by range led by i-3 [i-3]"],
        "the assignment was for the old id"
    );
    assert_eq!(desk.commit(), [""; 0]);
    assert_eq!(desk.state(), "CompletingRebalance");
}

#[test]
fn they_stay_when_they_do_not_join_and_go_when_they_are_silent() {
    let mut desk = stable_statics();
    let two = id("j", 2);
    assert_eq!(desk.join("a", named(&id("i", 1), 0, "i")), [""; 0], "the leader wants a rebalance");
    for _ in 0..11 {
        desk.wait(5);
        desk.ask("h", heartbeat(&two, 1));
    }
    assert_eq!(desk.wait(5), ["a: i-1 joined 2 by range led by i-1 [i-1 j-2]"], "j did not join, and is a member");
    assert_eq!(desk.ask("h", heartbeat(&two, 2)), ["h: NONE"]);
}

#[test]
fn when_none_of_them_joins_the_group_waits_on() {
    let mut desk = stable_statics();
    desk.join("x", old_join(5));
    let heartbeats = |desk: &mut Desk| {
        for member in [id("i", 1), id("j", 2)] {
            desk.ask("h", heartbeat(&member, 1));
        }
    };
    assert_eq!(desk.ask("l", leave(&[(&id("c", 5), None)])), ["x: UNKNOWN_MEMBER_ID ", "l: [NONE]"]);
    for _ in 0..30 {
        desk.wait(5);
        heartbeats(&mut desk);
    }
    assert_eq!(desk.state(), "PreparingRebalance");
    assert_eq!(desk.wait(11), ["append 1: g is 2 of []"], "when they are silent it ends");
}

#[test]
fn an_administrator_removes_them_by_name() {
    let mut desk = stable_statics();
    assert_eq!(desk.ask("l", leave(&[("", Some("j")), ("", None)])), ["l: [NONE, UNKNOWN_MEMBER_ID]"]);
    assert_eq!(desk.state(), "PreparingRebalance");
    assert_eq!(desk.coordinator.groups["g"].members.len(), 1);
}

#[test]
fn one_that_waited_long_for_its_write_is_watched_again() {
    let mut desk = stable_statics();
    desk.join("b", named("", 3, "j"));
    for _ in 0..4 {
        desk.wait(5);
        desk.ask("h", heartbeat(&id("i", 1), 1));
    }
    assert_eq!(desk.commit(), ["b: j-3 joined 1 by range led by i-1 []"]);
    desk.wait(9);
    assert_eq!(desk.state(), "Stable");
    desk.ask("h", heartbeat(&id("i", 1), 1));
    desk.wait(1);
    assert_eq!(desk.state(), "PreparingRebalance", "it was silent");
}
