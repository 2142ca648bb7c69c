//! The runs that every test command makes.

use super::run::{Outcome, run};
use super::trace::Trace;
use super::{Reach, cluster};
use crate::model::Clock as _;
use crate::telemetry::OsClock;

fn check(seeds: std::ops::Range<u64>) {
    check_runs("", |seed, trace| run(seed, Reach::Usual, trace), seeds);
}

fn check_clusters(seeds: std::ops::Range<u64>) {
    check_runs("--cluster ", |seed, trace| cluster::run(seed, Reach::Usual, trace), seeds);
}

#[expect(clippy::print_stdout, reason = "how quick the seeds are is for whoever runs the tests")]
fn check_runs(kind: &str, run: fn(u64, &Trace) -> Outcome, seeds: std::ops::Range<u64>) {
    let clock = OsClock::start();
    let count = seeds.end.saturating_sub(seeds.start);
    let failed =
        seeds.clone().map(|seed| run(seed, &Trace::default())).filter(|outcome| !outcome.violations.is_empty());
    let failed = failed.map(|Outcome { seed, violations, .. }| {
        let violations =
            violations.iter().take(5).map(|violation| format!("  {violation}")).collect::<Vec<_>>().join("\n");
        format!("seed {seed} (run it with: cargo run --profile test --features sim -- sim {kind}--seeds {seed} --trace)\n{violations}")
    });
    let failed = failed.collect::<Vec<_>>();
    let took = clock.moment().0.as_secs_f64();
    println!("{kind}seeds {seeds:?}: {:.1} seeds/s", count as f64 / took);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn seeds_0_to_49() {
    check(0..50);
}

#[test]
fn seeds_50_to_99() {
    check(50..100);
}

#[test]
fn seeds_100_to_149() {
    check(100..150);
}

#[test]
fn seeds_150_to_199() {
    check(150..200);
}

#[test]
fn clusters_of_seeds_0_to_49() {
    check_clusters(0..50);
}

#[test]
fn clusters_of_seeds_50_to_99() {
    check_clusters(50..100);
}

#[test]
fn clusters_of_seeds_100_to_149() {
    check_clusters(100..150);
}

#[test]
fn clusters_of_seeds_150_to_199() {
    check_clusters(150..200);
}

#[test]
fn clusters_of_seeds_200_to_249() {
    check_clusters(200..250);
}

#[test]
fn clusters_of_seeds_250_to_299() {
    check_clusters(250..300);
}

/// The judge of groups has something to hear. More seeds are for `dohle sim --wide`: some of them show what is not understood yet.
#[test]
fn wide_runs_of_seeds_0_to_9() {
    check_runs("--wide ", |seed, trace| run(seed, Reach::Wide, trace), 0..10);
    check_runs("--cluster --wide ", |seed, trace| cluster::run(seed, Reach::Wide, trace), 0..10);
}

/// Two runs of a seed agree; else this says where they part.
fn check_repeated(run: fn(u64, Reach, &Trace) -> Outcome, reach: Reach, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let traces = [Trace::keeping(), Trace::keeping()];
        let [first, second] = traces.each_ref().map(|trace| run(seed, reach, trace));
        let [one, other] = traces.each_ref().map(Trace::lines);
        let common = one.iter().zip(&other).take_while(|(line, same)| line == same).count();
        let parted = |lines: &[String]| lines[common.saturating_sub(12)..lines.len().min(common + 4)].join("\n  ");
        let (was, is) = (parted(&one), parted(&other));
        assert_eq!(first.fingerprint, second.fingerprint, "seed {seed}, line {common}:\n  {was}\nand then\n  {is}");
        assert_eq!(first.statistics, second.statistics, "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    check_repeated(run, Reach::Usual, 1_000..1_010);
}

#[test]
fn the_same_seed_gives_the_same_trace_of_a_cluster() {
    check_repeated(cluster::run, Reach::Usual, 2_000..2_004);
}
