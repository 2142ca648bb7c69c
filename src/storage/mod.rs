//! The log on disk, in Kafka's formats to the byte. The only user of the disk, through one port ([`disk`]).
//!
//! *Invariant*: only a torn tail above the recovery point is ever cut (law 10).
//! *Does not know*: who leads, who follows, who asks.
#![warn(clippy::indexing_slicing, clippy::expect_used)]

pub mod log;
pub mod log_dirs;
pub mod open_files;
mod scan;
mod segment;

pub mod disk;

// Files, from the log directory down to a segment.
pub mod checkpoint;
pub mod clean_shutdown;
pub mod directory;
pub mod filename;
pub mod index;
mod java_properties;
pub mod leader_epoch;
pub mod meta_properties;
pub mod partition_metadata;
pub mod producer_snapshot;
pub mod producer_state;
pub mod transaction_index;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod kafka_files;
