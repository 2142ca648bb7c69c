//! One table of keys ([`table`]), from which follow the parser, DescribeConfigs, the documentation and `--help`.
//!
//! *Invariant*: no key, default or range is said anywhere but in the table.
//! *Does not know*: files (the caller reads them), ZooKeeper (the caller brings what stands under `/config`), and the
//! bytes of requests.

mod alter;
mod broker;
mod describe;
mod document;
mod group;
mod load;
mod settings;
mod topic;

pub mod key;
pub mod listener;
pub mod properties;
pub mod table;
pub mod value;

#[cfg(test)]
mod tests;

pub use alter::{
    BrokerScope, Change, Operation, Refusal, Wanted, alter_broker, alter_topic, broker_scope, new_topic, usable,
};
pub use broker::{
    BrokerConfig, CleanerConfig, Conflict, ConnectionConfig, LogConfig, LoggingConfig, LoginScheme, ReplicationConfig,
    TopicRules, ZooKeeperConfig, ZooKeeperLogin, ZooKeeperTls,
};
pub use describe::{ConfigSource, Described, Synonym, describe_broker, describe_broker_defaults, describe_topic};
pub use document::{help, quickstart_properties, server_properties};
pub use group::GroupConfig;
pub use key::{Importance, Key, Status, Type, Update, Valid};
pub use listener::{Listener, SecurityProtocol};
pub use load::{Ineffective, Loaded, Place, Problem, Problems, Warning, load, nearest_of};
pub use settings::{Layers, Settings};
pub use topic::{CleanupPolicy, Compression, ThrottledReplicas, TimestampType, TopicConfig, TopicDefaults};
pub use value::{BadValue, Secret, Value};
