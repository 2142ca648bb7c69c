//! Where a connection finds what others have for it: the outcomes of its appends, and that it should stop.
//!
//! Shared memory and a waker rather than a channel: partitions put in all outcomes of a turn under one lock, the connection
//! takes them all at once, and a connection that waits costs a hundred bytes.
//!
//! *Invariant*: what was put in before the connection looked is found; what comes later wakes it.
//! *Bound*: what the connection has in flight.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

use super::partition::{AppendOutcome, Ticket};

/// Room for outcomes that is kept from turn to turn.
const KEPT: usize = 64;

/// See the module. One connection looks, on one loop; anybody puts in.
#[derive(Debug, Default)]
pub struct Inbox {
    outcomes: Mutex<Vec<(Ticket, AppendOutcome)>>,
    stop: AtomicBool,
    waker: AtomicWaker,
}

/// What the connection found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// Outcomes.
    Outcomes,
    /// [`Inbox::stop`] was called. Said once.
    Stop,
}

impl Inbox {
    /// Puts in outcomes, in their order.
    pub fn put(&self, outcomes: impl Iterator<Item = (Ticket, AppendOutcome)>) {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).extend(outcomes);
        self.waker.wake();
    }

    /// Tells the connection to stop.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Waits for news. Outcomes are moved to `taken`, which must be empty; none get lost when the future is dropped.
    pub async fn news(&self, taken: &mut Vec<(Ticket, AppendOutcome)>) -> News {
        std::future::poll_fn(|context| self.poll_news(context, taken)).await
    }

    /// The same, once.
    pub fn poll_news(&self, context: &mut Context<'_>, taken: &mut Vec<(Ticket, AppendOutcome)>) -> Poll<News> {
        // Registered before the look: nothing that comes in between is missed.
        self.waker.register(context.waker());
        let mut waiting = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.is_empty() {
            if KEPT < taken.capacity() {
                *taken = Vec::new();
            }
            std::mem::swap(&mut *waiting, taken);
            return Poll::Ready(News::Outcomes);
        }
        if self.stop.swap(false, Ordering::AcqRel) { Poll::Ready(News::Stop) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::ErrorCode;

    fn outcome(request: u64) -> (Ticket, AppendOutcome) {
        (Ticket { request, topic: 0, partition: 0 }, AppendOutcome::refused(ErrorCode::None))
    }

    #[tokio::test]
    async fn what_was_put_in_is_found_in_order_and_then_the_stop() {
        let (inbox, mut taken) = (Inbox::default(), vec![]);
        inbox.put([outcome(1), outcome(2)].into_iter());
        inbox.stop();
        inbox.put([outcome(3)].into_iter());
        assert_eq!(inbox.news(&mut taken).await, News::Outcomes);
        assert_eq!(taken.drain(..).map(|(ticket, _)| ticket.request).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(inbox.news(&mut taken).await, News::Stop);
        assert!(tokio::time::timeout(std::time::Duration::ZERO, inbox.news(&mut taken)).await.is_err(), "said once");
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "a partition on another loop, which a test has none of")]
    async fn news_wake_who_waits() {
        let inbox = Arc::new(Inbox::default());
        let there = Arc::clone(&inbox);
        let other = std::thread::spawn(move || (0..1_000).for_each(|n| there.put([outcome(n)].into_iter())));
        let (mut taken, mut got) = (vec![], 0);
        while got < 1_000 {
            assert_eq!(inbox.news(&mut taken).await, News::Outcomes);
            for (ticket, _) in taken.drain(..) {
                assert_eq!(ticket.request, got);
                got += 1;
            }
        }
        other.join().expect("no panic");
    }
}
