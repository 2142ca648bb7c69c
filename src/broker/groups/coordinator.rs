//! The actor of the groups in one partition of `__consumer_offsets`: a shell around [`machine::group`](crate::machine::group).
//!
//! *State owned*: the machine. *Who calls*: handlers of requests; the replicas actor says when the partition is led here
//! ([`Tenure`]). It lives on the partition's loop, and goes on living when another broker leads, to say so.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFuture, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message,
    WrapFuture as _,
};
use tokio::sync::{oneshot, watch};

use super::Tenure;
use super::appends::Appends;
use super::load::{Chunk, Loading};
use super::topics::TopicsView;
use crate::broker::directory::FetchWaiter;
use crate::broker::inbox::Inbox;
use crate::broker::partition::{AppendOutcome, Ticket};
use crate::broker::placement::Placement;
use crate::broker::ports::Ports;
use crate::broker::supervisor::DeathNotice;
use crate::broker::timer::Timer;
use crate::config::GroupConfig;
use crate::machine::group::{
    Assignor, ConsumerDescription, ConsumerRules, Coordinator, Description, Effect, Event, FetchedOffset, Filter,
    Listed, Now, Refusal, Reply, Request, Rules, WriteId,
};
use crate::model::{Bug, ErrorCode, Moment, Offset, ProducerEpoch, ProducerId};
use crate::telemetry::{Event as _, event};
use crate::wire::Str;
use crate::wire::group_record::GroupRecord;

/// Requests that may wait for one coordinator before connections wait. Each connection has one at a time.
const MAILBOX: usize = 1_024;

/// Wait before a partition that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Who waits for the answer to a request.
type Asker = oneshot::Sender<Reply>;

/// See the module.
pub struct GroupCoordinator {
    machine: Coordinator<Asker>,
    config: GroupConfig,
    topics: TopicsView,
    /// The version of the topics that the machine was told of.
    told: Option<u64>,
    ports: Ports,
    placement: Placement,
    tenure: Option<Tenure>,
    /// `None` once it is being listened to.
    tenures: Option<watch::Receiver<Option<Tenure>>>,
    /// Outcomes of the appends.
    inbox: Arc<Inbox>,
    appends: Appends,
    /// Something was appended in this turn of the mailbox.
    is_collecting: bool,
    loadings: u64,
    effects: Vec<Effect<Asker>>,
    /// When the one timer fires; `None` when none is armed.
    timer: Timer,
    notice: DeathNotice,
}

/// What it is made of.
pub(super) struct CoordinatorParts {
    pub(super) config: GroupConfig,
    pub(super) topics: TopicsView,
    pub(super) ports: Ports,
    pub(super) placement: Placement,
    pub(super) tenures: watch::Receiver<Option<Tenure>>,
    pub(super) notice: DeathNotice,
}

/// Everything that can be asked.
#[derive(Message)]
#[rtype(result = "()")]
#[expect(clippy::large_enum_variant, reason = "the largest, a request, is the most common by far")]
pub enum GroupCommand {
    /// Something that may change a group.
    Ask {
        /// What.
        request: Request,
        /// Who hears of it.
        reply: oneshot::Sender<Reply>,
    },
    /// The offsets that a group committed.
    FetchOffsets {
        /// Which group.
        group: Str,
        /// Of these partitions; `None` for all.
        wanted: Option<Vec<(Str, i32)>>,
        /// Whether a commit under way is an error.
        require_stable: bool,
        /// The member that asks, and its epoch.
        member: Option<(Str, i32)>,
        /// Who hears of it.
        reply: oneshot::Sender<Result<Vec<FetchedOffset>, ErrorCode>>,
    },
    /// A group, described.
    Describe {
        /// Which.
        group: Str,
        /// Who hears of it.
        reply: oneshot::Sender<Result<Description, ErrorCode>>,
    },
    /// A group of the consumer protocol, described.
    DescribeConsumer {
        /// Which.
        group: Str,
        /// Who hears of it.
        reply: oneshot::Sender<Result<ConsumerDescription, Refusal>>,
    },
    /// Which groups there are.
    List {
        /// Only these.
        filter: Arc<Filter>,
        /// Who hears of it.
        reply: oneshot::Sender<Result<Vec<Listed>, ErrorCode>>,
    },
    /// Topics were deleted.
    TopicsDeleted(BTreeSet<Str>),
}

impl GroupCoordinator {
    pub(super) fn new(parts: CoordinatorParts) -> Self {
        let CoordinatorParts { config, topics, ports, placement, tenures, notice } = parts;
        let inbox = Arc::default();
        let appends = Appends::new(config.clone(), Arc::clone(&inbox));
        Self {
            machine: Coordinator::new(rules(&config)),
            config,
            topics,
            told: None,
            ports,
            placement,
            tenure: None,
            tenures: Some(tenures),
            inbox,
            appends,
            is_collecting: false,
            loadings: 0,
            effects: Vec::new(),
            timer: Timer::default(),
            notice,
        }
    }

    fn now(&self) -> Now {
        Now { moment: self.ports.clock.moment(), timestamp: self.ports.clock.timestamp() }
    }

    /// Takes a request, with the topics of now where they matter.
    fn ask(&mut self, request: Request, reply: Asker, ctx: &mut Context<Self>) {
        if self.machine.wants_topics() || matches!(request, Request::ConsumerHeartbeat(_)) {
            match self.topics.current() {
                Some(topics) if self.told != Some(topics.version()) => {
                    self.told = Some(topics.version());
                    self.step(Event::TopicsChanged(topics), ctx);
                }
                Some(_) => {}
                // Without topics, members would lose all that they read.
                None => {
                    let _gone = reply.send(request.refused(ErrorCode::CoordinatorLoadInProgress));
                    return;
                }
            }
        }
        self.step(Event::Request(reply, request), ctx);
    }

    fn step(&mut self, event: Event<Asker>, ctx: &mut Context<Self>) {
        let now = self.now();
        let mut effects = std::mem::take(&mut self.effects);
        self.machine.step(now, event, &mut effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Append { write, timestamp, transaction, records } => {
                    self.append(Now { timestamp, ..now }, write, transaction, &records, ctx);
                }
                Effect::Reply(asker, reply) => {
                    let _gone = asker.send(reply);
                }
            }
        }
        self.effects = effects;
        self.arm(now.moment, ctx);
    }

    /// Takes a write. What this turn of the mailbox brings leaves when that is empty.
    fn append(
        &mut self,
        now: Now,
        write: WriteId,
        transaction: Option<(ProducerId, ProducerEpoch)>,
        records: &[GroupRecord],
        ctx: &mut Context<Self>,
    ) {
        self.appends.add(self.tenure.as_ref(), now, write, transaction, records);
        if !self.is_collecting {
            self.is_collecting = true;
            ctx.notify(HandOver);
        }
    }

    fn written(&mut self, ticket: Ticket, outcome: AppendOutcome, ctx: &mut Context<Self>) {
        for (write, result) in self.appends.settled(ticket, outcome) {
            self.step(Event::Written(write, result), ctx);
        }
    }

    /// Hears of leaderships, until there are none any more.
    fn await_tenure(&self, mut tenures: watch::Receiver<Option<Tenure>>, ctx: &mut Context<Self>) {
        let changed = async move { tenures.changed().await.map(|()| tenures) };
        ctx.spawn(changed.into_actor(self).map(|changed, actor, ctx| match changed {
            Ok(mut tenures) => {
                let tenure = tenures.borrow_and_update().clone();
                actor.tenure_changed(tenure, ctx);
                actor.await_tenure(tenures, ctx);
            }
            Err(_) => {
                actor.notice.disarm();
                ctx.stop();
            }
        }));
    }

    fn tenure_changed(&mut self, tenure: Option<Tenure>, ctx: &mut Context<Self>) {
        self.tenure = tenure;
        self.step(Event::Unload(None), ctx);
        self.load(ctx);
    }

    fn load(&mut self, ctx: &mut Context<Self>) {
        let Some(tenure) = &self.tenure else { return };
        let log = Arc::clone(&tenure.partition.published.log);
        self.loadings += 1;
        let loading = Loading {
            epoch: tenure.epoch,
            number: self.loadings,
            next: log.log_start_offset(),
            end: if Bug::B24.is_back() { tenure.partition.published.high_watermark() } else { log.log_end_offset() },
            log,
            bytes_max: self.config.load_bytes,
        };
        self.step(Event::Load(loading.epoch), ctx);
        self.read_on(loading, ctx);
    }

    fn read_on(&self, loading: Loading, ctx: &mut Context<Self>) {
        let work = loading.clone();
        let work = self.placement.blocking(move || work.chunk());
        ctx.spawn(work.into_actor(self).map(|chunk, actor, ctx| {
            if loading.number == actor.loadings {
                actor.read(loading, chunk, ctx);
            }
        }));
    }

    fn read(&mut self, mut loading: Loading, chunk: Option<Chunk>, ctx: &mut Context<Self>) {
        match chunk.unwrap_or_else(|| Err("reading a partition of groups panicked".to_owned())) {
            Ok((records, next)) => {
                let replayed = Event::Replayed(loading.epoch, records);
                let Some(next) = next else {
                    self.step(replayed, ctx);
                    self.serve_when_committed(loading, ctx);
                    return;
                };
                // While these are replayed.
                loading.next = next;
                self.read_on(loading, ctx);
                self.step(replayed, ctx);
            }
            Err(cause) => {
                event::ReadFailed { cause }.emit();
                ctx.run_later(RETRY, move |actor, ctx| {
                    if loading.number == actor.loadings {
                        actor.load(ctx);
                    }
                });
            }
        }
    }

    /// What was read and is not committed may be lost yet: nobody hears of it before it is. Kafka's classic coordinator does not wait,
    /// and a generation that is lost so comes again with other owners.
    fn serve_when_committed(&mut self, loading: Loading, ctx: &mut Context<Self>) {
        let Some(tenure) = self.tenure.as_ref().filter(|_| loading.number == self.loadings) else { return };
        let published = &tenure.partition.published;
        let role = published.role();
        if !role.leading() || role.leader_epoch != tenure.epoch {
            // Another tenure comes, or its partition is being started again.
            ctx.run_later(RETRY, move |actor, ctx| actor.serve_when_committed(loading, ctx));
            return;
        }
        if loading.end <= published.high_watermark() || Bug::B24Early.is_back() {
            self.step(Event::Loaded(loading.epoch), ctx);
            return;
        }
        let waiter = Arc::<FetchWaiter>::default();
        published.watch(Offset(loading.end.0.saturating_sub(1)), &waiter);
        let woken = async move { waiter.woken().await };
        ctx.spawn(woken.into_actor(self).map(|(), actor, ctx| actor.serve_when_committed(loading, ctx)));
    }

    /// One timer at most, for the machine's next deadline.
    fn arm(&mut self, now: Moment, ctx: &mut Context<Self>) {
        let Some(wait) = self.timer.arm(self.machine.next_deadline(), now) else { return };
        ctx.run_later(wait, |actor, ctx| {
            actor.timer.fired();
            actor.step(Event::Tick, ctx);
        });
    }
}

fn rules(config: &GroupConfig) -> Rules {
    Rules {
        session_timeout_min_ms: config.session_timeout_min_ms,
        session_timeout_max_ms: config.session_timeout_max_ms,
        initial_rebalance_delay: config.initial_rebalance_delay,
        group_size_max: config.size_max,
        offsets_retention: config.retention,
        offsets_retention_check_interval: config.retention_check_interval,
        offset_metadata_max: config.metadata_max,
        consumer: ConsumerRules {
            is_enabled: config.consumer.is_enabled,
            session_timeout: config.consumer.session_timeout,
            heartbeat_interval_ms: config.consumer.heartbeat_interval_ms,
            group_size_max: config.consumer.size_max,
            assignors: assignors(&config.consumer.assignors),
            is_upgrade_allowed: config.consumer.is_upgrade_allowed,
            is_downgrade_allowed: config.consumer.is_downgrade_allowed,
        },
    }
}

/// Those that the configuration names; it lets no others through.
fn assignors(names: &[String]) -> &'static [Assignor] {
    const ORDERS: [&[Assignor]; 4] = [
        &[Assignor::Uniform, Assignor::Range],
        &[Assignor::Range, Assignor::Uniform],
        &[Assignor::Uniform],
        &[Assignor::Range],
    ];
    let is_order =
        |order: &&&[Assignor]| order.iter().map(|assignor| assignor.name()).eq(names.iter().map(String::as_str));
    ORDERS.iter().find(is_order).copied().unwrap_or(ORDERS[0])
}

impl Actor for GroupCoordinator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.spawn(Outcomes { inbox: Arc::clone(&self.inbox), taken: Vec::new() });
        if let Some(mut tenures) = self.tenures.take() {
            let tenure = tenures.borrow_and_update().clone();
            self.tenure_changed(tenure, ctx);
            self.await_tenure(tenures, ctx);
        }
    }
}

impl Handler<GroupCommand> for GroupCoordinator {
    type Result = ();

    fn handle(&mut self, command: GroupCommand, ctx: &mut Context<Self>) {
        match command {
            GroupCommand::Ask { request, reply } => self.ask(request, reply, ctx),
            GroupCommand::FetchOffsets { group, wanted, require_stable, member, reply } => {
                let member = member.as_ref().map(|(id, epoch)| (id, *epoch));
                let _gone = reply.send(self.machine.fetch_offsets(&group, wanted.as_deref(), require_stable, member));
            }
            GroupCommand::DescribeConsumer { group, reply } => {
                let _gone = reply.send(self.machine.describe_consumer(&group));
            }
            GroupCommand::Describe { group, reply } => {
                let _gone = reply.send(self.machine.describe(&group));
            }
            GroupCommand::List { filter, reply } => {
                let _gone = reply.send(self.machine.list(&filter));
            }
            GroupCommand::TopicsDeleted(topics) => self.step(Event::TopicsDeleted(topics), ctx),
        }
    }
}

/// Hears of the outcomes of appends, for ever.
struct Outcomes {
    inbox: Arc<Inbox>,
    taken: Vec<(Ticket, AppendOutcome)>,
}

impl ActorFuture<GroupCoordinator> for Outcomes {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        actor: &mut GroupCoordinator,
        ctx: &mut Context<GroupCoordinator>,
        task: &mut task::Context<'_>,
    ) -> Poll<()> {
        let Self { inbox, taken } = &mut *self;
        while inbox.poll_news(task, taken).is_ready() {
            for (ticket, outcome) in taken.drain(..) {
                actor.written(ticket, outcome, ctx);
            }
        }
        Poll::Pending
    }
}

/// To itself: the mailbox is empty.
#[derive(Message)]
#[rtype(result = "()")]
struct HandOver;

impl Handler<HandOver> for GroupCoordinator {
    type Result = ();

    fn handle(&mut self, HandOver: HandOver, _: &mut Context<Self>) {
        self.is_collecting = false;
        self.appends.hand_over(self.tenure.as_ref());
    }
}
