//! The runs that every test command makes.

use super::run::{Outcome, run};
use super::trace::Trace;

fn check(seeds: std::ops::Range<u64>) {
    let failed = seeds.map(|seed| run(seed, &Trace::default())).filter(|outcome| !outcome.violations.is_empty());
    let failed = failed.map(|Outcome { seed, violations, .. }| {
        let violations =
            violations.iter().take(5).map(|violation| format!("  {violation}")).collect::<Vec<_>>().join("\n");
        format!("seed {seed} (run it with: cargo run --features sim -- sim --seeds {seed} --trace)\n{violations}")
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
        let (one, other) = (Trace::keeping(), Trace::keeping());
        let first = super::cluster::run(seed, &one);
        let second = super::cluster::run(seed, &other);
        let (one, other) = (one.lines(), other.lines());
        let differs = one.iter().zip(&other).position(|(one, other)| one != other);
        if let Some(at) = differs {
            let around = |lines: &[String]| lines[at.saturating_sub(5)..(at + 3).min(lines.len())].join("\n  ");
            panic!("seed {seed}, line {at}:\n  {}\nand\n  {}", around(&one), around(&other));
        }
        assert_eq!(first.statistics, second.statistics, "seed {seed}");
    }
}

#[test]
fn cluster_tmp() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let trace = Trace::keeping();
    let outcome = super::cluster::run(seed, &trace);
    for line in trace
        .lines()
        .iter()
        .filter(|line| !line.starts_with("disk") && !line.contains("watcher") && !line.contains("router"))
    {
        println!("{line}");
    }
    println!("{outcome:?}");
}
