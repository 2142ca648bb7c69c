//! Topics that are made, changed and deleted while everything else goes on.

use std::rc::Rc;

use super::client::{Client, Trouble};
use super::life::{Life, RECOVERY_PATIENCE};
use super::oracle::{Keeps, Place, Promise, Violation};
use super::passing::{self, Fate, Fates};
use crate::model::ErrorCode;
use crate::wire::message::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::wire::message::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use crate::wire::message::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use crate::wire::message::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use crate::wire::message::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use crate::wire::message::metadata::MetadataRequest;

const CREATE_TOPICS: i16 = 7;
const DELETE_TOPICS: i16 = 6;
const DELETE_RECORDS: i16 = 2;
const ALTER_CONFIGS: i16 = 1;
const DESCRIBE_CONFIGS: i16 = 4;
const METADATA: i16 = 9;

const DURABILITY: &str = "durability";

const TIMEOUT_MS: i32 = 30_000;

/// `ConfigResource.Type.TOPIC`, and `AlterConfigOp.OpType.SET`.
const TOPIC: i8 = 2;
const SET: i8 = 0;

/// A topic of a run.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// Number of partitions.
    pub partitions: i32,
    /// What it promises; of one that changes its durability, the weakest.
    pub promise: Promise,
    /// Whether `durability` is changed while it is written to.
    pub changes_durability: bool,
    /// Its settings.
    pub configs: Vec<(&'static str, String)>,
}

impl Topic {
    /// Its partitions.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let topic = self.name.to_owned();
        (0..self.partitions).map(move |partition| Place { topic: topic.clone(), partition })
    }
}

/// Creates a topic, however often it takes.
pub async fn create(life: &Life, topic: &Topic) {
    let mut last = None;
    let created = tokio::time::timeout(RECOVERY_PATIENCE, async {
        let mut client = life.connect("creator", None).await;
        loop {
            match create_once(&mut client, topic.name, topic.partitions, &topic.configs).await {
                Ok(ErrorCode::None | ErrorCode::TopicAlreadyExists) => return,
                Ok(error) => last = Some(error),
                Err(trouble) => {
                    life.trouble(&trouble);
                    client = life.connect("creator", None).await;
                }
            }
            life.pause(300).await;
        }
    });
    if created.await.is_err() {
        let what = format!("cannot be created: {last:?}");
        life.violation(Violation::Topic { topic: topic.name.to_owned(), what });
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
    configs: &[(&str, String)],
) -> Result<ErrorCode, Trouble> {
    let configs = configs.iter();
    let configs = configs
        .map(|(name, value)| CreatableTopicConfig { name: (*name).into(), value: Some(value.as_str().into()) })
        .collect();
    let topic =
        CreatableTopic { name: name.into(), num_partitions, replication_factor: 1, configs, ..Default::default() };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, validate_only: false };
    let response = client.call(CREATE_TOPICS, &request).await?;
    response.topics.first().map(|topic| topic.error_code).ok_or_else(|| missing("CreateTopics"))
}

/// Asks for a topic to be deleted.
///
/// # Errors
/// [`Trouble`].
pub async fn delete_once(client: &mut Client, name: &str) -> Result<ErrorCode, Trouble> {
    let topic = DeleteTopicState { name: Some(name.into()), ..Default::default() };
    let request = DeleteTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, ..Default::default() };
    let response = client.call(DELETE_TOPICS, &request).await?;
    response.responses.first().map(|topic| topic.error_code).ok_or_else(|| missing("DeleteTopics"))
}

/// An answer that says nothing about what was asked.
pub fn missing(api: &str) -> Trouble {
    Trouble::Unreadable(format!("an answer to {api} about nothing"))
}

/// Makes and deletes topics, deletes records and changes settings, until the life ends or drains.
pub async fn run(life: Rc<Life>, topics: Rc<[Topic]>, fates: Rc<std::cell::RefCell<Fates>>) {
    while !life.draining.get() {
        let mut client = life.connect("admin", None).await;
        if let Err(trouble) = act(&life, &mut client, &topics, &fates).await {
            life.trouble(&trouble);
        }
        life.pause(300).await;
    }
}

async fn act(
    life: &Life,
    client: &mut Client,
    topics: &[Topic],
    fates: &std::cell::RefCell<Fates>,
) -> Result<(), Trouble> {
    while !life.draining.get() {
        match life.below(4) {
            0 => passing::come_or_go(life, client, fates).await?,
            1 => delete_records(life, client, topics).await?,
            2 => change_settings(life, client, topics).await?,
            _ => passing::write(life, client, fates).await?,
        }
        life.pause(400).await;
    }
    Ok(())
}

async fn delete_records(life: &Life, client: &mut Client, topics: &[Topic]) -> Result<(), Trouble> {
    let Some(topic) = topics.iter().find(|topic| topic.promise.keeps == Keeps::UntilDeleted) else { return Ok(()) };
    let partition = i32::try_from(life.below(2)).unwrap_or(0).min(topic.partitions - 1);
    let place = Place { topic: topic.name.to_owned(), partition };
    let offset = i64::try_from(life.below(60)).unwrap_or(0);
    life.oracle.borrow_mut().deleting(&place, offset);
    let partitions = vec![DeleteRecordsPartition { partition_index: partition, offset }];
    let topics = vec![DeleteRecordsTopic { name: topic.name.into(), partitions }];
    let asked = life.now();
    let response = client.call(DELETE_RECORDS, &DeleteRecordsRequest { topics, timeout_ms: TIMEOUT_MS }).await?;
    let answer = response.topics.first().and_then(|topic| topic.partitions.first());
    let answer = answer.ok_or_else(|| missing("DeleteRecords"))?;
    if answer.error_code == ErrorCode::None {
        life.oracle.borrow_mut().log_starts(&place, answer.low_watermark, life.since(asked));
    }
    Ok(())
}

async fn change_settings(life: &Life, client: &mut Client, topics: &[Topic]) -> Result<(), Trouble> {
    let index = usize::try_from(life.below(u64::try_from(topics.len()).unwrap_or(0))).unwrap_or(0);
    let Some(topic) = topics.get(index) else { return Ok(()) };
    let (name, value) = match life.below(3) {
        _ if topic.changes_durability && life.percent(60) => {
            // From now on it may be either, until the broker says which it is.
            life.oracle.borrow_mut().durability(topic.name, false);
            let value = if life.percent(50) { "flushed" } else { "page-cache" };
            life.trace.note(format_args!("{} becomes {value}", topic.name));
            (DURABILITY, value.to_owned())
        }
        0 => ("segment.bytes", (1_400 + life.below(8_000)).to_string()),
        1 => ("index.interval.bytes", life.below(500).to_string()),
        _ => ("segment.ms", (200 + life.below(3_000)).to_string()),
    };
    let config = AlterableConfig { name: name.into(), config_operation: SET, value: Some(value.into()) };
    let resource =
        AlterConfigsResource { resource_type: TOPIC, resource_name: topic.name.into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    client.call(ALTER_CONFIGS, &request).await?;
    Ok(())
}

/// Tells the oracle what the topics that change their durability promise in this life: the broker has read its settings
/// before it opened the logs.
pub async fn learn_durability(life: &Life, topics: &[Topic]) {
    for topic in topics.iter().filter(|topic| topic.changes_durability) {
        let mut client = life.connect("auditor", None).await;
        let resource = DescribeConfigsResource {
            resource_type: TOPIC,
            resource_name: topic.name.into(),
            configuration_keys: Some(vec![DURABILITY.into()]),
        };
        let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
        let flushed = match client.call(DESCRIBE_CONFIGS, &request).await {
            Ok(response) => {
                let mut configs = response.results.iter().flat_map(|result| &result.configs);
                configs.any(|config| config.name == DURABILITY && config.value.as_deref() == Some("flushed"))
            }
            Err(trouble) => {
                life.trouble(&trouble);
                false
            }
        };
        life.trace.note(format_args!("{} is flushed: {flushed}", topic.name));
        life.oracle.borrow_mut().durability(topic.name, flushed);
    }
}

/// Whether what was acknowledged as created is there, and what was acknowledged as deleted is not.
pub async fn audit(life: &Life, topics: &[Topic], fates: &std::cell::RefCell<Fates>) {
    let mut client = life.connect("auditor", None).await;
    let request = MetadataRequest { topics: None, allow_auto_topic_creation: false, ..Default::default() };
    let response = match client.call(METADATA, &request).await {
        Ok(response) => response,
        Err(trouble) => return life.trouble(&trouble),
    };
    let names = response.topics.iter().filter_map(|topic| topic.name.as_ref()).map(|name| name.as_str());
    let names = names.collect::<std::collections::BTreeSet<_>>();
    let fates = fates.borrow();
    let expected = fates.iter().map(|(name, fate)| (name.as_str(), *fate));
    for (name, fate) in expected.chain(topics.iter().map(|topic| (topic.name, Fate::There))) {
        let wrong = match fate {
            Fate::There => (!names.contains(name)).then_some("it was created, and is not there after a restart"),
            Fate::Gone => names.contains(name).then_some("it was deleted, and is there after a restart"),
            Fate::Unknown => None,
        };
        if let Some(wrong) = wrong {
            life.violation(Violation::Topic { topic: name.to_owned(), what: wrong.to_owned() });
        }
    }
}
