//! Places in partitions, and the offsets they stand for now.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;

use crate::client::cluster::{Cluster, TopicLayout};
use crate::client::error::ClientError;
use crate::client::group::member::Partition;
use crate::model::{ErrorCode, Offset, PartitionIndex, Timestamp};
use crate::wire::message::ListOffsetsRequest;
use crate::wire::message::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::{ApiKey, Str};

/// A place in a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The first record there is.
    Earliest,
    /// Behind the last record there is.
    Latest,
    /// This offset.
    At(Offset),
    /// The first record with this timestamp or a later one; behind the last if there is none.
    Time(Timestamp),
}

/// Which records of transactions are given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Isolation {
    /// All.
    #[default]
    ReadUncommitted,
    /// Those of transactions that were committed, and nothing behind one that is still open.
    ReadCommitted,
}

impl Isolation {
    pub(super) const fn wire(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// The offset of a place in a partition.
///
/// # Errors
/// [`ClientError`].
pub async fn find_offset(
    cluster: &Cluster,
    topic: &str,
    partition: PartitionIndex,
    place: Place,
    isolation: Isolation,
) -> Result<Offset, ClientError> {
    let timestamp = match place {
        Place::At(offset) => return Ok(offset),
        Place::Earliest => -2,
        Place::Latest => -1,
        Place::Time(Timestamp(millis)) => millis,
    };
    let found = cluster.retry(async || ask_offset(cluster, topic, partition, timestamp, isolation).await).await?;
    if found == Offset::NONE {
        // Nothing is that young.
        return cluster.retry(async || ask_offset(cluster, topic, partition, -1, isolation).await).await;
    }
    Ok(found)
}

async fn ask_offset(
    cluster: &Cluster,
    topic: &str,
    partition: PartitionIndex,
    timestamp: i64,
    isolation: Isolation,
) -> Result<Offset, ClientError> {
    let layout = cluster.layout(topic, false).await?;
    let leader = layout.leader(partition).ok_or_else(|| unknown_partition(topic, partition, &layout))?;
    let asked = ListOffsetsPartition { partition_index: partition.0, timestamp, ..ListOffsetsPartition::default() };
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: isolation.wire(),
        topics: vec![ListOffsetsTopic { name: topic.into(), partitions: vec![asked] }],
    };
    let response = cluster.connection(leader).await?.call(&request).await?;
    let answer = response.topics.iter().flat_map(|topic| &topic.partitions).next();
    let answer = answer.ok_or_else(|| refused(topic, partition, ErrorCode::UnknownServerError))?;
    if answer.error_code.is_error() {
        return Err(refused(topic, partition, answer.error_code));
    }
    Ok(Offset(answer.offset))
}

/// What is asked of partitions by [`list_offsets`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetQuery {
    /// The first record there is.
    Earliest,
    /// Behind the last record there is.
    Latest,
    /// The first record with this timestamp or a later one.
    Time(Timestamp),
    /// The record with the latest timestamp (KIP-734).
    MaxTimestamp,
}

/// The first version of ListOffsets that finds the latest timestamp.
const MAX_TIMESTAMP_FROM: i16 = 7;

/// What was found in a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundOffset {
    /// `None` when there is no such record.
    pub offset: Option<Offset>,
    /// The record's; `None` where no record is meant.
    pub timestamp: Option<Timestamp>,
}

/// Offsets in many partitions, with one request to each broker.
///
/// # Errors
/// [`ClientError`]: also when it is that of a single partition.
pub async fn list_offsets(
    cluster: &Cluster,
    partitions: &[Partition],
    query: OffsetQuery,
    isolation: Isolation,
) -> Result<BTreeMap<Partition, FoundOffset>, ClientError> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    cluster.retry(async || list_offsets_now(cluster, partitions, query, isolation).await).await
}

async fn list_offsets_now(
    cluster: &Cluster,
    partitions: &[Partition],
    query: OffsetQuery,
    isolation: Isolation,
) -> Result<BTreeMap<Partition, FoundOffset>, ClientError> {
    let topics = partitions.iter().map(|(topic, _)| topic.clone()).collect::<BTreeSet<_>>();
    let metadata = cluster.describe(Some(&topics.into_iter().collect::<Vec<_>>()), false).await?;
    let timestamp = match query {
        OffsetQuery::Earliest => -2,
        OffsetQuery::Latest => -1,
        OffsetQuery::MaxTimestamp => -3,
        OffsetQuery::Time(Timestamp(millis)) => millis,
    };
    let mut by_leader = BTreeMap::<_, BTreeMap<&Str, Vec<ListOffsetsPartition>>>::new();
    for (topic, partition_index) in partitions {
        let leader = metadata.leader(topic, PartitionIndex(*partition_index));
        let address = leader.and_then(|leader| metadata.brokers.get(&leader));
        let address =
            address.ok_or_else(|| refused(topic, PartitionIndex(*partition_index), ErrorCode::LeaderNotAvailable))?;
        let asked =
            ListOffsetsPartition { partition_index: *partition_index, timestamp, ..ListOffsetsPartition::default() };
        by_leader.entry(address).or_default().entry(topic).or_default().push(asked);
    }
    let answers = by_leader.into_iter().map(async |(address, topics)| {
        let topics = topics.into_iter().map(|(name, partitions)| ListOffsetsTopic { name: name.clone(), partitions });
        let request =
            ListOffsetsRequest { replica_id: -1, isolation_level: isolation.wire(), topics: topics.collect() };
        let connection = cluster.connection(address).await?;
        if query == OffsetQuery::MaxTimestamp
            && connection.version::<ListOffsetsRequest>(i16::MAX)? < MAX_TIMESTAMP_FROM
        {
            return Err(ClientError::Unsupported { address: address.clone(), api: ApiKey::ListOffsets });
        }
        connection.call(&request).await
    });
    let mut found = BTreeMap::new();
    for answer in try_join_all(answers).await? {
        for (topic, partition) in answer.topics.into_iter().flat_map(|it| {
            let name = it.name;
            it.partitions.into_iter().map(move |partition| (name.clone(), partition))
        }) {
            let index = partition.partition_index;
            if partition.error_code.is_error() {
                return Err(refused(&topic, PartitionIndex(index), partition.error_code));
            }
            let offset = Some(Offset(partition.offset)).filter(|offset| Offset(0) <= *offset);
            let timestamp = Some(Timestamp(partition.timestamp)).filter(|it| offset.is_some() && 0 <= it.0);
            found.insert((topic, index), FoundOffset { offset, timestamp });
        }
    }
    let missing = partitions.iter().find(|partition| !found.contains_key(*partition));
    match missing {
        Some((topic, index)) => Err(refused(topic, PartitionIndex(*index), ErrorCode::UnknownServerError)),
        None => Ok(found),
    }
}

pub(super) fn unknown_partition(topic: &str, partition: PartitionIndex, layout: &TopicLayout) -> ClientError {
    ClientError::UnknownPartition { topic: topic.to_owned(), partition: partition.0, partitions: layout.leaders.len() }
}

pub(super) fn refused(topic: &str, partition: PartitionIndex, code: ErrorCode) -> ClientError {
    ClientError::Refused { what: format!("partition {topic}-{partition} cannot be read"), code, message: None }
}
