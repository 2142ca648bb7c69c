//! What consumers of a classic group tell each other through the coordinator, which does not look into it: what each
//! subscribes to, and what each is to read.
//!
//! Both begin with a version. A reader takes a newer version for the newest that it knows, since newer ones only add.
//!
//! Source: Kafka 3.9 `ConsumerProtocol.java`, `ConsumerProtocolSubscription.json`, `ConsumerProtocolAssignment.json`.

use std::ops::RangeInclusive;

use bytes::Bytes;

use super::schema::Message;
use super::{DecodeError, Decoder, Dialect, EncodeError, Encoder, Field as _, Str};

/// The kind of group whose members speak this (`ConsumerProtocol.PROTOCOL_TYPE`).
pub const PROTOCOL_TYPE: &str = "consumer";

structs! {
    /// What a member says about itself when it joins.
    struct Subscription {
        /// The topics that it wants.
        topics: Vec<Str> [0..],
        /// For the assignor alone.
        user_data: Option<Bytes> [0..],
        /// What it read so far, for assignors that let members keep it (KIP-429).
        owned_partitions: Vec<TopicPartitions> [1..; ignorable],
        /// In which generation it did (KIP-792).
        generation_id: i32 = -1 [2..; ignorable],
        /// Where it is (KIP-881).
        rack_id: Option<Str> [3..; ignorable],
    }

    /// What a member is to read.
    struct Assignment {
        /// One entry per topic.
        partitions: Vec<TopicPartitions> [0..],
        /// For the assignor alone.
        user_data: Option<Bytes> [0..],
    }

    /// What the sticky assignor's members tell it (`STICKY_ASSIGNOR_USER_DATA_V0` and `V1`). No version stands in front.
    struct StickyUserData {
        /// What the member was told to read.
        previous: Vec<TopicPartitions> [0..],
        /// In which generation.
        generation: i32 = -1 [1..; ignorable],
    }

    /// Partitions of a topic.
    struct TopicPartitions {
        /// The topic's name.
        topic: Str [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }
}

impl Message for Subscription {
    const VERSIONS: RangeInclusive<i16> = 0..=3;
    const FLEXIBLE_FROM: Option<i16> = None;
}

impl Message for Assignment {
    const VERSIONS: RangeInclusive<i16> = 0..=3;
    const FLEXIBLE_FROM: Option<i16> = None;
}

impl Message for StickyUserData {
    const VERSIONS: RangeInclusive<i16> = 0..=1;
    const FLEXIBLE_FROM: Option<i16> = None;
}

impl StickyUserData {
    /// As a member that read these partitions says it.
    ///
    /// # Errors
    /// As [`to_bytes`].
    pub fn to_bytes(&self) -> Result<Bytes, EncodeError> {
        let mut out = Encoder::new();
        self.encode(&mut out, 1)?;
        let encoded = out.finish();
        Ok(encoded.contiguous().unwrap_or(encoded.bytes))
    }

    /// What was said, and whether a generation was: members before Kafka 2.3 say none.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are something else.
    pub fn from_bytes(bytes: &Bytes) -> Result<(Self, bool), DecodeError> {
        let decode = |version| Self::decode(&mut Decoder::new(bytes.clone()), version);
        decode(1).map(|said| (said, true)).or_else(|_| decode(0).map(|said| (said, false)))
    }
}

/// The bytes of one of the two, in the version that its clients understand for longest: the first with all of its fields
/// that are set here. Kafka's consumer does the same.
///
/// # Errors
/// [`EncodeError`] when a string or an array is too long for its length field.
pub fn to_bytes<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut out = Encoder::new();
    version.put(&mut out, Dialect { version, flexible: false })?;
    message.encode(&mut out, version)?;
    let encoded = out.finish();
    Ok(encoded.contiguous().unwrap_or(encoded.bytes))
}

/// Reads one of the two. No bytes at all are what a member gets that is to read nothing.
///
/// # Errors
/// [`DecodeError`] when the bytes are something else.
pub fn from_bytes<M: Message>(bytes: &Bytes) -> Result<M, DecodeError> {
    if bytes.is_empty() {
        return Ok(M::default());
    }
    let mut input = Decoder::new(bytes.clone());
    input.at("version");
    let version = i16::take(&mut input, Dialect { version: 0, flexible: false })?;
    M::decode(&mut input, version.min(*M::VERSIONS.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand from the schema: a member with two topics that reads one partition of the first.
    const SUBSCRIPTION: &[u8] = b"\0\x03\0\0\0\x02\0\x01a\0\x01b\xff\xff\xff\xff\
        \0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x07\0\0\0\x05\0\x02r1";
    const ASSIGNMENT: &[u8] = b"\0\0\0\0\0\x01\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x03\xff\xff\xff\xff";

    #[test]
    fn both_are_what_kafkas_schema_says() {
        let owned_partitions = vec![TopicPartitions { topic: "a".into(), partitions: vec![7] }];
        let subscription = Subscription {
            topics: vec!["a".into(), "b".into()],
            user_data: None,
            owned_partitions,
            generation_id: 5,
            rack_id: Some("r1".into()),
        };
        assert_eq!(to_bytes(&subscription, 3).expect("short"), SUBSCRIPTION);
        assert_eq!(from_bytes::<Subscription>(&Bytes::from_static(SUBSCRIPTION)), Ok(subscription));
        let partitions = vec![TopicPartitions { topic: "a".into(), partitions: vec![0, 3] }];
        let assignment = Assignment { partitions, user_data: None };
        assert_eq!(to_bytes(&assignment, 0).expect("short"), ASSIGNMENT);
        assert_eq!(from_bytes::<Assignment>(&Bytes::from_static(ASSIGNMENT)), Ok(assignment));
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known_and_other_bytes_are_refused() {
        let mut later = SUBSCRIPTION.to_vec();
        later[1] = 9;
        later.extend([1, 2, 3]);
        assert_eq!(from_bytes::<Subscription>(&later.into()).expect("known fields").topics.len(), 2);
        assert_eq!(from_bytes::<Assignment>(&Bytes::new()), Ok(Assignment::default()));
        for wrong in [&b"\0"[..], b"\xff\xff\0\0\0\0", b"\0\0\0\0\0\x09"] {
            assert!(from_bytes::<Assignment>(&Bytes::from_static(wrong)).is_err(), "{wrong:?}");
        }
    }
}
