//! The outside world, as arguments (law 12): disk, clock, randomness, other brokers. The coordinator is not here: it lives on
//! the main loop only.

use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use rand::RngCore as _;

use crate::model::{Clock, Entropy, TopicId};
use crate::net::{ConnectError, SocketOptions, Stream, connect};
use crate::storage::disk::Disk;

/// What every actor of one broker may use. Cheap to clone.
#[derive(Clone)]
pub struct Ports {
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// The way to other brokers.
    pub network: Arc<dyn Network>,
}

/// How a broker reaches another one.
pub trait Network: Send + Sync {
    /// Connects, within `wait`. The stream belongs to the calling loop.
    fn connect<'a>(
        &'a self,
        host: &'a str,
        port: u16,
        wait: Duration,
    ) -> LocalBoxFuture<'a, Result<Stream, ConnectError>>;
}

/// TCP.
#[derive(Clone, Debug, Default)]
pub struct OsNetwork {
    /// Of every connection.
    pub options: SocketOptions,
}

impl Network for OsNetwork {
    fn connect<'a>(
        &'a self,
        host: &'a str,
        port: u16,
        wait: Duration,
    ) -> LocalBoxFuture<'a, Result<Stream, ConnectError>> {
        Box::pin(connect(host, port, wait, &self.options))
    }
}

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the randomness port")]
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// `N` random bytes.
#[must_use]
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

/// A fresh topic id.
#[must_use]
pub fn random_topic_id(entropy: &dyn Entropy) -> TopicId {
    loop {
        if let Some(id) = TopicId::from_random(random(entropy)) {
            return id;
        }
    }
}
