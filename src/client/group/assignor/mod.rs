//! Who reads what: Kafka's assignors. Pure functions whose answers are Kafka's on the same input.
//!
//! *Invariant*: the same members, in the order of the coordinator's list, and the same numbers of partitions give the same
//! answer as Kafka 3.9's class of the same name, where racks are not looked at.
//! *Does not know*: how members come to agree on one of them.
//!
//! Source: Kafka 3.9 `RangeAssignor.java`, `RoundRobinAssignor.java`, `StickyAssignor.java`, `CooperativeStickyAssignor.java`,
//! `AbstractStickyAssignor.java`, `AbstractPartitionAssignor.MemberInfo`; KIP-54, KIP-341, KIP-429, KIP-792.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;

use crate::client::config::AssignorName;
use crate::wire::consumer_protocol::{Subscription, from_bytes};
use crate::wire::{DecodeError, Str};

mod general;
mod java;
mod sticky;
#[cfg(test)]
mod tests;
mod user_data;

pub use user_data::{cooperative_user_data, sticky_user_data};

/// A member, as the one that assigns knows it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subscriber {
    /// Its id.
    pub member_id: Str,
    /// The name of a static member: these come first, by name.
    pub instance_id: Option<Str>,
    /// The topics that it wants.
    pub topics: Vec<Str>,
    /// What it says that it reads.
    pub owned: Vec<(Str, i32)>,
    /// In which generation; `None` before KIP-792.
    pub generation: Option<i32>,
    /// What it says to its assignor.
    pub user_data: Option<Bytes>,
}

impl Subscriber {
    /// A member with what it joined with.
    ///
    /// # Errors
    /// [`DecodeError`] when that is no subscription.
    pub fn new(member_id: Str, instance_id: Option<Str>, metadata: &Bytes) -> Result<Self, DecodeError> {
        let Subscription { topics, user_data, owned_partitions, generation_id, .. } = from_bytes(metadata)?;
        let owned = owned_partitions.into_iter();
        let owned =
            owned.flat_map(|it| it.partitions.into_iter().map(move |index| (it.topic.clone(), index))).collect();
        let generation = Some(generation_id).filter(|generation| 0 <= *generation);
        Ok(Self { member_id, instance_id, topics, owned, generation, user_data })
    }
}

/// What members are to read: partitions' numbers by topic.
pub type Assigned = BTreeMap<Str, Vec<i32>>;

/// What each member is to read, by member id, given how many partitions each topic has. A topic that is not there has none.
#[must_use]
pub fn assign(
    assignor: AssignorName,
    members: Vec<Subscriber>,
    counts: &BTreeMap<Str, i32>,
) -> BTreeMap<Str, Assigned> {
    match assignor {
        AssignorName::Range => range(members, counts),
        AssignorName::RoundRobin => round_robin(members, counts),
        AssignorName::Sticky => sticky::assign(&members, counts, sticky::Kind::Eager),
        AssignorName::CooperativeSticky => sticky::assign(&members, counts, sticky::Kind::Cooperative),
    }
}

/// Of each topic the members that subscribe to it, in their order, get a run of partitions each; the first ones get one more
/// when it does not come out even. So partitions of the same number in topics of the same size come to the same member.
fn range(mut members: Vec<Subscriber>, counts: &BTreeMap<Str, i32>) -> BTreeMap<Str, Assigned> {
    members.sort_by(rank);
    let mut assigned = nothing(&members);
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

/// All partitions of all topics in turn, to the members in turn; who does not subscribe is passed over.
fn round_robin(mut members: Vec<Subscriber>, counts: &BTreeMap<Str, i32>) -> BTreeMap<Str, Assigned> {
    members.sort_by(rank);
    let mut assigned = nothing(&members);
    let mut topics = counts.iter().collect::<Vec<_>>();
    topics.sort_by(|(a, _), (b, _)| java::compare(a, b));
    let mut next = 0;
    for (topic, count) in topics {
        if !members.iter().any(|member| member.topics.contains(topic)) {
            continue;
        }
        for partition in 0..*count {
            let turns = (next..members.len()).chain(0..next);
            let chosen = turns.filter_map(|index| Some((index, members.get(index)?)));
            let Some((index, member)) = chosen.into_iter().find(|(_, member)| member.topics.contains(topic)) else {
                continue;
            };
            next = (index + 1) % members.len();
            if let Some(all) = assigned.get_mut(&member.member_id) {
                all.entry(topic.clone()).or_default().push(partition);
            }
        }
    }
    assigned
}

fn nothing(members: &[Subscriber]) -> BTreeMap<Str, Assigned> {
    members.iter().map(|member| (member.member_id.clone(), Assigned::new())).collect()
}

fn rank(a: &Subscriber, b: &Subscriber) -> Ordering {
    match (&a.instance_id, &b.instance_id) {
        (Some(a), Some(b)) => java::compare(a, b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => java::compare(&a.member_id, &b.member_id),
    }
}
