//! `dohle topic`: makes, lists, describes, changes and deletes topics.

use std::rc::Rc;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::connect::Connect;
use super::failure::Failure;
use super::output::Output;
use crate::client::admin::{self, NewTopic, TopicConfig};
use crate::client::{ClientError, Cluster};
use crate::model::ErrorCode;
use crate::wire::message::metadata::MetadataResponseTopic;

/// Make, list, describe, change and delete topics
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dohle topic create flights --partitions 6 --config retention.ms=86400000
  dohle topic list
  dohle topic describe flights
  dohle topic alter flights --config retention.ms=3600000 --delete-config cleanup.policy
  dohle topic delete flights")]
pub(super) struct Arguments {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a topic
    Create(Create),
    /// List the topics' names
    List(List),
    /// Show partitions, leaders, replicas and settings
    Describe(Describe),
    /// Add partitions, set and unset settings
    Alter(Alter),
    /// Delete topics and all their records
    Delete(Delete),
}

#[derive(Args, Debug)]
struct Create {
    /// The topic's name: 1 to 249 of letters, digits, '.', '_' and '-'
    topic: String,
    /// Number of partitions [default: the broker's num.partitions]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Replicas of each partition [default: the broker's default.replication.factor]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A setting of the topic; may be given more than once
    #[arg(long = "config", short, value_name = "KEY=VALUE", value_parser = super::key_value)]
    configs: Vec<(String, String)>,
    /// Succeed when the topic is there already
    #[arg(long)]
    if_not_exists: bool,
    /// Only ask whether it could be made
    #[arg(long)]
    validate_only: bool,
}

#[derive(Args, Debug)]
struct List {
    /// Leave out the brokers' own topics
    #[arg(long)]
    exclude_internal: bool,
    /// One JSON array instead of lines
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Describe {
    /// Which topics [default: all]
    topics: Vec<String>,
    /// One JSON object per topic instead of tables
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Alter {
    /// The topic's name
    topic: String,
    /// Partitions in all; a topic never gets fewer
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Set a setting; may be given more than once
    #[arg(long = "config", short, value_name = "KEY=VALUE", value_parser = super::key_value)]
    configs: Vec<(String, String)>,
    /// Back to the default; may be given more than once
    #[arg(long = "delete-config", short, value_name = "KEY")]
    delete_configs: Vec<String>,
    /// Succeed when there is no such topic
    #[arg(long)]
    if_exists: bool,
}

#[derive(Args, Debug)]
struct Delete {
    /// Which topics
    #[arg(required = true)]
    topics: Vec<String>,
    /// Succeed when there is no such topic
    #[arg(long)]
    if_exists: bool,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    arguments.connect.block_on(async |cluster| match &arguments.command {
        Command::Create(create) => create.run(&cluster, output).await,
        Command::List(list) => list.run(&cluster, output).await,
        Command::Describe(describe) => describe.run(&cluster, output).await,
        Command::Alter(alter) => alter.run(&cluster, output).await,
        Command::Delete(delete) => delete.run(&cluster, output).await,
    })
}

impl Create {
    async fn run(&self, cluster: &Rc<Cluster>, output: &mut Output) -> Result<(), Failure> {
        let topic = NewTopic {
            name: self.topic.clone(),
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            configs: self.configs.clone(),
        };
        match admin::create_topic(cluster, &topic, self.validate_only).await {
            Ok(()) if self.validate_only => output.line(format_args!("Topic {} could be created.", self.topic)),
            Ok(()) => output.line(format_args!("Created topic {}.", self.topic)),
            Err(error) if error.is_refusal(ErrorCode::TopicAlreadyExists) && self.if_not_exists => {
                output.line(format_args!("Topic {} is there already.", self.topic))
            }
            Err(error) => Err(explain_create(error, &self.topic)),
        }
    }
}

fn explain_create(error: ClientError, topic: &str) -> Failure {
    let hint = if error.is_refusal(ErrorCode::TopicAlreadyExists) {
        Some(format!("`dohle topic describe {topic}` shows it; --if-not-exists makes this no error."))
    } else if error.is_refusal(ErrorCode::InvalidReplicationFactor) {
        Some("There are too few brokers for so many replicas: ask for fewer with --replication-factor.".to_owned())
    } else {
        None
    };
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

impl List {
    async fn run(&self, cluster: &Rc<Cluster>, output: &mut Output) -> Result<(), Failure> {
        let metadata = cluster.metadata(None).await?;
        let shown = metadata.topics.iter().filter(|topic| !(self.exclude_internal && topic.is_internal));
        let mut names = shown.filter_map(|topic| topic.name.as_deref()).collect::<Vec<_>>();
        names.sort_unstable();
        if self.json {
            return output.json(&names);
        }
        names.iter().try_for_each(|name| output.line(name))
    }
}

/// What `describe` shows of a topic.
#[derive(Serialize)]
struct Description {
    topic: String,
    id: String,
    internal: bool,
    replication_factor: usize,
    configs: Vec<TopicConfig>,
    partitions: Vec<PartitionDescription>,
}

#[derive(Serialize)]
struct PartitionDescription {
    partition: i32,
    /// `None` while there is none.
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    offline_replicas: Vec<i32>,
}

impl Description {
    fn new(topic: &MetadataResponseTopic, configs: Vec<TopicConfig>) -> Self {
        let mut partitions = topic.partitions.iter().collect::<Vec<_>>();
        partitions.sort_by_key(|partition| partition.partition_index);
        let partitions = partitions.into_iter().map(|partition| PartitionDescription {
            partition: partition.partition_index,
            leader: (0 <= partition.leader_id).then_some(partition.leader_id),
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.clone(),
            isr: partition.isr_nodes.clone(),
            offline_replicas: partition.offline_replicas.clone(),
        });
        let partitions = partitions.collect::<Vec<_>>();
        Self {
            topic: topic.name.as_deref().unwrap_or_default().to_owned(),
            id: topic.topic_id.to_string(),
            internal: topic.is_internal,
            replication_factor: partitions.first().map_or(0, |partition| partition.replicas.len()),
            configs,
            partitions,
        }
    }

    fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let configs = self.configs.iter().map(|config| {
            let value = config.value.as_deref().unwrap_or("[hidden]");
            format!("{}={value}", config.key)
        });
        output.line(format_args!(
            "Topic: {}  TopicId: {}  PartitionCount: {}  ReplicationFactor: {}  Configs: {}",
            self.topic,
            self.id,
            self.partitions.len(),
            self.replication_factor,
            configs.collect::<Vec<_>>().join(",")
        ))?;
        let rows = self.partitions.iter().map(|partition| {
            vec![
                format!("  {}", partition.partition),
                partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
                partition.leader_epoch.to_string(),
                joined(&partition.replicas),
                joined(&partition.isr),
                joined(&partition.offline_replicas),
            ]
        });
        output.table(&["  Partition", "Leader", "Epoch", "Replicas", "Isr", "Offline"], &rows.collect::<Vec<_>>())
    }
}

fn joined(brokers: &[i32]) -> String {
    brokers.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

impl Describe {
    async fn run(&self, cluster: &Rc<Cluster>, output: &mut Output) -> Result<(), Failure> {
        let names = self.topics.iter().map(String::as_str).collect::<Vec<_>>();
        let metadata = cluster.metadata(if names.is_empty() { None } else { Some(&names) }).await?;
        let mut topics = metadata.topics.iter().collect::<Vec<_>>();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        for topic in topics {
            let name = topic.name.as_deref().unwrap_or_default();
            if topic.error_code == ErrorCode::UnknownTopicOrPartition {
                return Err(ClientError::UnknownTopic { topic: name.to_owned() }.into());
            }
            // A partition without a leader is worth showing, not an error.
            if topic.error_code != ErrorCode::LeaderNotAvailable {
                ClientError::check(topic.error_code, None, || format!("topic '{name}' cannot be described"))?;
            }
            let description = Description::new(topic, admin::topic_configs(cluster, name).await?);
            if self.json { output.json(&description) } else { description.print(output) }?;
        }
        Ok(())
    }
}

impl Alter {
    async fn run(&self, cluster: &Rc<Cluster>, output: &mut Output) -> Result<(), Failure> {
        if self.partitions.is_none() && self.configs.is_empty() && self.delete_configs.is_empty() {
            return Err(Failure::Usage("nothing to change: give --partitions, --config or --delete-config".to_owned()));
        }
        // Altering the settings of a topic that is not there would be taken by some brokers: look first.
        let metadata = cluster.metadata(Some(&[&self.topic])).await?;
        let known = metadata.topics.iter().any(|topic| topic.error_code != ErrorCode::UnknownTopicOrPartition);
        match (known, self.if_exists) {
            (false, true) => return output.line(format_args!("There is no topic {}.", self.topic)),
            (false, false) => return Err(ClientError::UnknownTopic { topic: self.topic.clone() }.into()),
            (true, _) => {}
        }
        if !self.configs.is_empty() || !self.delete_configs.is_empty() {
            admin::alter_topic_configs(cluster, &self.topic, &self.configs, &self.delete_configs).await?;
        }
        if let Some(count) = self.partitions {
            admin::create_partitions(cluster, &self.topic, count).await?;
        }
        output.line(format_args!("Changed topic {}.", self.topic))
    }
}

impl Delete {
    async fn run(&self, cluster: &Rc<Cluster>, output: &mut Output) -> Result<(), Failure> {
        for topic in &self.topics {
            match admin::delete_topic(cluster, topic).await {
                Ok(()) => output.line(format_args!("Deleted topic {topic}."))?,
                Err(ClientError::UnknownTopic { .. }) if self.if_exists => {
                    output.line(format_args!("There is no topic {topic}."))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
