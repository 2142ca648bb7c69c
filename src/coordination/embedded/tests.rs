//! The tree on a disk that dies, fills up, forgets and lies.

use std::io::{self, IoSlice};

use super::store::{LOG_FILE, SNAPSHOT_FILE};
use super::*;
use crate::coordination::conformance::{run, session_id, ticks};
use crate::storage::disk::Access;
use crate::storage::disk::sim::{Death, Fault, Operation, SimDisk};

const DIR: &str = "/data/coordinator";

fn open(disk: &SimDisk) -> Result<Embedded, LoadError> {
    Embedded::open(Arc::new(disk.clone()), Path::new(DIR), ticks())
}

fn file(name: &str) -> std::path::PathBuf {
    Path::new(DIR).join(name)
}

fn bytes_of(disk: &SimDisk, name: &str) -> Vec<u8> {
    crate::storage::disk::read_file(disk, &file(name), usize::MAX).expect("it is there")
}

fn overwrite(disk: &SimDisk, name: &str, bytes: &[u8]) {
    let file = disk.open(&file(name), Access::Truncate).expect("it is there");
    file.write_all_at(0, &[IoSlice::new(bytes)]).expect("room");
    file.sync().expect("a disk");
}

async fn make(tree: &Embedded, path: &str) -> Result<(), CoordinationError> {
    tree.create(path, Some(path.as_bytes()), CreateMode::Persistent).await.map(drop)
}

async fn names(tree: &Embedded) -> Vec<String> {
    tree.children("/").await.expect("the root is there")
}

#[test]
fn a_restart_keeps_the_tree_and_ends_the_sessions() {
    run(async {
        let disk = SimDisk::new(1);
        let tree = open(&disk).expect("an empty disk");
        make(&tree, "/a").await.expect("free");
        tree.set("/a", b"two", Some(0)).await.expect("there");
        let (_, ephemeral) = tree.create("/e", None, CreateMode::Ephemeral).await.expect("free");
        tree.create("/q", None, CreateMode::PersistentSequential).await.expect("free");
        let (before, old_session) = (tree.get("/a").await, session_id(&tree));
        disk.kill();
        disk.restart();
        let tree = open(&disk).expect("nothing is torn");
        assert_eq!(tree.get("/a").await, before, "data, versions, numbers and times");
        assert_eq!(names(&tree).await, ["a", "q0000000002"], "the ephemeral is gone");
        assert_ne!(session_id(&tree), old_session);
        let (_, again) = tree.create("/e", None, CreateMode::Ephemeral).await.expect("free");
        assert!(ephemeral.czxid < again.czxid, "a broker's epoch rises");
        let (path, _) = tree.create("/q", None, CreateMode::PersistentSequential).await.expect("free");
        assert_eq!(path, "/q0000000004", "a counter goes on");
    });
}

/// A life with every kind of write, until the disk dies; what was acknowledged.
async fn live(tree: &Embedded) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0..12 {
        let path = format!("/n{n:02}");
        // Pairs share a flush, and some are longer than a sector.
        let long = vec![b'x'; if n % 3 == 0 { 2_000 } else { 10 }];
        let first = tree.create(&path, Some(&long), CreateMode::Persistent);
        let second = make(tree, &format!("{path}b")).await;
        match (first.await, second) {
            (Ok(_), Ok(())) => acknowledged.extend([path[1..].to_owned(), format!("{}b", &path[1..])]),
            _ => break,
        }
    }
    acknowledged
}

#[test]
fn whatever_was_acknowledged_survives_a_death_at_any_write() {
    run(async {
        let whole = SimDisk::new(0);
        live(&open(&whole).expect("an empty disk")).await;
        let operations = whole.operations();
        assert!(25 < operations, "{operations} are too few to be worth it");
        for (death, seed) in (0..8).flat_map(|seed| [(Death::Power, seed), (Death::Process, seed)]) {
            for number in 0..=operations {
                let disk = SimDisk::new(seed);
                disk.die_at(number, death);
                let acknowledged = match open(&disk) {
                    Ok(tree) => live(&tree).await,
                    Err(_) => Vec::new(),
                };
                if !disk.is_down() {
                    disk.crash();
                }
                disk.restart();
                let tree = open(&disk).unwrap_or_else(|error| panic!("seed {seed}, operation {number}: {error}"));
                let found = names(&tree).await;
                let expected = acknowledged.len()..=acknowledged.len() + 2;
                assert!(
                    found.starts_with(&acknowledged),
                    "seed {seed}, operation {number}: {acknowledged:?} {found:?}"
                );
                assert!(expected.contains(&found.len()), "seed {seed}, operation {number}: something was invented");
                make(&tree, "/z").await.expect("it goes on");
            }
        }
    });
}

#[test]
fn a_changed_bit_is_refused_never_guessed_around() {
    run(async {
        let disk = SimDisk::new(1);
        live(&open(&disk).expect("an empty disk")).await;
        let log = bytes_of(&disk, LOG_FILE);
        for at in (0..log.len()).step_by(7).chain(log.len() - 40..log.len()) {
            let mut changed = log.clone();
            changed[at] ^= 1 << (at % 8);
            overwrite(&disk, LOG_FILE, &changed);
            let opened = open(&disk).map(drop);
            assert!(
                matches!(opened, Err(LoadError::Damaged(..) | LoadError::Version(..))),
                "byte {at} of {}: {opened:?}",
                log.len()
            );
            assert_eq!(bytes_of(&disk, LOG_FILE), changed, "a refused file is left as it is");
        }
        overwrite(&disk, LOG_FILE, &log);
        assert!(open(&disk).is_ok());
    });
}

#[test]
fn a_torn_last_flush_is_cut_at_every_length() {
    run(async {
        let disk = SimDisk::new(1);
        let tree = open(&disk).expect("an empty disk");
        make(&tree, "/kept").await.expect("free");
        let kept = bytes_of(&disk, LOG_FILE).len();
        tree.create("/torn", Some(&[b'x'; 1_500]), CreateMode::Persistent).await.expect("free");
        let log = bytes_of(&disk, LOG_FILE);
        for len in kept..log.len() {
            overwrite(&disk, LOG_FILE, &log[..len]);
            assert_eq!(names(&open(&disk).expect("it is only torn")).await, ["kept"], "cut at {len}");
            let mut blank = log[..len].to_vec();
            blank.resize(log.len(), 0);
            overwrite(&disk, LOG_FILE, &blank);
            assert_eq!(names(&open(&disk).expect("it is only torn")).await, ["kept"], "blank from {len}");
        }
    });
}

#[test]
fn absence_is_not_taken_for_emptiness() {
    run(async {
        let disk = SimDisk::new(1);
        let tree = open(&disk).expect("an empty disk");
        fill_past_a_snapshot(&tree).await;
        drop(tree);
        let (snapshot, log) = (bytes_of(&disk, SNAPSHOT_FILE), bytes_of(&disk, LOG_FILE));
        for (name, other) in [(SNAPSHOT_FILE, &snapshot), (LOG_FILE, &log)] {
            disk.remove_file(&file(name)).expect("there");
            let error = open(&disk).map(drop).expect_err("half of it is gone");
            assert!(error.to_string().contains("missing"), "{error}");
            disk.open(&file(name), Access::Create).expect("room");
            assert!(open(&disk).is_err(), "an empty {name} is no tree");
            overwrite(&disk, name, other);
        }
        for at in (0..snapshot.len()).step_by(60_013).chain([0, 17, 19, 20, 30, snapshot.len() - 1]) {
            let mut changed = snapshot.clone();
            changed[at] ^= 0x10;
            overwrite(&disk, SNAPSHOT_FILE, &changed);
            assert!(open(&disk).is_err(), "byte {at} of the snapshot");
        }
        overwrite(&disk, SNAPSHOT_FILE, &snapshot);
        assert!(open(&disk).is_ok());
    });
}

/// Writes so much that the tree is written anew at least once.
async fn fill_past_a_snapshot(tree: &Embedded) {
    for n in 0..40 {
        tree.create(&format!("/big{n:02}"), Some(&[b'x'; 40_000]), CreateMode::Persistent).await.expect("room");
    }
    tree.delete("/big00", None).await.expect("there");
}

#[test]
fn the_tree_is_written_anew_when_the_log_has_outgrown_it() {
    run(async {
        let disk = SimDisk::new(1);
        let tree = open(&disk).expect("an empty disk");
        fill_past_a_snapshot(&tree).await;
        let names_before = names(&tree).await;
        assert!(!bytes_of(&disk, SNAPSHOT_FILE).is_empty());
        disk.crash();
        disk.restart();
        let tree = open(&disk).expect("all was synced");
        assert_eq!(names(&tree).await, names_before);
        let (data, stat) = tree.get("/big17").await.expect("readable").expect("there");
        assert!(data.len() == 40_000 && stat.version == 0);
    });
}

#[test]
fn a_full_disk_refuses_changes_and_then_recovers() {
    run(async {
        let disk = SimDisk::new(1);
        let tree = open(&disk).expect("an empty disk");
        make(&tree, "/a").await.expect("free");
        let mut watch = tree.watch("/").await.expect("a session");
        disk.set_capacity(Some(600));
        let big = tree.create("/b", Some(&[b'x'; 5_000]), CreateMode::Persistent);
        let read = tree.exists("/b");
        assert!(matches!(big.await, Err(CoordinationError::Other(_))));
        assert!(read.await.is_err(), "it saw what was taken back");
        assert_eq!(tree.exists("/b").await, Ok(None));
        assert!(tree.get("/a").await.expect("reading goes on").is_some());
        tree.expire();
        assert!(tree.get("/a").await.expect("reading goes on").is_some());
        disk.set_capacity(None);
        make(&tree, "/b").await.expect("there is room again");
        assert_eq!(watch.recv().await, Some(WatchEvent::Resync));
        assert_eq!(watch.recv().await, Some(WatchEvent::Created("/b".into())), "nothing was told of what was not");
        disk.crash();
        disk.restart();
        assert_eq!(names(&open(&disk).expect("all was synced")).await, ["a", "b"]);
    });
}

#[test]
fn a_failed_sync_is_not_trusted_again() {
    run(async {
        for seed in 0..20 {
            let disk = SimDisk::new(seed);
            let tree = open(&disk).expect("an empty disk");
            make(&tree, "/a").await.expect("free");
            disk.inject(Fault::once(Operation::Sync, io::ErrorKind::Other));
            assert!(make(&tree, "/b").await.is_err());
            assert_eq!(tree.exists("/b").await, Ok(None));
            make(&tree, "/c").await.expect("the disk works again");
            disk.crash();
            disk.restart();
            assert_eq!(names(&open(&disk).expect("all was synced")).await, ["a", "c"], "seed {seed}");
        }
    });
}

#[test]
fn another_format_is_refused_by_name() {
    run(async {
        let disk = SimDisk::new(1);
        make(&open(&disk).expect("an empty disk"), "/a").await.expect("free");
        let mut log = bytes_of(&disk, LOG_FILE);
        log[19] = 2;
        overwrite(&disk, LOG_FILE, &log);
        assert!(matches!(open(&disk), Err(LoadError::Version(_, 2))));
    });
}
