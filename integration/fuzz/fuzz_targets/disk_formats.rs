//! Any bytes as any file of a log directory: no panic, and what is read once can be written and read again. The first byte
//! says which file it is.
#![no_main]

use dohle::model::{Offset, Timestamp};
use dohle::storage::index::{OffsetIndex, TimeIndex};
use dohle::storage::leader_epoch::LeaderEpochCache;
use dohle::storage::meta_properties::{MetaProperties, MetaPropertiesVersion};
use dohle::storage::producer_state::ProducerStates;
use dohle::storage::transaction_index::TransactionIndex;
use dohle::storage::{checkpoint, clean_shutdown, directory, filename, partition_metadata, producer_snapshot};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&file, bytes)) = input.split_first() else { return };
    let base = Offset(7);
    match file % 10 {
        0 => {
            let Ok(index) = OffsetIndex::decode(base, bytes) else { return };
            assert!(bytes.starts_with(&index.encode()));
        }
        1 => {
            let Ok(index) = TimeIndex::decode(base, bytes) else { return };
            assert!(bytes.starts_with(&index.encode()));
        }
        2 => {
            let Ok(index) = TransactionIndex::decode(base, bytes) else { return };
            assert!(bytes.starts_with(&index.encode()));
        }
        3 => snapshot(bytes),
        4 => {
            let Ok(offsets) = checkpoint::decode(bytes) else { return };
            assert_eq!(checkpoint::decode(checkpoint::encode(&offsets).as_bytes()).expect("our own text"), offsets);
        }
        5 => {
            let Ok(cache) = LeaderEpochCache::decode(bytes) else { return };
            assert_eq!(LeaderEpochCache::decode(cache.encode().as_bytes()).expect("our own text"), cache);
        }
        6 => {
            let Ok(topic_id) = partition_metadata::decode(bytes) else { return };
            let again = partition_metadata::decode(partition_metadata::encode(topic_id).as_bytes());
            assert_eq!(again.expect("our own text"), topic_id);
        }
        7 => {
            let Ok(properties) = MetaProperties::decode(bytes) else { return };
            let again = MetaProperties::decode(properties.encode(Timestamp(0)).as_bytes()).expect("our own text");
            assert_eq!(again, MetaProperties { version: MetaPropertiesVersion::V0, ..properties });
        }
        8 => {
            let _epoch = clean_shutdown::decode(bytes);
        }
        _ => {
            let name = String::from_utf8_lossy(bytes);
            let _directory = directory::parse(&name);
            if let Some(file) = filename::SegmentFileName::parse(&name) {
                assert_eq!(file.to_string(), name);
            }
        }
    }
});

/// A CRC that fits hides nothing behind it.
fn snapshot(bytes: &[u8]) {
    let crc = crc32c::crc32c(bytes);
    let file = [&1_i16.to_be_bytes(), crc.to_be_bytes().as_slice(), bytes].concat();
    let Ok(producers) = producer_snapshot::decode(&file) else { return };
    let states = ProducerStates::restored(Offset(7), producers, Timestamp(0), i64::MAX);
    let again = producer_snapshot::encode(&states);
    assert!(producer_snapshot::decode(&again).is_ok(), "our own bytes");
}
