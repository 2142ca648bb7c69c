//! The wishes of all leaders here for other sets of in-sync replicas, on their way to the controller (AlterPartition, KIP-497).
//!
//! *State owned*: the wishes that were not answered. *Who calls*: partitions. One request is under way; what comes meanwhile goes
//! with the next.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use futures::future::join_all;

use super::ask;
use super::controller::{ControllerActor, ControllerCommand};
use super::image::Metadata;
use super::link::{Link, LinkError};
use super::membership::Membership;
use super::partition::{PartitionActor, PartitionCommand};
use super::ports::Ports;
use super::supervisor::DeathNotice;
use crate::machine::controller::PartitionState;
use crate::machine::isr_change::{IsrAnswer, IsrChange};
use crate::model::{
    BrokerEpoch, BrokerId, ControllerEpoch, ErrorCode, LeaderEpoch, PartitionEpoch, TopicId, TopicPartition,
};
use crate::wire::message::alter_partition::{
    AlterPartitionRequest, AlterPartitionResponse, BrokerState, PartitionData, PartitionResult, TopicData,
};

/// The newest is that of Kafka 3.9, the oldest that of 2.7.
const ALTER_PARTITION: (i16, i16) = (0, 3);

/// The newest version in which topics have names.
const BY_NAME: i16 = 1;

/// The first version in which the members of the ISR have epochs, which are not checked in ZooKeeper mode.
const WITH_EPOCHS: i16 = 3;

/// How long connecting and answering may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Wait before the same is asked again.
const RETRY: Duration = Duration::from_millis(50);

/// Wishes in one request.
const WISHES_MAX: usize = 10_000;

/// See the module.
pub struct IsrChanges {
    parts: IsrChangesParts,
    wishes: BTreeMap<TopicPartition, Wish>,
    controller: Option<Addr<ControllerActor>>,
    link: Option<Connection>,
    asking: bool,
}

/// To the controller.
struct Connection {
    controller: BrokerId,
    link: Link,
    /// The newest version of AlterPartition that both know.
    version: i16,
}

/// What it is made of.
pub struct IsrChangesParts {
    /// This broker.
    pub local: BrokerId,
    /// `inter.broker.listener.name`.
    pub listener: String,
    /// Which incarnation of it.
    pub membership: Membership,
    /// Who the controller is.
    pub metadata: Metadata,
    /// The network.
    pub ports: Ports,
    /// Tells the broker of an untimely end.
    pub notice: DeathNotice,
}

/// A leader's wish.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wish {
    /// What it wants.
    pub change: IsrChange,
    /// Who hears of it ([`PartitionCommand::IsrAltered`]).
    pub partition: Addr<PartitionActor>,
}

/// The controller's actor of this broker, once there is one.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Controller(pub Addr<ControllerActor>);

impl IsrChanges {
    /// Without wishes.
    #[must_use]
    pub fn new(parts: IsrChangesParts) -> Self {
        Self { parts, wishes: BTreeMap::new(), controller: None, link: None, asking: false }
    }

    fn ask(&mut self, ctx: &mut Context<Self>) {
        if self.asking || self.wishes.is_empty() {
            return;
        }
        self.asking = true;
        let changes = self.wishes.values().take(WISHES_MAX).map(|wish| wish.change.clone()).collect::<Vec<_>>();
        let (local, epoch) = (self.parts.local, self.parts.membership.broker_epoch());
        let controller = self.parts.metadata.load().controller;
        let address = self
            .parts
            .metadata
            .load()
            .brokers
            .get(&controller)
            .and_then(|broker| broker.address(&self.parts.listener).cloned());
        let own = self.controller.clone().filter(|_| controller == local);
        let link = self.link.take().filter(|link| link.controller == controller);
        let ports = self.parts.ports.clone();
        let asked = async move {
            if let Some(own) = own {
                let wishes = changes.clone();
                let asked = ask(&own, |reply| ControllerCommand::AlterPartition {
                    broker: local,
                    broker_epoch: epoch,
                    changes: wishes,
                    reply,
                });
                let answers = asked.await.and_then(Result::ok).unwrap_or_default();
                return (None, changes.into_iter().zip(answers).collect());
            }
            let Some(address) = address else { return (None, vec![]) };
            let asked = async {
                let mut link = match link {
                    Some(link) => link,
                    None => connect(&ports, controller, (&address.0, address.1), local).await?,
                };
                let answers = alter(&mut link, local, epoch, &changes).await?;
                Ok::<_, LinkError>((link, answers))
            };
            match asked.await {
                Ok((link, answers)) => (Some(link), answers),
                Err(_) => (None, vec![]),
            }
        };
        ctx.spawn(asked.into_actor(self).map(|(link, answers), actor, ctx| actor.answered(link, answers, ctx)));
    }

    fn answered(&mut self, link: Option<Connection>, answers: Vec<(IsrChange, IsrAnswer)>, ctx: &mut Context<Self>) {
        self.asking = false;
        self.link = link;
        let mut told = Vec::new();
        for (change, answer) in answers {
            if is_asked_again(&answer) {
                continue;
            }
            if let Some(wish) = take_answered(&mut self.wishes, &change, |wish| &wish.change) {
                told.push(wish.partition.send(PartitionCommand::IsrAltered(answer)));
            }
        }
        ctx.spawn(join_all(told).into_actor(self).map(|_, _, _| ()));
        // Of a topic that is deleted, or a partition that failed: whoever comes next has wishes of its own.
        self.wishes.retain(|_, wish| wish.partition.connected());
        if !self.wishes.is_empty() {
            ctx.run_later(RETRY, |actor, ctx| actor.ask(ctx));
        }
    }
}

async fn connect(
    ports: &Ports,
    controller: BrokerId,
    address: (&str, u16),
    local: BrokerId,
) -> Result<Connection, LinkError> {
    let mut link = Link::open(ports, address, &local.to_string(), PATIENCE).await?;
    let version = link.offered(PATIENCE).await?.newest::<AlterPartitionRequest>(ALTER_PARTITION)?;
    Ok(Connection { controller, link, version })
}

/// Whether an answer says nothing about the wish: who gave it is not the controller any more, or not yet, or one that has not read the
/// topic yet. Kafka's leaders wait for news of an unknown topic, which do not come when there is nothing new about it; the wish may have
/// been granted before, by another controller, and counts until that is known.
fn is_asked_again(answer: &IsrAnswer) -> bool {
    matches!(
        answer,
        Err(ErrorCode::NotController
            | ErrorCode::UnknownServerError
            | ErrorCode::UnknownTopicId
            | ErrorCode::UnknownTopicOrPartition)
    )
}

/// The wish that was answered; another one of the same partition that came meanwhile stays, to be asked for.
fn take_answered<W>(
    wishes: &mut BTreeMap<TopicPartition, W>,
    answered: &IsrChange,
    change: impl Fn(&W) -> &IsrChange,
) -> Option<W> {
    let current = wishes.get(&answered.partition).is_some_and(|wish| change(wish) == answered);
    if current { wishes.remove(&answered.partition) } else { None }
}

async fn alter(
    connection: &mut Connection,
    broker: BrokerId,
    epoch: BrokerEpoch,
    changes: &[IsrChange],
) -> Result<Vec<(IsrChange, IsrAnswer)>, LinkError> {
    let nameless = changes.iter().all(|change| !change.topic_id.is_zero());
    let version = if nameless { connection.version } else { connection.version.min(BY_NAME) };
    let answer = connection.link.ask(version, &request(version, broker, epoch, changes), PATIENCE).await?;
    if answer.error_code.is_error() {
        return Ok(vec![]);
    }
    let answers = answers(version, &answer);
    let answered = changes.iter().filter_map(|change| {
        let (name, id) = key(version, change.partition.topic.as_str(), change.topic_id);
        let found = answers.get(&(name, id, change.partition.partition.0))?;
        Some((change.clone(), answer_of(found)))
    });
    Ok(answered.collect())
}

fn request(version: i16, broker: BrokerId, epoch: BrokerEpoch, changes: &[IsrChange]) -> AlterPartitionRequest {
    let mut topics = Vec::<TopicData>::new();
    for change in changes {
        let mut data = PartitionData {
            partition_index: change.partition.partition.0,
            leader_epoch: change.leader_epoch.0,
            // The oldest version has no word for it, nor have the brokers that speak it.
            leader_recovery_state: i8::from(change.recovering && 0 < version),
            partition_epoch: change.partition_epoch.0,
            ..Default::default()
        };
        if version < WITH_EPOCHS {
            data.new_isr = change.isr.iter().map(|id| id.0).collect();
        } else {
            let with_epoch = |id: &BrokerId| BrokerState {
                broker_id: id.0,
                broker_epoch: change.joins.get(id).map_or(-1, |epoch| epoch.0),
            };
            data.new_isr_with_epochs = change.isr.iter().map(with_epoch).collect();
        }
        let (name, topic_id) = (change.partition.topic.as_str(), change.topic_id);
        match topics.last_mut().filter(|last| last.topic_id == topic_id && last.topic_name.as_str() == name) {
            Some(last) => last.partitions.push(data),
            None => topics.push(TopicData { topic_name: name.into(), topic_id, partitions: vec![data] }),
        }
    }
    AlterPartitionRequest { broker_id: broker.0, broker_epoch: epoch.0, topics }
}

/// How a version names a topic.
fn key(version: i16, name: &str, id: TopicId) -> (&str, TopicId) {
    if version <= BY_NAME { (name, TopicId::ZERO) } else { ("", id) }
}

fn answers(version: i16, answer: &AlterPartitionResponse) -> BTreeMap<(&str, TopicId, i32), &PartitionResult> {
    let of_topics = answer.topics.iter().flat_map(|topic| {
        let (name, id) = key(version, topic.topic_name.as_str(), topic.topic_id);
        topic.partitions.iter().map(move |partition| ((name, id, partition.partition_index), partition))
    });
    of_topics.collect()
}

fn answer_of(found: &PartitionResult) -> IsrAnswer {
    if found.error_code.is_error() {
        return Err(found.error_code);
    }
    Ok(PartitionState {
        controller_epoch: ControllerEpoch(0),
        leader: BrokerId(found.leader_id),
        leader_epoch: LeaderEpoch(found.leader_epoch),
        isr: found.isr.iter().copied().map(BrokerId).collect(),
        partition_epoch: PartitionEpoch(found.partition_epoch),
        recovering: found.leader_recovery_state == 1,
    })
}

impl Actor for IsrChanges {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(WISHES_MAX);
    }
}

impl Handler<Wish> for IsrChanges {
    type Result = ();

    fn handle(&mut self, wish: Wish, ctx: &mut Context<Self>) {
        self.wishes.insert(wish.change.partition.clone(), wish);
        self.ask(ctx);
    }
}

impl Handler<Controller> for IsrChanges {
    type Result = ();

    fn handle(&mut self, Controller(controller): Controller, _: &mut Context<Self>) {
        self.controller = Some(controller);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PartitionIndex, TopicName};
    use crate::wire::message::alter_partition::TopicResult;
    use crate::wire::{Encoder, Message as _};

    fn change(topic: &str, partition: i32) -> IsrChange {
        IsrChange {
            partition: TopicPartition {
                topic: TopicName::new(topic).expect("a name"),
                partition: PartitionIndex(partition),
            },
            topic_id: TopicId([topic.as_bytes()[0]; 16]),
            leader_epoch: LeaderEpoch(3),
            partition_epoch: PartitionEpoch(5),
            isr: vec![BrokerId(1), BrokerId(2)],
            joins: BTreeMap::from([(BrokerId(2), BrokerEpoch(9))]),
            recovering: true,
        }
    }

    #[test]
    fn every_version_can_carry_a_wish() {
        let changes = [change("a", 0), change("a", 1), change("b", 0)];
        for version in ALTER_PARTITION.0..=ALTER_PARTITION.1 {
            let request = request(version, BrokerId(1), BrokerEpoch(7), &changes);
            assert_eq!(request.topics.iter().map(|topic| topic.partitions.len()).collect::<Vec<_>>(), [2, 1]);
            let encoded = request.encode(&mut Encoder::new(), version);
            assert!(encoded.is_ok(), "version {version}: {encoded:?}");
            let said = &request.topics[0].partitions[0].new_isr_with_epochs;
            let said = said.iter().map(|state| (state.broker_id, state.broker_epoch)).collect::<Vec<_>>();
            let expected = if version < WITH_EPOCHS { vec![] } else { vec![(1, -1), (2, 9)] };
            assert_eq!(said, expected, "version {version}");
        }
    }

    #[test]
    fn answers_are_found_as_the_version_names_topics() {
        let result = |partition_index| PartitionResult { partition_index, leader_id: 1, ..Default::default() };
        let topic = TopicResult {
            topic_name: "a".into(),
            topic_id: TopicId([b'a'; 16]),
            partitions: vec![result(0), PartitionResult { error_code: ErrorCode::InvalidUpdateVersion, ..result(1) }],
        };
        let response = AlterPartitionResponse { topics: vec![topic], ..Default::default() };
        let by_name = answers(1, &response);
        assert_eq!(by_name.get(&("a", TopicId::ZERO, 0)).map(|found| answer_of(found).is_ok()), Some(true));
        let by_id = answers(2, &response);
        let found = by_id.get(&("", TopicId([b'a'; 16]), 1)).map(|found| answer_of(found));
        assert_eq!(found, Some(Err(ErrorCode::InvalidUpdateVersion)));
    }

    #[test]
    fn who_does_not_know_the_topic_yet_is_asked_again() {
        let unknown = [
            ErrorCode::NotController,
            ErrorCode::UnknownServerError,
            ErrorCode::UnknownTopicId,
            ErrorCode::UnknownTopicOrPartition,
        ];
        assert!(unknown.into_iter().all(|code| is_asked_again(&Err(code))));
        let told = [ErrorCode::FencedLeaderEpoch, ErrorCode::InvalidUpdateVersion, ErrorCode::IneligibleReplica];
        assert!(!told.into_iter().any(|code| is_asked_again(&Err(code))));
    }

    #[test]
    fn the_answer_to_an_earlier_wish_leaves_the_newer_one() {
        let topic = TopicName::new("t").expect("a legal name");
        let partition = TopicPartition { topic, partition: PartitionIndex(0) };
        let wish = |leader_epoch| IsrChange {
            partition: partition.clone(),
            topic_id: TopicId::ZERO,
            leader_epoch: LeaderEpoch(leader_epoch),
            partition_epoch: PartitionEpoch(0),
            isr: vec![BrokerId(1)],
            joins: BTreeMap::new(),
            recovering: false,
        };
        let mut wishes = BTreeMap::from([(partition.clone(), wish(2))]);
        assert_eq!(take_answered(&mut wishes, &wish(1), |wish| wish), None);
        assert_eq!(take_answered(&mut wishes, &wish(2), |wish| wish), Some(wish(2)));
        assert!(wishes.is_empty());
    }
}
