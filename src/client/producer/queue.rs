//! The batches of one partition, from their first record to their acknowledgement.

use std::collections::VecDeque;

use bytes::Bytes;

use super::IN_FLIGHT_PER_PARTITION_MAX;
use crate::client::BackOff;
use crate::model::{Moment, ProducerEpoch, ProducerId};
use crate::wire::record::{BatchBuilder, BuildError, Compression, NewRecord};

/// Bytes that a record takes beside its key, value and headers, at most: lengths, deltas and counts as varints.
const RECORD_OVERHEAD_BYTES_MAX: usize = 21;

/// A closed batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Batch {
    pub(super) bytes: Bytes,
    pub(super) records: u32,
    /// Counts the partition's batches: their order.
    number: u64,
    /// When it was first taken to be sent.
    pub(super) first_tried: Option<Moment>,
}

/// One partition's batches.
#[derive(Debug)]
pub(super) struct Queue {
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    compression: Compression,
    /// Sequence number of the next record, for an idempotent producer.
    next_sequence: i32,
    next_number: u64,
    open: Option<BatchBuilder>,
    /// Closed and not on the way, in order.
    ready: VecDeque<Batch>,
    on_the_way: usize,
    retry: Option<Retry>,
}

/// Something failed: what is on the way comes back first, then all is sent again, in order.
#[derive(Clone, Copy, Debug)]
struct Retry {
    back_off: BackOff,
    not_before: Moment,
}

impl Queue {
    pub(super) fn new(producer_id: ProducerId, producer_epoch: ProducerEpoch, compression: Compression) -> Self {
        Self {
            producer_id,
            producer_epoch,
            compression,
            next_sequence: 0,
            next_number: 0,
            open: None,
            ready: VecDeque::new(),
            on_the_way: 0,
            retry: None,
        }
    }

    /// Appends to the open batch. When that closes a batch, because the record no longer fits or fills it: its bytes.
    pub(super) fn append(&mut self, record: &NewRecord<'_>, batch_bytes: usize) -> Result<Option<usize>, BuildError> {
        let body = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let headers = record.headers.iter().map(|header| header.key.len() + body(header.value) + 10).sum::<usize>();
        let needed = body(record.key) + body(record.value) + headers + RECORD_OVERHEAD_BYTES_MAX;
        let overfull = self.open.as_ref().is_some_and(|open| batch_bytes < open.bytes_uncompressed() + needed);
        let mut closed = if overfull { self.close()? } else { None };
        let compression = self.compression;
        let open = self.open.get_or_insert_with(|| BatchBuilder::new(compression));
        open.append(record)?;
        if batch_bytes <= open.bytes_uncompressed() {
            let bytes = self.close()?;
            closed = closed.into_iter().chain(bytes).reduce(|a, b| a + b);
        }
        Ok(closed)
    }

    /// Closes the open batch, if there is one: its bytes.
    pub(super) fn close(&mut self) -> Result<Option<usize>, BuildError> {
        let Some(open) = self.open.take() else { return Ok(None) };
        let count = open.records();
        let bytes = if self.producer_id == ProducerId::NONE {
            open.build()?
        } else {
            let sequence = self.next_sequence;
            self.next_sequence = sequence.wrapping_add(count) & i32::MAX;
            open.producer(self.producer_id, self.producer_epoch, sequence).build()?
        };
        let len = bytes.len();
        let batch = Batch {
            bytes: bytes.into(),
            records: u32::try_from(count).unwrap_or_default(),
            number: self.next_number,
            first_tried: None,
        };
        self.next_number += 1;
        self.ready.push_back(batch);
        Ok(Some(len))
    }

    /// The next batch to send now, if one may be.
    pub(super) fn take(&mut self, now: Moment) -> Option<Batch> {
        let allowed = match &self.retry {
            None => self.on_the_way < IN_FLIGHT_PER_PARTITION_MAX,
            // One at a time until one is acknowledged.
            Some(retry) => self.on_the_way == 0 && retry.not_before <= now,
        };
        let mut batch = if allowed { self.ready.pop_front() } else { None }?;
        batch.first_tried.get_or_insert(now);
        self.on_the_way += 1;
        Some(batch)
    }

    /// One that was on the way is written.
    pub(super) fn acknowledged(&mut self) {
        self.on_the_way -= 1;
        if self.on_the_way == 0 {
            self.retry = None;
        }
    }

    /// One that was on the way is to be sent again.
    pub(super) fn failed(&mut self, batch: Batch, now: Moment) {
        self.on_the_way -= 1;
        let place = self.ready.partition_point(|other| other.number < batch.number);
        self.ready.insert(place, batch);
        let mut back_off = self.retry.map_or_else(BackOff::new, |retry| retry.back_off);
        // The batches that come back behind the first failure belong to the same one.
        if self.on_the_way == 0 || self.retry.is_none() {
            let not_before = now.after(back_off.advance());
            self.retry = Some(Retry { back_off, not_before });
        }
    }

    pub(super) fn is_retrying(&self) -> bool {
        self.retry.is_some()
    }

    /// Whether closed batches wait to be sent.
    pub(super) fn is_waiting(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When there is something to send again, if only time is missing.
    pub(super) fn again_at(&self) -> Option<Moment> {
        self.retry.filter(|_| self.on_the_way == 0 && !self.ready.is_empty()).map(|retry| retry.not_before)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::record::{BatchHeader, Codec};

    fn queue() -> Queue {
        Queue::new(ProducerId(7), ProducerEpoch(0), Codec::None.into())
    }

    fn value(bytes: &[u8]) -> NewRecord<'_> {
        NewRecord { value: Some(bytes), ..NewRecord::default() }
    }

    fn sequence(batch: &Batch) -> i32 {
        BatchHeader::decode(&batch.bytes).expect("a batch").base_sequence
    }

    #[test]
    fn batches_close_when_full_and_number_their_records() {
        let mut queue = queue();
        let mut closed = 0;
        for _ in 0..100 {
            closed += usize::from(queue.append(&value(&[0; 100]), 1000).expect("small").is_some());
        }
        queue.close().expect("small");
        assert!(10 < closed && closed < 20, "{closed}");
        let now = Moment::default();
        let batches = std::iter::from_fn(|| queue.take(now)).collect::<Vec<_>>();
        assert_eq!(batches.len(), IN_FLIGHT_PER_PARTITION_MAX, "no more on the way at once");
        let mut expected = 0;
        for batch in &batches {
            assert!(batch.bytes.len() <= 1000);
            assert_eq!(sequence(batch), expected);
            expected += i32::try_from(batch.records).expect("few");
        }
    }

    #[test]
    fn a_record_larger_than_a_batch_goes_alone() {
        let mut queue = queue();
        assert_eq!(queue.append(&value(b"small"), 1000), Ok(None));
        assert!(queue.append(&value(&[0; 5000]), 1000).expect("fits").is_some());
        let now = Moment::default();
        assert_eq!(queue.take(now).map(|batch| batch.records), Some(1));
        assert_eq!(queue.take(now).map(|batch| batch.records), Some(1));
        assert_eq!(queue.take(now), None);
    }

    #[test]
    fn after_a_failure_everything_comes_back_and_goes_again_in_order() {
        let mut queue = queue();
        for _ in 0..4 {
            queue.append(&value(b"x"), 1).expect("small");
        }
        let now = Moment::default();
        let mut sent = std::iter::from_fn(|| queue.take(now)).collect::<Vec<_>>();
        assert_eq!(sent.iter().map(sequence).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let last = sent.pop().expect("four");
        queue.failed(sent.remove(1), now);
        assert!(queue.is_retrying());
        assert_eq!(queue.take(now), None, "others are still on the way");
        queue.failed(last, now);
        queue.failed(sent.remove(1), now);
        queue.acknowledged();
        assert_eq!(queue.take(now).map(|batch| sequence(&batch)), Some(1));
        queue.acknowledged();
        let later = now.after(Duration::from_secs(1));
        let again = std::iter::from_fn(|| queue.take(later)).collect::<Vec<_>>();
        assert_eq!(again.iter().map(sequence).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn each_try_waits_longer() {
        let mut queue = queue();
        queue.append(&value(b"x"), 1).expect("small");
        let mut now = Moment::default();
        let mut waits = Vec::new();
        for _ in 0..3 {
            let batch = queue.take(now).expect("its time has come");
            queue.failed(batch, now);
            let again = queue.again_at().expect("something to send again");
            waits.push(again.since(now).as_millis());
            assert_eq!(queue.take(now), None);
            now = again;
        }
        assert_eq!(waits, [50, 100, 200]);
    }
}
