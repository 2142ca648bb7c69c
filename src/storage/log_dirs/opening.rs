//! Opening log dirs at the start: making and locking them, and reading what they say of themselves and of their partitions.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::future::Namesake;
use super::{LogDir, LogDirIndex, LogDirs, LogDirsError, lock};
use crate::model::Offset;
use crate::storage::checkpoint::{CheckpointError, OffsetCheckpoint};
use crate::storage::clean_shutdown;
use crate::storage::directory::{self, Mark, PartitionDirectory};
use crate::storage::disk::Disk;
use crate::storage::log::DiskError;
use crate::storage::meta_properties::{MetaProperties, MetaPropertiesError, MetaPropertiesVersion};

/// Locked in each log dir, as Kafka does.
const LOCK_FILE_NAME: &str = ".lock";

impl LogDirs {
    pub(super) fn open_dir(&mut self, path: &Path, namesakes: &mut Vec<Namesake>) -> Result<LogDir, LogDirsError> {
        let mut dir = LogDir {
            path: path.to_owned(),
            failure: None,
            _lock: None,
            meta: None,
            clean_shutdown: false,
            tainted: Arc::default(),
            compacted: AtomicBool::default(),
            leftovers: Vec::new(),
        };
        match self.read_dir(&mut dir, namesakes) {
            Ok(()) => {}
            Err(Trouble::Start(error)) => return Err(error),
            Err(Trouble::Disk(error)) => {
                let here = LogDirIndex(self.dirs.len());
                self.partitions.retain(|_, place| *place != here);
                self.futures.retain(|_, future| future.dir != here);
                let seen_before = namesakes.extract_if(.., |namesake| namesake.second == here);
                self.partitions.extend(seen_before.map(|namesake| (namesake.partition, namesake.first)));
                dir.failure = Some(error);
            }
        }
        Ok(dir)
    }

    fn read_dir(&mut self, dir: &mut LogDir, namesakes: &mut Vec<Namesake>) -> Result<(), Trouble> {
        let path = dir.path.clone();
        let disk = Arc::clone(&self.disk);
        make_dir(&*disk, &path)?;
        dir._lock = match disk.lock(&path.join(LOCK_FILE_NAME)) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(Trouble::Start(LogDirsError::Locked(path)));
            }
            Err(error) => return Err(trouble("lock", &path, &error)),
        };
        dir.meta = self.read_meta(&path)?;
        dir.clean_shutdown =
            clean_shutdown::is_marked(&*disk, &path).map_err(|error| trouble("look into", &path, &error))?;
        self.list_partitions(dir, namesakes)
    }

    /// Reads `meta.properties`, and holds it against those of the other dirs.
    fn read_meta(&mut self, path: &Path) -> Result<Option<MetaProperties>, Trouble> {
        let refused =
            |reason: String| Trouble::Start(LogDirsError::Identity(format!("log dir {}: {reason}", path.display())));
        let meta = match MetaProperties::load(&*self.disk, path) {
            Ok(None) => return Ok(None),
            Ok(Some(meta)) => meta,
            Err(MetaPropertiesError::Io(error)) => return Err(trouble("read meta.properties of", path, &error)),
            Err(error) => return Err(refused(error.to_string())),
        };
        if meta.version == MetaPropertiesVersion::V1 {
            return Err(refused("meta.properties was written by a broker in KRaft mode".to_owned()));
        }
        let found = &mut self.found;
        if let (Some(ours), Some(others)) = (meta.broker_id, found.broker_id)
            && ours != others
        {
            return Err(refused(format!("meta.properties has broker.id={ours}, another log dir's has {others}")));
        }
        if let (Some(ours), Some(others)) = (&meta.cluster_id, &found.cluster_id)
            && ours != others
        {
            return Err(refused(format!("meta.properties has cluster.id={ours}, another log dir's has {others}")));
        }
        found.broker_id = found.broker_id.or(meta.broker_id);
        found.cluster_id = found.cluster_id.take().or_else(|| meta.cluster_id.clone());
        Ok(Some(meta))
    }

    fn list_partitions(&mut self, dir: &mut LogDir, namesakes: &mut Vec<Namesake>) -> Result<(), Trouble> {
        let here = LogDirIndex(self.dirs.len());
        let entries = self.disk.list(&dir.path).map_err(|error| trouble("list", &dir.path, &error))?;
        for entry in entries.into_iter().filter(|entry| entry.is_dir) {
            let path = dir.path.join(&entry.name);
            let folder =
                directory::parse(&entry.name).map_err(|_| Trouble::Start(LogDirsError::UnknownFolder(path.clone())))?;
            match folder {
                None => {}
                Some(PartitionDirectory { mark: Some(Mark::Delete), .. }) => dir.leftovers.push(path),
                Some(PartitionDirectory { mark: Some(Mark::Future), partition }) => {
                    self.found_future(partition, here, &entry.name, &path);
                }
                Some(PartitionDirectory { mark: Some(Mark::Stray), .. }) => {
                    self.warnings.push(format!("folder {} is left alone: it is no live partition", path.display()));
                }
                Some(PartitionDirectory { partition, mark: None }) => {
                    if let Some(first) = self.partitions.insert(partition.clone(), here) {
                        namesakes.push(Namesake { partition, first, second: here });
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads the checkpoints of a dir. A damaged one says nothing: then more of the logs is read, and nothing is lost. What
    /// they say of partitions that are gone is kept too, so that a namesake can be kept from it.
    pub(super) fn read_checkpoints(&mut self, here: LogDirIndex) -> Result<(), DiskError> {
        let Some(dir) = self.dirs.get(here.0).filter(|dir| dir.failure.is_none()) else { return Ok(()) };
        for file in OffsetCheckpoint::ALL {
            let offsets = match file.load(&*self.disk, &dir.path) {
                Ok(offsets) => offsets,
                Err(CheckpointError::Io(error)) if error.kind() != io::ErrorKind::InvalidData => {
                    return Err(DiskError::new("read checkpoints of", &dir.path, &error));
                }
                Err(error) => {
                    self.warnings.push(format!("{} of {} is ignored: {error}", file.file_name(), dir.path.display()));
                    continue;
                }
            };
            if file == OffsetCheckpoint::Cleaner && !offsets.is_empty() {
                dir.compacted.store(true, Ordering::Release);
            }
            let mut known = lock(&self.known);
            for (partition, offset) in offsets.into_iter().filter(|(_, offset)| Offset(0) <= *offset) {
                if self.partitions.get(&partition).is_none_or(|place| *place == here) {
                    let known = known.entry(partition).or_default();
                    match file {
                        OffsetCheckpoint::RecoveryPoint => known.recovery_point = offset,
                        OffsetCheckpoint::LogStart => known.log_start = offset,
                        OffsetCheckpoint::Replication => known.high_watermark = offset,
                        OffsetCheckpoint::Cleaner => known.first_dirty = Some(offset),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Why a dir could not be read.
pub(super) enum Trouble {
    /// The broker must not start.
    Start(LogDirsError),
    /// The dir is offline.
    Disk(DiskError),
}

/// Makes a log dir that is not there, for good: without the flush of the folders above it a power failure takes it away again, with
/// all that was flushed in it.
fn make_dir(disk: &dyn Disk, path: &Path) -> Result<(), Trouble> {
    let failed = |error: io::Error| trouble("make", path, &error);
    let mut made = Vec::new();
    for folder in path.ancestors().filter(|folder| !folder.as_os_str().is_empty()) {
        if disk.exists(folder).map_err(failed)? {
            break;
        }
        made.push(folder);
    }
    disk.create_dir_all(path).map_err(failed)?;
    for parent in made.into_iter().filter_map(Path::parent) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        disk.sync_dir(parent).map_err(failed)?;
    }
    Ok(())
}

pub(super) fn trouble(doing: &str, path: &Path, error: &io::Error) -> Trouble {
    Trouble::Disk(DiskError::new(doing, path, error))
}
