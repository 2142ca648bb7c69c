//! What the model promises, seed by seed.

use std::collections::BTreeSet;
use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::storage::disk::{Disk, DiskFile, read_file, replace_file};

const SEEDS: std::ops::Range<u64> = 0..200;

fn at(path: &str) -> &Path {
    Path::new(path)
}

/// A disk with a durable folder `/d`.
fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(at("/d")).unwrap();
    disk.sync_dir(at("/")).unwrap();
    disk
}

fn write(file: &dyn DiskFile, position: u64, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(position, &[IoSlice::new(bytes)])
}

/// A durable file that holds `bytes`.
fn durable(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(at(path), Access::Create).unwrap();
    write(&*file, 0, bytes).unwrap();
    file.sync().unwrap();
    disk.sync_dir(at(path).parent().unwrap()).unwrap();
    file
}

fn content(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    read_file(disk, at(path), 1 << 20).ok()
}

fn crash(disk: &SimDisk) {
    disk.crash();
    disk.restart();
}

#[test]
fn what_was_synced_survives_and_the_rest_is_thrown() {
    let mut outcomes = BTreeSet::new();
    for seed in SEEDS {
        let disk = disk(seed);
        let file = durable(&disk, "/d/a", &[1; 1_000]);
        write(&*file, 1_000, &[2; 2_000]).unwrap();
        assert_eq!(content(&disk, "/d/a").unwrap().len(), 3_000, "readers see it at once");
        crash(&disk);
        let left = content(&disk, "/d/a").unwrap();
        assert_eq!(left.get(..1_000).unwrap(), [1; 1_000], "seed {seed}");
        let tail = left.get(1_000..).unwrap();
        assert!(tail.iter().all(|byte| matches!(byte, 0 | 2)), "seed {seed} invents bytes");
        outcomes.insert(match tail {
            [] => "lost",
            whole if whole == [2; 2_000] => "whole",
            prefix if !prefix.contains(&0) => "cut short",
            holes if holes.last() == Some(&2) => "a later sector without an earlier one",
            _ => "zeros at the end",
        });
    }
    assert_eq!(outcomes.len(), 5, "every kind of tear is seen: {outcomes:?}");
}

#[test]
fn names_survive_only_with_their_folder() {
    let mut outcomes = BTreeSet::new();
    for seed in SEEDS {
        let disk = disk(seed);
        durable(&disk, "/d/old", b"old");
        let new = disk.open(at("/d/new"), Access::Create).unwrap();
        write(&*new, 0, b"new").unwrap();
        new.sync().unwrap();
        disk.rename(at("/d/old"), at("/d/renamed")).unwrap();
        crash(&disk);
        let created = content(&disk, "/d/new");
        assert!(created.is_none() || created.as_deref() == Some(b"new"), "its bytes were synced: seed {seed}");
        let (old, renamed) = (content(&disk, "/d/old"), content(&disk, "/d/renamed"));
        assert_eq!(old.clone().or(renamed.clone()).as_deref(), Some(b"old".as_slice()), "a rename loses nothing");
        assert!(old.is_none() || renamed.is_none(), "a rename leaves one name");
        outcomes.insert((created.is_some(), renamed.is_some()));
    }
    assert_eq!(outcomes.len(), 4, "either survives without the other: {outcomes:?}");
}

#[test]
fn a_change_of_names_rests_on_the_earlier_ones() {
    for seed in SEEDS {
        let disk = disk(seed);
        durable(&disk, "/d/a", b"1");
        disk.rename(at("/d/a"), at("/d/b")).unwrap();
        disk.rename(at("/d/b"), at("/d/c")).unwrap();
        disk.create_dir_all(at("/d/b/inner")).unwrap();
        crash(&disk);
        let places = ["/d/a", "/d/b", "/d/c"].into_iter().filter(|path| content(&disk, path).is_some());
        assert_eq!(places.count(), 1, "seed {seed}");
        if disk.list(at("/d/b")).is_ok() {
            assert!(content(&disk, "/d/c").is_some(), "the folder took the name that the second rename had freed");
        }
    }
}

#[test]
fn a_folder_sync_takes_along_what_its_changes_rest_on() {
    for seed in SEEDS {
        let disk = disk(seed);
        durable(&disk, "/d/a", b"1");
        disk.create_dir_all(at("/e")).unwrap();
        disk.sync_dir(at("/")).unwrap();
        disk.rename(at("/d/a"), at("/d/b")).unwrap();
        disk.rename(at("/d/b"), at("/e/c")).unwrap();
        disk.sync_dir(at("/e")).unwrap();
        crash(&disk);
        assert_eq!(content(&disk, "/e/c").as_deref(), Some(b"1".as_slice()));
        assert_eq!(disk.list(at("/d")).unwrap(), []);
    }
}

#[test]
fn replacing_a_file_holds_at_every_operation() {
    for seed in SEEDS {
        for operation in 1.. {
            let disk = disk(seed);
            replace_file(&disk, at("/d/a"), &[1; 700]).unwrap();
            disk.die_at(disk.operations() + operation, Death::Power);
            let replaced = replace_file(&disk, at("/d/a"), &[2; 900]);
            if replaced.is_ok() {
                assert_eq!(operation, 6, "open, write, sync, rename, sync of the folder");
                break;
            }
            assert!(is_crash(&replaced.unwrap_err()) && disk.is_down());
            disk.restart();
            let left = content(&disk, "/d/a").unwrap();
            assert!(left == [1; 700] || left == [2; 900], "seed {seed}, operation {operation}: {left:?}");
        }
    }
}

#[test]
fn a_failed_sync_gives_its_bytes_up_for_good() {
    let mut outcomes = BTreeSet::new();
    for seed in SEEDS {
        let disk = disk(seed);
        let file = durable(&disk, "/d/a", &[1; 512]);
        write(&*file, 0, &[2; 512]).unwrap();
        disk.inject(Fault::once(Operation::Sync, ErrorKind::Other));
        assert!(!is_crash(&file.sync().unwrap_err()));
        file.sync().unwrap();
        assert_eq!(content(&disk, "/d/a").unwrap(), [2; 512], "readers see nothing of it");
        crash(&disk);
        outcomes.insert(content(&disk, "/d/a").unwrap().first().copied());
    }
    assert_eq!(outcomes, BTreeSet::from([Some(1), Some(2)]), "the second sync has lied");
    for seed in SEEDS {
        let disk = disk(seed);
        let file = durable(&disk, "/d/a", &[1; 512]);
        write(&*file, 0, &[2; 512]).unwrap();
        disk.inject(Fault::once(Operation::Sync, ErrorKind::Other));
        file.sync().unwrap_err();
        write(&*file, 0, &[3; 1]).unwrap();
        file.sync().unwrap();
        crash(&disk);
        assert_eq!(content(&disk, "/d/a").unwrap().get(..2).unwrap(), [3, 2], "written again: durable again");
    }
}

#[test]
fn a_cut_never_shows_through_what_comes_later() {
    for seed in SEEDS {
        let disk = disk(seed);
        let file = durable(&disk, "/d/a", &[1; 1_500]);
        file.set_len(700).unwrap();
        file.set_len(1_600).unwrap();
        write(&*file, 1_600, &[2; 100]).unwrap();
        crash(&disk);
        let left = content(&disk, "/d/a").unwrap();
        let whole = left == [1; 1_500];
        let cut = left.get(..700.min(left.len())) == Some(&[1; 700])
            && left.get(700..).unwrap().iter().enumerate().all(|(at, byte)| *byte == 0 || (900 <= at && *byte == 2));
        assert!(whole || cut, "seed {seed}: {left:?}");
    }
}

#[test]
fn a_full_disk_takes_what_fits_and_recovers() {
    let disk = disk(1);
    disk.set_capacity(Some(1_000));
    let file = durable(&disk, "/d/a", &[1; 600]);
    let other = disk.open(at("/d/b"), Access::Create).unwrap();
    assert_eq!(write(&*other, 0, &[2; 500]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(other.len().unwrap(), 400, "a part was written");
    assert_eq!(disk.space(at("/")).unwrap().usable, 0);
    write(&*file, 0, &[3; 600]).unwrap();
    assert_eq!(file.set_len(601).unwrap_err().kind(), ErrorKind::StorageFull);
    disk.remove_file(at("/d/a")).unwrap();
    assert_eq!(disk.space(at("/")).unwrap().usable, 600);
    write(&*other, 400, &[2; 600]).unwrap();
    durable(&disk, "/d/none", b"");
    disk.rename(at("/d/b"), at("/d/b")).unwrap();
    assert_eq!(disk.space(at("/")).unwrap().usable, 0);
    disk.rename(at("/d/none"), at("/d/b")).unwrap();
    assert_eq!(disk.space(at("/")).unwrap().usable, 1_000, "what was replaced takes no room");
    disk.set_capacity(None);
    write(&*other, 1_000, &[2; 600]).unwrap();
}

#[test]
fn faults_strike_where_and_when_they_are_asked_to() {
    let disk = disk(7);
    let (a, b) = (durable(&disk, "/d/a", b""), durable(&disk, "/d/b", b""));
    disk.inject(Fault::once(Operation::Write, ErrorKind::Other).below(at("/d/a")).after(1));
    write(&*a, 0, b"1").unwrap();
    write(&*b, 0, b"1").unwrap();
    write(&*b, 0, b"1").unwrap();
    assert!(write(&*a, 0, &[9; 64]).is_err());
    assert!(a.len().unwrap() <= 64, "a part may have been written");
    write(&*a, 0, b"1").unwrap();
    disk.inject(Fault::forever(Operation::Sync, ErrorKind::Other));
    for _ in 0..3 {
        assert!(a.sync().is_err());
    }
    disk.heal();
    a.sync().unwrap();
    let every = [
        (Operation::Open, disk.open(at("/d/a"), Access::Read).map(|_| ())),
        (Operation::Rename, disk.rename(at("/d/a"), at("/d/x"))),
        (Operation::Remove, disk.remove_file(at("/d/x"))),
        (Operation::CreateDir, disk.create_dir_all(at("/d/y"))),
        (Operation::SyncDir, disk.sync_dir(at("/d"))),
        (Operation::List, disk.list(at("/d")).map(|_| ())),
        (Operation::Lock, disk.lock(at("/d/lock")).map(|_| ())),
        (Operation::Read, b.read_at(0, &mut [0]).map(|_| ())),
        (Operation::SetLen, b.set_len(3)),
    ];
    for (operation, healthy) in every {
        healthy.unwrap();
        disk.inject(Fault::once(operation, ErrorKind::PermissionDenied).below(at("/d")));
        let struck = match operation {
            Operation::Open => disk.open(at("/d/b"), Access::Create).map(|_| ()),
            Operation::Rename => disk.rename(at("/d/b"), at("/d/x")),
            Operation::Remove => disk.remove_dir_all(at("/d/y")),
            Operation::CreateDir => disk.create_dir_all(at("/d/y/z")),
            Operation::SyncDir => disk.sync_dir(at("/d")),
            Operation::List => disk.list(at("/d")).map(|_| ()),
            Operation::Lock => disk.lock(at("/d/lock")).map(|_| ()),
            Operation::Read => b.read_cached_at(0, &mut [0]).map(|_| ()),
            Operation::SetLen => b.set_len(0),
            Operation::Write | Operation::Sync => unreachable!("tried above"),
        };
        assert_eq!(struck.unwrap_err().kind(), ErrorKind::PermissionDenied, "{operation:?}");
    }
    assert_eq!(disk.list(at("/d")).unwrap().len(), 3, "nothing was done: b, lock and y are there");
}

#[test]
fn a_dead_process_loses_locks_and_handles_only() {
    let disk = disk(3);
    let file = disk.open(at("/d/a"), Access::Create).unwrap();
    write(&*file, 0, &[1; 5_000]).unwrap();
    let lock = disk.lock(at("/d/.lock")).unwrap();
    disk.kill();
    for error in [
        disk.list(at("/d")).map(|_| ()).unwrap_err(),
        file.len().map(|_| ()).unwrap_err(),
        file.sync().unwrap_err(),
        disk.exists(at("/d")).map(|_| ()).unwrap_err(),
        disk.space(at("/d")).map(|_| ()).unwrap_err(),
        file.reserve(0, 1).unwrap_err(),
    ] {
        assert!(is_crash(&error));
    }
    disk.restart();
    assert!(is_crash(&write(&*file, 0, b"x").unwrap_err()), "an old handle stays dead");
    let second = disk.lock(at("/d/.lock")).unwrap();
    drop(lock);
    assert_eq!(disk.lock(at("/d/.lock")).map(|_| ()).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(second);
    assert_eq!(content(&disk, "/d/a").unwrap(), [1; 5_000]);
}

#[test]
fn the_planned_operation_is_the_last() {
    let disk = disk(5);
    let file = durable(&disk, "/d/a", b"");
    disk.die_at(disk.operations() + 2, Death::Process);
    write(&*file, 0, b"first").unwrap();
    let mut buffer = [0; 5];
    file.read_at(0, &mut buffer).unwrap();
    assert!(is_crash(&write(&*file, 5, b"second").unwrap_err()));
    disk.restart();
    let left = content(&disk, "/d/a").unwrap();
    assert!(b"firstsecond".starts_with(left.as_slice()) && 5 <= left.len(), "{left:?}");
}

#[test]
fn bits_flip_for_good() {
    let disk = disk(6);
    let file = durable(&disk, "/d/a", &[0; 600]);
    write(&*file, 0, &[1; 10]).unwrap();
    disk.flip_bit(at("/d/a"), 3, 7).unwrap();
    let (position, bit) = disk.flip_any_bit(at("/d/a")).unwrap().unwrap();
    let before = content(&disk, "/d/a").unwrap();
    crash(&disk);
    let after = content(&disk, "/d/a").unwrap();
    assert_eq!(after.get(3).unwrap() & 0x80, 0x80);
    let bit_of = |bytes: &[u8]| bytes.get(usize::try_from(position).unwrap()).unwrap() & (1 << bit);
    assert_eq!(bit_of(&before), bit_of(&after));
    assert!(disk.flip_bit(at("/d/a"), 600, 0).is_err());
}

#[test]
fn reads_may_be_cold_and_files_have_a_time() {
    let disk = disk(6);
    disk.set_time(Timestamp(77));
    let file = durable(&disk, "/d/a", &[0; 600]);
    disk.set_cached(false);
    assert_eq!(file.read_cached_at(0, &mut [0; 4]).unwrap(), None);
    assert_eq!(file.read_at(0, &mut [0; 4]).unwrap(), 4);
    assert_eq!(disk.list(at("/d")).unwrap().first().unwrap().modified, Timestamp(77));
}

/// A step of a file's life.
#[derive(Clone, Debug)]
enum Step {
    Write { position: u64, len: usize },
    SetLen(u64),
    Sync,
    FailingSync,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_000_u64, 1..1_500_usize).prop_map(|(position, len)| Step::Write { position, len }),
        1 => (0..3_000_u64).prop_map(Step::SetLen),
        1 => Just(Step::Sync),
        1 => Just(Step::FailingSync),
    ]
}

proptest! {
    #![proptest_config(crate::storage::cases::same_every_run())]

    /// Against the naive reading of the model: every surviving sector is one of those the file showed since the
    /// last true sync (or its remainder after a cut), every length lies between the smallest and the largest since then, and the dice alone decide.
    #[test]
    fn nothing_survives_that_never_was(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..20)) {
        let run = || {
            let disk = disk(seed);
            let file = durable(&disk, "/d/a", &[]);
            let mut images = vec![Vec::new()];
            let mut lied = false;
            for (number, step) in steps.iter().enumerate() {
                let fill = u8::try_from(number + 1).unwrap();
                match *step {
                    Step::Write { position, len } => write(&*file, position, &vec![fill; len]).unwrap(),
                    Step::SetLen(len) => {
                        // What the cut left of a sector may be all that becomes of it.
                        file.set_len(len).unwrap();
                        let kept = |image: &Vec<u8>| image.iter().copied().take(usize::try_from(len).unwrap()).collect();
                        images.extend(images.iter().map(kept).collect::<Vec<_>>());
                    }
                    Step::Sync => file.sync().unwrap(),
                    Step::FailingSync => {
                        disk.inject(Fault::once(Operation::Sync, ErrorKind::Other));
                        file.sync().unwrap_err();
                        lied = true;
                    }
                }
                let image = content(&disk, "/d/a").unwrap();
                if matches!(step, Step::Sync) && !lied {
                    images.clear();
                }
                images.push(image);
            }
            crash(&disk);
            (content(&disk, "/d/a").unwrap(), images)
        };
        let (left, images) = run();
        let longest = images.iter().map(Vec::len).max().unwrap();
        let shortest = images.iter().map(Vec::len).min().unwrap();
        prop_assert!(shortest <= left.len() && left.len() <= longest);
        for (number, sector) in left.chunks(512).enumerate() {
            let was = |image: &Vec<u8>| {
                let mut then = image.iter().skip(number * 512).copied().chain(std::iter::repeat(0));
                sector.iter().all(|byte| then.next() == Some(*byte))
            };
            prop_assert!(images.iter().any(was), "sector {number} was never like that");
        }
        prop_assert_eq!(run().0, left, "the same seed and calls give the same disk");
    }
}
