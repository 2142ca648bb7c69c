//! A batch that the broker refuses as too large becomes two halves, which are sent again in its place.
//!
//! Source: Kafka 3.9 `RecordAccumulator.splitAndReenqueue`, `ProducerBatch.split`. There a batch is cut into pieces of
//! `batch.size`; here into halves, until it fits or is one record, since what the broker refuses may be smaller than that.

use super::{Batch, Making, Queue, Retry};
use crate::model::Moment;
use crate::wire::record::{BatchBuilder, BatchHeader, DecompressionLimit, NewRecord, Records};

impl Queue {
    /// Puts the halves of a batch that was on the way back in its place, with its sequence numbers. The broker surely has none
    /// of it. Without an error nothing of it is lost.
    ///
    /// # Errors
    /// The batch itself: it is one record, or its bytes cannot be read.
    pub(in crate::client::producer) fn split(
        &mut self,
        batch: Batch,
        now: Moment,
        making: &Making,
    ) -> Result<(), Box<Batch>> {
        let count = batch.records / 2;
        let Some((left, right)) = halves(&batch, count, making) else { return Err(Box::new(batch)) };
        let reserved = batch.reserved / 2;
        let (of_left, of_right) = batch.promise.split(count);
        let half = |bytes: Vec<u8>, promise| Batch {
            bytes: bytes.into(),
            number: batch.number,
            first: batch.first,
            records: count,
            sequence: batch.sequence,
            created: batch.created,
            tries: 0,
            doubtful: batch.doubtful,
            reserved,
            promise,
        };
        let left = half(left, of_left);
        let mut right = half(right, of_right);
        right.first += count;
        right.records = batch.records - count;
        right.reserved = batch.reserved - reserved;
        if 0 <= batch.sequence {
            right.sequence = super::after(batch.sequence, count);
        }
        self.on_the_way -= 1;
        self.insert(left);
        self.insert(right);
        // What is on the way behind it comes back first: it is out of sequence.
        let back_off = self.retry.map_or(making.back_off, |retry| retry.back_off);
        self.retry.get_or_insert(Retry { back_off, not_before: now });
        self.settle_restart();
        Ok(())
    }
}

/// The batches of the first `count` records and of the others, under the same identity.
fn halves(batch: &Batch, count: u32, making: &Making) -> Option<(Vec<u8>, Vec<u8>)> {
    let header = BatchHeader::decode(&batch.bytes).ok().filter(|_| 0 < count)?;
    // A batch of several records is no larger uncompressed.
    let limit = DecompressionLimit { bytes_max: making.batch_bytes };
    let mut scratch = Vec::new();
    let mut records = header.read_records(&batch.bytes, limit, &mut scratch).ok()?;
    let left = batch_of(&header, &mut records, usize::try_from(count).ok()?, batch.sequence, making)?;
    let sequence = if batch.sequence < 0 { -1 } else { super::after(batch.sequence, count) };
    let right = batch_of(&header, &mut records, usize::MAX, sequence, making)?;
    Some((left, right))
}

fn batch_of(
    header: &BatchHeader,
    records: &mut Records<'_>,
    count: usize,
    sequence: i32,
    making: &Making,
) -> Option<Vec<u8>> {
    let mut builder = BatchBuilder::new(making.compression);
    for record in records.take(count) {
        let record = record.ok()?;
        let headers = record.headers.iter().collect::<Vec<_>>();
        let timestamp = header.timestamp_of(&record);
        let record = NewRecord { timestamp, key: record.key, value: record.value, headers: &headers };
        builder.append(&record).ok()?;
    }
    if 0 <= sequence {
        builder = builder.producer(header.producer_id, header.producer_epoch, sequence);
    }
    builder.build().ok()
}
