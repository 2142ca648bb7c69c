//! The runs that every test command makes.

use super::cluster;
use super::run::{Outcome, run};
use super::trace::Trace;

fn check(seeds: std::ops::Range<u64>) {
    check_runs("", run, seeds);
}

fn check_clusters(seeds: std::ops::Range<u64>) {
    check_runs("--cluster ", cluster::run, seeds);
}

fn check_runs(kind: &str, run: fn(u64, &Trace) -> Outcome, seeds: std::ops::Range<u64>) {
    let failed = seeds.map(|seed| run(seed, &Trace::default())).filter(|outcome| !outcome.violations.is_empty());
    let failed = failed.map(|Outcome { seed, violations, .. }| {
        let violations =
            violations.iter().take(5).map(|violation| format!("  {violation}")).collect::<Vec<_>>().join("\n");
        format!("seed {seed} (run it with: cargo run --features sim -- sim {kind}--seeds {seed} --trace)\n{violations}")
    });
    let failed = failed.collect::<Vec<_>>();
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
fn clusters_of_seeds_0_to_9() {
    check_clusters(0..10);
}

#[test]
fn clusters_of_seeds_10_to_19() {
    check_clusters(10..20);
}

#[test]
fn clusters_of_seeds_20_to_29() {
    check_clusters(20..30);
}

#[test]
fn clusters_of_seeds_30_to_39() {
    check_clusters(30..40);
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
