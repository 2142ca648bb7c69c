//! Views in files by partition and hour, as one loads Hadoop: `partition=3/2026-11-27T23.tsv`, a line per view with its offset in
//! front.
//!
//! The offset up to which a partition is loaded is the one in its files: whoever goes on there reads it, and cuts off a line that
//! was not written to its end. Nothing has to be flushed for that: what a power failure takes is read again.
//!
//! *Invariant*: within a partition's files each offset is written once, in order.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::calendar;
use super::ledger::Read;
use super::results::{Counted, Totals, add_to};
use super::views::View;
use crate::storage::disk::{Access, Disk, DiskFile};

/// Bytes that are read at once. A line is shorter: brokers take no record of 1 MiB by default, and a view has no more than a line
/// of a log.
const CHUNK_BYTES: usize = 1 << 20;

/// A file that is written to, and its length.
struct Open {
    file: Arc<dyn DiskFile>,
    len: u64,
}

pub(super) struct Archive {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    open: BTreeMap<(i32, String), Open>,
}

/// What is found in the files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Loaded {
    pub(super) counted: Counted,
    pub(super) pages: Totals,
    pub(super) files: u64,
    /// Lines that are none of ours.
    pub(super) strange: u64,
    /// Views in the file of another hour.
    pub(super) misplaced: u64,
}

impl Archive {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self { disk, dir, open: BTreeMap::new() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn folder(&self, partition: i32) -> PathBuf {
        self.dir.join(format!("partition={partition}"))
    }

    /// The offset behind the last one in a partition's files, which are whole lines from here on.
    pub(super) fn resume(&mut self, partition: i32) -> io::Result<i64> {
        self.open.retain(|(open, _), _| *open != partition);
        let folder = self.folder(partition);
        self.disk.create_dir_all(&folder)?;
        let mut next = 0;
        for entry in self.disk.list(&folder)? {
            let path = folder.join(&entry.name);
            let mut whole = 0;
            lines(self.disk.as_ref(), &path, |line| {
                whole += u64::try_from(line.len()).unwrap_or(0) + 1;
                if let Some((offset, _)) = parse(line) {
                    next = next.max(offset.saturating_add(1));
                }
            })?;
            let file = self.disk.open(&path, Access::Write)?;
            if whole < file.len()? {
                file.set_len(whole)?;
            }
        }
        Ok(next)
    }

    /// Writes what is a view, each into the file of its hour.
    pub(super) fn write(&mut self, partition: i32, reads: &[Read]) -> io::Result<()> {
        let mut by_hour = BTreeMap::<String, Vec<u8>>::new();
        for read in reads {
            let Some(view) = &read.view else { continue };
            let lines = by_hour.entry(calendar::hour(view.time)).or_default();
            lines.extend_from_slice(format!("{}\t", read.offset).as_bytes());
            lines.extend_from_slice(&view.to_bytes());
            lines.push(b'\n');
        }
        for (hour, lines) in by_hour {
            let path = self.folder(partition).join(format!("{hour}.tsv"));
            let open = match self.open.entry((partition, hour)) {
                std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
                std::collections::btree_map::Entry::Vacant(vacant) => {
                    let file = self.disk.open(&path, Access::Create)?;
                    let len = file.len()?;
                    vacant.insert(Open { file, len })
                }
            };
            open.file.write_all_at(open.len, &[IoSlice::new(&lines)])?;
            open.len += u64::try_from(lines.len()).unwrap_or(0);
        }
        Ok(())
    }

    /// How many files are being written to.
    pub(super) fn files(&self) -> usize {
        self.open.len()
    }

    /// Reads everything back. Numbers of views are below `issued`.
    pub(super) fn read_back(&self, issued: u64) -> io::Result<Loaded> {
        let mut loaded = Loaded::default();
        for folder in self.disk.list(&self.dir)?.into_iter().filter(|entry| entry.is_dir) {
            let folder = self.dir.join(folder.name);
            for entry in self.disk.list(&folder)? {
                let hour = entry.name.strip_suffix(".tsv").unwrap_or_default().to_owned();
                loaded.files += 1;
                lines(self.disk.as_ref(), &folder.join(&entry.name), |line| match parse(line) {
                    Some((_, view)) if view.number < issued => {
                        loaded.misplaced += u64::from(calendar::hour(view.time) != hour);
                        loaded.counted.add(view.number);
                        add_to(&mut loaded.pages, &view.page);
                    }
                    Some(_) | None => loaded.strange += 1,
                })?;
            }
        }
        Ok(loaded)
    }
}

fn parse(line: &[u8]) -> Option<(i64, View)> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let (offset, view) = (line.get(..tab)?, line.get(tab + 1..)?);
    Some((std::str::from_utf8(offset).ok()?.parse().ok()?, View::of(view)?))
}

/// Shows every whole line of a file.
fn lines(disk: &dyn Disk, path: &Path, mut see: impl FnMut(&[u8])) -> io::Result<()> {
    let file = disk.open(path, Access::Read)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut position, mut left) = (0, Vec::new());
    loop {
        let read = file.read_at(position, &mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        position += u64::try_from(read).unwrap_or(0);
        left.extend_from_slice(chunk.get(..read).unwrap_or_default());
        let mut rest = left.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            see(rest.get(..end).unwrap_or_default());
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        left = rest.to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::storage::disk::os::OsDisk;

    fn read(offset: i64, number: u64, time: i64) -> Read {
        let view = View { number, time: Timestamp(time), visitor: "v".into(), page: "/p".into(), search: None };
        Read { offset, view: Some(view) }
    }

    fn archive(dir: &Path) -> Archive {
        Archive::new(Arc::new(OsDisk), dir.to_owned())
    }

    const HOUR: i64 = 3_600_000;

    #[test]
    fn views_lie_by_partition_and_hour_and_the_next_goes_on_behind_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = archive(dir.path());
        assert_eq!(first.resume(2).unwrap(), 0);
        first.write(2, &[read(0, 7, 0), read(1, 8, HOUR), read(2, 9, 10), Read { offset: 3, view: None }]).unwrap();
        let mut second = archive(dir.path());
        assert_eq!(second.resume(2).unwrap(), 3);
        assert_eq!(second.resume(0).unwrap(), 0);
        second.write(2, &[read(4, 10, HOUR)]).unwrap();
        let loaded = second.read_back(100).unwrap();
        assert_eq!((loaded.counted.views.count(), loaded.counted.again, loaded.files), (4, 0, 2));
        assert_eq!((loaded.strange, loaded.misplaced, loaded.pages.get("/p")), (0, 0, Some(&4)));
        assert!(dir.path().join("partition=2/1970-01-01T01.tsv").is_file());
    }

    #[test]
    fn a_line_that_was_not_written_to_its_end_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let mut torn = archive(dir.path());
        torn.resume(0).unwrap();
        torn.write(0, &[read(0, 0, 0), read(1, 1, 0)]).unwrap();
        let path = dir.path().join("partition=0/1970-01-01T00.tsv");
        let file = OsDisk.open(&path, Access::Write).unwrap();
        file.set_len(file.len().unwrap() - 5).unwrap();
        let mut next = archive(dir.path());
        assert_eq!(next.resume(0).unwrap(), 1);
        next.write(0, &[read(1, 1, 0)]).unwrap();
        let loaded = next.read_back(2).unwrap();
        assert_eq!((loaded.counted.views.count(), loaded.counted.again, loaded.strange), (2, 0, 0));
    }

    #[test]
    fn what_is_wrong_with_the_files_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let mut archive = archive(dir.path());
        archive.resume(0).unwrap();
        archive.write(0, &[read(0, 0, 0), read(1, 0, 0), read(2, 99, 0)]).unwrap();
        let (from, to) = ("partition=0/1970-01-01T00.tsv", "partition=0/1970-01-01T05.tsv");
        OsDisk.rename(&dir.path().join(from), &dir.path().join(to)).unwrap();
        let loaded = archive.read_back(50).unwrap();
        assert_eq!((loaded.counted.again, loaded.strange, loaded.misplaced), (1, 1, 2));
    }
}
