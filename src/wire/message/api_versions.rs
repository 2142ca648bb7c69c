//! ApiVersions (key 18): which requests the broker understands.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// The first request of most clients (KIP-35, KIP-511).
    struct ApiVersionsRequest {
        /// The client library's name, such as `apache-kafka-java`.
        client_software_name: Str [3..; ignorable],
        /// The client library's version.
        client_software_version: Str [3..; ignorable],
    }

    /// Answers [`ApiVersionsRequest`]: what the broker understands, and the cluster's features (KIP-584).
    struct ApiVersionsResponse {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// One entry per API.
        api_keys: Vec<ApiVersion> [0..],
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [1..; ignorable],
        /// Features that the broker supports (KIP-584).
        supported_features: Vec<SupportedFeatureKey> [3.., tag 0; ignorable],
        /// Version of the finalized features; −1 for unknown.
        finalized_features_epoch: i64 = -1 [3.., tag 1; ignorable],
        /// Features that the cluster has switched on (KIP-584).
        finalized_features: Vec<FinalizedFeatureKey> [3.., tag 2; ignorable],
        /// Whether a Raft controller is ready to take over from ZooKeeper (KIP-866).
        zk_migration_ready: bool [3.., tag 3; ignorable],
    }

    /// An element of [`ApiVersionsResponse::api_keys`].
    struct ApiVersion {
        /// The API's number.
        api_key: i16 [0..],
        /// The lowest version.
        min_version: i16 [0..],
        /// The highest version.
        max_version: i16 [0..],
    }

    /// An element of [`ApiVersionsResponse::supported_features`].
    struct SupportedFeatureKey {
        /// The feature's name.
        name: Str [3..],
        /// The lowest level supported.
        min_version: i16 [3..],
        /// The highest level supported.
        max_version: i16 [3..],
    }

    /// An element of [`ApiVersionsResponse::finalized_features`].
    struct FinalizedFeatureKey {
        /// The feature's name.
        name: Str [3..],
        /// The highest level.
        max_version_level: i16 [3..],
        /// The lowest level.
        min_version_level: i16 [3..],
    }
}
