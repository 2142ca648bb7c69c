//! A broker's configuration, typed and checked as a whole.
//!
//! *Invariant*: a [`BrokerConfig`] exists only when every check held; what is wrong is told all at once.
//! Source of the checks: Kafka 3.9, `KafkaConfig.validateValues`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use self::parts::{
    Checks, broker_id, cleaner, connections, int, listeners, log, log_dirs, replication, size, zookeeper,
};
use super::group::GroupConfig;
use super::listener::Listener;
use super::settings::{Reader, Settings};
use super::topic::{TopicConfig, TopicDefaults};
use super::value::{Secret, Value};
use crate::model::BrokerId;

mod parts;

/// The values of `replica.selector.class`: consumers read from the leader, or from the nearest replica.
const LEADER_SELECTOR: &str = "org.apache.kafka.common.replica.LeaderSelector";
const RACK_AWARE_SELECTOR: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// What the broker reads of its configuration. Each field names the key it comes from; `None` is "not set" or "no limit".
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerConfig {
    /// `broker.id`, or `node.id`. `None`: from `meta.properties`, or generated.
    pub broker_id: Option<BrokerId>,
    /// `broker.id.generation.enable`.
    pub broker_id_generation: bool,
    /// `reserved.broker.max.id`: generated ids begin above it.
    pub reserved_broker_id_max: i32,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `listeners`. Never empty.
    pub listeners: Vec<Listener>,
    /// `advertised.listeners`, or the listeners. A host of `None` stands for this machine's name.
    pub advertised_listeners: Vec<Listener>,
    /// `inter.broker.listener.name`, or the listener of `security.inter.broker.protocol`. One of the advertised ones.
    pub inter_broker_listener: String,
    /// `zookeeper.connect` and what goes with it. `None`: one broker alone, on the embedded coordinator.
    pub zookeeper: Option<ZooKeeperConfig>,
    /// `log.dirs`, or `log.dir`. Never empty.
    pub log_dirs: Vec<PathBuf>,
    /// Sockets and their limits.
    pub connections: ConnectionConfig,
    /// How logs are looked after.
    pub log: LogConfig,
    /// How logs are compacted.
    pub cleaner: CleanerConfig,
    /// How replicas are kept in sync.
    pub replication: ReplicationConfig,
    /// How groups are coordinated.
    pub groups: GroupConfig,
    /// What becomes of topics.
    pub topics: TopicRules,
    /// What a topic has that sets nothing.
    pub topic_defaults: TopicDefaults,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: u32,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions_max: usize,
    /// `max.request.partition.size.limit`.
    pub described_partitions_max: usize,
    /// `num.io.threads`: threads of the disk pool. At least 1.
    pub disk_threads: usize,
    /// `dohle.arbiters`. `None`: half the processors, at least one.
    pub arbiters: Option<usize>,
    /// `dohle.log.format` and `dohle.log.level`.
    pub logging: LoggingConfig,
}

/// How ZooKeeper is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZooKeeperConfig {
    /// `zookeeper.connect`: servers and chroot. Not empty.
    pub connect: String,
    /// `zookeeper.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `zookeeper.connection.timeout.ms`, or the session time-out.
    pub connection_timeout: Duration,
    /// The `zookeeper.ssl.*` keys, when `zookeeper.ssl.client.enable`.
    pub tls: Option<ZooKeeperTls>,
    /// `dohle.zookeeper.sasl` or `dohle.zookeeper.digest`.
    pub login: Option<ZooKeeperLogin>,
    /// `zookeeper.set.acl`. There is a login, or a TLS identity.
    pub set_acl: bool,
}

/// How the broker logs in to ZooKeeper.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZooKeeperLogin {
    /// By which scheme.
    pub scheme: LoginScheme,
    /// Not empty.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

/// ZooKeeper's schemes of user and password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoginScheme {
    /// SASL with the mechanism DIGEST-MD5.
    Sasl,
    /// ZooKeeper's own, `addauth digest`.
    Digest,
}

/// TLS to ZooKeeper. Files are PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZooKeeperTls {
    /// `zookeeper.ssl.truststore.location`. `None`: the system's roots.
    pub trusted: Option<PathBuf>,
    /// `zookeeper.ssl.keystore.location`: certificate chain and key. `None`: no certificate is shown.
    pub identity: Option<PathBuf>,
}

/// Sockets and their limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionConfig {
    /// `max.connections`.
    pub max: usize,
    /// `listener.name.NAME.max.connections`, by the listener's name.
    pub max_of_listener: BTreeMap<String, usize>,
    /// `max.connections.per.ip`.
    pub max_per_ip: usize,
    /// `max.connections.per.ip.overrides`, by address or host name as written.
    pub max_per_ip_overrides: BTreeMap<String, usize>,
    /// `max.connection.creation.rate`, per second.
    pub creation_rate_max: u32,
    /// `connections.max.idle.ms`.
    pub idle_max: Option<Duration>,
    /// `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// `queued.max.request.bytes`.
    pub queued_bytes_max: Option<u64>,
    /// `socket.listen.backlog.size`.
    pub backlog: u32,
    /// `socket.send.buffer.bytes`.
    pub send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`.
    pub receive_buffer_bytes: Option<usize>,
    /// `dohle.tcp.congestion.control`.
    pub congestion_control: Option<String>,
}

/// How logs are looked after, topic configuration aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// `num.recovery.threads.per.data.dir`. At least 1.
    pub recovery_threads_per_dir: usize,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `log.flush.scheduler.interval.ms`.
    pub flush_check_interval: Option<Duration>,
    /// `log.flush.offset.checkpoint.interval.ms`.
    pub recovery_point_checkpoint_interval: Duration,
    /// `log.flush.start.offset.checkpoint.interval.ms`.
    pub start_offset_checkpoint_interval: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub high_watermark_checkpoint_interval: Duration,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration: Duration,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval: Duration,
}

/// How logs are compacted.
#[derive(Clone, PartialEq, Debug)]
pub struct CleanerConfig {
    /// `log.cleaner.enable`.
    pub enable: bool,
    /// `log.cleaner.io.max.bytes.per.second`: read and written.
    pub bytes_per_second: f64,
    /// `log.cleaner.dedupe.buffer.size`.
    pub map_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`: of that.
    pub map_load_factor: f64,
    /// `log.cleaner.io.buffer.size`.
    pub buffer_bytes: usize,
    /// `log.cleaner.backoff.ms`.
    pub backoff: Duration,
}

/// How replicas are kept in sync, and how a broker leaves its replicas to others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplicationConfig {
    /// `replica.lag.time.max.ms`.
    pub lag_max: Duration,
    /// `replica.socket.timeout.ms`.
    pub answer_patience: Duration,
    /// `replica.fetch.wait.max.ms`.
    pub fetch_wait: Duration,
    /// `replica.fetch.backoff.ms`.
    pub fetch_backoff: Duration,
    /// `num.replica.fetchers`: connections to each leader. At least 1.
    pub fetchers: usize,
    /// `replica.fetch.min.bytes`.
    pub fetch_bytes_min: i32,
    /// `replica.fetch.max.bytes`: of one partition.
    pub partition_bytes_max: i32,
    /// `replica.fetch.response.max.bytes`.
    pub response_bytes_max: i32,
    /// `auto.leader.rebalance.enable`.
    pub balance: bool,
    /// `leader.imbalance.per.broker.percentage`.
    pub imbalance_max: u32,
    /// `leader.imbalance.check.interval.seconds`.
    pub balance_interval: Duration,
    /// `replica.selector.class`: consumers are sent to a replica in their own rack (KIP-392).
    pub nearest_replica: bool,
    /// `leader.replication.throttled.rate`: bytes per second.
    pub leader_rate: u64,
    /// `follower.replication.throttled.rate`: bytes per second.
    pub follower_rate: u64,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`.
    pub move_rate: u64,
    /// `num.replica.alter.log.dirs.threads`: replicas that go to other log dirs at once. `None`: one per dir.
    pub moves: Option<usize>,
    /// `replication.quota.window.num`.
    pub quota_windows: u32,
    /// `replication.quota.window.size.seconds`.
    pub quota_window_size: Duration,
    /// `alter.log.dirs.replication.quota.window.num`.
    pub move_quota_windows: u32,
    /// `alter.log.dirs.replication.quota.window.size.seconds`.
    pub move_quota_window_size: Duration,
    /// `controlled.shutdown.enable`.
    pub controlled_shutdown: bool,
    /// `controlled.shutdown.max.retries`.
    pub controlled_shutdown_tries: usize,
    /// `controlled.shutdown.retry.backoff.ms`.
    pub controlled_shutdown_backoff: Duration,
}

/// What becomes of topics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicRules {
    /// `auto.create.topics.enable`.
    pub auto_create: bool,
    /// `delete.topic.enable`.
    pub delete: bool,
    /// `num.partitions`. At least 1.
    pub partitions: i32,
    /// `default.replication.factor`. At least 1.
    pub replication_factor: i16,
}

/// How the broker logs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggingConfig {
    /// `dohle.log.format` is `json`.
    pub json: bool,
    /// `dohle.log.level`: error, warn, info, debug or trace.
    pub level: String,
}

/// A check that did not hold, and the key to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// The key.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub reason: String,
}

impl BrokerConfig {
    /// Reads effective settings, whose single values were checked before, and checks them against each other.
    ///
    /// # Errors
    /// Every check that did not hold.
    pub fn of(settings: &Settings) -> Result<Self, Vec<Conflict>> {
        let read = Reader(settings);
        let mut checks = Checks(Vec::new());
        let (listeners, advertised_listeners, inter_broker_listener) = listeners(settings, &mut checks);
        let config = Self {
            broker_id: broker_id(settings, &mut checks),
            broker_id_generation: read.flag("broker.id.generation.enable"),
            reserved_broker_id_max: int(read, "reserved.broker.max.id"),
            rack: read.text("broker.rack"),
            listeners,
            advertised_listeners,
            inter_broker_listener,
            zookeeper: zookeeper(read, &mut checks),
            log_dirs: log_dirs(read, &mut checks),
            connections: connections(settings, &mut checks),
            log: log(read),
            cleaner: cleaner(read),
            replication: replication(read),
            groups: GroupConfig::of(read),
            topics: TopicRules {
                auto_create: read.flag("auto.create.topics.enable"),
                delete: read.flag("delete.topic.enable"),
                partitions: int(read, "num.partitions"),
                replication_factor: i16::try_from(int(read, "default.replication.factor")).unwrap_or(i16::MAX),
            },
            topic_defaults: TopicDefaults::of(settings),
            fetch_bytes_max: u32::try_from(int(read, "fetch.max.bytes")).unwrap_or(0),
            fetch_sessions_max: size(read, "max.incremental.fetch.session.cache.slots"),
            described_partitions_max: size(read, "max.request.partition.size.limit"),
            disk_threads: size(read, "num.io.threads"),
            arbiters: read.number("dohle.arbiters").and_then(|number| usize::try_from(number).ok()),
            logging: LoggingConfig {
                json: read.text("dohle.log.format").as_deref() == Some("json"),
                level: read.text("dohle.log.level").unwrap_or_default(),
            },
        };
        config.check(settings, &mut checks);
        if checks.0.is_empty() { Ok(config) } else { Err(checks.0) }
    }

    /// What a topic has that sets nothing.
    #[must_use]
    pub fn default_topic(&self) -> TopicConfig {
        TopicConfig::layered(&self.topic_defaults, &Settings::new()).0
    }

    /// Checks that look at several keys and at nothing that was built from them.
    fn check(&self, settings: &Settings, checks: &mut Checks) {
        let read = Reader(settings);
        let topic = self.default_topic();
        checks.hold(self.topics.replication_factor > 0, "default.replication.factor", "must be at least 1");
        checks.hold(
            !topic.segment_age_max.is_zero(),
            "log.roll.ms",
            "must be at least 1, or log.roll.hours at least 1",
        );
        let retention = self.topic_defaults.0.get("retention.ms").cloned().flatten();
        checks.hold(
            !matches!(retention, Some(Value::Number(0))),
            "log.retention.ms",
            "must be -1 (for ever) or at least 1; so must log.retention.minutes and log.retention.hours",
        );
        let lag_max = topic.compaction_lag_max.unwrap_or(Duration::MAX);
        checks.hold(
            topic.compaction_lag_min <= lag_max,
            "log.cleaner.min.compaction.lag.ms",
            "must not be above log.cleaner.max.compaction.lag.ms",
        );
        let wait = read.number("replica.fetch.wait.max.ms");
        checks.hold(
            wait <= read.number("replica.socket.timeout.ms"),
            "replica.fetch.wait.max.ms",
            "must not be above replica.socket.timeout.ms, or followers time out for nothing",
        );
        checks.hold(
            wait <= read.number("replica.lag.time.max.ms"),
            "replica.fetch.wait.max.ms",
            "must not be above replica.lag.time.max.ms, or followers leave the in-sync replicas for nothing",
        );
        let selector = read.text("replica.selector.class").unwrap_or_default();
        checks.hold(
            ["", LEADER_SELECTOR, RACK_AWARE_SELECTOR].contains(&selector.as_str()),
            "replica.selector.class",
            "must be Kafka's LeaderSelector or RackAwareReplicaSelector in org.apache.kafka.common.replica",
        );
        for (key, reason) in super::group::conflicts(read) {
            checks.hold(false, key, reason);
        }
        let threads = read.number("log.cleaner.threads").unwrap_or(0);
        let buffer = read.number("log.cleaner.dedupe.buffer.size").unwrap_or(0);
        checks.hold(
            threads == 0 || buffer / threads.max(1) > 1 << 20,
            "log.cleaner.dedupe.buffer.size",
            "must be more than 1 MiB for each of log.cleaner.threads",
        );
    }
}
