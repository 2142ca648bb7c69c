//! The process's own clock: the one place that asks the operating system for the time (laws 1 and 12).

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::{Clock, Moment, Timestamp};

/// The operating system's clocks. Copies share one origin, so their moments can be compared.
#[derive(Clone, Copy, Debug)]
pub struct OsClock {
    origin: Instant,
}

impl OsClock {
    /// A clock whose moments count from now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock port's real implementation")]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for OsClock {
    /// Wall-clock time; 0 when the machine's clock stands before 1970.
    #[expect(clippy::disallowed_methods, reason = "this is the clock port's real implementation")]
    fn timestamp(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn moment(&self) -> Moment {
        Moment(self.origin.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run() {
        let clock = OsClock::start();
        let before = clock.moment();
        assert!(Timestamp(1_700_000_000_000) < clock.timestamp(), "after 2023");
        assert!(before <= clock.moment());
    }
}
