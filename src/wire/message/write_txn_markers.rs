//! WriteTxnMarkers (key 27): the transaction coordinator writes the end of a transaction into the partitions.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Markers to append (KIP-98).
    struct WriteTxnMarkersRequest {
        /// One entry per producer.
        markers: Vec<WritableTxnMarker> [0..],
    }

    /// An element of [`WriteTxnMarkersRequest::markers`].
    struct WritableTxnMarker {
        /// The producer's id; −1 for none.
        producer_id: i64 [0..],
        /// The producer's epoch; −1 for none.
        producer_epoch: i16 [0..],
        /// Whether the transaction commits.
        transaction_result: bool [0..],
        /// The partitions to mark, by topic.
        topics: Vec<WritableTxnMarkerTopic> [0..],
        /// The epoch of the transaction coordinator: the leader epoch of its partition.
        coordinator_epoch: i32 [0..],
    }

    /// An element of [`WritableTxnMarker::topics`].
    struct WritableTxnMarkerTopic {
        /// The topic's name.
        name: Str [0..],
        /// The partitions' numbers.
        partition_indexes: Vec<i32> [0..],
    }

    /// Answers [`WriteTxnMarkersRequest`]: the outcome per partition.
    struct WriteTxnMarkersResponse {
        /// One entry per producer.
        markers: Vec<WritableTxnMarkerResult> [0..],
    }

    /// An element of [`WriteTxnMarkersResponse::markers`].
    struct WritableTxnMarkerResult {
        /// The producer's id; −1 for none.
        producer_id: i64 [0..],
        /// One entry per topic.
        topics: Vec<WritableTxnMarkerTopicResult> [0..],
    }

    /// An element of [`WritableTxnMarkerResult::topics`].
    struct WritableTxnMarkerTopicResult {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<WritableTxnMarkerPartitionResult> [0..],
    }

    /// An element of [`WritableTxnMarkerTopicResult::partitions`].
    struct WritableTxnMarkerPartitionResult {
        /// The partition's number.
        partition_index: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
    }
}
