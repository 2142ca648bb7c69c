//! Who is to read what: the assignors of the broker.
//!
//! `range` is Kafka's to the partition. `uniform` holds to Kafka's order of aims (balance, then moving as little as possible); which
//! of several equal assignments comes out is its own business, as Kafka's depends on the order of a hash map. Like Kafka 4's, neither
//! looks at racks.
//!
//! Source: Kafka 4.1 `assignor/RangeAssignor.java`, `UniformAssignor.java` and its two builders.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{Assignment, collect, partitions};
use crate::model::TopicId;
use crate::wire::Str;

/// An assignor that the broker offers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Assignor {
    /// As even as possible, and as little moved.
    Uniform,
    /// Ranges of each topic's partitions.
    Range,
}

/// A member, as an assignor sees it.
#[derive(Debug, Default)]
pub(super) struct Subscriber {
    /// The name of a static member.
    pub(super) instance_id: Option<Str>,
    /// What it subscribes to, of what is there.
    pub(super) topics: BTreeSet<TopicId>,
    /// What it was to read until now.
    pub(super) before: Assignment,
}

/// Everything that an assignor looks at.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    pub(super) members: BTreeMap<Str, Subscriber>,
    /// How many partitions each topic has.
    pub(super) partitions: BTreeMap<TopicId, i32>,
}

impl Assignor {
    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// What each member is to read.
    pub(super) fn assign(self, group: &Subscribers) -> BTreeMap<Str, Assignment> {
        match self {
            Self::Uniform => uniform(group),
            Self::Range => range(group),
        }
    }
}

/// Members in the order of their names, static ones first: each gets the next range of each topic that it subscribes to.
fn range(group: &Subscribers) -> BTreeMap<Str, Assignment> {
    let mut order = group.members.iter().collect::<Vec<_>>();
    order.sort_by_key(|(id, member)| (member.instance_id.is_none(), member.instance_id.clone(), *id));
    let mut readers = BTreeMap::<TopicId, i32>::new();
    for topic in order.iter().flat_map(|(_, member)| &member.topics) {
        *readers.entry(*topic).or_default() += 1;
    }
    let mut next = BTreeMap::<TopicId, (i32, i32)>::new();
    let mut assigned = BTreeMap::new();
    for (id, member) in order {
        let mut assignment = Assignment::new();
        for topic in &member.topics {
            let count = group.partitions.get(topic).copied().unwrap_or(0);
            let members = readers.get(topic).copied().unwrap_or(1);
            let (turn, from) = next.entry(*topic).or_default();
            let share = count / members + i32::from(*turn < count % members);
            if 0 < share {
                assignment.insert(*topic, (*from..*from + share).collect());
            }
            (*turn, *from) = (*turn + 1, *from + share);
        }
        assigned.insert(id.clone(), assignment);
    }
    assigned
}

fn uniform(group: &Subscribers) -> BTreeMap<Str, Assignment> {
    let mut table = Table::of(group);
    let mut subscriptions = group.members.values().map(|member| &member.topics);
    let first = subscriptions.next();
    if subscriptions.all(|topics| Some(topics) == first) {
        table.cut_to_quota();
    }
    table.fill(group);
    table.level(group);
    table.held.into_iter().map(|(id, held)| (id.clone(), collect(held.into_iter()))).collect()
}

/// An assignment that is being made.
struct Table<'g> {
    held: BTreeMap<&'g Str, BTreeSet<(TopicId, i32)>>,
    /// Of nobody, those first that the fewest may read.
    free: Vec<(TopicId, i32)>,
    readers: BTreeMap<TopicId, Vec<&'g Str>>,
}

impl<'g> Table<'g> {
    /// Everybody has what it had, as far as that is still its own to read.
    fn of(group: &'g Subscribers) -> Self {
        let mut readers = BTreeMap::<TopicId, Vec<&Str>>::new();
        let mut held = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for (id, member) in &group.members {
            member.topics.iter().for_each(|topic| readers.entry(*topic).or_default().push(id));
            let is_there = |(topic, index): &(TopicId, i32)| {
                let count = group.partitions.get(topic).copied().unwrap_or(0);
                member.topics.contains(topic) && (0..count).contains(index)
            };
            let keeps = partitions(&member.before).filter(is_there).filter(|partition| taken.insert(*partition));
            held.insert(id, keeps.collect());
        }
        let all = readers.keys().flat_map(|topic| {
            let count = group.partitions.get(topic).copied().unwrap_or(0);
            (0..count).map(|index| (*topic, index))
        });
        let mut free = all.filter(|partition| !taken.contains(partition)).collect::<Vec<_>>();
        free.sort_by_key(|(topic, index)| (readers.get(topic).map_or(0, Vec::len), *topic, *index));
        Self { held, free, readers }
    }

    /// Where all read the same: nobody keeps more than its share, and who has most keeps the larger one.
    fn cut_to_quota(&mut self) {
        let total = self.free.len() + self.held.values().map(BTreeSet::len).sum::<usize>();
        let members = self.held.len().max(1);
        let (share, larger) = (total / members, total % members);
        let mut order = self.held.iter().map(|(id, held)| (Reverse(held.len()), *id)).collect::<Vec<_>>();
        order.sort();
        for (place, (_, id)) in order.into_iter().enumerate() {
            let quota = share + usize::from(place < larger);
            let held = self.held.entry(id).or_default();
            while quota < held.len() {
                self.free.extend(held.pop_last());
            }
        }
        self.free.sort();
    }

    /// Each free partition goes to whoever has least of those who may read it.
    fn fill(&mut self, group: &Subscribers) {
        let mut sizes = self.held.iter().map(|(id, held)| (held.len(), *id)).collect::<BTreeSet<_>>();
        for (topic, index) in std::mem::take(&mut self.free) {
            let reads = |id: &Str| group.members.get(id).is_some_and(|member| member.topics.contains(&topic));
            let Some((size, id)) = sizes.iter().find(|(_, id)| reads(id)).copied() else { continue };
            sizes.remove(&(size, id));
            sizes.insert((size + 1, id));
            self.held.entry(id).or_default().insert((topic, index));
        }
    }

    /// Moves partitions of each topic from who has most to who has least, until no move makes it more even. Every move makes the sum of the
    /// squares smaller, so it ends.
    fn level(&mut self, group: &Subscribers) {
        loop {
            let mut moved = false;
            for topic in group.partitions.keys() {
                while self.level_topic(*topic) {
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn level_topic(&mut self, topic: TopicId) -> bool {
        let size = |id: &&Str| self.held.get(id).map_or(0, BTreeSet::len);
        let of_topic = |id: &&Str| {
            let held = self.held.get(id)?;
            held.range((topic, i32::MIN)..=(topic, i32::MAX)).next_back().copied()
        };
        let Some(readers) = self.readers.get(&topic) else { return false };
        let least = readers.iter().copied().min_by_key(|id| (size(id), *id));
        let most =
            readers.iter().copied().filter(|id| of_topic(id).is_some()).max_by_key(|id| (size(id), Reverse(*id)));
        let (Some(least), Some(most)) = (least, most) else { return false };
        let Some(partition) = of_topic(&most).filter(|_| size(&least) + 1 < size(&most)) else { return false };
        self.held.entry(most).or_default().remove(&partition);
        self.held.entry(least).or_default().insert(partition);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(topic: u8) -> TopicId {
        TopicId([topic; 16])
    }

    /// A member: what it subscribes to, and what it had.
    type Member<'t> = (&'t str, &'t [u8], &'t [(u8, &'t [i32])]);

    /// A group: topics with their partitions, and members.
    fn group(topics: &[(u8, i32)], members: &[Member<'_>]) -> Subscribers {
        Subscribers {
            partitions: topics.iter().map(|(topic, count)| (id(*topic), *count)).collect(),
            members: members
                .iter()
                .map(|(name, topics, before)| {
                    let had = before.iter().flat_map(|(topic, all)| all.iter().map(|index| (id(*topic), *index)));
                    let instance_id = name.strip_prefix('i').map(Str::from);
                    let topics = topics.iter().copied().map(id).collect();
                    (Str::from(*name), Subscriber { instance_id, topics, before: collect(had) })
                })
                .collect(),
        }
    }

    fn text(assigned: &BTreeMap<Str, Assignment>) -> String {
        let of = |assignment: &Assignment| {
            partitions(assignment).map(|(topic, index)| format!("{}-{index}", topic.0[0])).collect::<Vec<_>>().join(" ")
        };
        assigned.iter().map(|(id, assignment)| format!("{id}[{}]", of(assignment))).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ranges_are_contiguous_and_aligned() {
        let all: &[u8] = &[1, 2];
        let even = group(&[(1, 3), (2, 3)], &[("a", all, &[]), ("b", all, &[])]);
        assert_eq!(text(&Assignor::Range.assign(&even)), "a[1-0 1-1 2-0 2-1] b[1-2 2-2]");
        let statics = group(&[(1, 4)], &[("a", &[1], &[]), ("i2", &[1], &[]), ("i1", &[1], &[])]);
        assert_eq!(text(&Assignor::Range.assign(&statics)), "a[1-3] i1[1-0 1-1] i2[1-2]");
        let mixed = group(&[(1, 3), (2, 1)], &[("a", &[1], &[]), ("b", all, &[]), ("c", &[2], &[])]);
        assert_eq!(text(&Assignor::Range.assign(&mixed)), "a[1-0 1-1] b[1-2 2-0] c[]");
    }

    #[test]
    fn uniform_is_even_and_moves_little() {
        let uniform = |group: &Subscribers| text(&Assignor::Uniform.assign(group));
        assert_eq!(uniform(&group(&[(1, 3)], &[("a", &[1], &[]), ("b", &[1], &[])])), "a[1-0 1-2] b[1-1]");
        let joined = group(&[(1, 4)], &[("a", &[1], &[(1, &[0, 1])]), ("b", &[1], &[(1, &[2, 3])]), ("c", &[1], &[])]);
        assert_eq!(uniform(&joined), "a[1-0 1-1] b[1-2] c[1-3]");
        let left = group(&[(1, 4)], &[("a", &[1], &[(1, &[0, 1])]), ("c", &[1], &[(1, &[3])])]);
        assert_eq!(uniform(&left), "a[1-0 1-1] c[1-2 1-3]");
        let new_owner_of_most = group(&[(1, 3)], &[("a", &[1], &[(1, &[0])]), ("b", &[1], &[(1, &[1, 2])])]);
        assert_eq!(uniform(&new_owner_of_most), "a[1-0] b[1-1 1-2]", "nothing moves");
        let gone = group(&[(1, 2)], &[("a", &[1], &[(1, &[0, 1, 2]), (7, &[0])])]);
        assert_eq!(uniform(&gone), "a[1-0 1-1]");
        assert_eq!(uniform(&group(&[], &[("a", &[], &[])])), "a[]");
        assert_eq!(uniform(&Subscribers::default()), "");
    }

    #[test]
    fn uniform_is_even_where_subscriptions_differ() {
        let uniform = |group: &Subscribers| text(&Assignor::Uniform.assign(group));
        let differ = group(&[(1, 2), (2, 4)], &[("a", &[1], &[]), ("b", &[1, 2], &[])]);
        assert_eq!(uniform(&differ), "a[1-0 1-1] b[2-0 2-1 2-2 2-3]");
        let levelled =
            group(&[(1, 4), (2, 4)], &[("a", &[1, 2], &[(1, &[0, 1, 2, 3]), (2, &[0, 1, 2])]), ("b", &[2], &[])]);
        assert_eq!(uniform(&levelled), "a[1-0 1-1 1-2 1-3] b[2-0 2-1 2-2 2-3]");
    }

    proptest::proptest! {
        /// Every partition that somebody may read has one reader, who may read it; and nothing moves when nothing changed.
        #[test]
        fn every_partition_is_read_once(
            counts in proptest::collection::vec(0..6_i32, 1..5),
            wants in proptest::collection::vec(0..32_u8, 1..8),
            same in proptest::bool::ANY,
        ) {
            let topics = (1..).zip(&counts).map(|(topic, count)| (id(topic), *count)).collect::<BTreeMap<_, _>>();
            let mut group = Subscribers { partitions: topics.clone(), ..Subscribers::default() };
            for (number, bits) in wants.iter().enumerate() {
                let bits = if same { wants[0] } else { *bits };
                let topics = topics.keys().filter(|topic| bits >> topic.0[0] & 1 == 1).copied().collect();
                group.members.insert(format!("m{number}").into(), Subscriber { topics, ..Subscriber::default() });
            }
            for assignor in [Assignor::Range, Assignor::Uniform] {
                let assigned = assignor.assign(&group);
                let mut read = BTreeSet::new();
                for (member, assignment) in &assigned {
                    for (topic, index) in partitions(assignment) {
                        assert!(group.members[member].topics.contains(&topic) && index < topics[&topic]);
                        assert!(read.insert((topic, index)), "read twice");
                    }
                }
                let wanted = topics.iter().filter(|(topic, _)| group.members.values().any(|it| it.topics.contains(*topic)));
                assert_eq!(read.len(), wanted.map(|(_, count)| usize::try_from(*count).expect("few")).sum::<usize>());
                for (member, assignment) in &assigned {
                    group.members.get_mut(member).expect("a member").before.clone_from(assignment);
                }
                assert_eq!(assignor.assign(&group), assigned, "it moved for no reason");
                if assignor == Assignor::Uniform && same {
                    let sizes = assigned.values().map(|it| partitions(it).count()).collect::<Vec<_>>();
                    assert!(sizes.iter().max().expect("one") - sizes.iter().min().expect("one") <= 1, "{sizes:?}");
                }
            }
        }
    }
}
