//! DescribeTransactions (key 65): transactions in detail.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for the state of transactional ids (KIP-664).
    struct DescribeTransactionsRequest {
        /// The transactional ids.
        transactional_ids: Vec<Str> [0..],
    }

    /// Answers [`DescribeTransactionsRequest`]: the states.
    struct DescribeTransactionsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per transactional id.
        transaction_states: Vec<TransactionState> [0..],
    }

    /// An element of [`DescribeTransactionsResponse::transaction_states`].
    struct TransactionState {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The transactional id.
        transactional_id: Str [0..],
        /// The transaction's state, by name.
        transaction_state: Str [0..],
        /// How long a transaction may stay open, in ms.
        transaction_timeout_ms: i32 [0..],
        /// When the transaction began, in ms since 1970; −1 when there is none.
        transaction_start_time_ms: i64 [0..],
        /// The producer's id; −1 for none.
        producer_id: i64 [0..],
        /// The producer's epoch; −1 for none.
        producer_epoch: i16 [0..],
        /// One entry per topic.
        topics: Vec<TopicData> [0..],
    }

    /// An element of [`TransactionState::topics`].
    struct TopicData {
        /// The topic's name.
        topic: Str [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }
}
