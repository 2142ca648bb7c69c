//! One struct per event: its log line and its metric, with the same words.
//!
//! `event::SessionLost { session }.emit()` writes one line through `tracing` — a sentence for a person, with the fields
//! beside it — and adds one to `dohle_session_lost_total`. [`render`] gives all counters as Prometheus text.
//! [`RateLimit`] keeps a hostile peer from filling the log: its events are all counted, but few are written.
//!
//! *Invariant*: label values are `&'static str`, so that what a peer sends can never make a new series.
//! *Does not know*: why things happen, and what time it is (it is told; only the log's own time stamps are the
//! subscriber's). WARN: it went wrong and recovered. ERROR: a person has to look.

mod clock;
mod counts;
mod init;
mod limit;

pub mod event;

pub use clock::OsClock;
pub use counts::Counts;
pub use init::{Format, InitError, init};
pub use limit::{Offer, RateLimit, Suppressed};

use std::fmt;

use crate::model::Moment;

/// Something that happened, that a log line and a counter tell.
pub trait Event: fmt::Display {
    /// Its name, the same in the log line (`event=…`) and in the metric (`dohle_…_total`).
    const NAME: &'static str;

    /// Its counter.
    fn counts() -> &'static Counts;

    /// The value of its label, if the metric has one.
    fn label(&self) -> Option<&'static str>;

    /// Writes the log line and does not count.
    fn log(&self);

    /// Counts and does not write.
    fn count(&self) {
        Self::counts().add(self.label(), 1);
    }

    /// Writes the log line, and counts what it sums up: so many times.
    fn emit_times(&self, times: u64) {
        Self::counts().add(self.label(), times);
        self.log();
    }

    /// Counts, and writes the log line.
    fn emit(&self) {
        self.count();
        self.log();
    }

    /// Counts, and writes the log line if `peer` has not written too many within the second. What was held back is told
    /// when its second is over, at the latest when [`RateLimit::due`] is asked.
    fn emit_limited<K: Ord + Clone + fmt::Display>(&self, limit: &mut RateLimit<K>, peer: &K, now: Moment) {
        self.count();
        match limit.offer(peer, now) {
            Offer::Write => self.log(),
            Offer::WriteAfter(held_back) => {
                held_back.tell(Self::NAME);
                self.log();
            }
            Offer::HoldBack => {}
        }
    }
}

/// Every counter as Prometheus text (exposition format 0.0.4).
#[must_use]
pub fn render() -> String {
    let mut text = String::new();
    for described in event::ALL {
        described.render(&mut text);
    }
    text
}
