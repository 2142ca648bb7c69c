//! ListOffsets (key 2): looks up offsets by time.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for the first offset at or after a time, or for one of the ends of a partition (KIP-79, KIP-405, KIP-734).
    struct ListOffsetsRequest {
        /// The follower's broker id; −1 for a consumer, −2 for a debugging consumer.
        replica_id: i32 [0..],
        /// 0 reads everything below the high watermark, 1 only what is below the last stable offset (KIP-98).
        isolation_level: i8 [2..],
        /// One entry per topic.
        topics: Vec<ListOffsetsTopic> [0..],
    }

    /// An element of [`ListOffsetsRequest::topics`].
    struct ListOffsetsTopic {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<ListOffsetsPartition> [0..],
    }

    /// An element of [`ListOffsetsTopic::partitions`].
    struct ListOffsetsPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The leader epoch that the sender believes in, to be fenced by; −1 to not be (KIP-320).
        current_leader_epoch: i32 = -1 [4..; ignorable],
        /// The time in ms since 1970; or −1 the log end, −2 the log start, −3 the record of the latest time (KIP-734),
        /// −4 the first offset on local disk and −5 the last on remote storage (KIP-405, KIP-1005).
        timestamp: i64 [0..],
        /// How many offsets to tell, in version 0.
        max_num_offsets: i32 = 1 [0..=0],
    }

    /// Answers [`ListOffsetsRequest`]: one offset per partition.
    struct ListOffsetsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [2..; ignorable],
        /// One entry per topic.
        topics: Vec<ListOffsetsTopicResponse> [0..],
    }

    /// An element of [`ListOffsetsResponse::topics`].
    struct ListOffsetsTopicResponse {
        /// The topic's name.
        name: Str [0..],
        /// One entry per partition.
        partitions: Vec<ListOffsetsPartitionResponse> [0..],
    }

    /// An element of [`ListOffsetsTopicResponse::partitions`].
    struct ListOffsetsPartitionResponse {
        /// The partition's number.
        partition_index: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// The offsets, in version 0.
        old_style_offsets: Vec<i64> [0..=0],
        /// The time of the record found, in ms since 1970; −1 for none.
        timestamp: i64 = -1 [1..],
        /// The offset found; −1 when there is none.
        offset: i64 = -1 [1..],
        /// The partition's leader epoch; −1 for unknown.
        leader_epoch: i32 = -1 [4..],
    }
}
