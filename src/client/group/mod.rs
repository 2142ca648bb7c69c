//! Consumer groups as a client sees them: being a member ([`Membership`]), and looking at and changing groups ([`admin`]).
//!
//! *Invariant*: decisions of a member are made without sockets, in [`member`] for classic groups and in [`consumer_member`] for
//! those of the consumer protocol; here they are performed.
//! *Does not know*: what is done with the records that a member may read.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::address::BrokerAddress;
use super::cluster::Cluster;
use super::config::GroupProtocol;
use super::connection::Connection;
use super::error::ClientError;
use crate::model::{ErrorCode, Moment, Offset, TopicId};
use crate::wire::Str;
use crate::wire::message::FindCoordinatorRequest;

pub mod admin;
pub mod assignor;
mod commits;
pub mod consumer_member;
pub mod member;

use consumer_member::ConsumerMember;
use member::{Answer, Asked, CommitId, Effect, Event, Member, MemberSettings, Offsets, Partition, Subscription};

/// `FindCoordinatorRequest.CoordinatorType.GROUP`.
const KEY_TYPE_GROUP: i8 = 0;

/// The first version of FindCoordinator that asks for several.
const SEVERAL_FROM: i16 = 4;

/// What happened to a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// These partitions may be read too.
    Assigned(Vec<Partition>),
    /// These are to be read no more; they are still this member's until [`Membership::release`].
    Revoked(Vec<Partition>),
    /// These may be somebody else's by now.
    Lost(Vec<Partition>),
    /// The member has left the group.
    Left,
}

/// A member of a group. It says by itself that it lives, as long as the thread is not kept busy. Lives on one thread, within
/// a `LocalSet`; gone without a farewell when it is dropped.
pub struct Membership {
    shared: Rc<Shared>,
    driver: JoinHandle<()>,
}

/// What decides.
enum Machine {
    Classic(Box<Member>),
    Consumer(Box<ConsumerMember>),
}

impl Machine {
    fn new(settings: MemberSettings, cluster: &Cluster) -> Self {
        let now = cluster.clock().moment();
        match settings.protocol {
            GroupProtocol::Classic => Self::Classic(Box::new(Member::new(settings, now))),
            GroupProtocol::Consumer { .. } => {
                let mut id = [0; 16];
                id.chunks_exact_mut(4).for_each(|part| part.copy_from_slice(&cluster.chance().to_be_bytes()));
                let id = TopicId::from_random(id).unwrap_or(TopicId(id));
                Self::Consumer(Box::new(ConsumerMember::new(settings, id.to_string().into(), now)))
            }
        }
    }

    fn step(&mut self, now: Moment, event: Event, effects: &mut Vec<Effect>) {
        match self {
            Self::Classic(member) => member.step(now, event, effects),
            Self::Consumer(member) => member.step(now, event, effects),
        }
    }

    fn next_deadline(&self) -> Option<Moment> {
        match self {
            Self::Classic(member) => member.next_deadline(),
            Self::Consumer(member) => member.next_deadline(),
        }
    }
}

struct Shared {
    cluster: Rc<Cluster>,
    settings: MemberSettings,
    machine: RefCell<Machine>,
    /// What is to be asked next.
    ask: RefCell<Option<Asked>>,
    coordinator: RefCell<Option<Connection>>,
    news: RefCell<VecDeque<Result<News, ClientError>>>,
    commits: RefCell<BTreeMap<CommitId, oneshot::Sender<Result<(), ClientError>>>>,
    next_commit: Cell<CommitId>,
    /// Wakes the driver, and who waits for news.
    stirred: Notify,
    told: Notify,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Membership {
    /// Begins to join.
    #[must_use]
    pub fn new(cluster: Rc<Cluster>, settings: MemberSettings) -> Self {
        let machine = Machine::new(settings.clone(), &cluster);
        let shared = Rc::new(Shared {
            cluster,
            settings,
            machine: RefCell::new(machine),
            ask: RefCell::default(),
            coordinator: RefCell::default(),
            news: RefCell::default(),
            commits: RefCell::default(),
            next_commit: Cell::new(0),
            stirred: Notify::new(),
            told: Notify::new(),
        });
        let driver = tokio::task::spawn_local(drive(Rc::clone(&shared)));
        Self { shared, driver }
    }

    /// Waits for the next news. May be dropped at any point and called again.
    ///
    /// # Errors
    /// The group cannot be joined, or no longer be reached: there will be no more news.
    pub async fn news(&self) -> Result<News, ClientError> {
        loop {
            let told = self.shared.told.notified();
            if let Some(news) = self.news_now() {
                return news;
            }
            told.await;
        }
    }

    /// The next news, if there are any.
    #[must_use]
    pub fn news_now(&self) -> Option<Result<News, ClientError>> {
        self.shared.news.borrow_mut().pop_front()
    }

    /// Somebody asks for records.
    pub fn polled(&self) {
        self.shared.step(Event::Polled);
    }

    /// Of this partition everything below the offset was read and is done with.
    pub fn read(&self, partition: Partition, next: Offset) {
        self.shared.step(Event::Read(partition, next));
    }

    /// What was revoked is done with.
    pub fn release(&self) {
        self.shared.step(Event::Released);
    }

    /// It wants other topics.
    pub fn subscribe(&self, subscription: Subscription) {
        self.shared.step(Event::Subscribe(subscription));
    }

    /// Commits, and waits until it is done. To be dropped changes nothing.
    ///
    /// # Errors
    /// [`ErrorCode::RebalanceInProgress`] while the group rebalances, and whatever the coordinator says.
    pub async fn commit(&self, offsets: Offsets) -> Result<(), ClientError> {
        let (sender, receiver) = oneshot::channel();
        let id = self.shared.next_commit.get();
        self.shared.next_commit.set(id + 1);
        self.shared.commits.borrow_mut().insert(id, sender);
        self.shared.step(Event::Commit(id, offsets));
        receiver.await.unwrap_or_else(|_| {
            let what = format!("group '{}' does not take a commit", self.shared.settings.group);
            Err(ClientError::Refused { what, code: ErrorCode::UnknownMemberId, message: None })
        })
    }

    /// Commits, and leaves the group; [`News::Left`] is the last news.
    pub fn leave(&self) {
        self.shared.step(Event::Leave);
    }
}

impl Shared {
    fn step(&self, event: Event) {
        let mut effects = Vec::new();
        self.machine.borrow_mut().step(self.cluster.clock().moment(), event, &mut effects);
        for effect in effects {
            let news = match effect {
                Effect::Ask(asked) => {
                    *self.ask.borrow_mut() = Some(asked);
                    continue;
                }
                Effect::ForgetCoordinator => {
                    *self.coordinator.borrow_mut() = None;
                    continue;
                }
                Effect::Committed(id, done) => {
                    if let Some(waiting) = self.commits.borrow_mut().remove(&id) {
                        // Who lost interest is no error.
                        let _ = waiting.send(done);
                    }
                    continue;
                }
                Effect::Assigned(partitions) => Ok(News::Assigned(partitions)),
                Effect::Revoked(partitions) => Ok(News::Revoked(partitions)),
                Effect::Lost(partitions) => Ok(News::Lost(partitions)),
                Effect::Left => Ok(News::Left),
                Effect::Failed(error) => Err(error),
            };
            self.news.borrow_mut().push_back(news);
            self.told.notify_waiters();
        }
        self.stirred.notify_one();
    }
}

/// Asks what the member wants asked, and tells it of answers and of time, until its owner ends it.
async fn drive(shared: Rc<Shared>) {
    let mut on_its_way: Option<LocalBoxFuture<'static, Result<Answer, ClientError>>> = None;
    loop {
        if let Some(asked) = shared.ask.borrow_mut().take() {
            let shared = Rc::clone(&shared);
            on_its_way = Some(Box::pin(async move { shared.perform(asked).await }));
        }
        let deadline = shared.machine.borrow().next_deadline();
        let wait = deadline.map(|at| at.since(shared.cluster.clock().moment()));
        let event = tokio::select! {
            biased;
            answer = arrival(&mut on_its_way) => {
                on_its_way = None;
                Event::Answered(answer)
            }
            () = shared.stirred.notified() => continue,
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => Event::Tick,
        };
        shared.step(event);
    }
}

async fn arrival(
    on_its_way: &mut Option<LocalBoxFuture<'static, Result<Answer, ClientError>>>,
) -> Result<Answer, ClientError> {
    match on_its_way {
        Some(on_its_way) => on_its_way.await,
        None => std::future::pending().await,
    }
}

impl Shared {
    async fn perform(&self, asked: Asked) -> Result<Answer, ClientError> {
        let timeout = self.settings.poll_interval_max;
        Ok(match asked {
            Asked::Join(request) => {
                let answer = self.coordinator().await?.submit(&request, i16::MAX).await?;
                // It is answered when everybody else has joined.
                Answer::Join(answer.and_also(timeout).wait().await?)
            }
            Asked::Sync(request) => {
                let answer = self.coordinator().await?.submit(&request, i16::MAX).await?;
                Answer::Sync(answer.and_also(timeout).wait().await?)
            }
            Asked::Heartbeat(request) => Answer::Heartbeat(self.coordinator().await?.call(&request).await?),
            Asked::Commit(request) => Answer::Commit(self.coordinator().await?.call(&request).await?),
            Asked::Leave(mut request) => {
                // One that joins may be waiting on the member's own connection.
                let address = find_coordinator(&self.cluster, &self.settings.group).await?;
                let connection = self.cluster.own_connection(&address).await?;
                if connection.version::<crate::wire::message::LeaveGroupRequest>(i16::MAX)? < 3 {
                    // Version 3 names members in another field.
                    request.member_id = request.members.pop().map(|member| member.member_id).unwrap_or_default();
                }
                connection.call(&request).await?;
                Answer::Leave
            }
            Asked::Count(topics) => Answer::Count(count(&self.cluster, &topics).await?),
            Asked::Beat(request) => Answer::Beat(self.coordinator().await?.call(&request).await?),
            Asked::Name(ids) => Answer::Name(self.cluster.names(&ids).await?),
        })
    }

    /// A connection of its own: a broker answers the requests of a connection one after the other, and one that joins would
    /// keep fetches waiting.
    async fn coordinator(&self) -> Result<Connection, ClientError> {
        let known = self.coordinator.borrow().as_ref().filter(|known| known.is_open()).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let address = find_coordinator(&self.cluster, &self.settings.group).await?;
        let connection = self.cluster.own_connection(&address).await?;
        *self.coordinator.borrow_mut() = Some(connection.clone());
        Ok(connection)
    }
}

/// How many partitions each of these topics has. One that is not there is left out.
async fn count(cluster: &Cluster, topics: &[Str]) -> Result<BTreeMap<Str, i32>, ClientError> {
    let metadata = cluster.describe(Some(topics), false).await?;
    Ok(topics.iter().filter_map(|topic| Some((topic.clone(), metadata.count(topic)?))).collect())
}

/// Where a group is coordinated.
///
/// # Errors
/// [`ErrorCode::CoordinatorNotAvailable`] while nobody does: try again.
pub async fn find_coordinator(cluster: &Cluster, group: &str) -> Result<BrokerAddress, ClientError> {
    let connection = cluster.any().await?;
    let request = if SEVERAL_FROM <= connection.version::<FindCoordinatorRequest>(i16::MAX)? {
        FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..FindCoordinatorRequest::default() }
    } else {
        FindCoordinatorRequest { key: group.into(), key_type: KEY_TYPE_GROUP, ..FindCoordinatorRequest::default() }
    };
    let response = connection.call(&request).await?;
    let (code, host, port) = match response.coordinators.first() {
        Some(found) => (found.error_code, &found.host, found.port),
        None => (response.error_code, &response.host, response.port),
    };
    let what = || format!("group '{group}' has no coordinator now");
    ClientError::check(code, None, what)?;
    let port = u16::try_from(port).map_err(|_| ClientError::Refused {
        what: what(),
        code: ErrorCode::CoordinatorNotAvailable,
        message: None,
    })?;
    Ok(BrokerAddress { host: host.to_string(), port })
}
