//! `dohle bench`: the load generator. It encodes its requests once and sends them many times, so that the machine's time
//! goes to the broker; what it spends itself is in its report. Two loads measure the client library instead.

mod answers;
mod canned;
mod commits;
mod connections;
mod conversion;
mod fetch;
mod groups;
mod native;
mod pace;
mod poller;
mod produce;
mod report;
mod target;

use std::time::Duration;

use clap::{Args, Subcommand};

use super::connect::Connect;
use super::failure::Failure;
use super::output::Output;
use super::produce::{CompressionName, acks};
use crate::client::producer::Acks;
use crate::model::Clock as _;
use crate::telemetry::OsClock;
use crate::wire::record::legacy::LegacyMagic;
use pace::Pace;
use produce::{Found, Load, Until};
use report::Report;
use target::{Batch, Target};

/// Measure a broker
#[derive(Args, Debug)]
#[command(
    after_help = "Every run says what it cost this process itself: compare only runs whose client was not the limit.
CPU time of the broker is the operating system's to tell.

Examples:
  dohle bench produce --batch-bytes 1048576 --seconds 10
  dohle bench produce --batch-bytes 168 --record-bytes 100 --connections 64 --in-flight 16
  dohle bench latency --rate 5000 --connections 4 --seconds 30 --json
  dohle bench fetch --seconds 10
  dohle bench connections --count 9000 --hold 30
  dohle bench groups --members 100 --partitions 1000 --rebalances 20
  dohle bench commits --groups 100 --connections 64 --requests 100000
  dohle bench conversion --codec lz4
  dohle bench producer --records 10000000 -X linger.ms=5 -X batch.size=65536
  dohle bench consumer --records 10000000"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// As much as can be written: every connection keeps requests in flight
    Produce(Produce),
    /// How long a write takes at a fixed rate, counted from when it was due
    Latency(Latency),
    /// As much as can be read, from the beginning on, over and over
    Fetch(Fetch),
    /// How fast connections are taken, and how idle ones answer
    Connections(connections::Arguments),
    /// How fast members of groups come together, and how their heartbeats are answered
    Groups(groups::Arguments),
    /// As many offsets as can be committed
    Commits(commits::Arguments),
    /// How fast records go between the old message formats and the new one, on one core of this machine
    Conversion(conversion::Arguments),
    /// What this program's own client library takes to write records, one by one, with Kafka's settings
    Producer(native::ProducerArguments),
    /// The same for reading them
    Consumer(native::ConsumerArguments),
}

/// The topic, and what is made of it when it is not there.
#[derive(Args, Debug)]
pub(super) struct TopicArguments {
    /// The topic; made when it is not there
    #[arg(long, short, default_value = "dohle-bench")]
    pub(super) topic: String,
    /// Partitions, if it has to be made
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    pub(super) partitions: i32,
    /// Replicas, if it has to be made
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i16).range(1..))]
    pub(super) replication_factor: i16,
    /// A setting, if it has to be made; may be given more than once
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = super::key_value)]
    pub(super) configs: Vec<(String, String)>,
}

/// What is written.
#[derive(Args, Debug)]
struct Writes {
    #[command(flatten)]
    topic: TopicArguments,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    connections: usize,
    /// Bytes of a record's value
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    record_bytes: usize,
    /// Bytes of a batch before compression, one batch per request [default: 65536, for latency one record]
    #[arg(long, value_name = "BYTES")]
    batch_bytes: Option<usize>,
    /// How the batches are compressed; half of each value is random
    #[arg(long, value_name = "CODEC", default_value = "none")]
    codec: CompressionName,
    /// Send messages of this format, which the broker converts, as clients before Kafka 0.11 do: 0 or 1
    #[arg(long, value_name = "N", value_parser = magic)]
    magic: Option<LegacyMagic>,
    /// Whose acknowledgement to wait for: all, 1 or 0
    #[arg(long, value_name = "ACKS", default_value = "all", value_parser = acks)]
    acks: Acks,
    /// How long to send
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    seconds: f64,
    /// One line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Produce {
    #[command(flatten)]
    writes: Writes,
    /// Requests that each connection keeps unanswered
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = positive)]
    in_flight: usize,
    /// Stop after so many bytes of batches, if that comes first
    #[arg(long, value_name = "BYTES")]
    bytes: Option<u64>,
}

#[derive(Args, Debug)]
struct Latency {
    #[command(flatten)]
    writes: Writes,
    /// Requests a second, over all connections
    #[arg(long, value_name = "N", default_value_t = 1000.0, value_parser = rate)]
    rate: f64,
}

#[derive(Args, Debug)]
struct Fetch {
    #[command(flatten)]
    topic: TopicArguments,
    /// Connections, each reading one partition
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    connections: usize,
    /// Bytes asked for at once
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, value_parser = clap::value_parser!(i32).range(1..))]
    fetch_bytes: i32,
    /// How long to read
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    seconds: f64,
    /// Stop after so many bytes of records, if that comes first
    #[arg(long, value_name = "BYTES")]
    bytes: Option<u64>,
    /// One line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| 0 < number).ok_or_else(|| "write a number of at least 1".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|&number: &f64| 0.0 < number && number <= 1e6);
    number.ok_or_else(|| "write a number of seconds, at most a million".to_owned())
}

fn magic(text: &str) -> Result<LegacyMagic, String> {
    text.parse().ok().and_then(LegacyMagic::of).ok_or_else(|| "write 0 or 1".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|&number| pace::interval(number).is_some());
    number.ok_or_else(|| "write a number of requests a second".to_owned())
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    match &arguments.command {
        Command::Produce(produce) => {
            let requests = |batch: &Batch| produce.bytes.map(|bytes| bytes.div_ceil(batch.carries().bytes));
            let batch_bytes = produce.writes.batch_bytes.unwrap_or(64 << 10);
            write(&arguments.connect, &produce.writes, batch_bytes, Pace::InFlight(produce.in_flight), requests, output)
        }
        Command::Latency(latency) => {
            let interval = pace::interval(latency.rate).unwrap_or(Duration::MAX);
            let batch_bytes = latency.writes.batch_bytes.unwrap_or_default();
            write(&arguments.connect, &latency.writes, batch_bytes, Pace::Every(interval), |_| None, output)
        }
        Command::Fetch(fetch) => read(&arguments.connect, fetch, output),
        Command::Connections(connections) => connections::run(&arguments.connect, connections, output),
        Command::Groups(groups) => groups::run(&arguments.connect, groups, output),
        Command::Commits(commits) => commits::run(&arguments.connect, commits, output),
        Command::Conversion(conversion) => conversion::run(conversion, output),
        Command::Producer(producer) => native::produce(&arguments.connect, producer, output),
        Command::Consumer(consumer) => native::consume(&arguments.connect, consumer, output),
    }
}

fn write(
    connect: &Connect,
    writes: &Writes,
    batch_bytes: usize,
    pace: Pace,
    requests: impl Fn(&Batch) -> Option<u64>,
    output: &mut Output,
) -> Result<(), Failure> {
    let clock = OsClock::start();
    let batch = Batch::new(batch_bytes, writes.record_bytes, writes.codec.into(), writes.magic, clock.timestamp())?;
    let target = connect.block_on(async |cluster| Target::prepare(&cluster, &writes.topic, batch.len()).await)?;
    let lanes = target.write_lanes(&batch, writes.acks, writes.connections)?;
    let until = Until { time: Duration::from_secs_f64(writes.seconds), requests: requests(&batch) };
    let Found { counted, latencies, send_delays } = Load::new(&clock, lanes).run(pace, until, batch.carries())?;
    let name = match pace {
        Pace::InFlight(_) => "produce",
        Pace::Every(_) => "latency",
    };
    let report = Report::new(name, &writes.topic.topic, writes.connections, &counted).latencies(&latencies);
    let report = match pace {
        Pace::InFlight(_) => report,
        Pace::Every(_) => report.send_delays(&send_delays),
    };
    report.print(output, writes.json)
}

fn read(connect: &Connect, fetch: &Fetch, output: &mut Output) -> Result<(), Failure> {
    let clock = OsClock::start();
    let target = connect.block_on(async |cluster| Target::prepare(&cluster, &fetch.topic, 0).await)?;
    let lanes = target.read_lanes(fetch.fetch_bytes, fetch.connections)?;
    let (counted, latencies) = fetch::run(&clock, lanes, Duration::from_secs_f64(fetch.seconds), fetch.bytes)?;
    if counted.bytes == 0 {
        return Err(Failure::new(format_args!("topic '{}' has nothing to read", fetch.topic.topic))
            .hint("Fill it with `dohle bench produce` first."));
    }
    Report::new("fetch", &fetch.topic.topic, fetch.connections, &counted)
        .latencies(&latencies)
        .print(output, fetch.json)
}
