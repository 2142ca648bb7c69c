//! InitProducerId (key 22): an id for an idempotent or transactional producer.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for a producer id and epoch; ends what a former incarnation left open (KIP-98, KIP-360).
    struct InitProducerIdRequest {
        /// The transactional id; null for a producer that is only idempotent.
        transactional_id: Option<Str> [0..],
        /// How long a transaction may stay open, in ms.
        transaction_timeout_ms: i32 [0..],
        /// The id that the producer has already; −1 for none (KIP-360).
        producer_id: i64 = -1 [3..],
        /// The epoch that the producer has already; −1 for none (KIP-360).
        producer_epoch: i16 = -1 [3..],
    }

    /// Answers [`InitProducerIdRequest`]: the id and epoch.
    struct InitProducerIdResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..; ignorable],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The producer's id; −1 for none.
        producer_id: i64 = -1 [0..],
        /// The producer's epoch; −1 for none.
        producer_epoch: i16 [0..],
    }
}
