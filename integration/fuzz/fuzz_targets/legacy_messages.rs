//! Messages of magic 0 and 1, from old producers and in old segments: no bytes make a reader panic or hold more than its
//! limit, and what is converted can be read, has the same keys and values in every format, and can be converted again.
//!
//! The first three bytes choose rules, codec and format; the rest are tried as they are, once more with every CRC made to
//! fit, and once more compressed inside one message, so that changes reach what lies behind checksums.
#![no_main]

use bytes::Bytes;
use dohle::model::{LeaderEpoch, Offset, Timestamp};
use dohle::wire::record::legacy::{DownConverter, LegacyMagic, Target, Upgraded, up_convert};
use dohle::wire::record::{
    BatchHeader, Codec, Compression, DecompressionLimit, Rules, TimestampType, compress, verify_crc,
};
use libfuzzer_sys::fuzz_target;

const LIMIT: DecompressionLimit = DecompressionLimit { bytes_max: 1 << 18 };

fuzz_target!(|input: &[u8]| {
    let Some((&[rules, codec, format], bytes)) = input.split_first_chunk() else { return };
    let codec = Codec::ALL[usize::from(codec) % Codec::ALL.len()];
    let rules = rules_of(rules);
    let offset = i64::from(format >> 1) - 3;
    let sealed = sealed(bytes);
    let wrapped = wrapped(&sealed, codec, if format & 1 == 0 { 0 } else { 1 }, rules.produce_version, offset);
    for bytes in [bytes, &sealed, &wrapped] {
        old_producer(bytes, &rules);
        old_consumer(bytes, Offset(offset));
    }
});

fn rules_of(bits: u8) -> Rules {
    let bit = |n: u8| bits & 1 << n != 0;
    Rules {
        compacted: bit(0),
        timestamp_type: if bit(1) { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
        timestamp_before_max_ms: if bit(2) { 1_000 } else { i64::MAX },
        timestamp_after_max_ms: if bit(3) { 1_000 } else { i64::MAX },
        batch_bytes_max: 1 << 20,
        segment_bytes_max: 1 << 20,
        compression: bit(4).then(|| Codec::Lz4.into()),
        produce_version: if bit(5) { 1 } else { 2 },
        transactional_allowed: false,
        now: Timestamp(1_700_000_000_000),
        decompression: LIMIT,
        every_record: bit(6),
    }
}

/// The messages with the CRCs that they should have.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    let mut rest = &mut sealed[..];
    while let Some(length) = rest.get(8..).and_then(|rest| rest.first_chunk()) {
        let end = usize::try_from(i32::from_be_bytes(*length)).map_or(usize::MAX, |length| length + 12);
        let Some((message, behind)) = rest.split_at_mut_checked(end).filter(|(message, _)| 16 <= message.len()) else {
            break;
        };
        let mut crc = flate2::Crc::new();
        crc.update(&message[16..]);
        message[12..16].copy_from_slice(&crc.sum().to_be_bytes());
        rest = behind;
    }
    sealed
}

/// One message that holds these, compressed.
fn wrapped(inner: &[u8], codec: Codec, magic: u8, level: i16, offset: i64) -> Vec<u8> {
    let mut message = vec![0; 16];
    message.push(magic);
    message.push(Codec::ALL.iter().position(|one| *one == codec).unwrap_or_default() as u8);
    if magic == 1 {
        message.extend_from_slice(&1_700_000_000_000_i64.to_be_bytes());
    }
    message.extend_from_slice(&(-1_i32).to_be_bytes());
    let mut block = Vec::new();
    compress(Compression { codec, level: Some(level.into()) }, inner, &mut block).expect("there is memory");
    message.extend_from_slice(&i32::try_from(block.len()).expect("small").to_be_bytes());
    message.extend_from_slice(&block);
    let length = i32::try_from(message.len() - 12).expect("small");
    message[..8].copy_from_slice(&offset.to_be_bytes());
    message[8..12].copy_from_slice(&length.to_be_bytes());
    sealed(&message)
}

/// What is appended is a whole batch whose records can be read, in either direction, with nothing lost.
fn old_producer(bytes: &[u8], rules: &Rules) {
    let mut scratch = Vec::new();
    let set = Bytes::copy_from_slice(bytes);
    let Ok(Upgraded::Batch { batch, converted }) = up_convert(&set, rules, &mut scratch) else { return };
    if converted == 0 {
        // A batch of today's format: fuzzed by `record_batch`.
        return;
    }
    let stored = [&batch.placed(Offset(7), LeaderEpoch(1))[..], &batch.body].concat();
    let header = BatchHeader::decode(&stored).expect("a header");
    assert_eq!(verify_crc(&header, &stored), Ok(()));
    assert_eq!(u64::try_from(header.records), Ok(converted));
    let mut scratch = Vec::new();
    let records = header.read_records(&stored, LIMIT, &mut scratch).expect("what was made can be read");
    let records = records.map(|record| record.expect("what was made can be read"));
    let records = records.map(|record| (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec)));
    let records = records.collect::<Vec<_>>();
    let room = DecompressionLimit { bytes_max: 1 << 20 };
    let keep = Rules {
        compacted: false,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        compression: None,
        decompression: room,
        ..*rules
    };
    for magic in [LegacyMagic::V0, LegacyMagic::V1] {
        let target = Target { magic, offset: Offset(7), bytes_max: usize::MAX, decompression: LIMIT };
        let mut down = DownConverter::new(target);
        down.convert(&stored).expect("old formats have every codec of old messages");
        assert_eq!(down.next_offset(), header.last_offset().next());
        let (messages, count) = down.finish();
        assert_eq!(count, converted);
        if magic == LegacyMagic::V1 && rules.timestamp_type == TimestampType::LogAppendTime {
            // Producers may not say that a broker stamped their messages.
            continue;
        }
        let mut scratch = Vec::new();
        let again = up_convert(&Bytes::from(messages), &keep, &mut scratch);
        let Ok(Upgraded::Batch { batch, .. }) = again else { panic!("not taken back: {again:?}") };
        let whole = [&batch.placed(Offset(7), LeaderEpoch(1))[..], &batch.body].concat();
        let mut scratch = Vec::new();
        let read = batch.header.read_records(&whole, room, &mut scratch).expect("what was made can be read");
        let read = read.map(|record| record.expect("what was made can be read"));
        let same = read.map(|record| (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec)));
        assert_eq!(same.collect::<Vec<_>>(), records);
    }
}

/// Any bytes as they lie in a segment. An answer stays below its bound but for its first message, and never goes back.
fn old_consumer(bytes: &[u8], offset: Offset) {
    for magic in [LegacyMagic::V0, LegacyMagic::V1] {
        for bytes_max in [200, usize::MAX] {
            let mut down = DownConverter::new(Target { magic, offset, bytes_max, decompression: LIMIT });
            let failed = down.convert(bytes).is_err();
            assert!(!failed || down.is_empty(), "an error comes alone");
            let (messages, converted) = down.finish();
            assert!(converted == 0 || !messages.is_empty());
        }
    }
}
