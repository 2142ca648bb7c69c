//! Groups with members of both protocols, and the ways from one to the other.

use super::*;
use crate::wire::group_record::{assigned_partitions, assignment_bytes};

/// A member's subscription to `t`, of version 1, with what it owns.
fn subscription_of(owned: &[i32]) -> Bytes {
    let mut bytes = vec![0, 1];
    bytes.extend(1_u32.to_be_bytes());
    bytes.extend([0, 1, b't']);
    bytes.extend([0xff; 4]);
    bytes.extend(u32::from(!owned.is_empty()).to_be_bytes());
    if !owned.is_empty() {
        bytes.extend([0, 1, b't']);
        bytes.extend(u32::try_from(owned.len()).expect("few").to_be_bytes());
        owned.iter().for_each(|index| bytes.extend(index.to_be_bytes()));
    }
    bytes.into()
}

fn classic(member_id: &str, seed: u8, owned: &[i32]) -> Join {
    let protocol = Protocol { name: "range".into(), metadata: subscription_of(owned) };
    Join { protocols: vec![protocol], ..join(member_id, seed) }
}

/// What a member is told to read, of `t`.
fn assigned(effects: &[Effect<Ticket>]) -> Vec<i32> {
    match effects {
        [Effect::Reply(_, Reply::Sync(sync))] if sync.error == ErrorCode::None => {
            let topics = assigned_partitions(&sync.assignment).expect("an assignment");
            topics.into_iter().flat_map(|(_, indexes)| indexes).collect()
        }
        other => panic!("{other:?}"),
    }
}

impl Desk {
    /// A stable group with one member of the classic protocol, which reads all of `t`: its id.
    fn with_classic_member() -> (Self, Str) {
        let mut desk = Self::with_topics(Rules { initial_rebalance_delay: Duration::ZERO, ..rules() });
        desk.join("j", Join { version: 3, ..classic("", 1, &[]) });
        desk.wait(1);
        let one = id("c", 1);
        let all = assignment_bytes(1, &[("t".into(), vec![0, 1, 2, 3])]).expect("short");
        let Request::Sync(sync) = sync(&one, 1, &[]) else { panic!("a SyncGroup") };
        desk.ask("s", Request::Sync(Sync { assignments: vec![(one.clone(), all)], ..sync }));
        desk.commit();
        assert_eq!(desk.state(), "Stable");
        (desk, one)
    }

    fn synced(&mut self, member_id: &str, generation: i32) -> Vec<i32> {
        let effects = self.step(Event::Request("s".to_owned(), sync(member_id, generation, &[])));
        assigned(&effects)
    }
}

#[test]
fn a_classic_group_takes_in_a_consumer() {
    let (mut desk, one) = Desk::with_classic_member();
    let said = desk.beat(joining("a", "t"));
    let first = short(&one);
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("append 1: g gone, "), "{said:?}");
    assert_eq!(desk.ask("w", heartbeat(&one, 1)), [""; 0], "it waits");
    assert_eq!(desk.commit(), ["h: a at 2 []", "w: REBALANCE_IN_PROGRESS"], "{first} is to let go");
    assert_eq!(desk.described(), format!("Reconciling 2/2: a at 2 [], {one} at 1 [t0 t1 t2 t3]"));
    // A member of the eager kind lets go of everything before it joins again.
    let said = desk.join("j", classic(&one, 0, &[]));
    assert_eq!(said.len(), 1);
    let said = desk.commit();
    assert_eq!(said, [format!("j: {} joined 2 by range led by  []", short(&one))]);
    let kept = desk.synced(&one, 2);
    assert_eq!(kept.len(), 2);
    assert_eq!(desk.ask("w", heartbeat(&one, 2)), ["w: NONE"]);
    assert!(desk.told(beat("a", 2)).starts_with("a at 2 [t"), "it gets what the other one let go");
    assert_eq!(desk.consumer().state, "Stable");
    assert_eq!(desk.consumer().members.iter().filter(|member| member.is_classic).count(), 1);
    let commit = |generation| Request::Commit(commit(&one, generation, vec![new_offset("t", 0, 5)]));
    assert_eq!(desk.ask("c", commit(1)), ["c: [ILLEGAL_GENERATION]"]);
    desk.ask("c", commit(2));
    assert_eq!(desk.commit(), ["c: [NONE]"]);
}

#[test]
fn the_last_consumer_leaves_a_classic_group_behind() {
    let (mut desk, one) = Desk::with_classic_member();
    desk.told(joining("a", "t"));
    desk.join("j", classic(&one, 0, &[]));
    desk.commit();
    desk.synced(&one, 2);
    let said = desk.beat(beat("a", -1));
    assert!(said[0].contains("group gone, g is 2 of ["), "{said:?}");
    assert_eq!(desk.commit(), ["h: a at -1"]);
    assert_eq!(desk.state(), "PreparingRebalance");
    assert_eq!(desk.ask("w", heartbeat(&one, 2)), ["w: REBALANCE_IN_PROGRESS"]);
    let said = desk.join("j", classic(&one, 0, &[]));
    assert_eq!(said, [format!("j: {0} joined 3 by range led by {0} [{0}]", short(&one))]);
    desk.reload(1);
    assert_eq!(desk.state(), "Stable", "the log says so too");
}

#[test]
fn a_classic_member_joins_a_group_of_consumers() {
    let mut desk = Desk::with_topics(rules());
    desk.told(joining("a", "t"));
    let said = desk.join("j", classic("", 1, &[]));
    let new = TopicId([1; 16]).to_string();
    assert_eq!(said, [format!("j: MEMBER_ID_REQUIRED {new}")]);
    desk.join("j", classic(&new, 0, &[]));
    assert_eq!(desk.commit(), [format!("j: {new} joined 2 by range led by  []")]);
    assert_eq!(desk.synced(&new, 2), [0; 0], "a has everything");
    assert_eq!(desk.told(beat("a", 1)), "a at 1 [t0 t1]");
    assert_eq!(desk.ask("w", heartbeat(&new, 2)), ["w: NONE"], "nothing to get yet");
    assert_eq!(desk.told(owning("a", 1, "t0 t1")), "a at 2");
    assert_eq!(desk.ask("w", heartbeat(&new, 2)), ["w: REBALANCE_IN_PROGRESS"]);
    desk.join("j", classic(&new, 0, &[]));
    desk.commit();
    assert_eq!(desk.synced(&new, 2), [2, 3]);
    assert_eq!(desk.ask("l", leave(&[(&new, None), ("nobody", None)])).len(), 1);
    assert_eq!(desk.commit(), ["l: [NONE, UNKNOWN_MEMBER_ID]"]);
    assert_eq!(desk.told(beat("a", 2)), "a at 3 [t0 t1 t2 t3]");
}

#[test]
fn a_classic_member_that_does_not_rejoin_goes() {
    let (mut desk, one) = Desk::with_classic_member();
    desk.told(joining("a", "t"));
    for _ in 0..7 {
        assert_eq!(desk.ask("w", heartbeat(&one, 1)), ["w: REBALANCE_IN_PROGRESS"]);
        desk.told(beat("a", 2));
        assert_eq!(desk.wait(8), [""; 0]);
    }
    desk.ask("w", heartbeat(&one, 1));
    let said = desk.wait(5);
    assert!(said[0].contains("epoch 3"), "{said:?}");
    desk.commit();
    assert_eq!(desk.told(beat("a", 2)), "a at 3 [t0 t1 t2 t3]");
}

#[test]
fn the_policy_decides() {
    let (mut desk, _) = Desk::with_classic_member();
    let consumer = ConsumerRules { is_upgrade_allowed: false, ..rules().consumer };
    desk.tell(Event::Configured(Rules { consumer, ..rules() }));
    assert_eq!(desk.told(joining("a", "t")), "GROUP_ID_NOT_FOUND");
    assert_eq!(desk.state(), "Stable");
    let consumer = ConsumerRules { is_downgrade_allowed: false, ..rules().consumer };
    desk.tell(Event::Configured(Rules { consumer, ..rules() }));
    desk.told(joining("a", "t"));
    desk.told(beat("a", -1));
    assert_eq!(desk.consumer().members.len(), 1, "it stays what it is");
}

#[test]
fn an_upgrade_that_fails_leaves_the_classic_group() {
    let (mut desk, one) = Desk::with_classic_member();
    desk.beat(joining("a", "t"));
    assert_eq!(desk.ask("w", heartbeat(&one, 1)), [""; 0]);
    let said = desk.fail(ErrorCode::NotEnoughReplicas);
    assert_eq!(said, ["h: COORDINATOR_NOT_AVAILABLE", "w: REBALANCE_IN_PROGRESS"]);
    assert_eq!(desk.join("j", classic(&one, 0, &[])).len(), 1, "it joins again");
    assert_eq!(desk.state(), "CompletingRebalance");
}

#[test]
fn empty_groups_change_without_ado() {
    let mut desk = Desk::with_topics(Rules { initial_rebalance_delay: Duration::ZERO, ..rules() });
    desk.told(joining("a", "t"));
    desk.told(beat("a", -1));
    assert_eq!(desk.join("j", Join { version: 3, ..classic("", 1, &[]) }), ["append 2: target gone, group gone"]);
    let said = desk.commit();
    assert_eq!(said, ["j: c-1 joined 1 by range led by c-1 [c-1]"]);
    desk.ask("l", leave(&[(&id("c", 1), None)]));
    desk.commit();
    assert_eq!(desk.state(), "Empty");
    let said = desk.beat(joining("a", "t"));
    assert!(said[0].starts_with("append 4: g gone, a reads t, epoch 1"), "{said:?}");
    assert_eq!(desk.commit(), ["h: a at 1 [t0 t1 t2 t3]"]);
}

#[test]
fn a_static_member_changes_its_protocol() {
    let mut desk = Desk::with_topics(Rules { initial_rebalance_delay: Duration::ZERO, ..rules() });
    let named = |heartbeat| ConsumerHeartbeat { instance_id: Some("i".into()), ..heartbeat };
    desk.told(named(joining("a", "t")));
    desk.told(joining("b", "t"));
    let back = Join { instance_id: Some("i".into()), version: 3, ..classic("", 1, &[]) };
    desk.join("j", back);
    let new = TopicId([1; 16]).to_string();
    assert_eq!(desk.commit(), [format!("j: {new} joined 2 by range led by  []")]);
    assert_eq!(desk.synced(&new, 2), [0, 1], "it has its share at once");
    assert_eq!(desk.told(named(joining("d", "t"))), "d at 2 [t0 t1]", "and back");
    assert_eq!(desk.ask("w", heartbeat(&new, 2)), ["w: UNKNOWN_MEMBER_ID"]);
}
