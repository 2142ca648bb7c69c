//! How fast a count grows.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Moment;

/// Rates are means over so long.
const SPAN: Duration = Duration::from_secs(3);

#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    seen: VecDeque<(Moment, u64)>,
}

impl Meter {
    pub(super) fn see(&mut self, now: Moment, count: u64) {
        self.seen.push_back((now, count));
        // One that is older than the span stays, so that the rest spans it.
        while self.seen.get(1).is_some_and(|(at, _)| SPAN <= now.since(*at)) {
            self.seen.pop_front();
        }
    }

    /// A second.
    pub(super) fn rate(&self) -> f64 {
        let (Some((from, first)), Some((to, last))) = (self.seen.front(), self.seen.back()) else { return 0.0 };
        let seconds = to.since(*from).as_secs_f64();
        let grown = u32::try_from(last.saturating_sub(*first)).unwrap_or(u32::MAX);
        if seconds <= 0.0 { 0.0 } else { f64::from(grown) / seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut meter = Meter::default();
        assert!(meter.rate().abs() < f64::EPSILON);
        for second in 0..10_u64 {
            meter.see(Moment(Duration::from_secs(second)), second * 100);
        }
        assert!((meter.rate() - 100.0).abs() < 0.01);
        for second in 10..20 {
            meter.see(Moment(Duration::from_secs(second)), 900);
        }
        assert!(meter.rate().abs() < f64::EPSILON);
        assert!(meter.seen.len() <= 5);
    }
}
