//! Keeps a connection to the controller, to learn at once that its process died. Its znode outlives it by the session timeout;
//! Kafka waits that long. Here whoever finds that nobody listens there any more removes the znode, and the brokers elect.
//!
//! A wrong hint does no harm: the next election's epoch fences every write of the controller that was deposed, and it may be
//! elected again. Needless elections are bounded by [`DEPOSE_PAUSE`].
//!
//! *State owned*: the connection. *Who calls*: nobody.

use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, AsyncContext as _, Context, WrapFuture as _};

use super::image::{Image, Metadata};
use super::link::{Link, LinkError};
use super::ports::Ports;
use super::supervisor::DeathNotice;
use crate::coordination::Coordinator;
use crate::coordination::recipe::election;
use crate::model::BrokerId;
use crate::telemetry::{Event as _, event};

/// How long connecting may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Wait after a connection that did not come about, or that ended although somebody listens.
const RETRY: Duration = Duration::from_millis(500);

/// Wait after a controller was deposed, so that a broker whose door is only just being opened is not deposed again and again.
const DEPOSE_PAUSE: Duration = Duration::from_secs(2);

/// See the module.
pub struct ControllerWatch {
    parts: Option<ControllerWatchParts>,
    _notice: DeathNotice,
}

/// What it is made of.
pub struct ControllerWatchParts {
    /// This broker.
    pub local: BrokerId,
    /// `inter.broker.listener.name`.
    pub listener: String,
    /// Who the controller is, and where it listens.
    pub metadata: Metadata,
    /// Where its znode is.
    pub coordinator: Rc<dyn Coordinator>,
    /// The network.
    pub ports: Ports,
}

impl ControllerWatch {
    /// A watch that has not begun.
    #[must_use]
    pub fn new(parts: ControllerWatchParts, notice: DeathNotice) -> Self {
        Self { parts: Some(parts), _notice: notice }
    }
}

impl Actor for ControllerWatch {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(parts) = self.parts.take() {
            ctx.spawn(parts.run().into_actor(self));
        }
    }
}

impl ControllerWatchParts {
    async fn run(self) {
        loop {
            self.metadata.until(|image| self.other_controller(image).is_some()).await;
            let Some((controller, address)) = self.other_controller(&self.metadata.load()) else { continue };
            let wait = match self.link(&address).await {
                Ok(mut link) => {
                    let moved = |image: &Image| self.other_controller(image) != Some((controller, address.clone()));
                    tokio::select! {
                        biased;
                        () = self.metadata.until(moved) => continue,
                        () = link.ended() => {}
                    }
                    // Stopped, died, or only this connection broke.
                    match self.link(&address).await {
                        Err(error) if error.nobody_listens() => self.depose(controller).await,
                        Ok(_) | Err(_) => RETRY,
                    }
                }
                Err(error) if error.nobody_listens() => self.depose(controller).await,
                Err(_) => RETRY,
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// The controller and its address, unless it is this broker.
    fn other_controller(&self, image: &Image) -> Option<(BrokerId, (String, u16))> {
        let id = Some(image.controller).filter(|id| *id != self.local)?;
        Some((id, image.brokers.get(&id)?.address(&self.listener)?.clone()))
    }

    async fn link(&self, (host, port): &(String, u16)) -> Result<Link, LinkError> {
        Link::open(&self.ports, (host, *port), &self.local.to_string(), CONNECT_PATIENCE).await
    }

    /// How long to wait afterwards.
    async fn depose(&self, controller: BrokerId) -> Duration {
        match election::depose(&*self.coordinator, controller).await {
            Ok(true) => {
                event::ControllerDeposed { broker: controller }.emit();
                DEPOSE_PAUSE
            }
            Ok(false) => RETRY,
            Err(error) => {
                event::CoordinationFailed { cause: error.to_string() }.emit();
                RETRY
            }
        }
    }
}
