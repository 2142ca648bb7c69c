//! AddPartitionsToTxn (key 24).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct AddPartitionsToTxnRequest {
        /// TODO
        transactions: Vec<AddPartitionsToTxnTransaction> [4..],
        /// TODO
        v3_and_below_transactional_id: Str [0..=3],
        /// TODO
        v3_and_below_producer_id: i64 [0..=3],
        /// TODO
        v3_and_below_producer_epoch: i16 [0..=3],
        /// TODO
        v3_and_below_topics: Vec<AddPartitionsToTxnTopic> [0..=3],
    }

    /// An element of [`AddPartitionsToTxnRequest::transactions`].
    struct AddPartitionsToTxnTransaction {
        /// TODO
        transactional_id: Str [4..],
        /// TODO
        producer_id: i64 [4..],
        /// TODO
        producer_epoch: i16 [4..],
        /// TODO
        verify_only: bool [4..],
        /// TODO
        topics: Vec<AddPartitionsToTxnTopic> [4..],
    }

    /// An element of [`AddPartitionsToTxnRequest::v3_and_below_topics`].
    struct AddPartitionsToTxnTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<i32> [0..],
    }

    /// TODO
    struct AddPartitionsToTxnResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        error_code: ErrorCode [4..; ignorable],
        /// TODO
        results_by_transaction: Vec<AddPartitionsToTxnResult> [4..],
        /// TODO
        results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult> [0..=3],
    }

    /// An element of [`AddPartitionsToTxnResponse::results_by_transaction`].
    struct AddPartitionsToTxnResult {
        /// TODO
        transactional_id: Str [4..],
        /// TODO
        topic_results: Vec<AddPartitionsToTxnTopicResult> [4..],
    }

    /// An element of [`AddPartitionsToTxnResponse::results_by_topic_v3_and_below`].
    struct AddPartitionsToTxnTopicResult {
        /// TODO
        name: Str [0..],
        /// TODO
        results_by_partition: Vec<AddPartitionsToTxnPartitionResult> [0..],
    }

    /// An element of [`AddPartitionsToTxnTopicResult::results_by_partition`].
    struct AddPartitionsToTxnPartitionResult {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        partition_error_code: ErrorCode [0..],
    }
}
