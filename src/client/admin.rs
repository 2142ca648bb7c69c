//! Topics: making, changing, describing and deleting them.

use std::time::Duration;

use super::cluster::Cluster;
use super::error::ClientError;
use crate::model::ErrorCode;
use crate::wire::message::create_partitions::CreatePartitionsTopic;
use crate::wire::message::create_topics::{CreatableTopic, CreatableTopicConfig};
use crate::wire::message::delete_topics::DeleteTopicState;
use crate::wire::message::describe_configs::DescribeConfigsResource;
use crate::wire::message::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use crate::wire::message::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest,
};

/// How long the controller may take for a change.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// `ConfigResource.Type.TOPIC`.
const RESOURCE_TOPIC: i8 = 2;

/// `ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG`: set for this topic itself.
const SOURCE_TOPIC: i8 = 1;

/// `AlterConfigOp.OpType`.
const OPERATION_SET: i8 = 0;
const OPERATION_DELETE: i8 = 1;

/// A topic to make.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Number of partitions; `None` leaves it to the broker's `num.partitions`.
    pub partitions: Option<i32>,
    /// Replicas of each; `None` leaves it to the broker's `default.replication.factor`.
    pub replication_factor: Option<i16>,
    /// Topic settings.
    pub configs: Vec<(String, String)>,
}

/// A topic setting that is not the default.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct TopicConfig {
    /// Its key.
    pub key: String,
    /// Its value; `None` for a secret.
    pub value: Option<String>,
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

/// Makes a topic. `validate_only` only asks whether it could be made.
///
/// # Errors
/// [`ClientError::Refused`] with what the controller says, for instance [`ErrorCode::TopicAlreadyExists`].
pub async fn create_topic(cluster: &Cluster, topic: &NewTopic, validate_only: bool) -> Result<(), ClientError> {
    let configs = topic
        .configs
        .iter()
        .map(|(key, value)| CreatableTopicConfig { name: key.as_str().into(), value: Some(value.as_str().into()) });
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: topic.name.as_str().into(),
            num_partitions: topic.partitions.unwrap_or(-1),
            replication_factor: topic.replication_factor.unwrap_or(-1),
            configs: configs.collect(),
            ..CreatableTopic::default()
        }],
        timeout_ms: millis(CHANGE_TIMEOUT),
        validate_only,
    };
    cluster
        .retry(async || {
            let asked = cluster.controller().await?.submit(&request, i16::MAX).await?;
            let response = asked.and_also(CHANGE_TIMEOUT).wait().await?;
            response.topics.iter().try_for_each(|result| {
                ClientError::check(result.error_code, result.error_message.as_deref(), || {
                    format!("topic '{}' was not created", topic.name)
                })
            })
        })
        .await
}

/// Deletes a topic.
///
/// # Errors
/// [`ClientError::UnknownTopic`], or [`ClientError::Refused`].
pub async fn delete_topic(cluster: &Cluster, topic: &str) -> Result<(), ClientError> {
    let by_name = DeleteTopicState { name: Some(topic.into()), ..DeleteTopicState::default() };
    cluster
        .retry(async || {
            let controller = cluster.controller().await?;
            // Version 6 names topics in another field.
            let request = if 6 <= controller.version::<DeleteTopicsRequest>(i16::MAX)? {
                DeleteTopicsRequest { topics: vec![by_name.clone()], ..DeleteTopicsRequest::default() }
            } else {
                DeleteTopicsRequest { topic_names: vec![topic.into()], ..DeleteTopicsRequest::default() }
            };
            let request = DeleteTopicsRequest { timeout_ms: millis(CHANGE_TIMEOUT), ..request };
            let asked = controller.submit(&request, i16::MAX).await?;
            let response = asked.and_also(CHANGE_TIMEOUT).wait().await?;
            response.responses.iter().try_for_each(|result| {
                if result.error_code == ErrorCode::UnknownTopicOrPartition {
                    return Err(ClientError::UnknownTopic { topic: topic.to_owned() });
                }
                ClientError::check(result.error_code, result.error_message.as_deref(), || {
                    format!("topic '{topic}' was not deleted")
                })
            })
        })
        .await
}

/// Gives a topic more partitions, `count` in all.
///
/// # Errors
/// [`ClientError::Refused`]: for instance when it has as many or more.
pub async fn create_partitions(cluster: &Cluster, topic: &str, count: i32) -> Result<(), ClientError> {
    let more = CreatePartitionsTopic { name: topic.into(), count, ..CreatePartitionsTopic::default() };
    let request =
        CreatePartitionsRequest { topics: vec![more], timeout_ms: millis(CHANGE_TIMEOUT), validate_only: false };
    cluster
        .retry(async || {
            let asked = cluster.controller().await?.submit(&request, i16::MAX).await?;
            let response = asked.and_also(CHANGE_TIMEOUT).wait().await?;
            response.results.iter().try_for_each(|result| {
                ClientError::check(result.error_code, result.error_message.as_deref(), || {
                    format!("topic '{topic}' was not given {count} partitions")
                })
            })
        })
        .await
}

/// Sets and unsets settings of a topic, all or none.
///
/// # Errors
/// [`ClientError::Refused`] with the broker's words on the first bad one.
pub async fn alter_topic_configs(
    cluster: &Cluster,
    topic: &str,
    set: &[(String, String)],
    unset: &[String],
) -> Result<(), ClientError> {
    let set = set.iter().map(|(key, value)| AlterableConfig {
        name: key.as_str().into(),
        config_operation: OPERATION_SET,
        value: Some(value.as_str().into()),
    });
    let unset = unset.iter().map(|key| AlterableConfig {
        name: key.as_str().into(),
        config_operation: OPERATION_DELETE,
        value: None,
    });
    let resource = AlterConfigsResource {
        resource_type: RESOURCE_TOPIC,
        resource_name: topic.into(),
        configs: set.chain(unset).collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    cluster
        .retry(async || {
            let response = cluster.controller().await?.call(&request).await?;
            response.responses.iter().try_for_each(|result| {
                ClientError::check(result.error_code, result.error_message.as_deref(), || {
                    format!("the settings of topic '{topic}' were not changed")
                })
            })
        })
        .await
}

/// The settings that were made for a topic itself, in the order of their keys.
///
/// # Errors
/// [`ClientError::Refused`].
pub async fn topic_configs(cluster: &Cluster, topic: &str) -> Result<Vec<TopicConfig>, ClientError> {
    let resource = DescribeConfigsResource {
        resource_type: RESOURCE_TOPIC,
        resource_name: topic.into(),
        configuration_keys: None,
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
    let response = cluster.retry(async || cluster.any().await?.call(&request).await).await?;
    let mut configs = Vec::new();
    for result in &response.results {
        ClientError::check(result.error_code, result.error_message.as_deref(), || {
            format!("the settings of topic '{topic}' cannot be read")
        })?;
        configs.extend(result.configs.iter().filter(|config| config.config_source == SOURCE_TOPIC).map(|config| {
            TopicConfig { key: config.name.to_string(), value: config.value.as_deref().map(str::to_owned) }
        }));
    }
    configs.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(configs)
}
