//! Time, chance and neighbours of the simulated broker.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::time::Instant;

use crate::broker::ports::Network;
use crate::model::{Clock, Entropy, Moment, Timestamp};
use crate::net::{ConnectError, Stream};
use crate::storage::disk::sim::Dice;

/// The clock of one life of the broker: its moments are those of the runtime, whose time only passes when nobody has
/// anything to do; its wall clock goes on from life to life.
#[derive(Debug)]
pub struct SimClock {
    began: Instant,
    wall: Timestamp,
}

impl SimClock {
    /// A clock that begins now, in the runtime that it is made in, at `wall`.
    #[must_use]
    pub fn start(wall: Timestamp) -> Self {
        Self { began: now(), wall }
    }

    fn elapsed(&self) -> Duration {
        now().saturating_duration_since(self.began)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the simulator's clock port; the runtime's time is paused")]
fn now() -> Instant {
    Instant::now()
}

impl Clock for SimClock {
    fn timestamp(&self) -> Timestamp {
        let elapsed = i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.wall.0.saturating_add(elapsed))
    }

    fn moment(&self) -> Moment {
        Moment(self.elapsed())
    }
}

/// Chance under a seed.
pub struct SimEntropy(Mutex<Dice>);

impl SimEntropy {
    /// The chance that `seed` decides.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(Dice::new(seed)))
    }
}

impl fmt::Debug for SimEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimEntropy").finish_non_exhaustive()
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            *byte = u8::try_from(dice.below(256)).unwrap_or(0);
        }
    }
}

/// The neighbourhood of a broker that is the only one.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Network for Alone {
    fn connect<'a>(&'a self, host: &'a str, _: u16, _: Duration) -> LocalBoxFuture<'a, Result<Stream, ConnectError>> {
        let source = io::Error::new(io::ErrorKind::NotFound, "there is no other broker");
        Box::pin(std::future::ready(Err(ConnectError::Resolve { host: host.to_owned(), source })))
    }
}
