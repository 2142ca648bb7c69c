//! FindCoordinator (key 10).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct FindCoordinatorRequest {
        /// TODO
        key: Str [0..=3],
        /// TODO
        key_type: i8 [1..],
        /// TODO
        coordinator_keys: Vec<Str> [4..],
    }

    /// TODO
    struct FindCoordinatorResponse {
        /// TODO
        throttle_time_ms: i32 [1..; ignorable],
        /// TODO
        error_code: ErrorCode [0..=3],
        /// TODO
        error_message: Option<Str> [1..=3; ignorable],
        /// TODO
        node_id: i32 [0..=3],
        /// TODO
        host: Str [0..=3],
        /// TODO
        port: i32 [0..=3],
        /// TODO
        coordinators: Vec<Coordinator> [4..],
    }

    /// An element of [`FindCoordinatorResponse::coordinators`].
    struct Coordinator {
        /// TODO
        key: Str [4..],
        /// TODO
        node_id: i32 [4..],
        /// TODO
        host: Str [4..],
        /// TODO
        port: i32 [4..],
        /// TODO
        error_code: ErrorCode [4..],
        /// TODO
        error_message: Option<Str> [4..; ignorable],
    }
}
