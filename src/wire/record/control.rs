//! Control records: what a broker writes into a partition about its transactions.
//!
//! *Does not know*: the state of a transaction.
//!
//! Source: Kafka 3.9 `ControlRecordType.java`, `EndTransactionMarker.java`; KIP-98.

use super::Record;

/// Version that [`EndTransactionMarker::key`] and [`EndTransactionMarker::value`] are written in.
const VERSION: i16 = 0;

/// What a control record says, by its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlType {
    /// The transaction was aborted.
    Abort,
    /// The transaction was committed.
    Commit,
    /// Something of a later Kafka (2 is a Raft leader change). Readers pass over it.
    Unknown(i16),
}

/// The end of a transaction in one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndTransactionMarker {
    /// How it ended.
    pub outcome: TransactionOutcome,
    /// Epoch of the coordinator that wrote it: the leader epoch of its `__transaction_state` partition.
    pub coordinator_epoch: i32,
}

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionOutcome {
    /// Its records are to be passed over by readers of committed data.
    Aborted,
    /// Its records count.
    Committed,
}

/// Why a record is no control record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ControlError {
    /// Too short or null.
    #[error("a control record's {0} is cut short")]
    Truncated(&'static str),
    /// A negative version.
    #[error("a control record has version {0}")]
    Version(i16),
}

impl ControlType {
    /// Reads the key of a control record. Bytes behind what is known belong to later versions and are ignored.
    ///
    /// # Errors
    /// [`ControlError`]; an unknown type is no error.
    pub fn of(record: &Record<'_>) -> Result<Self, ControlError> {
        let key = versioned(record.key, "key")?;
        let (kind, _) = key.split_first_chunk().ok_or(ControlError::Truncated("key"))?;
        Ok(match i16::from_be_bytes(*kind) {
            0 => Self::Abort,
            1 => Self::Commit,
            other => Self::Unknown(other),
        })
    }
}

impl EndTransactionMarker {
    /// Reads a marker; `None` for a control record of another type.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn of(record: &Record<'_>) -> Result<Option<Self>, ControlError> {
        let outcome = match ControlType::of(record)? {
            ControlType::Abort => TransactionOutcome::Aborted,
            ControlType::Commit => TransactionOutcome::Committed,
            ControlType::Unknown(_) => return Ok(None),
        };
        let value = versioned(record.value, "value")?;
        let (epoch, _) = value.split_first_chunk().ok_or(ControlError::Truncated("value"))?;
        Ok(Some(Self { outcome, coordinator_epoch: i32::from_be_bytes(*epoch) }))
    }

    /// The record's key: version, type.
    #[must_use]
    pub fn key(&self) -> [u8; 4] {
        let kind: i16 = match self.outcome {
            TransactionOutcome::Aborted => 0,
            TransactionOutcome::Committed => 1,
        };
        let ([a, b], [c, d]) = (VERSION.to_be_bytes(), kind.to_be_bytes());
        [a, b, c, d]
    }

    /// The record's value: version, coordinator epoch.
    #[must_use]
    pub fn value(&self) -> [u8; 6] {
        let ([a, b], [c, d, e, f]) = (VERSION.to_be_bytes(), self.coordinator_epoch.to_be_bytes());
        [a, b, c, d, e, f]
    }
}

/// What stands behind the version.
fn versioned<'a>(bytes: Option<&'a [u8]>, part: &'static str) -> Result<&'a [u8], ControlError> {
    let (version, rest) = bytes.and_then(<[u8]>::split_first_chunk).ok_or(ControlError::Truncated(part))?;
    let version = i16::from_be_bytes(*version);
    if version < VERSION { Err(ControlError::Version(version)) } else { Ok(rest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(key: &'a [u8], value: &'a [u8]) -> Record<'a> {
        Record { key: Some(key), value: Some(value), ..Record::default() }
    }

    #[test]
    fn a_marker_survives_both_ways() {
        for outcome in [TransactionOutcome::Aborted, TransactionOutcome::Committed] {
            let marker = EndTransactionMarker { outcome, coordinator_epoch: 0x0102_0304 };
            assert_eq!(EndTransactionMarker::of(&record(&marker.key(), &marker.value())), Ok(Some(marker)));
        }
        let commit = EndTransactionMarker { outcome: TransactionOutcome::Committed, coordinator_epoch: 7 };
        assert_eq!((commit.key(), commit.value()), ([0, 0, 0, 1], [0, 0, 0, 0, 0, 7]));
    }

    #[test]
    fn unknown_types_and_later_versions_are_passed_over_and_stumps_refused() {
        assert_eq!(EndTransactionMarker::of(&record(&[0, 0, 0, 2], &[])), Ok(None));
        let later = record(&[0, 9, 0, 0, 1, 1], &[0, 3, 0, 0, 0, 1, 5, 5]);
        let expected = EndTransactionMarker { outcome: TransactionOutcome::Aborted, coordinator_epoch: 1 };
        assert_eq!(EndTransactionMarker::of(&later), Ok(Some(expected)));
        assert_eq!(ControlType::of(&record(&[0, 0, 0], &[])), Err(ControlError::Truncated("key")));
        assert_eq!(ControlType::of(&record(&[255, 255, 0, 0], &[])), Err(ControlError::Version(-1)));
        assert_eq!(EndTransactionMarker::of(&record(&[0, 0, 0, 0], &[0, 0])), Err(ControlError::Truncated("value")));
        assert_eq!(ControlType::of(&Record::default()), Err(ControlError::Truncated("key")));
    }
}
