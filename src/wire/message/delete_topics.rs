//! DeleteTopics (key 20).

use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

structs! {
    /// TODO
    struct DeleteTopicsRequest {
        /// TODO
        topics: Vec<DeleteTopicState> [6..],
        /// TODO
        topic_names: Vec<Str> [0..=5; ignorable],
        /// TODO
        timeout_ms: i32 [0..],
    }

    /// An element of [`DeleteTopicsRequest::topics`].
    struct DeleteTopicState {
        /// TODO
        name: Option<Str> [6..],
        /// TODO
        topic_id: TopicId [6..],
    }

    /// TODO
    struct DeleteTopicsResponse {
        /// TODO
        throttle_time_ms: i32 [1..; ignorable],
        /// TODO
        responses: Vec<DeletableTopicResult> [0..],
    }

    /// An element of [`DeleteTopicsResponse::responses`].
    struct DeletableTopicResult {
        /// TODO
        name: Option<Str> [0.., nullable 6..],
        /// TODO
        topic_id: TopicId [6..; ignorable],
        /// TODO
        error_code: ErrorCode [0..],
        /// TODO
        error_message: Option<Str> [5..; ignorable],
    }
}
