//! DescribeClientQuotas (key 48).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct DescribeClientQuotasRequest {
        /// TODO
        components: Vec<ComponentData> [0..],
        /// TODO
        strict: bool [0..],
    }

    /// An element of [`DescribeClientQuotasRequest::components`].
    struct ComponentData {
        /// TODO
        entity_type: Str [0..],
        /// TODO
        match_type: i8 [0..],
        /// TODO
        matched: Option<Str> [0..],
    }

    /// TODO
    struct DescribeClientQuotasResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        entries: Option<Vec<EntryData>> [0..],
    }

    /// An element of [`DescribeClientQuotasResponse::entries`].
    struct EntryData {
        /// TODO
        entity: Vec<EntityData> [0..],
        /// TODO
        values: Vec<ValueData> [0..],
    }

    /// An element of [`EntryData::entity`].
    struct EntityData {
        /// TODO
        entity_type: Str [0..],
        /// TODO
        entity_name: Option<Str> [0..],
    }

    /// An element of [`EntryData::values`].
    struct ValueData {
        /// TODO
        key: Str [0..],
        /// TODO
        value: f64 [0..],
    }
}
