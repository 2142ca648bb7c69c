//! DescribeConfigs: what is set, where it comes from, and what it would be otherwise.
//!
//! *Does not know*: which keys the client asked for; the handler leaves out what it did not.
//! Source: Kafka 3.9, `ConfigHelper`.

use super::key::{Key, Update};
use super::settings::{Layers, Reader, Settings, key_of, synonyms};
use super::table;
use super::topic::TopicDefaults;

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigSource {
    /// The topic sets it.
    Topic,
    /// Set while running, for this broker.
    DynamicBroker,
    /// Set while running, for all brokers.
    DynamicDefaultBroker,
    /// The broker's file or command line.
    StaticBroker,
    /// Nobody set it.
    Default,
}

impl ConfigSource {
    /// Its number in DescribeConfigs.
    #[must_use]
    pub const fn code(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefaultBroker => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
        }
    }
}

/// The number that DescribeConfigs gives to the type of a key that nobody knows.
const TYPE_UNKNOWN: i8 = 0;

/// One key of a described resource.
#[derive(Clone, PartialEq, Debug)]
pub struct Described {
    /// The key.
    pub name: String,
    /// The value that counts. `None` when it is not set, and for secrets.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Whether the value is a secret.
    pub is_sensitive: bool,
    /// Whether it cannot change while the broker runs.
    pub is_read_only: bool,
    /// Every place where it is set, the one that counts first.
    pub synonyms: Vec<Synonym>,
    /// The key; `None` when nobody knows it.
    pub key: Option<&'static Key>,
}

impl Described {
    /// The number of the type in DescribeConfigs.
    #[must_use]
    pub fn type_code(&self) -> i8 {
        self.key.map_or(TYPE_UNKNOWN, |key| key.kind.code())
    }

    /// The key's documentation.
    #[must_use]
    pub fn documentation(&self) -> Option<&'static str> {
        self.key.map(Key::documentation)
    }
}

/// A place where a value is set, maybe under another name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synonym {
    /// The name it is set under.
    pub name: String,
    /// The value, as it was written. `None` for secrets.
    pub value: Option<String>,
    /// Where.
    pub source: ConfigSource,
}

/// Describes a topic that sets `overrides`, on a broker with `layers`. Sorted by name.
#[must_use]
pub fn describe_topic(layers: &Layers, overrides: &Settings) -> Vec<Described> {
    let defaults = TopicDefaults::of(&layers.effective());
    let (values, _) = defaults.layered(overrides);
    let mut all: Vec<_> = table::TOPIC
        .iter()
        .map(|key| {
            let value = values.get(key.name).cloned().flatten().map(|value| value.to_string());
            let mut set = key.broker_key.map_or_else(Vec::new, |name| places(layers, name, false));
            if overrides.contains_key(key.name) {
                let own = Synonym { name: key.name.to_owned(), value: value.clone(), source: ConfigSource::Topic };
                set.insert(0, own);
            }
            described(key.name, value, false, false, set, Some(key))
        })
        .collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// Describes a broker: every key but Kafka's internal ones, and whatever else is set. Sorted by name.
#[must_use]
pub fn describe_broker(layers: &Layers) -> Vec<Described> {
    let effective = layers.effective();
    let known = table::broker_keys().filter(|key| !key.internal && !key.only_dynamic).map(|key| key.name);
    let mut names: Vec<_> = known.chain(effective.keys().map(String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| describe_broker_key(layers, &effective, name, true)).collect()
}

/// Describes what is set for all brokers while they run. Sorted by name.
#[must_use]
pub fn describe_broker_defaults(layers: &Layers) -> Vec<Described> {
    let set = &layers.dynamic_default;
    set.keys().map(|name| describe_broker_key(layers, set, name, false)).collect()
}

fn describe_broker_key(layers: &Layers, settings: &Settings, name: &str, per_broker: bool) -> Described {
    let key = key_of(name);
    // What nobody knows may be a secret.
    let is_sensitive = key.is_none_or(Key::is_sensitive);
    let value = match key {
        Some(key) if !is_sensitive => Reader(settings).value_of(name, key).map(|value| value.to_string()),
        Some(_) | None => None,
    };
    let mut set = places(layers, name, is_sensitive);
    if !per_broker {
        set.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
    }
    let is_read_only = !is_dynamic(name);
    described(name, value, is_sensitive, is_read_only, set, key)
}

/// Whether Kafka counts the name as dynamic: a listener's own key and the rates set only while running do not, although
/// they can be set.
fn is_dynamic(name: &str) -> bool {
    table::broker_key(name).is_some_and(|key| key.update != Update::ReadOnly && !key.only_dynamic)
}

fn described(
    name: &str,
    value: Option<String>,
    is_sensitive: bool,
    is_read_only: bool,
    synonyms: Vec<Synonym>,
    key: Option<&'static Key>,
) -> Described {
    let source = synonyms.first().map_or(ConfigSource::Default, |first| first.source);
    Described { name: name.to_owned(), value, source, is_sensitive, is_read_only, synonyms, key }
}

/// Every place where `name` is set under any of its names, the one that counts first. Places before the first that has
/// the very name are left out, as Kafka does.
fn places(layers: &Layers, name: &str, is_sensitive: bool) -> Vec<Synonym> {
    let names = synonyms(name);
    let in_layer = |settings: &Settings, source| {
        let found = names.iter().filter_map(|same| Some((same, settings.get(*same)?)));
        let shown = |value: &String| (!is_sensitive).then(|| value.clone());
        let all = found.map(|(same, value)| Synonym { name: (*same).to_owned(), value: shown(value), source });
        all.collect::<Vec<_>>()
    };
    let defaults = names.iter().filter_map(|same| {
        let key = table::broker_key(same).filter(|key| !key.only_dynamic)?;
        let value = key.default_value()?;
        let value = (!is_sensitive).then(|| value.to_string());
        Some(Synonym { name: (*same).to_owned(), value, source: ConfigSource::Default })
    });
    let mut all = in_layer(&layers.dynamic_broker, ConfigSource::DynamicBroker);
    all.extend(in_layer(&layers.dynamic_default, ConfigSource::DynamicDefaultBroker));
    all.extend(in_layer(&layers.from_file, ConfigSource::StaticBroker));
    all.extend(defaults);
    let first = all.iter().position(|synonym| synonym.name == name).unwrap_or(all.len());
    all.split_off(first)
}
