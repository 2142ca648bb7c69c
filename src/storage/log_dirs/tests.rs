#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use bytes::Bytes;

use super::*;
use crate::model::{LeaderEpoch, PartitionIndex, TopicName};
use crate::storage::checkpoint::OffsetCheckpoint;
use crate::storage::disk::sim::{Fault, Operation, SimDisk};
use crate::storage::disk::{Access, read_file};
use crate::storage::log::OpenReport;
use crate::storage::log::{NewBatch, Origin};
use crate::wire::record::{BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, Codec, NewRecord};

pub(super) const NOW: Timestamp = Timestamp(1_000_000);

fn paths() -> Vec<PathBuf> {
    ["/a", "/b"].map(PathBuf::from).to_vec()
}

pub(super) fn open(disk: &SimDisk) -> Result<LogDirs, LogDirsError> {
    LogDirs::open(Arc::new(disk.clone()), &paths())
}

pub(super) fn partition(topic: &str, number: i32) -> TopicPartition {
    TopicPartition { topic: TopicName::new(topic).unwrap(), partition: PartitionIndex(number) }
}

pub(super) fn topic_id() -> TopicId {
    TopicId::parse("sEqLFfGxSq2bB2PwjNH0Vg").unwrap()
}

pub(super) fn create(dirs: &mut LogDirs, name: &TopicPartition) -> (LogDirIndex, Log) {
    dirs.create_partition(name, Some(topic_id()), LogConfig::default(), NOW).unwrap()
}

pub(super) fn append(log: &mut Log, times: usize) {
    assert!(try_append(log, times));
}

/// Whether all could be appended.
pub(super) fn try_append(log: &mut Log, times: usize) -> bool {
    let mut builder = BatchBuilder::new(Codec::None);
    builder.append(&NewRecord { value: Some(b"value"), ..NewRecord::default() }).unwrap();
    let bytes = builder.build().unwrap();
    let header = BatchHeader::decode(&bytes).unwrap();
    let batch = NewBatch { header, body: Bytes::from(bytes).slice(BATCH_HEADER_BYTES..), origin: Origin::Client };
    let mut results = Vec::new();
    log.append_as_leader(&vec![batch; times], LeaderEpoch(0), NOW, &mut results);
    results.iter().all(Result::is_ok)
}

pub(super) fn load(dirs: &mut LogDirs) -> BTreeMap<TopicPartition, LoadedPartition> {
    let jobs = dirs.load_jobs();
    jobs.into_iter().map(|job| job.run(LogConfig::default(), NOW)).map(|one| (one.partition.clone(), one)).collect()
}

pub(super) fn offsets(log: &Log, high_watermark: i64) -> PartitionOffsets {
    PartitionOffsets {
        recovery_point: log.recovery_point(),
        log_start: log.log_start_offset(),
        high_watermark: Offset(high_watermark),
        first_dirty: log.view().first_dirty_offset(),
    }
}

/// Two partitions with ten records each, closed in order.
fn closed_in_order(disk: &SimDisk) {
    let mut dirs = open(disk).unwrap();
    let mut known = BTreeMap::new();
    for number in 0..2 {
        let name = partition("t", number);
        let (_, mut log) = create(&mut dirs, &name);
        append(&mut log, 10);
        log.advance_log_start(Offset(number.into()));
        let start = log.log_start_offset();
        let end = log.close().unwrap();
        known.insert(
            name,
            PartitionOffsets { recovery_point: end, log_start: start, high_watermark: Offset(7), first_dirty: None },
        );
    }
    assert_eq!(dirs.checkpoint_task(known).run(), []);
    dirs.close().unwrap();
}

#[test]
fn partitions_come_back_as_they_were_closed() {
    let disk = SimDisk::new(1);
    closed_in_order(&disk);
    let mut dirs = open(&disk).unwrap();
    assert_eq!(dirs.describe()[0].partitions, [partition("t", 0)]);
    assert_eq!(dirs.describe()[1].partitions, [partition("t", 1)], "the dir with the fewest");
    let loaded = load(&mut dirs);
    for (number, one) in loaded.values().enumerate() {
        let (log, report) = one.log.as_ref().unwrap();
        assert_eq!(report, &OpenReport::default(), "nothing was scanned");
        assert_eq!((one.topic_id, one.high_watermark), (Some(topic_id()), Offset(7)));
        assert_eq!((log.log_start_offset().0, log.log_end_offset()), (number as i64, Offset(10)));
    }
    assert_eq!((loaded.len(), dirs.warnings().len()), (2, 0));
    drop((dirs, loaded));
    let again = load(&mut open(&disk).unwrap());
    let scanned = again.values().map(|one| one.log.as_ref().unwrap().1.segments_scanned).sum::<usize>();
    assert_eq!(scanned, 2, "the marker is gone once the logs are in use");
}

#[test]
fn a_dir_that_was_made_outlives_a_power_failure() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let deep = PathBuf::from("/var/lib/logs");
        drop(LogDirs::open(Arc::new(disk.clone()), std::slice::from_ref(&deep)).unwrap());
        disk.crash();
        disk.restart();
        assert!(disk.exists(&deep).unwrap(), "seed {seed}");
    }
}

#[test]
fn a_dir_belongs_to_one_broker() {
    let disk = SimDisk::new(1);
    let mut dirs = open(&disk).unwrap();
    assert!(matches!(open(&disk), Err(LogDirsError::Locked(path)) if path == Path::new("/a")));
    assert_eq!(dirs.found_identity(), &FoundIdentity::default());
    let identity = Identity { broker_id: BrokerId(3), cluster_id: "one".to_owned() };
    dirs.set_identity(&identity, NOW).unwrap();
    drop(dirs);
    let mut dirs = open(&disk).unwrap();
    let found = FoundIdentity { broker_id: Some(BrokerId(3)), cluster_id: Some("one".to_owned()) };
    assert_eq!(dirs.found_identity(), &found);
    dirs.set_identity(&identity, NOW).unwrap();
    let other = Identity { broker_id: BrokerId(4), ..identity.clone() };
    let refused = dirs.set_identity(&other, NOW).unwrap_err().to_string();
    assert!(refused.contains("broker.id is 4") && refused.contains("broker 3"), "{refused}");
    let other = Identity { cluster_id: "two".to_owned(), ..identity };
    assert!(matches!(dirs.set_identity(&other, NOW), Err(LogDirsError::Identity(_))));
    drop(dirs);
    let alien = disk.open(Path::new("/b/meta.properties"), Access::Truncate).unwrap();
    alien.write_all_at(0, &[io::IoSlice::new(b"version=0\nbroker.id=9\ncluster.id=one\n")]).unwrap();
    assert!(
        matches!(open(&disk), Err(LogDirsError::Identity(reason)) if reason.contains("/b") && reason.contains('9'))
    );
}

#[test]
fn folders_that_are_not_understood_refuse_the_start() {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/b/my photos")).unwrap();
    assert!(matches!(open(&disk), Err(LogDirsError::UnknownFolder(path)) if path == Path::new("/b/my photos")));
    disk.remove_dir_all(Path::new("/b/my photos")).unwrap();
    for dir in ["/a/t-0", "/b/t-0"] {
        disk.create_dir_all(Path::new(dir)).unwrap();
    }
    assert!(matches!(open(&disk), Err(LogDirsError::Duplicate { first, .. }) if first == Path::new("/a/t-0")));
    disk.remove_dir_all(Path::new("/b/t-0")).unwrap();
    for left_alone in ["/a/x-0.0123-stray", "/a/y-0.0123-future", "/a/remote-log-index-cache"] {
        disk.create_dir_all(Path::new(left_alone)).unwrap();
    }
    disk.create_dir_all(Path::new("/a/gone-0.0123-delete")).unwrap();
    let mut dirs = open(&disk).unwrap();
    assert_eq!((load(&mut dirs).len(), dirs.warnings().len()), (1, 2));
    let names = disk.list(Path::new("/a")).unwrap().into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name);
    assert_eq!(names.collect::<Vec<_>>(), ["remote-log-index-cache", "t-0", "x-0.0123-stray", "y-0.0123-future"]);
}

#[test]
fn a_deleted_partition_leaves_nothing_to_its_namesake() {
    let disk = SimDisk::new(1);
    closed_in_order(&disk);
    let mut dirs = open(&disk).unwrap();
    let name = partition("t", 1);
    drop(load(&mut dirs));
    let pending = dirs.delete_partition(&name, 7, Moment::default()).unwrap();
    assert!(disk.exists(&pending.paths[0]).unwrap());
    // Made again at once, as a topic may be.
    let (_, mut log) = create(&mut dirs, &name);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(0), Offset(0)));
    append(&mut log, 1);
    pending.run(&disk).unwrap();
    assert!(!disk.exists(&pending.paths[0]).unwrap());
    // After a crash before any checkpoint, too.
    drop((dirs, log));
    disk.kill();
    disk.restart();
    let mut dirs = open(&disk).unwrap();
    let loaded = load(&mut dirs);
    let (log, _) = loaded[&name].log.as_ref().unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(0), Offset(1)));
    assert_eq!(loaded[&name].high_watermark, Offset(0));
}

#[test]
fn a_stale_checkpoint_does_not_meet_a_namesake_after_a_restart() {
    let disk = SimDisk::new(1);
    closed_in_order(&disk);
    let name = partition("t", 1);
    let mut dirs = open(&disk).unwrap();
    drop(load(&mut dirs));
    dirs.delete_partition(&name, 7, Moment::default()).unwrap();
    drop(dirs);
    // The checkpoints still speak of the one that was deleted.
    let mut dirs = open(&disk).unwrap();
    drop(load(&mut dirs));
    let (_, mut log) = create(&mut dirs, &name);
    append(&mut log, 3);
    drop((dirs, log));
    let loaded = load(&mut open(&disk).unwrap());
    let (log, report) = loaded[&name].log.as_ref().unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset(), report.cut.clone()), (Offset(0), Offset(3), None));
}

#[test]
fn a_quarantined_partition_is_judged_no_milder_at_the_next_start() {
    let disk = SimDisk::new(1);
    closed_in_order(&disk);
    let name = partition("t", 0);
    let path = Path::new("/a/t-0/00000000000000000000.log");
    let bytes = read_file(&disk, path, 1 << 20).unwrap();
    disk.flip_bit(path, 80, 0).unwrap();
    disk.flip_bit(path, 11, 6).unwrap();
    for start in 0..3 {
        let mut dirs = open(&disk).unwrap();
        let mut loaded = load(&mut dirs);
        assert!(matches!(loaded.remove(&name).unwrap().log, Err(OpenError::Corrupt(_))), "start {start}");
        let (other, one) = loaded.pop_first().unwrap();
        let (log, _) = one.log.unwrap();
        let known = BTreeMap::from([(other, offsets(&log, 10))]);
        log.close().unwrap();
        assert_eq!(dirs.checkpoint_task(known).run(), []);
        dirs.close().unwrap();
    }
    assert!(!disk.exists(Path::new("/a/.kafka_cleanshutdown")).unwrap());
    assert!(disk.exists(Path::new("/b/.kafka_cleanshutdown")).unwrap());
    disk.flip_bit(path, 80, 0).unwrap();
    disk.flip_bit(path, 11, 6).unwrap();
    assert_eq!(read_file(&disk, path, 1 << 20).unwrap(), bytes, "nothing was cut");
}

#[test]
fn damaged_checkpoints_cost_a_scan_and_nothing_else() {
    for file in OffsetCheckpoint::ALL {
        let disk = SimDisk::new(1);
        closed_in_order(&disk);
        let path = Path::new("/a").join(file.file_name());
        disk.open(&path, Access::Truncate).unwrap().write_all_at(0, &[io::IoSlice::new(b"rubbish")]).unwrap();
        let mut dirs = open(&disk).unwrap();
        let loaded = load(&mut dirs);
        let (log, _) = loaded[&partition("t", 0)].log.as_ref().unwrap();
        assert_eq!(log.log_end_offset(), Offset(10), "{file:?}");
        assert_eq!(dirs.warnings().len(), 1, "{file:?}");
    }
}

#[test]
fn a_dir_whose_disk_fails_is_offline_and_the_others_go_on() {
    let disk = SimDisk::new(1);
    closed_in_order(&disk);
    disk.inject(Fault::forever(Operation::List, io::ErrorKind::Other).below(Path::new("/a")));
    let mut dirs = open(&disk).unwrap();
    assert_eq!(dirs.failed()[0].0, Path::new("/a"));
    assert_eq!(load(&mut dirs).len(), 1);
    let (place, _) = create(&mut dirs, &partition("new", 0));
    assert_eq!(place, LogDirIndex(1));
    assert!(dirs.describe()[0].error.is_some());
    drop(dirs);
    disk.inject(Fault::forever(Operation::List, io::ErrorKind::Other));
    assert!(matches!(open(&disk), Err(LogDirsError::AllFailed(_))));
}

#[test]
fn a_partition_that_died_is_opened_again() {
    let disk = SimDisk::new(1);
    let mut dirs = open(&disk).unwrap();
    let name = partition("t", 0);
    let (_, mut log) = create(&mut dirs, &name);
    append(&mut log, 4);
    drop(log);
    let again = dirs.reopen_partition(&name, LastWords::default(), LogConfig::default(), NOW).unwrap();
    assert_eq!(again.log.unwrap().0.log_end_offset(), Offset(4));
    assert!(dirs.reopen_partition(&partition("none", 0), LastWords::default(), LogConfig::default(), NOW).is_none());
}

/// The last checkpoint knows of a flush beyond the cut, the flush since then failed, and what it covered is written again.
#[test]
fn a_log_that_was_cut_and_whose_flush_failed_is_written_again_from_the_cut_on() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let mut dirs = open(&disk).unwrap();
        let name = partition("t", 0);
        let (_, mut log) = create(&mut dirs, &name);
        append(&mut log, 10);
        let flush = |log: &mut Log| log.flush_task().map(|task| log.flush_finished(task.run()).is_ok());
        assert_eq!(flush(&mut log), Some(true));
        assert!(dirs.checkpoint_task(BTreeMap::from([(name.clone(), offsets(&log, 0))])).run().is_empty());
        log.truncate_to(Offset(5), NOW).unwrap();
        append(&mut log, 5);
        disk.inject(Fault::once(Operation::Sync, io::ErrorKind::Other));
        assert_eq!(flush(&mut log), Some(false));
        let last_words = LastWords { recovery_point: Some(log.recovery_point()), ..LastWords::default() };
        drop(log);
        let again = dirs.reopen_partition(&name, last_words, LogConfig::default(), NOW).unwrap();
        let (mut log, _) = again.log.unwrap();
        let _nothing_left = flush(&mut log);
        assert!(dirs.checkpoint_task(BTreeMap::from([(name.clone(), offsets(&log, 0))])).run().is_empty());
        disk.crash();
        disk.restart();
        let mut dirs = open(&disk).unwrap();
        let (log, _) = load(&mut dirs).remove(&name).unwrap().log.unwrap();
        let all = crate::storage::log::ReadRequest {
            offset: Offset(0),
            upper_bound: Offset(10),
            bytes_max: 1 << 20,
            at_least_one_batch: true,
        };
        assert_eq!(log.log_end_offset(), Offset(10), "seed {seed}");
        assert!(log.view().read(&all, crate::storage::log::Wait::Allowed).is_ok(), "seed {seed}");
    }
}

#[test]
fn a_log_that_is_opened_again_starts_where_it_started() {
    let disk = SimDisk::new(1);
    let mut dirs = open(&disk).unwrap();
    let name = partition("t", 0);
    let (_, mut log) = create(&mut dirs, &name);
    append(&mut log, 5);
    log.advance_log_start(Offset(3));
    let last_words = LastWords { recovery_point: None, log_start: log.log_start_offset(), high_watermark: Offset(4) };
    drop(log);
    let again = dirs.reopen_partition(&name, last_words, LogConfig::default(), NOW).unwrap();
    assert_eq!(again.high_watermark, Offset(4), "clients were told");
    let (log, _) = again.log.unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(3), Offset(5)), "no checkpoint knows of it");
}

#[test]
fn a_partition_whose_topic_id_cannot_be_written_leaves_nothing_behind() {
    let disk = SimDisk::new(3);
    let mut dirs = open(&disk).unwrap();
    let t0 = partition("t", 0);
    disk.inject(Fault::once(Operation::Write, io::ErrorKind::StorageFull));
    let made = dirs.create_partition(&t0, Some(topic_id()), LogConfig::default(), NOW);
    assert!(matches!(made, Err(OpenError::Disk(error)) if error.kind == io::ErrorKind::StorageFull));
    drop(dirs);
    let mut dirs = open(&disk).unwrap();
    assert!(load(&mut dirs).is_empty(), "it would be a partition of a topic without id");
    let (dir, _) = create(&mut dirs, &t0);
    assert_eq!(dir, LogDirIndex(0));
}

#[test]
fn a_partition_of_before_there_were_ids_takes_its_topics_for_good() {
    let disk = SimDisk::new(3);
    let mut dirs = open(&disk).unwrap();
    let t0 = partition("t", 0);
    dirs.create_partition(&t0, None, LogConfig::default(), NOW).unwrap();
    disk.inject(Fault::once(Operation::Write, io::ErrorKind::StorageFull));
    assert!(dirs.adopt_topic_id(&t0, topic_id()).is_err());
    assert_eq!(dirs.adopt_topic_id(&t0, topic_id()), Ok(()));
    drop(dirs);
    disk.crash();
    disk.restart();
    let mut dirs = open(&disk).unwrap();
    assert_eq!(load(&mut dirs)[&t0].topic_id, Some(topic_id()));
}
