//! The parts of a broker's configuration, each read from the settings and checked by itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{
    CleanerConfig, Conflict, ConnectionConfig, LogConfig, LoginScheme, RACK_AWARE_SELECTOR, ReplicationConfig,
    ZooKeeperConfig, ZooKeeperLogin, ZooKeeperTls,
};
use crate::config::listener::{Listener, SecurityProtocol, check_ports, parse_listeners, parse_protocol_map};
use crate::config::settings::{Reader, Settings};
use crate::config::value::{Secret, Value};
use crate::model::BrokerId;

/// The checks that did not hold so far.
pub(super) struct Checks(pub(super) Vec<Conflict>);

impl Checks {
    pub(super) fn hold(&mut self, held: bool, key: &'static str, otherwise: &str) {
        if !held {
            self.fail(key, otherwise.to_owned());
        }
    }

    pub(super) fn fail(&mut self, key: &'static str, reason: String) {
        self.0.push(Conflict { key, reason });
    }
}

/// The number of an int key that always has one.
pub(super) fn int(read: Reader<'_>, name: &str) -> i32 {
    let number = read.number(name).unwrap_or_else(|| panic!("{name} has no default in the table of keys"));
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The number of a key that counts things and always has one; below zero counts as none.
pub(super) fn size(read: Reader<'_>, name: &str) -> usize {
    usize::try_from(int(read, name)).unwrap_or(0)
}

/// Bytes per second. One that is not set is as good as none.
fn rate(read: Reader<'_>, name: &str) -> u64 {
    read.number(name).and_then(|rate| u64::try_from(rate).ok()).unwrap_or(u64::MAX)
}

/// Of something of which there is one at least.
fn count(read: Reader<'_>, name: &str) -> u32 {
    u32::try_from(int(read, name)).unwrap_or(1).max(1)
}

/// Milliseconds of a key that always has some; below zero counts as none.
fn milliseconds(read: Reader<'_>, name: &str) -> Duration {
    limited(read, name).unwrap_or(Duration::ZERO)
}

/// Milliseconds of a key, where below zero and the largest number mean "no limit".
fn limited(read: Reader<'_>, name: &str) -> Option<Duration> {
    let number = read.number(name).filter(|&number| number != i64::MAX)?;
    u64::try_from(number).ok().map(Duration::from_millis)
}

pub(super) fn broker_id(settings: &Settings, checks: &mut Checks) -> Option<BrokerId> {
    let read = Reader(settings);
    let (broker, node) = (int(read, "broker.id"), int(read, "node.id"));
    let id = if settings.contains_key("broker.id") { broker } else { node };
    let both = settings.contains_key("broker.id") && settings.contains_key("node.id");
    checks.hold(!both || broker == node, "node.id", "must be the same as broker.id; leave it out");
    let most = int(read, "reserved.broker.max.id");
    if read.flag("broker.id.generation.enable") {
        if id < -1 || most < id {
            checks.fail(
                "broker.id",
                format!("must be from -1 to reserved.broker.max.id ({most}) while broker.id.generation.enable is true"),
            );
        }
    } else {
        checks.hold(id >= 0, "broker.id", "must be set, 0 or above, while broker.id.generation.enable is false");
    }
    (id >= 0).then_some(BrokerId(id))
}

pub(super) fn log_dirs(read: Reader<'_>, checks: &mut Checks) -> Vec<PathBuf> {
    let key = if read.text("log.dirs").is_some() { "log.dirs" } else { "log.dir" };
    let dirs = read.list(key);
    checks.hold(!dirs.is_empty(), key, "names no folder; give at least one");
    for (index, dir) in dirs.iter().enumerate() {
        if dirs.iter().skip(index + 1).any(|other| other == dir) {
            checks.fail(key, format!("names {dir} twice"));
        }
    }
    dirs.into_iter().map(PathBuf::from).collect()
}

pub(super) fn listeners(settings: &Settings, checks: &mut Checks) -> (Vec<Listener>, Vec<Listener>, String) {
    let read = Reader(settings);
    let mut told = |key, result: Result<_, String>| result.map_err(|reason| checks.fail(key, reason)).ok();
    let text = |name| read.text(name).unwrap_or_default();
    let none = || (Vec::new(), Vec::new(), String::new());
    let Some(protocols) =
        told("listener.security.protocol.map", parse_protocol_map(&text("listener.security.protocol.map")).map(Some))
            .flatten()
    else {
        return none();
    };
    let mut parsed = |key| match parse_listeners(&text(key), &protocols) {
        Ok(listeners) => Some(listeners),
        Err(reason) => {
            checks.fail(key, reason);
            None
        }
    };
    let Some(listeners) = parsed("listeners") else { return none() };
    let advertised = if read.text("advertised.listeners").is_some() {
        parsed("advertised.listeners")
    } else {
        Some(listeners.clone())
    };
    let Some(advertised) = advertised else { return none() };
    checks.hold(!listeners.is_empty(), "listeners", "names no listener; the default is PLAINTEXT://:9092");
    if let Err(reason) = check_ports(&listeners) {
        checks.fail("listeners", reason);
    }
    check_protected(&listeners, checks);
    check_advertised(settings, &listeners, &advertised, checks);
    let inter_broker = inter_broker(settings, &advertised, checks);
    (listeners, advertised, inter_broker)
}

/// A listener that promises protection that Dohle cannot give yet must not open.
fn check_protected(listeners: &[Listener], checks: &mut Checks) {
    for listener in listeners {
        match listener.security_protocol {
            SecurityProtocol::Plaintext => {}
            SecurityProtocol::Ssl | SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl => checks.fail(
                "listeners",
                format!(
                    "{listener} is to speak {}, which Dohle does not do yet; only PLAINTEXT listeners can be opened",
                    listener.security_protocol
                ),
            ),
        }
    }
}

fn check_advertised(settings: &Settings, listeners: &[Listener], advertised: &[Listener], checks: &mut Checks) {
    let key = if settings.contains_key("advertised.listeners") { "advertised.listeners" } else { "listeners" };
    for listener in advertised {
        if listener.is_everywhere() {
            let host = listener.host.as_deref().unwrap_or_default();
            checks.fail(
                key,
                format!("{host} cannot be connected to; set advertised.listeners to an address that clients can reach"),
            );
        }
        if !listeners.iter().any(|other| other.name == listener.name) {
            let known: Vec<_> = listeners.iter().map(|listener| listener.name.as_str()).collect();
            checks.fail(key, format!("{} is not among the listeners ({})", listener.name, known.join(", ")));
        }
    }
}

fn inter_broker(settings: &Settings, advertised: &[Listener], checks: &mut Checks) -> String {
    let read = Reader(settings);
    let by_name = read.text("inter.broker.listener.name").map(|name| name.to_uppercase());
    let by_protocol = settings.contains_key("security.inter.broker.protocol");
    checks.hold(
        by_name.is_none() || !by_protocol,
        "inter.broker.listener.name",
        "and security.inter.broker.protocol exclude each other; keep one",
    );
    let key = if by_name.is_some() { "inter.broker.listener.name" } else { "security.inter.broker.protocol" };
    let name = by_name.or_else(|| read.text("security.inter.broker.protocol")).unwrap_or_default();
    if !advertised.is_empty() && !advertised.iter().any(|listener| listener.name == name) {
        let known: Vec<_> = advertised.iter().map(|listener| listener.name.as_str()).collect();
        checks.fail(
            key,
            format!(
                "brokers are to meet on the listener {name}, which is not advertised; set inter.broker.listener.name to one of {}",
                known.join(", ")
            ),
        );
    }
    name
}

pub(super) fn zookeeper(read: Reader<'_>, checks: &mut Checks) -> Option<ZooKeeperConfig> {
    let connect = read.text("zookeeper.connect")?;
    let positive = |key: &'static str, checks: &mut Checks| {
        let duration = milliseconds(read, key);
        checks.hold(!duration.is_zero(), key, "must be at least 1");
        duration
    };
    let session_timeout = positive("zookeeper.session.timeout.ms", checks);
    let connection_timeout = match read.number("zookeeper.connection.timeout.ms") {
        Some(_) => positive("zookeeper.connection.timeout.ms", checks),
        None => session_timeout,
    };
    let login = zookeeper_login(read, checks);
    let tls = read.flag("zookeeper.ssl.client.enable").then(|| ZooKeeperTls {
        trusted: pem(read, "zookeeper.ssl.truststore.location", "zookeeper.ssl.truststore.type", checks),
        identity: pem(read, "zookeeper.ssl.keystore.location", "zookeeper.ssl.keystore.type", checks),
    });
    let set_acl = read.flag("zookeeper.set.acl");
    let known_to_it = login.is_some() || tls.as_ref().is_some_and(|tls| tls.identity.is_some());
    checks.hold(
        !set_acl || known_to_it,
        "zookeeper.set.acl",
        "needs a login (dohle.zookeeper.sasl, dohle.zookeeper.digest or zookeeper.ssl.keystore.location), \
         or nobody in particular could change the znodes",
    );
    Some(ZooKeeperConfig { connect, session_timeout, connection_timeout, tls, login, set_acl })
}

fn zookeeper_login(read: Reader<'_>, checks: &mut Checks) -> Option<ZooKeeperLogin> {
    let mut login = |key: &'static str, scheme| {
        let Some(Value::Password(secret)) = read.value(key) else { return None };
        let parts = secret.reveal().split_once(':').filter(|(user, _)| !user.is_empty());
        checks.hold(parts.is_some(), key, "must be of the form USER:PASSWORD");
        let (user, password) = parts?;
        Some(ZooKeeperLogin { scheme, user: user.to_owned(), password: Secret::new(password) })
    };
    let sasl = login("dohle.zookeeper.sasl", LoginScheme::Sasl);
    let digest = login("dohle.zookeeper.digest", LoginScheme::Digest);
    if sasl.is_some() && digest.is_some() {
        checks.fail("dohle.zookeeper.digest", "and dohle.zookeeper.sasl exclude each other; keep one".to_owned());
    }
    sasl.or(digest)
}

/// A file of certificates, which must be PEM: Java's stores cannot be read.
fn pem(read: Reader<'_>, location: &'static str, kind: &'static str, checks: &mut Checks) -> Option<PathBuf> {
    let path = read.text(location)?;
    let named = read.text(kind);
    let is_pem = named.as_deref().map_or_else(
        || [".pem", ".crt"].iter().any(|ending| path.to_ascii_lowercase().ends_with(ending)),
        |kind| kind.eq_ignore_ascii_case("PEM"),
    );
    checks.hold(
        is_pem,
        location,
        &format!("{path} must be a PEM file, and {kind} PEM; keytool and openssl turn Java's stores into PEM"),
    );
    Some(PathBuf::from(path))
}

pub(super) fn connections(settings: &Settings, checks: &mut Checks) -> ConnectionConfig {
    let read = Reader(settings);
    let buffer = |name| usize::try_from(int(read, name)).ok().filter(|&bytes| bytes != 0);
    let queued_bytes_max = read.number("queued.max.request.bytes").and_then(|bytes| u64::try_from(bytes).ok());
    let queued_bytes_max = queued_bytes_max.filter(|&bytes| bytes != 0);
    let request_bytes_max = size(read, "socket.request.max.bytes");
    checks.hold(
        queued_bytes_max.is_none_or(|queued| request_bytes_max as u64 <= queued),
        "queued.max.request.bytes",
        "must not be below socket.request.max.bytes, or the largest request could never be read",
    );
    let max_per_ip_overrides = per_ip_overrides(read, checks);
    let max_per_ip = size(read, "max.connections.per.ip");
    checks.hold(
        max_per_ip != 0 || !max_per_ip_overrides.is_empty(),
        "max.connections.per.ip",
        "can be 0 only when max.connections.per.ip.overrides lets somebody in",
    );
    let idle_max = limited(read, "connections.max.idle.ms");
    checks.hold(
        idle_max.is_none_or(|idle| milliseconds(read, "connection.failed.authentication.delay.ms") < idle),
        "connections.max.idle.ms",
        "must be above connection.failed.authentication.delay.ms",
    );
    ConnectionConfig {
        max: size(read, "max.connections"),
        max_of_listener: max_of_listener(settings),
        max_per_ip,
        max_per_ip_overrides,
        creation_rate_max: u32::try_from(int(read, "max.connection.creation.rate")).unwrap_or(0),
        idle_max,
        request_bytes_max,
        queued_bytes_max,
        backlog: u32::try_from(int(read, "socket.listen.backlog.size")).unwrap_or(1),
        send_buffer_bytes: buffer("socket.send.buffer.bytes"),
        receive_buffer_bytes: buffer("socket.receive.buffer.bytes"),
        congestion_control: read.text("dohle.tcp.congestion.control"),
    }
}

fn max_of_listener(settings: &Settings) -> BTreeMap<String, usize> {
    let own = |name: &String, value: &String| {
        let listener = name.strip_prefix("listener.name.")?.strip_suffix(".max.connections")?;
        Some((listener.to_uppercase(), value.trim().parse().ok()?))
    };
    settings.iter().filter_map(|(name, value)| own(name, value)).collect()
}

fn per_ip_overrides(read: Reader<'_>, checks: &mut Checks) -> BTreeMap<String, usize> {
    const KEY: &str = "max.connections.per.ip.overrides";
    let host = |text: &str| {
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        text.parse::<IpAddr>().is_ok() || (!text.is_empty() && text.chars().all(name))
    };
    let mut overrides = BTreeMap::new();
    for pair in read.list(KEY) {
        match pair.rsplit_once(':').map(|(address, most)| (address.trim(), most.trim().parse())) {
            Some((address, Ok(most))) if host(address) => drop(overrides.insert(address.to_owned(), most)),
            Some(_) | None => checks.fail(KEY, format!("'{pair}' is not of the form address:connections")),
        }
    }
    overrides
}

pub(super) fn replication(read: Reader<'_>) -> ReplicationConfig {
    ReplicationConfig {
        lag_max: milliseconds(read, "replica.lag.time.max.ms"),
        answer_patience: milliseconds(read, "replica.socket.timeout.ms"),
        fetch_wait: milliseconds(read, "replica.fetch.wait.max.ms"),
        fetch_backoff: milliseconds(read, "replica.fetch.backoff.ms"),
        fetchers: size(read, "num.replica.fetchers").max(1),
        fetch_bytes_min: int(read, "replica.fetch.min.bytes"),
        partition_bytes_max: int(read, "replica.fetch.max.bytes"),
        response_bytes_max: int(read, "replica.fetch.response.max.bytes"),
        balance: read.flag("auto.leader.rebalance.enable"),
        imbalance_max: u32::try_from(int(read, "leader.imbalance.per.broker.percentage")).unwrap_or(0),
        balance_interval: Duration::from_secs(
            read.number("leader.imbalance.check.interval.seconds").and_then(|n| u64::try_from(n).ok()).unwrap_or(300),
        ),
        nearest_replica: read.text("replica.selector.class").is_some_and(|class| class == RACK_AWARE_SELECTOR),
        leader_rate: rate(read, "leader.replication.throttled.rate"),
        follower_rate: rate(read, "follower.replication.throttled.rate"),
        move_rate: rate(read, "replica.alter.log.dirs.io.max.bytes.per.second"),
        moves: read.number("num.replica.alter.log.dirs.threads").and_then(|moves| usize::try_from(moves).ok()),
        quota_windows: count(read, "replication.quota.window.num"),
        quota_window_size: Duration::from_secs(count(read, "replication.quota.window.size.seconds").into()),
        move_quota_windows: count(read, "alter.log.dirs.replication.quota.window.num"),
        move_quota_window_size: Duration::from_secs(
            count(read, "alter.log.dirs.replication.quota.window.size.seconds").into(),
        ),
        controlled_shutdown: read.flag("controlled.shutdown.enable"),
        controlled_shutdown_tries: size(read, "controlled.shutdown.max.retries"),
        controlled_shutdown_backoff: milliseconds(read, "controlled.shutdown.retry.backoff.ms"),
    }
}

pub(super) fn cleaner(read: Reader<'_>) -> CleanerConfig {
    let double = |name: &str, default: f64| match read.value(name) {
        Some(Value::Double(number)) => number,
        _ => default,
    };
    let bytes = |name: &str| u64::try_from(read.number(name).unwrap_or_default()).unwrap_or_default();
    CleanerConfig {
        enable: read.flag("log.cleaner.enable"),
        bytes_per_second: double("log.cleaner.io.max.bytes.per.second", f64::MAX),
        map_bytes: bytes("log.cleaner.dedupe.buffer.size"),
        map_load_factor: double("log.cleaner.io.buffer.load.factor", 0.9),
        buffer_bytes: size(read, "log.cleaner.io.buffer.size"),
        backoff: milliseconds(read, "log.cleaner.backoff.ms"),
    }
}

pub(super) fn log(read: Reader<'_>) -> LogConfig {
    LogConfig {
        recovery_threads_per_dir: size(read, "num.recovery.threads.per.data.dir"),
        retention_check_interval: milliseconds(read, "log.retention.check.interval.ms"),
        flush_check_interval: limited(read, "log.flush.scheduler.interval.ms"),
        recovery_point_checkpoint_interval: milliseconds(read, "log.flush.offset.checkpoint.interval.ms"),
        start_offset_checkpoint_interval: milliseconds(read, "log.flush.start.offset.checkpoint.interval.ms"),
        high_watermark_checkpoint_interval: milliseconds(read, "replica.high.watermark.checkpoint.interval.ms"),
        producer_id_expiration: milliseconds(read, "producer.id.expiration.ms"),
        producer_id_expiration_check_interval: milliseconds(read, "producer.id.expiration.check.interval.ms"),
    }
}
