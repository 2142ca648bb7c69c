//! Compaction: of every key only the last record stays (`cleanup.policy=compact`).
//!
//! A [`Cleaning`] works on what readers see, beside the log's owner and in [steps](Cleaning::step) of bounded size: first it
//! notes where the last record of each key stands in the dirty part, then it writes groups of segments anew, without what is
//! superseded. Each group is then handed to the owner ([`Log::replace_segments`](super::Log::replace_segments)).
//!
//! *Invariant*: offsets never change, and at any moment either the old files of a group or all of the new ones are there, as
//! Kafka's own recovery expects them.
//! *Does not know*: which log is the dirtiest, when to run.
//!
//! Messages of Kafka before 0.11 (magic 0 and 1) are not cleaned: a log that holds some is left as it is.
//!
//! Source: Kafka 3.9 `LogCleaner.scala`, `LogCleanerManager.scala`.

mod dirt;
mod filter;
mod offset_map;
mod reader;
mod replace;
mod transactions;
mod writer;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use self::filter::{DECOMPRESSED_BYTES_MAX, Filter, Kept, LastTrace};
use self::offset_map::OffsetMap;
use self::reader::Reader;
use self::transactions::Transactions;
use self::writer::Writer;
use super::view::LogView;
use super::{DiskError, LogConfig, ReadError, SEGMENT_BYTES_MAX};
use crate::model::{Offset, ProducerId, Timestamp};
use crate::storage::filename::{SegmentFileName, Stage};
use crate::storage::index::TIME_INDEX_ENTRY_BYTES;
use crate::storage::segment::Segment;
use crate::wire::record::{BATCH_HEADER_BYTES, BatchHeader, DecompressionLimit};

pub use self::dirt::Cleanable;

/// Bytes that one step reads and writes, about: a disk thread is back for others soon, and the rate is kept smoothly.
const STEP_BYTES: u64 = 4 << 20;

/// Segments that are written into one, at most: each is held open while they are replaced.
const GROUP_SEGMENTS_MAX: usize = 256;

/// Means of a cleaner.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CleanerMeans {
    /// `log.cleaner.dedupe.buffer.size`: memory for the keys.
    pub map_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`: how full that may get, 0 to 1.
    pub load_factor: f64,
    /// `log.cleaner.io.buffer.size`: bytes read and written at once.
    pub buffer_bytes: usize,
}

/// Why a log was not cleaned.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CleanError {
    /// It was cut, or what was to be replaced is gone: look again later.
    #[error("the log changed meanwhile")]
    Stale,
    /// Damage, or the disk did not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A message of Kafka before 0.11.
    #[error("{} holds a message of a format before Kafka 0.11 at byte {position}", path.display())]
    OldFormat {
        /// The segment.
        path: PathBuf,
        /// In bytes.
        position: u64,
    },
    /// There is no memory for the keys, or `log.cleaner.dedupe.buffer.size` does not even suffice for one batch.
    #[error("there is no room for the keys: log.cleaner.dedupe.buffer.size is too small")]
    NoRoom,
    /// The work ended in the middle: a fault of the program.
    #[error("the cleaner panicked")]
    Panicked,
    /// What is written anew would be larger than a segment may be.
    #[error("{} would be too large", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

impl From<DiskError> for CleanError {
    fn from(error: DiskError) -> Self {
        Self::Read(ReadError::Disk(error))
    }
}

impl CleanError {
    /// What a failed read means: a segment that retention removed meanwhile is no fault.
    fn of(view: &LogView, segment: &Arc<Segment>, error: ReadError) -> Self {
        let is_listed = view.segments().iter().any(|listed| Arc::ptr_eq(listed, segment));
        if is_listed { Self::Read(error) } else { Self::Stale }
    }

    /// Whether trying again later may help: the log changed, or the disk is full.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Stale => true,
            Self::Read(ReadError::Disk(error)) => error.passes(),
            Self::Read(ReadError::Corrupt(_) | ReadError::OutOfRange { .. })
            | Self::OldFormat { .. }
            | Self::NoRoom
            | Self::Panicked
            | Self::TooLarge { .. } => false,
        }
    }
}

/// What only the log's owner knows, as of the beginning of a cleaning.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Of the log's tail: after a truncation nothing that was noted holds.
    generation: u64,
    producers: BTreeMap<ProducerId, LastTrace>,
}

impl Begun {
    /// Whether the log was neither cut nor went to another folder between the two.
    #[must_use]
    pub fn is_same_log(&self, other: &Self) -> bool {
        self.generation == other.generation
    }
}

/// A segment that was written anew, durable under the name `.cleaned`.
#[derive(Debug)]
pub struct CleanedSegment {
    generation: u64,
    replaced: Vec<Arc<Segment>>,
    segment: Arc<Segment>,
    index_bytes: usize,
}

/// What a step did.
#[derive(Debug)]
pub enum Step {
    /// Read and wrote; there is more to do.
    Worked,
    /// This is to be put into place before the next step.
    Replace(CleanedSegment),
    /// All is done.
    Done(Cleaned),
}

/// What a cleaning did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cleaned {
    /// Exclusive: all below is clean. [`Log::cleaned`](super::Log::cleaned) is to be told.
    pub end: Offset,
    /// Bytes of all segments that were looked at.
    pub bytes_before: u64,
    /// Bytes of those that took their place.
    pub bytes_after: u64,
}

/// A group of segments that becomes one.
#[derive(Debug)]
struct Group {
    segments: Vec<Arc<Segment>>,
    /// Exclusive.
    end: Offset,
}

/// A group being written.
#[derive(Debug)]
struct Rewrite {
    group: Group,
    /// Of the segment being read.
    at: usize,
    reader: Reader,
    writer: Writer,
    /// Whether anything was left out or changed.
    changed: bool,
}

#[derive(Debug)]
enum Phase {
    /// Notes the offsets of the keys.
    Mapping { at: usize, reader: Option<Reader> },
    /// Writes groups anew.
    Writing { groups: VecDeque<Group>, current: Option<Box<Rewrite>> },
}

/// One log being cleaned.
#[derive(Debug)]
pub struct Cleaning {
    view: Arc<LogView>,
    config: LogConfig,
    means: CleanerMeans,
    generation: u64,
    first_dirty: Offset,
    /// From the first one of the log, with their ends, exclusive.
    segments: Vec<(Arc<Segment>, Offset)>,
    phase: Phase,
    filter: Filter,
    done: Cleaned,
    /// Read and written in this step.
    worked: u64,
    out: Vec<u8>,
}

impl Cleaning {
    /// Begins to clean what `cleanable` says. Removes what an earlier attempt left. Waits for the disk.
    ///
    /// # Errors
    /// See [`CleanError`].
    pub fn new(
        view: Arc<LogView>,
        cleanable: &Cleanable,
        begun: Begun,
        config: LogConfig,
        means: CleanerMeans,
        now: Timestamp,
    ) -> Result<Self, CleanError> {
        remove_cleaned(&view)?;
        let Cleanable { first_dirty, end, .. } = *cleanable;
        let all = view.segments();
        let ends = all.iter().skip(1).map(|next| next.base_offset());
        let segments = all.iter().map(Arc::clone).zip(ends).take_while(|(_, segment_end)| *segment_end <= end);
        let segments = segments.collect::<Vec<_>>();
        let offsets = u64::try_from(end.0.saturating_sub(first_dirty.0)).unwrap_or_default();
        let map = OffsetMap::new(means.map_bytes, offsets, means.load_factor).ok_or(CleanError::NoRoom)?;
        let delay = i64::try_from(config.delete_retention.as_millis()).unwrap_or(i64::MAX);
        let filter = Filter {
            map,
            latest: Offset(first_dirty.0 - 1),
            round_end: end,
            producers: begun.producers,
            transactions: Transactions::new(view.aborted_transactions(first_dirty, end)),
            now,
            new_horizon: Timestamp(now.0.saturating_add(delay)),
            scratch: Vec::new(),
        };
        let at = segments.partition_point(|(_, end)| *end <= first_dirty);
        Ok(Self {
            view,
            config,
            means,
            generation: begun.generation,
            first_dirty,
            segments,
            phase: Phase::Mapping { at, reader: None },
            filter,
            done: Cleaned::default(),
            worked: 0,
            out: Vec::new(),
        })
    }

    /// Does some of the work, and says how many bytes were read and written. Waits for the disk.
    ///
    /// # Errors
    /// See [`CleanError`]; then [`Self::abandon`] it.
    pub fn step(&mut self) -> Result<(Step, u64), CleanError> {
        self.worked = 0;
        let step = loop {
            let step = match &mut self.phase {
                Phase::Mapping { .. } => self.map()?,
                Phase::Writing { .. } => self.write()?,
            };
            match step {
                Step::Worked if self.worked < STEP_BYTES => {}
                Step::Worked | Step::Replace(_) | Step::Done(_) => break step,
            }
        };
        Ok((step, self.worked))
    }

    /// Gives up: what was written and not handed over goes. Waits for the disk.
    pub fn abandon(self) {
        // What stays goes when the log is cleaned or opened the next time.
        let _ = remove_cleaned(&self.view);
    }

    /// One batch more into the map.
    fn map(&mut self) -> Result<Step, CleanError> {
        let Phase::Mapping { at, reader } = &mut self.phase else { return Ok(Step::Worked) };
        let Some((segment, end)) = self.segments.get(*at) else {
            self.begin_writing();
            return Ok(Step::Worked);
        };
        let reader = match reader {
            Some(reader) => reader,
            None => reader.insert(Reader::open(&self.view, segment, self.means.buffer_bytes)?),
        };
        let Some((header, batch)) = reader.next()? else {
            // Behind the last batch there may be a gap.
            self.filter.latest = self.filter.latest.max(Offset(end.0 - 1));
            self.phase = Phase::Mapping { at: *at + 1, reader: None };
            return Ok(Step::Worked);
        };
        self.worked += header.len as u64;
        if header.last_offset() < self.first_dirty {
            return Ok(Step::Worked);
        }
        let fits = note_keys(&mut self.filter, self.first_dirty, &header, batch);
        if fits.map_err(|reason| reader.corrupt_before(&reason))? {
            self.filter.latest = header.last_offset();
        } else if self.first_dirty <= self.filter.latest {
            self.begin_writing();
        } else {
            return Err(CleanError::NoRoom);
        }
        Ok(Step::Worked)
    }

    /// The map is complete, or full.
    fn begin_writing(&mut self) {
        let end = self.filter.latest.next();
        self.done.end = end;
        let first = self.segments.first().map_or(end, |(segment, _)| segment.base_offset());
        self.filter.transactions = Transactions::new(self.view.aborted_transactions(first, Offset(i64::MAX)));
        self.phase = Phase::Writing { groups: self.groups(end), current: None };
    }

    /// The segments that begin below `end`, in groups that fit into one segment each, by its size, index and offsets.
    fn groups(&self, end: Offset) -> VecDeque<Group> {
        let mut groups = VecDeque::<Group>::new();
        let mut bytes = 0;
        let per_entry = u64::from(self.config.index_interval_bytes).max(BATCH_HEADER_BYTES as u64);
        let entries = u64::from(self.config.segment_index_bytes) / TIME_INDEX_ENTRY_BYTES as u64;
        let bytes_max = u64::from(self.config.segment_bytes).min(entries.saturating_sub(2).saturating_mul(per_entry));
        for (segment, segment_end) in self.segments.iter().take_while(|(segment, _)| segment.base_offset() < end) {
            let fits = groups.back().filter(|group| {
                let first = group.segments.first().map_or(*segment_end, |first| first.base_offset());
                bytes + segment.size() <= bytes_max
                    && segment_end.0 - first.0 <= i64::from(i32::MAX)
                    && group.segments.len() < GROUP_SEGMENTS_MAX
            });
            if fits.is_none() {
                groups.push_back(Group { segments: Vec::new(), end: *segment_end });
                bytes = 0;
            }
            bytes += segment.size();
            if let Some(group) = groups.back_mut() {
                group.segments.push(Arc::clone(segment));
                group.end = *segment_end;
            }
        }
        groups
    }

    /// One batch more of a group.
    fn write(&mut self) -> Result<Step, CleanError> {
        let Phase::Writing { groups, current } = &mut self.phase else { return Ok(Step::Worked) };
        let Some(rewrite) = current else {
            let Some(group) = groups.pop_front() else { return Ok(Step::Done(self.done)) };
            *current = Some(Box::new(Rewrite::begin(&self.view, group, &self.config, &self.means)?));
            return Ok(Step::Worked);
        };
        let Some((header, batch)) = rewrite.reader.next()? else {
            rewrite.at += 1;
            if let Some(next) = rewrite.group.segments.get(rewrite.at) {
                rewrite.reader = Reader::open(&self.view, next, self.means.buffer_bytes)?;
                return Ok(Step::Worked);
            }
            return self.finish_group();
        };
        self.worked += header.len as u64;
        self.out.clear();
        let mut aborted = Vec::new();
        let kept = self.filter.take(&header, batch, &mut self.out, &mut aborted);
        let (kept, bytes) = match kept {
            Ok(Kept::Nothing) => (None, &[][..]),
            Ok(Kept::Whole) => (Some(header), batch),
            Ok(Kept::Changed(changed)) => (Some(changed), &self.out[..]),
            Err(reason) => return Err(rewrite.reader.corrupt_before(&reason)),
        };
        rewrite.changed |= kept != Some(header);
        if let Some(header) = kept {
            rewrite.writer.push(&header, bytes)?;
            self.worked += header.len as u64;
        }
        rewrite.writer.aborted(&mut aborted);
        Ok(Step::Worked)
    }

    fn finish_group(&mut self) -> Result<Step, CleanError> {
        let Phase::Writing { current, .. } = &mut self.phase else { return Ok(Step::Worked) };
        let Some(rewrite) = current.take() else { return Ok(Step::Worked) };
        let Rewrite { group, writer, changed, .. } = *rewrite;
        let before = group.segments.iter().map(|segment| segment.size()).sum::<u64>();
        self.done.bytes_before += before;
        if !changed && group.segments.len() == 1 {
            // It would be the same file.
            drop(writer);
            remove_cleaned(&self.view)?;
            self.done.bytes_after += before;
            return Ok(Step::Worked);
        }
        let cleaned = writer.finish(group.end, group.segments, self.generation)?;
        self.done.bytes_after += cleaned.segment.size();
        Ok(Step::Replace(cleaned))
    }
}

impl Rewrite {
    fn begin(view: &LogView, group: Group, config: &LogConfig, means: &CleanerMeans) -> Result<Self, CleanError> {
        let first = group.segments.first().ok_or(CleanError::Stale)?;
        let reader = Reader::open(view, first, means.buffer_bytes)?;
        let writer = Writer::new(view, first.base_offset(), config.index_interval_bytes, means.buffer_bytes)?;
        Ok(Self { reader, writer, group, at: 0, changed: false })
    }
}

/// Notes the keys of a batch; `false` when there is no room for them.
fn note_keys(filter: &mut Filter, first_dirty: Offset, header: &BatchHeader, batch: &[u8]) -> Result<bool, String> {
    if header.attributes.is_control() {
        filter.transactions.marker(header, batch);
        return Ok(true);
    }
    if filter.transactions.data(header) {
        return Ok(true);
    }
    let limit = DecompressionLimit { bytes_max: DECOMPRESSED_BYTES_MAX };
    let records = header.read_records(batch, limit, &mut filter.scratch).map_err(|error| error.to_string())?;
    for record in records {
        let record = record.map_err(|error| error.to_string())?;
        let offset = header.offset_of(&record);
        if let Some(key) = record.key
            && first_dirty <= offset
            && !filter.map.put(key, offset)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes what was being written. Nothing of it may be seen again after a crash: it would make the next start take a segment
/// that was put into place meanwhile for half of something.
fn remove_cleaned(view: &LogView) -> Result<(), DiskError> {
    let entries = view.disk.list(&view.dir()).map_err(|error| DiskError::new("list", &view.dir(), &error))?;
    let names = entries.iter().filter_map(|entry| SegmentFileName::parse(&entry.name));
    let mut removed = false;
    for name in names.filter(|name| name.stage == Stage::Cleaned) {
        let path = view.dir().join(name.to_string());
        match view.disk.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(DiskError::new("remove", &path, &error));
            }
            _ => removed = true,
        }
    }
    if removed {
        view.disk.sync_dir(&view.dir()).map_err(|error| DiskError::new("sync", &view.dir(), &error))?;
    }
    Ok(())
}
