//! When what must happen unless something else does: one entry per waiting thing, found by when it is due.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Moment;
use crate::wire::Str;

/// What a group waits for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timer {
    /// All members to join. First in order, see [`Timers::cancel_group`].
    Join,
    /// All members to sync.
    Sync,
    /// A member to say something.
    Session(Str),
    /// Somebody to come back with the member id that it was given.
    Pending(Str),
    /// A member of the consumer protocol to let go of what is not its own any more.
    Rebalance(Str),
    /// A member of the classic protocol to join again, in a group of the consumer protocol.
    Rejoin(Str),
    /// Such a member to ask what it has got.
    Assigned(Str),
}

/// Every group's timers. Each is set once at most.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Moment, Str, Timer)>,
    set: BTreeMap<(Str, Timer), Moment>,
}

impl Timers {
    /// Sets a timer, anew if it was set.
    pub(super) fn set(&mut self, group: &Str, timer: Timer, at: Moment) {
        if let Some(before) = self.set.insert((group.clone(), timer.clone()), at) {
            self.due.remove(&(before, group.clone(), timer.clone()));
        }
        self.due.insert((at, group.clone(), timer));
    }

    pub(super) fn is_set(&self, group: &Str, timer: &Timer) -> bool {
        self.set.contains_key(&(group.clone(), timer.clone()))
    }

    pub(super) fn cancel(&mut self, group: &Str, timer: Timer) {
        let key = (group.clone(), timer);
        if let Some(at) = self.set.remove(&key) {
            self.due.remove(&(at, key.0, key.1));
        }
    }

    pub(super) fn cancel_group(&mut self, group: &Str) {
        let from = (group.clone(), Timer::Join);
        let of_group = self.set.range(from..).take_while(|((of, _), _)| of == group);
        let timers = of_group.map(|((_, timer), _)| timer.clone()).collect::<Vec<_>>();
        timers.into_iter().for_each(|timer| self.cancel(group, timer));
    }

    pub(super) fn clear(&mut self) {
        self.due.clear();
        self.set.clear();
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Moment> {
        self.due.first().map(|(at, _, _)| *at)
    }

    /// Takes one that is due.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<(Str, Timer)> {
        if now < self.next()? {
            return None;
        }
        let (_, group, timer) = self.due.pop_first()?;
        self.set.remove(&(group.clone(), timer.clone()));
        Some((group, timer))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.due.len(), self.set.len());
        self.set.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn a_timer_is_due_once_and_at_its_last_time() {
        let (a, b) = (Str::from("a"), Str::from("b"));
        let mut timers = Timers::default();
        timers.set(&a, Timer::Join, at(5));
        timers.set(&a, Timer::Session("m".into()), at(3));
        timers.set(&b, Timer::Session("m".into()), at(4));
        timers.set(&a, Timer::Session("m".into()), at(9));
        assert_eq!((timers.next(), timers.len()), (Some(at(4)), 3));
        assert_eq!(timers.pop_due(at(3)), None);
        assert_eq!(timers.pop_due(at(4)), Some((b.clone(), Timer::Session("m".into()))));
        timers.set(&b, Timer::Join, at(1));
        timers.cancel_group(&a);
        assert_eq!((timers.next(), timers.len()), (Some(at(1)), 1));
        timers.cancel(&b, Timer::Join);
        assert_eq!(timers.next(), None);
    }
}
