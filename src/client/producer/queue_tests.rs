//! A partition's batches, in good order and after failures.

use super::*;
use crate::wire::record::Codec;

fn making(batch_bytes: usize) -> Making {
    Making {
        compression: Codec::None.into(),
        batch_bytes,
        linger: Duration::ZERO,
        back_off: BackOff::between(Duration::from_millis(50), Duration::from_secs(1)),
        in_flight_max: 5,
    }
}

struct Desk {
    queue: Queue,
    making: Making,
    now: Moment,
    number: BatchNumber,
}

impl Desk {
    /// Of an idempotent producer, with batches of one record.
    fn new() -> Self {
        Self::with(1)
    }

    fn with(batch_bytes: usize) -> Self {
        let mut desk = Self { queue: Queue::new(true), making: making(batch_bytes), now: Moment::default(), number: 0 };
        desk.append(b"first");
        assert!(desk.queue.needs_identity());
        desk.queue.identify(Identity { id: ProducerId(7), epoch: ProducerEpoch(0) });
        assert!(!desk.queue.needs_identity());
        desk
    }

    fn append(&mut self, value: &[u8]) -> Appended {
        let record = NewRecord { value: Some(value), ..NewRecord::default() };
        let needed = self.queue.needs(record_bytes_max(&record), &self.making);
        let now = self.now;
        let appended = self.queue.append(|| now, self.number, &record, needed, &self.making).expect("small");
        self.number += u64::from(appended.first);
        appended
    }

    fn take(&mut self) -> Option<Batch> {
        self.queue.take(self.now, false, &self.making)
    }

    fn take_all(&mut self) -> Vec<Batch> {
        std::iter::from_fn(|| self.take()).collect()
    }

    fn fail(&mut self, batch: Batch) {
        self.queue.failed(batch, self.now, &self.making);
    }

    fn wait(&mut self) {
        self.now = self.now.after(Duration::from_secs(2));
    }
}

fn written(batch: &Batch) -> (i64, i32, u32) {
    let header = BatchHeader::decode(&batch.bytes).expect("a batch");
    assert_eq!(crate::wire::record::verify_crc(&header, &batch.bytes), Ok(()));
    (header.producer_id.0, header.base_sequence, batch.records)
}

fn sequences(batches: &[Batch]) -> Vec<i32> {
    batches.iter().map(|batch| written(batch).1).collect()
}

#[test]
fn batches_fill_close_and_number_their_records() {
    let mut desk = Desk::with(1000);
    let full = (0..100).filter(|_| desk.append(&[0; 100]).full).count();
    assert!(10 < full && full < 20, "{full}");
    let batches = desk.take_all();
    assert_eq!(batches.len(), 5, "no more on the way at once");
    let mut expected = 0;
    for batch in &batches {
        assert!(batch.bytes.len() <= 1000 && batch.bytes.len() <= batch.reserved);
        assert_eq!(written(batch), (7, expected, batch.records));
        expected += batch.records.cast_signed();
    }
}

#[test]
fn a_record_larger_than_a_batch_goes_alone() {
    let mut desk = Desk::with(1000);
    assert!(desk.append(&[0; 5000]).full);
    assert_eq!(desk.take_all().iter().map(|batch| batch.records).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn an_open_batch_lingers_unless_there_is_a_hurry() {
    let mut desk = Desk::with(1000);
    desk.making.linger = Duration::from_millis(5);
    assert!(desk.take().is_none());
    assert_eq!(desk.queue.next_deadline(&desk.making, Duration::MAX), Some(Moment(Duration::from_millis(5))));
    assert!(desk.queue.take(desk.now, true, &desk.making).is_some());
    desk.append(b"x");
    desk.now = Moment(Duration::from_millis(5));
    assert!(desk.take().is_some());
}

#[test]
fn after_a_failure_everything_comes_back_and_goes_again_in_order() {
    let mut desk = Desk::new();
    (0..3).for_each(|_| drop(desk.append(b"x")));
    let mut sent = desk.take_all();
    assert_eq!(sequences(&sent), [0, 1, 2, 3]);
    let last = sent.pop().expect("four");
    desk.fail(sent.remove(1));
    assert!(desk.take().is_none(), "others are still on the way");
    desk.fail(last);
    desk.fail(sent.remove(1));
    desk.queue.acknowledged();
    assert_eq!(desk.take().map(|batch| written(&batch).1), Some(1));
    desk.queue.acknowledged();
    desk.wait();
    assert_eq!(sequences(&desk.take_all()), [2, 3]);
}

#[test]
fn behind_a_batch_that_was_refused_the_numbers_close_up() {
    let mut desk = Desk::new();
    (0..3).for_each(|_| drop(desk.append(b"x")));
    let mut sent = desk.take_all();
    let refused = sent.remove(1);
    desk.queue.given_up(&refused, true);
    assert!(desk.take().is_none());
    desk.queue.acknowledged();
    // The broker saw a gap in front of the others.
    sent.drain(1..).collect::<Vec<_>>().into_iter().for_each(|batch| desk.fail(batch));
    desk.append(b"new");
    desk.wait();
    assert_eq!(desk.take().map(|batch| written(&batch)), Some((7, 1, 1)));
    desk.queue.acknowledged();
    assert_eq!(sequences(&desk.take_all()), [2, 3]);
}

#[test]
fn what_is_out_of_sequence_comes_into_it_behind_others_and_as_the_first_for_some_tries() {
    let mut desk = Desk::new();
    desk.append(b"second");
    let mut sent = desk.take_all();
    let (first, second) = (sent.remove(0), sent.remove(0));
    desk.fail(first);
    assert!((0..100).all(|_| desk.queue.may_come_into_sequence(&second)), "the first one goes again");
    desk.fail(second);
    for _ in 0..2 {
        desk.wait();
        let first = desk.take().expect("the first");
        let tries = (0..100).take_while(|_| desk.queue.may_come_into_sequence(&first)).count();
        assert!((2..10).contains(&tries), "{tries}");
        // Another one begins to count anew.
        desk.queue.acknowledged();
    }
}

#[test]
fn behind_a_batch_of_which_nothing_is_known_everything_begins_anew() {
    let mut desk = Desk::new();
    (0..2).for_each(|_| drop(desk.append(b"x")));
    let mut sent = desk.take_all();
    let lost = sent.remove(0);
    desk.queue.given_up(&lost, false);
    sent.into_iter().for_each(|batch| desk.fail(batch));
    desk.wait();
    let epoch = |batch: &Batch| BatchHeader::decode(&batch.bytes).expect("a batch").producer_epoch;
    let next = desk.take().expect("under the next epoch");
    assert_eq!((written(&next), epoch(&next)), ((7, 0, 1), ProducerEpoch(1)));
    desk.queue.acknowledged();
    let next = desk.take().expect("another one");
    assert_eq!((written(&next), epoch(&next)), ((7, 1, 1), ProducerEpoch(1)));
}

#[test]
fn what_may_be_written_does_not_go_again_under_other_numbers() {
    let mut desk = Desk::new();
    (0..3).for_each(|_| drop(desk.append(b"x")));
    let mut sent = desk.take_all();
    sent[2].doubtful = true;
    let lost = sent.remove(0);
    desk.queue.given_up(&lost, false);
    let last = sent.pop().expect("the last");
    sent.into_iter().for_each(|batch| desk.fail(batch));
    assert!(desk.queue.take_doubtful().is_empty(), "one is on the way yet");
    desk.fail(last);
    desk.wait();
    assert!(desk.take().is_none());
    let doubtful = desk.queue.take_doubtful();
    assert_eq!(doubtful.iter().map(|batch| batch.number).collect::<Vec<_>>(), [2]);
    assert_eq!(desk.take().map(|batch| (batch.number, batch.sequence)), Some((1, 0)));
    desk.queue.acknowledged();
    assert_eq!(desk.take().map(|batch| (batch.number, batch.sequence)), Some((3, 1)));
    assert!(desk.queue.take_doubtful().is_empty());
}

#[test]
fn after_the_last_epoch_there_is_another_identity() {
    let mut desk = Desk::new();
    desk.queue.identity = Some(Identity { id: ProducerId(7), epoch: ProducerEpoch(i16::MAX) });
    let first = desk.take().expect("the first");
    desk.queue.given_up(&first, false);
    desk.append(b"x");
    assert!(desk.take().is_none() && desk.queue.needs_identity());
    desk.queue.identify(Identity { id: ProducerId(8), epoch: ProducerEpoch(0) });
    assert_eq!(desk.take().map(|batch| written(&batch)), Some((8, 0, 1)));
}

#[test]
fn what_waits_too_long_is_given_up_and_leaves_no_gap() {
    let mut desk = Desk::new();
    desk.wait();
    desk.append(b"young");
    let timeout = Duration::from_secs(1);
    assert_eq!(desk.queue.expired(desk.now, timeout).len(), 1);
    assert_eq!(desk.take().map(|batch| written(&batch)), Some((7, 0, 1)), "the first was never sent");
}

#[test]
fn each_try_waits_longer() {
    let mut desk = Desk::new();
    let mut waits = Vec::new();
    for _ in 0..3 {
        let batch = desk.take().expect("its time has come");
        desk.fail(batch);
        let again = desk.queue.next_deadline(&desk.making, Duration::MAX).expect("something to send again");
        waits.push(again.since(desk.now).as_millis());
        assert!(desk.take().is_none());
        desk.now = again;
    }
    assert_eq!(waits, [50, 100, 200]);
}
