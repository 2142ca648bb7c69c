//! Offsets of groups of the consumer protocol, and their end.

use super::*;

#[test]
fn commits_carry_the_members_epoch() {
    let mut desk = Desk::with_topics(rules());
    desk.told(joining("a", "t"));
    let mut tried = |member: &str, epoch, version| {
        let commit = Commit { version, ..commit(member, epoch, vec![new_offset("t", 0, 5)]) };
        let said = desk.ask("c", Request::Commit(commit));
        if said[0].starts_with("append") { desk.commit() } else { said }
    };
    assert_eq!(tried("a", 1, 9), ["c: [NONE]"]);
    assert_eq!(tried("a", 0, 9), ["c: [STALE_MEMBER_EPOCH]"]);
    assert_eq!(tried("a", 1, 8), ["c: [UNSUPPORTED_VERSION]"]);
    assert_eq!(tried("z", 1, 9), ["c: [UNKNOWN_MEMBER_ID]"]);
    assert_eq!(tried("", -1, 9), ["c: [UNKNOWN_MEMBER_ID]"]);
    let fetched = |member: Option<(&str, i32)>| {
        let member = member.map(|(id, epoch)| (Str::from(id), epoch));
        let member = member.as_ref().map(|(id, epoch)| (id, *epoch));
        let fetched = desk.coordinator.fetch_offsets("g", Some(&[("t".into(), 0)]), false, member);
        fetched.map(|all| all[0].offset.0)
    };
    assert_eq!(fetched(None), Ok(5));
    assert_eq!(fetched(Some(("a", 1))), Ok(5));
    assert_eq!(fetched(Some(("a", 2))), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(fetched(Some(("z", 1))), Err(ErrorCode::UnknownMemberId));
    let transaction = Some((ProducerId(1), ProducerEpoch(0)));
    let stale = Commit { transaction, version: 4, ..commit("a", 9, vec![new_offset("t", 0, 6)]) };
    assert_eq!(desk.ask("c", Request::Commit(stale)), ["c: [ILLEGAL_GENERATION]"]);
    desk.told(beat("a", -1));
    desk.ask("c", Request::Commit(commit("", -1, vec![new_offset("t", 0, 7)])));
    assert_eq!(desk.commit(), ["c: [NONE]"], "an administrator may, when nobody is there");
}

#[test]
fn offsets_go_when_nobody_reads_the_topic() {
    let mut desk = Desk::with_topics(rules());
    desk.told(joining("a", "t"));
    let offsets = vec![new_offset("t", 0, 5), new_offset("u", 0, 5)];
    desk.ask("c", Request::Commit(Commit { version: 9, ..commit("a", 1, offsets) }));
    desk.commit();
    let partitions = vec![("t".into(), 0), ("u".into(), 0)];
    let delete = Request::DeleteOffsets { group: "g".into(), partitions };
    assert_eq!(desk.ask("d", delete), ["append 2: g/u-0 gone"]);
    assert_eq!(desk.commit(), ["d: [GROUP_SUBSCRIBED_TO_TOPIC, NONE]"]);
    for _ in 0..200 {
        desk.wait(30);
        desk.told(beat("a", 1));
    }
    assert_eq!(desk.offset("t", 0), 5, "it is read");
    desk.told(beat("a", -1));
    assert_eq!(desk.wait(600), ["append 4: g/t-0 gone, target gone, group gone"]);
    desk.commit();
    assert_eq!(desk.coordinator.groups.len(), 0);
    desk.reload(1);
    assert_eq!(desk.coordinator.groups.len(), 0);
}

#[test]
fn an_empty_group_can_be_deleted() {
    let mut desk = Desk::with_topics(rules());
    desk.told(joining("a", "t"));
    assert_eq!(desk.ask("d", Request::Delete { group: "g".into() }), ["d: NON_EMPTY_GROUP"]);
    desk.told(beat("a", -1));
    assert_eq!(desk.ask("d", Request::Delete { group: "g".into() }), ["append 2: target gone, group gone"]);
    assert_eq!(desk.told(joining("a", "t")), "COORDINATOR_NOT_AVAILABLE; d: NONE", "it is about to be gone");
    assert_eq!(desk.coordinator.groups.len(), 0);
    assert_eq!(desk.told(joining("a", "t")), "a at 1 [t0 t1 t2 t3]");
}
