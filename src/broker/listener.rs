//! The actor that accepts connections on one listener, counts them against their limits, spreads them over the event loops,
//! and supervises them.
//!
//! *State owned*: who is connected, and on which loop. *Who calls*: the broker (stop), connections by their death notices, and
//! when they leave for another loop: they come by here, so that there is one place that knows where each is.
//! A connection that panics is closed: its client connects again (law 7).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _,
};
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};

use super::Incoming;
use super::arrival::{Arrival, HandOver, Source};
use super::connection::{ConnectionActor, ConnectionLimits, Stop};
use super::env::Env;
use super::peer::Peer;
use super::placement::LoopId;
use super::supervisor::{Death, DeathNotice};
use crate::machine::homing::Homing;
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
    /// Connections on each loop, of this listener.
    per_loop: Vec<usize>,
    next: u64,
}

struct Connected {
    addr: Addr<ConnectionActor>,
    peer: SocketAddr,
    on: LoopId,
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
        let per_loop = vec![0; env.placement.loops()];
        Self {
            name,
            env,
            limits,
            admission,
            accepted: Some(accepted),
            connections: BTreeMap::new(),
            per_ip: BTreeMap::new(),
            per_loop,
            next: 0,
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
        let number = self.next;
        self.next += 1;
        let on = self.idlest();
        let arrival = Arrival {
            source: Source::Accepted(incoming),
            peer: Peer::new(peer, Arc::clone(&self.name)),
            homing: (1 < self.per_loop.len()).then(|| Homing::new(on)),
        };
        self.per_ip.insert(ip, here + 1);
        event::ConnectionAccepted { listener: self.name.to_string(), peer }.emit();
        self.serve(number, on, arrival, ctx);
    }

    /// The loop with the fewest connections.
    fn idlest(&self) -> LoopId {
        let fewest = self.per_loop.iter().enumerate().min_by_key(|(_, connections)| **connections);
        fewest.map_or(LoopId::MAIN, |(number, _)| LoopId(number))
    }

    fn serve(&mut self, number: u64, on: LoopId, arrival: Arrival, ctx: &Context<Self>) {
        let (env, limits, peer) = (Arc::clone(&self.env), self.limits, arrival.peer.address);
        let (notice, hand_over) = (ended_notice(ctx, number), hand_over(ctx, number));
        let make = move |_: &mut _| ConnectionActor::new(env, arrival, limits, notice, hand_over);
        let addr = self.env.placement.start(on, make);
        self.connections.insert(number, Connected { addr, peer, on });
        if let Some(connections) = self.per_loop.get_mut(on.0) {
            *connections += 1;
        }
    }

    /// Forgets the actor of a connection that is no more, or no more where it was.
    fn left(&mut self, number: u64) -> Option<SocketAddr> {
        let Connected { peer, on, .. } = self.connections.remove(&number)?;
        if let Some(connections) = self.per_loop.get_mut(on.0) {
            *connections -= 1;
        }
        Some(peer)
    }

    fn ended(&mut self, number: u64, death: Option<Death>) {
        let Some(peer) = self.left(number) else { return };
        if let Some(count) = self.per_ip.get_mut(&peer.ip()) {
            *count -= 1;
            if *count == 0 {
                self.per_ip.remove(&peer.ip());
            }
        }
        if death.is_some() {
            event::ActorDied { actor: "connection", name: peer.to_string(), cause: "it panicked".to_owned() }.emit();
        }
    }

    fn moves(&mut self, number: u64, mut arrival: Arrival, ctx: &Context<Self>) {
        let Some(homing) = &mut arrival.homing else { return self.ended(number, None) };
        let on = homing.destination().unwrap_or(homing.here());
        homing.arrived(on);
        // It is counted all the while, against the limits too.
        let Some(peer) = self.left(number) else { return };
        event::ConnectionMoved { peer, to: on.0 as u64 }.emit();
        self.serve(number, on, arrival, ctx);
    }

    fn shut_down(&mut self, reply: oneshot::Sender<()>, ctx: &mut Context<Self>) {
        // One that is between two loops just now is dropped with this mailbox.
        let stopping = std::mem::take(&mut self.connections).into_values().map(|connected| connected.addr.send(Stop));
        ctx.wait(join_all(stopping).into_actor(self).map(|_, _, ctx| {
            let _gone = reply.send(());
            ctx.stop();
        }));
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
    /// A connection leaves its loop for the one that its homing names.
    Moves {
        /// Its number.
        number: u64,
        /// All of it.
        arrival: Box<Arrival>,
    },
    /// Close all connections, on all loops, and accept no more.
    Shutdown {
        /// Who hears that all are closed.
        reply: oneshot::Sender<()>,
    },
}

#[expect(clippy::disallowed_methods, reason = "a death notice must arrive whatever the mailbox holds (law 7)")]
fn ended_notice(ctx: &Context<ListenerActor>, number: u64) -> DeathNotice {
    let parent = ctx.address();
    DeathNotice::always(move |death| parent.do_send(ListenerCommand::Ended { number, death }))
}

#[expect(clippy::disallowed_methods, reason = "the end of an actor here, which must arrive as its death would (law 7)")]
fn hand_over(ctx: &Context<ListenerActor>, number: u64) -> HandOver {
    let parent = ctx.address();
    Box::new(move |arrival| parent.do_send(ListenerCommand::Moves { number, arrival: Box::new(arrival) }))
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
            ListenerCommand::Ended { number, death } => self.ended(number, death),
            ListenerCommand::Moves { number, arrival } => self.moves(number, *arrival, ctx),
            ListenerCommand::Shutdown { reply } => self.shut_down(reply, ctx),
        }
    }
}

#[cfg(test)]
mod tests;
