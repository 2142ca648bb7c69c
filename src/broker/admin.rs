//! The actor that changes topics and configuration: checks what a request wants, and writes znodes. The controller reacts to
//! them by its watches; the answer waits until the metadata image shows the result.
//!
//! *State owned*: none; the truth is in the coordinator. *Who calls*: handlers.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use futures::FutureExt as _;
use tokio::sync::oneshot;

use super::config_watch::{self, Applier};
use super::image::{Image, Metadata};
use super::ports::{Ports, random, random_topic_id};
use super::replicas::Replicas;
use super::settings::SettingsStore;
use super::supervisor::Death;
use crate::config::{self, Settings};
use crate::coordination::znode::config::Entity;
use crate::coordination::znode::{self, admin, topic};
use crate::coordination::{CoordinationError, Coordinator, CreateMode, Op, recipe};
use crate::machine::assignment::{Draw, assign};
use crate::model::limits::PARTITIONS_PER_TOPIC_MAX;
use crate::model::{BrokerId, ErrorCode, PartitionIndex, TopicId, TopicName};
use crate::telemetry::{Event as _, event};

/// Why something was not done: the code and words for the client.
pub type Refusal = (ErrorCode, String);

/// A topic to be created.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name, not checked yet.
    pub name: String,
    /// Number of partitions; `None` is the broker's default.
    pub partitions: Option<i32>,
    /// Replicas of each; `None` is the broker's default.
    pub replication_factor: Option<i16>,
    /// Where the replicas go; empty: the broker decides.
    pub assignment: Vec<(i32, Vec<i32>)>,
    /// What it sets itself.
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic that was created, or would have been.
#[derive(Clone, Debug)]
pub struct CreatedTopic {
    /// Its id; zero when it was only checked.
    pub id: TopicId,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of each.
    pub replication_factor: i16,
    /// What it sets itself.
    pub configs: Settings,
}

/// More partitions for a topic.
#[derive(Clone, Debug)]
pub struct MorePartitions {
    /// Of which topic.
    pub name: String,
    /// How many there shall be in all.
    pub total: i32,
    /// Where the new ones' replicas go; `None`: the broker decides.
    pub assignment: Option<Vec<Vec<i32>>>,
}

/// Everything that can be asked.
#[derive(Message)]
#[rtype(result = "()")]
pub enum AdminCommand {
    /// Create topics.
    CreateTopics {
        /// Which.
        topics: Vec<NewTopic>,
        /// Only check.
        validate_only: bool,
        /// How long to wait for their leaders.
        patience: Duration,
        /// One answer per topic.
        reply: oneshot::Sender<Vec<Result<CreatedTopic, Refusal>>>,
    },
    /// Create topics that a client asked metadata for, with the broker's defaults.
    AutoCreate {
        /// Which.
        names: Vec<TopicName>,
        /// When it was tried.
        reply: oneshot::Sender<()>,
    },
    /// Delete topics with all that is in them.
    DeleteTopics {
        /// Which.
        names: Vec<TopicName>,
        /// How long to wait until they are gone.
        patience: Duration,
        /// One answer per topic.
        reply: oneshot::Sender<Vec<Result<(), Refusal>>>,
    },
    /// Add partitions.
    CreatePartitions {
        /// To which topics.
        topics: Vec<MorePartitions>,
        /// Only check.
        validate_only: bool,
        /// How long to wait for their leaders.
        patience: Duration,
        /// One answer per topic.
        reply: oneshot::Sender<Vec<Result<(), Refusal>>>,
    },
    /// Replace what an entity sets.
    SetConfig {
        /// Of which topic or broker.
        entity: Entity,
        /// The whole map.
        settings: Settings,
        /// When it is in force here.
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
}

/// The admin actor.
pub struct Admin(Rc<Work>);

struct Work {
    coordinator: Rc<dyn Coordinator>,
    metadata: Metadata,
    settings: SettingsStore,
    ports: Ports,
    applier: Applier,
}

impl Admin {
    /// An admin that writes through `coordinator`.
    #[must_use]
    pub fn new(
        coordinator: Rc<dyn Coordinator>,
        metadata: Metadata,
        settings: SettingsStore,
        ports: Ports,
        replicas: Addr<Replicas>,
        local: BrokerId,
    ) -> Self {
        let applier = Applier { local, settings: settings.clone(), replicas };
        Self(Rc::new(Work { coordinator, metadata, settings, ports, applier }))
    }
}

impl Actor for Admin {
    type Context = Context<Self>;
}

impl Handler<AdminCommand> for Admin {
    type Result = ();

    fn handle(&mut self, command: AdminCommand, ctx: &mut Context<Self>) {
        let work = Rc::clone(&self.0);
        ctx.spawn(
            async move {
                // What is shared is read only, so a panic leaves nothing half done here: it ends this request alone.
                if AssertUnwindSafe(work.perform(command)).catch_unwind().await.is_err() {
                    let cause = Death::Panicked.to_string();
                    event::ActorDied { actor: "admin", name: "request".to_owned(), cause }.emit();
                }
            }
            .into_actor(self),
        );
    }
}

impl Work {
    async fn perform(&self, command: AdminCommand) {
        // Whoever asked may be gone; what was done is done.
        match command {
            AdminCommand::CreateTopics { topics, validate_only, patience, reply } => {
                let _gone = reply.send(self.create_topics(topics, validate_only, patience).await);
            }
            AdminCommand::AutoCreate { names, reply } => {
                for name in names {
                    let topic = NewTopic {
                        name: name.to_string(),
                        partitions: None,
                        replication_factor: None,
                        assignment: vec![],
                        configs: vec![],
                    };
                    if let Err((error, reason)) = self.create_topic(&topic, false).await
                        && error != ErrorCode::TopicAlreadyExists
                    {
                        event::AutoCreateFailed { topic: name.clone(), cause: reason }.emit();
                    }
                }
                let _gone = reply.send(());
            }
            AdminCommand::DeleteTopics { names, patience, reply } => {
                let _gone = reply.send(self.delete_topics(names, patience).await);
            }
            AdminCommand::CreatePartitions { topics, validate_only, patience, reply } => {
                let _gone = reply.send(self.create_partitions(topics, validate_only, patience).await);
            }
            AdminCommand::SetConfig { entity, settings, reply } => {
                let _gone = reply.send(self.set_config(&entity, settings).await);
            }
        }
    }

    async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
        patience: Duration,
    ) -> Vec<Result<CreatedTopic, Refusal>> {
        let mut answers = Vec::with_capacity(topics.len());
        for topic in &topics {
            answers.push(self.create_topic(topic, validate_only).await);
        }
        if !validate_only {
            let created = topics.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
            let names = created.filter_map(|(topic, _)| TopicName::new(&topic.name).ok()).collect::<Vec<_>>();
            let led = self.metadata.until(|image| names.iter().all(|name| image.has_leaders(name)));
            if tokio::time::timeout(patience, led).await.is_err() {
                for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                    *answer = Err(timed_out("The topic was created, but has no leaders yet"));
                }
            }
        }
        answers
    }

    async fn create_topic(&self, wanted: &NewTopic, validate_only: bool) -> Result<CreatedTopic, Refusal> {
        let name = TopicName::new(&wanted.name).map_err(|e| (ErrorCode::InvalidTopicException, e.to_string()))?;
        let image = self.metadata.load_full();
        let colliding = image.topics.keys().filter(|other| **other != name && other.collides_with(&name));
        let colliding = colliding.map(TopicName::as_str).collect::<Vec<_>>();
        if !colliding.is_empty() {
            let reason = format!("Topic '{name}' collides with existing topics: {}", colliding.join(", "));
            return Err((ErrorCode::InvalidTopicException, reason));
        }
        if image.topics.contains_key(&name) || self.is_deleting(&name).await? {
            return Err((ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
        }
        let assignment = self.assignment(wanted, &image)?;
        let checked = config::new_topic(&wanted.configs, &self.settings.layers());
        let configs = checked.map_err(|refusal| (refusal.code, refusal.message))?;
        let mut created = CreatedTopic {
            id: TopicId::ZERO,
            partitions: i32::try_from(assignment.len()).unwrap_or(i32::MAX),
            replication_factor: assignment.values().next().map_or(0, |r| i16::try_from(r.len()).unwrap_or(i16::MAX)),
            configs,
        };
        if validate_only {
            return Ok(created);
        }
        created.id = random_topic_id(&*self.ports.entropy);
        let partitions = assignment
            .into_iter()
            .map(|(index, replicas)| (index, topic::ReplicaAssignment { replicas, adding: vec![], removing: vec![] }));
        let record = topic::TopicAssignment { topic_id: Some(created.id), partitions: partitions.collect() };
        match self.write_topic(&name, &record, &created.configs).await {
            Ok(()) => {}
            Err(CoordinationError::NodeExists { .. }) => {
                return Err((ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
            }
            Err(error) => return Err(coordination_failed(&error)),
        }
        event::TopicCreated {
            topic: name,
            id: created.id,
            partitions: created.partitions,
            replicas: created.replication_factor,
        }
        .emit();
        Ok(created)
    }

    /// Configuration first, so that whoever sees the topic finds it; both or neither.
    async fn write_topic(
        &self,
        name: &TopicName,
        record: &topic::TopicAssignment,
        configs: &Settings,
    ) -> Result<(), CoordinationError> {
        let config_path = Entity::Topic(name.clone()).path();
        let config = znode::config::encode(configs);
        let left_over = self.coordinator.exists(&config_path).await?.is_some();
        let config = if left_over {
            Op::Set { path: config_path, data: config, version: None }
        } else {
            Op::Create { path: config_path, data: Some(config), mode: CreateMode::Persistent }
        };
        let create = Op::Create { path: topic::path(name), data: Some(record.encode()), mode: CreateMode::Persistent };
        self.coordinator.multi(vec![config, create]).await.map(drop)
    }

    async fn is_deleting(&self, name: &TopicName) -> Result<bool, Refusal> {
        let wish = self.coordinator.exists(&admin::delete_topic_path(name)).await;
        wish.map(|stat| stat.is_some()).map_err(|error| coordination_failed(&error))
    }

    /// Replicas per partition, as asked for or drawn.
    fn assignment(&self, wanted: &NewTopic, image: &Image) -> Result<BTreeMap<PartitionIndex, Vec<BrokerId>>, Refusal> {
        if !wanted.assignment.is_empty() {
            if wanted.partitions.is_some() || wanted.replication_factor.is_some() {
                let reason = "Both numPartitions or replicationFactor and replicasAssignments were set. \
                              Both cannot be used at the same time.";
                return Err((ErrorCode::InvalidRequest, reason.to_owned()));
            }
            return check_assignment(&wanted.assignment, image);
        }
        let rules = &self.settings.broker().topics;
        let partitions = wanted.partitions.unwrap_or(rules.partitions);
        let factor = wanted.replication_factor.unwrap_or(rules.replication_factor);
        check_partition_count(partitions)?;
        let brokers = image.live().into_iter().collect::<Vec<_>>();
        let replicas = replication_factor(factor, brokers.len())?;
        let count = usize::try_from(partitions).unwrap_or(0);
        let assigned = assign(&brokers, 0, count, replicas, self.draw());
        Ok((0..).map(PartitionIndex).zip(assigned).collect())
    }

    fn draw(&self) -> Draw {
        let [first, shift] = random::<2>(&*self.ports.entropy).map(usize::from);
        Draw { first, shift }
    }

    async fn delete_topics(&self, names: Vec<TopicName>, patience: Duration) -> Vec<Result<(), Refusal>> {
        let mut answers = Vec::with_capacity(names.len());
        let known = self.metadata.load_full();
        for name in &names {
            answers.push(self.mark_deleted(name, &known).await);
        }
        let gone = async {
            for name in names.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(name, _)| name) {
                self.until_removed(name).await;
            }
        };
        if tokio::time::timeout(patience, gone).await.is_err() {
            for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                *answer = Err(timed_out("The topic is marked for deletion, but is not gone yet"));
            }
        }
        answers
    }

    async fn mark_deleted(&self, name: &TopicName, image: &Image) -> Result<(), Refusal> {
        if !image.topics.contains_key(name) {
            let reason = ErrorCode::UnknownTopicOrPartition.message().to_owned();
            return Err((ErrorCode::UnknownTopicOrPartition, reason));
        }
        let path = admin::delete_topic_path(name);
        match self.coordinator.create(&path, None, CreateMode::Persistent).await {
            Ok(_) | Err(CoordinationError::NodeExists { .. }) => Ok(()),
            Err(error) => Err(coordination_failed(&error)),
        }
    }

    /// Until the topic's znodes are gone, so that its name is free when the client hears of it. Kafka answers earlier, and a
    /// creation at once is refused.
    async fn until_removed(&self, name: &TopicName) {
        self.metadata.until(|image| !image.topics.contains_key(name)).await;
        for path in [topic::path(name), admin::delete_topic_path(name)] {
            let Ok(mut events) = self.coordinator.watch(&path).await else { return };
            while let Ok(Some(_)) = self.coordinator.exists(&path).await {
                if events.recv().await.is_none() {
                    return;
                }
            }
        }
    }

    async fn create_partitions(
        &self,
        topics: Vec<MorePartitions>,
        validate_only: bool,
        patience: Duration,
    ) -> Vec<Result<(), Refusal>> {
        let mut answers = Vec::with_capacity(topics.len());
        for more in &topics {
            answers.push(self.add_partitions(more, validate_only).await);
        }
        if !validate_only {
            let grown = topics.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(more, _)| more);
            let grown = grown.collect::<Vec<_>>();
            let led = self.metadata.until(|image| grown.iter().all(|more| has_grown(image, more)));
            if tokio::time::timeout(patience, led).await.is_err() {
                for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                    *answer = Err(timed_out("The partitions were added, but have no leaders yet"));
                }
            }
        }
        answers
    }

    async fn add_partitions(&self, more: &MorePartitions, validate_only: bool) -> Result<(), Refusal> {
        let unknown = || (ErrorCode::UnknownTopicOrPartition, format!("The topic '{}' does not exist.", more.name));
        let name = TopicName::new(&more.name).map_err(|_| unknown())?;
        if name.as_str() == TopicName::CONSUMER_OFFSETS {
            // Kafka takes this, and loses them when its brokers start again.
            let reason = "The number of its partitions says where a group is kept: with another, groups would lose their offsets.";
            return Err((ErrorCode::InvalidPartitions, reason.to_owned()));
        }
        let path = topic::path(&name);
        let read = self.coordinator.get(&path).await.map_err(|error| coordination_failed(&error))?;
        let (data, stat) = read.ok_or_else(unknown)?;
        let mut record = topic::TopicAssignment::decode(&data)
            .map_err(|error| (ErrorCode::UnknownServerError, error.to_string()))?;
        let moving =
            |partition: &topic::ReplicaAssignment| !partition.adding.is_empty() || !partition.removing.is_empty();
        if record.partitions.values().any(moving) {
            let reason = format!("A partition reassignment is in progress for the topic '{name}'.");
            return Err((ErrorCode::ReassignmentInProgress, reason));
        }
        let image = self.metadata.load_full();
        let added = self.added_partitions(more, &record, &image)?;
        if validate_only {
            return Ok(());
        }
        record.partitions.extend(added);
        // The version is checked: another broker may add partitions at the same moment.
        let written = self.coordinator.set(&path, &record.encode(), Some(stat.version)).await;
        written.map(drop).map_err(|error| coordination_failed(&error))
    }

    fn added_partitions(
        &self,
        more: &MorePartitions,
        record: &topic::TopicAssignment,
        image: &Image,
    ) -> Result<BTreeMap<PartitionIndex, topic::ReplicaAssignment>, Refusal> {
        let present = record.partitions.len();
        let invalid = |reason: String| (ErrorCode::InvalidPartitions, reason);
        let total = usize::try_from(more.total).unwrap_or(0);
        if total == present {
            return Err(invalid(format!("Topic already has {present} partitions.")));
        }
        if total < present {
            let wanted = more.total;
            let reason =
                format!("Topic currently has {present} partitions, which is higher than the requested {wanted}.");
            return Err(invalid(reason));
        }
        check_partition_count(more.total)?;
        let count = total - present;
        let factor = record.partitions.values().next().map_or(1, |partition| partition.replicas.len());
        let replicas = match &more.assignment {
            None => {
                let brokers = image.live().into_iter().collect::<Vec<_>>();
                let factor = replication_factor(i16::try_from(factor).unwrap_or(i16::MAX), brokers.len())?;
                assign(&brokers, present, count, factor, self.draw())
            }
            Some(wanted) => {
                if wanted.len() != count {
                    let reason = format!(
                        "Increasing the number of partitions by {count} but {} assignments provided.",
                        wanted.len()
                    );
                    return Err((ErrorCode::InvalidReplicaAssignment, reason));
                }
                check_added(wanted, present, factor, image)?;
                wanted.iter().map(|replicas| brokers_of(replicas)).collect()
            }
        };
        let first = i32::try_from(present).unwrap_or(i32::MAX);
        let numbered = (first..).map(PartitionIndex).zip(replicas);
        Ok(numbered
            .map(|(index, replicas)| (index, topic::ReplicaAssignment { replicas, adding: vec![], removing: vec![] }))
            .collect())
    }

    async fn set_config(&self, entity: &Entity, settings: Settings) -> Result<(), Refusal> {
        let written = recipe::config::replace(&*self.coordinator, entity, &settings).await;
        written.map_err(|error| (ErrorCode::UnknownServerError, format!("The settings were not written: {error}")))?;
        config_watch::tell(&config_watch::apply(&self.applier, vec![(entity.clone(), settings)]).await);
        Ok(())
    }
}

fn has_grown(image: &Image, more: &MorePartitions) -> bool {
    let total = usize::try_from(more.total).unwrap_or(0);
    TopicName::new(&more.name).is_ok_and(|name| {
        image.topics.get(&name).is_some_and(|topic| total <= topic.partitions.len()) && image.has_leaders(&name)
    })
}

/// Refuses a number before anything of that size is built: Kafka 3.9 builds the assignment first, and is away for minutes.
fn check_partition_count(partitions: i32) -> Result<(), Refusal> {
    if partitions < 1 {
        return Err((ErrorCode::InvalidPartitions, "Number of partitions must be larger than 0.".to_owned()));
    }
    if PARTITIONS_PER_TOPIC_MAX < partitions {
        let reason =
            format!("{partitions} partitions are more than the {PARTITIONS_PER_TOPIC_MAX} that a topic may have.");
        return Err((ErrorCode::InvalidPartitions, reason));
    }
    Ok(())
}

fn replication_factor(factor: i16, live: usize) -> Result<usize, Refusal> {
    match usize::try_from(factor) {
        Ok(replicas) if 0 < replicas && replicas <= live => Ok(replicas),
        Ok(replicas) if live < replicas => Err((
            ErrorCode::InvalidReplicationFactor,
            format!("Replication factor: {replicas} larger than available brokers: {live}."),
        )),
        _ => Err((ErrorCode::InvalidReplicationFactor, "Replication factor must be larger than 0.".to_owned())),
    }
}

/// An assignment that a client gives for a new topic: partitions from 0 without gaps, known brokers, none twice, the same number
/// everywhere. Kafka takes brokers that nobody knows, and the topic then never has a leader.
fn check_assignment(
    wanted: &[(i32, Vec<i32>)],
    image: &Image,
) -> Result<BTreeMap<PartitionIndex, Vec<BrokerId>>, Refusal> {
    let refuse = |reason: String| Err((ErrorCode::InvalidReplicaAssignment, reason));
    let factor = wanted.first().map_or(0, |(_, replicas)| replicas.len());
    if wanted.iter().any(|(_, replicas)| replicas.len() != factor) {
        return refuse("All partitions should have the same number of replicas".to_owned());
    }
    if let Some((index, replicas)) = wanted.iter().find(|(_, replicas)| has_double(replicas)) {
        return refuse(format!("Duplicate replica assignment found: {} for partition id {index}", listed(replicas)));
    }
    let partitions = wanted.iter().map(|(index, _)| *index).collect::<BTreeSet<_>>();
    if partitions.len() != wanted.len() || !partitions.iter().copied().eq(0..i32::try_from(wanted.len()).unwrap_or(0)) {
        return refuse("partitions should be a consecutive 0-based integer sequence".to_owned());
    }
    check_partition_count(i32::try_from(wanted.len()).unwrap_or(i32::MAX))?;
    if factor == 0 {
        return refuse("Cannot have replication factor of 0 for partition id 0.".to_owned());
    }
    check_known(wanted.iter().flat_map(|(_, replicas)| replicas), image)?;
    Ok(wanted.iter().map(|(index, replicas)| (PartitionIndex(*index), brokers_of(replicas))).collect())
}

/// The replicas that a client gives to partitions behind the `present` ones, which have `factor` each
/// (`AdminZkClient.validateReplicaAssignment`).
fn check_added(wanted: &[Vec<i32>], present: usize, factor: usize, image: &Image) -> Result<(), Refusal> {
    let refuse = |reason: String| Err((ErrorCode::InvalidReplicaAssignment, reason));
    check_known(wanted.iter().flatten(), image)?;
    let numbered = (present..).zip(wanted);
    for (index, replicas) in numbered.clone() {
        if replicas.is_empty() {
            return refuse(format!("Cannot have replication factor of 0 for partition id {index}."));
        }
        if has_double(replicas) {
            let reason = format!(
                "Duplicate brokers not allowed in replica assignment: {} for partition id {index}.",
                listed(replicas)
            );
            return refuse(reason);
        }
    }
    let (indexes, factors): (Vec<_>, Vec<_>) =
        numbered.map(|(index, replicas)| (index, replicas.len())).filter(|(_, other)| *other != factor).unzip();
    if indexes.is_empty() {
        return Ok(());
    }
    refuse(format!(
        "Inconsistent replication factor between partitions, partition 0 has {factor} while partitions [{}] have replication \
         factors [{}], respectively.",
        listed(&indexes),
        listed(&factors)
    ))
}

fn check_known<'r>(replicas: impl Iterator<Item = &'r i32>, image: &Image) -> Result<(), Refusal> {
    let unknown = replicas.filter(|id| !image.brokers.contains_key(&BrokerId(**id))).collect::<BTreeSet<_>>();
    if unknown.is_empty() {
        return Ok(());
    }
    let reason = format!("Unknown broker(s) in replica assignment: {}.", listed(unknown));
    Err((ErrorCode::InvalidReplicaAssignment, reason))
}

fn has_double(replicas: &[i32]) -> bool {
    replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len()
}

fn listed(items: impl IntoIterator<Item = impl ToString>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn brokers_of(replicas: &[i32]) -> Vec<BrokerId> {
    replicas.iter().copied().map(BrokerId).collect()
}

fn timed_out(what: &str) -> Refusal {
    (ErrorCode::RequestTimedOut, format!("{what}. It goes on; ask again."))
}

fn coordination_failed(error: &CoordinationError) -> Refusal {
    (ErrorCode::UnknownServerError, format!("The coordinator did not do it: {error}"))
}
