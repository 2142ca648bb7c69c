//! Room for fetch sessions: each connection may hold one, and all of them together no more than the setting says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `max.incremental.fetch.session.cache.slots` of them.
#[derive(Debug)]
pub struct SessionSlots {
    free: AtomicUsize,
}

/// One slot; free again when dropped.
#[derive(Debug)]
pub struct SessionSlot(Arc<SessionSlots>);

impl SessionSlots {
    /// `slots` free slots.
    #[must_use]
    pub fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self { free: AtomicUsize::new(slots) })
    }

    /// Takes a slot, if one is free.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<SessionSlot> {
        let taken = self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(1));
        taken.ok().map(|_| SessionSlot(Arc::clone(self)))
    }
}

impl Drop for SessionSlot {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, Ordering::AcqRel);
    }
}
