//! When the next request is due.

use std::time::Duration;

use crate::model::Moment;

/// How requests follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// Closed loop: each connection keeps so many requests unanswered. Measures what can be done at most.
    InFlight(usize),
    /// Open loop: one request every so often, over all connections in turn, whether or not the broker keeps up. A latency
    /// counted from the due moment shows what a user would feel who does not wait for the broker.
    Every(Duration),
}

/// Due moments of an open loop. They depend on the start and the rate alone, never on when anything really happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timetable {
    start: Moment,
    interval_nanos: f64,
    given: u64,
}

impl Timetable {
    pub(super) fn new(start: Moment, interval: Duration) -> Self {
        Self { start, interval_nanos: interval.as_nanos() as f64, given: 0 }
    }

    /// When the next request is due.
    pub(super) fn next(&self) -> Moment {
        self.start.after(Duration::from_secs_f64(self.given as f64 * self.interval_nanos / 1e9))
    }

    /// The due moment of the next request if it has come; then the one after is next.
    pub(super) fn due(&mut self, now: Moment) -> Option<Moment> {
        let due = self.next();
        (due <= now).then(|| {
            self.given += 1;
            due
        })
    }
}

/// The interval of a rate in requests a second; `None` unless the rate is a positive number.
pub(super) fn interval(rate: f64) -> Option<Duration> {
    (rate.is_finite() && 0.0 < rate).then(|| Duration::try_from_secs_f64(1.0 / rate).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_reader_of_the_timetable_gets_every_due_moment() {
        let start = Moment(Duration::from_secs(5));
        let mut timetable = Timetable::new(start, interval(1000.0).expect("a rate"));
        let now = start.after(Duration::from_micros(2_500));
        let due = std::iter::from_fn(|| timetable.due(now)).map(|due| due.since(start).as_micros()).collect::<Vec<_>>();
        assert_eq!(due, [0, 1000, 2000]);
        assert_eq!(timetable.next().since(start), Duration::from_millis(3));
        assert_eq!(interval(0.0), None);
        assert_eq!(interval(f64::NAN), None);
    }
}
