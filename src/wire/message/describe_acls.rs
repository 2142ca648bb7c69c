//! DescribeAcls (key 29): which access rules there are.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for the rules that match a filter (KIP-140, KIP-290).
    struct DescribeAclsRequest {
        /// What kind of resource, as Kafka numbers them; 1 for any.
        resource_type_filter: i8 [0..],
        /// The resource's name; null for any.
        resource_name_filter: Option<Str> [0..],
        /// How the name matches (KIP-290), as Kafka numbers it; 1 for any, 2 for all that match.
        pattern_type_filter: i8 = 3 [1..],
        /// The principal, with its kind; null for any.
        principal_filter: Option<Str> [0..],
        /// The host; null for any.
        host_filter: Option<Str> [0..],
        /// Which operation, as Kafka numbers them; 1 for any.
        operation: i8 [0..],
        /// Whether the rule allows or denies, as Kafka numbers it; 1 for either.
        permission_type: i8 [0..],
    }

    /// Answers [`DescribeAclsRequest`]: the rules, by resource.
    struct DescribeAclsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// One entry per resource.
        resources: Vec<DescribeAclsResource> [0..],
    }

    /// An element of [`DescribeAclsResponse::resources`].
    struct DescribeAclsResource {
        /// What kind of resource, as Kafka numbers them.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Str [0..],
        /// How the resource's name is meant: 3 literally, 4 as a prefix (KIP-290).
        pattern_type: i8 = 3 [1..],
        /// The rules.
        acls: Vec<AclDescription> [0..],
    }

    /// An element of [`DescribeAclsResource::acls`].
    struct AclDescription {
        /// The principal, with its kind: `User:alice`.
        principal: Str [0..],
        /// The host that the rule is about; `*` for any.
        host: Str [0..],
        /// Which operation, as Kafka numbers them.
        operation: i8 [0..],
        /// Whether the rule allows or denies, as Kafka numbers it.
        permission_type: i8 [0..],
    }
}
