//! Torn tails, flipped bits, derived files that are missing or wrong.

use super::*;
use crate::storage::disk::{Access, read_file};

/// A log of ten batches in several segments, flushed up to `flushed`, and not closed.
fn written(disk: &SimDisk, flushed: usize) -> Vec<Stored> {
    let mut log = open(disk);
    for number in 0..10 {
        if number == flushed {
            flush(&mut log).unwrap();
        }
        let number = i32::try_from(number).unwrap();
        append(&mut log, &Sent { producer: Some((1, 0, number)), value_bytes: 180, ..Sent::default() });
    }
    let stored = read_all(&log);
    assert_eq!(log.view().segments().len(), 2);
    stored
}

fn last_log(disk: &SimDisk) -> PathBuf {
    file(names(disk).iter().rfind(|name| name.ends_with(".log")).unwrap())
}

fn reopen(disk: &SimDisk, recovery_point: i64) -> Result<(Log, OpenReport), OpenError> {
    open_with(disk, OpenOptions { recovery_point: Offset(recovery_point), ..options(config()) })
}

#[test]
fn a_tail_torn_at_any_byte_is_cut() {
    let whole = disk();
    let stored = written(&whole, 0);
    let path = last_log(&whole);
    let len = whole.open(&path, Access::Read).unwrap().len().unwrap();
    let last: u64 = stored.iter().rev().take(2).map(|Stored(header, _)| header.len as u64).sum();
    for cut in len - last..len {
        for zeros in [false, true] {
            let disk = disk();
            written(&disk, 0);
            let file = disk.open(&path, Access::Write).unwrap();
            file.set_len(cut).unwrap();
            if zeros {
                file.set_len(len).unwrap();
            }
            let (log, report) = reopen(&disk, 0).unwrap();
            // The last byte of these batches is a zero, which zeros do not change.
            let same = u64::from(zeros);
            let left = 8 + usize::from(len - last / 2 <= cut + same);
            let whole = if zeros { cut == len - 1 } else { cut == len - last || cut == len - last / 2 };
            let left = if zeros && whole { 10 } else { left };
            assert_eq!(read_all(&log), stored[..left], "cut at {cut}, zeros: {zeros}");
            assert_eq!(report.cut.is_none(), whole, "cut at {cut}, zeros: {zeros}");
            assert_eq!(log.describe_producers()[0].last_sequence, i32::try_from(left).unwrap() - 1);
        }
    }
}

#[test]
fn a_bit_flipped_in_a_header_above_the_recovery_point_ends_the_log_there() {
    let whole = disk();
    let stored = written(&whole, 0);
    let path = last_log(&whole);
    // The second batch of the last segment.
    let (at, first) = (stored[6].0.len as u64, 6);
    for byte in 0..61 {
        for bit in 0..8 {
            let disk = disk();
            let before = written(&disk, 0);
            disk.flip_bit(&path, at + byte, bit).unwrap();
            let (log, report) = reopen(&disk, 0).unwrap();
            let left = read_all(&log);
            assert!(report.cut.is_some(), "byte {byte}, bit {bit}");
            // A later epoch may have begun there: it shows with the next batch, whose epoch would be older.
            let epoch_raised = (12..16).contains(&byte) && left.len() > first + 1;
            if !epoch_raised {
                assert_eq!(left, before[..first + 1], "byte {byte}, bit {bit}");
            }
        }
    }
}

#[test]
fn damage_below_the_recovery_point_is_never_cut() {
    for clean_shutdown in [false, true] {
        let disk = disk();
        let stored = written(&disk, 9);
        let path = last_log(&disk);
        let before = read_file(&disk, &path, 1 << 20).unwrap();
        // The length of the batch at offset 6, the second of its segment.
        disk.flip_bit(&path, stored[6].0.len as u64 + 11, 3).unwrap();
        let damaged = OpenOptions { recovery_point: Offset(9), clean_shutdown, ..options(config()) };
        let error = open_with(&disk, damaged).map(|_| ()).unwrap_err();
        assert!(matches!(&error, OpenError::Corrupt(at) if at.path == path), "{error}");
        assert_eq!(read_file(&disk, &path, 1 << 20).unwrap().len(), before.len(), "nothing was touched");
        disk.flip_bit(&path, stored[6].0.len as u64 + 11, 3).unwrap();
        let (log, _) = reopen(&disk, 9).unwrap();
        assert_eq!(read_all(&log), stored);
    }
}

#[test]
fn a_reader_that_meets_damage_says_so() {
    let disk = disk();
    let mut log = open(&disk);
    append_all(&mut log, &[Sent::default().batch(), Sent::default().batch(), Sent::default().batch()]);
    let len = read_all(&log)[0].0.len as u64;
    disk.flip_bit(&log.active.segment.path(), len + 8, 7).unwrap();
    let view = log.view();
    let read = |offset| {
        let request = ReadRequest {
            offset: Offset(offset),
            upper_bound: Offset(2),
            bytes_max: 1 << 20,
            at_least_one_batch: true,
        };
        view.read(&request, Wait::Allowed)
    };
    assert!(matches!(read(1), Err(ReadError::Corrupt(Corruption { position, .. })) if position == len));
    assert!(matches!(read(4), Err(ReadError::OutOfRange { log_end: Offset(3), .. })));
    assert!(matches!(read(-1), Err(ReadError::OutOfRange { .. })));
}

/// Files that can be built again from the batches.
fn derived(disk: &SimDisk) -> Vec<String> {
    names(disk).into_iter().filter(|name| !name.ends_with(".log")).collect()
}

#[test]
fn derived_files_are_built_again() {
    let config = LogConfig { segment_bytes: 100_000, index_interval_bytes: 300, ..config() };
    let fresh = |clean: bool| {
        let disk = disk();
        let mut log = open_with(&disk, options(config.clone())).unwrap().0;
        for number in 0..150 {
            let sent = Sent {
                producer: Some((1, 0, number)),
                value_bytes: 1_000,
                timestamp: number.into(),
                ..Sent::default()
            };
            append(&mut log, &sent);
        }
        let (stored, producers) = (read_all(&log), log.describe_producers());
        let end = if clean { log.close().unwrap() } else { flush(&mut log).unwrap() };
        (disk, stored, producers, end)
    };
    for clean_shutdown in [true, false] {
        let names = derived(&fresh(clean_shutdown).0);
        assert!(3 < names.len(), "{names:?}");
        for name in names {
            for harm in ["missing", "empty", "short", "garbled", "flipped"] {
                let (disk, stored, producers, end) = fresh(clean_shutdown);
                spoil(&disk, &file(&name), harm);
                let again = OpenOptions { recovery_point: end, clean_shutdown, ..options(config.clone()) };
                let (mut log, report) =
                    open_with(&disk, again).unwrap_or_else(|error| panic!("{name} {harm}: {error}"));
                assert_eq!(report.cut, None, "{name} {harm}");
                assert_eq!(read_all(&log), stored, "{name} {harm}");
                for offset in (0..150).step_by(11) {
                    assert_eq!(
                        read_from(&log.view(), Offset(offset), 20_000)[0],
                        stored[usize::try_from(offset).unwrap()],
                        "{name} {harm}"
                    );
                    let found = log.view().offset_for_timestamp(Timestamp(offset)).unwrap().unwrap();
                    assert_eq!(found.offset, Offset(offset), "{name} {harm}");
                }
                // Without any snapshot after a clean shutdown there were no producers; there is more than one here.
                assert_eq!(log.describe_producers(), producers, "{name} {harm}");
                assert_eq!(log.latest_leader_epoch(), Some(LeaderEpoch(3)), "{name} {harm}");
                append(&mut log, &Sent { producer: Some((1, 0, 150)), ..Sent::default() });
            }
        }
    }
}

fn spoil(disk: &SimDisk, path: &Path, harm: &str) {
    if harm == "missing" {
        return disk.remove_file(path).unwrap();
    }
    let bytes = read_file(disk, path, 1 << 20).unwrap();
    let file = disk.open(path, Access::Write).unwrap();
    match harm {
        "empty" => file.set_len(0).unwrap(),
        "short" => file.set_len(bytes.len() as u64 / 2).unwrap(),
        "garbled" => {
            let garbage = bytes.iter().map(|byte| byte ^ 0x55).collect::<Vec<_>>();
            file.write_all_at(0, &[std::io::IoSlice::new(&garbage)]).unwrap();
        }
        _ if bytes.is_empty() => {}
        _ => disk.flip_bit(path, bytes.len() as u64 / 2, 4).unwrap(),
    }
}

#[test]
fn leftovers_of_deletion_and_compaction_are_tidied_up() {
    let disk = disk();
    let stored = written(&disk, 9);
    let log_of = |name: &str| disk.open(&file(name), Access::Create).unwrap();
    let second = names(&disk).into_iter().rfind(|name| name.ends_with(".log")).unwrap();
    // A finished segment that was about to replace the last one, here with the same batches.
    let bytes = read_file(&disk, &file(&second), 1 << 20).unwrap();
    let swap = log_of(&format!("{second}.swap"));
    swap.write_all_at(0, &[std::io::IoSlice::new(&bytes)]).unwrap();
    for name in ["00000000000000000003.log.deleted", "00000000000000000777.log.cleaned", "00000000000000000777.index"] {
        log_of(name).write_all_at(0, &[std::io::IoSlice::new(b"rubbish")]).unwrap();
    }
    let (log, _) = reopen(&disk, 9).unwrap();
    assert_eq!(read_all(&log), stored);
    let odd = names(&disk).into_iter().filter(|name| name.contains("777") || name.contains(".log."));
    assert_eq!(odd.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_deletion_of_which_only_the_middle_reached_the_disk_is_finished() {
    let log_of_six = |disk: &SimDisk| {
        let mut log = open(disk);
        for _ in 0..6 {
            append(&mut log, &Sent { value_bytes: 1_000, ..Sent::default() });
        }
        log.close().unwrap()
    };
    let name = |base: i64| file(&format!("{base:020}.log"));
    let set_aside = |disk: &SimDisk, base: i64| {
        disk.rename(&name(base), &file(&format!("{base:020}.log.deleted"))).unwrap();
    };
    let disk = disk();
    let end = log_of_six(&disk);
    set_aside(&disk, 1);
    set_aside(&disk, 2);
    let (log, _) = reopen(&disk, end.0).unwrap();
    assert_eq!((log.log_start_offset(), read_all(&log).len()), (Offset(3), 3));
    drop(log);
    // Above the recovery point it may be a tear, and what was set aside may be what an earlier recovery cut off.
    let disk = disk_of(2);
    log_of_six(&disk);
    set_aside(&disk, 1);
    let (log, _) = reopen(&disk, 1).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(0), Offset(1)));
    drop(log);
    // What was set aside does not fill the hole: it says nothing of what is older.
    let disk = disk_of(3);
    let end = log_of_six(&disk);
    set_aside(&disk, 1);
    disk.remove_file(&name(2)).unwrap();
    assert_eq!(reopen(&disk, end.0).unwrap().0.log_start_offset(), Offset(0));
}

#[test]
fn a_damaged_swap_replaces_nothing() {
    let disk = disk();
    let stored = written(&disk, 9);
    let second = names(&disk).into_iter().rfind(|name| name.ends_with(".log")).unwrap();
    let bytes = read_file(&disk, &file(&second), 1 << 20).unwrap();
    let swap = file(&format!("{second}.swap"));
    let swapped = disk.open(&swap, Access::Create).unwrap();
    swapped.write_all_at(0, &[std::io::IoSlice::new(&bytes)]).unwrap();
    disk.flip_bit(&swap, 100, 1).unwrap();
    assert!(matches!(reopen(&disk, 9), Err(OpenError::Corrupt(at)) if at.path == swap));
    disk.remove_file(&swap).unwrap();
    assert_eq!(read_all(&reopen(&disk, 9).unwrap().0), stored);
}

#[test]
fn segments_behind_a_gap_above_the_recovery_point_are_set_aside() {
    let disk = disk();
    let mut log = open(&disk);
    for _ in 0..6 {
        append(&mut log, &Sent { value_bytes: 1_000, ..Sent::default() });
    }
    drop(log);
    disk.remove_file(&file("00000000000000000002.log")).unwrap();
    let (log, report) = reopen(&disk, 1).unwrap();
    assert_eq!((log.log_end_offset(), report.cut.unwrap().log_end_offset), (Offset(2), Offset(2)));
    let kept = names(&disk).into_iter().filter(|name| name.ends_with(".log.deleted")).count();
    assert_eq!(kept, 3, "an operator can still look at them");
    let disk = disk_of(3);
    let mut log = open(&disk);
    for _ in 0..6 {
        append(&mut log, &Sent { value_bytes: 1_000, ..Sent::default() });
    }
    drop(log);
    // The batch of the first segment reaches below the recovery point, but the segment behind it is gone.
    disk.remove_file(&file("00000000000000000001.log")).unwrap();
    assert!(matches!(reopen(&disk, 1), Ok((log, _)) if log.log_end_offset() == Offset(1)));
}

#[test]
fn a_log_start_behind_the_end_starts_anew() {
    let disk = disk();
    written(&disk, 0);
    let beyond = OpenOptions { log_start_offset: Offset(50), ..options(config()) };
    let (mut log, _) = open_with(&disk, beyond).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(50), Offset(50)));
    assert_eq!(append(&mut log, &Sent::default()).base_offset, Offset(50), "no offset is given out twice");
}
