//! `dohle bench producer` and `dohle bench consumer`: what the client library itself takes, where the other loads send what was
//! encoded once. Every record is handed over, and every report is looked at, as an application would.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use futures::FutureExt as _;
use serde::Serialize;

use super::report::{Latencies, Percentiles, own_cpu};
use super::{pace, positive, rate};
use crate::cli::connect::Connect;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::client::config::{ConsumerConfig, ProducerConfig};
use crate::client::consumer::{Consumer, Polled};
use crate::client::producer::{Delivery, Producer};
use crate::client::{ClientError, Cluster};
use crate::model::Clock;
use crate::wire::record::NewRecord;

/// Different values that are written, in turn: as many as a person who measures Kafka's own tool gives it in a file.
const VALUES: u32 = 1000;

/// Reports that wait before the oldest is looked at again: a look for each record would be most of the work.
const REPORTS_AT_ONCE: usize = 256;

/// How long a consumer waits for more records before it says that there are none.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a producer or a consumer of the library is measured with.
#[derive(Args, Debug)]
struct Work {
    /// The topic, which must be there
    #[arg(long, short = 't', default_value = "dohle-bench")]
    topic: String,
    /// Records
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = positive)]
    records: usize,
    /// A key of Kafka's configuration; may be given more than once
    #[arg(long = "property", short = 'X', value_name = "KEY=VALUE", value_parser = crate::cli::key_value)]
    properties: Vec<(String, String)>,
    /// One line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct ProducerArguments {
    #[command(flatten)]
    work: Work,
    /// Bytes of a record's value
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    record_bytes: usize,
    /// One record at a time, so many a second at most: how long each takes
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
}

#[derive(Args, Debug)]
pub(super) struct ConsumerArguments {
    #[command(flatten)]
    work: Work,
}

/// What was found.
#[derive(Serialize, Debug)]
struct Found {
    bench: &'static str,
    records: u64,
    /// Of the values.
    bytes: u64,
    seconds: f64,
    records_per_second: f64,
    client_cpu_seconds: f64,
    records_per_client_cpu_second: f64,
    /// From handing a record over to its report, in microseconds.
    latency_micros: Option<Percentiles>,
}

/// What was done between two moments.
struct Done {
    records: u64,
    bytes: u64,
    elapsed: Duration,
    cpu: Duration,
    latencies: Option<Latencies>,
}

pub(super) fn produce(connect: &Connect, arguments: &ProducerArguments, output: &mut Output) -> Result<(), Failure> {
    let mut settings = connect.settings();
    settings.extend(arguments.work.properties.iter().cloned());
    let config = ProducerConfig::new(settings).map_err(Failure::new)?;
    let common = config.common.clone();
    let done = Connect::block_on_with(common.bootstrap, common.client, async |cluster| {
        cluster.layout(&arguments.work.topic, true).await?;
        let clock = Rc::clone(cluster.clock());
        let producer = Producer::with(cluster, &config);
        // Connected and told of the topic, as the others are that are measured beside it.
        producer.partitions(&arguments.work.topic).await.map_err(Failure::new)?;
        match arguments.rate {
            None => throughput(arguments, &producer, &*clock).await,
            Some(rate) => latency(arguments, &producer, &*clock, rate).await,
        }
    })?;
    done.print("producer", arguments.work.json, output)
}

/// Hands over as fast as records are taken.
async fn throughput(arguments: &ProducerArguments, producer: &Producer, clock: &dyn Clock) -> Result<Done, Failure> {
    let values = values(arguments.record_bytes);
    let (began, cpu) = (clock.moment(), own_cpu());
    let mut reports = VecDeque::<Delivery>::new();
    let mut look_at = REPORTS_AT_ONCE;
    for value in values.iter().cycle().take(arguments.work.records) {
        let record = NewRecord { timestamp: clock.timestamp(), key: None, value: Some(value), headers: &[] };
        let report = producer.send(&arguments.work.topic, None, &record).await.map_err(Failure::new)?;
        reports.push_back(report);
        if look_at <= reports.len() {
            reap(&mut reports)?;
            look_at = reports.len() + REPORTS_AT_ONCE;
        }
    }
    producer.flush().await.map_err(Failure::new)?;
    reap(&mut reports)?;
    assert!(reports.is_empty(), "a flush that ended left {} records without a report", reports.len());
    let records = u64::try_from(arguments.work.records).unwrap_or(u64::MAX);
    let bytes = records * u64::try_from(arguments.record_bytes).unwrap_or(u64::MAX);
    let (elapsed, cpu) = (clock.moment().since(began), own_cpu().saturating_sub(cpu));
    Ok(Done { records, bytes, elapsed, cpu, latencies: None })
}

/// Looks at the reports that are there, oldest first.
fn reap(reports: &mut VecDeque<Delivery>) -> Result<(), Failure> {
    while let Some(settled) = reports.front_mut().and_then(|report| report.now_or_never()) {
        settled.map_err(Failure::new)?;
        reports.pop_front();
    }
    Ok(())
}

/// One record after the other, each when it is due and the one before was reported on.
async fn latency(
    arguments: &ProducerArguments,
    producer: &Producer,
    clock: &dyn Clock,
    rate: f64,
) -> Result<Done, Failure> {
    let values = values(arguments.record_bytes);
    let interval = pace::interval(rate).unwrap_or(Duration::MAX);
    let mut latencies = Latencies::new();
    let (began, cpu) = (clock.moment(), own_cpu());
    let mut due = began;
    for value in values.iter().cycle().take(arguments.work.records) {
        tokio::time::sleep(due.since(clock.moment())).await;
        let sent = clock.moment();
        let record = NewRecord { timestamp: clock.timestamp(), key: None, value: Some(value), headers: &[] };
        let report = producer.send(&arguments.work.topic, None, &record).await.map_err(Failure::new)?;
        report.await.map_err(Failure::new)?;
        let now = clock.moment();
        latencies.record(now.since(sent));
        // What is late is not caught up with.
        due = due.after(interval).max(now);
    }
    let records = u64::try_from(arguments.work.records).unwrap_or(u64::MAX);
    let bytes = records * u64::try_from(arguments.record_bytes).unwrap_or(u64::MAX);
    let (elapsed, cpu) = (clock.moment().since(began), own_cpu().saturating_sub(cpu));
    Ok(Done { records, bytes, elapsed, cpu, latencies: Some(latencies) })
}

pub(super) fn consume(connect: &Connect, arguments: &ConsumerArguments, output: &mut Output) -> Result<(), Failure> {
    let mut settings = connect.settings();
    settings.push(("auto.offset.reset".to_owned(), "earliest".to_owned()));
    settings.push(("group.id".to_owned(), format!("dohle-bench-{}", std::process::id())));
    settings.extend(arguments.work.properties.iter().cloned());
    let config = ConsumerConfig::new(settings).map_err(Failure::new)?;
    let common = config.common.clone();
    let wanted = u64::try_from(arguments.work.records).unwrap_or(u64::MAX);
    let done = Connect::block_on_with(common.bootstrap, common.client, async |cluster| {
        read(&arguments.work.topic, wanted, Rc::clone(&cluster), config).await
    })?;
    done.print("consumer", arguments.work.json, output)
}

/// Reads a topic as a group's only member. Counted from the first records on: before it the group comes together.
async fn read(topic: &str, wanted: u64, cluster: Rc<Cluster>, config: ConsumerConfig) -> Result<Done, Failure> {
    let clock = Rc::clone(cluster.clock());
    let mut consumer = Consumer::with(cluster, config);
    consumer.subscribe(&[topic])?;
    let cpu = own_cpu();
    let (mut records, mut bytes, mut began) = (0_u64, 0_u64, None);
    while records < wanted {
        let Ok(polled) = tokio::time::timeout(PATIENCE, consumer.poll()).await else {
            return Err(Failure::new(format_args!("topic '{topic}' has {records} records, not {wanted}"))
                .hint("Fill it with `dohle bench producer` first."));
        };
        let Polled::Records(fetched) = polled? else { continue };
        began.get_or_insert_with(|| clock.moment());
        let _all = fetched.visit(|record| -> Result<_, ClientError> {
            records += 1;
            let len = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            bytes += u64::try_from(len).unwrap_or(u64::MAX);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let elapsed = clock.moment().since(began.unwrap_or_default());
    let done = Done { records, bytes, elapsed, cpu: own_cpu().saturating_sub(cpu), latencies: None };
    consumer.close().await?;
    Ok(done)
}

impl Done {
    fn print(&self, bench: &'static str, json: bool, output: &mut Output) -> Result<(), Failure> {
        let (seconds, cpu) = (self.elapsed.as_secs_f64(), self.cpu.as_secs_f64());
        let each = |time: f64| if time == 0.0 { 0.0 } else { self.records as f64 / time };
        let found = Found {
            bench,
            records: self.records,
            bytes: self.bytes,
            seconds,
            records_per_second: each(seconds),
            client_cpu_seconds: cpu,
            records_per_client_cpu_second: each(cpu),
            latency_micros: self.latencies.as_ref().and_then(Latencies::percentiles),
        };
        if json {
            output.json(&found)?;
        } else {
            output.table(&["measure", "value"], &found.rows())?;
        }
        output.flush()
    }
}

impl Found {
    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
        row("bench", self.bench.to_owned());
        row("time", format!("{:.2} s", self.seconds));
        row("records", format!("{} ({:.0}/s)", self.records, self.records_per_second));
        row(
            "bytes of values",
            format!("{} ({:.1} MB/s)", self.bytes, self.bytes as f64 / self.seconds.max(1e-9) / 1e6),
        );
        row("client CPU", format!("{:.3} s", self.client_cpu_seconds));
        row("records per client CPU-second", format!("{:.0}", self.records_per_client_cpu_second));
        if let Some(latency) = &self.latency_micros {
            row("latency", latency.text());
        }
        rows
    }
}

/// Values of that many letters, no two alike where there is room.
fn values(len: usize) -> Vec<Vec<u8>> {
    let mut state = 2_463_534_242_u32;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        b'A' + state.to_be_bytes()[0] % 26
    };
    (0..VALUES).map(|_| (0..len).map(|_| letter()).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_letters_of_the_length_asked_for_and_differ() {
        let made = values(100);
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|value| value.len() == 100 && value.iter().all(u8::is_ascii_uppercase)));
        assert!(made.windows(2).all(|two| two[0] != two[1]));
    }

    #[test]
    fn rates_are_of_what_was_done_and_print_as_json() {
        let done = Done {
            records: 10,
            bytes: 1000,
            elapsed: Duration::from_secs(2),
            cpu: Duration::from_millis(500),
            latencies: None,
        };
        let shown = Rc::new(std::cell::RefCell::new(Vec::new()));
        struct Sink(Rc<std::cell::RefCell<Vec<u8>>>);
        impl std::io::Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.borrow_mut().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        done.print("producer", true, &mut Output::to(Box::new(Sink(Rc::clone(&shown))))).expect("printed");
        let value: serde_json::Value = serde_json::from_slice(&shown.borrow()).expect("JSON");
        assert_eq!(value["records_per_second"], 5.0);
        assert_eq!(value["records_per_client_cpu_second"], 20.0);
        assert!(value["latency_micros"].is_null());
    }
}
