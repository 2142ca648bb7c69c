//! DeleteRecords: moves the log start offset of partitions that are led here.

use super::led;
use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::partition::PartitionCommand;
use crate::broker::peer::Peer;
use crate::model::{ErrorCode, Offset};
use crate::wire::message::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use crate::wire::{RequestHeader, Str};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let done = delete(env, &topic.name, wanted.partition_index, Offset(wanted.offset)).await;
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: wanted.partition_index,
                low_watermark: done.map_or(-1, |start| start.0),
                error_code: done.err().unwrap_or(ErrorCode::None),
            });
        }
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    DeleteRecordsResponse { topics, ..Default::default() }
}

async fn delete(env: &Env, topic: &Str, partition: i32, before: Offset) -> Result<Offset, ErrorCode> {
    let partition = led(env, topic, partition)?;
    if !partition.published.settings().log.cleanup_policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let asked = ask(&partition.addr, |reply| PartitionCommand::DeleteRecords { before, reply });
    asked.await.unwrap_or(Err(ErrorCode::NotLeaderOrFollower))
}
