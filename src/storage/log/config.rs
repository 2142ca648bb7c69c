//! The settings of one log, with Kafka's names and defaults. They may change while the log is open.

use std::time::Duration;

/// `segment.bytes` may not exceed this: positions within a segment are `int32` in Kafka's index files.
pub const SEGMENT_BYTES_MAX: u32 = i32::MAX as u32;

/// What the log does with old records (`cleanup.policy`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanupPolicy {
    /// Segments go by age and size.
    pub delete: bool,
    /// Only the last record of a key stays.
    pub compact: bool,
}

/// Settings of one log (`LogConfig.java`). The broker's defaults and the topic's own are already merged.
#[derive(Clone, PartialEq, Debug)]
pub struct LogConfig {
    /// `segment.bytes`: a segment never grows beyond it.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when a batch comes that is this much younger than its first.
    pub segment_age: Duration,
    /// `segment.jitter.ms`: up to this much is taken off `segment_age`, differently for each log, so that they do not all
    /// roll at once.
    pub segment_jitter: Duration,
    /// `segment.index.bytes`: a segment is rolled when one of its indexes has grown to it.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: bytes of log between two index entries.
    pub index_interval_bytes: u32,
    /// `retention.ms`; `None` is for ever.
    pub retention: Option<Duration>,
    /// `retention.bytes`; `None` is without bound.
    pub retention_bytes: Option<u64>,
    /// `file.delete.delay.ms`: how long the files of a removed segment stay under another name.
    pub file_delete_delay: Duration,
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `delete.retention.ms`: how long compaction keeps tombstones, for readers that began before them.
    pub delete_retention: Duration,
    /// `min.compaction.lag.ms`: younger records are safe from compaction.
    pub compaction_lag_min: Duration,
    /// `max.compaction.lag.ms`: older records are compacted however few they are; `None` is never for that.
    pub compaction_lag_max: Option<Duration>,
    /// `min.cleanable.dirty.ratio`, 0 to 1: compaction waits until more of the log than this is dirty.
    pub cleanable_ratio_min: f64,
    /// `preallocate`: the room of a whole segment is reserved when it is made.
    pub preallocate: bool,
    /// `producer.id.expiration.ms`: a producer that was silent for so long is forgotten.
    pub producer_expiration: Duration,
}

impl Default for LogConfig {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3_600);
        Self {
            segment_bytes: 1 << 30,
            segment_age: HOUR * 24 * 7,
            segment_jitter: Duration::ZERO,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4_096,
            retention: Some(HOUR * 24 * 7),
            retention_bytes: None,
            file_delete_delay: Duration::from_secs(60),
            cleanup_policy: CleanupPolicy { delete: true, compact: false },
            delete_retention: HOUR * 24,
            compaction_lag_min: Duration::ZERO,
            compaction_lag_max: None,
            cleanable_ratio_min: 0.5,
            preallocate: false,
            producer_expiration: HOUR * 24,
        }
    }
}

impl LogConfig {
    /// `producer.id.expiration.ms` as a number.
    pub(super) fn producer_expiration_ms(&self) -> i64 {
        i64::try_from(self.producer_expiration.as_millis()).unwrap_or(i64::MAX)
    }
}
