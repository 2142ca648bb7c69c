//! CreateAcls (key 30): new access rules.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Adds rules (KIP-140, KIP-290).
    struct CreateAclsRequest {
        /// The rules to add.
        creations: Vec<AclCreation> [0..],
    }

    /// An element of [`CreateAclsRequest::creations`].
    struct AclCreation {
        /// What kind of resource, as Kafka numbers them.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Str [0..],
        /// How the resource's name is meant: 3 literally, 4 as a prefix (KIP-290).
        resource_pattern_type: i8 = 3 [1..],
        /// The principal, with its kind: `User:alice`.
        principal: Str [0..],
        /// The host that the rule is about; `*` for any.
        host: Str [0..],
        /// Which operation, as Kafka numbers them.
        operation: i8 [0..],
        /// Whether the rule allows or denies, as Kafka numbers it.
        permission_type: i8 [0..],
    }

    /// Answers [`CreateAclsRequest`]: the outcome per rule, in the order of the request.
    struct CreateAclsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per thing asked for.
        results: Vec<AclCreationResult> [0..],
    }

    /// An element of [`CreateAclsResponse::results`].
    struct AclCreationResult {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
    }
}
