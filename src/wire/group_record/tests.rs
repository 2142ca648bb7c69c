//! The bytes that Kafka 3.9.1's own classes write for these values, in every version (`MessageUtil.toVersionPrefixedByteBuffer`,
//! `ConsumerProtocol.serializeSubscription`).

use super::*;
use crate::wire::arbitrary::Random;
use crate::wire::schema::dialect;

fn hex(text: &str) -> Vec<u8> {
    let digits = text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex"))
        .collect()
}

fn offset_key() -> OffsetCommitKey {
    OffsetCommitKey { group: "g".into(), topic: "tt".into(), partition: 7 }
}

fn offset_value() -> OffsetCommitValue {
    OffsetCommitValue {
        offset: 258,
        leader_epoch: 3,
        metadata: "m".into(),
        commit_timestamp: 0x0102_0304_0506,
        expire_timestamp: -1,
    }
}

fn group_value() -> GroupMetadataValue {
    GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation: 5,
        protocol: Some("range".into()),
        leader: Some("c-1".into()),
        current_state_timestamp: 9,
        members: vec![MemberMetadata {
            member_id: "c-1".into(),
            group_instance_id: None,
            client_id: "c".into(),
            client_host: "/h".into(),
            rebalance_timeout: 300_000,
            session_timeout: 45_000,
            subscription: Bytes::from_static(&[1, 2]),
            assignment: Bytes::from_static(&[3]),
        }],
    }
}

const OFFSET_KEY: &str = "0001 0001 67 0002 7474 00000007";
const OFFSET_VALUE: &str = "0003 0000000000000102 00000003 0001 6d 0000010203040506";
const GROUP_KEY: &str = "0002 0001 67";
const GROUP_VALUE: &str = "0003 0008 636f6e73756d6572 00000005 0005 72616e6765 0003 632d31 0000000000000009
    00000001 0003 632d31 ffff 0001 63 0002 2f68 000493e0 0000afc8 00000002 0102 00000001 03";

#[test]
fn an_offset_is_written_as_kafka_writes_it() {
    let encoded = GroupRecord::Offset(offset_key(), Some(offset_value())).encode().expect("short strings");
    assert_eq!(encoded.key, hex(OFFSET_KEY));
    assert_eq!(encoded.value.as_deref(), Some(&hex(OFFSET_VALUE)[..]));
    let expiring = OffsetCommitValue { expire_timestamp: 6, leader_epoch: 3, ..offset_value() };
    let encoded = GroupRecord::Offset(offset_key(), Some(expiring)).encode().expect("short strings");
    let version_1 = "0001 0000000000000102 0001 6d 0000010203040506 0000000000000006";
    assert_eq!(encoded.value.as_deref(), Some(&hex(version_1)[..]), "the leader epoch is lost, as in Kafka");
    let tombstone = GroupRecord::Offset(offset_key(), None).encode().expect("short strings");
    assert_eq!((tombstone.key, tombstone.value), (hex(OFFSET_KEY).into(), None));
}

#[test]
fn a_group_is_written_as_kafka_writes_it() {
    let key = GroupMetadataKey { group: "g".into() };
    let encoded = GroupRecord::Group(key.clone(), Some(group_value())).encode().expect("short strings");
    assert_eq!(encoded.key, hex(GROUP_KEY));
    assert_eq!(encoded.value.as_deref(), Some(&hex(GROUP_VALUE)[..]));
    let empty =
        GroupMetadataValue { protocol: None, leader: None, members: vec![], protocol_type: "".into(), ..group_value() };
    let encoded = GroupRecord::Group(key, Some(empty)).encode().expect("short strings");
    let expected = "0003 0000 00000005 ffff ffff 0000000000000009 00000000";
    assert_eq!(encoded.value.as_deref(), Some(&hex(expected)[..]));
}

#[test]
fn a_large_subscription_is_in_the_bytes_too() {
    let mut value = group_value();
    value.members[0].subscription = vec![7; 100_000].into();
    let record = GroupRecord::Group(GroupMetadataKey { group: "g".into() }, Some(value));
    let encoded = record.encode().expect("short strings");
    let read = GroupRecord::decode(&encoded.key, encoded.value.as_deref());
    assert_eq!(read, Ok(Some(record)));
}

fn read_offset(value: &str) -> Option<OffsetCommitValue> {
    match GroupRecord::decode(&hex(OFFSET_KEY), Some(&hex(value))) {
        Ok(Some(GroupRecord::Offset(key, value))) if key == offset_key() => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_version_of_an_offset_is_read() {
    let old = OffsetCommitValue { leader_epoch: -1, ..offset_value() };
    assert_eq!(read_offset("0000 0000000000000102 0001 6d 0000010203040506"), Some(old.clone()));
    let expiring = OffsetCommitValue { expire_timestamp: 6, ..old.clone() };
    assert_eq!(read_offset("0001 0000000000000102 0001 6d 0000010203040506 0000000000000006"), Some(expiring));
    assert_eq!(read_offset("0002 0000000000000102 0001 6d 0000010203040506"), Some(old));
    assert_eq!(read_offset(OFFSET_VALUE), Some(offset_value()));
    assert_eq!(read_offset("0004 0000000000000102 00000003 02 6d 0000010203040506 00"), Some(offset_value()));
    let topic_id = "0004 0000000000000102 00000003 02 6d 0000010203040506 01 00 10 000102030405060708090a0b0c0d0e0f";
    assert_eq!(read_offset(topic_id), Some(offset_value()), "what a later release adds is passed over");
    let key_version_0 = format!("0000{}", &OFFSET_KEY[4..]);
    let read = GroupRecord::decode(&hex(&key_version_0), None);
    assert_eq!(read, Ok(Some(GroupRecord::Offset(offset_key(), None))));
}

fn read_group(value: &str) -> Option<GroupMetadataValue> {
    match GroupRecord::decode(&hex(GROUP_KEY), Some(&hex(value))) {
        Ok(Some(GroupRecord::Group(key, value))) if key.group == "g" => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_version_of_a_group_is_read() {
    let head = "0008 636f6e73756d6572 00000005 0005 72616e6765 0003 632d31";
    let mut expected = group_value();
    assert_eq!(read_group(GROUP_VALUE), Some(expected.clone()));
    let tail = "0000afc8 00000002 0102 00000001 03";
    let member = "00000001 0003 632d31 0001 63 0002 2f68";
    assert_eq!(read_group(&format!("0002 {head} 0000000000000009 {member} 000493e0 {tail}")), Some(expected.clone()));
    expected.current_state_timestamp = -1;
    assert_eq!(read_group(&format!("0001 {head} {member} 000493e0 {tail}")), Some(expected.clone()));
    expected.members[0].rebalance_timeout = -1;
    assert_eq!(read_group(&format!("0000 {head} {member} {tail}")), Some(expected));
    let flexible = "0004 09 636f6e73756d6572 00000005 06 72616e6765 04 632d31 0000000000000009
        02 04 632d31 00 02 63 03 2f68 000493e0 0000afc8 03 0102 02 03 00 00";
    assert_eq!(read_group(flexible), Some(group_value()));
}

#[test]
fn other_coordinators_keys_are_passed_over_and_unknown_values_are_not() {
    assert_eq!(GroupRecord::decode(&hex("000b 0001 67"), Some(&hex("0000 00000001 00"))), Ok(None));
    assert!(GroupRecord::decode(&hex(OFFSET_KEY), Some(&hex("0005 00"))).is_err());
    assert!(GroupRecord::decode(&hex(GROUP_KEY), Some(&hex("ffff 00"))).is_err());
    assert!(GroupRecord::decode(&[], None).is_err());
    assert!(GroupRecord::decode(&[0], None).is_err());
}

#[test]
fn what_is_written_is_read_and_no_bytes_make_it_panic() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let key = OffsetCommitKey::arbitrary(&mut random, dialect::<OffsetCommitKey>(OFFSET_KEY_VERSION));
        let value = OffsetCommitValue::arbitrary(&mut random, dialect::<OffsetCommitValue>(VALUE_VERSION));
        check(&GroupRecord::Offset(key, Some(value)), &mut random);
        let group = GroupMetadataKey::arbitrary(&mut random, dialect::<GroupMetadataKey>(GROUP_KEY_VERSION));
        let value = GroupMetadataValue::arbitrary(&mut random, dialect::<GroupMetadataValue>(VALUE_VERSION));
        check(&GroupRecord::Group(group, Some(value)), &mut random);
    }
}

fn check(record: &GroupRecord, random: &mut Random) {
    let encoded = record.encode().expect("what the version can carry");
    let mut value = encoded.value.clone().expect("no tombstone").to_vec();
    assert_eq!(GroupRecord::decode(&encoded.key, Some(&value)), Ok(Some(record.clone())));
    let at = random.below(value.len());
    value[at] = random.byte();
    let _ = GroupRecord::decode(&encoded.key, Some(&value));
    value.truncate(at);
    let _ = GroupRecord::decode(&encoded.key, Some(&value));
}

#[test]
fn topics_of_a_subscription_are_found_in_every_version() {
    let topics = |text: &str| subscribed_topics(&hex(text).into());
    let expected = Some(["a".into(), "bc".into()].into_iter().collect());
    assert_eq!(topics("0000 00000002 0001 61 0002 6263 ffffffff"), expected);
    assert_eq!(topics("0001 00000002 0001 61 0002 6263 ffffffff 00000000"), expected);
    assert_eq!(topics("0002 00000002 0001 61 0002 6263 ffffffff 00000000 ffffffff"), expected);
    assert_eq!(topics("0003 00000002 0001 61 0002 6263 ffffffff 00000000 ffffffff ffff"), expected);
    assert_eq!(topics("0003 00000002 0001 61 0002 6263 00000001 09 00000000 0000002a ffff"), expected);
    assert_eq!(topics("0000 00000000 ffffffff"), Some([].into_iter().collect()));
    assert_eq!(topics(""), None);
    assert_eq!(topics("0000 00000002 0001 61"), None, "it ends too early");
    assert_eq!(topics("ffff 00000000 ffffffff"), None);
}

/// The records of a group of the consumer protocol, with what Kafka 4.1.0's `GroupCoordinatorRecordHelpers` and
/// `GroupCoordinatorRecordSerde` make of them.
#[expect(clippy::too_many_lines, reason = "a table")]
fn consumer_records() -> Vec<(ConsumerRecord, &'static str, &'static str)> {
    let id = |first: u8| crate::model::TopicId(std::array::from_fn(|at| first + u8::try_from(at).expect("few")));
    let (one, two) = (id(0x01), id(0x11));
    let of = |topic_id, partitions: &[i32]| TopicPartitions { topic_id, partitions: partitions.to_vec() };
    let member = ConsumerGroupMemberMetadataValue {
        instance_id: Some("i".into()),
        rack_id: Some("r".into()),
        client_id: "c".into(),
        client_host: "/h".into(),
        subscribed_topic_names: vec!["a".into(), "tt".into()],
        subscribed_topic_regex: Some("x.*".into()),
        rebalance_timeout_ms: 45_000,
        server_assignor: Some("range".into()),
        classic_member_metadata: None,
    };
    let classic = ConsumerGroupMemberMetadataValue {
        client_id: "c".into(),
        client_host: "/h".into(),
        subscribed_topic_names: vec!["tt".into()],
        rebalance_timeout_ms: 45_000,
        classic_member_metadata: Some(ClassicMemberMetadata {
            session_timeout_ms: 6_000,
            supported_protocols: vec![ClassicProtocol { name: "range".into(), metadata: Bytes::from_static(&[1, 2]) }],
        }),
        ..ConsumerGroupMemberMetadataValue::default()
    };
    let current = ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: 7,
        previous_member_epoch: 6,
        state: 1,
        assigned_partitions: vec![of(one, &[0, 2])],
        partitions_pending_revocation: vec![of(two, &[1])],
    };
    let target = ConsumerGroupTargetAssignmentMemberValue { topic_partitions: vec![of(one, &[0, 2])] };
    let regex = ConsumerGroupRegularExpressionValue {
        topics: vec!["x1".into(), "x2".into()],
        version: 12,
        timestamp: 0x0102_0304_0506,
    };
    let topics = ConsumerGroupPartitionMetadataValue {
        topics: vec![TopicMetadata {
            topic_id: one,
            topic_name: "tt".into(),
            num_partitions: 3,
            partition_metadata: vec![PartitionMetadata { partition: 1, racks: vec!["r1".into()] }],
        }],
    };
    let epoch = |metadata_hash| ConsumerGroupMetadataValue { epoch: 5, metadata_hash };
    vec![
        (ConsumerRecord::Group(Some(epoch(0))), "0003 0001 67", "0000 00000005 00"),
        (
            ConsumerRecord::Group(Some(epoch(0x0102_0304_0506_0708))),
            "0003 0001 67",
            "0000 00000005 01 00 08 0102030405060708",
        ),
        (ConsumerRecord::Group(None), "0003 0001 67", ""),
        (
            ConsumerRecord::PartitionMetadata(Some(topics)),
            "0004 0001 67",
            "0000 02 0102030405060708090a0b0c0d0e0f10 03 7474 00000003 02 00000001 02 03 7231 00 00 00",
        ),
        (ConsumerRecord::PartitionMetadata(None), "0004 0001 67", ""),
        (
            ConsumerRecord::Member("m1".into(), Some(member)),
            "0005 0001 67 0002 6d31",
            "0000 02 69 02 72 02 63 03 2f68 03 02 61 03 7474 04 782e2a 0000afc8 06 72616e6765 00",
        ),
        (
            ConsumerRecord::Member("m2".into(), Some(classic)),
            "0005 0001 67 0002 6d32",
            "0000 00 00 02 63 03 2f68 02 03 7474 00 0000afc8 00 01 00 11 01 00001770 02 06 72616e6765 03 0102 00 00",
        ),
        (ConsumerRecord::Member("m1".into(), None), "0005 0001 67 0002 6d31", ""),
        (
            ConsumerRecord::Target(Some(ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch: 9 })),
            "0006 0001 67",
            "0000 00000009 00",
        ),
        (ConsumerRecord::Target(None), "0006 0001 67", ""),
        (
            ConsumerRecord::TargetMember("m1".into(), Some(target)),
            "0007 0001 67 0002 6d31",
            "0000 02 0102030405060708090a0b0c0d0e0f10 03 00000000 00000002 00 00",
        ),
        (ConsumerRecord::TargetMember("m1".into(), None), "0007 0001 67 0002 6d31", ""),
        (
            ConsumerRecord::CurrentMember("m1".into(), Some(current)),
            "0008 0001 67 0002 6d31",
            "0000 00000007 00000006 01 02 0102030405060708090a0b0c0d0e0f10 03 00000000 00000002 00
                02 1112131415161718191a1b1c1d1e1f20 02 00000001 00 00",
        ),
        (ConsumerRecord::CurrentMember("m1".into(), None), "0008 0001 67 0002 6d31", ""),
        (
            ConsumerRecord::RegularExpression("x.*".into(), Some(regex)),
            "0010 0001 67 0003 782e2a",
            "0000 03 03 7831 03 7832 000000000000000c 0000010203040506 00",
        ),
        (ConsumerRecord::RegularExpression("x.*".into(), None), "0010 0001 67 0003 782e2a", ""),
    ]
}

#[test]
fn the_records_of_the_consumer_protocol_are_kafkas() {
    for (record, key, value) in consumer_records() {
        let record = GroupRecord::Consumer("g".into(), record);
        let encoded = record.encode().expect("short strings");
        let value = Some(hex(value)).filter(|bytes| !bytes.is_empty());
        assert_eq!(encoded.key, hex(key), "{record:?}");
        assert_eq!(encoded.value.as_deref(), value.as_deref(), "{record:?}");
        assert_eq!(GroupRecord::decode(&encoded.key, encoded.value.as_deref()), Ok(Some(record)));
    }
}

#[test]
fn subscriptions_and_assignments_are_the_consumer_protocols() {
    // Kafka 3.9's `ConsumerProtocol.serializeSubscription` of version 3: topics, no user data, owned partitions, generation, rack.
    let bytes = Bytes::from(hex(
        "0003 00000001 0002 7474 ffffffff 00000001 0002 7474 00000002 00000000 00000002 00000005 0001 72",
    ));
    let owned = vec![(Str::from("tt"), vec![0, 2])];
    let subscription =
        Subscription { version: 3, topics: vec!["tt".into()], owned: owned.clone(), rack: Some("r".into()) };
    assert_eq!(Subscription::read(&bytes), Some(subscription));
    let old = Subscription { version: 0, topics: vec!["tt".into()], ..Subscription::default() };
    assert_eq!(Subscription::read(&Bytes::from(hex("0000 00000001 0002 7474 ffffffff"))), Some(old));
    assert_eq!(Subscription::read(&bytes.slice(..20)), None, "cut short");
    let assigned = assignment_bytes(1, &owned).expect("short strings");
    assert_eq!(assigned, hex("0001 00000001 0002 7474 00000002 00000000 00000002 ffffffff"));
    assert_eq!(assigned_partitions(&assigned), Some(owned));
    assert_eq!(assigned_partitions(&Bytes::new()), Some(vec![]));
    assert_eq!(assigned_partitions(&Bytes::from_static(&[0, 1, 9])), None);
}
