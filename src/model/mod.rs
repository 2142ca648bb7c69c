//! The vocabulary of the broker: what things are called, and nothing of what is done with them.
//!
//! *Does not know*: bytes on the wire, files, actors. Imports nothing of this crate.
#![warn(missing_docs)]

mod errors;
mod ids;
mod time;
mod topic;

pub mod bug;
pub mod durability;
pub mod limits;

pub use bug::Bug;
pub use durability::Durability;
pub use errors::ErrorCode;
pub use ids::{
    BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, Offset, PartitionEpoch, PartitionIndex, ProducerEpoch,
    ProducerId,
};
pub use time::{Clock, Entropy, Moment, Timestamp};
pub use topic::{InvalidTopicName, TopicId, TopicName, TopicPartition};
