//! The disk port: every file that the broker reads or writes goes through it, so that the simulator can tear, lose and
//! refuse writes.
//!
//! *Invariant*: nothing is durable before [`DiskFile::sync`] (its bytes) and [`Disk::sync_dir`] (its name) returned `Ok`.
//! *Does not know*: what the bytes mean.

use std::fmt;
use std::io;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::Timestamp;

pub mod os;
#[cfg(any(test, feature = "sim"))]
pub mod sim;

#[cfg(test)]
mod conformance;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// It must exist, and is only read.
    Read,
    /// It must exist, and is read and written.
    Write,
    /// Made when missing, read and written; what it holds stays.
    Create,
    /// Made when missing, emptied when there.
    Truncate,
}

/// One entry of a folder.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// Its name within the folder. Names that are not UTF-8 are shown with replacement characters.
    pub name: String,
    /// Whether it is a folder itself.
    pub is_dir: bool,
    /// Bytes in it; 0 for a folder.
    pub len: u64,
    /// When its bytes last changed.
    pub modified: Timestamp,
}

/// Room on the file system that holds a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that this process may still use.
    pub usable: u64,
}

/// A tree of folders and files.
///
/// # Errors
/// Every method gives the operating system's error; its `kind` is kept.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens or makes a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a folder and its parents; fine when it is there.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// What a folder holds, sorted by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Whether a file or folder is there.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Gives a file or folder another name on the same file system, replacing a file that has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; `NotFound` when it is not there.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder and all in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable: creations, renames and removals.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the lock of a file for as long as the answer lives; `WouldBlock` when another process has it.
    /// It is a POSIX record lock, as Kafka's JVM takes it, so that the two exclude each other.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;
    /// Room on the file system of `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// An open file. Positions and lengths are in bytes. Safe to use from several threads; writes to one file come from one
/// owner at a time.
///
/// # Errors
/// Every method gives the operating system's error; its `kind` is kept (`StorageFull` matters to callers).
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Writes all of `slices`, one after the other, from `position` on, as few system calls as can be. After an error any
    /// part of the range may have been written.
    fn write_all_at(&self, position: u64, slices: &[IoSlice<'_>]) -> io::Result<()>;
    /// Reads into `buffer` from `position` on until it is full or the file ends; the number of bytes read.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Like [`Self::read_at`], but only from memory: `None` when the disk would have to be asked (law 8).
    fn read_cached_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<Option<usize>>;
    /// Makes all that was written durable. After an error nothing written since the last success may be taken for durable,
    /// and a later success says nothing about it (law 9).
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to, or extends it with zeros to, `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Bytes in the file.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file holds nothing.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reserves room for `len` bytes behind `position` without changing the length. A hint: may do nothing.
    fn reserve(&self, position: u64, len: u64) -> io::Result<()>;
    /// The operating system's file, for `sendfile`; `None` in the simulator.
    fn os_file(&self) -> Option<&std::fs::File>;
}

/// Replaces the file at `path` by one that holds `bytes`, so that after a crash there is either the old or the new one,
/// whole: temporary file, sync, rename, sync of the folder. This is how Kafka writes its checkpoints.
///
/// # Errors
/// The operating system's; then the old file is still there.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = with_suffix(path, ".tmp");
    let file = disk.open(&temporary, Access::Truncate)?;
    file.write_all_at(0, &[IoSlice::new(bytes)])?;
    file.sync()?;
    disk.rename(&temporary, path)?;
    match path.parent() {
        Some(dir) => disk.sync_dir(dir),
        None => Ok(()),
    }
}

/// Reads a whole file of at most `len_max` bytes.
///
/// # Errors
/// The operating system's; `InvalidData` when the file is longer than `len_max`.
pub fn read_file(disk: &dyn Disk, path: &Path, len_max: usize) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Access::Read)?;
    let too_long = || io::Error::new(io::ErrorKind::InvalidData, format!("longer than {len_max} bytes"));
    let len = usize::try_from(file.len()?).map_err(|_| too_long())?;
    if len_max < len {
        return Err(too_long());
    }
    let mut bytes = vec![0; len];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// `path` with `suffix` behind its file name.
#[must_use]
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
