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

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::active::Active;
use super::flush::Unflushed;
use super::listing::{Listing, SegmentFile};
use super::rebuild::Rebuild;
use super::retention::rename_deleted;
use super::roll::{write_file, write_indexes};
use super::view::LogView;
use super::{Corruption, Cut, DiskError, Log, OpenError, OpenOptions, OpenReport, ReadError};
use crate::model::{LeaderEpoch, Offset, Timestamp};
use crate::storage::disk::{Access, Disk, DiskFile, read_file};
use crate::storage::filename::FileKind;
use crate::storage::leader_epoch::LeaderEpochCache;
use crate::storage::producer_snapshot::{self, SNAPSHOT_BYTES_MAX};
use crate::storage::producer_state::ProducerStates;
use crate::storage::scan::{CHUNK_BYTES_MAX, Located, ScanError, Scanner, Wait};
use crate::storage::segment::{IndexPace, Indexes, OpenSegment, Segment, file_path};
use crate::storage::transaction_index::{AbortedTransaction, TRANSACTION_INDEX_BYTES_MAX, TransactionIndex};

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
    /// Without any snapshot there were no producers, as Kafka takes it after a clean shutdown.
    absence_is_trusted: bool,
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
        let listing = Listing::tidied(&*disk, &dir)?;
        let rebuild = Rebuild::default();
        let unflushed = Unflushed::new(options.recovery_point);
        let report = OpenReport::default();
        let absence_is_trusted = options.clean_shutdown;
        let options = &options;
        Loader { disk, dir, options, listing, rebuild, unflushed, report, absence_is_trusted }.load()
    }

    /// Cuts the log's end so that it ends at `offset`, or where the batch begins that holds it (followers). Waits for the
    /// disk.
    ///
    /// # Errors
    /// The disk's, or damage; then nothing is appended until the log was opened again.
    pub fn truncate_to(&mut self, offset: Offset, now: Timestamp) -> Result<(), ReadError> {
        if self.next_offset <= offset {
            if self.epochs.truncate_from_end(offset) {
                self.unflushed.epochs_changed();
            }
            return Ok(());
        }
        self.cut(offset, now).inspect_err(|error| self.fail_reading(error))
    }

    /// Empties the log; it starts anew at `offset` (a follower that fell out of the leader's range). Waits for the disk.
    ///
    /// # Errors
    /// The disk's; then nothing is appended until the log was opened again.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset, now: Timestamp) -> Result<(), ReadError> {
        self.start_anew(offset, now).inspect_err(|error| self.fail_reading(error))
    }

    fn cut(&mut self, offset: Offset, now: Timestamp) -> Result<(), ReadError> {
        let segments = self.view.segments();
        if segments.first().is_none_or(|first| offset < first.base_offset()) {
            return self.start_anew(offset, now);
        }
        let kept = segments.partition_point(|segment| segment.base_offset() <= offset);
        let (kept, gone) = segments.split_at(kept);
        if let Some(last) = kept.last() {
            let wanted = self.view.open(last, Wait::Allowed).and_then(|open| {
                let found = last.seek(&open, offset, last.size(), Wait::Allowed)?;
                Ok(found.map(|(batch, _)| batch.position))
            });
            let position = wanted.map_err(|error| self.view.describe(last, error))?;
            self.cut_segment(last, position.unwrap_or(last.size())).map_err(ReadError::Disk)?;
        }
        self.remove_segments(gone).map_err(ReadError::Disk)?;
        self.reload(self.log_start, now)
    }

    /// Cuts one segment's file, durably, so that what was cut cannot be taken for new batches after a crash.
    fn cut_segment(&self, segment: &Segment, size: u64) -> Result<(), DiskError> {
        let path = segment.path();
        let failed = |error: io::Error| DiskError::new("cut", &path, &error);
        let file = self.view.disk.open(&path, Access::Write).map_err(failed)?;
        file.set_len(size).and_then(|()| file.sync()).map_err(failed)?;
        for kind in [FileKind::Index, FileKind::TimeIndex, FileKind::TransactionIndex] {
            remove(&*self.view.disk, &segment.file(kind))?;
        }
        Ok(())
    }

    fn remove_segments(&self, gone: &[Arc<Segment>]) -> Result<(), DiskError> {
        // From the last one on, so that a crash in between leaves no gap.
        for segment in gone.iter().rev() {
            for kind in FileKind::ALL {
                remove(&*self.view.disk, &segment.file(kind))?;
            }
        }
        self.view.disk.sync_dir(&self.view.dir).map_err(|error| DiskError::new("sync", &self.view.dir, &error))
    }

    fn start_anew(&mut self, offset: Offset, now: Timestamp) -> Result<(), ReadError> {
        self.remove_segments(&self.view.segments()).map_err(ReadError::Disk)?;
        self.reload(offset, now)
    }

    /// Takes on the state that the files say, as after a clean shutdown, under the same view.
    fn reload(&mut self, log_start: Offset, now: Timestamp) -> Result<(), ReadError> {
        let options = OpenOptions {
            config: self.config.clone(),
            recovery_point: self.unflushed.recovery_point,
            log_start_offset: log_start,
            clean_shutdown: true,
            rewrite_unflushed: false,
            now,
            seed: self.jitter,
            files: Arc::clone(&self.view.files),
        };
        let (disk, dir) = (Arc::clone(&self.view.disk), Arc::clone(&self.view.dir));
        let listing = Listing::tidied(&*disk, &dir).map_err(ReadError::from)?;
        let loader = Loader {
            disk,
            dir,
            options: &options,
            listing,
            rebuild: Rebuild::default(),
            unflushed: Unflushed::default(),
            report: OpenReport::default(),
            absence_is_trusted: false,
        };
        let (fresh, _) = loader.load().map_err(ReadError::from)?;
        self.log_start = fresh.log_start;
        self.next_offset = fresh.next_offset;
        self.active = fresh.active;
        (self.producers, self.snapshot, self.epochs) = (fresh.producers, fresh.snapshot, fresh.epochs);
        self.unflushed.truncated(self.next_offset);
        self.unflushed.names_changed();
        self.unflushed.epochs_changed();
        self.view.set_recovery_point(self.unflushed.recovery_point);
        self.view.set_log_start(self.log_start);
        self.view.set_segments(fresh.view.segments());
        Ok(())
    }

    fn fail_reading(&mut self, error: &ReadError) {
        let doing = format!("truncate {}", self.dir().display());
        self.fail(DiskError { doing, kind: io::ErrorKind::Other, message: error.to_string() });
    }
}

impl Loader<'_> {
    fn load(mut self) -> Result<(Log, OpenReport), OpenError> {
        let mut files = std::mem::take(&mut self.listing.segments);
        let epochs_known = self.load_epochs();
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
    /// bad byte above it. Afterwards `files` are those that are left.
    fn walk_unflushed(&mut self, files: &mut Vec<SegmentFile>) -> Result<Walked, OpenError> {
        let recovery_point = self.options.recovery_point;
        let first = files.partition_point(|file| file.base_offset <= recovery_point).saturating_sub(1);
        self.load_producers(
            files.get(..first).unwrap_or_default(),
            files.get(first).map_or(Offset(0), |file| file.base_offset),
        )?;
        let mut at = first;
        loop {
            let Some(&file) = files.get(at) else { unreachable!("a walk ends with the last segment") };
            let walked = self.walk_whole(file)?;
            if let Some(file) = files.get_mut(at) {
                file.len = walked.size;
                file.has_transactions = !self.rebuild.aborted.is_empty();
            }
            let next = files.get(at + 1).copied();
            let goes_on = next.is_some_and(|next| {
                walked.end_offset == next.base_offset || self.gaps() && walked.end_offset < next.base_offset
            });
            if goes_on && self.report.cut.is_none() {
                self.close_walked(file, walked)?;
                at += 1;
                continue;
            }
            if let Some(next) = next {
                self.cut_behind(&walked, next, files.get(at + 1..).unwrap_or_default())?;
                files.truncate(at + 1);
            }
            return Ok(walked);
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
            rename_deleted(&*self.disk, &self.dir, file.base_offset).map_err(OpenError::Disk)?;
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
        let known = match read_file(&*self.disk, &path, TRANSACTION_INDEX_BYTES_MAX) {
            Ok(known) => known,
            Err(_) => Vec::new(),
        };
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
        if self.unflushed.recovery_point < end_offset || self.listing.changed {
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
        self.options.config.cleanup_policy.compact
    }
}

/// A walk over a segment that expects offsets and epochs to go on.
struct Walk<'f> {
    scanner: Scanner<'f>,
    base_offset: Offset,
    /// Offset that the next batch should begin with.
    expected: Offset,
    epoch: LeaderEpoch,
    /// Batches that reach it have their CRC checked, and begin where the last one ended.
    checked_from: Offset,
    gaps: bool,
    /// It did not begin at the segment's beginning.
    resumed: bool,
}

/// Why a walk stopped before the end.
enum Stop {
    Bad { position: u64, reason: String },
    Disk(io::Error),
}

impl Stop {
    fn into_error(self, path: &Path) -> OpenError {
        match self {
            Self::Bad { position, reason } => Corruption { path: path.to_owned(), position, reason }.into(),
            Self::Disk(error) => failed("read", path, &error),
        }
    }
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Bad { position, error } => Self::Bad { position, reason: error.to_string() },
            ScanError::WouldWait => Self::Disk(io::ErrorKind::WouldBlock.into()),
            ScanError::Disk(error) => Self::Disk(error),
        }
    }
}

impl<'f> Walk<'f> {
    fn new(file: &'f dyn DiskFile, segment: SegmentFile, checked_from: Offset) -> Self {
        Self {
            scanner: Scanner::new(file, 0, segment.len, CHUNK_BYTES_MAX, Wait::Allowed),
            base_offset: segment.base_offset,
            expected: segment.base_offset,
            epoch: LeaderEpoch::NONE,
            checked_from,
            gaps: true,
            resumed: false,
        }
    }

    /// Begins at the last entry of the index instead.
    fn resume(&mut self, indexes: &Indexes) {
        if let Some(last) = indexes.offsets.last() {
            self.scanner.seek(last.position.into());
            self.resumed = true;
        }
    }

    fn position(&self) -> u64 {
        self.scanner.position()
    }

    fn next(&mut self) -> Result<Option<Located>, Stop> {
        let Some(batch) = self.scanner.next()? else { return Ok(None) };
        let checked = self.checked_from <= batch.header.last_offset();
        if let Some(reason) = self.fault(&batch, checked) {
            return Err(Stop::Bad { position: batch.position, reason });
        }
        if checked {
            self.scanner.verify(&batch)?;
        }
        self.expected = batch.header.last_offset().next();
        self.epoch = self.epoch.max(batch.header.leader_epoch);
        Ok(Some(batch))
    }

    /// What is wrong with a header that was read, beyond its form.
    fn fault(&self, batch: &Located, checked: bool) -> Option<String> {
        let header = &batch.header;
        let follows = self.expected == header.base_offset;
        let may_jump = self.gaps || !checked || batch.is_legacy();
        if !follows && !(may_jump && self.expected < header.base_offset) {
            return Some(format!("it begins at offset {} instead of {}", header.base_offset, self.expected));
        }
        let reach = header.last_offset().0.saturating_sub(self.base_offset.0);
        if header.last_offset_delta < 0 || i64::from(i32::MAX) < reach {
            return Some(format!("it ends at offset {}", header.last_offset()));
        }
        if header.leader_epoch < self.epoch && header.leader_epoch != LeaderEpoch::NONE {
            return Some(format!("its leader epoch {} is older than {}", header.leader_epoch, self.epoch));
        }
        None
    }
}

impl From<OpenError> for ReadError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Corrupt(corruption) => Self::Corrupt(corruption),
            OpenError::Disk(error) => Self::Disk(error),
        }
    }
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DiskError::new("remove", path, &error)),
        _ => Ok(()),
    }
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> OpenError {
    OpenError::Disk(DiskError::new(doing, path, error))
}

/// Largest timestamp of the first batch of a segment, from which its age counts.
fn first_timestamp(file: &dyn DiskFile, len: u64) -> Option<Timestamp> {
    let mut scanner = Scanner::new(file, 0, len, CHUNK_BYTES_MAX, Wait::Allowed);
    scanner.next().ok().flatten().map(|batch| batch.header.max_timestamp)
}

fn read_batch(file: &dyn DiskFile, batch: &Located) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; batch.header.len];
    let read = file.read_at(batch.position, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes a part of a file once more as it is, so that the system knows it as changed and the next sync takes it along.
fn rewrite(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    let mut at = from;
    while at < to {
        let want = usize::try_from(to - at).unwrap_or(usize::MAX).min(buffer.len());
        let read = file.read_at(at, buffer.get_mut(..want).unwrap_or_default())?;
        let bytes = buffer.get(..read).filter(|bytes| !bytes.is_empty()).ok_or(io::ErrorKind::UnexpectedEof)?;
        file.write_all_at(at, &[io::IoSlice::new(bytes)])?;
        at += read as u64;
    }
    Ok(())
}
