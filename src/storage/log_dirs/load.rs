//! Loading a partition: opening its log with what the checkpoints know of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{LogDirIndex, PartitionOffsets};
use crate::model::{Offset, Timestamp, TopicId, TopicPartition};
use crate::storage::disk::Disk;
use crate::storage::log::{Corruption, DiskError, Log, LogConfig, OpenError, OpenOptions, OpenReport};
use crate::storage::open_files::OpenFiles;
use crate::storage::partition_metadata;

/// One partition to load; [`LoadJob::run`] may be called on any thread, several at once.
#[derive(Debug)]
pub struct LoadJob {
    /// Which.
    pub partition: TopicPartition,
    /// Where.
    pub dir: LogDirIndex,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) path: PathBuf,
    pub(super) known: PartitionOffsets,
    pub(super) clean_shutdown: bool,
    pub(super) rewrite_unflushed: bool,
    pub(super) files: Arc<OpenFiles>,
    pub(super) tainted: Arc<AtomicBool>,
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

impl LoadJob {
    /// Writes once more what is not known to be flushed. The process that wrote it may have died of, or right after, a flush
    /// that failed: then the page cache calls clean what is not on disk, and no later flush makes it durable (law 9).
    #[must_use]
    pub fn rewriting(self) -> Self {
        Self { rewrite_unflushed: true, ..self }
    }

    /// Opens the log. Waits for the disk.
    #[must_use]
    pub fn run(self, config: LogConfig, now: Timestamp) -> LoadedPartition {
        let topic_id = self.topic_id();
        let log = match &topic_id {
            Ok(_) => self.open(config, now),
            Err(error) => Err(error.clone()),
        };
        if log.is_err() {
            self.tainted.store(true, Ordering::Release);
        }
        let high_watermark = log.as_ref().map_or(self.known.high_watermark, |(log, _)| {
            self.known.high_watermark.clamp(log.log_start_offset(), log.log_end_offset())
        });
        let topic_id = topic_id.unwrap_or_default();
        LoadedPartition { partition: self.partition, dir: self.dir, topic_id, high_watermark, log }
    }

    fn topic_id(&self) -> Result<Option<TopicId>, OpenError> {
        use partition_metadata::PartitionMetadataError as Error;
        partition_metadata::load(&*self.disk, &self.path).map_err(|error| {
            let path = self.path.join(partition_metadata::PARTITION_METADATA_FILE_NAME);
            match error {
                Error::Io(error) => OpenError::Disk(DiskError::new("read", &path, &error)),
                Error::Missing(_) | Error::Version(_) | Error::TopicId(_) => {
                    OpenError::Corrupt(Corruption { path, position: 0, reason: error.to_string() })
                }
            }
        })
    }

    pub(super) fn open(&self, config: LogConfig, now: Timestamp) -> Result<(Log, OpenReport), OpenError> {
        let options = OpenOptions {
            config,
            recovery_point: self.known.recovery_point,
            log_start_offset: self.known.log_start,
            first_dirty_offset: self.known.first_dirty,
            clean_shutdown: self.clean_shutdown,
            rewrite_unflushed: self.rewrite_unflushed,
            now,
            seed: seed_of(&self.partition),
            files: Arc::clone(&self.files),
        };
        Log::open(Arc::clone(&self.disk), &self.path, options)
    }
}

/// Differs between partitions, and is the same at every start.
pub(super) fn seed_of(partition: &TopicPartition) -> u64 {
    u64::from(crc32c::crc32c(partition.to_string().as_bytes()))
}
