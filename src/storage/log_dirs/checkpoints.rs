//! Writing the checkpoint files of the log dirs.

use std::path::PathBuf;
use std::sync::Arc;

use super::{LogDirIndex, PartitionOffsets};
use crate::model::{Offset, TopicPartition};
use crate::storage::checkpoint::{OffsetCheckpoint, Offsets};
use crate::storage::disk::Disk;
use crate::storage::log::DiskError;

/// The checkpoint files of one dir.
#[derive(Clone, Debug, Default)]
pub(super) struct Checkpoints {
    pub(super) recovery_points: Offsets,
    pub(super) log_starts: Offsets,
    pub(super) high_watermarks: Offsets,
    pub(super) first_dirty: Offsets,
    /// Whether the cleaner has something to note, or had.
    pub(super) compacted: bool,
}

impl Checkpoints {
    pub(super) fn note(&mut self, partition: &TopicPartition, offsets: &PartitionOffsets) {
        self.recovery_points.insert(partition.clone(), offsets.recovery_point);
        self.high_watermarks.insert(partition.clone(), offsets.high_watermark);
        if Offset(0) < offsets.log_start {
            self.log_starts.insert(partition.clone(), offsets.log_start);
        }
        self.first_dirty.extend(offsets.first_dirty.map(|offset| (partition.clone(), offset)));
    }
}

/// Checkpoint files to be written on a thread that may wait.
#[derive(Debug)]
pub struct CheckpointTask {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dirs: Vec<(LogDirIndex, PathBuf, Checkpoints)>,
}

impl CheckpointTask {
    /// Writes them; the dirs that failed.
    #[must_use]
    pub fn run(self) -> Vec<(LogDirIndex, DiskError)> {
        let mut failed = Vec::new();
        for (place, path, files) in &self.dirs {
            let compacted = &files.compacted;
            let files = [
                (OffsetCheckpoint::RecoveryPoint, &files.recovery_points),
                (OffsetCheckpoint::LogStart, &files.log_starts),
                (OffsetCheckpoint::Replication, &files.high_watermarks),
                (OffsetCheckpoint::Cleaner, &files.first_dirty),
            ];
            let mut files = files.into_iter().filter(|(file, _)| *file != OffsetCheckpoint::Cleaner || *compacted);
            let error = files.find_map(|(file, offsets)| file.save(&*self.disk, path, offsets).err());
            failed.extend(error.map(|error| (*place, DiskError::new("write checkpoints of", path, &error))));
        }
        failed
    }
}
