//! The batches of one partition, from their first record to what becomes of them.
//!
//! *Invariant*: batches are sent in the order in which they were closed; after a failure nothing is sent before everything
//! on the way has come back. The sequence numbers of what the broker has, and of what it is sent next, have no gap between
//! them: behind a batch that was given up they are made anew (KIP-98, KIP-360).
//! *Does not know*: where the partition is, and how much memory there is.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::delivery::{Outcome, Promise};
use crate::client::BackOff;
use crate::model::{Moment, ProducerEpoch, ProducerId};
use crate::wire::record::{BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, BuildError, Compression, NewRecord};

mod split;

/// How often in a row the first batch may be said to be out of sequence. Then the broker has lost what was before it, or has the batch
/// already and has forgotten that (it knows the last five, and after a start only the last).
const ASTRAY_MAX: u32 = 5;

/// Bytes that a record takes beside its key, value and headers, at most: lengths, deltas and counts as varints.
const RECORD_OVERHEAD_BYTES_MAX: usize = 21;

/// The most that a record takes in a batch, uncompressed.
pub(super) fn record_bytes_max(record: &NewRecord<'_>) -> usize {
    let body = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    let headers = record.headers.iter().map(|header| header.key.len() + body(header.value) + 10).sum::<usize>();
    body(record.key) + body(record.value) + headers + RECORD_OVERHEAD_BYTES_MAX
}

/// How a queue's batches are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Making {
    pub(super) compression: Compression,
    pub(super) batch_bytes: usize,
    pub(super) linger: Duration,
    pub(super) back_off: BackOff,
    pub(super) in_flight_max: usize,
}

/// Which batch is meant, over all partitions: later ones have higher numbers.
pub(super) type BatchNumber = u64;

/// A closed batch. Without bytes it could not be made.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) bytes: Bytes,
    pub(super) number: BatchNumber,
    /// Which of the records of that number comes first: 0 but for what was split.
    first: u32,
    pub(super) records: u32,
    /// −1 without idempotence.
    sequence: i32,
    pub(super) created: Moment,
    /// How often it was sent.
    pub(super) tries: u32,
    /// A try was not answered, or in a way that leaves open whether it was written.
    pub(super) doubtful: bool,
    /// Memory that it was given.
    pub(super) reserved: usize,
    pub(super) promise: Promise,
}

impl Batch {
    /// Its place among the batches of its partition.
    const fn order(&self) -> (BatchNumber, u32) {
        (self.number, self.first)
    }
}

/// A batch that still takes records.
#[derive(Debug)]
struct Open {
    builder: BatchBuilder,
    number: BatchNumber,
    created: Moment,
    reserved: usize,
    promise: Promise,
}

/// Who writes, for the broker to know repetitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub(super) id: ProducerId,
    pub(super) epoch: ProducerEpoch,
}

/// Sequence numbers are to be made anew once nothing is on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Restart {
    /// From here: what stood there, this batch, was refused, and the broker waits for it.
    At(i32, (BatchNumber, u32)),
    /// From 0 under the next epoch, or a new identity: nobody knows what the broker has.
    Anew,
}

/// Something failed: what is on the way comes back first, then all is sent again, in order.
#[derive(Clone, Copy, Debug)]
struct Retry {
    back_off: BackOff,
    not_before: Moment,
}

/// One partition's batches.
#[derive(Debug)]
pub(super) struct Queue {
    /// `None` without idempotence, or before there is one.
    identity: Option<Identity>,
    /// Sequence number of the next record that is closed into a batch.
    next_sequence: i32,
    open: Option<Open>,
    /// Closed and not on the way, in order.
    ready: VecDeque<Batch>,
    on_the_way: usize,
    retry: Option<Retry>,
    restart: Option<Restart>,
    /// How many times in a row the first batch was said to be out of sequence.
    astray: u32,
    /// Bytes that the next batch is given at once: `batch.size` behind one that was full, else 0, so that only busy partitions
    /// hold memory ahead of their records.
    room: usize,
}

/// What an append did.
#[derive(Debug)]
pub(super) struct Appended {
    pub(super) outcome: Rc<Outcome>,
    pub(super) index: u32,
    /// A batch was closed, or filled.
    pub(super) full: bool,
    /// The first record of a batch: somebody must know when its time is over.
    pub(super) first: bool,
}

impl Queue {
    pub(super) const fn new(idempotent: bool) -> Self {
        Self {
            identity: None,
            next_sequence: 0,
            open: None,
            ready: VecDeque::new(),
            on_the_way: 0,
            retry: None,
            restart: if idempotent { Some(Restart::Anew) } else { None },
            astray: 0,
            room: 0,
        }
    }

    /// Memory that a record needs here, `bytes` being the most that it takes: with a new batch more.
    pub(super) fn needs(&self, bytes: usize, making: &Making) -> usize {
        match &self.open {
            Some(open) if open.builder.bytes_uncompressed() + bytes <= making.batch_bytes => bytes,
            Some(_) | None => bytes + BATCH_HEADER_BYTES,
        }
    }

    /// Appends to the open batch; one that the record does not fit into is closed. `needed` is what [`Self::needs`] said.
    pub(super) fn append(
        &mut self,
        now: impl FnOnce() -> Moment,
        number: BatchNumber,
        record: &NewRecord<'_>,
        needed: usize,
        making: &Making,
    ) -> Result<Appended, BuildError> {
        let overfull =
            self.open.as_ref().is_some_and(|open| making.batch_bytes < open.builder.bytes_uncompressed() + needed);
        if overfull {
            self.close(making.batch_bytes);
        }
        let first = self.open.is_none();
        let open = self.open.get_or_insert_with(|| Open {
            builder: BatchBuilder::new(making.compression).with_room(self.room),
            number,
            created: now(),
            reserved: 0,
            promise: Promise::default(),
        });
        if let Err(error) = open.builder.append(record) {
            if first {
                self.open = None;
            }
            return Err(error);
        }
        open.reserved += needed;
        let outcome = open.promise.outcome();
        let index = open.builder.records().unsigned_abs() - 1;
        let filled = making.batch_bytes <= open.builder.bytes_uncompressed();
        if filled {
            self.close(making.batch_bytes);
        }
        Ok(Appended { outcome, index, full: overfull || filled, first })
    }

    fn close(&mut self, room: usize) {
        let Some(open) = self.open.take() else { return };
        self.room = room;
        let count = open.builder.records();
        let mut sequence = -1;
        let mut builder = open.builder;
        if let Some(Identity { id, epoch }) = self.identity {
            sequence = self.next_sequence;
            self.next_sequence = after(sequence, count.unsigned_abs());
            builder = builder.producer(id, epoch, sequence);
        }
        let bytes = builder.build().unwrap_or_default();
        self.ready.push_back(Batch {
            bytes: bytes.into(),
            number: open.number,
            first: 0,
            records: count.unsigned_abs(),
            sequence,
            created: open.created,
            tries: 0,
            doubtful: false,
            reserved: open.reserved,
            promise: open.promise,
        });
    }

    /// Whether the queue waits for an identity.
    pub(super) fn needs_identity(&self) -> bool {
        self.begins_anew() && self.holds_any()
    }

    /// From here on it writes under this identity.
    pub(super) fn identify(&mut self, identity: Identity) {
        if self.begins_anew() {
            self.begin(identity);
        }
    }

    fn begin(&mut self, identity: Identity) {
        self.identity = Some(identity);
        self.restart = Some(Restart::At(0, (0, 0)));
        self.settle_restart();
    }

    /// Whether nothing stands in the way of another identity.
    fn begins_anew(&self) -> bool {
        self.restart == Some(Restart::Anew) && self.on_the_way == 0 && !self.ready.iter().any(|batch| batch.doubtful)
    }

    /// Takes out the batches of which nobody knows whether they are written, when they would go again under another identity: the broker
    /// would not know them again.
    pub(super) fn take_doubtful(&mut self) -> Vec<Batch> {
        if self.restart != Some(Restart::Anew) || self.on_the_way != 0 {
            return Vec::new();
        }
        let (doubtful, others) = std::mem::take(&mut self.ready).into_iter().partition::<Vec<_>, _>(|it| it.doubtful);
        self.ready = others.into();
        doubtful
    }

    /// Makes the numbers anew when nothing is on the way.
    fn settle_restart(&mut self) {
        if let Some(Identity { id, epoch }) = self.identity
            && let Some(epoch) = epoch.0.checked_add(1)
            && self.begins_anew()
        {
            // The next epoch keeps out what is on the way under this one and comes late (KIP-360).
            return self.begin(Identity { id, epoch: ProducerEpoch(epoch) });
        }
        if let (Some(Restart::At(from, order)), Some(identity), 0) = (self.restart, self.identity, self.on_the_way) {
            // What stood in front of it comes again under its own number.
            let before = self.ready.front().filter(|batch| batch.order() < order);
            self.next_sequence = before.map_or(from, |batch| batch.sequence);
            for batch in &mut self.ready {
                batch.sequence = self.next_sequence;
                batch.bytes = renumbered(&batch.bytes, identity, batch.sequence);
                self.next_sequence = after(batch.sequence, batch.records);
            }
            self.restart = None;
        }
    }

    /// The next batch to send now, if one may be. With `hurry` the open one does not wait for its time to be over.
    pub(super) fn take(&mut self, now: Moment, hurry: bool, making: &Making) -> Option<Batch> {
        self.settle_restart();
        let allowed = self.restart.is_none()
            && match &self.retry {
                None => self.on_the_way < making.in_flight_max,
                // One at a time until one is acknowledged.
                Some(retry) => self.on_the_way == 0 && retry.not_before <= now,
            };
        if !allowed {
            return None;
        }
        let due = self.open.as_ref().is_some_and(|open| hurry || open.created.after(making.linger) <= now);
        if self.ready.is_empty() && due {
            self.close(0);
        }
        let mut batch = self.ready.pop_front()?;
        batch.tries += 1;
        self.on_the_way += 1;
        Some(batch)
    }

    /// One that was taken could not be sent now: it was never on its way.
    pub(super) fn put_back(&mut self, mut batch: Batch) {
        batch.tries -= 1;
        self.on_the_way -= 1;
        self.insert(batch);
    }

    /// One that was on the way is written.
    pub(super) fn acknowledged(&mut self) {
        self.on_the_way -= 1;
        self.astray = 0;
        if self.on_the_way == 0 {
            self.retry = None;
        }
        self.settle_restart();
    }

    /// One that was on the way is to be sent again.
    pub(super) fn failed(&mut self, batch: Batch, now: Moment, making: &Making) {
        self.on_the_way -= 1;
        self.insert(batch);
        let mut back_off = self.retry.map_or(making.back_off, |retry| retry.back_off);
        // The batches that come back behind the first failure belong to the same one.
        if self.on_the_way == 0 || self.retry.is_none() {
            let not_before = now.after(back_off.advance());
            self.retry = Some(Retry { back_off, not_before });
        }
        self.settle_restart();
    }

    /// One that was on the way is given up. `refused` when the broker surely does not have it.
    pub(super) fn given_up(&mut self, batch: &Batch, refused: bool) {
        self.on_the_way -= 1;
        self.astray = 0;
        self.skip(batch, refused);
        if self.on_the_way == 0 {
            self.retry = None;
        }
        self.settle_restart();
    }

    fn skip(&mut self, batch: &Batch, refused: bool) {
        if batch.sequence < 0 {
            return;
        }
        self.restart = match self.restart {
            Some(Restart::Anew) => Some(Restart::Anew),
            _ if !refused => Some(Restart::Anew),
            // Of several, the first: they come back in order.
            Some(at) => Some(at),
            None => Some(Restart::At(batch.sequence, batch.order())),
        };
    }

    /// Takes out the batches that wait for too long.
    pub(super) fn expired(&mut self, now: Moment, timeout: Duration) -> Vec<Batch> {
        let mut gone = Vec::new();
        while self.ready.front().is_some_and(|batch| batch.created.after(timeout) <= now) {
            let Some(batch) = self.ready.pop_front() else { break };
            // What was sent may be there.
            self.skip(&batch, batch.tries == 0);
            gone.push(batch);
        }
        gone
    }

    /// Takes everything that is not on the way.
    pub(super) fn abandon(&mut self) -> Vec<Batch> {
        let open = self.open.take().map(|open| Batch {
            bytes: Bytes::new(),
            number: open.number,
            first: 0,
            records: open.builder.records().unsigned_abs(),
            sequence: -1,
            created: open.created,
            tries: 0,
            doubtful: false,
            reserved: open.reserved,
            promise: open.promise,
        });
        self.ready.drain(..).chain(open).collect()
    }

    fn insert(&mut self, batch: Batch) {
        let place = self.ready.partition_point(|other| other.order() < batch.order());
        self.ready.insert(place, batch);
    }

    /// Whether a batch that was said to be out of sequence may come into it yet: surely behind one that goes again or was refused; as the
    /// first for some tries, since a leader that was replaced does not know what was written since.
    pub(super) fn may_come_into_sequence(&mut self, batch: &Batch) -> bool {
        let is_behind = self.ready.front().is_some_and(|first| first.order() < batch.order());
        if is_behind || self.restart.is_some() {
            return true;
        }
        self.astray += 1;
        self.astray < ASTRAY_MAX
    }

    /// Whether anything waits to be sent.
    pub(super) fn holds_any(&self) -> bool {
        self.open.is_some() || !self.ready.is_empty()
    }

    /// Batches that wait.
    pub(super) fn waiting(&self) -> usize {
        self.ready.len() + usize::from(self.open.is_some())
    }

    pub(super) const fn on_the_way(&self) -> usize {
        self.on_the_way
    }

    /// Since when the oldest batch waits.
    pub(super) fn waits_since(&self) -> Option<Moment> {
        let open = self.open.as_ref().map(|open| open.created);
        self.ready.front().map(|batch| batch.created).or(open)
    }

    /// When there is something to do, if only time is missing: to send, to send again, or to give up.
    pub(super) fn next_deadline(&self, making: &Making, delivery_timeout: Duration) -> Option<Moment> {
        let expires = self.ready.front().map(|batch| batch.created.after(delivery_timeout));
        let again = self.retry.filter(|_| self.on_the_way == 0 && !self.ready.is_empty()).map(|retry| retry.not_before);
        let open =
            self.open.as_ref().filter(|_| self.ready.is_empty() && self.restart.is_none() && self.retry.is_none());
        let due = open.filter(|_| self.on_the_way < making.in_flight_max).map(|open| open.created.after(making.linger));
        [expires, again, due].into_iter().flatten().min()
    }
}

/// The sequence number behind `records` more. It wraps at 2³¹.
fn after(sequence: i32, records: u32) -> i32 {
    sequence.wrapping_add(records.cast_signed()) & i32::MAX
}

/// The same batch under another identity or number.
fn renumbered(bytes: &Bytes, identity: Identity, sequence: i32) -> Bytes {
    let (Ok(header), Some((_, body))) = (BatchHeader::decode(bytes), bytes.split_at_checked(BATCH_HEADER_BYTES)) else {
        return bytes.clone();
    };
    let header =
        BatchHeader { producer_id: identity.id, producer_epoch: identity.epoch, base_sequence: sequence, ..header };
    let mut renumbered = Vec::with_capacity(bytes.len());
    renumbered.extend_from_slice(&header.sealed(body).encode());
    renumbered.extend_from_slice(body);
    renumbered.into()
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
