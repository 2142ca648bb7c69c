//! Copies partitions from one leader: the connection of this broker's followers to another broker (Kafka's replica fetcher). A
//! shell around [`machine::follower`](crate::machine::follower).
//!
//! *State owned*: the connection, where each partition's mailbox is. *Who calls*: [`fetchers`](super::fetchers).
//! What the leader sent goes to the partitions' mailboxes together, and they answer together.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, SpawnHandle,
    WrapFuture as _,
};
use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::oneshot;

use self::leader::{LeaderLink, Peer};
use super::link::LinkError;
use super::partition::{PartitionActor, PartitionCommand, Replication};
use super::quotas::SharedQuota;
use super::settings::SettingsStore;
use super::supervisor::DeathNotice;
use super::timer::Timer;
use crate::config::ReplicationConfig;
use crate::machine::follower::{Asked, Effect, Event, Fetch, FetchPosition, LeaderLog, ReplicaFetcher, Rules};
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Moment, TopicId, TopicPartition};
use crate::telemetry::{Event as _, event};

mod leader;

pub use self::leader::Peer as FetcherParts;

/// One of the fetchers that copy from a leader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FetcherId {
    /// From whom.
    pub leader: BrokerId,
    /// Which of `num.replica.fetchers`.
    pub number: usize,
}

/// See the module.
pub struct Fetcher {
    peer: Rc<Peer>,
    throttle: Throttle,
    machine: ReplicaFetcher,
    changes: Arc<Changes>,
    replicas: BTreeMap<TopicPartition, Addr<PartitionActor>>,
    /// `None` also while a request is under way, which has it.
    link: Option<LeaderLink>,
    fetching: Option<SpawnHandle>,
    /// When the next timer fires; `None` when none is armed.
    timer: Timer,
    /// So that a leader that is away is told of once.
    was_reached: bool,
    notice: DeathNotice,
}

/// How fast throttled partitions are copied.
pub struct Throttle {
    /// For the rate.
    pub settings: SettingsStore,
    /// What all fetchers of this broker got.
    pub quota: SharedQuota,
}

/// A partition that is to be copied from here on, or under a newer leadership.
#[derive(Clone, Debug)]
pub struct Follow {
    /// Which.
    pub id: TopicPartition,
    /// The id of its topic.
    pub topic_id: TopicId,
    /// Under which leadership.
    pub leader_epoch: LeaderEpoch,
    /// Whether it is throttled.
    pub throttled: bool,
    /// Its actor.
    pub addr: Addr<PartitionActor>,
}

/// What a fetcher is to do otherwise.
#[derive(Clone, Debug)]
pub enum Change {
    /// Copy it.
    Follow(Follow),
    /// Copy it no more.
    Leave(TopicPartition),
    /// Whether it is throttled.
    Throttle(TopicPartition, bool),
    /// Copy nothing any more, and end.
    Retire,
}

/// Changes that a fetcher has not taken in yet: beside its mailbox, because a request of the controller may bring as many as
/// there are partitions. It takes them in together.
#[derive(Debug, Default)]
pub struct Changes(Mutex<Vec<Change>>);

impl Changes {
    /// Puts one in. [`Changed`] must follow.
    pub fn put(&self, change: Change) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }

    fn take(&self) -> Vec<Change> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// There are [`Changes`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct Changed;

impl Fetcher {
    /// Without partitions.
    #[must_use]
    pub fn new(parts: FetcherParts, throttle: Throttle, changes: Arc<Changes>, notice: DeathNotice) -> Self {
        Self {
            machine: ReplicaFetcher::new(rules(&parts.config)),
            peer: Rc::new(parts),
            throttle,
            changes,
            replicas: BTreeMap::new(),
            link: None,
            fetching: None,
            timer: Timer::default(),
            was_reached: true,
            notice,
        }
    }

    fn changed(&mut self, change: Change, ctx: &mut Context<Self>) {
        // They have no effects: what they bring about begins with the tick that follows them all.
        let now = self.peer.ports.clock.moment();
        let step = |machine: &mut ReplicaFetcher, event| machine.step::<Bytes>(now, event, &mut Vec::new());
        match change {
            Change::Follow(Follow { id: partition, topic_id, leader_epoch, throttled, addr }) => {
                let before = self.replicas.insert(partition.clone(), addr.clone());
                if before != Some(addr) || !self.machine.follows(&partition, topic_id, leader_epoch) {
                    let partition = partition.clone();
                    step(&mut self.machine, Event::Follow { partition, topic_id, leader_epoch });
                }
                step(&mut self.machine, Event::Throttle { partition, throttled });
            }
            Change::Leave(partition) => {
                self.replicas.remove(&partition);
                step(&mut self.machine, Event::Leave(partition));
            }
            Change::Throttle(partition, throttled) => {
                step(&mut self.machine, Event::Throttle { partition, throttled });
            }
            Change::Retire => {
                self.notice.disarm();
                ctx.stop();
            }
        }
    }

    /// Tells the machine, and performs what it says.
    fn step(&mut self, event: Event<Bytes>, ctx: &mut Context<Self>) {
        let now = self.peer.ports.clock.moment();
        let mut effects = Vec::new();
        if self.machine.is_throttled() {
            let rate = self.throttle.settings.broker().replication.follower_rate;
            let exceeded_until = self.throttle.quota.exceeded_until(now, rate);
            self.machine.step(now, Event::Quota(exceeded_until), &mut effects);
        }
        self.machine.step(now, event, &mut effects);
        let (mut told, mut lost) = (Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::FindPosition(asked) => {
                    let leader_epoch = asked.leader_epoch;
                    told.push(
                        self.tell(
                            asked,
                            Box::new(move |reply| PartitionCommand::FetchPosition { leader_epoch, reply }),
                        ),
                    );
                }
                Effect::Replicate { asked, records, high_watermark, log_start, throttled } => {
                    let (leader_epoch, records) = (asked.leader_epoch, records.unwrap_or_default());
                    if throttled {
                        self.throttle.quota.record(now, records.len());
                    }
                    let command = move |reply| {
                        let replication = Replication { leader_epoch, records, high_watermark, log_start, reply };
                        PartitionCommand::Replicate(replication)
                    };
                    told.push(self.tell(asked, Box::new(command)));
                }
                Effect::Truncate { asked, to } => {
                    let leader_epoch = asked.leader_epoch;
                    told.push(
                        self.tell(asked, Box::new(move |reply| PartitionCommand::Truncate { leader_epoch, to, reply })),
                    );
                }
                Effect::FindOffsets(asked) => lost.push(asked),
                Effect::Fetch(fetch) => self.fetch(fetch, ctx),
                Effect::Abandon => {
                    if let Some(fetching) = self.fetching.take() {
                        ctx.cancel_future(fetching);
                    }
                }
                Effect::Disconnect => self.link = None,
                Effect::Report { partition, error: code } => {
                    event::FetchFailed { partition, leader: self.peer.id.leader, code }.emit();
                }
            }
        }
        if !told.is_empty() {
            let heard = join_all(told).into_actor(self);
            ctx.spawn(heard.map(|answers, actor, ctx| actor.step(Event::Told(answers), ctx)));
        }
        if !lost.is_empty() {
            self.find_offsets(lost, ctx);
        }
        self.arm(now, ctx);
    }

    /// Gives a partition a command, and hears where it goes on.
    fn tell(
        &self,
        asked: Asked,
        command: Box<dyn FnOnce(Reply) -> PartitionCommand>,
    ) -> impl Future<Output = (Asked, Result<FetchPosition, ErrorCode>)> + use<> {
        let (reply, answer) = oneshot::channel();
        let sent = self.replicas.get(&asked.partition).map(|addr| addr.send(command(reply)));
        async move {
            let found = match sent {
                Some(sent) => match sent.await {
                    Ok(()) => answer.await.unwrap_or(Err(ErrorCode::KafkaStorageError)),
                    // One that died is followed anew when it is back.
                    Err(_) => Err(ErrorCode::KafkaStorageError),
                },
                None => Err(ErrorCode::KafkaStorageError),
            };
            (asked, found)
        }
    }

    fn fetch(&mut self, fetch: Fetch, ctx: &mut Context<Self>) {
        let (peer, link) = (Rc::clone(&self.peer), self.link.take());
        let asked = async move {
            let number = fetch.number;
            let answered = async {
                let mut link = LeaderLink::ready(link, &peer).await?;
                let answer = link.fetch(&peer, fetch).await?;
                Ok((link, answer))
            };
            (number, answered.await)
        };
        self.fetching = Some(ctx.spawn(asked.into_actor(self).map(|(number, answered), actor, ctx| {
            actor.fetching = None;
            let event = match answered {
                Ok((link, answer)) => {
                    actor.link = Some(link);
                    actor.was_reached = true;
                    Event::Answered { number, answer }
                }
                Err(error) => {
                    actor.unreachable(&error);
                    Event::Unreachable { number }
                }
            };
            actor.step(event, ctx);
        })));
    }

    fn find_offsets(&mut self, lost: Vec<Asked>, ctx: &mut Context<Self>) {
        let (peer, link) = (Rc::clone(&self.peer), self.link.take());
        let asked = async move {
            let answered = async {
                let mut link = LeaderLink::ready(link, &peer).await?;
                let found = link.offsets(&peer, &lost).await?;
                Ok::<(LeaderLink, Vec<LeaderLog>), LinkError>((link, found))
            };
            (answered.await, lost)
        };
        ctx.spawn(asked.into_actor(self).map(|(answered, lost), actor, ctx| {
            let found = match answered {
                Ok((link, found)) => {
                    actor.link = Some(link);
                    found
                }
                Err(error) => {
                    actor.unreachable(&error);
                    vec![]
                }
            };
            let found = found.into_iter().chain(std::iter::repeat(None));
            actor.step(Event::Offsets(lost.into_iter().zip(found).collect()), ctx);
        }));
    }

    fn unreachable(&mut self, error: &LinkError) {
        if std::mem::replace(&mut self.was_reached, false) {
            event::LeaderUnreachable { leader: self.peer.id.leader, cause: error.to_string() }.emit();
        }
    }

    /// A timer for the machine's next deadline, unless one fires before.
    fn arm(&mut self, now: Moment, ctx: &mut Context<Self>) {
        let Some(wait) = self.timer.arm(self.machine.next_deadline(), now) else { return };
        ctx.run_later(wait, |actor, ctx| {
            actor.timer.fired();
            actor.step(Event::Tick, ctx);
        });
    }
}

fn rules(config: &ReplicationConfig) -> Rules {
    Rules { backoff_max: config.fetch_backoff, fetch_wait: config.fetch_wait }
}

/// How a partition says where it goes on.
type Reply = oneshot::Sender<Result<FetchPosition, ErrorCode>>;

impl Actor for Fetcher {
    type Context = Context<Self>;
}

impl Handler<Changed> for Fetcher {
    type Result = ();

    fn handle(&mut self, Changed: Changed, ctx: &mut Context<Self>) {
        let changes = self.changes.take();
        if changes.is_empty() {
            return;
        }
        changes.into_iter().for_each(|change| self.changed(change, ctx));
        self.step(Event::Tick, ctx);
    }
}
