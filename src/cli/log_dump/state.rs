//! Small files: producer snapshots, checkpoints, and who a log dir or partition belongs to.

use std::path::Path;

use super::Dump;
use crate::cli::failure::Failure;
use crate::storage::checkpoint::{self, CHECKPOINT_BYTES_MAX, OffsetCheckpoint};
use crate::storage::leader_epoch::LeaderEpochCache;
use crate::storage::meta_properties::MetaProperties;
use crate::storage::producer_snapshot::{self, SNAPSHOT_BYTES_MAX};
use crate::storage::{clean_shutdown, partition_metadata};

const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
const PARTITION_METADATA: &str = "partition.metadata";
const META_PROPERTIES: &str = "meta.properties";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// Largest of the files of a few lines.
const FEW_LINES_BYTES_MAX: usize = 1 << 20;

/// Whether a file of this name can be shown.
pub(super) fn knows(name: &str) -> bool {
    [LEADER_EPOCHS, PARTITION_METADATA, META_PROPERTIES, CLEAN_SHUTDOWN].contains(&name) || offsets(name).is_some()
}

fn offsets(name: &str) -> Option<OffsetCheckpoint> {
    OffsetCheckpoint::ALL.into_iter().find(|checkpoint| checkpoint.file_name() == name)
}

/// Shows a file whose name [`knows`] says yes to.
pub(super) fn dump(dump: &mut Dump<'_>, path: &Path, name: &str) -> Result<(), Failure> {
    match name {
        LEADER_EPOCHS => dump_epochs(dump, path),
        PARTITION_METADATA => {
            let bytes = dump.read(path, FEW_LINES_BYTES_MAX)?;
            match partition_metadata::decode(&bytes) {
                Ok(id) => dump.summary(format_args!("topic id {id}")),
                Err(error) => dump.damage(error),
            }
        }
        META_PROPERTIES => {
            let bytes = dump.read(path, FEW_LINES_BYTES_MAX)?;
            match MetaProperties::decode(&bytes) {
                Ok(found) => {
                    let broker = found.broker_id.map_or_else(|| "none".to_owned(), |id| id.to_string());
                    let text = |id: &Option<String>| id.clone().unwrap_or_else(|| "none".to_owned());
                    let (cluster, directory) = (text(&found.cluster_id), text(&found.directory_id));
                    dump.summary(format_args!("cluster id {cluster} broker id {broker} directory id {directory}"))
                }
                Err(error) => dump.damage(error),
            }
        }
        CLEAN_SHUTDOWN => {
            let bytes = dump.read(path, FEW_LINES_BYTES_MAX)?;
            match clean_shutdown::decode(&bytes) {
                Some(epoch) => dump.summary(format_args!("stopped in good order, broker epoch {epoch}")),
                None => dump.summary("stopped in good order"),
            }
        }
        _ => dump_offsets(dump, path),
    }
}

fn dump_offsets(dump: &mut Dump<'_>, path: &Path) -> Result<(), Failure> {
    let bytes = dump.read(path, CHECKPOINT_BYTES_MAX)?;
    let offsets = match checkpoint::decode(&bytes) {
        Ok(offsets) => offsets,
        Err(error) => return dump.damage(error),
    };
    for (partition, offset) in &offsets {
        dump.show(format_args!("{partition} offset {offset}"))?;
    }
    dump.summary(format_args!("{} partitions", offsets.len()))
}

fn dump_epochs(dump: &mut Dump<'_>, path: &Path) -> Result<(), Failure> {
    let bytes = dump.read(path, CHECKPOINT_BYTES_MAX)?;
    let epochs = match LeaderEpochCache::decode(&bytes) {
        Ok(epochs) => epochs,
        Err(error) => return dump.damage(error),
    };
    for entry in epochs.entries() {
        dump.show(format_args!("leader epoch {} from offset {} on", entry.epoch, entry.start_offset))?;
    }
    dump.summary(format_args!("{} leader epochs", epochs.entries().len()))
}

/// Shows a producer snapshot.
pub(super) fn dump_producers(dump: &mut Dump<'_>, path: &Path) -> Result<(), Failure> {
    let bytes = dump.read(path, SNAPSHOT_BYTES_MAX)?;
    let producers = match producer_snapshot::decode(&bytes) {
        Ok(producers) => producers,
        Err(error) => return dump.damage(error),
    };
    for (id, state) in &producers {
        let last = state.last_batch().map_or_else(String::new, |batch| {
            let (first, last) = (batch.first_offset(), batch.last_offset);
            format!(
                " last batch: offsets {first}..={last}, sequences {}..={}",
                batch.first_sequence(),
                batch.last_sequence
            )
        });
        let open =
            state.transaction_first_offset.map_or_else(String::new, |first| format!(" transaction from {first} on"));
        dump.show(format_args!(
            "producer {id} epoch {} coordinator epoch {} last timestamp {}{last}{open}",
            state.epoch, state.coordinator_epoch, state.last_timestamp
        ))?;
    }
    dump.summary(format_args!("{} producers", producers.len()))
}
