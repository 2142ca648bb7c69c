//! `dohle group`: lists, describes, resets and deletes consumer groups.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _};
use std::rc::Rc;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::connect::Connect;
use super::failure::Failure;
use super::output::{Count, Output, notice};
use crate::client::consumer::{Isolation, Place, find_offset};
use crate::client::group::admin::{self, DescribedGroup, GroupMember};
use crate::client::group::member::Partition;
use crate::client::{ClientError, Cluster};
use crate::model::{ErrorCode, Offset, PartitionIndex};

mod reset;

/// List, describe, reset and delete consumer groups
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dohle group list
  dohle group describe billing
  dohle group describe billing --members
  dohle group reset-offsets billing --topic flights --to earliest
  dohle group delete billing")]
pub(super) struct Arguments {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// List the groups
    List(List),
    /// Show how far a group has read, how much is left, and who reads it
    Describe(Describe),
    /// Let a group that has no members go on from another place
    ResetOffsets(reset::ResetOffsets),
    /// Delete groups that have no members, with all that they committed
    Delete(Delete),
}

#[derive(Args, Debug)]
struct List {
    /// Only groups in this state, for instance Stable or Empty; may be given more than once
    #[arg(long, value_name = "STATE")]
    state: Vec<String>,
    /// One JSON array instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Describe {
    /// The groups
    #[arg(required = true)]
    groups: Vec<String>,
    /// Show the members instead of the partitions
    #[arg(long)]
    members: bool,
    /// One JSON object per group, with partitions and members
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Delete {
    /// The groups
    #[arg(required = true)]
    groups: Vec<String>,
    /// Do not ask
    #[arg(long, short, visible_alias = "execute")]
    yes: bool,
    /// Succeed when there is no such group
    #[arg(long)]
    if_exists: bool,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    arguments.connect.block_on(async |cluster| match &arguments.command {
        Command::List(list) => list.run(&cluster, output).await,
        Command::Describe(describe) => describe.run(&cluster, output).await,
        Command::ResetOffsets(reset) => reset.run(&cluster, output).await,
        Command::Delete(delete) => delete.run(&cluster, output).await,
    })
}

impl List {
    async fn run(&self, cluster: &Rc<Cluster>, output: &mut Output) -> Result<(), Failure> {
        let mut groups = admin::list_groups(cluster).await?;
        groups.retain(|group| {
            self.state.is_empty() || self.state.iter().any(|state| state.eq_ignore_ascii_case(&group.state))
        });
        if self.json {
            return output.json(&groups);
        }
        let rows = groups.into_iter().map(|it| vec![it.group, it.kind, it.state, it.protocol_type, it.coordinator]);
        output.table(&["Group", "Type", "State", "Members", "Coordinator"], &rows.collect::<Vec<_>>())
    }
}

/// What `describe` shows of a group.
#[derive(Serialize)]
struct Description {
    group: String,
    state: String,
    protocol_type: String,
    protocol: String,
    coordinator: String,
    partitions: Vec<PartitionDescription>,
    members: Vec<MemberDescription>,
}

#[derive(Serialize)]
struct PartitionDescription {
    topic: String,
    partition: i32,
    /// `None` when nothing was committed.
    committed: Option<i64>,
    /// Where the partition ends; `None` when its topic is gone.
    end: Option<i64>,
    lag: Option<i64>,
    /// The id of the member that reads it.
    member: Option<String>,
}

#[derive(Serialize)]
struct MemberDescription {
    id: String,
    instance_id: Option<String>,
    client: String,
    host: String,
    partitions: Option<Vec<String>>,
}

impl Describe {
    async fn run(&self, cluster: &Rc<Cluster>, output: &mut Output) -> Result<(), Failure> {
        for (index, group) in self.groups.iter().enumerate() {
            let described = existing(cluster, group).await?;
            let description = Description::new(cluster, group, described).await?;
            if self.json {
                output.json(&description)?;
                continue;
            }
            if index != 0 {
                output.line("")?;
            }
            description.print(self.members, output)?;
        }
        Ok(())
    }
}

/// A group that is there.
async fn existing(cluster: &Cluster, group: &str) -> Result<DescribedGroup, Failure> {
    let described = admin::describe_group(cluster, group).await?;
    if described.is_there() { Ok(described) } else { Err(no_such_group(group)) }
}

fn no_such_group(group: &str) -> Failure {
    Failure::new(format_args!("there is no group '{group}'")).hint("`dohle group list` shows what is there.")
}

fn has_members(group: &str, members: &[GroupMember]) -> Failure {
    let who = members.iter().take(3).map(|member| format!("{} ({})", member.client_id, member.client_host));
    let who = who.collect::<Vec<_>>().join(", ");
    let more = if 3 < members.len() { format!(" and {} more", members.len() - 3) } else { String::new() };
    Failure::new(format_args!("group '{group}' has members: {who}{more}")).hint(format_args!(
        "End them first and try again; `dohle group describe {group} --members` shows them all. One that died counts as a \
         member until its session ends."
    ))
}

/// Where a partition ends for somebody who reads all; `None` when it is not there any more.
async fn end(cluster: &Cluster, (topic, partition): &Partition) -> Result<Option<Offset>, ClientError> {
    let partition = PartitionIndex(*partition);
    match find_offset(cluster, topic, partition, Place::Latest, Isolation::ReadUncommitted).await {
        Ok(end) => Ok(Some(end)),
        Err(ClientError::UnknownTopic { .. } | ClientError::UnknownPartition { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Description {
    async fn new(cluster: &Cluster, group: &str, described: DescribedGroup) -> Result<Self, Failure> {
        let committed = admin::committed_offsets(cluster, group).await?;
        let mut readers = BTreeMap::<Partition, Option<String>>::new();
        readers.extend(committed.keys().map(|partition| (partition.clone(), None)));
        for member in &described.members {
            for partition in member.assignment.iter().flatten() {
                readers.insert(partition.clone(), Some(member.member_id.clone()));
            }
        }
        let mut partitions = Vec::with_capacity(readers.len());
        for (partition, member) in readers {
            let end = end(cluster, &partition).await?;
            let committed = committed.get(&partition).copied();
            partitions.push(PartitionDescription {
                topic: partition.0.to_string(),
                partition: partition.1,
                committed: committed.map(|it| it.0),
                end: end.map(|it| it.0),
                lag: committed.zip(end).map(|(committed, end)| (end.0 - committed.0).max(0)),
                member,
            });
        }
        let members = described.members.into_iter().map(|member| MemberDescription {
            id: member.member_id,
            instance_id: member.instance_id,
            client: member.client_id,
            host: member.client_host,
            partitions: member
                .assignment
                .map(|all| all.iter().map(|(topic, index)| format!("{topic}-{index}")).collect()),
        });
        Ok(Self {
            group: group.to_owned(),
            state: described.state,
            protocol_type: described.protocol_type,
            protocol: described.protocol,
            coordinator: described.coordinator.to_string(),
            partitions,
            members: members.collect(),
        })
    }

    fn print(&self, members: bool, output: &mut Output) -> Result<(), Failure> {
        let lag = self.partitions.iter().filter_map(|partition| partition.lag).sum::<i64>();
        let protocol = if self.protocol.is_empty() { "none" } else { &self.protocol };
        output.line(format_args!(
            "Group: {}  State: {}  Members: {}  Protocol: {protocol}  Lag: {lag}  Coordinator: {}",
            self.group,
            self.state,
            self.members.len(),
            self.coordinator
        ))?;
        if members {
            let rows = self.members.iter().map(|member| {
                let reads = member.partitions.as_ref().map_or_else(|| "unknown".to_owned(), |all| all.join(","));
                let instance = member.instance_id.clone().unwrap_or_else(|| "-".to_owned());
                vec![format!("  {}", member.id), instance, member.client.clone(), member.host.clone(), reads]
            });
            return output.table(&["  Member", "Instance", "Client", "Host", "Reads"], &rows.collect::<Vec<_>>());
        }
        let rows = self.partitions.iter().map(|partition| {
            let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            vec![
                format!("  {}", partition.topic),
                partition.partition.to_string(),
                number(partition.committed),
                number(partition.end),
                number(partition.lag),
                partition.member.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        });
        let head = ["  Topic", "Partition", "Committed", "End", "Lag", "Member"];
        output.table(&head, &rows.collect::<Vec<_>>())
    }
}

impl Delete {
    async fn run(&self, cluster: &Rc<Cluster>, output: &mut Output) -> Result<(), Failure> {
        let mut found = Vec::new();
        for group in &self.groups {
            let described = admin::describe_group(cluster, group).await?;
            if !described.members.is_empty() {
                return Err(has_members(group, &described.members));
            }
            if described.is_there() {
                let offsets = admin::committed_offsets(cluster, group).await?.len();
                let of = Count(offsets.try_into().unwrap_or(u64::MAX), "partition");
                output.line(format_args!("Group {group}: committed offsets of {of}."))?;
                found.push(group);
            } else if self.if_exists {
                output.line(format_args!("There is no group {group}."))?;
            } else {
                return Err(no_such_group(group));
            }
        }
        if found.is_empty() || !agreed(self.yes, "Delete this for good?", output)? {
            return Ok(());
        }
        for group in found {
            match admin::delete_group(cluster, group).await {
                Ok(()) => output.line(format_args!("Deleted group {group}."))?,
                Err(error) if error.is_refusal(ErrorCode::GroupIdNotFound) && self.if_exists => {}
                Err(error) if error.is_refusal(ErrorCode::GroupIdNotFound) => return Err(no_such_group(group)),
                Err(error) if error.is_refusal(ErrorCode::NonEmptyGroup) => {
                    let members = admin::describe_group(cluster, group).await?.members;
                    return Err(has_members(group, &members));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Whether a person wants what was shown. Without a terminal to ask on nothing is done.
fn agreed(yes: bool, question: &str, output: &mut Output) -> Result<bool, Failure> {
    output.flush()?;
    if yes {
        return Ok(true);
    }
    let input = std::io::stdin();
    if !input.is_terminal() {
        notice("Nothing was changed: --yes does it.");
        return Ok(false);
    }
    notice(format_args!("{question} [y/N]"));
    let mut answer = String::new();
    input
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::new(format_args!("cannot read the answer: {error}")))?;
    let agreed = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if !agreed {
        notice("Nothing was changed.");
    }
    Ok(agreed)
}
