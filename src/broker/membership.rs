//! This broker as the cluster knows it: the epoch of its registration, and the newest controller that spoke to it. Requests
//! between brokers are checked against both before anything else (law 5).
//!
//! *State owned*: both epochs. *Who calls*: the controller's shell (registered), handlers of the controller's requests (admit),
//! whoever signs a request with the broker's epoch.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{BrokerEpoch, Bug, ControllerEpoch, ErrorCode};

/// Shared by all loops. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Membership(Arc<Mutex<Known>>);

#[derive(Clone, Copy, Debug)]
struct Known {
    broker: BrokerEpoch,
    controller: ControllerEpoch,
}

impl Default for Membership {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Known { broker: BrokerEpoch(-1), controller: ControllerEpoch(0) })))
    }
}

impl Membership {
    /// The broker is registered, with this epoch.
    pub fn registered(&self, epoch: BrokerEpoch) {
        self.known(|known| known.broker = epoch);
    }

    /// Epoch of the last registration; −1 before the first.
    #[must_use]
    pub fn broker_epoch(&self) -> BrokerEpoch {
        self.known(|known| known.broker)
    }

    /// Epoch of the newest controller that was heard.
    #[must_use]
    pub fn controller_epoch(&self) -> ControllerEpoch {
        self.known(|known| known.controller)
    }

    /// Whether a request of a controller is meant for this incarnation of the broker, and comes from no older controller than
    /// one that was heard. Remembers the controller. A `broker` of −1 is not compared; a larger one than ours can happen:
    /// the registration is done, and we do not know yet.
    ///
    /// # Errors
    /// `STALE_BROKER_EPOCH`, `STALE_CONTROLLER_EPOCH`: the request has no effect.
    pub fn admit(&self, broker: BrokerEpoch, controller: ControllerEpoch) -> Result<(), ErrorCode> {
        self.admit_and(broker, controller, || ())
    }

    /// The same, and what an admitted request does, before one of another controller can be admitted.
    ///
    /// # Errors
    /// As of [`Membership::admit`].
    pub fn admit_and<T>(
        &self,
        broker: BrokerEpoch,
        controller: ControllerEpoch,
        then: impl FnOnce() -> T,
    ) -> Result<T, ErrorCode> {
        self.known(|known| {
            if broker.0 != -1 && broker < known.broker && !Bug::B10.is_back() {
                return Err(ErrorCode::StaleBrokerEpoch);
            }
            if controller < known.controller {
                return Err(ErrorCode::StaleControllerEpoch);
            }
            known.controller = controller;
            Ok(then())
        })
    }

    fn known<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_epochs_are_refused_and_change_nothing() {
        let membership = Membership::default();
        membership.registered(BrokerEpoch(40));
        let admit = |broker, controller| membership.admit(BrokerEpoch(broker), ControllerEpoch(controller));
        assert_eq!(admit(40, 3), Ok(()));
        assert_eq!(admit(39, 9), Err(ErrorCode::StaleBrokerEpoch));
        assert_eq!(membership.controller_epoch(), ControllerEpoch(3), "a refused request teaches nothing");
        assert_eq!(admit(40, 2), Err(ErrorCode::StaleControllerEpoch));
        assert_eq!(admit(-1, 3), Ok(()), "not compared");
        assert_eq!(admit(41, 4), Ok(()), "registered anew, and not known here yet");
        assert_eq!(membership.controller_epoch(), ControllerEpoch(4));
    }
}
