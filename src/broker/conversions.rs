//! Conversions of old message formats: on the disk pool, and only so many at a time, so that it has threads for flushes and
//! reads and whoever speaks the new formats does not feel it.
//!
//! *Does not know*: what is converted.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::placement::Placement;

/// One in so many threads of the disk pool may convert.
const SHARE_OF_THREADS: usize = 4;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Conversions {
    turns: Arc<Semaphore>,
    placement: Placement,
}

impl Conversions {
    /// With a quarter of the pool's threads, one at least.
    #[must_use]
    pub fn new(placement: Placement, disk_threads: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new((disk_threads / SHARE_OF_THREADS).max(1))), placement }
    }

    /// Does it when it is its turn. `None` when it panicked or the pool is gone.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let work = move || {
            let done = work();
            drop(turn);
            done
        };
        self.placement.blocking(work).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn only_some_run_at_a_time_and_a_panic_gives_its_turn_back() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (placement, _loops) = Placement::threads(1, 8).expect("threads");
        let conversions = Conversions::new(placement, 8);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let one = |number: usize| {
            let (running, most, conversions) = (Arc::clone(&running), Arc::clone(&most), conversions.clone());
            async move {
                let work = move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    assert!(!number.is_multiple_of(10), "as a test");
                    number
                };
                conversions.run(work).await
            }
        };
        let done = runtime.block_on(futures::future::join_all((0..100).map(one)));
        assert_eq!(done.iter().flatten().count(), 90);
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
    }
}
