//! What the coordinator of groups reads of the configuration.

use std::time::Duration;

use super::settings::Reader;

/// The keys `group.*`, `offset.*` and `offsets.*`, each named by its field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max_ms: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`.
    pub size_max: usize,
    /// `offset.metadata.max.bytes`.
    pub metadata_max: usize,
    /// `offsets.load.buffer.size`. At least 1.
    pub load_bytes: usize,
    /// `offsets.topic.replication.factor`. At least 1.
    pub replication_factor: i16,
    /// `offsets.topic.num.partitions`. At least 1.
    pub partitions: i32,
    /// `offsets.topic.segment.bytes`.
    pub segment_bytes: i32,
    /// `offsets.topic.compression.codec`, by Kafka's number.
    pub compression: i32,
    /// `offsets.retention.minutes`.
    pub retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `offsets.commit.timeout.ms`.
    pub commit_timeout: Duration,
}

impl GroupConfig {
    /// Numbers that the table lets through fit.
    pub(super) fn of(read: Reader<'_>) -> Self {
        let int = |name| read.number(name).and_then(|number| i32::try_from(number).ok()).unwrap_or(0);
        let size = |name| usize::try_from(read.number(name).unwrap_or(0)).unwrap_or(0);
        let ms = |name| Duration::from_millis(u64::try_from(read.number(name).unwrap_or(0)).unwrap_or(0));
        let minutes = u64::try_from(int("offsets.retention.minutes")).unwrap_or(0);
        Self {
            session_timeout_min_ms: int("group.min.session.timeout.ms"),
            session_timeout_max_ms: int("group.max.session.timeout.ms"),
            initial_rebalance_delay: ms("group.initial.rebalance.delay.ms"),
            size_max: size("group.max.size"),
            metadata_max: size("offset.metadata.max.bytes"),
            load_bytes: size("offsets.load.buffer.size"),
            replication_factor: i16::try_from(int("offsets.topic.replication.factor")).unwrap_or(i16::MAX),
            partitions: int("offsets.topic.num.partitions"),
            segment_bytes: int("offsets.topic.segment.bytes"),
            compression: int("offsets.topic.compression.codec"),
            retention: Duration::from_secs(minutes.saturating_mul(60)),
            retention_check_interval: ms("offsets.retention.check.interval.ms"),
            commit_timeout: ms("offsets.commit.timeout.ms"),
        }
    }
}
