//! The coordinator's writes on their way to the log: those of one turn of its mailbox go there as one batch.
//!
//! *Invariant*: each write that is added has one outcome, those that succeed in the order of the log. A write is never split, and is
//! refused for no other's sake: only what fits together for certain shares a batch.
//! *Does not know*: what a write is for, how the log answers ([`Inbox`]).

use std::collections::VecDeque;
use std::sync::Arc;

use super::Tenure;
use crate::broker::inbox::Inbox;
use crate::broker::partition::{AppendItem, AppendOutcome, PartitionCommand, Promise, Ticket};
use crate::config::GroupConfig;
use crate::machine::group::{Now, WriteId};
use crate::model::{ErrorCode, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::storage::log::{NewBatch, Origin};
use crate::wire::group_record::GroupRecord;
use crate::wire::record::{BATCH_HEADER_BYTES, BatchBuilder, BuildError, Codec, NewRecord, validate_own};

/// Bytes of a batch in which several writes share, uncompressed: some hundred commits. More of them gain nothing, and whoever loads the
/// partition decompresses batch by batch.
const SHARED_BYTES_MAX: usize = 64 << 10;

/// What a record takes besides key and value: its lengths and deltas as varints.
const RECORD_OVERHEAD_BYTES_MAX: usize = 36;

/// What a codec may add to a batch that it cannot make smaller.
const CODEC_OVERHEAD_BYTES_MAX: usize = 256;

/// Room for the records of one write that is kept for the next one.
const KEPT_BYTES: usize = 16 << 10;

/// The producer of the transaction that a write is part of.
type Transaction = Option<(ProducerId, ProducerEpoch)>;

/// Bytes of a record's key and value.
type Lengths = (usize, Option<usize>);

/// A write, and where its records begin in its batch.
type Placed = (WriteId, i64);

/// See the module.
pub(super) struct Appends {
    config: GroupConfig,
    inbox: Arc<Inbox>,
    /// What was added and not handed over.
    open: Option<Open>,
    /// What was handed over and has no outcome, by the number of its ticket. Outcomes come in about that order.
    under_way: VecDeque<(u64, Vec<Placed>)>,
    next: u64,
    /// Room for the keys and values of one write, behind each other.
    bytes: Vec<u8>,
    /// See `bytes`.
    lengths: Vec<Lengths>,
}

/// A batch that is being made.
struct Open {
    /// When it was begun.
    now: Now,
    epoch: LeaderEpoch,
    transaction: Transaction,
    /// What it may grow to for another write.
    bytes_max: usize,
    builder: BatchBuilder,
    writes: Vec<Placed>,
}

impl Appends {
    pub(super) fn new(config: GroupConfig, inbox: Arc<Inbox>) -> Self {
        let (bytes, lengths) = (Vec::new(), Vec::new());
        Self { config, inbox, open: None, under_way: VecDeque::new(), next: 0, bytes, lengths }
    }

    /// Takes a write. It goes to the partition with [`hand_over`](Self::hand_over), unless it must go before.
    pub(super) fn add(
        &mut self,
        tenure: Option<&Tenure>,
        now: Now,
        write: WriteId,
        transaction: Transaction,
        records: &[GroupRecord],
    ) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.lengths.clear();
        for record in records {
            let Ok(lengths) = record.encode_behind(&mut self.bytes) else {
                self.refuse(vec![(write, 0)], ErrorCode::UnknownServerError);
                return;
            };
            self.lengths.push(lengths);
        }
        let bytes_max = self.bytes.len() + records.len() * RECORD_OVERHEAD_BYTES_MAX;
        if self.open.as_ref().is_some_and(|open| !open.takes(write.epoch, transaction, bytes_max)) {
            self.hand_over(tenure);
        }
        let open = self.open.take();
        let mut open = open.unwrap_or_else(|| self.begin(tenure, now, write.epoch, transaction, bytes_max));
        open.writes.push((write, i64::from(open.builder.records())));
        if open.append(now.timestamp, &self.bytes, &self.lengths).is_err() {
            // Larger than any batch, so it is alone.
            self.refuse(open.writes, ErrorCode::MessageTooLarge);
            return;
        }
        self.open = Some(open);
    }

    fn begin(
        &self,
        tenure: Option<&Tenure>,
        now: Now,
        epoch: LeaderEpoch,
        transaction: Transaction,
        bytes: usize,
    ) -> Open {
        let codec = usize::try_from(self.config.compression).ok().and_then(|id| Codec::ALL.get(id).copied());
        let mut builder =
            BatchBuilder::new(codec.unwrap_or(Codec::None)).with_room(BATCH_HEADER_BYTES.saturating_add(bytes));
        if let Some((id, epoch)) = transaction {
            builder = builder.producer(id, epoch, -1).transactional();
        }
        let allowed = tenure.map_or(0, |tenure| {
            let rules = tenure.partition.published.settings().batch;
            rules.batch_bytes_max.min(rules.segment_bytes_max)
        });
        Open { now, epoch, transaction, bytes_max: SHARED_BYTES_MAX.min(allowed), builder, writes: Vec::new() }
    }

    /// Hands the partition what was added. Whatever becomes of it, the inbox gets an outcome.
    pub(super) fn hand_over(&mut self, tenure: Option<&Tenure>) {
        let Some(open) = self.open.take() else { return };
        let Some(tenure) = tenure.filter(|tenure| tenure.epoch == open.epoch) else {
            self.refuse(open.writes, ErrorCode::NotLeaderOrFollower);
            return;
        };
        let batch = match batch(tenure, open.now, open.builder) {
            Ok(batch) => batch,
            Err(error) => {
                self.refuse(open.writes, error);
                return;
            }
        };
        let item = AppendItem {
            batch,
            promise: Promise::new(Arc::clone(&self.inbox), self.ticket(open.writes)),
            all_until: Some(open.now.moment.after(self.config.commit_timeout)),
            under: Some(open.epoch),
        };
        // Refused, the promise that it carries answers.
        let _refused = tenure.partition.addr.try_send(PartitionCommand::Append { items: vec![item] });
    }

    fn refuse(&mut self, writes: Vec<Placed>, error: ErrorCode) {
        let ticket = self.ticket(writes);
        self.inbox.put(std::iter::once((ticket, AppendOutcome::refused(error))));
    }

    fn ticket(&mut self, writes: Vec<Placed>) -> Ticket {
        let request = self.next;
        self.next += 1;
        self.under_way.push_back((request, writes));
        Ticket { request, topic: 0, partition: 0 }
    }

    /// What an outcome means for each of its writes, in their order.
    pub(super) fn settled(
        &mut self,
        ticket: Ticket,
        outcome: AppendOutcome,
    ) -> impl Iterator<Item = (WriteId, Result<Offset, ErrorCode>)> + use<> {
        let at = self.under_way.binary_search_by_key(&ticket.request, |(number, _)| *number);
        let writes = at.ok().and_then(|at| self.under_way.remove(at)).map_or_else(Vec::new, |(_, writes)| writes);
        writes.into_iter().map(move |(write, before)| {
            let result = if outcome.error.is_error() {
                Err(outcome.error)
            } else {
                Ok(Offset(outcome.base_offset.0.saturating_add(before)))
            };
            (write, result)
        })
    }
}

fn batch(tenure: &Tenure, now: Now, builder: BatchBuilder) -> Result<NewBatch, ErrorCode> {
    let (header, body) = builder.build_parts().map_err(|_| ErrorCode::UnknownServerError)?;
    let mut rules = tenure.partition.published.settings().batch;
    rules.produce_version = 11;
    rules.transactional_allowed = header.attributes.is_transactional();
    rules.now = now.timestamp;
    let valid = validate_own(header, body, &rules).map_err(|rejection| rejection.code())?;
    Ok(NewBatch { header: valid.header, body: valid.body, origin: Origin::Client })
}

impl Open {
    /// Whether another write may go into this batch. Of a transaction each has its own.
    fn takes(&self, epoch: LeaderEpoch, transaction: Transaction, bytes: usize) -> bool {
        let is_alike = self.epoch == epoch && self.transaction.is_none() && transaction.is_none();
        is_alike && self.builder.bytes_uncompressed() + bytes + CODEC_OVERHEAD_BYTES_MAX <= self.bytes_max
    }

    /// Appends records whose keys and values stand behind each other.
    fn append(&mut self, timestamp: Timestamp, mut bytes: &[u8], lengths: &[Lengths]) -> Result<(), BuildError> {
        let mut next = |length: usize| {
            let (taken, rest) = bytes.split_at(length);
            bytes = rest;
            taken
        };
        for (key, value) in lengths {
            let (key, value) = (Some(next(*key)), value.map(&mut next));
            self.builder.append(&NewRecord { timestamp, key, value, ..Default::default() })?;
        }
        Ok(())
    }
}
