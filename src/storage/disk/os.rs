//! The disk port on the operating system's files. Linux.
//!
//! *Invariant*: no error is swallowed: an interrupted or short call goes on until all is done or the system says why not.
//! *Does not know*: which files are logs; what a failed sync means for them (law 9 is the log's).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::{Errno, ReadWriteFlags};

use super::{Access, Disk, DiskFile, Entry, Space};
use crate::model::Timestamp;

/// Slices that one `pwritev` takes: `IOV_MAX` of Linux.
const SLICES_PER_WRITE_MAX: usize = 1_024;

/// The real disk.
#[derive(Clone, Copy, Default, Debug)]
pub struct OsDisk;

#[expect(clippy::disallowed_methods, reason = "this is the disk port: the one place that touches files")]
impl Disk for OsDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        match access {
            Access::Read => options.read(true),
            Access::Write => options.read(true).write(true),
            Access::Create => options.read(true).write(true).create(true).truncate(false),
            Access::Truncate => options.read(true).write(true).create(true).truncate(true),
        };
        refuse_locked(path)?;
        Ok(Arc::new(OsFile { file: options.open(path)? }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for found in fs::read_dir(dir)? {
            let found = found?;
            match describe(&found) {
                Ok(entry) => entries.push(entry),
                // It went away between the two calls.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // "" is the parent of a bare file name.
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut locked = locked();
        if id_of(path)?.is_some_and(|id| locked.contains_key(&id)) {
            return Err(taken());
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let held = file.metadata()?;
        let id = FileId { device: held.dev(), inode: held.ino() };
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Err(taken()),
            Err(error) => return Err(error.into()),
        }
        locked.insert(id, path.file_name().map(OsString::from).unwrap_or_default());
        Ok(Box::new(OsLock { id, file: Some(file) }))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let room = rustix::fs::statvfs(path)?;
        Ok(Space {
            total: room.f_blocks.saturating_mul(room.f_frsize),
            usable: room.f_bavail.saturating_mul(room.f_frsize),
        })
    }
}

/// What the folder entry points to; a link that leads nowhere is described itself.
fn describe(found: &fs::DirEntry) -> io::Result<Entry> {
    let about = fs::metadata(found.path()).or_else(|_| found.metadata())?;
    let modified = about.modified()?;
    let millis = match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
    };
    Ok(Entry {
        name: found.file_name().to_string_lossy().into_owned(),
        is_dir: about.is_dir(),
        len: if about.is_dir() { 0 } else { about.len() },
        modified: Timestamp(millis),
    })
}

/// An open file of the operating system.
#[derive(Debug)]
struct OsFile {
    file: File,
}

impl DiskFile for OsFile {
    fn write_all_at(&self, mut position: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let mut rest = slices;
        while !rest.is_empty() {
            let (batch, behind) = rest.split_at(rest.len().min(SLICES_PER_WRITE_MAX));
            rest = behind;
            let mut written = retry(|| rustix::io::pwritev(&self.file, batch, position))?;
            for slice in batch {
                // A short write is finished slice by slice: rare, and it needs no copy of the list.
                if let Some(missing) = slice.get(written..).filter(|missing| !missing.is_empty()) {
                    self.file.write_all_at(missing, advance(position, written)?)?;
                    written = slice.len();
                }
                position = advance(position, slice.len())?;
                written = written.saturating_sub(slice.len());
            }
        }
        Ok(())
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, advance(position, filled)?) {
                Ok(0) => break,
                Ok(read) => filled = filled.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn read_cached_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = advance(position, filled)?;
            let mut rest = [IoSliceMut::new(rest)];
            match retry(|| rustix::io::preadv2(&self.file, &mut rest, at, ReadWriteFlags::NOWAIT)) {
                Ok(0) => break,
                Ok(read) => filled = filled.saturating_add(read),
                // Not in memory; or a file system or kernel that cannot say: then it must be taken for not in memory.
                Err(error)
                    if matches!(
                        Errno::from_io_error(&error),
                        Some(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)
                    ) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(filled))
    }

    fn sync(&self) -> io::Result<()> {
        // Once: after a failure the system may have dropped the dirty pages, and a second call would lie.
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        match retry(|| rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, position, len)) {
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::OPNOTSUPP | Errno::NOSYS)) => Ok(()),
            other => other,
        }
    }

    fn os_file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

/// Calls again for as long as a signal interrupts.
fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

fn advance(position: u64, by: usize) -> io::Result<u64> {
    u64::try_from(by)
        .ok()
        .and_then(|by| position.checked_add(by))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a position beyond the largest file"))
}

/// Which file it is, whatever path leads to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct FileId {
    device: u64,
    inode: u64,
}

/// Files that this process has locked, with their names.
///
/// POSIX record locks belong to the process: a second `fcntl` of the same process succeeds, and closing *any* descriptor of
/// the file drops the lock. So a locked file is known here before it is opened again, and is not opened again.
static LOCKED: Mutex<BTreeMap<FileId, OsString>> = Mutex::new(BTreeMap::new());

fn locked() -> MutexGuard<'static, BTreeMap<FileId, OsString>> {
    LOCKED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn taken() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "the lock is taken")
}

/// The file at `path`; `None` when there is none.
fn id_of(path: &Path) -> io::Result<Option<FileId>> {
    match fs::metadata(path) {
        Ok(about) => Ok(Some(FileId { device: about.dev(), inode: about.ino() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Refuses to open a file that this process has locked, because closing it again would drop the lock. Asks the system only
/// about files with the name of a locked one.
fn refuse_locked(path: &Path) -> io::Result<()> {
    let locked = locked();
    let known = |name: &OsString| path.file_name() == Some(name);
    if locked.values().any(known) && id_of(path)?.is_some_and(|id| locked.contains_key(&id)) {
        return Err(taken());
    }
    Ok(())
}

/// Holds the lock of one file.
struct OsLock {
    id: FileId,
    file: Option<File>,
}

impl Drop for OsLock {
    fn drop(&mut self) {
        // Closed while the list is held: else another thread could lock the file anew in between, and this close would take
        // that lock away.
        let mut locked = locked();
        drop(self.file.take());
        locked.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Tells the copy of this test program which file it shall try to lock.
    const LOCK_PATH: &str = "DOHLE_TEST_LOCK_PATH";

    #[test]
    #[ignore = "run by `a_lock_keeps_other_processes_out` in a process of its own"]
    fn another_process_finds_the_lock_taken() {
        let Some(path) = std::env::var_os(LOCK_PATH) else { return };
        assert_eq!(OsDisk.lock(Path::new(&path)).map(|_| ()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    fn another_process_is_kept_out(path: &Path) -> bool {
        let name = "storage::disk::os::tests::another_process_finds_the_lock_taken";
        let program = std::env::current_exe().unwrap();
        let ended = Command::new(program).args(["--exact", name, "--ignored"]).env(LOCK_PATH, path).output().unwrap();
        assert!(String::from_utf8_lossy(&ended.stdout).contains("1 test"), "the other process ran the case");
        ended.status.success()
    }

    #[test]
    fn a_lock_keeps_other_processes_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let lock = OsDisk.lock(&path).unwrap();
        assert!(another_process_is_kept_out(&path));
        // None of these may open the file: closing it again would drop the lock.
        assert!(OsDisk.lock(&path).is_err());
        for access in [Access::Read, Access::Write, Access::Create, Access::Truncate] {
            assert_eq!(OsDisk.open(&path, access).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
        assert!(another_process_is_kept_out(&path));
        drop(lock);
        assert!(!another_process_is_kept_out(&path));
        OsDisk.open(&path, Access::Read).unwrap();
    }

    #[test]
    fn a_link_that_leads_nowhere_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
        let entries = OsDisk.list(folder.path()).unwrap();
        assert_eq!(entries.first().map(|entry| (entry.name.as_str(), entry.is_dir)), Some(("link", false)));
        assert!(0 < entries.first().unwrap().modified.0);
    }
}
