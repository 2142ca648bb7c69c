//! The actor that follows `/config`: reads every entity's settings at start, and again what a change notice names, whoever
//! wrote it; and removes old notices.
//!
//! *Who calls*: the coordinator's watch. Source: Kafka 3.9 `ZkConfigManager.scala`, `ZkNodeChangeNotificationListener.scala`.

use std::rc::Rc;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _,
};
use tokio::sync::oneshot;

use super::ports::Ports;
use super::replicas::{Replicas, ReplicasCommand};
use super::settings::SettingsStore;
use super::supervisor::DeathNotice;
use crate::config::{self, BrokerScope, Settings};
use crate::coordination::znode::config::{self as config_znode, Entity};
use crate::coordination::znode::{self, sequence_number};
use crate::coordination::{CoordinationError, Coordinator, SessionState, WatchEvent};
use crate::model::{BrokerId, TopicName};
use crate::telemetry::{Event as _, event};

/// How long a change notice is kept for brokers that were away (`changeExpirationMs`).
const NOTICE_KEPT: Duration = Duration::from_secs(15 * 60);

/// Wait before trying again when the coordinator failed.
const RETRY: Duration = Duration::from_secs(1);

/// Puts settings into force.
#[derive(Clone)]
pub struct Applier {
    /// This broker.
    pub local: BrokerId,
    /// Where settings are kept.
    pub settings: SettingsStore,
    /// Tells the partitions.
    pub replicas: Addr<Replicas>,
}

/// Puts settings of entities into force, as far as they are of any concern here. Which of them changed thereby.
pub async fn apply(applier: &Applier, stored: Vec<(Entity, Settings)>) -> Vec<Entity> {
    let (mut topics, mut changed) = (Vec::new(), Vec::new());
    for (entity, settings) in stored {
        let has_changed = match &entity {
            Entity::Topic(name) => {
                topics.push((name.clone(), settings));
                false
            }
            Entity::Broker(None) => {
                let settings = usable(BrokerScope::Default, &entity, &settings);
                applier.settings.set_dynamic(|layers| layers.dynamic_default = settings)
            }
            Entity::Broker(Some(id)) if *id == applier.local => {
                let settings = usable(BrokerScope::ThisBroker, &entity, &settings);
                applier.settings.set_dynamic(|layers| layers.dynamic_broker = settings)
            }
            // Another broker's, or quotas, which are not there yet.
            Entity::Broker(Some(_)) | Entity::Client(_) | Entity::User(_) | Entity::UserClient(..) | Entity::Ip(_) => {
                false
            }
        };
        changed.extend(has_changed.then_some(entity));
    }
    let topics = applier.settings.set_topics(topics);
    // One word for all, or one for each topic.
    let concerned = match changed.is_empty() {
        true => topics.iter().cloned().map(Some).collect(),
        false => vec![None],
    };
    for topic in concerned {
        // Gone: the broker stops.
        let _gone = applier.replicas.send(ReplicasCommand::Configure(topic)).await;
    }
    changed.extend(topics.into_iter().map(Entity::Topic));
    changed
}

/// Dynamic settings without those that cannot be applied, which are told: another program may have written them.
fn usable(scope: BrokerScope, entity: &Entity, stored: &Settings) -> Settings {
    let (settings, ignored) = config::usable(scope, stored);
    for cause in ignored {
        event::ConfigIgnored { resource: entity.entity_path(), cause }.emit();
    }
    settings
}

/// Reads and applies the settings of entities. Which of them changed thereby.
///
/// # Errors
/// The coordinator's.
pub async fn load(
    coordinator: &dyn Coordinator,
    applier: &Applier,
    entities: Vec<Entity>,
) -> Result<Vec<Entity>, CoordinationError> {
    let reads = coordinator.get_many(&entities.iter().map(Entity::path).collect::<Vec<_>>()).await?;
    let mut stored = Vec::with_capacity(entities.len());
    for (entity, read) in entities.into_iter().zip(reads) {
        match read.map(|(data, _)| config_znode::decode(&data)).transpose() {
            Ok(settings) => stored.push((entity, settings.unwrap_or_default())),
            Err(error) => event::ZnodeUnreadable { path: entity.path(), cause: error.to_string() }.emit(),
        }
    }
    Ok(apply(applier, stored).await)
}

/// Reads and applies the settings of all topics and of this broker. Which of them changed thereby.
///
/// # Errors
/// The coordinator's.
pub async fn load_all(coordinator: &dyn Coordinator, applier: &Applier) -> Result<Vec<Entity>, CoordinationError> {
    let names = coordinator.children("/config/topics").await?;
    let topics = names.iter().filter_map(|name| TopicName::new(name).ok()).map(Entity::Topic);
    let brokers = [Entity::Broker(None), Entity::Broker(Some(applier.local))];
    load(coordinator, applier, brokers.into_iter().chain(topics).collect()).await
}

/// Tells of settings that changed while the broker ran.
pub fn tell(changed: &[Entity]) {
    changed.iter().for_each(|entity| event::ConfigChanged { resource: entity.entity_path() }.emit());
}

/// Read the settings of new topics and put them into force. Answers whether they were read.
#[derive(Message)]
#[rtype(result = "()")]
pub struct LoadTopics {
    /// Which.
    pub topics: Vec<TopicName>,
    /// Who hears of it.
    pub reply: oneshot::Sender<bool>,
}

/// The watching actor.
pub struct ConfigWatch {
    coordinator: Rc<dyn Coordinator>,
    applier: Applier,
    watching: Option<Watching>,
    notice: DeathNotice,
}

struct Watching {
    coordinator: Rc<dyn Coordinator>,
    applier: Applier,
    ports: Ports,
    /// Notices up to this one were followed.
    followed: i64,
}

impl ConfigWatch {
    /// A watch that was not started.
    #[must_use]
    pub fn new(coordinator: Rc<dyn Coordinator>, applier: Applier, ports: Ports, notice: DeathNotice) -> Self {
        let watching = Watching { coordinator: Rc::clone(&coordinator), applier: applier.clone(), ports, followed: -1 };
        Self { coordinator, applier, watching: Some(watching), notice }
    }
}

impl Actor for ConfigWatch {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(watching) = self.watching.take() {
            ctx.spawn(watching.run().into_actor(self).map(|(), actor, ctx| {
                actor.notice.disarm();
                ctx.stop();
            }));
        }
    }
}

impl Handler<LoadTopics> for ConfigWatch {
    type Result = ();

    fn handle(&mut self, LoadTopics { topics, reply }: LoadTopics, ctx: &mut Context<Self>) {
        let (coordinator, applier) = (Rc::clone(&self.coordinator), self.applier.clone());
        let entities = topics.into_iter().map(Entity::Topic).collect();
        let read = async move {
            let read = load(&*coordinator, &applier, entities).await;
            if let Err(error) = &read {
                event::CoordinationFailed { cause: error.to_string() }.emit();
            }
            let _gone = reply.send(read.is_ok());
        };
        ctx.spawn(read.into_actor(self));
    }
}

impl Watching {
    async fn run(mut self) {
        loop {
            match self.watch().await {
                Ok(()) => return,
                Err(error) => event::CoordinationFailed { cause: error.to_string() }.emit(),
            }
            // Between two sessions nothing can be asked; closed, the next attempt says so. It is looked at now and then instead of waited
            // for: a watch channel wakes those who wait on it in an order of chance, and the controller waits too.
            let session = self.coordinator.session();
            loop {
                tokio::time::sleep(RETRY).await;
                if !matches!(*session.borrow(), SessionState::Disconnected | SessionState::Expired) {
                    break;
                }
            }
        }
    }

    async fn watch(&mut self) -> Result<(), CoordinationError> {
        let mut events = self.coordinator.watch(config_znode::CHANGES).await?;
        tell(&load_all(&*self.coordinator, &self.applier).await?);
        loop {
            self.follow().await?;
            match events.recv().await {
                Some(WatchEvent::Resync) => tell(&load_all(&*self.coordinator, &self.applier).await?),
                Some(WatchEvent::Created(_) | WatchEvent::Deleted(_) | WatchEvent::DataChanged(_)) => {}
                None => return Ok(()),
            }
        }
    }

    /// Follows the notices that are new, in their order, and removes the old ones.
    async fn follow(&mut self) -> Result<(), CoordinationError> {
        let names = self.coordinator.children(config_znode::CHANGES).await?;
        let number = |name: &str| sequence_number(name, config_znode::CHANGE_PREFIX);
        let new = names.iter().filter(|name| number(name).is_some_and(|number| self.followed < number));
        for name in new.cloned().collect::<Vec<_>>() {
            let path = format!("{}/{name}", config_znode::CHANGES);
            let Some((data, _)) = self.coordinator.get(&path).await? else { continue };
            match znode::config::decode_change(&data) {
                Ok(entity) => tell(&load(&*self.coordinator, &self.applier, vec![entity]).await?),
                Err(error) => event::ZnodeUnreadable { path: path.clone(), cause: error.to_string() }.emit(),
            }
            self.followed = self.followed.max(number(&name).unwrap_or(-1));
        }
        self.remove_old(&names).await
    }

    async fn remove_old(&self, names: &[String]) -> Result<(), CoordinationError> {
        let now = self.ports.clock.timestamp().0;
        for name in names {
            let path = format!("{}/{name}", config_znode::CHANGES);
            let Some(stat) = self.coordinator.exists(&path).await? else { continue };
            let age = u64::try_from(now.saturating_sub(stat.ctime.0)).unwrap_or(0);
            if Duration::from_millis(age) < NOTICE_KEPT {
                // The rest is younger.
                return Ok(());
            }
            match self.coordinator.delete(&path, None).await {
                Ok(()) | Err(CoordinationError::NoNode { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
