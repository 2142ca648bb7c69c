//! From the text of a file and the command line to a checked configuration, with everything that is wrong told at once.

use std::collections::BTreeMap;
use std::fmt;

use super::broker::BrokerConfig;
use super::key::{Key, Status};
use super::properties::{self, Entry};
use super::settings::{Layers, Settings, key_of};
use super::table;

/// What a file gave.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: BrokerConfig,
    /// The settings it came from, as the static layer of those to come from ZooKeeper.
    pub layers: Layers,
    /// What the operator should know. None of it stands in the way of a start.
    pub warnings: Vec<Warning>,
}

/// Where a setting stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// On this line of the file, from 1.
    Line(usize),
    /// On the command line.
    CommandLine,
    /// Nowhere: a default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::CommandLine => f.write_str("--override"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Something wrong, where, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong and what to do.
    pub message: String,
}

/// All that is wrong, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index != 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(problem, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A setting without the effect that its writer may expect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// Where it stands.
    pub place: Place,
    /// The key.
    pub key: String,
    /// Why it has no effect.
    pub reason: Ineffective,
}

/// Why a setting has no effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ineffective {
    /// Dohle does not do it yet.
    NotYet,
    /// It speaks of something that Dohle does not have.
    Never,
    /// It belongs to a plugin of Kafka's.
    Plugin,
    /// It stands again further down, and that counts.
    Repeated,
}

impl fmt::Display for Ineffective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotYet => "has no effect yet",
            Self::Never => "has no meaning here: it speaks of Java classes, of KRaft or of Kafka's inside",
            Self::Plugin => "has no effect: it belongs to a plugin of Kafka's",
            Self::Repeated => "is set again further down, and that counts",
        })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.place, self.key, self.reason)
    }
}

/// Reads a file's text and the `KEY=VALUE` of the command line, which win over the file.
///
/// # Errors
/// Everything that is wrong: lines that cannot be read, unknown keys with the nearest known one, values that a key does
/// not take, values that do not go together.
pub fn load(text: &str, overrides: &[String]) -> Result<Loaded, Problems> {
    let mut loading = Loading::default();
    let (entries, errors) = properties::parse(text);
    entries.into_iter().for_each(|entry| loading.take(Place::Line(entry.line), &entry));
    errors.into_iter().for_each(|error| loading.problem(Place::Line(error.line), error.reason));
    for text in overrides {
        match properties::parse_override(text) {
            Some((key, value)) => loading.take(Place::CommandLine, &Entry { key, value, line: 0 }),
            None => loading.problem(Place::CommandLine, format!("'{text}' is not of the form KEY=VALUE")),
        }
    }
    loading.finish()
}

#[derive(Default)]
struct Loading {
    settings: Settings,
    places: BTreeMap<String, Place>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl Loading {
    fn problem(&mut self, place: Place, message: String) {
        self.problems.push(Problem { place, message });
    }

    fn warn(&mut self, place: Place, key: &str, reason: Ineffective) {
        self.warnings.push(Warning { place, key: key.to_owned(), reason });
    }

    fn take(&mut self, place: Place, entry: &Entry) {
        let name = entry.key.as_str();
        let Some(key) = key_of(name).filter(|key| !key.only_dynamic) else {
            return self.take_unknown(place, name);
        };
        // What the command line sets is meant to win over the file: that needs no word.
        if let Some(earlier @ Place::Line(_)) = self.places.insert(name.to_owned(), place)
            && matches!(place, Place::Line(_))
        {
            self.warn(earlier, name, Ineffective::Repeated);
        }
        if let Err(bad) = key.parse(&entry.value) {
            self.settings.remove(name);
            let shown = if key.is_sensitive() { "[hidden]" } else { bad.value.as_str() };
            let message = format!("{name}={shown}: {}. Allowed: {}{}", bad.reason, key.allowed(), or_default(key));
            return self.problem(place, message);
        }
        match key.status {
            Status::Works => {}
            Status::Inert => self.warn(place, name, Ineffective::NotYet),
            Status::Obsolete => self.warn(place, name, Ineffective::Never),
            Status::Refused => self.refuse(place, key, &entry.value),
        }
        self.settings.insert(name.to_owned(), entry.value.trim().to_owned());
    }

    /// Some keys ask for what must not be left out in silence. Saying explicitly what holds anyway is no such request.
    fn refuse(&mut self, place: Place, key: &Key, value: &str) {
        if key.parse(value).ok() != key.default_value() && !value.trim().is_empty() {
            let message = format!("{}={}: {} Take the line out.", key.name, value.trim(), key.documentation());
            self.problem(place, message);
        }
    }

    fn take_unknown(&mut self, place: Place, name: &str) {
        if belongs_to_a_plugin(name) {
            return self.warn(place, name, Ineffective::Plugin);
        }
        let message = match table::broker_key(name) {
            Some(_) => format!("{name} can only be set while the broker runs; use kafka-configs.sh --alter"),
            None => match nearest(name) {
                Some(near) => format!("there is no key {name}; did you mean {near}?"),
                None => format!("there is no key {name}; config/server.properties lists them all"),
            },
        };
        self.problem(place, message);
    }

    fn finish(mut self) -> Result<Loaded, Problems> {
        let conflicts = match BrokerConfig::of(&self.settings) {
            Ok(config) if self.problems.is_empty() => {
                mirror(&mut self.settings, "broker.id", "node.id");
                let layers = Layers { from_file: self.settings, ..Layers::default() };
                self.warnings.sort_by_key(|warning| warning.place);
                return Ok(Loaded { config, layers, warnings: self.warnings });
            }
            Ok(_) => Vec::new(),
            Err(conflicts) => conflicts,
        };
        for conflict in conflicts {
            let place = self.places.get(conflict.key).copied().unwrap_or(Place::Default);
            let message = format!("{}: {}", conflict.key, conflict.reason);
            self.problem(place, message);
        }
        self.problems.sort_by_key(|problem| problem.place);
        Err(Problems(self.problems))
    }
}

/// Two names of one setting: where one is set, the other is too (`KafkaConfig.populateSynonyms`).
fn mirror(settings: &mut Settings, one: &str, other: &str) {
    let value = settings.get(one).or_else(|| settings.get(other)).cloned();
    for name in [one, other] {
        if let Some(value) = &value {
            settings.entry(name.to_owned()).or_insert_with(|| value.clone());
        }
    }
}

fn or_default(key: &Key) -> String {
    match (key.default, key.unit) {
        (Some(default), Some(unit)) if !default.is_empty() => format!(" (default {default} {unit})"),
        (Some(default), None) if !default.is_empty() => format!(" (default {default})"),
        (None, Some(unit)) => format!(" ({unit})"),
        (Some(_) | None, _) => String::new(),
    }
}

/// Keys that Kafka hands on to a plugin without knowing them, by how they begin.
const PLUGIN_PREFIXES: &[&str] = &[
    "authorizer.",
    "config.providers",
    "confluent.",
    "cruise.control.",
    "kafka.metrics.",
    "listener.name.",
    "metric.reporters.",
    "metrics.context.",
    "rlmm.config.",
    "rsm.config.",
    "strimzi.",
];

/// Keys of Kafka's own plugins that begin like no other.
const PLUGIN_KEYS: &[&str] = &["super.users", "allow.everyone.if.no.acl.found"];

pub(super) fn belongs_to_a_plugin(name: &str) -> bool {
    PLUGIN_KEYS.contains(&name) || PLUGIN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Above this share of changed letters a name is not taken for a slip.
const NEAR: f64 = 0.8;

/// The known key that `name` was probably meant to be.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let known = table::broker_keys().filter(|key| !key.internal).map(|key| key.name);
    nearest_of(known, name)
}

/// The one of `known` that `name` was probably meant to be.
#[must_use]
pub fn nearest_of(known: impl Iterator<Item = &'static str>, name: &str) -> Option<&'static str> {
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(known, name);
    let scored = known.map(|known| (likeness(known), known)).filter(|(likeness, _)| NEAR <= *likeness);
    scored.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::model::{BrokerId, Durability};

    use super::super::{LoginScheme, TopicConfig};
    use super::*;

    fn good(text: &str) -> Loaded {
        load(text, &[]).unwrap_or_else(|problems| panic!("{text}: {problems}"))
    }

    fn bad(text: &str) -> String {
        load(text, &[]).expect_err(text).to_string()
    }

    #[test]
    fn nothing_at_all_is_a_broker_on_defaults() {
        let Loaded { config, warnings, .. } = good("");
        assert_eq!(warnings, []);
        assert_eq!(config.broker_id, None);
        assert_eq!(config.zookeeper, None);
        assert_eq!(config.listeners.iter().map(ToString::to_string).collect::<Vec<_>>(), ["PLAINTEXT://:9092"]);
        assert_eq!(config.advertised_listeners, config.listeners);
        assert_eq!(config.inter_broker_listener, "PLAINTEXT");
        assert_eq!(config.log_dirs, [std::path::PathBuf::from("/tmp/kafka-logs")]);
        assert_eq!(config.connections.max, 10_000);
        let topic = config.default_topic();
        assert_eq!(topic.retention, Some(Duration::from_secs(7 * 24 * 3_600)));
        assert_eq!((topic.retention_bytes, topic.flush_messages, topic.flush_interval), (None, None, None));
        assert_eq!(topic.durability, Durability::Flushed);
    }

    #[test]
    fn a_whole_file_is_understood() {
        let text = "broker.id=3\nlisteners=INSIDE://10.0.0.1:9093,OUTSIDE://:9092\n\
                    advertised.listeners=INSIDE://10.0.0.1:9093,OUTSIDE://example.org:19092\n\
                    listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT\n\
                    inter.broker.listener.name=inside\nlog.dirs=/a, /b\nzookeeper.connect=z1:2181,z2:2181/kafka\n\
                    zookeeper.session.timeout.ms=6000\ndohle.zookeeper.digest=dohle:secret\nbroker.rack=r1\n\
                    max.connections.per.ip.overrides=10.0.0.9:7,[::1]:8,host.example:9\n\
                    listener.name.outside.max.connections=100\nlog.durability=page-cache\ndohle.arbiters=2\n";
        let text = text.replace("[::1]", "::1");
        let config = good(&text).config;
        assert_eq!(config.broker_id, Some(BrokerId(3)));
        assert_eq!(config.inter_broker_listener, "INSIDE");
        assert_eq!(config.advertised_listeners[1].host.as_deref(), Some("example.org"));
        assert_eq!(config.log_dirs, [std::path::PathBuf::from("/a"), std::path::PathBuf::from("/b")]);
        let zookeeper = config.zookeeper.clone().expect("ZooKeeper");
        assert_eq!(zookeeper.connect, "z1:2181,z2:2181/kafka");
        assert_eq!(zookeeper.connection_timeout, Duration::from_secs(6));
        let login = zookeeper.login.expect("a login");
        assert_eq!((login.scheme, &*login.user, login.password.reveal()), (LoginScheme::Digest, "dohle", "secret"));
        assert!(!format!("{config:?}").contains("secret"), "secrets stay out of Debug");
        assert_eq!(config.connections.max_per_ip_overrides.get("::1"), Some(&8));
        assert_eq!(config.connections.max_of_listener.get("OUTSIDE"), Some(&100));
        assert_eq!(config.default_topic().durability, Durability::PageCache);
        assert_eq!(config.arbiters, Some(2));
    }

    #[test]
    fn the_more_precise_key_wins() {
        let retention = |text: &str| good(text).config.default_topic().retention.map(|time| time.as_secs());
        assert_eq!(retention("log.retention.hours=1"), Some(3_600));
        assert_eq!(retention("log.retention.hours=1\nlog.retention.minutes=2"), Some(120));
        assert_eq!(retention("log.retention.ms=3000\nlog.retention.hours=1\nlog.retention.minutes=2"), Some(3));
        assert_eq!(retention("log.retention.ms=-1\nlog.retention.hours=1"), None);
        assert_eq!(retention("log.retention.minutes=-5"), None);
        let roll = |text: &str| good(text).config.default_topic().segment_age_max.as_secs();
        assert_eq!(roll("log.roll.hours=2"), 7_200);
        assert_eq!(roll("log.roll.hours=2\nlog.roll.ms=1000"), 1);
        assert_eq!(good("log.dir=/x\nlog.dirs=/y").config.log_dirs, [std::path::PathBuf::from("/y")]);
        assert_eq!(good("log.dir=/x").config.log_dirs, [std::path::PathBuf::from("/x")]);
        assert_eq!(good("node.id=4").config.broker_id, Some(BrokerId(4)));
        let flush = |text: &str| good(text).config.default_topic().flush_interval.map(|time| time.as_secs());
        assert_eq!(flush("log.flush.scheduler.interval.ms=2000"), Some(2));
        assert_eq!(flush("log.flush.scheduler.interval.ms=2000\nlog.flush.interval.ms=1000"), Some(1));
        let before = |text: &str| good(text).config.default_topic().timestamp_before_max.map(|time| time.as_secs());
        assert_eq!(before("log.message.timestamp.difference.max.ms=2000"), Some(2));
        assert_eq!(
            before("log.message.timestamp.difference.max.ms=2000\nlog.message.timestamp.before.max.ms=1000"),
            Some(1)
        );
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_the_last_line_over_the_first() {
        let overrides = ["num.partitions = 5".to_owned()];
        let loaded = load("num.partitions=2\nnum.partitions=3", &overrides).expect("legal");
        assert_eq!(loaded.config.topics.partitions, 5);
        let told: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("line 1: num.partitions is set again"), "{told:?}");
        assert!(load("", &["num.partitions".to_owned()]).expect_err("no value").to_string().contains("KEY=VALUE"));
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_line() {
        let text = "log.segment.bytez=1\nlog.segment.bytes=many\n\nnum.partitions=0\nwhat.is.this=1\nx=\\u1\n";
        let problems = load(text, &["broker.id=-2".to_owned(), "a".to_owned()]).expect_err("seven problems");
        let places: Vec<_> = problems.0.iter().map(|problem| problem.place.to_string()).collect();
        assert_eq!(
            places,
            ["line 1", "line 2", "line 4", "line 5", "line 6", "--override", "--override"],
            "{problems}"
        );
        let problems = bad(&text.replace("x=\\u1\n", ""));
        let expected = "line 1: there is no key log.segment.bytez; did you mean log.segment.bytes?\n\
                        line 2: log.segment.bytes=many: Not a number of type INT. Allowed: a 32-bit number, at least 14 \
                        (default 1073741824 bytes)\n\
                        line 4: num.partitions=0: Value must be at least 1. Allowed: a 32-bit number, at least 1 \
                        (default 1 partitions)\n\
                        line 5: there is no key what.is.this; config/server.properties lists them all";
        assert_eq!(problems, expected);
    }

    #[test]
    fn values_that_do_not_go_together_are_refused() {
        for (text, needle) in [
            ("listeners=", "names no listener"),
            ("listeners=SSL://:9093,PLAINTEXT://:9092", "SSL, which Dohle does not do yet"),
            ("listeners=PLAINTEXT://0.0.0.0:9092", "advertised.listeners"),
            ("listeners=PLAINTEXT://[::]:9092", "advertised.listeners"),
            (
                "advertised.listeners=OTHER://h:1\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT",
                "not among",
            ),
            (
                "listeners=A://:1,B://:2\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT",
                "inter.broker.listener.name",
            ),
            ("inter.broker.listener.name=PLAINTEXT\nsecurity.inter.broker.protocol=PLAINTEXT", "exclude each other"),
            ("broker.id=1001", "reserved.broker.max.id"),
            ("broker.id.generation.enable=false", "0 or above"),
            ("broker.id=1\nnode.id=2", "same as broker.id"),
            ("log.dirs=,", "names no folder"),
            ("log.dirs=/a,/a", "twice"),
            ("log.retention.ms=0", "log.retention.ms"),
            ("log.roll.ms=0", "log.roll.ms"),
            ("queued.max.request.bytes=1000", "socket.request.max.bytes"),
            ("max.connections.per.ip=0", "overrides"),
            ("max.connections.per.ip.overrides=a b:1", "address:connections"),
            ("connections.max.idle.ms=100", "failed.authentication"),
            ("replica.fetch.wait.max.ms=40000", "replica.lag.time.max.ms"),
            ("log.cleaner.min.compaction.lag.ms=5\nlog.cleaner.max.compaction.lag.ms=4", "compaction.lag"),
            ("default.replication.factor=0", "at least 1"),
            ("zookeeper.connect=z:1\nzookeeper.session.timeout.ms=0", "at least 1"),
            ("zookeeper.connect=z:1\ndohle.zookeeper.digest=x", "USER:PASSWORD"),
            ("zookeeper.connect=z:1\ndohle.zookeeper.sasl=:x", "USER:PASSWORD"),
            ("zookeeper.connect=z:1\ndohle.zookeeper.sasl=a:x\ndohle.zookeeper.digest=a:x", "exclude each other"),
            ("zookeeper.connect=z:1\nzookeeper.set.acl=true", "needs a login"),
            (
                "zookeeper.connect=z:1\nzookeeper.ssl.client.enable=true\nzookeeper.ssl.truststore.location=/t.jks",
                "PEM",
            ),
            ("authorizer.class.name=kafka.security.authorizer.AclAuthorizer", "refuses to start"),
            ("process.roles=broker", "ZooKeeper"),
            ("leader.replication.throttled.rate=1", "while the broker runs"),
        ] {
            let told = bad(text);
            assert!(told.contains(needle), "{text}: {told}");
        }
        let harmless = "authorizer.class.name=\nzookeeper.set.acl=false\nprocess.roles=\n";
        assert_eq!(good(harmless).warnings, []);
    }

    #[test]
    fn settings_without_effect_are_named() {
        let text = "log.cleaner.threads=2\nmetric.reporters=a.B\nsuper.users=User:a\n\
                    listener.name.plaintext.ssl.client.auth=none\nlistener.name.x.oauth.thing=1\n";
        let told: Vec<_> = good(text).warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "line 1: log.cleaner.threads has no effect yet",
                "line 2: metric.reporters has no meaning here: it speaks of Java classes, of KRaft or of Kafka's inside",
                "line 3: super.users has no effect: it belongs to a plugin of Kafka's",
                "line 4: listener.name.plaintext.ssl.client.auth has no effect yet",
                "line 5: listener.name.x.oauth.thing has no effect: it belongs to a plugin of Kafka's",
            ]
        );
    }

    #[test]
    fn the_settings_of_a_stock_kafka_file_are_taken() {
        let text = "broker.id=0\nnum.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\n\
                    socket.receive.buffer.bytes=102400\nsocket.request.max.bytes=104857600\nlog.dirs=/tmp/kafka-logs\n\
                    num.partitions=1\nnum.recovery.threads.per.data.dir=1\noffsets.topic.replication.factor=1\n\
                    transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
                    log.retention.hours=168\nlog.retention.check.interval.ms=300000\nzookeeper.connect=localhost:2181\n\
                    zookeeper.connection.timeout.ms=18000\ngroup.initial.rebalance.delay.ms=0\n";
        let loaded = good(text);
        assert_eq!(loaded.layers.from_file.len(), text.lines().count() + 1, "node.id follows broker.id");
        assert!(loaded.config.zookeeper.is_some());
    }

    #[test]
    fn a_topic_lays_its_own_over_the_brokers() {
        let config = good("log.retention.hours=1\nmin.insync.replicas=2").config;
        let own =
            [("retention.ms", "-1"), ("durability", "page-cache"), ("segment.bytes", "nonsense"), ("unknown", "1")];
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let (topic, bad) = TopicConfig::layered(&config.topic_defaults, &own);
        assert_eq!((topic.retention, topic.min_insync_replicas), (None, 2));
        assert_eq!((topic.durability, topic.segment_bytes), (Durability::PageCache, 1 << 30));
        assert_eq!(bad.len(), 1);
        assert_eq!(
            bad[0].to_string(),
            "Invalid value nonsense for configuration segment.bytes: Not a number of type INT"
        );
    }
}
