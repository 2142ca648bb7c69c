//! Record batches from a peer: no bytes make a reader panic, hold more than its limit, or accept what it cannot read.
//!
//! The first two bytes choose the rules; the rest are the bytes of one partition. They are tried as they are, and once
//! more with length and CRC made to fit, so that changes reach what lies behind the checksum.
#![no_main]

use bytes::Bytes;
use dohle::model::Timestamp;
use dohle::wire::record::{
    BATCH_HEADER_BYTES, BatchHeader, Batches, Codec, Compression, DecompressionLimit, EndTransactionMarker, Rules,
    TimestampType, decompress, validate, verify_crc,
};
use libfuzzer_sys::fuzz_target;

const LIMIT: DecompressionLimit = DecompressionLimit { bytes_max: 1 << 18 };

fuzz_target!(|input: &[u8]| {
    let Some((&[rules, target], bytes)) = input.split_first_chunk() else { return };
    let rules = rules_of(rules, target);
    read(bytes);
    check(bytes, &rules);
    if let Ok(header) = BatchHeader::decode(bytes) {
        let body = &bytes[BATCH_HEADER_BYTES..];
        let sealed = [&header.sealed(body).encode()[..], body].concat();
        read(&sealed);
        check(&sealed, &rules);
    }
});

fn rules_of(bits: u8, target: u8) -> Rules {
    let bit = |n: u8| bits & 1 << n != 0;
    Rules {
        compacted: bit(0),
        timestamp_type: if bit(1) { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
        timestamp_before_max_ms: if bit(2) { 1_000 } else { i64::MAX },
        timestamp_after_max_ms: if bit(3) { 1_000 } else { i64::MAX },
        batch_bytes_max: 1 << 20,
        segment_bytes_max: 1 << 20,
        compression: Codec::ALL.get(usize::from(target)).copied().map(Compression::from),
        produce_version: if bit(4) { 3 } else { 9 },
        transactional_allowed: bit(5),
        now: Timestamp(1_700_000_000_000),
        decompression: LIMIT,
        every_record: bit(6),
    }
}

fn read(bytes: &[u8]) {
    let mut scratch = Vec::new();
    for (header, batch) in Batches::new(bytes).flatten() {
        let Ok(records) = header.read_records(batch, LIMIT, &mut scratch) else { continue };
        for record in records.flatten() {
            assert!(record.headers.iter().count() == record.headers.len());
            let _ = (header.offset_of(&record), header.timestamp_of(&record), EndTransactionMarker::of(&record));
        }
    }
    for codec in Codec::ALL {
        scratch.clear();
        let _ = decompress(codec, bytes, LIMIT, &mut scratch);
        assert!(scratch.len() <= LIMIT.bytes_max);
    }
}

fn check(bytes: &[u8], rules: &Rules) {
    let mut scratch = Vec::new();
    let Ok(valid) = validate(&Bytes::copy_from_slice(bytes), rules, &mut scratch) else { return };
    assert!(scratch.len() <= LIMIT.bytes_max);
    let whole = [&valid.header.encode()[..], &valid.body].concat();
    assert_eq!(BatchHeader::decode(&whole), Ok(valid.header));
    assert_eq!(verify_crc(&valid.header, &whole), Ok(()));
    if rules.every_record || rules.compacted {
        let records = valid.header.read_records(&whole, LIMIT, &mut scratch).expect("what was accepted can be read");
        assert!(records.into_iter().all(|record| record.is_ok()));
    }
}
