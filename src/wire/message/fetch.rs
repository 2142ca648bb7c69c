//! Fetch (key 1): reads records from partitions, for consumers and for followers.

use crate::model::{ErrorCode, TopicId};
use crate::wire::{Payload, Str};

structs! {
    /// Asks for records, waiting for them if need be (KIP-74, KIP-227, KIP-392, KIP-516, KIP-903).
    struct FetchRequest {
        /// The follower's broker id; −1 for a consumer. Up to version 14.
        replica_id: i32 = -1 [0..=14],
        /// How long to wait for `min_bytes`, in ms.
        max_wait_ms: i32 [0..],
        /// How many bytes are worth an answer before the wait is over.
        min_bytes: i32 [0..],
        /// How many bytes the answer may have; a first batch that is larger is sent nevertheless (KIP-74).
        max_bytes: i32 = 0x7fff_ffff [3..; ignorable],
        /// 0 reads everything below the high watermark, 1 only what is below the last stable offset (KIP-98).
        isolation_level: i8 [4..; ignorable],
        /// The fetch session; 0 for none (KIP-227).
        session_id: i32 [7..; ignorable],
        /// Which request of the session it is: 0 opens one, −1 closes it or does without (KIP-227).
        session_epoch: i32 = -1 [7..; ignorable],
        /// What to read, in the order in which it is wanted.
        topics: Vec<FetchTopic> [0..],
        /// Partitions to take out of the session (KIP-227).
        forgotten_topics_data: Vec<ForgottenTopic> [7..],
        /// Where the client stands; empty or null when it does not say.
        rack_id: Str [11..; ignorable],
        /// The cluster's id, checked in Raft quorums only; null when it is not known.
        cluster_id: Option<Str> [12.., tag 0; ignorable],
        /// Which follower asks (KIP-903); instead of `replica_id` from version 15 on.
        replica_state: ReplicaState [15.., tag 1],
    }

    /// An element of [`FetchRequest::topics`].
    struct FetchTopic {
        /// The topic's name.
        topic: Str [0..=12; ignorable],
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [13..; ignorable],
        /// One entry per partition.
        partitions: Vec<FetchPartition> [0..],
    }

    /// An element of [`FetchRequest::forgotten_topics_data`].
    struct ForgottenTopic {
        /// The topic's name.
        topic: Str [7..=12; ignorable],
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [13..; ignorable],
        /// The partitions' numbers.
        partitions: Vec<i32> [7..],
    }

    /// A follower, and which incarnation of it.
    struct ReplicaState {
        /// The follower's broker id; −1 for a consumer.
        replica_id: i32 = -1 [15..],
        /// The follower's broker epoch; −1 for unknown.
        replica_epoch: i64 = -1 [15..],
    }

    /// An element of [`FetchTopic::partitions`].
    struct FetchPartition {
        /// The partition's number.
        partition: i32 [0..],
        /// The leader epoch that the sender believes in, to be fenced by; −1 to not be (KIP-320).
        current_leader_epoch: i32 = -1 [9..; ignorable],
        /// The offset to begin at.
        fetch_offset: i64 [0..],
        /// The leader epoch of the last record that the follower has; −1 for none (KIP-595).
        last_fetched_epoch: i32 = -1 [12..],
        /// The follower's own log start offset; −1 from a consumer.
        log_start_offset: i64 = -1 [5..; ignorable],
        /// How many bytes of this partition the answer may have; a first batch that is larger is sent nevertheless.
        partition_max_bytes: i32 [0..],
        /// The id of the log dir that the follower writes to; zero for unknown (KIP-853).
        replica_directory_id: TopicId [17.., tag 0; ignorable],
    }

    /// Answers [`FetchRequest`]: records and offsets per partition.
    struct FetchResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [1..; ignorable],
        /// What went wrong with the request as a whole, the session for instance.
        error_code: ErrorCode [7..; ignorable],
        /// The fetch session that this answer belongs to; 0 for none (KIP-227).
        session_id: i32 [7..],
        /// One entry per topic; in a session only those with news.
        responses: Vec<FetchableTopicResponse> [0..],
        /// Where the new leaders are (KIP-951).
        node_endpoints: Vec<NodeEndpoint> [16.., tag 0],
    }

    /// An element of [`FetchResponse::responses`].
    struct FetchableTopicResponse {
        /// The topic's name.
        topic: Str [0..=12; ignorable],
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [13..; ignorable],
        /// One entry per partition.
        partitions: Vec<PartitionData> [0..],
    }

    /// Where a broker listens.
    struct NodeEndpoint {
        /// The broker's id.
        node_id: i32 [16..],
        /// The host to connect to.
        host: Str [16..],
        /// The port to connect to.
        port: i32 [16..],
        /// Where the broker stands; null when it does not say.
        rack: Option<Str> [16..],
    }

    /// An element of [`FetchableTopicResponse::partitions`].
    struct PartitionData {
        /// The partition's number.
        partition_index: i32 [0..],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// One past the last committed offset.
        high_watermark: i64 [0..],
        /// One past the last offset that readers of committed transactions see; −1 for unknown.
        last_stable_offset: i64 = -1 [4..; ignorable],
        /// The first offset that can be read; −1 for unknown.
        log_start_offset: i64 = -1 [5..; ignorable],
        /// The aborted transactions of which records are among those sent; null unless the isolation level asks.
        aborted_transactions: Option<Vec<AbortedTransaction>> [4..; ignorable],
        /// The broker to read from instead; −1 for this one (KIP-392).
        preferred_read_replica: i32 = -1 [11..],
        /// The record batches. Where there are none, send [`Payload::EMPTY`], as Kafka does: some clients do not
        /// expect null.
        records: Payload [0..],
        /// Where the follower's log parts from the leader's; unset when it does not (KIP-595).
        diverging_epoch: EpochEndOffset [12.., tag 0],
        /// Who leads now, when the error says that the receiver does not (KIP-951).
        current_leader: LeaderIdAndEpoch [12.., tag 1],
        /// The Raft snapshot to fetch first; never set outside of a Raft quorum.
        snapshot_id: SnapshotId [12.., tag 2],
    }

    /// An element of [`PartitionData::aborted_transactions`].
    struct AbortedTransaction {
        /// Whose transaction it is.
        producer_id: i64 [4..],
        /// The offset of its first record.
        first_offset: i64 [4..],
    }

    /// See [`PartitionData::diverging_epoch`].
    struct EpochEndOffset {
        /// The largest epoch that both logs may share; −1 when the logs do not part.
        epoch: i32 = -1 [12..],
        /// One past the last offset of the epoch; −1 for unknown.
        end_offset: i64 = -1 [12..],
    }

    /// Who leads a partition; unset when both are −1 (KIP-951).
    struct LeaderIdAndEpoch {
        /// The leader's broker id; −1 when there is none.
        leader_id: i32 = -1 [12..],
        /// The partition's leader epoch; −1 for unknown.
        leader_epoch: i32 = -1 [12..],
    }

    /// See [`PartitionData::snapshot_id`].
    struct SnapshotId {
        /// One past the last offset that the snapshot stands for; −1 when there is none.
        end_offset: i64 = -1 [0..],
        /// The epoch of that offset; −1 when there is none.
        epoch: i32 = -1 [0..],
    }
}
