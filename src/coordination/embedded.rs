//! The coordinator in this process: ZooKeeper's semantics on a tree that lives in memory and, through the disk port, in a
//! log and a snapshot ([`store`]).
//!
//! A change is applied when its method is called, so that the order of calls is the order of effects. Nobody is told of it
//! before it is durable: every reply, also of a read, first flushes what was applied before it, all of it with one write
//! and one fsync. When that fails, everything that was not durable is taken back and its callers get the error.
//!
//! *Invariant*: what a reply or a watch event told is on disk.
//! *Does not know*: why a znode is written. Blocks while it writes: give it an arbiter where that hurts nobody.

use std::cell::{OnceCell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{CoordinationError, Coordinator, CreateMode, Op, OpResult, Reply, SessionState, Stat, WatchEvent, path};
use crate::model::Clock;
use crate::storage::disk::Disk;

mod store;
mod tree;

pub use store::{LOG_FILE, LoadError, SNAPSHOT_FILE};
use store::{Store, Transaction};
use tree::{Effect, Stamp, Tree, Undo};

/// One session with a tree in this process. Cloning gives another handle of the same session.
#[derive(Clone)]
pub struct Embedded {
    ensemble: Rc<RefCell<Ensemble>>,
    session: Rc<Session>,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("session", &*self.session.state.borrow()).finish_non_exhaustive()
    }
}

/// The tree and all who look at it: what an ensemble is to its clients.
struct Ensemble {
    tree: Tree,
    zxid: i64,
    clock: Arc<dyn Clock>,
    /// `None`: the tree lives in memory alone.
    store: Option<Store>,
    pending: Pending,
    watchers: Vec<Watcher>,
    /// Hears of every transaction that took effect.
    witness: Option<Witness>,
}

/// Who hears of every transaction, in the order of their effect. For the simulator.
pub type Witness = Box<dyn FnMut(&[Op])>;

/// What was applied and is not durable yet, oldest first.
#[derive(Default)]
struct Pending {
    applied: Vec<Applied>,
    outcome: Outcome,
}

/// One transaction that the tree shows already.
struct Applied {
    transaction: Transaction,
    /// `None`: it stays although it cannot be written, and is written later. A session that ended is over whatever the
    /// disk says.
    undo: Option<Vec<Undo>>,
    /// The watchers know.
    told: bool,
}

/// What became of the flush that a reply waits for; empty before it.
type Outcome = Rc<OnceCell<Result<(), CoordinationError>>>;

struct Session {
    state: watch::Sender<SessionState>,
}

struct Watcher {
    session: Rc<Session>,
    root: String,
    sender: mpsc::UnboundedSender<WatchEvent>,
}

impl Embedded {
    /// A tree that is gone when the last session is dropped. For tests.
    #[must_use]
    pub fn in_memory(clock: Arc<dyn Clock>) -> Self {
        Self::start(Ensemble::new(Tree::new(), 0, clock, None))
    }

    /// The tree kept in `dir`, which is made when it is not there. Ephemerals of earlier runs are gone. The caller holds the
    /// folder's lock: two processes on one tree would spoil it.
    ///
    /// # Errors
    /// When the disk fails, or what it holds is damaged: a tree is never taken for empty because it cannot be read.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, LoadError> {
        let (mut store, mut tree, mut zxid) = Store::open(disk, dir)?;
        let left_over = tree.ephemerals(|_| true);
        if !left_over.is_empty() {
            zxid = zxid.saturating_add(1);
            let stamp = Stamp { zxid, time: clock.timestamp() };
            let effects: Vec<_> = left_over.into_iter().map(|path| Effect::Delete { path }).collect();
            for effect in &effects {
                tree.apply(effect, stamp).map_err(|why| LoadError::damaged(dir, why))?;
            }
            let cleanup = Transaction::new(stamp, effects);
            store.append(&tree, std::iter::once(&cleanup)).map_err(|error| LoadError::Io(dir.to_owned(), error))?;
        }
        Ok(Self::start(Ensemble::new(tree, zxid, clock, Some(store))))
    }

    fn start(ensemble: Ensemble) -> Self {
        Self { ensemble: Rc::new(RefCell::new(ensemble)), session: Rc::new(Session::closed()) }.connected()
    }

    /// Another session with the same tree, as another broker's would be.
    #[must_use]
    pub fn another_session(&self) -> Self {
        Self { ensemble: Rc::clone(&self.ensemble), session: Rc::new(Session::closed()) }.connected()
    }

    /// Lets `witness` hear of every transaction from now on.
    #[cfg(any(test, feature = "sim"))]
    pub fn witnessed_by(&self, witness: Witness) {
        self.ensemble.borrow_mut().witness = Some(witness);
    }

    fn connected(self) -> Self {
        let session = self.ensemble.borrow_mut().open_session();
        self.session.state.send_replace(SessionState::Connected { session });
        self
    }

    /// Ends the session as an ensemble does when it did not hear of a client: its ephemerals go, and a new session begins at
    /// once. Its watchers hear [`WatchEvent::Resync`].
    pub fn expire(&self) {
        self.end_session(SessionState::Expired);
        let session = self.ensemble.borrow_mut().open_session();
        self.session.state.send_replace(SessionState::Connected { session });
        self.ensemble.borrow_mut().resync(&self.session);
    }

    fn end_session(&self, end: SessionState) -> Outcome {
        let mut ensemble = self.ensemble.borrow_mut();
        let Some(session) = self.session.id() else { return ensemble.pending.outcome.clone() };
        // What may still be taken back must not be mixed with what may not.
        ensemble.flush();
        ensemble.remove_ephemerals(session);
        self.session.state.send_replace(end);
        ensemble.pending.outcome.clone()
    }

    /// The reply that tells `result` once all that was applied so far is durable.
    fn settle<T: 'static>(&self, result: Result<T, CoordinationError>) -> Reply<T> {
        let outcome = self.ensemble.borrow().pending.outcome.clone();
        let ensemble = Rc::clone(&self.ensemble);
        Box::pin(async move {
            durable(&ensemble, &outcome).await?;
            result
        })
    }

    /// Looks at the tree if there is a session.
    fn read<T: 'static>(&self, path: &str, look: impl FnOnce(&Tree) -> Result<T, CoordinationError>) -> Reply<T> {
        let looked = match self.session.id() {
            None => Err(CoordinationError::SessionExpired),
            Some(_) => path::check(path, false).and_then(|()| look(&self.ensemble.borrow().tree)),
        };
        self.settle(looked)
    }

    /// Changes the tree if there is a session; `answer` picks the reply while the change is the newest one.
    fn write<T: 'static>(
        &self,
        ops: &[Op],
        answer: impl FnOnce(&Tree, Vec<OpResult>) -> Result<T, CoordinationError>,
    ) -> Reply<T> {
        let written = match self.session.id() {
            None => Err(CoordinationError::SessionExpired),
            Some(session) => {
                let mut ensemble = self.ensemble.borrow_mut();
                super::check_ops(ops)
                    .and_then(|()| ensemble.transact(ops, session))
                    .and_then(|results| answer(&ensemble.tree, results))
            }
        };
        self.settle(written)
    }
}

/// Flushes what was applied up to `outcome`, unless somebody else did. Lets the other futures of this turn go first, so
/// that what they write shares the flush.
async fn durable(ensemble: &Rc<RefCell<Ensemble>>, outcome: &Outcome) -> Result<(), CoordinationError> {
    if outcome.get().is_none() && ensemble.borrow().has_pending(outcome) {
        tokio::task::yield_now().await;
        if outcome.get().is_none() {
            ensemble.borrow_mut().flush();
        }
    }
    outcome.get().cloned().unwrap_or(Ok(()))
}

impl Session {
    fn closed() -> Self {
        Self { state: watch::Sender::new(SessionState::Disconnected) }
    }

    fn id(&self) -> Option<i64> {
        match *self.state.borrow() {
            SessionState::Connected { session } => Some(session),
            SessionState::Disconnected | SessionState::Expired | SessionState::Closed => None,
        }
    }
}

impl Ensemble {
    fn new(tree: Tree, zxid: i64, clock: Arc<dyn Clock>, store: Option<Store>) -> Self {
        Self { tree, zxid, clock, store, pending: Pending::default(), watchers: Vec::new(), witness: None }
    }

    /// A session's id is the number of the transaction that opens it: logged, so that no later run gives it out again.
    fn open_session(&mut self) -> i64 {
        let stamp = self.next_stamp();
        self.push(stamp, Vec::new(), None);
        stamp.zxid
    }

    fn next_stamp(&mut self) -> Stamp {
        self.zxid = self.zxid.saturating_add(1);
        Stamp { zxid: self.zxid, time: self.clock.timestamp() }
    }

    fn transact(&mut self, ops: &[Op], session: i64) -> Result<Vec<OpResult>, CoordinationError> {
        let stamp = self.next_stamp();
        let (results, change) = self.tree.transact(ops, session, stamp)?;
        if !change.effects.is_empty() {
            self.push(stamp, change.effects, Some(change.undo));
            if let Some(witness) = &mut self.witness {
                witness(ops);
            }
        }
        Ok(results)
    }

    fn remove_ephemerals(&mut self, session: i64) {
        let owned = self.tree.ephemerals(|owner| owner == session);
        let deletions: Vec<_> = owned.into_iter().map(|path| Op::Delete { path, version: None }).collect();
        let stamp = self.next_stamp();
        let removed = self.tree.transact(&deletions, session, stamp);
        let (_, change) = removed.unwrap_or_else(|error| panic!("an ephemeral could not be removed: {error}"));
        self.push(stamp, change.effects, None);
    }

    fn push(&mut self, stamp: Stamp, effects: Vec<Effect>, undo: Option<Vec<Undo>>) {
        self.pending.applied.push(Applied { transaction: Transaction::new(stamp, effects), undo, told: false });
    }

    fn has_pending(&self, outcome: &Outcome) -> bool {
        Rc::ptr_eq(&self.pending.outcome, outcome) && !self.pending.applied.is_empty()
    }

    /// Makes durable what was applied, then tells the watchers; or takes back what can be.
    fn flush(&mut self) {
        if self.pending.applied.is_empty() {
            return;
        }
        let Pending { applied, outcome } = std::mem::take(&mut self.pending);
        let written = match &mut self.store {
            None => Ok(()),
            Some(store) => store.append(&self.tree, applied.iter().map(|applied| &applied.transaction)),
        };
        let result = match written {
            Ok(()) => {
                self.notify(applied);
                Ok(())
            }
            Err(error) => {
                let before = applied.len();
                let staying = self.take_back(applied);
                let all_stay = staying.len() == before;
                self.pending.applied = self.notify(staying);
                let failure = || CoordinationError::Other(format!("the coordinator's tree cannot be written: {error}"));
                if all_stay { Ok(()) } else { Err(failure()) }
            }
        };
        // Only the flush sets it, and each flush takes the batch with it.
        let _: Result<(), _> = outcome.set(result);
    }

    /// Undoes what can be undone; what stays.
    fn take_back(&mut self, applied: Vec<Applied>) -> Vec<Applied> {
        let mut staying = Vec::new();
        for mut applied in applied.into_iter().rev() {
            match applied.undo.take() {
                Some(undo) => self.tree.undo(undo),
                None => staying.push(applied),
            }
        }
        staying.reverse();
        staying
    }

    /// Tells the watchers what they were not told yet.
    fn notify(&mut self, mut applied: Vec<Applied>) -> Vec<Applied> {
        for applied in applied.iter_mut().filter(|applied| !applied.told) {
            applied.told = true;
            for effect in applied.transaction.effects() {
                self.watchers.retain(|watcher| {
                    let tell = path::is_within(effect.path(), &watcher.root);
                    if tell { watcher.sender.send(effect.event()).is_ok() } else { !watcher.sender.is_closed() }
                });
            }
        }
        applied
    }

    fn resync(&mut self, session: &Rc<Session>) {
        self.watchers.retain(|watcher| {
            !Rc::ptr_eq(&watcher.session, session) || watcher.sender.send(WatchEvent::Resync).is_ok()
        });
    }
}

impl Coordinator for Embedded {
    fn session(&self) -> watch::Receiver<SessionState> {
        self.session.state.subscribe()
    }

    fn get(&self, path: &str) -> Reply<Option<(Vec<u8>, Stat)>> {
        self.read(path, |tree| Ok(tree.data(path)))
    }

    fn exists(&self, path: &str) -> Reply<Option<Stat>> {
        self.read(path, |tree| Ok(tree.stat(path)))
    }

    fn children(&self, path: &str) -> Reply<Vec<String>> {
        let no_node = || CoordinationError::NoNode { path: path.to_owned() };
        self.read(path, |tree| tree.children(path).ok_or_else(no_node))
    }

    fn create(&self, path: &str, data: Option<&[u8]>, mode: CreateMode) -> Reply<(String, Stat)> {
        let op = Op::Create { path: path.to_owned(), data: data.map(<[u8]>::to_vec), mode };
        self.write(&[op], |tree, results| match results.into_iter().next() {
            Some(OpResult::Created { path }) => {
                let stat = tree.stat(&path).unwrap_or_default();
                Ok((path, stat))
            }
            other => Err(CoordinationError::unexpected(&other)),
        })
    }

    fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Reply<Stat> {
        let op = Op::Set { path: path.to_owned(), data: data.to_vec(), version };
        self.write(&[op], |_, results| match results.into_iter().next() {
            Some(OpResult::Set { stat }) => Ok(stat),
            other => Err(CoordinationError::unexpected(&other)),
        })
    }

    fn delete(&self, path: &str, version: Option<i32>) -> Reply<()> {
        self.write(&[Op::Delete { path: path.to_owned(), version }], |_, _| Ok(()))
    }

    fn multi(&self, ops: Vec<Op>) -> Reply<Vec<OpResult>> {
        self.write(&ops, |_, results| Ok(results))
    }

    fn watch(&self, path: &str) -> Reply<mpsc::UnboundedReceiver<WatchEvent>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let watched = match self.session.id() {
            None => Err(CoordinationError::SessionExpired),
            Some(_) => path::check(path, false).map(|()| receiver),
        };
        if watched.is_ok() {
            // What was applied before is told before: it must not reach this watcher as news.
            let mut ensemble = self.ensemble.borrow_mut();
            ensemble.flush();
            ensemble.watchers.push(Watcher { session: Rc::clone(&self.session), root: path.to_owned(), sender });
        }
        self.settle(watched)
    }

    fn close(&self) -> Reply<()> {
        let outcome = self.end_session(SessionState::Closed);
        self.ensemble.borrow_mut().watchers.retain(|watcher| !Rc::ptr_eq(&watcher.session, &self.session));
        let ensemble = Rc::clone(&self.ensemble);
        Box::pin(async move { durable(&ensemble, &outcome).await })
    }
}

#[cfg(test)]
mod tests;
