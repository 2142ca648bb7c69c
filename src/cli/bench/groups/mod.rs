//! `dohle bench groups`: members of classic groups that join, rebalance and stay. A member is a state machine and a
//! connection, since brokers answer the requests of a connection one after the other; all live on one thread.

mod load;
mod member;

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::report::{Latencies, Percentiles, own_cpu};
use crate::cli::connect::Connect;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::client::group::find_coordinator;
use crate::model::Clock as _;
use crate::telemetry::OsClock;
use crate::wire::message::{HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest};
use load::{Load, Plan, Versions};
use member::Terms;

/// How often a member of a rebalancing group asks whether it has begun, until it has heard of it.
const NOTICE: Duration = Duration::from_millis(5);

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Groups
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = super::positive)]
    groups: usize,
    /// Members of each group, with a connection each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = super::positive)]
    members: usize,
    /// Partitions that the leader of each group hands out; no topic of them is made
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// Once all are stable, rebalance each group so many times: its leader joins again, the others hear of it at once
    #[arg(long, value_name = "N", default_value_t = 0)]
    rebalances: usize,
    /// Then stay and send heartbeats for so long
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    hold: f64,
    /// Milliseconds between two heartbeats of a member
    #[arg(long, value_name = "MS", default_value_t = 3000, value_parser = clap::value_parser!(u64).range(1..))]
    heartbeat_ms: u64,
    /// Milliseconds in which a silent member is given up
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(i32).range(1..))]
    session_timeout_ms: i32,
    /// Beginning of the groups' names [default: another one in each run]
    #[arg(long, value_name = "NAME")]
    prefix: Option<String>,
    /// A line of JSON whenever one part is over, instead of a table
    #[arg(long)]
    json: bool,
}

/// What one part of a run found.
#[derive(Serialize, Default)]
struct Part {
    bench: &'static str,
    part: &'static str,
    groups: usize,
    members: usize,
    /// The highest generation of a group.
    generation: i32,
    seconds: f64,
    /// Of each rebalance, from its cause until everybody knows what to read.
    rebalance_micros: Option<Percentiles>,
    /// From the moment a heartbeat was due to its answer.
    heartbeat_micros: Option<Percentiles>,
    /// How late the load generator itself was: part of the above.
    send_delay_micros: Option<Percentiles>,
    client_cpu_seconds: f64,
}

pub(super) fn run(connect: &Connect, arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let clock = OsClock::start();
    let connections = arguments.groups.saturating_mul(arguments.members);
    super::connections::raise_descriptor_limit(connections)?;
    let prefix = arguments.prefix.clone().unwrap_or_else(|| format!("dohle-bench-{}", clock.timestamp().0));
    let names = (0..arguments.groups).map(|number| format!("{prefix}-{number}")).collect::<Vec<_>>();
    let (coordinators, versions) = connect.block_on(async |cluster| {
        let mut coordinators = Vec::with_capacity(names.len());
        for name in &names {
            coordinators.push(cluster.retry(async || find_coordinator(&cluster, name).await).await?);
        }
        let connection = cluster.any().await?;
        let versions = Versions {
            join: connection.version::<JoinGroupRequest>(i16::MAX)?,
            sync: connection.version::<SyncGroupRequest>(i16::MAX)?,
            heartbeat: connection.version::<HeartbeatRequest>(i16::MAX)?,
            leave: connection.version::<LeaveGroupRequest>(i16::MAX)?,
        };
        Ok((coordinators, versions))
    })?;
    let terms = Terms::new("dohle-bench".into(), arguments.partitions, arguments.session_timeout_ms);
    let plan = Plan { versions, members: arguments.members, interval: Duration::from_millis(arguments.heartbeat_ms) };
    let mut load = Load::new(&clock, plan, terms, names.iter().zip(&coordinators))?;

    let mut report = Reporter { arguments, output, cpu: own_cpu(), rows: Vec::new() };
    let seconds = load.join()?;
    report.part(Part { part: "join", generation: load.generation(), seconds, ..Part::default() })?;
    if 0 < arguments.rebalances {
        let (mut times, start) = (Latencies::new(), clock.moment());
        for _ in 0..arguments.rebalances {
            times.record(load.rebalance(NOTICE)?);
        }
        let seconds = clock.moment().since(start).as_secs_f64();
        let rebalance_micros = times.percentiles();
        let generation = load.generation();
        report.part(Part { part: "rebalance", generation, seconds, rebalance_micros, ..Part::default() })?;
    }
    if 0.0 < arguments.hold {
        let hold = Duration::try_from_secs_f64(arguments.hold).map_err(Failure::new)?;
        let (heartbeats, delays) = load.hold(hold)?;
        report.part(Part {
            part: "hold",
            generation: load.generation(),
            seconds: arguments.hold,
            heartbeat_micros: heartbeats.percentiles(),
            send_delay_micros: delays.percentiles(),
            ..Part::default()
        })?;
    }
    let generation = load.generation();
    let seconds = load.leave()?;
    report.part(Part { part: "leave", generation, seconds, ..Part::default() })?;
    report.end()
}

/// Tells of each part when it is over, so that whoever reads may look at the broker then; a table comes at the end.
struct Reporter<'r> {
    arguments: &'r Arguments,
    output: &'r mut Output,
    /// Of this process so far.
    cpu: Duration,
    rows: Vec<Vec<String>>,
}

impl Reporter<'_> {
    fn part(&mut self, part: Part) -> Result<(), Failure> {
        let cpu = own_cpu();
        let part = Part {
            bench: "groups",
            groups: self.arguments.groups,
            members: self.arguments.members,
            client_cpu_seconds: cpu.saturating_sub(self.cpu).as_secs_f64(),
            ..part
        };
        if self.arguments.json {
            self.output.json(&part)?;
            self.output.flush()?;
        } else {
            self.rows.extend(part.rows());
        }
        self.cpu = own_cpu();
        Ok(())
    }

    fn end(self) -> Result<(), Failure> {
        if !self.arguments.json {
            self.output.table(&["part", "measure", "value"], &self.rows)?;
        }
        self.output.flush()
    }
}

impl Part {
    fn rows(&self) -> Vec<Vec<String>> {
        let text = |times: &Option<Percentiles>| times.as_ref().map(Percentiles::text);
        let rows = [
            ("time", Some(format!("{:.3} s, up to generation {}", self.seconds, self.generation))),
            ("rebalances", text(&self.rebalance_micros)),
            ("heartbeats", text(&self.heartbeat_micros)),
            ("sent late by", text(&self.send_delay_micros)),
            ("client CPU", Some(format!("{:.3} s", self.client_cpu_seconds))),
        ];
        let row = |(name, value): (&str, Option<String>)| Some(vec![self.part.to_owned(), name.to_owned(), value?]);
        rows.into_iter().filter_map(row).collect()
    }
}
