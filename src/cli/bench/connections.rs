//! `dohle bench connections`: opens many connections, lets them idle, and asks each one whether it still answers.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use super::report::{Latencies, Percentiles, own_cpu};
use crate::cli::connect::Connect;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::client::BrokerAddress;
use crate::model::Clock;
use crate::telemetry::OsClock;
use crate::wire::message::ApiVersionsRequest;
use crate::wire::{Request as _, RequestHeader, encode_request};

/// Connections opened before the answers to their first requests are read: fewer than a listener's queue holds (50 in Kafka), which would
/// otherwise make the system wait a second before it tries again.
pub(super) const WINDOW: usize = 32;

/// How long a broker may take to answer one connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// Descriptors that the process needs beside its connections.
const OTHER_DESCRIPTORS: u64 = 32;

/// Largest answer to the question asked: it lists some seventy APIs in six bytes each.
const ANSWER_BYTES_MAX: usize = 64 << 10;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = super::positive)]
    count: usize,
    /// How long to leave them idle before each is asked again: time to look at the broker's memory
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    hold: f64,
    /// One line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Found {
    bench: &'static str,
    connections: usize,
    /// Until every one had its first answer.
    open_seconds: f64,
    connections_per_second: f64,
    /// From connecting to the first answer, for each connection, in microseconds.
    first_answer_micros: Option<Percentiles>,
    /// One request on each idle connection, one after the other, in microseconds.
    round_trip_micros: Option<Percentiles>,
    client_cpu_seconds: f64,
}

pub(super) fn run(connect: &Connect, arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    raise_descriptor_limit(arguments.count)?;
    let address = connect.block_on(async |cluster| Ok(cluster.any().await?.address().clone()))?;
    let question = question()?;
    let clock = OsClock::start();
    let cpu = own_cpu();
    let (mut first, mut again) = (Latencies::new(), Latencies::new());
    let start = clock.moment();
    let mut open = Vec::with_capacity(arguments.count);
    while open.len() < arguments.count {
        let begun = open.len();
        let mut since = Vec::new();
        for _ in 0..WINDOW.min(arguments.count - begun) {
            since.push(clock.moment());
            open.push(connected(&address, &question).map_err(|error| failed(open.len(), &error))?);
        }
        for (stream, since) in open.iter_mut().skip(begun).zip(since) {
            answered(stream).map_err(|error| failed(begun, &error))?;
            first.record(clock.moment().since(since));
        }
    }
    let open_seconds = clock.moment().since(start).as_secs_f64();
    std::thread::sleep(Duration::try_from_secs_f64(arguments.hold).unwrap_or_default());
    for (number, stream) in open.iter_mut().enumerate() {
        let asked = clock.moment();
        stream.write_all(&question).and_then(|()| answered(stream)).map_err(|error| failed(number, &error))?;
        again.record(clock.moment().since(asked));
    }
    let found = Found {
        bench: "connections",
        connections: open.len(),
        open_seconds,
        connections_per_second: open.len() as f64 / open_seconds,
        first_answer_micros: first.percentiles(),
        round_trip_micros: again.percentiles(),
        client_cpu_seconds: own_cpu().saturating_sub(cpu).as_secs_f64(),
    };
    found.print(output, arguments.json)
}

impl Found {
    fn print(&self, output: &mut Output, json: bool) -> Result<(), Failure> {
        if json {
            return output.json(self);
        }
        let text = |times: &Option<Percentiles>| times.as_ref().map_or_else(String::new, Percentiles::text);
        let rows = [
            ("connections", self.connections.to_string()),
            ("opened in", format!("{:.3} s ({:.0}/s)", self.open_seconds, self.connections_per_second)),
            ("first answer", text(&self.first_answer_micros)),
            ("round trip", text(&self.round_trip_micros)),
            ("client CPU", format!("{:.3} s", self.client_cpu_seconds)),
        ];
        let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect::<Vec<_>>();
        output.table(&["measure", "value"], &rows)
    }
}

pub(super) fn failed(number: usize, error: &io::Error) -> Failure {
    Failure::new(format_args!("connection {number} failed: {error}")).hint(
        "The broker may allow fewer: see its max.connections, max.connections.per.ip and limit on file descriptors.",
    )
}

pub(super) fn connected(address: &BrokerAddress, question: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect((address.host.as_str(), address.port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(question)?;
    Ok(stream)
}

pub(super) fn answered(stream: &mut TcpStream) -> io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).ok().filter(|&length| length <= ANSWER_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::other("an answer of an impossible length"))?;
    stream.read_exact(&mut vec![0; length])
}

/// What every broker answers on every connection, without looking anything up.
pub(super) fn question() -> Result<Vec<u8>, Failure> {
    let key = ApiVersionsRequest::KEY;
    let header = RequestHeader { key, version: 0, correlation_id: 0, client_id: Some("dohle-bench".into()) };
    let encoded = encode_request(&header, &ApiVersionsRequest::default()).map_err(Failure::new)?;
    Ok(encoded.bytes.to_vec())
}

/// Asks the system for as many descriptors as are needed, up to what it may give.
pub(super) fn raise_descriptor_limit(connections: usize) -> Result<(), Failure> {
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_DESCRIPTORS);
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        return Err(Failure::new(format_args!("{connections} connections need {needed} file descriptors"))
            .hint(format_args!("The hard limit is {}; `ulimit -Hn` shows it.", limit.maximum.unwrap_or_default())));
    }
    if limit.current.is_some_and(|current| current < needed) {
        let raised = Rlimit { current: Some(needed), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised)
            .map_err(|error| Failure::new(format_args!("cannot raise the limit on file descriptors: {error}")))?;
    }
    Ok(())
}
