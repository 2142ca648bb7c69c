//! The coordination port: what the broker needs of ZooKeeper, as a trait with a real implementation ([`zookeeper`]), one
//! in this process whose tree lives on disk ([`embedded`]), and the simulator's.
//!
//! *Invariant*: only this module knows znode paths and what they hold ([`znode`]).
//! *Does not know*: why a znode is written. Semantics are ZooKeeper's: versions, ephemerals, sequences, multis, watches.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::sync::{mpsc, watch};

use crate::model::Timestamp;

pub mod embedded;
#[cfg(any(test, feature = "sim"))]
pub mod faulty;
pub mod own_tree;
pub mod path;
pub mod recipe;
mod session_states;
pub mod znode;
pub mod zookeeper;

#[cfg(test)]
mod conformance;

/// A future of the port. Not `Send`: it lives on the arbiter of the actor that asked.
pub type Reply<T> = Pin<Box<dyn Future<Output = Result<T, CoordinationError>>>>;

/// What ZooKeeper says of a znode beside its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    /// Transaction that created it: of `/brokers/ids/N` this is the broker epoch.
    pub czxid: i64,
    /// Transaction that last changed its data.
    pub mzxid: i64,
    /// When it was created.
    pub ctime: Timestamp,
    /// When its data last changed.
    pub mtime: Timestamp,
    /// Counts changes of its data, from 0. Of a partition's `state` this is the partition epoch.
    pub version: i32,
    /// Session that owns it when it is ephemeral; 0 otherwise.
    pub ephemeral_owner: i64,
    /// Number of its children.
    pub children: i32,
}

/// How a znode is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreateMode {
    /// Stays until deleted.
    Persistent,
    /// Goes with the session that made it.
    Ephemeral,
    /// Stays; the path gets a ten-digit counter behind it.
    PersistentSequential,
}

/// One step of a [`Coordinator::multi`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Fails unless the znode has this data version.
    Check { path: String, version: i32 },
    /// Makes a znode; `None` writes ZooKeeper's null data.
    Create { path: String, data: Option<Vec<u8>>, mode: CreateMode },
    /// Replaces data; `version` `None` takes any.
    Set { path: String, data: Vec<u8>, version: Option<i32> },
    /// Deletes; `version` `None` takes any.
    Delete { path: String, version: Option<i32> },
}

/// What one step of a multi gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OpResult {
    /// The check held.
    Checked,
    /// The znode's path, with its sequence number if it has one.
    Created { path: String },
    /// The znode's new stat.
    Set { stat: Stat },
    /// It is gone.
    Deleted,
}

/// Why an operation failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CoordinationError {
    /// The path, or the parent of a path to create, is not there.
    #[error("no such znode: {path}")]
    NoNode { path: String },
    /// The path is there already.
    #[error("znode exists: {path}")]
    NodeExists { path: String },
    /// The data version is not the expected one: somebody else wrote.
    #[error("znode changed meanwhile: {path}")]
    BadVersion { path: String },
    /// It has children and cannot be deleted.
    #[error("znode has children: {path}")]
    NotEmpty { path: String },
    /// The connection broke: the operation may or may not have happened. The caller must look.
    #[error("connection to the coordinator lost; the operation may have happened")]
    ConnectionLoss,
    /// The session is over: every ephemeral of it is gone.
    #[error("the coordinator ended our session")]
    SessionExpired,
    /// Not allowed to.
    #[error("the coordinator refuses: {0}")]
    Refused(String),
    /// Anything else, in words for the operator.
    #[error("{0}")]
    Other(String),
}

impl Op {
    /// The path that the step speaks of.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Check { path, .. }
            | Self::Create { path, .. }
            | Self::Set { path, .. }
            | Self::Delete { path, .. } => path,
        }
    }
}

impl CoordinationError {
    /// A reply that does not fit its request: a bug of the coordinator, not of ours.
    fn unexpected(reply: &dyn std::fmt::Debug) -> Self {
        Self::Other(format!("the coordinator gave an answer that fits no question of ours: {reply:?}"))
    }
}

/// Largest request, in bytes: ZooKeeper's `jute.maxbuffer`, less what a request has beside paths and data. An ensemble
/// does not answer a larger one but cuts the connection, which would be tried again for ever; so it is refused here.
/// [`request_size`] says how large a step is: whoever builds a long multi splits it by that.
pub const REQUEST_BYTES_MAX: usize = 0xf_ffff - 1024;

/// About the bytes that a step takes in a request.
#[must_use]
pub fn request_size(op: &Op) -> usize {
    /// Lengths, versions, operation heading and an ACL of three entries.
    const STEP_BYTES: usize = 128;
    let data = match op {
        Op::Check { .. } | Op::Delete { .. } => 0,
        Op::Create { data, .. } => data.as_ref().map_or(0, Vec::len),
        Op::Set { data, .. } => data.len(),
    };
    op.path().len().saturating_add(data).saturating_add(STEP_BYTES)
}

/// Refuses what no ensemble would take, before any of it is sent.
fn check_ops(ops: &[Op]) -> Result<(), CoordinationError> {
    for op in ops {
        match op {
            Op::Check { path, .. } | Op::Delete { path, .. } | Op::Set { path, .. } => path::check(path, false)?,
            Op::Create { path, mode, .. } => path::check(path, *mode == CreateMode::PersistentSequential)?,
        }
    }
    let bytes = ops.iter().map(request_size).fold(0_usize, usize::saturating_add);
    if REQUEST_BYTES_MAX < bytes {
        return Err(CoordinationError::Refused(format!(
            "a request of {bytes} bytes is larger than jute.maxbuffer allows ({REQUEST_BYTES_MAX})"
        )));
    }
    Ok(())
}

/// What a watch tells. Paths are those of the port, relative to the chroot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WatchEvent {
    /// A znode appeared.
    Created(String),
    /// A znode went.
    Deleted(String),
    /// A znode's data changed.
    DataChanged(String),
    /// Events may have been missed (a reconnect, a new session): read everything again.
    Resync,
}

/// Where the session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// Connected; `session` is its id.
    Connected { session: i64 },
    /// Not connected, not known to be expired: ephemerals may still be there.
    Disconnected,
    /// Over. The implementation opens a new session by itself, as `Connected` with another id.
    Expired,
    /// Closed by us.
    Closed,
}

/// Data and stat.
pub type Znode = (Vec<u8>, Stat);

/// A session with a tree of znodes. Operations take effect in the order in which these methods are called, so that
/// pipelining is calling several and awaiting them together.
pub trait Coordinator {
    /// Where the session stands, and every change of it.
    fn session(&self) -> watch::Receiver<SessionState>;
    /// Data and stat. `Ok(None)` when the znode is not there. Null data reads as empty.
    fn get(&self, path: &str) -> Reply<Option<Znode>>;
    /// The same of many znodes, in their order. An ensemble answers them much cheaper than one by one: of ten thousand, it
    /// spends a fifth of the time.
    fn get_many(&self, paths: &[String]) -> Reply<Vec<Option<Znode>>> {
        Box::pin(try_join_all(paths.iter().map(|path| self.get(path))))
    }
    /// Stat. `Ok(None)` when the znode is not there.
    fn exists(&self, path: &str) -> Reply<Option<Stat>>;
    /// Names of the children, sorted. `NoNode` when the parent is not there.
    fn children(&self, path: &str) -> Reply<Vec<String>>;
    /// Makes a znode whose parent is there; its path (with sequence number) and stat.
    fn create(&self, path: &str, data: Option<&[u8]>, mode: CreateMode) -> Reply<(String, Stat)>;
    /// Replaces data; `version` `None` takes any.
    fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Reply<Stat>;
    /// Deletes a znode without children.
    fn delete(&self, path: &str, version: Option<i32>) -> Reply<()>;
    /// All steps or none. The error is that of the first step that failed.
    fn multi(&self, ops: Vec<Op>) -> Reply<Vec<OpResult>>;
    /// Every change at `path` and below it, from the moment the reply comes, until the receiver is dropped; across
    /// reconnects and new sessions (then [`WatchEvent::Resync`] comes first).
    fn watch(&self, path: &str) -> Reply<mpsc::UnboundedReceiver<WatchEvent>>;
    /// Ends the session: its ephemerals go at once.
    fn close(&self) -> Reply<()>;
}

/// How to reach a real ensemble.
#[derive(Clone, Debug)]
pub struct EnsembleConfig {
    /// `zookeeper.connect`: `host:port,host:port/chroot`.
    pub connect: String,
    /// `zookeeper.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `zookeeper.connection.timeout.ms`: how long to try at start.
    pub connection_timeout: Duration,
    /// `zookeeper.set.acl`: whether znodes are made for their maker alone to write (see [`znode::access`]). Needs a
    /// login or a TLS identity.
    pub set_acl: bool,
    /// TLS towards the ensemble: `zookeeper.ssl.client.enable`.
    pub tls: Option<EnsembleTls>,
    /// Who we are to the ensemble; `None` for nobody in particular.
    pub login: Option<EnsembleLogin>,
}

impl EnsembleConfig {
    /// An ensemble without TLS, login and ACLs.
    #[must_use]
    pub fn plain(connect: &str, session_timeout: Duration, connection_timeout: Duration) -> Self {
        let connect = connect.to_owned();
        Self { connect, session_timeout, connection_timeout, set_acl: false, tls: None, login: None }
    }
}

/// TLS material, as PEM text.
///
/// Of Kafka's keys these have an effect: `zookeeper.ssl.client.enable`; `zookeeper.ssl.truststore.location` (type PEM: the
/// authorities, and revocation lists when there are any) and `zookeeper.ssl.keystore.location` (type PEM: certificate
/// chain and unencrypted key). Host names are always verified: an empty
/// `zookeeper.ssl.endpoint.identification.algorithm`, JKS and PKCS12 stores, store passwords, cipher and protocol lists,
/// CRL and OCSP switches and `zookeeper.clientCnxnSocket` have none.
#[derive(Clone)]
pub struct EnsembleTls {
    /// Authorities that the ensemble's certificates must come from.
    pub authorities_pem: String,
    /// Our certificate chain and key, where the ensemble asks for them.
    pub identity_pem: Option<String>,
}

/// Shows no key.
impl std::fmt::Debug for EnsembleTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnsembleTls").field("identity", &self.identity_pem.is_some()).finish_non_exhaustive()
    }
}

/// How we log in to the ensemble.
#[derive(Clone)]
pub enum EnsembleLogin {
    /// SASL with DIGEST-MD5, as a Kafka broker does whose JAAS file has a `DigestLoginModule` in its `Client` section.
    SaslDigest { user: String, password: String },
    /// ZooKeeper's own `digest` scheme (`addauth digest user:password`).
    Digest { user: String, password: String },
}

/// Shows no password.
impl std::fmt::Debug for EnsembleLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::SaslDigest { user, .. } | Self::Digest { user, .. }) = self;
        f.debug_struct("EnsembleLogin").field("user", user).finish_non_exhaustive()
    }
}
