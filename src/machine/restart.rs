//! Whether a child that died is started again, and when (law 7).
//!
//! *Owner*: every supervisor, one per child.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Moment;

/// Deaths that a child may die within [`WINDOW`] before its supervisor gives it up: the same input will kill it again.
pub const DEATHS_MAX: u32 = 3;
/// See [`DEATHS_MAX`].
pub const WINDOW: Duration = Duration::from_secs(60);
/// Wait before the first restart; doubles with each death within the window.
pub const BACKOFF: Duration = Duration::from_millis(50);

/// The deaths of one child.
#[derive(Debug, Default)]
pub struct Intensity {
    deaths: VecDeque<Moment>,
}

/// What to do about a death.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Start a fresh child after this wait.
    Restart(Duration),
    /// It died too often: give it up and report.
    Escalate,
}

impl Intensity {
    /// Deaths within the window, when the last one was noted.
    #[must_use]
    pub fn recent(&self) -> u32 {
        u32::try_from(self.deaths.len()).unwrap_or(u32::MAX)
    }

    /// Notes a death.
    pub fn died(&mut self, now: Moment) -> Verdict {
        self.deaths.push_back(now);
        while self.deaths.pop_front_if(|death| WINDOW <= now.since(*death)).is_some() {}
        let recent = self.recent();
        if recent < DEATHS_MAX {
            Verdict::Restart(BACKOFF.saturating_mul(2_u32.saturating_pow(recent.saturating_sub(1))))
        } else {
            Verdict::Escalate
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn three_deaths_in_a_minute_escalate_and_old_ones_are_forgotten() {
        let mut intensity = Intensity::default();
        assert_eq!(intensity.died(at(0)), Verdict::Restart(BACKOFF));
        assert_eq!(intensity.died(at(30)), Verdict::Restart(BACKOFF * 2));
        assert_eq!(intensity.died(at(60)), Verdict::Restart(BACKOFF * 2), "the first is a minute old");
        assert_eq!(intensity.died(at(61)), Verdict::Escalate);
    }
}
