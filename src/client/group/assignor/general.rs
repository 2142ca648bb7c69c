//! The sticky assignors when members subscribe to different topics: everybody keeps what it may, what is left goes to those
//! who have least, and then pieces are moved one at a time while somebody has two more than another who could take one.
//!
//! Source: Kafka 3.9 `AbstractStickyAssignor.GeneralAssignmentBuilder`.

use std::collections::HashMap;

use super::java;
use super::java::{Set, partition_hash};
use super::sticky::{Group, Index, Part, remove, unassigned};

/// What each member is to read; the members in the order of the group's.
pub(super) fn assign(group: &mut Group<'_>) -> Vec<Vec<Part>> {
    let current = std::mem::take(&mut group.owned);
    let mut general = General::new(group, current);
    general.run();
    general.current
}

struct General<'g, 'a> {
    group: &'g Group<'a>,
    current: Vec<Vec<Part>>,
    /// Of each topic: who subscribes to it.
    readers: Vec<Vec<Index>>,
    /// Of each member: the topics it subscribes to that are there.
    wants: Vec<Vec<usize>>,
    /// Who has what. What was taken from somebody stays here until somebody else has it.
    owners: HashMap<Part, Index>,
    /// All partitions: first those that few may read.
    sorted: Vec<Part>,
    /// Places of the members in the order of their ids.
    rank: Vec<usize>,
    /// Who has something to give or to take, by what it has.
    taking_part: Vec<bool>,
    revocation_required: bool,
    /// Who had what in an older generation.
    previous: HashMap<Part, Index>,
    movements: Movements,
}

/// What was moved so far, so that what went from one to another is rather moved back than something else of that topic.
#[derive(Default)]
struct Movements {
    by_topic: HashMap<usize, HashMap<(Index, Index), Set<Part>>>,
    by_part: HashMap<Part, (Index, Index)>,
}

impl<'g, 'a> General<'g, 'a> {
    fn new(group: &'g Group<'a>, current: Vec<Vec<Part>>) -> Self {
        let members = group.members.len();
        let mut readers = vec![Vec::new(); group.topics.len()];
        let wants = group.members.iter().enumerate().map(|(index, member)| {
            let topics = member.topics.iter().filter_map(|topic| group.topic(topic)).collect::<Vec<_>>();
            for topic in &topics {
                if let Some(all) = readers.get_mut(*topic) {
                    all.push(index);
                }
            }
            topics
        });
        let wants = wants.collect::<Vec<_>>();
        let owners = current.iter().enumerate().flat_map(|(index, parts)| parts.iter().map(move |part| (*part, index)));
        let owners = owners.collect();
        let mut topics = (0..group.topics.len()).collect::<Vec<_>>();
        topics.sort_by_key(|topic| (readers.get(*topic).map_or(0, Vec::len), *topic));
        let count = |topic: usize| group.counts.get(topic).copied().unwrap_or(0);
        let sorted = topics.into_iter().flat_map(|topic| (0..count(topic)).map(move |index| (topic, index))).collect();
        let id = |index: &Index| group.members.get(*index).map(|member| member.member_id.as_str()).unwrap_or_default();
        let mut by_id = (0..members).collect::<Vec<_>>();
        by_id.sort_by(|a, b| java::compare(id(a), id(b)));
        let mut rank = vec![0; members];
        for (place, index) in by_id.into_iter().enumerate() {
            if let Some(rank) = rank.get_mut(index) {
                *rank = place;
            }
        }
        Self {
            group,
            current,
            readers,
            wants,
            owners,
            sorted,
            rank,
            taking_part: vec![true; members],
            revocation_required: false,
            previous: previous(group),
            movements: Movements::default(),
        }
    }

    fn run(&mut self) {
        let mut kept = self.keep();
        kept.sort_by_key(|(topic, partition)| (self.readers_of(*topic).len(), *topic, *partition));
        let mut left = unassigned(self.sorted.iter().copied(), &kept);
        let initializing = self.by_size().last().is_none_or(|most| self.size(*most) == 0);
        for part in &left {
            let taker = self.by_size().into_iter().find(|index| self.wants(*index, part.0));
            if let Some(index) = taker {
                self.give(index, *part);
            }
        }
        let movable = |general: &Self, part: &Part| 2 <= general.readers_of(part.0).len();
        let mut all = std::mem::take(&mut self.sorted);
        all.retain(|part| movable(self, part));
        left.retain(|part| movable(self, part));
        let takes_part = (0..self.current.len()).map(|index| self.can_take_part(index)).collect();
        self.taking_part = takes_part;
        let (before, owners_before) = (self.current.clone(), self.owners.clone());
        if !self.revocation_required {
            self.reassign(&left);
        }
        let moved = self.reassign(&all);
        if !initializing && moved && self.imbalance(&before) <= self.imbalance(&self.current) {
            self.current = before;
            self.owners = owners_before;
        }
    }

    fn readers_of(&self, topic: usize) -> &[Index] {
        self.readers.get(topic).map_or(&[], Vec::as_slice)
    }

    fn wants(&self, index: Index, topic: usize) -> bool {
        self.wants.get(index).is_some_and(|topics| topics.contains(&topic))
    }

    fn size(&self, index: Index) -> usize {
        self.current.get(index).map_or(0, Vec::len)
    }

    fn takes_part(&self, index: Index) -> bool {
        self.taking_part.get(index).copied().unwrap_or(false)
    }

    /// The members that take part, first who has least, by their ids among equals.
    fn by_size(&self) -> Vec<Index> {
        let mut all = (0..self.current.len()).filter(|index| self.takes_part(*index)).collect::<Vec<_>>();
        all.sort_by_key(|index| (self.size(*index), self.rank.get(*index).copied()));
        all
    }

    fn give(&mut self, index: Index, part: Part) {
        if let Some(parts) = self.current.get_mut(index) {
            parts.push(part);
        }
        self.owners.insert(part, index);
    }

    /// Everybody keeps what it still subscribes to. What that is.
    fn keep(&mut self) -> Vec<Part> {
        let mut kept = Vec::new();
        for index in 0..self.current.len() {
            let Some(parts) = self.current.get_mut(index).map(std::mem::take) else { continue };
            let had = parts.len();
            let parts = parts.into_iter().filter(|part| self.wants(index, part.0)).collect::<Vec<_>>();
            self.revocation_required |= parts.len() < had;
            kept.extend(&parts);
            if let Some(place) = self.current.get_mut(index) {
                *place = parts;
            }
        }
        kept
    }

    /// The most that a member could have.
    fn most(&self, index: Index) -> usize {
        let topics = self.wants.get(index).map_or(&[][..], Vec::as_slice);
        if topics.len() == self.group.topics.len() {
            return self.group.partitions();
        }
        let counts = topics.iter().filter_map(|topic| self.group.counts.get(*topic));
        counts.map(|count| usize::try_from(*count).unwrap_or(0)).sum()
    }

    fn can_take_part(&self, index: Index) -> bool {
        let mut parts = self.current.get(index).into_iter().flatten();
        self.size(index) < self.most(index) || parts.any(|(topic, _)| 2 <= self.readers_of(*topic).len())
    }

    fn is_balanced(&self) -> bool {
        let by_size = self.by_size();
        let (Some(least), Some(most)) = (by_size.first(), by_size.last()) else { return true };
        if self.size(*most) <= self.size(*least) + 1 {
            return true;
        }
        let mut holders = HashMap::new();
        for index in (0..self.current.len()).filter(|index| self.takes_part(*index)) {
            holders.extend(self.current.get(index).into_iter().flatten().map(|part| (*part, index)));
        }
        by_size.into_iter().all(|index| {
            let (size, topics) = (self.size(index), self.wants.get(index).map_or(&[][..], Vec::as_slice));
            if size == self.most(index) {
                return true;
            }
            let counts = topics.iter().filter_map(|topic| Some((*topic, *self.group.counts.get(*topic)?)));
            let mut could_have = counts.flat_map(|(topic, count)| (0..count).map(move |part| (topic, part)));
            !could_have.any(|part| {
                let holder = holders.get(&part).filter(|holder| **holder != index);
                holder.is_some_and(|holder| size + 1 < self.size(*holder))
            })
        })
    }

    /// The sum of the differences between any two members that take part.
    fn imbalance(&self, assigned: &[Vec<Part>]) -> usize {
        let taking_part = assigned.iter().zip(&self.taking_part).filter(|(_, takes_part)| **takes_part);
        let sizes = taking_part.map(|(parts, _)| parts.len()).collect::<Vec<_>>();
        let behind = |from: usize| sizes.iter().skip(from + 1);
        sizes.iter().enumerate().flat_map(|(index, a)| behind(index).map(move |b| a.abs_diff(*b))).sum()
    }

    /// Moves these, one after the other and again, until it is balanced or nothing moves. Whether anything was.
    fn reassign(&mut self, parts: &[Part]) -> bool {
        let mut moved = false;
        loop {
            let mut modified = false;
            for part in parts {
                if self.is_balanced() {
                    break;
                }
                let Some(owner) = self.owners.get(part).copied() else { continue };
                let size = self.size(owner);
                let has_less = |index: Index| self.size(index) + 1 < size;
                let back_to = self.previous.get(part).copied().filter(|index| self.takes_part(*index));
                if let Some(index) = back_to.filter(|index| has_less(*index)) {
                    self.move_one(*part, index);
                } else if self.readers_of(part.0).iter().any(|index| has_less(*index)) {
                    let Some(index) = self.by_size().into_iter().find(|index| self.wants(*index, part.0)) else {
                        continue;
                    };
                    self.move_one(*part, index);
                } else {
                    continue;
                }
                moved = true;
                modified = true;
            }
            if !modified {
                return moved;
            }
        }
    }

    /// Moves this, or another of its topic that came the other way.
    fn move_one(&mut self, part: Part, to: Index) {
        let Some(from) = self.owners.get(&part).copied() else { return };
        let part = self.movements.rather(part, from, to);
        let Some(from) = self.owners.get(&part).copied() else { return };
        let hash = self.group.topics.get(part.0).map_or(0, |topic| partition_hash(topic, part.1));
        self.movements.moved(part, hash, from, to);
        if let Some(parts) = self.current.get_mut(from) {
            remove(parts, part);
        }
        self.give(to, part);
    }
}

impl Movements {
    fn rather(&self, part: Part, from: Index, to: Index) -> Part {
        let from = self.by_part.get(&part).map_or(from, |(source, _)| *source);
        let back = self.by_topic.get(&part.0).and_then(|pairs| pairs.get(&(to, from)));
        back.and_then(Set::first).unwrap_or(part)
    }

    fn moved(&mut self, part: Part, hash: u32, from: Index, to: Index) {
        let pairs = self.by_topic.entry(part.0).or_default();
        let mut source = from;
        if let Some(known) = self.by_part.remove(&part) {
            if let Some(parts) = pairs.get_mut(&known) {
                parts.remove(part);
                if parts.is_empty() {
                    pairs.remove(&known);
                }
            }
            source = known.0;
        }
        if source != to {
            self.by_part.insert(part, (source, to));
            pairs.entry((source, to)).or_insert_with(Set::new).insert(hash, part);
        }
    }
}

/// What members of an older generation than the newest say they read; of several the newer one's, then the first's.
fn previous(group: &Group<'_>) -> HashMap<Part, Index> {
    let mut found = HashMap::<Part, (i32, Index)>::new();
    for (index, past) in group.pasts.iter().enumerate() {
        let generation = past.generation.unwrap_or(-1);
        if group.newest <= generation {
            continue;
        }
        for (topic, partition) in &past.owned {
            let Some(topic) = group.topic(topic) else { continue };
            let place = found.entry((topic, *partition)).or_insert((generation, index));
            if place.0 < generation {
                *place = (generation, index);
            }
        }
    }
    found.into_iter().map(|(part, (_, index))| (part, index)).collect()
}
