//! DescribeClientQuotas (key 48): which quotas there are.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for the quotas that match a filter (KIP-546).
    struct DescribeClientQuotasRequest {
        /// What the entity consists of.
        components: Vec<ComponentData> [0..],
        /// Whether entities with further components are left out.
        strict: bool [0..],
    }

    /// An element of [`DescribeClientQuotasRequest::components`].
    struct ComponentData {
        /// What kind of entity, for instance `user` or `client-id`.
        entity_type: Str [0..],
        /// 0 matches the given name, 1 the default, 2 any given name.
        match_type: i8 [0..],
        /// The name to match; null unless the type asks for one.
        matched: Option<Str> [0..],
    }

    /// Answers [`DescribeClientQuotasRequest`]: the quotas.
    struct DescribeClientQuotasResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// The entities that match; null when something went wrong.
        entries: Option<Vec<EntryData>> [0..],
    }

    /// An element of [`DescribeClientQuotasResponse::entries`].
    struct EntryData {
        /// What the entity consists of.
        entity: Vec<EntityData> [0..],
        /// The quotas, key by key.
        values: Vec<ValueData> [0..],
    }

    /// An element of [`EntryData::entity`].
    struct EntityData {
        /// What kind of entity, for instance `user` or `client-id`.
        entity_type: Str [0..],
        /// The entity's name; null for the default.
        entity_name: Option<Str> [0..],
    }

    /// An element of [`EntryData::values`].
    struct ValueData {
        /// The quota's name, for instance `producer_byte_rate`.
        key: Str [0..],
        /// The quota.
        value: f64 [0..],
    }
}
