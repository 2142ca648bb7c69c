//! InitProducerId for idempotent producers. Transactional ones need the transaction coordinator, which is not there yet.

use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::broker::producer_ids::NextProducerId;
use crate::model::ErrorCode;
use crate::wire::RequestHeader;
use crate::wire::message::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let refuse = |error_code| InitProducerIdResponse { error_code, producer_epoch: -1, ..Default::default() };
    match request.transactional_id {
        Some(id) if id.is_empty() => return refuse(ErrorCode::InvalidRequest),
        Some(_) => return refuse(ErrorCode::CoordinatorNotAvailable),
        None => {}
    }
    let next = ask(&env.producer_ids, |reply| NextProducerId { reply });
    match next.await.flatten() {
        Some(id) => InitProducerIdResponse { producer_id: id.0, producer_epoch: 0, ..Default::default() },
        // As Kafka does while it waits for a block: the producer asks again.
        None => refuse(ErrorCode::CoordinatorLoadInProgress),
    }
}
