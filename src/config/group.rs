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
    /// What the consumer protocol adds.
    pub consumer: ConsumerGroupConfig,
}

/// The keys `group.consumer.*`, each named by its field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroupConfig {
    /// `group.coordinator.rebalance.protocols` has `consumer`.
    pub is_enabled: bool,
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: i32,
    /// `group.consumer.max.size`.
    pub size_max: usize,
    /// `group.consumer.assignors`, by their short names.
    pub assignors: Vec<String>,
    /// `group.consumer.migration.policy` allows the way to the consumer protocol.
    pub is_upgrade_allowed: bool,
    /// And the way back.
    pub is_downgrade_allowed: bool,
}

/// The assignors that there are, and Kafka's classes of them.
const ASSIGNORS: [(&str, &str); 2] = [
    ("uniform", "org.apache.kafka.coordinator.group.assignor.UniformAssignor"),
    ("range", "org.apache.kafka.coordinator.group.assignor.RangeAssignor"),
];

impl ConsumerGroupConfig {
    fn of(read: Reader<'_>) -> Self {
        let policy = read.text("group.consumer.migration.policy").unwrap_or_default().to_ascii_lowercase();
        let ms = |name| u64::try_from(read.number(name).unwrap_or(0)).unwrap_or(0);
        Self {
            is_enabled: read
                .list("group.coordinator.rebalance.protocols")
                .iter()
                .any(|protocol| protocol == "consumer"),
            session_timeout: Duration::from_millis(ms("group.consumer.session.timeout.ms")),
            heartbeat_interval_ms: i32::try_from(ms("group.consumer.heartbeat.interval.ms")).unwrap_or(i32::MAX),
            size_max: usize::try_from(ms("group.consumer.max.size")).unwrap_or(usize::MAX),
            assignors: assignors(read).unwrap_or_default(),
            is_upgrade_allowed: matches!(policy.as_str(), "upgrade" | "bidirectional"),
            is_downgrade_allowed: matches!(policy.as_str(), "downgrade" | "bidirectional"),
        }
    }
}

/// What is wrong with several keys together: the key, and what it must be.
pub(super) fn conflicts(read: Reader<'_>) -> Vec<(&'static str, &'static str)> {
    let within = |[least, value, most]: [&str; 3]| {
        let [least, value, most] = [least, value, most].map(|name| read.number(name));
        least <= value && value <= most
    };
    let session = [
        "group.consumer.min.session.timeout.ms",
        "group.consumer.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ];
    let heartbeat = [
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ];
    let shorter =
        read.number("group.consumer.heartbeat.interval.ms") < read.number("group.consumer.session.timeout.ms");
    let protocols = read.list("group.coordinator.rebalance.protocols");
    let has_classic = protocols.iter().any(|protocol| protocol == "classic");
    let only_known = protocols.iter().all(|protocol| protocol == "classic" || protocol == "consumer");
    let found = [
        (
            within(session),
            "group.consumer.session.timeout.ms",
            "must be from group.consumer.min. to group.consumer.max.session.timeout.ms",
        ),
        (
            within(heartbeat),
            "group.consumer.heartbeat.interval.ms",
            "must be from group.consumer.min. to group.consumer.max.heartbeat.interval.ms",
        ),
        (shorter, "group.consumer.heartbeat.interval.ms", "must be below group.consumer.session.timeout.ms"),
        (
            has_classic && only_known,
            "group.coordinator.rebalance.protocols",
            "must be classic, with or without consumer",
        ),
        (assignors(read).is_some(), "group.consumer.assignors", "must name uniform, range or both, each once"),
    ];
    found.into_iter().filter(|(held, ..)| !held).map(|(_, key, reason)| (key, reason)).collect()
}

/// The short names; `None` when there are none, or one that is not known or stands there twice.
fn assignors(read: Reader<'_>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for text in read.list("group.consumer.assignors") {
        let (name, _) = ASSIGNORS.into_iter().find(|(name, class)| *name == text || *class == text)?;
        if names.iter().any(|known| known == name) {
            return None;
        }
        names.push(name.to_owned());
    }
    Some(names).filter(|names| !names.is_empty())
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
            consumer: ConsumerGroupConfig::of(read),
        }
    }
}
