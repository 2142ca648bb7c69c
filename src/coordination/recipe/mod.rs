//! What a broker does with the coordinator, step by step, on any implementation of the port.
//!
//! A lost connection hides an answer, not an effect. So each recipe waits until the connection is back and *looks*: what
//! it wanted may be there already, as its own work. It never carries a decision into another session: that answers
//! [`CoordinationError::SessionExpired`], and the caller begins anew.
//!
//! *Invariant*: a recipe that is run twice does no harm. *Does not know*: when it is run.

use super::znode::{self, DecodeError, cluster, controller};
use super::{CoordinationError, Coordinator, CreateMode, SessionState, Stat, path};
use crate::model::{BrokerId, ControllerEpoch};

pub mod broker_id;
pub mod config;
pub mod consumer_offsets;
pub mod election;
pub mod producer_ids;
pub mod registration;
pub mod session_memory;

/// Why a recipe failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecipeError {
    /// The coordinator did not do it.
    #[error(transparent)]
    Coordination(#[from] CoordinationError),
    /// A znode holds what it should not.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Another process has registered with this broker id and is alive, as far as the coordinator knows.
    #[error("broker id {broker} is registered by another process (session {session:#x}); is it running elsewhere?")]
    BrokerIdTaken { broker: BrokerId, session: i64 },
    /// The tree has no cluster id, although this broker's cluster has one.
    #[error(
        "/cluster/id does not exist, but meta.properties in the log dirs belongs to cluster {ours}: ZooKeeper has lost its data, or \
         zookeeper.connect leads elsewhere. Nothing is deleted. Restore ZooKeeper's data, or correct zookeeper.connect"
    )]
    NoClusterId { ours: String },
    /// The tree is another cluster's.
    #[error(
        "/cluster/id is {found}, but meta.properties in the log dirs belongs to cluster {ours}: this is another cluster's ZooKeeper, \
         or its data was replaced. Nothing is deleted. Check zookeeper.connect and log.dirs, or restore ZooKeeper's data"
    )]
    OtherCluster { ours: String, found: String },
    /// The tree is older than what this broker has heard.
    #[error(
        "/controller_epoch is {found}, but a controller of epoch {heard} was heard: ZooKeeper has gone back to an earlier state. \
         Nothing is deleted. Restore its newest data; if that is lost, start all brokers again to go on with what there is"
    )]
    OlderTree { heard: ControllerEpoch, found: ControllerEpoch },
    /// There is no controller to vouch for a change.
    #[error("the cluster has no controller at the moment")]
    NoController,
    /// A KRaft controller holds the cluster.
    #[error("a KRaft controller holds this cluster for a migration; this broker takes no part in one")]
    Migrating,
    /// All 2⁶³ producer ids are used.
    #[error("there are no producer ids left")]
    ProducerIdsExhausted,
}

/// Waits for a connection; the session's id.
///
/// # Errors
/// `SessionExpired` when the coordinator was closed.
pub async fn connected(coordinator: &dyn Coordinator) -> Result<i64, CoordinationError> {
    let mut states = coordinator.session();
    let over = |state: &SessionState| matches!(state, SessionState::Connected { .. } | SessionState::Closed);
    match states.wait_for(over).await.map(|state| *state) {
        Ok(SessionState::Connected { session }) => Ok(session),
        Ok(SessionState::Disconnected | SessionState::Expired | SessionState::Closed) | Err(_) => {
            Err(CoordinationError::SessionExpired)
        }
    }
}

/// After `error`: waits until the connection is back if that is what was lost, and `session` lives.
///
/// # Errors
/// `error` itself when it is another one; `SessionExpired` when the session is over.
async fn reconnected(
    coordinator: &dyn Coordinator,
    session: i64,
    error: CoordinationError,
) -> Result<(), CoordinationError> {
    if error != CoordinationError::ConnectionLoss {
        return Err(error);
    }
    if connected(coordinator).await? == session { Ok(()) } else { Err(CoordinationError::SessionExpired) }
}

/// Reads, again when the connection is lost meanwhile.
///
/// # Errors
/// The coordinator's.
pub async fn read(coordinator: &dyn Coordinator, path: &str) -> Result<Option<(Vec<u8>, Stat)>, CoordinationError> {
    let session = connected(coordinator).await?;
    loop {
        match coordinator.get(path).await {
            Ok(found) => return Ok(found),
            Err(error) => reconnected(coordinator, session, error).await?,
        }
    }
}

/// Makes a persistent znode, and its parents without data where they are missing. Fine when it is there: then its data
/// stays.
///
/// # Errors
/// The coordinator's.
pub async fn create_recursive(
    coordinator: &dyn Coordinator,
    path: &str,
    data: Option<&[u8]>,
) -> Result<(), CoordinationError> {
    let session = connected(coordinator).await?;
    // Paths to make, the next one last; each missing parent is put on top.
    let mut missing = vec![path.to_owned()];
    while let Some(next) = missing.last() {
        let data = if missing.len() == 1 { data } else { None };
        match coordinator.create(next, data, CreateMode::Persistent).await {
            Ok(_) | Err(CoordinationError::NodeExists { .. }) => drop(missing.pop()),
            Err(CoordinationError::NoNode { .. }) if path::parent_and_name(next).0 != "/" => {
                missing.push(path::parent_and_name(next).0.to_owned());
            }
            Err(error) => reconnected(coordinator, session, error).await?,
        }
    }
    Ok(())
}

/// What the znode holds, made with `data` when it is not there: whoever comes first decides for all.
///
/// # Errors
/// The coordinator's.
pub async fn create_or_read(
    coordinator: &dyn Coordinator,
    path: &str,
    data: &[u8],
) -> Result<Vec<u8>, CoordinationError> {
    loop {
        if let Some((found, _)) = read(coordinator, path).await? {
            return Ok(found);
        }
        create_recursive(coordinator, path, Some(data)).await?;
    }
}

/// Makes every persistent znode that a broker needs at its start.
///
/// # Errors
/// The coordinator's.
pub async fn create_persistent_paths(coordinator: &dyn Coordinator) -> Result<(), CoordinationError> {
    for (path, data) in znode::persistent_at_start() {
        create_recursive(coordinator, path, data.as_deref()).await?;
    }
    Ok(())
}

/// The cluster's id; `candidate`, a fresh random one, when it has none yet. A broker whose cluster has an id, `ours`, takes no
/// other one, and makes none.
///
/// # Errors
/// As of [`own_tree`].
pub async fn cluster_id(
    coordinator: &dyn Coordinator,
    ours: Option<&str>,
    candidate: &str,
) -> Result<String, RecipeError> {
    if let Some(ours) = ours {
        own_tree(coordinator, ours, ControllerEpoch(0)).await?;
        return Ok(ours.to_owned());
    }
    let data = create_or_read(coordinator, cluster::ID, &cluster::encode_id(candidate)).await?;
    Ok(cluster::decode_id(&data)?)
}

/// Whether the tree is that of our cluster, and not older than a controller that was `heard` of: absence or age of metadata must
/// not lead to anything.
///
/// # Errors
/// [`RecipeError::NoClusterId`], [`RecipeError::OtherCluster`], [`RecipeError::OlderTree`]; the coordinator's; a znode that cannot be
/// read.
pub async fn own_tree(coordinator: &dyn Coordinator, ours: &str, heard: ControllerEpoch) -> Result<(), RecipeError> {
    let Some((data, _)) = read(coordinator, cluster::ID).await? else {
        return Err(RecipeError::NoClusterId { ours: ours.to_owned() });
    };
    let found = cluster::decode_id(&data)?;
    if found != ours {
        return Err(RecipeError::OtherCluster { ours: ours.to_owned(), found });
    }
    let found = match read(coordinator, controller::EPOCH).await? {
        Some((data, _)) => controller::decode_epoch(&data)?,
        None => controller::EPOCH_BEFORE_FIRST,
    };
    if found < heard { Err(RecipeError::OlderTree { heard, found }) } else { Ok(()) }
}
