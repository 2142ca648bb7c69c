//! The actor of one connection: reads requests, answers them in their order.
//!
//! *State owned*: the socket, the requests in flight, the peer's fetch session. *Who calls*: the listener (stop).
//! Produce requests overlap one another; any other request waits until all before it are answered, and those behind it wait
//! for it, as in Kafka, where a connection has one request at a time. So a client that creates a topic and then asks for
//! its metadata on the same connection sees it.
//! When too much is in flight, here or in all connections together, or the peer does not read its answers, the socket is not
//! read (law 6).
//! When [`Homing`] says that it writes to another loop's partitions, it starts nothing more, waits until all is answered, and
//! goes there by way of its listener (law 8).

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, WrapFuture as _,
};
use tokio::time::Sleep;

use self::end::End;
use super::arrival::{Arrival, HandOver, Source, Waiting};
use super::directory::PartitionHandle;
use super::env::Env;
use super::handlers::fetch::FetchAnswer;
use super::handlers::produce::{self, Appends, PendingProduce, ProduceEnd, Upgrades};
use super::handlers::{self, Unanswerable};
use super::inbox::{Inbox, News};
use super::partition::{AppendOutcome, PartitionCommand, Ticket};
use super::peer::Peer;
use super::placement::{self, LoopId};
use super::request_budget::{Share, TooSlow};
use super::supervisor::DeathNotice;
use crate::machine::homing::Homing;
use crate::model::limits::REQUESTS_IN_FLIGHT_PER_CONNECTION_MAX;
use crate::model::{Clock, Moment};
use crate::net::{self, Chunk, Reader, Writer};
use crate::telemetry::{Event as _, event};
use crate::wire::message::produce::ProduceRequest;
use crate::wire::{ApiKey, Decoder, Encoded, HeaderError, Part, RequestHeader, decode_request};

mod end;

/// Bytes of answers that may wait for a peer to read them. Most are slices of segments, which take no memory.
const UNSENT_BYTES_MAX: u64 = 64 << 20;

/// Answers up to this length leave together, in one piece of memory.
const COPIED_BYTES_MAX: usize = 4 << 10;

/// Limits of one connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// `connections.max.idle.ms`.
    pub idle_max: Option<Duration>,
}

/// One connection.
pub struct ConnectionActor {
    env: Arc<Env>,
    limits: ConnectionLimits,
    arrival: Option<Box<Arrival>>,
    hand_over: Option<HandOver>,
    inbox: Arc<Inbox>,
    notice: DeathNotice,
}

/// Starts no more requests, and ends the connection once those in flight are answered.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

impl ConnectionActor {
    /// A connection that will be served on the loop where the actor is made, or goes on by `hand_over`.
    #[must_use]
    pub fn new(
        env: Arc<Env>,
        arrival: Box<Arrival>,
        limits: ConnectionLimits,
        notice: DeathNotice,
        hand_over: HandOver,
    ) -> Self {
        Self { env, limits, arrival: Some(arrival), hand_over: Some(hand_over), inbox: Arc::default(), notice }
    }
}

impl Actor for ConnectionActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some(arrival) = self.arrival.take() else { return };
        let peer = arrival.peer.address;
        let (env, limits, inbox) = (Arc::clone(&self.env), self.limits, Arc::clone(&self.inbox));
        let serving = Serving::new(env, *arrival, limits, inbox).map(Box::new);
        let served = async move {
            let mut serving = serving?;
            serving.run().await?;
            serving.depart()
        };
        ctx.spawn(served.into_actor(self).map(move |served, actor, ctx| {
            match (served, actor.hand_over.take()) {
                (Ok(arrival), Some(hand_over)) => {
                    actor.notice.silence();
                    hand_over(arrival);
                }
                (Ok(_), None) => {}
                (Err(end), _) => {
                    end.tell(peer, actor.env.ports.clock.moment());
                    event::ConnectionClosed { peer, reason: end.reason() }.emit();
                }
            }
            actor.notice.disarm();
            ctx.stop();
        }));
    }
}

impl Handler<Stop> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, _: Stop, _: &mut Context<Self>) {
        self.inbox.stop();
    }
}

/// The request that is no produce, or one in an old format: none behind it is started meanwhile.
struct Other {
    key: ApiKey,
    bytes: u64,
    answer: Answering,
}

/// What comes of any request but a Produce of the new format, and the peer that it borrowed.
type Answering = Pin<Box<dyn Future<Output = (Peer, Result<Outcome, Unanswerable>)>>>;

enum Answer {
    Plain(Encoded),
    Fetch(FetchAnswer),
}

/// What comes of a request that is alone.
enum Outcome {
    Answer(Answer),
    /// No answer yet: a produce in an old format that can be appended now.
    Upgraded(Box<(RequestHeader, ProduceRequest, Upgrades)>),
}

struct Serving {
    env: Arc<Env>,
    limits: ConnectionLimits,
    reader: Reader,
    writer: Writer,
    /// The request that was read and may not be started yet.
    waiting: Option<Box<Waiting>>,
    /// Produces on their way, in the order in which they came, with the bytes of each.
    in_flight: VecDeque<(PendingProduce, u64)>,
    /// The request that is on its way instead of them.
    other: Option<Other>,
    /// Bytes of all that is on its way.
    in_flight_bytes: u64,
    share: Share,
    stopping: bool,
    /// Number of the first produce in flight.
    first: u64,
    /// Away while a request is being answered.
    peer: Option<Peer>,
    /// Where the appends go; `None` when it stays whatever they do.
    homing: Option<Homing<LoopId>>,
    appends: Appends,
    inbox: Arc<Inbox>,
    /// Outcomes that were taken out of the inbox.
    outcomes: Vec<(Ticket, AppendOutcome)>,
    idle: Option<Idle>,
}

/// `connections.max.idle.ms`: one timer, which is set anew only when it goes off, however often there was something to do.
struct Idle {
    max: Duration,
    since: Moment,
    timer: Pin<Box<Sleep>>,
}

impl Idle {
    fn new(max: Duration, since: Moment) -> Self {
        Self { max, since, timer: Box::pin(tokio::time::sleep(max)) }
    }

    /// Returns when there was nothing to do for long enough.
    async fn too_long(&mut self, clock: &dyn Clock) {
        loop {
            self.timer.as_mut().await;
            let left = self.since.after(self.max).since(clock.moment());
            if left.is_zero() {
                return;
            }
            self.timer.set(tokio::time::sleep(left));
        }
    }
}

/// What woke the connection.
enum Woken {
    Outcomes,
    Answered(Peer, Result<Outcome, Unanswerable>),
    Written(std::io::Result<()>),
    Read(usize),
    Failed(End),
    Idle,
    Stop,
}

impl Serving {
    fn new(env: Arc<Env>, arrival: Arrival, limits: ConnectionLimits, inbox: Arc<Inbox>) -> std::io::Result<Self> {
        let Arrival { source, peer, homing } = arrival;
        let (reader, writer, waiting) = source.open(placement::buffers())?;
        let homing = homing.filter(|_| reader.is_detachable());
        Ok(Self {
            share: env.request_budget.share(),
            idle: limits.idle_max.map(|max| Idle::new(max, env.ports.clock.moment())),
            env,
            limits,
            reader,
            writer,
            waiting,
            in_flight: VecDeque::new(),
            other: None,
            in_flight_bytes: 0,
            stopping: false,
            first: 0,
            peer: Some(peer),
            homing,
            appends: Appends::default(),
            inbox,
            outcomes: Vec::new(),
        })
    }

    /// Serves until the connection ends, or is to leave for another loop.
    async fn run(&mut self) -> Result<(), End> {
        while !self.leaves() || self.is_busy() {
            self.turn().await?;
            if self.has_stopped() {
                return Err(End::Stopped);
            }
        }
        Ok(())
    }

    /// Whether it is to go to another loop as soon as nothing is in flight.
    fn leaves(&self) -> bool {
        self.homing.as_ref().is_some_and(|homing| homing.destination().is_some())
    }

    /// Whether the broker stops and nothing more is owed here. A fetch is not waited for: it would come too late or empty. Nor is a
    /// member that waits for the others of its group: it asks the next coordinator.
    fn has_stopped(&self) -> bool {
        let waits = [ApiKey::Fetch, ApiKey::JoinGroup, ApiKey::SyncGroup];
        let owed = !self.in_flight.is_empty() || self.other.as_ref().is_some_and(|other| !waits.contains(&other.key));
        self.stopping && !owed && self.writer.queued_bytes() == 0
    }

    /// Whether a request is on its way.
    fn is_busy(&self) -> bool {
        !self.in_flight.is_empty() || self.other.is_some()
    }

    fn depart(mut self: Box<Self>) -> Result<Arrival, End> {
        // The last answers need not travel.
        self.writer.try_flush()?;
        let (Some(socket), Some(peer)) = (net::detach(self.reader, self.writer)?, self.peer) else {
            return Err(End::Closed);
        };
        Ok(Arrival { source: Source::Moved { socket, waiting: self.waiting }, peer, homing: self.homing })
    }

    async fn turn(&mut self) -> Result<(), End> {
        self.start_requests()?;
        self.submit().await;
        // Most answers fit the socket's buffer: then nobody waits for it to become writable.
        self.writer.try_flush()?;
        if self.has_stopped() {
            // The answer that was owed has just gone: nothing would wake it any more.
            return Ok(());
        }
        match self.wake().await {
            Woken::Outcomes => {
                self.take_outcomes();
                self.finish_produces()?;
            }
            Woken::Answered(peer, answer) => {
                self.peer = Some(peer);
                let bytes = self.other.take().map_or(0, |other| other.bytes);
                self.in_flight_bytes -= bytes;
                match answer? {
                    Outcome::Upgraded(upgraded) => {
                        let (header, request, upgrades) = *upgraded;
                        self.begin_produce(&header, (request, Some(upgrades)), bytes)?;
                    }
                    Outcome::Answer(answer) => self.send(answer),
                }
            }
            Woken::Written(done) => done?,
            Woken::Read(0) => return Err(End::Closed),
            Woken::Read(_) => {}
            Woken::Failed(end) => return Err(end),
            Woken::Idle => return Err(End::Idle),
            Woken::Stop => self.stopping = true,
        }
        Ok(())
    }

    async fn wake(&mut self) -> Woken {
        let unsent = self.writer.queued_bytes();
        let wants_more = self.waiting.is_none()
            && self.other.is_none()
            && !self.leaves()
            && !self.stopping
            && self.in_flight.len() < REQUESTS_IN_FLIGHT_PER_CONNECTION_MAX
            && unsent < UNSENT_BYTES_MAX;
        let is_idle = !self.is_busy() && unsent == 0;
        if let (Some(idle), true) = (&mut self.idle, is_idle) {
            idle.since = self.env.ports.clock.moment();
        }
        let idle = async {
            match self.idle.as_mut().filter(|_| is_idle) {
                Some(idle) => idle.too_long(&*self.env.ports.clock).await,
                None => std::future::pending().await,
            }
        };
        let answering = async {
            match &mut self.other {
                Some(other) => other.answer.as_mut().await,
                None => std::future::pending().await,
            }
        };
        let unread = self.reader.unread_bytes() as u64;
        self.share.hold(unread, self.in_flight_bytes);
        let (share, reader) = (&mut self.share, &mut self.reader);
        let read = async {
            share.room(unread != 0).await;
            tokio::select! {
                biased;
                received = reader.fill() => Ok::<_, End>(received?),
                too_slow = share.too_slow() => Err(too_slow.into()),
            }
        };
        let write = async {
            if unsent == 0 {
                return std::future::pending().await;
            }
            // On the heap, so that it costs memory only while a peer does not read.
            Box::pin(self.writer.flush()).await
        };
        tokio::select! {
            biased;
            news = self.inbox.news(&mut self.outcomes) => match news {
                News::Outcomes => Woken::Outcomes,
                News::Stop => Woken::Stop,
            },
            (peer, answer) = answering => Woken::Answered(peer, answer),
            written = write => Woken::Written(written),
            read = read, if wants_more => read.map_or_else(Woken::Failed, Woken::Read),
            () = idle => Woken::Idle,
        }
    }

    /// Starts what may be started: produces overlap, anything else is alone.
    fn start_requests(&mut self) -> Result<(), End> {
        while self.other.is_none()
            && !self.leaves()
            && !self.stopping
            && self.in_flight.len() < REQUESTS_IN_FLIGHT_PER_CONNECTION_MAX
        {
            let Some((header, body)) = self.next_request()? else { return Ok(()) };
            if header.key == ApiKey::Produce && produce::is_old(header.version) {
                self.start_upgrade(header, body)?;
            } else if header.key == ApiKey::Produce {
                self.start_produce(&header, body)?;
            } else if self.in_flight.is_empty() {
                let Some(peer) = self.peer.take() else { return Ok(()) };
                let (key, bytes) = (header.key, body.remaining() as u64);
                let answer = Box::pin(answer(Arc::clone(&self.env), peer, header, body));
                self.in_flight_bytes += bytes;
                self.other = Some(Other { key, bytes, answer });
            } else {
                // Its turn comes when the produces before it are answered.
                self.waiting = Some(Box::new((header, body)));
                return Ok(());
            }
        }
        Ok(())
    }

    /// The next request that has arrived whole.
    fn next_request(&mut self) -> Result<Option<Waiting>, End> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(*waiting));
        }
        let Some(frame) = self.reader.next_frame(self.limits.request_bytes_max)? else { return Ok(None) };
        match decode_request(frame) {
            Ok(request) => Ok(Some(request)),
            Err(HeaderError::UnsupportedVersion { key: ApiKey::ApiVersions, correlation_id, .. })
                if self.in_flight.is_empty() =>
            {
                // A client newer than us asks what we know, and goes on with that (KIP-511).
                let encoded = handlers::unsupported_api_versions(correlation_id).map_err(Unanswerable::Answer)?;
                self.send(Answer::Plain(encoded));
                self.next_request()
            }
            Err(error) => Err(error.into()),
        }
    }

    fn start_produce(&mut self, header: &RequestHeader, body: Decoder) -> Result<(), End> {
        let Some(peer) = &self.peer else { return Ok(()) };
        let bytes = body.remaining() as u64;
        let request = handlers::decode(peer, header, body)?;
        self.begin_produce(header, (request, None), bytes)
    }

    /// A produce in an old format: its records are converted first, while those before it may still be on their way.
    fn start_upgrade(&mut self, header: RequestHeader, body: Decoder) -> Result<(), End> {
        let Some(peer) = self.peer.take() else { return Ok(()) };
        let (key, bytes) = (header.key, body.remaining() as u64);
        let request: ProduceRequest = handlers::decode(&peer, &header, body)?;
        let env = Arc::clone(&self.env);
        let answer = Box::pin(async move {
            let upgrades = produce::upgrade(&env, header.version, &request).await;
            (peer, Ok(Outcome::Upgraded(Box::new((header, request, upgrades)))))
        });
        self.in_flight_bytes += bytes;
        self.other = Some(Other { key, bytes, answer });
        Ok(())
    }

    fn begin_produce(
        &mut self,
        header: &RequestHeader,
        produce: (ProduceRequest, Option<Upgrades>),
        bytes: u64,
    ) -> Result<(), End> {
        let Some(peer) = &self.peer else { return Ok(()) };
        let number = self.first + self.in_flight.len() as u64;
        let pending = produce::begin(&self.env, peer, header, produce, number, &self.inbox, &mut self.appends);
        self.in_flight_bytes += bytes;
        self.in_flight.push_back((pending, bytes));
        self.finish_produces()
    }

    /// Sends each partition all that this turn brought for it. A full mailbox makes us wait, and so not read.
    async fn submit(&mut self) {
        for (PartitionHandle { addr, home, .. }, items) in self.appends.drain() {
            if let Some(homing) = &mut self.homing {
                homing.note(home);
            }
            match addr.try_send(PartitionCommand::Append { items }) {
                Ok(()) => {}
                Err(actix::prelude::SendError::Full(command)) => {
                    // A partition that dies meanwhile drops the items, and their promises answer.
                    let _closed = addr.send(command).await;
                }
                Err(actix::prelude::SendError::Closed(command)) => drop(command),
            }
        }
    }

    fn take_outcomes(&mut self) {
        for (ticket, outcome) in self.outcomes.drain(..) {
            let index = usize::try_from(ticket.request - self.first).ok();
            if let Some((pending, _)) = index.and_then(|index| self.in_flight.get_mut(index)) {
                pending.answered(ticket, outcome, self.env.local.0);
            }
        }
    }

    /// Answers produces that are complete and have none before them.
    fn finish_produces(&mut self) -> Result<(), End> {
        while let Some((pending, bytes)) = self.in_flight.front().filter(|(pending, _)| pending.is_complete()) {
            match pending.end(self.writer.tail()).map_err(Unanswerable::Answer)? {
                ProduceEnd::Answered | ProduceEnd::Silence => {}
                ProduceEnd::Close(error) => return Err(End::SilentProduce(error)),
            }
            self.in_flight_bytes -= bytes;
            self.in_flight.pop_front();
            self.first += 1;
        }
        Ok(())
    }

    fn send(&mut self, answer: Answer) {
        let (encoded, slices) = match answer {
            // Copied: it is small nearly always, and nothing is kept for the next one.
            Answer::Plain(encoded) if encoded.gaps.is_empty() && encoded.len() <= COPIED_BYTES_MAX => {
                return self.writer.tail().extend_from_slice(&encoded.bytes);
            }
            Answer::Plain(encoded) => (encoded, vec![]),
            Answer::Fetch(FetchAnswer { encoded, slices }) => (encoded, slices),
        };
        for part in encoded.parts() {
            match part {
                Part::Bytes(bytes) => self.writer.push(Chunk::Bytes(bytes)),
                Part::External { token, .. } => {
                    let slice = usize::try_from(token).ok().and_then(|token| slices.get(token));
                    let slice = slice.expect("every external payload has its slice");
                    self.writer.push(super::file_source::chunk(slice));
                }
            }
        }
    }
}

async fn answer(
    env: Arc<Env>,
    mut peer: Peer,
    header: RequestHeader,
    body: Decoder,
) -> (Peer, Result<Outcome, Unanswerable>) {
    let answer = if header.key == ApiKey::Fetch {
        handlers::fetch::answer(&env, &mut peer, &header, body).await.map(Answer::Fetch)
    } else {
        handlers::answer(&env, &mut peer, &header, body).await.map(Answer::Plain)
    };
    (peer, answer.map(Outcome::Answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F>(_: impl FnOnce(&'static mut Serving) -> F) -> usize {
        size_of::<F>()
    }

    /// Thousands of connections wait at a time: each costs this, its actor's context, and what the runtime knows of its socket.
    #[test]
    fn a_connection_that_waits_is_small() {
        let (state, future) = (size_of::<Serving>(), size_of_future(|serving| serving.run()));
        assert!(state + future <= 1_536, "{state} + {future} bytes");
    }
}
