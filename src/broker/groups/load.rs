//! Reading a partition of `__consumer_offsets` back, in chunks, on the disk pool.

use std::sync::Arc;

use crate::machine::group::Replayed;
use crate::model::{LeaderEpoch, Offset};
use crate::storage::log::{LogView, Read, ReadRequest, Wait};
use crate::wire::group_record::GroupRecord;
use crate::wire::record::{Batches, DecompressionLimit, EndTransactionMarker, TransactionOutcome};

/// Most that one batch may grow to. Batches here are written by brokers, which bound them by `max.message.bytes`.
const DECOMPRESSED: DecompressionLimit = DecompressionLimit { bytes_max: 100 << 20 };

/// Records, and where to go on; `None` at the end. What went wrong, in words for the operator.
pub(super) type Chunk = Result<(Vec<Replayed>, Option<Offset>), String>;

/// How far reading is.
#[derive(Clone)]
pub(super) struct Loading {
    /// Under which leadership.
    pub(super) epoch: LeaderEpoch,
    /// Tells it from a later one of the same leadership.
    pub(super) number: u64,
    pub(super) log: Arc<LogView>,
    pub(super) next: Offset,
    /// Exclusive.
    pub(super) end: Offset,
    /// `offsets.load.buffer.size`.
    pub(super) bytes_max: usize,
}

impl Loading {
    /// The next records.
    ///
    /// # Errors
    /// See [`Chunk`].
    pub(super) fn chunk(&self) -> Chunk {
        let request = ReadRequest {
            offset: self.next,
            upper_bound: self.end,
            bytes_max: self.bytes_max,
            at_least_one_batch: true,
        };
        let slice = match self.log.read(&request, Wait::Allowed).map_err(|error| error.to_string())? {
            Read::Batches(slice) => slice,
            Read::Empty | Read::WouldWait => return Ok((Vec::new(), None)),
        };
        let mut bytes = vec![0; slice.len];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = slice.position.saturating_add(filled as u64);
            match slice.file.read_at(at, rest).map_err(|error| error.to_string())? {
                0 => return Err("a segment is shorter than it was".to_owned()),
                read => filled += read,
            }
        }
        let next = Some(slice.next_offset).filter(|next| *next < self.end && self.next < *next);
        Ok((replayed(&bytes, self.next)?, next))
    }
}

/// The records in batches, from an offset on.
fn replayed(bytes: &[u8], from: Offset) -> Result<Vec<Replayed>, String> {
    let (mut found, mut scratch) = (Vec::new(), Vec::new());
    for batch in Batches::new(bytes) {
        let (header, batch) = batch.map_err(|error| error.to_string())?;
        let producer = header.attributes.is_transactional().then_some(header.producer_id);
        let records = header.read_records(batch, DECOMPRESSED, &mut scratch).map_err(|error| error.to_string())?;
        for record in records {
            let record = record.map_err(|error| error.to_string())?;
            let offset = header.offset_of(&record);
            if offset < from {
                continue;
            }
            if header.attributes.is_control() {
                let marker = EndTransactionMarker::of(&record).map_err(|error| error.to_string())?;
                found.extend(marker.map(|marker| {
                    let committed = marker.outcome == TransactionOutcome::Committed;
                    Replayed::EndOfTransaction(header.producer_id, committed)
                }));
                continue;
            }
            let key = record.key.ok_or_else(|| format!("the record at {offset} has no key"))?;
            let record = GroupRecord::decode(key, record.value).map_err(|error| format!("at {offset}: {error}"))?;
            found.extend(record.map(|record| Replayed::Record(offset, producer, record)));
        }
    }
    Ok(found)
}
