//! AlterConfigs, IncrementalAlterConfigs and the configs of CreateTopics: what the new settings of a topic or a broker
//! are, or why they cannot be.
//!
//! *Invariant*: what comes out was checked with everything that it will be layered over. Codes and words are Kafka's.
//! *Does not know*: whether the topic is there, and how settings are stored.
//! Source: Kafka 3.9, `ConfigAdminManager`, `ZkAdminManager`, `DynamicBrokerConfig`, `LogConfig.validate`.

use std::collections::BTreeSet;

use crate::model::{BrokerId, ErrorCode};

use super::broker::BrokerConfig;
use super::key::{Key, Type, Update};
use super::load::{belongs_to_a_plugin, nearest};
use super::settings::{Layers, Settings, key_of, listener_base};
use super::table;
use super::topic::TopicDefaults;
use super::value::Value;

/// Why a change is refused, for the client.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The code of the answer.
    pub code: ErrorCode,
    /// In words.
    pub message: String,
}

/// What IncrementalAlterConfigs does to one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Gives it a value.
    Set,
    /// Takes its value away.
    Delete,
    /// Puts elements at the end of its list, but those that are there.
    Append,
    /// Takes elements out of its list.
    Subtract,
}

impl Operation {
    /// The operation with that number in the request (`AlterConfigOp.OpType`).
    ///
    /// # Errors
    /// Kafka's INVALID_REQUEST for any other number.
    pub fn from_code(code: i8) -> Result<Self, Refusal> {
        match code {
            0 => Ok(Self::Set),
            1 => Ok(Self::Delete),
            2 => Ok(Self::Append),
            3 => Ok(Self::Subtract),
            _ => Err(invalid_request(format!("Unknown operations type {code}"))),
        }
    }
}

/// One change of an IncrementalAlterConfigs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The key.
    pub name: String,
    /// What happens to it.
    pub operation: Operation,
    /// With which value; not looked at when deleting.
    pub value: Option<String>,
}

/// What a request wants to become of the settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted<'r> {
    /// These and no others (AlterConfigs).
    Exactly(&'r [(String, Option<String>)]),
    /// Those of now with these changes (IncrementalAlterConfigs).
    Changed(&'r [Change]),
}

/// Which settings of brokers a request speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BrokerScope {
    /// Those of all brokers (`/config/brokers/<default>`).
    Default,
    /// This broker's own.
    ThisBroker,
}

/// Which settings the resource name of a broker stands for: its own number, or the empty name for all.
///
/// # Errors
/// INVALID_REQUEST for another broker's number, which must be asked itself, and for what is no number.
pub fn broker_scope(resource_name: &str, this: BrokerId) -> Result<BrokerScope, Refusal> {
    if resource_name.is_empty() {
        return Ok(BrokerScope::Default);
    }
    match resource_name.parse() {
        Ok(id) if BrokerId(id) == this => Ok(BrokerScope::ThisBroker),
        Ok(_) => Err(invalid_request(format!("Unexpected broker id, expected {this}, but received {resource_name}"))),
        Err(_) => Err(invalid_request(format!("Node id must be an integer, but it is: {resource_name}"))),
    }
}

/// The new settings of `topic`, which has `current` now, on a broker with `layers`.
///
/// # Errors
/// INVALID_REQUEST for a request that contradicts itself, INVALID_CONFIG for keys and values that cannot be.
pub fn alter_topic(topic: &str, current: &Settings, wanted: Wanted<'_>, layers: &Layers) -> Result<Settings, Refusal> {
    if topic.is_empty() {
        return Err(invalid_request("Default topic resources are not allowed.".to_owned()));
    }
    let unknown = |name: &str| invalid_config(format!("Unknown topic config name: {name}"));
    let settings = wanted_settings(current.clone(), wanted, table::topic_key, unknown)?;
    check_topic(&settings, layers)
        .map_err(|wrong| wrong.refusal(&format!("ConfigResource(type=TOPIC, name='{topic}')")))?;
    Ok(settings)
}

/// The settings of a topic to be created.
///
/// # Errors
/// INVALID_CONFIG for keys and values that cannot be.
pub fn new_topic(configs: &[(String, Option<String>)], layers: &Layers) -> Result<Settings, Refusal> {
    let null: Vec<_> = configs.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.as_str()).collect();
    if !null.is_empty() {
        return Err(invalid_config(format!("Null value not supported for topic configs: {}", null.join(","))));
    }
    let settings = configs.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
    check_topic(&settings, layers).map_err(|wrong| invalid_config(wrong.into_message()))?;
    Ok(settings)
}

/// The new dynamic settings of `scope`, for a broker with `layers` now.
///
/// # Errors
/// INVALID_REQUEST for a request that contradicts itself, for keys that cannot change while the broker runs or not in
/// this scope, and for values that cannot be; INVALID_CONFIG for lists that are none.
pub fn alter_broker(scope: BrokerScope, wanted: Wanted<'_>, layers: &Layers) -> Result<Settings, Refusal> {
    let mut layers = layers.clone();
    let layer = match scope {
        BrokerScope::Default => &mut layers.dynamic_default,
        BrokerScope::ThisBroker => &mut layers.dynamic_broker,
    };
    let (current, _) = usable(scope, layer);
    let unknown = |name: &str| invalid_config(format!("Unknown config name: {name}"));
    let settings = wanted_settings(current, wanted, table::broker_key, unknown)?;
    check_dynamic(scope, &settings)?;
    *layer = settings.clone();
    match BrokerConfig::of(&layers.effective()) {
        Ok(_) => Ok(settings),
        Err(conflicts) => {
            let all: Vec<_> =
                conflicts.iter().map(|conflict| format!("{}: {}", conflict.key, conflict.reason)).collect();
            Err(invalid_request(all.join("; ")))
        }
    }
}

/// Of dynamic settings read from ZooKeeper, those that can be applied, and why the others cannot (in words for the log).
/// Another program may have written them: a bad one must not keep the broker from starting.
#[must_use]
pub fn usable(scope: BrokerScope, stored: &Settings) -> (Settings, Vec<String>) {
    let (mut settings, mut ignored) = (Settings::new(), Vec::new());
    for (name, value) in stored {
        let alone = Settings::from([(name.clone(), value.clone())]);
        match check_dynamic(scope, &alone) {
            Ok(()) => drop(settings.insert(name.clone(), value.clone())),
            Err(refusal) => ignored.push(format!("{name}: {}", refusal.message)),
        }
    }
    (settings, ignored)
}

fn invalid_request(message: String) -> Refusal {
    Refusal { code: ErrorCode::InvalidRequest, message }
}

fn invalid_config(message: String) -> Refusal {
    Refusal { code: ErrorCode::InvalidConfig, message }
}

/// The settings a request asks for, not yet checked.
fn wanted_settings(
    mut current: Settings,
    wanted: Wanted<'_>,
    key_of: impl Fn(&str) -> Option<&'static Key>,
    unknown: impl Fn(&str) -> Refusal,
) -> Result<Settings, Refusal> {
    match wanted {
        Wanted::Exactly(entries) => {
            check_entries(entries.iter().map(|(name, value)| (name.as_str(), value.is_some())))?;
            Ok(entries.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect())
        }
        Wanted::Changed(changes) => {
            let has_value = |change: &Change| change.value.is_some() || change.operation == Operation::Delete;
            check_entries(changes.iter().map(|change| (change.name.as_str(), has_value(change))))?;
            for change in changes {
                let value = change.value.as_deref().unwrap_or_default();
                match change.operation {
                    Operation::Set => drop(current.insert(change.name.clone(), value.to_owned())),
                    Operation::Delete => drop(current.remove(&change.name)),
                    Operation::Append | Operation::Subtract => {
                        let key = key_of(&change.name).ok_or_else(|| unknown(&change.name))?;
                        let list = changed_list(key, current.get(&change.name), change.operation, value)?;
                        current.insert(change.name.clone(), list);
                    }
                }
            }
            Ok(current)
        }
    }
}

/// A request names each key once, and gives values where they are needed.
fn check_entries<'r>(entries: impl Iterator<Item = (&'r str, bool)> + Clone) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    if !entries.clone().all(|(name, _)| seen.insert(name)) {
        return Err(invalid_request("Error due to duplicate config keys".to_owned()));
    }
    let null: Vec<_> = entries.filter(|(_, has_value)| !has_value).map(|(name, _)| name).collect();
    if null.is_empty() {
        Ok(())
    } else {
        Err(invalid_request(format!("Null value not supported for : {}", null.join(", "))))
    }
}

/// A list with elements put to or taken from it; when it is not set, from its default.
fn changed_list(key: &Key, current: Option<&String>, operation: Operation, value: &str) -> Result<String, Refusal> {
    let verb = if operation == Operation::Append { "append" } else { "subtract" };
    if key.kind != Type::List {
        return Err(invalid_config(format!("Config value {verb} is not allowed for config key: {}", key.name)));
    }
    let current = current.map_or(key.default.unwrap_or_default(), String::as_str);
    let mut elements: Vec<_> = current.split(',').filter(|element| !element.is_empty()).collect();
    for element in value.split(',') {
        let place = elements.iter().position(|one| *one == element);
        match (operation, place) {
            (Operation::Append, None) => elements.push(element),
            (Operation::Subtract, Some(place)) => drop(elements.remove(place)),
            (Operation::Append | Operation::Subtract | Operation::Set | Operation::Delete, _) => {}
        }
    }
    Ok(elements.join(","))
}

/// What is wrong with a topic's settings. Kafka words a bad value with the resource before it, a rule without.
enum Wrong {
    Value(String),
    Rule(String),
}

impl Wrong {
    fn into_message(self) -> String {
        match self {
            Self::Value(message) | Self::Rule(message) => message,
        }
    }

    fn refusal(self, resource: &str) -> Refusal {
        match self {
            Self::Value(message) => invalid_config(format!("Invalid config value for resource {resource}: {message}")),
            Self::Rule(message) => invalid_config(message),
        }
    }
}

fn check_topic(settings: &Settings, layers: &Layers) -> Result<(), Wrong> {
    if let Some(name) = settings.keys().find(|name| table::topic_key(name).is_none()) {
        return Err(Wrong::Rule(format!("Unknown topic config name: {name}")));
    }
    let (values, bad) = TopicDefaults::of(&layers.effective()).layered(settings);
    if let Some(bad) = bad.first() {
        return Err(Wrong::Value(bad.to_string()));
    }
    let number = |name| match values.get(name) {
        Some(Some(Value::Number(number))) => *number,
        _ => panic!("{name} is no number in the table of keys"),
    };
    let (least, most) = (number("min.compaction.lag.ms"), number("max.compaction.lag.ms"));
    if most < least {
        return Err(Wrong::Rule(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        )));
    }
    let flag = |name| values.get(name) == Some(&Some(Value::Boolean(true)));
    if flag("remote.log.delete.on.disable") || flag("remote.log.copy.disable") {
        return Err(Wrong::Rule(
            "It is invalid to set `remote.log.delete.on.disable` or `remote.log.copy.disable` under Zookeeper's mode."
                .to_owned(),
        ));
    }
    if flag("remote.storage.enable") {
        return Err(Wrong::Value(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
                .to_owned(),
        ));
    }
    Ok(())
}

/// Keys of TLS stores, which only a listener of its own may change while the broker runs
/// (`SslConfigs.RECONFIGURABLE_CONFIGS`).
const STORES: &[&str] = &[
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// Keys that a listener may have as the default of all brokers (`ClusterLevelListenerConfigs`).
const OF_EVERY_LISTENER: &[&str] = &["max.connections", "max.connection.creation.rate", "num.network.threads"];

/// Checks dynamic settings one by one (`DynamicBrokerConfig.validateConfigs`).
fn check_dynamic(scope: BrokerScope, settings: &Settings) -> Result<(), Refusal> {
    let those = |wrong: &dyn Fn(&str) -> bool| {
        let names: Vec<_> = settings.keys().map(String::as_str).filter(|name| wrong(name)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let fixed = |name: &str| table::broker_key(name).is_some_and(|key| key.update == Update::ReadOnly);
    if let Some(names) = those(&fixed) {
        return Err(invalid_request(format!("Cannot update these configs dynamically: Set({names})")));
    }
    if let Some(names) = those(&|name| STORES.contains(&name)) {
        let why = "These security configs can be dynamically updated only per-listener using the listener prefix";
        return Err(invalid_request(format!("{why}: HashSet({names})")));
    }
    for (name, value) in settings {
        check_dynamic_value(name, value)?;
    }
    let of_one_broker = |name: &str| match listener_base(name) {
        Some(base) => !OF_EVERY_LISTENER.contains(&base),
        None => table::broker_key(name).is_some_and(|key| key.update == Update::PerBroker),
    };
    match those(&of_one_broker) {
        Some(names) if scope == BrokerScope::Default => {
            let why = "Cannot update these configs at default cluster level, broker id must be specified";
            Err(invalid_request(format!("{why}: Set({names})")))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_dynamic_value(name: &str, value: &str) -> Result<(), Refusal> {
    let Some(key) = key_of(name) else {
        if belongs_to_a_plugin(name) {
            return Ok(());
        }
        let hint = nearest(name).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        return Err(invalid_request(format!("Unknown broker config name: {name}{hint}")));
    };
    if key.is_sensitive() {
        // Kafka encrypts these with password.encoder.secret before they go to ZooKeeper. Never in the clear.
        return Err(invalid_config(format!("{name} is a password; Dohle keeps no passwords in ZooKeeper")));
    }
    key.parse(value).map(drop).map_err(|bad| invalid_request(bad.to_string()))
}
