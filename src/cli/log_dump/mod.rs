//! `dohle log dump`: shows the files of a broker's log, and checks them.
//!
//! *Invariant*: nothing is written, and a damaged file is told of as far as it can be read.

mod indexes;
mod segment;
mod state;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::Failure;
use super::file::cannot_read;
use super::output::Output;
use crate::storage::disk::os::OsDisk;
use crate::storage::disk::{Disk as _, read_file};
use crate::storage::filename::{FileKind, SegmentFileName, Stage};

/// Show the files of a log, and check them
#[derive(Args, Debug)]
#[command(
    after_help = "Knows segments (.log), offset and time indexes (.index, .timeindex), transaction indexes (.txnindex),
producer snapshots (.snapshot), the offset checkpoints, leader-epoch-checkpoint, partition.metadata, meta.properties and
.kafka_cleanshutdown. Indexes are compared with the segment beside them. A folder stands for all files in it.
The broker need not be stopped; what it is writing at the moment may look cut short.

Exit code 1 when something is damaged.

Examples:
  dohle log dump dohle-data/flights-0/00000000000000000000.log --records
  dohle log dump dohle-data/flights-0
  dohle log dump --quiet dohle-data/*"
)]
pub(super) struct Arguments {
    /// Files of a partition's folder or of a log dir, or such folders
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Show the records in the batches, decompressed, and check them too
    #[arg(long, short)]
    records: bool,
    /// Say only whether each file is whole
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let mut dump = Dump { output, records: arguments.records, quiet: arguments.quiet, damaged: false };
    for path in &arguments.files {
        for file in files_of(path)? {
            dump.file(&file)?;
        }
    }
    if dump.damaged { Err(Failure::Damaged) } else { Ok(()) }
}

/// The files that a path stands for.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    match OsDisk.list(path) {
        Ok(entries) => {
            let known = |name: &str| SegmentFileName::parse(name).is_some() || state::knows(name);
            let files = entries.into_iter().filter(|entry| !entry.is_dir && known(&entry.name));
            Ok(files.map(|entry| path.join(entry.name)).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(vec![path.to_owned()]),
        Err(error) => Err(cannot_read(path, &error)),
    }
}

/// A dump in progress.
struct Dump<'o> {
    output: &'o mut Output,
    records: bool,
    quiet: bool,
    damaged: bool,
}

impl Dump<'_> {
    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        self.output.line(format_args!("{}", path.display()))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match SegmentFileName::parse(&name) {
            Some(found) => {
                match found.stage {
                    Stage::Live => {}
                    Stage::Deleted => self.show("no longer part of the log: to be deleted")?,
                    Stage::Cleaned | Stage::Swap => self.show("being written by the cleaner")?,
                }
                match found.kind {
                    FileKind::Log => segment::dump(self, path, found.offset),
                    FileKind::Index => indexes::dump_offsets(self, path, found),
                    FileKind::TimeIndex => indexes::dump_times(self, path, found),
                    FileKind::TransactionIndex => indexes::dump_transactions(self, path, found.offset),
                    FileKind::ProducerSnapshot => state::dump_producers(self, path),
                }
            }
            None if state::knows(&name) => state::dump(self, path, &name),
            None => Err(Failure::new(format_args!("{} is no file of a log that this command knows", path.display()))
                .hint("`dohle log dump --help` says which ones it knows.")),
        }
    }

    /// One line of what is in the file.
    fn show(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { self.output.line(format_args!("  {text}")) }
    }

    /// The last line of a file: what it holds in all.
    fn summary(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        self.output.line(format_args!("  {text}"))
    }

    /// Something is wrong with the file.
    fn damage(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        self.damaged = true;
        self.output.line(format_args!("  DAMAGED: {text}"))
    }

    /// The bytes of a small file.
    fn read(&self, path: &Path, bytes_max: usize) -> Result<Vec<u8>, Failure> {
        read_file(&OsDisk, path, bytes_max).map_err(|error| cannot_read(path, &error))
    }
}

#[cfg(test)]
mod tests;
