//! Names of the folders in a log directory, one per partition: `topic-0`, and with a mark for those that are on their way
//! out or in: `topic-0.<unique id>-delete`.
//!
//! *Invariant*: a folder whose name is not understood is never touched: the start ends with its name.
//! *Does not know*: which partitions there should be.
//!
//! Source: Kafka 3.9 `LocalLog.parseTopicPartitionName`, `logDeleteDirName`, `logFutureDirName`, `logStrayDirName`.

use std::fmt::Write as _;

use crate::model::{PartitionIndex, TopicName, TopicPartition};

/// Longest name of a folder, in bytes: what common file systems allow.
const NAME_BYTES_MAX: usize = 255;

/// The folder of Kafka's tiered storage in a log directory: passed over.
pub const REMOTE_LOG_INDEX_CACHE: &str = "remote-log-index-cache";

/// The topic of Kafka's Raft: its folders are passed over.
pub const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// Why a folder of a partition is not simply the partition's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mark {
    /// The partition was deleted; the folder goes after a while.
    Delete,
    /// A replica that is being copied here from another log directory.
    Future,
    /// Nobody knows of the partition any more.
    Stray,
}

impl Mark {
    const ALL: [Self; 3] = [Self::Delete, Self::Future, Self::Stray];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Delete => "-delete",
            Self::Future => "-future",
            Self::Stray => "-stray",
        }
    }
}

/// What a folder's name says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionDirectory {
    /// The partition. With a mark for deletion or as stray its topic's name may be cut short.
    pub partition: TopicPartition,
    /// The mark, if there is one.
    pub mark: Option<Mark>,
}

/// A folder that is no partition's. The log directory is to hold nothing else.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the folder '{0}' is neither of the form topic-partition nor topic-partition.id-delete, -future or -stray: a log \
     directory may only hold folders of partitions"
)]
pub struct UnknownDirectory(pub String);

/// The name of a partition's folder.
#[must_use]
pub fn live_name(partition: &TopicPartition) -> String {
    partition.to_string()
}

/// The name of a partition's folder with a mark. `unique` are random bytes: a topic can be deleted and made again many
/// times before the first folder is gone. The topic's name is cut where the whole would get too long; never for
/// [`Mark::Future`], which has to be turned back.
#[must_use]
pub fn marked_name(partition: &TopicPartition, mark: Mark, unique: [u8; 16]) -> String {
    let mut id = String::with_capacity(32);
    for byte in unique {
        let _infallible = write!(id, "{byte:02x}");
    }
    let rest = format!("-{}.{id}{}", partition.partition, mark.suffix());
    let topic = partition.topic.as_str();
    let room = match mark {
        Mark::Delete | Mark::Stray => NAME_BYTES_MAX.saturating_sub(rest.len()),
        Mark::Future => topic.len(),
    };
    // Topic names are ASCII: every cut is one between characters.
    format!("{}{rest}", topic.get(..room).unwrap_or(topic))
}

/// Reads the name of a folder in a log directory. `None` for the folders of Kafka's own that are passed over.
///
/// # Errors
/// [`UnknownDirectory`].
pub fn parse(name: &str) -> Result<Option<PartitionDirectory>, UnknownDirectory> {
    if name == REMOTE_LOG_INDEX_CACHE {
        return Ok(None);
    }
    let directory = understand(name).ok_or_else(|| UnknownDirectory(name.to_owned()))?;
    Ok(Some(directory).filter(|directory| directory.partition.topic.as_str() != CLUSTER_METADATA_TOPIC))
}

fn understand(name: &str) -> Option<PartitionDirectory> {
    let mark = Mark::ALL.into_iter().find(|mark| name.ends_with(mark.suffix()));
    let plain = match mark {
        None => name,
        Some(mark) => {
            let (plain, id) = name.strip_suffix(mark.suffix())?.rsplit_once('.')?;
            if id.is_empty() || id.contains(char::is_whitespace) {
                return None;
            }
            plain
        }
    };
    let (topic, partition) = plain.rsplit_once('-')?;
    if partition.is_empty() || !partition.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let partition = PartitionIndex(partition.parse().ok()?);
    Some(PartitionDirectory { partition: TopicPartition { topic: TopicName::new(topic).ok()?, partition }, mark })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partition(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition { topic: TopicName::new(topic).unwrap(), partition: PartitionIndex(partition) }
    }

    #[test]
    fn names_are_as_kafka_writes_them() {
        let unique = [0xb2, 0xec, 0x06, 0x84, 0xce, 0xb4, 0x4d, 0xe1, 0xb9, 0xbd, 0x62, 0xf4, 0x43, 0xce, 0xa1, 0x3c];
        let name = "gone-0.b2ec0684ceb44de1b9bd62f443cea13c-delete";
        assert_eq!(marked_name(&partition("gone", 0), Mark::Delete, unique), name);
        assert_eq!(live_name(&partition("plain.topic-with_all", 1)), "plain.topic-with_all-1");
        let found = parse(name).unwrap().unwrap();
        assert_eq!(found, PartitionDirectory { partition: partition("gone", 0), mark: Some(Mark::Delete) });
    }

    #[test]
    fn long_names_are_cut_but_not_those_to_be_turned_back() {
        let long = partition(&"x".repeat(249), 99_999);
        assert_eq!(marked_name(&long, Mark::Delete, [1; 16]).len(), 255);
        assert_eq!(marked_name(&long, Mark::Stray, [1; 16]).len(), 255);
        let future = marked_name(&long, Mark::Future, [1; 16]);
        assert_eq!(parse(&future).unwrap().unwrap().partition, long);
        assert_eq!(parse(&marked_name(&long, Mark::Stray, [1; 16])).unwrap().unwrap().mark, Some(Mark::Stray));
    }

    #[test]
    fn what_is_no_partition_is_named() {
        for bad in [
            "",
            "x",
            "-",
            "x-",
            "-0",
            "x-y",
            "x-+1",
            "x-99999999999",
            "lost+found",
            "x-0-delete",
            "x-0.-delete",
            "x.id-delete",
            "-0.id-delete",
            "x-.id-stray",
            "x y-0",
            "x-0.a b-delete",
            "..-0",
        ] {
            assert_eq!(parse(bad), Err(UnknownDirectory(bad.to_owned())));
        }
        assert!(parse("lost+found").unwrap_err().to_string().contains("'lost+found'"));
        for passed_over in [REMOTE_LOG_INDEX_CACHE, "__cluster_metadata-0"] {
            assert_eq!(parse(passed_over), Ok(None));
        }
        for odd in [partition("x-delete", 0), partition("x-0.id-delete", 7), partition("-", 1), partition("a.b", 0)] {
            let found = parse(&live_name(&odd)).unwrap().unwrap();
            assert_eq!(found, PartitionDirectory { partition: odd, mark: None });
        }
    }

    proptest! {
        #![proptest_config(crate::storage::cases::same_every_run())]

        #[test]
        fn names_survive(topic in "[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,248}", number in 0..i32::MAX, unique in any::<[u8; 16]>()) {
            let partition = partition(&topic, number);
            let live = parse(&live_name(&partition)).unwrap().unwrap();
            prop_assert_eq!(live, PartitionDirectory { partition: partition.clone(), mark: None });
            for mark in Mark::ALL {
                let name = marked_name(&partition, mark, unique);
                let found = parse(&name).unwrap().unwrap();
                prop_assert_eq!(found.mark, Some(mark));
                prop_assert_eq!(found.partition.partition, partition.partition);
                prop_assert!(topic.starts_with(found.partition.topic.as_str()));
            }
        }

        #[test]
        fn any_name_is_taken_or_refused(name in "\\PC{0,20}|[a-z.-]{1,6}-[0-9]{1,3}\\.[a-z0-9]{0,4}-(delete|future|stray)") {
            let _refused = parse(&name);
        }
    }
}
