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
    BrokerEpoch, BrokerId, ControllerEpoch, ErrorCode, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicPartition,
};
use crate::wire::message::alter_partition::{
    AlterPartitionRequest, AlterPartitionResponse, BrokerState, PartitionData, TopicData,
};

/// Newest version: a leader's ISR with epochs, which are not checked in ZooKeeper mode.
const ALTER_PARTITION: i16 = 3;

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
    link: Option<(BrokerId, Link)>,
    asking: bool,
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
            .and_then(|broker| broker.endpoints.get(&self.parts.listener).cloned());
        let own = self.controller.clone().filter(|_| controller == local);
        let link = self.link.take().filter(|(id, _)| *id == controller);
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
            let link = match link {
                Some((_, link)) => Ok(link),
                None => Link::open(&ports, (&address.0, address.1), &local.to_string(), PATIENCE).await,
            };
            let Ok(mut link) = link else { return (None, vec![]) };
            match alter(&mut link, local, epoch, &changes).await {
                Ok(answers) => (Some((controller, link)), answers),
                Err(_) => (None, vec![]),
            }
        };
        ctx.spawn(asked.into_actor(self).map(|(link, answers), actor, ctx| actor.answered(link, answers, ctx)));
    }

    fn answered(
        &mut self,
        link: Option<(BrokerId, Link)>,
        answers: Vec<(IsrChange, IsrAnswer)>,
        ctx: &mut Context<Self>,
    ) {
        self.asking = false;
        self.link = link;
        let mut told = Vec::new();
        for (change, answer) in answers {
            // Not the controller any more, or not yet: the one that is will be asked.
            if matches!(answer, Err(ErrorCode::NotController | ErrorCode::UnknownServerError)) {
                continue;
            }
            let current = self.wishes.get(&change.partition).is_some_and(|wish| wish.change == change);
            if let Some(wish) = self.wishes.remove(&change.partition).filter(|_| current) {
                told.push(wish.partition.send(PartitionCommand::IsrAltered(answer)));
            }
        }
        ctx.spawn(join_all(told).into_actor(self).map(|_, _, _| ()));
        if !self.wishes.is_empty() {
            ctx.run_later(RETRY, |actor, ctx| actor.ask(ctx));
        }
    }
}

async fn alter(
    link: &mut Link,
    broker: BrokerId,
    epoch: BrokerEpoch,
    changes: &[IsrChange],
) -> Result<Vec<(IsrChange, IsrAnswer)>, LinkError> {
    let mut topics = Vec::<TopicData>::new();
    for change in changes {
        let data = PartitionData {
            partition_index: change.partition.partition.0,
            leader_epoch: change.leader_epoch.0,
            new_isr_with_epochs: change
                .isr
                .iter()
                .map(|id| BrokerState { broker_id: id.0, ..Default::default() })
                .collect(),
            leader_recovery_state: i8::from(change.recovering),
            partition_epoch: change.partition_epoch.0,
            ..Default::default()
        };
        match topics.last_mut().filter(|last| last.topic_id == change.topic_id) {
            Some(last) => last.partitions.push(data),
            None => topics.push(TopicData { topic_id: change.topic_id, partitions: vec![data], ..Default::default() }),
        }
    }
    let request = AlterPartitionRequest { broker_id: broker.0, broker_epoch: epoch.0, topics };
    let answer = link.ask(ALTER_PARTITION, &request, PATIENCE).await?;
    if answer.error_code.is_error() {
        return Ok(vec![]);
    }
    Ok(changes.iter().filter_map(|change| Some((change.clone(), answer_to(change, &answer)?))).collect())
}

fn answer_to(change: &IsrChange, answer: &AlterPartitionResponse) -> Option<IsrAnswer> {
    let topic = answer.topics.iter().find(|topic| topic.topic_id == change.topic_id)?;
    let index: PartitionIndex = change.partition.partition;
    let found = topic.partitions.iter().find(|partition| partition.partition_index == index.0)?;
    if found.error_code.is_error() {
        return Some(Err(found.error_code));
    }
    Some(Ok(PartitionState {
        controller_epoch: ControllerEpoch(0),
        leader: BrokerId(found.leader_id),
        leader_epoch: LeaderEpoch(found.leader_epoch),
        isr: found.isr.iter().copied().map(BrokerId).collect(),
        partition_epoch: PartitionEpoch(found.partition_epoch),
        recovering: found.leader_recovery_state == 1,
    }))
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
