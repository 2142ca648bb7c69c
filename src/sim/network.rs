//! The simulated network: pipes between clients and the broker, on which bytes come late and in pieces, and which break.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::groups::Guide;
use super::life::Way;
use super::oracle::Place;
use super::power::Power;
use super::trace::Trace;
use crate::broker::Incoming;
use crate::net::Stream;
use crate::storage::disk::sim::Dice;

/// Bytes that one end may be ahead of the other, as in a socket's buffer.
const PIPE_BYTES: usize = 64 * 1024;

/// Largest piece that travels at once.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// Connections that may wait to be accepted.
const BACKLOG: usize = 64;

/// Longest time that a piece is under way.
const DELAY_MAX_MS: u64 = 4;

/// The network of one life. Clones are the same.
#[derive(Clone)]
pub struct Network(Rc<Shared>);

struct Shared {
    dice: RefCell<Dice>,
    power: Power,
    trace: Trace,
    door: mpsc::Sender<(Incoming, SocketAddr)>,
    links: RefCell<Vec<Link>>,
}

/// Both directions of a connection.
struct Link {
    port: u16,
    pumps: [AbortHandle; 2],
}

impl Network {
    /// A network, and the end at which the broker accepts connections.
    #[must_use]
    pub fn new(seed: u64, power: Power, trace: Trace) -> (Self, mpsc::Receiver<(Incoming, SocketAddr)>) {
        let (door, accepted) = mpsc::channel(BACKLOG);
        let dice = RefCell::new(Dice::new(seed));
        (Self(Rc::new(Shared { dice, power, trace, door, links: RefCell::default() })), accepted)
    }

    /// Connects to the broker; `None` when it does not accept.
    pub async fn connect(&self) -> Option<DuplexStream> {
        self.0.delay().await;
        let (ours, client_side) = duplex(PIPE_BYTES);
        let (theirs, broker_side) = duplex(PIPE_BYTES);
        let port = {
            let mut links = self.0.links.borrow_mut();
            let port = links.last().map_or(1, |link| link.port.wrapping_add(1));
            let (from_client, to_client) = split(client_side);
            let (from_broker, to_broker) = split(broker_side);
            let requests = tokio::task::spawn_local(pump(Rc::clone(&self.0), from_client, to_broker));
            let answers = tokio::task::spawn_local(pump(Rc::clone(&self.0), from_broker, to_client));
            links.push(Link { port, pumps: [requests.abort_handle(), answers.abort_handle()] });
            port
        };
        let stream: Incoming = Box::new(move || Ok(Stream::Other(Box::new(theirs))));
        self.0.door.send((stream, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))).await.ok()?;
        Some(ours)
    }

    /// Breaks each connection with `percent` chance: what is under way is lost.
    pub fn cut(&self, percent: u64) {
        self.0.links.borrow_mut().retain(|link| {
            if link.pumps.iter().all(AbortHandle::is_finished) {
                return false;
            }
            let cut = self.0.dice.borrow_mut().percent(percent);
            if cut {
                self.0.trace.note(format_args!("network cut {}", link.port));
                link.pumps.iter().for_each(AbortHandle::abort);
            }
            // The last one stays: its number is the next one's.
            true
        });
    }
}

impl Way for Network {
    fn connect<'a>(&'a self, _: Option<&'a Place>) -> LocalBoxFuture<'a, Option<(DuplexStream, i32)>> {
        Box::pin(async { Some((self.connect().await?, 1)) })
    }
}

impl Guide for Network {
    fn anybody(&self) -> LocalBoxFuture<'_, Option<(DuplexStream, i32)>> {
        Box::pin(async { Some((self.connect().await?, 1)) })
    }

    fn broker(&self, _: i32) -> LocalBoxFuture<'_, Option<DuplexStream>> {
        Box::pin(self.connect())
    }

    fn tenure(&self, _: &str) -> Option<(i32, i32)> {
        Some((1, 0))
    }
}

impl Shared {
    async fn delay(&self) {
        let wait = self.dice.borrow_mut().below(DELAY_MAX_MS.saturating_add(1));
        if wait != 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    fn piece_bytes(&self) -> usize {
        let mut dice = self.dice.borrow_mut();
        if dice.percent(20) { dice.below_usize(64).saturating_add(1) } else { PIECE_BYTES_MAX }
    }
}

/// Carries bytes in one direction until an end closes.
async fn pump(shared: Rc<Shared>, mut from: ReadHalf<DuplexStream>, mut to: WriteHalf<DuplexStream>) {
    let mut piece = vec![0; PIECE_BYTES_MAX];
    loop {
        let Some(room) = piece.get_mut(..shared.piece_bytes()) else { return };
        let read = from.read(room).await.unwrap_or(0);
        shared.delay().await;
        if !shared.power.is_on() {
            return;
        }
        let Some(read) = piece.get(..read).filter(|read| !read.is_empty()) else { break };
        if to.write_all(read).await.is_err() {
            break;
        }
    }
    // The other end may be gone already.
    let _ = to.shutdown().await;
}
