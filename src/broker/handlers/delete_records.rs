//! DeleteRecords: moves the log start offset of partitions that are led here, and answers when it has moved on every live replica.

use futures::future::join_all;

use super::{led, patience};
use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::partition::PartitionCommand;
use crate::broker::peer::Peer;
use crate::model::{ErrorCode, Moment, Offset};
use crate::wire::message::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use crate::wire::{RequestHeader, Str};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let deadline = env.ports.clock.moment().after(patience(request.timeout_ms));
    let topics = request.topics.into_iter().map(|topic| async move {
        let partitions = topic.partitions.iter().map(|wanted| result(env, &topic.name, wanted, deadline));
        let partitions = join_all(partitions).await;
        DeleteRecordsTopicResult { name: topic.name, partitions }
    });
    DeleteRecordsResponse { topics: join_all(topics).await, ..Default::default() }
}

async fn result(
    env: &Env,
    topic: &Str,
    wanted: &DeleteRecordsPartition,
    deadline: Moment,
) -> DeleteRecordsPartitionResult {
    let done = delete(env, topic, wanted.partition_index, Offset(wanted.offset), deadline).await;
    DeleteRecordsPartitionResult {
        partition_index: wanted.partition_index,
        low_watermark: done.map_or(-1, |start| start.0),
        error_code: done.err().unwrap_or(ErrorCode::None),
    }
}

async fn delete(env: &Env, topic: &Str, partition: i32, before: Offset, deadline: Moment) -> Result<Offset, ErrorCode> {
    let partition = led(env, topic, partition)?;
    if !partition.published.settings().log.cleanup_policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let mut live = env.metadata.load().live();
    let alive = live.clone();
    let command = |reply| PartitionCommand::DeleteRecords { before, deadline, live: alive, reply };
    let mut deleted = std::pin::pin!(ask(&partition.addr, command));
    loop {
        tokio::select! {
            biased;
            answer = &mut deleted => return answer.unwrap_or(Err(ErrorCode::NotLeaderOrFollower)),
            () = env.metadata.until(|image| image.live() != live) => {}
        }
        live = env.metadata.load().live();
        // One that is gone answers nothing any more, which is heard above.
        let _gone = partition.addr.send(PartitionCommand::LiveBrokers(live.clone())).await;
    }
}
