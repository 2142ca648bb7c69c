//! How much of a log is dirty, and how far it may be cleaned.
//!
//! Source: Kafka 3.9 `LogCleanerManager.cleanableOffsets`, `calculateCleanableBytes`, `maxCompactionDelay`.

use std::time::Duration;

use super::CleanError;
use crate::model::{Bug, Offset, Timestamp};
use crate::storage::log::view::LogView;
use crate::storage::log::walk::first_timestamp;
use crate::storage::log::{LogConfig, Wait};

/// What cleaning a log would do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cleanable {
    /// What lies below was cleaned before.
    pub first_dirty: Offset,
    /// Exclusive: cleaning goes no further. The beginning of a segment.
    pub end: Offset,
    /// In the segments between the two.
    pub dirty_bytes: u64,
    /// With those that are clean.
    pub total_bytes: u64,
    /// `max.compaction.lag.ms` has passed for a record.
    pub overdue: bool,
}

impl Cleanable {
    /// Share of the log that is dirty, 0 to 1.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.total_bytes == 0 { 0.0 } else { self.dirty_bytes as f64 / self.total_bytes as f64 }
    }

    /// Whether there is enough to do.
    #[must_use]
    pub fn is_due(&self, config: &LogConfig) -> bool {
        0 < self.dirty_bytes && (self.overdue || config.cleanable_ratio_min < self.ratio())
    }
}

impl LogView {
    /// How much of the log may be cleaned. Not the active segment; nothing at or above `stable`, the last stable offset; nothing
    /// that is not durable, or a value could go whose successor a crash takes; nothing younger than `min.compaction.lag.ms`.
    /// Waits for the disk.
    ///
    /// # Errors
    /// The disk's, or damage.
    pub fn cleanable(&self, stable: Offset, config: &LogConfig, now: Timestamp) -> Result<Cleanable, CleanError> {
        let segments = self.segments();
        let log_start = self.log_start_offset();
        let within = |offset: &Offset| log_start <= *offset && *offset <= self.log_end_offset();
        let first_dirty = self.first_dirty_offset().filter(within).unwrap_or(log_start);
        let active = segments.last().map_or(log_start, |active| active.base_offset());
        let certain = if Bug::B26.is_back() { active } else { stable.min(self.recovery_point()) };
        let mut bound = certain.min(active);
        let ends = segments.iter().skip(1).map(|next| next.base_offset());
        let dirty = segments.iter().zip(ends).filter(|(_, end)| first_dirty < *end);
        let dirty = dirty.map(|(segment, _)| segment).collect::<Vec<_>>();
        if !config.compaction_lag_min.is_zero() {
            let youngest = now.0.saturating_sub(milliseconds(config.compaction_lag_min));
            for segment in &dirty {
                let newest = self.max_timestamp_of(segment).map_err(|error| CleanError::of(self, segment, error))?;
                if youngest < newest.0 {
                    bound = bound.min(segment.base_offset());
                    break;
                }
            }
        }
        let bases = segments.iter().map(|segment| segment.base_offset());
        let end = bases.take_while(|base| *base <= bound).last().unwrap_or(first_dirty);
        let bytes = |from: usize| segments.iter().skip(from).take_while(|segment| segment.base_offset() < end);
        let clean = segments.len() - dirty.len() - usize::from(!segments.is_empty());
        let dirty_bytes = bytes(clean).map(|segment| segment.size()).sum();
        let total_bytes = bytes(0).map(|segment| segment.size()).sum();
        let mut overdue = false;
        if let Some(lag) = config.compaction_lag_max {
            let oldest = now.0.saturating_sub(milliseconds(lag));
            for segment in dirty.iter().take_while(|segment| segment.base_offset() < end) {
                let open = self.open(segment, Wait::Allowed).map_err(|error| self.describe(segment, error));
                let open = open.map_err(|error| CleanError::of(self, segment, error))?;
                let first = first_timestamp(&*open.file, segment.size());
                overdue |= first.is_some_and(|first| 0 < first.0 && first.0 < oldest);
            }
        }
        Ok(Cleanable { first_dirty, end, dirty_bytes, total_bytes, overdue })
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
