//! FindCoordinator (key 10): which broker coordinates a group or a transactional id.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for coordinators (KIP-98, KIP-699). Versions 0 to 3 ask for one, later ones for several.
    struct FindCoordinatorRequest {
        /// The group or transactional id, up to version 3.
        key: Str [0..=3],
        /// What is coordinated: 0 a group, 1 a transactional id.
        key_type: i8 [1..],
        /// What is coordinated, from version 4 on.
        coordinator_keys: Vec<Str> [4..],
    }

    /// Answers [`FindCoordinatorRequest`]: where the coordinators are.
    struct FindCoordinatorResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [1..; ignorable],
        /// What went wrong, up to version 3.
        error_code: ErrorCode [0..=3],
        /// What went wrong, in words, up to version 3.
        error_message: Option<Str> [1..=3; ignorable],
        /// The coordinator's broker id, up to version 3; −1 for none.
        node_id: i32 [0..=3],
        /// The host to connect to, up to version 3.
        host: Str [0..=3],
        /// The port to connect to, up to version 3.
        port: i32 [0..=3],
        /// One entry per key, from version 4 on.
        coordinators: Vec<Coordinator> [4..],
    }

    /// An element of [`FindCoordinatorResponse::coordinators`].
    struct Coordinator {
        /// The group or transactional id.
        key: Str [4..],
        /// The coordinator's broker id; −1 for none.
        node_id: i32 [4..],
        /// The host to connect to.
        host: Str [4..],
        /// The port to connect to.
        port: i32 [4..],
        /// What went wrong, if anything.
        error_code: ErrorCode [4..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [4..; ignorable],
    }
}
