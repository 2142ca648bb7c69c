//! The actor of one partition replica: the only writer of its log. A shell around [`machine::partition`](crate::machine::partition).
//!
//! *State owned*: the log, the leader's machine. *Who calls*: connections (append), the replicas actor (the rest).
//! Readers do not come here: they read what it publishes ([`Published`]).
//! Everything that arrived in one turn of the mailbox is appended with one write, and answered with one message per
//! connection.

mod cleaning;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use bytes::Bytes;
use tokio::sync::oneshot;

pub use self::cleaning::CleaningStep;
use super::caught_up::{CaughtUp, Resting};
use super::directory::{Published, Role};
use super::inbox::Inbox;
use super::isr_changes::{IsrChanges, Wish};
use super::placement::Placement;
use super::ports::Ports;
use super::settings::TopicSettings;
use super::supervisor::DeathNotice;
use crate::machine::follower::{CutTo, FetchPosition};
use crate::machine::isr_change::{IsrAnswer, IsrChange};
use crate::machine::partition::{Effect, Event, Leadership, LogBounds, Partition, Wait};
use crate::model::{
    BrokerId, Bug, Durability, ErrorCode, LeaderEpoch, Moment, Offset, PartitionEpoch, Timestamp, TopicPartition,
};
use crate::storage::log::{
    AppendError, Appended, FlushOutcome, FlushTask, Log, NewBatch, Origin, PendingDelete, ReadError,
};
use crate::storage::producer_state::ProducerDescription;
use crate::telemetry::{Event as _, event};
use crate::wire::record::{BATCH_HEADER_BYTES, Batches, verify_crc};

/// Room for answers that is kept from turn to turn.
const ANSWERS_KEPT: usize = 64;

/// Files of closed segments that wait for the next checkpoint to be flushed: with more a flush begins at once, since each is
/// held open until then.
const UNFLUSHED_CLOSED_FILES_MAX: usize = 64;

/// Mailbox bound: appends that may wait for one partition before connections stop reading (law 6). Each carries all that one
/// connection brought in a turn.
const MAILBOX: usize = 1_024;

/// One partition replica.
pub struct PartitionActor {
    id: TopicPartition,
    log: Option<Log>,
    machine: Partition<Answer>,
    published: Arc<Published>,
    ports: Ports,
    placement: Placement,
    turn: Turn,
    answers: Answers,
    isr_changes: Addr<IsrChanges>,
    after_cut: AfterCut,
    /// Fetchers that wait until all that was appended is flushed.
    positions: Vec<oneshot::Sender<Result<FetchPosition, ErrorCode>>>,
    effects: Vec<Effect<Answer>>,
    /// Followers that have everything, of whom is not told with each fetch.
    resting: Resting,
    /// When the one timer fires; `None` when none is armed.
    armed: Option<Moment>,
    /// The log cannot be written any more.
    failed: bool,
    notice: DeathNotice,
}

/// What arrived in this turn of the mailbox.
#[derive(Default)]
struct Turn {
    batches: Vec<NewBatch>,
    requests: Vec<Request>,
    results: Vec<Result<Appended, AppendError>>,
    draining: bool,
}

struct Request {
    promise: Promise,
    /// `acks=all`: give up at this moment. `None`: answer when it is in the log.
    all_until: Option<Moment>,
    under: Option<LeaderEpoch>,
}

/// An answer that is owed to a connection. Dropped without having been kept (the partition died), it answers by itself, so
/// that no producer waits for ever.
#[derive(Debug)]
pub struct Promise {
    reply: Option<AppendReply>,
    ticket: Ticket,
}

impl Promise {
    /// Owes `reply` an answer about `ticket`.
    #[must_use]
    pub fn new(reply: AppendReply, ticket: Ticket) -> Self {
        Self { reply: Some(reply), ticket }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            // Retriable: the producer asks again, and finds the partition back or learns where it went.
            let outcome = AppendOutcome::refused(ErrorCode::NotLeaderOrFollower);
            reply.put(std::iter::once((self.ticket, outcome)));
        }
    }
}

/// Names one partition of one produce request to the connection that sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// Number of the request on its connection.
    pub request: u64,
    /// Number of the topic within it.
    pub topic: u32,
    /// Number of the partition within the topic.
    pub partition: u32,
}

/// Where answers go: to the connection, all of one turn together.
pub type AppendReply = Arc<Inbox>;

/// Answer to one partition of a produce request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AppendOutcome {
    /// `None` when it is done.
    pub error: ErrorCode,
    /// Offset of the first record, or −1.
    pub base_offset: Offset,
    /// The broker's time when the topic stamps on append (or a duplicate's time), or −1.
    pub log_append_time: Timestamp,
    /// First readable offset.
    pub log_start_offset: Offset,
}

impl AppendOutcome {
    /// Nothing was appended, or nobody knows.
    #[must_use]
    pub fn refused(error: ErrorCode) -> Self {
        Self { error, base_offset: Offset::NONE, log_append_time: Timestamp::NONE, log_start_offset: Offset::NONE }
    }
}

/// A produce on its way through the machine.
#[derive(Debug)]
struct Answer {
    promise: Promise,
    outcome: AppendOutcome,
}

/// Everything that a partition can be asked.
#[derive(Message)]
#[rtype(result = "()")]
pub enum PartitionCommand {
    /// Append batches that one connection brought in one turn.
    Append {
        /// In order.
        items: Vec<AppendItem>,
    },
    /// The controller decided who leads.
    Assign(Leadership),
    /// The session with the coordinator ended: lead no more until told again.
    Fence,
    /// The topic's settings changed.
    Configure(Arc<TopicSettings>),
    /// Delete all records below an offset; −1 is the high watermark. Answers the new log start offset.
    DeleteRecords {
        /// Exclusive.
        before: Offset,
        /// Who hears of it.
        reply: oneshot::Sender<Result<Offset, ErrorCode>>,
    },
    /// Do what is done from time to time.
    Housekeep {
        /// What.
        chore: Chore,
        /// Files to remove later.
        reply: oneshot::Sender<Option<PendingDelete>>,
    },
    /// Where the records of a leader epoch end (OffsetForLeaderEpoch): the largest known epoch up to it, and its end.
    EndOffsetForEpoch {
        /// The epoch asked for.
        epoch: LeaderEpoch,
        /// Who hears of it; `None` when it is newer than all that is known.
        reply: oneshot::Sender<Option<(LeaderEpoch, Offset)>>,
    },
    /// State of the idempotent producers (DescribeProducers).
    DescribeProducers {
        /// Who hears of it.
        reply: oneshot::Sender<Vec<ProducerDescription>>,
    },
    /// A follower asks for what comes behind an offset.
    FollowerFetched {
        /// Who.
        replica: BrokerId,
        /// It has all below.
        offset: Offset,
        /// The leader epoch of its last record; none in an empty log.
        last_epoch: LeaderEpoch,
        /// Hears whether the logs are one.
        reply: oneshot::Sender<Result<Progress, ErrorCode>>,
    },
    /// What the controller says of the last wish for another ISR.
    IsrAltered(IsrAnswer),
    /// Where to go on fetching, under a leadership of another broker.
    FetchPosition {
        /// Which leadership.
        leader_epoch: LeaderEpoch,
        /// Who hears of it.
        reply: oneshot::Sender<Result<FetchPosition, ErrorCode>>,
    },
    /// Append what the leader sent.
    Replicate(Replication),
    /// The leader does not have the end of this log: cut it.
    Truncate {
        /// Under which leadership.
        leader_epoch: LeaderEpoch,
        /// Where.
        to: CutTo,
        /// Hears where to go on.
        reply: oneshot::Sender<Result<FetchPosition, ErrorCode>>,
    },
    /// Something that compaction needs.
    Clean(CleaningStep),
    /// Write out everything and end. Answers the log, closed, as its recovery point; `None` when that failed.
    Close {
        /// Who hears of it.
        reply: oneshot::Sender<Option<Offset>>,
        /// Whether the log will be deleted, so that nothing need be written.
        discard: bool,
    },
}

/// What a leader says to a follower's progress.
#[derive(Clone, Debug)]
pub enum Progress {
    /// The follower's log is the beginning of this one. What it carries is to be noted, instead of telling the same again, while the
    /// follower has all that there is.
    Same(Option<Arc<CaughtUp>>),
    /// The logs part: the largest epoch that both may share, and where it ends here.
    Parted(LeaderEpoch, Offset),
}

/// What a leader sent of a partition.
#[derive(Debug)]
pub struct Replication {
    /// The leadership that was asked.
    pub leader_epoch: LeaderEpoch,
    /// Whole batches, or nothing.
    pub records: Bytes,
    /// The leader's.
    pub high_watermark: Offset,
    /// The leader's.
    pub log_start: Offset,
    /// Hears where to go on, once all is flushed where that is wanted.
    pub reply: oneshot::Sender<Result<FetchPosition, ErrorCode>>,
}

/// What a partition does from time to time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chore {
    /// Remove what retention no longer keeps.
    Retention,
    /// Forget producers that are silent.
    Producers,
    /// What is done with every checkpoint: write the indexes of the active segment to their files, flush the closed ones.
    Checkpoint,
}

/// One batch to append.
pub struct AppendItem {
    /// Validated.
    pub batch: NewBatch,
    /// The answer owed.
    pub promise: Promise,
    /// `acks=all`: give up at this moment.
    pub all_until: Option<Moment>,
    /// Append it only under this leadership: it was decided under it (law 5).
    pub under: Option<LeaderEpoch>,
}

/// What is to be done, on the disk pool, when the log was cut and before anything is appended; whether it worked.
pub type AfterCut = Arc<dyn Fn() -> bool + Send + Sync>;

/// What a partition actor is made of.
pub struct PartitionParts {
    /// Which partition.
    pub id: TopicPartition,
    /// This broker.
    pub local: BrokerId,
    /// Its log, open.
    pub log: Log,
    /// What it publishes.
    pub published: Arc<Published>,
    /// From the checkpoint.
    pub high_watermark: Offset,
    /// Clock.
    pub ports: Ports,
    /// Disk pool.
    pub placement: Placement,
    /// Asks the controller for another ISR.
    pub isr_changes: Addr<IsrChanges>,
    /// See there.
    pub after_cut: AfterCut,
    /// Tells the supervisor of an untimely end.
    pub notice: DeathNotice,
}

impl PartitionActor {
    /// An actor that has not heard from the controller.
    #[must_use]
    pub fn new(parts: PartitionParts) -> Self {
        let PartitionParts {
            id,
            local,
            log,
            published,
            high_watermark,
            ports,
            placement,
            isr_changes,
            after_cut,
            notice,
        } = parts;
        let rules = published.settings().leader;
        let machine = Partition::new(local, bounds(&log), high_watermark, rules);
        Self {
            id,
            log: Some(log),
            machine,
            published,
            ports,
            placement,
            turn: Turn::default(),
            answers: Answers::default(),
            isr_changes,
            after_cut,
            positions: Vec::new(),
            effects: Vec::new(),
            resting: Resting::default(),
            armed: None,
            failed: false,
            notice,
        }
    }

    fn append(&mut self, items: Vec<AppendItem>, ctx: &mut Context<Self>) {
        for AppendItem { batch, promise, all_until, under } in items {
            self.turn.batches.push(batch);
            self.turn.requests.push(Request { promise, all_until, under });
        }
        if !self.turn.draining {
            self.turn.draining = true;
            // Delivered when the mailbox is empty: all that arrived meanwhile is appended with one write.
            ctx.notify(Drain);
        }
    }

    fn drain(&mut self, ctx: &mut Context<Self>) {
        self.turn.draining = false;
        self.turn.refuse_fenced(self.machine.leader_epoch(), &mut self.answers);
        let mut requests = std::mem::take(&mut self.turn.requests);
        let mut results = std::mem::take(&mut self.turn.results);
        match &mut self.log {
            // The ISR may be too small for `acks=all` only: those are refused one by one before anything is appended.
            Some(log) => match (self.machine.may_append(true), self.machine.may_append(false)) {
                (Ok(epoch), _) => {
                    let now = self.ports.clock.timestamp();
                    log.append_as_leader(&self.turn.batches, epoch, now, &mut results);
                }
                (Err(refused), Ok(epoch)) => {
                    let (kept, kept_requests) = self.turn.refuse_all_acks(&mut requests, refused, &mut self.answers);
                    let now = self.ports.clock.timestamp();
                    log.append_as_leader(&kept, epoch, now, &mut results);
                    requests = kept_requests;
                }
                (Err(refused), Err(_)) => {
                    requests.drain(..).for_each(|request| self.answers.push(request.refused(refused)));
                }
            },
            None => {
                requests.drain(..).for_each(|request| self.answers.push(request.refused(ErrorCode::KafkaStorageError)));
            }
        }
        self.turn.batches.clear();
        self.appended(requests.drain(..).zip(results.drain(..)), ctx);
        if self.log.as_ref().is_some_and(|log| log.failure().is_some()) {
            // An append failed and could not be taken back. Nothing more comes of this log.
            self.give_up(ctx);
        }
        self.flush_closed(UNFLUSHED_CLOSED_FILES_MAX, ctx);
        self.answers.send();
        (self.turn.requests, self.turn.results) = (requests, results);
    }

    /// Tells the machine of what was appended, and answers what need not wait.
    fn appended(
        &mut self,
        appended: impl Iterator<Item = (Request, Result<Appended, AppendError>)>,
        ctx: &mut Context<Self>,
    ) {
        let Some(log) = &self.log else { return };
        let (end, log_start_offset) = (log.log_end_offset(), log.log_start_offset());
        let mut waits = Vec::new();
        for (request, result) in appended {
            let appended = match result {
                Ok(appended) => appended,
                Err(error) => {
                    self.failed |= needs_reopening(&error);
                    event::AppendRefused { partition: self.id.clone(), cause: error.to_string() }.emit();
                    self.answers.push(request.refused(error_code(&error)));
                    continue;
                }
            };
            let outcome = AppendOutcome {
                error: ErrorCode::None,
                base_offset: appended.base_offset,
                log_append_time: appended.log_append_time,
                log_start_offset,
            };
            let answer = Answer { promise: request.promise, outcome };
            match request.all_until {
                None => self.answers.push(answer),
                Some(deadline) => waits.push(Wait { until: appended.last_offset.next(), deadline, ticket: answer }),
            }
        }
        // A duplicate may wait for an older offset than what was appended before it.
        waits.sort_by_key(|wait| wait.until);
        self.published.appended(end);
        self.hear_of_resting(ctx);
        self.step(Event::Appended { end, waits }, ctx);
        if self.failed {
            self.give_up(ctx);
        }
    }

    /// Only reopening mends the log: the supervisor starts a fresh partition from the disk (law 7). Until that one takes its
    /// place, this one refuses what comes, so that a failed disk is called a failed disk; it ends when nobody can reach it
    /// any more.
    fn give_up(&mut self, ctx: &mut Context<Self>) {
        self.resting.take_all();
        self.step(Event::FlushFailed, ctx);
        self.log = None;
        self.notice.failed();
        self.notice.tell();
    }

    /// Tells the machine, and performs what it says. Answers wait until they are [sent](Answers::send).
    fn step(&mut self, event: Event<Answer>, ctx: &mut Context<Self>) {
        let now = self.ports.clock.moment();
        let mut effects = std::mem::take(&mut self.effects);
        self.machine.step(now, event, &mut effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Flush => self.flush(Log::flush_task, ctx),
                Effect::FlushClosed => self.flush(Log::flush_closed_task, ctx),
                Effect::HighWatermarkMoved(high_watermark) => self.publish(high_watermark),
                Effect::AlterIsr { isr, leader_epoch, partition_epoch } => {
                    self.wish_for(isr, leader_epoch, partition_epoch, ctx);
                }
                Effect::Acknowledge(answer) => self.answers.push(answer),
                Effect::Refuse(answer, error) => self.answers.push(answer.refused(error)),
            }
        }
        self.effects = effects;
        self.arm(now, ctx);
    }

    /// Has the closed segments flushed if at least so many of their files are waiting for it.
    fn flush_closed(&mut self, files_min: usize, ctx: &mut Context<Self>) {
        let Some(log) = self.log.as_ref().filter(|log| files_min <= log.unflushed_closed_files()) else { return };
        let up_to = log.closed_segments_end();
        self.step(Event::SegmentsClosed { up_to }, ctx);
    }

    fn flush(&mut self, task: fn(&Log) -> Option<FlushTask>, ctx: &mut Context<Self>) {
        let Some(log) = &self.log else { return };
        match task(log) {
            Some(task) => {
                let work = self.placement.blocking(move || task.run());
                ctx.spawn(work.into_actor(self).map(|outcome, actor, ctx| actor.flushed(outcome, ctx)));
            }
            // Another flush covered it already.
            None => ctx.notify(FlushedTo(log.recovery_point())),
        }
    }

    fn flushed(&mut self, outcome: Option<FlushOutcome>, ctx: &mut Context<Self>) {
        let Some(log) = &mut self.log else { return };
        let finished = outcome.map(|outcome| log.flush_finished(outcome));
        let event = match finished {
            Some(Ok(up_to)) => Some(Event::Flushed { up_to }),
            Some(Err(error)) => {
                event::FlushFailed { partition: self.id.clone(), cause: error.to_string() }.emit();
                None
            }
            None => None,
        };
        match event {
            Some(flushed) => self.step(flushed, ctx),
            None => self.give_up(ctx),
        }
        self.answers.send();
        self.answer_positions();
    }

    fn publish(&mut self, high_watermark: Offset) {
        let Some(log) = &mut self.log else { return };
        let unstable = log.first_unstable_offset(high_watermark);
        let stable = unstable.map_or(high_watermark, |unstable| unstable.min(high_watermark));
        self.published.set_offsets(high_watermark, stable);
    }

    fn wish_for(
        &self,
        isr: Vec<BrokerId>,
        leader_epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        ctx: &mut Context<Self>,
    ) {
        event::IsrWished { partition: self.id.clone(), isr: event::Brokers(isr.clone()) }.emit();
        let (partition, topic_id) = (self.id.clone(), self.published.topic_id);
        let change = IsrChange { partition, topic_id, leader_epoch, partition_epoch, isr, recovering: false };
        if self.isr_changes.try_send(Wish { change, partition: ctx.address() }).is_err() {
            // Too many at once: with the next fetch or tick it is wished for again.
            ctx.notify(NotAsked);
        }
    }

    fn follower_fetched(
        &mut self,
        replica: BrokerId,
        offset: Offset,
        last_epoch: LeaderEpoch,
        ctx: &mut Context<Self>,
    ) -> Result<Progress, ErrorCode> {
        self.machine.may_append(false)?;
        if !self.machine.is_follower(replica) {
            return Err(ErrorCode::UnknownLeaderEpoch);
        }
        let log = self.log.as_ref().ok_or(ErrorCode::KafkaStorageError)?;
        if last_epoch != LeaderEpoch::NONE && !Bug::B2.is_back() {
            let (epoch, end) = log.end_offset_for_epoch(last_epoch).ok_or(ErrorCode::OffsetOutOfRange)?;
            if offset < log.log_start_offset() {
                return Err(ErrorCode::OffsetOutOfRange);
            }
            if (epoch < last_epoch && !Bug::B3.is_back()) || end < offset {
                return Ok(Progress::Parted(epoch, end));
            }
        }
        if offset < log.log_start_offset() || log.log_end_offset() < offset {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        self.step(Event::Fetched { replica, offset }, ctx);
        self.answers.send();
        if self.machine.rests(replica) {
            return Ok(Progress::Same(Some(self.resting.give(replica, offset, self.ports.clock.moment()))));
        }
        Ok(Progress::Same(None))
    }

    /// Tells the machine when followers were last seen that it does not hear of with each fetch.
    fn hear_of_resting(&mut self, ctx: &mut Context<Self>) {
        let seen = self.resting.news();
        if !seen.is_empty() {
            self.step(Event::CaughtUp(seen), ctx);
        }
    }

    /// Whether another broker leads, under this epoch.
    fn follows(&self, leader_epoch: LeaderEpoch) -> Result<(), ErrorCode> {
        if self.machine.leader_epoch() != leader_epoch || self.machine.epoch_start().is_some() {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        Ok(())
    }

    fn replicate(&mut self, replication: Replication, ctx: &mut Context<Self>) {
        let Replication { leader_epoch, records, high_watermark, log_start, reply } = replication;
        let appended = self.follows(leader_epoch).and_then(|()| self.append_replica(leader_epoch, &records));
        match (appended, &self.log) {
            (Ok(()), Some(log)) => {
                let end = log.log_end_offset();
                self.step(Event::Replicated { end, high_watermark }, ctx);
                let start = log_start.min(self.machine.high_watermark());
                if let Some(log) = &mut self.log {
                    log.advance_log_start(start);
                    let start = log.log_start_offset();
                    self.step(Event::StartMoved { start }, ctx);
                }
                self.positions.push(reply);
                self.answer_positions();
            }
            (Err(error), _) => {
                let _gone = reply.send(Err(error));
            }
            (Ok(()), None) => {
                let _gone = reply.send(Err(ErrorCode::KafkaStorageError));
            }
        }
        if self.failed {
            self.give_up(ctx);
        }
    }

    fn append_replica(&mut self, leader_epoch: LeaderEpoch, records: &Bytes) -> Result<(), ErrorCode> {
        let log = self.log.as_mut().ok_or(ErrorCode::KafkaStorageError)?;
        let mut batches = Vec::new();
        for batch in Batches::new(records) {
            let (header, batch) = batch.map_err(|_| ErrorCode::CorruptMessage)?;
            verify_crc(&header, batch).map_err(|_| ErrorCode::CorruptMessage)?;
            if leader_epoch < header.leader_epoch {
                // Appended under a leadership that we have not heard of (KAFKA-18723).
                break;
            }
            let body = batch.get(BATCH_HEADER_BYTES..).ok_or(ErrorCode::CorruptMessage)?;
            batches.push(NewBatch { header, body: records.slice_ref(body), origin: Origin::Replication });
        }
        if batches.is_empty() {
            return Ok(());
        }
        log.append_as_follower(&batches, self.ports.clock.timestamp()).map_err(|error| {
            self.failed |= needs_reopening(&error);
            event::AppendRefused { partition: self.id.clone(), cause: error.to_string() }.emit();
            error_code(&error)
        })
    }

    /// Answers fetchers once all is flushed, or at once where that is not wanted.
    fn answer_positions(&mut self) {
        let Some(log) = &self.log else {
            self.positions.clear();
            return;
        };
        let flushed = self.published.settings().leader.durability == Durability::Flushed && !Bug::B14.is_back();
        if self.positions.is_empty() || (flushed && log.recovery_point() < log.log_end_offset()) {
            return;
        }
        let position = FetchPosition {
            offset: log.log_end_offset(),
            last_epoch: log.latest_leader_epoch().unwrap_or(LeaderEpoch::NONE),
            log_start: log.log_start_offset(),
        };
        for reply in self.positions.drain(..) {
            let _gone = reply.send(Ok(position));
        }
    }

    fn fetch_position(
        &mut self,
        leader_epoch: LeaderEpoch,
        reply: oneshot::Sender<Result<FetchPosition, ErrorCode>>,
        ctx: &mut Context<Self>,
    ) {
        if let Err(error) = self.follows(leader_epoch) {
            let _gone = reply.send(Err(error));
            return;
        }
        let high_watermark = self.machine.high_watermark();
        let ahead = self
            .log
            .as_ref()
            .is_some_and(|log| log.latest_leader_epoch().is_none() && high_watermark < log.log_end_offset());
        if ahead || Bug::B1.is_back() || Bug::B2.is_back() {
            // Without epochs nobody can say where the logs part; up to the high watermark they are one.
            self.truncate(leader_epoch, CutTo::Offset(high_watermark), reply, ctx);
            return;
        }
        self.positions.push(reply);
        self.step(Event::Tick, ctx);
        self.answer_positions();
    }

    /// Cuts the log on the disk pool, while the mailbox waits.
    fn truncate(
        &mut self,
        leader_epoch: LeaderEpoch,
        to: CutTo,
        reply: oneshot::Sender<Result<FetchPosition, ErrorCode>>,
        ctx: &mut Context<Self>,
    ) {
        let log = match (self.follows(leader_epoch), self.log.take()) {
            (Ok(()), Some(log)) => log,
            (Err(error), log) => {
                self.log = log;
                let _gone = reply.send(Err(error));
                return;
            }
            (Ok(()), None) => {
                let _gone = reply.send(Err(ErrorCode::KafkaStorageError));
                return;
            }
        };
        let now = self.ports.clock.timestamp();
        event::LogTruncated { partition: self.id.clone(), end: log.log_end_offset(), cut: format!("{to:?}") }.emit();
        let after_cut = Arc::clone(&self.after_cut);
        let work = self.placement.blocking(move || {
            let mut log = log;
            let before = log.recovery_point();
            let cut = cut(&mut log, to, now);
            let is_noted = log.recovery_point() == before || after_cut();
            (log, cut.is_ok() && is_noted)
        });
        ctx.wait(work.into_actor(self).map(move |done, actor, ctx| {
            let Some((log, true)) = done else {
                let _gone = reply.send(Err(ErrorCode::KafkaStorageError));
                actor.give_up(ctx);
                return;
            };
            let (start, end) = (log.log_start_offset(), log.log_end_offset());
            actor.log = Some(log);
            actor.step(Event::Truncated { start, end }, ctx);
            actor.publish(actor.machine.high_watermark());
            actor.positions.push(reply);
            actor.answer_positions();
        }));
    }

    fn assign(&mut self, leadership: Leadership, ctx: &mut Context<Self>) {
        if self.machine.begins(&leadership)
            && let Some(log) = &mut self.log
        {
            log.start_leader_epoch(leadership.leader_epoch);
        }
        let is_led = leadership.leader != BrokerId::NONE;
        self.role_changed(Event::Assigned(leadership), is_led, ctx);
    }

    fn role_changed(&mut self, event: Event<Answer>, is_led: bool, ctx: &mut Context<Self>) {
        self.hear_of_resting(ctx);
        self.resting.take_all();
        self.step(event, ctx);
        self.answers.send();
        self.publish(self.machine.high_watermark());
        let (leader_epoch, epoch_start) = (self.machine.leader_epoch(), self.machine.epoch_start());
        let following = is_led && epoch_start.is_none();
        self.published.set_role(Role { leader_epoch, epoch_start, following });
    }

    fn configure(&mut self, settings: Arc<TopicSettings>, ctx: &mut Context<Self>) {
        if let Some(log) = &mut self.log {
            log.set_config(settings.log.clone());
        }
        let rules = settings.leader;
        self.published.set_settings(settings);
        self.step(Event::Configured(rules), ctx);
        self.answers.send();
    }

    fn delete_records(&mut self, before: Offset, ctx: &mut Context<Self>) -> Result<Offset, ErrorCode> {
        self.machine.may_append(false)?;
        let high_watermark = self.machine.high_watermark();
        let before = if before == Offset::NONE { high_watermark } else { before };
        let log = self.log.as_mut().ok_or(ErrorCode::KafkaStorageError)?;
        if before < Offset(0) || high_watermark < before {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        log.advance_log_start(before);
        let start = log.log_start_offset();
        self.step(Event::StartMoved { start }, ctx);
        self.answers.send();
        Ok(start)
    }

    fn housekeep(&mut self, chore: Chore, ctx: &mut Context<Self>) -> Option<PendingDelete> {
        let (now, moment) = (self.ports.clock.timestamp(), self.ports.clock.moment());
        let high_watermark = self.machine.high_watermark();
        let log = self.log.as_mut()?;
        match chore {
            Chore::Retention => {}
            Chore::Producers => {
                log.expire_producers(now);
                return None;
            }
            Chore::Checkpoint => {
                if let Err(error) = log.save_indexes() {
                    event::CheckpointFailed { cause: error.to_string() }.emit();
                }
                self.flush_closed(1, ctx);
                return None;
            }
        }
        let pending = match log.apply_retention(high_watermark, now, moment) {
            Ok(pending) => pending,
            Err(error) => {
                event::RetentionFailed { partition: self.id.clone(), cause: error.to_string() }.emit();
                None
            }
        };
        let start = log.log_start_offset();
        self.step(Event::StartMoved { start }, ctx);
        self.answers.send();
        pending
    }

    fn close(&mut self, discard: bool, ctx: &mut Context<Self>) -> Option<Offset> {
        self.notice.disarm();
        actix::ActorContext::stop(ctx);
        let log = self.log.take()?;
        if discard {
            return Some(log.recovery_point());
        }
        match log.close() {
            Ok(recovery_point) => Some(recovery_point),
            Err(error) => {
                event::FlushFailed { partition: self.id.clone(), cause: error.to_string() }.emit();
                None
            }
        }
    }

    /// One timer at most, for the machine's next deadline.
    fn arm(&mut self, now: Moment, ctx: &mut Context<Self>) {
        let Some(deadline) = self.machine.next_deadline() else { return };
        if self.armed.is_some_and(|armed| armed <= deadline) {
            return;
        }
        self.armed = Some(deadline);
        ctx.run_later(deadline.since(now).max(Duration::from_millis(1)), |actor, ctx| {
            actor.armed = None;
            actor.hear_of_resting(ctx);
            actor.step(Event::Tick, ctx);
            actor.answers.send();
        });
    }
}

impl Turn {
    /// Refuses what was decided under another leadership.
    fn refuse_fenced(&mut self, epoch: LeaderEpoch, answers: &mut Answers) {
        let fenced = |request: &Request| request.under.is_some_and(|under| under != epoch);
        if !self.requests.iter().any(fenced) {
            return;
        }
        let all = self.requests.drain(..).zip(self.batches.drain(..)).collect::<Vec<_>>();
        for (request, batch) in all {
            if fenced(&request) {
                answers.push(request.refused(ErrorCode::NotLeaderOrFollower));
            } else {
                self.requests.push(request);
                self.batches.push(batch);
            }
        }
    }

    /// Splits off what asks for all replicas, refused; the rest is to be appended.
    fn refuse_all_acks(
        &mut self,
        requests: &mut Vec<Request>,
        refused: ErrorCode,
        answers: &mut Answers,
    ) -> (Vec<NewBatch>, Vec<Request>) {
        let (mut kept, mut kept_requests) = (Vec::new(), Vec::new());
        for (request, batch) in requests.drain(..).zip(self.batches.drain(..)) {
            if request.all_until.is_some() {
                answers.push(request.refused(refused));
            } else {
                kept.push(batch);
                kept_requests.push(request);
            }
        }
        (kept, kept_requests)
    }
}

impl Request {
    fn refused(self, error: ErrorCode) -> Answer {
        Answer { promise: self.promise, outcome: AppendOutcome::refused(error) }
    }
}

impl Answer {
    fn refused(self, error: ErrorCode) -> Self {
        Self { outcome: AppendOutcome::refused(error), ..self }
    }
}

/// Answers of one turn, in the order in which they were decided.
#[derive(Default)]
struct Answers(Vec<(AppendReply, Ticket, AppendOutcome)>);

impl Answers {
    fn push(&mut self, answer: Answer) {
        let Answer { mut promise, outcome } = answer;
        if let Some(reply) = promise.reply.take() {
            self.0.push((reply, promise.ticket, outcome));
        }
    }

    /// One message to each connection, as long as its answers lie behind one another.
    fn send(&mut self) {
        let of_one = |(one, ..): &(AppendReply, _, _), (next, ..): &(AppendReply, _, _)| Arc::ptr_eq(one, next);
        for answers in self.0.chunk_by(of_one) {
            let Some((reply, ..)) = answers.first() else { continue };
            reply.put(answers.iter().map(|(_, ticket, outcome)| (*ticket, *outcome)));
        }
        self.0.clear();
        self.0.shrink_to(ANSWERS_KEPT);
    }
}

impl Drop for Answers {
    /// Also while unwinding: what was decided before a panic holds.
    fn drop(&mut self) {
        self.send();
    }
}

fn cut(log: &mut Log, to: CutTo, now: Timestamp) -> Result<(), ReadError> {
    let end = log.log_end_offset();
    match to {
        CutTo::Offset(offset) => log.truncate_to(offset, now),
        CutTo::Anew(offset) => log.truncate_fully_and_start_at(offset, now),
        CutTo::Divergence(epoch, theirs) => {
            let offset = match log.end_offset_for_epoch(epoch) {
                Some((ours, our_end)) if ours != epoch && !Bug::B3.is_back() => our_end,
                Some(_) if Bug::B3.is_back() => theirs,
                Some((_, our_end)) => our_end.min(theirs),
                None => theirs,
            };
            log.truncate_to(offset.min(end).max(log.log_start_offset()), now)
        }
    }
}

fn bounds(log: &Log) -> LogBounds {
    LogBounds { start: log.log_start_offset(), end: log.log_end_offset(), flushed: log.recovery_point() }
}

/// Whether the disk failed in a way that more room or fewer open files do not mend.
fn needs_reopening(error: &AppendError) -> bool {
    match error {
        AppendError::LogFailed(_) => true,
        AppendError::Disk(error) => !error.passes(),
        AppendError::BatchTooLarge { .. }
        | AppendError::OutOfOrder { .. }
        | AppendError::Producer(_)
        | AppendError::NotValidated(_) => false,
    }
}

/// The protocol's name for what the log said.
fn error_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::BatchTooLarge { .. } => ErrorCode::RecordListTooLarge,
        AppendError::OutOfOrder { .. } => ErrorCode::UnknownServerError,
        AppendError::Producer(error) => error.into(),
        AppendError::NotValidated(_) => ErrorCode::InvalidRecord,
        AppendError::Disk(_) | AppendError::LogFailed(_) => ErrorCode::KafkaStorageError,
    }
}

impl Actor for PartitionActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<PartitionCommand> for PartitionActor {
    type Result = ();

    fn handle(&mut self, command: PartitionCommand, ctx: &mut Context<Self>) {
        match command {
            PartitionCommand::Append { items } => self.append(items, ctx),
            PartitionCommand::Assign(leadership) => self.assign(leadership, ctx),
            PartitionCommand::Fence => self.role_changed(Event::Fenced, false, ctx),
            PartitionCommand::Configure(settings) => self.configure(settings, ctx),
            PartitionCommand::DeleteRecords { before, reply } => {
                let _gone = reply.send(self.delete_records(before, ctx));
            }
            PartitionCommand::Housekeep { chore, reply } => {
                let _gone = reply.send(self.housekeep(chore, ctx));
            }
            PartitionCommand::EndOffsetForEpoch { epoch, reply } => {
                // Without a log nothing is answered, which is told apart from "no such epoch".
                if let Some(log) = &self.log {
                    let _gone = reply.send(log.end_offset_for_epoch(epoch));
                }
            }
            PartitionCommand::DescribeProducers { reply } => {
                if let Some(log) = &self.log {
                    let _gone = reply.send(log.describe_producers());
                }
            }
            PartitionCommand::FollowerFetched { replica, offset, last_epoch, reply } => {
                let _gone = reply.send(self.follower_fetched(replica, offset, last_epoch, ctx));
            }
            PartitionCommand::IsrAltered(answer) => {
                self.hear_of_resting(ctx);
                self.resting.take_all();
                self.step(Event::IsrAltered(answer), ctx);
                self.answers.send();
            }
            PartitionCommand::FetchPosition { leader_epoch, reply } => self.fetch_position(leader_epoch, reply, ctx),
            PartitionCommand::Replicate(replication) => self.replicate(replication, ctx),
            PartitionCommand::Truncate { leader_epoch, to, reply } => self.truncate(leader_epoch, to, reply, ctx),
            PartitionCommand::Clean(step) => self.clean(step, ctx),
            PartitionCommand::Close { reply, discard } => {
                let _gone = reply.send(self.close(discard, ctx));
            }
        }
    }
}

/// To itself: the mailbox is empty.
#[derive(Message)]
#[rtype(result = "()")]
struct Drain;

impl Handler<Drain> for PartitionActor {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) {
        self.drain(ctx);
    }
}

/// To itself: everything below is on disk already.
#[derive(Message)]
#[rtype(result = "()")]
struct FlushedTo(Offset);

impl Handler<FlushedTo> for PartitionActor {
    type Result = ();

    fn handle(&mut self, FlushedTo(up_to): FlushedTo, ctx: &mut Context<Self>) {
        self.step(Event::Flushed { up_to }, ctx);
        self.answers.send();
    }
}

/// To itself: the controller could not be asked.
#[derive(Message)]
#[rtype(result = "()")]
struct NotAsked;

impl Handler<NotAsked> for PartitionActor {
    type Result = ();

    fn handle(&mut self, NotAsked: NotAsked, ctx: &mut Context<Self>) {
        self.step(Event::IsrAltered(Err(ErrorCode::OperationNotAttempted)), ctx);
        self.answers.send();
    }
}
