//! Opening a log: what the files say, what of it can be trusted, and what has to be built again.
//!
//! The rule (law 10). Below the recovery point, and everywhere after a clean shutdown, every byte was flushed: what is no
//! batch there is damage, the log is [`OpenError::Corrupt`] and nothing is touched. Above it a crash may have lost or torn
//! any write, out of order too, so that what lies behind the first bad byte may be whole and still not belong there: the
//! log ends before the first bad byte, as in Kafka. Bad is a batch whose header, length or CRC is wrong, whose offset does
//! not go on where the last one ended (compaction may leave gaps), or whose leader epoch is older than the one before.
//!
//! Only what lies above the recovery point is checked; of the segment that it falls into, the headers below it are walked.
//! Indexes, producer snapshots and the epoch cache are built again where they are missing or wrong.
//!
//! Source: Kafka 3.9 `LogLoader.scala`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::active::Active;
use super::flush::Unflushed;
use super::listing::{Listing, SegmentFile};
use super::rebuild::Rebuild;
use super::view::LogView;
use super::{Corruption, Cut, DiskError, Log, OpenError, OpenOptions, OpenReport};
use crate::model::{LeaderEpoch, Offset, Timestamp};
use crate::storage::disk::{Access, Disk, DiskFile, read_file};
use crate::storage::leader_epoch::LeaderEpochs;
use crate::storage::producer_snapshot;
use crate::storage::producer_state::ProducerStates;
use crate::storage::scan::{CHUNK_BYTES_MAX, Located, ScanError, Scanner, Wait};
use crate::storage::segment::{IndexPace, Indexes, OpenSegment, Segment};

/// A segment of no more bytes is walked whole when it is opened: that is one read, and the index files need not be looked at.
const WALKED_BYTES_MAX: u64 = 64 << 10;

/// Opens one log.
struct Loader<'o> {
    disk: Arc<dyn Disk>,
    dir: Arc<Path>,
    options: &'o OpenOptions,
    listing: Listing,
    rebuild: Rebuild,
    unflushed: Unflushed,
    report: OpenReport,
}

/// A segment that was walked to its end.
struct Walked {
    file: Arc<dyn DiskFile>,
    indexes: Indexes,
    pace: IndexPace,
    first_timestamp: Option<Timestamp>,
    /// Bytes of whole batches.
    size: u64,
    end_offset: Offset,
    /// Why the walk ended before the file did.
    cut: Option<String>,
}

impl Log {
    /// Opens the log in the folder `dir`, which exists, and repairs it by the rules of law 10; an empty folder is an empty
    /// log. Waits for the disk.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, options: OpenOptions) -> Result<(Self, OpenReport), OpenError> {
        let dir: Arc<Path> = dir.into();
        let listing = Listing::tidied(&*disk, &dir)?;
        let rebuild = Rebuild {
            producers: ProducerStates::default(),
            epochs: LeaderEpochs::default(),
            aborted: Vec::new(),
        };
        let unflushed = Unflushed::new(options.recovery_point);
        let report = OpenReport::default();
        let loader = Loader { disk, dir, options: &options, listing, rebuild, unflushed, report };
        loader.load()
    }
}

impl Loader<'_> {
    fn load(mut self) -> Result<(Log, OpenReport), OpenError> {
        let files = std::mem::take(&mut self.listing.segments);
        if files.is_empty() {
            return self.start_anew(self.options.log_start_offset);
        }
        let epochs_known = self.load_epochs();
        let first = self.first_to_walk(&files);
        let (walked, kept) = self.walk_from(&files, first, !epochs_known)?;
        let end_offset = walked.end_offset;
        if end_offset < self.options.log_start_offset {
            self.set_aside(&files)?;
            return self.start_anew(self.options.log_start_offset);
        }
        let kept = files.get(..kept).unwrap_or(&files);
        if !epochs_known && 0 < first {
            self.rebuild_epochs(kept, first)?;
        }
        let segments = self.segments(kept, walked)?;
        self.finish(segments, end_offset)
    }

    /// The first segment that must be walked: after a clean shutdown the last one, for its end; else the one that the
    /// recovery point falls into.
    fn first_to_walk(&self, files: &[SegmentFile]) -> usize {
        let last = files.len().saturating_sub(1);
        if self.options.clean_shutdown {
            return last;
        }
        files.partition_point(|file| file.base_offset <= self.options.recovery_point).saturating_sub(1)
    }
}
