//! The records of `__consumer_offsets`: what a coordinator keeps of its groups, in Kafka's bytes.
//!
//! Key and value each begin with the version of what follows. The key's version says what kind of record it is, and a
//! record without a value (a tombstone) takes away what an earlier one with the same key said.
//!
//! Kafka 3.9 reads every version described here and writes [`OFFSET_KEY_VERSION`], [`GROUP_KEY_VERSION`] and
//! [`VALUE_VERSION`]. A 3.9 broker that meets a value of another version loads nothing of that partition, so nothing else
//! may ever be written. Groups of the consumer protocol have records of their own kinds ([`ConsumerRecord`]), which it passes
//! over.
//!
//! Source: Kafka 3.9, `group-coordinator/src/main/resources/common/message/*.json`, `GroupMetadataManager.scala`.

use bytes::Bytes;

use super::schema::Message;
use super::{DecodeError, Decoder, Dialect, EncodeError, Encoder, Field as _, Str};

macro_rules! versions {
    ($($name:ident $versions:expr, flexible $flexible:expr;)*) => {$(
        impl Message for $name {
            const VERSIONS: std::ops::RangeInclusive<i16> = $versions;
            const FLEXIBLE_FROM: Option<i16> = $flexible;
        }
    )*};
}

mod consumer;
mod subscription;
#[cfg(test)]
mod tests;

pub use consumer::*;
pub use subscription::{Subscription, assigned_partitions, assignment_bytes, subscribed_topics};

/// Version of the key of a committed offset, as written. 0 has the same fields.
pub const OFFSET_KEY_VERSION: i16 = 1;

/// Version of the key of a group's metadata.
pub const GROUP_KEY_VERSION: i16 = 2;

/// Version of both values, as written.
pub const VALUE_VERSION: i16 = 3;

/// Version of the value of an offset whose sender said how long to keep it: no other has an expiry.
const EXPIRING_VALUE_VERSION: i16 = 1;

structs! {
    /// Names a committed offset.
    struct OffsetCommitKey {
        /// The group.
        group: Str [0..],
        /// The topic.
        topic: Str [0..],
        /// The partition's number.
        partition: i32 [0..],
    }

    /// A committed offset.
    struct OffsetCommitValue {
        /// Where to continue.
        offset: i64 [0..],
        /// The leader epoch of the last record read; −1 for unknown (KIP-320).
        leader_epoch: i32 = -1 [3..; ignorable],
        /// What the client stored along with the offset.
        metadata: Str [0..],
        /// When it was committed, in ms since 1970.
        commit_timestamp: i64 [0..],
        /// When to forget it, in ms since 1970, if its sender said so; −1 for the broker's setting.
        expire_timestamp: i64 = -1 [1..=1; ignorable],
    }

    /// Names a group.
    struct GroupMetadataKey {
        /// The group.
        group: Str [0..],
    }

    /// A generation of a group, as its leader distributed it.
    struct GroupMetadataValue {
        /// What kind of group it is, for instance `consumer`; empty when it never had members.
        protocol_type: Str [0..],
        /// Counts the rebalances.
        generation: i32 [0..],
        /// The protocol that the members agreed on; null when there are none.
        protocol: Option<Str> [0..],
        /// The member that distributed the partitions; null when there is none.
        leader: Option<Str> [0..],
        /// When the group came into this state, in ms since 1970; −1 for unknown.
        current_state_timestamp: i64 = -1 [2..; ignorable],
        /// The members.
        members: Vec<MemberMetadata> [0..],
    }

    /// An element of [`GroupMetadataValue::members`].
    struct MemberMetadata {
        /// The id that the coordinator gave it.
        member_id: Str [0..],
        /// The name of a static member; null for a dynamic one (KIP-345).
        group_instance_id: Option<Str> [3..; ignorable],
        /// What the client calls itself.
        client_id: Str [0..],
        /// Where it comes from.
        client_host: Str [0..],
        /// How long it may take to join again, in ms; −1 in version 0, which takes the session's.
        rebalance_timeout: i32 = -1 [1..; ignorable],
        /// How long it may be silent, in ms.
        session_timeout: i32 [0..],
        /// What it said about itself in the group's protocol.
        subscription: Bytes [0..],
        /// What it is to read.
        assignment: Bytes [0..],
    }
}

versions! {
    OffsetCommitKey 0..=OFFSET_KEY_VERSION, flexible None;
    OffsetCommitValue 0..=4, flexible Some(4);
    GroupMetadataKey GROUP_KEY_VERSION..=GROUP_KEY_VERSION, flexible None;
    GroupMetadataValue 0..=4, flexible Some(4);
}

/// One record of `__consumer_offsets`. No value is a tombstone.
#[derive(Clone, PartialEq, Debug)]
pub enum GroupRecord {
    /// A group committed an offset, or it was removed.
    Offset(OffsetCommitKey, Option<OffsetCommitValue>),
    /// A group has a new generation, or was removed.
    Group(GroupMetadataKey, Option<GroupMetadataValue>),
    /// Something of a group of the consumer protocol.
    Consumer(Str, ConsumerRecord),
}

/// A record's key and value as bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodedGroupRecord {
    /// Never empty.
    pub key: Bytes,
    /// `None` for a tombstone.
    pub value: Option<Bytes>,
}

impl GroupRecord {
    /// The bytes that Kafka 3.9 would write, or 4.1 for the consumer protocol.
    ///
    /// # Errors
    /// [`EncodeError`] when a string is too long for its length field, or an array.
    pub fn encode(&self) -> Result<EncodedGroupRecord, EncodeError> {
        match self {
            Self::Offset(key, value) => Ok(EncodedGroupRecord {
                key: versioned(key, OFFSET_KEY_VERSION)?,
                value: value.as_ref().map(|value| versioned(value, offset_value_version(value))).transpose()?,
            }),
            Self::Group(key, value) => Ok(EncodedGroupRecord {
                key: versioned(key, GROUP_KEY_VERSION)?,
                value: value.as_ref().map(|value| versioned(value, VALUE_VERSION)).transpose()?,
            }),
            Self::Consumer(group, record) => record.encode(group),
        }
    }

    /// The same, behind what `out` holds: how many bytes the key takes, and then the value. After an error `out` is empty.
    ///
    /// # Errors
    /// See [`encode`](Self::encode).
    pub fn encode_behind(&self, out: &mut Vec<u8>) -> Result<(usize, Option<usize>), EncodeError> {
        let before = out.len();
        match self {
            Self::Offset(key, value) => {
                versioned_behind(key, OFFSET_KEY_VERSION, out)?;
                let key_end = out.len();
                if let Some(value) = value {
                    versioned_behind(value, offset_value_version(value), out)?;
                }
                let value = value.as_ref().map(|_| out.len().saturating_sub(key_end));
                Ok((key_end.saturating_sub(before), value))
            }
            Self::Group(..) | Self::Consumer(..) => {
                let encoded = self.encode().inspect_err(|_| out.clear())?;
                out.extend_from_slice(&encoded.key);
                out.extend_from_slice(encoded.value.as_deref().unwrap_or_default());
                Ok((encoded.key.len(), encoded.value.as_ref().map(Bytes::len)))
            }
        }
    }

    /// The group that it speaks of.
    #[must_use]
    pub const fn group(&self) -> &Str {
        match self {
            Self::Offset(key, _) => &key.group,
            Self::Group(key, _) => &key.group,
            Self::Consumer(group, _) => group,
        }
    }

    /// Reads a record. `None` for a key of a version that belongs to another kind of coordinator: it is to be passed over,
    /// as Kafka does.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no such record, or the value has a version that nobody knows: to go on without
    /// it would take it for gone.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, DecodeError> {
        let (key_version, mut key) = versioned_input(key)?;
        if OffsetCommitKey::VERSIONS.contains(&key_version) {
            let key = OffsetCommitKey::decode(&mut key, key_version)?;
            Ok(Some(Self::Offset(key, value.map(from_versioned).transpose()?)))
        } else if key_version == GROUP_KEY_VERSION {
            let key = GroupMetadataKey::decode(&mut key, key_version)?;
            Ok(Some(Self::Group(key, value.map(from_versioned).transpose()?)))
        } else {
            let of_consumer = ConsumerRecord::decode(key_version, &mut key, value)?;
            Ok(of_consumer.map(|(group, record)| Self::Consumer(group, record)))
        }
    }

    /// About how many bytes it takes in a batch: enough to keep writes below a limit, not exact.
    #[must_use]
    pub fn bytes(&self) -> usize {
        /// Versions, lengths and numbers of a record and its members.
        const FIXED: usize = 64;
        match self {
            Self::Offset(key, value) => {
                let metadata = value.as_ref().map_or(0, |value| value.metadata.len());
                FIXED + key.group.len() + key.topic.len() + metadata
            }
            Self::Group(key, value) => {
                let members = value.iter().flat_map(|value| &value.members);
                let bytes = members.map(|member| {
                    let ids = member.member_id.len() + member.group_instance_id.as_ref().map_or(0, |id| id.len());
                    let client = member.client_id.len() + member.client_host.len();
                    FIXED + ids + client + member.subscription.len() + member.assignment.len()
                });
                FIXED + key.group.len() + bytes.sum::<usize>()
            }
            Self::Consumer(group, record) => FIXED + group.len() + record.bytes(),
        }
    }
}

fn offset_value_version(value: &OffsetCommitValue) -> i16 {
    if value.expire_timestamp == -1 { VALUE_VERSION } else { EXPIRING_VALUE_VERSION }
}

fn versioned<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut out = Encoder::new();
    version.put(&mut out, Dialect { version, flexible: false })?;
    message.encode(&mut out, version)?;
    let encoded = out.finish();
    if encoded.gaps.is_empty() {
        return Ok(encoded.bytes);
    }
    Ok(encoded.contiguous().unwrap_or(encoded.bytes))
}

/// Of a message without blobs.
fn versioned_behind<M: Message>(message: &M, version: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut encoder = Encoder::behind(std::mem::take(out));
    version.put(&mut encoder, Dialect { version, flexible: false })?;
    message.encode(&mut encoder, version)?;
    *out = encoder.into_buffer();
    Ok(())
}

fn versioned_input(bytes: &[u8]) -> Result<(i16, Decoder), DecodeError> {
    let mut input = Decoder::new(Bytes::copy_from_slice(bytes));
    input.at("version");
    let version = i16::take(&mut input, Dialect { version: 0, flexible: false })?;
    Ok((version, input))
}

fn from_versioned<M: Message>(bytes: &[u8]) -> Result<M, DecodeError> {
    let (version, mut input) = versioned_input(bytes)?;
    M::decode(&mut input, version)
}
