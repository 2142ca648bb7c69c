//! Offsets of groups of the ZooKeeper era (`KafkaZkClient.setOrCreateConsumerOffset`, `getConsumerOffset`).

use super::super::znode::consumer::{decode_offset, encode_offset, offset_path};
use super::super::{CoordinationError, Coordinator};
use super::{RecipeError, create_recursive};

/// Writes how far a group is with a partition, whoever wrote it before. A lost connection is told: the writing may be repeated.
///
/// # Errors
/// The coordinator's.
pub async fn set(
    coordinator: &dyn Coordinator,
    (group, topic, partition): (&str, &str, i32),
    offset: i64,
) -> Result<(), RecipeError> {
    let (path, data) = (offset_path(group, topic, partition), encode_offset(offset));
    match coordinator.set(&path, &data, None).await {
        Ok(_) => return Ok(()),
        Err(CoordinationError::NoNode { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    create_recursive(coordinator, &path, Some(&data)).await?;
    // Somebody else may have been faster with another offset: the last one who writes is right.
    coordinator.set(&path, &data, None).await?;
    Ok(())
}

/// Reads how far a group is with a partition; `None` when it never said.
///
/// # Errors
/// The coordinator's, and what the znode holds when that is no offset.
pub async fn get(
    coordinator: &dyn Coordinator,
    (group, topic, partition): (&str, &str, i32),
) -> Result<Option<i64>, RecipeError> {
    match coordinator.get(&offset_path(group, topic, partition)).await? {
        Some((data, _)) => Ok(Some(decode_offset(&data)?)),
        None => Ok(None),
    }
}
