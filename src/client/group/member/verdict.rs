//! What an answer, or the lack of one, means to a member.

use super::Answer;
use crate::client::error::ClientError;
use crate::model::ErrorCode;
use crate::wire::message::OffsetCommitResponse;

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
        Answer::Commit(committed) => code_of_commit(committed),
        Answer::Beat(heard) => heard.error_code,
        Answer::Leave | Answer::Count(_) | Answer::Name(_) => ErrorCode::None,
    }
}

/// The first error of a commit's partitions.
pub(in crate::client::group) fn code_of_commit(committed: &OffsetCommitResponse) -> ErrorCode {
    let mut codes = committed.topics.iter().flat_map(|topic| &topic.partitions).map(|it| it.error_code);
    codes.find(|code| code.is_error()).unwrap_or(ErrorCode::None)
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
