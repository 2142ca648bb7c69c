//! Topics that are made, changed and deleted while everything else goes on.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::client::{Client, Trouble};
use super::life::{Life, RECOVERY_PATIENCE};
use super::oracle::{Keeps, Place, Promise, Violation};
use crate::model::ErrorCode;
use crate::wire::message::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::wire::message::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use crate::wire::message::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use crate::wire::message::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use crate::wire::message::metadata::MetadataRequest;

const CREATE_TOPICS: i16 = 7;
const DELETE_TOPICS: i16 = 6;
const DELETE_RECORDS: i16 = 2;
const ALTER_CONFIGS: i16 = 1;
const METADATA: i16 = 9;

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
    /// What it promises.
    pub promise: Promise,
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

/// What is known of topics that come and go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Acknowledged as created.
    There,
    /// Acknowledged as deleted.
    Gone,
    /// A request about it was not answered.
    Unknown,
}

/// Topics that come and go, by name.
pub type Fates = BTreeMap<String, Fate>;

/// Creates a topic, however often it takes.
pub async fn create(life: &Life, topic: &Topic) {
    let mut last = None;
    let created = tokio::time::timeout(RECOVERY_PATIENCE, async {
        let mut client = life.connect("creator").await;
        loop {
            match create_once(&mut client, topic.name, topic.partitions, &topic.configs).await {
                Ok(ErrorCode::None | ErrorCode::TopicAlreadyExists) => return,
                Ok(error) => last = Some(error),
                Err(trouble) => {
                    life.trouble(&trouble);
                    client = life.connect("creator").await;
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

async fn create_once(
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

async fn delete_once(client: &mut Client, name: &str) -> Result<ErrorCode, Trouble> {
    let topic = DeleteTopicState { name: Some(name.into()), ..Default::default() };
    let request = DeleteTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, ..Default::default() };
    let response = client.call(DELETE_TOPICS, &request).await?;
    response.responses.first().map(|topic| topic.error_code).ok_or_else(|| missing("DeleteTopics"))
}

fn missing(api: &str) -> Trouble {
    Trouble::Unreadable(format!("an answer to {api} about nothing"))
}

/// Makes and deletes topics, deletes records and changes settings, until the life ends.
pub async fn run(life: Rc<Life>, topics: Rc<[Topic]>, fates: Rc<std::cell::RefCell<Fates>>) {
    loop {
        let mut client = life.connect("admin").await;
        let Err(trouble) = act(&life, &mut client, &topics, &fates).await;
        life.trouble(&trouble);
        life.pause(300).await;
    }
}

async fn act(
    life: &Life,
    client: &mut Client,
    topics: &[Topic],
    fates: &std::cell::RefCell<Fates>,
) -> Result<std::convert::Infallible, Trouble> {
    loop {
        match life.below(4) {
            0 => come_or_go(life, client, fates).await?,
            1 => delete_records(life, client, topics).await?,
            2 => change_settings(life, client, topics).await?,
            _ => {}
        }
        life.pause(400).await;
    }
}

/// One of a few names is created or deleted, whichever it is time for.
async fn come_or_go(life: &Life, client: &mut Client, fates: &std::cell::RefCell<Fates>) -> Result<(), Trouble> {
    let name = format!("passing-{}", life.below(3));
    let before = fates.borrow().get(&name).copied().unwrap_or(Fate::Gone);
    fates.borrow_mut().insert(name.clone(), Fate::Unknown);
    let partitions = 1 + i32::try_from(life.below(3)).unwrap_or(0);
    let creates = before == Fate::Gone || before == Fate::Unknown && life.percent(50);
    let answer =
        if creates { create_once(client, &name, partitions, &[]).await } else { delete_once(client, &name).await }?;
    let (after, expected) = match (creates, answer) {
        (true, ErrorCode::None) => (Fate::There, before != Fate::There),
        (true, ErrorCode::TopicAlreadyExists) => (Fate::There, before == Fate::Unknown),
        (false, ErrorCode::None) => (Fate::Gone, before != Fate::Gone),
        (false, ErrorCode::UnknownTopicOrPartition) => (Fate::Gone, before == Fate::Unknown),
        // The coordinator or the disk is in trouble.
        _ => (Fate::Unknown, true),
    };
    let what = if creates { "created" } else { "deleted" };
    life.trace.note(format_args!("{name} {what}: {answer}"));
    if !expected {
        let what = format!("it was {before:?}, and when {what} it answers {answer}");
        life.violation(Violation::Topic { topic: name.clone(), what });
    }
    fates.borrow_mut().insert(name, after);
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
        0 => ("segment.bytes", 1_400 + life.below(8_000)),
        1 => ("index.interval.bytes", life.below(500)),
        _ => ("segment.ms", 200 + life.below(3_000)),
    };
    let config = AlterableConfig { name: name.into(), config_operation: SET, value: Some(value.to_string().into()) };
    let resource =
        AlterConfigsResource { resource_type: TOPIC, resource_name: topic.name.into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    client.call(ALTER_CONFIGS, &request).await?;
    Ok(())
}

/// Whether what was acknowledged as created is there, and what was acknowledged as deleted is not.
pub async fn audit(life: &Life, topics: &[Topic], fates: &std::cell::RefCell<Fates>) {
    let mut client = life.connect("auditor").await;
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
