//! Whether the simulated machine is on. When its disk dies, nothing leaves it any more, and its life is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// The power of one life. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Power(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    off: AtomicBool,
    went_off: Notify,
}

impl Power {
    /// From now on nothing leaves the machine.
    pub fn cut(&self) {
        self.0.off.store(true, Ordering::Relaxed);
        self.0.went_off.notify_one();
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.0.off.load(Ordering::Relaxed)
    }

    /// Returns when it went off. For one waiter.
    pub async fn went_off(&self) {
        self.0.went_off.notified().await;
    }
}
