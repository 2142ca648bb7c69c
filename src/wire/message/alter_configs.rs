//! AlterConfigs (key 33).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct AlterConfigsRequest {
        /// TODO
        resources: Vec<AlterConfigsResource> [0..],
        /// TODO
        validate_only: bool [0..],
    }

    /// An element of [`AlterConfigsRequest::resources`].
    struct AlterConfigsResource {
        /// TODO
        resource_type: i8 [0..],
        /// TODO
        resource_name: Str [0..],
        /// TODO
        configs: Vec<AlterableConfig> [0..],
    }

    /// An element of [`AlterConfigsResource::configs`].
    struct AlterableConfig {
        /// TODO
        name: Str [0..],
        /// TODO
        value: Option<Str> [0..],
    }

    /// TODO
    struct AlterConfigsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        responses: Vec<AlterConfigsResourceResponse> [0..],
    }

    /// An element of [`AlterConfigsResponse::responses`].
    struct AlterConfigsResourceResponse {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        resource_type: i8 [0..],
        /// TODO
        resource_name: Str [0..],
    }
}
