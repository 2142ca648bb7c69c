//! The controller's shell: this broker's place in the cluster. It keeps the broker registered, runs for election, and when
//! elected performs what [`machine::controller`](crate::machine::controller) decides.
//!
//! *State owned*: the registration, the election, the active machine. *Who calls*: the coordinator's watches; handlers (elect).
//! One future does one thing after the other, as Kafka's controller event thread does.
//! When the session ends every leader here is fenced at once; with a new session the broker registers anew, which gives it a
//! new broker epoch, and everything is read again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _,
};
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};

use self::channel::{Brokers, Channel, Ends, News, Report};
use super::ask;
use super::config_watch::{self, Applier};
use super::directory::Directory;
use super::image::{BrokerImage, Metadata};
use super::membership::Membership;
use super::ports::{Ports, random_topic_id};
use super::replicas::{Replicas, ReplicasCommand, StoppedReplica};
use super::supervisor::DeathNotice;
use crate::coordination::recipe::RecipeError;
use crate::coordination::recipe::election::{self, ControllerToken, Election};
use crate::coordination::recipe::registration;
use crate::coordination::znode::config::Entity;
use crate::coordination::znode::feature::{FEATURE, Features};
use crate::coordination::znode::{self, admin, broker, topic};
use crate::coordination::{CoordinationError, Coordinator, CreateMode, Op, OpResult, SessionState, WatchEvent};
use crate::machine::controller::{
    Controller, Effect, Event, PartitionNotice, PartitionState, StateChange, TopicRecord,
};
use crate::machine::isr_change::{IsrAnswer, IsrChange};
use crate::model::{
    BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicName, TopicPartition,
};
use crate::telemetry::{Event as _, event};

mod channel;

/// Wait before trying again when the coordinator failed.
const RETRY: Duration = Duration::from_millis(500);

/// Steps in one multi: well below what fits a request of ZooKeeper's (1 MiB), as steps are below 500 bytes.
const MULTI_STEPS_MAX: usize = 500;

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
    /// Sessions of earlier runs on the same log dirs.
    pub earlier_sessions: Vec<i64>,
    /// The tree.
    pub coordinator: Rc<dyn Coordinator>,
    /// Where news is published.
    pub metadata: Metadata,
    /// The replicas of this broker.
    pub replicas: Addr<Replicas>,
    /// Which partitions are here already.
    pub directory: Directory,
    /// Puts settings of new topics into force before their partitions are made.
    pub applier: Applier,
    /// Clock, chance.
    pub ports: Ports,
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
        Self { running: Some(Running { parts, inbox, active: None, elected: None }), commands, notice }
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
    next_token: u64,
}

impl Active {
    fn new(token: ControllerToken) -> Self {
        let (reporter, reports) = mpsc::unbounded_channel();
        Self {
            machine: Controller::new(token.epoch),
            token,
            brokers: Rc::new(RefCell::new(BTreeMap::new())),
            channels: BTreeMap::new(),
            reports,
            reporter,
            waiting: BTreeMap::new(),
            next_token: 0,
        }
    }
}

/// What the watches said since the last look.
#[derive(Default)]
struct Dirty {
    controller: bool,
    brokers: bool,
    topics: bool,
    assignments: BTreeSet<TopicName>,
    deletions: bool,
    everything: bool,
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
            self.fence().await;
            tokio::time::sleep(RETRY).await;
            self.connected().await;
        }
    }

    /// Until there is a session.
    async fn connected(&self) {
        let mut session = self.parts.coordinator.session();
        let _closed = session.wait_for(|state| matches!(state, SessionState::Connected { .. })).await;
    }

    /// Leaders stop: another controller may have made others lead.
    async fn fence(&self) {
        ask(&self.parts.replicas, |reply| ReplicasCommand::Fence { reply }).await;
    }

    /// One life of the session: register, elect, and react until it ends.
    async fn session(&mut self) -> Result<Ended, RecipeError> {
        let coordinator = Rc::clone(&self.parts.coordinator);
        let mut session = coordinator.session();
        let SessionState::Connected { session: id } = *session.borrow_and_update() else { return Ok(Ended::Lost) };
        event::SessionConnected { session: id }.emit();
        let mut events = coordinator.watch("/").await?;
        let (local, earlier) = (self.parts.local, &self.parts.earlier_sessions);
        let registered = registration::register(&*coordinator, local, &self.parts.registration, earlier).await?;
        self.parts.membership.registered(registered.epoch);
        event::BrokerRegistered { broker: local, epoch: registered.epoch }.emit();
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
                changed = session.changed() => {
                    let state = *session.borrow_and_update();
                    match state {
                        _ if changed.is_err() => return Ok(Ended::Lost),
                        SessionState::Connected { session } if session == id => {}
                        SessionState::Disconnected => event::SessionLost { session: id }.emit(),
                        SessionState::Connected { .. } | SessionState::Expired | SessionState::Closed => {
                            event::SessionExpired { session: id }.emit();
                            return Ok(Ended::Lost);
                        }
                    }
                }
                command = self.inbox.recv() => match command {
                    Some(ControllerCommand::Shutdown { reply }) => return Ok(Ended::Shutdown(reply)),
                    Some(command) => match self.obey(command).await {
                        Ok(()) => {}
                        Err(Stop::Moved) => dirty.controller = true,
                        Err(Stop::Failed(error)) => return Err(error),
                    },
                    None => return Ok(Ended::Lost),
                },
                report = next_report(&mut self.active) => match self.reported(report).await {
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
        if dirty.brokers || all {
            let brokers = self.read_brokers().await?;
            self.step(Event::Brokers(brokers)).await?;
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
                    self.active = Some(Active::new(token));
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
                self.active = Some(Active::new(token));
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

    /// What a 3.9 controller writes first: that the cluster knows features.
    async fn enable_features(&self) -> Result<(), Stop> {
        let data = Features::enabled().encode();
        match self.parts.coordinator.get(FEATURE).await? {
            None => {
                let create = Op::Create { path: FEATURE.to_owned(), data: Some(data), mode: CreateMode::Persistent };
                self.fenced(vec![create]).await.map(drop)
            }
            Some((found, _)) => match Features::decode(&found) {
                Ok(features) if features.enabled => Ok(()),
                Ok(features) => {
                    let data = Features { enabled: true, ..features }.encode();
                    self.fenced(vec![Op::Set { path: FEATURE.to_owned(), data, version: None }]).await.map(drop)
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    async fn read_brokers(&mut self) -> Result<BTreeMap<BrokerId, BrokerEpoch>, Stop> {
        let coordinator = Rc::clone(&self.parts.coordinator);
        let ids = coordinator.children(broker::IDS).await?;
        let ids = ids.iter().filter_map(|name| broker::id_of(name)).collect::<Vec<_>>();
        let reads = join_all(ids.iter().map(|id| coordinator.get(&broker::path(*id)))).await;
        let (mut live, mut images) = (BTreeMap::new(), BTreeMap::new());
        for (id, read) in ids.into_iter().zip(reads) {
            let Some((data, stat)) = read? else { continue };
            match broker::Registration::decode(&data) {
                Ok(registration) => {
                    live.insert(id, BrokerEpoch(stat.czxid));
                    images.insert(id, image_of(registration));
                }
                Err(error) => event::ZnodeUnreadable { path: broker::path(id), cause: error.to_string() }.emit(),
            }
        }
        self.keep_channels(&live, images);
        Ok(live)
    }

    /// One channel to every other live broker; those to earlier incarnations end.
    fn keep_channels(&mut self, live: &BTreeMap<BrokerId, BrokerEpoch>, images: BTreeMap<BrokerId, BrokerImage>) {
        let Some(active) = &mut self.active else { return };
        *active.brokers.borrow_mut() = images;
        active.channels.retain(|id, channel| live.get(id) == Some(&channel.epoch));
        for (&broker, &broker_epoch) in live {
            if broker == self.parts.local || active.channels.contains_key(&broker) {
                continue;
            }
            let ends = Ends {
                controller: self.parts.local,
                controller_epoch: active.token.epoch,
                broker,
                broker_epoch,
                listener: self.parts.listener.clone(),
            };
            let brokers = Rc::clone(&active.brokers);
            let channel = Channel::start(ends, brokers, self.parts.ports.clone(), active.reporter.clone());
            active.channels.insert(broker, channel);
        }
    }

    async fn list_topics(&self) -> Result<BTreeSet<TopicName>, Stop> {
        self.list(topic::TOPICS).await
    }

    /// Children of a path that are topic names.
    async fn list(&self, path: &str) -> Result<BTreeSet<TopicName>, Stop> {
        let names = self.parts.coordinator.children(path).await?;
        Ok(names.iter().filter_map(|name| TopicName::new(name).ok()).collect())
    }

    async fn step(&mut self, event: Event) -> Result<(), Stop> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let mut effects = Vec::new();
        active.machine.step(event, &mut effects);
        self.perform(effects).await
    }

    /// Performs effects in their order; what comes back are events, whose effects follow.
    async fn perform(&mut self, effects: Vec<Effect>) -> Result<(), Stop> {
        let mut effects = std::collections::VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            let events = match effect {
                Effect::ReadTopic(name) => {
                    let mut names = vec![name];
                    // Reads are pipelined: thousands of topics are read when a controller starts.
                    while let Some(Effect::ReadTopic(_)) = effects.front() {
                        if let Some(Effect::ReadTopic(name)) = effects.pop_front() {
                            names.push(name);
                        }
                    }
                    self.read_topics(names).await?
                }
                Effect::AssignTopicId(name) => self.assign_topic_id(name).await?,
                Effect::WriteStates(changes) => self.write_states(changes).await?,
                Effect::UpdateMetadata { to, partitions } => {
                    self.update_metadata(&to, partitions);
                    vec![]
                }
                Effect::ForgetTopics(topics) => {
                    self.parts.metadata.publish(|image| topics.iter().for_each(|(name, id)| image.forget(name, *id)));
                    self.channels().for_each(|(_, channel)| channel.forget(&topics));
                    vec![]
                }
                Effect::LeaderAndIsr { broker, partitions } => {
                    self.leader_and_isr(broker, partitions).await?;
                    vec![]
                }
                Effect::DeleteReplicas { broker, topic, partitions } => {
                    self.delete_replicas(broker, topic, partitions).await
                }
                Effect::StopReplicas { broker, partitions } => {
                    self.stop_replicas(broker, partitions).await;
                    vec![]
                }
                Effect::AnswerIsr { token, wishes } => {
                    self.answer_isr(token, &wishes);
                    vec![]
                }
                Effect::RemoveTopic(name) => self.remove_topic(name).await?,
                Effect::DropDeletion(name) => {
                    self.delete_all(vec![admin::delete_topic_path(&name)]).await?;
                    vec![]
                }
            };
            let Some(active) = &mut self.active else { return Ok(()) };
            let mut next = Vec::new();
            events.into_iter().for_each(|event| active.machine.step(event, &mut next));
            next.into_iter().rev().for_each(|effect| effects.push_front(effect));
        }
        Ok(())
    }

    fn channels(&self) -> impl Iterator<Item = (&BrokerId, &Channel)> {
        self.active.iter().flat_map(|active| active.channels.iter())
    }

    fn channel(&self, broker: BrokerId, tell: impl FnOnce(&Channel)) {
        // A broker that is gone meanwhile is told when it comes back.
        if let Some(channel) = self.active.as_ref().and_then(|active| active.channels.get(&broker)) {
            tell(channel);
        }
    }

    fn update_metadata(&self, to: &BTreeSet<BrokerId>, partitions: Vec<PartitionNotice>) {
        let Some(active) = &self.active else { return };
        for (_, channel) in self.channels().filter(|(id, _)| to.contains(id)) {
            channel.update_metadata(partitions.clone());
        }
        let brokers = active.brokers.borrow().iter().map(|(id, broker)| (*id, broker.clone().into())).collect();
        self.parts.metadata.publish(|image| {
            image.brokers = brokers;
            if to.contains(&self.parts.local) {
                image.merge(partitions);
            }
        });
    }

    async fn leader_and_isr(&self, broker: BrokerId, partitions: Vec<PartitionNotice>) -> Result<(), Stop> {
        if broker != self.parts.local {
            self.channel(broker, |channel| channel.leader_and_isr(partitions));
            return Ok(());
        }
        self.load_settings(&partitions).await?;
        let answers = ask(&self.parts.replicas, |reply| ReplicasCommand::LeaderAndIsr { partitions, reply });
        for (partition, error) in answers.await.unwrap_or_default() {
            // It knew that already.
            if error.is_error() && error != ErrorCode::StaleControllerEpoch {
                event::LeaderAndIsrRefused { partition, code: error }.emit();
            }
        }
        Ok(())
    }

    /// What is known of it at once: another broker's answer comes later.
    async fn delete_replicas(&self, broker: BrokerId, topic: TopicName, partitions: Vec<PartitionIndex>) -> Vec<Event> {
        let ids = partitions.into_iter().map(|partition| TopicPartition { topic: topic.clone(), partition });
        let partitions = ids.collect();
        if broker != self.parts.local {
            self.channel(broker, |channel| channel.delete(partitions));
            return vec![];
        }
        let done = ask(&self.parts.replicas, |reply| ReplicasCommand::Delete { partitions, reply }).await;
        vec![Event::ReplicasDeleted { broker, topic, done: done.unwrap_or(false) }]
    }

    async fn stop_replicas(&self, broker: BrokerId, partitions: Vec<(TopicPartition, LeaderEpoch)>) {
        if broker == self.parts.local {
            let stopped = partitions.into_iter();
            let stopped =
                stopped.map(|(partition, leader_epoch)| StoppedReplica { partition, leader_epoch, delete: false });
            let partitions = stopped.collect();
            ask(&self.parts.replicas, |reply| ReplicasCommand::StopReplica { partitions, reply }).await;
        } else {
            self.channel(broker, |channel| channel.stop(partitions));
        }
    }

    fn answer_isr(&mut self, token: u64, wishes: &[(IsrChange, Option<ErrorCode>)]) {
        let Some(active) = &mut self.active else { return };
        let Some(reply) = active.waiting.remove(&token) else { return };
        let answer = |(wish, refused): &(IsrChange, Option<ErrorCode>)| match refused {
            Some(code) => Err(*code),
            None => active.machine.isr_answer(wish),
        };
        let _gone = reply.send(Ok(wishes.iter().map(answer).collect()));
    }

    /// No notice tells of a new topic's settings: they are read before its partitions are made.
    async fn load_settings(&self, partitions: &[PartitionNotice]) -> Result<(), Stop> {
        let new = {
            let here = self.parts.directory.load();
            let topics = partitions.iter().map(|notice| &notice.topic).collect::<BTreeSet<_>>();
            topics
                .into_iter()
                .filter(|topic| !here.contains_key(*topic))
                .cloned()
                .map(Entity::Topic)
                .collect::<Vec<_>>()
        };
        config_watch::load(&*self.parts.coordinator, &self.parts.applier, new).await?;
        Ok(())
    }

    async fn read_topics(&self, names: Vec<TopicName>) -> Result<Vec<Event>, Stop> {
        let coordinator = &*self.parts.coordinator;
        let reads = join_all(names.iter().map(|name| coordinator.get(&topic::path(name)))).await;
        let mut found = Vec::new();
        for (name, read) in names.into_iter().zip(reads) {
            let assignment = read?.map(|(data, _)| topic::TopicAssignment::decode(&data));
            match assignment.transpose() {
                Ok(assignment) => found.push((name, assignment)),
                Err(error) => event::ZnodeUnreadable { path: topic::path(&name), cause: error.to_string() }.emit(),
            }
        }
        let wanted = found.iter().flat_map(|(name, assignment)| {
            assignment
                .iter()
                .flat_map(|assignment| assignment.partitions.keys())
                .map(|index| topic::state_path(name, *index))
        });
        let mut states = join_all(wanted.map(|path| coordinator.get(&path)).collect::<Vec<_>>()).await.into_iter();
        let mut events = Vec::new();
        for (name, assignment) in found {
            let Some(assignment) = assignment else {
                events.push(Event::TopicRead(name, None));
                continue;
            };
            let mut record =
                TopicRecord { id: assignment.topic_id, replicas: BTreeMap::new(), states: BTreeMap::new() };
            for (index, partition) in assignment.partitions {
                if let Some((data, stat)) = states.next().transpose()?.flatten() {
                    match topic::PartitionState::decode(&data) {
                        Ok(state) => drop(record.states.insert(index, from_znode(state, PartitionEpoch(stat.version)))),
                        Err(error) => {
                            event::ZnodeUnreadable { path: topic::state_path(&name, index), cause: error.to_string() }
                                .emit()
                        }
                    }
                }
                record.replicas.insert(index, partition.replicas);
            }
            events.push(Event::TopicRead(name, Some(record)));
        }
        Ok(events)
    }

    async fn assign_topic_id(&self, name: TopicName) -> Result<Vec<Event>, Stop> {
        let path = topic::path(&name);
        let Some((data, _)) = self.parts.coordinator.get(&path).await? else {
            return Ok(vec![Event::TopicRead(name, None)]);
        };
        if let Ok(mut assignment) = topic::TopicAssignment::decode(&data) {
            assignment.topic_id = Some(random_topic_id(&*self.parts.ports.entropy));
            self.fenced(vec![Op::Set { path, data: assignment.encode(), version: None }]).await?;
        }
        self.read_topics(vec![name]).await
    }

    /// Writes states in multis that check the controller epoch. What another writer changed meanwhile is read again.
    async fn write_states(&self, changes: Vec<StateChange>) -> Result<Vec<Event>, Stop> {
        let mut written = Vec::new();
        let mut again = BTreeSet::new();
        let mut parents = BTreeSet::new();
        for batch in changes.chunks(MULTI_STEPS_MAX / 3) {
            let mut ops = Vec::new();
            for change in batch {
                if change.expected.is_none() && parents.insert(topic::partitions_path(&change.topic)) {
                    self.create_if_absent(topic::partitions_path(&change.topic)).await?;
                }
                ops.extend(state_ops(change));
            }
            match self.fenced(ops).await {
                Ok(results) => written.extend(batch.iter().cloned().zip(versions(&results)).map(versioned)),
                Err(stop) if stop.is_conflict() => {
                    self.write_one_by_one(batch, &mut written, &mut again).await?;
                }
                Err(stop) => return Err(stop),
            }
        }
        let mut events = vec![Event::StatesWritten(written)];
        events.extend(self.read_topics(again.into_iter().collect()).await?);
        Ok(events)
    }

    async fn write_one_by_one(
        &self,
        batch: &[StateChange],
        written: &mut Vec<StateChange>,
        again: &mut BTreeSet<TopicName>,
    ) -> Result<(), Stop> {
        for change in batch {
            if change.expected.is_none() {
                self.create_if_absent(topic::partition_path(&change.topic, change.partition)).await?;
            }
            let last = state_ops(change).pop().into_iter().collect();
            match self.fenced(last).await {
                Ok(results) => {
                    written.extend(versions(&results).into_iter().map(|version| versioned((change.clone(), version))))
                }
                Err(stop) if stop.is_conflict() => {
                    again.insert(change.topic.clone());
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    async fn create_if_absent(&self, path: String) -> Result<(), Stop> {
        match self.fenced(vec![Op::Create { path, data: None, mode: CreateMode::Persistent }]).await {
            Err(stop) if !stop.is_conflict() => Err(stop),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The topic's znodes go, children first; then its configuration and the wish to delete it.
    async fn remove_topic(&self, name: TopicName) -> Result<Vec<Event>, Stop> {
        let mut paths = self.topic_paths(&name).await?;
        paths.push(Entity::Topic(name.clone()).path());
        paths.push(admin::delete_topic_path(&name));
        self.delete_all(paths).await?;
        event::TopicDeleted { topic: name.clone() }.emit();
        Ok(vec![Event::TopicRemoved(name)])
    }

    /// Deletes in the given order; what is gone already is fine.
    async fn delete_all(&self, paths: Vec<String>) -> Result<(), Stop> {
        for batch in paths.chunks(MULTI_STEPS_MAX) {
            let delete = |path: &String| Op::Delete { path: path.clone(), version: None };
            match self.fenced(batch.iter().map(delete).collect()).await {
                Ok(_) => {}
                Err(stop) if stop.is_conflict() => {
                    for path in batch {
                        match self.fenced(vec![delete(path)]).await {
                            Err(stop) if !stop.is_conflict() => return Err(stop),
                            Ok(_) | Err(_) => {}
                        }
                    }
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    /// The topic's znodes, children before their parents.
    async fn topic_paths(&self, name: &TopicName) -> Result<Vec<String>, Stop> {
        let coordinator = &*self.parts.coordinator;
        let partitions = match coordinator.children(&topic::partitions_path(name)).await {
            Ok(partitions) => partitions,
            Err(CoordinationError::NoNode { .. }) => return Ok(vec![topic::path(name)]),
            Err(error) => return Err(error.into()),
        };
        let mut paths = Vec::new();
        for partition in partitions {
            let partition = format!("{}/{partition}", topic::partitions_path(name));
            paths.extend([format!("{partition}/state"), partition]);
        }
        paths.extend([topic::partitions_path(name), topic::path(name)]);
        Ok(paths)
    }

    /// All of `ops`, and only while this broker is the controller (law 5). What they gave.
    async fn fenced(&self, ops: Vec<Op>) -> Result<Vec<OpResult>, Stop> {
        let Some(active) = &self.active else { return Err(Stop::Moved) };
        match self.parts.coordinator.multi(active.token.fence(ops)).await {
            Ok(mut results) => {
                // The first is the check.
                results.drain(..1.min(results.len()));
                Ok(results)
            }
            Err(error) if ControllerToken::is_fenced(&error) => Err(Stop::Moved),
            Err(error) => Err(error.into()),
        }
    }

    async fn elect(
        &mut self,
        partitions: Vec<TopicPartition>,
        unclean: bool,
    ) -> Result<Vec<(TopicPartition, ErrorCode)>, Stop> {
        let Some(active) = &self.active else {
            return Ok(partitions.into_iter().map(|id| (id, ErrorCode::NotController)).collect());
        };
        let judged = partitions.into_iter().map(|id| (active.machine.may_elect(&id, unclean), id)).collect::<Vec<_>>();
        let electable = judged.iter().filter(|(judged, _)| judged.is_ok()).map(|(_, id)| id.clone()).collect();
        self.step(Event::Elect { partitions: electable, unclean }).await?;
        Ok(judged.into_iter().map(|(judged, id)| (id, judged.err().unwrap_or(ErrorCode::None))).collect())
    }
}

/// What a channel tells, while this broker is the controller; else never.
async fn next_report(active: &mut Option<Active>) -> Report {
    let report = match active {
        Some(active) => active.reports.recv().await,
        None => None,
    };
    match report {
        Some(report) => report,
        None => std::future::pending().await,
    }
}

impl Stop {
    /// Whether a znode is not as expected: somebody else wrote, or it is there or gone already.
    fn is_conflict(&self) -> bool {
        use CoordinationError::{BadVersion, NoNode, NodeExists};
        let Self::Failed(RecipeError::Coordination(error)) = self else { return false };
        matches!(error, BadVersion { .. } | NoNode { .. } | NodeExists { .. })
    }
}

impl Dirty {
    fn note(&mut self, event: WatchEvent) {
        let (path, listed) = match &event {
            WatchEvent::Created(path) | WatchEvent::Deleted(path) => (path, true),
            WatchEvent::DataChanged(path) => (path, false),
            WatchEvent::Resync => {
                self.everything = true;
                return;
            }
        };
        let below = |root: &str| path.strip_prefix(root)?.strip_prefix('/').filter(|rest| !rest.contains('/'));
        if path == znode::controller::CONTROLLER {
            self.controller = true;
        } else if below(broker::IDS).is_some() {
            self.brokers = true;
        } else if let Some(name) = below(topic::TOPICS) {
            if listed {
                self.topics = true;
            } else if let Ok(name) = TopicName::new(name) {
                self.assignments.insert(name);
            }
        } else if below(admin::DELETE_TOPICS).is_some() {
            self.deletions = true;
        }
    }
}

fn image_of(registration: broker::Registration) -> BrokerImage {
    let endpoint = |endpoint: broker::Endpoint| (endpoint.listener, (endpoint.host, endpoint.port));
    BrokerImage { endpoints: registration.endpoints.into_iter().map(endpoint).collect(), rack: registration.rack }
}

fn from_znode(state: topic::PartitionState, partition_epoch: PartitionEpoch) -> PartitionState {
    PartitionState {
        controller_epoch: state.controller_epoch,
        leader: state.leader,
        leader_epoch: state.leader_epoch,
        isr: state.isr,
        partition_epoch,
        recovering: state.recovering,
    }
}

/// The steps that write one state; the last one gives its version.
fn state_ops(change: &StateChange) -> Vec<Op> {
    let StateChange { topic: name, partition, expected, state, tell: _ } = change;
    let data = topic::PartitionState {
        leader: state.leader,
        leader_epoch: state.leader_epoch,
        isr: state.isr.clone(),
        controller_epoch: state.controller_epoch,
        recovering: state.recovering,
    }
    .encode();
    let path = topic::state_path(name, *partition);
    match expected {
        Some(version) => vec![Op::Set { path, data, version: Some(version.0) }],
        None => vec![
            Op::Create { path: topic::partition_path(name, *partition), data: None, mode: CreateMode::Persistent },
            Op::Create { path, data: Some(data), mode: CreateMode::Persistent },
        ],
    }
}

fn versioned((mut change, version): (StateChange, i32)) -> StateChange {
    change.state.partition_epoch = PartitionEpoch(version);
    change
}

/// Data versions of the states that these steps wrote.
fn versions(results: &[OpResult]) -> Vec<i32> {
    let version = |result: &OpResult| match result {
        OpResult::Created { path } => path.ends_with("/state").then_some(0),
        OpResult::Set { stat } => Some(stat.version),
        OpResult::Checked | OpResult::Deleted => None,
    };
    results.iter().filter_map(version).collect()
}
