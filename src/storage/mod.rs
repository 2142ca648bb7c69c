//! The log on disk, in Kafka's formats to the byte. The only user of the disk, through one port ([`disk`]).
//!
//! *Invariant*: only a torn tail above the recovery point is ever cut (law 10).
//! *Does not know*: who leads, who follows, who asks.
#![warn(clippy::indexing_slicing, clippy::expect_used)]

pub mod disk;
pub mod index;
pub mod log;
pub mod log_dirs;
pub mod producer_snapshot;
pub mod producer_state;
pub mod transaction_index;
