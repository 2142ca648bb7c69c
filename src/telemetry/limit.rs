//! So many lines per peer and second, and then one that says how many were held back.
//!
//! *Invariant*: memory is bounded; peers beyond [`PEERS_MAX`] share one allowance.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::model::Moment;

use super::Event as _;
use super::event::LinesHeldBack;

/// Peers that are told apart within one second. More are treated as one: a flood from so many is one event for a person.
const PEERS_MAX: usize = 1_024;

/// How long an allowance lasts.
const WINDOW: Duration = Duration::from_secs(1);

/// Limits the lines that each of many peers can cause.
#[derive(Debug)]
pub struct RateLimit<K> {
    lines_per_second: u32,
    peers: BTreeMap<K, Window>,
    others: Option<Window>,
}

/// What one peer has done in the second that began at `since`.
#[derive(Clone, Copy, Debug)]
struct Window {
    since: Moment,
    written: u32,
    held_back: u64,
}

/// Whether a line may be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Offer<K> {
    /// Yes.
    Write,
    /// Yes, and before it what was held back in an earlier second.
    WriteAfter(Suppressed<K>),
    /// No. It is counted.
    HoldBack,
}

/// Lines that were held back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suppressed<K> {
    /// Whose. `None`: of several peers, when there were too many to tell apart.
    pub peer: Option<K>,
    /// How many.
    pub lines: u64,
}

impl<K: fmt::Display> Suppressed<K> {
    /// Writes the line that stands for them.
    pub fn tell(&self, event: &'static str) {
        let peer = self.peer.as_ref().map_or_else(|| "several peers".to_owned(), ToString::to_string);
        LinesHeldBack { about: event, peer, lines: self.lines }.emit();
    }
}

impl<K: Ord + Clone> RateLimit<K> {
    /// Allows each peer `lines_per_second` lines.
    #[must_use]
    pub fn new(lines_per_second: u32) -> Self {
        Self { lines_per_second, peers: BTreeMap::new(), others: None }
    }

    /// Asks for one line of `peer`.
    pub fn offer(&mut self, peer: &K, now: Moment) -> Offer<K> {
        if !self.peers.contains_key(peer) && PEERS_MAX <= self.peers.len() {
            // Peers that held nothing back have nothing to tell: make room of them first.
            self.peers.retain(|_, window| !window.is_over(now) || window.held_back != 0);
        }
        let allowance = self.lines_per_second;
        if self.peers.contains_key(peer) || self.peers.len() < PEERS_MAX {
            let window = self.peers.entry(peer.clone()).or_insert(Window::starting(now));
            window.take(now, allowance, Some(peer))
        } else {
            self.others.get_or_insert(Window::starting(now)).take(now, allowance, None)
        }
    }

    /// What was held back in seconds that are over. Peers that are quiet since are forgotten.
    pub fn due(&mut self, now: Moment) -> Vec<Suppressed<K>> {
        let mut due = Vec::new();
        self.peers.retain(|peer, window| {
            let over = window.is_over(now);
            if over && window.held_back != 0 {
                due.push(Suppressed { peer: Some(peer.clone()), lines: window.held_back });
            }
            !over
        });
        if let Some(window) = self.others.take_if(|window| window.is_over(now))
            && window.held_back != 0
        {
            due.push(Suppressed { peer: None, lines: window.held_back });
        }
        due
    }

    /// When [`Self::due`] will next have something to tell.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let all = self.peers.values().chain(&self.others);
        all.filter(|window| window.held_back != 0).map(|window| window.since.after(WINDOW)).min()
    }
}

impl Window {
    fn starting(now: Moment) -> Self {
        Self { since: now, written: 0, held_back: 0 }
    }

    fn is_over(&self, now: Moment) -> bool {
        WINDOW <= now.since(self.since)
    }

    fn take<K: Clone>(&mut self, now: Moment, allowance: u32, peer: Option<&K>) -> Offer<K> {
        let held_back = if self.is_over(now) { std::mem::replace(self, Self::starting(now)).held_back } else { 0 };
        if allowance <= self.written {
            self.held_back = self.held_back.saturating_add(held_back).saturating_add(1);
            return Offer::HoldBack;
        }
        self.written += 1;
        match held_back {
            0 => Offer::Write,
            lines => Offer::WriteAfter(Suppressed { peer: peer.cloned(), lines }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    #[test]
    fn a_flood_becomes_a_few_lines_and_a_count() {
        let mut limit = RateLimit::new(2);
        let offers: Vec<_> = (0..5).map(|ms| limit.offer(&"a", at(ms))).collect();
        assert_eq!(offers[..2], [Offer::Write, Offer::Write]);
        assert_eq!(offers[2..], [Offer::HoldBack, Offer::HoldBack, Offer::HoldBack]);
        assert_eq!(limit.offer(&"b", at(5)), Offer::Write, "another peer has its own allowance");
        assert_eq!(limit.next_deadline(), Some(at(1_000)));
        assert_eq!(limit.due(at(999)), []);
        assert_eq!(limit.offer(&"a", at(1_000)), Offer::WriteAfter(Suppressed { peer: Some("a"), lines: 3 }));
        assert_eq!(limit.offer(&"a", at(1_001)), Offer::Write, "a new second, a new allowance");
    }

    #[test]
    fn a_peer_that_falls_silent_is_told_of_and_forgotten() {
        let mut limit = RateLimit::new(0);
        for _ in 0..7 {
            assert_eq!(limit.offer(&1, at(10)), Offer::HoldBack);
        }
        assert_eq!(limit.due(at(1_010)), [Suppressed { peer: Some(1), lines: 7 }]);
        assert_eq!(limit.due(at(2_010)), []);
        assert_eq!(limit.next_deadline(), None);
        assert!(limit.peers.is_empty());
    }

    #[test]
    fn more_peers_than_can_be_told_apart_share_one_allowance() {
        let mut limit = RateLimit::new(1);
        for peer in 0..PEERS_MAX {
            assert_eq!(limit.offer(&peer, at(0)), Offer::Write);
        }
        assert_eq!(limit.offer(&5_000, at(1)), Offer::Write);
        assert_eq!(limit.offer(&5_001, at(2)), Offer::HoldBack);
        assert_eq!(limit.due(at(1_500)), [Suppressed { peer: None, lines: 1 }]);
        assert!(limit.peers.is_empty());
    }

    #[test]
    fn old_peers_make_room_for_new_ones() {
        let mut limit = RateLimit::new(1);
        for peer in 0..10 * PEERS_MAX as u64 {
            assert_eq!(limit.offer(&peer, at(peer * 2)), Offer::Write);
            assert!(limit.peers.len() <= PEERS_MAX);
        }
    }
}
