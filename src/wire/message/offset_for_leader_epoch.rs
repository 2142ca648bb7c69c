//! OffsetForLeaderEpoch (key 23): where the records of a leader epoch end.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for the end of epochs, to find where two logs part (KIP-101, KIP-320).
    struct OffsetForLeaderEpochRequest {
        /// The follower's broker id; −1 for a consumer, −2 for unsaid.
        replica_id: i32 = -2 [3..; ignorable],
        /// One entry per topic.
        topics: Vec<OffsetForLeaderTopic> [0..],
    }

    /// An element of [`OffsetForLeaderEpochRequest::topics`].
    struct OffsetForLeaderTopic {
        /// The topic's name.
        topic: Str [0..],
        /// One entry per partition.
        partitions: Vec<OffsetForLeaderPartition> [0..],
    }

    /// An element of [`OffsetForLeaderTopic::partitions`].
    struct OffsetForLeaderPartition {
        /// The partition's number.
        partition: i32 [0..],
        /// The leader epoch that the sender believes in, to be fenced by; −1 to not be (KIP-320).
        current_leader_epoch: i32 = -1 [2..; ignorable],
        /// The epoch whose end is asked for.
        leader_epoch: i32 [0..],
    }

    /// Answers [`OffsetForLeaderEpochRequest`]: the ends.
    struct OffsetForLeaderEpochResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [2..; ignorable],
        /// One entry per topic.
        topics: Vec<OffsetForLeaderTopicResult> [0..],
    }

    /// An element of [`OffsetForLeaderEpochResponse::topics`].
    struct OffsetForLeaderTopicResult {
        /// The topic's name.
        topic: Str [0..],
        /// One entry per partition.
        partitions: Vec<EpochEndOffset> [0..],
    }

    /// An element of [`OffsetForLeaderTopicResult::partitions`].
    struct EpochEndOffset {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The partition's number.
        partition: i32 [0..],
        /// The largest epoch at or below the one asked for; −1 when there is none.
        leader_epoch: i32 = -1 [1..; ignorable],
        /// One past the last offset of the epoch; −1 for unknown.
        end_offset: i64 = -1 [0..],
    }
}
