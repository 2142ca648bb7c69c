//! What an answer, or the lack of one, means to a member.

use super::Answer;
use crate::client::error::ClientError;
use crate::model::ErrorCode;

/// What an error means to a member.
pub(super) enum Verdict {
    /// Try again.
    Passes,
    /// The group rebalances.
    Rebalance,
    /// The group knows this member no more.
    Unknown,
    /// It can never work.
    Fatal,
}

/// What an answer says of all that was asked.
pub(super) fn code(answer: &Answer) -> ErrorCode {
    match answer {
        Answer::Join(joined) => joined.error_code,
        Answer::Sync(synced) => synced.error_code,
        Answer::Heartbeat(heard) => heard.error_code,
        Answer::Commit(committed) => {
            let mut codes = committed.topics.iter().flat_map(|topic| &topic.partitions).map(|it| it.error_code);
            codes.find(|code| code.is_error()).unwrap_or(ErrorCode::None)
        }
        Answer::Leave | Answer::Count(_) => ErrorCode::None,
    }
}

pub(super) fn verdict(error: &ClientError) -> Verdict {
    if error.is_refusal(ErrorCode::RebalanceInProgress) {
        Verdict::Rebalance
    } else if error.is_refusal(ErrorCode::UnknownMemberId) || error.is_refusal(ErrorCode::IllegalGeneration) {
        Verdict::Unknown
    } else if error.is_retriable() {
        Verdict::Passes
    } else {
        Verdict::Fatal
    }
}
