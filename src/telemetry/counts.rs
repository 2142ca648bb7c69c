//! Counters of events, and their text form.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// How often one kind of event happened, by the value of its label.
#[derive(Debug)]
pub struct Counts {
    unlabelled: AtomicU64,
    labelled: RwLock<BTreeMap<&'static str, AtomicU64>>,
}

impl Counts {
    pub(super) const fn new() -> Self {
        Self { unlabelled: AtomicU64::new(0), labelled: RwLock::new(BTreeMap::new()) }
    }

    pub(super) fn add(&self, label: Option<&'static str>, times: u64) {
        let Some(label) = label else {
            self.unlabelled.fetch_add(times, Ordering::Relaxed);
            return;
        };
        if let Some(count) = self.labelled.read().unwrap_or_else(PoisonError::into_inner).get(label) {
            count.fetch_add(times, Ordering::Relaxed);
            return;
        }
        let mut labelled = self.labelled.write().unwrap_or_else(PoisonError::into_inner);
        labelled.entry(label).or_default().fetch_add(times, Ordering::Relaxed);
    }

    /// How often it happened in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        let labelled = self.labelled.read().unwrap_or_else(PoisonError::into_inner);
        let labelled: u64 = labelled.values().map(|count| count.load(Ordering::Relaxed)).sum();
        labelled + self.unlabelled.load(Ordering::Relaxed)
    }
}

/// A kind of event as the list of metrics has it.
#[derive(Debug)]
pub struct Metric {
    /// The event's name.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// The name of its label, if it has one.
    pub label: Option<&'static str>,
    pub(super) counts: fn() -> &'static Counts,
}

impl Metric {
    pub(super) fn render(&self, text: &mut String) {
        let (name, help, counts) = (self.name, self.help.trim(), (self.counts)());
        let _ = writeln!(text, "# HELP dohle_{name}_total {help}\n# TYPE dohle_{name}_total counter");
        match self.label {
            None => {
                let _ = writeln!(text, "dohle_{name}_total {}", counts.unlabelled.load(Ordering::Relaxed));
            }
            Some(label) => {
                for (value, count) in counts.labelled.read().unwrap_or_else(PoisonError::into_inner).iter() {
                    let count = count.load(Ordering::Relaxed);
                    // Values are our own words: nothing in them needs escaping, which the test of events holds.
                    let _ = writeln!(text, "dohle_{name}_total{{{label}=\"{value}\"}} {count}");
                }
            }
        }
    }
}
