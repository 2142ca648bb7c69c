//! Messages of the old formats: as others write them, there and back, cut and changed.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use bytes::Bytes;
use proptest::prelude::*;

use super::read::{Message, Messages};
use super::*;
use crate::model::{ErrorCode, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::wire::record::{
    BatchBuilder, BatchHeader, Compression, DecompressionLimit, EndTransactionMarker, NewRecord, Rejection, Rules,
    TimestampType, TransactionOutcome, ValidBatch, verify_crc,
};

const LIMIT: DecompressionLimit = DecompressionLimit { bytes_max: 1 << 20 };
const OLD_CODECS: [Codec; 4] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4];
const BOTH: [LegacyMagic; 2] = [LegacyMagic::V0, LegacyMagic::V1];

fn rules() -> Rules {
    Rules {
        compacted: false,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        batch_bytes_max: 1 << 20,
        segment_bytes_max: 1 << 24,
        compression: None,
        produce_version: 2,
        transactional_allowed: false,
        now: Timestamp(5_000),
        decompression: LIMIT,
        every_record: false,
    }
}

type Owned = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn new_records(records: &[Owned]) -> Vec<NewRecord<'_>> {
    let mut all = Vec::new();
    for (timestamp, key, value) in records {
        let (key, value) = (key.as_deref(), value.as_deref());
        all.push(NewRecord { timestamp: Timestamp(*timestamp), key, value, headers: &[] });
    }
    all
}

fn sample() -> Vec<Owned> {
    let text = |text: &str| Some(text.as_bytes().to_vec());
    vec![(1_000, text("k"), text("first")), (3_000, None, text("second, longer")), (2_000, text(""), None)]
}

fn upgraded(set: &[u8], rules: &Rules) -> Result<(ValidBatch, u64), Rejection> {
    match up_convert(&Bytes::copy_from_slice(set), rules, &mut Vec::new())? {
        Upgraded::Batch { batch, converted } => Ok((batch, converted)),
        Upgraded::Nothing => panic!("nothing of {} bytes", set.len()),
    }
}

/// The batch as it would lie in the log.
fn stored(batch: &ValidBatch, base: i64) -> Vec<u8> {
    let mut bytes = batch.placed(Offset(base), LeaderEpoch(3)).to_vec();
    bytes.extend_from_slice(&batch.body);
    bytes
}

/// Offset, timestamp, key and value of each record of a batch.
fn records_of(batch: &[u8]) -> Vec<(i64, Owned)> {
    let header = BatchHeader::decode(batch).expect("a header");
    assert_eq!(verify_crc(&header, batch), Ok(()));
    let mut scratch = Vec::new();
    let records = header.read_records(batch, LIMIT, &mut scratch).expect("records");
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    records
        .map(|record| {
            let record = record.expect("a record");
            let timestamp = header.timestamp_of(&record).0;
            (header.offset_of(&record).0, (timestamp, owned(record.key), owned(record.value)))
        })
        .collect()
}

/// The same of a message set, whose CRCs must be right.
fn messages_of(set: &[u8]) -> Vec<(i64, Owned)> {
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let of = |message: &Message<'_>| (message.offset, (message.timestamp.0, owned(message.key), owned(message.value)));
    let mut found = Vec::new();
    for message in Messages::new(set) {
        let message = message.expect("a message");
        message.verify_crc().expect("its CRC");
        match message.codec().expect("a codec") {
            Codec::None => found.push(of(&message)),
            codec @ (Codec::Gzip | Codec::Snappy | Codec::Lz4 | Codec::Zstd) => {
                let mut scratch = Vec::new();
                for inner in message.inside(codec, LIMIT, &mut scratch).expect("inside") {
                    let inner = inner.expect("a message");
                    inner.verify_crc().expect("its CRC");
                    found.push(of(&inner));
                }
            }
        }
    }
    found
}

fn target(magic: LegacyMagic, offset: i64) -> Target {
    Target { magic, offset: Offset(offset), bytes_max: 1 << 20, decompression: LIMIT }
}

fn downgraded(bytes: &[u8], target: Target) -> Result<(Vec<u8>, u64), DownError> {
    let mut converter = DownConverter::new(target);
    converter.convert(bytes)?;
    Ok(converter.finish())
}

/// A batch of the new format at offset 10, with the values given.
fn batch(codec: impl Into<Compression>, values: &[&[u8]]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec).at(Offset(10), LeaderEpoch(1));
    for (timestamp, value) in (500..).zip(values) {
        let record = NewRecord { timestamp: Timestamp(timestamp), value: Some(value), ..NewRecord::default() };
        builder.append(&record).expect("a small record");
    }
    builder.build().expect("a batch")
}

/// What Kafka's `MemoryRecordsBuilder` writes for key `k`, value `v` and time 1000.
#[test]
fn messages_are_those_of_other_implementations_byte_for_byte() {
    let record = NewRecord { timestamp: Timestamp(1_000), key: Some(b"k"), value: Some(b"v"), headers: &[] };
    let set = |magic| message_set(magic, Codec::None, Offset(7), &[record]).expect("a message");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&set(LegacyMagic::V0)), "0000000000000007000000101fecd70a0000000000016b0000000176");
    assert_eq!(hex(&set(LegacyMagic::V1)), "000000000000000700000018e4e321bc010000000000000003e8000000016b0000000176");
}

#[test]
fn what_old_producers_send_becomes_a_batch() {
    for magic in BOTH {
        for codec in OLD_CODECS {
            let records = sample();
            let set = message_set(magic, codec, Offset(0), &new_records(&records)).expect("a set");
            let (batch, converted) = upgraded(&set, &rules()).expect("converted");
            assert_eq!(converted, 3);
            assert_eq!(batch.header.attributes.codec(), Ok(codec), "it keeps its codec");
            assert_eq!((batch.header.base_offset, batch.header.producer_id), (Offset(0), ProducerId::NONE));
            let time = |time| if magic == LegacyMagic::V0 { -1 } else { time };
            let expected = (40..).zip(records).map(|(offset, (at, key, value))| (offset, (time(at), key, value)));
            assert_eq!(records_of(&stored(&batch, 40)), expected.collect::<Vec<_>>(), "{magic:?} {codec}");
            assert_eq!(batch.header.max_timestamp, Timestamp(time(3_000)));
        }
    }
}

#[test]
fn topics_have_their_codec_their_clock_and_their_limits() {
    let (records, set) =
        (sample(), |magic, codec| message_set(magic, codec, Offset(0), &new_records(&sample())).expect("a set"));
    assert_eq!(records.len(), 3);
    let zstd = Rules { compression: Some(Codec::Zstd.into()), ..rules() };
    let (batch, _) = upgraded(&set(LegacyMagic::V1, Codec::Gzip), &zstd).expect("converted");
    assert_eq!(batch.header.attributes.codec(), Ok(Codec::Zstd));
    let stamped = Rules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    let (batch, _) = upgraded(&set(LegacyMagic::V0, Codec::None), &stamped).expect("converted");
    assert!(records_of(&stored(&batch, 0)).iter().all(|(_, record)| record.0 == 5_000), "the broker's time");

    let code = |set: &[u8], rules: &Rules| upgraded(set, rules).expect_err("a refusal").code();
    let old = Rules { timestamp_before_max_ms: 2_500, ..rules() };
    let refusal = upgraded(&set(LegacyMagic::V1, Codec::Snappy), &old).expect_err("too old");
    assert_eq!(refusal.code(), ErrorCode::InvalidTimestamp);
    assert_eq!(refusal.rejected_records().iter().map(|record| record.index).collect::<Vec<_>>(), [0, 2]);
    let compacted = Rules { compacted: true, ..rules() };
    let refusal = upgraded(&set(LegacyMagic::V0, Codec::None), &compacted).expect_err("no key");
    assert_eq!((refusal.code(), refusal.rejected_records()[0].index), (ErrorCode::InvalidRecord, 1));
    let small = Rules { batch_bytes_max: 60, ..rules() };
    assert_eq!(code(&set(LegacyMagic::V0, Codec::None), &small), ErrorCode::MessageTooLarge, "as one batch");
    let small = Rules { batch_bytes_max: 30, ..rules() };
    assert_eq!(code(&set(LegacyMagic::V0, Codec::None), &small), ErrorCode::MessageTooLarge, "one message");
    let tiny = Rules { decompression: DecompressionLimit { bytes_max: 50 }, ..rules() };
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4] {
        assert_eq!(code(&set(LegacyMagic::V0, codec), &tiny), ErrorCode::MessageTooLarge, "{codec}");
    }
    let segments = Rules { segment_bytes_max: 70, ..rules() };
    assert_eq!(code(&set(LegacyMagic::V0, Codec::None), &segments), ErrorCode::RecordListTooLarge);
}

/// A message with these attributes and this value, whole but for what it says.
fn odd(magic: i8, attributes: u8, timestamp: i64, value: Option<&[u8]>) -> Vec<u8> {
    let mut message = vec![0; 16];
    message.extend_from_slice(&[magic.cast_unsigned(), attributes]);
    if magic == 1 {
        message.extend_from_slice(&timestamp.to_be_bytes());
    }
    message.extend_from_slice(&(-1_i32).to_be_bytes());
    let len = value.map_or(-1, |value| i32::try_from(value.len()).expect("short"));
    message.extend_from_slice(&len.to_be_bytes());
    message.extend_from_slice(value.unwrap_or_default());
    let len = i32::try_from(message.len() - 12).expect("short");
    message[8..12].copy_from_slice(&len.to_be_bytes());
    let crc = crc32(&message[16..]);
    message[12..16].copy_from_slice(&crc.to_be_bytes());
    message
}

#[test]
fn what_cannot_be_gets_kafkas_code() {
    let packed = |codec, inner: &[u8]| {
        let mut out = Vec::new();
        crate::wire::record::compress(Compression::from(codec), inner, &mut out).expect("compressed");
        out
    };
    let code = |set: &[u8]| upgraded(set, &rules()).expect_err("a refusal").code();
    use ErrorCode::{CorruptMessage, InvalidRecord, InvalidTimestamp};
    let one = odd(0, 0, 0, Some(b"v"));
    let new = odd(1, 0, 9, Some(b"v"));
    assert_eq!(code(&[&one[..], &new[..]].concat()), InvalidRecord, "two formats");
    assert_eq!(code(&[&one[..], &batch(Codec::None, &[b"v"])[..]].concat()), InvalidRecord, "the new format behind");
    let gzip = odd(0, 1, 0, Some(&packed(Codec::Gzip, &one)));
    assert_eq!(upgraded(&gzip, &rules()).map(|(_, count)| count), Ok(1));
    assert_eq!(code(&[&gzip[..], &one[..]].concat()), InvalidRecord, "compressed, and more");
    assert_eq!(code(&[&one[..], &gzip[..]].concat()), InvalidRecord, "more, and compressed");
    assert_eq!(code(&odd(0, 1, 0, Some(&packed(Codec::Gzip, &gzip)))), InvalidRecord, "compressed twice");
    assert_eq!(code(&odd(0, 1, 0, None)), InvalidRecord, "compressed nothing");
    assert_eq!(code(&odd(0, 1, 0, Some(&packed(Codec::Gzip, b"")))), InvalidRecord, "compressed emptiness");
    assert_eq!(code(&odd(0, 1, 0, Some(b"no gzip"))), InvalidRecord);
    assert_eq!(code(&odd(1, 1, 0, Some(&packed(Codec::Gzip, &one)))), InvalidRecord, "another format inside");
    for codec in 4..8 {
        assert_eq!(code(&odd(1, codec, 0, Some(b"v"))), InvalidRecord, "codec {codec}");
    }
    assert_eq!(
        upgraded(&odd(1, 0x08, 9, Some(b"v")), &rules()).map(|(_, count)| count),
        Ok(1),
        "taken for a create time"
    );
    let stamped = Rules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    let claim = upgraded(&odd(1, 0x08, 9, Some(b"v")), &stamped).expect_err("only a broker may claim that");
    assert_eq!(claim.code(), InvalidTimestamp);
    assert_eq!(code(&odd(1, 0, -2, Some(b"v"))), InvalidTimestamp, "before 1970");
    let mut damaged = one.clone();
    damaged[12] ^= 1;
    assert_eq!(code(&damaged), CorruptMessage);
    let inside = odd(0, 1, 0, Some(&packed(Codec::Gzip, &damaged)));
    assert_eq!(code(&inside), CorruptMessage, "the CRC of a message inside");
    assert_eq!(code(&one[..one.len() - 1]), InvalidRecord, "nothing whole");
    assert_eq!(up_convert(&Bytes::new(), &rules(), &mut Vec::new()), Ok(Upgraded::Nothing));
    let behind = [&one[..], &one[..20]].concat();
    assert_eq!(upgraded(&behind, &rules()).map(|(_, count)| count), Ok(1), "a tail that is cut off");
    let (through, converted) = upgraded(&batch_at_0(), &rules()).expect("the new format");
    assert_eq!((through.header.records, converted), (1, 0));
    // librdkafka before 0.11 gives every message inside offset 0, and the wrapper too.
    let zero = odd(1, 0, 9, Some(b"v"));
    let zeros = odd(1, 1, 9, Some(&packed(Codec::Gzip, &[&zero[..], &zero[..]].concat())));
    let (batch, _) = upgraded(&zeros, &rules()).expect("converted");
    assert_eq!(records_of(&stored(&batch, 5)).iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [5, 6]);
}

fn batch_at_0() -> Vec<u8> {
    let mut builder = BatchBuilder::new(Codec::None);
    builder.append(&NewRecord { value: Some(b"v"), ..NewRecord::default() }).expect("a small record");
    builder.build().expect("a batch")
}

#[test]
fn what_lies_in_the_log_is_read_by_old_consumers() {
    for codec in OLD_CODECS {
        let batch = batch(codec, &[b"a", b"b", b"c"]);
        for magic in BOTH {
            let (set, converted) = downgraded(&batch, target(magic, 10)).expect("converted");
            let time = |time| if magic == LegacyMagic::V0 { -1 } else { time };
            let expected = [(10, 500, b"a"), (11, 501, b"b"), (12, 502, b"c")]
                .map(|(o, t, v)| (o, (time(t), None, Some(v.to_vec()))));
            assert_eq!((messages_of(&set), converted), (expected.to_vec(), 3), "{magic:?} {codec}");
            // In the middle: what stands alone is left out, what is compressed stays whole.
            let (set, _) = downgraded(&batch, target(magic, 12)).expect("converted");
            assert_eq!(messages_of(&set).len(), if codec == Codec::None { 1 } else { 3 });
            assert_eq!(downgraded(&batch, target(magic, 13)), Ok((vec![], 0)), "behind all of it");
            let wrapper = Messages::new(&set).next().expect("one").expect("a message");
            assert_eq!(wrapper.offset, 12, "the offset of the last one");
        }
    }
}

#[test]
fn headers_are_dropped_and_the_brokers_time_is_kept() {
    let mut builder = BatchBuilder::new(Codec::Gzip).at(Offset(10), LeaderEpoch(1)).log_append_time(Timestamp(900));
    let headers = [crate::wire::record::Header { key: b"h", value: Some(b"x") }];
    builder
        .append(&NewRecord { timestamp: Timestamp(5), key: None, value: Some(b"v"), headers: &headers })
        .expect("small");
    let batch = builder.build().expect("a batch");
    let (set, _) = downgraded(&batch, target(LegacyMagic::V1, 0)).expect("converted");
    assert_eq!(messages_of(&set), [(10, (900, None, Some(b"v".to_vec())))]);
    let wrapper = Messages::new(&set).next().expect("one").expect("a message");
    assert!(wrapper.has_append_time() && wrapper.timestamp == Timestamp(900));
}

#[test]
fn what_old_consumers_cannot_read_is_left_out_or_refused() {
    let marker = EndTransactionMarker { outcome: TransactionOutcome::Committed, coordinator_epoch: 1 };
    let marker =
        BatchBuilder::end_transaction(marker, (ProducerId(1), ProducerEpoch(0)), Timestamp(5)).expect("a marker");
    let mut converter = DownConverter::new(target(LegacyMagic::V1, 0));
    converter.convert(&marker).expect("left out");
    assert!(converter.is_empty() && !converter.is_full());
    assert_eq!(converter.next_offset(), Offset(1), "the reader goes on behind it");
    let zstd = batch(Codec::Zstd, &[b"a"]);
    assert_eq!(downgraded(&zstd, target(LegacyMagic::V1, 0)), Err(DownError::Zstd));
    // What stands before it is sent; the refusal comes with the next fetch.
    let both = [batch(Codec::None, &[b"a"]), zstd].concat();
    assert_eq!(downgraded(&both, target(LegacyMagic::V1, 0)).map(|(_, count)| count), Ok(1));
    let huge = batch(Codec::Gzip, &[&[0; 10_000]]);
    let tight = Target { decompression: DecompressionLimit { bytes_max: 5_000 }, ..target(LegacyMagic::V0, 0) };
    assert!(matches!(downgraded(&huge, tight), Err(DownError::Read(_))));
}

#[test]
fn no_more_is_sent_than_was_asked_for_but_one_message() {
    for codec in [Codec::None, Codec::Snappy] {
        let two = [batch(codec, &[&[1; 100], &[2; 100]]), batch(codec, &[&[3; 100], &[4; 100]])].concat();
        let whole = downgraded(&two, target(LegacyMagic::V1, 0)).expect("converted").0.len();
        for bytes_max in [0, 1, 134, 135, 268, 300, whole - 1, whole] {
            let mut converter = DownConverter::new(Target { bytes_max, ..target(LegacyMagic::V1, 0) });
            converter.convert(&two).expect("converted");
            assert_eq!(converter.is_full(), bytes_max < whole);
            let (set, count) = converter.finish();
            assert!(!set.is_empty() && (set.len() <= bytes_max || Messages::new(&set).count() == 1), "{bytes_max}");
            assert_eq!(messages_of(&set).len(), usize::try_from(count).expect("few"));
        }
    }
}

#[test]
fn what_is_old_in_the_log_is_sent_as_it_is_or_converted_further() {
    for codec in OLD_CODECS {
        let set = |magic| message_set(magic, codec, Offset(10), &new_records(&sample())).expect("a set");
        let (old, middle) = (set(LegacyMagic::V0), set(LegacyMagic::V1));
        assert_eq!(downgraded(&old, target(LegacyMagic::V1, 10)), Ok((old.clone(), 0)));
        assert_eq!(downgraded(&middle, target(LegacyMagic::V1, 10)), Ok((middle.clone(), 0)));
        let (further, count) = downgraded(&middle, target(LegacyMagic::V0, 10)).expect("converted");
        assert_eq!((messages_of(&further), count), (messages_of(&old), 3), "{codec}");
    }
}

/// As the first writers of LZ4 did it: a checksum over the frame's magic too, which a reader of the frame format refuses.
#[test]
fn lz4_frames_of_magic_0_have_the_checksum_that_old_readers_demand() {
    let sets = BOTH.map(|magic| message_set(magic, Codec::Lz4, Offset(0), &new_records(&sample())).expect("a set"));
    let frames = sets.each_ref().map(|set| {
        let message = Messages::new(set).next().expect("one").expect("a message");
        message.value.expect("a frame").to_vec()
    });
    assert_eq!(frames[0][..6], frames[1][..6]);
    assert_eq!((frames[0][6], frames[1][6]), (0x1a, 0x82), "the checksums of a header of 64 KiB blocks");
    let plain = crate::wire::record::decompress(Codec::Lz4, &frames[0], LIMIT, &mut Vec::new());
    assert!(plain.is_err(), "only a reader of magic 0 takes it");
}

fn any_records() -> impl Strategy<Value = Vec<Owned>> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60));
    proptest::collection::vec((prop_oneof![Just(-1), 0..=i64::MAX], bytes(), bytes()), 1..20)
}

fn any_codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(&OLD_CODECS[..])
}

fn any_magic() -> impl Strategy<Value = LegacyMagic> {
    proptest::sample::select(&BOTH[..])
}

/// Gives every whole message the CRC that it should have.
fn seal_all(set: &mut [u8]) {
    let mut rest = set;
    while let Some(length) = rest.get(8..).and_then(|rest| rest.first_chunk()) {
        let end = usize::try_from(i32::from_be_bytes(*length)).map_or(usize::MAX, |length| length + OVERHEAD_BYTES);
        let Some((message, behind)) = rest.split_at_mut_checked(end).filter(|_| CRC_COVERS_FROM <= end) else { break };
        let crc = crc32(&message[CRC_COVERS_FROM..]);
        message[CRC_AT..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
        rest = behind;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn records_go_up_and_down_and_are_the_same(
        records in any_records(), codec in any_codec(), (sent, read) in (any_magic(), any_magic()), base in 0..i64::MAX / 2,
    ) {
        let set = message_set(sent, codec, Offset(0), &new_records(&records)).expect("a set");
        let (batch, count) = upgraded(&set, &rules()).expect("converted");
        prop_assert_eq!(usize::try_from(count), Ok(records.len()));
        let (set, count) = downgraded(&stored(&batch, base), target(read, base)).expect("converted");
        prop_assert_eq!(usize::try_from(count), Ok(records.len()));
        let timeless = sent == LegacyMagic::V0 || read == LegacyMagic::V0;
        let expected = (base..).zip(records).map(|(offset, (time, key, value))| {
            (offset, (if timeless { -1 } else { time }, key, value))
        });
        prop_assert_eq!(messages_of(&set), expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_set_that_is_cut_or_changed_ends_in_an_error_or_in_records_within_the_limits(
        records in any_records(), codec in any_codec(), magic in any_magic(), changes in proptest::collection::vec(any::<(usize, u8)>(), 0..4),
        cut in any::<usize>(), mended in any::<bool>(),
    ) {
        let mut set = message_set(magic, codec, Offset(0), &new_records(&records)).expect("a set");
        for (at, byte) in changes {
            let at = at % set.len();
            set[at] = byte;
        }
        if mended && 16 < set.len() {
            // A peer that lies takes the trouble to make the CRC right.
            let crc = crc32(&set[16..]);
            set[12..16].copy_from_slice(&crc.to_be_bytes());
        }
        set.truncate(cut % (set.len() + 1));
        let mut scratch = Vec::new();
        let rules = Rules { decompression: DecompressionLimit { bytes_max: 4_096 }, ..rules() };
        if let Ok(Upgraded::Batch { batch, .. }) = up_convert(&Bytes::from(set.clone()), &rules, &mut scratch) {
            prop_assert!(!records_of(&stored(&batch, 7)).is_empty());
        }
        prop_assert!(scratch.capacity() <= 64 << 10, "{} bytes", scratch.capacity());
        let _ = downgraded(&set, Target { decompression: rules.decompression, ..target(LegacyMagic::V0, 0) });
    }

    /// Lies behind checksums that fit, and inside a compressed message: what is taken has as many records in every format.
    #[test]
    fn a_set_that_was_changed_before_it_was_sealed_is_refused_or_goes_up_and_down(
        records in any_records(), codec in any_codec(), (inner, outer) in (any_magic(), any_magic()),
        changes in proptest::collection::vec(any::<(usize, u8)>(), 0..4), offset in -3..40_i64,
    ) {
        let mut set = message_set(inner, Codec::None, Offset(0), &new_records(&records)).expect("a set");
        for (at, byte) in changes {
            let at = at % set.len();
            set[at] = byte;
        }
        seal_all(&mut set);
        if codec != Codec::None {
            let head = write::Head {
                magic: outer,
                timestamp_type: TimestampType::CreateTime,
                codec: codec_bits(codec).expect("a codec of old formats"),
            };
            let mut wrapped = Vec::new();
            write::put_wrapper(&mut wrapped, (head, codec.into()), offset, Timestamp(1_000), &set).expect("small");
            set = wrapped;
        }
        for magic in BOTH {
            let _ = downgraded(&set, target(magic, offset));
        }
        let up = up_convert(&Bytes::from(set), &rules(), &mut Vec::new());
        if let Ok(Upgraded::Batch { batch, converted }) = up && 0 < converted {
            let log = stored(&batch, 7);
            prop_assert_eq!(u64::try_from(records_of(&log).len()), Ok(converted));
            for magic in BOTH {
                let (set, count) = downgraded(&log, target(magic, 7)).expect("old codecs");
                prop_assert_eq!((count, messages_of(&set).len()), (converted, records_of(&log).len()));
            }
        }
    }

    #[test]
    fn a_batch_that_is_cut_or_changed_goes_down_to_an_error_or_to_messages(
        codec in proptest::sample::select(&Codec::ALL[..]), magic in any_magic(), changes in proptest::collection::vec(any::<(usize, u8)>(), 0..4),
        cut in any::<usize>(), offset in 0..20_i64,
    ) {
        let mut log = [batch(codec, &[b"one", b"two"]), batch(codec, &[b"three"])].concat();
        for (at, byte) in changes {
            let at = at % log.len();
            log[at] = byte;
        }
        log.truncate(cut % (log.len() + 1));
        if let Ok((set, _)) = downgraded(&log, target(magic, offset)) {
            for message in Messages::new(&set) {
                prop_assert!(message.expect("what we wrote is read").verify_crc().is_ok());
            }
        }
    }
}
