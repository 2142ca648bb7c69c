//! Produce: checks each batch, hands it to its partition, and puts the answers together.
//!
//! Not a handler like the others: the batches of all requests that one connection brought in a turn go to each partition in
//! one message, and requests of one connection may overlap (law 8).

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::directory::PartitionHandle;
use crate::broker::env::Env;
use crate::broker::partition::{AppendItem, AppendOutcome, AppendReply, Promise, Ticket};
use crate::broker::peer::{self, Peer};
use crate::model::{Clock, ErrorCode, Moment, PartitionIndex, Timestamp};
use crate::storage::log::{NewBatch, Origin};
use crate::wire::message::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};
use crate::wire::record::{Rejection, validate};
use crate::wire::{EncodeError, Encoded, RequestHeader, Str, encode_response};

/// Versions 0 to 2 carry message formats that are not converted yet.
pub(super) const VERSIONS: RangeInclusive<i16> = 3..=11;

/// The client id that may write to internal topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT: &str = "__admin_client";

/// What is to be appended, by partition, in the order in which the partitions were first named.
#[derive(Default)]
pub(in crate::broker) struct Appends {
    partitions: Vec<(PartitionHandle, Vec<AppendItem>)>,
    /// Asked once per turn: on small requests the clock costs as much as the checksum.
    now: Option<(Moment, Timestamp)>,
}

impl Appends {
    fn push(&mut self, partition: PartitionHandle, item: AppendItem) {
        let same =
            |(other, _): &&mut (PartitionHandle, Vec<AppendItem>)| Arc::ptr_eq(&other.published, &partition.published);
        match self.partitions.iter_mut().rev().find(same) {
            Some((_, items)) => items.push(item),
            None => self.partitions.push((partition, vec![item])),
        }
    }

    fn now(&mut self, clock: &dyn Clock) -> (Moment, Timestamp) {
        *self.now.get_or_insert_with(|| (clock.moment(), clock.timestamp()))
    }

    /// Takes all; the turn is over.
    pub(in crate::broker) fn drain(&mut self) -> impl Iterator<Item = (PartitionHandle, Vec<AppendItem>)> + '_ {
        self.now = None;
        self.partitions.drain(..)
    }
}

/// A produce request whose partitions have not all answered.
pub(in crate::broker) struct PendingProduce {
    correlation_id: i32,
    version: i16,
    /// `acks=0`: the client expects no answer.
    silent: bool,
    response: ProduceResponse,
    /// Where the answer of each slot goes: topic and partition within the response.
    slots: Vec<(usize, usize)>,
    missing: usize,
}

/// What a produce request ends in.
pub(in crate::broker) enum ProduceEnd {
    /// This answer.
    Answer(Encoded),
    /// No answer (`acks=0`).
    Silence,
    /// `acks=0`, and it failed: closing the connection is the only way to tell (`KafkaApis.sendNoOpResponse…`).
    Close(ErrorCode),
}

/// What every partition of one request has in common.
struct Asked<'a> {
    env: &'a Env,
    header: &'a RequestHeader,
    acks: i16,
    transactional: bool,
    until: Moment,
    timestamp: Timestamp,
    reply: &'a AppendReply,
    request: u64,
}

/// Checks a request and puts its batches into `appends`. `request` is its number on this connection.
pub(in crate::broker) fn begin(
    env: &Env,
    peer: &Peer,
    header: &RequestHeader,
    produce: ProduceRequest,
    request: u64,
    reply: &AppendReply,
    appends: &mut Appends,
) -> PendingProduce {
    let timeout = Duration::from_millis(u64::try_from(produce.timeout_ms).unwrap_or(0));
    let (now, timestamp) = appends.now(&*env.ports.clock);
    let asked = Asked {
        env,
        header,
        acks: produce.acks,
        transactional: produce.transactional_id.is_some(),
        until: now.after(timeout),
        timestamp,
        reply,
        request,
    };
    let mut pending = PendingProduce {
        correlation_id: header.correlation_id,
        version: header.version,
        silent: produce.acks == 0,
        response: ProduceResponse::default(),
        slots: Vec::new(),
        missing: 0,
    };
    let mut told = false;
    for (topic_index, topic) in produce.topic_data.into_iter().enumerate() {
        let mut responses = Vec::with_capacity(topic.partition_data.len());
        for (partition_index, data) in topic.partition_data.into_iter().enumerate() {
            let mut response = PartitionProduceResponse { index: data.index, base_offset: -1, ..Default::default() };
            match asked.check(&topic.name, data) {
                Ok((partition, batch)) => {
                    let slot = u32::try_from(pending.slots.len()).unwrap_or(u32::MAX);
                    let promise = Promise::new(asked.reply.clone(), Ticket { request: asked.request, slot });
                    let all_until = (asked.acks == -1).then_some(asked.until);
                    appends.push(partition, AppendItem { batch, promise, all_until });
                    pending.slots.push((topic_index, partition_index));
                    pending.missing += 1;
                }
                Err(refusal) => {
                    // One line per request, however many of its batches are bad.
                    if let (Refusal::Batch(rejection), false) = (&refusal, told) {
                        peer::bad_request(peer.address, "Produce", rejection.to_string(), now);
                        told = true;
                    }
                    refusal.describe(&mut response);
                }
            }
            responses.push(response);
        }
        let response = TopicProduceResponse { name: topic.name, partition_responses: responses };
        pending.response.responses.push(response);
    }
    pending
}

impl PendingProduce {
    /// One partition answered.
    pub(in crate::broker) fn answered(&mut self, slot: u32, outcome: AppendOutcome, local: i32) {
        let place = usize::try_from(slot).ok().and_then(|slot| self.slots.get(slot).copied());
        let Some((topic, partition)) = place else { return };
        let response = self.response.responses.get_mut(topic).and_then(|t| t.partition_responses.get_mut(partition));
        let Some(response) = response else { return };
        response.error_code = outcome.error;
        response.base_offset = outcome.base_offset.0;
        response.log_append_time_ms = outcome.log_append_time.0;
        response.log_start_offset = outcome.log_start_offset.0;
        if outcome.error == ErrorCode::NotLeaderOrFollower && 10 <= self.version {
            response.current_leader = LeaderIdAndEpoch { leader_id: local, leader_epoch: -1 };
        }
        self.missing = self.missing.saturating_sub(1);
    }

    /// Whether every partition answered.
    #[must_use]
    pub(in crate::broker) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// The end of a complete request.
    ///
    /// # Errors
    /// When our answer does not fit the version: a bug of ours.
    pub(in crate::broker) fn end(&self) -> Result<ProduceEnd, EncodeError> {
        if !self.silent {
            let key = crate::wire::ApiKey::Produce;
            return encode_response(self.correlation_id, key, self.version, &self.response).map(ProduceEnd::Answer);
        }
        let codes = self.response.responses.iter().flat_map(|topic| &topic.partition_responses);
        let failed = codes.map(|partition| partition.error_code).find(|code| code.is_error());
        Ok(failed.map_or(ProduceEnd::Silence, ProduceEnd::Close))
    }
}

impl Asked<'_> {
    fn check(&self, topic: &Str, data: PartitionProduceData) -> Result<(PartitionHandle, NewBatch), Refusal> {
        if !(-1..=1).contains(&self.acks) {
            return Err(Refusal::Code(ErrorCode::InvalidRequiredAcks));
        }
        let partition = self.partition(topic, PartitionIndex(data.index))?;
        let settings = partition.published.settings();
        if settings.internal && self.header.client_id.as_deref() != Some(ADMIN_CLIENT) {
            return Err(Refusal::Code(ErrorCode::InvalidTopicException));
        }
        let mut rules = settings.batch;
        rules.produce_version = self.header.version;
        rules.transactional_allowed = self.transactional;
        rules.now = self.timestamp;
        let records = data.records.unwrap_or_default();
        let mut scratch = Vec::new();
        let valid = validate(&records, &rules, &mut scratch).map_err(Refusal::Batch)?;
        drop(settings);
        Ok((partition, NewBatch { header: valid.header, body: valid.body, origin: Origin::Client }))
    }

    fn partition(&self, topic: &Str, index: PartitionIndex) -> Result<PartitionHandle, Refusal> {
        if let Some(partition) = self.env.directory.find(topic, index) {
            return Ok(partition);
        }
        let image = self.env.metadata.load();
        let known = image.topics.get(topic.as_str()).is_some_and(|topic| topic.partitions.contains_key(&index));
        let absence = || self.env.directory.absence(topic, index);
        Err(Refusal::Code(if known { absence() } else { ErrorCode::UnknownTopicOrPartition }))
    }
}

/// Why a partition's batch does not even reach its partition.
enum Refusal {
    Code(ErrorCode),
    Batch(Rejection),
}

impl Refusal {
    fn describe(self, response: &mut PartitionProduceResponse) {
        match self {
            Self::Code(code) => response.error_code = code,
            Self::Batch(rejection) => {
                response.error_code = rejection.code();
                response.error_message = Some(rejection.to_string().into());
                let rejected = rejection.rejected_records().iter().map(|record| BatchIndexAndErrorMessage {
                    batch_index: record.index,
                    batch_index_error_message: Some(record.reason.into()),
                });
                response.record_errors = rejected.collect();
            }
        }
    }
}
