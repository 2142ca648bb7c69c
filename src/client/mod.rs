//! Talks to brokers as a client does.
//!
//! [`Connection`] is one broker, [`Cluster`] all of them; [`admin`] changes and describes topics, [`producer`] writes
//! records, [`consumer`] reads them, alone or as a member of a [`group`], and [`config`] reads Kafka's configuration keys.
//!
//! *Invariant*: everything ends in time: every request has a deadline, every retry a last one.
//! *Does not know*: the terminal, and how a broker does what it is asked.

mod address;
pub mod admin;
mod cluster;
pub mod config;
mod connection;
pub mod consumer;
mod error;
pub mod group;
pub mod metadata;
pub mod producer;

pub use address::{Bootstrap, BrokerAddress, InvalidAddress};
pub use cluster::{BackOff, ClientOptions, Cluster, TopicLayout, broker_address};
pub use connection::{Answer, Connection, ConnectionOptions, Way};
pub use error::{ClientError, is_retriable};
