//! DeleteTopics (key 20): topics to be gone.

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// Deletes topics, by name or, from version 6 on, by id (KIP-516, KIP-599).
    struct DeleteTopicsRequest {
        /// One entry per topic.
        topics: Vec<DeleteTopicState> [6..],
        /// The topics' names, up to version 5.
        topic_names: Vec<Str> [0..=5; ignorable],
        /// How long the broker may take, in ms.
        timeout_ms: i32 [0..],
    }

    /// An element of [`DeleteTopicsRequest::topics`].
    struct DeleteTopicState {
        /// The topic's name; null to name it by id.
        name: Option<Str> [6..],
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [6..],
    }

    /// Answers [`DeleteTopicsRequest`]: the outcome per topic.
    struct DeleteTopicsResponse {
        /// How long the client should be quiet since it went over a quota, in ms; 0 for not at all.
        throttle_time_ms: i32 [1..; ignorable],
        /// One entry per thing asked for.
        responses: Vec<DeletableTopicResult> [0..],
    }

    /// An element of [`DeleteTopicsResponse::responses`].
    struct DeletableTopicResult {
        /// The topic's name; null when it was named by an unknown id.
        name: Option<Str> [0.., nullable 6..],
        /// The topic's id; zero when it is not known.
        topic_id: TopicId [6..; ignorable],
        /// What went wrong, if anything.
        error_code: ErrorCode [0..],
        /// What went wrong, in words; null when nothing did.
        error_message: Option<Str> [5..; ignorable],
    }
}
