//! The one table of keys. Each row has a key's name, type, default, unit, what is valid, its importance, how it can be
//! changed, and whether Dohle does what it says; the doc comment above a row *is* the key's documentation, in
//! DescribeConfigs, in `config/server.properties` and in `--help`. Everything else in [`super`] follows from it.
//!
//! Names, types, ranges, importance and update modes are Kafka 3.9's (`AbstractKafkaConfig.CONFIG_DEF`, `LogConfig`,
//! `DynamicBrokerConfig`). A row that does not say `per_broker` or `cluster_wide` is read-only.

use super::key::Key;

mod broker;
mod client;
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
        pub(in crate::config::table) static KEYS: &[$crate::config::key::Key] = &[$(
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

/// Which client a configuration is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientKind {
    /// One that writes.
    Producer,
    /// One that reads.
    Consumer,
    /// One that changes and describes.
    Admin,
}

impl ClientKind {
    const ALL: [Self; 3] = [Self::Producer, Self::Consumer, Self::Admin];

    /// Every key of such a client.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        let own = match self {
            Self::Producer => client::producer::KEYS,
            Self::Consumer => client::consumer::KEYS,
            Self::Admin => client::admin::KEYS,
        };
        client::common::KEYS.iter().chain(own)
    }

    /// The key of that name.
    #[must_use]
    pub fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }

    /// Another kind of client that has a key of that name.
    #[must_use]
    pub fn other_with(self, name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|other| *other != self && other.key(name).is_some())
    }

    /// Whether a key of that name is about TLS or SASL.
    #[must_use]
    pub fn is_about_security(name: &str) -> bool {
        client::SECURITY.iter().any(|prefix| name.starts_with(prefix))
    }

    /// In a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Producer => "a producer",
            Self::Consumer => "a consumer",
            Self::Admin => "an admin client",
        }
    }
}

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
