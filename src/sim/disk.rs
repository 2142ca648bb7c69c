//! The simulated disk as the broker sees it: every call leaves a line in the trace, the death of the disk ends the life, and
//! it is known which logs had a flush that failed.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::power::Power;
use super::trace::Trace;
use crate::model::{Clock, Moment};
use crate::storage::disk::sim::SimDisk;
use crate::storage::disk::{Access, Disk, DiskFile, Entry, Space};

/// A disk that is watched.
#[derive(Clone)]
pub struct WatchedDisk {
    disk: SimDisk,
    trace: Trace,
    power: Power,
    clock: Arc<dyn Clock>,
    failures: FlushFailures,
    /// Whose it is, where there are several.
    owner: String,
}

impl fmt::Debug for WatchedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(f)
    }
}

/// Which folders had a file whose flush failed in this life. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct FlushFailures(Arc<Mutex<BTreeMap<String, Failure>>>);

/// The last failed flush below one folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// When it failed.
    pub at: Moment,
    /// Whether a segment was opened since: the log is another then.
    pub reopened: bool,
}

impl FlushFailures {
    /// The last failure below the folder of this name.
    #[must_use]
    pub fn of(&self, folder: &str) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(folder).copied()
    }

    fn failed(&self, path: &Path, at: Moment) {
        if let Some(folder) = folder(path) {
            let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            failures.insert(folder, Failure { at, reopened: false });
        }
    }

    fn opened(&self, path: &Path) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !failures.is_empty()
            && path.extension().is_some_and(|ending| ending == "log")
            && let Some(failure) = folder(path).and_then(|folder| failures.get_mut(&folder))
        {
            failure.reopened = true;
        }
    }
}

fn folder(path: &Path) -> Option<String> {
    Some(path.parent()?.file_name()?.to_string_lossy().into_owned())
}

impl WatchedDisk {
    /// Watches `disk` for one life.
    #[must_use]
    pub fn new(disk: SimDisk, trace: Trace, power: Power, clock: Arc<dyn Clock>, failures: FlushFailures) -> Self {
        Self { disk, trace, power, clock, failures, owner: String::new() }
    }

    /// The same, named in the trace.
    #[must_use]
    pub fn of(self, owner: &str) -> Self {
        Self { owner: format!("{owner}:"), ..self }
    }

    fn watch<T>(&self, path: &Path, what: fmt::Arguments<'_>, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.disk.set_time(self.clock.timestamp());
        let result = call();
        if self.power.is_on() {
            let (owner, name) = (&self.owner, path.display());
            match &result {
                Ok(_) => self.trace.note(format_args!("disk {owner}{name} {what}")),
                Err(error) => self.trace.note(format_args!("disk {owner}{name} {what} failed: {:?}", error.kind())),
            }
            if self.disk.is_down() {
                self.power.cut();
            }
        }
        result
    }
}

impl Disk for WatchedDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.watch(path, format_args!("open {access:?}"), || self.disk.open(path, access))?;
        self.failures.opened(path);
        Ok(Arc::new(WatchedFile { file, path: path.to_owned(), disk: self.clone() }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.watch(path, format_args!("create"), || self.disk.create_dir_all(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.watch(dir, format_args!("list"), || self.disk.list(dir))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.watch(path, format_args!("exists"), || self.disk.exists(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.watch(from, format_args!("rename to {}", to.display()), || self.disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.watch(path, format_args!("remove"), || self.disk.remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.watch(path, format_args!("remove all"), || self.disk.remove_dir_all(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.watch(dir, format_args!("sync names"), || self.disk.sync_dir(dir))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.watch(path, format_args!("lock"), || self.disk.lock(path))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.watch(path, format_args!("space"), || self.disk.space(path))
    }
}

#[derive(Debug)]
struct WatchedFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    disk: WatchedDisk,
}

impl WatchedFile {
    fn watch<T>(&self, what: fmt::Arguments<'_>, call: impl FnOnce(&dyn DiskFile) -> io::Result<T>) -> io::Result<T> {
        self.disk.watch(&self.path, what, || call(&*self.file))
    }
}

impl DiskFile for WatchedFile {
    fn write_all_at(&self, position: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let (len, crc) = slices
            .iter()
            .fold((0, 0), |(len, crc), slice| (slice.len().saturating_add(len), crc32c::crc32c_append(crc, slice)));
        self.watch(format_args!("write {len} at {position}: {crc:08x}"), |file| file.write_all_at(position, slices))
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.watch(format_args!("read {} at {position}", buffer.len()), |file| file.read_at(position, buffer))
    }

    fn read_cached_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.watch(format_args!("read cached {} at {position}", buffer.len()), |file| {
            file.read_cached_at(position, buffer)
        })
    }

    fn sync(&self) -> io::Result<()> {
        let synced = self.watch(format_args!("sync"), |file| file.sync());
        if synced.is_err() {
            self.disk.failures.failed(&self.path, self.disk.clock.moment());
        }
        synced
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.watch(format_args!("set length {len}"), |file| file.set_len(len))
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        self.watch(format_args!("reserve {len} at {position}"), |file| file.reserve(position, len))
    }

    fn os_file(&self) -> Option<&std::fs::File> {
        None
    }
}
