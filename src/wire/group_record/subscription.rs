//! What members of a `consumer` group and their leader say to each other in the classic protocol: subscriptions and assignments.
//!
//! Source: Kafka 3.9 `ConsumerProtocol.java`, `ConsumerProtocolSubscription.json`, `ConsumerProtocolAssignment.json`,
//! `GroupMetadata.computeSubscribedTopics`.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::wire::{DecodeError, Decoder, Dialect, EncodeError, Encoder, Field, Str};

/// Every version is written alike: nothing here has compact lengths.
const DIALECT: Dialect = Dialect { version: 0, flexible: false };

/// The newest version of subscription and assignment that is known. Later ones only add to it.
const VERSION_MAX: i16 = 3;

/// What a member of a `consumer` group says about itself. Texts are slices of what it was read from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subscription {
    /// In which version it said so, at most the newest that is known: the assignment is written in the same.
    pub version: i16,
    /// The topics that it subscribes to.
    pub topics: Vec<Str>,
    /// What it owns: topics and their partitions' numbers. From version 1 on.
    pub owned: Vec<(Str, Vec<i32>)>,
    /// Where it stands. From version 3 on.
    pub rack: Option<Str>,
}

impl Subscription {
    /// Reads one. `None` when the bytes are none.
    #[must_use]
    pub fn read(metadata: &Bytes) -> Option<Self> {
        let mut input = Decoder::new(metadata.clone());
        let (version, topics) = beginning(&mut input).ok().flatten()?;
        let mut read = Self { version, topics, ..Self::default() };
        read.rest(&mut input).ok()?;
        Some(read)
    }

    fn rest(&mut self, input: &mut Decoder) -> Result<(), DecodeError> {
        if 1 <= self.version {
            self.owned = topics(input)?;
        }
        if 2 <= self.version {
            i32::take(input, DIALECT)?;
        }
        if 3 <= self.version {
            self.rack = <Option<Str> as Field>::take(input, DIALECT)?;
        }
        Ok(())
    }
}

/// The topics that a member of a `consumer` group subscribes to, from the metadata that it sent. `None` when the bytes are
/// no such subscription: then nobody knows, and it may be any topic.
#[must_use]
pub fn subscribed_topics(metadata: &Bytes) -> Option<BTreeSet<Str>> {
    let (_, topics) = beginning(&mut Decoder::new(metadata.clone())).ok().flatten()?;
    // Copies, because a slice would keep the whole metadata.
    Some(topics.iter().map(|topic| Str::from(topic.as_str())).collect())
}

/// The partitions that a leader assigned to a member, by topic. `None` when the bytes are no such assignment; nothing for no
/// bytes at all, which a member gets that was left out.
#[must_use]
pub fn assigned_partitions(assignment: &Bytes) -> Option<Vec<(Str, Vec<i32>)>> {
    if assignment.is_empty() {
        return Some(Vec::new());
    }
    let mut input = Decoder::new(assignment.clone());
    let version = i16::take(&mut input, DIALECT).ok()?;
    if version < 0 { None } else { topics(&mut input).ok() }
}

/// An assignment, as a leader would write it.
///
/// # Errors
/// [`EncodeError`] when a topic's name is too long.
pub fn assignment_bytes(version: i16, topics: &[(Str, Vec<i32>)]) -> Result<Bytes, EncodeError> {
    let mut out = Encoder::new();
    version.put(&mut out, DIALECT)?;
    i32::try_from(topics.len()).unwrap_or(i32::MAX).put(&mut out, DIALECT)?;
    for (topic, partitions) in topics {
        topic.put(&mut out, DIALECT)?;
        partitions.put(&mut out, DIALECT)?;
    }
    None::<Bytes>.put(&mut out, DIALECT)?;
    let encoded = out.finish();
    Ok(encoded.contiguous().unwrap_or(encoded.bytes))
}

/// Reads what every version begins with: the topics, and then bytes that only the assignor understands.
fn beginning(input: &mut Decoder) -> Result<Option<(i16, Vec<Str>)>, DecodeError> {
    let version = i16::take(input, DIALECT)?;
    if version < 0 {
        return Ok(None);
    }
    let topics = Vec::<Str>::take(input, DIALECT)?;
    <Option<Bytes> as Field>::take(input, DIALECT)?;
    Ok(Some((version.min(VERSION_MAX), topics)))
}

/// Topics with their partitions' numbers, in an array that cannot be larger than its bytes.
fn topics(input: &mut Decoder) -> Result<Vec<(Str, Vec<i32>)>, DecodeError> {
    let count = i32::take(input, DIALECT)?;
    let mut topics = Vec::new();
    for _ in 0..count {
        topics.push((Str::take(input, DIALECT)?, Vec::<i32>::take(input, DIALECT)?));
    }
    Ok(topics)
}
