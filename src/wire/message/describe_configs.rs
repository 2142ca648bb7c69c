//! DescribeConfigs (key 32).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct DescribeConfigsRequest {
        /// TODO
        resources: Vec<DescribeConfigsResource> [0..],
        /// TODO
        include_synonyms: bool [1..],
        /// TODO
        include_documentation: bool [3..],
    }

    /// An element of [`DescribeConfigsRequest::resources`].
    struct DescribeConfigsResource {
        /// TODO
        resource_type: i8 [0..],
        /// TODO
        resource_name: Str [0..],
        /// TODO
        configuration_keys: Option<Vec<Str>> [0..],
    }

    /// TODO
    struct DescribeConfigsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        results: Vec<DescribeConfigsResult> [0..],
    }

    /// An element of [`DescribeConfigsResponse::results`].
    struct DescribeConfigsResult {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        resource_type: i8 [0..],
        /// TODO
        resource_name: Str [0..],
        /// TODO
        configs: Vec<DescribeConfigsResourceResult> [0..],
    }

    /// An element of [`DescribeConfigsResult::configs`].
    struct DescribeConfigsResourceResult {
        /// TODO
        name: Str [0..],
        /// TODO
        value: Option<Str> [0..],
        /// TODO
        read_only: bool [0..],
        /// TODO
        is_default: bool [0..=0],
        /// TODO
        config_source: i8 = -1 [1..; ignorable],
        /// TODO
        is_sensitive: bool [0..],
        /// TODO
        synonyms: Vec<DescribeConfigsSynonym> [1..; ignorable],
        /// TODO
        config_type: i8 [3..; ignorable],
        /// TODO
        documentation: Option<Str> [3..; ignorable],
    }

    /// An element of [`DescribeConfigsResourceResult::synonyms`].
    struct DescribeConfigsSynonym {
        /// TODO
        name: Str [1..],
        /// TODO
        value: Option<Str> [1..],
        /// TODO
        source: i8 [1..],
    }
}
