//! How fast something goes, and whether that is faster than it may: bytes per second, measured over sliding windows.
//!
//! *Owner*: whoever is throttled; several may share one. It never holds anything up itself: what is under way is counted when it is
//! through, so one read may go beyond the rate, and the next waits the longer.
//! *Invariant*: the samples lie in the order of time, no more of them than there are windows, and none is older than all windows.
//! *Does not know*: who is throttled, what was sent.
//!
//! Source: Kafka 3.9 `ReplicationQuotaManager.scala`, `SimpleRate.java`, `Rate.windowSize`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Moment;

/// A rate that is measured.
#[derive(Debug)]
pub struct Quota {
    windows: Windows,
    samples: VecDeque<Sample>,
}

/// Over what a rate is measured (`replication.quota.window.num`, `replication.quota.window.size.seconds`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    /// At least 1.
    pub count: u32,
    /// Of each.
    pub size: Duration,
}

#[derive(Debug)]
struct Sample {
    /// When the first of it came.
    begin: Moment,
    bytes: u64,
}

impl Quota {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(windows: Windows) -> Self {
        Self { windows, samples: VecDeque::new() }
    }

    /// So much went through.
    pub fn record(&mut self, now: Moment, bytes: u64) {
        self.forget(now);
        match self.samples.back_mut().filter(|last| now.since(last.begin) < self.windows.size) {
            Some(last) => last.bytes = last.bytes.saturating_add(bytes),
            None => self.samples.push_back(Sample { begin: now, bytes }),
        }
    }

    /// Until when more than `rate` bytes per second went through, if nothing more does; `None`: less already.
    pub fn exceeded_until(&mut self, now: Moment, rate: u64) -> Option<Moment> {
        self.forget(now);
        let mut bytes = self.samples.iter().map(|sample| u128::from(sample.bytes)).sum::<u128>();
        let mut within = now;
        for oldest in &self.samples {
            // The rate is that of the time since the oldest sample, but of one window at least.
            let time = time_for(bytes, rate);
            let slow = if time <= self.windows.size { within } else { within.max(oldest.begin.after(time)) };
            let gone = oldest.begin.after(self.kept());
            if slow < gone {
                within = slow;
                break;
            }
            within = gone;
            bytes -= u128::from(oldest.bytes);
        }
        (now < within).then_some(within)
    }

    fn forget(&mut self, now: Moment) {
        let kept = self.kept();
        while self.samples.pop_front_if(|oldest| kept <= now.since(oldest.begin)).is_some() {}
    }

    fn kept(&self) -> Duration {
        self.windows.size.saturating_mul(self.windows.count.max(1))
    }
}

/// How long so many bytes take at a rate.
fn time_for(bytes: u128, rate: u64) -> Duration {
    let micros = (bytes * 1_000_000).checked_div(u128::from(rate));
    // At rate 0 nothing ever goes through, and no time is enough.
    let micros = micros.unwrap_or(if bytes == 0 { 0 } else { u128::MAX });
    u64::try_from(micros).map_or(Duration::MAX, Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOWS: Windows = Windows { count: 3, size: Duration::from_secs(1) };

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    /// Records `(ms, bytes)`.
    fn seen(records: &[(u64, u64)]) -> Quota {
        let mut quota = Quota::new(WINDOWS);
        records.iter().for_each(|(ms, bytes)| quota.record(at(*ms), *bytes));
        quota
    }

    #[test]
    fn what_goes_no_faster_than_it_may_is_not_held_up() {
        assert_eq!(seen(&[]).exceeded_until(at(0), 100), None);
        assert_eq!(seen(&[(0, 100)]).exceeded_until(at(0), 100), None, "a whole window counts");
        assert_eq!(seen(&[(0, 100), (1000, 100)]).exceeded_until(at(1000), 100), Some(at(2000)));
        assert_eq!(seen(&[(0, 100), (1000, 100)]).exceeded_until(at(2000), 100), None);
        assert_eq!(seen(&[(0, u64::MAX), (0, 5)]).exceeded_until(at(0), u64::MAX), None);
    }

    #[test]
    fn it_is_held_up_until_the_rate_has_come_down() {
        assert_eq!(seen(&[(500, 200)]).exceeded_until(at(500), 100), Some(at(2500)));
        assert_eq!(seen(&[(500, 200)]).exceeded_until(at(2499), 100), Some(at(2500)));
        assert_eq!(seen(&[(500, 200)]).exceeded_until(at(2500), 100), None);
    }

    #[test]
    fn what_lies_behind_all_windows_is_forgotten() {
        assert_eq!(seen(&[(0, 1000)]).exceeded_until(at(0), 100), Some(at(3000)), "the sample is gone");
        // Without the first sample, the second is within the rate at once.
        assert_eq!(seen(&[(0, 1000), (2500, 50)]).exceeded_until(at(2500), 100), Some(at(3000)));
        assert_eq!(seen(&[(0, 1000), (2500, 300)]).exceeded_until(at(2500), 100), Some(at(5500)));
    }

    #[test]
    fn at_rate_nothing_one_goes_through_and_no_other() {
        assert_eq!(seen(&[]).exceeded_until(at(0), 0), None);
        assert_eq!(seen(&[(10, 1)]).exceeded_until(at(10), 0), Some(at(3010)));
    }

    proptest! {
        #[test]
        fn what_it_says_is_the_first_moment_at_which_it_is_within(
            steps in prop::collection::vec((0_u64..2_000, 0_u64..1_000), 0..12),
            rate in 1_u64..500,
        ) {
            let (mut quota, mut ms) = (Quota::new(WINDOWS), 0);
            for (wait, bytes) in steps {
                ms += wait;
                quota.record(at(ms), bytes);
                prop_assert!(quota.samples.len() <= 3);
            }
            if let Some(until) = quota.exceeded_until(at(ms), rate) {
                prop_assert!(at(ms) < until && until <= at(ms + 3_000));
                let before = Moment(until.0 - Duration::from_micros(1));
                prop_assert_eq!(quota.exceeded_until(before, rate), Some(until));
                prop_assert_eq!(quota.exceeded_until(until, rate), None);
            }
        }
    }
}
