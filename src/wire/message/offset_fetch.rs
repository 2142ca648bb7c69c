//! OffsetFetch (key 9).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct OffsetFetchRequest {
        /// TODO
        group_id: Str [0..=7],
        /// TODO
        topics: Option<Vec<OffsetFetchRequestTopic>> [0..=7, nullable 2..=7],
        /// TODO
        groups: Vec<OffsetFetchRequestGroup> [8..],
        /// TODO
        require_stable: bool [7..],
    }

    /// An element of [`OffsetFetchRequest::topics`].
    struct OffsetFetchRequestTopic {
        /// TODO
        name: Str [0..=7],
        /// TODO
        partition_indexes: Vec<i32> [0..=7],
    }

    /// An element of [`OffsetFetchRequest::groups`].
    struct OffsetFetchRequestGroup {
        /// TODO
        group_id: Str [8..],
        /// TODO
        member_id: Option<Str> [9..; ignorable],
        /// TODO
        member_epoch: i32 = -1 [9..; ignorable],
        /// TODO
        topics: Option<Vec<OffsetFetchRequestTopics>> [8..],
    }

    /// An element of [`OffsetFetchRequestGroup::topics`].
    struct OffsetFetchRequestTopics {
        /// TODO
        name: Str [8..],
        /// TODO
        partition_indexes: Vec<i32> [8..],
    }

    /// TODO
    struct OffsetFetchResponse {
        /// TODO
        throttle_time_ms: i32 [3..; ignorable],
        /// TODO
        topics: Vec<OffsetFetchResponseTopic> [0..=7],
        /// TODO
        error_code: ErrorCode [2..=7; ignorable],
        /// TODO
        groups: Vec<OffsetFetchResponseGroup> [8..],
    }

    /// An element of [`OffsetFetchResponse::topics`].
    struct OffsetFetchResponseTopic {
        /// TODO
        name: Str [0..=7],
        /// TODO
        partitions: Vec<OffsetFetchResponsePartition> [0..=7],
    }

    /// An element of [`OffsetFetchResponse::groups`].
    struct OffsetFetchResponseGroup {
        /// TODO
        group_id: Str [8..],
        /// TODO
        topics: Vec<OffsetFetchResponseTopics> [8..],
        /// TODO
        error_code: ErrorCode [8..],
    }

    /// An element of [`OffsetFetchResponseTopic::partitions`].
    struct OffsetFetchResponsePartition {
        /// TODO
        partition_index: i32 [0..=7],
        /// TODO
        committed_offset: i64 [0..=7],
        /// TODO
        committed_leader_epoch: i32 = -1 [5..=7; ignorable],
        /// TODO
        metadata: Option<Str> [0..=7],
        /// TODO
        error_code: ErrorCode [0..=7],
    }

    /// An element of [`OffsetFetchResponseGroup::topics`].
    struct OffsetFetchResponseTopics {
        /// TODO
        name: Str [8..],
        /// TODO
        partitions: Vec<OffsetFetchResponsePartitions> [8..],
    }

    /// An element of [`OffsetFetchResponseTopics::partitions`].
    struct OffsetFetchResponsePartitions {
        /// TODO
        partition_index: i32 [8..],
        /// TODO
        committed_offset: i64 [8..],
        /// TODO
        committed_leader_epoch: i32 = -1 [8..; ignorable],
        /// TODO
        metadata: Option<Str> [8..],
        /// TODO
        error_code: ErrorCode [8..],
    }
}
