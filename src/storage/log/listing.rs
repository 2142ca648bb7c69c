//! The files of a partition's folder, after what an interrupted deletion or compaction left behind was tidied up.
//!
//! Source: Kafka 3.9 `LogLoader.removeTempFilesAndCollectSwapFiles` and what follows it.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::{Corruption, DiskError, OpenError};
use crate::model::{Offset, Timestamp};
use crate::storage::disk::{Access, Disk, Entry};
use crate::storage::filename::{FileKind, SegmentFileName, Stage};
use crate::storage::scan::{CHUNK_BYTES_MAX, Scanner, Wait};
use crate::storage::segment::SegmentError;

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
    /// Lists a folder, having removed or put into place what was left there. A hole in the log below `settled` is what a
    /// deletion left: nothing else makes one there.
    pub(super) fn tidied(disk: &dyn Disk, dir: &Path, settled: Offset) -> Result<Self, OpenError> {
        let mut entries = list(disk, dir)?;
        let changed = finish_deletion(disk, dir, &entries, settled)? | tidy(disk, dir, &entries)?;
        if changed {
            entries = list(disk, dir)?;
        }
        let mut listing = Self { changed, ..Self::default() };
        let mut transactions = BTreeSet::new();
        for (name, entry) in named(&entries).filter(|(name, _)| name.stage == Stage::Live) {
            match name.kind {
                FileKind::Log => listing.segments.push(SegmentFile {
                    base_offset: name.offset,
                    len: entry.len,
                    modified: entry.modified,
                    has_transactions: false,
                }),
                FileKind::ProducerSnapshot => _ = listing.snapshots.insert(name.offset),
                FileKind::TransactionIndex => _ = transactions.insert(name.offset),
                FileKind::Index | FileKind::TimeIndex => {}
            }
        }
        listing.segments.sort_by_key(|file| file.base_offset);
        for file in &mut listing.segments {
            file.has_transactions = transactions.contains(&file.base_offset);
        }
        Ok(listing)
    }
}

/// The files of segments.
fn named(entries: &[Entry]) -> impl Iterator<Item = (SegmentFileName, &Entry)> {
    let files = entries.iter().filter(|entry| !entry.is_dir);
    files.filter_map(|entry| Some((SegmentFileName::parse(&entry.name)?, entry)))
}

/// Base offsets of the files of batches at a stage.
fn logs(names: &[SegmentFileName], stage: Stage) -> BTreeSet<Offset> {
    let logs = names.iter().filter(|name| name.kind == FileKind::Log && name.stage == stage);
    logs.map(|name| name.offset).collect()
}

fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<Entry>, OpenError> {
    disk.list(dir).map_err(|error| OpenError::Disk(DiskError::new("list", dir, &error)))
}

/// Removes what was to be removed, and ends or undoes an interrupted compaction. Whether there was anything to do.
fn tidy(disk: &dyn Disk, dir: &Path, entries: &[Entry]) -> Result<bool, OpenError> {
    let names = named(entries).map(|(name, _)| name).collect::<Vec<_>>();
    let first_cleaned = names.iter().filter(|name| name.stage == Stage::Cleaned).map(|name| name.offset).min();
    // A split that was interrupted: what it had finished is worth nothing without the rest.
    let late = |name: &SegmentFileName| first_cleaned.is_some_and(|first| first <= name.offset);
    let (mut unwanted, mut swaps) = (Vec::new(), Vec::new());
    for name in &names {
        match name.stage {
            Stage::Live => {}
            Stage::Deleted | Stage::Cleaned => unwanted.push(*name),
            Stage::Swap if late(name) => unwanted.push(*name),
            Stage::Swap => swaps.push(*name),
        }
    }
    let (live, swapped) = (logs(&names, Stage::Live), logs(&names, Stage::Swap));
    let is_index = |kind| matches!(kind, FileKind::Index | FileKind::TimeIndex | FileKind::TransactionIndex);
    let orphans = names.iter().filter(|name| name.stage == Stage::Live && is_index(name.kind));
    unwanted.extend(orphans.filter(|name| !live.contains(&name.offset) && !swapped.contains(&name.offset)));
    // What was being swapped goes for good before that by which it is known to be worth nothing.
    unwanted.sort_by_key(|name| name.stage != Stage::Swap);
    for (at, name) in unwanted.iter().enumerate() {
        let earlier = at.checked_sub(1).and_then(|before| unwanted.get(before));
        if name.stage != Stage::Swap && earlier.is_some_and(|earlier| earlier.stage == Stage::Swap) {
            sync_dir(disk, dir)?;
        }
        remove(disk, &dir.join(name.to_string()))?;
    }
    finish_swap(disk, dir, &swaps, &names)?;
    Ok(!unwanted.is_empty() || !swaps.is_empty())
}

/// Ends an interrupted deletion. Retention sets the oldest segments aside one after the other, but their new names may reach
/// the disk in any order. Where the log has a hole that the batches of segments that were set aside fill exactly, all that is
/// older was to go too. A hole without these witnesses is left as it is, and so is one that does not lie below `settled`: a
/// crash may have torn it, and the witnesses may be what an earlier recovery cut off. Whether there was anything to do.
fn finish_deletion(disk: &dyn Disk, dir: &Path, entries: &[Entry], settled: Offset) -> Result<bool, OpenError> {
    let names = named(entries).map(|(name, _)| name).collect::<Vec<_>>();
    let (live, deleted) = (logs(&names, Stage::Live), logs(&names, Stage::Deleted));
    let mut first = None;
    for (base, next) in live.iter().zip(live.iter().skip(1)).filter(|(_, next)| **next <= settled) {
        let mut witnesses = deleted.range(base.next()..*next).peekable();
        // Compaction leaves a segment beside its former self.
        if witnesses.peek().is_none() || deleted.contains(base) {
            continue;
        }
        let mut end = end_of(disk, dir, *base, Stage::Live)?;
        if end == Some(*next) {
            continue;
        }
        for witness in witnesses {
            end = match end {
                Some(end) if end == *witness => end_of(disk, dir, end, Stage::Deleted)?,
                other => other,
            };
        }
        if end == Some(*next) {
            first = Some(*next);
        }
    }
    let Some(first) = first else { return Ok(false) };
    for name in names.iter().filter(|name| name.stage == Stage::Live && name.offset < first) {
        remove(disk, &dir.join(name.to_string()))?;
    }
    // The witnesses go afterwards.
    sync_dir(disk, dir)?;
    Ok(true)
}

/// Where the batches of a segment end, if all of it is whole.
fn end_of(disk: &dyn Disk, dir: &Path, base: Offset, stage: Stage) -> Result<Option<Offset>, OpenError> {
    let name = SegmentFileName::live(base, FileKind::Log).at(stage);
    match checked_end(disk, &dir.join(name.to_string()), base) {
        Ok(end) => Ok(Some(end)),
        Err(OpenError::Corrupt(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts finished segments into the place of those that they were made of.
fn finish_swap(
    disk: &dyn Disk,
    dir: &Path,
    swaps: &[SegmentFileName],
    names: &[SegmentFileName],
) -> Result<(), OpenError> {
    if swaps.is_empty() {
        return Ok(());
    }
    let mut range: Option<(Offset, Offset)> = None;
    for name in swaps.iter().filter(|name| name.kind == FileKind::Log) {
        let end = checked_end(disk, &dir.join(name.to_string()), name.offset)?;
        let (first, last) = range.unwrap_or((name.offset, end));
        range = Some((first.min(name.offset), last.max(end)));
    }
    let replaced = |name: &&SegmentFileName| {
        name.stage == Stage::Live && range.is_some_and(|(first, end)| first <= name.offset && name.offset < end)
    };
    for name in names.iter().filter(replaced) {
        remove(disk, &dir.join(name.to_string()))?;
    }
    // Else a crash could leave some of them beside what took their place.
    sync_dir(disk, dir)?;
    for name in swaps {
        let (from, to) = (dir.join(name.to_string()), dir.join(name.at(Stage::Live).to_string()));
        disk.rename(&from, &to).map_err(|error| OpenError::Disk(DiskError::new("rename", &from, &error)))?;
    }
    sync_dir(disk, dir)
}

fn sync_dir(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
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

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), OpenError> {
    match disk.remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(OpenError::Disk(DiskError::new("remove", path, &error))),
    }
}
