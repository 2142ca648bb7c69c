//! AlterClientQuotas (key 49): changes quotas.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Sets and removes quotas (KIP-546).
    struct AlterClientQuotasRequest {
        /// One entry per entity.
        entries: Vec<EntryData> [0..],
        /// Whether to check only, and change nothing.
        validate_only: bool [0..],
    }

    /// An element of [`AlterClientQuotasRequest::entries`].
    struct EntryData {
        /// What the entity consists of.
        entity: Vec<EntityData> [0..],
        /// The quotas to change.
        ops: Vec<OpData> [0..],
    }

    /// An element of [`EntryData::entity`].
    struct EntityData {
        /// What kind of entity, for instance `user` or `client-id`.
        entity_type: Str [0..],
        /// The entity's name; null for the default.
        entity_name: Option<Str> [0..],
    }

    /// An element of [`EntryData::ops`].
    struct OpData {
        /// The quota's name, for instance `producer_byte_rate`.
        key: Str [0..],
        /// The quota.
        value: f64 [0..],
        /// Whether the quota is removed, whatever the value.
        remove: bool [0..],
    }

    /// Answers [`AlterClientQuotasRequest`]: the outcome per entity.
    struct AlterClientQuotasResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per entity.
        entries: Vec<EntryResult> [0..],
    }

    /// An element of [`AlterClientQuotasResponse::entries`].
    struct EntryResult {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// What the entity consists of.
        entity: Vec<EntityResult> [0..],
    }

    /// An element of [`EntryResult::entity`].
    struct EntityResult {
        /// What kind of entity, for instance `user` or `client-id`.
        entity_type: Str [0..],
        /// The entity's name; null for the default.
        entity_name: Option<Str> [0..],
    }
}
