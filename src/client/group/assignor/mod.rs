//! Who reads what: Kafka's range assignor.
//!
//! Of each topic the members that subscribe to it, in their order, get a run of partitions each; the first ones get one more
//! when it does not come out even. So partitions of the same number in topics of the same size come to the same member.
//!
//! Source: Kafka 3.9 `RangeAssignor.java` (without racks), `AbstractPartitionAssignor.MemberInfo`.

use std::collections::BTreeMap;

use crate::wire::Str;

/// The name under which members agree on it.
pub const RANGE: &str = "range";

/// A member, as the one that assigns knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscriber {
    /// Its id.
    pub member_id: Str,
    /// The name of a static member: these come first, by name.
    pub instance_id: Option<Str>,
    /// The topics that it wants.
    pub topics: Vec<Str>,
}

/// What members are to read: partitions' numbers by topic.
pub type Assigned = BTreeMap<Str, Vec<i32>>;

/// What each member is to read, by member id, given how many partitions each topic has. A topic that is not there has none.
#[must_use]
pub fn range(mut members: Vec<Subscriber>, counts: &BTreeMap<Str, i32>) -> BTreeMap<Str, Assigned> {
    members.sort_by(|a, b| rank(a).cmp(&rank(b)));
    let mut assigned = members.iter().map(|it| (it.member_id.clone(), Assigned::new())).collect::<BTreeMap<_, _>>();
    for (topic, count) in counts {
        let readers = members.iter().filter(|member| member.topics.contains(topic)).collect::<Vec<_>>();
        let Ok(among) = i32::try_from(readers.len()) else { continue };
        let (Some(each), Some(more)) = (count.checked_div(among), count.checked_rem(among)) else { continue };
        let mut from = 0;
        for (index, reader) in (0..).zip(readers) {
            let to = from + each + i32::from(index < more);
            if from < to
                && let Some(all) = assigned.get_mut(&reader.member_id)
            {
                all.insert(topic.clone(), (from..to).collect());
            }
            from = to;
        }
    }
    assigned
}

fn rank(member: &Subscriber) -> (bool, Option<&Str>, &Str) {
    (member.instance_id.is_none(), member.instance_id.as_ref(), &member.member_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, instance: Option<&str>, topics: &[&str]) -> Subscriber {
        Subscriber {
            member_id: id.into(),
            instance_id: instance.map(Str::from),
            topics: topics.iter().map(|topic| Str::from(*topic)).collect(),
        }
    }

    fn assigned(members: Vec<Subscriber>, counts: &[(&str, i32)]) -> Vec<String> {
        let counts = counts.iter().map(|(topic, count)| (Str::from(*topic), *count)).collect();
        let words = |(id, all): (Str, Assigned)| {
            let topics = all.iter().map(|(topic, partitions)| format!(" {topic}{partitions:?}"));
            format!("{id}:{}", topics.collect::<String>())
        };
        range(members, &counts).into_iter().map(words).collect()
    }

    #[test]
    fn each_gets_a_run_and_the_first_ones_what_is_left_over() {
        let three = ["b", "c", "a"].map(|id| member(id, None, &["t", "u"])).to_vec();
        let got = assigned(three, &[("t", 7), ("u", 2)]);
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
        let got = assigned(members, &[("t", 3), ("u", 3), ("v", 1)]);
        assert_eq!(got, ["a: t[2]", "n:", "y: u[2]", "z: t[0, 1] u[0, 1]"]);
        assert!(assigned(vec![], &[("t", 3)]).is_empty());
    }
}
