//! A log that Kafka 3.9.1 wrote. `storage/fixtures/README.md` says how.

use super::*;
use crate::storage::disk::Access;

macro_rules! fixtures {
    ($life:literal: $($name:literal)*) => {
        [$(($name, include_bytes!(concat!("../../fixtures/", $life, "/fixture-0/", $name)).as_slice()),)*]
    };
}

fn laid_out(files: &[(&str, &[u8])]) -> SimDisk {
    let disk = disk();
    for (name, bytes) in files {
        let file = disk.open(&file(name), Access::Create).unwrap();
        file.write_all_at(0, &[std::io::IoSlice::new(bytes)]).unwrap();
    }
    disk
}

fn clean() -> SimDisk {
    laid_out(&fixtures!("clean":
        "00000000000000000000.log" "00000000000000000000.index" "00000000000000000000.timeindex"
        "00000000000000000000.txnindex"
        "00000000000000000034.log" "00000000000000000034.index" "00000000000000000034.timeindex"
        "00000000000000000034.txnindex" "00000000000000000034.snapshot"
        "00000000000000000068.log" "00000000000000000068.index" "00000000000000000068.timeindex"
        "00000000000000000068.snapshot" "00000000000000000073.snapshot" "00000000000000000077.snapshot"
        "leader-epoch-checkpoint"))
}

fn kafkas_config() -> LogConfig {
    LogConfig { segment_bytes: 4_000, index_interval_bytes: 300, segment_index_bytes: 1_024, ..LogConfig::default() }
}

/// Kafka's own time of writing, so that no producer has expired.
fn kafkas_options(log_start: i64, recovery_point: i64, clean_shutdown: bool) -> OpenOptions {
    OpenOptions {
        log_start_offset: Offset(log_start),
        recovery_point: Offset(recovery_point),
        clean_shutdown,
        now: Timestamp(0),
        ..options(kafkas_config())
    }
}

#[test]
fn a_log_that_kafka_closed_opens_as_it_was() {
    let disk = clean();
    let (mut log, report) = open_with(&disk, kafkas_options(5, 77, true)).unwrap();
    assert_eq!(report, OpenReport::default());
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(5), Offset(77)));
    let stored = read_all(&log);
    assert_eq!(stored.first().unwrap().0.base_offset, Offset(5));
    let ids = log.describe_producers().iter().map(|producer| producer.producer_id.0).collect::<Vec<_>>();
    assert_eq!(ids, [0, 1, 2, 1_000]);
    assert!(log.first_unstable_offset(Offset(77)).is_some(), "producer 2 left a transaction open");
    assert_eq!(log.view().aborted_transactions(Offset(0), Offset(77)).len(), 3);
    for Stored(header, _) in &stored {
        let found = log.view().offset_for_timestamp(header.max_timestamp).unwrap().unwrap();
        assert!(found.offset <= header.last_offset());
    }
}

#[test]
fn what_is_derived_from_kafkas_batches_is_what_kafka_derived() {
    let with_files = open_with(&clean(), kafkas_options(5, 77, true)).unwrap().0;
    let disk = clean();
    for name in names(&disk).into_iter().filter(|name| !name.ends_with(".log")) {
        disk.remove_file(&file(&name)).unwrap();
    }
    let (log, _) = open_with(&disk, kafkas_options(0, 0, false)).unwrap();
    assert_eq!(log.describe_producers(), with_files.describe_producers());
    assert_eq!(log.epochs, {
        let mut epochs = with_files.epochs.clone();
        epochs.truncate_from_start(Offset(0));
        let first = epochs.entries()[0];
        assert_eq!(first.start_offset, Offset(5), "the log start had moved");
        log.epochs.clone()
    });
    let aborted = |log: &Log| log.view().aborted_transactions(Offset(0), Offset(77));
    assert_eq!(aborted(&log), aborted(&with_files));
    assert_eq!(read_from(&log.view(), Offset(5), 9_999), read_all(&with_files));
}

#[test]
fn kafkas_log_goes_on_and_closes_with_kafkas_files() {
    let disk = clean();
    let mut log = open_with(&disk, kafkas_options(5, 77, true)).unwrap().0;
    let before = names(&disk);
    append(&mut log, &Sent { producer: Some((1_000, 0, 4)), ..Sent::default() });
    log.close().unwrap();
    let new = names(&disk).into_iter().filter(|name| !before.contains(name)).collect::<Vec<_>>();
    assert_eq!(new, ["00000000000000000078.snapshot"]);
}
