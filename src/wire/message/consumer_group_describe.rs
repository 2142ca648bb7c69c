//! ConsumerGroupDescribe (key 69).

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// TODO
    struct ConsumerGroupDescribeRequest {
        /// TODO
        group_ids: Vec<Str> [0..],
        /// TODO
        include_authorized_operations: bool [0..],
    }

    /// TODO
    struct ConsumerGroupDescribeResponse {
        /// TODO
        throttle_time_ms: i32 [0..],
        /// TODO
        groups: Vec<DescribedGroup> [0..],
    }

    /// An element of [`ConsumerGroupDescribeResponse::groups`].
    struct DescribedGroup {
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [0..],
        /// TODO
        group_id: Str [0..],
        /// TODO
        group_state: Str [0..],
        /// TODO
        group_epoch: i32 [0..],
        /// TODO
        assignment_epoch: i32 [0..],
        /// TODO
        assignor_name: Str [0..],
        /// TODO
        members: Vec<Member> [0..],
        /// TODO
        authorized_operations: i32 = -2_147_483_648 [0..],
    }

    /// An element of [`DescribedGroup::members`].
    struct Member {
        /// TODO
        member_id: Str [0..],
        /// TODO
        instance_id: Option<Str> [0..],
        /// TODO
        rack_id: Option<Str> [0..],
        /// TODO
        member_epoch: i32 [0..],
        /// TODO
        client_id: Str [0..],
        /// TODO
        client_host: Str [0..],
        /// TODO
        subscribed_topic_names: Vec<Str> [0..],
        /// TODO
        subscribed_topic_regex: Option<Str> [0..],
        /// TODO
        assignment: Assignment [0..],
        /// TODO
        target_assignment: Assignment [0..],
    }

    /// See [`Member::assignment`].
    struct Assignment {
        /// TODO
        topic_partitions: Vec<TopicPartitions> [0..],
    }

    /// An element of [`Assignment::topic_partitions`].
    struct TopicPartitions {
        /// TODO
        topic_id: TopicId [0..],
        /// TODO
        topic_name: Str [0..],
        /// TODO
        partitions: Vec<i32> [0..],
    }
}
