//! Names of the files of a segment: its base offset in 20 digits, what the file is, and at what stage.
//!
//! *Invariant*: a name that is read is written back the same; every other name is none of ours.
//! *Does not know*: what is in the files.
//!
//! Source: Kafka 3.9 `LogFileUtils`, `LocalLog`.

use std::fmt;

use crate::model::Offset;

/// Digits of an offset in a file name.
const OFFSET_DIGITS: usize = 20;

/// What a file of a segment holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileKind {
    /// Record batches.
    Log,
    /// Offset → position.
    Index,
    /// Timestamp → offset.
    TimeIndex,
    /// Aborted transactions.
    TransactionIndex,
    /// Producers, as of the offset in the name.
    ProducerSnapshot,
}

impl FileKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Log, Self::Index, Self::TimeIndex, Self::TransactionIndex, Self::ProducerSnapshot];

    /// How its name ends.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::Index => ".index",
            Self::TimeIndex => ".timeindex",
            Self::TransactionIndex => ".txnindex",
            Self::ProducerSnapshot => ".snapshot",
        }
    }
}

/// What is to become of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Stage {
    /// It is part of the log.
    #[default]
    Live,
    /// It will be removed.
    Deleted,
    /// The cleaner is writing it: worth nothing after a crash.
    Cleaned,
    /// It is complete, and about to replace live ones.
    Swap,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Live, Self::Deleted, Self::Cleaned, Self::Swap];

    /// What stands behind the file's own suffix.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Deleted => ".deleted",
            Self::Cleaned => ".cleaned",
            Self::Swap => ".swap",
        }
    }
}

/// The name of a file of a segment. Displays as Kafka names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentFileName {
    /// The segment's base offset; of a producer snapshot the offset that follows what it knows. Not negative.
    pub offset: Offset,
    /// What it holds.
    pub kind: FileKind,
    /// What is to become of it.
    pub stage: Stage,
}

impl SegmentFileName {
    /// The name of a live file.
    #[must_use]
    pub const fn live(offset: Offset, kind: FileKind) -> Self {
        Self { offset, kind, stage: Stage::Live }
    }

    /// The same file at another stage.
    #[must_use]
    pub const fn at(self, stage: Stage) -> Self {
        Self { stage, ..self }
    }

    /// Reads a name; `None` for one that is no segment's.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (digits, suffixes) = name.split_at_checked(OFFSET_DIGITS)?;
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let offset = Offset(digits.parse().ok()?);
        let kind_and_stage = |kind: FileKind| {
            let stage = suffixes.strip_prefix(kind.suffix())?;
            Stage::ALL.into_iter().find(|known| known.suffix() == stage).map(|stage| (kind, stage))
        };
        let (kind, stage) = FileKind::ALL.into_iter().find_map(kind_and_stage)?;
        Some(Self { offset, kind, stage })
    }
}

impl fmt::Display for SegmentFileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}{}{}", self.offset.0, self.kind.suffix(), self.stage.suffix(), width = OFFSET_DIGITS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_written_and_read() {
        for kind in FileKind::ALL {
            for stage in Stage::ALL {
                for offset in [0, 34, i64::MAX] {
                    let name = SegmentFileName { offset: Offset(offset), kind, stage };
                    assert_eq!(SegmentFileName::parse(&name.to_string()), Some(name));
                }
            }
        }
        let name = SegmentFileName::live(Offset(34), FileKind::TimeIndex);
        assert_eq!(name.to_string(), "00000000000000000034.timeindex");
        assert_eq!(name.at(Stage::Deleted).to_string(), "00000000000000000034.timeindex.deleted");
    }

    #[test]
    fn other_names_are_none_of_ours() {
        for other in [
            "",
            "00000000000000000034",
            "34.log",
            "0000000000000000034.log",
            "000000000000000000034.log",
            "-0000000000000000034.log",
            "+0000000000000000034.log",
            "99999999999999999999.log",
            "00000000000000000034.log.tmp",
            "00000000000000000034.log.deleted.swap",
            "00000000000000000034.checkpoint",
            "0000000000000000003ä.log",
            "leader-epoch-checkpoint",
        ] {
            assert_eq!(SegmentFileName::parse(other), None, "{other}");
        }
    }

    proptest! {
        #![proptest_config(crate::storage::cases::same_every_run())]

        #[test]
        fn what_is_read_is_written_back(name in "[0-9]{19,21}\\.[a-z.]{0,14}|\\PC{0,30}") {
            if let Some(parsed) = SegmentFileName::parse(&name) {
                prop_assert_eq!(parsed.to_string(), name);
            }
        }
    }
}
