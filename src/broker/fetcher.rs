//! Copies partitions from one leader: the connection of this broker's followers to another broker (Kafka's replica fetcher).
//!
//! *State owned*: which partitions, where each stands, the connection. *Who calls*: the replicas actor. One fetch is under way at a
//! time, for all partitions that can be fetched; its records go to the partitions' mailboxes together, and the next fetch asks
//! for what comes behind what they have (flushed, where that is wanted).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::{Notify, oneshot};

use super::image::Metadata;
use super::link::{Link, LinkError};
use super::membership::Membership;
use super::partition::{CutTo, FetchPosition, PartitionActor, PartitionCommand, Replication};
use super::ports::Ports;
use super::supervisor::DeathNotice;
use crate::config::ReplicationConfig;
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Moment, Offset, TopicId, TopicPartition};
use crate::telemetry::{Event as _, event};
use crate::wire::Payload;
use crate::wire::message::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData, ReplicaState};
use crate::wire::message::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

/// Versions at inter-broker protocol 3.9.
const FETCH: i16 = 17;
const LIST_OFFSETS: i16 = 9;

/// Wait after a first failure; it doubles up to `replica.fetch.backoff.ms`.
const FIRST_BACKOFF: Duration = Duration::from_millis(20);

/// ListOffsets of the end and of the beginning.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// See the module.
pub struct Fetcher {
    run: Option<Run>,
    state: Rc<State>,
    _notice: DeathNotice,
}

/// What a fetcher is made of.
#[derive(Clone)]
pub struct FetcherParts {
    /// This broker.
    pub local: BrokerId,
    /// From whom it copies.
    pub leader: BrokerId,
    /// `inter.broker.listener.name`.
    pub listener: String,
    /// Which incarnation of this broker.
    pub membership: Membership,
    /// Where the leader listens.
    pub metadata: Metadata,
    /// Network, clock.
    pub ports: Ports,
    /// Sizes and waits.
    pub config: ReplicationConfig,
}

/// Begin to copy a partition, or go on under a newer leadership.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Follow {
    /// Which.
    pub id: TopicPartition,
    /// The id of its topic.
    pub topic_id: TopicId,
    /// Under which leadership.
    pub leader_epoch: LeaderEpoch,
    /// Its actor.
    pub addr: Addr<PartitionActor>,
}

/// Copy these no more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave(pub Vec<TopicPartition>);

#[derive(Default)]
struct State {
    followed: RefCell<BTreeMap<TopicPartition, Followed>>,
    changed: Notify,
}

#[derive(Clone)]
struct Followed {
    topic_id: TopicId,
    leader_epoch: LeaderEpoch,
    addr: Addr<PartitionActor>,
    /// `None`: the partition must be asked.
    position: Option<FetchPosition>,
    /// The leader's high watermark and log start offset that the partition was told last.
    told: (Offset, Offset),
    not_before: Moment,
    /// Failures one after the other.
    failures: u32,
}

impl Fetcher {
    /// Without partitions.
    #[must_use]
    pub fn new(parts: FetcherParts, notice: DeathNotice) -> Self {
        let state = Rc::<State>::default();
        let run = Run { parts, state: Rc::clone(&state), link: None, was_reached: true };
        Self { run: Some(run), state, _notice: notice }
    }
}

impl Actor for Fetcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(run) = self.run.take() {
            ctx.spawn(run.forever().into_actor(self));
        }
    }
}

impl Handler<Follow> for Fetcher {
    type Result = ();

    fn handle(&mut self, follow: Follow, _: &mut Context<Self>) {
        let Follow { id, topic_id, leader_epoch, addr } = follow;
        let mut followed = self.state.followed.borrow_mut();
        let same = |known: &Followed| known.leader_epoch == leader_epoch && known.addr == addr;
        if followed.get(&id).is_some_and(same) {
            return;
        }
        let (position, told, not_before) = (None, (Offset::NONE, Offset::NONE), Moment::default());
        followed.insert(id, Followed { topic_id, leader_epoch, addr, position, told, not_before, failures: 0 });
        self.state.changed.notify_one();
    }
}

impl Handler<Leave> for Fetcher {
    type Result = ();

    fn handle(&mut self, Leave(ids): Leave, _: &mut Context<Self>) {
        let mut followed = self.state.followed.borrow_mut();
        ids.iter().for_each(|id| drop(followed.remove(id)));
    }
}

struct Run {
    parts: FetcherParts,
    state: Rc<State>,
    link: Option<Link>,
    /// So that a leader that is away is told of once.
    was_reached: bool,
}

impl Run {
    async fn forever(mut self) {
        loop {
            self.find_positions().await;
            let due = self.due();
            if due.is_empty() {
                self.link = None;
                let wait = self.wait();
                tokio::select! {
                    biased;
                    () = self.state.changed.notified() => {}
                    () = tokio::time::sleep(wait) => {}
                }
                continue;
            }
            let request = self.request(&due);
            match self.ask(&request).await {
                Some(Ok(response)) => {
                    self.was_reached = true;
                    let answers = response.responses.into_iter().flat_map(|topic| {
                        let id = topic.topic_id;
                        topic.partitions.into_iter().map(move |partition| (id, partition))
                    });
                    self.take(&due, answers.collect()).await;
                }
                Some(Err(error)) => {
                    self.link = None;
                    self.unreachable(&error);
                    tokio::time::sleep(self.parts.config.fetch_backoff).await;
                }
                // Other partitions are to be copied too: the answer that is under way is not waited for.
                None => self.link = None,
            }
        }
    }

    fn unreachable(&mut self, error: &LinkError) {
        if std::mem::replace(&mut self.was_reached, false) {
            event::LeaderUnreachable { leader: self.parts.leader, cause: error.to_string() }.emit();
        }
    }

    /// Asks the partitions that were added where they stand.
    async fn find_positions(&self) {
        let now = self.parts.ports.clock.moment();
        let unknown = {
            let all = self.state.followed.borrow();
            let unknown = all.iter().filter(|(_, known)| known.position.is_none() && known.not_before <= now);
            unknown.map(|(id, known)| (id.clone(), known.clone())).collect::<Vec<_>>()
        };
        let asked = unknown.into_iter().map(|(id, followed)| async move {
            let leader_epoch = followed.leader_epoch;
            let found = tell(&followed, |reply| PartitionCommand::FetchPosition { leader_epoch, reply }).await;
            (id, followed, found)
        });
        for (id, followed, found) in join_all(asked).await {
            self.moved(&id, &followed, found);
        }
    }

    /// Notes where a partition goes on, unless it was told otherwise meanwhile.
    fn moved(&self, id: &TopicPartition, asked: &Followed, found: Result<FetchPosition, ErrorCode>) {
        let mut all = self.state.followed.borrow_mut();
        let current = all.get_mut(id).filter(|now| now.leader_epoch == asked.leader_epoch && now.addr == asked.addr);
        let Some(followed) = current else { return };
        match found {
            Ok(position) => {
                followed.position = Some(position);
                followed.failures = 0;
            }
            Err(error) => {
                followed.position = None;
                // What it was to be told did not reach it.
                followed.told = (Offset::NONE, Offset::NONE);
                // While a leadership changes, one broker hears of it before the other: that is over at once.
                let wait = FIRST_BACKOFF.saturating_mul(1 << followed.failures.min(10));
                let wait = wait.min(self.parts.config.fetch_backoff);
                followed.not_before = self.parts.ports.clock.moment().after(wait);
                followed.failures = followed.failures.saturating_add(1);
                if wait == self.parts.config.fetch_backoff {
                    let (partition, leader) = (id.clone(), self.parts.leader);
                    event::FetchFailed { partition, leader, code: error }.emit();
                }
            }
        }
    }

    /// The partitions that can be fetched now.
    fn due(&self) -> Vec<(TopicPartition, Followed, FetchPosition)> {
        let now = self.parts.ports.clock.moment();
        let followed = self.state.followed.borrow();
        let due = followed.iter().filter(|(_, followed)| followed.not_before <= now);
        due.filter_map(|(id, followed)| Some((id.clone(), followed.clone(), followed.position?))).collect()
    }

    /// Until a partition that waits can be tried again.
    fn wait(&self) -> Duration {
        let now = self.parts.ports.clock.moment();
        let earliest = self.state.followed.borrow().values().map(|followed| followed.not_before).min();
        earliest.map_or(Duration::from_secs(60), |moment| moment.since(now)).max(Duration::from_millis(1))
    }

    fn request(&self, due: &[(TopicPartition, Followed, FetchPosition)]) -> FetchRequest {
        let config = &self.parts.config;
        let mut topics = Vec::<FetchTopic>::new();
        for (id, followed, position) in due {
            let partition = FetchPartition {
                partition: id.partition.0,
                current_leader_epoch: followed.leader_epoch.0,
                fetch_offset: position.offset.0,
                last_fetched_epoch: position.last_epoch.0,
                log_start_offset: position.log_start.0,
                partition_max_bytes: config.partition_bytes_max,
                ..Default::default()
            };
            match topics.last_mut().filter(|last| last.topic_id == followed.topic_id) {
                Some(last) => last.partitions.push(partition),
                None => topics.push(FetchTopic {
                    topic_id: followed.topic_id,
                    partitions: vec![partition],
                    ..Default::default()
                }),
            }
        }
        FetchRequest {
            max_wait_ms: i32::try_from(config.fetch_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: config.fetch_bytes_min,
            max_bytes: config.response_bytes_max,
            topics,
            replica_state: ReplicaState {
                replica_id: self.parts.local.0,
                replica_epoch: self.parts.membership.broker_epoch().0,
            },
            ..Default::default()
        }
    }

    /// The leader's answer; `None` when partitions came or went meanwhile.
    async fn ask<R: crate::wire::Request>(&mut self, request: &R) -> Option<Result<R::Response, LinkError>> {
        if let Err(error) = self.connect().await {
            return Some(Err(error));
        }
        let wait = self.parts.config.answer_patience;
        let link = self.link.as_mut()?;
        tokio::select! {
            biased;
            answer = link.ask(version_of::<R>(), request, wait) => Some(answer),
            () = self.state.changed.notified() => None,
        }
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        if self.link.is_some() {
            return Ok(());
        }
        let (leader, listener) = (self.parts.leader, &self.parts.listener);
        let image = self.parts.metadata.load_full();
        let address = image.brokers.get(&leader).and_then(|broker| broker.endpoints.get(listener));
        let (host, port) = address.ok_or(LinkError::Closed)?;
        let client_id = format!("broker-{}-fetcher-0", self.parts.local);
        self.link =
            Some(Link::open(&self.parts.ports, (host, *port), &client_id, self.parts.config.answer_patience).await?);
        Ok(())
    }

    /// Gives every partition what the leader said of it, all together.
    async fn take(
        &mut self,
        due: &[(TopicPartition, Followed, FetchPosition)],
        answers: Vec<(TopicId, PartitionData)>,
    ) {
        let mut told = Vec::new();
        let mut lost = Vec::new();
        for (topic_id, answer) in answers {
            let of = |(id, followed, _): &&(TopicPartition, Followed, FetchPosition)| {
                followed.topic_id == topic_id && id.partition.0 == answer.partition_index
            };
            let Some((id, followed, position)) = due.iter().find(of) else { continue };
            match self.command(followed, answer) {
                Next::Nothing => {}
                Next::Tell(command) => told.push(async move { (id, followed, tell(followed, command).await) }),
                Next::OutOfRange => lost.push((id, followed, *position)),
                Next::Wait(error) => self.moved(id, followed, Err(error)),
            }
        }
        for (id, followed, found) in join_all(told).await {
            self.moved(id, followed, found);
        }
        for (id, followed, position) in lost {
            self.out_of_range(id, followed, position).await;
        }
    }

    fn command(&self, followed: &Followed, answer: PartitionData) -> Next {
        if answer.error_code == ErrorCode::OffsetOutOfRange {
            return Next::OutOfRange;
        }
        if answer.error_code.is_error() {
            return Next::Wait(answer.error_code);
        }
        let leader_epoch = followed.leader_epoch;
        let diverging = &answer.diverging_epoch;
        if 0 <= diverging.end_offset {
            let to = CutTo::Divergence(LeaderEpoch(diverging.epoch), Offset(diverging.end_offset));
            return Next::Tell(Box::new(move |reply| PartitionCommand::Truncate { leader_epoch, to, reply }));
        }
        let records = match answer.records {
            Payload::Bytes(bytes) => bytes,
            Payload::None | Payload::External { .. } => Bytes::new(),
        };
        let (high_watermark, log_start) = (Offset(answer.high_watermark), Offset(answer.log_start_offset));
        if records.is_empty() && followed.told == (high_watermark, log_start) {
            return Next::Nothing;
        }
        let mut all = self.state.followed.borrow_mut();
        for known in all.values_mut().filter(|known| known.addr == followed.addr) {
            known.told = (high_watermark, log_start);
        }
        Next::Tell(Box::new(move |reply| {
            PartitionCommand::Replicate(Replication { leader_epoch, records, high_watermark, log_start, reply })
        }))
    }

    /// The leader's log does not reach to where we stand, or begins behind it.
    async fn out_of_range(&mut self, id: &TopicPartition, followed: &Followed, position: FetchPosition) {
        let (Some(end), Some(start)) =
            (self.offset(id, followed, LATEST).await, self.offset(id, followed, EARLIEST).await)
        else {
            return self.moved(id, followed, Err(ErrorCode::OffsetOutOfRange));
        };
        let leader_epoch = followed.leader_epoch;
        let to = if end < position.offset {
            CutTo::Offset(end)
        } else if position.offset < start {
            CutTo::Anew(start)
        } else {
            return self.moved(id, followed, Err(ErrorCode::OffsetOutOfRange));
        };
        let found = tell(followed, |reply| PartitionCommand::Truncate { leader_epoch, to, reply }).await;
        self.moved(id, followed, found);
    }

    async fn offset(&mut self, id: &TopicPartition, followed: &Followed, timestamp: i64) -> Option<Offset> {
        let partition = ListOffsetsPartition {
            partition_index: id.partition.0,
            current_leader_epoch: followed.leader_epoch.0,
            timestamp,
            ..Default::default()
        };
        let topic = ListOffsetsTopic { name: id.topic.as_str().into(), partitions: vec![partition] };
        let request = ListOffsetsRequest { replica_id: self.parts.local.0, topics: vec![topic], ..Default::default() };
        let answer = self.ask(&request).await?.ok()?;
        let found = answer.topics.first()?.partitions.first()?;
        (!found.error_code.is_error()).then_some(Offset(found.offset))
    }
}

/// Gives a partition a command, and hears where it goes on.
async fn tell(
    followed: &Followed,
    command: impl FnOnce(Reply) -> PartitionCommand,
) -> Result<FetchPosition, ErrorCode> {
    let (reply, answer) = oneshot::channel();
    // One that died is followed anew when it is back.
    followed.addr.send(command(reply)).await.map_err(|_| ErrorCode::KafkaStorageError)?;
    answer.await.unwrap_or(Err(ErrorCode::KafkaStorageError))
}

/// How a partition says where it goes on.
type Reply = oneshot::Sender<Result<FetchPosition, ErrorCode>>;

/// What to do with the leader's answer about a partition.
enum Next {
    Nothing,
    Tell(Box<dyn FnOnce(Reply) -> PartitionCommand>),
    OutOfRange,
    Wait(ErrorCode),
}

fn version_of<R: crate::wire::Request>() -> i16 {
    if R::KEY == crate::wire::ApiKey::Fetch { FETCH } else { LIST_OFFSETS }
}
