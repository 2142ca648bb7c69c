//! ControlledShutdown: a broker is about to stop, and asks the controller to have others lead.

use crate::broker::ask;
use crate::broker::controller::ControllerCommand;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::model::{BrokerEpoch, BrokerId, ErrorCode};
use crate::wire::RequestHeader;
use crate::wire::message::controlled_shutdown::{
    ControlledShutdownRequest, ControlledShutdownResponse, RemainingPartition,
};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: ControlledShutdownRequest,
) -> ControlledShutdownResponse {
    let broker = BrokerId(request.broker_id);
    let broker_epoch = (0 <= request.broker_epoch).then_some(BrokerEpoch(request.broker_epoch));
    let asked = ask(&env.controller, |reply| ControllerCommand::ControlledShutdown { broker, broker_epoch, reply });
    match asked.await.unwrap_or(Err(ErrorCode::StaleControllerEpoch)) {
        Ok(left) => ControlledShutdownResponse {
            error_code: ErrorCode::None,
            remaining_partitions: left
                .into_iter()
                .map(|id| RemainingPartition { topic_name: id.topic.as_str().into(), partition_index: id.partition.0 })
                .collect(),
        },
        Err(error_code) => ControlledShutdownResponse { error_code, ..Default::default() },
    }
}
