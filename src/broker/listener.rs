//! The actor that takes in the connections of one listener, at the rate and in the number allowed, spreads them over the
//! event loops, and supervises them.
//!
//! *State owned*: who is connected, and on which loop. *Who calls*: the broker (stop), connections by their death notices, and
//! when they leave for another loop: they come by here, so that there is one place that knows where each is.
//! A connection that panics is closed: its client connects again (law 7).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, SpawnHandle, WrapFuture as _,
};
use tokio::sync::{mpsc, oneshot};

use super::Incoming;
use super::arrival::{Arrival, HandOver, Source};
use super::connection::{ConnectionActor, ConnectionLimits, Stop};
use super::connection_quotas::{Allowed, ConnectionQuotas, ConnectionSlot};
use super::env::Env;
use super::peer::Peer;
use super::placement::LoopId;
use super::supervisor::{Death, DeathNotice};
use crate::config::ConnectionConfig;
use crate::machine::homing::Homing;
use crate::telemetry::{Event as _, RateLimit, event};

/// How long a stopping listener waits for answers that are on their way. Producers ask again elsewhere for the rest.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Lines about refused connections that one address may cause per second; the rest is counted.
const LINES_PER_SECOND_MAX: u32 = 5;

/// One listener.
pub struct ListenerActor {
    name: Arc<str>,
    env: Arc<Env>,
    limits: ConnectionLimits,
    quotas: Arc<ConnectionQuotas>,
    is_protected: bool,
    overrides: Overrides,
    /// Accepted sockets: from the network, or from the simulator. `None` while one is being waited for.
    accepted: Option<mpsc::Receiver<(Incoming, SocketAddr)>>,
    accepting: Option<SpawnHandle>,
    connections: BTreeMap<u64, Connected>,
    /// Connections on each loop, of this listener.
    per_loop: Vec<usize>,
    next: u64,
    /// No more are taken in.
    stopping: bool,
    /// Who hears when the last connection ended.
    stopped: Option<oneshot::Sender<()>>,
    refusals: RateLimit<IpAddr>,
    _notice: DeathNotice,
}

/// `max.connections.per.ip.overrides` as written, and by address.
type Overrides = (BTreeMap<String, usize>, Arc<BTreeMap<IpAddr, usize>>);

struct Connected {
    addr: Addr<ConnectionActor>,
    peer: SocketAddr,
    on: LoopId,
    slot: ConnectionSlot,
}

/// What a listener is made of.
pub struct ListenerParts {
    /// Its name.
    pub name: Arc<str>,
    /// What its connections may reach.
    pub env: Arc<Env>,
    /// Of each connection.
    pub limits: ConnectionLimits,
    /// Connections of all listeners.
    pub quotas: Arc<ConnectionQuotas>,
    /// Whether other brokers come in by it, and there are others for clients.
    pub is_protected: bool,
    /// Accepted connections.
    pub accepted: mpsc::Receiver<(Incoming, SocketAddr)>,
    /// Tells the broker of an untimely end.
    pub notice: DeathNotice,
}

impl ListenerActor {
    /// A listener that serves what comes in by `accepted`.
    #[must_use]
    pub fn new(parts: ListenerParts) -> Self {
        let ListenerParts { name, env, limits, quotas, is_protected, accepted, notice } = parts;
        let per_loop = vec![0; env.placement.loops()];
        Self {
            name,
            env,
            limits,
            quotas,
            is_protected,
            overrides: Overrides::default(),
            accepted: Some(accepted),
            accepting: None,
            connections: BTreeMap::new(),
            per_loop,
            next: 0,
            stopping: false,
            stopped: None,
            refusals: RateLimit::new(LINES_PER_SECOND_MAX),
            _notice: notice,
        }
    }

    /// Waits for the next connection; what is beyond the rate allowed waits where it is.
    fn accept(&mut self, ctx: &mut Context<Self>) {
        let Some(mut accepted) = self.accepted.take() else { return };
        let next = async move { (accepted.recv().await, accepted) };
        let next = next.into_actor(self).map(|(next, accepted), actor, ctx| {
            let Some((incoming, peer)) = next else { return };
            actor.accepted = Some(accepted);
            let rate = actor.env.settings.broker().connections.creation_rate_max;
            let wait = actor.quotas.delay(rate, actor.env.ports.clock.moment());
            if wait.is_zero() {
                actor.admit(incoming, peer, ctx);
                actor.accept(ctx);
            } else {
                ctx.run_later(wait, move |actor, ctx| {
                    actor.admit(incoming, peer, ctx);
                    actor.accept(ctx);
                });
            }
        });
        self.accepting = Some(ctx.spawn(next));
    }

    fn admit(&mut self, incoming: Incoming, peer: SocketAddr, ctx: &mut Context<Self>) {
        if self.stopping {
            return;
        }
        let config = self.env.settings.broker();
        self.resolve(&config.connections, ctx);
        let slot = match self.quotas.admit(&self.name, peer.ip(), &self.allowed(&config.connections)) {
            Ok(slot) => slot,
            Err(reason) => {
                let now = self.env.ports.clock.moment();
                let refused = event::ConnectionRefused { listener: self.name.to_string(), peer, reason };
                refused.emit_limited(&mut self.refusals, &peer.ip(), now);
                return;
            }
        };
        let number = self.next;
        self.next += 1;
        let on = self.idlest();
        let arrival = Arrival {
            source: Source::Accepted(incoming),
            peer: Peer::new(peer, Arc::clone(&self.name)),
            homing: (1 < self.per_loop.len()).then(|| Homing::new(on)),
        };
        event::ConnectionAccepted { listener: self.name.to_string(), peer }.emit();
        self.serve(number, on, arrival, slot, ctx);
    }

    fn allowed(&self, config: &ConnectionConfig) -> Allowed {
        Allowed {
            all_max: (!self.is_protected).then_some(config.max),
            of_listener_max: config.max_of_listener.get(&*self.name).copied().unwrap_or(usize::MAX),
            of_ip_max: config.max_per_ip,
            overrides: self.overrides.1.clone(),
        }
    }

    /// Finds the addresses of the hosts that have a limit of their own. Names are looked up once, off the loop; one that is
    /// not known has the limit of all others.
    fn resolve(&mut self, config: &ConnectionConfig, ctx: &mut Context<Self>) {
        let written = &config.max_per_ip_overrides;
        if *written == self.overrides.0 {
            return;
        }
        let (mut addresses, mut names) = (BTreeMap::new(), Vec::new());
        for (host, most) in written {
            match host.parse::<IpAddr>() {
                Ok(address) => drop(addresses.insert(address.to_canonical(), *most)),
                Err(_) => names.push((host.clone(), *most)),
            }
        }
        self.overrides = (written.clone(), Arc::new(addresses));
        if names.is_empty() {
            return;
        }
        let look_up = self.env.placement.blocking(move || {
            let found = names.into_iter().flat_map(|(name, most)| {
                let found = (name.as_str(), 0).to_socket_addrs().into_iter().flatten();
                found.map(move |address| (address.ip().to_canonical(), most)).collect::<Vec<_>>()
            });
            found.collect::<Vec<_>>()
        });
        ctx.spawn(look_up.into_actor(self).map(|found, actor, _| {
            Arc::make_mut(&mut actor.overrides.1).extend(found.unwrap_or_default());
        }));
    }

    /// The loop with the fewest connections.
    fn idlest(&self) -> LoopId {
        let fewest = self.per_loop.iter().enumerate().min_by_key(|(_, connections)| **connections);
        fewest.map_or(LoopId::MAIN, |(number, _)| LoopId(number))
    }

    fn serve(&mut self, number: u64, on: LoopId, arrival: Arrival, slot: ConnectionSlot, ctx: &Context<Self>) {
        let (env, limits, peer, arrival) =
            (Arc::clone(&self.env), self.limits, arrival.peer.address, Box::new(arrival));
        let (notice, hand_over) = (ended_notice(ctx, number), hand_over(ctx, number));
        let make = move |_: &mut _| ConnectionActor::new(env, arrival, limits, notice, hand_over);
        let addr = self.env.placement.start(on, make);
        self.connections.insert(number, Connected { addr, peer, on, slot });
        if let Some(connections) = self.per_loop.get_mut(on.0) {
            *connections += 1;
        }
    }

    /// Forgets the actor of a connection that is no more, or no more where it was.
    fn left(&mut self, number: u64) -> Option<Connected> {
        let connected = self.connections.remove(&number)?;
        if let Some(connections) = self.per_loop.get_mut(connected.on.0) {
            *connections -= 1;
        }
        Some(connected)
    }

    fn ended(&mut self, number: u64, death: Option<Death>) {
        let Some(Connected { peer, .. }) = self.left(number) else { return };
        if let Some(death) = death {
            event::ActorDied { actor: "connection", name: peer.to_string(), cause: death.to_string() }.emit();
        }
        self.answer_stopped();
    }

    fn moves(&mut self, number: u64, mut arrival: Arrival, ctx: &Context<Self>) {
        let Some(homing) = &mut arrival.homing else { return self.ended(number, None) };
        let on = homing.destination().unwrap_or(homing.here());
        homing.arrived(on);
        // It is counted all the while, against the limits too.
        let Some(Connected { peer, slot, .. }) = self.left(number) else { return };
        if self.stopping {
            // Nothing of it is in flight.
            self.answer_stopped();
            return;
        }
        event::ConnectionMoved { peer, to: on.0 as u64 }.emit();
        self.serve(number, on, arrival, slot, ctx);
    }

    fn stop(&mut self, reply: oneshot::Sender<()>, ctx: &mut Context<Self>) {
        (self.stopping, self.stopped) = (true, Some(reply));
        // Whoever accepts learns by it that nobody wants more.
        self.accepted = None;
        if let Some(accepting) = self.accepting.take() {
            ctx.cancel_future(accepting);
        }
        for connected in self.connections.values() {
            let stop = connected.addr.send(Stop);
            ctx.spawn(async move { stop.await.unwrap_or_default() }.into_actor(self));
        }
        ctx.run_later(STOP_PATIENCE, |actor, _| {
            actor.connections.clear();
            actor.answer_stopped();
        });
        self.answer_stopped();
    }

    /// Tells whoever wanted to stop, when the last connection has ended.
    fn answer_stopped(&mut self) {
        if self.connections.is_empty()
            && let Some(reply) = self.stopped.take()
        {
            let _gone = reply.send(());
        }
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
    /// Take no more connections in, and close those that are there once what they asked for was answered.
    Shutdown {
        /// Who hears that all are closed, or that it took too long.
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
        let config = self.env.settings.broker();
        self.resolve(&config.connections, ctx);
        self.accept(ctx);
    }
}

impl Handler<ListenerCommand> for ListenerActor {
    type Result = ();

    fn handle(&mut self, command: ListenerCommand, ctx: &mut Context<Self>) {
        match command {
            ListenerCommand::Ended { number, death } => self.ended(number, death),
            ListenerCommand::Moves { number, arrival } => self.moves(number, *arrival, ctx),
            ListenerCommand::Shutdown { reply } => self.stop(reply, ctx),
        }
    }
}

#[cfg(test)]
mod tests;
