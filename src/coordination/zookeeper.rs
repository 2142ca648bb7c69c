//! The real coordinator: sessions with a ZooKeeper ensemble (3.6 or later: recursive watches).
//!
//! One session at a time. When the ensemble ends it, a new one is opened, tried every second for ever; the state tells
//! both. A request that was under way when the connection broke answers [`CoordinationError::ConnectionLoss`]: nobody here
//! guesses whether it happened. A request made while the connection is away waits for it, or for the session's end. One
//! made between two sessions answers [`CoordinationError::SessionExpired`] at once.
//!
//! *Invariant*: requests leave in the order of the calls. *Does not know*: what a znode holds.
//!
//! Three things about the client crate that shape this file: its session cannot be given to another process (the password
//! stays inside); it cannot write null data, only none; and it forgets persistent watches when it reconnects, so they are
//! made anew here.

use std::cell::RefCell;
use std::future::ready;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::try_join_all;
use tokio::sync::{mpsc, watch};
use zookeeper_client as zk;

use self::translation::{connect_error, multi_error, port_data, port_error, port_result, port_stat, zk_mode};
use super::znode::access::{Access, access};
use super::{
    CoordinationError, Coordinator, CreateMode, EnsembleConfig, EnsembleLogin, EnsembleTls, Op, OpResult, Reply,
    SessionState, Stat, WatchEvent, Znode, path,
};

mod translation;

/// Wait between two attempts to open a session, as Kafka waits.
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// How long [`Coordinator::close`] waits for the ensemble's answer. Without one the session ends by itself.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// Znodes read by one request: enough that the request costs little beside them, few enough that large ones make no answer of
/// hundreds of MiB.
const READS_IN_REQUEST: usize = 100;

/// Sessions with an ensemble. Cloning gives another handle of the same. Lives on one thread, within a `LocalSet`.
#[derive(Clone, Debug)]
pub struct ZooKeeper {
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: Address,
    config: EnsembleConfig,
    /// `None` between two sessions and after the end.
    client: RefCell<Option<zk::Client>>,
    state: watch::Sender<SessionState>,
}

/// `zookeeper.connect`, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Address {
    hosts: String,
    /// From `/` on; `/` alone for none.
    chroot: String,
}

impl ZooKeeper {
    /// Opens the first session and makes the chroot when it is not there.
    ///
    /// # Errors
    /// When that does not succeed within `connection_timeout`; says what was tried. At once when the configuration cannot
    /// work or the ensemble does not accept our login.
    pub async fn connect(config: EnsembleConfig) -> Result<Self, CoordinationError> {
        let address = Address::parse(&config.connect)?;
        if config.set_acl && config.login.is_none() && config.tls.as_ref().is_none_or(|tls| tls.identity_pem.is_none())
        {
            return Err(CoordinationError::Refused(
                "zookeeper.set.acl=true needs a login or a TLS identity: nobody in particular could write our znodes"
                    .to_owned(),
            ));
        }
        let client = first_session(&config, &address).await?;
        let session = client.session_id().0;
        let state = watch::Sender::new(SessionState::Connected { session });
        let shared = Rc::new(Shared { address, config, client: RefCell::new(Some(client)), state });
        tokio::task::spawn_local(keep_session(Rc::downgrade(&shared)));
        Ok(Self { shared })
    }

    /// Sends what `request` makes of the client, now; the reply comes later.
    fn request<T, F>(&self, refused: Result<(), CoordinationError>, request: impl FnOnce(zk::Client) -> F) -> Reply<T>
    where
        T: 'static,
        F: Future<Output = Result<T, CoordinationError>> + 'static,
    {
        let client = self.shared.client.borrow().clone();
        match (refused, client) {
            (Err(refused), _) => Box::pin(ready(Err(refused))),
            (Ok(()), None) => Box::pin(ready(Err(CoordinationError::SessionExpired))),
            (Ok(()), Some(client)) => send_now(request(client)),
        }
    }

    /// The session, for tests that attach to it a second time.
    #[cfg(test)]
    pub(super) fn session_info(&self) -> Option<zk::SessionInfo> {
        self.shared.client.borrow().as_ref().map(|client| client.session().clone())
    }
}

/// The client sends a request when its future is first polled, so that is done at once: the order of the calls is the order
/// of the requests. The waker comes with the next poll.
fn send_now<T: 'static>(request: impl Future<Output = T> + 'static) -> std::pin::Pin<Box<dyn Future<Output = T>>> {
    let mut request = Box::pin(request);
    match request.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(reply) => Box::pin(ready(reply)),
        Poll::Pending => request,
    }
}

impl Address {
    fn parse(connect: &str) -> Result<Self, CoordinationError> {
        let (hosts, chroot) = match connect.find('/') {
            Some(at) => connect.split_at(at),
            None => (connect, "/"),
        };
        let refuse = |why: &str| CoordinationError::Refused(format!("zookeeper.connect '{connect}': {why}"));
        if hosts.is_empty() || hosts.split(',').any(|host| host.trim().is_empty()) {
            return Err(refuse("a host is missing; it is host:port,host:port/chroot"));
        }
        let chroot = if chroot == "/" { chroot } else { chroot.trim_end_matches('/') };
        path::check(chroot, false).map_err(|error| refuse(&error.to_string()))?;
        let hosts = hosts.split(',').map(str::trim).collect::<Vec<_>>().join(",");
        Ok(Self { hosts, chroot: chroot.to_owned() })
    }
}

/// Tries to open a session for as long as the configuration says.
async fn first_session(config: &EnsembleConfig, address: &Address) -> Result<zk::Client, CoordinationError> {
    let mut last = "no answer".to_owned();
    let mut attempts = 0_u32;
    let tried = async {
        loop {
            attempts = attempts.saturating_add(1);
            match open_session(config, address).await {
                Ok(client) => return Ok(client),
                Err(error @ CoordinationError::Refused(_)) => return Err(error),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(RETRY_WAIT).await;
        }
    };
    match tokio::time::timeout(config.connection_timeout, tried).await {
        Ok(result) => result,
        Err(_) => Err(CoordinationError::Other(format!(
            "no session with ZooKeeper at {} within {} ms (zookeeper.connection.timeout.ms), {attempts} attempt(s); \
             last: {last}. Is the ensemble running, and is zookeeper.connect right?",
            address.hosts,
            config.connection_timeout.as_millis(),
        ))),
    }
}

async fn open_session(config: &EnsembleConfig, address: &Address) -> Result<zk::Client, CoordinationError> {
    let mut connector = zk::Client::connector().with_session_timeout(config.session_timeout).with_fail_eagerly();
    match &config.login {
        None => {}
        Some(EnsembleLogin::SaslDigest { user, password }) => {
            connector = connector.with_sasl(zk::SaslOptions::digest_md5(user.clone(), password.clone()));
        }
        Some(EnsembleLogin::Digest { user, password }) => {
            connector = connector.with_auth("digest", format!("{user}:{password}").as_bytes());
        }
    }
    let connected = match &config.tls {
        None => connector.connect(&address.hosts).await,
        Some(tls) => connector.with_tls(tls_options(tls)?).secure_connect(&address.hosts).await,
    };
    let client = connected.map_err(|error| connect_error(&error, config, address))?;
    if address.chroot == "/" {
        return Ok(client);
    }
    let options = zk::CreateMode::Persistent.with_acls(acls(access(&address.chroot, config.set_acl)));
    client.mkdir(&address.chroot, &options).await.map_err(|error| port_error(error, &address.chroot))?;
    let refused = |_| CoordinationError::Refused(format!("'{}' is no chroot", address.chroot));
    client.chroot(address.chroot.clone()).map_err(refused)
}

fn tls_options(tls: &EnsembleTls) -> Result<zk::TlsOptions, CoordinationError> {
    let refused = |key: &'static str| move |error| CoordinationError::Refused(format!("{key}: {error}"));
    let options = zk::TlsOptions::new()
        .with_pem_ca(&tls.authorities_pem)
        .map_err(refused("zookeeper.ssl.truststore.location"))?;
    match &tls.identity_pem {
        None => Ok(options),
        Some(pem) => options.with_pem_identity(pem, pem).map_err(refused("zookeeper.ssl.keystore.location")),
    }
}

/// Tells the session's states, and opens a new session when one ended, until it was closed or nobody is left.
async fn keep_session(shared: Weak<Shared>) {
    loop {
        let Some(mut states) =
            shared.upgrade().and_then(|shared| shared.client.borrow().as_ref().map(zk::Client::state_watcher))
        else {
            return;
        };
        let mut state = states.peek_state();
        while !state.is_terminated() {
            {
                let Some(shared) = shared.upgrade() else { return };
                if *shared.state.borrow() == SessionState::Closed {
                    return;
                }
                let session = shared.client.borrow().as_ref().map_or(0, |client| client.session_id().0);
                let connected = state == zk::SessionState::SyncConnected;
                shared.tell(if connected { SessionState::Connected { session } } else { SessionState::Disconnected });
            }
            state = states.changed().await;
        }
        if !open_next_session(&shared).await {
            return;
        }
    }
}

/// Whether there is a new session; not when the last handle is gone, or the session was closed by us.
async fn open_next_session(shared: &Weak<Shared>) -> bool {
    loop {
        let (config, address) = {
            let Some(shared) = shared.upgrade() else { return false };
            shared.client.borrow_mut().take();
            if *shared.state.borrow() == SessionState::Closed {
                return false;
            }
            shared.tell(SessionState::Expired);
            (shared.config.clone(), shared.address.clone())
        };
        let opened = open_session(&config, &address).await;
        let Some(shared) = shared.upgrade() else { return false };
        if *shared.state.borrow() == SessionState::Closed {
            return false;
        }
        match opened {
            Ok(client) => {
                let session = client.session_id().0;
                *shared.client.borrow_mut() = Some(client);
                shared.tell(SessionState::Connected { session });
                return true;
            }
            Err(error) => tracing::warn!(hosts = address.hosts, %error, "no new ZooKeeper session yet"),
        }
        drop(shared);
        tokio::time::sleep(RETRY_WAIT).await;
    }
}

impl Shared {
    fn tell(&self, state: SessionState) {
        self.state.send_if_modified(|current| std::mem::replace(current, state) != state);
    }

    fn acls(&self, path: &str) -> zk::Acls<'static> {
        acls(access(path, self.config.set_acl))
    }
}

fn acls(access: Access) -> zk::Acls<'static> {
    static READABLE: [zk::Acl; 2] = [
        zk::Acl::new_const(zk::Permission::ALL, "auth", ""),
        zk::Acl::new_const(zk::Permission::READ, "world", "anyone"),
    ];
    match access {
        Access::Open => zk::Acls::anyone_all(),
        Access::Readable => zk::Acls::new(&READABLE),
        Access::Secret => zk::Acls::creator_all(),
    }
}

impl Coordinator for ZooKeeper {
    fn session(&self) -> watch::Receiver<SessionState> {
        self.shared.state.subscribe()
    }

    fn get(&self, path: &str) -> Reply<Option<(Vec<u8>, Stat)>> {
        let name = path.to_owned();
        self.request(path::check(path, false), |client| async move {
            match client.get_data(&name).await {
                Ok((data, stat)) => Ok(Some((data, port_stat(&stat)))),
                Err(zk::Error::NoNode) => Ok(None),
                Err(error) => Err(port_error(error, &name)),
            }
        })
    }

    fn get_many(&self, paths: &[String]) -> Reply<Vec<Option<Znode>>> {
        let requests = paths.chunks(READS_IN_REQUEST).map(|paths| {
            let (paths, valid) = (paths.to_vec(), paths.iter().try_for_each(|path| path::check(path, false)));
            self.request(valid, |client| async move {
                let mut reader = client.new_multi_reader();
                for path in &paths {
                    reader.add_get_data(path).map_err(|error| port_error(error, path))?;
                }
                let results = reader.commit().await.map_err(|error| port_error(error, "many znodes"))?;
                results
                    .into_iter()
                    .zip(&paths)
                    .map(|(result, path)| port_data(result, path))
                    .collect::<Result<Vec<_>, _>>()
            })
        });
        let requests = requests.collect::<Vec<_>>();
        Box::pin(async { Ok(try_join_all(requests).await?.into_iter().flatten().collect()) })
    }

    fn exists(&self, path: &str) -> Reply<Option<Stat>> {
        let name = path.to_owned();
        self.request(path::check(path, false), |client| async move {
            let stat = client.check_stat(&name).await.map_err(|error| port_error(error, &name))?;
            Ok(stat.as_ref().map(port_stat))
        })
    }

    fn children(&self, path: &str) -> Reply<Vec<String>> {
        let name = path.to_owned();
        self.request(path::check(path, false), |client| async move {
            let mut names = client.list_children(&name).await.map_err(|error| port_error(error, &name))?;
            names.sort_unstable();
            Ok(names)
        })
    }

    fn create(&self, path: &str, data: Option<&[u8]>, mode: CreateMode) -> Reply<(String, Stat)> {
        let op = Op::Create { path: path.to_owned(), data: data.map(<[u8]>::to_vec), mode };
        let options = zk_mode(mode).with_acls(self.shared.acls(path));
        self.request(super::check_ops(std::slice::from_ref(&op)), |client| async move {
            let Op::Create { path, data, mode } = op else { return Err(CoordinationError::unexpected(&op)) };
            let created = client.create(&path, data.as_deref().unwrap_or_default(), &options).await;
            let (stat, sequence) = created.map_err(|error| port_error(error, &path))?;
            let path = if mode == CreateMode::PersistentSequential { format!("{path}{sequence}") } else { path };
            Ok((path, port_stat(&stat)))
        })
    }

    fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Reply<Stat> {
        let op = Op::Set { path: path.to_owned(), data: data.to_vec(), version };
        self.request(super::check_ops(std::slice::from_ref(&op)), |client| async move {
            let Op::Set { path, data, version } = op else { return Err(CoordinationError::unexpected(&op)) };
            let stat = client.set_data(&path, &data, version).await.map_err(|error| port_error(error, &path))?;
            Ok(port_stat(&stat))
        })
    }

    fn delete(&self, path: &str, version: Option<i32>) -> Reply<()> {
        let name = path.to_owned();
        self.request(path::check(path, false), |client| async move {
            client.delete(&name, version).await.map_err(|error| port_error(error, &name))
        })
    }

    fn multi(&self, ops: Vec<Op>) -> Reply<Vec<OpResult>> {
        let shared = Rc::clone(&self.shared);
        self.request(super::check_ops(&ops), |client| async move {
            let mut writer = client.new_multi_writer();
            for op in &ops {
                let added = match op {
                    Op::Check { path, version } => writer.add_check_version(path, *version),
                    Op::Create { path, data, mode } => {
                        let options = zk_mode(*mode).with_acls(shared.acls(path));
                        writer.add_create(path, data.as_deref().unwrap_or_default(), &options)
                    }
                    Op::Set { path, data, version } => writer.add_set_data(path, data, *version),
                    Op::Delete { path, version } => writer.add_delete(path, *version),
                };
                added.map_err(|error| port_error(error, op.path()))?;
            }
            drop(shared);
            let results = writer.commit().await.map_err(|error| multi_error(error, &ops))?;
            Ok(results.into_iter().map(port_result).collect())
        })
    }

    fn watch(&self, path: &str) -> Reply<mpsc::UnboundedReceiver<WatchEvent>> {
        let name = path.to_owned();
        let shared = Rc::clone(&self.shared);
        self.request(path::check(path, false), |client| async move {
            let watcher = add_watch(client, name.clone()).await?;
            let (sender, receiver) = mpsc::unbounded_channel();
            tokio::task::spawn_local(keep_watch(Rc::downgrade(&shared), name, watcher, sender));
            Ok(receiver)
        })
    }

    fn close(&self) -> Reply<()> {
        self.shared.tell(SessionState::Closed);
        let client = self.shared.client.borrow_mut().take();
        Box::pin(async move {
            let Some(client) = client else { return Ok(()) };
            let mut states = client.state_watcher();
            drop(client);
            let closed = async { while !states.changed().await.is_terminated() {} };
            tokio::time::timeout(CLOSE_WAIT, closed).await.map_err(|_| CoordinationError::ConnectionLoss)
        })
    }
}

/// Watches `path` and all below. To watch twice does no harm, so a lost connection is waited out.
async fn add_watch(client: zk::Client, path: String) -> Result<zk::PersistentWatcher, CoordinationError> {
    loop {
        match client.watch(&path, zk::AddWatchMode::PersistentRecursive).await {
            Ok(watcher) => return Ok(watcher),
            Err(error) => {
                let error = port_error(error, &path);
                if error != CoordinationError::ConnectionLoss {
                    return Err(error);
                }
                // The next request waits for the connection itself.
            }
        }
    }
}

/// Hands events on until nobody listens. After each reconnect and in each new session the watch is made anew, and the
/// listener told to read everything again.
async fn keep_watch(
    shared: Weak<Shared>,
    path: String,
    mut watcher: zk::PersistentWatcher,
    sender: mpsc::UnboundedSender<WatchEvent>,
) {
    loop {
        let event = tokio::select! {
            () = sender.closed() => return,
            event = watcher.changed() => event,
        };
        let told = match (event.event_type, event.session_state) {
            (zk::EventType::NodeCreated, _) => sender.send(WatchEvent::Created(event.path)),
            (zk::EventType::NodeDeleted, _) => sender.send(WatchEvent::Deleted(event.path)),
            (zk::EventType::NodeDataChanged, _) => sender.send(WatchEvent::DataChanged(event.path)),
            (zk::EventType::NodeChildrenChanged, _) | (_, zk::SessionState::Disconnected) => Ok(()),
            (zk::EventType::Session, _) => {
                // The old watcher goes only now: were it the last one, its end would take the new one's place too.
                watcher = match watch_again(&shared, &path).await {
                    Some(watcher) => watcher,
                    None => return,
                };
                sender.send(WatchEvent::Resync)
            }
        };
        if told.is_err() {
            return;
        }
    }
}

/// Watches with the session that is there, or the next one; `None` after the end.
async fn watch_again(shared: &Weak<Shared>, path: &str) -> Option<zk::PersistentWatcher> {
    loop {
        let mut states = shared.upgrade()?.state.subscribe();
        let over = |state: &SessionState| matches!(state, SessionState::Connected { .. } | SessionState::Closed);
        states.wait_for(over).await.ok()?;
        if *states.borrow() == SessionState::Closed {
            return None;
        }
        let Some(client) = shared.upgrade()?.client.borrow().clone() else {
            tokio::task::yield_now().await;
            continue;
        };
        match add_watch(client, path.to_owned()).await {
            Ok(watcher) => return Some(watcher),
            Err(error) => {
                tracing::warn!(path, %error, "a znode cannot be watched; trying again");
                tokio::time::sleep(RETRY_WAIT).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_strings_are_taken_apart() {
        let parse = |text: &str| Address::parse(text).map(|address| (address.hosts, address.chroot));
        let address = |hosts: &str, chroot: &str| Ok((hosts.to_owned(), chroot.to_owned()));
        assert_eq!(parse("h1:2181"), address("h1:2181", "/"));
        assert_eq!(parse("h1:2181, h2/kafka/a"), address("h1:2181,h2", "/kafka/a"));
        assert_eq!(parse("h1:2181/"), address("h1:2181", "/"));
        assert_eq!(parse("[::1]:2181/kafka/"), address("[::1]:2181", "/kafka"));
        for bad in ["", "/kafka", "h1,,h2", "h1:2181//a", "h1:2181/../a"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_and_passwords_are_not_shown() {
        let login = EnsembleLogin::SaslDigest { user: "kafka".into(), password: "hunter2".into() };
        let tls = EnsembleTls { authorities_pem: "CA".into(), identity_pem: Some("KEY".into()) };
        let shown = format!("{login:?} {tls:?}");
        assert!(shown.contains("kafka") && !shown.contains("hunter2") && !shown.contains("KEY"), "{shown}");
    }

    #[test]
    fn an_ensemble_that_does_not_answer_is_named() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        // Nothing listens on port 1 of this machine.
        let config = EnsembleConfig::plain("127.0.0.1:1", Duration::from_millis(500), Duration::from_millis(300));
        let error =
            tokio::task::LocalSet::new().block_on(&runtime, ZooKeeper::connect(config)).expect_err("no ensemble");
        let text = error.to_string();
        assert!(text.contains("127.0.0.1:1") && text.contains("300 ms"), "{text}");
    }

    #[test]
    fn acls_for_nobody_are_refused() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut config = EnsembleConfig::plain("127.0.0.1:1", Duration::from_secs(1), Duration::from_secs(1));
        config.set_acl = true;
        let error = tokio::task::LocalSet::new().block_on(&runtime, ZooKeeper::connect(config)).expect_err("no login");
        assert!(matches!(error, CoordinationError::Refused(_)), "{error}");
    }
}
