//! The actor that accepts connections on one listener, counts them against their limits, and supervises them.
//!
//! *State owned*: who is connected. *Who calls*: the broker (stop), connections by their death notices.
//! A connection that panics is closed: its client connects again (law 7).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use tokio::sync::mpsc;

use super::Incoming;
use super::connection::{ConnectionActor, ConnectionLimits, Stop};
use super::env::Env;
use super::peer::Peer;
use super::supervisor::{Death, DeathNotice};
use crate::net::BufferPool;
use crate::telemetry::{Event as _, event};

/// Connections that are allowed at once.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// `max.connections`, of this listener.
    pub connections_max: usize,
    /// `max.connections.per.ip`.
    pub connections_per_ip_max: usize,
}

/// One listener.
pub struct ListenerActor {
    name: Arc<str>,
    env: Arc<Env>,
    limits: ConnectionLimits,
    admission: Admission,
    /// Accepted sockets: from the network, or from the simulator.
    accepted: Option<mpsc::Receiver<(Incoming, SocketAddr)>>,
    connections: BTreeMap<u64, Connected>,
    per_ip: BTreeMap<IpAddr, usize>,
    next: u64,
    /// Receive buffers that connections on this loop share.
    buffers: BufferPool,
}

struct Connected {
    addr: Addr<ConnectionActor>,
    peer: SocketAddr,
}

impl ListenerActor {
    /// A listener that serves what comes in by `accepted`.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        env: Arc<Env>,
        limits: ConnectionLimits,
        admission: Admission,
        accepted: mpsc::Receiver<(Incoming, SocketAddr)>,
    ) -> Self {
        Self {
            name,
            env,
            limits,
            admission,
            accepted: Some(accepted),
            connections: BTreeMap::new(),
            per_ip: BTreeMap::new(),
            next: 0,
            buffers: BufferPool::new(),
        }
    }

    fn admit(&mut self, incoming: Incoming, peer: SocketAddr, ctx: &Context<Self>) {
        let ip = peer.ip();
        let here = self.per_ip.get(&ip).copied().unwrap_or(0);
        if self.admission.connections_max <= self.connections.len() {
            event::ConnectionRefused { listener: self.name.to_string(), peer, reason: "max.connections" }.emit();
            return;
        }
        if self.admission.connections_per_ip_max <= here {
            event::ConnectionRefused { listener: self.name.to_string(), peer, reason: "max.connections.per.ip" }.emit();
            return;
        }
        let stream = match incoming() {
            Ok(stream) => stream,
            Err(error) => {
                event::AcceptFailed { cause: error.to_string() }.emit();
                return;
            }
        };
        let number = self.next;
        self.next += 1;
        let notice = ended_notice(ctx, number);
        let (env, limits) = (Arc::clone(&self.env), self.limits);
        let who = Peer::new(peer, Arc::clone(&self.name));
        let addr = ConnectionActor::new(env, stream, self.buffers.clone(), who, limits, notice).start();
        self.per_ip.insert(ip, here + 1);
        self.connections.insert(number, Connected { addr, peer });
        event::ConnectionAccepted { listener: self.name.to_string(), peer }.emit();
    }
}

/// Something for the listener.
#[derive(Message)]
#[rtype(result = "()")]
pub enum ListenerCommand {
    /// A connection ended; `death` when it did not end as it should.
    Ended {
        /// Its number.
        number: u64,
        /// How.
        death: Option<Death>,
    },
    /// Close all connections and accept no more.
    Shutdown,
}

#[expect(clippy::disallowed_methods, reason = "a death notice must arrive whatever the mailbox holds (law 7)")]
fn ended_notice(ctx: &Context<ListenerActor>, number: u64) -> DeathNotice {
    let parent = ctx.address();
    DeathNotice::always(move |death| parent.do_send(ListenerCommand::Ended { number, death }))
}

impl Actor for ListenerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(accepted) = self.accepted.take() {
            ctx.add_message_stream(futures::stream::unfold(accepted, |mut accepted| async {
                let (incoming, peer) = accepted.recv().await?;
                Some((Accepted(incoming, peer), accepted))
            }));
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Accepted(Incoming, SocketAddr);

impl Handler<Accepted> for ListenerActor {
    type Result = ();

    fn handle(&mut self, Accepted(incoming, peer): Accepted, ctx: &mut Context<Self>) {
        self.admit(incoming, peer, ctx);
    }
}

impl Handler<ListenerCommand> for ListenerActor {
    type Result = ();

    fn handle(&mut self, command: ListenerCommand, ctx: &mut Context<Self>) {
        match command {
            ListenerCommand::Ended { number, death } => {
                let Some(Connected { peer, .. }) = self.connections.remove(&number) else { return };
                if let Some(count) = self.per_ip.get_mut(&peer.ip()) {
                    *count -= 1;
                    if *count == 0 {
                        self.per_ip.remove(&peer.ip());
                    }
                }
                if death.is_some() {
                    event::ActorDied { actor: "connection", name: peer.to_string(), cause: "it panicked".to_owned() }
                        .emit();
                }
            }
            ListenerCommand::Shutdown => {
                for connected in std::mem::take(&mut self.connections).into_values() {
                    ctx.spawn(async move { connected.addr.send(Stop).await.unwrap_or_default() }.into_actor(self));
                }
                actix::ActorContext::stop(ctx);
            }
        }
    }
}
