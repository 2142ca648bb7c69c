//! What one look at the partitions of a fetch found, and how it is said.

use std::sync::Arc;

use super::{Limits, current_leader};
use crate::broker::directory::{PartitionHandle, Published};
use crate::broker::env::Env;
use crate::machine::fetch_session::{Answered, Key, Wanted};
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Moment, Offset, PartitionIndex};
use crate::storage::log::{ReadError, Slice};
use crate::telemetry::{Event as _, event};
use crate::wire::Payload;
use crate::wire::message::fetch::{AbortedTransaction, EpochEndOffset, PartitionData};

/// What one look at the partitions found.
#[derive(Default)]
pub(super) struct Look {
    pub(super) partitions: Vec<(Key, PartitionData, Option<Answered>)>,
    pub(super) slices: Vec<Slice>,
    pub(super) bytes: usize,
    /// Something that must be told at once.
    pub(super) urgent: bool,
    /// Bytes of throttled partitions.
    pub(super) throttled_bytes: usize,
    /// Partitions were left out because of the quota: until then.
    pub(super) held_until: Option<Moment>,
    /// Partitions to watch, and the offset beyond which they have news: of the high watermark, or for a follower of the log's end.
    pub(super) watch: Vec<(Arc<Published>, Offset)>,
}

impl Look {
    pub(super) fn fail(&mut self, key: &Key, index: PartitionIndex, error: ErrorCode, env: &Env, limits: &Limits<'_>) {
        let mut data = PartitionData {
            partition_index: index.0,
            error_code: error,
            high_watermark: -1,
            records: Payload::EMPTY,
            ..Default::default()
        };
        let is_elsewhere = matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch);
        if is_elsewhere && limits.names_leader {
            data.current_leader = current_leader(env, key);
        }
        self.partitions.push((key.clone(), data, None));
        self.urgent = true;
    }

    /// The follower has what we do not: it cuts that off, and asks again.
    pub(super) fn diverging(&mut self, key: &Key, partition: &PartitionHandle, epoch: LeaderEpoch, end: Offset) {
        let published = &partition.published;
        let data = PartitionData {
            partition_index: key.1.0,
            high_watermark: published.high_watermark().0,
            last_stable_offset: published.last_stable_offset().0,
            log_start_offset: published.log.log_start_offset().0,
            diverging_epoch: EpochEndOffset { epoch: epoch.0, end_offset: end.0 },
            records: Payload::EMPTY,
            ..Default::default()
        };
        self.partitions.push((key.clone(), data, None));
        self.urgent = true;
    }

    /// A replica that is nearer to the consumer has it too: it goes there.
    pub(super) fn preferred(&mut self, key: &Key, partition: &PartitionHandle, nearest: BrokerId) {
        let published = &partition.published;
        let data = PartitionData {
            partition_index: key.1.0,
            high_watermark: published.high_watermark().0,
            last_stable_offset: published.last_stable_offset().0,
            log_start_offset: published.log.log_start_offset().0,
            preferred_read_replica: nearest.0,
            records: Payload::EMPTY,
            ..Default::default()
        };
        self.partitions.push((key.clone(), data, None));
        self.urgent = true;
    }

    pub(super) fn unreadable(&mut self, key: &Key, error: &ReadError) {
        let code = match error {
            ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            ReadError::Corrupt(_) => ErrorCode::CorruptMessage,
            ReadError::Disk(_) => ErrorCode::KafkaStorageError,
        };
        if code != ErrorCode::OffsetOutOfRange {
            event::ReadFailed { cause: error.to_string() }.emit();
        }
        let data = PartitionData {
            partition_index: key.1.0,
            error_code: code,
            high_watermark: -1,
            records: Payload::EMPTY,
            ..Default::default()
        };
        self.partitions.push((key.clone(), data, None));
        self.urgent = true;
    }

    pub(super) fn found(
        &mut self,
        key: &Key,
        partition: &PartitionHandle,
        found: Option<Slice>,
        wanted: &Wanted,
        limits: &Limits<'_>,
    ) {
        let published = &partition.published;
        let high_watermark = published.high_watermark();
        let log_start_offset = published.log.log_start_offset();
        let answered = Answered { high_watermark, log_start_offset };
        if found.is_none() && limits.answered.is_some_and(|sessions| !sessions.has_news(key, answered)) {
            return;
        }
        let aborted = match &found {
            Some(slice) if limits.read_committed => {
                published.log.aborted_transactions(wanted.offset, slice.next_offset)
            }
            _ => vec![],
        };
        let aborted = aborted.into_iter().map(|aborted| AbortedTransaction {
            producer_id: aborted.producer_id.0,
            first_offset: aborted.first_offset.0,
        });
        let data = PartitionData {
            partition_index: key.1.0,
            high_watermark: high_watermark.0,
            last_stable_offset: published.last_stable_offset().0,
            log_start_offset: log_start_offset.0,
            aborted_transactions: limits.read_committed.then(|| aborted.collect()),
            records: self.take_slice(found),
            ..Default::default()
        };
        self.partitions.push((key.clone(), data, Some(answered)));
    }

    fn take_slice(&mut self, slice: Option<Slice>) -> Payload {
        let Some(slice) = slice else { return Payload::EMPTY };
        let (Ok(token), Ok(len)) = (u32::try_from(self.slices.len()), u32::try_from(slice.len)) else {
            return Payload::EMPTY;
        };
        self.bytes += slice.len;
        self.slices.push(slice);
        Payload::External { token, len }
    }
}
