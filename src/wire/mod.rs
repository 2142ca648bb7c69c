//! The Kafka protocol: bytes to values and back.
//!
//! *Invariant*: a decoder never panics and never allocates more than its input can fill.
//! *Does not know*: sockets, files, what a request is for.
#![warn(missing_docs)]
#![warn(clippy::indexing_slicing, clippy::expect_used)]

pub mod message;
pub mod record;
