//! The controller's shell: this broker's place in the cluster. It keeps the broker registered, runs for election, and when
//! elected performs what [`machine::controller`](crate::machine::controller) decides.
//!
//! *State owned*: the registration, the election, the active machine. *Who calls*: the coordinator's watches; handlers (elect).
//! One future does one thing after the other, as Kafka's controller event thread does.
//! When the session ends every leader here is fenced at once; with a new session the broker registers anew, which gives it a
//! new broker epoch, and everything is read again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _,
};
use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Sleep;

use self::channel::{Brokers, Channel, Ends, News, Report};
use self::watched::Dirty;
use super::ask;
use super::config_watch::{self, Applier};
use super::directory::Directory;
use super::groups::Groups;
use super::image::{BrokerImage, Metadata};
use super::membership::Membership;
use super::ports::{Ports, random_topic_id};
use super::replicas::{Replicas, ReplicasCommand, StoppedReplica};
use super::supervisor::DeathNotice;
use crate::coordination::recipe::RecipeError;
use crate::coordination::recipe::election::{self, ControllerToken, Election};
use crate::coordination::znode::config::Entity;
use crate::coordination::znode::feature::{FEATURE, Features};
use crate::coordination::znode::{self, admin, broker, notification, topic};
use crate::coordination::{CoordinationError, Coordinator, CreateMode, Op, OpResult, SessionState, WatchEvent};
use crate::machine::controller::{
    Assignment, AssignmentChange, Controller, Effect, Event, PartitionNotice, PartitionState, Refusal, StateChange,
    TopicRecord,
};
use crate::machine::isr_change::{IsrAnswer, IsrChange};
use crate::model::{
    BrokerEpoch, BrokerId, Bug, ControllerEpoch, ErrorCode, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicName,
    TopicPartition,
};
use crate::telemetry::{Event as _, event};
use crate::wire::Str;

mod channel;
mod notices;
mod perform;
mod read;
mod registered;
mod watched;
mod write;

/// Wait before trying again when the coordinator failed.
const RETRY: Duration = Duration::from_millis(500);

/// From an election to the first look at the balance of leaders, as in Kafka.
const FIRST_BALANCE: Duration = Duration::from_secs(5);

/// Steps in one multi: well below what fits a request of ZooKeeper's (1 MiB), as steps are below 500 bytes.
const MULTI_STEPS_MAX: usize = 500;

/// Multis that are on their way to the coordinator at a time.
const MULTIS_IN_FLIGHT: usize = 8;

/// How long a new controller waits to hear which brokers' processes are gone, before it decides anything. A connection is refused at
/// once; one that is not answered says nothing.
const FIRST_CONTACT: Duration = Duration::from_millis(100);

/// The controller's actor.
pub struct ControllerActor {
    running: Option<Running>,
    commands: mpsc::Sender<ControllerCommand>,
    notice: DeathNotice,
}

/// What the controller is made of.
pub struct ControllerParts {
    /// This broker.
    pub local: BrokerId,
    /// Told of each registration.
    pub membership: Membership,
    /// `inter.broker.listener.name`.
    pub listener: String,
    /// What it registers as.
    pub registration: broker::Registration,
    /// Sessions of earlier runs on the same log dirs; once it was registered, the last one of this run.
    pub earlier_sessions: Vec<i64>,
    /// The tree.
    pub coordinator: Rc<dyn Coordinator>,
    /// Where news is published.
    pub metadata: Metadata,
    /// Told of deleted topics.
    pub groups: Groups,
    /// The replicas of this broker.
    pub replicas: Addr<Replicas>,
    /// Which partitions are here already.
    pub directory: Directory,
    /// Puts settings of new topics into force before their partitions are made.
    pub applier: Applier,
    /// Clock, chance.
    pub ports: Ports,
    /// Counts the failures of log dirs and replicas that the controller must hear of.
    pub log_dirs_failed: watch::Receiver<u64>,
    /// Becomes true when the broker is registered and knows the cluster; an error when it can never be.
    pub ready: watch::Sender<Result<bool, String>>,
}

/// What others may ask.
#[derive(Message)]
#[rtype(result = "()")]
pub enum ControllerCommand {
    /// Elect the preferred leader of these partitions, or where there is no leader any live replica. Answers a code for each.
    Elect {
        /// Which.
        partitions: Vec<TopicPartition>,
        /// Whether records may be lost by it.
        unclean: bool,
        /// Who hears of it.
        reply: oneshot::Sender<Vec<(TopicPartition, ErrorCode)>>,
    },
    /// A leader wants another set of in-sync replicas. Answers in the order of the changes, or why none was looked at.
    AlterPartition {
        /// Who asks.
        broker: BrokerId,
        /// Which incarnation of it.
        broker_epoch: BrokerEpoch,
        /// What it asks for.
        changes: Vec<IsrChange>,
        /// Who hears of it.
        reply: oneshot::Sender<Result<Vec<IsrAnswer>, ErrorCode>>,
    },
    /// A broker wants to stop: others are to lead. Answers what it still leads.
    ControlledShutdown {
        /// Who asks.
        broker: BrokerId,
        /// Which incarnation of it; `None`: not compared.
        broker_epoch: Option<BrokerEpoch>,
        /// Who hears of it.
        reply: oneshot::Sender<Result<Vec<TopicPartition>, ErrorCode>>,
    },
    /// Move partitions to other brokers, or do not (KIP-455). Answers what became of each wish, or `NOT_CONTROLLER`.
    Reassign {
        /// The replicas to be; `None` undoes what is under way.
        targets: BTreeMap<TopicPartition, Option<Vec<BrokerId>>>,
        /// Who hears of it.
        reply: oneshot::Sender<Vec<Reassigned>>,
    },
    /// Which partitions move, and how. Answers nothing when this is not the controller.
    Reassignments {
        /// Who hears of it.
        reply: oneshot::Sender<Vec<(TopicPartition, Assignment)>>,
    },
    /// Resign and let the session end.
    Shutdown {
        /// Who hears of it.
        reply: oneshot::Sender<()>,
    },
}

impl ControllerActor {
    /// A controller that is not registered yet.
    #[must_use]
    pub fn new(parts: ControllerParts, notice: DeathNotice) -> Self {
        let (commands, inbox) = mpsc::channel(16);
        Self {
            running: Some(Running { parts, inbox, active: None, elected: None, registered: None }),
            commands,
            notice,
        }
    }
}

impl Actor for ControllerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(running) = self.running.take() {
            ctx.spawn(running.run().into_actor(self).map(|(), actor, ctx| {
                actor.notice.disarm();
                ctx.stop();
            }));
        }
    }
}

impl Handler<ControllerCommand> for ControllerActor {
    type Result = ();

    fn handle(&mut self, command: ControllerCommand, _: &mut Context<Self>) {
        // Full: the reply is dropped, and the asker answers that it cannot now.
        let _full = self.commands.try_send(command);
    }
}

struct Running {
    parts: ControllerParts,
    inbox: mpsc::Receiver<ControllerCommand>,
    active: Option<Active>,
    /// The election that was won last, and in which session: it holds as long as that session does.
    elected: Option<(i64, ControllerToken)>,
    /// The session in which this broker is registered, as far as it knows.
    registered: Option<i64>,
}

/// What there is while this broker is the controller.
struct Active {
    machine: Controller,
    token: ControllerToken,
    /// The live brokers, as every request names them.
    brokers: Brokers,
    /// To every live broker but this one.
    channels: BTreeMap<BrokerId, Channel>,
    reports: mpsc::UnboundedReceiver<Report>,
    reporter: mpsc::UnboundedSender<Report>,
    /// Leaders that wait for [`Effect::AnswerIsr`].
    waiting: BTreeMap<u64, oneshot::Sender<Result<Vec<IsrAnswer>, ErrorCode>>>,
    /// Clients that wait for [`Effect::AnswerReassign`].
    reassigning: BTreeMap<u64, oneshot::Sender<Vec<Reassigned>>>,
    next_token: u64,
    /// When the balance of leaders is looked at.
    balance: Pin<Box<Sleep>>,
    settings: watch::Receiver<u64>,
}

/// What became of the wish to reassign a partition.
pub type Reassigned = (TopicPartition, Result<(), Refusal>);

impl Active {
    fn new(token: ControllerToken, settings: watch::Receiver<u64>) -> Self {
        let (reporter, reports) = mpsc::unbounded_channel();
        Self {
            machine: Controller::new(token.epoch),
            token,
            brokers: Rc::new(RefCell::new(BTreeMap::new())),
            channels: BTreeMap::new(),
            reports,
            reporter,
            waiting: BTreeMap::new(),
            reassigning: BTreeMap::new(),
            next_token: 0,
            balance: Box::pin(tokio::time::sleep(FIRST_BALANCE)),
            settings,
        }
    }
}

/// Why the controller's work stops here.
enum Stop {
    /// Somebody else is the controller now.
    Moved,
    /// The coordinator failed, or the session ended: start over.
    Failed(RecipeError),
}

impl From<CoordinationError> for Stop {
    fn from(error: CoordinationError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<RecipeError> for Stop {
    fn from(error: RecipeError) -> Self {
        Self::Failed(error)
    }
}

impl From<znode::DecodeError> for Stop {
    fn from(error: znode::DecodeError) -> Self {
        Self::Failed(error.into())
    }
}

/// How a session ended.
enum Ended {
    Shutdown(oneshot::Sender<()>),
    Lost,
}

impl Running {
    async fn run(mut self) {
        loop {
            match self.session().await {
                Ok(Ended::Shutdown(reply)) => {
                    let _closed = self.parts.coordinator.close().await;
                    let _gone = reply.send(());
                    return;
                }
                Ok(Ended::Lost) => {}
                Err(error) => {
                    event::CoordinationFailed { cause: error.to_string() }.emit();
                    let starting = matches!(*self.parts.ready.borrow(), Ok(false));
                    if starting && !matches!(error, RecipeError::Coordination(_)) {
                        // Another broker has our id or our address: trying again does not help.
                        let _before = self.parts.ready.send_replace(Err(error.to_string()));
                        return;
                    }
                }
            }
            self.active = None;
            self.connected().await;
            tokio::time::sleep(RETRY).await;
        }
    }

    /// One life of the session. When it ends, whatever waits for something is left where it is: leaders are to stop at once.
    async fn session(&mut self) -> Result<Ended, RecipeError> {
        let session = self.parts.coordinator.session();
        let SessionState::Connected { session: id } = *session.borrow() else { return Ok(Ended::Lost) };
        event::SessionConnected { session: id }.emit();
        tokio::select! {
            biased;
            () = registered::end_of(session, id) => {
                event::SessionExpired { session: id }.emit();
                Ok(Ended::Lost)
            }
            ended = self.live(id) => ended,
        }
    }

    /// Registers, elects, and reacts.
    async fn live(&mut self, id: i64) -> Result<Ended, RecipeError> {
        let coordinator = Rc::clone(&self.parts.coordinator);
        let mut session = coordinator.session();
        self.keep_leading_in(Some(id)).await;
        let mut events = coordinator.watch("/").await?;
        self.register().await?;
        // The controller asks a broker that registers for all its replicas.
        let _seen = *self.parts.log_dirs_failed.borrow_and_update();
        let mut dirty = Dirty { controller: true, everything: true, ..Dirty::default() };
        loop {
            match self.catch_up(std::mem::take(&mut dirty)).await {
                Ok(()) => {
                    let _before = self.parts.ready.send_replace(Ok(true));
                }
                Err(Stop::Moved) => {
                    event::ControllerResigned { broker: self.parts.local }.emit();
                    self.active = None;
                    dirty.controller = true;
                    continue;
                }
                Err(Stop::Failed(error)) => return Err(error),
            }
            tokio::select! {
                biased;
                Ok(()) = self.parts.log_dirs_failed.changed() => self.tell_log_dir_failed().await?,
                Ok(()) = session.changed() => if *session.borrow_and_update() == SessionState::Disconnected {
                    event::SessionLost { session: id }.emit();
                },
                command = self.inbox.recv() => match command {
                    Some(ControllerCommand::Shutdown { reply }) => return Ok(Ended::Shutdown(reply)),
                    Some(command) => match self.obey(command).await {
                        Ok(()) => {}
                        Err(Stop::Moved) => dirty.controller = true,
                        Err(Stop::Failed(error)) => return Err(error),
                    },
                    None => return Ok(Ended::Lost),
                },
                impulse = next_impulse(&mut self.active) => match self.follow(impulse).await {
                    Ok(()) => {}
                    Err(Stop::Moved) => dirty.controller = true,
                    Err(Stop::Failed(error)) => return Err(error),
                },
                event = events.recv() => {
                    let Some(event) = event else { return Ok(Ended::Lost) };
                    dirty.note(event);
                    while let Ok(event) = events.try_recv() {
                        dirty.note(event);
                    }
                }
            }
        }
    }

    async fn obey(&mut self, command: ControllerCommand) -> Result<(), Stop> {
        match command {
            ControllerCommand::Elect { partitions, unclean, reply } => {
                let answer = self.elect(partitions, unclean).await?;
                let _gone = reply.send(answer);
            }
            ControllerCommand::AlterPartition { broker, broker_epoch, changes, reply } => {
                let Some(active) = &mut self.active else {
                    let _gone = reply.send(Err(ErrorCode::NotController));
                    return Ok(());
                };
                if active.machine.broker_epoch(broker) != Some(broker_epoch) {
                    let _gone = reply.send(Err(ErrorCode::StaleBrokerEpoch));
                    return Ok(());
                }
                active.next_token += 1;
                let token = active.next_token;
                active.waiting.insert(token, reply);
                self.step(Event::AlterIsr { token, broker, changes }).await?;
            }
            ControllerCommand::ControlledShutdown { broker, broker_epoch, reply } => {
                let answer = self.controlled_shutdown(broker, broker_epoch).await?;
                let _gone = reply.send(answer);
            }
            ControllerCommand::Reassign { targets, reply } => {
                let Some(active) = &mut self.active else { return Ok(()) };
                active.next_token += 1;
                let token = active.next_token;
                active.reassigning.insert(token, reply);
                self.step(Event::Reassign { token, targets }).await?;
            }
            ControllerCommand::Reassignments { reply } => {
                let Some(active) = &self.active else { return Ok(()) };
                let moving = active.machine.moving().map(|(id, assignment)| (id, assignment.clone()));
                let _gone = reply.send(moving.collect());
            }
            // The session ends with it.
            ControllerCommand::Shutdown { reply } => drop(reply),
        }
        Ok(())
    }

    async fn controlled_shutdown(
        &mut self,
        broker: BrokerId,
        epoch: Option<BrokerEpoch>,
    ) -> Result<Result<Vec<TopicPartition>, ErrorCode>, Stop> {
        // Kafka's word for "not the controller" here.
        let Some(active) = &self.active else { return Ok(Err(ErrorCode::StaleControllerEpoch)) };
        match (active.machine.broker_epoch(broker), epoch) {
            (None, _) => return Ok(Err(ErrorCode::BrokerNotAvailable)),
            (Some(known), Some(epoch)) if epoch < known => return Ok(Err(ErrorCode::StaleBrokerEpoch)),
            (Some(_), _) => {}
        }
        self.step(Event::Leaving(broker)).await?;
        let left = self.active.as_ref().map(|active| active.machine.still_led_by(broker));
        Ok(left.ok_or(ErrorCode::StaleControllerEpoch))
    }

    async fn follow(&mut self, impulse: Impulse) -> Result<(), Stop> {
        match impulse {
            Impulse::Report(report) => self.reported(report).await,
            Impulse::SettingsChanged => self.step(Event::SettingsChanged).await,
            Impulse::Balance => {
                let config = self.parts.applier.settings.broker().replication.clone();
                if let Some(active) = &mut self.active {
                    active.balance = Box::pin(tokio::time::sleep(config.balance_interval));
                }
                match config.balance {
                    true => self.step(Event::Balance { imbalance_max: config.imbalance_max }).await,
                    false => Ok(()),
                }
            }
        }
    }

    async fn reported(&mut self, Report { broker, epoch, news }: Report) -> Result<(), Stop> {
        let current = self.active.as_ref().and_then(|active| active.machine.broker_epoch(broker));
        if current != Some(epoch) {
            return Ok(());
        }
        match news {
            News::Deleted(topics) => {
                for (topic, done) in topics {
                    self.step(Event::ReplicasDeleted { broker, topic, done }).await?;
                }
                Ok(())
            }
            News::Offline(partitions) => self.step(Event::ReplicasOffline(broker, partitions)).await,
            News::Silent(silent) => {
                if silent {
                    event::BrokerSilent { broker }.emit();
                }
                self.step(Event::Silent(broker, silent)).await
            }
        }
    }

    /// Reads what changed and lets the machine decide.
    async fn catch_up(&mut self, dirty: Dirty) -> Result<(), Stop> {
        let elected = if dirty.controller || dirty.everything { self.run_for_election().await? } else { false };
        if self.active.is_none() {
            return Ok(());
        }
        let all = elected || dirty.everything;
        if elected {
            // What they tell of is read now anyway.
            self.delete_notices(notification::ISR_CHANGES).await?;
            self.delete_notices(notification::LOG_DIR_EVENTS).await?;
        }
        if dirty.brokers || all {
            let brokers = self.read_brokers().await?;
            self.step(Event::Brokers(brokers)).await?;
        }
        if all {
            self.first_contact().await?;
        }
        if dirty.topics || all {
            let topics = self.list_topics().await?;
            self.step(Event::Topics(topics)).await?;
        }
        let assignments = dirty.assignments.into_iter().map(Effect::ReadTopic).collect();
        self.perform(assignments).await?;
        if dirty.deletions || all {
            let deletions = self.list(admin::DELETE_TOPICS).await?;
            self.step(Event::Deletions(deletions)).await?;
        }
        if dirty.reassignments || all {
            let wanted = self.read_reassignments().await?;
            self.step(Event::ReassignZnode(wanted)).await?;
        }
        if dirty.preferred || all {
            self.elect_preferred().await?;
        }
        if dirty.isr_changes || all {
            self.follow_isr_changes().await?;
        }
        if dirty.log_dir_events || all {
            self.follow_log_dir_events().await?;
        }
        Ok(())
    }

    /// Who died is known before the first election, which is then the only one.
    async fn first_contact(&mut self) -> Result<(), Stop> {
        let Some(active) = &self.active else { return Ok(()) };
        let tried = join_all(active.channels.values().map(Channel::tried));
        let _hangs = tokio::time::timeout(FIRST_CONTACT, tried).await;
        while let Some(report) = self.active.as_mut().and_then(|active| active.reports.try_recv().ok()) {
            self.reported(report).await?;
        }
        Ok(())
    }

    /// Whether this broker was elected just now.
    async fn run_for_election(&mut self) -> Result<bool, Stop> {
        let coordinator = &*self.parts.coordinator;
        let now = self.parts.ports.clock.timestamp();
        let owner = election::current(coordinator).await?.map_or(0, |(_, stat)| stat.ephemeral_owner);
        let session = SessionState::Connected { session: owner };
        if *coordinator.session().borrow() == session {
            // The controller is this very session: the news was of our own election, or work starts over after an error.
            match self.elected.filter(|(elected_in, _)| *elected_in == owner) {
                Some(_) if self.active.is_some() => return Ok(false),
                Some((_, token)) => {
                    self.active = Some(Active::new(token, self.parts.applier.settings.subscribe()));
                    return Ok(true);
                }
                // Elected, and never heard of it: nobody else can hold this session's znode.
                None => coordinator.delete(znode::controller::CONTROLLER, None).await?,
            }
        }
        match election::elect(coordinator, self.parts.local, now).await? {
            Election::Won(token) => {
                event::ControllerElected { broker: self.parts.local, epoch: token.epoch }.emit();
                self.parts.metadata.publish(|image| image.controller = self.parts.local);
                // Whoever was the controller before has nothing more to say here.
                let _newest = self.parts.membership.admit(BrokerEpoch(-1), token.epoch);
                if let SessionState::Connected { session } = *coordinator.session().borrow() {
                    self.elected = Some((session, token));
                }
                self.active = Some(Active::new(token, self.parts.applier.settings.subscribe()));
                self.enable_features().await?;
                Ok(true)
            }
            Election::Lost(other) => {
                self.active = None;
                self.parts.metadata.publish(|image| image.controller = other.broker);
                event::ControllerIsOther { broker: other.broker }.emit();
                Ok(false)
            }
        }
    }
}

/// What makes the active controller do something, beside watches and commands.
enum Impulse {
    Report(Report),
    Balance,
    SettingsChanged,
}

/// The next one, while this broker is the controller; else never.
async fn next_impulse(active: &mut Option<Active>) -> Impulse {
    let Some(active) = active else { return std::future::pending().await };
    tokio::select! {
        biased;
        Some(report) = active.reports.recv() => Impulse::Report(report),
        Ok(()) = active.settings.changed() => Impulse::SettingsChanged,
        () = &mut active.balance => Impulse::Balance,
    }
}
