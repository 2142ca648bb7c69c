//! Makes batches: for clients, for markers and for what the broker itself writes.
//!
//! *Invariant*: what is built is whole: lengths, counts, timestamps and CRC fit the records that were appended.
//! *Does not know*: when a batch is full; the caller asks [`BatchBuilder::bytes_uncompressed`].
//!
//! Source: Kafka 3.9 `MemoryRecordsBuilder.java`.

use bytes::Bytes;

use super::{
    Attributes, BATCH_HEADER_BYTES, BatchHeader, Codec, Compression, CompressionError, EndTransactionMarker, Header,
    Record, RecordError, TimestampType, compress,
};
use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// A record to be appended.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// When it was created.
    pub timestamp: Timestamp,
    /// Its key, or null.
    pub key: Option<&'a [u8]>,
    /// Its value, or null.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: &'a [Header<'a>],
}

impl Default for NewRecord<'_> {
    fn default() -> Self {
        Self { timestamp: Timestamp::NONE, key: None, value: None, headers: &[] }
    }
}

/// Why a batch could not be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BuildError {
    /// Nothing was appended.
    #[error("a batch needs a record")]
    Empty,
    /// A record or the batch is longer than 2³¹−1 bytes, or there are that many records.
    #[error("the batch grows beyond what its length field can say")]
    TooLarge,
    /// The codec failed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

impl From<RecordError> for BuildError {
    fn from(_: RecordError) -> Self {
        Self::TooLarge
    }
}

/// Collects records and makes one batch of them.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    /// What is known of the header so far; length and CRC come last.
    header: BatchHeader,
    /// Room for the header, then the records, uncompressed. Empty before the first.
    batch: Vec<u8>,
    /// Bytes that are reserved with the first record.
    room: usize,
}

impl BatchBuilder {
    /// An empty batch with offsets from 0, no leader epoch and no producer: what a producer that is not idempotent sends.
    #[must_use]
    pub fn new(compression: impl Into<Compression>) -> Self {
        let compression = compression.into();
        let header = BatchHeader {
            base_offset: Offset(0),
            len: BATCH_HEADER_BYTES,
            leader_epoch: LeaderEpoch::NONE,
            crc: 0,
            attributes: Attributes(0).with_codec(compression.codec),
            last_offset_delta: -1,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: -1,
            records: 0,
        };
        Self { compression, header, batch: Vec::new(), room: 0 }
    }

    /// Reserves so many bytes, header included, with the first record: as many as the batch is expected to take.
    #[must_use]
    pub const fn with_room(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self
    }

    /// Sets the offset of the first record and the epoch of the leader that appends it.
    #[must_use]
    pub const fn at(mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> Self {
        self.header.base_offset = base_offset;
        self.header.leader_epoch = leader_epoch;
        self
    }

    /// Sets the idempotent producer that sends it.
    #[must_use]
    pub const fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Makes it part of a transaction.
    #[must_use]
    pub const fn transactional(mut self) -> Self {
        self.header.attributes = self.header.attributes.transactional();
        self
    }

    /// Stamps every record with the time at which the broker appends it.
    #[must_use]
    pub const fn log_append_time(mut self, now: Timestamp) -> Self {
        self.header.attributes = self.header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.header.max_timestamp = now;
        self
    }

    /// Appends a record.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`]; the batch then is as it was.
    pub fn append(&mut self, new: &NewRecord<'_>) -> Result<(), BuildError> {
        if self.header.records == 0 {
            self.header.base_timestamp = new.timestamp;
        }
        let record = Record {
            attributes: 0,
            timestamp_delta: new.timestamp.0.wrapping_sub(self.header.base_timestamp.0),
            offset_delta: self.header.records,
            key: new.key,
            value: new.value,
            headers: super::Headers::default(),
        };
        let len = record.encoded_len(new.headers).saturating_add(self.bytes_uncompressed());
        if i32::try_from(len).is_err() {
            return Err(BuildError::TooLarge);
        }
        if self.batch.is_empty() {
            self.batch.reserve_exact(self.room.max(len));
            self.batch.resize(BATCH_HEADER_BYTES, 0);
        }
        record.write(new.headers, &mut self.batch)?;
        self.header.records = self.header.records.saturating_add(1);
        self.header.last_offset_delta = self.header.records.saturating_sub(1);
        if self.header.attributes.timestamp_type() == TimestampType::CreateTime {
            self.header.max_timestamp = self.header.max_timestamp.max(new.timestamp);
        }
        Ok(())
    }

    /// Number of records appended.
    #[must_use]
    pub const fn records(&self) -> i32 {
        self.header.records
    }

    /// Bytes of the batch, header included, before compression.
    #[must_use]
    pub const fn bytes_uncompressed(&self) -> usize {
        if self.batch.is_empty() { BATCH_HEADER_BYTES } else { self.batch.len() }
    }

    /// The batch, whole.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(self) -> Result<Vec<u8>, BuildError> {
        Ok(self.finish()?.1)
    }

    /// The batch, as its header and its records block.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build_parts(self) -> Result<(BatchHeader, Bytes), BuildError> {
        let (header, batch) = self.finish()?;
        Ok((header, Bytes::from(batch).split_off(BATCH_HEADER_BYTES)))
    }

    fn finish(self) -> Result<(BatchHeader, Vec<u8>), BuildError> {
        if self.header.records == 0 {
            return Err(BuildError::Empty);
        }
        let mut batch = self.batch;
        if self.compression.codec != Codec::None {
            let mut compressed = vec![0; BATCH_HEADER_BYTES];
            compress(self.compression, batch.get(BATCH_HEADER_BYTES..).unwrap_or_default(), &mut compressed)?;
            batch = compressed;
        }
        if i32::try_from(batch.len()).is_err() {
            return Err(BuildError::TooLarge);
        }
        let (head, body) = batch.split_first_chunk_mut().ok_or(BuildError::Empty)?;
        let header = self.header.sealed(body);
        *head = header.encode();
        Ok((header, batch))
    }

    /// A control batch that ends a producer's transaction in one partition.
    ///
    /// # Errors
    /// None that can happen: a marker is small.
    pub fn end_transaction(
        marker: EndTransactionMarker,
        producer: (ProducerId, ProducerEpoch),
        now: Timestamp,
    ) -> Result<Vec<u8>, BuildError> {
        let mut builder = Self::new(Compression::default()).producer(producer.0, producer.1, -1).transactional();
        builder.header.attributes = builder.header.attributes.control();
        let (key, value) = (marker.key(), marker.value());
        builder.append(&NewRecord { timestamp: now, key: Some(&key), value: Some(&value), headers: &[] })?;
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "tests")]
    use super::super::{DecompressionLimit, TransactionOutcome, verify_crc};
    use super::*;

    const LIMIT: DecompressionLimit = DecompressionLimit { bytes_max: 1 << 20 };

    #[test]
    fn a_batch_says_what_was_appended() {
        for codec in Codec::ALL {
            let mut builder = BatchBuilder::new(codec)
                .at(Offset(100), LeaderEpoch(7))
                .producer(ProducerId(5), ProducerEpoch(2), i32::MAX)
                .transactional();
            let headers = [Header { key: b"h", value: None }];
            for (timestamp, value) in [(500, b"a"), (900, b"b"), (400, b"c")] {
                let record =
                    NewRecord { timestamp: Timestamp(timestamp), value: Some(value), key: None, headers: &headers };
                builder.append(&record).expect("a small record");
            }
            assert_eq!(builder.records(), 3);
            let (head, block) = builder.clone().with_room(500).build_parts().expect("a small batch");
            let batch = builder.build().expect("a small batch");
            let header = BatchHeader::decode(&batch).expect("a header");
            assert_eq!((head, &block[..]), (header, batch.get(BATCH_HEADER_BYTES..).unwrap_or_default()));
            assert_eq!(verify_crc(&header, &batch), Ok(()));
            assert_eq!((header.len, header.records, header.last_offset()), (batch.len(), 3, Offset(102)));
            assert_eq!((header.base_timestamp, header.max_timestamp), (Timestamp(500), Timestamp(900)));
            assert_eq!((header.attributes.codec(), header.attributes.is_transactional()), (Ok(codec), true));
            assert_eq!(header.last_sequence(), 1, "it wraps");
            let mut scratch = Vec::new();
            let read = header.read_records(&batch, LIMIT, &mut scratch).expect("records");
            let read = read
                .map(|record| {
                    record.map(|record| (header.offset_of(&record), header.timestamp_of(&record), record.value))
                })
                .collect::<Result<Vec<_>, _>>();
            let expected = [(100, 500, b"a"), (101, 900, b"b"), (102, 400, b"c")];
            let expected = expected.map(|(offset, time, value)| (Offset(offset), Timestamp(time), Some(&value[..])));
            assert_eq!(read.as_deref(), Ok(&expected[..]));
        }
    }

    #[test]
    fn a_marker_is_a_control_batch_of_one_record() {
        let marker = EndTransactionMarker { outcome: TransactionOutcome::Aborted, coordinator_epoch: 3 };
        let producer = (ProducerId(9), ProducerEpoch(1));
        let batch = BatchBuilder::end_transaction(marker, producer, Timestamp(77)).expect("a marker");
        let header = BatchHeader::decode(&batch).expect("a header");
        assert!(header.attributes.is_control() && header.attributes.is_transactional());
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (producer.0, producer.1, -1));
        let mut scratch = Vec::new();
        let mut records = header.read_records(&batch, LIMIT, &mut scratch).expect("records");
        let record = records.next().expect("one").expect("a record");
        assert_eq!(EndTransactionMarker::of(&record), Ok(Some(marker)));
        assert_eq!(records.next(), None);
    }

    #[test]
    fn nothing_makes_no_batch() {
        assert_eq!(BatchBuilder::new(Codec::None).build(), Err(BuildError::Empty));
        assert_eq!(BatchBuilder::new(Codec::None).build_parts(), Err(BuildError::Empty));
    }
}
