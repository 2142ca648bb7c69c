//! How clients get about in a cluster: they ask any broker who leads, and connect there.

use std::cell::RefCell;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::io::DuplexStream;

use super::super::client::{Client, Trouble};
use super::super::life::{Life, RECOVERY_PATIENCE, Way};
use super::super::oracle::{Place, Violation};
use super::super::trace::Trace;
use super::fabric::{Fabric, Party};
use crate::model::ErrorCode;
use crate::storage::disk::sim::Dice;
use crate::wire::message::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::wire::message::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};

const METADATA: i16 = 9;
const CREATE_TOPICS: i16 = 7;

/// How long a client waits for what a broker knows of the cluster before it asks another one.
const METADATA_PATIENCE: Duration = Duration::from_secs(2);

/// How long the creation of a topic may take.
const TIMEOUT_MS: i32 = 30_000;

/// How often the cluster is looked at that shall become whole.
const LOOK: Duration = Duration::from_millis(200);

/// The way to the leader of a partition, or to the controller.
pub struct Router {
    fabric: Fabric,
    trace: Trace,
    brokers: i32,
    dice: RefCell<Dice>,
}

impl Router {
    /// A way through a cluster whose brokers are numbered from 1.
    #[must_use]
    pub fn new(fabric: Fabric, trace: Trace, brokers: i32, seed: u64) -> Self {
        Self { fabric, trace, brokers, dice: RefCell::new(Dice::new(seed)) }
    }

    async fn ask_anybody(&self, topics: Option<&str>) -> Option<MetadataResponse> {
        let broker = 1 + i32::try_from(self.dice.borrow_mut().below(u64::try_from(self.brokers).ok()?)).ok()?;
        let asked = tokio::time::timeout(METADATA_PATIENCE, async {
            let stream = self.fabric.connect(Party::Clients, broker).await?;
            metadata(&mut Client::new(stream, &self.trace, "router"), topics).await.ok()
        });
        asked.await.ok().flatten()
    }
}

impl Way for Router {
    fn connect<'a>(&'a self, place: Option<&'a Place>) -> LocalBoxFuture<'a, Option<(DuplexStream, i32)>> {
        Box::pin(async move {
            let answer = self.ask_anybody(place.map(|place| place.topic.as_str())).await?;
            let broker = match place {
                None => answer.controller_id,
                Some(place) => {
                    let partitions = answer.topics.iter().flat_map(|topic| topic.partitions.iter());
                    partitions.into_iter().find(|partition| partition.partition_index == place.partition)?.leader_id
                }
            };
            let connected = tokio::time::timeout(METADATA_PATIENCE, self.fabric.connect(Party::Clients, broker));
            Some((connected.await.ok().flatten()?, broker))
        })
    }
}

async fn metadata(client: &mut Client, topic: Option<&str>) -> Result<MetadataResponse, Trouble> {
    let topics = topic.map(|name| vec![MetadataRequestTopic { name: Some(name.into()), ..Default::default() }]);
    client.call(METADATA, &MetadataRequest { topics, ..Default::default() }).await
}

/// Creates a topic, however often it takes.
pub async fn create(life: &Life, name: &str, partitions: i32, replication_factor: i16, configs: &[(&str, &str)]) {
    let mut last = None;
    let created = tokio::time::timeout(RECOVERY_PATIENCE, async {
        loop {
            let mut client = life.connect("creator", None).await;
            match create_once(&mut client, name, partitions, replication_factor, configs).await {
                Ok(ErrorCode::None | ErrorCode::TopicAlreadyExists) => return,
                Ok(error) => last = Some(error),
                Err(trouble) => life.trouble(&trouble),
            }
            life.pause(300).await;
        }
    });
    if created.await.is_err() {
        let what = format!("cannot be created: {last:?}");
        life.violation(Violation::Topic { topic: name.to_owned(), what });
    }
}

/// Asks for a topic to be created.
///
/// # Errors
/// [`Trouble`].
pub async fn create_once(
    client: &mut Client,
    name: &str,
    num_partitions: i32,
    replication_factor: i16,
    configs: &[(&str, &str)],
) -> Result<ErrorCode, Trouble> {
    let configs = configs.iter();
    let configs =
        configs.map(|(name, value)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) });
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions,
        replication_factor,
        configs: configs.collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, validate_only: false };
    let response = client.call(CREATE_TOPICS, &request).await?;
    let answer = response.topics.first().map(|topic| topic.error_code);
    answer.ok_or_else(|| Trouble::Unreadable("CreateTopics without an answer".to_owned()))
}

/// Waits until a broker says that every partition has a leader and all of its replicas in sync, and `missing` finds nothing that is not
/// written so: one that has just started says nothing of partitions that it does not know yet. What of that did not come in time.
pub async fn not_in_sync(life: &Life, patience: Duration, missing: impl Fn() -> Option<String>) -> Option<String> {
    let mut wrong = String::new();
    let whole = tokio::time::timeout(patience, async {
        loop {
            let mut client = life.connect("watcher", None).await;
            match metadata(&mut client, None).await.map(|answer| unwhole(&answer).or_else(&missing)) {
                Ok(None) => return,
                Ok(Some(what)) => wrong = format!("{what}, says broker {}", client.broker),
                Err(trouble) => wrong = format!("{trouble:?}"),
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    whole.await.is_err().then_some(wrong)
}

fn unwhole(answer: &MetadataResponse) -> Option<String> {
    let mut partitions = answer.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |it| (topic, it)));
    let (topic, partition) = partitions.find(|(_, partition)| {
        partition.leader_id < 0
            || partition.isr_nodes.len() != partition.replica_nodes.len()
            || !partition.offline_replicas.is_empty()
    })?;
    Some(format!(
        "{}-{} has leader {}, ISR {:?} of {:?}, offline {:?}",
        topic.name.as_deref().unwrap_or_default(),
        partition.partition_index,
        partition.leader_id,
        partition.isr_nodes,
        partition.replica_nodes,
        partition.offline_replicas
    ))
}
