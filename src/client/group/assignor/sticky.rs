//! Kafka's sticky assignors: as even as can be, and as little moved as that allows. When all members subscribe to the same
//! topics it takes one pass (here); otherwise pieces are moved until nothing gets better ([`super::general`]).
//!
//! The cooperative one then takes back what another member still reads: it comes in the next round (KIP-429).
//!
//! *Invariant*: where members are equals, the order of Java's hash tables decides, as in Kafka.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::general;
use super::user_data::{Past, cooperative_past, sticky_past};
use super::{Assigned, Subscriber, java};
use crate::wire::Str;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Members give everything back before they join.
    Eager,
    /// They keep it.
    Cooperative,
}

/// A topic, by its place among the topics that are there, in the order of their names; and a partition's number.
pub(super) type Part = (usize, i32);

/// A member, by its place among the members as Java's map of them gives them.
pub(super) type Index = usize;

/// The generation of a member that says none.
const NO_GENERATION: i32 = -1;

/// What both ways of assigning begin with.
pub(super) struct Group<'a> {
    /// In the order of Java's map.
    pub(super) members: Vec<&'a Subscriber>,
    pub(super) topics: Vec<&'a Str>,
    /// Partitions of each topic.
    pub(super) counts: Vec<i32>,
    /// What each member read of topics that are still there, less what somebody else has a better claim to.
    pub(super) owned: Vec<Vec<Part>>,
    /// Everything that each member says it read, of topics that are still there or not, with its generation.
    pub(super) pasts: Vec<Past>,
    /// The newest generation that anybody speaks of.
    pub(super) newest: i32,
    /// What two members of one generation say they read.
    claimed_twice: HashSet<Part>,
    /// Whether all subscribe to the same topics.
    alike: bool,
}

pub(super) fn assign(members: &[Subscriber], counts: &BTreeMap<Str, i32>, kind: Kind) -> BTreeMap<Str, Assigned> {
    let mut group = Group::new(members, counts, kind);
    let mut assigned = if group.members.is_empty() {
        Vec::new()
    } else if group.alike {
        let (mut assigned, moving) = Constrained::new(&group).assign(&group);
        if kind == Kind::Cooperative {
            take_back(&mut assigned, &moving);
        }
        assigned
    } else {
        let mut assigned = general::assign(&mut group);
        if kind == Kind::Cooperative {
            let moving = moving(&group, &assigned);
            take_back(&mut assigned, &moving);
        }
        assigned
    };
    let named = group.members.iter().zip(&mut assigned).map(|(member, parts)| {
        let mut topics = Assigned::new();
        for (topic, partition) in parts.drain(..) {
            if let Some(name) = group.topics.get(topic) {
                topics.entry((*name).clone()).or_default().push(partition);
            }
        }
        (member.member_id.clone(), topics)
    });
    named.collect()
}

impl<'a> Group<'a> {
    fn new(all: &'a [Subscriber], counts: &'a BTreeMap<Str, i32>, kind: Kind) -> Self {
        let mut members = all.iter().collect::<Vec<_>>();
        java::sort_as_map(&mut members, |member| java::hash(&member.member_id));
        let wanted = all.iter().flat_map(|member| &member.topics).collect::<BTreeSet<_>>();
        let mut there =
            counts.iter().filter(|(topic, count)| 0 < **count && wanted.contains(topic)).collect::<Vec<_>>();
        there.sort_by(|(a, _), (b, _)| java::compare(a, b));
        let (topics, counts) = there.into_iter().map(|(topic, count)| (topic, *count)).unzip::<_, _, Vec<_>, Vec<_>>();
        let past = match kind {
            Kind::Eager => sticky_past,
            Kind::Cooperative => cooperative_past,
        };
        let pasts = members.iter().map(|member| past(member)).collect::<Vec<_>>();
        let newest = pasts.iter().filter_map(|past| past.generation).fold(NO_GENERATION, i32::max);
        let owned = vec![Vec::new(); members.len()];
        let alike = are_alike(&members);
        let mut group = Self { members, topics, counts, owned, pasts, newest, claimed_twice: HashSet::new(), alike };
        group.settle_claims();
        group
    }

    pub(super) fn topic(&self, name: &Str) -> Option<usize> {
        self.topics.binary_search_by(|topic| java::compare(topic, name)).ok()
    }

    pub(super) fn partitions(&self) -> usize {
        self.counts.iter().map(|count| usize::try_from(*count).unwrap_or(0)).sum()
    }

    /// Who reads what, when several say so: the newer generation counts, and of one generation nobody.
    fn settle_claims(&mut self) {
        let mut owners = HashMap::<Part, Index>::new();
        for index in 0..self.members.len() {
            let Some(past) = self.pasts.get(index) else { continue };
            let generation = past.generation.unwrap_or(NO_GENERATION);
            let parts = past.owned.iter().filter_map(|(topic, partition)| Some((self.topic(topic)?, *partition)));
            for part in parts.collect::<Vec<_>>() {
                let Some(other) = owners.get(&part).copied() else {
                    self.own(index, part);
                    owners.insert(part, index);
                    continue;
                };
                let theirs = self.members.get(other).and_then(|member| member.generation).unwrap_or(NO_GENERATION);
                if generation < theirs {
                    continue;
                }
                if generation == theirs {
                    self.claimed_twice.insert(part);
                } else {
                    self.own(index, part);
                }
                if let Some(parts) = self.owned.get_mut(other) {
                    remove(parts, part);
                }
                owners.insert(part, index);
            }
        }
    }

    fn own(&mut self, index: Index, part: Part) {
        if let Some(parts) = self.owned.get_mut(index) {
            parts.push(part);
        }
    }
}

/// As Kafka's loop: as long as nobody wanted anything, everybody is alike.
fn are_alike(members: &[&Subscriber]) -> bool {
    let mut wanted = HashSet::<&Str>::new();
    members.iter().all(|member| {
        if wanted.is_empty() {
            wanted.extend(&member.topics);
            return true;
        }
        member.topics.len() == wanted.len() && member.topics.iter().all(|topic| wanted.contains(topic))
    })
}

/// Takes out the first that is equal.
pub(super) fn remove(parts: &mut Vec<Part>, part: Part) {
    if let Some(place) = parts.iter().position(|other| *other == part) {
        parts.remove(place);
    }
}

/// Takes from each member what another one still reads.
fn take_back(assigned: &mut [Vec<Part>], moving: &HashMap<Part, Index>) {
    for (part, index) in moving {
        if let Some(parts) = assigned.get_mut(*index) {
            remove(parts, *part);
        }
    }
}

/// What comes to a member and goes from another, by what the members say they read.
fn moving(group: &Group<'_>, assigned: &[Vec<Part>]) -> HashMap<Part, Index> {
    let (mut added, mut revoked) = (HashMap::new(), HashSet::new());
    for (index, (parts, member)) in assigned.iter().zip(&group.members).enumerate() {
        let owned = member.owned.iter().filter_map(|(topic, partition)| Some((group.topic(topic)?, *partition)));
        let owned = owned.collect::<HashSet<_>>();
        let now = parts.iter().copied().collect::<HashSet<_>>();
        added.extend(now.difference(&owned).map(|part| (*part, index)));
        revoked.extend(owned.difference(&now).copied());
    }
    added.retain(|part, _| revoked.contains(part));
    added
}

/// All partitions that are not in `assigned`, in the order of `all`, as Kafka finds them: by walking along both, which are
/// sorted alike. A partition that is assigned and is not there stops the second walk.
pub(super) fn unassigned(all: impl Iterator<Item = Part>, assigned: &[Part]) -> Vec<Part> {
    let mut assigned = assigned.iter().peekable();
    let mut left = Vec::new();
    for part in all {
        if assigned.peek() == Some(&&part) {
            assigned.next();
        } else {
            left.push(part);
        }
    }
    left
}

/// When all members are alike.
struct Constrained {
    least: usize,
    most: usize,
    /// Members that are to get one more than the least, and those that have it.
    over_wanted: usize,
    over: usize,
    assigned: Vec<Vec<Part>>,
    all_assigned: Vec<Part>,
    /// What somebody has to give away, perhaps.
    maybe_revoked: HashMap<Part, Index>,
    under: Vec<Index>,
    exactly: VecDeque<Index>,
}

impl Constrained {
    fn new(group: &Group<'_>) -> Self {
        let (partitions, members) = (group.partitions(), group.members.len().max(1));
        Self {
            least: partitions / members,
            most: partitions.div_ceil(members),
            over_wanted: partitions % members,
            over: 0,
            assigned: vec![Vec::new(); group.members.len()],
            all_assigned: Vec::new(),
            maybe_revoked: HashMap::new(),
            under: Vec::new(),
            exactly: VecDeque::new(),
        }
    }

    fn assign(mut self, group: &Group<'_>) -> (Vec<Vec<Part>>, HashMap<Part, Index>) {
        for index in 0..group.members.len() {
            self.keep(group, index);
        }
        self.all_assigned.sort_unstable();
        let all =
            group.counts.iter().enumerate().flat_map(|(topic, count)| (0..*count).map(move |index| (topic, index)));
        let left = unassigned(all, &self.all_assigned);
        let id = |index: &Index| group.members.get(*index).map(|member| member.member_id.as_str()).unwrap_or_default();
        self.under.sort_by(|a, b| java::compare(id(a), id(b)));
        self.exactly.make_contiguous().sort_by(|a, b| java::compare(id(a), id(b)));
        let moving = self.share(group, &left);
        (self.assigned, moving)
    }

    /// Leaves a member what it had, up to its share.
    fn keep(&mut self, group: &Group<'_>, index: Index) {
        let Some(owned) = group.owned.get(index) else { return };
        let mut owned = owned.iter().copied().filter(|part| !group.claimed_twice.contains(part)).collect::<Vec<_>>();
        owned.sort_by_key(|(topic, partition)| (*partition, *topic));
        let kept = if owned.len() < self.least {
            self.under.push(index);
            owned.len()
        } else if self.most <= owned.len() && self.over < self.over_wanted {
            self.over += 1;
            if self.over == self.over_wanted {
                self.exactly.clear();
            }
            self.most
        } else {
            if self.over < self.over_wanted {
                self.exactly.push_back(index);
            }
            self.least
        };
        let gone = owned.split_off(kept);
        self.maybe_revoked.extend(gone.into_iter().map(|part| (part, index)));
        self.all_assigned.extend(&owned);
        if let Some(parts) = self.assigned.get_mut(index) {
            *parts = owned;
        }
    }

    /// Gives what is left to the members in turn, first to those below the least. What moves, and to whom.
    fn share(&mut self, group: &Group<'_>, left: &[Part]) -> HashMap<Part, Index> {
        let mut moving = HashMap::new();
        let mut turn = 0;
        for part in left {
            if self.under.len() <= turn {
                turn = 0;
            }
            let chosen = self.under.get(turn).copied();
            let Some(index) = chosen.or_else(|| self.exactly.pop_front()) else { break };
            let Some(parts) = self.assigned.get_mut(index) else { break };
            parts.push(*part);
            let from = self.maybe_revoked.get(part);
            if from.is_some_and(|from| *from != index) || group.claimed_twice.contains(part) {
                moving.insert(*part, index);
            }
            let now = parts.len();
            if chosen.is_some() {
                if now == self.least {
                    self.under.remove(turn);
                    self.exactly.push_back(index);
                } else {
                    turn += 1;
                }
            }
        }
        moving
    }
}
