//! The one table of keys. Each row has a key's name, type, default, unit, what is valid, its importance, how it can be
//! changed, and whether Dohle does what it says; the doc comment above a row *is* the key's documentation, in
//! DescribeConfigs, in `config/server.properties` and in `--help`. Everything else in [`super`] follows from it.
//!
//! Names, types, ranges, importance and update modes are Kafka 3.9's (`AbstractKafkaConfig.CONFIG_DEF`, `LogConfig`,
//! `DynamicBrokerConfig`). A row that does not say `per_broker` or `cluster_wide` is read-only.

use super::key::Key;

mod broker;
mod dohle;
mod group;
mod kraft;
mod log;
mod network;
mod observe;
mod replication;
mod security;
mod topic;
mod transaction;
mod zookeeper;

/// Turns rows into `KEYS`: doc comment, name, type, and attributes that are methods of [`Key`].
macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $name:literal: $kind:ident, $($attribute:ident $(($($argument:expr),*))?),+;)*) => {
        pub(super) static KEYS: &[$crate::config::key::Key] = &[$(
            $crate::config::key::Key::new($name, $crate::config::key::Type::$kind, concat!($($doc),+))
                $(.$attribute($($($argument),*)?))+,
        )*];
    };
}
use keys;

/// A part of the broker's keys with its heading.
#[derive(Debug)]
pub struct Section {
    /// What the keys are about.
    pub heading: &'static str,
    /// Its keys, in the order of the documentation.
    pub keys: &'static [Key],
}

/// Every key of a broker, in the order of the documentation.
pub static BROKER: &[Section] = &[
    Section { heading: "The broker", keys: broker::KEYS },
    Section { heading: "Dohle's own keys", keys: dohle::KEYS },
    Section { heading: "Listeners, sockets, connections", keys: network::KEYS },
    Section { heading: "ZooKeeper", keys: zookeeper::KEYS },
    Section { heading: "The log", keys: log::KEYS },
    Section { heading: "Replication and the controller", keys: replication::KEYS },
    Section { heading: "Consumer groups", keys: group::KEYS },
    Section { heading: "Transactions", keys: transaction::KEYS },
    Section { heading: "Quotas and metrics", keys: observe::KEYS },
    Section { heading: "Security", keys: security::KEYS },
    Section { heading: "KRaft and tiered storage", keys: kraft::KEYS },
];

/// Every key of a topic.
pub static TOPIC: &[Key] = topic::KEYS;

/// Every key of a broker.
pub fn broker_keys() -> impl Iterator<Item = &'static Key> {
    BROKER.iter().flat_map(|section| section.keys)
}

/// The broker's key of that name.
#[must_use]
pub fn broker_key(name: &str) -> Option<&'static Key> {
    broker_keys().find(|key| key.name == name)
}

/// The topic's key of that name.
#[must_use]
pub fn topic_key(name: &str) -> Option<&'static Key> {
    TOPIC.iter().find(|key| key.name == name)
}
