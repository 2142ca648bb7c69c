//! The suite on a real ensemble, whose `host:port` stands in `DOHLE_TEST_ZOOKEEPER`.

use std::cell::RefCell;

use tokio::net::{TcpListener, TcpStream};
use zookeeper_client as zk;

use super::super::recipe;
use super::super::zookeeper::ZooKeeper;
use super::*;

/// Short, so that an end is soon noticed; the ensemble has a lower bound of its own.
const SESSION_TIMEOUT: Duration = Duration::from_secs(4);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The ensemble to test with, if there is one; says so when not.
pub(super) fn address() -> Option<String> {
    let address = std::env::var("DOHLE_TEST_ZOOKEEPER").ok();
    if address.is_none() {
        #[expect(clippy::print_stderr, reason = "a test that did not run must not look as if it had")]
        {
            eprintln!("DOHLE_TEST_ZOOKEEPER is not set: nothing was tested against a real ZooKeeper");
        }
    }
    address
}

/// A connection to the ensemble that can be cut.
#[derive(Clone)]
struct Line {
    address: String,
    open: watch::Sender<bool>,
}

impl Line {
    async fn to(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let (open, upstream) = (watch::Sender::new(true), upstream.to_owned());
        let states = open.subscribe();
        tokio::task::spawn_local(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (upstream, mut states) = (upstream.clone(), states.clone());
                tokio::task::spawn_local(async move {
                    let Ok(mut far) = TcpStream::connect(upstream).await else { return };
                    tokio::select! {
                        // Whoever drops the line has no more to cut.
                        Ok(_) = states.wait_for(|open| !open) => {}
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    }
                });
            }
        });
        Self { address, open }
    }

    fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

/// A tree of its own below a chroot that did not exist before.
pub(super) struct Chrooted {
    address: String,
    suite: &'static str,
    chroot: RefCell<String>,
    newest: RefCell<Option<(ZooKeeper, Line)>>,
}

impl Chrooted {
    pub(super) fn new(address: String, suite: &'static str) -> Self {
        Self { address, suite, chroot: RefCell::new(String::new()), newest: RefCell::new(None) }
    }

    fn home(&self) -> String {
        format!("/dohle-test/{}-{}", self.suite, std::process::id())
    }

    /// Another empty tree.
    pub(super) async fn fresh(&self, name: &str) {
        let last = self.newest.borrow_mut().take();
        if let Some((last, _)) = last {
            drop(last.close().await);
        }
        *self.chroot.borrow_mut() = format!("{}/{name}", self.home());
    }

    async fn connect(&self) -> (ZooKeeper, Line) {
        let line = Line::to(&self.address).await;
        let connect = format!("{}{}", line.address, self.chroot.borrow());
        let config = EnsembleConfig::plain(&connect, SESSION_TIMEOUT, CONNECTION_TIMEOUT);
        (ZooKeeper::connect(config).await.expect("the ensemble answers"), line)
    }

    /// Removes what this run left behind.
    pub(super) async fn clean(&self) {
        let config = EnsembleConfig::plain(&self.address, SESSION_TIMEOUT, CONNECTION_TIMEOUT);
        let zk = ZooKeeper::connect(config).await.expect("the ensemble answers");
        delete_all(&zk, self.home()).await;
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

/// Takes the session over from another connection, by its id and password, and closes it.
async fn expire(zookeeper: &ZooKeeper, address: &str) {
    let info = zookeeper.session_info().expect("a session");
    let twin = zk::Client::connector().with_session(info).connect(address).await.expect("the session lives");
    let mut states = twin.state_watcher();
    drop(twin);
    while !states.changed().await.is_terminated() {}
}

impl Ensemble for Chrooted {
    fn session(&self) -> LocalBoxFuture<'_, Rc<dyn Coordinator>> {
        Box::pin(async {
            let (zk, line) = self.connect().await;
            *self.newest.borrow_mut() = Some((zk.clone(), line));
            Rc::new(zk) as Rc<dyn Coordinator>
        })
    }

    fn expire_newest(&self) -> LocalBoxFuture<'_, ()> {
        Box::pin(async {
            let (zk, line) = self.newest.borrow().clone().expect("a session");
            line.set_open(false);
            expire(&zk, &self.address).await;
            line.set_open(true);
        })
    }
}

#[test]
fn on_a_real_ensemble() {
    let Some(address) = address() else { return };
    run(async {
        let ensemble = Chrooted::new(address, "port");
        all(&ensemble, async |name| ensemble.fresh(name).await).await;
        ensemble.clean().await;
    });
}

async fn state_where(zk: &ZooKeeper, holds: impl FnMut(&SessionState) -> bool) -> SessionState {
    *zk.session().wait_for(holds).await.expect("the coordinator lives")
}

#[test]
fn a_cut_line_keeps_session_and_watches() {
    let Some(address) = address() else { return };
    run(async {
        let ensemble = Chrooted::new(address, "cut");
        ensemble.fresh("cut").await;
        let (zk, line) = ensemble.connect().await;
        let (other, _) = ensemble.connect().await;
        let session = session_id(&zk);
        zk.create("/e", None, CreateMode::Ephemeral).await.expect("free");
        let mut watch = zk.watch("/").await.expect("a session");
        for round in 0..3 {
            line.set_open(false);
            state_where(&zk, |state| *state == SessionState::Disconnected).await;
            let waiting = zk.exists("/e");
            make(&other, &format!("/missed{round}")).await;
            line.set_open(true);
            assert!(waiting.await.expect("it waits for the line").is_some(), "the session lived on");
            assert_eq!(session_id(&zk), session);
            while watch.recv().await.expect("the watch lives") != WatchEvent::Resync {}
            make(&other, &format!("/seen{round}")).await;
            while watch.recv().await.expect("the watch lives") != WatchEvent::Created(format!("/seen{round}")) {}
        }
        zk.close().await.expect("open");
        while let Some(event) = watch.recv().await {
            assert_eq!(event, WatchEvent::Deleted("/e".into()), "a closed session watches nothing");
        }
        ensemble.clean().await;
    });
}

#[test]
fn between_two_sessions_nothing_is_promised() {
    let Some(address) = address() else { return };
    run(async {
        let ensemble = Chrooted::new(address, "between");
        ensemble.fresh("between").await;
        let (zk, line) = ensemble.connect().await;
        let old = session_id(&zk);
        line.set_open(false);
        expire(&zk, &ensemble.address).await;
        // The line stays cut: the end is noticed by the clock alone, and nobody can open a new session.
        state_where(&zk, |state| *state == SessionState::Expired).await;
        assert_eq!(zk.create("/a", None, CreateMode::Persistent).await, Err(CoordinationError::SessionExpired));
        line.set_open(true);
        assert_ne!(recipe::connected(&zk).await.expect("it comes back"), old);
        assert!(zk.create("/a", None, CreateMode::Persistent).await.is_ok());
        zk.close().await.expect("open");
        ensemble.clean().await;
    });
}

/// A login of ZooKeeper's own `digest` scheme: what it makes with `set.acl`, others may read unless it is secret, and
/// not write.
#[test]
fn acls_keep_others_out() {
    let Some(address) = address() else { return };
    run(async {
        let ensemble = Chrooted::new(address, "acl");
        ensemble.fresh("acl").await;
        let (nobody, _) = ensemble.connect().await;
        let mut config = EnsembleConfig::plain(
            &format!("{}{}", ensemble.address, ensemble.chroot.borrow()),
            SESSION_TIMEOUT,
            CONNECTION_TIMEOUT,
        );
        config.set_acl = true;
        config.login = Some(EnsembleLogin::Digest { user: "kafka".into(), password: "secret".into() });
        let kafka = ZooKeeper::connect(config).await.expect("the ensemble answers");
        for path in ["/brokers", "/config", "/config/users", "/config/users/alice", "/consumers"] {
            recipe::create_recursive(&kafka, path, Some(b"x")).await.expect("free");
        }
        let refused = |reply: Result<(), CoordinationError>| matches!(reply, Err(CoordinationError::Refused(_)));
        assert!(nobody.get("/brokers").await.expect("everybody reads it").is_some());
        assert!(refused(nobody.set("/brokers", b"y", None).await.map(drop)));
        assert!(refused(nobody.create("/brokers/x", None, CreateMode::Persistent).await.map(drop)));
        assert!(refused(nobody.get("/config/users/alice").await.map(drop)));
        assert!(nobody.set("/consumers", b"y", None).await.is_ok(), "old consumers never log in");
        assert!(kafka.set("/config/users/alice", b"y", None).await.is_ok());
        for path in ["/config/users/alice", "/config/users", "/config", "/brokers"] {
            kafka.delete(path, None).await.expect("its maker may");
        }
        kafka.close().await.expect("open");
        ensemble.clean().await;
    });
}
