//! ListGroups (key 16).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct ListGroupsRequest {
        /// TODO
        states_filter: Vec<Str> [4..],
        /// TODO
        types_filter: Vec<Str> [5..],
    }

    /// TODO
    struct ListGroupsResponse {
        /// TODO
        throttle_time_ms: i32 [1..; ignorable],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        groups: Vec<ListedGroup> [0..],
    }

    /// An element of [`ListGroupsResponse::groups`].
    struct ListedGroup {
        /// TODO
        group_id: Str [0..],
        /// TODO
        protocol_type: Str [0..],
        /// TODO
        group_state: Str [4..; ignorable],
        /// TODO
        group_type: Str [5..; ignorable],
    }
}
