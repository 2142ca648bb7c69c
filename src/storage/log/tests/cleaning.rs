//! Compaction: what stays, what goes, and what a crash makes of it.

use std::collections::BTreeMap;

use super::*;
use crate::model::Moment;
use crate::storage::disk::Access;
use crate::storage::disk::sim::{Death, SimDisk};
use crate::storage::log::cleaner::{CleanError, Cleaned, CleanerMeans, Cleaning, Step};
use crate::wire::record::{DecompressionLimit, EndTransactionMarker, TransactionOutcome};

const MEANS: CleanerMeans = CleanerMeans { map_bytes: 1 << 20, load_factor: 0.9, buffer_bytes: 512 };
const DAY: i64 = 86_400_000;

fn compacted() -> LogConfig {
    LogConfig { cleanup_policy: CleanupPolicy { delete: false, compact: true }, ..config() }
}

/// A key and its value; `None` is a tombstone.
type Pair<'a> = (&'a str, Option<&'a str>);

#[derive(Clone, Copy, Default)]
struct How {
    codec: Codec,
    producer: Option<(i64, i16, i32)>,
    transactional: bool,
}

fn keyed(pairs: &[Pair<'_>], how: How) -> NewBatch {
    let mut builder = BatchBuilder::new(how.codec);
    if let Some((id, epoch, sequence)) = how.producer {
        builder = builder.producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    }
    if how.transactional {
        builder = builder.transactional();
    }
    for (number, (key, value)) in pairs.iter().enumerate() {
        let timestamp = Timestamp(1_000 + number as i64);
        let value = value.map(str::as_bytes);
        builder.append(&NewRecord { timestamp, key: Some(key.as_bytes()), value, headers: &[] }).unwrap();
    }
    new_batch(builder.build().unwrap(), Origin::Client)
}

fn put(log: &mut Log, pairs: &[Pair<'_>], how: How) -> Offset {
    append_all(log, &[keyed(pairs, how)]).remove(0).unwrap().base_offset
}

fn end_transaction(log: &mut Log, id: i64, outcome: TransactionOutcome) -> Offset {
    let marker = EndTransactionMarker { outcome, coordinator_epoch: 1 };
    let bytes = BatchBuilder::end_transaction(marker, (ProducerId(id), ProducerEpoch(0)), Timestamp(1_000)).unwrap();
    append_all(log, &[new_batch(bytes, Origin::Coordinator)]).remove(0).unwrap().base_offset
}

/// Rolls and flushes, so that all before may be cleaned.
fn settle(log: &mut Log) {
    log.roll(Timestamp(1_000_000)).unwrap();
    flush(log).unwrap();
}

fn drive(log: &mut Log, means: CleanerMeans, now: i64) -> Result<Cleaned, CleanError> {
    let view = log.view();
    let cleanable = view.cleanable(log.log_end_offset(), &compacted(), Timestamp(now))?;
    let begun = log.begin_cleaning();
    let mut cleaning = Cleaning::new(view, &cleanable, begun.clone(), compacted(), means, Timestamp(now))?;
    loop {
        match cleaning.step()?.0 {
            Step::Worked => {}
            Step::Replace(cleaned) => {
                let pending = log.replace_segments(cleaned, Moment::default())?.ok_or(CleanError::Stale)?;
                pending.run(&*log.view.disk)?;
            }
            Step::Done(done) => {
                log.cleaned(&begun, done.end);
                return Ok(done);
            }
        }
    }
}

fn clean(log: &mut Log, now: i64) -> Cleaned {
    drive(log, MEANS, now).unwrap()
}

/// Offset, key, value of each record of data.
fn records(log: &Log) -> Vec<(i64, String, Option<String>)> {
    let mut found = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    for Stored(header, bytes) in read_all(log) {
        let mut scratch = Vec::new();
        let limit = DecompressionLimit { bytes_max: 1 << 20 };
        if header.attributes.is_control() {
            continue;
        }
        for record in header.read_records(&bytes, limit, &mut scratch).unwrap() {
            let record = record.unwrap();
            found.push((header.offset_of(&record).0, text(record.key.unwrap()), record.value.map(text)));
        }
    }
    found
}

fn pairs(log: &Log) -> Vec<(i64, String)> {
    let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    records(log).into_iter().map(|(offset, key, value)| (offset, format!("{key}={}", shown(value)))).collect()
}

fn shown(log: &Log) -> String {
    pairs(log).into_iter().map(|(offset, pair)| format!("{offset}:{pair}")).collect::<Vec<_>>().join(" ")
}

fn open_compacted(disk: &SimDisk, recovery_point: Offset) -> Log {
    let options = OpenOptions { recovery_point, ..options(compacted()) };
    open_with(disk, options).unwrap().0
}

#[test]
fn the_last_value_of_each_key_stays_at_its_offset() {
    for codec in Codec::ALL {
        let how = How { codec, ..How::default() };
        let mut log = open_compacted(&disk(), Offset(0));
        put(&mut log, &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))], how);
        put(&mut log, &[("a", Some("2"))], how);
        settle(&mut log);
        put(&mut log, &[("b", Some("2")), ("d", Some("1"))], how);
        settle(&mut log);
        put(&mut log, &[("a", Some("3"))], how);
        let done = clean(&mut log, 0);
        assert_eq!(shown(&log), "2:c=1 3:a=2 4:b=2 5:d=1 6:a=3", "the active segment is not touched");
        assert_eq!((done.end, log.view().first_dirty_offset()), (Offset(6), Some(Offset(6))));
        assert!(done.bytes_after < done.bytes_before);
        assert_eq!(log.view().segments().len(), 2, "small segments become one");
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(0), Offset(7)));
        settle(&mut log);
        clean(&mut log, 0);
        assert_eq!(shown(&log), "2:c=1 4:b=2 5:d=1 6:a=3");
    }
}

#[test]
fn nothing_is_due_above_what_is_stable_durable_and_old_enough() {
    let mut log = open_compacted(&disk(), Offset(0));
    for number in 0..3 {
        put(&mut log, &[("a", Some("x")), ("b", Some("y"))], How::default());
        if number < 2 {
            settle(&mut log);
        }
    }
    log.roll(Timestamp(1_000_000)).unwrap();
    let view = log.view();
    let end = |stable: i64, config: &LogConfig, now: i64| {
        view.cleanable(Offset(stable), config, Timestamp(now)).unwrap().end.0
    };
    assert_eq!(end(6, &compacted(), 0), 4, "the third segment is not flushed");
    flush(&mut log).unwrap();
    assert_eq!(end(6, &compacted(), 0), 6);
    assert_eq!(end(5, &compacted(), 0), 4, "whole segments below the last stable offset");
    assert_eq!(end(1, &compacted(), 0), 0);
    let lag = LogConfig { compaction_lag_min: Duration::from_millis(500), ..compacted() };
    assert_eq!((end(6, &lag, 1_501), end(6, &lag, 1_400)), (6, 0));
    let all = view.cleanable(Offset(6), &compacted(), Timestamp(2_000)).unwrap();
    assert!(all.is_due(&compacted()) && all.ratio() == 1.0 && !all.overdue);
    clean(&mut log, 0);
    put(&mut log, &[("z", Some("small"))], How::default());
    settle(&mut log);
    let little = view.cleanable(Offset(7), &compacted(), Timestamp(2_000)).unwrap();
    assert!(!little.is_due(&LogConfig { cleanable_ratio_min: 0.6, ..compacted() }), "{little:?}");
    assert!(little.is_due(&LogConfig { cleanable_ratio_min: 0.3, ..compacted() }), "{little:?}");
    let hurried =
        LogConfig { cleanable_ratio_min: 0.99, compaction_lag_max: Some(Duration::from_millis(100)), ..compacted() };
    let overdue = view.cleanable(Offset(7), &hurried, Timestamp(2_000)).unwrap();
    assert!(overdue.overdue && overdue.is_due(&hurried));
}

/// Cleaned in two segments, of which the first is left empty; flushed up to 4. Behind it are 4, which is a segment, 5 and 6, which are
/// another one, and 7.
fn unflushed(disk: &SimDisk) -> Log {
    let mut log = open_compacted(disk, Offset(0));
    for key in ["a", "b", "a", "b"] {
        put(&mut log, &[(key, Some("1"))], How::default());
    }
    settle(&mut log);
    clean(&mut log, 0);
    for pairs in [&[("c", Some("1"))][..], &[("d", Some("1")), ("e", Some("1"))]] {
        put(&mut log, pairs, How::default());
        log.roll(Timestamp(1_000_000)).unwrap();
    }
    put(&mut log, &[("f", Some("1"))], How::default());
    log
}

#[test]
fn a_log_does_not_end_behind_batches_that_a_crash_took() {
    let reopened = |recovery_point, lost: &[&str]| {
        let disk = disk();
        drop(unflushed(&disk));
        for name in lost {
            disk.open(&file(name), Access::Write).unwrap().set_len(0).unwrap();
        }
        let options = OpenOptions { recovery_point: Offset(recovery_point), ..options(compacted()) };
        open_with(&disk, options).unwrap()
    };
    let (four, five, seven) = ("00000000000000000004.log", "00000000000000000005.log", "00000000000000000007.log");
    let all = "2:a=1 3:b=1 4:c=1";
    for recovery_point in [0, 4, 5] {
        let (mut log, report) = reopened(recovery_point, &[five, seven]);
        assert_eq!((shown(&log).as_str(), log.log_end_offset()), (all, Offset(5)));
        let cut = report.cut.unwrap();
        assert_eq!((cut.log_end_offset, cut.reason.as_str()), (Offset(5), "what was between it and 7 is lost"));
        assert_eq!(put(&mut log, &[("g", None)], How::default()), Offset(5));
    }
    let (log, report) = reopened(0, &[four, five, seven]);
    assert_eq!((log.log_end_offset(), report.cut.unwrap().log_end_offset), (Offset(4), Offset(4)));
    // What follows is there: the gap may be one that compaction left.
    let (log, report) = reopened(0, &[five]);
    assert_eq!((log.log_end_offset(), report.cut), (Offset(8), None));
    // Nothing is missing before the last one.
    let (log, report) = reopened(0, &[seven]);
    assert_eq!((log.log_end_offset(), report.cut), (Offset(7), None));
    // It was flushed: there was nothing but what compaction took.
    let (log, report) = reopened(7, &[five, seven]);
    assert_eq!((log.log_end_offset(), report.cut), (Offset(7), None));
}

#[test]
fn tombstones_go_when_their_horizon_has_passed() {
    let mut log = open_compacted(&disk(), Offset(0));
    put(&mut log, &[("a", Some("1")), ("b", Some("1"))], How::default());
    put(&mut log, &[("a", None)], How::default());
    settle(&mut log);
    clean(&mut log, 5_000);
    assert_eq!(shown(&log), "1:b=1 2:a=-");
    let horizons = read_all(&log).iter().map(|stored| stored.0.delete_horizon()).collect::<Vec<_>>();
    assert_eq!(horizons, [None, Some(Timestamp(5_000 + DAY))]);
    let mut again = |now: i64| {
        put(&mut log, &[("c", Some("x"))], How::default());
        settle(&mut log);
        clean(&mut log, now);
        shown(&log)
    };
    assert_eq!(again(4_999 + DAY), "1:b=1 2:a=- 3:c=x", "not yet");
    assert_eq!(again(5_000 + DAY), "1:b=1 4:c=x");
}

#[test]
fn aborted_transactions_go_and_their_markers_after_them() {
    let disk = disk();
    let mut log = open_compacted(&disk, Offset(0));
    let of = |id, sequence| How { producer: Some((id, 0, sequence)), transactional: true, ..How::default() };
    put(&mut log, &[("a", Some("before"))], How::default());
    put(&mut log, &[("a", Some("aborted"))], of(1, 0));
    put(&mut log, &[("b", Some("committed"))], of(2, 0));
    end_transaction(&mut log, 1, TransactionOutcome::Aborted);
    end_transaction(&mut log, 2, TransactionOutcome::Committed);
    put(&mut log, &[("c", Some("after"))], of(1, 1));
    end_transaction(&mut log, 1, TransactionOutcome::Committed);
    settle(&mut log);
    clean(&mut log, 5_000);
    assert_eq!(shown(&log), "0:a=before 2:b=committed 5:c=after");
    let shape = |log: &Log| {
        let batches = read_all(log);
        let horizon = |header: &BatchHeader| header.delete_horizon().is_some();
        batches.iter().map(|stored| (stored.0.base_offset.0, stored.0.records, horizon(&stored.0))).collect::<Vec<_>>()
    };
    let first = shape(&log);
    assert_eq!(first, [(0, 1, false), (2, 1, false), (3, 1, false), (4, 1, false), (5, 1, false), (6, 1, false)]);
    assert_eq!(log.view().aborted_transactions(Offset(0), Offset(9)).len(), 1, "as long as its marker speaks of it");
    put(&mut log, &[("b", Some("new")), ("d", Some("x"))], How::default());
    settle(&mut log);
    clean(&mut log, 6_000);
    let second = shape(&log);
    // The batch of producer 2 is its last, so it stays, emptied; the marker of the aborted one has nothing left.
    let expected =
        [(0, 1, false), (2, 0, false), (3, 1, true), (4, 1, false), (5, 1, false), (6, 1, false), (7, 2, false)];
    assert_eq!(second, expected);
    assert!(log.view().aborted_transactions(Offset(0), Offset(9)).is_empty());
    put(&mut log, &[("e", Some("x"))], How::default());
    settle(&mut log);
    clean(&mut log, 6_000 + DAY);
    assert!(!shape(&log).iter().any(|batch| batch.0 == 3), "{:?}", shape(&log));
    let end = log.close().unwrap();
    let log = open_compacted(&disk, end);
    assert_eq!(shown(&log), "0:a=before 5:c=after 7:b=new 8:d=x 9:e=x");
}

#[test]
fn a_producer_goes_on_where_it_was_without_any_snapshot() {
    let disk = disk();
    let mut log = open_compacted(&disk, Offset(0));
    let of = |sequence| How { producer: Some((7, 0, sequence)), ..How::default() };
    put(&mut log, &[("a", Some("1"))], of(0));
    put(&mut log, &[("a", Some("2")), ("a", Some("3"))], of(1));
    put(&mut log, &[("a", Some("4"))], How::default());
    settle(&mut log);
    clean(&mut log, 0);
    let left = read_all(&log).iter().map(|stored| (stored.0.base_offset.0, stored.0.records)).collect::<Vec<_>>();
    assert_eq!(left, [(1, 0), (3, 1)], "its last batch stays, emptied");
    let end = log.close().unwrap();
    for name in names(&disk).into_iter().filter(|name| name.ends_with(".snapshot")) {
        disk.remove_file(&file(&name)).unwrap();
    }
    let mut log = open_compacted(&disk, end);
    let refused = append_all(&mut log, &[keyed(&[("a", Some("x"))], of(5))]).remove(0);
    assert!(matches!(refused, Err(AppendError::Producer(_))), "{refused:?}");
    let known = append_all(&mut log, &[keyed(&[("a", Some("2")), ("a", Some("3"))], of(1))]).remove(0).unwrap();
    assert_eq!(known.base_offset, Offset(1), "a repetition is known as one");
    assert_eq!(put(&mut log, &[("a", Some("5"))], of(3)), Offset(4));
}

#[test]
fn who_has_found_a_segment_goes_on_reading_it() {
    let disk = disk();
    let mut log = open_compacted(&disk, Offset(0));
    for number in 0..40 {
        put(&mut log, &[("a", Some(&"x".repeat(100 + number)))], How::default());
    }
    settle(&mut log);
    let view = log.view();
    let request = ReadRequest {
        offset: Offset(0),
        upper_bound: view.log_end_offset(),
        bytes_max: 1 << 20,
        at_least_one_batch: true,
    };
    let Read::Batches(slice) = view.read(&request, Wait::Allowed).unwrap() else { panic!("there are batches") };
    let found = view.segments();
    let before = batches_of(&slice);
    clean(&mut log, 0);
    assert_eq!(read_all(&log).len(), 1);
    assert_eq!(batches_of(&slice), before, "through the file that was found");
    // Between finding a segment in the list and opening it.
    let mut offset = Offset(0);
    for segment in found.iter().take(found.len() - 1) {
        let open = view.open(segment, Wait::Allowed).unwrap();
        let (located, _) = segment.seek(&open, offset, segment.size(), Wait::Allowed).unwrap().unwrap();
        assert_eq!((located.header.base_offset, open.file.len().unwrap()), (offset, segment.size()));
        offset = segment.tail().0;
    }
}

#[test]
fn a_small_map_cleans_a_part_at_a_time() {
    let mut log = open_compacted(&disk(), Offset(0));
    for round in 0..3 {
        for key in 0..60 {
            put(&mut log, &[(&format!("k{key}"), Some(&format!("v{round}")))], How::default());
        }
    }
    settle(&mut log);
    let means = CleanerMeans { map_bytes: 24 * 40, ..MEANS };
    let mut ends = Vec::new();
    for _ in 0..8 {
        ends.push(drive(&mut log, means, 0).map(|done| done.end.0));
        if ends.last() == Some(&Ok(180)) {
            break;
        }
    }
    assert!(ends.is_sorted_by(|a, b| a.as_ref().unwrap() < b.as_ref().unwrap()), "{ends:?}");
    assert_eq!(ends.last(), Some(&Ok(180)));
    let left = records(&log);
    assert_eq!(left.len(), 60, "{}", shown(&log));
    assert!(left.iter().all(|(_, _, value)| value.as_deref() == Some("v2")));
}

#[test]
fn a_log_that_was_cut_meanwhile_is_left_alone() {
    let disk = disk();
    let mut log = open_compacted(&disk, Offset(0));
    put(&mut log, &[("a", Some("1")), ("b", Some("1"))], How::default());
    settle(&mut log);
    put(&mut log, &[("a", Some("2")), ("b", Some("2"))], How::default());
    settle(&mut log);
    let view = log.view();
    let cleanable = view.cleanable(Offset(4), &compacted(), Timestamp(0)).unwrap();
    let begun = log.begin_cleaning();
    let mut cleaning = Cleaning::new(view, &cleanable, begun.clone(), compacted(), MEANS, Timestamp(0)).unwrap();
    let Step::Replace(cleaned) = cleaning.step().unwrap().0 else { panic!("one group") };
    log.truncate_to(Offset(2), Timestamp(0)).unwrap();
    assert!(log.replace_segments(cleaned, Moment::default()).unwrap().is_none());
    log.cleaned(&begun, Offset(4));
    cleaning.abandon();
    assert_eq!(log.view().first_dirty_offset(), None);
    assert_eq!(shown(&log), "0:a=1 1:b=1");
    assert!(!names(&disk).iter().any(|name| name.contains("cleaned")), "{:?}", names(&disk));
}

#[test]
fn damage_is_told_and_nothing_is_touched() {
    let disk = disk();
    let mut log = open_compacted(&disk, Offset(0));
    put(&mut log, &[("a", Some("1"))], How::default());
    put(&mut log, &[("a", Some("2"))], How::default());
    settle(&mut log);
    disk.flip_bit(&file("00000000000000000000.log"), 70, 0).unwrap();
    let error = drive(&mut log, MEANS, 0).unwrap_err();
    assert!(matches!(error, CleanError::Read(ReadError::Corrupt(_))) && !error.passes(), "{error}");
    assert_eq!(log.view().segments().len(), 2);
}

/// Writes keys, compacts, writes, compacts; ends early when the disk dies. `written` is what was flushed, in order.
fn scenario(disk: &SimDisk, written: &mut Vec<(i64, String, String)>, recovery: &mut Offset) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let (mut log, _) = open_with(disk, options(compacted())).map_err(|error| text(&error))?;
    for round in 0..3_i32 {
        let mut fresh = Vec::new();
        for (step, codec) in (0..6_i32).zip(Codec::ALL.into_iter().cycle()) {
            let sequence = round * 6 + step;
            let how = How { producer: Some((1, 0, sequence)), codec, ..How::default() };
            let (key, value) = (format!("k{}", sequence % 5), format!("v{sequence}-{}", "x".repeat(120)));
            let batch = keyed(&[(&key, Some(&value))], how);
            let result = append_all(&mut log, &[batch]).remove(0);
            fresh.push((result.map_err(|error| text(&error))?.base_offset.0, key, value));
        }
        log.roll(Timestamp(1_000_000)).map_err(|error| text(&error))?;
        *recovery = flush(&mut log).map_err(|error| text(&error))?;
        written.append(&mut fresh);
        drive(&mut log, MEANS, 0).map_err(|error| text(&error))?;
    }
    log.close().map_err(|error| text(&error))?;
    Ok(())
}

fn check_after(disk: &SimDisk, written: &[(i64, String, String)], recovery: Offset, context: &str) {
    let recover = OpenOptions { recovery_point: recovery, ..options(compacted()) };
    let (mut log, report) = open_with(disk, recover).unwrap_or_else(|error| panic!("{context}: {error}"));
    let context = format!("{context}, {report:?}, {:?}", names(disk));
    let last = written.iter().map(|(offset, key, value)| (key, (*offset, value))).collect::<BTreeMap<_, _>>();
    for round in 0..2 {
        let stored = records(&log);
        assert!(stored.is_sorted_by(|a, b| a.0 < b.0), "{context}: offsets go up: {stored:?}");
        let found = stored.iter().map(|(offset, key, value)| (key, (*offset, value))).collect::<BTreeMap<_, _>>();
        for (key, (offset, value)) in &last {
            let (found_at, found_value) = found.get(*key).unwrap_or_else(|| panic!("{context}: {key} is lost"));
            assert!(offset <= found_at, "{context}: {key} at {found_at} instead of {offset}");
            assert!(offset < found_at || found_value.as_ref() == Some(*value), "{context}");
        }
        if round == 0 {
            assert!(!names(disk).iter().any(|name| name.ends_with("cleaned") || name.ends_with("swap")), "{context}");
            let next = log.describe_producers().first().map_or(0, |producer| producer.last_sequence + 1);
            assert!(i32::try_from(written.len()).expect("few") <= next, "{context}: the producer was known to {next}");
            put(&mut log, &[("z", Some("z"))], How { producer: Some((1, 0, next)), ..How::default() });
            settle(&mut log);
            clean(&mut log, 0);
        }
    }
    let end = log.close().unwrap();
    let clean_start = OpenOptions { recovery_point: end, clean_shutdown: true, ..options(compacted()) };
    assert_eq!(open_with(disk, clean_start).unwrap().0.log_end_offset(), end, "{context}");
}

#[test]
fn no_last_value_is_lost_by_a_death_at_any_operation() {
    let operations = {
        let disk = disk();
        let before = disk.operations();
        scenario(&disk, &mut Vec::new(), &mut Offset(0)).unwrap();
        before..disk.operations()
    };
    for death in [Death::Power, Death::Process] {
        for at in operations.clone() {
            for seed in 0..6 {
                let disk = disk_of(seed * 1_000 + at);
                disk.die_at(at, death);
                let (mut written, mut recovery) = (Vec::new(), Offset(0));
                scenario(&disk, &mut written, &mut recovery).expect_err("the disk dies");
                disk.restart();
                check_after(&disk, &written, recovery, &format!("{death:?} at {at}, seed {seed}"));
            }
        }
    }
}

#[test]
fn any_run_of_writes_and_cleanings_ends_with_the_last_values() {
    for seed in 0..30_u64 {
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % sides
        };
        let disk = disk_of(seed);
        let mut log = open_compacted(&disk, Offset(0));
        let (mut model, mut all) = (BTreeMap::new(), BTreeMap::new());
        let mut now = 1_000;
        for _ in 0..60 {
            let count = 1 + roll(4);
            let fresh = (0..count).map(|_| {
                let value = (roll(5) != 0).then(|| format!("v{}", roll(1_000_000)));
                (format!("k{}", roll(12)), value)
            });
            let fresh = fresh.collect::<Vec<_>>();
            let batch = fresh.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect::<Vec<_>>();
            let how = How { codec: Codec::ALL[usize::try_from(roll(5)).expect("below five")], ..How::default() };
            let base = put(&mut log, &batch, how);
            for (number, (key, value)) in fresh.into_iter().enumerate() {
                let offset = base.0 + number as i64;
                all.insert(offset, (key.clone(), value.clone()));
                model.insert(key, (offset, value));
            }
            if roll(4) == 0 {
                settle(&mut log);
                now += DAY / 3;
                let means = CleanerMeans { map_bytes: 24 * (18 + roll(60)), ..MEANS };
                drive(&mut log, means, now).unwrap();
            }
            if roll(15) == 0 {
                let end = log.close().unwrap();
                log = open_compacted(&disk, end);
            }
        }
        settle(&mut log);
        for (offset, key, value) in records(&log) {
            assert_eq!(all.get(&offset), Some(&(key, value)), "seed {seed}: nothing is invented");
        }
        let found = records(&log).into_iter().map(|(at, key, value)| (key, (at, value))).collect::<BTreeMap<_, _>>();
        for (key, (offset, value)) in &model {
            match found.get(key) {
                Some(last) => assert_eq!(last, &(*offset, value.clone()), "seed {seed}, {key}"),
                None => assert_eq!(*value, None, "seed {seed}: only a tombstone may go: {key}"),
            }
        }
        clean(&mut log, now);
        clean(&mut log, now + 2 * DAY);
        let found = records(&log);
        let keys = found.iter().map(|record| &record.1).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(keys.len(), found.len(), "seed {seed}: one record per key: {}", shown(&log));
    }
}
