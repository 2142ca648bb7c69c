//! Checkpoint files: the text in which Kafka keeps offsets per partition, and the four such files of a log directory.
//!
//! Line 1 is the version (0), line 2 the number of entries, then one entry per line, its fields apart by a space.
//!
//! *Invariant*: a file is replaced whole: after a crash there is the old or the new one.
//! *Does not know*: what follows from a file that cannot be read. Kafka takes a malformed recovery-point or log-start file
//! for an empty one; the others cost it the log directory. That is for the caller to decide.
//!
//! Source: Kafka 3.9 `CheckpointFile`, `OffsetCheckpointFile`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::disk::{Disk, read_file, replace_file};
use crate::model::{Offset, PartitionIndex, TopicName, TopicPartition};

/// The only version there is.
const VERSION: i32 = 0;

/// Largest checkpoint file that is read: a million partitions with names of 200 bytes.
pub const CHECKPOINT_BYTES_MAX: usize = 256 << 20;

/// Why a file is no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read. A file that is not there is an empty checkpoint, and no error.
    #[error("the checkpoint cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Not UTF-8.
    #[error("the checkpoint is no text")]
    Text,
    /// Another version.
    #[error("the checkpoint has version {0} instead of 0")]
    Version(i32),
    /// A line that is no number or no entry.
    #[error("line {line} of the checkpoint is malformed: {text:?}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// More or fewer entries than it says.
    #[error("the checkpoint says it has {expected} entries and has {found}")]
    Count {
        /// As it says.
        expected: i32,
        /// Lines that there are.
        found: usize,
    },
}

/// The files of a log directory that keep an offset per partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum OffsetCheckpoint {
    /// High watermarks.
    Replication,
    /// Up to where a log was flushed, exclusive: recovery begins there.
    RecoveryPoint,
    /// Log start offsets, of the logs that do not start with a segment.
    LogStart,
    /// First offset that the cleaner has not cleaned.
    Cleaner,
}

impl OffsetCheckpoint {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Replication, Self::RecoveryPoint, Self::LogStart, Self::Cleaner];

    /// Its name in the log directory.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Replication => "replication-offset-checkpoint",
            Self::RecoveryPoint => "recovery-point-offset-checkpoint",
            Self::LogStart => "log-start-offset-checkpoint",
            Self::Cleaner => "cleaner-offset-checkpoint",
        }
    }

    /// Reads it from a log directory; empty when it is not there.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn load(self, disk: &dyn Disk, log_dir: &Path) -> Result<Offsets, CheckpointError> {
        load(disk, &log_dir.join(self.file_name()), decode)
    }

    /// Replaces it in a log directory.
    ///
    /// # Errors
    /// The disk's; then the old file is still there.
    pub fn save(self, disk: &dyn Disk, log_dir: &Path, offsets: &Offsets) -> io::Result<()> {
        replace_file(disk, &log_dir.join(self.file_name()), encode(offsets).as_bytes())
    }
}

/// An offset per partition.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

/// The text of an offset checkpoint.
#[must_use]
pub fn encode(offsets: &Offsets) -> String {
    encode_lines(offsets.iter().map(|(at, offset)| format!("{} {} {offset}", at.topic, at.partition)))
}

/// The offsets of an offset checkpoint. Of two entries for one partition the last counts.
///
/// # Errors
/// [`CheckpointError`]; a topic name that cannot be is a malformed line.
pub fn decode(bytes: &[u8]) -> Result<Offsets, CheckpointError> {
    let entries = decode_lines(bytes, |line| {
        let [topic, partition, offset] = fields(line)?;
        let partition = PartitionIndex(partition.parse().ok()?);
        Some((TopicPartition { topic: TopicName::new(topic).ok()?, partition }, Offset(offset.parse().ok()?)))
    })?;
    Ok(entries.into_iter().collect())
}

/// Reads a file of this kind; one that is not there is empty.
pub(super) fn load<T: Default>(
    disk: &dyn Disk,
    path: &Path,
    decode: impl FnOnce(&[u8]) -> Result<T, CheckpointError>,
) -> Result<T, CheckpointError> {
    match read_file(disk, path, CHECKPOINT_BYTES_MAX) {
        Ok(bytes) => decode(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error.into()),
    }
}

/// The text of a checkpoint with these entries.
pub(super) fn encode_lines(entries: impl ExactSizeIterator<Item = String>) -> String {
    let mut text = format!("{VERSION}\n{}\n", entries.len());
    for entry in entries {
        text.push_str(&entry);
        text.push('\n');
    }
    text
}

/// The entries of a checkpoint. An empty file, and one that ends behind its version, has none, as in Kafka.
pub(super) fn decode_lines<T>(bytes: &[u8], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, CheckpointError> {
    let text = std::str::from_utf8(bytes).map_err(|_| CheckpointError::Text)?;
    let mut lines = text.lines().zip(1_usize..);
    let Some(version) = lines.next() else { return Ok(Vec::new()) };
    let version = number(version)?;
    if version != VERSION {
        return Err(CheckpointError::Version(version));
    }
    let Some(count) = lines.next() else { return Ok(Vec::new()) };
    let expected = number(count)?;
    let entries = lines.map(|at| parse(at.0).ok_or_else(|| malformed(at))).collect::<Result<Vec<_>, _>>()?;
    if usize::try_from(expected) != Ok(entries.len()) {
        return Err(CheckpointError::Count { expected, found: entries.len() });
    }
    Ok(entries)
}

/// Exactly `N` fields apart by white space.
pub(super) fn fields<const N: usize>(line: &str) -> Option<[&str; N]> {
    line.split_ascii_whitespace().collect::<Vec<_>>().try_into().ok()
}

fn number(line: (&str, usize)) -> Result<i32, CheckpointError> {
    line.0.parse().map_err(|_| malformed(line))
}

fn malformed((text, line): (&str, usize)) -> CheckpointError {
    CheckpointError::Line { line, text: text.chars().take(80).collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::disk::sim::SimDisk;

    fn entry(topic: &str, partition: i32, offset: i64) -> (TopicPartition, Offset) {
        let topic = TopicName::new(topic).unwrap();
        (TopicPartition { topic, partition: PartitionIndex(partition) }, Offset(offset))
    }

    #[test]
    fn files_of_kafka_are_read() {
        let file = include_bytes!("fixtures/clean/recovery-point-offset-checkpoint");
        let offsets = decode(file).unwrap();
        let expected = [
            entry("__transaction_state", 0, 15),
            entry("fixture", 0, 77),
            entry("plain.topic-with_all", 0, 3),
            entry("plain.topic-with_all", 1, 0),
        ];
        assert_eq!(offsets, expected.into());
        let ours = encode(&offsets);
        assert_eq!(ours.len(), file.len(), "the same lines in another order");
        for line in ours.lines() {
            assert!(std::str::from_utf8(file).unwrap().lines().any(|theirs| theirs == line), "{line}");
        }
        let file = include_bytes!("fixtures/clean/log-start-offset-checkpoint");
        assert_eq!(encode(&decode(file).unwrap()).as_bytes(), file);
        let file = include_bytes!("fixtures/clean/cleaner-offset-checkpoint");
        assert_eq!(encode(&decode(file).unwrap()).as_bytes(), file);
    }

    #[test]
    fn malformed_files_say_where() {
        assert!(decode(b"").unwrap().is_empty());
        assert!(decode(b"0\n").unwrap().is_empty());
        assert!(matches!(decode(b"1\n0\n"), Err(CheckpointError::Version(1))));
        assert!(matches!(decode(b"0\n2\nt 0 1\n"), Err(CheckpointError::Count { expected: 2, found: 1 })));
        assert!(matches!(decode(b"0\n-1\n"), Err(CheckpointError::Count { expected: -1, found: 0 })));
        assert!(matches!(decode(b"0\n0\xff\n"), Err(CheckpointError::Text)));
        for bad in
            ["x\n", "0\nx\n", "0\n1\nt 0\n", "0\n1\nt 0 1 2\n", "0\n1\nt x 1\n", "0\n1\nt 0 x\n", "0\n1\n../t 0 1\n"]
        {
            let line = bad.lines().count();
            assert!(
                matches!(decode(bad.as_bytes()), Err(CheckpointError::Line { line: at, .. }) if at == line),
                "{bad:?}"
            );
        }
        assert!(
            matches!(decode(b"0\n1\nt 0 1\n\n"), Err(CheckpointError::Line { line: 4, .. })),
            "an empty line is no entry"
        );
        assert_eq!(decode(b"0\r\n1\r\nt 0 1").unwrap(), [entry("t", 0, 1)].into());
    }

    #[test]
    fn each_has_its_file() {
        let disk = SimDisk::new(1);
        let dir = Path::new("/");
        for (kind, offset) in OffsetCheckpoint::ALL.into_iter().zip(1..) {
            assert_eq!(kind.load(&disk, dir).unwrap(), Offsets::new());
            kind.save(&disk, dir, &[entry("t", 0, offset)].into()).unwrap();
        }
        for (kind, offset) in OffsetCheckpoint::ALL.into_iter().zip(1..) {
            assert_eq!(kind.load(&disk, dir).unwrap(), [entry("t", 0, offset)].into());
        }
    }

    proptest! {
        #![proptest_config(crate::storage::cases::same_every_run())]

        #[test]
        fn offsets_survive(entries in prop::collection::btree_map(("[a-zA-Z0-9._-]{1,9}x", any::<i32>()), any::<i64>(), 0..20)) {
            let offsets = entries.iter().map(|((topic, at), offset)| entry(topic, *at, *offset)).collect::<Offsets>();
            prop_assert_eq!(decode(encode(&offsets).as_bytes()).unwrap(), offsets);
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), text in "[0-9 \n\rt-]{0,40}") {
            let _refused = decode(&bytes);
            let _refused = decode(text.as_bytes());
        }
    }
}
