//! The suite on a real ensemble, whose `host:port` stands in `DOHLE_TEST_ZOOKEEPER`.

use std::cell::RefCell;

use zookeeper_client as zk;

use super::super::zookeeper::ZooKeeper;
use super::*;

/// Short, so that an end is soon noticed; the ensemble has a lower bound of its own.
const SESSION_TIMEOUT: Duration = Duration::from_secs(4);

/// The ensemble to test with, if there is one; says so when not.
pub(in crate::coordination) fn address() -> Option<String> {
    let address = std::env::var("DOHLE_TEST_ZOOKEEPER").ok();
    if address.is_none() {
        #[expect(clippy::print_stderr, reason = "a test that did not run must not look as if it had")]
        {
            eprintln!("DOHLE_TEST_ZOOKEEPER is not set: nothing was tested against a real ZooKeeper");
        }
    }
    address
}

/// A tree of its own below a chroot that did not exist before.
pub(in crate::coordination) struct Chrooted {
    address: String,
    chroot: RefCell<String>,
    newest: RefCell<Option<ZooKeeper>>,
}

impl Chrooted {
    pub(in crate::coordination) fn new(address: String) -> Self {
        Self { address, chroot: RefCell::new(String::new()), newest: RefCell::new(None) }
    }

    /// Another empty tree. Deletes the one before.
    pub(in crate::coordination) async fn fresh(&self, name: &str) {
        if let Some(last) = self.newest.borrow_mut().take() {
            drop(last.close().await);
        }
        let run = std::process::id();
        *self.chroot.borrow_mut() = format!("/dohle-test/{run}/{name}");
    }

    pub(in crate::coordination) async fn connect(&self) -> ZooKeeper {
        let connect = format!("{}{}", self.address, self.chroot.borrow());
        let config = EnsembleConfig::plain(&connect, SESSION_TIMEOUT, Duration::from_secs(10));
        ZooKeeper::connect(config).await.expect("the ensemble answers")
    }

    /// Removes what this run left behind.
    pub(in crate::coordination) async fn clean(&self) {
        let config = EnsembleConfig::plain(&self.address, SESSION_TIMEOUT, Duration::from_secs(10));
        let zk = ZooKeeper::connect(config).await.expect("the ensemble answers");
        delete_all(&zk, format!("/dohle-test/{}", std::process::id())).await;
        zk.close().await.expect("open");
    }
}

fn delete_all(zk: &ZooKeeper, path: String) -> LocalBoxFuture<'_, ()> {
    Box::pin(async move {
        let children = zk.children(&path).await.unwrap_or_default();
        let paths: Vec<_> = children.iter().map(|name| path::join(&path, name)).collect();
        let leaves = join_all(paths.iter().map(|path| zk.delete(path, None))).await;
        for (path, deleted) in paths.into_iter().zip(leaves) {
            if deleted.is_err() {
                delete_all(zk, path).await;
            }
        }
        drop(zk.delete(&path, None).await);
    })
}

impl Ensemble for Chrooted {
    fn session(&self) -> LocalBoxFuture<'_, Rc<dyn Coordinator>> {
        Box::pin(async {
            let zk = self.connect().await;
            *self.newest.borrow_mut() = Some(zk.clone());
            Rc::new(zk) as Rc<dyn Coordinator>
        })
    }

    /// A second client takes the session over by its id and password, and closes it.
    fn expire_newest(&self) -> LocalBoxFuture<'_, ()> {
        Box::pin(async {
            let info = self.newest.borrow().as_ref().and_then(ZooKeeper::session_info).expect("a session");
            let twin = zk::Client::connector().with_session(info).connect(&self.address).await.expect("it lives");
            let mut states = twin.state_watcher();
            drop(twin);
            while !states.changed().await.is_terminated() {}
        })
    }
}

#[test]
fn on_a_real_ensemble() {
    let Some(address) = address() else { return };
    run(async {
        let ensemble = Chrooted::new(address);
        all(&ensemble, async |name| ensemble.fresh(name).await).await;
        ensemble.clean().await;
    });
}
