//! `dohle produce`: lines become records.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::rc::Rc;

use bytes::{Buf as _, BytesMut};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::connect::Connect;
use super::failure::Failure;
use super::file::FileReader;
use super::output::{Count, notice};
use crate::client::config::ProducerConfig;
use crate::client::producer::{Acks, ProduceError, Producer};
use crate::client::{ClientError, Cluster};
use crate::model::{ErrorCode, PartitionIndex};
use crate::wire::record::{Codec, Header, NewRecord};

/// Longest line: far more than any broker takes (`message.max.bytes` is 1 MiB by default).
const LINE_BYTES_MAX: usize = 128 << 20;

/// Bytes of one request: what `buffer.memory` holds by default.
const REQUEST_BYTES_MAX: usize = 32 << 20;

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// Write the lines of a file or of standard input as records
#[derive(Args, Debug)]
#[command(
    after_help = "Each line becomes the value of a record. With acks=all, the default, records survive the death of a
broker once this command has ended without an error, and none is written twice.

Examples:
  echo 'hello' | dohle produce greetings
  dohle produce flights flights.csv --key-separator , --compression zstd
  dohle produce events --partition 3 --header source=test < events.jsonl"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    connect: Connect,
    /// The topic; brokers with auto.create.topics.enable make it when it is not there
    topic: String,
    /// Where the lines are [default: standard input]
    file: Option<PathBuf>,
    /// What stands in front of it in a line is the record's key; every line must have it
    #[arg(long, short = 'K', value_name = "TEXT")]
    key_separator: Option<String>,
    /// Write all records into this partition instead of choosing by key
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// A header for every record; may be given more than once
    #[arg(long = "header", short = 'H', value_name = "KEY=VALUE", value_parser = super::key_value)]
    headers: Vec<(String, String)>,
    /// A value that is exactly this text becomes null: a tombstone in a compacted topic
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// How batches are compressed
    #[arg(long, short = 'z', value_name = "CODEC", default_value = "none")]
    compression: CompressionName,
    /// Whose acknowledgement to wait for: 'all' in-sync replicas, '1' for the leader, '0' for nobody
    #[arg(long, value_name = "ACKS", default_value = "all", value_parser = acks)]
    acks: Acks,
    /// Bytes of a batch before compression
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 10)]
    batch_size: usize,
    /// How long a record may wait for its batch to fill while no more lines come
    #[arg(long, value_name = "MS", default_value_t = 5)]
    linger: u64,
    /// Let retries write records twice; for brokers that have no producer ids
    #[arg(long)]
    no_idempotence: bool,
    /// A key of Kafka's producer configuration; may be given more than once
    #[arg(long = "property", short = 'X', value_name = "KEY=VALUE", value_parser = super::key_value)]
    properties: Vec<(String, String)>,
    /// Do not say how much was written
    #[arg(long, short)]
    quiet: bool,
}

/// The codecs by Kafka's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum CompressionName {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<CompressionName> for Codec {
    fn from(name: CompressionName) -> Self {
        match name {
            CompressionName::None => Self::None,
            CompressionName::Gzip => Self::Gzip,
            CompressionName::Snappy => Self::Snappy,
            CompressionName::Lz4 => Self::Lz4,
            CompressionName::Zstd => Self::Zstd,
        }
    }
}

/// Reads `acks` as Kafka's producer does.
pub(super) fn acks(text: &str) -> Result<Acks, String> {
    match text {
        "all" | "-1" => Ok(Acks::All),
        "1" => Ok(Acks::Leader),
        "0" => Ok(Acks::None),
        _ => Err("write all, 1 or 0".to_owned()),
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let progress = Progress::new(arguments);
    let config = configuration(arguments)?;
    let common = config.common.clone();
    let done = Connect::block_on_with(common.bootstrap, common.client, async |cluster| match &arguments.file {
        Some(path) => produce(arguments, cluster, &config, FileReader::open(path)?, &progress).await,
        None => produce(arguments, cluster, &config, tokio::io::stdin(), &progress).await,
    });
    progress.end(arguments, done)
}

/// What the arguments say, and then what a person sets by Kafka's keys.
fn configuration(arguments: &Arguments) -> Result<ProducerConfig, Failure> {
    let mut settings = arguments.connect.settings();
    let codec = Codec::from(arguments.compression).name();
    let own = [
        ("acks", arguments.acks.wire().to_string()),
        ("compression.type", codec.to_owned()),
        ("batch.size", arguments.batch_size.to_string()),
        ("linger.ms", arguments.linger.to_string()),
        // The broker's own limit is the one that counts.
        ("max.request.size", REQUEST_BYTES_MAX.to_string()),
        ("max.block.ms", "30000".to_owned()),
    ];
    settings.extend(own.map(|(key, value)| (key.to_owned(), value)));
    if arguments.no_idempotence {
        settings.push(("enable.idempotence".to_owned(), "false".to_owned()));
    }
    settings.extend(arguments.properties.iter().cloned());
    ProducerConfig::new(settings).map_err(Failure::new)
}

async fn produce(
    arguments: &Arguments,
    cluster: Rc<Cluster>,
    config: &ProducerConfig,
    mut lines: impl AsyncRead + Unpin,
    progress: &Progress,
) -> Result<u64, Failure> {
    let clock = Rc::clone(cluster.clock());
    // A topic that is not there is told at once.
    cluster.layout(&arguments.topic, true).await?;
    let producer = Producer::with(cluster, config);
    let splitter = Splitter::new(arguments);
    let headers = splitter.headers();
    let mut buffer = BytesMut::new();
    let mut number = 0_u64;
    loop {
        buffer.reserve(READ_BYTES);
        let read = next_bytes(&mut lines, &mut buffer, &producer, arguments).await?;
        let now = clock.timestamp();
        // What is left at the end without a line feed is a line too.
        while let Some(line) = take_line(&mut buffer, read == 0) {
            number += 1;
            let (key, value) = splitter.split(&line, number)?;
            let record = NewRecord { timestamp: now, key, value, headers: &headers };
            let partition = arguments.partition.map(PartitionIndex);
            let sent = producer.send(&arguments.topic, partition, &record).await;
            // The report is not waited for: what goes wrong is heard of below.
            drop(sent.map_err(|error| explain(&error, arguments))?);
        }
        progress.show(producer.written().records, producer.written().bytes);
        if LINE_BYTES_MAX < buffer.len() {
            return Err(Failure::new(format_args!("line {} is longer than {LINE_BYTES_MAX} bytes", number + 1)));
        }
        if read == 0 {
            producer.flush().await.map_err(|error| explain(&error, arguments))?;
            progress.show(producer.written().records, producer.written().bytes);
            return Ok(number);
        }
    }
}

/// Waits for more input, or until something goes wrong.
async fn next_bytes(
    lines: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    producer: &Producer,
    arguments: &Arguments,
) -> Result<usize, Failure> {
    tokio::select! {
        biased;
        error = producer.failed() => Err(explain(&error, arguments)),
        read = lines.read_buf(buffer) => {
            read.map_err(|error| Failure::new(format_args!("cannot read the lines: {error}")))
        }
    }
}

fn take_line(buffer: &mut BytesMut, at_end: bool) -> Option<BytesMut> {
    match buffer.iter().position(|&byte| byte == b'\n') {
        Some(end) => {
            let line = buffer.split_to(end);
            buffer.advance(1);
            Some(line)
        }
        None if at_end && !buffer.is_empty() => Some(buffer.split()),
        None => None,
    }
}

/// Key and value of a line; either may be null.
type KeyValue<'l> = (Option<&'l [u8]>, Option<&'l [u8]>);

/// Takes lines apart.
struct Splitter<'a> {
    separator: Option<&'a [u8]>,
    null: Option<&'a [u8]>,
    headers: &'a [(String, String)],
}

impl<'a> Splitter<'a> {
    fn new(arguments: &'a Arguments) -> Self {
        Self {
            separator: arguments.key_separator.as_deref().map(str::as_bytes).filter(|separator| !separator.is_empty()),
            null: arguments.null.as_deref().map(str::as_bytes),
            headers: &arguments.headers,
        }
    }

    fn headers(&self) -> Vec<Header<'a>> {
        let pairs = self.headers.iter();
        pairs.map(|(key, value)| Header { key: key.as_bytes(), value: Some(value.as_bytes()) }).collect()
    }

    /// Key and value of a line.
    fn split<'l>(&self, line: &'l [u8], number: u64) -> Result<KeyValue<'l>, Failure> {
        let (key, value) = match self.separator {
            None => (None, line),
            Some(separator) => {
                let at = line.windows(separator.len()).position(|window| window == separator).ok_or_else(|| {
                    Failure::new(format_args!("line {number} has no key separator"))
                        .hint("Every line must have one. What stood in front of this line may have been written.")
                })?;
                let (key, rest) = line.split_at(at);
                (Some(key), rest.get(separator.len()..).unwrap_or_default())
            }
        };
        Ok((key, (self.null != Some(value)).then_some(value)))
    }
}

fn explain(error: &ProduceError, arguments: &Arguments) -> Failure {
    let refused = |code| error.source_error().is_some_and(|error| error.is_refusal(code));
    let unsupported = matches!(error.source_error(), Some(ClientError::Unsupported { .. }));
    let hint = if refused(ErrorCode::MessageTooLarge) || refused(ErrorCode::RecordListTooLarge) {
        Some("Make batches smaller with --batch-size, or raise the topic's max.message.bytes.")
    } else if refused(ErrorCode::InvalidRecord) {
        Some("A compacted topic needs a key in every record: see --key-separator.")
    } else if unsupported && !arguments.no_idempotence {
        Some("An older broker may want --no-idempotence.")
    } else {
        None
    };
    let failure = Failure::new(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Tells a person how far it is.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(arguments: &Arguments) -> Self {
        // Somebody who types the lines sees them already.
        let typed = arguments.file.is_none() && std::io::stdin().is_terminal();
        let bar = if arguments.quiet || typed { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        let style = ProgressStyle::with_template("{spinner} {pos} records acknowledged, {per_sec}, {msg}");
        Self { bar: style.map(|style| bar.clone().with_style(style)).unwrap_or(bar) }
    }

    fn show(&self, records: u64, bytes: u64) {
        self.bar.set_position(records);
        self.bar.set_message(format!("{}", indicatif::HumanBytes(bytes)));
    }

    fn end(&self, arguments: &Arguments, done: Result<u64, Failure>) -> Result<(), Failure> {
        let seconds = self.bar.elapsed().as_secs_f64();
        let acknowledged = self.bar.position();
        self.bar.finish_and_clear();
        let verb = if arguments.acks == Acks::None { "sent" } else { "acknowledged" };
        match done {
            Ok(lines) => {
                if !arguments.quiet {
                    notice(format_args!("{} {verb} in {seconds:.1} s", Count(lines, "record")));
                }
                Ok(())
            }
            Err(failure) => {
                if 0 < acknowledged {
                    let were = if acknowledged == 1 { "was" } else { "were" };
                    notice(format_args!("{} {were} {verb} before this:", Count(acknowledged, "record")));
                }
                Err(failure)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splitter<'a>(separator: Option<&'a str>, null: Option<&'a str>) -> Splitter<'a> {
        Splitter { separator: separator.map(str::as_bytes), null: null.map(str::as_bytes), headers: &[] }
    }

    #[test]
    fn lines_are_taken_apart_at_the_first_separator() {
        let with_key = splitter(Some("::"), Some("NULL"));
        let split = |line: &'static str| with_key.split(line.as_bytes(), 1).ok();
        assert_eq!(split("k::v::w"), Some((Some(&b"k"[..]), Some(&b"v::w"[..]))));
        assert_eq!(split("::"), Some((Some(&b""[..]), Some(&b""[..]))));
        assert_eq!(split("k::NULL"), Some((Some(&b"k"[..]), None)));
        assert_eq!(split("k:v"), None);
        assert_eq!(splitter(None, None).split(b"k::v", 1).ok(), Some((None, Some(&b"k::v"[..]))));
    }

    #[test]
    fn the_last_line_needs_no_line_feed() {
        let mut buffer = BytesMut::from("a\n\nb");
        let mut lines = Vec::new();
        while let Some(line) = take_line(&mut buffer, false) {
            lines.push(line);
        }
        assert_eq!(lines, ["a", ""]);
        assert_eq!(take_line(&mut buffer, true).as_deref(), Some(&b"b"[..]));
        assert_eq!(take_line(&mut buffer, true), None);
    }
}
