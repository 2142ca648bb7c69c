//! What a partition needs to know of its topic's configuration.
//!
//! Source: Kafka 3.9, `LogConfig`.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;
use std::time::Duration;

use crate::model::{BrokerId, Durability, PartitionIndex};

use super::settings::{Settings, topic_default};
use super::table;
use super::value::{BadValue, Value};

/// Values of the topic keys that a topic has when it sets nothing: the broker's.
#[derive(Clone, PartialEq, Debug)]
pub struct TopicDefaults(pub(super) BTreeMap<&'static str, Option<Value>>);

impl TopicDefaults {
    /// The defaults that follow from a broker's effective settings.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self(table::TOPIC.iter().map(|key| (key.name, topic_default(settings, key))).collect())
    }

    /// The values with a topic's own over them. What the topic has set wrongly, or is not known, is left out and told.
    pub(super) fn layered(&self, overrides: &Settings) -> (BTreeMap<&'static str, Option<Value>>, Vec<BadValue>) {
        let (mut values, mut bad) = (self.0.clone(), Vec::new());
        for (key, text) in table::TOPIC.iter().filter_map(|key| Some((key, overrides.get(key.name)?))) {
            match key.parse(text) {
                Ok(value) => drop(values.insert(key.name, Some(value))),
                Err(error) => bad.push(error),
            }
        }
        (values, bad)
    }
}

/// How old segments go. At least one is set, unless the topic's list is empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanupPolicy {
    /// By age and size.
    pub delete: bool,
    /// By key.
    pub compact: bool,
}

/// How the broker stores batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// As they came.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// By gzip; `None` is its default level.
    Gzip(Option<u32>),
    /// By snappy.
    Snappy,
    /// By lz4. The level, 1 to 17, is what was configured and has no effect: there is one encoder, which is fast.
    Lz4(u32),
    /// By zstd at this level, −131072 to 22.
    Zstd(i32),
}

/// Who says when a record was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    /// The producer.
    CreateTime,
    /// The broker, when it appends.
    LogAppendTime,
}

/// Replicas of a topic that are copied no faster than their brokers are told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ThrottledReplicas {
    /// All: `*`.
    All,
    /// These: `partition:broker,…`. Of most topics none.
    These(BTreeSet<(PartitionIndex, BrokerId)>),
}

impl ThrottledReplicas {
    /// Whether a broker's replica of a partition is among them.
    #[must_use]
    pub fn has(&self, partition: PartitionIndex, broker: BrokerId) -> bool {
        match self {
            Self::All => true,
            Self::These(replicas) => replicas.contains(&(partition, broker)),
        }
    }
}

/// A topic's configuration, its own over the broker's. `None` is "no limit" wherever it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct TopicConfig {
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_age_max: Duration,
    /// `segment.jitter.ms`.
    pub segment_jitter_max: Duration,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `flush.messages`.
    pub flush_messages: Option<u64>,
    /// `flush.ms`.
    pub flush_interval: Option<Duration>,
    /// `retention.bytes`.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`.
    pub retention: Option<Duration>,
    /// `max.message.bytes`: of a batch, as it is stored.
    pub batch_bytes_max: u32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `delete.retention.ms`.
    pub delete_retention: Duration,
    /// `min.compaction.lag.ms`.
    pub compaction_lag_min: Duration,
    /// `max.compaction.lag.ms`.
    pub compaction_lag_max: Option<Duration>,
    /// `min.cleanable.dirty.ratio`, 0 to 1.
    pub cleanable_ratio_min: f64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay: Duration,
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
    /// `min.insync.replicas`.
    pub min_insync_replicas: u32,
    /// `compression.type` and the level that goes with it.
    pub compression: Compression,
    /// `preallocate`.
    pub preallocate: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`, or `message.timestamp.difference.max.ms`.
    pub timestamp_before_max: Option<Duration>,
    /// `message.timestamp.after.max.ms`, or `message.timestamp.difference.max.ms`.
    pub timestamp_after_max: Option<Duration>,
    /// `leader.replication.throttled.replicas`.
    pub throttled_leaders: ThrottledReplicas,
    /// `follower.replication.throttled.replicas`.
    pub throttled_followers: ThrottledReplicas,
    /// `message.downconversion.enable`.
    pub down_conversion: bool,
    /// `durability`.
    pub durability: Durability,
}

impl TopicConfig {
    /// The configuration of a topic that sets `overrides`. Keys that are not a topic's are passed over (another broker of
    /// the cluster may know them); values that a key does not take fall back to the default, and come back to be logged.
    #[must_use]
    pub fn layered(defaults: &TopicDefaults, overrides: &Settings) -> (Self, Vec<BadValue>) {
        let (values, bad) = defaults.layered(overrides);
        (Self::of(&Values(&values)), bad)
    }

    fn of(values: &Values<'_>) -> Self {
        let difference_max = values.unlimited("message.timestamp.difference.max.ms");
        Self {
            segment_bytes: values.size("segment.bytes"),
            segment_age_max: values.duration("segment.ms"),
            segment_jitter_max: values.duration("segment.jitter.ms"),
            segment_index_bytes: values.size("segment.index.bytes"),
            flush_messages: values.limit("flush.messages"),
            flush_interval: values.unlimited("flush.ms"),
            retention_bytes: values.limit("retention.bytes"),
            retention: values.unlimited("retention.ms"),
            batch_bytes_max: values.size("max.message.bytes"),
            index_interval_bytes: values.size("index.interval.bytes"),
            delete_retention: values.duration("delete.retention.ms"),
            compaction_lag_min: values.duration("min.compaction.lag.ms"),
            compaction_lag_max: values.unlimited("max.compaction.lag.ms"),
            cleanable_ratio_min: values.double("min.cleanable.dirty.ratio"),
            file_delete_delay: values.duration("file.delete.delay.ms"),
            cleanup_policy: CleanupPolicy {
                delete: values.list_has("cleanup.policy", "delete"),
                compact: values.list_has("cleanup.policy", "compact"),
            },
            unclean_leader_election: values.flag("unclean.leader.election.enable"),
            min_insync_replicas: values.size("min.insync.replicas"),
            compression: values.compression(),
            preallocate: values.flag("preallocate"),
            timestamp_type: match values.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max: values.unlimited("message.timestamp.before.max.ms").or(difference_max),
            timestamp_after_max: values.unlimited("message.timestamp.after.max.ms").or(difference_max),
            throttled_leaders: values.throttled("leader.replication.throttled.replicas"),
            throttled_followers: values.throttled("follower.replication.throttled.replicas"),
            down_conversion: values.flag("message.downconversion.enable"),
            durability: Durability::from_str(&values.text("durability")).unwrap_or_default(),
        }
    }

    /// Age at which a segment rolls: a compacted topic rolls in time for its longest compaction lag
    /// (`LogConfig.maxSegmentMs`).
    #[must_use]
    pub fn roll_age_max(&self) -> Duration {
        match self.compaction_lag_max {
            Some(lag) if self.cleanup_policy.compact && !lag.is_zero() => self.segment_age_max.min(lag),
            Some(_) | None => self.segment_age_max,
        }
    }
}

/// Typed access to a topic's values, which the table's own types and ranges vouch for.
struct Values<'v>(&'v BTreeMap<&'static str, Option<Value>>);

impl Values<'_> {
    fn value(&self, name: &str) -> &Value {
        match self.0.get(name) {
            Some(Some(value)) => value,
            Some(None) | None => panic!("the topic key {name} has no value in the table"),
        }
    }

    fn number(&self, name: &str) -> i64 {
        let Value::Number(number) = self.value(name) else { panic!("the topic key {name} is no number in the table") };
        *number
    }

    /// A number of an int key, none of which goes below zero here.
    fn size(&self, name: &str) -> u32 {
        u32::try_from(self.number(name).max(0)).unwrap_or(u32::MAX)
    }

    fn duration(&self, name: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.number(name)).unwrap_or(0))
    }

    /// A number that is no limit when it is negative or the largest there is.
    fn limit(&self, name: &str) -> Option<u64> {
        Some(self.number(name)).filter(|&number| number != i64::MAX).and_then(|number| u64::try_from(number).ok())
    }

    fn unlimited(&self, name: &str) -> Option<Duration> {
        self.limit(name).map(Duration::from_millis)
    }

    fn double(&self, name: &str) -> f64 {
        let Value::Double(number) = self.value(name) else { panic!("the topic key {name} is no double in the table") };
        *number
    }

    fn flag(&self, name: &str) -> bool {
        *self.value(name) == Value::Boolean(true)
    }

    fn text(&self, name: &str) -> String {
        self.value(name).to_string()
    }

    fn list_has(&self, name: &str, element: &str) -> bool {
        matches!(self.value(name), Value::List(elements) if elements.iter().any(|one| one == element))
    }

    fn throttled(&self, name: &str) -> ThrottledReplicas {
        let Value::List(pairs) = self.value(name) else { panic!("the topic key {name} is no list in the table") };
        if matches!(pairs.as_slice(), [all] if all == "*") {
            return ThrottledReplicas::All;
        }
        let replica = |pair: &String| {
            let (partition, broker) = pair.split_once(':')?;
            Some((PartitionIndex(partition.parse().ok()?), BrokerId(broker.parse().ok()?)))
        };
        ThrottledReplicas::These(pairs.iter().filter_map(replica).collect())
    }

    fn compression(&self) -> Compression {
        match self.text("compression.type").as_str() {
            "uncompressed" => Compression::Uncompressed,
            "gzip" => Compression::Gzip(u32::try_from(self.number("compression.gzip.level")).ok()),
            "snappy" => Compression::Snappy,
            "lz4" => Compression::Lz4(self.size("compression.lz4.level")),
            "zstd" => Compression::Zstd(i32::try_from(self.number("compression.zstd.level")).unwrap_or(3)),
            _ => Compression::Producer,
        }
    }
}
