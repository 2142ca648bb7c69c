//! ConsumerGroupDescribe (key 69): what consumer groups of the new protocol look like.

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// Asks for groups in detail (KIP-848).
    struct ConsumerGroupDescribeRequest {
        /// The groups' names.
        group_ids: Vec<Str> [0..],
        /// Whether to say what the asker may do.
        include_authorized_operations: bool [0..],
    }

    /// Answers [`ConsumerGroupDescribeRequest`]: the groups.
    struct ConsumerGroupDescribeResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [0..],
        /// One entry per group.
        groups: Vec<DescribedGroup> [0..],
    }

    /// An element of [`ConsumerGroupDescribeResponse::groups`].
    struct DescribedGroup {
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [0..],
        /// The group's name.
        group_id: Str [0..],
        /// The group's state, by name.
        group_state: Str [0..],
        /// The group's epoch (KIP-848).
        group_epoch: i32 [0..],
        /// The epoch of the target assignment (KIP-848).
        assignment_epoch: i32 [0..],
        /// The assignor in use.
        assignor_name: Str [0..],
        /// The members.
        members: Vec<Member> [0..],
        /// What the asker may do, one bit per operation; `i32::MIN` when that was not asked.
        authorized_operations: i32 = -2_147_483_648 [0..],
    }

    /// An element of [`DescribedGroup::members`].
    struct Member {
        /// The member's id, which the coordinator gives out; empty before that.
        member_id: Str [0..],
        /// The name of a static member; null for a dynamic one.
        instance_id: Option<Str> [0..],
        /// Where the client stands; null when it does not say.
        rack_id: Option<Str> [0..],
        /// The member's epoch (KIP-848).
        member_epoch: i32 [0..],
        /// What the member's client calls itself.
        client_id: Str [0..],
        /// The address of the member's client.
        client_host: Str [0..],
        /// The topics that the member subscribes to.
        subscribed_topic_names: Vec<Str> [0..],
        /// The pattern of the topics that the member subscribes to; null for none.
        subscribed_topic_regex: Option<Str> [0..],
        /// What the member is to read.
        assignment: Assignment [0..],
        /// What the member is to read once the others have let go.
        target_assignment: Assignment [0..],
        /// The protocol that the member speaks: 0 for the classic one, 1 for the consumer protocol, −1 for unknown.
        member_type: i8 = -1 [1..; ignorable],
    }

    /// Partitions that a member owns or is to own.
    struct Assignment {
        /// Partitions, by topic.
        topic_partitions: Vec<TopicPartitions> [0..],
    }

    /// Partitions of one topic.
    struct TopicPartitions {
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [0..],
        /// The topic's name.
        topic_name: Str [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }
}
