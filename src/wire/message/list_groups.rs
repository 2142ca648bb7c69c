//! ListGroups (key 16): which groups there are.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for the groups that the broker coordinates (KIP-518, KIP-848).
    struct ListGroupsRequest {
        /// Only groups in these states; empty for all.
        states_filter: Vec<Str> [4..],
        /// Only groups of these types; empty for all (KIP-848).
        types_filter: Vec<Str> [5..],
    }

    /// Answers [`ListGroupsRequest`]: the groups.
    struct ListGroupsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [1..; ignorable],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// One entry per group.
        groups: Vec<ListedGroup> [0..],
    }

    /// An element of [`ListGroupsResponse::groups`].
    struct ListedGroup {
        /// The group's name.
        group_id: Str [0..],
        /// What kind of group it is, for instance `consumer`.
        protocol_type: Str [0..],
        /// The group's state, by name.
        group_state: Str [4..; ignorable],
        /// `classic` or `consumer` (KIP-848).
        group_type: Str [5..; ignorable],
    }
}
