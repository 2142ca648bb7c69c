//! The runs that every test command makes.

use super::cluster;
use super::run::{Outcome, run};
use super::trace::Trace;
use crate::model::Clock as _;
use crate::telemetry::OsClock;

fn check(seeds: std::ops::Range<u64>) {
    check_runs("", run, seeds);
}

fn check_clusters(seeds: std::ops::Range<u64>) {
    check_runs("--cluster ", cluster::run, seeds);
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

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 1_000..1_010 {
        let first = run(seed, &Trace::default());
        let second = run(seed, &Trace::default());
        assert_eq!(first.fingerprint, second.fingerprint, "seed {seed}");
        assert_eq!(first.statistics, second.statistics, "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_of_a_cluster() {
    for seed in 2_000..2_004 {
        let first = cluster::run(seed, &Trace::default());
        let second = cluster::run(seed, &Trace::default());
        assert_eq!(first.fingerprint, second.fingerprint, "seed {seed}");
        assert_eq!(first.statistics, second.statistics, "seed {seed}");
    }
}
