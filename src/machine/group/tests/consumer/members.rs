//! Members come, share, let go, fall silent and leave.

use super::*;

#[test]
fn a_member_alone_reads_everything() {
    let mut desk = Desk::with_topics(rules());
    assert_eq!(
        desk.beat(joining("a", "t")),
        ["append 0: a reads t, epoch 1, a to [t0 t1 t2 t3], target 1, a 0<1 stable [t0 t1 t2 t3]"]
    );
    assert_eq!(desk.commit(), ["h: a at 1 [t0 t1 t2 t3]"]);
    assert_eq!(desk.described(), "Stable 1/1: a at 1 [t0 t1 t2 t3]");
    assert_eq!(desk.told(beat("a", 1)), "a at 1", "nothing new");
    assert_eq!(desk.consumer().assignor, "uniform");
    let listed = desk.coordinator.list(&Filter { types: vec!["Consumer".into()], ..Filter::default() });
    let listed = listed.expect("it coordinates");
    assert_eq!((listed.len(), listed[0].group_type, listed[0].state), (1, "consumer", "Stable"));
    assert_eq!(desk.coordinator.describe("g").expect("it coordinates").state, "Dead", "no classic group");
    assert_eq!(desk.coordinator.describe_consumer("h").expect_err("no such group").error, ErrorCode::GroupIdNotFound);
}

#[test]
fn a_second_one_gets_what_the_first_lets_go() {
    let mut desk = Desk::with_topics(rules());
    desk.told(joining("a", "t"));
    assert_eq!(desk.told(joining("b", "t")), "b at 2 []", "a still has everything");
    assert_eq!(desk.described(), "Reconciling 2/2: a at 1 [t0 t1 t2 t3], b at 2 []");
    assert_eq!(desk.told(beat("a", 1)), "a at 1 [t0 t1]");
    assert_eq!(desk.told(beat("b", 2)), "b at 2", "a has not let go yet");
    assert_eq!(desk.told(owning("a", 1, "t0 t1 t2 t3")), "a at 1");
    assert_eq!(desk.told(owning("a", 1, "t0 t1")), "a at 2");
    assert_eq!(desk.told(beat("b", 2)), "b at 2 [t2 t3]");
    assert_eq!(desk.described(), "Stable 2/2: a at 2 [t0 t1], b at 2 [t2 t3]");
    assert_eq!(desk.told(beat("b", -1)), "b at -1");
    assert_eq!(desk.described(), "Assigning 2/3: a at 2 [t0 t1]");
    assert_eq!(desk.told(beat("a", 2)), "a at 3 [t0 t1 t2 t3]");
    assert_eq!(desk.told(beat("a", -1)), "a at -1");
    assert_eq!(desk.described(), "Empty 3/4: ");
}

#[test]
fn what_comes_during_a_write_waits_for_it() {
    let mut desk = Desk::with_topics(rules());
    assert_eq!(desk.beat(joining("a", "t")).len(), 1);
    assert_eq!(desk.ask("b", Request::ConsumerHeartbeat(joining("b", "t"))), [""; 0]);
    assert_eq!(desk.ask("d", Request::Delete { group: "g".into() }), [""; 0]);
    let said = desk.commit();
    assert_eq!(said[0], "h: a at 1 [t0 t1 t2 t3]");
    assert_eq!(said[1], "append 1: b reads t, epoch 2, a to [t0 t1], b to [t2 t3], target 2, b 0<2 unreleased []");
    assert_eq!(desk.commit(), ["b: b at 2 []", "d: NON_EMPTY_GROUP"]);
}

#[test]
fn a_write_that_fails_changes_nothing() {
    let mut desk = Desk::with_topics(rules());
    desk.beat(joining("a", "t"));
    assert_eq!(desk.ask("b", Request::ConsumerHeartbeat(beat("a", 1))), [""; 0]);
    assert_eq!(desk.fail(ErrorCode::NotEnoughReplicas), ["h: COORDINATOR_NOT_AVAILABLE", "b: GROUP_ID_NOT_FOUND"]);
    assert_eq!(desk.coordinator.groups.len(), 0);
    desk.beat(joining("a", "t"));
    assert_eq!(desk.fail(ErrorCode::RequestTimedOut), ["h: COORDINATOR_NOT_AVAILABLE"]);
    assert_eq!(desk.described(), "Stable 1/1: a at 1 [t0 t1 t2 t3]", "it lies in the log");
}

#[test]
fn nobody_is_told_what_may_be_lost_with_the_leader() {
    let mut desk = Desk::with_topics(rules());
    desk.beat(joining("a", "t"));
    assert_eq!(desk.fail(ErrorCode::RequestTimedOut), ["h: COORDINATOR_NOT_AVAILABLE"]);
    let writes_it_again = |said: Vec<String>| assert!(said.len() == 1 && said[0].ends_with(": epoch 1"), "{said:?}");
    writes_it_again(desk.beat(joining("a", "t")));
    assert_eq!(desk.fail(ErrorCode::RequestTimedOut), ["h: COORDINATOR_NOT_AVAILABLE"]);
    writes_it_again(desk.beat(joining("a", "t")));
    assert_eq!(desk.commit(), ["h: a at 1 [t0 t1 t2 t3]"]);
    assert_eq!(desk.beat(beat("a", 1)), ["h: a at 1"], "it is committed");
}

#[test]
fn epochs_fence() {
    let mut desk = Desk::with_topics(rules());
    desk.told(joining("a", "t"));
    desk.told(joining("b", "t"));
    desk.told(owning("a", 1, "t0 t1 t2 t3"));
    desk.told(owning("a", 1, "t0 t1"));
    assert_eq!(desk.told(owning("a", 1, "t0 t1")), "a at 2", "the answer was lost");
    assert_eq!(desk.told(owning("a", 1, "t0 t2")), "FENCED_MEMBER_EPOCH");
    assert_eq!(desk.told(beat("a", 1)), "FENCED_MEMBER_EPOCH");
    assert_eq!(desk.told(beat("a", 3)), "FENCED_MEMBER_EPOCH");
    assert_eq!(desk.told(beat("z", 2)), "UNKNOWN_MEMBER_ID");
    assert_eq!(desk.told(beat("z", -1)), "UNKNOWN_MEMBER_ID");
    assert_eq!(desk.told(joining("a", "t")), "a at 2 [t0 t1]", "it abandoned everything and joins anew");
    let elsewhere = |epoch| ConsumerHeartbeat { group: "h".into(), ..beat("a", epoch) };
    assert_eq!(desk.told(elsewhere(1)), "GROUP_ID_NOT_FOUND");
    assert_eq!(desk.told(elsewhere(-1)), "GROUP_ID_NOT_FOUND");
}

#[test]
fn a_silent_member_goes() {
    let mut desk = Desk::with_topics(rules());
    desk.told(joining("a", "t"));
    assert_eq!(desk.wait(44), [""; 0]);
    desk.told(beat("a", 1));
    assert_eq!(desk.wait(44), [""; 0]);
    assert_eq!(desk.wait(1), ["append 1: a nothing, a no target, a gone, epoch 2"]);
    assert_eq!(desk.fail(ErrorCode::NotEnoughReplicas), [""; 0]);
    assert_eq!(desk.wait(1), ["append 2: a nothing, a no target, a gone, epoch 2"], "tried again");
    assert_eq!(desk.commit(), [""; 0]);
    assert_eq!(desk.described(), "Empty 1/2: ");
    assert_eq!(desk.told(beat("a", 1)), "UNKNOWN_MEMBER_ID");
    assert_eq!(desk.coordinator.timers.len(), 0);
}

#[test]
fn a_member_that_does_not_let_go_is_put_out() {
    let mut desk = Desk::with_topics(rules());
    desk.told(joining("a", "t"));
    desk.told(joining("b", "t"));
    desk.told(beat("a", 1));
    for _ in 0..2 {
        assert_eq!(desk.wait(29), [""; 0]);
        desk.told(owning("a", 1, "t0 t1 t2 t3"));
        desk.told(beat("b", 2));
    }
    assert_eq!(desk.wait(2), ["append 3: a nothing, a no target, a gone, epoch 3"]);
    desk.commit();
    assert_eq!(desk.told(beat("b", 2)), "b at 3 [t0 t1 t2 t3]");
}

#[test]
fn a_static_member_comes_back_to_what_it_had() {
    let mut desk = Desk::with_topics(rules());
    let named = |heartbeat| ConsumerHeartbeat { instance_id: Some("i".into()), ..heartbeat };
    desk.told(named(joining("a", "t")));
    desk.told(joining("b", "u"));
    assert_eq!(desk.told(beat("a", 1)), "a at 2");
    assert_eq!(desk.told(named(joining("c", "t"))), "UNRELEASED_INSTANCE_ID");
    assert_eq!(desk.told(named(beat("c", 2))), "FENCED_INSTANCE_ID");
    assert_eq!(desk.told(ConsumerHeartbeat { instance_id: Some("j".into()), ..beat("a", 2) }), "UNKNOWN_MEMBER_ID");
    assert_eq!(desk.beat(named(beat("a", -2))), ["append 3: a 1<-2 stable [t0 t1 t2 t3]"]);
    assert_eq!(desk.commit(), ["h: a at -2"]);
    assert_eq!(desk.told(beat("b", 2)), "b at 2", "nothing changes for the others");
    assert_eq!(
        desk.beat(named(joining("c", "t"))),
        ["append 4: a nothing, a no target, a gone, c reads t, c to [t0 t1 t2 t3], c 0<0 stable [t0 t1 t2 t3], \
          c 0<2 stable [t0 t1 t2 t3]"]
    );
    assert_eq!(desk.commit(), ["h: c at 2 [t0 t1 t2 t3]"]);
    assert_eq!(desk.told(named(beat("c", -2))), "c at -2");
    assert_eq!(desk.wait(44), [""; 0]);
    desk.told(beat("b", 2));
    assert_eq!(desk.wait(2), ["append 6: c nothing, c no target, c gone, epoch 3"], "it did not come back in time");
}

#[test]
fn subscriptions_and_topics_change() {
    let mut desk = Desk::with_topics(rules());
    desk.told(joining("a", "tx"));
    assert_eq!(desk.told(beat("a", 1)), "a at 1");
    let more = ConsumerHeartbeat { topic_names: Some(letters("tu")), ..beat("a", 1) };
    assert_eq!(desk.told(more), "a at 2 [t0 t1 t2 t3 u0 u1]");
    desk.tell(topics(2, &[("t", 4), ("u", 2), ("y", 1)]));
    assert_eq!(desk.told(beat("a", 2)), "a at 2", "nobody reads y");
    desk.tell(topics(3, &[("t", 5), ("u", 2)]));
    assert_eq!(desk.told(beat("a", 2)), "a at 3 [t0 t1 t2 t3 t4 u0 u1]");
    desk.tell(topics(4, &[("t", 5)]));
    assert_eq!(desk.told(beat("a", 3)), "a at 3 [t0 t1 t2 t3 t4]", "u is gone, and has to be let go");
    assert_eq!(desk.told(owning("a", 3, "t0 t1 t2 t3 t4")), "a at 4");
    desk.reload(1);
    assert_eq!(desk.told(beat("a", 4)), "a at 4", "a new coordinator sees no change");
}

#[test]
fn regular_expressions_follow_the_topics() {
    let mut desk = Desk::with_topics(rules());
    let by =
        |regex: &str, heartbeat| ConsumerHeartbeat { topic_names: None, topic_regex: Some(regex.into()), ..heartbeat };
    assert_eq!(desk.told(by("(", joining("a", ""))), "INVALID_REGULAR_EXPRESSION");
    assert_eq!(
        desk.beat(by("[tv]", joining("a", ""))),
        ["append 0: a reads  /[tv]/, /[tv]/ is t, epoch 1, a to [t0 t1 t2 t3], target 1, a 0<1 stable [t0 t1 t2 t3]"]
    );
    desk.commit();
    desk.tell(topics(2, &[("t", 4), ("u", 2), ("v", 1)]));
    assert_eq!(
        desk.beat(beat("a", 1)),
        ["append 1: /[tv]/ is tv, epoch 2, a to [t0 t1 t2 t3 v0], target 2, a 1<2 stable [t0 t1 t2 t3 v0]"]
    );
    desk.commit();
    assert_eq!(desk.told(by("v", beat("a", 2))), "a at 2 [v0]");
    assert_eq!(desk.told(owning("a", 2, "v0")), "a at 3");
    assert_eq!(desk.told(by("", beat("a", 3))), "a at 3 []", "an empty one is none");
    desk.reload(1);
    assert_eq!(desk.consumer().members[0].topic_regex, None);
}

#[test]
fn a_topic_that_is_made_while_somebody_leaves_is_not_missed() {
    for leaves in [-1, -2] {
        let mut desk = Desk::with_topics(rules());
        let subscribed =
            |heartbeat| ConsumerHeartbeat { topic_names: None, topic_regex: Some("[tv]".into()), ..heartbeat };
        assert_eq!(desk.told(subscribed(joining("a", ""))), "a at 1 [t0 t1 t2 t3]");
        let instance = |heartbeat| ConsumerHeartbeat { instance_id: Some("i".into()), ..heartbeat };
        desk.told(instance(joining("b", "t")));
        desk.told(owning("a", 1, "t0 t1 t2 t3"));
        desk.tell(topics(2, &[("t", 4), ("u", 2), ("v", 1)]));
        desk.told(instance(ConsumerHeartbeat { epoch: leaves, ..beat("b", 0) }));
        for epoch in 1..5 {
            desk.told(beat("a", epoch));
        }
        let consumer = desk.consumer();
        let topics = &consumer.members.iter().find(|member| member.member_id == "a").expect("it is there").target;
        assert!(format!("{topics:?}").contains("\"v\""), "{leaves}: {topics:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut desk = Desk::with_topics(rules());
    let mut refused = |heartbeat| desk.told(heartbeat);
    assert_eq!(refused(ConsumerHeartbeat { group: "".into(), ..joining("a", "t") }), "INVALID_GROUP_ID");
    for wrong in [
        joining("", "t"),
        beat("", 1),
        beat("a", -3),
        beat("a", -2),
        ConsumerHeartbeat { owned: None, ..joining("a", "t") },
        ConsumerHeartbeat { topic_names: None, ..joining("a", "t") },
        ConsumerHeartbeat { rebalance_timeout_ms: -1, ..joining("a", "t") },
        ConsumerHeartbeat { instance_id: Some("".into()), ..joining("a", "t") },
        ConsumerHeartbeat { rack_id: Some(" ".into()), ..joining("a", "t") },
    ] {
        assert_eq!(refused(wrong.clone()), "INVALID_REQUEST", "{wrong:?}");
    }
    assert_eq!(
        refused(ConsumerHeartbeat { assignor: Some("sticky".into()), ..joining("a", "t") }),
        "UNSUPPORTED_ASSIGNOR"
    );
    let old = ConsumerHeartbeat { version: 0, ..joining("", "t") };
    assert_eq!(refused(old), "BwcHBwcHBwcHBwcHBwcHBw at 1 [t0 t1 t2 t3]", "before version 1 the id is made here");
    let consumer = ConsumerRules { is_enabled: false, ..rules().consumer };
    desk.tell(Event::Configured(Rules { consumer, ..rules() }));
    assert_eq!(desk.told(joining("b", "t")), "UNSUPPORTED_VERSION");
}

#[test]
fn a_group_has_room_for_so_many() {
    let consumer = ConsumerRules { group_size_max: 1, ..rules().consumer };
    let mut desk = Desk::with_topics(Rules { consumer, ..rules() });
    desk.told(joining("a", "t"));
    assert_eq!(desk.told(joining("b", "t")), "GROUP_MAX_SIZE_REACHED");
    assert_eq!(desk.told(joining("a", "t")), "a at 1 [t0 t1 t2 t3]");
}

#[test]
fn members_vote_for_the_assignor() {
    let mut desk = Desk::with_topics(rules());
    let wanting = |name: &str, heartbeat| ConsumerHeartbeat { assignor: Some(name.into()), ..heartbeat };
    desk.told(wanting("range", joining("a", "tu")));
    desk.told(wanting("range", joining("b", "tu")));
    assert_eq!(desk.consumer().assignor, "range");
    assert_eq!(desk.told(beat("a", 1)), "a at 1 [t0 t1 u0]");
}

#[test]
fn everybody_who_waits_is_told_to_look_elsewhere() {
    let mut desk = Desk::with_topics(rules());
    desk.beat(joining("a", "t"));
    desk.ask("b", Request::ConsumerHeartbeat(joining("b", "t")));
    assert_eq!(desk.tell(Event::Unload(None)), ["b: NOT_COORDINATOR", "h: NOT_COORDINATOR"]);
}

#[test]
fn a_group_is_what_its_records_say() {
    let mut desk = Desk::with_topics(rules());
    desk.told(joining("a", "t"));
    desk.told(joining("b", "tu"));
    desk.told(beat("a", 1));
    let before = desk.described();
    desk.reload(1);
    desk.tell(topics(1, &[("t", 4), ("u", 2)]));
    assert_eq!(desk.described(), before);
    assert_eq!(desk.told(owning("a", 1, "t0 t1 t2")), "a at 2");
    assert_eq!(desk.wait(46), ["append 5: a nothing, a no target, a gone, epoch 3"], "sessions began with the load");
}
