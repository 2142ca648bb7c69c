//! Segments: batches one behind the other.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Dump;
use crate::cli::failure::Failure;
use crate::cli::file::cannot_read;
use crate::model::{Offset, ProducerId};
use crate::storage::disk::os::OsDisk;
use crate::storage::disk::{Access, Disk as _, DiskFile};
use crate::wire::record::{
    BATCH_HEADER_BYTES, BatchError, BatchHeader, ControlType, DecompressionLimit, Record, TimestampType, verify_crc,
};

/// Bytes that the records of one batch may take when decompressed.
const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

/// Characters of a key or value that are shown.
const SHOWN_CHARS_MAX: usize = 200;

/// Walks over the batches of a segment file.
pub(super) struct Batches {
    file: Arc<dyn DiskFile>,
    len: u64,
    position: u64,
    bytes: Vec<u8>,
}

/// What stands at a position.
pub(super) enum Found {
    /// A batch, whose bytes are in [`Batches::bytes`].
    Batch { position: u64, header: BatchHeader },
    /// Something else, up to the end of the file.
    Wrong { position: u64, error: BatchError },
}

impl Batches {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OsDisk.open(path, Access::Read)?;
        let len = file.len()?;
        Ok(Self { file, len, position: 0, bytes: Vec::new() })
    }

    /// The bytes of the batch that was found last.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The next batch; `None` at the end of the file and behind what is wrong.
    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        let position = self.position;
        if position == self.len {
            return Ok(None);
        }
        self.bytes.resize(BATCH_HEADER_BYTES, 0);
        let read = self.file.read_at(position, &mut self.bytes)?;
        self.bytes.truncate(read);
        let header = BatchHeader::decode(&self.bytes).and_then(|header| {
            let end = u64::try_from(header.len).ok().and_then(|len| position.checked_add(len));
            match end.filter(|end| *end <= self.len) {
                Some(end) => Ok((header, end)),
                None => Err(BatchError::Truncated),
            }
        });
        match header {
            Ok((header, end)) => {
                // No more than the file holds, whatever the header says.
                self.bytes.resize(header.len, 0);
                let read = self.file.read_at(position, &mut self.bytes)?;
                self.bytes.truncate(read);
                self.position = end;
                Ok(Some(Found::Batch { position, header }))
            }
            Err(error) => {
                self.position = self.len;
                Ok(Some(Found::Wrong { position, error }))
            }
        }
    }

    /// Whether everything from `position` on is zero: room that a crashed Kafka reserved.
    fn is_zero_from(&self, position: u64) -> io::Result<bool> {
        let mut at = position;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = self.file.read_at(at, &mut buffer)?;
            if read == 0 {
                return Ok(true);
            }
            if buffer.iter().take(read).any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += u64::try_from(read).unwrap_or_default();
        }
    }
}

#[derive(Default)]
struct Totals {
    batches: u64,
    records: u64,
    bytes: u64,
}

pub(super) fn dump(dump: &mut Dump<'_>, path: &Path, base: Offset) -> Result<(), Failure> {
    let failed = |error: io::Error| cannot_read(path, &error);
    let mut batches = Batches::open(path).map_err(failed)?;
    let mut totals = Totals::default();
    let mut next_offset = base;
    while let Some(found) = batches.next().map_err(failed)? {
        let (position, header) = match found {
            Found::Batch { position, header } => (position, header),
            Found::Wrong { position, .. } if batches.is_zero_from(position).map_err(failed)? => {
                dump.damage(format_args!("from position {position} on there are only zeros"))?;
                break;
            }
            Found::Wrong { position, error } => {
                dump.damage(format_args!("at position {position}: {error}; the rest cannot be read"))?;
                break;
            }
        };
        dump.show(Line { position, header: &header })?;
        check(dump, position, &header, batches.bytes(), next_offset)?;
        if dump.records {
            records(dump, &header, batches.bytes())?;
        }
        next_offset = next_offset.max(header.last_offset().next());
        totals.batches += 1;
        totals.records += u64::try_from(header.records).unwrap_or_default();
        totals.bytes += u64::try_from(header.len).unwrap_or_default();
    }
    dump.summary(format_args!(
        "{} batches with {} records in {} bytes, next offset {next_offset}",
        totals.batches, totals.records, totals.bytes
    ))
}

/// One batch as a line.
struct Line<'a> {
    position: u64,
    header: &'a BatchHeader,
}

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let header = self.header;
        let codec = header
            .attributes
            .codec()
            .map_or_else(|error| error.to_string(), |codec| format!("{codec:?}").to_lowercase());
        write!(
            f,
            "offsets {}..={} position {} bytes {} records {} codec {codec} leader epoch {} timestamp {}",
            header.base_offset,
            header.last_offset(),
            self.position,
            header.len,
            header.records,
            header.leader_epoch,
            header.max_timestamp
        )?;
        if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
            f.write_str(" (log append time)")?;
        }
        if header.producer_id != ProducerId::NONE {
            let (id, epoch) = (header.producer_id, header.producer_epoch);
            write!(f, " producer {id} epoch {epoch} sequence {}", header.base_sequence)?;
        }
        if header.attributes.has_delete_horizon() {
            write!(f, " delete horizon {}", header.base_timestamp)?;
        }
        if header.attributes.is_transactional() {
            f.write_str(" transactional")?;
        }
        if header.attributes.is_control() {
            f.write_str(" control")?;
        }
        Ok(())
    }
}

fn check(dump: &mut Dump<'_>, position: u64, header: &BatchHeader, bytes: &[u8], next: Offset) -> Result<(), Failure> {
    if let Err(error) = verify_crc(header, bytes) {
        dump.damage(format_args!("batch at position {position}: {error}"))?;
    }
    if header.base_offset < next {
        let base = header.base_offset;
        dump.damage(format_args!("batch at position {position}: offset {base} where {next} or more should be"))?;
    }
    // Compaction leaves fewer records than offsets, never more.
    if header.last_offset_delta < header.records.saturating_sub(1) || header.records < 0 {
        let (records, delta) = (header.records, header.last_offset_delta);
        dump.damage(format_args!("batch at position {position}: {records} records in offsets 0..={delta}"))?;
    }
    Ok(())
}

fn records(dump: &mut Dump<'_>, header: &BatchHeader, bytes: &[u8]) -> Result<(), Failure> {
    let base = header.base_offset;
    let mut scratch = Vec::new();
    let limit = DecompressionLimit { bytes_max: DECOMPRESSED_BYTES_MAX };
    let records = match header.read_records(bytes, limit, &mut scratch) {
        Ok(records) => records,
        Err(error) => return dump.damage(format_args!("batch from offset {base}: {error}")),
    };
    let mut next = base;
    for record in records {
        let record = match record {
            Ok(record) => record,
            Err(error) => return dump.damage(format_args!("batch from offset {base}: {error}")),
        };
        let offset = header.offset_of(&record);
        if offset < next || header.last_offset() < offset {
            dump.damage(format_args!("batch from offset {base}: a record with offset {offset}"))?;
        }
        next = offset.next();
        if header.attributes.is_control() {
            let kind = ControlType::of(&record).map_or_else(|error| error.to_string(), |kind| format!("{kind:?}"));
            dump.show(format_args!("| offset {offset} marker {kind}"))?;
        } else {
            show_record(dump, header, &record)?;
        }
    }
    Ok(())
}

fn show_record(dump: &mut Dump<'_>, header: &BatchHeader, record: &Record<'_>) -> Result<(), Failure> {
    let headers = record.headers.iter().map(|header| {
        let key = String::from_utf8_lossy(header.key);
        format!("{key}={}", shown(header.value))
    });
    let headers = headers.collect::<Vec<_>>().join(" ");
    let space = if headers.is_empty() { "" } else { " headers " };
    dump.show(format_args!(
        "| offset {} timestamp {} key {} value {}{space}{headers}",
        header.offset_of(record),
        header.timestamp_of(record),
        shown(record.key),
        shown(record.value)
    ))
}

/// Bytes as a person can read them: text in quotes, shortened when long, control characters escaped.
fn shown(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".to_owned() };
    let text = String::from_utf8_lossy(bytes);
    let mut short = text.chars().take(SHOWN_CHARS_MAX).collect::<String>();
    if short.len() < text.len() {
        short.push('…');
        return format!("{short:?} ({} bytes)", bytes.len());
    }
    format!("{short:?}")
}
