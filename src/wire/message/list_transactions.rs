//! ListTransactions (key 66).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct ListTransactionsRequest {
        /// TODO
        state_filters: Vec<Str> [0..],
        /// TODO
        producer_id_filters: Vec<i64> [0..],
        /// TODO
        duration_filter: i64 = -1 [1..],
    }

    /// TODO
    struct ListTransactionsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        unknown_state_filters: Vec<Str> [0..],
        /// TODO
        transaction_states: Vec<TransactionState> [0..],
    }

    /// An element of [`ListTransactionsResponse::transaction_states`].
    struct TransactionState {
        /// TODO
        transactional_id: Str [0..],
        /// TODO
        producer_id: i64 [0..],
        /// TODO
        transaction_state: Str [0..],
    }
}
