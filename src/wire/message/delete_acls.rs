//! DeleteAcls (key 31).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct DeleteAclsRequest {
        /// TODO
        filters: Vec<DeleteAclsFilter> [0..],
    }

    /// An element of [`DeleteAclsRequest::filters`].
    struct DeleteAclsFilter {
        /// TODO
        resource_type_filter: i8 [0..],
        /// TODO
        resource_name_filter: Option<Str> [0..],
        /// TODO
        pattern_type_filter: i8 = 3 [1..],
        /// TODO
        principal_filter: Option<Str> [0..],
        /// TODO
        host_filter: Option<Str> [0..],
        /// TODO
        operation: i8 [0..],
        /// TODO
        permission_type: i8 [0..],
    }

    /// TODO
    struct DeleteAclsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        filter_results: Vec<DeleteAclsFilterResult> [0..],
    }

    /// An element of [`DeleteAclsResponse::filter_results`].
    struct DeleteAclsFilterResult {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        matching_acls: Vec<DeleteAclsMatchingAcl> [0..],
    }

    /// An element of [`DeleteAclsFilterResult::matching_acls`].
    struct DeleteAclsMatchingAcl {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        resource_type: i8 [0..],
        /// TODO
        resource_name: Str [0..],
        /// TODO
        pattern_type: i8 = 3 [1..],
        /// TODO
        principal: Str [0..],
        /// TODO
        host: Str [0..],
        /// TODO
        operation: i8 [0..],
        /// TODO
        permission_type: i8 [0..],
    }
}
