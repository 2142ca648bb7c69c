//! `dohle bench conversion`: how fast records go between the old message formats and the new one, on one core, without a broker.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use serde::Serialize;

use super::report::own_cpu;
use super::{positive, seconds};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::produce::CompressionName;
use crate::model::{Clock as _, LeaderEpoch, Offset, Timestamp};
use crate::telemetry::OsClock;
use crate::wire::record::legacy::{DownConverter, LegacyMagic, Target, Upgraded, message_set, up_convert};
use crate::wire::record::{Codec, Compression, DecompressionLimit, NewRecord, Rules, TimestampType};

/// What a batch of the run may take when decompressed.
const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// What is converted.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Bytes of a record's value, half of which is random
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = positive)]
    record_bytes: usize,
    /// Bytes of the values in a batch
    #[arg(long, value_name = "BYTES", default_value_t = 512 << 10, value_parser = positive)]
    batch_bytes: usize,
    /// How it is compressed; zstd is unknown to the old formats
    #[arg(long, value_name = "CODEC", default_value = "none")]
    codec: CompressionName,
    /// At this level where the topic stores them, as its compression.gzip.level may say
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    level: Option<i32>,
    /// How long each direction is measured
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    /// One line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Megabytes of uncompressed messages in a second of one core.
#[derive(Serialize, Debug)]
struct Rate {
    magic: i8,
    /// Bytes of the batch that is stored, in those of the messages uncompressed.
    stored: f64,
    up_mb_per_cpu_second: f64,
    down_mb_per_cpu_second: f64,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let codec = Codec::from(arguments.codec);
    let failed = |error: &dyn std::fmt::Display| Failure::new(format_args!("this cannot be converted: {error}"));
    let count = (arguments.batch_bytes / arguments.record_bytes).max(1);
    let values = (0_u32..).take(count).map(|number| value(number, arguments.record_bytes)).collect::<Vec<_>>();
    let now = OsClock::start().timestamp();
    let new = |value| NewRecord { timestamp: now, key: None, value: Some(value), headers: &[] };
    let records = values.iter().map(|value| new(&value[..])).collect::<Vec<_>>();
    let time = Duration::from_secs_f64(arguments.seconds);
    let limit = DecompressionLimit { bytes_max: DECOMPRESSED_BYTES_MAX };
    let mut rates = Vec::new();
    for magic in [LegacyMagic::V0, LegacyMagic::V1] {
        let plain = message_set(magic, Codec::None, Offset(0), &records).map_err(|error| failed(&error))?.len();
        let set = Bytes::from(message_set(magic, codec, Offset(0), &records).map_err(|error| failed(&error))?);
        let compression = arguments.level.map(|level| Compression { codec, level: Some(level) });
        let rules = Rules { compression, ..rules(now, limit) };
        let mut scratch = Vec::new();
        let Upgraded::Batch { batch, .. } = up_convert(&set, &rules, &mut scratch).map_err(|error| failed(&error))?
        else {
            return Err(failed(&"there is nothing"));
        };
        let up = rate(time, plain, || {
            black_box(up_convert(black_box(&set), &rules, &mut scratch)).map(drop).map_err(|error| failed(&error))
        })?;
        let stored = [&batch.placed(Offset(7), LeaderEpoch(1))[..], &batch.body].concat();
        let target = Target { magic, offset: Offset(7), bytes_max: usize::MAX, decompression: limit };
        let down = rate(time, plain, || {
            let mut converter = DownConverter::new(target);
            converter.convert(black_box(&stored)).map_err(|error| failed(&error))?;
            black_box(converter.finish());
            Ok(())
        })?;
        let stored = stored.len() as f64 / plain as f64;
        rates.push(Rate { magic: magic.number(), stored, up_mb_per_cpu_second: up, down_mb_per_cpu_second: down });
    }
    if arguments.json {
        output.json(&rates)?;
    } else {
        let shown = |rate: f64| format!("{rate:.0} MB/s");
        let row = |rate: &Rate| {
            let (up, down) = (shown(rate.up_mb_per_cpu_second), shown(rate.down_mb_per_cpu_second));
            vec![rate.magic.to_string(), up, down, format!("{:.2}", rate.stored)]
        };
        let rows = rates.iter().map(row).collect::<Vec<_>>();
        output.table(&["magic", "up, per core", "down, per core", "stored / plain"], &rows)?;
    }
    output.flush()
}

/// Repeats `work`, which is about `bytes`, for that long; megabytes in a second of CPU time.
fn rate(time: Duration, bytes: usize, mut work: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let clock = OsClock::start();
    let (began, cpu) = (clock.moment(), own_cpu());
    let mut rounds = 0_u32;
    while clock.moment().since(began) < time {
        work()?;
        rounds += 1;
    }
    let spent = own_cpu().saturating_sub(cpu).as_secs_f64().max(1e-9);
    Ok(bytes as f64 * f64::from(rounds) / spent / 1e6)
}

/// A value of which every second byte is the same.
fn value(number: u32, len: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(2_654_435_761) | 1;
    let byte = |at: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        if at.is_multiple_of(2) { b'.' } else { state.to_be_bytes()[0] }
    };
    (0..len).map(byte).collect()
}

fn rules(now: Timestamp, decompression: DecompressionLimit) -> Rules {
    Rules {
        compacted: false,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        batch_bytes_max: usize::MAX,
        segment_bytes_max: usize::MAX,
        compression: None,
        produce_version: 2,
        transactional_allowed: false,
        now,
        decompression,
        every_record: false,
    }
}
