//! The network of a cluster: every broker reaches every other one, and clients reach all of them, over pipes on which bytes
//! come late and in pieces, stop for a while in one direction, or break.
//!
//! *Invariant*: what was written on a connection arrives in order or not at all, as with TCP.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::super::trace::Trace;
use crate::broker::Incoming;
use crate::broker::ports::Network;
use crate::net::{ConnectError, Stream};
use crate::storage::disk::sim::Dice;

/// Bytes that one end may be ahead of the other, as in a socket's buffer.
const PIPE_BYTES: usize = 64 * 1024;

/// Largest piece that travels at once.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// Connections that may wait to be accepted.
const BACKLOG: usize = 64;

/// Longest time that a piece is under way.
const DELAY_MAX_MS: u64 = 4;

/// How often a direction that is blocked is looked at again.
const BLOCKED_LOOK: Duration = Duration::from_millis(20);

/// Port of every broker.
pub const PORT: u16 = 9092;

/// Who sends: a broker, or all clients together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Party {
    /// Clients.
    Clients,
    /// The broker with this id.
    Broker(i32),
}

/// The network. Clones are the same.
#[derive(Clone)]
pub struct Fabric(Arc<Shared>);

struct Shared {
    trace: Trace,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    doors: BTreeMap<i32, mpsc::Sender<(Incoming, SocketAddr)>>,
    /// Directions in which nothing arrives.
    blocked: BTreeSet<(Party, Party)>,
    /// Directions that are slow: longest time in ms that a piece is under way there.
    slow: BTreeMap<(Party, Party), u64>,
    /// Brokers that live, and where other brokers find nobody who listens.
    deaf: BTreeSet<i32>,
    links: Vec<Link>,
    next_port: u16,
}

/// Both directions of a connection.
struct Link {
    ends: (Party, Party),
    pumps: [AbortHandle; 2],
}

impl Fabric {
    /// A network without brokers.
    #[must_use]
    pub fn new(seed: u64, trace: Trace) -> Self {
        let state = State {
            dice: Dice::new(seed),
            doors: BTreeMap::new(),
            blocked: BTreeSet::new(),
            slow: BTreeMap::new(),
            deaf: BTreeSet::new(),
            links: Vec::new(),
            next_port: 1,
        };
        Self(Arc::new(Shared { trace, state: Mutex::new(state) }))
    }

    /// The end at which a broker that just started accepts connections.
    #[must_use]
    pub fn open(&self, broker: i32) -> mpsc::Receiver<(Incoming, SocketAddr)> {
        let (door, accepted) = mpsc::channel(BACKLOG);
        self.0.lock().doors.insert(broker, door);
        accepted
    }

    /// A broker's process is gone: nobody listens, and all of its connections break.
    pub fn close(&self, broker: i32) {
        let mut state = self.0.lock();
        state.doors.remove(&broker);
        let gone = Party::Broker(broker);
        state.cut_where(|(one, other)| one == gone || other == gone);
    }

    /// From now on nothing that `from` sends reaches `to`.
    pub fn block(&self, from: Party, to: Party) {
        self.0.trace.note(format_args!("network {from:?} does not reach {to:?}"));
        self.0.lock().blocked.insert((from, to));
    }

    /// What `from` sends reaches `to` again.
    pub fn unblock(&self, from: Party, to: Party) {
        self.0.lock().blocked.remove(&(from, to));
    }

    /// What `from` sends to `to` takes up to so many ms, each piece for itself, but those of one connection stay in their order.
    pub fn slow_down(&self, from: Party, to: Party, millis: u64) {
        self.0.trace.note(format_args!("network {from:?} reaches {to:?} after up to {millis} ms"));
        self.0.lock().slow.insert((from, to), millis);
    }

    /// That direction is as quick as all others again.
    pub fn speed_up(&self, from: Party, to: Party) {
        self.0.lock().slow.remove(&(from, to));
    }

    /// A broker that lives loses all connections with other brokers, and refuses new ones: it looks dead.
    pub fn deafen(&self, broker: i32) {
        self.0.trace.note(format_args!("network broker {broker} refuses connections"));
        let mut state = self.0.lock();
        state.deaf.insert(broker);
        let deaf = Party::Broker(broker);
        state.cut_where(|(one, other)| {
            (one == deaf && other != Party::Clients) || (other == deaf && one != Party::Clients)
        });
    }

    /// It takes connections again.
    pub fn hear(&self, broker: i32) {
        self.0.lock().deaf.remove(&broker);
    }

    /// Everything reaches everybody again.
    pub fn heal(&self) {
        let mut state = self.0.lock();
        state.blocked.clear();
        state.slow.clear();
        state.deaf.clear();
    }

    /// Breaks each connection with `percent` chance: what is under way is lost.
    pub fn cut(&self, percent: u64) {
        self.0.trace.note(format_args!("network cut"));
        let mut state = self.0.lock();
        let mut dice = Dice::new(state.dice.below(u64::MAX));
        state.cut_where(|_| dice.percent(percent));
    }

    /// Connects `from` to a broker; `None` when nobody listens there.
    pub async fn connect(&self, from: Party, broker: i32) -> Option<DuplexStream> {
        let to = Party::Broker(broker);
        self.0.travel(from, to).await;
        let (ours, near) = duplex(PIPE_BYTES);
        let (theirs, far) = duplex(PIPE_BYTES);
        let (door, port) = {
            let mut state = self.0.lock();
            if from != Party::Clients && state.deaf.contains(&broker) {
                return None;
            }
            let door = state.doors.get(&broker)?.clone();
            let port = state.next_port;
            state.next_port = port.wrapping_add(1).max(1);
            let (from_near, to_near) = split(near);
            let (from_far, to_far) = split(far);
            let there = tokio::task::spawn_local(pump(Arc::clone(&self.0), (from, to), from_near, to_far));
            let back = tokio::task::spawn_local(pump(Arc::clone(&self.0), (to, from), from_far, to_near));
            state.links.retain(|link| !link.pumps.iter().all(AbortHandle::is_finished));
            state.links.push(Link { ends: (from, to), pumps: [there.abort_handle(), back.abort_handle()] });
            (door, port)
        };
        let stream: Incoming = Box::new(move || Ok(Stream::Other(Box::new(theirs))));
        door.send((stream, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))).await.ok()?;
        Some(ours)
    }

    /// The network as the broker `id` uses it.
    #[must_use]
    pub fn seen_by(&self, id: i32) -> Seen {
        Seen { fabric: self.clone(), from: Party::Broker(id) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time that a piece takes, and as long as its direction is blocked.
    async fn travel(&self, from: Party, to: Party) {
        let wait = {
            let mut state = self.lock();
            let most = state.slow.get(&(from, to)).copied().unwrap_or(DELAY_MAX_MS);
            state.dice.below(most.saturating_add(1))
        };
        if wait != 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        while self.lock().blocked.contains(&(from, to)) {
            tokio::time::sleep(BLOCKED_LOOK).await;
        }
    }

    fn piece_bytes(&self) -> usize {
        let mut state = self.lock();
        if state.dice.percent(20) { state.dice.below_usize(64).saturating_add(1) } else { PIECE_BYTES_MAX }
    }
}

impl State {
    fn cut_where(&mut self, mut which: impl FnMut((Party, Party)) -> bool) {
        self.links.retain(|link| {
            let cut = which(link.ends);
            if cut {
                link.pumps.iter().for_each(AbortHandle::abort);
            }
            !cut
        });
    }
}

/// Carries bytes in one direction until an end closes.
async fn pump(
    shared: Arc<Shared>,
    (sender, receiver): (Party, Party),
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
) {
    let mut piece = vec![0; PIECE_BYTES_MAX];
    loop {
        let Some(room) = piece.get_mut(..shared.piece_bytes()) else { return };
        let read = from.read(room).await.unwrap_or(0);
        shared.travel(sender, receiver).await;
        let Some(read) = piece.get(..read).filter(|read| !read.is_empty()) else { break };
        if to.write_all(read).await.is_err() {
            break;
        }
    }
    // The other end may be gone already.
    let _ = to.shutdown().await;
}

/// The network of one broker.
pub struct Seen {
    fabric: Fabric,
    from: Party,
}

impl Network for Seen {
    fn connect<'a>(
        &'a self,
        host: &'a str,
        port: u16,
        wait: Duration,
    ) -> LocalBoxFuture<'a, Result<Stream, ConnectError>> {
        Box::pin(async move {
            let refused = || ConnectError::Refused {
                address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
                source: io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens"),
            };
            let broker = host.strip_prefix("broker-").and_then(|id| id.parse().ok()).ok_or_else(refused)?;
            let connected = tokio::time::timeout(wait, self.fabric.connect(self.from, broker)).await;
            let late = |_| ConnectError::Deadline { host: host.to_owned(), port, wait };
            let stream = connected.map_err(late)?.ok_or_else(refused)?;
            Ok(Stream::Other(Box::new(stream)))
        })
    }
}
