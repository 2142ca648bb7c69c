//! A power failure or the death of the process at every operation of a scenario.

use super::*;
use crate::model::Moment;
use crate::storage::disk::sim::Death;

/// What the scenario knows to be true, whatever happens next.
#[derive(Default)]
struct Promised {
    /// Batches that were appended with success, by base offset. Of the last call some may be there without having been told.
    appended: Vec<Stored>,
    /// Everything below was flushed.
    flushed: Offset,
    /// Log start offset that was asked for.
    log_start: Offset,
}

/// Appends, flushes, rolls, deletes; ends early when the disk dies.
fn scenario(disk: &SimDisk, promised: &mut Promised, known: &mut Vec<Stored>) -> Result<(), DiskError> {
    let mut log = match open_with(disk, options(config())) {
        Ok((log, _)) => log,
        Err(OpenError::Disk(error)) => return Err(error),
        Err(OpenError::Corrupt(corruption)) => panic!("{corruption}"),
    };
    log.start_leader_epoch(LeaderEpoch(2));
    for round in 0..6_i32 {
        for call in 0..2_i32 {
            let sequence = round * 4 + call * 2;
            let sent = |step: i32| Sent {
                producer: Some((1, 0, sequence + step)),
                value_bytes: 150,
                mark: b'a' + u8::try_from(round).unwrap(),
                timestamp: i64::from(sequence + step),
                ..Sent::default()
            };
            let batches = [sent(0).batch(), sent(1).batch()];
            for (at, batch) in batches.iter().enumerate() {
                let base_offset = Offset(log.log_end_offset().0 + at as i64);
                let header = BatchHeader { base_offset, leader_epoch: LeaderEpoch(3), ..batch.header };
                known.push(Stored(header, [&header.encode()[..], &batch.body].concat()));
            }
            let results = append_all(&mut log, &batches);
            for result in results {
                match result {
                    Ok(appended) => {
                        let stored = known.iter().find(|Stored(header, _)| header.base_offset == appended.base_offset);
                        promised.appended.push(stored.unwrap().clone());
                    }
                    Err(AppendError::Disk(error) | AppendError::LogFailed(error)) => return Err(error),
                    Err(other) => panic!("{other}"),
                }
            }
        }
        promised.flushed = flush(&mut log)?;
        if round == 3 {
            let start = Offset(9);
            promised.log_start = start;
            log.advance_log_start(start);
            let gone = log.apply_retention(promised.flushed, Timestamp(0), Moment::default())?;
            if let Some(gone) = gone {
                gone.run(&disk.clone())?;
            }
        }
    }
    promised.flushed = log.close()?;
    Ok(())
}

fn check_after(disk: &SimDisk, promised: &Promised, known: &[Stored], death: Death, at: u64) {
    let recover = OpenOptions { recovery_point: promised.flushed, log_start_offset: Offset(0), ..options(config()) };
    let (log, report) = open_with(disk, recover).unwrap_or_else(|error| panic!("died at {at}: {error}"));
    let stored = read_all(&log);
    let context = format!("{death:?} at {at}: flushed up to {}, {report:?}", promised.flushed);
    assert!(promised.flushed <= log.log_end_offset(), "{context}: ends at {}", log.log_end_offset());
    assert!(log.log_start_offset() <= promised.log_start, "{context}");
    let mut expected = log.log_start_offset();
    for Stored(header, bytes) in &stored {
        assert_eq!(header.base_offset, expected, "{context}: in order, once, without a gap");
        assert!(known.iter().any(|Stored(_, sent)| sent == bytes), "{context}: nothing is invented");
        expected = header.last_offset().next();
    }
    assert_eq!(expected, log.log_end_offset(), "{context}");
    // The producers are what the log says.
    let last = stored.last().map(|Stored(header, _)| header.last_sequence());
    let state = log.describe_producers().first().map(|producer| producer.last_sequence);
    assert_eq!(state, last, "{context}");
    // And the log goes on.
    let mut log = log;
    let next = Sent { producer: Some((1, 0, last.map_or(0, |last| last + 1))), ..Sent::default() };
    assert_eq!(append(&mut log, &next).base_offset, expected, "{context}");
    flush(&mut log).unwrap();
    let end = log.close().unwrap();
    let clean = OpenOptions { recovery_point: end, clean_shutdown: true, ..options(config()) };
    let (log, report) = open_with(disk, clean).unwrap();
    assert_eq!((log.log_end_offset(), report.cut), (end, None), "{context}");
    assert_eq!(read_all(&log).len(), stored.len() + 1, "{context}");
}

#[test]
fn what_was_flushed_survives_a_death_at_any_operation() {
    let operations = {
        let disk = disk();
        let before = disk.operations();
        scenario(&disk, &mut Promised::default(), &mut Vec::new()).unwrap();
        before..disk.operations()
    };
    for death in [Death::Power, Death::Process] {
        for at in operations.clone() {
            for seed in 0..4 {
                let disk = disk_of(seed * 1_000 + at);
                disk.die_at(at, death);
                let (mut promised, mut known) = (Promised::default(), Vec::new());
                scenario(&disk, &mut promised, &mut known).expect_err("the disk dies");
                disk.restart();
                check_after(&disk, &promised, &known, death, at);
            }
        }
    }
}

#[test]
fn a_crash_during_recovery_loses_nothing_either() {
    for seed in 0..60 {
        let disk = disk_of(seed);
        let (mut promised, mut known) = (Promised::default(), Vec::new());
        disk.die_at(disk.operations() + 20 + seed, Death::Power);
        scenario(&disk, &mut promised, &mut known).expect_err("the disk dies");
        for again in 0..6 {
            disk.restart();
            disk.die_at(disk.operations() + again, Death::Power);
            let recover = OpenOptions { recovery_point: promised.flushed, ..options(config()) };
            match open_with(&disk, recover) {
                Ok(_) => disk.crash(),
                Err(OpenError::Disk(_)) => assert!(disk.is_down(), "only the crash may stop it"),
                Err(OpenError::Corrupt(corruption)) => panic!("seed {seed}: {corruption}"),
            }
        }
        disk.restart();
        check_after(&disk, &promised, &known, Death::Power, seed);
    }
}
