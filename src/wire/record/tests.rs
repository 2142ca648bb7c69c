//! What other implementations write is read, and they read what is written here: the crate `kafka-protocol` in two
//! versions, and batches that real clients wrote into a real Kafka's log.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

const LIMIT: DecompressionLimit = DecompressionLimit { bytes_max: 16 << 20 };

/// A record of either implementation, in the words that both have.
#[derive(Clone, PartialEq, Debug)]
struct Plain {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        Just(None),
        proptest::collection::vec(any::<u8>(), 0..80).prop_map(Some),
        (any::<u8>(), 0..5_000_usize).prop_map(|(byte, len)| Some(vec![byte; len])),
    ]
}

fn records() -> impl Strategy<Value = Vec<Plain>> {
    let header = ("[a-zä]{0,9}", bytes());
    // 0.15 writes timestamps of one batch that are further apart than 32 bits of milliseconds wrongly.
    let record = (0_i64..1 << 30, bytes(), bytes(), proptest::collection::vec(header, 0..4));
    (-1_i64..2_000_000_000_000, proptest::collection::vec(record, 1..20)).prop_map(|(start, records)| {
        (0..)
            .zip(records)
            .map(|(offset, (delta, key, value, mut headers))| {
                let timestamp = start + delta;
                // The other implementation keeps headers in a map.
                headers.sort();
                headers.dedup_by(|a, b| a.0 == b.0);
                Plain { offset, timestamp, key, value, headers }
            })
            .collect()
    })
}

fn written_here(codec: Codec, records: &[Plain]) -> Vec<u8> {
    let mut builder =
        BatchBuilder::new(codec).producer(ProducerId(4_000), ProducerEpoch(3), 17).at(Offset(0), LeaderEpoch(5));
    for record in records {
        let headers = record.headers.iter().map(|(key, value)| Header { key: key.as_bytes(), value: value.as_deref() });
        let headers = headers.collect::<Vec<_>>();
        let new = NewRecord {
            timestamp: Timestamp(record.timestamp),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        builder.append(&new).expect("a small record");
    }
    builder.build().expect("a small batch")
}

fn read_here(batches: &[u8]) -> Vec<Plain> {
    let mut all = Batches::new(batches);
    let mut found = Vec::new();
    for batch in all.by_ref() {
        let (header, batch) = batch.expect("a batch");
        assert_eq!(verify_crc(&header, batch), Ok(()));
        let mut scratch = Vec::new();
        for record in header.read_records(batch, LIMIT, &mut scratch).expect("records") {
            let record = record.expect("a record");
            let text = |key: &[u8]| String::from_utf8(key.to_vec()).expect("UTF-8");
            found.push(Plain {
                offset: header.offset_of(&record).0,
                timestamp: header.timestamp_of(&record).0,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: record.headers.iter().map(|h| (text(h.key), h.value.map(<[u8]>::to_vec))).collect(),
            });
        }
    }
    assert_eq!(all.rest(), b"", "all of it was read");
    found
}

/// The same adapter for both versions of the crate, whose types differ in name only.
macro_rules! oracle {
    ($name:ident, $crate_name:ident $(, $newer:ident)?) => {
        mod $name {
            use $crate_name::protocol::StrBytes;
            use $crate_name::records::{
                Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
            };
            use bytes::{Bytes, BytesMut};

            use super::{Codec, Plain};

            pub(super) fn write(codec: Codec, records: &[Plain]) -> Vec<u8> {
                let records = records.iter().map(|plain| Record {
                    transactional: false,
                    control: false,
                    $($newer: false,)?
                    partition_leader_epoch: 5,
                    producer_id: 4_000,
                    producer_epoch: 3,
                    timestamp_type: TimestampType::Creation,
                    offset: plain.offset,
                    sequence: i32::try_from(plain.offset).expect("small") + 17,
                    timestamp: plain.timestamp,
                    key: plain.key.clone().map(Bytes::from),
                    value: plain.value.clone().map(Bytes::from),
                    headers: plain
                        .headers
                        .iter()
                        .map(|(key, value)| (StrBytes::from_string(key.clone()), value.clone().map(Bytes::from)))
                        .collect(),
                });
                let compression = match codec {
                    Codec::None => Compression::None,
                    Codec::Gzip => Compression::Gzip,
                    Codec::Snappy => Compression::Snappy,
                    Codec::Lz4 => Compression::Lz4,
                    Codec::Zstd => Compression::Zstd,
                };
                let records = records.collect::<Vec<_>>();
                let mut out = BytesMut::new();
                let options = RecordEncodeOptions { version: 2, compression };
                RecordBatchEncoder::encode(&mut out, &records, &options).expect("encoded by the oracle");
                out.to_vec()
            }

            pub(super) fn read(batch: &[u8]) -> Vec<Plain> {
                let set = RecordBatchDecoder::decode(&mut Bytes::copy_from_slice(batch)).expect("read by the oracle");
                let records: Vec<Record> = set.records;
                let plain = |record: Record| Plain {
                    offset: record.offset,
                    timestamp: record.timestamp,
                    key: record.key.map(|bytes| bytes.to_vec()),
                    value: record.value.map(|bytes| bytes.to_vec()),
                    headers: record
                        .headers
                        .into_iter()
                        .map(|(key, value)| (key.to_string(), value.map(|bytes| bytes.to_vec())))
                        .collect(),
                };
                records.into_iter().map(plain).collect()
            }
        }
    };
}

oracle!(oracle_015, kafka_protocol_015);
oracle!(oracle_018, kafka_protocol_018, delete_horizon);

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_one_writes_the_other_reads(records in records(), codec in 0_usize..5) {
        let codec = Codec::ALL[codec];
        let ours = written_here(codec, &records);
        prop_assert_eq!(&read_here(&ours), &records);
        // 0.15 knows raw snappy only, not the framing that Kafka reads and writes, and loses its way at a header whose
        // value is null. What it writes is read below.
        let null_header = records.iter().flat_map(|record| &record.headers).any(|(_, value)| value.is_none());
        if codec != Codec::Snappy && !null_header {
            prop_assert_eq!(&oracle_015::read(&ours), &records);
        }
        prop_assert_eq!(&oracle_018::read(&ours), &records);
        for theirs in [oracle_015::write(codec, &records), oracle_018::write(codec, &records)] {
            prop_assert_eq!(&read_here(&theirs), &records);
            if codec == Codec::None {
                let (a, b) = (BatchHeader::decode(&ours).expect("ours"), BatchHeader::decode(&theirs).expect("theirs"));
                prop_assert_eq!(a.max_timestamp, b.max_timestamp);
                prop_assert_eq!(
                    (a.last_offset_delta, a.producer_id, a.base_sequence, a.records),
                    (b.last_offset_delta, b.producer_id, b.base_sequence, b.records)
                );
            }
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic_or_hoard(bytes in proptest::collection::vec(any::<u8>(), 0..300), codec in 0_i16..8) {
        explore(&bytes);
        let mut batch = written_here(Codec::None, &[]
            .into_iter().chain([Plain { offset: 0, timestamp: 0, key: None, value: Some(bytes), headers: vec![] }])
            .collect::<Vec<_>>());
        batch[22] = u8::try_from(codec).expect("small");
        explore(&batch);
    }
}

/// Everything that reads bytes of a peer, on any bytes. Nothing to assert but what the readers promise of themselves.
fn explore(bytes: &[u8]) {
    let limit = DecompressionLimit { bytes_max: 1 << 16 };
    let mut scratch = Vec::new();
    for batch in Batches::new(bytes) {
        let Ok((header, batch)) = batch else { continue };
        let _ = verify_crc(&header, batch);
        if let Ok(records) = header.read_records(batch, limit, &mut scratch) {
            for record in records.flatten() {
                let _ = (header.offset_of(&record), header.timestamp_of(&record), record.headers.iter().count());
                let _ = EndTransactionMarker::of(&record);
            }
        }
    }
    for codec in Codec::ALL {
        scratch.clear();
        let _ = decompress(codec, bytes, limit, &mut scratch);
        assert!(scratch.len() <= limit.bytes_max);
    }
}

/// A short fuzz run with a fixed seed: batches of every codec, changed at random places, with a CRC made to fit so that the
/// damage reaches the inner readers. The long runs are in `integration/fuzz`.
#[test]
fn changed_batches_with_a_right_crc_end_in_an_error_or_in_records() {
    let plain = |offset: i64| Plain {
        offset,
        timestamp: offset * 7,
        key: (offset % 3 != 0).then(|| vec![b'k'; 9]),
        value: Some(b"some text that repeats, some text that repeats".to_vec()),
        headers: vec![("h".to_owned(), None), ("i".to_owned(), Some(vec![1, 2, 3]))],
    };
    let records = (0..12).map(plain).collect::<Vec<_>>();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).expect("31 bits") % below
    };
    let rules = validate_rules();
    for codec in Codec::ALL {
        let batch = written_here(codec, &records);
        for _ in 0..3_000 {
            let mut changed = batch.clone();
            for _ in 0..=next(3) {
                let at = next(changed.len());
                changed[at] = u8::try_from(next(256)).expect("a byte");
            }
            if next(4) == 0 {
                changed.truncate(BATCH_HEADER_BYTES + next(changed.len() - BATCH_HEADER_BYTES));
            }
            explore(&changed);
            if let Ok(header) = BatchHeader::decode(&changed) {
                let body = &changed[BATCH_HEADER_BYTES..];
                let sealed = [&header.sealed(body).encode()[..], body].concat();
                explore(&sealed);
                if let Ok(valid) = validate(&sealed.into(), &rules, &mut Vec::new()) {
                    let whole = [&valid.header.encode()[..], &valid.body].concat();
                    assert_eq!(verify_crc(&valid.header, &whole), Ok(()));
                    let mut scratch = Vec::new();
                    let read = valid.header.read_records(&whole, rules.decompression, &mut scratch).expect("records");
                    assert!(read.into_iter().all(|record| record.is_ok()), "every record was looked at");
                }
            }
        }
    }
}

fn validate_rules() -> Rules {
    Rules {
        compacted: false,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        batch_bytes_max: 1 << 20,
        segment_bytes_max: 1 << 20,
        compression: None,
        produce_version: 9,
        transactional_allowed: true,
        now: Timestamp(1_700_000_000_000),
        decompression: DecompressionLimit { bytes_max: 1 << 16 },
        every_record: true,
    }
}

/// Segments of a real Kafka 3.9.1, each with the one batch that a real client sent: `kafka-console-producer` 3.9.1
/// (`java`) and kcat 1.7.1 with librdkafka 2.0.2 (`rdkafka`), for every codec. Written by hand with two lines of input.
#[test]
fn batches_of_real_clients_are_read_and_accepted_as_they_are() {
    macro_rules! golden {
        ($($client:literal $codec:literal,)*) => {
            [$(($client, $codec, &include_bytes!(concat!("golden/", $client, "-", $codec, ".log"))[..]),)*]
        };
    }
    let files = golden![
        "java" "none", "java" "gzip", "java" "snappy", "java" "lz4", "java" "zstd",
        "rdkafka" "none", "rdkafka" "gzip", "rdkafka" "snappy", "rdkafka" "lz4", "rdkafka" "zstd",
    ];
    for (client, codec, file) in files {
        let header = BatchHeader::decode(file).expect("a header");
        assert_eq!(header.attributes.codec().map(Codec::name), Ok(codec));
        let records = read_here(file);
        let text = |bytes: &Option<Vec<u8>>| bytes.clone().map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
        for (n, record) in (1..).zip(&records) {
            assert_eq!(text(&record.key), Some(format!("k{n}")), "{client} {codec}");
            assert_eq!(text(&record.value), Some(format!("value {n} of a batch that repeats, repeats, repeats")));
            assert_eq!(record.headers.first().map(|(key, _)| key.as_str()), Some("h1"));
        }
        assert_eq!(records.len(), 2);
        assert_eq!(oracle_018::read(file), records);
        for every_record in [false, true] {
            let rules = Rules { every_record, compacted: every_record, ..validate_rules() };
            let valid = validate(&bytes::Bytes::from_static(file), &rules, &mut Vec::new()).expect("valid");
            assert_eq!([&valid.header.encode()[..], &valid.body].concat(), file, "{client} {codec} is stored as it is");
        }
    }
}
