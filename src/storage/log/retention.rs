//! What goes: segments by age and size, records by request, a follower's tail by divergence.
//!
//! *Invariant*: nothing at or above the high watermark goes by retention; files are renamed first and removed later, so that
//! a reader that has just found them can still read.
//!
//! Source: Kafka 3.9 `UnifiedLog.deleteOldSegments`, `LocalLog.truncateTo`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::view::SegmentList;
use super::{DiskError, Log, PendingDelete, ReadError};
use crate::model::{Moment, Offset, Timestamp};
use crate::storage::disk::Disk;
use crate::storage::filename::{FileKind, SegmentFileName, Stage};
use crate::storage::segment::Segment;

impl Log {
    /// DeleteRecords, or the leader's log start: nothing below `offset` is read again. Segments go with the next
    /// [`Self::apply_retention`]. Never moves back; an offset beyond the log end counts as the log end.
    pub fn advance_log_start(&mut self, offset: Offset) {
        let offset = offset.min(self.next_offset);
        if offset <= self.log_start {
            return;
        }
        self.log_start = offset;
        self.view.set_log_start(offset);
        self.epochs.truncate_from_start(offset);
        self.producers.log_start_moved(offset);
    }

    /// Removes the segments that log start, size and age no longer keep, wholly below the high watermark; their files are
    /// renamed and come back as a delete that is due after `file.delete.delay.ms`. May wait for the disk.
    ///
    /// # Errors
    /// The disk's; segments whose files were not renamed stay.
    pub fn apply_retention(
        &mut self,
        high_watermark: Offset,
        now: Timestamp,
        moment: Moment,
    ) -> Result<Option<PendingDelete>, DiskError> {
        let segments = self.view.segments();
        let count = self.expired(&segments, high_watermark, now)?;
        if count == 0 {
            return Ok(None);
        }
        if count == segments.len() {
            self.roll(now)?;
        }
        let segments = self.view.segments();
        let (gone, kept) = segments.split_at(count);
        if let Some(first) = kept.first() {
            self.advance_log_start(first.base_offset());
        }
        self.view.set_segments(kept.into());
        let paths = self.set_aside(gone)?;
        let due = moment.after(self.config.file_delete_delay);
        Ok(Some(PendingDelete { paths, due, segments: gone.to_vec() }))
    }

    /// How many segments go, the oldest first.
    fn expired(&self, segments: &SegmentList, high_watermark: Offset, now: Timestamp) -> Result<usize, DiskError> {
        let policy = self.config.cleanup_policy;
        let size: u64 = segments.iter().map(|segment| segment.size()).sum();
        let mut surplus = self.config.retention_bytes.filter(|_| policy.delete).map(|kept| size.saturating_sub(kept));
        let age = self.config.retention.filter(|_| policy.delete);
        let mut count = 0;
        for (at, segment) in segments.iter().enumerate() {
            let next = segments.get(at + 1).map(|next| next.base_offset());
            let end = next.unwrap_or(self.next_offset);
            let is_empty_last = next.is_none() && segment.size() == 0;
            if high_watermark < end || is_empty_last {
                break;
            }
            let below_start = next.is_some_and(|next| next <= self.log_start);
            let too_much = surplus.is_some_and(|surplus| segment.size() <= surplus);
            let too_old = match age {
                Some(age) if !below_start && !too_much => {
                    let youngest = self.youngest(segment)?;
                    i64::try_from(age.as_millis()).unwrap_or(i64::MAX) < now.0.saturating_sub(youngest.0)
                }
                _ => false,
            };
            if !(below_start || too_much || too_old) {
                break;
            }
            surplus = surplus.map(|surplus| surplus.saturating_sub(segment.size()));
            count = at + 1;
        }
        Ok(count)
    }

    /// Largest timestamp of a segment, or when its file last changed if it has none.
    fn youngest(&self, segment: &Arc<Segment>) -> Result<Timestamp, DiskError> {
        match self.view.max_timestamp_of(segment) {
            Ok(Timestamp::NONE) => Ok(segment.modified()),
            Ok(timestamp) => Ok(timestamp),
            Err(ReadError::Disk(error)) => Err(error),
            // Readers find the damage; meanwhile the segment stays as long as its file's age says.
            Err(ReadError::Corrupt(_) | ReadError::OutOfRange { .. }) => Ok(segment.modified()),
        }
    }

    /// Takes segments out of the folder's live files; the new names of their files.
    fn set_aside(&mut self, gone: &[Arc<Segment>]) -> Result<Vec<PathBuf>, DiskError> {
        let mut renamed = Vec::new();
        for segment in gone {
            let base = segment.base_offset();
            renamed.extend(rename_deleted(&*self.view.disk, &self.view.dir(), base, &FileKind::ALL)?);
            self.unflushed.set_aside(segment.base_offset());
        }
        self.unflushed.names_changed();
        Ok(renamed)
    }
}

/// Renames files of a segment to `.deleted`, those that there are; the new names. The producer snapshot was taken before it.
pub(super) fn rename_deleted<'k>(
    disk: &dyn Disk,
    dir: &Path,
    base: Offset,
    kinds: impl IntoIterator<Item = &'k FileKind>,
) -> Result<Vec<PathBuf>, DiskError> {
    let mut renamed = Vec::new();
    for kind in kinds {
        let name = SegmentFileName::live(base, *kind);
        let (from, to) = (dir.join(name.to_string()), dir.join(name.at(Stage::Deleted).to_string()));
        match disk.rename(&from, &to) {
            Ok(()) => renamed.push(to),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(DiskError::new("rename", &from, &error)),
        }
    }
    Ok(renamed)
}
