//! Record batches (magic 2) and what is inside them.
//!
//! A batch travels and is stored as it came: the broker patches offset and leader epoch in place ([`assign_offset`]),
//! which lie outside the CRC, and looks inside only where a topic's settings demand it.
//!
//! Source: Kafka 3.9 `DefaultRecordBatch.java`; KIP-98, KIP-101.

mod batch;
mod batches;
mod builder;
mod compression;
mod control;
pub mod legacy;
mod patch;
mod records;
mod retain;
mod validate;
mod varint;

#[cfg(test)]
mod tests;

pub use batch::{Attributes, BATCH_HEADER_BYTES, BatchError, BatchHeader, Codec, TimestampType, verify_crc};
pub use batches::{Batches, ReadError};
pub use builder::{BatchBuilder, BuildError, NewRecord};
pub use compression::{Compression, CompressionError, DecompressionLimit, compress, decompress};
pub use control::{ControlError, ControlType, EndTransactionMarker, TransactionOutcome};
pub use patch::{assign_offset, stamp_append_time};
pub use records::{Header, Headers, RECORD_BYTES_MIN, Record, RecordError, Records};
pub use validate::{RECORD_ERRORS_MAX, RejectedRecord, Rejection, Rules, ValidBatch, validate, validate_own};
