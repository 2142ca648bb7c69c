//! The log on disk, in Kafka's formats to the byte. The only user of the disk, through one port ([`disk`]).
//!
//! *Invariant*: only a torn tail above the recovery point is ever cut (law 10).
//! *Does not know*: who leads, who follows, who asks.
#![warn(clippy::indexing_slicing, clippy::expect_used)]

pub mod checkpoint;
pub mod clean_shutdown;
pub mod directory;
pub mod disk;
pub mod filename;
pub mod index;
mod java_properties;
mod kafka_files;
pub mod leader_epoch;
pub mod log;
pub mod log_dirs;
pub mod meta_properties;
pub mod open_files;
pub mod partition_metadata;
pub mod producer_snapshot;
pub mod producer_state;
mod scan;
mod segment;
pub mod transaction_index;
