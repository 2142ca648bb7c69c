//! Time and chance are arguments. Wall-clock time stamps records; monotonic time measures waits.

use std::fmt;
use std::time::Duration;

/// Wall-clock time in milliseconds since 1970-01-01 UTC, as in record batches and znodes. −1 means none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// No timestamp.
    pub const NONE: Self = Self(-1);
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({})", self.0)
    }
}

/// A point on this process's monotonic clock: the time since an arbitrary start. Never goes back, whatever the operator
/// does to the wall clock, so every deadline is a `Moment`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Moment(pub Duration);

impl Moment {
    /// This moment and `wait` more. Saturates, so that "for ever" may be asked for.
    #[must_use]
    pub const fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }

    /// How long from `earlier` to this moment; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The clock port: the process's clock, or the simulator's.
pub trait Clock: Send + Sync {
    /// Wall-clock time. May jump.
    fn timestamp(&self) -> Timestamp;
    /// Monotonic time. Never goes back.
    fn moment(&self) -> Moment;
}

/// The randomness port: the operating system's, or the simulator's seed.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random ones.
    fn fill(&self, bytes: &mut [u8]);
}
