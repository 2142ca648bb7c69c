//! Tests of the log against a `Vec` of batches, on the simulated disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod appending;
mod cleaning;
mod crashes;
mod damage;
mod epochs;
mod kafka;
mod lookups;
mod model;
mod old_formats;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::model::{ProducerEpoch, ProducerId};
use crate::storage::disk::Disk;
use crate::storage::disk::sim::SimDisk;
use crate::storage::open_files::OpenFiles;
use crate::wire::record::{BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, Batches, Codec, NewRecord, verify_crc};

/// The folder of the log under test.
const DIR: &str = "/data/t-0";

/// Small segments and indexes, so that a few batches make several.
fn config() -> LogConfig {
    LogConfig { segment_bytes: 1_500, index_interval_bytes: 200, ..LogConfig::default() }
}

fn options(config: LogConfig) -> OpenOptions {
    OpenOptions {
        config,
        recovery_point: Offset(0),
        log_start_offset: Offset(0),
        first_dirty_offset: None,
        clean_shutdown: false,
        rewrite_unflushed: false,
        now: Timestamp(1_000_000),
        seed: 7,
        files: Arc::new(OpenFiles::new(2, 1 << 20)),
    }
}

fn disk() -> SimDisk {
    disk_of(1)
}

fn disk_of(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    for dir in ["/", "/data", DIR] {
        disk.sync_dir(Path::new(dir)).unwrap();
    }
    disk
}

fn open_with(disk: &SimDisk, options: OpenOptions) -> Result<(Log, OpenReport), OpenError> {
    Log::open(Arc::new(disk.clone()), Path::new(DIR), options)
}

fn open(disk: &SimDisk) -> Log {
    open_with(disk, options(config())).unwrap().0
}

/// A batch as a producer sends it.
#[derive(Clone)]
struct Sent {
    records: i32,
    value_bytes: usize,
    timestamp: i64,
    producer: Option<(i64, i16, i32)>,
    transactional: bool,
    codec: Codec,
    mark: u8,
}

impl Default for Sent {
    fn default() -> Self {
        Self {
            records: 1,
            value_bytes: 20,
            timestamp: 1_000,
            producer: None,
            transactional: false,
            codec: Codec::None,
            mark: b'v',
        }
    }
}

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        let mut builder = BatchBuilder::new(self.codec);
        if let Some((id, epoch, sequence)) = self.producer {
            builder = builder.producer(ProducerId(id), ProducerEpoch(epoch), sequence);
        }
        if self.transactional {
            builder = builder.transactional();
        }
        for number in 0..self.records {
            let value = vec![self.mark; self.value_bytes];
            let timestamp = Timestamp(self.timestamp + i64::from(number));
            builder.append(&NewRecord { timestamp, key: None, value: Some(&value), headers: &[] }).unwrap();
        }
        builder.build().unwrap()
    }

    fn batch(&self) -> NewBatch {
        new_batch(self.bytes(), Origin::Client)
    }
}

fn new_batch(bytes: Vec<u8>, origin: Origin) -> NewBatch {
    let header = BatchHeader::decode(&bytes).unwrap();
    NewBatch { header, body: Bytes::from(bytes).slice(BATCH_HEADER_BYTES..), origin }
}

fn append_all(log: &mut Log, batches: &[NewBatch]) -> Vec<Result<Appended, AppendError>> {
    let mut results = Vec::new();
    log.append_as_leader(batches, LeaderEpoch(3), Timestamp(1_000_000), &mut results);
    assert_eq!(results.len(), batches.len(), "a result per batch");
    results
}

fn append(log: &mut Log, sent: &Sent) -> Appended {
    append_all(log, &[sent.batch()]).remove(0).unwrap()
}

fn flush(log: &mut Log) -> Result<Offset, DiskError> {
    match log.flush_task() {
        Some(task) => log.flush_finished(task.run()),
        None => Ok(log.recovery_point()),
    }
}

/// A batch as a reader gets it: its header and all of its bytes, CRC checked.
#[derive(Clone, PartialEq, Eq)]
struct Stored(BatchHeader, Vec<u8>);

/// Bytes would bury what matters when a test fails.
impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..={}:{:08x}", self.0.base_offset, self.0.last_offset(), crc32c::crc32c(&self.1))
    }
}

/// Everything from `from` up to the log end, `bytes_max` at once, each slice checked for what its description says.
fn read_from(view: &LogView, from: Offset, bytes_max: usize) -> Vec<Stored> {
    let mut offset = from;
    let mut found = Vec::new();
    loop {
        let request = ReadRequest { offset, upper_bound: view.log_end_offset(), bytes_max, at_least_one_batch: true };
        let slice = match view.read(&request, Wait::Allowed).unwrap() {
            Read::Batches(slice) => slice,
            Read::Empty => return found,
            Read::WouldWait => panic!("it may wait"),
        };
        let batches = batches_of(&slice);
        assert!(slice.len <= bytes_max || batches.len() == 1, "only a single batch may exceed the limit");
        assert_eq!(slice.base_offset, batches[0].0.base_offset);
        assert!(offset <= batches[0].0.last_offset(), "the first batch holds the offset or lies behind it");
        // Compaction may leave a gap at the end of a segment, which is passed over together with it.
        assert!(batches.last().unwrap().0.last_offset() < slice.next_offset);
        offset = slice.next_offset;
        found.extend(batches);
    }
}

fn batches_of(slice: &Slice) -> Vec<Stored> {
    let mut bytes = vec![0; slice.len];
    assert_eq!(slice.file.read_at(slice.position, &mut bytes).unwrap(), slice.len);
    let mut batches = Batches::new(&bytes);
    let found = batches
        .by_ref()
        .map(|batch| {
            let (header, bytes) = batch.unwrap();
            verify_crc(&header, bytes).unwrap();
            Stored(header, bytes.to_vec())
        })
        .collect();
    assert!(batches.rest().is_empty(), "only whole batches");
    found
}

fn read_all(log: &Log) -> Vec<Stored> {
    read_from(&log.view(), log.log_start_offset(), 1 << 20)
}

fn file(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect()
}
