//! The checks case by case, and against naive models.

use proptest::prelude::*;

use super::*;
use crate::model::LeaderEpoch;
use crate::wire::record::Attributes;

const PRODUCER: ProducerId = ProducerId(7);

/// A batch of `records` records, without a transaction.
fn batch(epoch: i16, sequence: i32, offset: i64, records: i32) -> BatchHeader {
    BatchHeader {
        base_offset: Offset(offset),
        len: 100,
        leader_epoch: LeaderEpoch(0),
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: records - 1,
        base_timestamp: Timestamp(offset),
        max_timestamp: Timestamp(1_000 + offset),
        producer_id: PRODUCER,
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: sequence,
        records,
    }
}

fn in_transaction(header: BatchHeader) -> BatchHeader {
    BatchHeader { attributes: Attributes(0x10), ..header }
}

fn by(producer_id: i64, header: BatchHeader) -> BatchHeader {
    BatchHeader { producer_id: ProducerId(producer_id), ..header }
}

fn marker(epoch: i16, offset: i64, coordinator_epoch: i32, outcome: TransactionOutcome) -> Marker {
    let end = EndTransactionMarker { outcome, coordinator_epoch };
    Marker::new(&batch(epoch, -1, offset, 1), Timestamp(2_000 + offset), end)
}

/// A client's batch, taken in when it is new.
fn offer(states: &mut ProducerStates, header: BatchHeader) -> Result<Verdict, ProducerStateError> {
    let verdict = states.check(&header, AppendOrigin::Client)?;
    if verdict == Verdict::Append {
        states.apply(&header);
    }
    Ok(verdict)
}

fn known(states: &ProducerStates) -> &ProducerState {
    states.producer(PRODUCER).unwrap()
}

#[test]
fn the_first_batch_may_have_any_sequence() {
    for sequence in [0, 5, i32::MAX] {
        let mut states = ProducerStates::new(Offset(0));
        assert_eq!(offer(&mut states, batch(3, sequence, 0, 1)), Ok(Verdict::Append));
        assert_eq!(known(&states).epoch, ProducerEpoch(3));
        assert_eq!(states.end_offset(), Offset(1));
    }
}

#[test]
fn sequences_go_on_and_wrap_behind_the_largest() {
    let mut states = ProducerStates::new(Offset(0));
    offer(&mut states, batch(0, i32::MAX - 1, 0, 2)).unwrap();
    for wrong in [i32::MAX, 1, -1, i32::MIN] {
        let refused = offer(&mut states, batch(0, wrong, 2, 1)).unwrap_err();
        assert_eq!(ErrorCode::from(&refused), ErrorCode::OutOfOrderSequenceNumber);
    }
    offer(&mut states, batch(0, 0, 2, 3)).unwrap();
    assert_eq!(known(&states).last_sequence(), 2);
    // One batch across the border: 2³¹−2, 2³¹−1, 0, 1.
    let mut states = ProducerStates::new(Offset(0));
    offer(&mut states, batch(0, i32::MAX - 1, 0, 4)).unwrap();
    assert_eq!(known(&states).last_sequence(), 1);
    assert_eq!(known(&states).last_batch().unwrap().first_sequence(), i32::MAX - 1);
    assert!(matches!(offer(&mut states, batch(0, i32::MAX - 1, 4, 4)), Ok(Verdict::Duplicate(_))));
    offer(&mut states, batch(0, 2, 4, 1)).unwrap();
}

#[test]
fn a_repeated_batch_is_told_from_a_late_one() {
    let mut states = ProducerStates::new(Offset(0));
    for number in 0..7 {
        offer(&mut states, batch(0, number * 2, i64::from(number) * 2, 2)).unwrap();
    }
    for number in 2..7 {
        let first = Offset(i64::from(number) * 2);
        let again = offer(&mut states, batch(0, number * 2, 900, 2)).unwrap();
        let Verdict::Duplicate(old) = again else { panic!("{number} is new") };
        assert_eq!((old.first_offset(), old.last_offset), (first, first.next()));
        assert_eq!(old.timestamp, Timestamp(1_000 + first.0));
    }
    assert!(offer(&mut states, batch(0, 2, 900, 2)).is_err(), "the sixth last is forgotten");
    assert!(offer(&mut states, batch(0, 12, 900, 1)).is_err(), "half of a batch is no duplicate");
    assert_eq!(states.end_offset(), Offset(14), "neither is taken in");
}

#[test]
fn an_epoch_begins_at_zero_and_ends_the_older_ones() {
    let mut states = ProducerStates::new(Offset(0));
    offer(&mut states, batch(2, 0, 0, 1)).unwrap();
    let gap = offer(&mut states, batch(3, 1, 1, 1)).unwrap_err();
    assert!(matches!(gap, ProducerStateError::OutOfOrderSequence { known: 0, .. }));
    offer(&mut states, batch(3, 0, 1, 1)).unwrap();
    let old = offer(&mut states, batch(2, 1, 2, 1)).unwrap_err();
    assert_eq!(ErrorCode::from(&old), ErrorCode::InvalidProducerEpoch);
    assert!(offer(&mut states, batch(2, 0, 2, 1)).is_err(), "a duplicate of an older epoch is none");
    let replicated = states.check(&batch(2, 9, 2, 1), AppendOrigin::Replication);
    assert_eq!(replicated, Ok(Verdict::Append), "what the leader has is not refused");
    states.apply(&batch(2, 9, 2, 1));
    assert_eq!((known(&states).epoch, known(&states).last_sequence()), (ProducerEpoch(2), 9));
}

#[test]
fn coordinators_have_epochs_but_no_sequences() {
    let mut states = ProducerStates::new(Offset(0));
    for offset in 0..3 {
        let header = in_transaction(batch(1, NO_SEQUENCE, offset, 1));
        assert_eq!(states.check(&header, AppendOrigin::Coordinator), Ok(Verdict::Append));
        states.apply(&header);
        assert_eq!(known(&states).last_sequence(), NO_SEQUENCE);
    }
    let old = in_transaction(batch(0, NO_SEQUENCE, 3, 1));
    assert!(states.check(&old, AppendOrigin::Coordinator).is_err());
}

#[test]
fn a_transaction_is_unstable_until_its_marker_is_replicated() {
    let mut states = ProducerStates::new(Offset(0));
    offer(&mut states, in_transaction(batch(0, 0, 10, 2))).unwrap();
    offer(&mut states, in_transaction(batch(0, 2, 12, 1))).unwrap();
    assert_eq!(states.first_unstable_offset(), Some(Offset(10)));
    assert!(states.has_open_transaction(PRODUCER));
    let outside = offer(&mut states, batch(0, 3, 13, 1)).unwrap_err();
    assert_eq!(ErrorCode::from(&outside), ErrorCode::InvalidTxnState);
    offer(&mut states, by(8, in_transaction(batch(0, 0, 13, 1)))).unwrap();
    let abort = marker(0, 14, 5, TransactionOutcome::Aborted);
    states.check_marker(&abort, AppendOrigin::Coordinator).unwrap();
    let ended = states.apply_marker(&abort).unwrap();
    assert_eq!(
        ended,
        CompletedTransaction {
            producer_id: PRODUCER,
            first_offset: Offset(10),
            last_offset: Offset(14),
            outcome: TransactionOutcome::Aborted,
            last_stable_offset: Offset(13),
        }
    );
    assert_eq!(states.first_undecided_offset(), Some(Offset(13)));
    states.high_watermark_moved(Offset(14));
    assert_eq!(states.first_unstable_offset(), Some(Offset(10)), "the marker itself is not below it");
    states.high_watermark_moved(Offset(15));
    assert_eq!(states.first_unstable_offset(), Some(Offset(13)));
    offer(&mut states, batch(0, 3, 15, 1)).unwrap();
}

#[test]
fn markers_fence_and_may_end_nothing() {
    let mut states = ProducerStates::new(Offset(0));
    let commit = marker(4, 0, 9, TransactionOutcome::Committed);
    assert_eq!(states.apply_marker(&commit), None);
    assert_eq!((known(&states).epoch, known(&states).coordinator_epoch), (ProducerEpoch(4), 9));
    assert_eq!(states.end_offset(), Offset(1));
    let zombie = marker(4, 1, 8, TransactionOutcome::Committed);
    let refused = states.check_marker(&zombie, AppendOrigin::Coordinator).unwrap_err();
    assert_eq!(ErrorCode::from(&refused), ErrorCode::TransactionCoordinatorFenced);
    assert_eq!(states.check_marker(&zombie, AppendOrigin::Replication), Ok(()));
    let old = marker(3, 1, 9, TransactionOutcome::Committed);
    assert!(states.check_marker(&old, AppendOrigin::Coordinator).is_err());
    assert!(offer(&mut states, batch(4, 1, 1, 1)).is_err(), "the epoch that a marker brought begins at 0, too");
    offer(&mut states, batch(4, 0, 1, 1)).unwrap();
    assert_eq!(states.apply_marker(&marker(4, 2, 9, TransactionOutcome::Committed)), None);
    assert!(matches!(offer(&mut states, batch(4, 0, 3, 1)), Ok(Verdict::Duplicate(_))), "a marker forgets no batch");
}

#[test]
fn producers_expire_unless_they_have_a_transaction() {
    let mut states = ProducerStates::new(Offset(0));
    offer(&mut states, batch(0, 0, 0, 1)).unwrap();
    offer(&mut states, by(8, in_transaction(batch(0, 0, 1, 1)))).unwrap();
    states.expire(Timestamp(1_099), 100);
    assert_eq!(states.producers().len(), 2);
    states.expire(Timestamp(1_100), 100);
    assert_eq!(states.producers().map(|(id, _)| id.0).collect::<Vec<_>>(), [8]);
    states.expire(Timestamp(i64::MAX), 100);
    assert!(states.has_open_transaction(ProducerId(8)));
    let late = 1_001 + 60_000 + LATE_TRANSACTION_BUFFER_MS;
    assert!(!states.has_late_transaction(Timestamp(late), 60_000));
    assert!(states.has_late_transaction(Timestamp(late + 1), 60_000));
    assert_eq!(offer(&mut states, batch(0, 77, 2, 1)), Ok(Verdict::Append), "an expired producer is a new one");
}

#[test]
fn batches_without_a_producer_only_move_the_end() {
    let mut states = ProducerStates::new(Offset(3));
    assert_eq!(offer(&mut states, by(-1, batch(-1, -1, 3, 4))), Ok(Verdict::Append));
    assert_eq!(states.producers().len(), 0);
    assert_eq!(states.end_offset(), Offset(7));
    states.skip_to(Offset(9));
    states.log_start_moved(Offset(8));
    assert_eq!(states.end_offset(), Offset(9));
}

/// The table as a plain history: all batches of one producer that were accepted, and nothing forgotten.
#[derive(Default)]
struct Naive(Vec<(i16, i64, i64, Offset)>);

impl Naive {
    /// Sequence numbers without the wrap: they count on from where the producer began.
    fn expects(&self, epoch: i16, sequence: i64, records: i64) -> Option<Result<Offset, ()>> {
        let (last_epoch, _, last, _) = self.0.last().copied()?;
        let remembered = self.0.iter().rev().take_while(|batch| batch.0 == last_epoch).take(BATCHES_REMEMBERED);
        let wrap = |number: i64| number.rem_euclid(1 << 31);
        for (_, first, last, offset) in remembered {
            if epoch == last_epoch && wrap(*first) == wrap(sequence) && last - first + 1 == records {
                return Some(Ok(*offset));
            }
        }
        let next = if epoch == last_epoch { wrap(last + 1) } else { 0 };
        if last_epoch <= epoch && wrap(sequence) == next { None } else { Some(Err(())) }
    }
}

proptest! {
    #![proptest_config(crate::storage::cases::same_every_run())]

    /// B21, B22: whatever a producer sends again, late, early or across the wrap, the accepted batches of an epoch
    /// follow each other without gap or repetition, and only true duplicates are taken for such.
    #[test]
    fn accepted_sequences_are_consecutive(
        start in prop_oneof![Just(0_i64), (1_i64 << 31) - 12..1_i64 << 31],
        sends in prop::collection::vec((0..2_i16, -9..3_i64, 1..5_i32), 1..60),
    ) {
        let (mut states, mut naive) = (ProducerStates::new(Offset(0)), Naive::default());
        let (mut epoch, mut next, mut offset) = (0, start, 0);
        for (bump, jump, records) in sends {
            // Mostly the right batch; sometimes one from before or beyond, or a new epoch.
            let bumped = bump == 1 && jump == 2;
            let epoch_sent = if bumped { epoch + 1 } else { epoch };
            let sequence = match jump {
                _ if bumped => 0,
                1 => next + 1,
                0 | 2 => next,
                back => (next + back).max(0),
            };
            let wrapped = i32::try_from(sequence.rem_euclid(1 << 31)).unwrap();
            let header = batch(epoch_sent, wrapped, offset, records);
            let verdict = offer(&mut states, header);
            match naive.expects(epoch_sent, sequence, i64::from(records)) {
                None => {
                    prop_assert_eq!(verdict, Ok(Verdict::Append));
                    naive.0.push((epoch_sent, sequence, sequence + i64::from(records) - 1, Offset(offset)));
                    (epoch, next, offset) = (epoch_sent, sequence + i64::from(records), offset + i64::from(records));
                }
                Some(Ok(old)) => {
                    let Ok(Verdict::Duplicate(batch)) = verdict else { panic!("no duplicate: {verdict:?}") };
                    prop_assert_eq!(batch.first_offset(), old);
                }
                Some(Err(())) => prop_assert!(verdict.is_err()),
            }
        }
    }

    /// Open and unreplicated transactions against lists that are scanned.
    #[test]
    fn unstable_offsets_are_a_scan(steps in prop::collection::vec((0..4_i64, 0..3_u8, 0..8_i64), 1..80)) {
        let mut states = ProducerStates::new(Offset(0));
        let (mut open, mut ended) = (Vec::<(i64, i64)>::new(), Vec::<(i64, i64)>::new());
        let (mut offset, mut high_watermark) = (0, 0);
        for (producer, action, advance) in steps {
            match action {
                0 => {
                    states.apply(&by(producer, in_transaction(batch(0, NO_SEQUENCE, offset, 1))));
                    if !open.iter().any(|(id, _)| *id == producer) {
                        open.push((producer, offset));
                    }
                    offset += 1;
                }
                1 => {
                    let end = marker(0, offset, 0, TransactionOutcome::Aborted);
                    let done = states.apply_marker(&Marker { producer_id: ProducerId(producer), ..end });
                    let at = open.iter().position(|(id, _)| *id == producer);
                    prop_assert_eq!(done.is_some(), at.is_some());
                    if let (Some(done), Some(at)) = (done, at) {
                        let (_, first) = open.remove(at);
                        ended.push((first, offset));
                        prop_assert_eq!(done.first_offset, Offset(first));
                        let stable = open.iter().map(|(_, first)| *first).min().unwrap_or(offset + 1);
                        prop_assert_eq!(done.last_stable_offset, Offset(stable));
                    }
                    offset += 1;
                }
                _ => {
                    high_watermark = offset.min(high_watermark + advance);
                    states.high_watermark_moved(Offset(high_watermark));
                    ended.retain(|(_, marker)| high_watermark <= *marker);
                }
            }
            let unstable = open.iter().map(|(_, first)| *first).chain(ended.iter().map(|(first, _)| *first)).min();
            prop_assert_eq!(states.first_unstable_offset(), unstable.map(Offset));
            prop_assert_eq!(states.end_offset(), Offset(offset));
        }
    }
}
