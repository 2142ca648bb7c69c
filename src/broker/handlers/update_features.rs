//! UpdateFeatures: with ZooKeeper there is no feature that a cluster could be told to use (KIP-584).
//!
//! Source: Kafka 3.9 `KafkaController.processFeatureUpdatesWithActiveController`, `BrokerFeatures.createDefault`.

use super::{is_controller, not_controller};
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::model::ErrorCode;
use crate::wire::RequestHeader;
use crate::wire::message::update_features::{UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    if !is_controller(env) {
        let (error_code, reason) = not_controller();
        return UpdateFeaturesResponse { error_code, error_message: Some(reason.into()), ..Default::default() };
    }
    let unsupported = "Could not apply finalized feature update because the provided feature is not supported.";
    let result = |feature| UpdatableFeatureResult {
        feature,
        error_code: ErrorCode::InvalidRequest,
        error_message: Some(unsupported.into()),
    };
    let results = request.feature_updates.into_iter().map(|update| result(update.feature));
    UpdateFeaturesResponse { results: results.collect(), ..Default::default() }
}
