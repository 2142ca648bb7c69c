//! Settings as text, with the layers they come from and Kafka's precedence among them.
//!
//! Source: Kafka 3.9, `DynamicBrokerConfig`: per-broker dynamic over default dynamic over static over built-in default.

use std::collections::BTreeMap;

use super::key::{Key, Type};
use super::table;
use super::value::Value;

/// Keys and values as they were written.
pub type Settings = BTreeMap<String, String>;

/// Keys that mean the same in different units, most precise first: the first that is set counts.
const SAME: &[&[&str]] = &[
    &["log.roll.ms", "log.roll.hours"],
    &["log.roll.jitter.ms", "log.roll.jitter.hours"],
    &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
];

/// Where flushing by time falls back to; not the other way round.
const FLUSH: &[&str] = &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];

/// Names under which `name` may be set, in order of precedence (`DynamicBrokerConfig.brokerConfigSynonyms`). For a
/// listener's own key, the key without the listener comes second.
pub(super) fn synonyms(name: &str) -> Vec<&str> {
    if name == "log.flush.interval.ms" {
        return FLUSH.to_vec();
    }
    if let Some(group) = SAME.iter().find(|group| group.contains(&name)) {
        return group.to_vec();
    }
    match listener_base(name) {
        Some(base) => vec![name, base],
        None => vec![name],
    }
}

/// Keys that a listener may set for one of its SASL mechanisms: `listener.name.NAME.MECHANISM.KEY`.
const MECHANISM_KEYS: &[&str] = &[
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
    "connections.max.reauth.ms",
];

/// The key that `listener.name.NAME.KEY` overrides for one listener. `None` when `name` is no such key.
pub(super) fn listener_base(name: &str) -> Option<&str> {
    let (_, base) = name.strip_prefix("listener.name.")?.split_once('.')?;
    Some(MECHANISM_KEYS.iter().copied().find(|key| base.ends_with(key)).unwrap_or(base))
}

/// The broker's key that `name` stands for, by itself or for one listener.
pub(super) fn key_of(name: &str) -> Option<&'static Key> {
    table::broker_key(name).or_else(|| listener_base(name).and_then(table::broker_key))
}

/// The settings of a broker in their layers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layers {
    /// From the file and the command line.
    pub from_file: Settings,
    /// From `/config/brokers/<default>`, for all brokers.
    pub dynamic_default: Settings,
    /// From `/config/brokers/N`, for this one.
    pub dynamic_broker: Settings,
}

impl Layers {
    /// What counts: the higher layer hides a key in the lower one together with the other names of the same setting, so
    /// that a dynamic `log.roll.hours` wins over a static `log.roll.ms` (`DynamicBrokerConfig.overrideProps`).
    #[must_use]
    pub fn effective(&self) -> Settings {
        let mut settings = self.from_file.clone();
        for layer in [&self.dynamic_default, &self.dynamic_broker] {
            for (name, value) in layer {
                let names = if listener_base(name).is_some() { vec![name.as_str()] } else { synonyms(name) };
                for same in names {
                    settings.remove(same);
                }
                settings.insert(name.clone(), value.clone());
            }
        }
        settings
    }
}

/// Reads typed values of the table's keys out of settings that were checked before.
///
/// A value that the key does not take reads as its default: whoever checked has reported it. A name that the table does
/// not have is our own bug.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'s>(pub(super) &'s Settings);

impl Reader<'_> {
    pub(super) fn value(self, name: &str) -> Option<Value> {
        let Some(key) = table::broker_key(name) else { panic!("{name} is not in the table of keys") };
        self.value_of(name, key)
    }

    /// The value of `key` under another name (a listener's).
    pub(super) fn value_of(self, name: &str, key: &Key) -> Option<Value> {
        self.0.get(name).and_then(|text| key.parse(text).ok()).or_else(|| key.default_value())
    }

    pub(super) fn flag(self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Boolean(true)))
    }

    /// The number, if it is set or has a default.
    pub(super) fn number(self, name: &str) -> Option<i64> {
        match self.value(name) {
            Some(Value::Number(number)) => Some(number),
            Some(Value::Boolean(_) | Value::Double(_) | Value::Text(_) | Value::List(_) | Value::Password(_)) => {
                panic!("{name} is not a number in the table of keys")
            }
            None => None,
        }
    }

    /// The text, if it is set or has a default, and is not empty.
    pub(super) fn text(self, name: &str) -> Option<String> {
        self.value(name).map(|value| value.to_string()).filter(|text| !text.is_empty())
    }

    /// The elements of a list, or of a text that holds one.
    pub(super) fn list(self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|element| !element.is_empty()).map(str::to_owned).collect()
    }
}

/// The broker's value that is a topic's default, in the topic's unit (`KafkaConfig.extractLogConfigMap`).
pub(super) fn topic_default(settings: &Settings, key: &Key) -> Option<Value> {
    let reader = Reader(settings);
    let name = match key.broker_key {
        Some(name) => name,
        None => return key.default_value(),
    };
    let in_units = |unit_ms: i64, units: Option<i64>| units.map(|units| units.saturating_mul(unit_ms));
    const HOUR_MS: i64 = 3_600_000;
    const MINUTE_MS: i64 = 60_000;
    let milliseconds = match name {
        "log.roll.ms" | "log.roll.jitter.ms" => {
            let hours = if name == "log.roll.ms" { "log.roll.hours" } else { "log.roll.jitter.hours" };
            reader.number(name).or_else(|| in_units(HOUR_MS, reader.number(hours)))
        }
        "log.retention.ms" => reader
            .number(name)
            .or_else(|| in_units(MINUTE_MS, reader.number("log.retention.minutes")))
            .or_else(|| in_units(HOUR_MS, reader.number("log.retention.hours")))
            .map(|retention| retention.max(-1)),
        "log.flush.interval.ms" => reader.number(name).or_else(|| reader.number("log.flush.scheduler.interval.ms")),
        "log.message.timestamp.before.max.ms" | "log.message.timestamp.after.max.ms" => {
            let exact = reader.number(name).filter(|&limit| limit != i64::MAX);
            exact.or_else(|| reader.number("log.message.timestamp.difference.max.ms"))
        }
        _ => return reader.value(name),
    };
    debug_assert_eq!(key.kind, Type::Long, "only times are converted");
    milliseconds.map(Value::Number)
}
