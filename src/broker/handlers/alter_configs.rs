//! AlterConfigs replaces all that a topic or broker sets; IncrementalAlterConfigs changes single keys (KIP-339).

use super::describe_configs::{BROKER, TOPIC};
use super::{named_twice, unknown_outcome};
use crate::broker::admin::{AdminCommand, Refusal};
use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::config::{self, BrokerScope, Change, Operation, Wanted};
use crate::coordination::znode::config::Entity;
use crate::model::{ErrorCode, TopicName};
use crate::wire::message::{alter_configs, incremental_alter_configs};
use crate::wire::{RequestHeader, Str};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: alter_configs::AlterConfigsRequest,
) -> alter_configs::AlterConfigsResponse {
    let named = request.resources.iter().map(|resource| (resource.resource_type, resource.resource_name.clone()));
    let doubled = named_twice(named);
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let exactly = resource.configs.iter().map(|config| (config.name.to_string(), text(config.value.as_ref())));
        let exactly = exactly.collect::<Vec<_>>();
        let wanted = Wanted::Exactly(&exactly);
        let done = if doubled.contains(&(resource.resource_type, resource.resource_name.clone())) {
            Err(doubled_resource())
        } else {
            alter(env, resource.resource_type, &resource.resource_name, wanted, request.validate_only).await
        };
        let (error_code, error_message) = outcome(done);
        responses.push(alter_configs::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    alter_configs::AlterConfigsResponse { responses, ..Default::default() }
}

pub(super) async fn handle_incremental(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: incremental_alter_configs::IncrementalAlterConfigsRequest,
) -> incremental_alter_configs::IncrementalAlterConfigsResponse {
    let named = request.resources.iter().map(|resource| (resource.resource_type, resource.resource_name.clone()));
    let doubled = named_twice(named);
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let done = match changes(&resource.configs) {
            _ if doubled.contains(&(resource.resource_type, resource.resource_name.clone())) => Err(doubled_resource()),
            Ok(changes) => {
                let wanted = Wanted::Changed(&changes);
                alter(env, resource.resource_type, &resource.resource_name, wanted, request.validate_only).await
            }
            Err(refusal) => Err(refusal),
        };
        let (error_code, error_message) = outcome(done);
        responses.push(incremental_alter_configs::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    incremental_alter_configs::IncrementalAlterConfigsResponse { responses, ..Default::default() }
}

fn doubled_resource() -> Refusal {
    (ErrorCode::InvalidRequest, "Each resource must appear at most once.".to_owned())
}

fn changes(configs: &[incremental_alter_configs::AlterableConfig]) -> Result<Vec<Change>, Refusal> {
    let change = |config: &incremental_alter_configs::AlterableConfig| {
        let operation =
            Operation::from_code(config.config_operation).map_err(|refusal| (refusal.code, refusal.message))?;
        Ok(Change { name: config.name.to_string(), operation, value: text(config.value.as_ref()) })
    };
    configs.iter().map(change).collect()
}

async fn alter(
    env: &Env,
    resource_type: i8,
    name: &Str,
    wanted: Wanted<'_>,
    validate_only: bool,
) -> Result<(), Refusal> {
    let layers = env.settings.layers();
    let refused = |refusal: config::Refusal| (refusal.code, refusal.message);
    let (entity, settings) = match resource_type {
        TOPIC => {
            let unknown = || (ErrorCode::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."));
            let topic = TopicName::new(name).map_err(|_| unknown())?;
            if !env.metadata.load().topics.contains_key(&topic) {
                return Err(unknown());
            }
            let current = env.settings.overrides(&topic);
            let settings = config::alter_topic(name, &current, wanted, &layers).map_err(refused)?;
            (Entity::Topic(topic), settings)
        }
        BROKER => {
            let scope = config::broker_scope(name, env.local).map_err(refused)?;
            let settings = config::alter_broker(scope, wanted, &layers).map_err(refused)?;
            check_listeners(&layers.dynamic_broker, &settings)?;
            let id = match scope {
                BrokerScope::Default => None,
                BrokerScope::ThisBroker => Some(env.local),
            };
            (Entity::Broker(id), settings)
        }
        other => return Err((ErrorCode::InvalidRequest, format!("Unknown resource type {other}"))),
    };
    if validate_only {
        return Ok(());
    }
    let asked = ask(&env.admin, |reply| AdminCommand::SetConfig { entity, settings, reply });
    asked.await.unwrap_or_else(|| Err(unknown_outcome()))
}

/// Kafka opens and closes listeners while it runs; we do not, and must not say that we did.
fn check_listeners(current: &config::Settings, wanted: &config::Settings) -> Result<(), Refusal> {
    const KEYS: [&str; 3] = ["listeners", "advertised.listeners", "listener.security.protocol.map"];
    match KEYS.into_iter().find(|key| wanted.get(*key).is_some_and(|value| current.get(*key) != Some(value))) {
        Some(key) => {
            let reason = format!("{key} cannot change while the broker runs: set it in its file and restart it.");
            Err((ErrorCode::InvalidRequest, reason))
        }
        None => Ok(()),
    }
}

fn text(value: Option<&Str>) -> Option<String> {
    value.map(Str::to_string)
}

fn outcome(done: Result<(), Refusal>) -> (ErrorCode, Option<Str>) {
    match done {
        Ok(()) => (ErrorCode::None, None),
        Err((code, message)) => (code, Some(message.into())),
    }
}
