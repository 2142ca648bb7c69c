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
use crate::broker::settings::TopicSettings;
use crate::model::{Clock, ErrorCode, Moment, PartitionIndex, Timestamp};
use crate::storage::log::{NewBatch, Origin};
use crate::wire::message::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};
use crate::wire::record::legacy::Upgraded;
use crate::wire::record::{Rejection, ValidBatch, validate};
use crate::wire::{ApiKey, EncodeError, RequestHeader, Str, append_response};

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=11;

mod upgrade;

pub(in crate::broker) use upgrade::{Upgrades, is_old, upgrade};

/// The client id that may write to internal topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT: &str = "__admin_client";

/// Partitions of a turn that are compared with the next one named before the directory is asked.
const REMEMBERED: usize = 16;

/// What is to be appended, by partition, in the order in which the partitions were first named.
#[derive(Default)]
pub(in crate::broker) struct Appends {
    named: Vec<Named>,
    /// Asked once per turn: on small requests the clock costs as much as the checksum.
    now: Option<(Moment, Timestamp)>,
}

/// A partition that was named in this turn. Directory and settings were asked then, and hold for the turn.
struct Named {
    topic: Str,
    index: PartitionIndex,
    partition: PartitionHandle,
    settings: Arc<TopicSettings>,
    items: Vec<AppendItem>,
}

impl Appends {
    /// The partition of a request. One that was not named lately may be named twice: its items stay in their order.
    fn named(&mut self, env: &Env, topic: &Str, index: PartitionIndex) -> Result<&mut Named, Refusal> {
        let from = self.named.len().saturating_sub(REMEMBERED);
        let lately = self.named.iter().skip(from).rposition(|named| named.index == index && named.topic == *topic);
        let at = match lately {
            Some(at) => from + at,
            None => {
                let partition = find(env, topic, index)?;
                let settings = Arc::clone(&partition.published.settings());
                self.named.push(Named { topic: topic.clone(), index, partition, settings, items: Vec::new() });
                self.named.len() - 1
            }
        };
        self.named.get_mut(at).ok_or(Refusal::Code(ErrorCode::UnknownServerError))
    }

    fn now(&mut self, clock: &dyn Clock) -> (Moment, Timestamp) {
        *self.now.get_or_insert_with(|| (clock.moment(), clock.timestamp()))
    }

    /// Takes all; the turn is over.
    pub(in crate::broker) fn drain(&mut self) -> impl Iterator<Item = (PartitionHandle, Vec<AppendItem>)> + '_ {
        self.now = None;
        self.named.drain(..).filter(|named| !named.items.is_empty()).map(|named| (named.partition, named.items))
    }
}

/// A produce request whose partitions have not all answered.
pub(in crate::broker) struct PendingProduce {
    correlation_id: i32,
    version: i16,
    /// `acks=0`: the client expects no answer.
    silent: bool,
    response: ProduceResponse,
    missing: usize,
}

/// What a produce request ends in.
pub(in crate::broker) enum ProduceEnd {
    /// The answer that was written.
    Answered,
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

/// Checks a request and puts its batches into `appends`. `request` is its number on this connection; `upgrades` is what became of its
/// batches when its version is old.
pub(in crate::broker) fn begin(
    env: &Env,
    peer: &Peer,
    header: &RequestHeader,
    (produce, upgrades): (ProduceRequest, Option<Upgrades>),
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
        response: ProduceResponse { responses: Vec::with_capacity(produce.topic_data.len()), ..Default::default() },
        missing: 0,
    };
    let mut told = false;
    let mut upgrades = upgrades.map(Vec::into_iter);
    for (topic_number, topic) in (0..).zip(produce.topic_data) {
        let mut responses = Vec::with_capacity(topic.partition_data.len());
        for (partition_number, data) in (0..).zip(topic.partition_data) {
            let mut response = PartitionProduceResponse { index: data.index, base_offset: -1, ..Default::default() };
            let ticket = Ticket { request: asked.request, topic: topic_number, partition: partition_number };
            let upgraded = upgrades.as_mut().map(|upgrades| upgrades.next().flatten());
            match asked.check(&topic.name, data, upgraded, ticket, appends) {
                Ok(Taken::Appended) => pending.missing += 1,
                Ok(Taken::Nothing) => {}
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
    pub(in crate::broker) fn answered(&mut self, ticket: Ticket, outcome: AppendOutcome, local: i32) {
        let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let topic = self.response.responses.get_mut(place(ticket.topic));
        let response = topic.and_then(|topic| topic.partition_responses.get_mut(place(ticket.partition)));
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

    /// The end of a complete request, whose answer is written behind what `out` holds.
    ///
    /// # Errors
    /// When our answer does not fit the version: a bug of ours.
    pub(in crate::broker) fn end(&self, out: &mut Vec<u8>) -> Result<ProduceEnd, EncodeError> {
        if !self.silent {
            append_response(out, self.correlation_id, ApiKey::Produce, self.version, &self.response)?;
            return Ok(ProduceEnd::Answered);
        }
        let codes = self.response.responses.iter().flat_map(|topic| &topic.partition_responses);
        let failed = codes.map(|partition| partition.error_code).find(|code| code.is_error());
        Ok(failed.map_or(ProduceEnd::Silence, ProduceEnd::Close))
    }
}

impl Asked<'_> {
    /// Checks what is for one partition, and puts it with the others to be appended.
    fn check(
        &self,
        topic: &Str,
        data: PartitionProduceData,
        upgraded: Option<Option<Result<Upgraded, Rejection>>>,
        ticket: Ticket,
        appends: &mut Appends,
    ) -> Result<Taken, Refusal> {
        if !(-1..=1).contains(&self.acks) {
            return Err(Refusal::Code(ErrorCode::InvalidRequiredAcks));
        }
        let named = appends.named(self.env, topic, PartitionIndex(data.index))?;
        if named.settings.internal && self.header.client_id.as_deref() != Some(ADMIN_CLIENT) {
            return Err(Refusal::Code(ErrorCode::InvalidTopicException));
        }
        let valid = match upgraded {
            None => self.validated(data, &named.settings)?,
            // The partition was not here a moment ago.
            Some(None) => return Err(Refusal::Code(ErrorCode::NotLeaderOrFollower)),
            Some(Some(Err(rejection))) => return Err(Refusal::Batch(rejection)),
            Some(Some(Ok(Upgraded::Nothing))) => return Ok(Taken::Nothing),
            Some(Some(Ok(Upgraded::Batch { batch, converted }))) => {
                upgrade::count(topic, converted);
                batch
            }
        };
        named.items.push(AppendItem {
            batch: NewBatch { header: valid.header, body: valid.body, origin: Origin::Client },
            promise: Promise::new(Arc::clone(self.reply), ticket),
            all_until: (self.acks == -1).then_some(self.until),
            under: None,
        });
        Ok(Taken::Appended)
    }

    fn validated(&self, data: PartitionProduceData, settings: &TopicSettings) -> Result<ValidBatch, Refusal> {
        let mut rules = settings.batch;
        rules.produce_version = self.header.version;
        rules.transactional_allowed = self.transactional;
        rules.now = self.timestamp;
        let records = data.records.unwrap_or_default();
        let mut scratch = Vec::new();
        validate(&records, &rules, &mut scratch).map_err(Refusal::Batch)
    }
}

/// What became of a partition's records.
enum Taken {
    /// They are on their way.
    Appended,
    /// There were none.
    Nothing,
}

fn find(env: &Env, topic: &Str, index: PartitionIndex) -> Result<PartitionHandle, Refusal> {
    if let Some(partition) = env.directory.find(topic, index) {
        return Ok(partition);
    }
    let image = env.metadata.load();
    let known = image.topics.get(topic.as_str()).is_some_and(|topic| topic.partitions.contains_key(&index));
    let absence = || env.directory.absence(topic, index);
    Err(Refusal::Code(if known { absence() } else { ErrorCode::UnknownTopicOrPartition }))
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
