#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use super::super::Attributes;
use super::super::{BatchBuilder, Header, NewRecord, assign_offset};
use super::*;
use crate::model::ProducerEpoch;

const NOW: i64 = 1_700_000_000_000;

fn rules() -> Rules {
    Rules {
        compacted: false,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        batch_bytes_max: 1_048_588,
        segment_bytes_max: 1 << 30,
        compression: None,
        produce_version: 9,
        transactional_allowed: false,
        now: Timestamp(NOW),
        decompression: DecompressionLimit { bytes_max: 16 << 20 },
        every_record: false,
    }
}

/// Keys and timestamps of the records of a batch.
fn builder(codec: Codec, records: &[(Option<&[u8]>, i64)]) -> BatchBuilder {
    let mut builder = BatchBuilder::new(codec);
    let headers = [Header { key: b"h", value: Some(b"1") }];
    for (key, timestamp) in records {
        let value = Some(&b"a value that repeats, a value that repeats"[..]);
        builder
            .append(&NewRecord { timestamp: Timestamp(*timestamp), key: *key, value, headers: &headers })
            .expect("a small record");
    }
    builder
}

fn plain(codec: Codec) -> Bytes {
    let records: [(Option<&[u8]>, i64); 3] = [(Some(b"a"), NOW - 5), (Some(b"b"), NOW), (None, NOW - 10)];
    builder(codec, &records).build().expect("a small batch").into()
}

/// `batch` with its header changed, and the CRC made to fit.
fn with_header(batch: &[u8], change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::decode(batch).expect("a header");
    change(&mut header);
    let body = &batch[BATCH_HEADER_BYTES..];
    [&header.sealed(body).encode()[..], body].concat().into()
}

fn check(batch: &Bytes, rules: &Rules) -> Result<ValidBatch, Rejection> {
    let result = validate(batch, rules, &mut Vec::new());
    if let Ok(valid) = &result {
        let whole = whole(valid);
        assert_eq!(verify_crc(&valid.header, &whole), Ok(()), "what is stored has a right CRC");
        assert_eq!(valid.header.len, whole.len());
    }
    result
}

fn code(batch: &Bytes, rules: &Rules) -> ErrorCode {
    check(batch, rules).expect_err("a rejection").code()
}

fn whole(valid: &ValidBatch) -> Vec<u8> {
    [&valid.header.encode()[..], &valid.body].concat()
}

fn offsets_and_times(valid: &ValidBatch) -> Vec<(i64, i64)> {
    let mut scratch = Vec::new();
    let whole = whole(valid);
    let records = valid.header.read_records(&whole, rules().decompression, &mut scratch).expect("records");
    let pair = |record| (valid.header.offset_of(&record).0, valid.header.timestamp_of(&record).0);
    records.map(|record| pair(record.expect("a record"))).collect()
}

#[test]
fn the_usual_batch_is_stored_as_it_came_and_never_inflated() {
    for codec in Codec::ALL {
        let batch = plain(codec);
        let mut scratch = Vec::new();
        let valid = validate(&batch, &rules(), &mut scratch).expect("valid");
        assert_eq!(whole(&valid), batch);
        assert_eq!(valid.body.as_ptr(), batch[BATCH_HEADER_BYTES..].as_ptr(), "no copy was made");
        assert_eq!(scratch.capacity(), 0, "nothing was decompressed");
        let mut placed = batch.to_vec();
        assign_offset(&mut placed, Offset(77), LeaderEpoch(4)).expect("a batch");
        assert_eq!(valid.placed(Offset(77), LeaderEpoch(4)), placed[..BATCH_HEADER_BYTES]);
    }
}

#[test]
fn lies_of_the_header_get_kafkas_code() {
    use ErrorCode::*;
    let batch = plain(Codec::None);
    let change = |change: fn(&mut BatchHeader)| code(&with_header(&batch, change), &rules());
    assert_eq!(change(|h| h.base_offset = Offset(1)), InvalidRecord);
    assert_eq!(change(|h| h.records = 0), InvalidRecord);
    assert_eq!(change(|h| h.records = -1), InvalidRecord);
    assert_eq!(change(|h| h.records = i32::MAX), InvalidRecord);
    assert_eq!(change(|h| (h.records, h.last_offset_delta) = (i32::MAX, i32::MAX - 1)), InvalidRecord);
    assert_eq!(change(|h| (h.records, h.last_offset_delta) = (i32::MIN, i32::MAX)), InvalidRecord);
    assert_eq!(change(|h| h.last_offset_delta = 7), InvalidRecord);
    assert_eq!(change(|h| h.attributes = h.attributes.control()), InvalidRecord);
    assert_eq!(change(|h| h.attributes = h.attributes.transactional()), TransactionalIdAuthorizationFailed);
    assert_eq!(change(|h| h.producer_id = ProducerId(1)), InvalidRecord, "no sequence");
    assert_eq!(change(|h| (h.producer_id, h.base_sequence) = (ProducerId(1), 0)), InvalidRecord, "no epoch");
    assert_eq!(change(|h| h.attributes = Attributes(5)), InvalidRecord);
    assert_eq!(change(|h| h.attributes = Attributes(7)), InvalidRecord);

    let allowed = Rules { transactional_allowed: true, ..rules() };
    let mut transactional = with_header(&batch, |h| h.attributes = h.attributes.transactional());
    assert_eq!(code(&transactional, &allowed), InvalidRecord, "no producer id");
    transactional = with_header(&transactional, |h| {
        (h.producer_id, h.producer_epoch, h.base_sequence) = (ProducerId(1), ProducerEpoch(0), 0);
    });
    assert!(check(&transactional, &allowed).is_ok());
    let idempotent = with_header(&transactional, |h| h.attributes = Attributes(0));
    assert!(check(&idempotent, &rules()).is_ok());
}

#[test]
fn lies_of_length_magic_and_crc_get_kafkas_code() {
    use ErrorCode::*;
    let batch = plain(Codec::Lz4).to_vec();
    let set = |at: usize, bytes: &[u8]| {
        let mut changed = batch.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        code(&changed.into(), &rules())
    };
    for length in [0, -1, i32::MIN, 13] {
        assert_eq!(set(8, &length.to_be_bytes()), CorruptMessage, "length {length}");
    }
    for length in [14_i32, 48, 49] {
        assert_eq!(set(8, &length.to_be_bytes()), CorruptMessage, "length {length}: the CRC covers less");
    }
    for length in [i32::MAX, i32::MAX - 12, 1 << 20] {
        assert_eq!(set(8, &length.to_be_bytes()), InvalidRecord, "length {length}: nothing whole");
    }
    for magic in [3, 9, 0x80, 0xff] {
        assert_eq!(set(16, &[magic]), CorruptMessage, "magic {magic}");
    }
    for magic in [0, 1] {
        assert_eq!(set(16, &[magic]), InvalidRecord, "magic {magic}");
    }
    assert_eq!(set(17, &[batch[17] ^ 1]), CorruptMessage, "CRC");
    assert_eq!(code(&Bytes::new(), &rules()), InvalidRecord);
    assert_eq!(code(&vec![0; 61].into(), &rules()), CorruptMessage);
}

#[test]
fn one_batch_and_bytes_that_are_none_behind_it() {
    let batch = plain(Codec::None);
    let twice: Bytes = [&batch[..], &batch[..]].concat().into();
    assert_eq!(check(&twice, &rules()), Err(Rejection::SeveralBatches));
    for extra in 1..batch.len() {
        let valid = check(&twice.slice(..batch.len() + extra), &rules()).expect("the first batch");
        assert_eq!(whole(&valid), batch, "{extra} bytes behind it");
    }
    let zeros: Bytes = [&batch[..], &[0; 20]].concat().into();
    assert_eq!(code(&zeros, &rules()), ErrorCode::CorruptMessage);
}

#[test]
fn cut_short_at_every_byte_nothing_is_accepted() {
    for codec in Codec::ALL {
        let batch = plain(codec);
        for len in 0..batch.len() {
            assert_eq!(code(&batch.slice(..len), &rules()), ErrorCode::InvalidRecord, "{codec} cut at {len}");
        }
    }
}

/// CRC-32C finds every single changed bit of what it covers; the rest of the header has checks of its own, but for the
/// leader epoch, which the broker overwrites.
#[test]
fn every_changed_bit_is_found_or_does_no_harm() {
    let batch = plain(Codec::Zstd);
    for bit in 0..batch.len() * 8 {
        let mut changed = batch.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        let harmless = (12..16).contains(&(bit / 8));
        match check(&changed.into(), &rules()) {
            Ok(valid) => assert!(harmless && valid.body == batch[BATCH_HEADER_BYTES..], "bit {bit} passed"),
            Err(error) => {
                assert!(!harmless, "bit {bit}: {error}");
                assert!(matches!(error.code(), ErrorCode::CorruptMessage | ErrorCode::InvalidRecord), "{error}");
            }
        }
    }
}

#[test]
fn sizes_have_limits_inclusive() {
    let batch = plain(Codec::None);
    let limits = |batch_bytes_max, segment_bytes_max| Rules { batch_bytes_max, segment_bytes_max, ..rules() };
    assert!(check(&batch, &limits(batch.len(), batch.len())).is_ok());
    assert_eq!(code(&batch, &limits(batch.len() - 1, batch.len())), ErrorCode::MessageTooLarge);
    assert_eq!(code(&batch, &limits(batch.len(), batch.len() - 1)), ErrorCode::RecordListTooLarge);
}

#[test]
fn zstd_needs_produce_7() {
    let old = Rules { produce_version: 6, ..rules() };
    assert_eq!(code(&plain(Codec::Zstd), &old), ErrorCode::UnsupportedCompressionType);
    assert!(check(&plain(Codec::Lz4), &old).is_ok());
}

#[test]
fn a_compacted_topic_names_the_records_without_a_key() {
    let compacted = Rules { compacted: true, ..rules() };
    for codec in Codec::ALL {
        let error = check(&plain(codec), &compacted).expect_err("a record without a key");
        assert_eq!(error.code(), ErrorCode::InvalidRecord);
        assert_eq!(error.rejected_records(), [RejectedRecord { index: 2, reason: NO_KEY }]);
        let keyed = builder(codec, &[(Some(b"a"), NOW), (Some(b""), NOW)]).build().expect("a small batch").into();
        assert_eq!(whole(&check(&keyed, &compacted).expect("keys")), keyed, "{codec} is kept");
    }
    let many = vec![(None, NOW); RECORD_ERRORS_MAX + 5];
    let many = builder(Codec::Gzip, &many).build().expect("a batch").into();
    let Err(Rejection::RecordsRejected { first, total, .. }) = check(&many, &compacted) else { panic!("rejected") };
    assert_eq!((first.len(), total), (RECORD_ERRORS_MAX, RECORD_ERRORS_MAX + 5), "the list is bounded");
}

#[test]
fn timestamps_out_of_range_are_named() {
    let bounds = |before, after| Rules { timestamp_before_max_ms: before, timestamp_after_max_ms: after, ..rules() };
    for codec in [Codec::None, Codec::Snappy] {
        let batch = plain(codec); // NOW − 5, NOW, NOW − 10
        assert!(check(&batch, &bounds(10, 0)).is_ok());
        let error = check(&batch, &bounds(7, 0)).expect_err("too old");
        assert_eq!(error.code(), ErrorCode::InvalidTimestamp);
        assert_eq!(error.rejected_records(), [RejectedRecord { index: 2, reason: TIMESTAMP_RANGE }]);
        let error = check(&batch, &Rules { now: Timestamp(NOW - 6), ..bounds(i64::MAX, 2) }).expect_err("too new");
        let indexes = error.rejected_records().iter().map(|record| record.index).collect::<Vec<_>>();
        assert_eq!((error.code(), indexes), (ErrorCode::InvalidTimestamp, vec![1]));
        assert!(check(&batch, &Rules { timestamp_type: TimestampType::LogAppendTime, ..bounds(0, 0) }).is_ok());
    }
    let untimed = builder(Codec::None, &[(None, -1)]).build().expect("a small batch").into();
    assert!(check(&untimed, &bounds(0, 0)).is_ok(), "no timestamp is no wrong timestamp");
}

#[test]
fn a_largest_timestamp_that_cannot_be_is_set_right() {
    let batch = with_header(&plain(Codec::Gzip), |h| h.max_timestamp = Timestamp::NONE);
    let valid = check(&batch, &rules()).expect("valid");
    assert_eq!(valid.header.max_timestamp, Timestamp(NOW));
    let ahead = with_header(&plain(Codec::Gzip), |h| h.max_timestamp = Timestamp(NOW + 1_000_000));
    let valid = check(&ahead, &Rules { timestamp_after_max_ms: 1_000, ..rules() }).expect("valid");
    assert_eq!(valid.header.max_timestamp, Timestamp(NOW), "the header lied, no record did");
}

#[test]
fn the_append_time_is_stamped() {
    let topic = Rules { timestamp_type: TimestampType::LogAppendTime, now: Timestamp(NOW + 9), ..rules() };
    for codec in Codec::ALL {
        let batch = plain(codec);
        let valid = check(&batch, &topic).expect("valid");
        assert_eq!(valid.body, batch[BATCH_HEADER_BYTES..], "not compressed anew");
        assert_eq!(offsets_and_times(&valid), [(0, NOW + 9), (1, NOW + 9), (2, NOW + 9)]);
        let claims =
            with_header(&batch, |h| h.attributes = h.attributes.with_timestamp_type(TimestampType::LogAppendTime));
        let error = check(&claims, &topic).expect_err("a producer's append time");
        assert_eq!((error.code(), error.rejected_records().len()), (ErrorCode::InvalidTimestamp, 3));
        let valid = check(&claims, &rules()).expect("as Kafka");
        assert_eq!(valid.header.attributes.timestamp_type(), TimestampType::CreateTime);
    }
}

#[test]
fn a_topic_with_a_codec_of_its_own_gets_it() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            let topic = Rules { compression: Some(to.into()), ..rules() };
            let batch = plain(from);
            let valid = check(&batch, &topic).expect("valid");
            assert_eq!(valid.header.attributes.codec(), Ok(to));
            assert_eq!(offsets_and_times(&valid), [(0, NOW - 5), (1, NOW), (2, NOW - 10)]);
            assert_eq!(valid.header.max_timestamp, Timestamp(NOW));
            if from == to {
                assert_eq!(whole(&valid), batch);
            }
        }
    }
    let large = vec![(None, NOW); 500];
    let packed: Bytes = builder(Codec::Zstd, &large).build().expect("a batch").into();
    let topic = Rules { compression: Some(Codec::None.into()), batch_bytes_max: packed.len() + 100, ..rules() };
    assert_eq!(code(&packed, &topic), ErrorCode::MessageTooLarge, "as it would be stored");
}

#[test]
fn damage_inside_is_found_where_records_are_looked_at() {
    let strict = Rules { every_record: true, ..rules() };
    for codec in Codec::ALL {
        let batch = plain(codec);
        assert_eq!(whole(&check(&batch, &strict).expect("valid")), batch);
        let fewer = with_header(&batch, |h| (h.records, h.last_offset_delta) = (2, 1));
        assert_eq!(code(&fewer, &strict), ErrorCode::InvalidRecord);
        let more = with_header(&batch, |h| (h.records, h.last_offset_delta) = (4, 3));
        assert_eq!(code(&more, &strict), ErrorCode::InvalidRecord);
        let mut garbage = batch.to_vec();
        garbage[BATCH_HEADER_BYTES..].fill(0xa5);
        assert_eq!(code(&with_header(&garbage, |_| ()), &strict), ErrorCode::InvalidRecord, "{codec}");
    }
    let zeros = vec![0; 32 << 20];
    let mut bomb = plain(Codec::Zstd)[..BATCH_HEADER_BYTES].to_vec();
    compress(Codec::Zstd.into(), &zeros, &mut bomb).expect("compressed");
    assert_eq!(code(&with_header(&bomb, |_| ()), &strict), ErrorCode::MessageTooLarge);
}

#[test]
fn offsets_that_do_not_count_from_0_are_set_right_where_records_are_looked_at() {
    for codec in Codec::ALL {
        let mut block = Vec::new();
        for offset_delta in [5, 5, 0] {
            let record = super::super::Record { offset_delta, key: Some(b"k"), ..Default::default() };
            record.write(&[Header { key: b"h", value: None }], &mut block).expect("a small record");
        }
        let mut batch = plain(codec)[..BATCH_HEADER_BYTES].to_vec();
        compress(codec.into(), &block, &mut batch).expect("compressed");
        let batch = with_header(&batch, |_| ());
        let valid = check(&batch, &Rules { compacted: true, ..rules() }).expect("valid");
        let offsets = offsets_and_times(&valid).into_iter().map(|(offset, _)| offset).collect::<Vec<_>>();
        assert_eq!(offsets, [0, 1, 2]);
    }
}

#[test]
fn what_the_broker_made_is_taken_as_what_a_client_sent() {
    let records: [(Option<&[u8]>, i64); 2] = [(Some(b"a"), NOW), (Some(b"b"), NOW + 5)];
    let zstd = Some(Compression::from(Codec::Zstd));
    let usual = rules();
    let all = [
        ("nothing", usual),
        ("another codec", Rules { compression: zstd, ..usual }),
        ("its time", Rules { timestamp_type: TimestampType::LogAppendTime, ..usual }),
        ("a bound on its time", Rules { timestamp_after_max_ms: 1, ..usual }),
        ("keys", Rules { compacted: true, ..usual }),
        ("a smaller batch", Rules { batch_bytes_max: 100, ..usual }),
        ("a smaller segment", Rules { segment_bytes_max: 100, ..usual }),
    ];
    for (what, rules) in all {
        for codec in [Codec::None, Codec::Lz4] {
            let (header, body) = builder(codec, &records).build_parts().expect("a small batch");
            let sent = check(&builder(codec, &records).build().expect("a small batch").into(), &rules);
            assert_eq!(validate_own(header, body, &rules), sent, "{what}, {codec}");
        }
    }
}
