//! AlterConfigs (key 33): replaces the configuration of topics and brokers as a whole.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Sets the whole dynamic configuration of resources: what is not named is reset (KIP-133).
    struct AlterConfigsRequest {
        /// One entry per resource.
        resources: Vec<AlterConfigsResource> [0..],
        /// Whether to check only, and change nothing.
        validate_only: bool [0..],
    }

    /// An element of [`AlterConfigsRequest::resources`].
    struct AlterConfigsResource {
        /// What kind of resource, as Kafka numbers them.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Str [0..],
        /// The configuration, key by key.
        configs: Vec<AlterableConfig> [0..],
    }

    /// An element of [`AlterConfigsResource::configs`].
    struct AlterableConfig {
        /// The key.
        name: Str [0..],
        /// The value; null resets it to its default.
        value: Option<Str> [0..],
    }

    /// Answers [`AlterConfigsRequest`]: the outcome per resource.
    struct AlterConfigsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per thing asked for.
        responses: Vec<AlterConfigsResourceResponse> [0..],
    }

    /// An element of [`AlterConfigsResponse::responses`].
    struct AlterConfigsResourceResponse {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// What kind of resource, as Kafka numbers them.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Str [0..],
    }
}
