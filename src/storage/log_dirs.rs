//! The log dirs of the broker: locks, identity, checkpoints, which partition lies where.
//!
//! *Invariant*: absence of metadata never deletes data (law 10): folders go only by [`LogDirs::delete_partition`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{BrokerId, Moment, Offset, Timestamp, TopicId, TopicPartition};
use crate::storage::disk::Disk;
use crate::storage::log::{DiskError, Log, LogConfig, OpenError, OpenReport, PendingDelete};

/// Number of a log dir, in the order of `log.dirs`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LogDirIndex(pub usize);

/// What `meta.properties` must say, or will.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// `broker.id`.
    pub broker_id: BrokerId,
    /// `cluster.id`.
    pub cluster_id: String,
}

/// What the log dirs say of themselves, before ZooKeeper was asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FoundIdentity {
    /// `broker.id` in meta.properties, the same in all dirs that have one.
    pub broker_id: Option<BrokerId>,
    /// `cluster.id` in meta.properties, the same in all dirs that have one.
    pub cluster_id: Option<String>,
}

/// Why the broker must not start on these dirs. Names the dir.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LogDirsError {
    /// Another broker has it.
    #[error("log dir {} is locked by another broker", .0.display())]
    Locked(PathBuf),
    /// meta.properties contradict each other or what the broker is told.
    #[error("{0}")]
    Identity(String),
    /// A folder that is no partition's.
    #[error("folder {} is no partition: move it out of the log dir", .0.display())]
    UnknownFolder(PathBuf),
    /// The same partition in two dirs.
    #[error("{partition} lies in {} and in {}", first.display(), second.display())]
    Duplicate {
        /// Which.
        partition: TopicPartition,
        /// One place.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// No dir works.
    #[error("none of the log dirs can be used: {0}")]
    AllFailed(DiskError),
}

/// One partition to load; [`LoadJob::run`] may be called on any thread, several at once.
#[derive(Debug)]
pub struct LoadJob {
    /// Which.
    pub partition: TopicPartition,
    /// Where.
    pub dir: LogDirIndex,
}

impl LoadJob {
    /// Opens the log. Waits for the disk.
    #[must_use]
    pub fn run(self, _config: LogConfig, _now: Timestamp) -> LoadedPartition {
        todo!()
    }
}

/// What loading a partition gave.
#[derive(Debug)]
pub struct LoadedPartition {
    /// Which.
    pub partition: TopicPartition,
    /// Where.
    pub dir: LogDirIndex,
    /// From `partition.metadata`; `None` when there is none.
    pub topic_id: Option<TopicId>,
    /// From `replication-offset-checkpoint`, within the log's bounds; log start when there is none.
    pub high_watermark: Offset,
    /// The log, or why not.
    pub log: Result<(Log, OpenReport), OpenError>,
}

/// What the checkpoint files hold of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionOffsets {
    /// [`Log::recovery_point`].
    pub recovery_point: Offset,
    /// [`Log::log_start_offset`].
    pub log_start: Offset,
    /// Of the partition.
    pub high_watermark: Offset,
}

/// Size of a log dir's content (DescribeLogDirs).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogDirDescription {
    /// As configured.
    pub path: PathBuf,
    /// Why it is offline.
    pub error: Option<DiskError>,
    /// Of the file system; `None` when it does not say.
    pub total_bytes: Option<u64>,
    /// Of the file system.
    pub usable_bytes: Option<u64>,
    /// Partitions that lie here.
    pub partitions: Vec<TopicPartition>,
}

/// All log dirs of the broker, locked for as long as this lives.
#[derive(Debug)]
pub struct LogDirs {}

impl LogDirs {
    /// Makes the dirs that are missing, locks them, reads `meta.properties`, lists the partitions. A dir whose disk fails is
    /// offline ([`Self::failed`]); the others go on.
    ///
    /// # Errors
    /// See [`LogDirsError`].
    pub fn open(_disk: Arc<dyn Disk>, _paths: &[PathBuf]) -> Result<Self, LogDirsError> {
        todo!()
    }

    /// What `meta.properties` said.
    #[must_use]
    pub fn found_identity(&self) -> &FoundIdentity {
        todo!()
    }

    /// Checks and writes `meta.properties` of all dirs.
    ///
    /// # Errors
    /// [`LogDirsError::Identity`] in words for the operator.
    pub fn set_identity(&mut self, _identity: &Identity) -> Result<(), LogDirsError> {
        todo!()
    }

    /// Dirs that failed, and why.
    #[must_use]
    pub fn failed(&self) -> Vec<(PathBuf, DiskError)> {
        todo!()
    }

    /// The partitions found, to be loaded; once. The clean-shutdown markers are removed first.
    pub fn load_jobs(&mut self) -> Vec<LoadJob> {
        todo!()
    }

    /// Makes the folder of a new partition in the dir with the fewest, and an empty log in it.
    ///
    /// # Errors
    /// The disk's: then that dir failed.
    pub fn create_partition(
        &mut self,
        _partition: &TopicPartition,
        _topic_id: Option<TopicId>,
        _config: LogConfig,
        _now: Timestamp,
    ) -> Result<(LogDirIndex, Log), OpenError> {
        todo!()
    }

    /// Where a partition lies.
    #[must_use]
    pub fn dir_of(&self, _partition: &TopicPartition) -> Option<LogDirIndex> {
        todo!()
    }

    /// Renames a partition's folder to `…-delete`; it is removed by [`Self::remove_deleted`] once due. The log must be
    /// dropped before.
    ///
    /// # Errors
    /// The disk's.
    pub fn delete_partition(
        &mut self,
        _partition: &TopicPartition,
        _unique: u128,
        _due: Moment,
    ) -> Result<PendingDelete, DiskError> {
        todo!()
    }

    /// Writes the checkpoint files of all dirs. Waits for the disk (fsync): hand the answer to the disk pool.
    pub fn checkpoint_task(&self, _offsets: BTreeMap<TopicPartition, PartitionOffsets>) -> CheckpointTask {
        todo!()
    }

    /// Sizes and partitions per dir.
    #[must_use]
    pub fn describe(&self) -> Vec<LogDirDescription> {
        todo!()
    }

    /// Writes the clean-shutdown markers; every log was closed and the last checkpoint written.
    ///
    /// # Errors
    /// The disk's.
    pub fn close(self) -> Result<(), DiskError> {
        todo!()
    }
}

/// Checkpoint files to be written on a thread that may wait.
#[derive(Debug)]
pub struct CheckpointTask {}

impl CheckpointTask {
    /// Writes them; the dirs that failed.
    #[must_use]
    pub fn run(self) -> Vec<(LogDirIndex, DiskError)> {
        todo!()
    }
}
impl LogDirs {
    /// Opens a partition's log again that was dropped because it failed, or because its actor died.
    pub fn reopen_partition(&mut self, _p: &TopicPartition, _c: LogConfig, _n: Timestamp) -> Option<LoadedPartition> {
        todo!()
    }
}
