//! Indexes, compared with the segment beside them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::Dump;
use super::segment::{Batches, Found};
use crate::cli::failure::Failure;
use crate::cli::file::cannot_read;
use crate::model::{Offset, Timestamp};
use crate::storage::filename::{FileKind, SegmentFileName};
use crate::storage::index::{INDEX_BYTES_MAX, OffsetIndex, TimeIndex};
use crate::storage::transaction_index::{TRANSACTION_INDEX_BYTES_MAX, TransactionIndex};

/// What an index may point at.
struct Place {
    last_offset: Offset,
    max_timestamp: Timestamp,
    /// Largest timestamp up to and including this batch.
    max_so_far: Timestamp,
}

/// The batches of the segment beside an index, by position; `None` when there is no such file.
fn segment_beside(path: &Path, name: SegmentFileName) -> Result<Option<BTreeMap<u64, Place>>, Failure> {
    let log = path.with_file_name(SegmentFileName { kind: FileKind::Log, ..name }.to_string());
    let failed = |error: io::Error| cannot_read(&log, &error);
    let mut batches = match Batches::open(&log) {
        Ok(batches) => batches,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut places = BTreeMap::new();
    let mut max_so_far = Timestamp::NONE;
    while let Some(Found::Batch { position, header }) = batches.next().map_err(failed)? {
        let (last_offset, max_timestamp) = (header.last_offset(), header.max_timestamp);
        max_so_far = max_so_far.max(max_timestamp);
        places.insert(position, Place { last_offset, max_timestamp, max_so_far });
    }
    Ok(Some(places))
}

const NO_SEGMENT: &str = "there is no segment beside it to compare it with";

pub(super) fn dump_offsets(dump: &mut Dump<'_>, path: &Path, name: SegmentFileName) -> Result<(), Failure> {
    let bytes = dump.read(path, INDEX_BYTES_MAX)?;
    let index = match OffsetIndex::decode(name.offset, &bytes) {
        Ok(index) => index,
        Err(error) => return dump.damage(error),
    };
    let places = segment_beside(path, name)?;
    for entry in index.to_vec() {
        dump.show(format_args!("offset {} position {}", entry.offset, entry.position))?;
        let Some(places) = &places else { continue };
        match places.get(&u64::from(entry.position)) {
            None => dump.damage(format_args!("no batch begins at position {}", entry.position))?,
            Some(place) if place.last_offset != entry.offset => dump.damage(format_args!(
                "the batch at position {} ends with offset {}, not {}",
                entry.position, place.last_offset, entry.offset
            ))?,
            Some(_) => {}
        }
    }
    if places.is_none() {
        dump.show(NO_SEGMENT)?;
    }
    dump.summary(format_args!("{} entries", index.len()))
}

pub(super) fn dump_times(dump: &mut Dump<'_>, path: &Path, name: SegmentFileName) -> Result<(), Failure> {
    let bytes = dump.read(path, INDEX_BYTES_MAX)?;
    let index = match TimeIndex::decode(name.offset, &bytes) {
        Ok(index) => index,
        Err(error) => return dump.damage(error),
    };
    let places = segment_beside(path, name)?;
    for entry in index.to_vec() {
        dump.show(format_args!("timestamp {} offset {}", entry.timestamp, entry.offset))?;
        let Some(places) = &places else { continue };
        match places.values().find(|place| entry.offset <= place.last_offset) {
            None => dump.damage(format_args!("the segment ends before offset {}", entry.offset))?,
            Some(place) if place.max_timestamp != entry.timestamp || place.max_so_far != entry.timestamp => {
                dump.damage(format_args!(
                    "the batch with offset {} has timestamp {}, the largest up to there is {}, not {}",
                    entry.offset, place.max_timestamp, place.max_so_far, entry.timestamp
                ))?;
            }
            Some(_) => {}
        }
    }
    if places.is_none() {
        dump.show(NO_SEGMENT)?;
    }
    dump.summary(format_args!("{} entries", index.len()))
}

pub(super) fn dump_transactions(dump: &mut Dump<'_>, path: &Path, base: Offset) -> Result<(), Failure> {
    let bytes = dump.read(path, TRANSACTION_INDEX_BYTES_MAX)?;
    let index = match TransactionIndex::decode(base, &bytes) {
        Ok(index) => index,
        Err(error) => return dump.damage(error),
    };
    let mut entries = Vec::new();
    index.collect(Offset(0), Offset(i64::MAX), &mut entries);
    for entry in &entries {
        dump.show(format_args!(
            "aborted: producer {} offsets {}..={} last stable offset {}",
            entry.producer_id, entry.first_offset, entry.last_offset, entry.last_stable_offset
        ))?;
    }
    dump.summary(format_args!("{} aborted transactions", entries.len()))
}
