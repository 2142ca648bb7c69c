//! Small groups by hand. That the answers are Kafka's on ten thousand others is shown in `integration/clients/test_answers.py`.

use super::*;

fn member(id: &str, instance: Option<&str>, topics: &[&str]) -> Subscriber {
    Subscriber {
        member_id: id.into(),
        instance_id: instance.map(Str::from),
        topics: topics.iter().map(|topic| Str::from(*topic)).collect(),
        ..Subscriber::default()
    }
}

/// A member that says that it read these partitions of `t` in a generation.
fn owner(id: &str, topics: &[&str], generation: i32, partitions: &[i32]) -> Subscriber {
    let owned = partitions.iter().map(|partition| ("t".into(), *partition)).collect::<Vec<_>>();
    let user_data = Some(sticky_user_data(&owned, generation).expect("short"));
    Subscriber { owned, generation: Some(generation), user_data, ..member(id, None, topics) }
}

fn assigned(assignor: AssignorName, members: Vec<Subscriber>, counts: &[(&str, i32)]) -> Vec<String> {
    let counts = counts.iter().map(|(topic, count)| (Str::from(*topic), *count)).collect();
    let words = |(id, all): (Str, Assigned)| {
        let topics = all.iter().map(|(topic, partitions)| format!(" {topic}{partitions:?}"));
        format!("{id}:{}", topics.collect::<String>())
    };
    assign(assignor, members, &counts).into_iter().map(words).collect()
}

#[test]
fn range_gives_each_a_run_and_the_first_ones_what_is_left_over() {
    let three = ["b", "c", "a"].map(|id| member(id, None, &["t", "u"])).to_vec();
    let got = assigned(AssignorName::Range, three, &[("t", 7), ("u", 2)]);
    assert_eq!(got, ["a: t[0, 1, 2] u[0]", "b: t[3, 4] u[1]", "c: t[5, 6]"]);
}

#[test]
fn only_who_subscribes_gets_anything_and_static_members_come_first() {
    let members = vec![
        member("a", None, &["t"]),
        member("z", Some("i2"), &["t", "u"]),
        member("y", Some("i3"), &["u", "nowhere"]),
        member("n", None, &[]),
    ];
    let counts = [("t", 3), ("u", 3), ("v", 1)];
    let got = assigned(AssignorName::Range, members.clone(), &counts);
    assert_eq!(got, ["a: t[2]", "n:", "y: u[2]", "z: t[0, 1] u[0, 1]"]);
    let got = assigned(AssignorName::RoundRobin, members, &counts);
    assert_eq!(got, ["a: t[1]", "n:", "y: u[0, 2]", "z: t[0, 2] u[1]"]);
    for (assignor, ..) in AssignorName::ALL {
        assert!(assigned(assignor, vec![], &[("t", 3)]).is_empty());
    }
}

#[test]
fn sticky_members_keep_what_they_have() {
    let members = || vec![owner("a", &["t"], 3, &[0, 1, 2, 3]), member("b", None, &["t"])];
    assert_eq!(assigned(AssignorName::Sticky, members(), &[("t", 4)]), ["a: t[0, 1]", "b: t[2, 3]"]);
    assert_eq!(
        assigned(AssignorName::CooperativeSticky, members(), &[("t", 4)]),
        ["a: t[0, 1]", "b:"],
        "a still reads"
    );
    let later = vec![owner("a", &["t"], 4, &[0, 1]), owner("b", &["t"], 4, &[])];
    assert_eq!(assigned(AssignorName::CooperativeSticky, later, &[("t", 4)]), ["a: t[0, 1]", "b: t[2, 3]"]);
    let old = vec![owner("a", &["t"], 3, &[0, 1]), owner("b", &["t"], 2, &[0, 1])];
    assert_eq!(assigned(AssignorName::Sticky, old, &[("t", 2)]), ["a: t[0]", "b: t[1]"], "the newer claim counts");
}

#[test]
fn sticky_members_with_different_topics_come_out_even() {
    let members = || vec![owner("a", &["t", "u"], 3, &[0, 1, 2]), member("b", None, &["t"])];
    assert_eq!(assigned(AssignorName::Sticky, members(), &[("t", 3), ("u", 1)]), ["a: t[2] u[0]", "b: t[0, 1]"]);
    assert_eq!(assigned(AssignorName::CooperativeSticky, members(), &[("t", 3), ("u", 1)]), ["a: t[2] u[0]", "b:"]);
}

#[test]
fn what_a_sticky_member_says_is_understood_and_nonsense_is_no_past() {
    let said = |user_data: &'static [u8]| {
        let past = user_data::sticky_past(&Subscriber {
            user_data: Some(Bytes::from_static(user_data)),
            ..Subscriber::default()
        });
        (past.owned, past.generation)
    };
    let of_old = b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x05";
    assert_eq!(said(of_old), (vec![("t".into(), 5)], None));
    assert_eq!(said(b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x05\0\0\0\x02"), (vec![("t".into(), 5)], Some(2)));
    assert_eq!(said(b"\x7f\xff\xff\xff"), (vec![], Some(-1)));
    assert_eq!(said(b""), (vec![], None));
}
