//! Who is at the other end of a connection, and what the connection remembers of them.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::caught_up::Told;
use super::fetch_slots::SessionSlot;
use crate::machine::fetch_session::Sessions;
use crate::model::Moment;
use crate::telemetry::{Event as _, RateLimit, event};
use crate::wire::{ApiKey, Str};

/// The other end of one connection.
#[derive(Debug)]
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    /// Name of the listener that it came in by: it decides which endpoints Metadata tells.
    pub listener: Arc<str>,
    /// Its incremental fetch session.
    pub sessions: Sessions,
    /// What of its session the partitions need not be told again, if it is a follower.
    pub told: Told,
    /// The room that its session takes.
    pub session_slot: Option<SessionSlot>,
}

thread_local! {
    /// Lines about bad requests, per address: a peer that sends nothing else must not fill the log (one set per loop).
    static BAD_REQUESTS: RefCell<RateLimit<IpAddr>> = RefCell::new(RateLimit::new(LINES_PER_SECOND_MAX));
}

/// Lines about bad requests that one address may cause per second; the rest is counted.
const LINES_PER_SECOND_MAX: u32 = 5;

/// A peer broke the protocol.
pub fn bad_request(peer: SocketAddr, api: &'static str, detail: String, now: Moment) {
    let deadline = BAD_REQUESTS.with_borrow_mut(|limit| {
        let waited = limit.next_deadline().is_some();
        event::BadRequest { peer, api, detail }.emit_limited(limit, &peer.ip(), now);
        limit.next_deadline().filter(|_| !waited)
    });
    if let Some(deadline) = deadline {
        actix_rt::spawn(tell_held_back(now, deadline));
    }
}

/// Tells what was held back when its second is over, until nothing is. One at a time per loop.
async fn tell_held_back(mut now: Moment, first: Moment) {
    let mut deadline = Some(first);
    while let Some(next) = deadline {
        tokio::time::sleep(next.since(now)).await;
        now = now.max(next);
        deadline = BAD_REQUESTS.with_borrow_mut(|limit| {
            limit.due(now).iter().for_each(|held_back| held_back.tell(event::BadRequest::NAME));
            limit.next_deadline()
        });
    }
}

impl Peer {
    /// A peer that just came in.
    #[must_use]
    pub fn new(address: SocketAddr, listener: Arc<str>) -> Self {
        Self { address, listener, sessions: Sessions::default(), told: Told::default(), session_slot: None }
    }

    /// It said what software it is (KIP-511).
    pub fn introduced(&self, name: &Str, version: &Str) {
        event::ClientIntroduced { peer: self.address, software: name.to_string(), version: version.to_string() }.emit();
    }

    /// It sent more than its request has.
    pub fn left_over(&self, key: ApiKey, bytes: usize) {
        if bytes != 0 {
            event::TrailingBytes { peer: self.address, api: key.name(), bytes: bytes as u64 }.emit();
        }
    }
}
