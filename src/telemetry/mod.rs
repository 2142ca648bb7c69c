//! One struct per event: its log line and its metric, with the same words.
//!
//! `event::SessionLost { session }.emit()` writes one line through `tracing` — a sentence for a person, with the fields
//! beside it — and adds one to `dohle_session_lost_total`. [`render`] gives all counters as Prometheus text.
//! [`RateLimit`] keeps a hostile peer from filling the log: its events are all counted, but few are written.
//!
//! *Invariant*: label values are `&'static str`, so that what a peer sends can never make a new series.
//! *Does not know*: why things happen, and what time it is (it is told; only the log's own time stamps are the
//! subscriber's). WARN: it went wrong and recovered. ERROR: a person has to look.

mod counts;
mod init;
mod limit;

pub mod event;

pub use counts::Counts;
pub use init::{Format, InitError, init};
pub use limit::{Offer, RateLimit, Suppressed};

/// Every counter as Prometheus text (exposition format 0.0.4).
#[must_use]
pub fn render() -> String {
    let mut text = String::new();
    for described in event::ALL {
        described.render(&mut text);
    }
    text
}
