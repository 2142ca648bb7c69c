//! `partition.metadata` in the folder of a partition: the id of the topic that it belongs to (KIP-516).
//!
//! *Invariant*: a file names one id that is not zero.
//! *Does not know*: what the id should be.
//!
//! Source: Kafka 3.9 `PartitionMetadataFile`, `PartitionMetadataReadBuffer`.

use std::io;
use std::path::Path;

use super::disk::{Disk, read_file, replace_file};
use crate::model::TopicId;

/// The file's name.
pub const PARTITION_METADATA_FILE_NAME: &str = "partition.metadata";

/// Largest file that is read: two short lines, and room for a person's spaces.
const FILE_BYTES_MAX: usize = 4_096;

/// Why the file cannot be used: its log directory has failed.
#[derive(Debug, thiserror::Error)]
pub enum PartitionMetadataError {
    /// The file cannot be read.
    #[error("{PARTITION_METADATA_FILE_NAME} cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Neither of the two lines that it is to have.
    #[error("{PARTITION_METADATA_FILE_NAME} has no {0}")]
    Missing(&'static str),
    /// Another version.
    #[error("{PARTITION_METADATA_FILE_NAME} has version {0:?} instead of 0")]
    Version(String),
    /// No topic id, or the one of zeros.
    #[error("{PARTITION_METADATA_FILE_NAME} has the topic id {0:?}, which is none")]
    TopicId(String),
}

/// The file's text. It has no end of line at its end, like Kafka's.
#[must_use]
pub fn encode(topic_id: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// The topic id of a file's bytes.
///
/// # Errors
/// [`PartitionMetadataError`].
pub fn decode(bytes: &[u8]) -> Result<TopicId, PartitionMetadataError> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let version = value(lines.next(), "version")?;
    if version != "0" {
        return Err(PartitionMetadataError::Version(version.to_owned()));
    }
    let topic_id = value(lines.next(), "topic_id")?;
    let refused = || PartitionMetadataError::TopicId(topic_id.to_owned());
    TopicId::parse(topic_id).filter(|id| !id.is_zero()).ok_or_else(refused)
}

fn value<'t>(line: Option<&'t str>, key: &'static str) -> Result<&'t str, PartitionMetadataError> {
    let value = line.and_then(|line| line.strip_prefix(key)).and_then(|rest| rest.strip_prefix(':'));
    value.map(str::trim).ok_or(PartitionMetadataError::Missing(key))
}

/// Reads the file in the folder of a partition; `None` when there is none.
///
/// # Errors
/// [`PartitionMetadataError`].
pub fn load(disk: &dyn Disk, partition_dir: &Path) -> Result<Option<TopicId>, PartitionMetadataError> {
    match read_file(disk, &partition_dir.join(PARTITION_METADATA_FILE_NAME), FILE_BYTES_MAX) {
        Ok(bytes) => decode(&bytes).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Replaces the file in the folder of a partition.
///
/// # Errors
/// The disk's; then the old file is still there.
pub fn save(disk: &dyn Disk, partition_dir: &Path, topic_id: TopicId) -> io::Result<()> {
    replace_file(disk, &partition_dir.join(PARTITION_METADATA_FILE_NAME), encode(topic_id).as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::disk::sim::SimDisk;

    #[test]
    fn the_file_of_kafka_is_read_and_written() {
        let file = include_bytes!("fixtures/clean/fixture-0/partition.metadata");
        let id = decode(file).unwrap();
        assert_eq!(id.to_string(), "wGjfv4DJQg6zsvAWyC8KMw");
        assert_eq!(encode(id).as_bytes(), file);
        let disk = SimDisk::new(1);
        assert!(load(&disk, Path::new("/")).unwrap().is_none());
        save(&disk, Path::new("/"), id).unwrap();
        assert_eq!(load(&disk, Path::new("/")).unwrap(), Some(id));
    }

    #[test]
    fn other_files_are_refused() {
        use PartitionMetadataError as Refused;
        assert!(matches!(decode(b""), Err(Refused::Missing("version"))));
        assert!(matches!(decode(b"version: 0"), Err(Refused::Missing("topic_id"))));
        assert!(matches!(decode(b"version: 1\ntopic_id: wGjfv4DJQg6zsvAWyC8KMw"), Err(Refused::Version(_))));
        let zero = encode(TopicId::ZERO);
        for bad in [zero.as_str(), "version: 0\ntopic_id: ", "version: 0\ntopic_id: wGjfv4DJQg6zsvAWyC8KM"] {
            assert!(matches!(decode(bad.as_bytes()), Err(Refused::TopicId(_))), "{bad:?}");
        }
        assert!(decode(b"version: 0\r\ntopic_id: wGjfv4DJQg6zsvAWyC8KMw\r\n").is_ok(), "a person's editor was here");
    }

    proptest! {
        #![proptest_config(crate::storage::cases::same_every_run())]

        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), id in any::<[u8; 16]>()) {
            let _refused = decode(&bytes);
            let id = TopicId(id);
            prop_assert_eq!(decode(encode(id).as_bytes()).ok(), Some(id).filter(|id| !id.is_zero()));
        }
    }
}
