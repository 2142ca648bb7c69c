//! What an answer, or the lack of one, means to a member of the consumer protocol.

use super::{ConsumerMember, Plan};
use crate::client::error::ClientError;
use crate::client::group::member::{Answer, Subscription, code_of_commit};
use crate::model::ErrorCode;

/// What an error means to a member.
pub(super) enum Verdict {
    /// Try again.
    Passes,
    /// Its epoch is another one: a heartbeat says which.
    Stale,
    /// The group knows it no more, or otherwise: what it reads is not its own any more, and it comes again.
    Fenced,
    /// It can never work.
    Fatal,
}

/// What an answer says of all that was asked, and in words.
pub(super) fn code(answer: &Answer) -> (ErrorCode, Option<&str>) {
    match answer {
        Answer::Beat(heard) => (heard.error_code, heard.error_message.as_deref()),
        Answer::Commit(committed) => (code_of_commit(committed), None),
        Answer::Name(_)
        | Answer::Join(_)
        | Answer::Sync(_)
        | Answer::Heartbeat(_)
        | Answer::Leave
        | Answer::Count(_) => (ErrorCode::None, None),
    }
}

/// Source: Kafka 4.1 `AbstractHeartbeatRequestManager.onErrorResponse`, `CommitRequestManager`. An instance id that somebody
/// else has, or has taken over, is fatal: otherwise the two would put each other out for ever.
pub(super) fn verdict(error: &ClientError, joins: bool) -> Verdict {
    let is_one_of = |codes: &[ErrorCode]| codes.iter().any(|code| error.is_refusal(*code));
    if is_one_of(&[ErrorCode::StaleMemberEpoch]) {
        Verdict::Stale
    } else if is_one_of(&[ErrorCode::UnknownMemberId, ErrorCode::FencedMemberEpoch, ErrorCode::IllegalGeneration])
        || !joins && is_one_of(&[ErrorCode::GroupIdNotFound])
    {
        // A group that went away with its last member comes into being again.
        Verdict::Fenced
    } else if error.is_retriable() {
        Verdict::Passes
    } else {
        Verdict::Fatal
    }
}

/// Whether the coordinator may be another broker by now.
pub(super) fn may_be_elsewhere(error: &ClientError) -> bool {
    let moved = [ErrorCode::NotCoordinator, ErrorCode::CoordinatorNotAvailable];
    !matches!(error, ClientError::Refused { .. }) || moved.iter().any(|code| error.is_refusal(*code))
}

impl ConsumerMember {
    /// The error in terms of what a person set.
    pub(super) fn explained(&self, plan: Plan, error: ClientError) -> ClientError {
        let what = format!("group '{}' cannot be joined with group.protocol=consumer", self.settings.group);
        let is_pattern = matches!(self.settings.subscription, Subscription::Pattern(_));
        let message = if matches!(error, ClientError::Inexpressible { .. }) && plan == Plan::Beat && is_pattern {
            "the broker knows no patterns yet: it offers version 0 of the consumer protocol (KIP-848)".to_owned()
        } else if let ClientError::Unsupported { address, .. } = &error {
            format!("{address} does not offer the consumer protocol (KIP-848)")
        } else if let ClientError::Refused { code: ErrorCode::UnsupportedVersion, message, .. } = &error {
            let words = message.as_deref().filter(|words| !words.is_empty());
            let said = words.map(|words| format!(": {words}")).unwrap_or_default();
            format!("the coordinator does not take the consumer protocol (KIP-848){said}")
        } else {
            return error;
        };
        ClientError::Refused { what, code: ErrorCode::UnsupportedVersion, message: Some(message) }
    }
}
