//! DeleteAcls (key 31): access rules to be gone.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Removes the rules that match filters (KIP-140, KIP-290).
    struct DeleteAclsRequest {
        /// What to remove: one entry per filter.
        filters: Vec<DeleteAclsFilter> [0..],
    }

    /// An element of [`DeleteAclsRequest::filters`].
    struct DeleteAclsFilter {
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

    /// Answers [`DeleteAclsRequest`]: what was removed, per filter in the order of the request.
    struct DeleteAclsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per filter.
        filter_results: Vec<DeleteAclsFilterResult> [0..],
    }

    /// An element of [`DeleteAclsResponse::filter_results`].
    struct DeleteAclsFilterResult {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// The rules that matched.
        matching_acls: Vec<DeleteAclsMatchingAcl> [0..],
    }

    /// An element of [`DeleteAclsFilterResult::matching_acls`].
    struct DeleteAclsMatchingAcl {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// What kind of resource, as Kafka numbers them.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Str [0..],
        /// How the resource's name is meant: 3 literally, 4 as a prefix (KIP-290).
        pattern_type: i8 = 3 [1..],
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
