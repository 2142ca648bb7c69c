//! AlterClientQuotas (key 49).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct AlterClientQuotasRequest {
        /// TODO
        entries: Vec<EntryData> [0..],
        /// TODO
        validate_only: bool [0..],
    }

    /// An element of [`AlterClientQuotasRequest::entries`].
    struct EntryData {
        /// TODO
        entity: Vec<EntityData> [0..],
        /// TODO
        ops: Vec<OpData> [0..],
    }

    /// An element of [`EntryData::entity`].
    struct EntityData {
        /// TODO
        entity_type: Str [0..],
        /// TODO
        entity_name: Option<Str> [0..],
    }

    /// An element of [`EntryData::ops`].
    struct OpData {
        /// TODO
        key: Str [0..],
        /// TODO
        value: f64 [0..],
        /// TODO
        remove: bool [0..],
    }

    /// TODO
    struct AlterClientQuotasResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        entries: Vec<EntryResult> [0..],
    }

    /// An element of [`AlterClientQuotasResponse::entries`].
    struct EntryResult {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        entity: Vec<EntityResult> [0..],
    }

    /// An element of [`EntryResult::entity`].
    struct EntityResult {
        /// TODO
        entity_type: Str [0..],
        /// TODO
        entity_name: Option<Str> [0..],
    }
}
