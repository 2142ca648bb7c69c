//! The formats against files that Kafka 3.9.1 wrote: each is read, derived anew from the log, and written back to the byte.
//! `fixtures/README.md` says how the files came to be.

use std::collections::BTreeMap;

use super::filename::SegmentFileName;
use super::index::{OffsetIndex, TimeIndex};
use super::leader_epoch::LeaderEpochCache;
use super::meta_properties::MetaProperties;
use super::producer_state::{AppendOrigin, Marker, ProducerStates, Verdict};
use super::transaction_index::{AbortedTransaction, TransactionIndex};
use super::{checkpoint, clean_shutdown, directory, partition_metadata, producer_snapshot};
use crate::model::{LeaderEpoch, Offset, ProducerId, Timestamp};
use crate::wire::record::{
    BATCH_HEADER_BYTES, BatchHeader, EndTransactionMarker, Records, TransactionOutcome, verify_crc,
};

/// A file of the partition `fixture-0`.
macro_rules! fixture {
    ($life:literal, $name:literal) => {
        include_bytes!(concat!("fixtures/", $life, "/fixture-0/000000000000000000", $name)).as_slice()
    };
}

/// `index.interval.bytes` of the topic.
const INDEX_INTERVAL_BYTES: usize = 300;

/// One batch, as a log sees it.
struct Batch {
    position: u32,
    header: BatchHeader,
    marker: Option<Marker>,
}

fn batches(segment: &[u8]) -> Vec<Batch> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < segment.len() {
        let rest = segment.get(at..).unwrap();
        let header = BatchHeader::decode(rest).unwrap();
        verify_crc(&header, rest).unwrap();
        let records = rest.get(BATCH_HEADER_BYTES..header.len).unwrap();
        let marker = header.attributes.is_control().then(|| {
            let record = Records::new(records, header.records).next().unwrap().unwrap();
            let end = EndTransactionMarker::of(&record).unwrap().unwrap();
            Marker::new(&header, Timestamp(header.base_timestamp.0 + record.timestamp_delta), end)
        });
        found.push(Batch { position: u32::try_from(at).unwrap(), header, marker });
        at += header.len;
    }
    found
}

fn segments() -> BTreeMap<Offset, Vec<Batch>> {
    let logs = [(0, fixture!("clean", "00.log")), (34, fixture!("clean", "34.log")), (68, fixture!("clean", "68.log"))];
    logs.into_iter().map(|(base, log)| (Offset(base), batches(log))).collect()
}

/// The indexes of a segment, by Kafka's rule; the time index as at a roll when the segment is `closed`.
fn build_indexes(base: Offset, batches: &[Batch], closed: bool) -> (OffsetIndex, TimeIndex) {
    let (offsets, times) = (OffsetIndex::new(base), TimeIndex::new(base));
    let (mut since_entry, mut newest) = (0, (Timestamp::NONE, base));
    for Batch { position, header, .. } in batches {
        if newest.0 < header.max_timestamp {
            newest = (header.max_timestamp, header.last_offset());
        }
        if INDEX_INTERVAL_BYTES < since_entry {
            offsets.append(header.last_offset(), *position).unwrap();
            times.maybe_append(newest.0, newest.1).unwrap();
            since_entry = 0;
        }
        since_entry += header.len;
    }
    if closed {
        times.maybe_append(newest.0, newest.1).unwrap();
    }
    (offsets, times)
}

#[test]
fn indexes_are_those_that_kafka_wrote() {
    let files = [
        (0, fixture!("clean", "00.index"), fixture!("clean", "00.timeindex")),
        (34, fixture!("clean", "34.index"), fixture!("clean", "34.timeindex")),
    ];
    let segments = segments();
    for (base, index_file, time_index_file) in files {
        let base = Offset(base);
        let (offsets, times) = build_indexes(base, segments.get(&base).unwrap(), true);
        assert_eq!(offsets.encode(), index_file, "segment {base}");
        assert_eq!(times.encode(), time_index_file, "segment {base}");
        assert_eq!(OffsetIndex::decode(base, index_file).unwrap().to_vec(), offsets.to_vec());
        assert_eq!(TimeIndex::decode(base, time_index_file).unwrap().to_vec(), times.to_vec());
    }
}

#[test]
fn what_a_killed_kafka_left_reserved_is_left_out() {
    let (index_file, time_index_file) = (fixture!("crashed", "68.index"), fixture!("crashed", "68.timeindex"));
    assert_eq!((index_file.len(), time_index_file.len()), (1_024, 1_020), "segment.index.bytes, rounded down");
    let (offsets, times) = build_indexes(Offset(68), &batches(fixture!("crashed", "68.log")), false);
    assert!(!offsets.is_empty());
    assert_eq!(OffsetIndex::decode(Offset(68), index_file).unwrap().to_vec(), offsets.to_vec());
    assert_eq!(TimeIndex::decode(Offset(68), time_index_file).unwrap().to_vec(), times.to_vec());
}

/// Every bit of the index files, one at a time: the damage is refused, or seen by who follows an entry, or harmless.
#[test]
fn no_flipped_bit_of_an_index_skips_a_record() {
    let batches = segments().remove(&Offset(0)).unwrap();
    let flipped = |file: &[u8], bit: usize| {
        let mut bytes = file.to_vec();
        *bytes.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
        bytes
    };
    let holding = |offset: Offset| {
        batches.iter().find(|batch| batch.header.base_offset <= offset && offset <= batch.header.last_offset())
    };
    let file = fixture!("clean", "00.index");
    for bit in 0..file.len() * 8 {
        let Ok(index) = OffsetIndex::decode(Offset(0), &flipped(file, bit)) else { continue };
        for target in (0..34).map(Offset) {
            let start = index.lookup(target);
            let batch = batches.iter().find(|batch| batch.position == start.position);
            let Some(batch) = batch.filter(|batch| batch.header.base_offset <= start.offset) else { continue };
            assert!(batch.header.base_offset <= target, "bit {bit} hides offset {target}");
        }
    }
    let file = fixture!("clean", "00.timeindex");
    let times = batches.iter().map(|batch| batch.header.max_timestamp);
    for bit in 0..file.len() * 8 {
        let Ok(index) = TimeIndex::decode(Offset(0), &flipped(file, bit)) else { continue };
        for target in times.clone() {
            let start = index.lookup(target);
            let seen = holding(start.offset).is_none_or(|batch| batch.header.max_timestamp != start.timestamp);
            if seen && start.timestamp != Timestamp::NONE {
                continue;
            }
            let first = batches.iter().find(|batch| target <= batch.header.max_timestamp).unwrap();
            assert!(start.offset <= first.header.last_offset(), "bit {bit} hides timestamp {target}");
        }
    }
}

#[test]
fn replaying_the_log_gives_the_snapshots_and_the_transaction_indexes() {
    let snapshots = BTreeMap::from([
        (Offset(34), fixture!("clean", "34.snapshot")),
        (Offset(68), fixture!("clean", "68.snapshot")),
        (Offset(73), fixture!("clean", "73.snapshot")),
        (Offset(77), fixture!("clean", "77.snapshot")),
    ]);
    let mut states = ProducerStates::new(Offset(0));
    let mut compared = 0;
    let mut aborted = BTreeMap::new();
    for (base, batches) in segments() {
        let index = TransactionIndex::new(base);
        for Batch { header, marker, .. } in batches {
            let ended = match marker {
                Some(marker) => {
                    assert_eq!(states.check_marker(&marker, AppendOrigin::Coordinator), Ok(()));
                    states.apply_marker(&marker)
                }
                None => {
                    assert_eq!(states.check(&header, AppendOrigin::Client), Ok(Verdict::Append));
                    states.apply(&header);
                    assert!(matches!(states.check(&header, AppendOrigin::Client), Ok(Verdict::Duplicate(_))));
                    None
                }
            };
            if let Some(ended) = ended.filter(|ended| ended.outcome == TransactionOutcome::Aborted) {
                index.append(AbortedTransaction::new(&ended)).unwrap();
            }
            if let Some(file) = snapshots.get(&states.end_offset()) {
                assert_eq!(producer_snapshot::encode(&states), *file, "snapshot {}", states.end_offset());
                let restored = producer_snapshot::decode(file).unwrap();
                let restored = ProducerStates::restored(states.end_offset(), restored, Timestamp(0), i64::MAX);
                assert_eq!(producer_snapshot::encode(&restored), *file);
                assert_eq!(restored.first_undecided_offset(), states.first_undecided_offset());
                compared += 1;
            }
        }
        aborted.insert(base, index.encode());
    }
    assert_eq!(compared, snapshots.len());
    assert_eq!(states.first_undecided_offset(), Some(Offset(41)), "the transaction that was left open");
    assert!(states.has_open_transaction(ProducerId(2)));
    let files = [(0, fixture!("clean", "00.txnindex")), (34, fixture!("clean", "34.txnindex")), (68, &[])];
    for (base, file) in files {
        assert_eq!(aborted.get(&Offset(base)).unwrap(), file, "segment {base}");
        assert_eq!(TransactionIndex::decode(Offset(base), file).unwrap().encode(), file);
    }
}

/// All files of the fixtures under every decoder, damaged by a fixed stream of accidents: taken or refused, never a panic.
#[test]
fn damaged_files_are_taken_or_refused() {
    let files: [&[u8]; 14] = [
        fixture!("clean", "00.index"),
        fixture!("clean", "00.timeindex"),
        fixture!("clean", "00.txnindex"),
        fixture!("clean", "77.snapshot"),
        fixture!("clean", "00.log"),
        fixture!("crashed", "68.index"),
        include_bytes!("fixtures/clean/meta.properties"),
        include_bytes!("fixtures/clean/.kafka_cleanshutdown"),
        include_bytes!("fixtures/clean/recovery-point-offset-checkpoint"),
        include_bytes!("fixtures/clean/log-start-offset-checkpoint"),
        include_bytes!("fixtures/clean/fixture-0/leader-epoch-checkpoint"),
        include_bytes!("fixtures/clean/fixture-0/partition.metadata"),
        b"gone-0.b2ec0684ceb44de1b9bd62f443cea13c-delete",
        b"00000000000000000034.timeindex.deleted",
    ];
    let mut accidents = Accidents(1);
    for round in 0..400 {
        for file in files {
            let mut bytes = file.to_vec();
            for _ in 0..=round % 4 {
                accidents.damage(&mut bytes);
            }
            decode_as_everything(&bytes);
        }
    }
}

fn decode_as_everything(bytes: &[u8]) {
    let base = Offset(34);
    let _offsets = OffsetIndex::decode(base, bytes).map(|index| index.lookup(Offset(40)));
    let _times = TimeIndex::decode(base, bytes).map(|index| index.lookup(Timestamp(40)));
    let _aborted = TransactionIndex::decode(base, bytes).map(|index| index.collect(base, Offset(90), &mut Vec::new()));
    let _producers = producer_snapshot::decode(bytes);
    let _offsets = checkpoint::decode(bytes);
    let _epochs = LeaderEpochCache::decode(bytes).map(|cache| cache.end_offset_for(LeaderEpoch(0), base));
    let _properties = MetaProperties::decode(bytes);
    let _topic = partition_metadata::decode(bytes);
    let _epoch = clean_shutdown::decode(bytes);
    let name = String::from_utf8_lossy(bytes);
    let _partition = directory::parse(&name);
    let _file = SegmentFileName::parse(&name);
}

/// A xorshift of accidents.
struct Accidents(u64);

impl Accidents {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap().checked_rem(bound).unwrap_or(0)
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.extend_from_within(at..),
            2 => drop(bytes.drain(..at)),
            3 => bytes.insert(at, u8::try_from(self.below(256)).unwrap()),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
        }
    }
}
