//! ApiVersions (key 18).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct ApiVersionsRequest {
        /// TODO
        client_software_name: Str [3..; ignorable],
        /// TODO
        client_software_version: Str [3..; ignorable],
    }

    /// TODO
    struct ApiVersionsResponse {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        api_keys: Vec<ApiVersion> [0..],
        /// TODO
        throttle_time_ms: i32 [1..; ignorable],
        /// TODO
        supported_features: Vec<SupportedFeatureKey> [3.., tag 0; ignorable],
        /// TODO
        finalized_features_epoch: i64 = -1 [3.., tag 1; ignorable],
        /// TODO
        finalized_features: Vec<FinalizedFeatureKey> [3.., tag 2; ignorable],
        /// TODO
        zk_migration_ready: bool [3.., tag 3; ignorable],
    }

    /// An element of [`ApiVersionsResponse::api_keys`].
    struct ApiVersion {
        /// TODO
        api_key: i16 [0..],
        /// TODO
        min_version: i16 [0..],
        /// TODO
        max_version: i16 [0..],
    }

    /// An element of [`ApiVersionsResponse::supported_features`].
    struct SupportedFeatureKey {
        /// TODO
        name: Str [3..],
        /// TODO
        min_version: i16 [3..],
        /// TODO
        max_version: i16 [3..],
    }

    /// An element of [`ApiVersionsResponse::finalized_features`].
    struct FinalizedFeatureKey {
        /// TODO
        name: Str [3..],
        /// TODO
        max_version_level: i16 [3..],
        /// TODO
        min_version_level: i16 [3..],
    }
}
