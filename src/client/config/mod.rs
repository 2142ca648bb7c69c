//! Kafka's client configuration: `key=value` pairs become typed options.
//!
//! *Invariant*: names, defaults and ranges come from the table ([`crate::config::table`]) alone. What is given and has no
//! effect here is an error, never passed over.
//! *Does not know*: where the pairs come from.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::table::ClientKind;
use crate::config::{BadValue, Key, Status, Value, nearest_of, properties};

mod options;
#[cfg(test)]
mod tests;

pub use options::{
    AdminConfig, AssignorName, CommonConfig, ConsumerConfig, GroupMembership, GroupProtocol, OffsetReset,
    ProducerConfig,
};

/// Why a configuration is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not `key=value`.
    #[error("'{0}' is no setting: write KEY=VALUE")]
    Shape(String),
    /// Kafka has no such key.
    #[error("{}", unknown(name, *kind, *nearest))]
    Unknown {
        /// The key as it was given.
        name: String,
        /// What the configuration is for.
        kind: ClientKind,
        /// The key that it was probably meant to be.
        nearest: Option<&'static str>,
    },
    /// Kafka has the key, for clients of another kind.
    #[error("'{name}' is a key of {}, not of {}", other.name(), kind.name())]
    Elsewhere {
        /// The key.
        name: String,
        /// What the configuration is for.
        kind: ClientKind,
        /// What the key is for.
        other: ClientKind,
    },
    /// Kafka has the key, and this client does not do what it says.
    #[error("Kafka's key '{name}' is not implemented in this client{}", if *java { ": it names what only Java has" } else { "" })]
    NotImplemented {
        /// The key.
        name: String,
        /// It speaks of Java classes or of Kafka's inside.
        java: bool,
    },
    /// The key does not take the value.
    #[error("{bad}; it takes {allowed}")]
    Bad {
        /// Key, value and reason.
        bad: BadValue,
        /// What the key takes.
        allowed: String,
    },
    /// Two values do not go together, or one is missing.
    #[error("{0}")]
    Conflict(String),
}

fn unknown(name: &str, kind: ClientKind, nearest: Option<&'static str>) -> String {
    let hint = nearest.map(|nearest| format!(": did you mean '{nearest}'?")).unwrap_or_default();
    format!("{} has no key '{name}'{hint}", kind.name())
}

/// Reads `KEY=VALUE` lines, as they stand on a command line.
///
/// # Errors
/// [`ConfigError::Shape`].
pub fn pairs<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Vec<(String, String)>, ConfigError> {
    let pair = |text: &str| properties::parse_override(text).ok_or_else(|| ConfigError::Shape(text.to_owned()));
    texts.into_iter().map(pair).collect()
}

/// Checked values of one kind of client.
#[derive(Debug)]
pub(super) struct Checked {
    kind: ClientKind,
    given: BTreeMap<&'static str, Value>,
}

impl Checked {
    /// Checks each pair; of a key that comes twice the last counts.
    pub(super) fn new<K: AsRef<str>, V: AsRef<str>>(
        kind: ClientKind,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConfigError> {
        let mut given = BTreeMap::new();
        for (name, text) in pairs {
            let (name, text) = (name.as_ref(), text.as_ref());
            let key = find(kind, name)?;
            let value = key.parse(text).map_err(|bad| ConfigError::Bad { bad, allowed: key.allowed() })?;
            if key.status != Status::Works && key.default_value().as_ref() != Some(&value) {
                let java = key.status == Status::Obsolete;
                return Err(ConfigError::NotImplemented { name: name.to_owned(), java });
            }
            given.insert(key.name, value);
        }
        Ok(Self { kind, given })
    }

    /// Whether the key was given a value.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    fn value(&self, name: &str) -> Option<Value> {
        let Some(key) = self.kind.key(name) else { panic!("{name} is not in the table of keys") };
        self.given.get(name).cloned().or_else(|| key.default_value())
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.value(name) == Some(Value::Boolean(true))
    }

    pub(super) fn number(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Number(number)) => number,
            other => panic!("{name} is no number with a default in the table of keys but {other:?}"),
        }
    }

    /// A number as a size; the table bounds it below.
    pub(super) fn size(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(0)
    }

    pub(super) fn int(&self, name: &str) -> i32 {
        i32::try_from(self.number(name)).unwrap_or(i32::MAX)
    }

    pub(super) fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.number(name)).unwrap_or(0))
    }

    /// The text, if there is one that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| value.to_string()).filter(|text| !text.is_empty())
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::List(elements)) => elements.into_iter().filter(|element| !element.is_empty()).collect(),
            other => panic!("{name} is no list in the table of keys but {other:?}"),
        }
    }

    /// The error of a key whose value is more than the table can say.
    pub(super) fn bad(&self, name: &'static str, reason: impl std::fmt::Display, allowed: &str) -> ConfigError {
        let value = self.text(name).unwrap_or_default();
        ConfigError::Bad { bad: BadValue { key: name, value, reason: reason.to_string() }, allowed: allowed.to_owned() }
    }
}

fn find(kind: ClientKind, name: &str) -> Result<&'static Key, ConfigError> {
    if let Some(key) = kind.key(name) {
        return Ok(key);
    }
    if ClientKind::is_about_security(name) {
        return Err(ConfigError::NotImplemented { name: name.to_owned(), java: false });
    }
    if let Some(other) = kind.other_with(name) {
        return Err(ConfigError::Elsewhere { name: name.to_owned(), kind, other });
    }
    let nearest = nearest_of(kind.keys().map(|key| key.name), name);
    Err(ConfigError::Unknown { name: name.to_owned(), kind, nearest })
}
