//! DeleteGroups (key 42).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct DeleteGroupsRequest {
        /// TODO
        groups_names: Vec<Str> [0..],
    }

    /// TODO
    struct DeleteGroupsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        results: Vec<DeletableGroupResult> [0..],
    }

    /// An element of [`DeleteGroupsResponse::results`].
    struct DeletableGroupResult {
        /// TODO
        group_id: Str [0..],
        /// TODO
        error_code: ErrorCode [0..],
    }
}
