//! `queued.max.request.bytes`: what all connections together may have read and not answered (Kafka's `MemoryPool`).
//!
//! Each connection says how much it holds ([`Share::hold`]) and asks before it reads ([`Share::room`]). Without room nobody
//! reads, until requests are answered. Only unfinished requests could then hold each other up for ever: so one connection at
//! a time, in the middle of a request, may read on beyond the budget until that request is answered, and must have the
//! whole of it within [`OVERDRAFT_MAX`].
//!
//! *Invariant*: more than the budget is held only by one read per connection and one request over all.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Time that a peer has for the rest of a request while all others wait for its memory: 100 MiB at a tenth of a gigabit.
const OVERDRAFT_MAX: Duration = Duration::from_secs(10);

/// The bytes of one broker.
#[derive(Debug)]
pub struct RequestBudget {
    bytes_max: u64,
    held: AtomicU64,
    freed: Notify,
    overdraft: Arc<Semaphore>,
}

/// What one connection holds of it.
#[derive(Debug)]
pub struct Share {
    budget: Arc<RequestBudget>,
    held: u64,
    overdraft: Option<Overdraft>,
}

#[derive(Debug)]
struct Overdraft {
    _permit: OwnedSemaphorePermit,
    until: Pin<Box<Sleep>>,
    /// The request that it was for has arrived.
    arrived: bool,
}

/// The peer did not send the rest of its request while all others waited for the memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the rest of a request did not come while queued.max.request.bytes was used up")]
pub struct TooSlow;

impl RequestBudget {
    /// A budget; `None` for no bound.
    #[must_use]
    pub fn new(bytes_max: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            bytes_max: bytes_max.unwrap_or(u64::MAX),
            held: AtomicU64::new(0),
            freed: Notify::new(),
            overdraft: Arc::new(Semaphore::new(1)),
        })
    }

    /// For a new connection.
    #[must_use]
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), held: 0, overdraft: None }
    }

    fn has_room(&self) -> bool {
        self.held.load(Ordering::Acquire) < self.bytes_max
    }

    fn change(&self, from: u64, to: u64) {
        if from < to {
            self.held.fetch_add(to - from, Ordering::AcqRel);
        } else if to < from {
            let before = self.held.fetch_sub(from - to, Ordering::AcqRel);
            if self.bytes_max <= before {
                self.freed.notify_waiters();
            }
        }
    }
}

impl Share {
    /// The connection holds `unread` bytes of a request that is not whole, and `in_flight` bytes of such that are not
    /// answered.
    pub fn hold(&mut self, unread: u64, in_flight: u64) {
        let held = unread.saturating_add(in_flight);
        if held != self.held {
            self.budget.change(self.held, held);
            self.held = held;
        }
        if let Some(overdraft) = &mut self.overdraft {
            overdraft.arrived |= in_flight != 0;
            if overdraft.arrived && in_flight == 0 {
                self.overdraft = None;
            }
        }
    }

    /// Waits until the connection may read. `within` a request it may get the overdraft.
    pub async fn room(&mut self, within: bool) {
        // Nearly always: then nothing that all connections share is written to.
        if self.overdraft.is_none() && !self.budget.has_room() {
            // On the heap, so that it costs memory only where somebody waits.
            Box::pin(self.room_freed(within)).await;
        }
    }

    async fn room_freed(&mut self, within: bool) {
        loop {
            let freed = self.budget.freed.notified();
            tokio::pin!(freed);
            // Registered before the look: nothing that is freed in between is missed.
            freed.as_mut().enable();
            if self.overdraft.is_some() || self.budget.has_room() {
                return;
            }
            tokio::select! {
                biased;
                permit = Arc::clone(&self.budget.overdraft).acquire_owned(), if within => {
                    let until = Box::pin(tokio::time::sleep(OVERDRAFT_MAX));
                    self.overdraft = permit.ok().map(|permit| Overdraft { _permit: permit, until, arrived: false });
                }
                () = freed => {}
            }
        }
    }

    /// Returns when a connection that reads beyond the budget has had all the time for the rest of its request; never for any
    /// other.
    pub async fn too_slow(&mut self) -> TooSlow {
        match &mut self.overdraft {
            Some(Overdraft { until, arrived: false, .. }) => until.as_mut().await,
            Some(_) | None => std::future::pending().await,
        }
        TooSlow
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.change(self.held, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(test);
    }

    async fn must_wait(share: &mut Share, within: bool) -> bool {
        tokio::time::timeout(Duration::from_millis(1), share.room(within)).await.is_err()
    }

    async fn must_wait_longer(share: &mut Share, than: Duration) -> bool {
        tokio::time::timeout(than, share.too_slow()).await.is_err()
    }

    #[test]
    fn nobody_reads_while_the_budget_is_used_up_and_all_do_when_there_is_room() {
        run(async {
            let budget = RequestBudget::new(Some(100));
            let (mut a, mut b) = (budget.share(), budget.share());
            a.room(false).await;
            a.hold(0, 150);
            assert!(must_wait(&mut a, false).await && must_wait(&mut b, false).await);
            let (_, ()) = tokio::join!(b.room(false), async { a.hold(0, 99) });
            drop(a);
            assert_eq!(budget.held.load(Ordering::Relaxed), 0, "a connection that is gone holds nothing");
        });
    }

    #[test]
    fn unfinished_requests_go_on_one_after_the_other() {
        run(async {
            let budget = RequestBudget::new(Some(100));
            let (mut a, mut b) = (budget.share(), budget.share());
            a.hold(60, 0);
            b.hold(60, 0);
            assert!(!must_wait(&mut a, true).await, "somebody must get on");
            assert!(must_wait(&mut b, true).await, "but one only");
            a.hold(0, 80);
            assert!(must_wait_longer(&mut a, OVERDRAFT_MAX * 2).await, "its request is there");
            assert!(must_wait(&mut b, true).await, "until it is answered");
            a.hold(50, 0);
            assert!(!must_wait(&mut b, true).await);
            assert!(must_wait(&mut a, true).await, "each one request at a time");
        });
    }

    #[test]
    fn a_peer_that_stops_in_the_middle_does_not_hold_the_others_up_for_ever() {
        run(async {
            let budget = RequestBudget::new(Some(100));
            let mut silent = budget.share();
            silent.hold(200, 0);
            silent.room(true).await;
            assert!(must_wait_longer(&mut silent, OVERDRAFT_MAX / 2).await, "it has time");
            assert_eq!(silent.too_slow().await, TooSlow);
            let mut other = budget.share();
            let (_, ()) = tokio::join!(other.room(false), async { drop(silent) });
        });
    }
}
