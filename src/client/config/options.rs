//! Options with types, each field named by its key.

use std::time::Duration;

use super::{Checked, ConfigError};
use crate::client::address::Bootstrap;
use crate::client::cluster::{BackOff, ClientOptions};
use crate::client::connection::ConnectionOptions;
use crate::client::consumer::Isolation;
use crate::client::producer::Acks;
use crate::config::table::ClientKind;
use crate::wire::record::{Codec, Compression};

/// Requests on the way to one broker with which an idempotent producer keeps the order (KIP-98).
const IDEMPOTENT_IN_FLIGHT_MAX: usize = 5;

/// What all clients share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommonConfig {
    /// `bootstrap.servers`.
    pub bootstrap: Bootstrap,
    /// How to connect, and how patient to be.
    pub client: ClientOptions,
}

impl CommonConfig {
    fn of(checked: &Checked, api_timeout: Duration) -> Result<Self, ConfigError> {
        let servers = checked.list("bootstrap.servers").join(",");
        let bootstrap = servers
            .parse()
            .map_err(|error| checked.bad("bootstrap.servers", error, "HOST:PORT, several with commas between them"))?;
        let buffer = |name| u32::try_from(checked.number(name)).ok();
        let back_off = |first, longest| BackOff::between(checked.millis(first), checked.millis(longest));
        Ok(Self {
            bootstrap,
            client: ClientOptions {
                connection: ConnectionOptions {
                    client_id: checked.text("client.id").unwrap_or_default(),
                    connect_timeout: checked.millis("socket.connection.setup.timeout.ms"),
                    connect_timeout_longest: checked.millis("socket.connection.setup.timeout.max.ms"),
                    request_timeout: checked.millis("request.timeout.ms"),
                    send_buffer_bytes: buffer("send.buffer.bytes"),
                    receive_buffer_bytes: buffer("receive.buffer.bytes"),
                },
                api_timeout,
                retry: back_off("retry.backoff.ms", "retry.backoff.max.ms"),
                reconnect: back_off("reconnect.backoff.ms", "reconnect.backoff.max.ms"),
                metadata_age_max: checked.millis("metadata.max.age.ms"),
            },
        })
    }
}

/// Of a producer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerConfig {
    /// What all clients share.
    pub common: CommonConfig,
    /// `acks`.
    pub acks: Acks,
    /// `compression.type` and the level that goes with it.
    pub compression: Compression,
    /// `batch.size`.
    pub batch_bytes: usize,
    /// `linger.ms`.
    pub linger: Duration,
    /// `buffer.memory`.
    pub buffer_bytes: usize,
    /// `max.block.ms`.
    pub block_max: Duration,
    /// `max.request.size`.
    pub request_bytes_max: usize,
    /// `max.in.flight.requests.per.connection`.
    pub in_flight_max: usize,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// `retries`.
    pub retries: u32,
    /// `enable.idempotence`, as far as the other keys allow it.
    pub idempotent: bool,
    /// `partitioner.ignore.keys`.
    pub ignore_keys: bool,
    /// `partitioner.adaptive.partitioning.enable`.
    pub adaptive: bool,
    /// `partitioner.availability.timeout.ms`; `None` for 0.
    pub availability_timeout: Option<Duration>,
}

impl ProducerConfig {
    /// Reads `key`, `value` pairs over Kafka's defaults.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfigError> {
        let checked = Checked::new(ClientKind::Producer, pairs)?;
        let request_timeout = checked.millis("request.timeout.ms");
        let linger = checked.millis("linger.ms");
        let acks = match checked.text("acks").as_deref() {
            Some("0") => Acks::None,
            Some("1") => Acks::Leader,
            _ => Acks::All,
        };
        Ok(Self {
            common: CommonConfig::of(&checked, checked.millis("max.block.ms"))?,
            acks,
            compression: compression(&checked),
            batch_bytes: checked.size("batch.size"),
            linger,
            buffer_bytes: checked.size("buffer.memory"),
            block_max: checked.millis("max.block.ms"),
            request_bytes_max: checked.size("max.request.size"),
            in_flight_max: checked.size("max.in.flight.requests.per.connection"),
            delivery_timeout: delivery_timeout(&checked, linger.saturating_add(request_timeout))?,
            retries: u32::try_from(checked.number("retries")).unwrap_or(u32::MAX),
            idempotent: idempotent(&checked, acks)?,
            ignore_keys: checked.flag("partitioner.ignore.keys"),
            adaptive: checked.flag("partitioner.adaptive.partitioning.enable"),
            availability_timeout: Some(checked.millis("partitioner.availability.timeout.ms"))
                .filter(|timeout| !timeout.is_zero()),
        })
    }
}

fn compression(checked: &Checked) -> Compression {
    let (codec, level) = match checked.text("compression.type").as_deref() {
        // Its own default is −1, which no level is.
        Some("gzip") => (Codec::Gzip, Some(checked.int("compression.gzip.level")).filter(|level| *level != -1)),
        Some("snappy") => (Codec::Snappy, None),
        Some("lz4") => (Codec::Lz4, None),
        Some("zstd") => (Codec::Zstd, Some(checked.int("compression.zstd.level"))),
        _ => (Codec::None, None),
    };
    Compression { codec, level }
}

/// As `KafkaProducer.configureDeliveryTimeout`: a default too short for what was given grows, a given one is an error.
fn delivery_timeout(checked: &Checked, least: Duration) -> Result<Duration, ConfigError> {
    let timeout = checked.millis("delivery.timeout.ms");
    if least <= timeout {
        Ok(timeout)
    } else if checked.is_given("delivery.timeout.ms") {
        Err(ConfigError::Conflict(format!(
            "delivery.timeout.ms={} is less than linger.ms + request.timeout.ms = {}",
            timeout.as_millis(),
            least.as_millis()
        )))
    } else {
        Ok(least)
    }
}

/// As `ProducerConfig.postProcessAndValidateIdempotenceConfigs`: the default gives way to other keys, a given one does not.
fn idempotent(checked: &Checked, acks: Acks) -> Result<bool, ConfigError> {
    let wanted = checked.flag("enable.idempotence");
    let given = checked.is_given("enable.idempotence");
    let in_flight = checked.size("max.in.flight.requests.per.connection");
    if wanted && IDEMPOTENT_IN_FLIGHT_MAX < in_flight {
        return Err(ConfigError::Conflict(format!(
            "max.in.flight.requests.per.connection={in_flight} is more than the {IDEMPOTENT_IN_FLIGHT_MAX} that \
             enable.idempotence=true allows"
        )));
    }
    let against = if acks != Acks::All {
        Some("acks=all")
    } else if checked.number("retries") == 0 {
        Some("retries")
    } else {
        None
    };
    match against {
        Some(needed) if wanted && given => {
            Err(ConfigError::Conflict(format!("enable.idempotence=true needs {needed}")))
        }
        against => Ok(wanted && against.is_none()),
    }
}

/// Where to begin without a committed offset: `auto.offset.reset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OffsetReset {
    /// With the first record there is.
    Earliest,
    /// Behind the last one.
    #[default]
    Latest,
    /// Nowhere: it is an error.
    None,
}

/// An assignor by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "Kafka's names")]
pub enum AssignorName {
    Range,
    RoundRobin,
    Sticky,
    CooperativeSticky,
}

impl AssignorName {
    /// All that there are: the name under which members agree on it, and Kafka's class.
    pub const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Range, "range", "org.apache.kafka.clients.consumer.RangeAssignor"),
        (Self::RoundRobin, "roundrobin", "org.apache.kafka.clients.consumer.RoundRobinAssignor"),
        (Self::Sticky, "sticky", "org.apache.kafka.clients.consumer.StickyAssignor"),
        (Self::CooperativeSticky, "cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"),
    ];

    /// By the name or the class.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, name, class)| *name == text || *class == text).map(|(assignor, ..)| assignor)
    }

    /// The name under which members agree on it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }
}

/// How members of a group agree: `group.protocol`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupProtocol {
    /// One of the members says who reads what.
    Classic,
    /// The coordinator does (KIP-848).
    Consumer {
        /// `group.remote.assignor`; `None` for the broker's choice.
        assignor: Option<String>,
    },
}

/// How a consumer is a member of its group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMembership {
    /// `group.id`.
    pub group: String,
    /// `group.instance.id`.
    pub instance: Option<String>,
    /// `group.protocol`.
    pub protocol: GroupProtocol,
    /// `partition.assignment.strategy`: at least one. Of the classic protocol, as the next two.
    pub assignors: Vec<AssignorName>,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`.
    pub poll_interval_max: Duration,
    /// `auto.commit.interval.ms`; `None` without `enable.auto.commit`.
    pub commit_interval: Option<Duration>,
}

/// Of a consumer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerConfig {
    /// What all clients share.
    pub common: CommonConfig,
    /// The group, if there is a `group.id`.
    pub membership: Option<GroupMembership>,
    /// `auto.offset.reset`.
    pub offset_reset: OffsetReset,
    /// `isolation.level`.
    pub isolation: Isolation,
    /// `client.rack`.
    pub rack: Option<String>,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: i32,
    /// `max.partition.fetch.bytes`.
    pub partition_bytes_max: i32,
    /// `fetch.min.bytes`.
    pub fetch_bytes_min: i32,
    /// `fetch.max.wait.ms`.
    pub fetch_wait_max: Duration,
    /// `check.crcs`.
    pub check_crcs: bool,
    /// `allow.auto.create.topics`.
    pub may_create: bool,
    /// `exclude.internal.topics`.
    pub exclude_internal: bool,
}

impl ConsumerConfig {
    /// Reads `key`, `value` pairs over Kafka's defaults.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfigError> {
        let checked = Checked::new(ClientKind::Consumer, pairs)?;
        Ok(Self {
            common: CommonConfig::of(&checked, checked.millis("default.api.timeout.ms"))?,
            membership: checked.text("group.id").map(|group| membership(&checked, group)).transpose()?,
            offset_reset: match checked.text("auto.offset.reset").as_deref() {
                Some("earliest") => OffsetReset::Earliest,
                Some("none") => OffsetReset::None,
                _ => OffsetReset::Latest,
            },
            isolation: match checked.text("isolation.level").as_deref() {
                Some("read_committed") => Isolation::ReadCommitted,
                _ => Isolation::ReadUncommitted,
            },
            rack: checked.text("client.rack"),
            fetch_bytes_max: checked.int("fetch.max.bytes"),
            partition_bytes_max: checked.int("max.partition.fetch.bytes"),
            fetch_bytes_min: checked.int("fetch.min.bytes"),
            fetch_wait_max: checked.millis("fetch.max.wait.ms"),
            check_crcs: checked.flag("check.crcs"),
            may_create: checked.flag("allow.auto.create.topics"),
            exclude_internal: checked.flag("exclude.internal.topics"),
        })
    }
}

fn membership(checked: &Checked, group: String) -> Result<GroupMembership, ConfigError> {
    let key = "partition.assignment.strategy";
    let names = || AssignorName::ALL.map(|(_, name, _)| name).join(", ");
    let assignors = checked.list(key).into_iter().map(|text| {
        AssignorName::parse(&text).ok_or_else(|| {
            let java = text.contains('.');
            let reason = if java { "it names a class that only Java has" } else { "there is no such assignor" };
            checked.bad(key, format!("{text}: {reason}"), &names())
        })
    });
    let assignors = assignors.collect::<Result<Vec<_>, _>>()?;
    if assignors.is_empty() {
        return Err(checked.bad(key, "a group needs one", &names()));
    }
    let (heartbeat, session) = (checked.int("heartbeat.interval.ms"), checked.int("session.timeout.ms"));
    if session <= heartbeat {
        return Err(ConfigError::Conflict(format!(
            "heartbeat.interval.ms={heartbeat} must be less than session.timeout.ms={session}"
        )));
    }
    Ok(GroupMembership {
        group,
        instance: checked.text("group.instance.id"),
        protocol: protocol(checked)?,
        assignors,
        session_timeout: checked.millis("session.timeout.ms"),
        heartbeat_interval: checked.millis("heartbeat.interval.ms"),
        poll_interval_max: checked.millis("max.poll.interval.ms"),
        commit_interval: checked.flag("enable.auto.commit").then(|| checked.millis("auto.commit.interval.ms")),
    })
}

/// As `ConsumerConfig.checkUnsupportedConfigsPostProcess` of Kafka 4: a key that the other protocol has is an error, never passed
/// over.
fn protocol(checked: &Checked) -> Result<GroupProtocol, ConfigError> {
    let is_consumer = checked.text("group.protocol").is_some_and(|name| name.eq_ignore_ascii_case("consumer"));
    let (protocol, foreign) = if is_consumer {
        let protocol = GroupProtocol::Consumer { assignor: checked.text("group.remote.assignor") };
        (protocol, &["partition.assignment.strategy", "heartbeat.interval.ms", "session.timeout.ms"][..])
    } else {
        (GroupProtocol::Classic, &["group.remote.assignor"][..])
    };
    match foreign.iter().find(|key| checked.is_given(key)) {
        Some(key) => {
            let name = if is_consumer { "consumer" } else { "classic" };
            Err(ConfigError::Conflict(format!("{key} cannot be set when group.protocol={name}")))
        }
        None => Ok(protocol),
    }
}

/// Of an admin client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminConfig {
    /// What all clients share.
    pub common: CommonConfig,
}

impl AdminConfig {
    /// Reads `key`, `value` pairs over Kafka's defaults.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfigError> {
        let checked = Checked::new(ClientKind::Admin, pairs)?;
        Ok(Self { common: CommonConfig::of(&checked, checked.millis("default.api.timeout.ms"))? })
    }
}
