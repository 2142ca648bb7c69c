//! Places in partitions, and the offsets they stand for now.

use crate::client::cluster::{Cluster, TopicLayout};
use crate::client::error::ClientError;
use crate::model::{ErrorCode, Offset, PartitionIndex, Timestamp};
use crate::wire::message::ListOffsetsRequest;
use crate::wire::message::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};

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

pub(super) fn unknown_partition(topic: &str, partition: PartitionIndex, layout: &TopicLayout) -> ClientError {
    ClientError::UnknownPartition { topic: topic.to_owned(), partition: partition.0, partitions: layout.leaders.len() }
}

pub(super) fn refused(topic: &str, partition: PartitionIndex, code: ErrorCode) -> ClientError {
    ClientError::Refused { what: format!("partition {topic}-{partition} cannot be read"), code, message: None }
}
