//! The records of a group of the consumer protocol (KIP-848), in Kafka 4's bytes.
//!
//! Source: Kafka 4.1, `group-coordinator/src/main/resources/common/message/ConsumerGroup*.json`,
//! `GroupCoordinatorRecordHelpers.java`.

use bytes::Bytes;

use super::{EncodedGroupRecord, from_versioned, versioned};
use crate::model::TopicId;
use crate::wire::schema::Message;
use crate::wire::{DecodeError, Decoder, EncodeError, Str};

/// Version of every value, as written. No other is known.
const VALUE_VERSION: i16 = 0;

/// Versions of the keys: each says what kind of record it is.
const GROUP: i16 = 3;
const PARTITION_METADATA: i16 = 4;
const MEMBER: i16 = 5;
const TARGET: i16 = 6;
const TARGET_MEMBER: i16 = 7;
const CURRENT_MEMBER: i16 = 8;
const REGULAR_EXPRESSION: i16 = 16;

structs! {
    /// Names a group.
    struct ConsumerGroupKey {
        /// The group.
        group: Str [0..],
    }

    /// Names a member of a group, or a regular expression in it.
    struct ConsumerGroupPartKey {
        /// The group.
        group: Str [0..],
        /// The member's id, or the expression.
        part: Str [0..],
    }

    /// A group's epoch.
    struct ConsumerGroupMetadataValue {
        /// Grows whenever a member, a subscription or a topic changes.
        epoch: i32 [0..],
        /// Says whether a topic changed since: a hash of all that the members subscribe to (KIP-1101). 0 for no topic.
        metadata_hash: i64 [0.., tag 0],
    }

    /// The topics of a group, as releases before 4.1 kept them instead of the hash. Read, never written.
    struct ConsumerGroupPartitionMetadataValue {
        /// The topics.
        topics: Vec<TopicMetadata> [0..],
    }

    /// An element of [`ConsumerGroupPartitionMetadataValue::topics`].
    struct TopicMetadata {
        /// Its id.
        topic_id: TopicId [0..],
        /// Its name.
        topic_name: Str [0..],
        /// How many partitions it has.
        num_partitions: i32 [0..],
        /// Where their replicas are.
        partition_metadata: Vec<PartitionMetadata> [0..],
    }

    /// An element of [`TopicMetadata::partition_metadata`].
    struct PartitionMetadata {
        /// The partition's number.
        partition: i32 [0..],
        /// The racks of its replicas.
        racks: Vec<Str> [0..],
    }

    /// What a member says about itself.
    struct ConsumerGroupMemberMetadataValue {
        /// The name of a static member.
        instance_id: Option<Str> [0..],
        /// Where the client stands.
        rack_id: Option<Str> [0..],
        /// What the client calls itself.
        client_id: Str [0..],
        /// Where it comes from.
        client_host: Str [0..],
        /// The topics that it subscribes to by name.
        subscribed_topic_names: Vec<Str> [0..],
        /// The pattern of more topics.
        subscribed_topic_regex: Option<Str> [0..],
        /// How long it may take to let go of partitions, in ms.
        rebalance_timeout_ms: i32 = -1 [0..],
        /// The assignor that it wants.
        server_assignor: Option<Str> [0..],
        /// Set when it speaks the classic protocol.
        classic_member_metadata: Option<ClassicMemberMetadata> [0.., tag 0],
    }

    /// What a member says about itself that speaks the classic protocol.
    struct ClassicMemberMetadata {
        /// How long it may be silent, in ms.
        session_timeout_ms: i32 [0..],
        /// What it can speak, the best first.
        supported_protocols: Vec<ClassicProtocol> [0..],
    }

    /// An element of [`ClassicMemberMetadata::supported_protocols`].
    struct ClassicProtocol {
        /// For instance `range`.
        name: Str [0..],
        /// Its subscription.
        metadata: Bytes [0..],
    }

    /// The epoch of the target assignment.
    struct ConsumerGroupTargetAssignmentMetadataValue {
        /// The group's epoch that it was made for.
        assignment_epoch: i32 [0..],
    }

    /// What a member is to read once everybody has let go of what is not theirs.
    struct ConsumerGroupTargetAssignmentMemberValue {
        /// By topic.
        topic_partitions: Vec<TopicPartitions> [0..],
    }

    /// What a member reads.
    struct ConsumerGroupCurrentMemberAssignmentValue {
        /// The member's epoch; −2 for a static member that left for a while.
        member_epoch: i32 [0..],
        /// The one before, for a member that missed the answer.
        previous_member_epoch: i32 [0..],
        /// By Kafka's number (`MemberState`).
        state: i8 [0..],
        /// What it may read.
        assigned_partitions: Vec<TopicPartitions> [0..],
        /// What it was told to let go of.
        partitions_pending_revocation: Vec<TopicPartitions> [0..],
    }

    /// Partitions of a topic.
    struct TopicPartitions {
        /// The topic.
        topic_id: TopicId [0..],
        /// Their numbers.
        partitions: Vec<i32> [0..],
    }

    /// The topics that a regular expression stands for.
    struct ConsumerGroupRegularExpressionValue {
        /// Their names.
        topics: Vec<Str> [0..],
        /// The version of the metadata that they were found in.
        version: i64 [0..],
        /// When, in ms since 1970.
        timestamp: i64 [0..],
    }
}

nullable_structs! { ClassicMemberMetadata }

versions! {
    ConsumerGroupKey 0..=i16::MAX, flexible None;
    ConsumerGroupPartKey 0..=i16::MAX, flexible None;
    ConsumerGroupMetadataValue 0..=0, flexible Some(0);
    ConsumerGroupPartitionMetadataValue 0..=0, flexible Some(0);
    ConsumerGroupMemberMetadataValue 0..=0, flexible Some(0);
    ConsumerGroupTargetAssignmentMetadataValue 0..=0, flexible Some(0);
    ConsumerGroupTargetAssignmentMemberValue 0..=0, flexible Some(0);
    ConsumerGroupCurrentMemberAssignmentValue 0..=0, flexible Some(0);
    ConsumerGroupRegularExpressionValue 0..=0, flexible Some(0);
}

/// What a record says of a group of the consumer protocol. No value is a tombstone.
#[derive(Clone, PartialEq, Debug)]
pub enum ConsumerRecord {
    /// The group's epoch. Its tombstone ends the group.
    Group(Option<ConsumerGroupMetadataValue>),
    /// The topics, of earlier releases.
    PartitionMetadata(Option<ConsumerGroupPartitionMetadataValue>),
    /// A member, by its id.
    Member(Str, Option<ConsumerGroupMemberMetadataValue>),
    /// The target assignment's epoch.
    Target(Option<ConsumerGroupTargetAssignmentMetadataValue>),
    /// A member's target, by its id.
    TargetMember(Str, Option<ConsumerGroupTargetAssignmentMemberValue>),
    /// What a member reads, by its id.
    CurrentMember(Str, Option<ConsumerGroupCurrentMemberAssignmentValue>),
    /// What a regular expression stands for.
    RegularExpression(Str, Option<ConsumerGroupRegularExpressionValue>),
}

impl ConsumerRecord {
    pub(super) fn encode(&self, group: &Str) -> Result<EncodedGroupRecord, EncodeError> {
        match self {
            Self::Group(value) => of_group(group, GROUP, value.as_ref()),
            Self::PartitionMetadata(value) => of_group(group, PARTITION_METADATA, value.as_ref()),
            Self::Member(member, value) => of_part(group, member, MEMBER, value.as_ref()),
            Self::Target(value) => of_group(group, TARGET, value.as_ref()),
            Self::TargetMember(member, value) => of_part(group, member, TARGET_MEMBER, value.as_ref()),
            Self::CurrentMember(member, value) => of_part(group, member, CURRENT_MEMBER, value.as_ref()),
            Self::RegularExpression(regex, value) => of_part(group, regex, REGULAR_EXPRESSION, value.as_ref()),
        }
    }

    /// The group and the record. `None` for the key of another kind.
    pub(super) fn decode(
        version: i16,
        key: &mut Decoder,
        value: Option<&[u8]>,
    ) -> Result<Option<(Str, Self)>, DecodeError> {
        Ok(match version {
            GROUP | PARTITION_METADATA | TARGET => {
                let key = ConsumerGroupKey::decode(key, version)?;
                let record = match version {
                    GROUP => Self::Group(value.map(from_versioned).transpose()?),
                    TARGET => Self::Target(value.map(from_versioned).transpose()?),
                    _ => Self::PartitionMetadata(value.map(from_versioned).transpose()?),
                };
                Some((key.group, record))
            }
            MEMBER | TARGET_MEMBER | CURRENT_MEMBER | REGULAR_EXPRESSION => {
                let ConsumerGroupPartKey { group, part } = ConsumerGroupPartKey::decode(key, version)?;
                let record = match version {
                    MEMBER => Self::Member(part, value.map(from_versioned).transpose()?),
                    TARGET_MEMBER => Self::TargetMember(part, value.map(from_versioned).transpose()?),
                    CURRENT_MEMBER => Self::CurrentMember(part, value.map(from_versioned).transpose()?),
                    _ => Self::RegularExpression(part, value.map(from_versioned).transpose()?),
                };
                Some((group, record))
            }
            _ => None,
        })
    }

    /// About how many bytes it takes in a batch, without the group's name.
    pub(super) fn bytes(&self) -> usize {
        let topics = |topics: &[TopicPartitions]| topics.iter().map(|it| 20 + 4 * it.partitions.len()).sum::<usize>();
        let text = |text: &Option<Str>| text.as_ref().map_or(0, |text| text.len());
        match self {
            Self::Group(_) | Self::PartitionMetadata(_) | Self::Target(_) => 0,
            Self::Member(id, value) => {
                let of_value = value.as_ref().map_or(0, |value| {
                    let names = value.subscribed_topic_names.iter().map(|name| 3 + name.len()).sum::<usize>();
                    let classic = value.classic_member_metadata.iter().flat_map(|it| &it.supported_protocols);
                    let classic = classic.map(|it| 8 + it.name.len() + it.metadata.len()).sum::<usize>();
                    let client = value.client_id.len() + value.client_host.len() + text(&value.instance_id);
                    let asks =
                        text(&value.rack_id) + text(&value.subscribed_topic_regex) + text(&value.server_assignor);
                    names + classic + client + asks
                });
                id.len() + of_value
            }
            Self::TargetMember(id, value) => id.len() + value.as_ref().map_or(0, |it| topics(&it.topic_partitions)),
            Self::CurrentMember(id, value) => {
                let of_value = |it: &ConsumerGroupCurrentMemberAssignmentValue| {
                    topics(&it.assigned_partitions) + topics(&it.partitions_pending_revocation)
                };
                id.len() + value.as_ref().map_or(0, of_value)
            }
            Self::RegularExpression(regex, value) => {
                let names = value.iter().flat_map(|value| &value.topics).map(|name| 3 + name.len());
                regex.len() + names.sum::<usize>()
            }
        }
    }
}

fn of_group(group: &Str, version: i16, value: Option<&impl Message>) -> Result<EncodedGroupRecord, EncodeError> {
    let key = versioned(&ConsumerGroupKey { group: group.clone() }, version)?;
    Ok(EncodedGroupRecord { key, value: value.map(|value| versioned(value, VALUE_VERSION)).transpose()? })
}

fn of_part(
    group: &Str,
    part: &Str,
    version: i16,
    value: Option<&impl Message>,
) -> Result<EncodedGroupRecord, EncodeError> {
    let key = versioned(&ConsumerGroupPartKey { group: group.clone(), part: part.clone() }, version)?;
    Ok(EncodedGroupRecord { key, value: value.map(|value| versioned(value, VALUE_VERSION)).transpose()? })
}
