//! The segment that is appended to, as its owner sees it.

use std::sync::Arc;

use crate::model::Timestamp;
use crate::storage::index::{OFFSET_INDEX_ENTRY_BYTES, TIME_INDEX_ENTRY_BYTES};
use crate::storage::segment::{IndexPace, OpenSegment, Segment};
use crate::wire::record::BatchHeader;

/// The active segment: what readers see of it, and what only appending needs.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    pub(super) open: Arc<OpenSegment>,
    /// Bytes of whole batches in the file.
    pub(super) size: u64,
    /// Bytes for which room was reserved.
    pub(super) reserved: u64,
    /// Largest timestamp of the first batch: the segment's age counts from it.
    pub(super) first_timestamp: Option<Timestamp>,
    /// When the segment was made or opened: its age counts from then when batches have no timestamps.
    pub(super) created: Timestamp,
    pub(super) pace: IndexPace,
    offset_entries: usize,
    time_entries: usize,
    /// How many entries of each are in the index files already.
    pub(super) saved: SavedEntries,
}

/// Numbers of entries, from the first on.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct SavedEntries {
    pub(super) offsets: usize,
    pub(super) times: usize,
}

impl Active {
    /// The active segment before any of its batches was [noted](Self::note).
    pub(super) fn new(segment: Arc<Segment>, open: Arc<OpenSegment>, created: Timestamp) -> Self {
        let pace = IndexPace::new(segment.base_offset());
        segment.set_max_timestamp(Timestamp::NONE);
        Self {
            segment,
            open,
            size: 0,
            reserved: 0,
            first_timestamp: None,
            created,
            pace,
            offset_entries: 0,
            time_entries: 0,
            saved: SavedEntries::default(),
        }
    }

    /// Goes on behind `size` bytes that were walked.
    pub(super) fn resume(&mut self, size: u64, first_timestamp: Option<Timestamp>, pace: IndexPace) {
        self.segment.set_max_timestamp(pace.max_timestamp.0);
        self.size = size;
        self.reserved = size;
        self.first_timestamp = first_timestamp;
        self.pace = pace;
        self.count_entries();
    }

    /// Takes a batch behind the last one into account; indexes it when enough bytes lie between it and the last entry.
    pub(super) fn note(&mut self, header: &BatchHeader, index_interval_bytes: u32) {
        if self.size == 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        let largest_was = self.pace.max_timestamp.0;
        if self.pace.note(header, self.size, index_interval_bytes, &self.open.indexes) {
            self.count_entries();
        }
        if largest_was < self.pace.max_timestamp.0 {
            self.segment.set_max_timestamp(self.pace.max_timestamp.0);
        }
        self.size += header.len as u64;
    }

    /// Whether an index has no room for the next entry (the time index keeps one for [`Self::seal`]).
    pub(super) fn indexes_full(&self, segment_index_bytes: u32) -> bool {
        let bytes = segment_index_bytes as usize;
        bytes / OFFSET_INDEX_ENTRY_BYTES <= self.offset_entries
            || bytes / TIME_INDEX_ENTRY_BYTES <= self.time_entries + 1
    }

    /// Whether the index files lack entries.
    pub(super) fn has_unsaved_entries(&self) -> bool {
        self.saved.offsets < self.offset_entries || self.saved.times < self.time_entries
    }

    /// The last time index entry, which a closed segment always has.
    pub(super) fn seal(&mut self) {
        self.pace.seal(&self.open.indexes);
        self.count_entries();
    }

    /// Kept beside the indexes so that an append need not take their locks to see that they are not full.
    fn count_entries(&mut self) {
        self.offset_entries = self.open.indexes.offsets.len();
        self.time_entries = self.open.indexes.times.len();
    }
}
