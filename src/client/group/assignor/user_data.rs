//! What sticky assignors say to each other in a subscription, beside what every consumer says.
//!
//! Source: Kafka 3.9 `StickyAssignor.memberData`, `CooperativeStickyAssignor.memberData`.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Subscriber;
use crate::wire::consumer_protocol::{StickyUserData, TopicPartitions};
use crate::wire::{EncodeError, Str};

/// What a member of the sticky assignor says of what it was told to read, and in which generation.
///
/// # Errors
/// [`EncodeError`] when it cannot be said.
pub fn sticky_user_data(owned: &[(Str, i32)], generation: i32) -> Result<Bytes, EncodeError> {
    let mut topics = BTreeMap::<Str, Vec<i32>>::new();
    for (topic, partition) in owned {
        topics.entry(topic.clone()).or_default().push(*partition);
    }
    let previous = topics.into_iter().map(|(topic, partitions)| TopicPartitions { topic, partitions }).collect();
    StickyUserData { previous, generation }.to_bytes()
}

/// What a member of the cooperative sticky assignor says of its generation.
#[must_use]
pub fn cooperative_user_data(generation: i32) -> Bytes {
    Bytes::copy_from_slice(&generation.to_be_bytes())
}

/// What a member read, and in which generation, as its assignor understands it.
pub(super) struct Past {
    pub(super) owned: Vec<(Str, i32)>,
    pub(super) generation: Option<i32>,
}

/// To the sticky assignor only what is said to it counts.
pub(super) fn sticky_past(member: &Subscriber) -> Past {
    let Some(said) = member.user_data.as_ref().filter(|said| !said.is_empty()) else {
        return Past { owned: Vec::new(), generation: None };
    };
    match StickyUserData::from_bytes(said) {
        Ok((said, with_generation)) => {
            let topics = said.previous.into_iter();
            let owned = topics.flat_map(|it| it.partitions.into_iter().map(move |index| (it.topic.clone(), index)));
            Past { owned: owned.collect(), generation: with_generation.then_some(said.generation) }
        }
        Err(_) => Past { owned: Vec::new(), generation: Some(-1) },
    }
}

/// To the cooperative one, what every consumer says; what is said to it alone is for members that do not say their generation.
pub(super) fn cooperative_past(member: &Subscriber) -> Past {
    let said = || {
        let said = member.user_data.as_ref()?;
        Some(said.first_chunk().map_or(-1, |generation| i32::from_be_bytes(*generation)))
    };
    Past { owned: member.owned.clone(), generation: member.generation.or_else(said) }
}
