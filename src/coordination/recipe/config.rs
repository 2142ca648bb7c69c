//! Reading and changing the settings of an entity, with the notice that tells every broker of it.

use super::super::path::parent_and_name;
use super::super::znode::config::{self, Entity, Settings};
use super::super::znode::controller::CONTROLLER;
use super::super::{CoordinationError, Coordinator, CreateMode, Op};
use super::{RecipeError, connected, create_recursive, election, reconnected};

/// An entity's own settings; empty when it has none.
///
/// # Errors
/// The coordinator's, or the znode cannot be read.
pub async fn settings(coordinator: &dyn Coordinator, entity: &Entity) -> Result<Settings, RecipeError> {
    match super::read(coordinator, &entity.path()).await? {
        Some((data, _)) => Ok(config::decode(&data)?),
        None => Ok(Settings::new()),
    }
}

/// Replaces all settings of an entity and tells the brokers. The last writer wins, as in Kafka; nobody writes while no
/// controller, or a KRaft one, is there.
///
/// # Errors
/// [`RecipeError::NoController`], [`RecipeError::Migrating`]; the coordinator's.
pub async fn replace(coordinator: &dyn Coordinator, entity: &Entity, settings: &Settings) -> Result<(), RecipeError> {
    let session = connected(coordinator).await?;
    let path = entity.path();
    let data = config::encode(settings);
    loop {
        let (controller, stat) = election::current(coordinator).await?.ok_or(RecipeError::NoController)?;
        if controller.is_migrating() {
            return Err(RecipeError::Migrating);
        }
        let check = || Op::Check { path: CONTROLLER.to_owned(), version: stat.version };
        let set = Op::Set { path: path.clone(), data: data.clone(), version: None };
        let create = Op::Create { path: path.clone(), data: Some(data.clone()), mode: CreateMode::Persistent };
        let written = match coordinator.multi(vec![check(), set]).await {
            // The entity has no settings yet.
            Err(CoordinationError::NoNode { path: missing }) if missing == path => {
                coordinator.multi(vec![check(), create]).await
            }
            written => written,
        };
        match written {
            Ok(_) => break,
            Err(CoordinationError::NoNode { path: missing }) if missing == path => {
                create_recursive(coordinator, parent_and_name(&path).0, None).await?;
            }
            // The controller changed meanwhile, or somebody else made the znode.
            Err(
                CoordinationError::NoNode { .. }
                | CoordinationError::BadVersion { .. }
                | CoordinationError::NodeExists { .. },
            ) => {}
            Err(error) => reconnected(coordinator, session, error).await?,
        }
    }
    notify(coordinator, entity).await
}

/// Tells every broker that an entity's settings changed. Telling it twice does no harm: a notice makes them read.
///
/// # Errors
/// The coordinator's.
pub async fn notify(coordinator: &dyn Coordinator, entity: &Entity) -> Result<(), RecipeError> {
    let session = connected(coordinator).await?;
    let notice = config::encode_change(entity);
    loop {
        match coordinator.create(&config::change_path(), Some(&notice), CreateMode::PersistentSequential).await {
            Ok(_) => return Ok(()),
            Err(CoordinationError::NoNode { .. }) => create_recursive(coordinator, config::CHANGES, None).await?,
            Err(error) => reconnected(coordinator, session, error).await?,
        }
    }
}
