//! A coordinator in this process whose connection breaks, whose answers get lost, whose sessions end and whose watch
//! events come late or never: what a real ensemble does to a broker, under a seed.
//!
//! It breaks as a connection does: when it goes, every request without an answer yet gets
//! [`CoordinationError::ConnectionLoss`], those that took effect are the first ones in the order of the calls, and later
//! requests wait until it is back. Events of the time away are lost; [`WatchEvent::Resync`] follows.
//!
//! *Invariant*: the same seed and the same calls give the same faults.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::ready;
use std::rc::{Rc, Weak};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::embedded::Embedded;
use super::session_states::SessionStates;
use super::{CoordinationError, Coordinator, CreateMode, Op, OpResult, Reply, SessionState, Stat, WatchEvent};

/// How often what goes wrong: of 1,000 requests, and at most how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FaultRates {
    /// The connection breaks before the request arrives.
    pub lost_requests: u32,
    /// The connection breaks after the request took effect.
    pub lost_replies: u32,
    /// The session ends.
    pub expiries: u32,
    /// Longest time without a connection, or without a session.
    pub away_max: Duration,
    /// Longest time that a reply or a watch event is under way.
    pub delay_max: Duration,
}

/// One session with a tree in this process, over a bad connection. Needs a `LocalSet`.
#[derive(Clone)]
pub struct Faulty {
    shared: Rc<Shared>,
}

struct Shared {
    inner: Embedded,
    rates: Cell<FaultRates>,
    dice: RefCell<StdRng>,
    states: SessionStates,
    /// Counts connections. A reply of an earlier one is lost.
    connection: Connections,
    /// Requests made while there is no connection, in their order.
    waiting: RefCell<VecDeque<Waiting>>,
}

/// Numbers connections, and wakes those who wait for another one in the order in which they began to wait: a `watch` channel
/// throws dice of its own for that. Clones are the same.
#[derive(Clone, Default)]
struct Connections {
    number: Rc<Cell<u64>>,
    changed: Rc<Notify>,
}

impl Connections {
    fn change(&self) {
        self.number.set(self.number.get().wrapping_add(1));
        self.changed.notify_waiters();
    }

    /// The number of the connection, as soon as it is not `known`.
    async fn other_than(&self, known: u64) -> u64 {
        loop {
            let changed = self.changed.notified();
            if self.number.get() != known {
                return self.number.get();
            }
            changed.await;
        }
    }
}

/// A request that goes on when the connection is back, or fails when the session ended.
type Waiting = Box<dyn FnOnce(Result<(), CoordinationError>)>;

/// What becomes of one request.
enum Fate {
    Arrives,
    NeverArrives,
    ReplyLost,
    SessionEnds,
}

impl Faulty {
    /// `inner`, reached over a connection that is as bad as `rates` say.
    #[must_use]
    pub fn new(inner: Embedded, seed: u64, rates: FaultRates) -> Self {
        let state = *inner.session().borrow();
        Self {
            shared: Rc::new(Shared {
                inner,
                rates: Cell::new(rates),
                dice: RefCell::new(StdRng::seed_from_u64(seed)),
                states: SessionStates::new(state),
                connection: Connections::default(),
                waiting: RefCell::new(VecDeque::new()),
            }),
        }
    }

    /// From now on the connection is as bad as `rates` say.
    pub fn set_rates(&self, rates: FaultRates) {
        self.shared.rates.set(rates);
    }

    /// Breaks the connection until [`Self::reconnect`]. The session lives.
    pub fn disconnect(&self) {
        self.shared.go(SessionState::Disconnected);
    }

    /// The connection is back, if there is a session.
    pub fn reconnect(&self) {
        self.shared.come_back();
    }

    /// Ends the session: its ephemerals go. There is no new one until [`Self::reconnect`].
    pub fn expire(&self) {
        self.shared.expire();
    }

    fn request<T: 'static>(&self, ask: impl FnOnce(&Embedded) -> Reply<T> + 'static) -> Reply<T> {
        let shared = &self.shared;
        match shared.states.now() {
            SessionState::Connected { .. } => {}
            SessionState::Disconnected => return self.wait_then(ask),
            SessionState::Expired | SessionState::Closed => {
                return Box::pin(ready(Err(CoordinationError::SessionExpired)));
            }
        }
        match shared.fate() {
            Fate::Arrives => self.send(ask),
            Fate::NeverArrives => {
                shared.go_for_a_while(SessionState::Disconnected);
                Box::pin(ready(Err(CoordinationError::ConnectionLoss)))
            }
            Fate::ReplyLost => {
                let reply = self.send(ask);
                shared.go_for_a_while(SessionState::Disconnected);
                reply
            }
            Fate::SessionEnds => {
                shared.go_for_a_while(SessionState::Expired);
                Box::pin(ready(Err(CoordinationError::SessionExpired)))
            }
        }
    }

    /// Sends the request; its reply is lost when the connection breaks before it comes.
    fn send<T: 'static>(&self, ask: impl FnOnce(&Embedded) -> Reply<T>) -> Reply<T> {
        let reply = ask(&self.shared.inner);
        let connection = self.shared.connection.number.get();
        let delay = self.shared.draw(self.shared.rates.get().delay_max);
        let shared = Rc::clone(&self.shared);
        Box::pin(async move {
            let result = reply.await;
            pause(delay).await;
            let same = shared.connection.number.get() == connection && shared.is_connected();
            if same { result } else { Err(CoordinationError::ConnectionLoss) }
        })
    }

    fn wait_then<T: 'static>(&self, ask: impl FnOnce(&Embedded) -> Reply<T> + 'static) -> Reply<T> {
        let (sender, receiver) = oneshot::channel();
        let this = self.clone();
        let resume = move |back: Result<(), CoordinationError>| {
            // Nobody waits for the reply any more: then it is lost.
            drop(sender.send(match back {
                Ok(()) => this.send(ask),
                Err(error) => Box::pin(ready(Err(error))),
            }));
        };
        self.shared.waiting.borrow_mut().push_back(Box::new(resume));
        Box::pin(async move {
            match receiver.await {
                Ok(reply) => reply.await,
                Err(_) => Err(CoordinationError::SessionExpired),
            }
        })
    }
}

/// No wait at all for no time, so that a test without faults needs no clock.
async fn pause(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

impl Shared {
    fn fate(&self) -> Fate {
        let rates = self.rates.get();
        let mut drawn: u32 = self.dice.borrow_mut().random_range(0..1_000);
        for (rate, fate) in [
            (rates.lost_requests, Fate::NeverArrives),
            (rates.lost_replies, Fate::ReplyLost),
            (rates.expiries, Fate::SessionEnds),
        ] {
            match drawn.checked_sub(rate) {
                None => return fate,
                Some(rest) => drawn = rest,
            }
        }
        Fate::Arrives
    }

    /// Any time up to `max`, in whole microseconds.
    fn draw(&self, max: Duration) -> Duration {
        match u64::try_from(max.as_micros()).unwrap_or(u64::MAX) {
            0 => Duration::ZERO,
            micros => Duration::from_micros(self.dice.borrow_mut().random_range(0..=micros)),
        }
    }

    fn is_connected(&self) -> bool {
        matches!(self.states.now(), SessionState::Connected { .. })
    }

    fn go(&self, state: SessionState) {
        if self.is_connected() {
            self.connection.change();
            self.states.tell(state);
        }
    }

    fn go_for_a_while(self: &Rc<Self>, state: SessionState) {
        match state {
            SessionState::Expired => self.expire(),
            SessionState::Connected { .. } | SessionState::Disconnected | SessionState::Closed => self.go(state),
        }
        let away = self.draw(self.rates.get().away_max);
        let shared = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            pause(away).await;
            if let Some(shared) = shared.upgrade() {
                shared.come_back();
            }
        });
    }

    fn expire(&self) {
        if self.states.now() == SessionState::Closed {
            return;
        }
        self.go(SessionState::Disconnected);
        self.inner.expire();
        self.states.tell(SessionState::Expired);
        self.resume(&Err(CoordinationError::SessionExpired));
    }

    fn come_back(&self) {
        match self.states.now() {
            SessionState::Disconnected | SessionState::Expired => {}
            SessionState::Connected { .. } | SessionState::Closed => return,
        }
        let inner = *self.inner.session().borrow();
        self.states.tell(inner);
        self.connection.change();
        self.resume(&Ok(()));
    }

    fn resume(&self, back: &Result<(), CoordinationError>) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_iter().for_each(|request| request(back.clone()));
    }
}

impl Coordinator for Faulty {
    fn session(&self) -> watch::Receiver<SessionState> {
        self.shared.states.follow()
    }

    fn get(&self, path: &str) -> Reply<Option<(Vec<u8>, Stat)>> {
        let path = path.to_owned();
        self.request(move |inner| inner.get(&path))
    }

    fn exists(&self, path: &str) -> Reply<Option<Stat>> {
        let path = path.to_owned();
        self.request(move |inner| inner.exists(&path))
    }

    fn children(&self, path: &str) -> Reply<Vec<String>> {
        let path = path.to_owned();
        self.request(move |inner| inner.children(&path))
    }

    fn create(&self, path: &str, data: Option<&[u8]>, mode: CreateMode) -> Reply<(String, Stat)> {
        let (path, data) = (path.to_owned(), data.map(<[u8]>::to_vec));
        self.request(move |inner| inner.create(&path, data.as_deref(), mode))
    }

    fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Reply<Stat> {
        let (path, data) = (path.to_owned(), data.to_vec());
        self.request(move |inner| inner.set(&path, &data, version))
    }

    fn delete(&self, path: &str, version: Option<i32>) -> Reply<()> {
        let path = path.to_owned();
        self.request(move |inner| inner.delete(&path, version))
    }

    fn multi(&self, ops: Vec<Op>) -> Reply<Vec<OpResult>> {
        self.request(move |inner| inner.multi(ops))
    }

    /// Like the real one: a connection that breaks meanwhile is waited out.
    fn watch(&self, path: &str) -> Reply<mpsc::UnboundedReceiver<WatchEvent>> {
        if matches!(self.shared.states.now(), SessionState::Expired | SessionState::Closed) {
            return Box::pin(ready(Err(CoordinationError::SessionExpired)));
        }
        let watched = self.shared.inner.watch(path);
        let known = self.shared.connection.number.get();
        let connection = self.shared.connection.clone();
        let shared = Rc::downgrade(&self.shared);
        Box::pin(async move {
            let events = watched.await?;
            let (sender, receiver) = mpsc::unbounded_channel();
            tokio::task::spawn_local(forward(shared, events, (connection, known), sender));
            Ok(receiver)
        })
    }

    fn close(&self) -> Reply<()> {
        let closed = self.shared.inner.close();
        self.shared.states.tell(SessionState::Closed);
        self.shared.resume(&Err(CoordinationError::SessionExpired));
        closed
    }
}

/// Hands events on, late; those that come while there is no connection are lost, and made up for by a resync.
async fn forward(
    shared: Weak<Shared>,
    mut events: mpsc::UnboundedReceiver<WatchEvent>,
    (connection, mut known): (Connections, u64),
    sender: mpsc::UnboundedSender<WatchEvent>,
) {
    loop {
        tokio::select! {
            biased;
            () = sender.closed() => return,
            number = connection.other_than(known) => {
                known = number;
                let Some(shared) = shared.upgrade() else { return };
                if shared.is_connected() && sender.send(WatchEvent::Resync).is_err() {
                    return;
                }
            }
            event = events.recv() => {
                let (Some(event), Some(alive)) = (event, shared.upgrade()) else { return };
                let delay = alive.draw(alive.rates.get().delay_max);
                drop(alive);
                pause(delay).await;
                let Some(alive) = shared.upgrade() else { return };
                if alive.is_connected() && sender.send(event).is_err() {
                    return;
                }
            }
        }
    }
}
