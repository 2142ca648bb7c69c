//! Where things run: the event loops (arbiters) that actors are spread on, and the threads that block on disks.
//!
//! *Invariant*: nothing else in the broker makes an arbiter or a thread (law 12), so the simulator can put everything on one
//! loop and make blocking work take simulated time.
//! *Does not know*: what runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
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
    Threads(Arc<Mutex<mpsc::Sender<Work>>>),
    /// Tests: work is done at once, and whoever waits for it is polled again later.
    Inline,
    /// The simulator: work is done on the calling loop after so much time, whether anybody still waits for it or not.
    Slow(Arc<dyn Fn() -> Duration + Send + Sync>),
}

type Work = Box<dyn FnOnce() + Send>;

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
        let (sender, receiver) = mpsc::channel::<Work>();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..disk_threads.max(1) {
            let receiver = Arc::clone(&receiver);
            let work = move || {
                loop {
                    let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    match next {
                        Ok(work) => work(),
                        Err(mpsc::RecvError) => break,
                    }
                }
            };
            std::thread::Builder::new().name(format!("disk-{number}")).spawn(work)?;
        }
        let others = arbiters.iter().map(Arbiter::handle).collect();
        Ok((Self { others, disk: DiskPool::Threads(Arc::new(Mutex::new(sender))) }, Loops(arbiters)))
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
            DiskPool::Threads(sender) => {
                let _closed = sender.lock().unwrap_or_else(PoisonError::into_inner).send(work);
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
