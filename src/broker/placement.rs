//! Where things run: the event loops (arbiters) that actors are spread on, and the threads that block on disks.
//!
//! *Invariant*: nothing else in the broker makes an arbiter or a thread (law 12), so the simulator can put everything on one
//! loop and make blocking work take simulated time.
//! *Does not know*: what runs.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::{Actor, Addr, Context};
use actix_rt::{Arbiter, ArbiterHandle};
use tokio::sync::oneshot;

use crate::net::BufferPool;

thread_local! {
    /// See [`buffers`].
    static BUFFERS: BufferPool = BufferPool::new();
}

/// The receive buffers that the connections on the calling loop share.
#[must_use]
pub fn buffers() -> BufferPool {
    BUFFERS.with(BufferPool::clone)
}

/// One event loop. Actors on the same loop reach each other without waking a thread (law 8).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct LoopId(pub usize);

impl LoopId {
    /// The loop that the broker was started on: listener, controller and coordination live there.
    pub const MAIN: Self = Self(0);
}

/// The event loops and the disk pool of one broker. Cheap to clone.
#[derive(Clone)]
pub struct Placement {
    /// Loops beside the main one, which is number 0.
    others: Arc<[ArbiterHandle]>,
    disk: DiskPool,
}

#[derive(Clone)]
enum DiskPool {
    Threads(Arc<Submitter>),
    /// Tests: work is done at once, and whoever waits for it is polled again later.
    Inline,
    /// The simulator: work is done on the calling loop after so much time, whether anybody still waits for it or not.
    Slow(Arc<dyn Fn() -> Duration + Send + Sync>),
}

type Work = Box<dyn FnOnce() + Send>;

/// Work that waits for a thread of the disk pool. One piece of work wakes one thread and no other, and a thread that has
/// just finished takes what waits without having slept: a flush is on somebody's way to an answer.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    work: VecDeque<Work>,
    /// Nothing will come any more.
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, work: Work) {
        self.lock().work.push_back(work);
        self.changed.notify_one();
    }

    /// Waits for work; `None` when it is closed and empty.
    fn take(&self) -> Option<Work> {
        let idle = |waiting: &mut Waiting| waiting.work.is_empty() && !waiting.closed;
        let waited = self.changed.wait_while(self.lock(), idle);
        waited.unwrap_or_else(PoisonError::into_inner).work.pop_front()
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// Whoever holds it may hand in work; when nobody does any more, the threads end.
struct Submitter(Arc<Queue>);

impl Drop for Submitter {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Keeps the loops beside the main one alive; they stop when it is dropped.
pub struct Loops(Vec<Arbiter>);

impl Drop for Loops {
    fn drop(&mut self) {
        self.0.iter().for_each(|arbiter| {
            arbiter.stop();
        });
    }
}

impl Placement {
    /// `loops` event loops in all, the calling thread's System being the first, and `disk_threads` for blocking work.
    ///
    /// # Errors
    /// The operating system's, when it gives no more threads.
    #[expect(clippy::disallowed_methods, reason = "this module is where arbiters and threads are made")]
    pub fn threads(loops: usize, disk_threads: usize) -> std::io::Result<(Self, Loops)> {
        let arbiters = (1..loops).map(|_| Arbiter::new()).collect::<Vec<_>>();
        let queue = Arc::<Queue>::default();
        for number in 0..disk_threads.max(1) {
            let queue = Arc::clone(&queue);
            let work = move || {
                while let Some(work) = queue.take() {
                    work();
                }
            };
            std::thread::Builder::new().name(format!("disk-{number}")).spawn(work)?;
        }
        let others = arbiters.iter().map(Arbiter::handle).collect();
        Ok((Self { others, disk: DiskPool::Threads(Arc::new(Submitter(queue))) }, Loops(arbiters)))
    }

    /// Everything on the calling thread's loop.
    #[must_use]
    pub fn single() -> Self {
        Self { others: Arc::new([]), disk: DiskPool::Inline }
    }

    /// The same, where blocking work is done after as much time as `delay` says, and pieces of it overtake each other as they
    /// do on several threads. Needs a `LocalSet`.
    #[must_use]
    pub fn slow(delay: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { others: Arc::new([]), disk: DiskPool::Slow(Arc::new(delay)) }
    }

    /// Number of event loops.
    #[must_use]
    pub fn loops(&self) -> usize {
        self.others.len() + 1
    }

    /// Starts an actor on a loop. `make` runs there. On the main loop it may only be called from the main loop.
    pub fn start<A>(&self, on: LoopId, make: impl FnOnce(&mut Context<A>) -> A + Send + 'static) -> Addr<A>
    where
        A: Actor<Context = Context<A>>,
    {
        match on.0.checked_sub(1).and_then(|index| self.others.get(index)) {
            Some(arbiter) => A::start_in_arbiter(arbiter, make),
            None => A::create(make),
        }
    }

    /// Does blocking work on the disk pool. The future gives `None` when the work panicked or the pool is gone.
    pub fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = Option<T>> + Send>> {
        let (answer, receiver) = oneshot::channel();
        let work: Work = Box::new(move || {
            // A panic must not take the thread with it: the asker learns of it by the dropped sender.
            if let Ok(value) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
                let _gone = answer.send(value);
            }
        });
        match &self.disk {
            DiskPool::Threads(threads) => {
                threads.0.put(work);
                Box::pin(async move { receiver.await.ok() })
            }
            DiskPool::Inline => {
                work();
                Box::pin(async move {
                    tokio::task::yield_now().await;
                    receiver.await.ok()
                })
            }
            DiskPool::Slow(delay) => {
                let delay = delay();
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(delay).await;
                    work();
                });
                Box::pin(async move { receiver.await.ok() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_in_is_done_before_the_threads_end() {
        let queue = Arc::<Queue>::default();
        let submitter = Submitter(Arc::clone(&queue));
        let done = Arc::new(Mutex::new(Vec::new()));
        for number in 0..10 {
            let done = Arc::clone(&done);
            submitter.0.put(Box::new(move || done.lock().expect("no panic").push(number)));
        }
        drop(submitter);
        std::iter::from_fn(|| queue.take()).for_each(|work| work());
        assert_eq!(*done.lock().expect("no panic"), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn the_disk_pool_answers_and_survives_a_panic() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (placement, _loops) = Placement::threads(1, 2).expect("threads");
        runtime.block_on(async {
            for number in 0..100 {
                assert_eq!(placement.blocking(move || number).await, Some(number));
            }
            assert_eq!(placement.blocking(|| -> u8 { panic!("as a test") }).await, None);
            assert_eq!(placement.blocking(|| 7).await, Some(7));
        });
    }
}
