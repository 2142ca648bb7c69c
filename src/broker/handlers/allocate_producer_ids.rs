//! AllocateProducerIds: a broker of the cluster asks the controller for a block of producer ids (KIP-730). Dohle itself takes its
//! blocks from the coordinator; Apache Kafka's brokers ask.

use super::is_controller;
use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::broker::producer_ids::AllocateBlock;
use crate::model::{BrokerEpoch, BrokerId, ErrorCode};
use crate::wire::RequestHeader;
use crate::wire::message::allocate_producer_ids::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: AllocateProducerIdsRequest,
) -> AllocateProducerIdsResponse {
    let refuse = |error_code| AllocateProducerIdsResponse { error_code, ..Default::default() };
    if !is_controller(env) {
        return refuse(ErrorCode::NotController);
    }
    let (broker, epoch) = (BrokerId(request.broker_id), BrokerEpoch(request.broker_epoch));
    match ask(&env.producer_ids, |reply| AllocateBlock { broker, epoch, reply }).await {
        Some(Ok(block)) => AllocateProducerIdsResponse {
            producer_id_start: block.first.0,
            producer_id_len: i32::try_from(block.len()).unwrap_or(i32::MAX),
            ..Default::default()
        },
        Some(Err(error)) => refuse(error),
        None => refuse(ErrorCode::UnknownServerError),
    }
}
