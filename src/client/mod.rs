//! Talks to brokers as a client does.
//!
//! [`Connection`] is one broker, [`Cluster`] all of them; [`admin`] changes and describes topics, [`producer`] writes
//! records, [`reader`] reads them, and [`group`] reads them together with others.
//!
//! *Invariant*: everything ends in time: every request has a deadline, every retry a last one.
//! *Does not know*: the terminal, and how a broker does what it is asked.

mod address;
pub mod admin;
mod cluster;
pub mod config;
mod connection;
mod error;
pub mod group;
pub mod metadata;
pub mod producer;
pub mod reader;

pub use address::{Bootstrap, BrokerAddress, InvalidAddress};
pub use cluster::{BackOff, ClientOptions, Cluster, TopicLayout, broker_address};
pub use connection::{Answer, Connection, ConnectionOptions};
pub use error::{ClientError, is_retriable};
