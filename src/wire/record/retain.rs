//! A batch of which compaction keeps only some records, or none.
//!
//! *Invariant*: the range of offsets and of sequence numbers stays as it was, whatever records go.
//! *Does not know*: which records are kept.
//!
//! Source: Kafka 3.9 `MemoryRecords.filterTo`, `buildRetainedRecordsInto`, `DefaultRecordBatch.writeEmptyHeader`; KIP-534.

use super::{BATCH_HEADER_BYTES, BatchHeader, BuildError, Compression, Record, TimestampType, compress};
use crate::model::Timestamp;

impl BatchHeader {
    /// When tombstones, and markers of transactions that left nothing else, may go.
    #[must_use]
    pub const fn delete_horizon(&self) -> Option<Timestamp> {
        if self.attributes.has_delete_horizon() { Some(self.base_timestamp) } else { None }
    }

    /// Appends to `out` the batch with this header and `retained`, which are its records or some of them, not none, and gives
    /// its header. It is compressed with the codec that it had, at Kafka's default level. A `delete_horizon` becomes its base
    /// timestamp; the records' own timestamps stay.
    ///
    /// # Errors
    /// [`BuildError`]; `out` may then have grown.
    pub fn retain(
        &self,
        retained: &[Record<'_>],
        delete_horizon: Option<Timestamp>,
        out: &mut Vec<u8>,
    ) -> Result<Self, BuildError> {
        let times = retained.iter().map(|record| self.timestamp_of(record));
        let first = times.clone().next().ok_or(BuildError::Empty)?;
        let base_timestamp = delete_horizon.unwrap_or(first);
        let mut block = Vec::new();
        for (record, timestamp) in retained.iter().zip(times.clone()) {
            let timestamp_delta = timestamp.0.wrapping_sub(base_timestamp.0);
            Record { timestamp_delta, ..*record }.copy_to(&mut block)?;
        }
        let codec = self.attributes.codec().map_err(|_| BuildError::TooLarge)?;
        let start = out.len();
        out.resize(start.saturating_add(BATCH_HEADER_BYTES), 0);
        compress(Compression::from(codec), &block, out)?;
        let header = Self {
            base_timestamp,
            max_timestamp: match self.attributes.timestamp_type() {
                TimestampType::LogAppendTime => self.max_timestamp,
                TimestampType::CreateTime => times.max().unwrap_or(self.max_timestamp),
            },
            attributes: match delete_horizon {
                Some(_) => self.attributes.with_delete_horizon(),
                None => self.attributes,
            },
            records: i32::try_from(retained.len()).map_err(|_| BuildError::TooLarge)?,
            ..*self
        };
        let batch = out.get_mut(start..).unwrap_or_default();
        if i32::try_from(batch.len()).is_err() {
            return Err(BuildError::TooLarge);
        }
        let (head, body) = batch.split_first_chunk_mut().ok_or(BuildError::Empty)?;
        let header = header.sealed(body);
        *head = header.encode();
        Ok(header)
    }

    /// The header of this batch without its records, which is then the whole batch: it still says the offsets, the producer and
    /// its sequence numbers.
    #[must_use]
    pub fn emptied(&self) -> Self {
        let attributes = self.attributes.emptied();
        Self { base_timestamp: Timestamp::NONE, attributes, records: 0, ..*self }.sealed(&[])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
    use super::super::{BatchBuilder, Codec, DecompressionLimit, NewRecord, verify_crc};
    use super::*;
    use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

    const LIMIT: DecompressionLimit = DecompressionLimit { bytes_max: 1 << 20 };

    fn batch(codec: Codec) -> Vec<u8> {
        let mut builder = BatchBuilder::new(codec)
            .at(Offset(50), LeaderEpoch(2))
            .producer(ProducerId(4), ProducerEpoch(1), 10)
            .transactional();
        for (time, key) in [(500, b"a"), (900, b"b"), (700, b"c")] {
            let record = NewRecord { timestamp: Timestamp(time), key: Some(key), value: Some(b"v"), headers: &[] };
            builder.append(&record).expect("a small record");
        }
        builder.build().expect("a small batch")
    }

    #[test]
    fn what_is_kept_keeps_its_offset_and_time_and_the_batch_its_range() {
        for codec in Codec::ALL {
            for horizon in [None, Some(Timestamp(1_000_000))] {
                let whole = batch(codec);
                let header = BatchHeader::decode(&whole).expect("a header");
                let mut scratch = Vec::new();
                let records = header.read_records(&whole, LIMIT, &mut scratch).expect("records");
                let kept = records.map(|record| record.expect("a record")).filter(|r| r.key != Some(b"b"));
                let kept = kept.collect::<Vec<_>>();
                let mut out = b"before".to_vec();
                let retained = header.retain(&kept, horizon, &mut out).expect("a batch");
                let rebuilt = &out[6..];
                assert_eq!(BatchHeader::decode(rebuilt), Ok(retained));
                assert_eq!(verify_crc(&retained, rebuilt), Ok(()));
                assert_eq!(retained.len, rebuilt.len());
                assert_eq!((retained.base_offset, retained.last_offset()), (Offset(50), Offset(52)));
                assert_eq!((retained.base_sequence, retained.last_sequence()), (10, 12));
                assert_eq!(retained.attributes.codec(), Ok(codec));
                assert!(retained.attributes.is_transactional());
                assert_eq!((retained.delete_horizon(), retained.max_timestamp), (horizon, Timestamp(700)));
                let mut scratch = Vec::new();
                let read = retained.read_records(rebuilt, LIMIT, &mut scratch).expect("records");
                let read = read.map(|record| record.expect("a record"));
                let read = read.map(|r| (retained.offset_of(&r).0, retained.timestamp_of(&r).0)).collect::<Vec<_>>();
                assert_eq!(read, [(50, 500), (52, 700)]);
            }
        }
    }

    #[test]
    fn an_emptied_batch_is_its_header() {
        let whole = batch(Codec::Zstd);
        let header = BatchHeader::decode(&whole).expect("a header");
        let emptied = header.emptied();
        let bytes = emptied.encode();
        assert_eq!(BatchHeader::decode(&bytes), Ok(emptied));
        assert_eq!(verify_crc(&emptied, &bytes), Ok(()));
        assert_eq!((emptied.len, emptied.records, emptied.base_timestamp), (bytes.len(), 0, Timestamp::NONE));
        assert_eq!((emptied.last_offset(), emptied.last_sequence()), (Offset(52), 12));
        assert_eq!((emptied.max_timestamp, emptied.attributes.codec()), (Timestamp(900), Ok(Codec::None)));
        assert!(emptied.attributes.is_transactional() && !emptied.attributes.is_control());
    }
}
