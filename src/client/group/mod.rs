//! Classic consumer groups as a client sees them: being a member ([`GroupConsumer`]), and looking at and changing groups
//! ([`admin`]).
//!
//! *Invariant*: decisions of a member are made in [`member`], without sockets; here they are performed.
//! *Does not know*: what is done with the records that a member may read.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use futures::future::LocalBoxFuture;

use super::address::BrokerAddress;
use super::cluster::Cluster;
use super::connection::Connection;
use super::error::ClientError;
use crate::model::{ErrorCode, Offset};
use crate::wire::Str;
use crate::wire::message::FindCoordinatorRequest;

pub mod admin;
pub mod assignor;
pub mod member;

use member::{Answer, Asked, Effect, Event, Member, MemberSettings, Partition};

/// `FindCoordinatorRequest.CoordinatorType.GROUP`.
const KEY_TYPE_GROUP: i8 = 0;

/// The first version of FindCoordinator that asks for several.
const SEVERAL_FROM: i16 = 4;

/// What happened to a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// These partitions may be read, and no others.
    Assigned(Vec<Partition>),
    /// Nothing may be read until the next assignment.
    Revoked,
    /// The member has left the group.
    Left,
}

/// What came of a request, and which coordinator it went to.
type Outcome = (Option<BrokerAddress>, Result<Answer, ClientError>);

/// A member of a group. Lives on one thread, within a `LocalSet`.
pub struct GroupConsumer {
    cluster: Rc<Cluster>,
    settings: MemberSettings,
    member: Member,
    coordinator: Option<BrokerAddress>,
    on_its_way: Option<LocalBoxFuture<'static, Outcome>>,
    news: VecDeque<Result<News, ClientError>>,
}

impl GroupConsumer {
    /// Begins to join with the first [`Self::news`].
    #[must_use]
    pub fn new(cluster: Rc<Cluster>, settings: MemberSettings) -> Self {
        let member = Member::new(settings.clone(), cluster.clock().moment());
        Self { cluster, settings, member, coordinator: None, on_its_way: None, news: VecDeque::new() }
    }

    /// Waits for the next news, and says meanwhile that the member lives. May be dropped at any point and called again.
    ///
    /// # Errors
    /// The group cannot be joined, or no longer be reached: there will be no more news.
    pub async fn news(&mut self) -> Result<News, ClientError> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return news;
            }
            let event = match (&mut self.on_its_way, self.member.next_deadline()) {
                (Some(on_its_way), _) => {
                    let (coordinator, answer) = on_its_way.await;
                    self.on_its_way = None;
                    self.coordinator = coordinator;
                    Event::Answered(answer)
                }
                (None, Some(at)) => {
                    tokio::time::sleep(at.since(self.cluster.clock().moment())).await;
                    Event::Tick
                }
                (None, None) => std::future::pending().await,
            };
            self.step(event);
        }
    }

    /// Of this partition everything below the offset was read and is done with: it will be committed.
    pub fn read(&mut self, partition: Partition, next: Offset) {
        self.step(Event::Read(partition, next));
    }

    /// Commits, and leaves the group; [`News::Left`] is the last news.
    pub fn leave(&mut self) {
        self.step(Event::Leave);
    }

    fn step(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.member.step(self.cluster.clock().moment(), event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Ask(asked) => {
                    let (cluster, known) = (Rc::clone(&self.cluster), self.coordinator.clone());
                    let settings = self.settings.clone();
                    self.on_its_way = Some(Box::pin(async move { perform(&cluster, &settings, known, asked).await }));
                }
                Effect::ForgetCoordinator => self.coordinator = None,
                Effect::Assigned(partitions) => self.news.push_back(Ok(News::Assigned(partitions))),
                Effect::Revoked => self.news.push_back(Ok(News::Revoked)),
                Effect::Left => self.news.push_back(Ok(News::Left)),
                Effect::Failed(error) => self.news.push_back(Err(error)),
            }
        }
    }
}

async fn perform(cluster: &Cluster, settings: &MemberSettings, known: Option<BrokerAddress>, asked: Asked) -> Outcome {
    let found = match known {
        Some(known) => Ok(known),
        None => find_coordinator(cluster, &settings.group).await,
    };
    match found {
        Ok(address) => {
            let answer = async {
                // A broker answers the requests of a connection one after the other, and one that joins may be waiting.
                let connection = if let Asked::Leave(_) = asked {
                    Connection::open(&address, &cluster.options().connection).await?
                } else {
                    cluster.connection(&address).await?
                };
                ask(cluster, settings, &connection, asked).await
            };
            let answer = answer.await;
            (Some(address), answer)
        }
        Err(error) => (None, Err(error)),
    }
}

async fn ask(
    cluster: &Cluster,
    settings: &MemberSettings,
    coordinator: &Connection,
    asked: Asked,
) -> Result<Answer, ClientError> {
    Ok(match asked {
        Asked::Join(request) => {
            let answer = coordinator.submit(&request, i16::MAX).await?;
            // It is answered when everybody else has joined.
            Answer::Join(answer.and_also(settings.rebalance_timeout).wait().await?)
        }
        Asked::Sync(request) => {
            let answer = coordinator.submit(&request, i16::MAX).await?;
            Answer::Sync(answer.and_also(settings.rebalance_timeout).wait().await?)
        }
        Asked::Heartbeat(request) => Answer::Heartbeat(coordinator.call(&request).await?),
        Asked::Commit(request) => Answer::Commit(coordinator.call(&request).await?),
        Asked::Leave(request) => {
            coordinator.call(&request).await?;
            Answer::Leave
        }
        Asked::Count(topics) => Answer::Count(count(cluster, &topics).await?),
    })
}

/// How many partitions each of these topics has. One that is not there is left out.
async fn count(cluster: &Cluster, topics: &[Str]) -> Result<BTreeMap<Str, i32>, ClientError> {
    let names = topics.iter().map(Str::as_str).collect::<Vec<_>>();
    let metadata = cluster.metadata(Some(&names)).await?;
    let known = metadata.topics.iter().filter(|topic| !topic.partitions.is_empty());
    let counted = known.filter_map(|topic| {
        let count = i32::try_from(topic.partitions.len()).ok()?;
        Some((Str::from(topic.name.as_deref()?), count))
    });
    Ok(counted.collect())
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
