//! Why a client's request did not give what was asked for.

use std::io;
use std::time::Duration;

use super::address::BrokerAddress;
use crate::model::ErrorCode;
use crate::wire::{ApiKey, DecodeError, EncodeError};

/// What can go wrong between a client and its cluster. Displays as a sentence for a person, without a full stop.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// None of the bootstrap addresses answered.
    #[error("no broker answers at {addresses} ({reason})")]
    NoBroker {
        /// What was tried, as it was given.
        addresses: String,
        /// Why the last one did not.
        reason: String,
    },
    /// One broker could not be reached.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The broker.
        address: BrokerAddress,
        /// What the system said.
        source: io::Error,
    },
    /// A connection broke; requests on it may or may not have been carried out.
    #[error("the connection to {address} broke: {reason}")]
    Disconnected {
        /// The broker.
        address: BrokerAddress,
        /// How it broke.
        reason: String,
    },
    /// No answer in time; the request may or may not have been carried out. The connection was given up.
    #[error("{address} did not answer {api:?} within {} ms", waited.as_millis())]
    TimedOut {
        /// The broker.
        address: BrokerAddress,
        /// What was asked.
        api: ApiKey,
        /// For how long it was waited.
        waited: Duration,
    },
    /// The broker cannot do this, or only in versions that we cannot.
    #[error("{address} does not offer {api:?} in a version that this client speaks")]
    Unsupported {
        /// The broker.
        address: BrokerAddress,
        /// What was to be asked.
        api: ApiKey,
    },
    /// The answer is none.
    #[error("{address} sent something that is no answer to {api:?}: {source}")]
    Malformed {
        /// The broker.
        address: BrokerAddress,
        /// What was asked.
        api: ApiKey,
        /// Where the bytes stop making sense.
        source: DecodeError,
    },
    /// The request says something that the version both sides speak cannot carry.
    #[error("{api:?} cannot be asked of {address} this way: {source}")]
    Inexpressible {
        /// The broker.
        address: BrokerAddress,
        /// What was to be asked.
        api: ApiKey,
        /// What cannot be said.
        source: EncodeError,
    },
    /// There is no such topic.
    #[error("there is no topic '{topic}'")]
    UnknownTopic {
        /// Its name.
        topic: String,
    },
    /// There is no such partition.
    #[error("topic '{topic}' has no partition {partition}: it has {partitions}, numbered from 0")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition asked for.
        partition: i32,
        /// How many it has.
        partitions: usize,
    },
    /// The broker refused.
    #[error("{what}: {code}: {}", explain(*code, message.as_deref()))]
    Refused {
        /// What was refused, for instance "topic 't' was not created".
        what: String,
        /// The protocol's reason.
        code: ErrorCode,
        /// The broker's words, if it had any.
        message: Option<String>,
    },
    /// The members of a group do not understand each other.
    #[error("group '{group}' cannot be joined: its members say what this client cannot read or write: {reason}")]
    Group {
        /// The group.
        group: String,
        /// Where the bytes stop making sense.
        reason: String,
    },
    /// A record batch cannot be read.
    #[error("a record batch of {partition} cannot be read: {reason}")]
    Corrupt {
        /// The partition, as `topic-0`.
        partition: String,
        /// What is wrong.
        reason: String,
    },
}

impl ClientError {
    /// The error of an answer that carries `code`, or nothing for [`ErrorCode::None`].
    ///
    /// # Errors
    /// [`ClientError::Refused`] for every other code. `what` says what was refused.
    pub fn check(code: ErrorCode, message: Option<&str>, what: impl FnOnce() -> String) -> Result<(), Self> {
        if code.is_error() {
            Err(Self::Refused { what: what(), code, message: message.map(str::to_owned) })
        } else {
            Ok(())
        }
    }

    /// Whether the broker refused with this code.
    #[must_use]
    pub fn is_refusal(&self, wanted: ErrorCode) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// Whether the same request may succeed a little later, after metadata was read again.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Disconnected { .. } | Self::TimedOut { .. } | Self::NoBroker { .. } => true,
            Self::Refused { code, .. } => is_retriable(*code),
            Self::Unsupported { .. }
            | Self::Malformed { .. }
            | Self::Inexpressible { .. }
            | Self::UnknownTopic { .. }
            | Self::UnknownPartition { .. }
            | Self::Group { .. }
            | Self::Corrupt { .. } => false,
        }
    }
}

/// Codes that say "not now" or "not here" rather than "no". Source: Kafka 3.9, the subclasses of `RetriableException`.
#[must_use]
pub const fn is_retriable(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::UnknownTopicOrPartition
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::RequestTimedOut
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::NetworkException
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::NotController
            | ErrorCode::KafkaStorageError
            | ErrorCode::FetchSessionIdNotFound
            | ErrorCode::InvalidFetchSessionEpoch
            | ErrorCode::ListenerNotFound
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::OffsetNotAvailable
            | ErrorCode::EligibleLeadersNotAvailable
            | ErrorCode::ThrottlingQuotaExceeded
            | ErrorCode::UnknownTopicId
            | ErrorCode::CorruptMessage
            | ErrorCode::ConcurrentTransactions
    )
}

fn explain(code: ErrorCode, message: Option<&str>) -> String {
    let words = message.filter(|words| !words.is_empty()).unwrap_or(code.message());
    words.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_own_words_come_first() {
        let refused = |message: Option<&str>| {
            ClientError::check(ErrorCode::InvalidPartitions, message, || "topic 't' was not created".to_owned())
                .expect_err("an error code")
                .to_string()
        };
        assert_eq!(refused(Some("too many.")), "topic 't' was not created: INVALID_PARTITIONS: too many");
        assert_eq!(refused(None), "topic 't' was not created: INVALID_PARTITIONS: Invalid partitions");
        assert!(ClientError::check(ErrorCode::None, None, String::new).is_ok());
    }
}
