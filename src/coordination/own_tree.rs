//! A coordinator that has no session where the tree is not that of our cluster: in each new session the tree is looked at before
//! anybody else may. So an ensemble that lost its data, or went back to an earlier state, is neither believed nor written to.
//!
//! *Invariant*: no request reaches a session whose tree was not looked at. *Does not know*: who asks, and for what.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::recipe::{self, RecipeError};
use super::session_states::SessionStates;
use super::{CoordinationError, Coordinator, CreateMode, Op, OpResult, Reply, SessionState, Stat, WatchEvent, Znode};
use crate::model::ControllerEpoch;

/// Wait before a tree that is not ours is looked at again: its operator may put the right one in its place.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How the tree of our cluster is known.
pub struct Belonging {
    /// `cluster.id` in `meta.properties`.
    pub cluster_id: String,
    /// The epoch of the newest controller that was heard of.
    pub heard: Box<dyn Fn() -> ControllerEpoch>,
    /// Told once why a tree is not ours.
    pub refused: Box<dyn Fn(&RecipeError)>,
}

/// See the module. Cloning is not needed: it is shared as `Rc<dyn Coordinator>`.
pub struct OwnTree {
    shared: Rc<Shared>,
}

struct Shared {
    inner: Rc<dyn Coordinator>,
    belonging: Belonging,
    /// The session of `inner`, as it is now.
    current: watch::Receiver<SessionState>,
    /// The session whose tree is ours.
    own: Cell<Option<i64>>,
    states: SessionStates,
}

impl OwnTree {
    /// Looks at the tree of the first session. Lives within a `LocalSet`.
    ///
    /// # Errors
    /// As of [`recipe::own_tree`].
    pub async fn new(inner: Rc<dyn Coordinator>, belonging: Belonging) -> Result<Self, RecipeError> {
        let session = recipe::connected(&*inner).await?;
        recipe::own_tree(&*inner, &belonging.cluster_id, (belonging.heard)()).await?;
        let (current, own) = (inner.session(), Cell::new(Some(session)));
        let states = SessionStates::new(SessionState::Connected { session });
        let shared = Rc::new(Shared { inner, belonging, current, own, states });
        tokio::task::spawn_local(keep(Rc::downgrade(&shared)));
        Ok(Self { shared })
    }

    /// What `inner` is, if it may be asked now.
    fn asked<T: 'static>(&self, ask: impl FnOnce(&dyn Coordinator) -> Reply<T>) -> Reply<T> {
        let may = match *self.shared.current.borrow() {
            SessionState::Connected { session } => self.shared.own.get() == Some(session),
            // It waits for the connection, or for the end of the session that was there.
            SessionState::Disconnected => self.shared.own.get().is_some(),
            SessionState::Expired | SessionState::Closed => true,
        };
        if may {
            ask(&*self.shared.inner)
        } else {
            Box::pin(std::future::ready(Err(CoordinationError::SessionExpired)))
        }
    }
}

/// Hands the states on, but a new session only when its tree is ours.
async fn keep(shared: Weak<Shared>) {
    let Some(mut current) = shared.upgrade().map(|shared| shared.current.clone()) else { return };
    let mut told = None;
    loop {
        let state = *current.borrow_and_update();
        let mut wait = None;
        {
            let Some(shared) = shared.upgrade() else { return };
            match state {
                SessionState::Connected { session } if shared.own.get() != Some(session) => {
                    shared.own.set(None);
                    shared.states.tell(SessionState::Expired);
                    let Belonging { cluster_id, heard, refused } = &shared.belonging;
                    match recipe::own_tree(&*shared.inner, cluster_id, heard()).await {
                        Ok(()) => {
                            told = None;
                            shared.own.set(Some(session));
                            shared.states.tell(state);
                        }
                        Err(error) => {
                            wait = Some(LOOK_AGAIN);
                            if !matches!(error, RecipeError::Coordination(_)) && told.as_ref() != Some(&error) {
                                refused(&error);
                                told = Some(error);
                            }
                        }
                    }
                }
                SessionState::Expired => {
                    shared.own.set(None);
                    shared.states.tell(state);
                }
                SessionState::Connected { .. } | SessionState::Disconnected | SessionState::Closed => {
                    if shared.own.get().is_some() || state == SessionState::Closed {
                        shared.states.tell(state);
                    }
                }
            }
        }
        let changed = match wait {
            Some(wait) => tokio::time::timeout(wait, current.changed()).await.unwrap_or(Ok(())),
            None => current.changed().await,
        };
        if changed.is_err() {
            return;
        }
    }
}

impl Coordinator for OwnTree {
    fn session(&self) -> watch::Receiver<SessionState> {
        self.shared.states.follow()
    }

    fn get(&self, path: &str) -> Reply<Option<(Vec<u8>, Stat)>> {
        self.asked(|inner| inner.get(path))
    }

    fn get_many(&self, paths: &[String]) -> Reply<Vec<Option<Znode>>> {
        self.asked(|inner| inner.get_many(paths))
    }

    fn exists(&self, path: &str) -> Reply<Option<Stat>> {
        self.asked(|inner| inner.exists(path))
    }

    fn children(&self, path: &str) -> Reply<Vec<String>> {
        self.asked(|inner| inner.children(path))
    }

    fn create(&self, path: &str, data: Option<&[u8]>, mode: CreateMode) -> Reply<(String, Stat)> {
        self.asked(|inner| inner.create(path, data, mode))
    }

    fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Reply<Stat> {
        self.asked(|inner| inner.set(path, data, version))
    }

    fn delete(&self, path: &str, version: Option<i32>) -> Reply<()> {
        self.asked(|inner| inner.delete(path, version))
    }

    fn multi(&self, ops: Vec<Op>) -> Reply<Vec<OpResult>> {
        self.asked(|inner| inner.multi(ops))
    }

    fn watch(&self, path: &str) -> Reply<mpsc::UnboundedReceiver<WatchEvent>> {
        self.asked(|inner| inner.watch(path))
    }

    fn close(&self) -> Reply<()> {
        self.shared.inner.close()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::conformance::{new_session, run, ticks};
    use super::super::embedded::Embedded;
    use super::super::recipe::create_recursive;
    use super::super::znode::{cluster, controller};
    use super::*;

    /// A tree of cluster `ours` whose controller epoch is 5, and what a broker that heard of it has of it.
    async fn guarded(told: &Rc<RefCell<Vec<String>>>) -> (Embedded, Embedded, OwnTree) {
        let tree = Embedded::in_memory(ticks());
        create_recursive(&tree, cluster::ID, Some(&cluster::encode_id("ours"))).await.expect("a tree");
        create_recursive(&tree, controller::EPOCH, Some(b"5")).await.expect("a tree");
        let (session, told) = (tree.another_session(), Rc::clone(told));
        let belonging = Belonging {
            cluster_id: "ours".to_owned(),
            heard: Box::new(|| ControllerEpoch(5)),
            refused: Box::new(move |why| told.borrow_mut().push(why.to_string())),
        };
        let own = OwnTree::new(Rc::new(session.clone()), belonging).await.expect("it is ours");
        (tree, session, own)
    }

    #[test]
    fn a_session_with_another_tree_is_none() {
        let lost: [(&str, Option<Vec<u8>>); 3] = [
            (cluster::ID, None),
            (cluster::ID, Some(cluster::encode_id("theirs"))),
            (controller::EPOCH, Some(b"4".to_vec())),
        ];
        for (path, data) in lost {
            run(async {
                tokio::time::pause();
                let told = Rc::default();
                let (tree, session, own) = guarded(&told).await;
                assert!(matches!(own.get(cluster::ID).await, Ok(Some(_))));
                let SessionState::Connected { session: first } = *own.session().borrow() else { panic!("connected") };
                let (was, _) = tree.get(path).await.expect("readable").expect("there");
                tree.delete(path, None).await.expect("there");
                if let Some(data) = &data {
                    tree.create(path, Some(data), CreateMode::Persistent).await.expect("gone");
                }
                session.expire();
                new_session(&session, first).await;
                // Before anybody has looked, too.
                assert_eq!(
                    own.create("/x", None, CreateMode::Persistent).await,
                    Err(CoordinationError::SessionExpired)
                );
                tokio::time::sleep(Duration::from_secs(10)).await;
                assert_eq!(*own.session().borrow(), SessionState::Expired);
                assert_eq!(own.get(cluster::ID).await, Err(CoordinationError::SessionExpired));
                assert_eq!(tree.exists("/x").await, Ok(None));
                assert_eq!(told.borrow().len(), 1, "{told:?}");
                assert!(told.borrow().iter().all(|why| why.contains(path)), "{told:?}");
                if data.is_some() {
                    tree.delete(path, None).await.expect("there");
                }
                tree.create(path, Some(&was), CreateMode::Persistent).await.expect("gone");
                new_session(&own, first).await;
                assert!(matches!(own.get(cluster::ID).await, Ok(Some(_))), "the right tree is back, and so are we");
            });
        }
    }

    #[test]
    fn our_own_tree_is_ours_in_every_session() {
        run(async {
            tokio::time::pause();
            let told = Rc::default();
            let (_tree, session, own) = guarded(&told).await;
            let mut last = recipe::connected(&own).await.expect("connected");
            for _ in 0..3 {
                session.expire();
                new_session(&own, last).await;
                last = recipe::connected(&own).await.expect("connected");
                assert!(matches!(own.get(cluster::ID).await, Ok(Some(_))));
            }
            assert_eq!(told.borrow().len(), 0);
        });
    }
}
