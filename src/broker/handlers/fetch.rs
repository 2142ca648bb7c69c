//! Fetch: reads what partitions publish, without their mailboxes, and waits for more where the client asks to.
//!
//! Records are not read here: the answer names slices of segment files, which the connection sends with `sendfile`.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use self::located::Located;
use self::look::Look;
use self::progress::{Progresses, held_until, is_throttled, tell_progress};
use super::super::caught_up::Told;
use super::super::directory::{FetchWaiter, PartitionHandle};
use super::super::env::Env;
use super::super::fetch_slots::SessionSlot;
use super::super::peer::Peer;
use super::super::ports::random;
use super::Unanswerable;
use crate::machine::fetch_session::{Begun, Key, NO_SESSION, Request as SessionRequest, Sessions, TopicKey, Wanted};
use crate::model::limits::CONVERTED_ANSWER_BYTES_MAX;
use crate::model::{BrokerEpoch, BrokerId, Bug, ErrorCode, LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::storage::log::{Read, ReadError, ReadRequest, Slice, Wait};
use crate::wire::message::fetch::{
    FetchRequest, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use crate::wire::record::Codec;
use crate::wire::record::legacy::LegacyMagic;
use crate::wire::{Decoder, Encoded, RequestHeader, Str, encode_response};

mod downgrade;
mod located;
mod look;
mod progress;

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=17;

/// Longest wait that is honoured, whatever `max_wait_ms` says: a client that waits longer has a request time-out to mind.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// The first version whose answers name the leader where another one is asked, as Kafka does (KIP-951).
const NAMES_LEADER_FROM: i16 = 16;

/// The first version in which consumers may read from followers, and say where they are (KIP-392).
const FOLLOWERS_FROM: i16 = 11;

/// The first version whose clients know zstd (KIP-110).
const ZSTD_FROM: i16 = 10;

/// The first version that limits the whole answer (KIP-74).
const RESPONSE_LIMIT_FROM: i16 = 3;

/// `READ_COMMITTED`.
const READ_COMMITTED: i8 = 1;

/// An answer, and the slices that its external payloads stand for, by token.
pub(in crate::broker) struct FetchAnswer {
    /// The response's bytes around the records.
    pub(in crate::broker) encoded: Encoded,
    /// The records.
    pub(in crate::broker) slices: Vec<Slice>,
}

struct Limits<'s> {
    /// The follower that asks, if one does: it reads to the end of the log.
    replica: Option<BrokerId>,
    /// The epoch under which it is registered, where it says so (KIP-903).
    replica_epoch: Option<BrokerEpoch>,
    read_committed: bool,
    bytes_max: usize,
    /// The version can say where the leader is (KIP-951).
    names_leader: bool,
    /// The version is from before zstd (KIP-110).
    knows_zstd: bool,
    /// The newest message format that the version knows, when that is an old one.
    magic: Option<LegacyMagic>,
    /// The version does not know that a batch may be larger than all limits (KIP-74): its clients do not change the order in which they
    /// ask, so that no partition may be left out for being the second.
    fixed_order: bool,
    /// A consumer that may read from followers: its rack, which may be none (KIP-392).
    rack: Option<&'s str>,
    /// What was answered before: a partition of which nothing is new is left out.
    answered: Option<&'s Sessions>,
}

/// Answers a fetch.
///
/// # Errors
/// [`Unanswerable`]: the connection is to be closed.
pub(in crate::broker) async fn answer(
    env: &Env,
    peer: &mut Peer,
    header: &RequestHeader,
    body: Decoder,
) -> Result<FetchAnswer, Unanswerable> {
    let request = super::decode(peer, header, body)?;
    let (response, slices) = fetch(env, peer, header.version, &request).await;
    let encoded = encode_response(header.correlation_id, header.key, header.version, &response)?;
    Ok(FetchAnswer { encoded, slices })
}

async fn fetch(env: &Env, peer: &mut Peer, version: i16, request: &FetchRequest) -> (FetchResponse, Vec<Slice>) {
    let asked = session_request(version, request);
    let mut slot = None;
    let draw = || draw_session(env, &mut slot);
    let begun = match peer.sessions.begin(&asked, draw) {
        Ok(begun) => begun,
        Err(error) => return (FetchResponse { error_code: error, ..Default::default() }, vec![]),
    };
    if slot.is_some() || !peer.sessions.is_open() {
        peer.session_slot = slot;
    }
    let (session_id, incremental) = match begun {
        Begun::Full { session_id } => (session_id, false),
        Begun::Incremental { session_id } => (session_id, true),
    };
    let wanted = if session_id == NO_SESSION {
        asked.wanted.iter().map(|(key, wanted)| (key, wanted)).collect::<Vec<_>>()
    } else {
        peer.sessions.partitions().collect()
    };
    let limits = Limits {
        replica: replica(version, request),
        replica_epoch: Some(BrokerEpoch(request.replica_state.replica_epoch)).filter(|epoch| 0 <= epoch.0),
        read_committed: request.isolation_level == READ_COMMITTED,
        bytes_max: bytes_max(env, version, request),
        names_leader: NAMES_LEADER_FROM <= version,
        knows_zstd: ZSTD_FROM <= version,
        magic: downgrade::magic(version),
        fixed_order: version < RESPONSE_LIMIT_FROM,
        rack: (FOLLOWERS_FROM <= version && replica(version, request).is_none()).then_some(request.rack_id.as_str()),
        answered: incremental.then_some(&peer.sessions),
    };
    if incremental {
        peer.told.forget(&asked.forgotten);
    } else {
        peer.told.clear();
    }
    let mut look = look_until(env, &mut peer.told, &wanted, request, &limits).await;
    if let Some(magic) = limits.magic {
        downgrade::downgrade(env, magic, limits.bytes_max, &wanted, &mut look).await;
    }
    if session_id == NO_SESSION {
        peer.told.clear();
    }
    if look.throttled_bytes != 0 {
        env.quotas.leader.record(env.ports.clock.moment(), look.throttled_bytes);
    }
    let slices = look.slices;
    let mut response = FetchResponse { session_id, ..Default::default() };
    for (key, partition, answered) in look.partitions {
        peer.sessions.answered(&key, answered, !partition.records.is_empty());
        name_endpoint(&mut response.node_endpoints, partition.current_leader.leader_id, env, peer);
        add(&mut response.responses, key, partition);
    }
    (response, slices)
}

/// The follower that asks, if one does.
fn replica(version: i16, request: &FetchRequest) -> Option<BrokerId> {
    let id = if version < 15 { request.replica_id } else { request.replica_state.replica_id };
    (0 <= id).then_some(BrokerId(id))
}

/// `fetch.max.bytes` limits consumers, not followers.
fn bytes_max(env: &Env, version: i16, request: &FetchRequest) -> usize {
    let most = match replica(version, request) {
        Some(_) => i32::MAX,
        None => env.settings.fetch_bytes_max(),
    };
    let most = usize::try_from(request.max_bytes.min(most)).unwrap_or(0);
    if downgrade::magic(version).is_some() { most.min(CONVERTED_ANSWER_BYTES_MAX) } else { most }
}

/// Looks, and while there is less than the client wants, waits until a partition has news or the time is up.
async fn look_until(
    env: &Env,
    told: &mut Told,
    wanted: &[(&Key, &Wanted)],
    request: &FetchRequest,
    limits: &Limits<'_>,
) -> Look {
    let bytes_min = usize::try_from(request.min_bytes).unwrap_or(0).min(limits.bytes_max);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(WAIT_MAX);
    let deadline = env.ports.clock.moment().after(wait);
    let mut located = Located::new(env, wanted);
    let known = match limits.replica {
        Some(replica) => tell_progress(env, told, &located, (replica, limits.replica_epoch)).await,
        None => Progresses::default(),
    };
    loop {
        located.refresh(env);
        let look = look(env, &located, limits, &known).await;
        let now = env.ports.clock.moment();
        let left = deadline.since(now);
        if look.urgent || bytes_min <= look.bytes || left.is_zero() || wanted.is_empty() {
            return look;
        }
        let waiter = Arc::new(FetchWaiter::default());
        for (partition, beyond) in &look.watch {
            match limits.replica {
                Some(_) => partition.watch_end(*beyond, &waiter),
                None => partition.watch(*beyond, &waiter),
            }
        }
        // What the quota holds back is news when that is over.
        let wait = look.held_until.map_or(left, |until| left.min(until.since(now)));
        let timed_out = tokio::time::timeout(wait, waiter.woken()).await.is_err();
        if timed_out && wait == left {
            located.refresh(env);
            return self::look(env, &located, limits, &known).await;
        }
    }
}

/// One look at every partition, in order.
async fn look(env: &Env, located: &Located<'_>, limits: &Limits<'_>, known: &Progresses) -> Look {
    let held_until = held_until(env, known);
    let mut look = Look::default();
    for (key, wanted, found) in located.iter() {
        let index = key.1;
        let partition = match found {
            Ok(partition) => partition,
            Err(error) => {
                look.fail(key, index, *error, env, limits);
                continue;
            }
        };
        if let Err(error) = may_read(partition, wanted, limits) {
            look.fail(key, index, error, env, limits);
            continue;
        }
        if let Some(nearest) = nearest(env, key, partition, wanted, limits) {
            look.preferred(key, partition, nearest);
            continue;
        }
        match known.parted.get(key) {
            Some(Err(error)) => {
                look.fail(key, index, *error, env, limits);
                continue;
            }
            Some(Ok((epoch, end))) => {
                look.diverging(key, partition, *epoch, *end);
                continue;
            }
            None => {}
        }
        let is_throttled = limits.replica.is_some() && is_throttled(env, partition, key.1);
        if held_until.is_some() && is_throttled && known.behind.contains(key) {
            look.held_until = held_until;
            look.found(key, partition, None, wanted, limits);
            continue;
        }
        if let Err(error) = understands(partition, limits) {
            look.fail(key, index, error, env, limits);
            continue;
        }
        match read(env, partition, wanted, limits, &look).await {
            Ok((found, upper_bound)) => {
                look.watch.push((Arc::clone(&partition.published), upper_bound.max(wanted.offset)));
                if is_throttled {
                    look.throttled_bytes += found.as_ref().map_or(0, |slice| slice.len);
                }
                look.found(key, partition, found, wanted, limits);
            }
            Err(error) => look.unreadable(key, &error),
        }
    }
    look
}

async fn read(
    env: &Env,
    partition: &PartitionHandle,
    wanted: &Wanted,
    limits: &Limits<'_>,
    look: &Look,
) -> Result<(Option<Slice>, Offset), ReadError> {
    let published = &partition.published;
    let upper_bound = match limits.replica {
        Some(_) => published.log.log_end_offset(),
        None if limits.read_committed => published.last_stable_offset(),
        None => published.high_watermark(),
    };
    if limits.replica.is_none() && upper_bound < wanted.offset && Bug::B25.is_back() {
        let (log_start, log_end) = (published.log.log_start_offset(), upper_bound);
        return Err(ReadError::OutOfRange { offset: wanted.offset, log_start, log_end });
    }
    let room = limits.bytes_max.saturating_sub(look.bytes);
    let request = ReadRequest {
        offset: wanted.offset,
        upper_bound,
        bytes_max: usize::try_from(wanted.max_bytes).unwrap_or(0).min(room),
        // A batch larger than all limits must not starve, but only the first of a response may exceed them (KIP-74).
        at_least_one_batch: look.bytes == 0 || (limits.fixed_order && 0 < room),
    };
    let found = match published.log.read(&request, Wait::Never)? {
        Read::WouldWait => {
            let log = Arc::clone(&published.log);
            let waiting = env.placement.blocking(move || log.read(&request, Wait::Allowed));
            waiting.await.unwrap_or(Ok(Read::Empty))?
        }
        found @ (Read::Batches(_) | Read::Empty) => found,
    };
    match found {
        Read::Batches(slice) => Ok((Some(slice), upper_bound)),
        Read::Empty | Read::WouldWait => Ok((None, upper_bound)),
    }
}

/// Whether this broker may answer: it leads, or it follows and is asked by a consumer that knows such replicas.
///
/// # Errors
/// The code for the client.
fn may_read(partition: &PartitionHandle, wanted: &Wanted, limits: &Limits<'_>) -> Result<(), ErrorCode> {
    match fence(partition, wanted.current_leader_epoch) {
        Err(ErrorCode::NotLeaderOrFollower) if limits.rack.is_some() && partition.published.role().following => Ok(()),
        outcome => outcome,
    }
}

/// Whether the client can read what the topic's settings promise, as it is or converted.
///
/// # Errors
/// The code for the client.
fn understands(partition: &PartitionHandle, limits: &Limits<'_>) -> Result<(), ErrorCode> {
    let settings = partition.published.settings();
    if !limits.knows_zstd && settings.batch.compression.is_some_and(|target| target.codec == Codec::Zstd) {
        return Err(ErrorCode::UnsupportedCompressionType);
    }
    match limits.magic {
        Some(_) if limits.replica.is_none() && !settings.down_conversion => Err(ErrorCode::UnsupportedVersion),
        _ => Ok(()),
    }
}

/// The replica in the consumer's rack that it should read from, when that is not this one. A member of the ISR has all that the
/// consumer can ask for; how far each is, Kafka compares, and takes the one that is furthest.
fn nearest(
    env: &Env,
    key: &Key,
    partition: &PartitionHandle,
    wanted: &Wanted,
    limits: &Limits<'_>,
) -> Option<BrokerId> {
    let rack = limits.rack.filter(|rack| !rack.is_empty())?;
    let published = &partition.published;
    if !env.settings.broker().replication.nearest_replica || !published.role().leading() {
        return None;
    }
    let image = env.metadata.load();
    let topic = match &key.0 {
        TopicKey::Name(name) => image.topics.get(name.as_str()),
        TopicKey::Id(id) => image.topic_by_id(*id).map(|(_, topic)| topic),
    };
    let known = topic?.partitions.get(&key.1)?;
    let is_there = |id: &BrokerId| image.brokers.get(id).is_some_and(|broker| broker.rack.as_deref() == Some(rack));
    // What is not committed, or gone, the leader judges itself.
    if is_there(&env.local) || !(published.log.log_start_offset()..=published.high_watermark()).contains(&wanted.offset)
    {
        return None;
    }
    known.state.isr.iter().copied().find(|id| is_there(id) && !known.offline.contains(id))
}

/// Compares the client's leader epoch with ours (KIP-320), and whether we lead at all.
///
/// # Errors
/// The code for the client.
pub(in crate::broker) fn fence(partition: &PartitionHandle, theirs: LeaderEpoch) -> Result<(), ErrorCode> {
    let role = partition.published.role();
    if theirs != LeaderEpoch::NONE && !Bug::B5.is_back() {
        match theirs.cmp(&role.leader_epoch) {
            std::cmp::Ordering::Less => return Err(ErrorCode::FencedLeaderEpoch),
            std::cmp::Ordering::Greater => return Err(ErrorCode::UnknownLeaderEpoch),
            std::cmp::Ordering::Equal => {}
        }
    }
    if role.leading() { Ok(()) } else { Err(ErrorCode::NotLeaderOrFollower) }
}

fn current_leader(env: &Env, key: &Key) -> LeaderIdAndEpoch {
    let image = env.metadata.load();
    let topic = match &key.0 {
        TopicKey::Name(name) => image.topics.get(name.as_str()),
        TopicKey::Id(id) => image.topic_by_id(*id).map(|(_, topic)| topic),
    };
    let Some(partition) = topic.and_then(|topic| topic.partitions.get(&key.1)) else { return Default::default() };
    LeaderIdAndEpoch { leader_id: partition.state.leader.0, leader_epoch: partition.state.leader_epoch.0 }
}

/// Says where a leader that was named listens, once.
fn name_endpoint(endpoints: &mut Vec<NodeEndpoint>, leader: i32, env: &Env, peer: &Peer) {
    if leader == BrokerId::NONE.0 || endpoints.iter().any(|known| known.node_id == leader) {
        return;
    }
    let image = env.metadata.load();
    let Some(broker) = image.brokers.get(&BrokerId(leader)) else { return };
    let Some((host, port)) = broker.address(&peer.listener) else { return };
    let rack = broker.rack.as_deref().map(Str::from);
    endpoints.push(NodeEndpoint { node_id: leader, host: host.as_str().into(), port: i32::from(*port), rack });
}

fn draw_session(env: &Env, slot: &mut Option<SessionSlot>) -> Option<i32> {
    *slot = env.session_slots.take();
    slot.as_ref()?;
    // 1 to 2³¹−1: 0 means none.
    Some((i32::from_be_bytes(random(&*env.ports.entropy)) & i32::MAX).max(1))
}

fn session_request(version: i16, request: &FetchRequest) -> SessionRequest {
    let by_id = 13 <= version;
    let key = |name: &str, id: TopicId, partition: i32| {
        let topic = if by_id { TopicKey::Id(id) } else { TopicKey::Name(name.to_owned()) };
        (topic, PartitionIndex(partition))
    };
    let wanted = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(move |partition| {
            let wanted = Wanted {
                offset: Offset(partition.fetch_offset),
                current_leader_epoch: LeaderEpoch(partition.current_leader_epoch),
                last_fetched_epoch: LeaderEpoch(partition.last_fetched_epoch),
                log_start_offset: Offset(partition.log_start_offset),
                max_bytes: partition.partition_max_bytes,
            };
            (key(&topic.topic, topic.topic_id, partition.partition), wanted)
        })
    });
    let forgotten = request
        .forgotten_topics_data
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(move |partition| key(&topic.topic, topic.topic_id, *partition)));
    SessionRequest {
        session_id: request.session_id,
        session_epoch: request.session_epoch,
        wanted: wanted.collect(),
        forgotten: forgotten.collect(),
        by_id,
    }
}

/// Puts a partition into the response, with its neighbour of the same topic where there is one.
fn add(topics: &mut Vec<FetchableTopicResponse>, (topic, _): Key, partition: PartitionData) {
    let (name, id) = match topic {
        TopicKey::Name(name) => (name, TopicId::ZERO),
        TopicKey::Id(id) => (String::new(), id),
    };
    match topics.last_mut().filter(|last| last.topic_id == id && last.topic.as_str() == name) {
        Some(last) => last.partitions.push(partition),
        None => topics.push(FetchableTopicResponse { topic: name.into(), topic_id: id, partitions: vec![partition] }),
    }
}
