//! OffsetCommit (key 8).

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// TODO
    struct OffsetCommitRequest {
        /// TODO
        group_id: Str [0..],
        /// TODO
        generation_id_or_member_epoch: i32 = -1 [1..; ignorable],
        /// TODO
        member_id: Str [1..; ignorable],
        /// TODO
        group_instance_id: Option<Str> [7..],
        /// TODO
        retention_time_ms: i64 = -1 [2..=4; ignorable],
        /// TODO
        topics: Vec<OffsetCommitRequestTopic> [0..],
    }

    /// An element of [`OffsetCommitRequest::topics`].
    struct OffsetCommitRequestTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<OffsetCommitRequestPartition> [0..],
    }

    /// An element of [`OffsetCommitRequestTopic::partitions`].
    struct OffsetCommitRequestPartition {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        committed_offset: i64 [0..],
        /// TODO
        committed_leader_epoch: i32 = -1 [6..; ignorable],
        /// TODO
        commit_timestamp: i64 = -1 [1..=1],
        /// TODO
        committed_metadata: Option<Str> [0..],
    }

    /// TODO
    struct OffsetCommitResponse {
        /// TODO
        throttle_time_ms: i32 [3..; ignorable],
        /// TODO
        topics: Vec<OffsetCommitResponseTopic> [0..],
    }

    /// An element of [`OffsetCommitResponse::topics`].
    struct OffsetCommitResponseTopic {
        /// TODO
        name: Str [0..],
        /// TODO
        partitions: Vec<OffsetCommitResponsePartition> [0..],
    }

    /// An element of [`OffsetCommitResponseTopic::partitions`].
    struct OffsetCommitResponsePartition {
        /// TODO
        partition_index: i32 [0..],
        /// TODO
        error_code: ErrorCode [0..],
    }
}
