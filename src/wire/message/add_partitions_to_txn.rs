//! AddPartitionsToTxn (key 24): partitions take part in a transaction.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Adds partitions before records go to them. Versions 0 to 3 are sent by producers; later ones by brokers, which
    /// may only want to verify (KIP-98, KIP-890).
    struct AddPartitionsToTxnRequest {
        /// One entry per transactional id.
        transactions: Vec<AddPartitionsToTxnTransaction> [4..],
        /// The transactional id, up to version 3.
        v3_and_below_transactional_id: Str [0..=3],
        /// The producer's id, up to version 3.
        v3_and_below_producer_id: i64 [0..=3],
        /// The producer's epoch, up to version 3.
        v3_and_below_producer_epoch: i16 [0..=3],
        /// The partitions to add, by topic, up to version 3.
        v3_and_below_topics: Vec<AddPartitionsToTxnTopic> [0..=3],
    }

    /// An element of [`AddPartitionsToTxnRequest::transactions`].
    struct AddPartitionsToTxnTransaction {
        /// The transactional id.
        transactional_id: Str [4..],
        /// The producer's id; −1 for none.
        producer_id: i64 [4..],
        /// The producer's epoch; −1 for none.
        producer_epoch: i16 [4..],
        /// Whether only to check that the partitions are in the transaction, and not to add them (KIP-890).
        verify_only: bool [4..],
        /// One entry per topic.
        topics: Vec<AddPartitionsToTxnTopic> [4..],
    }

    /// Partitions of one topic, to be added.
    struct AddPartitionsToTxnTopic {
        /// The topic's name.
        name: Str [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }

    /// Answers [`AddPartitionsToTxnRequest`]: the outcome per partition.
    struct AddPartitionsToTxnResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [4..; ignorable],
        /// One entry per transactional id, from version 4 on.
        results_by_transaction: Vec<AddPartitionsToTxnResult> [4..],
        /// One entry per topic, up to version 3.
        results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult> [0..=3],
    }

    /// An element of [`AddPartitionsToTxnResponse::results_by_transaction`].
    struct AddPartitionsToTxnResult {
        /// The transactional id.
        transactional_id: Str [4..],
        /// One entry per topic.
        topic_results: Vec<AddPartitionsToTxnTopicResult> [4..],
    }

    /// The outcome for one topic.
    struct AddPartitionsToTxnTopicResult {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        results_by_partition: Vec<AddPartitionsToTxnPartitionResult> [0..],
    }

    /// The outcome for one partition.
    struct AddPartitionsToTxnPartitionResult {
        /// The partition's number.
        partition_index: i32 [0..],
        /// What went wrong, if anything.
        partition_error_code: ErrorCode [0..],
    }
}
