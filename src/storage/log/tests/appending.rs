//! Appending: places, producers, failures of the disk.

use super::*;
use crate::model::Moment;
use crate::storage::disk::read_file;
use crate::storage::disk::sim::{Fault, Operation};
use crate::storage::filename::FileKind;
use crate::storage::leader_epoch::LeaderEpochCache;
use crate::storage::producer_state::ProducerStateError;
use crate::wire::record::TimestampType;

#[test]
fn batches_get_their_places_and_keep_their_bytes() {
    let disk = disk();
    let mut log = open(&disk);
    let sent = [
        Sent { records: 3, ..Sent::default() },
        Sent { records: 2, value_bytes: 600, codec: Codec::Lz4, ..Sent::default() },
        Sent { value_bytes: 1_300, ..Sent::default() },
        Sent::default(),
    ];
    let batches = sent.iter().map(Sent::batch).collect::<Vec<_>>();
    let bases = append_all(&mut log, &batches).into_iter().map(|result| result.unwrap().base_offset.0);
    assert_eq!(bases.collect::<Vec<_>>(), [0, 3, 5, 6]);
    let stored = read_all(&log);
    for (Stored(header, bytes), sent) in stored.iter().zip(&sent) {
        assert_eq!(header.leader_epoch, LeaderEpoch(3));
        assert_eq!(bytes[16..], sent.bytes()[16..], "only offset and epoch differ");
    }
    assert_eq!(stored.len(), 4);
    assert_eq!(log.view().segments().len(), 2, "the large batch needs a segment of its own");
    assert_eq!(log.latest_leader_epoch(), Some(LeaderEpoch(3)));
}

#[test]
fn one_bad_batch_does_not_hold_up_its_neighbours() {
    let disk = disk();
    let mut log = open(&disk);
    let mut lies = Sent::default().batch();
    lies.header.len += 1;
    let batches = [
        Sent::default().batch(),
        Sent { value_bytes: 2_000, ..Sent::default() }.batch(),
        lies,
        Sent::default().batch(),
    ];
    let results = append_all(&mut log, &batches);
    assert_eq!(results[0].as_ref().unwrap().base_offset, Offset(0));
    assert!(matches!(results[1], Err(AppendError::BatchTooLarge { max: 1_500, .. })));
    assert!(matches!(results[2], Err(AppendError::NotValidated(_))));
    assert_eq!(results[3].as_ref().unwrap().base_offset, Offset(1));
    assert_eq!(read_all(&log).len(), 2);
}

#[test]
fn a_producers_batches_come_in_order_and_once() {
    let disk = disk();
    let mut log = open(&disk);
    let batch = |sequence, epoch| Sent { records: 2, producer: Some((9, epoch, sequence)), ..Sent::default() }.batch();
    // In one call, so that each is judged by those before it, which are not written yet.
    let results = append_all(&mut log, &[batch(0, 0), batch(2, 0), batch(2, 0), batch(7, 0), batch(4, 0)]);
    let base = |at: usize| results[at].as_ref().unwrap().base_offset.0;
    assert_eq!((base(0), base(1), base(4)), (0, 2, 4));
    let duplicate = results[2].as_ref().unwrap();
    assert_eq!((duplicate.base_offset, duplicate.last_offset), (Offset(2), Offset(3)));
    assert_eq!(duplicate.log_append_time, Timestamp(1_001));
    assert_eq!(results[0].as_ref().unwrap().log_append_time, Timestamp::NONE);
    assert!(matches!(results[3], Err(AppendError::Producer(ProducerStateError::OutOfOrderSequence { .. }))));
    assert_eq!(read_all(&log).len(), 3);
    let fenced = append_all(&mut log, &[batch(0, 1), batch(6, 0)]);
    assert!(fenced[0].is_ok());
    assert!(matches!(fenced[1], Err(AppendError::Producer(ProducerStateError::InvalidProducerEpoch { .. }))));
}

#[test]
fn a_batch_that_was_stamped_says_so() {
    let disk = disk();
    let mut log = open(&disk);
    let mut batch = Sent::default().batch();
    batch.header.attributes = batch.header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
    batch.header.max_timestamp = Timestamp(77);
    assert_eq!(append_all(&mut log, &[batch])[0].as_ref().unwrap().log_append_time, Timestamp(77));
}

#[test]
fn an_empty_segment_has_its_index_files() {
    let disk = disk();
    let log = open(&disk);
    let names = disk.list(&log.dir()).unwrap().into_iter().map(|entry| entry.name).collect::<Vec<_>>();
    let base = "00000000000000000000";
    assert_eq!(names, [format!("{base}.index"), format!("{base}.log"), format!("{base}.timeindex")]);
}

#[test]
fn the_index_files_of_an_open_segment_are_brought_up_to_date() {
    let disk = disk();
    let mut log = open(&disk);
    let path = |log: &Log, kind| log.active.segment.file(kind);
    for round in 1..=2 {
        for _ in 0..3 {
            append(&mut log, &Sent { value_bytes: 150, ..Sent::default() });
        }
        log.save_indexes().unwrap();
        let (offsets, times) = (&log.active.open.indexes.offsets, &log.active.open.indexes.times);
        assert!(round <= offsets.len());
        assert_eq!(read_file(&disk, &path(&log, FileKind::Index), 1 << 20).unwrap(), offsets.encode());
        assert_eq!(read_file(&disk, &path(&log, FileKind::TimeIndex), 1 << 20).unwrap(), times.encode());
    }
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room() {
    let disk = disk();
    let mut log = open(&disk);
    let producer = |sequence| Sent { producer: Some((5, 0, sequence)), value_bytes: 100, ..Sent::default() };
    append(&mut log, &producer(0));
    let before = read_all(&log);
    let (size, epochs) = (log.view().size_bytes(), log.latest_leader_epoch());
    disk.set_capacity(Some(size + 250));
    for _ in 0..3 {
        let results = append_all(&mut log, &[producer(1).batch(), producer(2).batch(), producer(1).batch()]);
        for result in results {
            let error = result.expect_err("no room");
            assert!(
                matches!(&error, AppendError::Disk(error) if error.kind == std::io::ErrorKind::StorageFull),
                "{error}"
            );
        }
        assert_eq!((log.log_end_offset(), log.latest_leader_epoch()), (Offset(1), epochs));
        assert_eq!(read_all(&log), before, "reads go on");
        let path = log.active.segment.path();
        assert_eq!(disk.open(&path, crate::storage::disk::Access::Read).unwrap().len().unwrap(), size, "cut back");
    }
    disk.set_capacity(None);
    assert_eq!(append(&mut log, &producer(1)).base_offset, Offset(1), "as if it had never been asked");
    assert_eq!(append(&mut log, &producer(2)).base_offset, Offset(2));
    assert_eq!(append(&mut log, &producer(1)).log_append_time, Timestamp(1_000));
    log.close().unwrap();
    let (log, report) = open_with(&disk, options(config())).unwrap();
    assert_eq!((read_all(&log).len(), report.cut), (3, None));
}

#[test]
fn what_a_failed_append_left_is_durably_gone_when_the_log_was_closed() {
    for seed in 0..20 {
        let disk = disk_of(seed);
        let mut log = open(&disk);
        append(&mut log, &Sent::default());
        assert_eq!(flush(&mut log), Ok(Offset(1)));
        disk.inject(Fault::once(Operation::Write, std::io::ErrorKind::StorageFull));
        append_all(&mut log, &[Sent { value_bytes: 900, ..Sent::default() }.batch()])[0].as_ref().unwrap_err();
        assert_eq!(log.close(), Ok(Offset(1)));
        disk.crash();
        disk.restart();
        let clean = OpenOptions { recovery_point: Offset(1), clean_shutdown: true, ..options(config()) };
        assert_eq!(read_all(&open_with(&disk, clean).unwrap().0).len(), 1, "seed {seed}");
    }
}

#[test]
fn no_room_for_the_epochs_is_no_failed_flush() {
    let disk = disk();
    let mut log = open(&disk);
    append(&mut log, &Sent::default());
    disk.set_capacity(Some(log.view().size_bytes()));
    assert_eq!(flush(&mut log), Ok(Offset(1)));
    assert_eq!(log.view().recovery_point(), Offset(0), "the next start reads the epochs from the batches");
    disk.set_capacity(None);
    append(&mut log, &Sent::default());
    assert_eq!(flush(&mut log), Ok(Offset(2)));
    assert_eq!(log.view().recovery_point(), Offset(2));
    assert_eq!(LeaderEpochCache::load(&disk, &log.dir()).unwrap().latest().unwrap().epoch, LeaderEpoch(3));
}

#[test]
fn the_name_of_a_segment_that_was_empty_when_the_process_died_is_flushed_with_its_first_batch() {
    for seed in 0..20 {
        let disk = disk_of(seed);
        let mut log = open(&disk);
        append(&mut log, &Sent { value_bytes: 1_000, ..Sent::default() });
        assert_eq!(flush(&mut log), Ok(Offset(1)));
        disk.inject(
            Fault::once(Operation::Write, std::io::ErrorKind::StorageFull).below(&file("00000000000000000001.log")),
        );
        append_all(&mut log, &[Sent { value_bytes: 1_000, ..Sent::default() }.batch()])[0].as_ref().unwrap_err();
        disk.kill();
        disk.restart();
        let reopened = |recovery_point| OpenOptions { recovery_point, ..options(config()) };
        let (mut log, _) = open_with(&disk, reopened(Offset(1))).unwrap();
        append(&mut log, &Sent { value_bytes: 1_000, ..Sent::default() });
        assert_eq!(flush(&mut log), Ok(Offset(2)));
        disk.crash();
        disk.restart();
        assert_eq!(read_all(&open_with(&disk, reopened(Offset(2))).unwrap().0).len(), 2, "seed {seed}");
    }
}

#[test]
fn an_empty_segment_whose_first_write_failed_is_not_begun_again() {
    let disk = disk();
    let mut log = open(&disk);
    // Room for what rolling writes, not for batches. The second batch asks for a new segment because the first is in the way.
    disk.set_capacity(Some(300));
    let batches =
        [Sent { value_bytes: 600, ..Sent::default() }.batch(), Sent { value_bytes: 1_200, ..Sent::default() }.batch()];
    assert!(append_all(&mut log, &batches).iter().all(Result::is_err));
    assert_eq!(log.view().segments().len(), 1, "two segments with one base offset would be one file");
    disk.set_capacity(None);
    assert!(append_all(&mut log, &batches).iter().all(Result::is_ok));
    log.advance_log_start(Offset(1));
    let pending = log.apply_retention(Offset(2), Timestamp(1_000_000), Moment::default()).unwrap().unwrap();
    pending.run(&disk).unwrap();
    drop(log);
    let (log, _) = open_with(&disk, OpenOptions { log_start_offset: Offset(1), ..options(config()) }).unwrap();
    assert_eq!((read_all(&log).len(), log.log_end_offset()), (1, Offset(2)));
}

#[test]
fn no_room_for_a_new_segment_refuses_appends_too() {
    let disk = disk();
    let mut log = open(&disk);
    append(&mut log, &Sent { value_bytes: 1_200, ..Sent::default() });
    disk.inject(Fault::once(Operation::Open, std::io::ErrorKind::StorageFull));
    let refused =
        append_all(&mut log, &[Sent { value_bytes: 600, ..Sent::default() }.batch(), Sent::default().batch()]);
    assert!(matches!(&refused[0], Err(AppendError::Disk(_))));
    assert_eq!(refused[1].as_ref().unwrap().base_offset, Offset(1), "a small one still fits");
    let later = append(&mut log, &Sent { value_bytes: 600, ..Sent::default() });
    assert_eq!((later.base_offset, log.view().segments().len()), (Offset(2), 2));
    assert_eq!(read_all(&log).len(), 3);
}

#[test]
fn after_a_failed_flush_nothing_is_appended_until_reopened() {
    let disk = disk();
    let mut log = open(&disk);
    append(&mut log, &Sent::default());
    assert_eq!(flush(&mut log), Ok(Offset(1)));
    append(&mut log, &Sent::default());
    disk.inject(Fault::once(Operation::Sync, std::io::ErrorKind::Other));
    flush(&mut log).expect_err("the sync fails");
    // The next one would succeed, and lie.
    flush(&mut log).expect_err("it failed for good");
    assert_eq!(log.recovery_point(), Offset(1));
    let refused = append_all(&mut log, &[Sent::default().batch()]);
    assert!(matches!(refused[0], Err(AppendError::LogFailed(_))));
    assert_eq!(read_all(&log).len(), 2, "reads go on");
    assert!(log.close().is_err());
    // Reopened, what lies above the recovery point is written once more: then a flush says the truth.
    let again = OpenOptions { recovery_point: Offset(1), rewrite_unflushed: true, ..options(config()) };
    let (mut log, _) = open_with(&disk, again).unwrap();
    assert_eq!(flush(&mut log), Ok(Offset(2)));
    disk.crash();
    disk.restart();
    let after = OpenOptions { recovery_point: Offset(2), ..options(config()) };
    assert_eq!(open_with(&disk, after).unwrap().0.log_end_offset(), Offset(2));
}

#[test]
fn a_flush_from_before_a_truncation_says_nothing() {
    let disk = disk();
    let mut log = open(&disk);
    append_all(&mut log, &[Sent::default().batch(), Sent::default().batch()]);
    let task = log.flush_task().unwrap();
    log.truncate_to(Offset(1), Timestamp(0)).unwrap();
    append(&mut log, &Sent { mark: b'w', ..Sent::default() });
    assert_eq!(log.flush_finished(task.run()), Ok(Offset(0)));
    assert_eq!(flush(&mut log), Ok(Offset(2)));
}

#[test]
fn segments_roll_by_age_of_their_batches() {
    let disk = disk();
    let young = LogConfig { segment_age: Duration::from_millis(100), ..config() };
    let mut log = open_with(&disk, options(young)).unwrap().0;
    for timestamp in [1_000, 1_100, 1_101, 1_050, 1_202] {
        append(&mut log, &Sent { timestamp, ..Sent::default() });
    }
    let bases = log.view().segments().iter().map(|segment| segment.base_offset().0).collect::<Vec<_>>();
    assert_eq!(bases, [0, 2, 4]);
}

#[test]
fn segments_roll_when_an_index_is_full() {
    let disk = disk();
    let small = LogConfig { segment_bytes: 1 << 20, segment_index_bytes: 36, index_interval_bytes: 1, ..config() };
    let mut log = open_with(&disk, options(small)).unwrap().0;
    for number in 0..9 {
        append(&mut log, &Sent { timestamp: number, ..Sent::default() });
    }
    let bases = log.view().segments().iter().map(|segment| segment.base_offset().0).collect::<Vec<_>>();
    assert_eq!(bases, [0, 3, 6], "the time index keeps its third entry for the roll");
}

#[test]
fn a_follower_takes_what_the_leader_wrote() {
    let (disk, other) = (disk(), disk_of(2));
    let mut leader = open(&disk);
    for number in 0..20 {
        append(&mut leader, &Sent { producer: Some((1, 0, number)), records: 1, ..Sent::default() });
    }
    let mut follower = open(&other);
    let batches =
        read_all(&leader).into_iter().map(|Stored(_, bytes)| new_batch(bytes, Origin::Replication)).collect::<Vec<_>>();
    follower.append_as_follower(&batches[..7], Timestamp(0)).unwrap();
    follower.append_as_follower(&batches[7..], Timestamp(0)).unwrap();
    assert_eq!(read_all(&follower), read_all(&leader));
    assert_eq!(follower.latest_leader_epoch(), Some(LeaderEpoch(3)));
    assert_eq!(follower.describe_producers(), leader.describe_producers());
    let again = follower.append_as_follower(&batches[19..], Timestamp(0));
    assert!(matches!(again, Err(AppendError::OutOfOrder { expected: Offset(20), found: Offset(19) })));
}
