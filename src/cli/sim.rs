//! `dohle sim`: simulates the broker under as many seeds as one wants. Only in builds with the feature `sim`.

use std::ops::Range;
use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::output::{Output, notice};
#[cfg(feature = "bugs")]
use crate::model::Bug;
use crate::model::Clock as _;
#[cfg(feature = "bugs")]
use crate::sim::oracle::Violation;
use crate::sim::run::{Outcome, Statistics};
use crate::sim::trace::{Fingerprint, Trace};
use crate::sim::{Reach, cluster, run};
use crate::telemetry::{self, Format, OsClock};

/// Violations of one seed that are shown: one mistake shows in many ways.
const SHOWN_MAX: usize = 5;

/// Run the broker under simulated disks, clocks and networks
#[derive(Args, Debug)]
#[command(after_help = "Exit code 1 when a seed shows a bug. The same seed always does the same.

Examples:
  dohle sim --seeds 0..10000
  dohle sim --seeds 17 --trace > trace.txt
  dohle sim --seeds 0..100 --twice
  dohle sim --cluster --seeds 0..1000")]
pub(super) struct Arguments {
    /// One seed, or FROM..TO without TO
    #[arg(long, value_name = "SEEDS", default_value = "0..1000", value_parser = seeds)]
    seeds: Range<u64>,
    /// Show everything that happens, and the broker's own log on standard error
    #[arg(long)]
    trace: bool,
    /// Run clusters of three to five brokers instead of one broker
    #[arg(long)]
    cluster: bool,
    /// Groups of consumers too, and faults in quick succession or of several steps
    #[arg(long)]
    wide: bool,
    /// Run each seed twice and compare what happened
    #[arg(long)]
    twice: bool,
    /// Go on after a seed that shows a bug
    #[arg(long)]
    keep_going: bool,
    /// Put a known bug back, or all of them one after the other, and see whether a seed finds it
    #[cfg(feature = "bugs")]
    #[arg(long, value_name = "BUG|all", requires = "cluster", conflicts_with_all = ["twice", "keep_going"])]
    bug: Option<String>,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.trim().parse::<u64>().map_err(|error| format!("'{text}': {error}"));
    match text.split_once("..") {
        Some((from, to)) => Ok(number(from)?..number(to)?),
        None => {
            let seed = number(text)?;
            Ok(seed..seed.saturating_add(1))
        }
    }
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    if arguments.trace {
        telemetry::init("info", Format::Text).map_err(Failure::new)?;
    }
    #[cfg(feature = "bugs")]
    if let Some(name) = &arguments.bug {
        return find_bugs(name, arguments, output);
    }
    let run_seed = if arguments.cluster { cluster::run } else { run::run };
    let reach = if arguments.wide { Reach::Wide } else { Reach::Usual };
    let clock = OsClock::start();
    let mut statistics = Statistics::default();
    let (mut done, mut failed) = (0_u64, 0_u64);
    for seed in arguments.seeds.clone() {
        let trace = if arguments.trace { Trace::keeping() } else { Trace::default() };
        let outcome = run_seed(seed, reach, &trace);
        for line in trace.lines() {
            output.line(line)?;
        }
        statistics = statistics.and(outcome.statistics);
        done = done.saturating_add(1);
        let again = arguments.twice.then(|| run_seed(seed, reach, &Trace::default()).fingerprint);
        let good = report(&outcome, again, output)?;
        if !good {
            failed = failed.saturating_add(1);
            if !arguments.keep_going {
                break;
            }
        }
    }
    let took = clock.moment().0.max(Duration::from_millis(1));
    // Whole numbers of seeds per run are far below 2⁵³.
    let rate = done as f64 / took.as_secs_f64();
    output.line(format_args!("{done} seeds, {failed} failed, {rate:.1} seeds/s: {statistics}"))?;
    if failed == 0 { Ok(()) } else { Err(Failure::Damaged) }
}

/// Puts bugs back one at a time, and says which seed finds each.
#[cfg(feature = "bugs")]
fn find_bugs(name: &str, arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let wanted = Bug::ALL.iter().filter(|bug| name.eq_ignore_ascii_case("all") || bug.to_string() == name);
    let wanted = wanted.copied().collect::<Vec<_>>();
    if wanted.is_empty() {
        let known = Bug::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(Failure::new(format!("there is no bug {name}; there are {known}")));
    }
    let seeds = &arguments.seeds;
    let mut missed = false;
    for bug in wanted {
        let mut found = None;
        for seed in seeds.clone() {
            let trace = if arguments.trace { Trace::keeping() } else { Trace::default() };
            found = shown_by(bug, seed, &trace).map(|violation| (seed, violation));
            for line in trace.lines() {
                output.line(line)?;
            }
            if found.is_some() {
                break;
            }
        }
        match found {
            Some((seed, violation)) => output.line(format_args!("{bug} is found by seed {seed}: {violation}"))?,
            None => {
                missed = true;
                output.line(format_args!("{bug} is not found by seeds {seeds:?}"))?;
            }
        }
        output.flush()?;
    }
    if missed { Err(Failure::Damaged) } else { Ok(()) }
}

/// What this seed shows of a bug that is put back: nothing, where it shows as much without.
#[cfg(feature = "bugs")]
fn shown_by(bug: Bug, seed: u64, trace: &Trace) -> Option<Violation> {
    let first_violation = |trace| cluster::run(seed, Reach::Wide, trace).violations.into_iter().next();
    Bug::put_back(Some(bug));
    let found = first_violation(trace);
    Bug::put_back(None);
    let found = found?;
    let without = first_violation(&Trace::default());
    if let Some(violation) = &without {
        notice(format_args!("seed {seed} shows without {bug}, too: {violation}"));
    }
    without.is_none().then_some(found)
}

/// Tells what is wrong with a seed; whether nothing is.
fn report(outcome: &Outcome, again: Option<Fingerprint>, output: &mut Output) -> Result<bool, Failure> {
    let Outcome { seed, fingerprint, violations, .. } = outcome;
    if !violations.is_empty() {
        output.line(format_args!("seed {seed} (trace {fingerprint}):"))?;
    }
    for violation in violations.iter().take(SHOWN_MAX) {
        output.line(format_args!("  {violation}"))?;
    }
    if SHOWN_MAX < violations.len() {
        output.line(format_args!("  and {} more", violations.len() - SHOWN_MAX))?;
    }
    let same = again.is_none_or(|again| again == *fingerprint);
    if let Some(again) = again.filter(|_| !same) {
        notice(format_args!("seed {seed} is not repeatable: {fingerprint}, then {again}"));
    }
    Ok(violations.is_empty() && same)
}
