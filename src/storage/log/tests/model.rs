//! Random operations against a list of batches.

use super::*;
use crate::model::Moment;

/// A generator of its own, so that a seed means the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The log as a list.
#[derive(Default)]
struct Model {
    batches: Vec<Stored>,
    start: Offset,
    end: Offset,
    sequence: i32,
    /// Of the newest leadership that anybody has heard of.
    epoch: LeaderEpoch,
}

impl Model {
    fn append(&mut self, log: &mut Log, dice: &mut Dice) {
        let count = 1 + dice.below(4);
        let mut batches = Vec::new();
        let mut end = self.end;
        // As leader now and then; else what a leader sends that has copied it itself: epochs that began before ours.
        let leads = dice.below(2) == 0;
        let newest = self.batches.last().map_or(LeaderEpoch(0), |Stored(header, _)| header.leader_epoch);
        let mut epoch = if leads { self.epoch } else { newest };
        if leads {
            log.start_leader_epoch(epoch);
        } else if log.latest_leader_epoch().is_some_and(|latest| newest < latest) {
            // It has no epoch that has no records: see `CutTo::Divergence`.
            log.truncate_to(self.end, Timestamp(0)).unwrap();
        }
        for _ in 0..count {
            if !leads && dice.below(3) == 0 {
                epoch = LeaderEpoch(epoch.0 + 1).min(self.epoch);
            }
            let records = i32::try_from(1 + dice.below(3)).unwrap();
            let sent = Sent {
                records,
                value_bytes: usize::try_from(dice.below(400)).unwrap(),
                timestamp: i64::try_from(dice.below(10_000)).unwrap(),
                producer: Some((1, 0, self.sequence)),
                ..Sent::default()
            };
            self.sequence += records;
            let batch = sent.batch();
            let header = BatchHeader { base_offset: end, leader_epoch: epoch, ..batch.header };
            end = header.last_offset().next();
            self.batches.push(Stored(header, [&header.encode()[..], &batch.body].concat()));
            batches.push(if leads { batch } else { NewBatch { header, origin: Origin::Replication, ..batch } });
        }
        if leads {
            let mut results = Vec::new();
            log.append_as_leader(&batches, epoch, Timestamp(1_000_000), &mut results);
            results.into_iter().for_each(|result| _ = result.unwrap());
        } else {
            log.append_as_follower(&batches, Timestamp(1_000_000)).unwrap();
        }
        self.end = end;
    }

    fn truncate(&mut self, log: &mut Log, dice: &mut Dice) {
        let back = i64::try_from(dice.below(12)).unwrap();
        let to = Offset((self.end.0 - back).max(self.start.0));
        log.truncate_to(to, Timestamp(0)).unwrap();
        self.batches.retain(|Stored(header, _)| header.last_offset() < to);
        self.end = self.batches.last().map_or(Offset(0), |Stored(header, _)| header.last_offset().next());
        self.sequence = self.batches.last().map_or(0, |Stored(header, _)| header.last_sequence() + 1);
        // The batch that holds the log start may be gone: no offset below it is given out again, the log starts anew there.
        if self.end < self.start {
            (self.end, self.sequence) = (self.start, 0);
            self.batches.clear();
        }
    }

    /// Each record is of the epoch that its batch says, and each epoch ends where the first batch of a later one begins.
    fn check_epochs(&self, log: &Log, context: &str) {
        let mut later = (LeaderEpoch(i32::MAX), self.end, self.end);
        let visible = self.batches.iter().rev().take_while(|Stored(header, _)| self.start <= header.last_offset());
        for Stored(header, _) in visible {
            let (epoch, first) = (header.leader_epoch, header.base_offset.max(self.start));
            for offset in [first, header.last_offset()] {
                assert_eq!(log.leader_epoch_of(offset), Some(epoch), "{context}: epoch of {offset}, {:?}", log.epochs);
            }
            let (later_epoch, later_first, later_end) = later;
            let end = if later_epoch == epoch { later_end } else { later_first };
            assert_eq!(log.end_offset_for_epoch(epoch), Some((epoch, end)), "{context}: {:?}", log.epochs);
            later = (epoch, first, end);
        }
    }

    fn check(&self, log: &Log, dice: &mut Dice, context: &str) {
        let view = log.view();
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (self.start, self.end), "{context}");
        self.check_epochs(log, context);
        let visible = |from: Offset| self.batches.iter().filter(move |Stored(header, _)| from <= header.last_offset());
        for _ in 0..4 {
            let span = u64::try_from(self.end.0 - self.start.0 + 1).unwrap();
            let from = Offset(self.start.0 + i64::try_from(dice.below(span)).unwrap());
            let bytes_max = usize::try_from(dice.below(3_000)).unwrap();
            let found = read_from(&view, from, bytes_max);
            assert_eq!(found, visible(from).cloned().collect::<Vec<_>>(), "{context}: from {from} by {bytes_max}");
            // Bounded above: the batches that end below the bound, in one segment.
            let upper_bound = Offset(from.0 + i64::try_from(dice.below(20)).unwrap());
            let request = ReadRequest { offset: from, upper_bound, bytes_max, at_least_one_batch: false };
            if let Read::Batches(slice) = view.read(&request, Wait::Allowed).unwrap() {
                let batches = batches_of(&slice);
                let expected = visible(from).take(batches.len()).cloned().collect::<Vec<_>>();
                assert_eq!(batches, expected, "{context}");
                assert!(slice.next_offset <= upper_bound && slice.len <= bytes_max, "{context}");
            }
        }
    }
}

fn run(seed: u64) {
    let disk = disk_of(seed);
    let mut dice = Dice(seed);
    let mut model = Model::default();
    let mut log = open(&disk);
    for step in 0..60 {
        let context = format!("seed {seed}, step {step}");
        match dice.below(11) {
            10 => {
                model.epoch.0 += 1;
                if dice.below(2) == 0 {
                    log.start_leader_epoch(model.epoch);
                }
            }
            0..=4 => model.append(&mut log, &mut dice),
            5 => _ = flush(&mut log).unwrap(),
            6 => model.truncate(&mut log, &mut dice),
            7 => {
                let to = Offset(model.start.0 + i64::try_from(dice.below(8)).unwrap()).min(model.end);
                log.advance_log_start(to);
                model.start = model.start.max(to);
                log.apply_retention(model.end, Timestamp(1_000_000), Moment::default()).unwrap();
                assert_eq!(log.log_start_offset(), model.start, "{context}");
            }
            8 => {
                let (start, recovery_point) = (log.log_start_offset(), log.recovery_point());
                drop(log);
                let again = OpenOptions { log_start_offset: start, recovery_point, ..options(config()) };
                log = open_with(&disk, again).unwrap_or_else(|error| panic!("{context}: {error}")).0;
            }
            _ => {
                let start = log.log_start_offset();
                let recovery_point = log.close().unwrap();
                let again =
                    OpenOptions { log_start_offset: start, recovery_point, clean_shutdown: true, ..options(config()) };
                let report;
                (log, report) = open_with(&disk, again).unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(report, OpenReport::default(), "{context}: nothing to repair");
            }
        }
        model.check(&log, &mut dice, &context);
    }
}

#[test]
fn a_log_is_a_list_of_batches() {
    (0..60).for_each(run);
}
