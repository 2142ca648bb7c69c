//! The files of a partition's folder, after what an interrupted deletion or compaction left behind was tidied up.
//!
//! Source: Kafka 3.9 `LogLoader.removeTempFilesAndCollectSwapFiles` and what follows it.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::retention::DELETED;
use super::{Corruption, DiskError, OpenError};
use crate::model::{Offset, Timestamp};
use crate::storage::disk::{Access, Disk, Entry};
use crate::storage::scan::{CHUNK_BYTES_MAX, Scanner, Wait};
use crate::storage::segment::{LOG, OFFSET_INDEX, SNAPSHOT, SegmentError, TIME_INDEX, TRANSACTION_INDEX, file_name};

/// Behind the names of files that compaction had not finished.
const CLEANED: &str = ".cleaned";

/// Behind the names of files that compaction had finished, but not yet put in the place of others.
const SWAP: &str = ".swap";

/// Digits of a base offset in a file name.
const DIGITS: usize = 20;

/// What a partition's folder holds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Files of batches, in the order of their base offsets.
    pub(super) segments: Vec<SegmentFile>,
    /// Producer snapshots.
    pub(super) snapshots: BTreeSet<Offset>,
    /// Whether anything was renamed or removed.
    pub(super) changed: bool,
}

/// A file of batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentFile {
    pub(super) base_offset: Offset,
    pub(super) len: u64,
    pub(super) modified: Timestamp,
    /// Whether a transaction index lies beside it.
    pub(super) has_transactions: bool,
}

impl Listing {
    /// Lists a folder, having removed or put into place what was left there.
    pub(super) fn tidied(disk: &dyn Disk, dir: &Path) -> Result<Self, OpenError> {
        let mut entries = list(disk, dir)?;
        let changed = tidy(disk, dir, &entries)?;
        if changed {
            entries = list(disk, dir)?;
        }
        let mut listing = Self { changed, ..Self::default() };
        let mut transactions = BTreeSet::new();
        for entry in entries.iter().filter(|entry| !entry.is_dir) {
            if let Some(base_offset) = offset_of(&entry.name, LOG) {
                let (len, modified) = (entry.len, entry.modified);
                listing.segments.push(SegmentFile { base_offset, len, modified, has_transactions: false });
            } else if let Some(offset) = offset_of(&entry.name, SNAPSHOT) {
                listing.snapshots.insert(offset);
            } else if let Some(base) = offset_of(&entry.name, TRANSACTION_INDEX) {
                transactions.insert(base);
            }
        }
        listing.segments.sort_by_key(|file| file.base_offset);
        for file in &mut listing.segments {
            file.has_transactions = transactions.contains(&file.base_offset);
        }
        Ok(listing)
    }
}

/// The offset in the name of a file with this ending.
fn offset_of(name: &str, ending: &str) -> Option<Offset> {
    let digits = name.strip_suffix(ending)?;
    let all_digits = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits).map(Offset)
}

fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<Entry>, OpenError> {
    disk.list(dir).map_err(|error| OpenError::Disk(DiskError::new("list", dir, &error)))
}

/// Removes what was to be removed, and ends or undoes an interrupted compaction. Whether there was anything to do.
fn tidy(disk: &dyn Disk, dir: &Path, entries: &[Entry]) -> Result<bool, OpenError> {
    let files = || entries.iter().filter(|entry| !entry.is_dir).map(|entry| entry.name.as_str());
    let suffixed = |suffix: &'static str| files().filter(move |name| name.ends_with(suffix));
    let logs = files().filter_map(|name| offset_of(name, LOG)).collect::<BTreeSet<_>>();
    let orphan = |name: &&str| {
        let base = [OFFSET_INDEX, TIME_INDEX, TRANSACTION_INDEX].iter().find_map(|ending| offset_of(name, ending));
        base.is_some_and(|base| !logs.contains(&base))
    };
    let first_cleaned = suffixed(CLEANED).filter_map(any_offset).min();
    let unfinished = |name: &&str| {
        let late = first_cleaned.is_some_and(|first| any_offset(name).is_some_and(|base| first <= base));
        name.ends_with(DELETED) || name.ends_with(CLEANED) || (name.ends_with(SWAP) && late)
    };
    let unwanted = files().filter(|name| unfinished(name)).collect::<Vec<_>>();
    let swaps = suffixed(SWAP).filter(|name| !unfinished(name)).collect::<Vec<_>>();
    for name in &unwanted {
        remove(disk, &dir.join(name))?;
    }
    if !swaps.is_empty() {
        finish_swap(disk, dir, &swaps, entries)?;
        return Ok(true);
    }
    let orphans = files().filter(orphan).collect::<Vec<_>>();
    for name in &orphans {
        remove(disk, &dir.join(name))?;
    }
    Ok(!unwanted.is_empty() || !orphans.is_empty())
}

/// Puts finished segments into the place of those that they were made of.
fn finish_swap(disk: &dyn Disk, dir: &Path, swaps: &[&str], entries: &[Entry]) -> Result<(), OpenError> {
    let mut range: Option<(Offset, Offset)> = None;
    for name in swaps {
        let Some(base) = name.strip_suffix(SWAP).and_then(|name| offset_of(name, LOG)) else { continue };
        let end = checked_end(disk, &dir.join(name), base)?;
        let (first, last) = range.unwrap_or((base, end));
        range = Some((first.min(base), last.max(end)));
    }
    if let Some((first, end)) = range {
        let replaced = entries.iter().map(|entry| entry.name.as_str()).filter(|name| {
            let base = [LOG, OFFSET_INDEX, TIME_INDEX, TRANSACTION_INDEX, SNAPSHOT]
                .iter()
                .find_map(|ending| offset_of(name, ending));
            base.is_some_and(|base| first <= base && base < end)
        });
        for name in replaced {
            remove(disk, &dir.join(name))?;
        }
    }
    for name in swaps {
        let (from, to) = (dir.join(name), dir.join(name.strip_suffix(SWAP).unwrap_or(name)));
        disk.rename(&from, &to).map_err(|error| OpenError::Disk(DiskError::new("rename", &from, &error)))?;
    }
    disk.sync_dir(dir).map_err(|error| OpenError::Disk(DiskError::new("sync", dir, &error)))
}

/// Where the batches of a finished segment end. It replaces others, so every byte of it is checked first.
fn checked_end(disk: &dyn Disk, path: &Path, base: Offset) -> Result<Offset, OpenError> {
    let failed = |error: &io::Error| OpenError::Disk(DiskError::new("read", path, error));
    let file = disk.open(path, Access::Read).map_err(|error| failed(&error))?;
    let len = file.len().map_err(|error| failed(&error))?;
    let mut scanner = Scanner::new(&*file, 0, len, CHUNK_BYTES_MAX, Wait::Allowed);
    let mut end = base;
    loop {
        let step = scanner.next().and_then(|batch| {
            batch.as_ref().map_or(Ok(()), |batch| scanner.verify(batch))?;
            Ok(batch)
        });
        match step.map_err(SegmentError::from) {
            Ok(Some(batch)) => end = batch.header.last_offset().next(),
            Ok(None) => return Ok(end),
            Err(SegmentError::Corrupt { position, reason }) => {
                return Err(Corruption { path: path.to_owned(), position, reason }.into());
            }
            Err(SegmentError::Disk(error)) => return Err(failed(&error)),
            Err(SegmentError::WouldWait) => return Err(failed(&io::ErrorKind::WouldBlock.into())),
        }
    }
}

/// The offset that a name begins with, whatever follows.
fn any_offset(name: &str) -> Option<Offset> {
    let digits = name.get(..DIGITS)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok().map(Offset))?
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), OpenError> {
    match disk.remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(OpenError::Disk(DiskError::new("remove", path, &error))),
    }
}

/// Path of the producer snapshot that was taken at `offset`.
pub(super) fn snapshot_path(dir: &Path, offset: Offset) -> std::path::PathBuf {
    dir.join(file_name(offset, SNAPSHOT))
}
