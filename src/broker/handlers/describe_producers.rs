//! DescribeProducers: which idempotent producers a partition remembers (KIP-664).

use super::led;
use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::partition::PartitionCommand;
use crate::broker::peer::Peer;
use crate::model::{ErrorCode, TopicName};
use crate::wire::message::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use crate::wire::{RequestHeader, Str};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for &partition_index in &topic.partition_indexes {
            let described = describe(env, &topic.name, partition_index).await;
            partitions.push(PartitionResponse {
                partition_index,
                error_code: described.as_ref().err().copied().unwrap_or(ErrorCode::None),
                error_message: described.as_ref().err().map(|error| error.message().into()),
                active_producers: described.unwrap_or_default(),
            });
        }
        topics.push(TopicResponse { name: topic.name, partitions });
    }
    DescribeProducersResponse { topics, ..Default::default() }
}

async fn describe(env: &Env, topic: &Str, partition: i32) -> Result<Vec<ProducerState>, ErrorCode> {
    TopicName::new(topic).map_err(|_| ErrorCode::InvalidTopicException)?;
    let partition = led(env, topic, partition)?;
    let producers = ask(&partition.addr, |reply| PartitionCommand::DescribeProducers { reply }).await;
    let producers = producers.ok_or(ErrorCode::NotLeaderOrFollower)?;
    let state = |producer: crate::storage::producer_state::ProducerDescription| ProducerState {
        producer_id: producer.producer_id.0,
        producer_epoch: i32::from(producer.epoch.0),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp.0,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.transaction_first_offset.map_or(-1, |offset| offset.0),
    };
    Ok(producers.into_iter().map(state).collect())
}
