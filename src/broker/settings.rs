//! The settings in force: the file's, and over them what `/config` in the coordinator says, for the broker and per topic.
//!
//! *Owner*: the configuration watcher on the main loop swaps them; everybody loads them.
//! *Does not know*: keys and defaults; they are [`config`]'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::config::{self, BrokerConfig, Layers, Settings, ThrottledReplicas, TopicConfig};
use crate::machine::partition::Rules as LeaderRules;
use crate::model::{Timestamp, TopicName};
use crate::storage::log::{CleanupPolicy, LogConfig};
use crate::telemetry::{Event as _, event};
use crate::wire::record::{Codec, Compression, DecompressionLimit, Rules as BatchRules, TimestampType};

/// Most that a batch may grow to where its records must be looked at, as a multiple of `max.message.bytes`: text rarely
/// shrinks to a tenth, bombs shrink to a thousandth.
const DECOMPRESSED_PER_BYTE_MAX: usize = 10;
/// But at least this much, so that small limits do not forbid ordinary compression.
const DECOMPRESSED_BYTES_MIN: usize = 16 << 20;

/// The settings of this broker and its topics. Cheap to clone.
#[derive(Clone)]
pub struct SettingsStore {
    stored: Arc<ArcSwap<Stored>>,
    /// Counts the changes.
    version: watch::Sender<u64>,
}

struct Stored {
    layers: Layers,
    broker: Arc<BrokerConfig>,
    overrides: BTreeMap<TopicName, Settings>,
    topics: BTreeMap<TopicName, Arc<TopicSettings>>,
    /// Of a topic that sets nothing.
    default_topic: Arc<TopicSettings>,
}

/// What a partition needs of its topic's settings, ready for use.
#[derive(Clone, Debug)]
pub struct TopicSettings {
    /// For the log.
    pub log: LogConfig,
    /// For the leader.
    pub leader: LeaderRules,
    /// For checking batches; what belongs to the request is filled in per request.
    pub batch: BatchRules,
    /// Clients may not write to it.
    pub internal: bool,
    /// `message.downconversion.enable`: clients of old formats may read it.
    pub down_conversion: bool,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
    /// `leader.replication.throttled.replicas`: followers of these replicas are throttled.
    pub throttled_leaders: ThrottledReplicas,
    /// `follower.replication.throttled.replicas`: these replicas are throttled when they follow.
    pub throttled_followers: ThrottledReplicas,
}

impl SettingsStore {
    /// Settings of which only the file's layer is known.
    #[must_use]
    pub fn new(from_file: Settings, broker: BrokerConfig) -> Self {
        let layers = Layers { from_file, ..Layers::default() };
        let broker = Arc::new(broker);
        let default_topic = Arc::new(TopicSettings::of(&broker, &Settings::new(), false));
        let stored = Stored { layers, broker, overrides: BTreeMap::new(), topics: BTreeMap::new(), default_topic };
        Self { stored: Arc::new(ArcSwap::from_pointee(stored)), version: watch::Sender::new(0) }
    }

    /// Tells of every change from now on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The broker's settings.
    #[must_use]
    pub fn broker(&self) -> Arc<BrokerConfig> {
        Arc::clone(&self.stored.load().broker)
    }

    /// The broker's settings with their layers.
    #[must_use]
    pub fn layers(&self) -> Layers {
        self.stored.load().layers.clone()
    }

    /// What a topic sets itself.
    #[must_use]
    pub fn overrides(&self, topic: &TopicName) -> Settings {
        self.stored.load().overrides.get(topic).cloned().unwrap_or_default()
    }

    /// `auto.create.topics.enable`.
    #[must_use]
    pub fn auto_create_topics(&self) -> bool {
        self.stored.load().broker.topics.auto_create
    }

    /// `fetch.max.bytes`.
    #[must_use]
    pub fn fetch_bytes_max(&self) -> i32 {
        i32::try_from(self.stored.load().broker.fetch_bytes_max).unwrap_or(i32::MAX)
    }

    /// The settings of a topic.
    #[must_use]
    pub fn topic(&self, topic: &TopicName) -> Arc<TopicSettings> {
        let stored = self.stored.load();
        match stored.topics.get(topic) {
            Some(settings) => Arc::clone(settings),
            None if topic.is_internal() => Arc::new(TopicSettings::of(&stored.broker, &Settings::new(), true)),
            None => Arc::clone(&stored.default_topic),
        }
    }

    /// `file.delete.delay.ms` of a topic that sets nothing.
    #[must_use]
    pub fn file_delete_delay(&self) -> Duration {
        self.stored.load().default_topic.log.file_delete_delay
    }

    /// What topics set themselves. Answers those for which that is news. Only the configuration watcher calls it.
    pub fn set_topics(&self, topics: Vec<(TopicName, Settings)>) -> Vec<TopicName> {
        let stored = self.stored.load();
        let is_news = |(topic, overrides): &(TopicName, Settings)| {
            stored.overrides.get(topic).map_or(!overrides.is_empty(), |known| known != overrides)
        };
        let news = topics.into_iter().filter(is_news).collect::<Vec<_>>();
        let names = news.iter().map(|(topic, _)| topic.clone()).collect::<Vec<_>>();
        drop(stored);
        if news.is_empty() {
            return names;
        }
        self.change(|stored| {
            for (topic, overrides) in news {
                if overrides.is_empty() {
                    stored.overrides.remove(&topic);
                    stored.topics.remove(&topic);
                } else {
                    let settings = TopicSettings::of(&stored.broker, &overrides, topic.is_internal());
                    stored.topics.insert(topic.clone(), Arc::new(settings));
                    stored.overrides.insert(topic, overrides);
                }
            }
        });
        names
    }

    /// The dynamic settings of the broker; whether they are news. Values that do not fit the others are left out and told.
    /// Only the configuration watcher calls it.
    pub fn set_dynamic(&self, change: impl FnOnce(&mut Layers)) -> bool {
        let mut layers = self.layers();
        change(&mut layers);
        if layers == self.stored.load().layers {
            return false;
        }
        self.change(|stored| {
            stored.layers = layers;
            match BrokerConfig::of(&stored.layers.effective()) {
                Ok(broker) => stored.broker = Arc::new(broker),
                Err(conflicts) => conflicts.iter().for_each(|conflict| {
                    event::ConfigIgnored {
                        resource: "the broker".to_owned(),
                        cause: format!("{} {}", conflict.key, conflict.reason),
                    }
                    .emit();
                }),
            }
            stored.default_topic = Arc::new(TopicSettings::of(&stored.broker, &Settings::new(), false));
            for (topic, overrides) in &stored.overrides {
                let settings = TopicSettings::of(&stored.broker, overrides, topic.is_internal());
                stored.topics.insert(topic.clone(), Arc::new(settings));
            }
        });
        true
    }

    fn change(&self, change: impl FnOnce(&mut Stored)) {
        let stored = self.stored.load();
        let mut next = Stored {
            layers: stored.layers.clone(),
            broker: Arc::clone(&stored.broker),
            overrides: stored.overrides.clone(),
            topics: stored.topics.clone(),
            default_topic: Arc::clone(&stored.default_topic),
        };
        drop(stored);
        change(&mut next);
        self.stored.store(Arc::new(next));
        self.version.send_modify(|version| *version += 1);
    }
}

impl TopicSettings {
    fn of(broker: &BrokerConfig, overrides: &Settings, internal: bool) -> Self {
        let (topic, bad) = TopicConfig::layered(&broker.topic_defaults, overrides);
        for bad in &bad {
            event::ConfigIgnored { resource: "a topic".to_owned(), cause: bad.to_string() }.emit();
        }
        Self {
            log: log_config(broker, &topic),
            leader: LeaderRules {
                durability: topic.durability,
                min_insync_replicas: usize::try_from(topic.min_insync_replicas).unwrap_or(usize::MAX),
                flush_records: topic.flush_messages,
                flush_age: topic.flush_interval,
                lag_max: broker.replication.lag_max,
            },
            batch: batch_rules(&topic),
            internal,
            down_conversion: topic.down_conversion,
            unclean_leader_election: topic.unclean_leader_election,
            throttled_leaders: topic.throttled_leaders,
            throttled_followers: topic.throttled_followers,
        }
    }
}

fn log_config(broker: &BrokerConfig, topic: &TopicConfig) -> LogConfig {
    LogConfig {
        segment_bytes: topic.segment_bytes,
        segment_age: topic.roll_age_max(),
        segment_jitter: topic.segment_jitter_max,
        segment_index_bytes: topic.segment_index_bytes,
        index_interval_bytes: topic.index_interval_bytes,
        retention: topic.retention,
        retention_bytes: topic.retention_bytes,
        file_delete_delay: topic.file_delete_delay,
        cleanup_policy: CleanupPolicy { delete: topic.cleanup_policy.delete, compact: topic.cleanup_policy.compact },
        delete_retention: topic.delete_retention,
        compaction_lag_min: topic.compaction_lag_min,
        compaction_lag_max: topic.compaction_lag_max,
        cleanable_ratio_min: topic.cleanable_ratio_min,
        preallocate: topic.preallocate,
        producer_expiration: broker.log.producer_id_expiration,
    }
}

fn batch_rules(topic: &TopicConfig) -> BatchRules {
    let bytes = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let milliseconds =
        |limit: Option<Duration>| limit.and_then(|limit| i64::try_from(limit.as_millis()).ok()).unwrap_or(i64::MAX);
    let batch_bytes_max = bytes(topic.batch_bytes_max);
    let decompressed_max = batch_bytes_max.saturating_mul(DECOMPRESSED_PER_BYTE_MAX).max(DECOMPRESSED_BYTES_MIN);
    BatchRules {
        compacted: topic.cleanup_policy.compact,
        timestamp_type: match topic.timestamp_type {
            config::TimestampType::CreateTime => TimestampType::CreateTime,
            config::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: milliseconds(topic.timestamp_before_max),
        timestamp_after_max_ms: milliseconds(topic.timestamp_after_max),
        batch_bytes_max,
        segment_bytes_max: bytes(topic.segment_bytes),
        compression: compression(topic.compression),
        produce_version: 0,
        transactional_allowed: false,
        now: Timestamp::NONE,
        decompression: DecompressionLimit { bytes_max: decompressed_max },
        every_record: false,
    }
}

fn compression(target: config::Compression) -> Option<Compression> {
    let (codec, level) = match target {
        config::Compression::Producer => return None,
        config::Compression::Uncompressed => (Codec::None, None),
        config::Compression::Gzip(level) => (Codec::Gzip, level.and_then(|level| i32::try_from(level).ok())),
        config::Compression::Snappy => (Codec::Snappy, None),
        config::Compression::Lz4(level) => (Codec::Lz4, i32::try_from(level).ok()),
        config::Compression::Zstd(level) => (Codec::Zstd, Some(level)),
    };
    Some(Compression { codec, level })
}
