//! CreateAcls (key 30).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct CreateAclsRequest {
        /// TODO
        creations: Vec<AclCreation> [0..],
    }

    /// An element of [`CreateAclsRequest::creations`].
    struct AclCreation {
        /// TODO
        resource_type: i8 [0..],
        /// TODO
        resource_name: Str [0..],
        /// TODO
        resource_pattern_type: i8 = 3 [1..],
        /// TODO
        principal: Str [0..],
        /// TODO
        host: Str [0..],
        /// TODO
        operation: i8 [0..],
        /// TODO
        permission_type: i8 [0..],
    }

    /// TODO
    struct CreateAclsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        results: Vec<AclCreationResult> [0..],
    }

    /// An element of [`CreateAclsResponse::results`].
    struct AclCreationResult {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
    }
}
