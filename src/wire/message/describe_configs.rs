//! DescribeConfigs (key 32): the configuration of topics and brokers.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for configuration (KIP-133, KIP-226, KIP-569).
    struct DescribeConfigsRequest {
        /// One entry per resource.
        resources: Vec<DescribeConfigsResource> [0..],
        /// Whether to tell the sources that a value overrides.
        include_synonyms: bool [1..],
        /// Whether to tell what a key means (KIP-569).
        include_documentation: bool [3..],
    }

    /// An element of [`DescribeConfigsRequest::resources`].
    struct DescribeConfigsResource {
        /// What kind of resource, as Kafka numbers them.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Str [0..],
        /// The keys asked for; null for all.
        configuration_keys: Option<Vec<Str>> [0..],
    }

    /// Answers [`DescribeConfigsRequest`]: the configuration.
    struct DescribeConfigsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per thing asked for.
        results: Vec<DescribeConfigsResult> [0..],
    }

    /// An element of [`DescribeConfigsResponse::results`].
    struct DescribeConfigsResult {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// What kind of resource, as Kafka numbers them.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Str [0..],
        /// The configuration, key by key.
        configs: Vec<DescribeConfigsResourceResult> [0..],
    }

    /// An element of [`DescribeConfigsResult::configs`].
    struct DescribeConfigsResourceResult {
        /// The key.
        name: Str [0..],
        /// The value; null for none.
        value: Option<Str> [0..],
        /// Whether it cannot be changed while the broker runs.
        read_only: bool [0..],
        /// Whether the value is the default; in version 0, which has no sources.
        is_default: bool [0..=0],
        /// Where the value comes from, as Kafka numbers the sources.
        config_source: i8 = -1 [1..; ignorable],
        /// Whether the value is secret, and therefore null here.
        is_sensitive: bool [0..],
        /// Where else a value is set, the strongest first.
        synonyms: Vec<DescribeConfigsSynonym> [1..; ignorable],
        /// The value's type, as Kafka numbers them (KIP-569).
        config_type: i8 [3..; ignorable],
        /// What the key means.
        documentation: Option<Str> [3..; ignorable],
    }

    /// An element of [`DescribeConfigsResourceResult::synonyms`].
    struct DescribeConfigsSynonym {
        /// The key that is set there.
        name: Str [1..],
        /// The value; null for none.
        value: Option<Str> [1..],
        /// Where the value comes from, as Kafka numbers the sources.
        source: i8 [1..],
    }
}
