//! Registering a broker: the ephemeral znode whose creation gives the broker its epoch (KIP-380).

use super::super::znode::broker::{self, Registration};
use super::super::znode::controller;
use super::super::{CoordinationError, Coordinator, CreateMode, Op, OpResult, Stat};
use super::{RecipeError, connected, reconnected};
use crate::model::{BrokerEpoch, BrokerId};

/// A registration that the coordinator holds for as long as the session lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registered {
    /// The broker's epoch.
    pub epoch: BrokerEpoch,
    /// The session that owns the registration: when another one is connected, it is gone.
    pub session: i64,
}

/// Registers `broker`.
///
/// Creation and data are two steps of one transaction, as Kafka does it: the second step's stat tells the first one's
/// number, which is the epoch. A registration that is there is ours when this session made it (its answer was lost), left
/// over when one of `earlier_sessions` did (see [`super::session_memory`]), and then removed: the epoch must change, or
/// requests meant for the dead incarnation would be obeyed. Otherwise somebody else has the id.
///
/// # Errors
/// [`RecipeError::BrokerIdTaken`]; the coordinator's; `SessionExpired` when the session ended meanwhile.
pub async fn register(
    coordinator: &dyn Coordinator,
    broker: BrokerId,
    registration: &Registration,
    earlier_sessions: &[i64],
) -> Result<Registered, RecipeError> {
    let session = connected(coordinator).await?;
    let path = broker::path(broker);
    let registered = |stat: &Stat| Registered { epoch: BrokerEpoch(stat.czxid), session };
    loop {
        let steps = vec![
            Op::Create { path: path.clone(), data: None, mode: CreateMode::Ephemeral },
            Op::Set { path: path.clone(), data: registration.encode(), version: Some(0) },
        ];
        match coordinator.multi(steps).await {
            Ok(results) => match results.as_slice() {
                [_, OpResult::Set { stat }] => return Ok(registered(stat)),
                other => return Err(CoordinationError::unexpected(&other).into()),
            },
            Err(CoordinationError::NodeExists { .. }) => {}
            Err(error) => {
                reconnected(coordinator, session, error).await?;
                continue;
            }
        }
        match coordinator.exists(&path).await {
            Ok(None) => {}
            Ok(Some(stat)) if stat.ephemeral_owner == session => return Ok(registered(&stat)),
            Ok(Some(stat)) if earlier_sessions.contains(&stat.ephemeral_owner) => {
                remove_left_over(coordinator, session, &path, earlier_sessions).await?;
            }
            Ok(Some(stat)) => return Err(RecipeError::BrokerIdTaken { broker, session: stat.ephemeral_owner }),
            Err(error) => reconnected(coordinator, session, error).await?,
        }
    }
}

/// The epoch under which a broker is registered now, if it is.
///
/// # Errors
/// The coordinator's.
pub async fn epoch_of(
    coordinator: &dyn Coordinator,
    broker: BrokerId,
) -> Result<Option<BrokerEpoch>, CoordinationError> {
    let session = connected(coordinator).await?;
    loop {
        match coordinator.exists(&broker::path(broker)).await {
            Ok(stat) => return Ok(stat.map(|stat| BrokerEpoch(stat.czxid))),
            Err(error) => reconnected(coordinator, session, error).await?,
        }
    }
}

/// Writes changed listeners into the registration. The epoch stays.
///
/// # Errors
/// The coordinator's; `NoNode` when the broker is not registered.
pub async fn update(
    coordinator: &dyn Coordinator,
    broker: BrokerId,
    registration: &Registration,
) -> Result<(), CoordinationError> {
    let session = connected(coordinator).await?;
    loop {
        match coordinator.set(&broker::path(broker), &registration.encode(), None).await {
            Ok(_) => return Ok(()),
            Err(error) => reconnected(coordinator, session, error).await?,
        }
    }
}

/// Removes what dead incarnations of `broker` left behind in `earlier_sessions`: its registration, and the controller's
/// znode if it was the controller. So the cluster need not wait for these sessions to time out. The caller knows that
/// they are dead: it holds the lock of the folder that they kept their sessions' ids in.
///
/// # Errors
/// The coordinator's.
pub async fn end_earlier_sessions(
    coordinator: &dyn Coordinator,
    broker: BrokerId,
    earlier_sessions: &[i64],
) -> Result<(), CoordinationError> {
    let session = connected(coordinator).await?;
    for path in [controller::CONTROLLER.to_owned(), broker::path(broker)] {
        remove_left_over(coordinator, session, &path, earlier_sessions).await?;
    }
    Ok(())
}

async fn remove_left_over(
    coordinator: &dyn Coordinator,
    session: i64,
    path: &str,
    earlier_sessions: &[i64],
) -> Result<(), CoordinationError> {
    loop {
        let removed = match coordinator.exists(path).await {
            Ok(Some(stat)) if stat.ephemeral_owner != session && earlier_sessions.contains(&stat.ephemeral_owner) => {
                coordinator.delete(path, Some(stat.version)).await
            }
            Ok(_) => return Ok(()),
            Err(error) => Err(error),
        };
        match removed {
            // Look again: it may have been made anew meanwhile.
            Ok(()) | Err(CoordinationError::NoNode { .. } | CoordinationError::BadVersion { .. }) => {}
            Err(error) => reconnected(coordinator, session, error).await?,
        }
    }
}
