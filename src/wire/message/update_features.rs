//! UpdateFeatures (key 57).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct UpdateFeaturesRequest {
        /// TODO
        timeout_ms: i32 = 60_000 [0..],
        /// TODO
        feature_updates: Vec<FeatureUpdateKey> [0..],
        /// TODO
        validate_only: bool [1..],
    }

    /// An element of [`UpdateFeaturesRequest::feature_updates`].
    struct FeatureUpdateKey {
        /// TODO
        feature: Str [0..],
        /// TODO
        max_version_level: i16 [0..],
        /// TODO
        allow_downgrade: bool [0..=0],
        /// TODO
        upgrade_type: i8 = 1 [1..],
    }

    /// TODO
    struct UpdateFeaturesResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        results: Vec<UpdatableFeatureResult> [0..],
    }

    /// An element of [`UpdateFeaturesResponse::results`].
    struct UpdatableFeatureResult {
        /// TODO
        feature: Str [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
    }
}
