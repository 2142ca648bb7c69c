//! DescribeTransactions (key 65).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct DescribeTransactionsRequest {
        /// TODO
        transactional_ids: Vec<Str> [0..],
    }

    /// TODO
    struct DescribeTransactionsResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        transaction_states: Vec<TransactionState> [0..],
    }

    /// An element of [`DescribeTransactionsResponse::transaction_states`].
    struct TransactionState {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        transactional_id: Str [0..],
        /// TODO
        transaction_state: Str [0..],
        /// TODO
        transaction_timeout_ms: i32 [0..],
        /// TODO
        transaction_start_time_ms: i64 [0..],
        /// TODO
        producer_id: i64 [0..],
        /// TODO
        producer_epoch: i16 [0..],
        /// TODO
        topics: Vec<TopicData> [0..],
    }

    /// An element of [`TransactionState::topics`].
    struct TopicData {
        /// TODO
        topic: Str [0..],
        /// TODO
        partitions: Vec<i32> [0..],
    }
}
