//! Before a broker stops, it asks the controller that others lead what it leads (controlled shutdown, KIP-49): clients then find
//! their leaders elsewhere at once, instead of after the end of a session.

use std::time::Duration;

use super::ask;
use super::controller::ControllerCommand;
use super::env::Env;
use super::link::Link;
use crate::model::ErrorCode;
use crate::telemetry::{Event as _, event};
use crate::wire::message::controlled_shutdown::ControlledShutdownRequest;

/// Newest version.
const CONTROLLED_SHUTDOWN: i16 = 3;

/// How long connecting and answering may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks, as often as the configuration says, until nothing is led here that another broker could lead. The broker stops
/// whatever comes of it.
pub(super) async fn hand_over(env: &Env, listener: &str) {
    let config = env.settings.broker().replication.clone();
    if !config.controlled_shutdown {
        return;
    }
    for attempt in 1..=config.controlled_shutdown_tries.max(1) {
        if !shares_anything(env) {
            return;
        }
        match hand_over_once(env, listener).await {
            Ok(0) => return,
            Ok(left) => event::HandOverIncomplete { left: u64::try_from(left).unwrap_or(u64::MAX) }.emit(),
            Err(cause) => event::HandOverFailed { cause }.emit(),
        }
        if attempt < config.controlled_shutdown_tries {
            tokio::time::sleep(config.controlled_shutdown_backoff).await;
        }
    }
}

/// Whether a partition here has a replica on another live broker.
fn shares_anything(env: &Env) -> bool {
    let image = env.metadata.load();
    let mut partitions = image.topics.values().flat_map(|topic| topic.partitions.values());
    partitions.any(|partition| {
        let elsewhere = |id: &crate::model::BrokerId| *id != env.local && image.brokers.contains_key(id);
        partition.replicas.contains(&env.local) && partition.replicas.iter().any(elsewhere)
    })
}

/// How many partitions are still led here.
async fn hand_over_once(env: &Env, listener: &str) -> Result<usize, String> {
    let (broker, epoch) = (env.local, env.membership.broker_epoch());
    let image = env.metadata.load_full();
    if image.controller == env.local {
        let command = |reply| ControllerCommand::ControlledShutdown { broker, broker_epoch: Some(epoch), reply };
        let answer = ask(&env.controller, command).await.unwrap_or(Err(ErrorCode::StaleControllerEpoch));
        return answer.map(|left| left.len()).map_err(|code| code.to_string());
    }
    let controller = image.brokers.get(&image.controller).and_then(|broker| broker.address(listener));
    let (host, port) = controller.ok_or("there is no controller")?;
    let link = Link::open(&env.ports, (host, *port), &broker.to_string(), PATIENCE).await;
    let mut link = link.map_err(|error| error.to_string())?;
    let request = ControlledShutdownRequest { broker_id: broker.0, broker_epoch: epoch.0 };
    let answer = link.ask(CONTROLLED_SHUTDOWN, &request, PATIENCE).await.map_err(|error| error.to_string())?;
    if answer.error_code.is_error() {
        return Err(answer.error_code.to_string());
    }
    Ok(answer.remaining_partitions.len())
}
