//! Opening a log: what the files say, what of it can be trusted, and what has to be built again.
//!
//! The rule (law 10). Below the recovery point, and everywhere after a clean shutdown, every byte was flushed: what is no
//! batch there is damage, the log is [`OpenError::Corrupt`] and nothing is touched. Above it a crash may have lost or torn
//! any write, out of order too, so that what lies behind the first bad byte may be whole and still not belong there: the
//! log ends before the first bad byte, as in Kafka. Bad is a batch whose header, length or CRC is wrong, whose offset does
//! not go on where the last one ended (compaction may leave gaps, but never at the end: it keeps the batch with which what it
//! cleaned ended), or whose leader epoch is older than the one before.
//!
//! Only what lies above the recovery point is checked; of the segment that it falls into, the headers below it are walked.
//! Indexes, producer snapshots and the epoch cache are built again where they are missing or wrong.
//!
//! Source: Kafka 3.9 `LogLoader.scala`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::active::Active;
use super::flush::Unflushed;
use super::listing::{Listing, SegmentFile};
use super::rebuild::Rebuild;
use super::retention::rename_deleted;
use super::roll::{make_indexes, write_file, write_indexes};
use super::view::LogView;
use super::walk::{Stop, Walk, failed, first_timestamp, read_batch, rewrite};
use super::{Corruption, Cut, Log, OpenError, OpenOptions, OpenReport};
use crate::model::{Offset, Timestamp};
use crate::storage::disk::{Access, Disk, DiskFile, read_file};
use crate::storage::filename::FileKind;
use crate::storage::leader_epoch::LeaderEpochCache;
use crate::storage::producer_snapshot::{self, SNAPSHOT_BYTES_MAX};
use crate::storage::producer_state::ProducerStates;
use crate::storage::scan::Located;
use crate::storage::segment::{IndexPace, Indexes, OpenSegment, Segment, file_path};
use crate::storage::transaction_index::{AbortedTransaction, TRANSACTION_INDEX_BYTES_MAX, TransactionIndex};

/// A segment of no more bytes is walked whole when it is opened: that is one read, and the index files need not be looked at.
const WALKED_BYTES_MAX: u64 = 64 << 10;

/// Opens one log.
pub(super) struct Loader<'o> {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: Arc<Path>,
    pub(super) options: &'o OpenOptions,
    pub(super) listing: Listing,
    pub(super) rebuild: Rebuild,
    pub(super) unflushed: Unflushed,
    pub(super) report: OpenReport,
    /// Without any snapshot there were no producers, as Kafka takes it after a clean shutdown.
    pub(super) absence_is_trusted: bool,
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
}

impl Log {
    /// Opens the log in the folder `dir`, which exists, and repairs it by the rules of law 10; an empty folder is an empty
    /// log. Waits for the disk.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, options: OpenOptions) -> Result<(Self, OpenReport), OpenError> {
        let dir: Arc<Path> = dir.into();
        let listing = Listing::tidied(&*disk, &dir, options.settled())?;
        let rebuild = Rebuild::default();
        let unflushed = Unflushed::new(options.recovery_point);
        let report = OpenReport::default();
        let absence_is_trusted = options.clean_shutdown;
        let options = &options;
        let mut loader = Loader { disk, dir, options, listing, rebuild, unflushed, report, absence_is_trusted };
        let epochs_known = loader.load_epochs();
        loader.load(epochs_known)
    }
}

impl Loader<'_> {
    /// `epochs_known`: the epochs are at hand, the log need not be walked for them.
    pub(super) fn load(mut self, epochs_known: bool) -> Result<(Log, OpenReport), OpenError> {
        let mut files = std::mem::take(&mut self.listing.segments);
        let Some(last) = files.last().copied() else { return self.start_anew() };
        let walked = if self.options.clean_shutdown { self.walk_last(last)? } else { self.walk_unflushed(&mut files)? };
        if walked.end_offset < self.options.log_start_offset {
            self.set_aside(&files)?;
            return self.start_anew();
        }
        if self.options.clean_shutdown {
            self.load_producers(&files, walked.end_offset)?;
        }
        if !epochs_known {
            self.rebuild_epochs(&files, walked.end_offset)?;
        }
        self.finish(&files, walked)
    }

    /// After a clean shutdown: only where the last segment ends must be found out.
    fn walk_last(&mut self, file: SegmentFile) -> Result<Walked, OpenError> {
        let path = self.path(file);
        let opened = self.open_file(&path)?;
        let loaded =
            (WALKED_BYTES_MAX < file.len).then(|| Indexes::load(&*self.disk, &self.dir, file.base_offset, file.len));
        let indexes = loaded.flatten().unwrap_or_else(|| Indexes::new(file.base_offset));
        let mut walk = Walk::new(&*opened, file, Offset(i64::MAX));
        walk.resume(&indexes);
        let mut pace = IndexPace::new(file.base_offset);
        pace.resume(&indexes);
        let first_timestamp = first_timestamp(&*opened, file.len);
        loop {
            match walk.next() {
                Ok(Some(batch)) => {
                    pace.note(&batch.header, batch.position, self.options.config.index_interval_bytes, &indexes);
                }
                Ok(None) => break,
                Err(_) if walk.resumed => {
                    // The index may be to blame: without it the segment speaks for itself.
                    indexes.clear();
                    pace = IndexPace::new(file.base_offset);
                    self.report.indexes_rebuilt += 1;
                    walk = Walk::new(&*opened, file, Offset(i64::MAX));
                }
                Err(stop) => return Err(stop.into_error(&path)),
            }
        }
        let (size, end_offset) = (walk.position(), walk.expected);
        drop(walk);
        Ok(Walked { file: opened, indexes, pace, first_timestamp, size, end_offset })
    }

    /// After a crash: walks all segments from the one that the recovery point falls into, and cuts the log before the first
    /// bad byte above it, and where nothing follows but empty segments that begin later. Afterwards `files` are those that are left.
    fn walk_unflushed(&mut self, files: &mut Vec<SegmentFile>) -> Result<Walked, OpenError> {
        let (walked, lost) = self.walk_checked(files)?;
        let Some(lost) = lost else { return Ok(walked) };
        let later = files.split_off(lost);
        self.set_aside(&later)?;
        let bytes = self.report.cut.take().map_or(0, |cut| cut.bytes);
        let (walked, _) = self.walk_checked(files)?;
        let first = later.first().map_or(walked.end_offset, |file| file.base_offset);
        let reason = format!("what was between it and {first} is lost");
        self.report.cut = Some(Cut { log_end_offset: walked.end_offset, bytes, reason });
        Ok(walked)
    }

    /// As it says above, but for what is empty: the second number is how many files come before a gap that no batch comes behind, though
    /// one must have been there.
    fn walk_checked(&mut self, files: &mut Vec<SegmentFile>) -> Result<(Walked, Option<usize>), OpenError> {
        let recovery_point = self.options.recovery_point;
        let first = files.partition_point(|file| file.base_offset <= recovery_point).saturating_sub(1);
        self.load_producers(
            files.get(..first).unwrap_or_default(),
            files.get(first).map_or(Offset(0), |file| file.base_offset),
        )?;
        let (mut at, mut lost) = (first, None);
        loop {
            let Some(&file) = files.get(at) else { unreachable!("a walk ends with the last segment") };
            let walked = self.walk_whole(file)?;
            if let Some(file) = files.get_mut(at) {
                file.len = walked.size;
                file.has_transactions = !self.rebuild.aborted.is_empty();
            }
            if 0 < walked.size {
                lost = None;
            }
            let next = files.get(at + 1).copied();
            let goes_on = next.is_some_and(|next| {
                walked.end_offset == next.base_offset || self.gaps() && walked.end_offset < next.base_offset
            });
            if goes_on && self.report.cut.is_none() {
                if next.is_some_and(|next| recovery_point <= walked.end_offset && walked.end_offset < next.base_offset)
                {
                    lost.get_or_insert(at + 1);
                }
                self.close_walked(file, walked)?;
                at += 1;
                continue;
            }
            if let Some(next) = next {
                self.cut_behind(&walked, next, files.get(at + 1..).unwrap_or_default())?;
                files.truncate(at + 1);
            }
            return Ok((walked, lost));
        }
    }

    /// Walks one segment from its beginning, checks what lies above the recovery point, and cuts a torn tail off.
    fn walk_whole(&mut self, file: SegmentFile) -> Result<Walked, OpenError> {
        let path = self.path(file);
        let opened = self.open_file(&path)?;
        let indexes = Indexes::new(file.base_offset);
        let mut pace = IndexPace::new(file.base_offset);
        let mut walk = Walk::new(&*opened, file, self.options.recovery_point);
        walk.gaps = self.gaps();
        let mut first_timestamp = None;
        let mut unflushed_from = None;
        self.rebuild.aborted.clear();
        let torn = loop {
            let batch = match walk.next() {
                Ok(Some(batch)) => batch,
                Ok(None) => break None,
                Err(Stop::Bad { position, reason }) if self.options.recovery_point <= walk.expected => {
                    break Some((position, reason));
                }
                Err(stop) => return Err(stop.into_error(&path)),
            };
            first_timestamp.get_or_insert(batch.header.max_timestamp);
            if self.options.recovery_point <= batch.header.last_offset() {
                unflushed_from.get_or_insert(batch.position);
            }
            pace.note(&batch.header, batch.position, self.options.config.index_interval_bytes, &indexes);
            let bytes = || read_batch(&*opened, &batch);
            self.rebuild.take(&batch.header, bytes).map_err(|error| failed("read", &path, &error))?;
        };
        let (size, end_offset) = (torn.as_ref().map_or(file.len, |(position, _)| *position), walk.expected);
        drop(walk);
        self.report.segments_scanned += 1;
        self.report.bytes_scanned += file.len;
        if let Some((position, reason)) = torn {
            opened.set_len(position).and_then(|()| opened.sync()).map_err(|error| failed("cut", &path, &error))?;
            self.report.cut = Some(Cut { log_end_offset: end_offset, bytes: file.len - position, reason });
        }
        if let Some(from) = unflushed_from.filter(|_| self.options.rewrite_unflushed) {
            rewrite(&*opened, from, size).map_err(|error| failed("rewrite", &path, &error))?;
        }
        self.save_transactions(file)?;
        Ok(Walked { file: opened, indexes, pace, first_timestamp, size, end_offset })
    }

    /// A segment that was walked and is not the last: its indexes go to their files, and all of it is to be flushed.
    fn close_walked(&mut self, file: SegmentFile, walked: Walked) -> Result<(), OpenError> {
        walked.pace.seal(&walked.indexes);
        let written =
            write_indexes(&*self.disk, &self.dir, file.base_offset, &walked.indexes).map_err(OpenError::Disk)?;
        for (path, file) in written {
            self.unflushed.add(path, file);
        }
        self.unflushed.add(self.path(file), walked.file);
        self.unflushed.names_changed();
        Ok(())
    }

    /// The log ends within or behind a segment although others follow: those are set aside.
    fn cut_behind(&mut self, walked: &Walked, next: SegmentFile, later: &[SegmentFile]) -> Result<(), OpenError> {
        let reason =
            format!("the log ends at {}, but the next segment begins at {}", walked.end_offset, next.base_offset);
        if walked.end_offset < self.options.recovery_point {
            return Err(Corruption { path: self.path(next), position: 0, reason }.into());
        }
        let bytes = later.iter().map(|file| file.len).sum::<u64>();
        let cut = self.report.cut.get_or_insert(Cut { log_end_offset: walked.end_offset, bytes: 0, reason });
        cut.bytes += bytes;
        self.set_aside(later)
    }

    /// Renames the files of segments, so that they are not seen any more but can still be looked at until the next start.
    fn set_aside(&mut self, files: &[SegmentFile]) -> Result<(), OpenError> {
        for file in files {
            rename_deleted(&*self.disk, &self.dir, file.base_offset, &FileKind::ALL).map_err(OpenError::Disk)?;
        }
        self.unflushed.names_changed();
        self.disk.sync_dir(&self.dir).map_err(|error| failed("sync", &self.dir, &error))
    }

    /// An empty log that begins at the log start offset.
    fn start_anew(mut self) -> Result<(Log, OpenReport), OpenError> {
        let start = self.options.log_start_offset;
        self.forget_snapshots_from(Offset(0))?;
        self.rebuild.producers = ProducerStates::new(start);
        self.rebuild.epochs_changed |= self.rebuild.epochs.latest().is_some();
        self.rebuild.epochs.clear();
        let path = file_path(&self.dir, start, FileKind::Log);
        let file = self.disk.open(&path, Access::Truncate).map_err(|error| failed("make", &path, &error))?;
        make_indexes(&*self.disk, &self.dir, start).map_err(OpenError::Disk)?;
        self.unflushed.names_changed();
        let segment = SegmentFile { base_offset: start, len: 0, modified: self.options.now, has_transactions: false };
        let walked = Walked {
            file,
            indexes: Indexes::new(start),
            pace: IndexPace::new(start),
            first_timestamp: None,
            size: 0,
            end_offset: start,
        };
        self.finish(&[segment], walked)
    }

    /// Reads the epoch cache; whether it can be trusted.
    fn load_epochs(&mut self) -> bool {
        match LeaderEpochCache::load(&*self.disk, &self.dir) {
            Ok(epochs) => self.rebuild.epochs = epochs,
            Err(_) => self.rebuild.epochs_changed = true,
        }
        self.rebuild.epochs.latest().is_some()
    }

    /// Walks the whole log for its epochs.
    fn rebuild_epochs(&mut self, files: &[SegmentFile], end_offset: Offset) -> Result<(), OpenError> {
        let mut epochs = Rebuild::default();
        self.replay(files, Offset(0), end_offset, |batch, _| epochs.take(&batch.header, || Ok(Vec::new())))?;
        self.rebuild.epochs_changed |= epochs.epochs != self.rebuild.epochs;
        self.rebuild.epochs = epochs.epochs;
        Ok(())
    }

    /// Brings the producers to where they were at `end`: the newest snapshot up to there that is whole, and the batches
    /// behind it. Without any snapshot after a clean shutdown there were no producers, as Kafka takes it.
    fn load_producers(&mut self, files: &[SegmentFile], end: Offset) -> Result<(), OpenError> {
        let start = files.first().map_or(end, |file| file.base_offset).max(self.options.log_start_offset).min(end);
        let candidates = self.listing.snapshots.range(..=end).rev().copied().collect::<Vec<_>>();
        let none = candidates.is_empty() && self.absence_is_trusted;
        let mut producers = ProducerStates::new(if none { end } else { start });
        let expiration_ms = self.options.config.producer_expiration_ms();
        for offset in candidates {
            let path = file_path(&self.dir, offset, FileKind::ProducerSnapshot);
            let bytes = match read_file(&*self.disk, &path, SNAPSHOT_BYTES_MAX) {
                Ok(bytes) => bytes,
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => continue,
                Err(error) => return Err(failed("read", &path, &error)),
            };
            if let Ok(known) = producer_snapshot::decode(&bytes) {
                producers = ProducerStates::restored(offset, known, self.options.now, expiration_ms);
                break;
            }
        }
        let mut rebuild = Rebuild { producers, ..Rebuild::default() };
        let from = rebuild.producers.end_offset();
        self.replay(files, from, end, |batch, file| rebuild.take_producer(&batch.header, || read_batch(file, batch)))?;
        rebuild.producers.skip_to(end);
        self.rebuild.producers = rebuild.producers;
        Ok(())
    }

    /// Shows the batches from `from` up to `end`, which are known to be whole, one after the other.
    fn replay(
        &self,
        files: &[SegmentFile],
        from: Offset,
        end: Offset,
        mut take: impl FnMut(&Located, &dyn DiskFile) -> io::Result<()>,
    ) -> Result<(), OpenError> {
        let first = files.partition_point(|file| file.base_offset <= from).saturating_sub(1);
        for file in files.iter().skip(first).filter(|file| from < end && file.base_offset < end) {
            let path = self.path(*file);
            let opened = self.disk.open(&path, Access::Read).map_err(|error| failed("open", &path, &error))?;
            let mut walk = Walk::new(&*opened, *file, Offset(i64::MAX));
            while let Some(batch) = walk.next().map_err(|stop| stop.into_error(&path))? {
                if end <= batch.header.base_offset {
                    break;
                }
                if from <= batch.header.base_offset {
                    take(&batch, &*opened).map_err(|error| failed("read", &path, &error))?;
                }
            }
        }
        Ok(())
    }

    /// Writes the transaction index of a segment that was walked, if it is not what the file says.
    fn save_transactions(&mut self, file: SegmentFile) -> Result<(), OpenError> {
        let path = file_path(&self.dir, file.base_offset, FileKind::TransactionIndex);
        let bytes: Vec<u8> =
            self.rebuild.aborted.iter().flat_map(|ended| AbortedTransaction::new(ended).encode()).collect();
        let known = read_file(&*self.disk, &path, TRANSACTION_INDEX_BYTES_MAX).unwrap_or_default();
        if known != bytes {
            let file = write_file(&*self.disk, &path, &bytes).map_err(OpenError::Disk)?;
            self.unflushed.add(path, file);
            self.report.indexes_rebuilt += 1;
        }
        Ok(())
    }

    /// The transaction index of a segment: as its file says, or from the batches when the file is damaged.
    fn transactions(&self, files: &[SegmentFile], file: SegmentFile) -> Result<TransactionIndex, OpenError> {
        let path = file_path(&self.dir, file.base_offset, FileKind::TransactionIndex);
        let bytes = match read_file(&*self.disk, &path, TRANSACTION_INDEX_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed("read", &path, &error)),
        };
        if let Ok(index) = TransactionIndex::decode(file.base_offset, &bytes) {
            return Ok(index);
        }
        let next = files.iter().map(|file| file.base_offset).find(|base| file.base_offset < *base);
        let mut rebuild = Rebuild { producers: ProducerStates::new(Offset(0)), ..Rebuild::default() };
        let end = next.unwrap_or(Offset(i64::MAX));
        self.replay(files, Offset(0), end, |batch, file| {
            rebuild.take_producer(&batch.header, || read_batch(file, batch))
        })?;
        let index = TransactionIndex::new(file.base_offset);
        for ended in rebuild.aborted.iter().filter(|ended| file.base_offset <= ended.last_offset) {
            // In the order of their markers, so that none is refused.
            let _ = index.append(AbortedTransaction::new(ended));
        }
        Ok(index)
    }

    /// Removes the snapshots at `from` and behind: they may tell of batches that are gone.
    fn forget_snapshots_from(&mut self, from: Offset) -> Result<(), OpenError> {
        for offset in self.listing.snapshots.split_off(&from) {
            let path = file_path(&self.dir, offset, FileKind::ProducerSnapshot);
            match self.disk.remove_file(&path) {
                Ok(()) => self.unflushed.names_changed(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("remove", &path, &error)),
            }
        }
        Ok(())
    }

    /// Puts the log together from the segments that are left, the last of which was walked.
    fn finish(mut self, files: &[SegmentFile], walked: Walked) -> Result<(Log, OpenReport), OpenError> {
        let end_offset = walked.end_offset;
        let options = self.options;
        let mut segments = Vec::with_capacity(files.len());
        for (at, file) in files.iter().enumerate() {
            let transactions = if file.has_transactions {
                self.transactions(files, *file)?
            } else {
                TransactionIndex::new(file.base_offset)
            };
            let end = files.get(at + 1).map_or(end_offset, |next| next.base_offset);
            let dir = Arc::clone(&self.dir);
            let segment = Segment::new(dir, file.base_offset, end, file.len, None, transactions);
            segment.set_modified(file.modified);
            segments.push(Arc::new(segment));
        }
        let first_base = files.first().map_or(end_offset, |file| file.base_offset);
        let log_start = options.log_start_offset.max(first_base);
        // What a snapshot behind the checked part says may never have been true.
        let trusted = if options.clean_shutdown { end_offset } else { options.recovery_point.min(end_offset) };
        self.forget_snapshots_from(trusted.next())?;
        self.unflushed.recovery_point = trusted;
        if !options.clean_shutdown || self.listing.changed {
            // Even when the log ends at the recovery point: it may end with an empty segment whose name was never synced.
            self.unflushed.names_changed();
        }
        self.report.ends_below_recovery_point = end_offset < options.recovery_point;
        let rebuild = &mut self.rebuild;
        rebuild.epochs_changed |= rebuild.epochs.truncate_from_end(end_offset);
        rebuild.epochs_changed |= rebuild.epochs.truncate_from_start(log_start);
        rebuild.producers.log_start_moved(log_start);
        rebuild.producers.skip_to(end_offset);
        let active = self.active(&segments, walked);
        let view = LogView::new(self.disk, self.dir, Arc::clone(&options.files), segments.into(), log_start);
        let snapshot = self.listing.snapshots.last().copied();
        let log = Log::assembled(options, view, active, self.rebuild, self.unflushed, snapshot);
        Ok((log, self.report))
    }

    fn active(&self, segments: &[Arc<Segment>], walked: Walked) -> Active {
        let open = Arc::new(OpenSegment { file: walked.file, indexes: walked.indexes });
        let segment = segments.last().map(Arc::clone);
        let segment = segment.unwrap_or_else(|| unreachable!("a log has at least one segment"));
        segment.pin(&open);
        segment.publish(walked.end_offset, walked.size);
        let mut active = Active::new(segment, open, self.options.now);
        active.resume(walked.size, walked.first_timestamp, walked.pace);
        active
    }

    fn path(&self, file: SegmentFile) -> PathBuf {
        file_path(&self.dir, file.base_offset, FileKind::Log)
    }

    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, OpenError> {
        self.disk.open(path, Access::Write).map_err(|error| failed("open", path, &error))
    }

    /// Whether offsets may jump: compaction leaves gaps, and followers copy them.
    fn gaps(&self) -> bool {
        self.options.is_compacted()
    }
}
