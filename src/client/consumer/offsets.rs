//! Places in partitions, and the offsets they stand for now.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;

use crate::client::cluster::{Cluster, TopicLayout};
use crate::client::error::{ClientError, is_retriable};
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

/// What was found in each partition that was asked about, or why it cannot be read.
pub type FoundOffsets = BTreeMap<Partition, Result<FoundOffset, ErrorCode>>;

/// Offsets in many partitions, with one request to each broker. A partition that cannot be read hides nothing of the others: it is tried
/// again while that may help, and then has its error code.
///
/// # Errors
/// [`ClientError`]: what concerns all of them.
pub async fn list_offsets(
    cluster: &Cluster,
    partitions: &[Partition],
    query: OffsetQuery,
    isolation: Isolation,
) -> Result<FoundOffsets, ClientError> {
    if partitions.is_empty() {
        return Ok(FoundOffsets::new());
    }
    let found = RefCell::new(FoundOffsets::new());
    let tried = cluster.retry(async || {
        let is_missing = |partition: &&Partition| found.borrow().get(*partition).is_none_or(Result::is_err);
        let missing = partitions.iter().filter(is_missing).cloned().collect::<Vec<_>>();
        let now = list_offsets_now(cluster, &missing, query, isolation).await?;
        let passes = now.iter().find_map(|((topic, index), it)| {
            it.err().filter(|code| is_retriable(*code)).map(|code| refused(topic, PartitionIndex(*index), code))
        });
        found.borrow_mut().extend(now);
        passes.map_or(Ok(()), Err)
    });
    let tried = tried.await;
    let found = found.into_inner();
    if partitions.iter().all(|partition| found.contains_key(partition)) { Ok(found) } else { tried.map(|()| found) }
}

async fn list_offsets_now(
    cluster: &Cluster,
    partitions: &[Partition],
    query: OffsetQuery,
    isolation: Isolation,
) -> Result<FoundOffsets, ClientError> {
    let topics = partitions.iter().map(|(topic, _)| topic.clone()).collect::<BTreeSet<_>>();
    let metadata = cluster.describe(Some(&topics.into_iter().collect::<Vec<_>>()), false).await?;
    let timestamp = match query {
        OffsetQuery::Earliest => -2,
        OffsetQuery::Latest => -1,
        OffsetQuery::MaxTimestamp => -3,
        OffsetQuery::Time(Timestamp(millis)) => millis,
    };
    let mut found = FoundOffsets::new();
    let mut by_leader = BTreeMap::<_, BTreeMap<&Str, Vec<ListOffsetsPartition>>>::new();
    for (topic, partition_index) in partitions {
        let leader = metadata.leader(topic, PartitionIndex(*partition_index));
        let Some(address) = leader.and_then(|leader| metadata.brokers.get(&leader)) else {
            found.insert((topic.clone(), *partition_index), Err(ErrorCode::LeaderNotAvailable));
            continue;
        };
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
    for answer in try_join_all(answers).await? {
        for (topic, partition) in answer.topics.into_iter().flat_map(|it| {
            let name = it.name;
            it.partitions.into_iter().map(move |partition| (name.clone(), partition))
        }) {
            let index = partition.partition_index;
            let offset = Some(Offset(partition.offset)).filter(|offset| Offset(0) <= *offset);
            let timestamp = Some(Timestamp(partition.timestamp)).filter(|it| offset.is_some() && 0 <= it.0);
            let of_it = FoundOffset { offset, timestamp };
            let of_it = if partition.error_code.is_error() { Err(partition.error_code) } else { Ok(of_it) };
            found.insert((topic, index), of_it);
        }
    }
    for partition in partitions {
        // One that was asked about and not answered.
        found.entry(partition.clone()).or_insert(Err(ErrorCode::UnknownServerError));
    }
    Ok(found)
}

pub(super) fn unknown_partition(topic: &str, partition: PartitionIndex, layout: &TopicLayout) -> ClientError {
    ClientError::UnknownPartition { topic: topic.to_owned(), partition: partition.0, partitions: layout.leaders.len() }
}

pub(super) fn refused(topic: &str, partition: PartitionIndex, code: ErrorCode) -> ClientError {
    ClientError::Refused { what: format!("partition {topic}-{partition} cannot be read"), code, message: None }
}
