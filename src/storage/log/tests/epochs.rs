//! The leader epochs of a log are those of its batches, whatever was cut, flushed or lost.

use super::*;

fn append_of(log: &mut Log, epoch: i32) {
    let mut results = Vec::new();
    log.append_as_leader(&[Sent::default().batch()], LeaderEpoch(epoch), Timestamp(1_000_000), &mut results);
    results.remove(0).unwrap();
}

/// As a follower copies them.
fn copy_of(log: &mut Log, epoch: i32) {
    let mut batch = Sent::default().batch();
    batch.header.base_offset = log.log_end_offset();
    batch.header.leader_epoch = LeaderEpoch(epoch);
    log.append_as_follower(&[batch], Timestamp(1_000_000)).unwrap();
}

fn epochs(log: &Log) -> Vec<(i32, i64)> {
    log.epochs.entries().iter().map(|entry| (entry.epoch.0, entry.start_offset.0)).collect()
}

#[test]
fn a_cut_keeps_the_epochs_of_what_stays() {
    let disk = disk();
    let mut log = open(&disk);
    append_of(&mut log, 30);
    flush(&mut log).unwrap();
    for epoch in [31, 31, 32, 33] {
        append_of(&mut log, epoch);
    }
    // Nothing is flushed since: of the file's epochs, 30 is the last.
    log.truncate_to(Offset(4), Timestamp(0)).unwrap();
    assert_eq!(epochs(&log), [(30, 0), (31, 1), (32, 3)]);
    assert_eq!(log.end_offset_for_epoch(LeaderEpoch(31)), Some((LeaderEpoch(31), Offset(3))));
    append_of(&mut log, 34);
    log.truncate_to(Offset(2), Timestamp(0)).unwrap();
    assert_eq!(epochs(&log), [(30, 0), (31, 1)]);
    log.truncate_fully_and_start_at(Offset(7), Timestamp(0)).unwrap();
    assert_eq!(epochs(&log), []);
    append_of(&mut log, 35);
    assert_eq!(epochs(&log), [(35, 7)]);
}

#[test]
fn an_epoch_without_records_is_gone_when_the_log_goes_on_in_an_earlier_one() {
    let disk = disk();
    let mut log = open(&disk);
    append_of(&mut log, 33);
    log.start_leader_epoch(LeaderEpoch(34));
    let recovery_point = flush(&mut log).unwrap();
    // The leader of epoch 35 does not know 34, and has more of 33.
    log.truncate_to(Offset(1), Timestamp(0)).unwrap();
    copy_of(&mut log, 33);
    assert_eq!(epochs(&log), [(33, 0)]);
    // The process dies before the epochs are in their file.
    drop(log);
    let (log, _) = open_with(&disk, OpenOptions { recovery_point, ..options(config()) }).unwrap();
    assert_eq!(log.log_end_offset(), Offset(2));
    assert_eq!(epochs(&log), [(33, 0)]);
}

#[test]
fn records_whose_epochs_found_no_room_are_above_the_recovery_point_after_a_cut_too() {
    let disk = disk();
    let mut log = open(&disk);
    append_of(&mut log, 30);
    flush(&mut log).unwrap();
    for epoch in [31, 32, 33] {
        append_of(&mut log, epoch);
    }
    disk.set_capacity(Some(log.view().size_bytes()));
    assert_eq!(flush(&mut log), Ok(Offset(4)));
    assert_eq!(log.view().recovery_point(), Offset(1), "the next start must read them");
    log.truncate_to(Offset(3), Timestamp(0)).unwrap();
    assert_eq!(log.view().recovery_point(), Offset(1));
}
