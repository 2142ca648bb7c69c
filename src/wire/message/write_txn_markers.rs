//! WriteTxnMarkers (key 27).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct WriteTxnMarkersRequest {
        /// TODO
        markers: Vec<WritableTxnMarker> [0..],
    }

    /// An element of [`WriteTxnMarkersRequest::markers`].
    struct WritableTxnMarker {
        /// TODO
        producer_id: i64 [0..],
        /// TODO
        producer_epoch: i16 [0..],
        /// TODO
        transaction_result: bool [0..],
        /// TODO
        topics: Vec<WritableTxnMarkerTopic> [0..],
        /// TODO
        coordinator_epoch: i32 [0..],
    }

    /// An element of [`WritableTxnMarker::topics`].
    struct WritableTxnMarkerTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        partition_indexes: Vec<i32> [0..],
    }

    /// TODO
    struct WriteTxnMarkersResponse {
        /// TODO
        markers: Vec<WritableTxnMarkerResult> [0..],
    }

    /// An element of [`WriteTxnMarkersResponse::markers`].
    struct WritableTxnMarkerResult {
        /// TODO
        producer_id: i64 [0..],
        /// TODO
        topics: Vec<WritableTxnMarkerTopicResult> [0..],
    }

    /// An element of [`WritableTxnMarkerResult::topics`].
    struct WritableTxnMarkerTopicResult {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<WritableTxnMarkerPartitionResult> [0..],
    }

    /// An element of [`WritableTxnMarkerTopicResult::partitions`].
    struct WritableTxnMarkerPartitionResult {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
    }
}
