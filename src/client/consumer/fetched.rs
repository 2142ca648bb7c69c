//! What was fetched of a partition, and the records in it.
//!
//! *Invariant*: records of aborted transactions and markers are never shown to who reads what is committed.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::client::error::ClientError;
use crate::client::group::member::Partition;
use crate::model::{Offset, ProducerId, Timestamp};
use crate::wire::Str;
use crate::wire::record::{BatchHeader, Batches, ControlType, DecompressionLimit, Headers, verify_crc};

/// Bytes one batch may have after decompression.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// What one answer has of one partition. May be empty.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Which partition.
    pub partition: Partition,
    /// Where the next fetch goes on.
    pub next: Offset,
    /// One past the last record that consumers may see.
    pub end: Offset,
    pub(super) from: Offset,
    pub(super) records: Bytes,
    /// Aborted transactions by first offset, latest first; empty when all records are wanted.
    pub(super) aborted: Vec<(Offset, ProducerId)>,
    /// `check.crcs`.
    pub(super) check_crcs: bool,
}

/// A record with memory of its own: slices of what was fetched, or of a batch that was decompressed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerRecord {
    /// The topic.
    pub topic: Str,
    /// The partition's number.
    pub partition: i32,
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its key, or null.
    pub key: Option<Bytes>,
    /// Its value, or null.
    pub value: Option<Bytes>,
    /// Its headers.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// A record as it was read.
#[derive(Clone, Copy, Debug)]
pub struct ReadRecord<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its key, or null.
    pub key: Option<&'a [u8]>,
    /// Its value, or null.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

impl Fetched {
    /// Shows every record to `see`, until it breaks. Control records and those of aborted transactions are left out.
    ///
    /// # Errors
    /// [`ClientError::Corrupt`] for bytes that are no batch or do not fit their CRC; what came before was shown.
    pub fn visit<E: From<ClientError>>(
        &self,
        mut see: impl FnMut(&ReadRecord<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        let corrupt = |reason: String| {
            let partition = format!("{}-{}", self.partition.0, self.partition.1);
            E::from(ClientError::Corrupt { partition, reason })
        };
        let mut aborted = Aborted::new(self.aborted.clone());
        let mut scratch = Vec::new();
        for batch in Batches::new(&self.records) {
            let (header, bytes) = batch.map_err(|error| corrupt(error.to_string()))?;
            if self.check_crcs {
                verify_crc(&header, bytes)
                    .map_err(|error| corrupt(format!("offset {}: {error}", header.base_offset)))?;
            }
            let limit = DecompressionLimit { bytes_max: DECOMPRESSED_BYTES_MAX };
            let records = header.read_records(bytes, limit, &mut scratch);
            let records = records.map_err(|error| corrupt(format!("offset {}: {error}", header.base_offset)))?;
            let hidden = aborted.hides(&header);
            for record in records {
                let record = record.map_err(|error| corrupt(format!("offset {}: {error}", header.base_offset)))?;
                if header.attributes.is_control() {
                    aborted.marker(&header, ControlType::of(&record).ok());
                    continue;
                }
                let offset = header.offset_of(&record);
                if hidden || offset < self.from {
                    continue;
                }
                let timestamp = header.timestamp_of(&record);
                let read =
                    ReadRecord { offset, timestamp, key: record.key, value: record.value, headers: record.headers };
                if see(&read)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Fetched {
    /// How many bytes it holds.
    #[must_use]
    pub(super) fn bytes(&self) -> usize {
        self.records.len()
    }

    /// All records that are to be seen.
    ///
    /// # Errors
    /// As [`Self::visit`].
    pub fn records(&self) -> Result<Vec<ConsumerRecord>, ClientError> {
        let mut records = Vec::new();
        let _all = self.visit(|record| -> Result<_, ClientError> {
            records.push(self.owned(record));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(records)
    }

    fn owned(&self, record: &ReadRecord<'_>) -> ConsumerRecord {
        // What was not compressed is a slice of what was fetched; the rest is copied.
        let within = self.records.as_ptr_range();
        let own = |bytes: &[u8]| {
            let range = bytes.as_ptr_range();
            if within.start <= range.start && range.end <= within.end {
                self.records.slice_ref(bytes)
            } else {
                Bytes::copy_from_slice(bytes)
            }
        };
        ConsumerRecord {
            topic: self.partition.0.clone(),
            partition: self.partition.1,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(own),
            value: record.value.map(own),
            headers: record.headers.iter().map(|header| (own(header.key), header.value.map(own))).collect(),
        }
    }
}

/// Which producers' transactional batches are to be left out while walking through an answer.
/// Source: KIP-98, `Fetcher.consumeAbortedTransactionsUpTo`.
struct Aborted {
    /// Not reached yet, latest first.
    ahead: Vec<(Offset, ProducerId)>,
    now: Vec<ProducerId>,
}

impl Aborted {
    fn new(mut ahead: Vec<(Offset, ProducerId)>) -> Self {
        ahead.sort_by(|a, b| b.cmp(a));
        Self { ahead, now: Vec::new() }
    }

    fn hides(&mut self, batch: &BatchHeader) -> bool {
        while let Some((_, producer)) = self.ahead.pop_if(|(first, _)| *first <= batch.last_offset()) {
            self.now.push(producer);
        }
        batch.attributes.is_transactional() && self.now.contains(&batch.producer_id)
    }

    fn marker(&mut self, batch: &BatchHeader, marker: Option<ControlType>) {
        if marker == Some(ControlType::Abort) {
            self.now.retain(|producer| *producer != batch.producer_id);
        }
    }
}
