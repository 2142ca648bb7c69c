//! A replica goes from one log dir to another, and the disk dies at every operation of that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use super::tests::{NOW, create, load, offsets, open, partition, topic_id, try_append};
use super::*;
use crate::storage::disk::sim::{Death, SimDisk};
use crate::storage::log::{CopyError, Read, ReadRequest, Wait};

/// Records that were flushed, so that they must be there after any death.
#[derive(Default)]
struct Promised(i64);

fn name() -> TopicPartition {
    partition("t", 0)
}

fn bytes(log: &Log) -> Vec<u8> {
    let request = ReadRequest {
        offset: log.log_start_offset(),
        upper_bound: log.log_end_offset(),
        bytes_max: 1 << 20,
        at_least_one_batch: true,
    };
    match log.view().read(&request, Wait::Allowed).unwrap() {
        Read::Batches(slice) => {
            let mut bytes = vec![0; slice.len];
            assert_eq!(slice.file.read_at(slice.position, &mut bytes).unwrap(), slice.len);
            bytes
        }
        Read::Empty | Read::WouldWait => vec![],
    }
}

fn disk_error(error: CopyError) -> DiskError {
    match error {
        CopyError::Flush(error) | CopyError::Read(crate::storage::log::ReadError::Disk(error)) => error,
        CopyError::Write(error) => error.disk().expect("the disk's").clone(),
        CopyError::Read(other) => panic!("{other}"),
    }
}

fn opened(error: OpenError) -> DiskError {
    match error {
        OpenError::Disk(error) => error,
        OpenError::Corrupt(corruption) => panic!("{corruption}"),
    }
}

fn append_to(log: &mut Log, times: usize) -> Result<(), DiskError> {
    let (doing, kind) = ("append".to_owned(), io::ErrorKind::Other);
    try_append(log, times).then_some(()).ok_or(DiskError { doing, kind, message: "the disk died".to_owned() })
}

/// A replica with ten records in `/a`.
fn replica(dirs: &mut LogDirs) -> Result<Log, DiskError> {
    let made = dirs.create_partition(&name(), Some(topic_id()), LogConfig::default(), NOW);
    let (place, mut log) = made.map_err(opened)?;
    assert_eq!(place, LogDirIndex(0));
    append_to(&mut log, 10)?;
    log.flush().map_err(disk_error)?;
    Ok(log)
}

/// It goes to `/b`, and is appended to before, meanwhile and after.
fn scenario(disk: &SimDisk, promised: &mut Promised) -> Result<(), DiskError> {
    let mut dirs = match open(disk) {
        Ok(dirs) => dirs,
        Err(LogDirsError::AllFailed(error)) => return Err(error),
        Err(other) => panic!("{other}"),
    };
    if let Some((_, error)) = dirs.failed().into_iter().next() {
        return Err(error);
    }
    let mut log = replica(&mut dirs)?;
    promised.0 = 10;
    let job = dirs.begin_future(&name(), LogDirIndex(1), topic_id(), 7)?;
    let mut copy = job.run(LogConfig::default(), true, NOW).map_err(opened)?;
    let view = log.view();
    while copy.copy_from(&view, 200, NOW).map_err(disk_error)? != 0 {}
    assert_eq!((copy.log_end_offset(), bytes(&copy)), (Offset(10), bytes(&log)));
    log.hold_open().expect("open already");
    let closed = copy.close()?;
    let due = (Moment::default(), LogConfig::default());
    match dirs.join_future(&name(), offsets(&log, 10), closed, 8, due, NOW) {
        Joined::Stayed(error) => return Err(error),
        Joined::Moved { log: opened_log, pending, failed } => {
            log.go_on_as(*opened_log.map_err(opened)?);
            if let Some((_, error)) = failed {
                return Err(error);
            }
            pending.run(&disk.clone())?;
        }
    }
    assert_eq!(dirs.dir_of(&name()), Some(LogDirIndex(1)));
    assert_eq!((log.log_end_offset(), log.recovery_point()), (Offset(10), Offset(10)));
    append_to(&mut log, 5)?;
    assert_eq!(view.log_end_offset(), Offset(15), "readers go on");
    log.flush().map_err(disk_error)?;
    promised.0 = 15;
    Ok(())
}

#[test]
fn what_was_flushed_survives_a_death_at_any_operation_of_a_move() {
    let operations = {
        let disk = SimDisk::new(1);
        let before = disk.operations();
        scenario(&disk, &mut Promised::default()).unwrap();
        before..disk.operations()
    };
    for death in [Death::Power, Death::Process] {
        for at in operations.clone() {
            for seed in 0..4 {
                let disk = SimDisk::new(seed * 1_000 + at);
                disk.die_at(at, death);
                let mut promised = Promised::default();
                if scenario(&disk, &mut promised).is_ok() {
                    // What the last operation was for had been done.
                    continue;
                }
                disk.restart();
                let context = format!("{death:?} at {at}, seed {seed}");
                let mut dirs = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
                let loaded = load(&mut dirs);
                let Some(replica) = loaded.get(&name()) else {
                    assert_eq!(promised.0, 0, "{context}: it is gone");
                    continue;
                };
                let (log, _) = replica.log.as_ref().unwrap_or_else(|error| panic!("{context}: {error}"));
                assert!(promised.0 <= log.log_end_offset().0, "{context}: {} of {}", log.log_end_offset(), promised.0);
                let live = ["/a/t-0", "/b/t-0"].iter().filter(|folder| disk.exists(Path::new(folder)).unwrap());
                assert_eq!(live.count(), 1, "{context}: one folder is the replica's");
                // What was under way goes on.
                if let Some(to) = dirs.future_dir_of(&name()) {
                    let job = dirs.begin_future(&name(), to, topic_id(), 9).expect("the dir works");
                    let mut copy = job.run(LogConfig::default(), true, NOW).unwrap();
                    while copy.copy_from(&log.view(), 200, NOW).unwrap() != 0 {}
                    assert_eq!(bytes(&copy), bytes(log), "{context}");
                }
            }
        }
    }
}

#[test]
fn two_folders_of_one_name_refuse_the_start_unless_one_was_left() {
    let disk = SimDisk::new(1);
    let mut dirs = open(&disk).unwrap();
    drop(create(&mut dirs, &name()));
    drop(dirs);
    disk.create_dir_all(Path::new("/b/t-0")).unwrap();
    assert!(matches!(open(&disk), Err(LogDirsError::Duplicate { .. })));
    replace_file(&disk, Path::new("/a/t-0/moved"), b"t-0.7-future").unwrap();
    let mut dirs = open(&disk).unwrap();
    assert_eq!(dirs.dir_of(&name()), Some(LogDirIndex(1)));
    drop(load(&mut dirs));
    assert!(!disk.exists(Path::new("/a/t-0")).unwrap(), "the other one has all that it had");
}

#[test]
fn a_replica_that_was_left_does_not_come_back_while_the_other_dir_cannot_be_seen() {
    use crate::storage::disk::sim::{Fault, Operation};
    let disk = SimDisk::new(1);
    let mut dirs = open(&disk).unwrap();
    drop(create(&mut dirs, &name()));
    drop(dirs);
    replace_file(&disk, Path::new("/a/t-0/moved"), b"t-0.7-future").unwrap();
    disk.inject(Fault::forever(Operation::List, io::ErrorKind::Other).below(Path::new("/b")));
    assert!(matches!(open(&disk), Err(LogDirsError::MovedAway(path)) if path == Path::new("/a/t-0")));
    disk.heal();
    let dirs = open(&disk).unwrap();
    assert_eq!(dirs.dir_of(&name()), Some(LogDirIndex(0)), "there is no other one");
    assert!(!disk.exists(Path::new("/a/t-0/moved")).unwrap());
}

#[test]
fn a_copy_that_is_given_up_goes_and_what_is_on_its_way_is_told() {
    let disk = SimDisk::new(1);
    let mut dirs = open(&disk).unwrap();
    let log = replica(&mut dirs).unwrap();
    let job = dirs.begin_future(&name(), LogDirIndex(1), topic_id(), 7).unwrap();
    let mut copy = job.run(LogConfig::default(), false, NOW).unwrap();
    copy.copy_from(&log.view(), 200, NOW).unwrap();
    assert_eq!(dirs.describe()[1].futures, [name()]);
    let pending = dirs.abandon_future(&name(), 8, Moment::default()).unwrap().expect("a folder");
    assert_eq!((dirs.futures(), dirs.future_dir_of(&name())), (vec![], None));
    pending.run(&disk.clone()).unwrap();
    assert!(disk.list(Path::new("/b")).unwrap().iter().all(|entry| !entry.is_dir));
    assert!(dirs.abandon_future(&name(), 8, Moment::default()).unwrap().is_none(), "once");
}

#[test]
fn a_partition_that_is_not_here_yet_is_made_where_it_is_wanted() {
    let disk = SimDisk::new(1);
    let mut dirs = open(&disk).unwrap();
    let wanted = dirs.dir_at(Path::new("/b")).unwrap();
    dirs.prefer(&name(), wanted);
    assert_eq!(create(&mut dirs, &name()).0, wanted);
    assert_eq!(dirs.dir_at(Path::new("/c")), None);
}
