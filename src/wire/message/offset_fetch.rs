//! OffsetFetch (key 9): how far a group has read.

use crate::model::ErrorCode;
use crate::wire::Str;

structs! {
    /// Asks for offsets that groups stored (KIP-709, KIP-447, KIP-848). Versions 0 to 7 ask for one group, later ones
    /// for several.
    struct OffsetFetchRequest {
        /// The group's name, up to version 7.
        group_id: Str [0..=7],
        /// The partitions asked for, by topic, up to version 7; null for all.
        topics: Option<Vec<OffsetFetchRequestTopic>> [0..=7, nullable 2..=7],
        /// The groups asked for, from version 8 on.
        groups: Vec<OffsetFetchRequestGroup> [8..],
        /// Whether to refuse while a transaction may still change the offsets (KIP-447).
        require_stable: bool [7..],
    }

    /// An element of [`OffsetFetchRequest::topics`].
    struct OffsetFetchRequestTopic {
        /// The topic's name.
        name: Str [0..=7],
        /// The partitions' numbers.
        partition_indexes: Vec<i32> [0..=7],
    }

    /// An element of [`OffsetFetchRequest::groups`].
    struct OffsetFetchRequestGroup {
        /// The group's name.
        group_id: Str [8..],
        /// The member that asks, in a consumer group of the new protocol; null for anybody (KIP-848).
        member_id: Option<Str> [9..; ignorable],
        /// The member's epoch; −1 when there is no member.
        member_epoch: i32 = -1 [9..; ignorable],
        /// The partitions asked for, by topic; null for all.
        topics: Option<Vec<OffsetFetchRequestTopics>> [8..],
    }

    /// An element of [`OffsetFetchRequestGroup::topics`].
    struct OffsetFetchRequestTopics {
        /// The topic's name.
        name: Str [8..],
        /// The partitions' numbers.
        partition_indexes: Vec<i32> [8..],
    }

    /// Answers [`OffsetFetchRequest`]: stored offsets.
    struct OffsetFetchResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [3..; ignorable],
        /// One entry per topic, up to version 7.
        topics: Vec<OffsetFetchResponseTopic> [0..=7],
        /// What went wrong with the group, up to version 7.
        error_code: ErrorCode [2..=7; ignorable],
        /// One entry per group, from version 8 on.
        groups: Vec<OffsetFetchResponseGroup> [8..],
    }

    /// An element of [`OffsetFetchResponse::topics`].
    struct OffsetFetchResponseTopic {
        /// The topic's name.
        name: Str [0..=7],
        /// One entry per partition.
        partitions: Vec<OffsetFetchResponsePartition> [0..=7],
    }

    /// An element of [`OffsetFetchResponse::groups`].
    struct OffsetFetchResponseGroup {
        /// The group's name.
        group_id: Str [8..],
        /// One entry per topic.
        topics: Vec<OffsetFetchResponseTopics> [8..],
        /// What went wrong, if anything.
        error_code: ErrorCode [8..],
    }

    /// An element of [`OffsetFetchResponseTopic::partitions`].
    struct OffsetFetchResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..=7],
        /// The offset to continue from; −1 when none is stored.
        committed_offset: i64 [0..=7],
        /// The leader epoch of the last record read; −1 for unknown (KIP-320).
        committed_leader_epoch: i32 = -1 [5..=7; ignorable],
        /// What the client stored along with the offset.
        metadata: Option<Str> [0..=7],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..=7],
    }

    /// An element of [`OffsetFetchResponseGroup::topics`].
    struct OffsetFetchResponseTopics {
        /// The topic's name.
        name: Str [8..],
        /// One entry per partition.
        partitions: Vec<OffsetFetchResponsePartitions> [8..],
    }

    /// An element of [`OffsetFetchResponseTopics::partitions`].
    struct OffsetFetchResponsePartitions {
        /// The partition's number.
        partition_index: i32 [8..],
        /// The offset to continue from; −1 when none is stored.
        committed_offset: i64 [8..],
        /// The leader epoch of the last record read; −1 for unknown (KIP-320).
        committed_leader_epoch: i32 = -1 [8..; ignorable],
        /// What the client stored along with the offset.
        metadata: Option<Str> [8..],
        /// What went wrong, if anything.
        error_code: ErrorCode [8..],
    }
}
