//! DescribeAcls (key 29).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct DescribeAclsRequest {
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
    struct DescribeAclsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        resources: Vec<DescribeAclsResource> [0..],
    }

    /// An element of [`DescribeAclsResponse::resources`].
    struct DescribeAclsResource {
        /// TODO
        resource_type: i8 [0..],
        /// TODO
        resource_name: Str [0..],
        /// TODO
        pattern_type: i8 = 3 [1..],
        /// TODO
        acls: Vec<AclDescription> [0..],
    }

    /// An element of [`DescribeAclsResource::acls`].
    struct AclDescription {
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
