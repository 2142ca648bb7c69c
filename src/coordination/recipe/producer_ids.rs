//! Allocating a block of producer ids: the data version of one znode keeps two brokers from one block.

use super::super::znode::producer_ids::{Block, LATEST};
use super::super::{CoordinationError, Coordinator};
use super::{RecipeError, connected, create_recursive, read, reconnected};
use crate::model::BrokerId;

/// The next block, now `broker`'s. A block whose allocation was not heard of is lost, never given out twice.
///
/// # Errors
/// [`RecipeError::ProducerIdsExhausted`]; the coordinator's; a znode that cannot be read.
pub async fn allocate_block(coordinator: &dyn Coordinator, broker: BrokerId) -> Result<Block, RecipeError> {
    let session = connected(coordinator).await?;
    loop {
        let Some((data, stat)) = read(coordinator, LATEST).await? else {
            create_recursive(coordinator, LATEST, Some(&Block::NONE_YET.encode())).await?;
            continue;
        };
        let next = Block::decode(&data)?.next(broker).ok_or(RecipeError::ProducerIdsExhausted)?;
        match coordinator.set(LATEST, &next.encode(), Some(stat.version)).await {
            Ok(_) => return Ok(next),
            Err(CoordinationError::BadVersion { .. } | CoordinationError::NoNode { .. }) => {}
            Err(error) => reconnected(coordinator, session, error).await?,
        }
    }
}
