//! Lookups by time and by transaction; retention; what may not wait.

use super::*;
use crate::model::Moment;
use crate::storage::disk::Access;
use crate::wire::record::{EndTransactionMarker, TransactionOutcome};

#[test]
fn records_are_found_by_their_time() {
    let disk = disk();
    let mut log = open(&disk);
    let times = [100, 300, 200, 500, 500, 400, 900, 50, 700];
    let mut records = Vec::new();
    for timestamp in times {
        let base = log.log_end_offset().0;
        append(&mut log, &Sent { records: 3, value_bytes: 150, timestamp, ..Sent::default() });
        records.extend((0..3).map(|at| (base + at, timestamp + at)));
    }
    assert!(2 < log.view().segments().len());
    for closed in [false, true] {
        if closed {
            let recovery_point = log.close().unwrap();
            let again = OpenOptions { recovery_point, clean_shutdown: true, ..options(config()) };
            log = open_with(&disk, again).unwrap().0;
        }
        let view = log.view();
        for target in 0..1_000 {
            let expected = records.iter().find(|(_, timestamp)| target <= *timestamp);
            let found = view.offset_for_timestamp(Timestamp(target)).unwrap();
            let found = found.map(|found| (found.offset.0, found.timestamp.0));
            assert_eq!(found, expected.copied(), "target {target}, closed: {closed}");
        }
        let largest = view.max_timestamp().unwrap().unwrap();
        assert_eq!(
            (largest.timestamp, largest.offset, largest.leader_epoch),
            (Timestamp(902), Offset(20), LeaderEpoch(3))
        );
    }
    log.advance_log_start(Offset(21));
    let found = log.view().offset_for_timestamp(Timestamp(60)).unwrap().unwrap();
    assert_eq!(found.offset, Offset(24), "what lies below the log start is not found");
}

#[test]
fn an_empty_log_has_no_times() {
    let view = open(&disk()).view();
    assert_eq!(view.max_timestamp(), Ok(None));
    assert_eq!(view.offset_for_timestamp(Timestamp(0)), Ok(None));
}

fn marker(producer: i64, outcome: TransactionOutcome) -> NewBatch {
    let end = EndTransactionMarker { outcome, coordinator_epoch: 0 };
    let ids = (ProducerId(producer), ProducerEpoch(0));
    new_batch(BatchBuilder::end_transaction(end, ids, Timestamp(5)).unwrap(), Origin::Coordinator)
}

#[test]
fn readers_of_committed_data_learn_what_was_aborted() {
    let disk = disk();
    let mut log = open(&disk);
    let data = |producer, sequence| {
        Sent { producer: Some((producer, 0, sequence)), transactional: true, value_bytes: 400, ..Sent::default() }
            .batch()
    };
    let (aborted, committed) = (TransactionOutcome::Aborted, TransactionOutcome::Committed);
    // Offsets 0 to 7; producer 3 stays open.
    let batches = [
        data(1, 0),
        data(2, 0),
        data(1, 1),
        marker(1, aborted),
        data(3, 0),
        marker(2, committed),
        data(1, 2),
        marker(1, aborted),
    ];
    assert!(append_all(&mut log, &batches).iter().all(Result::is_ok));
    assert_eq!(log.first_unstable_offset(Offset(2)), Some(Offset(0)), "its marker is not replicated yet");
    assert_eq!(log.first_unstable_offset(Offset(6)), Some(Offset(4)), "the first transaction that is open");
    let firsts = |log: &Log, from, to| {
        let found = log.view().aborted_transactions(Offset(from), Offset(to));
        found.iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset.0)).collect::<Vec<_>>()
    };
    let check = |log: &Log| {
        assert_eq!(firsts(log, 0, 3), [(1, 0)]);
        assert_eq!(firsts(log, 0, 8), [(1, 0), (1, 6)]);
        assert_eq!(firsts(log, 4, 6), []);
        assert_eq!(firsts(log, 4, 8), [(1, 6)]);
    };
    check(&log);
    let recovery_point = flush(&mut log).unwrap();
    drop(log);
    // After a crash from the batches, after a clean shutdown from the files.
    let crashed = OpenOptions { recovery_point, ..options(config()) };
    let log = open_with(&disk, crashed).unwrap().0;
    check(&log);
    let recovery_point = log.close().unwrap();
    let clean = OpenOptions { recovery_point, clean_shutdown: true, ..options(config()) };
    let mut log = open_with(&disk, clean).unwrap().0;
    check(&log);
    assert_eq!(log.first_unstable_offset(Offset(8)), Some(Offset(4)), "the open transaction is known");
    assert!(names(&disk).iter().any(|name| name.ends_with(".txnindex")));
    log.truncate_to(Offset(6), Timestamp(0)).unwrap();
    assert_eq!(firsts(&log, 0, 8), [(1, 0)]);
}

#[test]
fn a_failed_write_leaves_transactions_as_they_were() {
    let disk = disk();
    let mut log = open(&disk);
    let data = |producer, sequence| {
        Sent { producer: Some((producer, 0, sequence)), transactional: true, ..Sent::default() }.batch()
    };
    assert!(append_all(&mut log, &[data(1, 0)])[0].is_ok());
    let before = (log.producers.clone(), log.view().aborted_transactions(Offset(0), Offset(99)));
    disk.set_capacity(Some(log.view().size_bytes()));
    let abort = marker(1, TransactionOutcome::Aborted);
    let batches = [data(1, 1), abort.clone(), data(2, 0), data(1, 2), data(2, 0)];
    assert!(append_all(&mut log, &batches).iter().all(Result::is_err), "not even the duplicate is there");
    assert_eq!((log.producers.clone(), log.view().aborted_transactions(Offset(0), Offset(99))), before);
    disk.set_capacity(None);
    assert!(append_all(&mut log, &batches).iter().all(Result::is_ok));
    assert_eq!(log.view().aborted_transactions(Offset(0), Offset(99)).len(), 1);
    assert_eq!(log.first_unstable_offset(Offset(99)), Some(Offset(3)));
}

#[test]
fn retention_removes_old_segments_below_the_high_watermark() {
    let disk = disk();
    let by_age = LogConfig { retention: Some(Duration::from_millis(500)), ..config() };
    let mut log = open_with(&disk, options(by_age)).unwrap().0;
    for timestamp in [1_000, 1_200, 2_000, 3_000] {
        append(&mut log, &Sent { value_bytes: 1_200, timestamp, ..Sent::default() });
    }
    let mut retain = |high_watermark, now| {
        log.apply_retention(Offset(high_watermark), Timestamp(now), Moment::default()).unwrap();
        (log.log_start_offset().0, log.log_end_offset().0, log.view().segments().len())
    };
    assert_eq!(retain(4, 1_500), (0, 4, 4), "none is older than 500 ms");
    assert_eq!(retain(1, 9_000), (1, 4, 3), "only what is below the high watermark");
    assert_eq!(retain(4, 2_501), (3, 4, 1));
    assert_eq!(retain(4, 9_000), (4, 4, 1), "even the active one, for which an empty one comes");
    assert_eq!(retain(4, 99_000), (4, 4, 1), "the empty one stays");
    assert_eq!(append(&mut log, &Sent::default()).base_offset, Offset(4));
}

#[test]
fn retention_by_size_keeps_what_is_allowed() {
    let disk = disk();
    let by_size = LogConfig { retention_bytes: Some(3_000), retention: None, ..config() };
    let mut log = open_with(&disk, options(by_size)).unwrap().0;
    for _ in 0..5 {
        append(&mut log, &Sent { value_bytes: 1_200, ..Sent::default() });
    }
    let view = log.view();
    let held = view.read(
        &ReadRequest { offset: Offset(0), upper_bound: Offset(1), bytes_max: 9_999, at_least_one_batch: true },
        Wait::Allowed,
    );
    let pending = log.apply_retention(Offset(5), Timestamp(0), Moment(Duration::from_secs(1))).unwrap().unwrap();
    assert_eq!((log.log_start_offset(), log.view().segments().len()), (Offset(2), 3));
    assert_eq!(pending.due, Moment(Duration::from_secs(61)));
    assert!(pending.paths.iter().all(|path| path.to_string_lossy().ends_with(".deleted")));
    pending.run(&disk).unwrap();
    pending.run(&disk).unwrap();
    assert!(names(&disk).iter().all(|name| !name.ends_with(".deleted")));
    let Ok(Read::Batches(slice)) = held else { panic!("it was there") };
    assert_eq!(batches_of(&slice).len(), 1, "who has the file goes on reading it");
    let request = ReadRequest { offset: Offset(1), upper_bound: Offset(5), bytes_max: 99, at_least_one_batch: true };
    assert!(matches!(view.read(&request, Wait::Allowed), Err(ReadError::OutOfRange { log_start: Offset(2), .. })));
}

#[test]
fn a_deleted_segment_is_cut_down_only_when_nobody_reads_it() {
    let (mib, disk) = (1 << 20, disk());
    let by_size =
        LogConfig { segment_bytes: 4 * mib, retention_bytes: Some(1), retention: None, ..LogConfig::default() };
    let mut log = open_with(&disk, options(by_size)).unwrap().0;
    let sent = Sent { value_bytes: 3 << 20, ..Sent::default() };
    let request = ReadRequest { offset: Offset(0), upper_bound: Offset(1), bytes_max: 99, at_least_one_batch: true };
    for held in [true, false] {
        append(&mut log, &sent);
        append(&mut log, &sent);
        let offset = log.log_start_offset();
        let Ok(Read::Batches(slice)) =
            log.view().read(&ReadRequest { offset, upper_bound: offset.next(), ..request }, Wait::Allowed)
        else {
            panic!("it is there")
        };
        let pending = log.apply_retention(offset.next(), Timestamp(0), Moment::default()).unwrap().unwrap();
        let deleted = pending.paths.iter().find(|path| path.to_string_lossy().ends_with(".log.deleted")).unwrap();
        let file = disk.open(deleted, Access::Read).unwrap();
        let len = file.len().unwrap();
        let reader = held.then_some(slice);
        pending.run(&disk).unwrap();
        assert!(!names(&disk).iter().any(|name| name.ends_with(".deleted")));
        match reader {
            Some(slice) => assert_eq!(batches_of(&slice).len(), 1, "all bytes are there"),
            None => assert!(0 < file.len().unwrap() && file.len().unwrap() < len / 2, "cut down before it was removed"),
        }
    }
}

#[test]
fn segments_that_retention_took_are_not_held_open() {
    let disk = disk();
    let by_size = LogConfig { retention_bytes: Some(3_000), retention: None, ..config() };
    let mut log = open_with(&disk, options(by_size)).unwrap().0;
    let mut held = Vec::new();
    for _ in 0..20 {
        append(&mut log, &Sent { value_bytes: 1_200, ..Sent::default() });
        log.apply_retention(log.log_end_offset(), Timestamp(0), Moment::default()).unwrap();
        held.push(log.unflushed_closed_files());
    }
    assert_eq!(held.iter().max(), held.get(4), "as many as the kept segments have, however many went: {held:?}");
    assert!(0 < held[4]);
}

#[test]
fn closed_segments_become_durable_without_the_active_one() {
    let disk = disk();
    let mut log = open(&disk);
    for _ in 0..3 {
        append(&mut log, &Sent { value_bytes: 1_200, ..Sent::default() });
    }
    assert_eq!(log.recovery_point(), Offset(0));
    let task = log.flush_closed_task().expect("two segments are closed");
    append(&mut log, &Sent { value_bytes: 1_200, ..Sent::default() });
    assert_eq!(log.flush_finished(task.run()), Ok(Offset(2)), "what was closed meanwhile waits for the next");
    assert!(0 < log.unflushed_closed_files());
    let task = log.flush_closed_task().expect("the third is closed");
    assert_eq!(log.flush_finished(task.run()), Ok(log.closed_segments_end()));
    assert!(
        log.flush_closed_task().is_none() && log.flush_task().is_some(),
        "the active segment is still to be flushed"
    );
    drop(log);
    disk.crash();
    disk.restart();
    let recovered = open_with(&disk, OpenOptions { recovery_point: Offset(3), ..options(config()) }).unwrap().0;
    assert!(Offset(3) <= recovered.log_end_offset());
    assert_eq!(read_all(&recovered).len(), usize::try_from(recovered.log_end_offset().0).unwrap());
}

#[test]
fn a_read_that_may_not_wait_does_not() {
    let disk = disk();
    let mut log = open(&disk);
    for _ in 0..4 {
        append(&mut log, &Sent { value_bytes: 1_200, ..Sent::default() });
    }
    let view = log.view();
    let read = |offset, wait| {
        let request =
            ReadRequest { offset: Offset(offset), upper_bound: Offset(4), bytes_max: 9_999, at_least_one_batch: true };
        view.read(&request, wait).unwrap()
    };
    assert!(matches!(read(3, Wait::Never), Read::Batches(_)));
    disk.set_cached(false);
    assert!(matches!(read(3, Wait::Never), Read::WouldWait));
    assert!(matches!(read(3, Wait::Allowed), Read::Batches(_)));
    disk.set_cached(true);
    // Closed segments are closed again when others were opened: here, two of them may be open.
    (0..3).for_each(|offset| assert!(matches!(read(offset, Wait::Allowed), Read::Batches(_))));
    assert!(matches!(read(0, Wait::Never), Read::WouldWait), "its file was closed");
    assert!(matches!(read(2, Wait::Never), Read::Batches(_)));
}

#[test]
fn a_closed_segment_has_the_files_that_kafka_expects() {
    let disk = disk();
    let mut log = open(&disk);
    for _ in 0..2 {
        append(&mut log, &Sent { value_bytes: 1_200, ..Sent::default() });
    }
    log.close().unwrap();
    let expected = [
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
        "00000000000000000001.index",
        "00000000000000000001.log",
        "00000000000000000001.snapshot",
        "00000000000000000001.timeindex",
        "00000000000000000002.snapshot",
        "leader-epoch-checkpoint",
    ];
    assert_eq!(names(&disk), expected);
    let times = disk.open(&file("00000000000000000000.timeindex"), Access::Read).unwrap();
    assert_eq!(times.len().unwrap(), 12, "the largest timestamp of the segment");
}
