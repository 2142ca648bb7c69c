//! Electing the controller, and the token that fences every controller of the past (`KafkaZkClient`).

use super::super::znode::controller::{self, CONTROLLER, Controller, EPOCH, EPOCH_BEFORE_FIRST};
use super::super::{CoordinationError, Coordinator, CreateMode, Op, OpResult, Stat};
use super::{RecipeError, connected, create_recursive, read, reconnected};
use crate::model::{BrokerId, ControllerEpoch, Timestamp};

/// Proof of having been elected. Every write of the controller checks it, so that a controller that was replaced, and
/// does not know it yet, can change nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ControllerToken {
    /// The controller's epoch.
    pub epoch: ControllerEpoch,
    /// Data version of `/controller_epoch` since.
    pub epoch_version: i32,
}

impl ControllerToken {
    /// `ops` behind a check of the token. When they fail with `BadVersion` of `/controller_epoch`
    /// ([`Self::is_fenced`]), somebody else is the controller.
    #[must_use]
    pub fn fence(&self, ops: impl IntoIterator<Item = Op>) -> Vec<Op> {
        let check = Op::Check { path: EPOCH.to_owned(), version: self.epoch_version };
        std::iter::once(check).chain(ops).collect()
    }

    /// Whether `error`, of a multi that this token fenced, says that the token is out of date.
    #[must_use]
    pub fn is_fenced(error: &CoordinationError) -> bool {
        matches!(error, CoordinationError::BadVersion { path } | CoordinationError::NoNode { path } if path == EPOCH)
    }
}

/// How an election ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Election {
    /// We are the controller.
    Won(ControllerToken),
    /// Somebody is. It may be us, from an earlier election whose token we should still have.
    Lost(Controller),
}

/// The controller, if there is one, and its znode's stat.
///
/// # Errors
/// The coordinator's, or the znode cannot be read.
pub async fn current(coordinator: &dyn Coordinator) -> Result<Option<(Controller, Stat)>, RecipeError> {
    let Some((data, stat)) = read(coordinator, CONTROLLER).await? else { return Ok(None) };
    Ok(Some((Controller::decode(&data)?, stat)))
}

/// Makes `broker` the controller if there is none.
///
/// The caller watches `/controller` before it calls. When the answer of the deciding transaction was lost, it was ours if
/// this session owns the znode and the epoch is the one that we would have written.
///
/// # Errors
/// The coordinator's; a znode that cannot be read; `SessionExpired` when the session ended meanwhile.
pub async fn elect(coordinator: &dyn Coordinator, broker: BrokerId, now: Timestamp) -> Result<Election, RecipeError> {
    let session = connected(coordinator).await?;
    let mut tried = None;
    loop {
        if let Some((controller, stat)) = current(coordinator).await? {
            if stat.ephemeral_owner == session
                && let Some(epoch) = tried
                && let (found, epoch_version) = epoch_or_first(coordinator).await?
                && found == epoch
            {
                return Ok(Election::Won(ControllerToken { epoch, epoch_version }));
            }
            return Ok(Election::Lost(controller));
        }
        let (last, version) = epoch_or_first(coordinator).await?;
        let epoch = ControllerEpoch(last.0.saturating_add(1));
        tried = Some(epoch);
        let steps = vec![
            Op::Create {
                path: CONTROLLER.to_owned(),
                data: Some(Controller::elected(broker, now).encode()),
                mode: CreateMode::Ephemeral,
            },
            Op::Set { path: EPOCH.to_owned(), data: controller::encode_epoch(epoch), version: Some(version) },
        ];
        match coordinator.multi(steps).await {
            Ok(results) => match results.as_slice() {
                [_, OpResult::Set { stat }] => {
                    return Ok(Election::Won(ControllerToken { epoch, epoch_version: stat.version }));
                }
                other => return Err(CoordinationError::unexpected(&other).into()),
            },
            // Somebody was faster, perhaps we ourselves in an attempt whose answer was lost: look.
            Err(CoordinationError::NodeExists { .. } | CoordinationError::BadVersion { .. }) => {}
            Err(error) => reconnected(coordinator, session, error).await?,
        }
    }
}

/// The last controller's epoch and its znode's version; makes the znode when it is not there.
async fn epoch_or_first(coordinator: &dyn Coordinator) -> Result<(ControllerEpoch, i32), RecipeError> {
    loop {
        if let Some((data, stat)) = read(coordinator, EPOCH).await? {
            return Ok((controller::decode_epoch(&data)?, stat.version));
        }
        create_recursive(coordinator, EPOCH, Some(&controller::encode_epoch(EPOCH_BEFORE_FIRST))).await?;
    }
}

/// Gives the office up, so that others elect: removes `/controller` if the token still holds. Whether it did.
///
/// # Errors
/// The coordinator's.
pub async fn resign(coordinator: &dyn Coordinator, token: ControllerToken) -> Result<bool, CoordinationError> {
    let session = connected(coordinator).await?;
    loop {
        let steps = token.fence([Op::Delete { path: CONTROLLER.to_owned(), version: None }]);
        match coordinator.multi(steps).await {
            Ok(_) => return Ok(true),
            Err(CoordinationError::BadVersion { .. } | CoordinationError::NoNode { .. }) => return Ok(false),
            Err(error) => reconnected(coordinator, session, error).await?,
        }
    }
}

/// Removes `/controller` if it names `broker`, and nobody was elected since it was looked at. Whether it did.
///
/// Anybody may do so, even wrongly: the next election's epoch fences every write of the one that was deposed, which runs again
/// if it is well.
///
/// # Errors
/// The coordinator's; a znode that cannot be read.
pub async fn depose(coordinator: &dyn Coordinator, broker: BrokerId) -> Result<bool, RecipeError> {
    let session = connected(coordinator).await?;
    loop {
        // The epoch is read first: an election after that changes its version.
        let (epoch, epoch_version) = epoch_or_first(coordinator).await?;
        let Some((_, stat)) = current(coordinator).await?.filter(|(found, _)| found.broker == broker) else {
            return Ok(false);
        };
        let delete = Op::Delete { path: CONTROLLER.to_owned(), version: Some(stat.version) };
        match coordinator.multi(ControllerToken { epoch, epoch_version }.fence([delete])).await {
            Ok(_) => return Ok(true),
            Err(CoordinationError::BadVersion { .. } | CoordinationError::NoNode { .. }) => return Ok(false),
            Err(error) => reconnected(coordinator, session, error).await?,
        }
    }
}
