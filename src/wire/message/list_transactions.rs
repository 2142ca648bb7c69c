//! ListTransactions (key 66): which transactional ids there are.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks a coordinator for its transactional ids (KIP-664, KIP-994).
    struct ListTransactionsRequest {
        /// Only transactions in these states; empty for all.
        state_filters: Vec<Str> [0..],
        /// Only transactions of these producers; empty for all.
        producer_id_filters: Vec<i64> [0..],
        /// Only transactions that are open for more than this, in ms; −1 for all (KIP-994).
        duration_filter: i64 = -1 [1..],
    }

    /// Answers [`ListTransactionsRequest`]: the transactional ids.
    struct ListTransactionsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// States of the request that the broker does not know.
        unknown_state_filters: Vec<Str> [0..],
        /// The transactional ids.
        transaction_states: Vec<TransactionState> [0..],
    }

    /// An element of [`ListTransactionsResponse::transaction_states`].
    struct TransactionState {
        /// The transactional id.
        transactional_id: Str [0..],
        /// The producer's id; −1 for none.
        producer_id: i64 [0..],
        /// The transaction's state, by name.
        transaction_state: Str [0..],
    }
}
