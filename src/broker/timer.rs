//! One timer at most for a machine's next deadline.

use std::time::Duration;

use crate::model::Moment;

/// When the timer that an actor has set fires, if it has set one. A later deadline waits for it; an earlier one gets a timer of its
/// own, and the other one then finds nothing to do.
#[derive(Debug, Default)]
pub struct Timer(Option<Moment>);

impl Timer {
    /// How long to wait for a deadline, unless a timer fires before it. The caller sets one, and says when it has [`fired`](Self::fired).
    #[must_use]
    pub fn arm(&mut self, deadline: Option<Moment>, now: Moment) -> Option<Duration> {
        let deadline = deadline?;
        if self.0.is_some_and(|armed| armed <= deadline) {
            return None;
        }
        self.0 = Some(deadline);
        Some(deadline.since(now).max(Duration::from_millis(1)))
    }

    /// The timer has fired.
    pub fn fired(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_deadline_is_armed_and_a_later_one_waits() {
        let at = |seconds| Some(Moment(Duration::from_secs(seconds)));
        let now = Moment(Duration::from_secs(1));
        let mut timer = Timer::default();
        assert_eq!(timer.arm(None, now), None);
        assert_eq!(timer.arm(at(5), now), Some(Duration::from_secs(4)));
        assert_eq!(timer.arm(at(7), now), None, "looked at when the first fires");
        assert_eq!(timer.arm(at(1), now), Some(Duration::from_millis(1)), "never at once: the mailbox has its turn");
        timer.fired();
        assert_eq!(timer.arm(at(7), now), Some(Duration::from_secs(6)));
    }
}
