//! Generating a broker id for a broker that has none (`broker.id.generation.enable`).

use super::super::znode::broker::SEQUENCE_ID;
use super::super::{CoordinationError, Coordinator};
use super::{RecipeError, connected, create_recursive, reconnected};
use crate::model::BrokerId;

/// An id above `reserved_max` (`reserved.broker.max.id`) that no other broker gets. One whose answer was lost is lost.
///
/// # Errors
/// The coordinator's.
pub async fn generate(coordinator: &dyn Coordinator, reserved_max: i32) -> Result<BrokerId, RecipeError> {
    let session = connected(coordinator).await?;
    loop {
        match coordinator.set(SEQUENCE_ID, b"", None).await {
            Ok(stat) => match reserved_max.checked_add(stat.version) {
                Some(id) => return Ok(BrokerId(id)),
                None => return Err(CoordinationError::Other("there are no broker ids left".to_owned()).into()),
            },
            Err(CoordinationError::NoNode { .. }) => create_recursive(coordinator, SEQUENCE_ID, None).await?,
            Err(error) => reconnected(coordinator, session, error).await?,
        }
    }
}
