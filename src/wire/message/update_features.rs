//! UpdateFeatures (key 57): changes the finalized features of the cluster.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Sets the levels of features (KIP-584).
    struct UpdateFeaturesRequest {
        /// How long the broker may take, in ms.
        timeout_ms: i32 = 60_000 [0..],
        /// One entry per feature.
        feature_updates: Vec<FeatureUpdateKey> [0..],
        /// Whether to check only, and change nothing.
        validate_only: bool [1..],
    }

    /// An element of [`UpdateFeaturesRequest::feature_updates`].
    struct FeatureUpdateKey {
        /// The feature's name.
        feature: Str [0..],
        /// The level wanted; below 1 removes the feature.
        max_version_level: i16 [0..],
        /// Whether the level may go down, in version 0.
        allow_downgrade: bool [0..=0],
        /// 1 only up, 2 down where nothing is lost, 3 down in any case.
        upgrade_type: i8 = 1 [1..],
    }

    /// Answers [`UpdateFeaturesRequest`]: the outcome per feature.
    struct UpdateFeaturesResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// One entry per thing asked for.
        results: Vec<UpdatableFeatureResult> [0..],
    }

    /// An element of [`UpdateFeaturesResponse::results`].
    struct UpdatableFeatureResult {
        /// The feature's name.
        feature: Str [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
    }
}
