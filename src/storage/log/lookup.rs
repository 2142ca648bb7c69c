//! Looking for records by something else than their offset: by time, by the transaction that they belong to.
//!
//! Lookups by time may wait for the disk.
//!
//! Source: Kafka 3.9 `UnifiedLog.fetchOffsetByTimestamp`, `LogSegment.findOffsetByTimestamp`,
//! `UnifiedLog.collectAbortedTransactions`; KIP-33, KIP-98, KIP-734.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::view::LogView;
use super::{Corruption, DiskError, ReadError, TimestampOffset, Wait};
use crate::model::{Offset, Timestamp};
use crate::storage::disk::DiskFile;
use crate::storage::filename::{FileKind, SegmentFileName};
use crate::storage::scan::Located;
use crate::storage::segment::Segment;
use crate::storage::transaction_index::AbortedTransaction;
use crate::wire::record::DecompressionLimit;

/// Bytes that the one batch may grow to in which a record is looked for by time. Batches are at most `max.message.bytes`
/// large; this is Kafka's default of it, 64 times compressed.
const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

impl LogView {
    /// Where each segment begins, and when its file was last written to; at the end, unless the log's last segment is empty, the log's
    /// end with `now`. What the oldest clients call offsets by time (`UnifiedLog.legacyFetchOffsetsBefore`).
    ///
    /// # Errors
    /// [`ReadError::Disk`].
    pub fn segment_times(&self, now: Timestamp) -> Result<Vec<(Offset, Timestamp)>, ReadError> {
        let (segments, start, end, dir) = (self.segments(), self.log_start_offset(), self.log_end_offset(), self.dir());
        let entries = self.disk.list(&dir);
        let entries = entries.map_err(|error| ReadError::Disk(DiskError::new("list", &dir, &error)))?;
        let modified = entries.iter().filter_map(|entry| {
            let name = SegmentFileName::parse(&entry.name)?;
            (name == SegmentFileName::live(name.offset, FileKind::Log)).then_some((name.offset, entry.modified))
        });
        let modified = modified.collect::<BTreeMap<_, _>>();
        // A segment that went meanwhile was the oldest.
        let time = |base: Offset| modified.get(&base).copied().unwrap_or_default();
        let mut times =
            segments.iter().map(|it| (it.base_offset().max(start), time(it.base_offset()))).collect::<Vec<_>>();
        if segments.last().is_some_and(|active| active.size() != 0) {
            times.push((end, now));
        }
        Ok(times)
    }

    /// First record, from the log start on, whose timestamp is at least `target`. A caller that answers consumers hides what
    /// is at or above its high watermark.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] and [`ReadError::Disk`].
    pub fn offset_for_timestamp(&self, target: Timestamp) -> Result<Option<TimestampOffset>, ReadError> {
        let start = self.log_start_offset();
        for segment in self.segments().iter() {
            if self.max_timestamp_of(segment)? < target {
                continue;
            }
            if let Some(found) = self.first_at(segment, target, start)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp (KIP-734); the first of several.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] and [`ReadError::Disk`].
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        let mut best: Option<(Timestamp, &Arc<Segment>)> = None;
        let segments = self.segments();
        for segment in segments.iter() {
            let largest = self.max_timestamp_of(segment)?;
            if best.is_none_or(|(timestamp, _)| timestamp < largest) {
                best = Some((largest, segment));
            }
        }
        match best {
            Some((timestamp, segment)) if Timestamp::NONE < timestamp => {
                self.first_at(segment, timestamp, self.log_start_offset())
            }
            _ => Ok(None),
        }
    }

    /// Aborted transactions that a READ_COMMITTED reader of the offsets `from..to` must know. Does not wait.
    #[must_use]
    pub fn aborted_transactions(&self, from: Offset, to: Offset) -> Vec<AbortedTransaction> {
        let mut aborted = Vec::new();
        let segments = self.segments();
        let first = segments.partition_point(|segment| segment.base_offset() <= from).saturating_sub(1);
        for segment in segments.iter().skip(first) {
            if segment.transactions.collect(from, to, &mut aborted) {
                break;
            }
        }
        aborted
    }

    /// Largest timestamp in a segment, [`Timestamp::NONE`] when none has one.
    pub(super) fn max_timestamp_of(&self, segment: &Arc<Segment>) -> Result<Timestamp, ReadError> {
        if let Some(known) = segment.max_timestamp() {
            return Ok(known);
        }
        let open = self.open(segment, Wait::Allowed).map_err(|error| self.describe(segment, error))?;
        let found = segment.find_max_timestamp(&open).map_err(|error| self.describe(segment, error))?;
        segment.set_max_timestamp(found);
        Ok(found)
    }

    /// First record of `segment` at `start` or behind it whose timestamp is at least `target`.
    fn first_at(
        &self,
        segment: &Arc<Segment>,
        target: Timestamp,
        start: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let describe = |error| self.describe(segment, error);
        let open = self.open(segment, Wait::Allowed).map_err(describe)?;
        let from = segment.offset_before(&open, target).map_err(describe)?.max(start);
        let size = segment.size();
        let Some((mut batch, mut scanner)) = segment.seek(&open, from, size, Wait::Allowed).map_err(describe)? else {
            return Ok(None);
        };
        loop {
            if target <= batch.header.max_timestamp
                && let Some(found) = first_in(&*open.file, &batch, target, start)
                    .map_err(|error| self.describe_batch(segment, &batch, error))?
            {
                return Ok(Some(found));
            }
            match scanner.next().map_err(|error| describe(error.into()))? {
                Some(next) => batch = next,
                None => return Ok(None),
            }
        }
    }

    fn describe_batch(&self, segment: &Segment, batch: &Located, error: BatchFault) -> ReadError {
        let path = segment.path();
        match error {
            BatchFault::Disk(error) => ReadError::Disk(DiskError::new("read", &path, &error)),
            BatchFault::Bad(reason) => Corruption { path, position: batch.position, reason }.into(),
        }
    }
}

/// Why a batch could not be looked into.
enum BatchFault {
    Disk(std::io::Error),
    Bad(String),
}

/// First record of a batch at `start` or behind it whose timestamp is at least `target`.
fn first_in(
    file: &dyn DiskFile,
    batch: &Located,
    target: Timestamp,
    start: Offset,
) -> Result<Option<TimestampOffset>, BatchFault> {
    let header = &batch.header;
    let found = |offset, timestamp| TimestampOffset { timestamp, offset, leader_epoch: header.leader_epoch };
    if batch.is_legacy() {
        // One message, or a wrapper whose inner messages end at its offset.
        return Ok((start <= header.base_offset).then(|| found(header.base_offset, header.max_timestamp)));
    }
    let mut bytes = vec![0; header.len];
    let read = file.read_at(batch.position, &mut bytes).map_err(BatchFault::Disk)?;
    bytes.truncate(read);
    let mut scratch = Vec::new();
    let limit = DecompressionLimit { bytes_max: DECOMPRESSED_BYTES_MAX };
    let records =
        header.read_records(&bytes, limit, &mut scratch).map_err(|error| BatchFault::Bad(error.to_string()))?;
    for record in records {
        let record = record.map_err(|error| BatchFault::Bad(error.to_string()))?;
        let (offset, timestamp) = (header.offset_of(&record), header.timestamp_of(&record));
        if start <= offset && target <= timestamp {
            return Ok(Some(found(offset, timestamp)));
        }
    }
    Ok(None)
}
