//! The snapshot of a partition's producers (`<offset>.snapshot`, version 1): so that opening a log need not read all of it.
//!
//! *Invariant*: what is read back is what was written, or an error: then the file goes, and an older one and more of the log
//! are read instead.
//! *Does not know*: which snapshots there are to be, but for [`stray_snapshots`].
//!
//! Source: Kafka 3.9 `ProducerStateManager.readSnapshot`, `writeSnapshot`, `removeStraySnapshots`.

use std::collections::BTreeSet;

use super::producer_state::{BatchMetadata, ProducerState, ProducerStates};
use crate::model::{Offset, ProducerEpoch, ProducerId, Timestamp};

/// The only version there is.
const VERSION: i16 = 1;

/// Version, CRC and number of producers.
const HEADER_BYTES: usize = 10;

/// Bytes that the CRC does not cover: version and CRC.
const CRC_COVERS_FROM: usize = 6;

/// Bytes per producer.
const PRODUCER_BYTES: usize = 46;

/// Largest snapshot that is read: some 5.8 million producers, which at Kafka's defaults means 67 new ones per second and
/// partition for a whole day.
pub const SNAPSHOT_BYTES_MAX: usize = 256 << 20;

/// Why bytes are no snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Too short for its header, or not as long as its number of producers says.
    #[error("the producer snapshot has {bytes} bytes, but says it holds {producers} producers")]
    Length {
        /// Of the file.
        bytes: usize,
        /// As its header says.
        producers: i32,
    },
    /// Another version.
    #[error("the producer snapshot has version {0} instead of 1")]
    Version(i16),
    /// CRC-32C does not fit.
    #[error("the producer snapshot's CRC is {found:08x} instead of {expected:08x}")]
    Crc {
        /// As the file says.
        expected: u32,
        /// Of the bytes.
        found: u32,
    },
}

/// The snapshot's bytes. Producers stand in the order of their ids; Kafka, which has no order, does not mind.
#[must_use]
pub fn encode(states: &ProducerStates) -> Vec<u8> {
    let count = i32::try_from(states.producers().len()).unwrap_or(i32::MAX);
    let mut body = count.to_be_bytes().to_vec();
    for (producer_id, state) in states.producers() {
        let last = state.last_batch();
        body.extend(producer_id.0.to_be_bytes());
        body.extend(state.epoch.0.to_be_bytes());
        body.extend(state.last_sequence().to_be_bytes());
        body.extend(last.map_or(Offset::NONE, |batch| batch.last_offset).0.to_be_bytes());
        body.extend(last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
        body.extend(state.last_timestamp.0.to_be_bytes());
        body.extend(state.coordinator_epoch.to_be_bytes());
        body.extend(state.transaction_first_offset.unwrap_or(Offset::NONE).0.to_be_bytes());
    }
    let crc = crc32c::crc32c(&body);
    [VERSION.to_be_bytes().as_slice(), &crc.to_be_bytes(), &body].concat()
}

/// The producers of a snapshot, for [`ProducerStates::restored`].
///
/// # Errors
/// [`SnapshotError`]; also for bytes behind the last producer.
pub fn decode(bytes: &[u8]) -> Result<Vec<(ProducerId, ProducerState)>, SnapshotError> {
    let short = SnapshotError::Length { bytes: bytes.len(), producers: 0 };
    let (head, producers) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(short)?;
    let mut head = Fields(head);
    let (version, expected) = (i16::from_be_bytes(head.take()), u32::from_be_bytes(head.take()));
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let found = crc32c::crc32c(bytes.get(CRC_COVERS_FROM..).unwrap_or(&[]));
    if found != expected {
        return Err(SnapshotError::Crc { expected, found });
    }
    let count = i32::from_be_bytes(head.take());
    let (producers, rest) = producers.as_chunks::<PRODUCER_BYTES>();
    if usize::try_from(count) != Ok(producers.len()) || !rest.is_empty() {
        return Err(SnapshotError::Length { bytes: bytes.len(), producers: count });
    }
    Ok(producers.iter().map(producer).collect())
}

fn producer(bytes: &[u8; PRODUCER_BYTES]) -> (ProducerId, ProducerState) {
    let mut fields = Fields(bytes);
    let producer_id = ProducerId(i64::from_be_bytes(fields.take()));
    let epoch = ProducerEpoch(i16::from_be_bytes(fields.take()));
    let last_sequence = i32::from_be_bytes(fields.take());
    let last_offset = Offset(i64::from_be_bytes(fields.take()));
    let offset_delta = i32::from_be_bytes(fields.take());
    let timestamp = Timestamp(i64::from_be_bytes(fields.take()));
    let coordinator_epoch = i32::from_be_bytes(fields.take());
    let transaction = Some(Offset(i64::from_be_bytes(fields.take()))).filter(|first| Offset(0) <= *first);
    let batch = BatchMetadata { last_sequence, last_offset, offset_delta, timestamp };
    let batch = Some(batch).filter(|batch| Offset(0) <= batch.last_offset);
    (producer_id, ProducerState::restored(epoch, coordinator_epoch, timestamp, transaction, batch))
}

/// Bytes to be taken field by field. Whoever makes one has checked that there are enough: what is missing reads as zeros.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().map_or(([0; N], [].as_slice()), |(field, rest)| (*field, rest));
        self.0 = rest;
        field
    }
}

/// The snapshots to remove when a log is opened: all that belong to no segment, but for the newest, if that lies behind the
/// last segment's beginning.
#[must_use]
pub fn stray_snapshots(snapshots: &BTreeSet<Offset>, segment_bases: &BTreeSet<Offset>) -> Vec<Offset> {
    let mut stray = snapshots.difference(segment_bases).copied().collect::<Vec<_>>();
    if stray.last().is_some_and(|newest| segment_bases.last().is_none_or(|last| last <= newest)) {
        stray.pop();
    }
    stray
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_snapshot_of_nobody_is_ten_bytes() {
        let bytes = encode(&ProducerStates::new(Offset(15)));
        assert_eq!(bytes, [0, 1, 0x48, 0x67, 0x4b, 0xc7, 0, 0, 0, 0], "as Kafka writes it");
        assert_eq!(decode(&bytes), Ok(Vec::new()));
    }

    #[test]
    fn strays_go_but_the_newest_behind_the_last_segment() {
        let set = |offsets: &[i64]| offsets.iter().copied().map(Offset).collect::<BTreeSet<_>>();
        let strays = |snapshots: &[i64], bases: &[i64]| {
            stray_snapshots(&set(snapshots), &set(bases)).into_iter().map(|offset| offset.0).collect::<Vec<_>>()
        };
        assert_eq!(strays(&[1, 2, 5, 6, 7], &[2, 5]), [1, 6]);
        assert_eq!(strays(&[1, 2, 3], &[2, 5]), [1, 3]);
        assert_eq!(strays(&[1, 2, 3], &[]), [1, 2]);
        assert_eq!(strays(&[], &[1]), [0; 0]);
    }

    proptest! {
        #![proptest_config(crate::storage::cases::same_every_run())]

        #[test]
        fn snapshots_survive_and_damage_does_not_pass(
            producers in prop::collection::btree_map(any::<i64>(), (any::<i16>(), any::<i32>(), 0..i64::MAX, -1..99_i64), 0..20),
            damage in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let of = |(id, (epoch, sequence, offset, transaction)): (&i64, &(i16, i32, i64, i64))| {
                let timestamp = Timestamp(*offset);
                let batch = BatchMetadata { last_sequence: *sequence, last_offset: Offset(*offset), offset_delta: 3, timestamp };
                let transaction = Some(Offset(*transaction)).filter(|first| Offset(0) <= *first);
                let state = ProducerState::restored(ProducerEpoch(*epoch), 4, timestamp, transaction, Some(batch));
                (ProducerId(*id), state)
            };
            let producers = producers.iter().map(of).collect::<Vec<_>>();
            let states = ProducerStates::restored(Offset(9), producers.clone(), Timestamp(0), i64::MAX);
            let mut bytes = encode(&states);
            prop_assert_eq!(decode(&bytes), Ok(producers));
            let at = damage.index(bytes.len());
            prop_assert!(decode(bytes.get(..at).unwrap()).is_err(), "cut short");
            *bytes.get_mut(at).unwrap() ^= 1 << bit;
            prop_assert!(decode(&bytes).is_err(), "bit {bit} of byte {at}");
        }

        #[test]
        fn any_bytes_are_taken_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _refused = decode(&bytes);
            // Behind the CRC, too.
            if let Some(body) = bytes.get(CRC_COVERS_FROM..) {
                let crc = crc32c::crc32c(body);
                bytes.splice(..CRC_COVERS_FROM, [VERSION.to_be_bytes().as_slice(), &crc.to_be_bytes()].concat());
                let _refused = decode(&bytes);
            }
        }
    }
}
