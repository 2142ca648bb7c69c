//! What happened in a run, boiled down to one number: two runs of one seed must have the same.
//!
//! *Invariant*: everything that the simulated world does or is told passes here, in its order: I/O, requests, answers, faults.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

/// A trace. Clones are the same trace.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    hash: u64,
    count: u64,
    line: String,
    kept: Option<Vec<String>>,
}

/// What two runs of one seed must agree on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fingerprint {
    /// Depends on every line and their order.
    pub hash: u64,
    /// Number of lines.
    pub lines: u64,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x} of {} lines", self.hash, self.lines)
    }
}

impl Trace {
    /// A trace that also keeps its lines: to look for the first difference, or for how it came to a failure.
    #[must_use]
    pub fn keeping() -> Self {
        Self(Arc::new(Mutex::new(Lines { kept: Some(Vec::new()), ..Lines::default() })))
    }

    /// Adds a line.
    pub fn note(&self, what: fmt::Arguments<'_>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Lines { hash, count, line, kept } = &mut *lines;
        line.clear();
        // Writing to a string cannot fail.
        let _ = line.write_fmt(what);
        *count = count.saturating_add(1);
        *hash = mix(*hash, u64::from(crc32c::crc32c(line.as_bytes())));
        if let Some(kept) = kept {
            kept.push(line.clone());
        }
    }

    /// The number.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Fingerprint { hash: lines.hash, lines: lines.count }
    }

    /// The lines, where they are kept.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).kept.clone().unwrap_or_default()
    }
}

/// One step of SplitMix64 over both numbers.
fn mix(hash: u64, next: u64) -> u64 {
    let mixed = hash.wrapping_add(next).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
