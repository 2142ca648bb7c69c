//! One suite for every disk: what the real one does, the simulated one does.

use std::io::{ErrorKind, IoSlice};
use std::path::{Path, PathBuf};

use super::os::OsDisk;
use super::sim::SimDisk;
use super::{Access, Disk, DiskFile, read_file, replace_file};

/// Runs a case on both disks, in an empty folder.
fn on_both(case: impl Fn(&dyn Disk, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    case(&OsDisk, folder.path());
    let sim = SimDisk::new(1);
    sim.create_dir_all(Path::new("/data")).unwrap();
    case(&sim, Path::new("/data"));
}

fn write(file: &dyn DiskFile, position: u64, bytes: &[u8]) {
    file.write_all_at(position, &[IoSlice::new(bytes)]).unwrap();
}

fn content(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    read_file(disk, path, 1 << 24).unwrap()
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    result.err().map(|error| error.kind()).unwrap()
}

fn names(disk: &dyn Disk, dir: &Path) -> Vec<String> {
    disk.list(dir).unwrap().into_iter().map(|entry| entry.name).collect()
}

#[test]
fn what_is_written_is_read() {
    on_both(|disk, dir| {
        let path = dir.join("a");
        let file = disk.open(&path, Access::Create).unwrap();
        assert!(file.is_empty().unwrap());
        file.write_all_at(0, &[IoSlice::new(b"hello "), IoSlice::new(b""), IoSlice::new(b"world")]).unwrap();
        file.write_all_at(3, &[]).unwrap();
        let mut buffer = [0; 32];
        assert_eq!(file.read_at(6, &mut buffer).unwrap(), 5);
        assert_eq!(buffer.get(..5).unwrap(), b"world");
        assert_eq!(file.read_at(11, &mut buffer).unwrap(), 0, "at the end");
        assert_eq!(file.read_at(5_000, &mut buffer).unwrap(), 0, "beyond the end");
        write(&*file, 15, b"!");
        assert_eq!(content(disk, &path), b"hello world\0\0\0\0!", "a gap reads as zeros");
        assert_eq!(file.len().unwrap(), 16);
        file.sync().unwrap();
        disk.sync_dir(dir).unwrap();
    });
}

#[test]
fn more_slices_than_one_call_takes() {
    on_both(|disk, dir| {
        let file = disk.open(&dir.join("a"), Access::Create).unwrap();
        let numbers = (0_u32..3_000).map(u32::to_be_bytes).collect::<Vec<_>>();
        let slices = numbers.iter().map(|bytes| IoSlice::new(bytes)).collect::<Vec<_>>();
        file.write_all_at(7, &slices).unwrap();
        assert_eq!(content(disk, &dir.join("a")).get(7..).unwrap(), numbers.concat());
    });
}

#[test]
fn a_file_is_opened_as_asked() {
    on_both(|disk, dir| {
        let path = dir.join("a");
        assert_eq!(kind(disk.open(&path, Access::Read)), ErrorKind::NotFound);
        assert_eq!(kind(disk.open(&path, Access::Write)), ErrorKind::NotFound);
        assert_eq!(kind(disk.open(&dir.join("no/a"), Access::Create)), ErrorKind::NotFound);
        write(&*disk.open(&path, Access::Create).unwrap(), 0, b"abc");
        write(&*disk.open(&path, Access::Create).unwrap(), 1, b"B");
        write(&*disk.open(&path, Access::Write).unwrap(), 2, b"C");
        assert_eq!(content(disk, &path), b"aBC");
        let reader = disk.open(&path, Access::Read).unwrap();
        assert!(reader.write_all_at(0, &[IoSlice::new(b"x")]).is_err(), "a reader cannot write");
        assert!(reader.set_len(0).is_err(), "nor shorten");
        reader.sync().unwrap();
        assert_eq!(disk.open(&path, Access::Truncate).unwrap().len().unwrap(), 0);
    });
}

#[test]
fn lengths_are_set_and_room_is_reserved() {
    on_both(|disk, dir| {
        let path = dir.join("a");
        let file = disk.open(&path, Access::Create).unwrap();
        write(&*file, 0, b"abcdef");
        file.set_len(3).unwrap();
        file.set_len(5).unwrap();
        file.reserve(5, 100_000).unwrap();
        file.reserve(0, 0).unwrap();
        assert_eq!(content(disk, &path), b"abc\0\0", "what was cut does not come back, room is not length");
    });
}

#[test]
fn cached_reads_answer_as_reads() {
    on_both(|disk, dir| {
        let file = disk.open(&dir.join("a"), Access::Create).unwrap();
        write(&*file, 0, &[7; 10_000]);
        let mut buffer = vec![0; 20_000];
        if let Some(read) = file.read_cached_at(1, &mut buffer).unwrap() {
            assert_eq!(read, 9_999);
            assert_eq!(buffer.get(..9_999).unwrap(), [7; 9_999]);
        }
        assert_eq!(file.read_cached_at(10_000, &mut []).unwrap(), Some(0), "nothing is always in memory");
    });
}

#[test]
fn folders_are_made_listed_and_removed() {
    on_both(|disk, dir| {
        disk.create_dir_all(&dir.join("x/y")).unwrap();
        disk.create_dir_all(&dir.join("x/y")).unwrap();
        write(&*disk.open(&dir.join("x/b"), Access::Create).unwrap(), 0, b"123");
        disk.open(&dir.join("x/a"), Access::Create).unwrap();
        let entries = disk.list(&dir.join("x")).unwrap();
        let seen = entries.iter().map(|entry| (entry.name.as_str(), entry.is_dir, entry.len)).collect::<Vec<_>>();
        assert_eq!(seen, [("a", false, 0), ("b", false, 3), ("y", true, 0)]);
        assert_eq!(kind(disk.list(&dir.join("none"))), ErrorKind::NotFound);
        assert_eq!(kind(disk.list(&dir.join("x/a"))), ErrorKind::NotADirectory);
        assert_eq!(kind(disk.create_dir_all(&dir.join("x/a"))), ErrorKind::AlreadyExists);
        assert_eq!(kind(disk.remove_file(&dir.join("none"))), ErrorKind::NotFound);
        assert_eq!(kind(disk.remove_file(&dir.join("x/y"))), ErrorKind::IsADirectory);
        assert!(disk.exists(&dir.join("x")).unwrap() && disk.exists(&dir.join("x/a")).unwrap());
        disk.remove_file(&dir.join("x/a")).unwrap();
        assert!(!disk.exists(&dir.join("x/a")).unwrap());
        disk.remove_dir_all(&dir.join("x")).unwrap();
        assert_eq!(names(disk, dir), Vec::<String>::new());
        assert_eq!(kind(disk.remove_dir_all(&dir.join("x"))), ErrorKind::NotFound);
        assert_eq!(kind(disk.sync_dir(&dir.join("x"))), ErrorKind::NotFound);
    });
}

#[test]
fn renames_move_and_replace() {
    on_both(|disk, dir| {
        let at = |name: &str| dir.join(name);
        write(&*disk.open(&at("a"), Access::Create).unwrap(), 0, b"A");
        write(&*disk.open(&at("b"), Access::Create).unwrap(), 0, b"BB");
        disk.rename(&at("a"), &at("b")).unwrap();
        assert_eq!(content(disk, &at("b")), b"A");
        assert_eq!(names(disk, dir), ["b"]);
        disk.rename(&at("b"), &at("b")).unwrap();
        assert_eq!(kind(disk.rename(&at("a"), &at("c"))), ErrorKind::NotFound);
        disk.create_dir_all(&at("d/e")).unwrap();
        assert_eq!(kind(disk.rename(&at("b"), &at("d"))), ErrorKind::IsADirectory);
        assert_eq!(kind(disk.rename(&at("d"), &at("b"))), ErrorKind::NotADirectory);
        assert_eq!(kind(disk.rename(&at("d"), &at("d/e/f"))), ErrorKind::InvalidInput);
        disk.create_dir_all(&at("full/x")).unwrap();
        assert_eq!(kind(disk.rename(&at("d"), &at("full"))), ErrorKind::DirectoryNotEmpty);
        disk.rename(&at("d"), &at("full/x")).unwrap();
        assert!(disk.exists(&at("full/x/e")).unwrap(), "an empty folder is replaced");
    });
}

#[test]
fn an_open_file_outlives_its_name() {
    on_both(|disk, dir| {
        let file = disk.open(&dir.join("a"), Access::Create).unwrap();
        write(&*file, 0, b"abc");
        disk.create_dir_all(&dir.join("sub")).unwrap();
        disk.rename(&dir.join("a"), &dir.join("sub/b")).unwrap();
        write(&*file, 3, b"d");
        assert_eq!(content(disk, &dir.join("sub/b")), b"abcd");
        disk.remove_dir_all(&dir.join("sub")).unwrap();
        for round in 0..600 {
            // Enough to make a collector of garbage look at it.
            let other = dir.join(round.to_string());
            disk.open(&other, Access::Create).unwrap();
            disk.remove_file(&other).unwrap();
            disk.sync_dir(dir).unwrap();
        }
        write(&*file, 4, b"e");
        let mut buffer = [0; 8];
        assert_eq!(file.read_at(0, &mut buffer).unwrap(), 5);
        assert_eq!(buffer.get(..5).unwrap(), b"abcde");
        file.sync().unwrap();
    });
}

#[test]
fn a_lock_is_taken_once() {
    on_both(|disk, dir| {
        let path = dir.join(".lock");
        let lock = disk.lock(&path).unwrap();
        assert_eq!(kind(disk.lock(&path)), ErrorKind::WouldBlock);
        let other = disk.lock(&dir.join("other")).unwrap();
        drop(lock);
        let again = disk.lock(&path).unwrap();
        drop(other);
        assert_eq!(kind(disk.lock(&path)), ErrorKind::WouldBlock);
        drop(again);
        disk.lock(&path).unwrap();
    });
}

#[test]
fn a_file_is_replaced_whole() {
    on_both(|disk, dir| {
        let path = dir.join("checkpoint");
        replace_file(disk, &path, b"one").unwrap();
        replace_file(disk, &path, b"2").unwrap();
        assert_eq!(content(disk, &path), b"2");
        assert_eq!(names(disk, dir), ["checkpoint"]);
        assert_eq!(kind(read_file(disk, &path, 0)), ErrorKind::InvalidData);
        let space = disk.space(dir).unwrap();
        assert!(space.usable <= space.total && 0 < space.total);
        assert_eq!(kind(replace_file(disk, &PathBuf::from("/no/such/folder/x"), b"")), ErrorKind::NotFound);
    });
}
