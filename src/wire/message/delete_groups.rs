//! DeleteGroups (key 42): groups to be gone.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Deletes groups that have no members (KIP-229).
    struct DeleteGroupsRequest {
        /// The groups' names.
        groups_names: Vec<Str> [0..],
    }

    /// Answers [`DeleteGroupsRequest`]: the outcome per group.
    struct DeleteGroupsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per thing asked for.
        results: Vec<DeletableGroupResult> [0..],
    }

    /// An element of [`DeleteGroupsResponse::results`].
    struct DeletableGroupResult {
        /// The group's name.
        group_id: Str [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }
}
