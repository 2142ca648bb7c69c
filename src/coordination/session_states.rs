//! The state of a session, told to everyone who follows it in the order in which they began to follow.
//!
//! One `watch` channel for all would do, but it wakes those who wait in an order that it draws by lot: under a seed a
//! broker must do the same things in the same order each time. *Does not know*: why a state changes.

use std::cell::{Cell, RefCell};

use tokio::sync::watch;

use super::SessionState;

pub(super) struct SessionStates {
    now: Cell<SessionState>,
    /// A channel for each who follows.
    followers: RefCell<Vec<watch::Sender<SessionState>>>,
}

impl SessionStates {
    pub(super) fn new(state: SessionState) -> Self {
        Self { now: Cell::new(state), followers: RefCell::default() }
    }

    #[cfg(any(test, feature = "sim"))]
    pub(super) fn now(&self) -> SessionState {
        self.now.get()
    }

    /// The state now, and every change of it.
    pub(super) fn follow(&self) -> watch::Receiver<SessionState> {
        let (follower, receiver) = watch::channel(self.now.get());
        let mut followers = self.followers.borrow_mut();
        followers.retain(|follower| !follower.is_closed());
        followers.push(follower);
        receiver
    }

    /// Tells `state`, unless it is the one of now.
    pub(super) fn tell(&self, state: SessionState) {
        if self.now.replace(state) != state {
            // One that went is not told, and is forgotten.
            self.followers.borrow_mut().retain(|follower| follower.send(state).is_ok());
        }
    }
}
