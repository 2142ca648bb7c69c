//! ApiVersions: what this broker serves (KIP-35, KIP-511, KIP-584).

use super::SERVED;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::model::ErrorCode;
use crate::wire::message::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{ApiKey, EncodeError, Encoded, RequestHeader, encode_response};

pub(super) async fn handle(
    env: &Env,
    peer: &mut Peer,
    header: &RequestHeader,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    let named = [&request.client_software_name, &request.client_software_version];
    if 3 <= header.version && !named.iter().all(|name| is_software_name(name)) {
        return ApiVersionsResponse { error_code: ErrorCode::InvalidRequest, ..Default::default() };
    }
    peer.introduced(&request.client_software_name, &request.client_software_version);
    let mut api_keys = served();
    if !env.settings.broker().groups.consumer.is_enabled {
        let of_consumer = [ApiKey::ConsumerGroupHeartbeat, ApiKey::ConsumerGroupDescribe].map(ApiKey::code);
        api_keys.retain(|api| !of_consumer.contains(&api.api_key));
    }
    ApiVersionsResponse { api_keys, finalized_features_epoch: -1, ..Default::default() }
}

/// The answer to a version that we do not know: version 0, with the versions that we do (KIP-511).
///
/// # Errors
/// Never in practice: the response is constant.
pub(in crate::broker) fn unsupported(correlation_id: i32) -> Result<Encoded, EncodeError> {
    let known = served().into_iter().filter(|api| api.api_key == ApiKey::ApiVersions.code()).collect();
    let response =
        ApiVersionsResponse { error_code: ErrorCode::UnsupportedVersion, api_keys: known, ..Default::default() };
    encode_response(correlation_id, ApiKey::ApiVersions, 0, &response)
}

fn served() -> Vec<ApiVersion> {
    let api = |(key, versions): &(ApiKey, std::ops::RangeInclusive<i16>)| ApiVersion {
        api_key: key.code(),
        min_version: *versions.start(),
        max_version: *versions.end(),
    };
    let mut served = SERVED.iter().map(api).collect::<Vec<_>>();
    served.sort_by_key(|api| api.api_key);
    served
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`, as Kafka demands of the name and version of client software.
fn is_software_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    text.chars().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}
