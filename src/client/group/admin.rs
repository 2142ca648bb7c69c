//! Groups from outside: which there are, who is in them, what they committed; and changing that.

use std::collections::BTreeMap;

use futures::future::try_join_all;

use super::find_coordinator;
use super::member::Partition;
use crate::client::cluster::Cluster;
use crate::client::connection::Connection;
use crate::client::error::ClientError;
use crate::client::{BrokerAddress, broker_address};
use crate::model::{BrokerId, ErrorCode, Offset};
use crate::wire::Str;
use crate::wire::consumer_protocol::{Assignment, PROTOCOL_TYPE, from_bytes};
use crate::wire::message::consumer_group_describe;
use crate::wire::message::describe_groups::DescribedGroupMember;
use crate::wire::message::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::message::offset_fetch::OffsetFetchRequestGroup;
use crate::wire::message::{
    ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetFetchRequest,
};

/// The first version of OffsetFetch that asks for several groups, and the first that can ask for all partitions.
const SEVERAL_FROM: i16 = 8;
const ALL_FROM: i16 = 2;

/// The first version of ListGroups that says states, and the first that says types.
const STATES_FROM: i16 = 4;
const TYPES_FROM: i16 = 5;

/// A group in a list.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
pub struct ListedGroup {
    /// Its name.
    pub group: String,
    /// `classic` or `consumer`; empty when the broker does not say.
    #[serde(rename = "type")]
    pub kind: String,
    /// Kafka's name of its state; empty when the broker does not say.
    pub state: String,
    /// What kind of members it has, for instance `consumer`; empty when it never had any.
    pub protocol_type: String,
    /// Where it is coordinated.
    pub coordinator: String,
}

/// A group, described.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedGroup {
    /// Kafka's name of its state; "Dead" when it is not there.
    pub state: String,
    /// What kind of members it has; empty when it never had any.
    pub protocol_type: String,
    /// What they agreed on, for consumers the assignor; empty while they have not.
    pub protocol: String,
    /// Where it is coordinated.
    pub coordinator: BrokerAddress,
    /// Who is in it.
    pub members: Vec<GroupMember>,
}

impl DescribedGroup {
    /// Whether there is such a group.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.state != "Dead"
    }
}

/// A member of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMember {
    /// Its id.
    pub member_id: String,
    /// The name of a static member.
    pub instance_id: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it comes from.
    pub client_host: String,
    /// What it reads; `None` when the broker does not say, or the group is of another kind.
    pub assignment: Option<Vec<Partition>>,
}

/// All groups of all brokers, by name.
///
/// # Errors
/// [`ClientError`]: also when a single broker does not answer, since the list would not be whole.
pub async fn list_groups(cluster: &Cluster) -> Result<Vec<ListedGroup>, ClientError> {
    let listed = cluster.retry(async || {
        let metadata = cluster.metadata(Some(&[])).await?;
        let brokers = metadata.brokers.iter().filter_map(|it| broker_address(&metadata, BrokerId(it.node_id)));
        try_join_all(brokers.map(async |broker| groups_of(cluster, broker).await)).await
    });
    let mut groups = listed.await?.into_iter().flatten().collect::<Vec<_>>();
    groups.sort();
    groups.dedup_by(|a, b| a.group == b.group);
    Ok(groups)
}

async fn groups_of(cluster: &Cluster, broker: BrokerAddress) -> Result<Vec<ListedGroup>, ClientError> {
    let connection = cluster.connection(&broker).await?;
    let response = connection.call(&ListGroupsRequest::default()).await?;
    ClientError::check(response.error_code, None, || format!("the groups of {broker} cannot be listed"))?;
    let version = connection.version::<ListGroupsRequest>(i16::MAX)?;
    let said = |text: &Str, from| if from <= version { text.to_string() } else { String::new() };
    let groups = response.groups.iter().map(|group| ListedGroup {
        group: group.group_id.to_string(),
        kind: said(&group.group_type, TYPES_FROM),
        state: said(&group.group_state, STATES_FROM),
        protocol_type: group.protocol_type.to_string(),
        coordinator: broker.to_string(),
    });
    Ok(groups.collect())
}

/// Asks the coordinator of a group, and looks for it again while it moves.
async fn at_coordinator<T>(
    cluster: &Cluster,
    group: &str,
    ask: impl AsyncFn(Connection, BrokerAddress) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    cluster
        .retry(async || {
            let address = find_coordinator(cluster, group).await?;
            ask(cluster.connection(&address).await?, address).await
        })
        .await
}

/// Who is in a group.
///
/// # Errors
/// [`ClientError`]. That there is no such group is none, see [`DescribedGroup::is_there`].
pub async fn describe_group(cluster: &Cluster, group: &str) -> Result<DescribedGroup, ClientError> {
    at_coordinator(cluster, group, async |connection, coordinator| {
        let request = DescribeGroupsRequest { groups: vec![group.into()], ..DescribeGroupsRequest::default() };
        let response = connection.call(&request).await?;
        let what = || format!("group '{group}' cannot be described");
        let unsaid = || ClientError::Refused { what: what(), code: ErrorCode::UnknownServerError, message: None };
        let found = response.groups.first().ok_or_else(unsaid)?;
        // Since version 6 of DescribeGroups a group that is not there is an error.
        let is_missing = found.error_code == ErrorCode::GroupIdNotFound;
        if !is_missing {
            ClientError::check(found.error_code, None, what)?;
        }
        // To the request of the classic protocol a group of the other one is as good as gone.
        if (is_missing || found.group_state == *"Dead")
            && let Some(described) = describe_consumer_group(&connection, group, &coordinator).await?
        {
            return Ok(described);
        }
        let is_consumer = found.protocol_type == *PROTOCOL_TYPE;
        Ok(DescribedGroup {
            state: if is_missing { "Dead".to_owned() } else { found.group_state.to_string() },
            protocol_type: found.protocol_type.to_string(),
            protocol: found.protocol_data.to_string(),
            coordinator,
            members: found.members.iter().map(|member| described(member, is_consumer)).collect(),
        })
    })
    .await
}

/// A group of the consumer protocol (KIP-848), if it is one.
async fn describe_consumer_group(
    connection: &Connection,
    group: &str,
    coordinator: &BrokerAddress,
) -> Result<Option<DescribedGroup>, ClientError> {
    if connection.version::<ConsumerGroupDescribeRequest>(i16::MAX).is_err() {
        return Ok(None);
    }
    let request = ConsumerGroupDescribeRequest { group_ids: vec![group.into()], include_authorized_operations: false };
    let response = connection.call(&request).await?;
    let found = response.groups.into_iter().next();
    let found = found.filter(|it| !matches!(it.error_code, ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion));
    let Some(found) = found else { return Ok(None) };
    ClientError::check(found.error_code, found.error_message.as_deref(), || {
        format!("group '{group}' cannot be described")
    })?;
    let member = |member: consumer_group_describe::Member| {
        let topics = member.assignment.topic_partitions.into_iter();
        let assigned = topics.flat_map(|it| it.partitions.into_iter().map(move |index| (it.topic_name.clone(), index)));
        GroupMember {
            member_id: member.member_id.to_string(),
            instance_id: member.instance_id.as_deref().map(str::to_owned),
            client_id: member.client_id.to_string(),
            client_host: member.client_host.to_string(),
            assignment: Some(assigned.collect()),
        }
    };
    Ok(Some(DescribedGroup {
        state: found.group_state.to_string(),
        protocol_type: PROTOCOL_TYPE.to_owned(),
        protocol: found.assignor_name.to_string(),
        coordinator: coordinator.clone(),
        members: found.members.into_iter().map(member).collect(),
    }))
}

fn described(member: &DescribedGroupMember, is_consumer: bool) -> GroupMember {
    let assignment = from_bytes::<Assignment>(&member.member_assignment).ok().filter(|_| is_consumer);
    let assignment = assignment.map(|assignment| {
        let topics = assignment.partitions.into_iter();
        topics.flat_map(|it| it.partitions.into_iter().map(move |index| (it.topic.clone(), index))).collect()
    });
    GroupMember {
        member_id: member.member_id.to_string(),
        instance_id: member.group_instance_id.as_deref().map(str::to_owned),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        assignment,
    }
}

/// What a group committed. Partitions without an offset are left out.
///
/// # Errors
/// [`ClientError`].
pub async fn committed_offsets(cluster: &Cluster, group: &str) -> Result<BTreeMap<Partition, Offset>, ClientError> {
    at_coordinator(cluster, group, async |connection, _| {
        let what = || format!("the offsets of group '{group}' cannot be read");
        let version = connection.version::<OffsetFetchRequest>(i16::MAX)?;
        let mut offsets = BTreeMap::new();
        if SEVERAL_FROM <= version {
            let group = OffsetFetchRequestGroup { group_id: group.into(), ..OffsetFetchRequestGroup::default() };
            let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
            for found in &connection.call(&request).await?.groups {
                ClientError::check(found.error_code, None, what)?;
                for (topic, partition) in found.topics.iter().flat_map(|it| it.partitions.iter().map(|p| (&it.name, p)))
                {
                    ClientError::check(partition.error_code, None, what)?;
                    offsets.insert((topic.clone(), partition.partition_index), Offset(partition.committed_offset));
                }
            }
        } else if ALL_FROM <= version {
            let request = OffsetFetchRequest { group_id: group.into(), ..OffsetFetchRequest::default() };
            let response = connection.call(&request).await?;
            ClientError::check(response.error_code, None, what)?;
            for (topic, partition) in response.topics.iter().flat_map(|it| it.partitions.iter().map(|p| (&it.name, p)))
            {
                ClientError::check(partition.error_code, None, what)?;
                offsets.insert((topic.clone(), partition.partition_index), Offset(partition.committed_offset));
            }
        } else {
            let what = what();
            return Err(ClientError::Refused { what, code: ErrorCode::UnsupportedVersion, message: None });
        }
        offsets.retain(|_, offset| Offset(0) <= *offset);
        Ok(offsets)
    })
    .await
}

/// Puts a group that has no members to these offsets. A partition that is refused does not keep the others from it.
///
/// # Errors
/// [`ClientError::Refused`]: [`ErrorCode::UnknownMemberId`] when the group has members.
pub async fn set_offsets(
    cluster: &Cluster,
    group: &str,
    offsets: &BTreeMap<Partition, Offset>,
) -> Result<(), ClientError> {
    let mut topics = BTreeMap::<&Str, Vec<OffsetCommitRequestPartition>>::new();
    for ((topic, partition_index), offset) in offsets {
        topics.entry(topic).or_default().push(OffsetCommitRequestPartition {
            partition_index: *partition_index,
            committed_offset: offset.0,
            committed_metadata: Some(Str::default()),
            ..OffsetCommitRequestPartition::default()
        });
    }
    let topics =
        topics.into_iter().map(|(name, partitions)| OffsetCommitRequestTopic { name: name.clone(), partitions });
    let request =
        OffsetCommitRequest { group_id: group.into(), topics: topics.collect(), ..OffsetCommitRequest::default() };
    at_coordinator(cluster, group, async |connection, _| {
        let response = connection.call(&request).await?;
        response.topics.iter().flat_map(|topic| topic.partitions.iter().map(|it| (&topic.name, it))).try_for_each(
            |(topic, done)| {
                let what = || format!("group '{group}' was not put to an offset in {topic}-{}", done.partition_index);
                ClientError::check(done.error_code, None, what)
            },
        )
    })
    .await
}

/// Deletes a group that has no members, with its offsets.
///
/// # Errors
/// [`ClientError::Refused`]: [`ErrorCode::GroupIdNotFound`], [`ErrorCode::NonEmptyGroup`].
pub async fn delete_group(cluster: &Cluster, group: &str) -> Result<(), ClientError> {
    let request = DeleteGroupsRequest { groups_names: vec![group.into()] };
    at_coordinator(cluster, group, async |connection, _| {
        let response = connection.call(&request).await?;
        response.results.iter().try_for_each(|result| {
            ClientError::check(result.error_code, None, || format!("group '{group}' was not deleted"))
        })
    })
    .await
}
