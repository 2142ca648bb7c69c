//! The actor of one partition replica: the only writer of its log. A shell around [`machine::partition`](crate::machine::partition).
//!
//! *State owned*: the log, the leader's machine. *Who calls*: connections (append), the replicas actor (the rest).
//! Readers do not come here: they read what it publishes ([`Published`]).
//! Everything that arrived in one turn of the mailbox is appended with one write, and answered with one message per
//! connection.

mod cleaning;
mod command;
mod following;
mod leading;
mod moving;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix::{Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use bytes::Bytes;
use tokio::sync::oneshot;

pub use self::cleaning::CleaningStep;
pub use self::command::{AfterCut, AppendItem, Chore, PartitionCommand, Progress, Replication};
pub(in crate::broker) use self::following::cut;
pub use self::moving::MovingStep;
use self::turn::{Answer, Answers, Request, Turn};
use super::caught_up::{CaughtUp, Resting};
use super::directory::{Published, Role, Standing};
use super::inbox::Inbox;
use super::isr_changes::{IsrChanges, Wish};
use super::placement::Placement;
use super::ports::Ports;
use super::settings::TopicSettings;
use super::supervisor::DeathNotice;
use super::timer::Timer;
use crate::machine::follower::{CutTo, FetchPosition};
use crate::machine::isr_change::{IsrAnswer, IsrChange};
use crate::machine::partition::{Effect, Event, Leadership, LogBounds, Partition, Wait};
use crate::model::{
    BrokerEpoch, BrokerId, Bug, Durability, ErrorCode, LeaderEpoch, Moment, Offset, PartitionEpoch, Timestamp,
    TopicPartition,
};
use crate::storage::log::{
    AppendError, Appended, FlushOutcome, FlushTask, Log, NewBatch, Origin, PendingDelete, ReadError,
};
use crate::storage::producer_state::ProducerDescription;
use crate::telemetry::{Event as _, event};
use crate::wire::record::{BATCH_HEADER_BYTES, Batches, verify_crc};

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
    /// Who waits until records are deleted everywhere, by number.
    deleting: BTreeMap<u64, oneshot::Sender<Result<Offset, ErrorCode>>>,
    /// How many did.
    deletions: u64,
    /// The last wish for another ISR.
    asked: Option<IsrChange>,
    /// Followers that have everything, of whom is not told with each fetch.
    resting: Resting,
    /// When the one timer fires; `None` when none is armed.
    timer: Timer,
    /// The log cannot be written any more.
    failed: bool,
    notice: DeathNotice,
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
            deleting: BTreeMap::new(),
            deletions: 0,
            asked: None,
            resting: Resting::default(),
            timer: Timer::default(),
            failed: false,
            notice,
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
                Effect::RecordsDeleted { number, outcome } => {
                    if let Some(reply) = self.deleting.remove(&number) {
                        let _gone = reply.send(outcome);
                    }
                }
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

    /// Runs `work` with the log on the disk pool, while the mailbox waits; `then` hears what it gave, or `None` when there is no log
    /// or it panicked.
    ///
    /// What else is under way here (a flush that comes back) may still be polled between a handler and its wait, and must find the
    /// log: it is taken when the wait itself is polled, and then nothing else is until that ends.
    fn with_log<T: Send + 'static>(
        &self,
        ctx: &mut Context<Self>,
        work: impl FnOnce(&mut Log) -> T + Send + 'static,
        then: impl FnOnce(&mut Self, Option<T>, &mut Context<Self>) + 'static,
    ) {
        let waiting = std::future::ready(()).into_actor(self);
        let worked = waiting.then(move |(), actor, _| {
            let log = actor.log.take();
            let work = actor.placement.blocking(move || {
                let mut log = log?;
                let done = work(&mut log);
                Some((log, done))
            });
            work.into_actor(actor)
        });
        ctx.wait(worked.map(move |worked, actor, ctx| {
            let done = worked.flatten().map(|(log, done)| {
                actor.log = Some(log);
                done
            });
            then(actor, done, ctx);
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

    /// Goes on with the leadership of the actor before this one.
    fn resume(&mut self, Standing { leadership, asked }: Standing, ctx: &mut Context<Self>) {
        if self.machine.begins(&leadership)
            && let Some(log) = &mut self.log
        {
            log.start_leader_epoch(leadership.leader_epoch);
        }
        let wish = asked.as_ref().map(|change| change.isr.clone());
        self.asked.clone_from(&asked);
        self.role_changed(Event::Resumed { leadership, wish }, true, ctx);
        if let Some(change) = asked {
            // It waits for room: a wish that may have been granted cannot be given up.
            let asked = self.isr_changes.send(Wish { change, partition: ctx.address() });
            ctx.spawn(asked.into_actor(self).map(|_, _, _| ()));
        }
    }

    fn isr_altered(&mut self, answer: IsrAnswer, ctx: &mut Context<Self>) {
        self.hear_of_resting(ctx);
        self.resting.take_all();
        self.step(Event::IsrAltered(answer), ctx);
        self.note_standing();
        self.answers.send();
    }

    /// What the next actor goes on from, should this one die.
    fn note_standing(&mut self) {
        self.asked.take_if(|_| !self.machine.wishes());
        if let Some(leadership) = self.machine.leadership() {
            self.published.set_standing(Standing { leadership: leadership.clone(), asked: self.asked.clone() });
        }
    }

    fn role_changed(&mut self, event: Event<Answer>, is_led: bool, ctx: &mut Context<Self>) {
        self.hear_of_resting(ctx);
        self.resting.take_all();
        self.step(event, ctx);
        self.note_standing();
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
        let Some(wait) = self.timer.arm(self.machine.next_deadline(), now) else { return };
        ctx.run_later(wait, |actor, ctx| {
            actor.timer.fired();
            actor.hear_of_resting(ctx);
            actor.step(Event::Tick, ctx);
            actor.answers.send();
        });
    }
}

fn bounds(log: &Log) -> LogBounds {
    LogBounds { start: log.log_start_offset(), end: log.log_end_offset(), flushed: log.recovery_point() }
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
            PartitionCommand::Resume(standing) => self.resume(standing, ctx),
            PartitionCommand::Fence => self.role_changed(Event::Fenced, false, ctx),
            PartitionCommand::Configure(settings) => self.configure(settings, ctx),
            PartitionCommand::DeleteRecords { before, deadline, live, reply } => {
                self.delete_records(before, deadline, live, reply, ctx);
            }
            PartitionCommand::LiveBrokers(live) => self.step(Event::LiveBrokers(live), ctx),
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
            PartitionCommand::FollowerFetched { replica, offset, last_epoch, log_start, reply } => {
                let _gone = reply.send(self.follower_fetched(replica, offset, last_epoch, log_start, ctx));
            }
            PartitionCommand::IsrAltered(answer) => self.isr_altered(answer, ctx),
            PartitionCommand::FetchPosition { leader_epoch, reply } => self.fetch_position(leader_epoch, reply, ctx),
            PartitionCommand::Replicate(replication) => self.replicate(replication, ctx),
            PartitionCommand::Truncate { leader_epoch, to, reply } => self.truncate(leader_epoch, to, reply, ctx),
            PartitionCommand::Clean(step) => self.clean(step, ctx),
            PartitionCommand::Move(step) => self.relocate(step, ctx),
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
        self.isr_altered(Err(ErrorCode::OperationNotAttempted), ctx);
    }
}
