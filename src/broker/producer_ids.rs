//! The actor that hands out producer ids from blocks of a thousand, which it takes from the coordinator (KIP-730).
//!
//! *State owned*: the rest of the current block. *Who calls*: InitProducerId; AllocateProducerIds, for another broker.

use std::collections::VecDeque;
use std::rc::Rc;

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use tokio::sync::oneshot;

use super::supervisor::DeathNotice;
use crate::coordination::znode::producer_ids::Block;
use crate::coordination::{Coordinator, recipe};
use crate::model::{BrokerEpoch, BrokerId, ErrorCode, ProducerId};
use crate::telemetry::{Event as _, event};

/// Askers that may wait for a block; more are told to come back.
const WAITING_MAX: usize = 10_000;

/// See the module.
pub struct ProducerIds {
    local: BrokerId,
    coordinator: Rc<dyn Coordinator>,
    /// Next id, and the last one of the block (inclusive). Empty when next is above last.
    next: ProducerId,
    last: ProducerId,
    waiting: VecDeque<oneshot::Sender<Option<ProducerId>>>,
    fetching: bool,
    _notice: DeathNotice,
}

/// A fresh producer id; `None` when there is none now.
#[derive(Message)]
#[rtype(result = "()")]
pub struct NextProducerId {
    /// Who hears of it.
    pub reply: oneshot::Sender<Option<ProducerId>>,
}

/// A block for a broker of the cluster, whichever it is; an error code when there is none.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AllocateBlock {
    /// Who asks.
    pub broker: BrokerId,
    /// Which incarnation of it: exactly the one that is registered gets a block.
    pub epoch: BrokerEpoch,
    /// Who hears of it.
    pub reply: oneshot::Sender<Result<Block, ErrorCode>>,
}

impl ProducerIds {
    /// With no block yet.
    #[must_use]
    pub fn new(local: BrokerId, coordinator: Rc<dyn Coordinator>, notice: DeathNotice) -> Self {
        let (next, last) = (ProducerId(0), ProducerId(-1));
        Self { local, coordinator, next, last, waiting: VecDeque::new(), fetching: false, _notice: notice }
    }

    fn serve(&mut self, ctx: &mut Context<Self>) {
        while self.next <= self.last
            && let Some(reply) = self.waiting.pop_front()
        {
            // An id whose asker is gone is lost; there are enough.
            let _gone = reply.send(Some(self.next));
            self.next = ProducerId(self.next.0.saturating_add(1));
        }
        if !self.waiting.is_empty() && !self.fetching {
            self.fetch(ctx);
        }
    }

    fn fetch(&mut self, ctx: &mut Context<Self>) {
        self.fetching = true;
        let (coordinator, local) = (Rc::clone(&self.coordinator), self.local);
        let block = async move { recipe::producer_ids::allocate_block(&*coordinator, local).await };
        ctx.spawn(block.into_actor(self).map(|block, actor, ctx| {
            actor.fetching = false;
            match block {
                Ok(block) => (actor.next, actor.last) = (block.first, block.last),
                Err(error) => {
                    event::CoordinationFailed { cause: error.to_string() }.emit();
                    actor.waiting.drain(..).for_each(|reply| {
                        let _gone = reply.send(None);
                    });
                }
            }
            actor.serve(ctx);
        }));
    }
}

impl Actor for ProducerIds {
    type Context = Context<Self>;
}

impl Handler<NextProducerId> for ProducerIds {
    type Result = ();

    fn handle(&mut self, NextProducerId { reply }: NextProducerId, ctx: &mut Context<Self>) {
        if WAITING_MAX <= self.waiting.len() {
            let _gone = reply.send(None);
            return;
        }
        self.waiting.push_back(reply);
        self.serve(ctx);
    }
}

impl Handler<AllocateBlock> for ProducerIds {
    type Result = ();

    fn handle(&mut self, AllocateBlock { broker, epoch, reply }: AllocateBlock, ctx: &mut Context<Self>) {
        let coordinator = Rc::clone(&self.coordinator);
        let allocate = async move {
            let block = match recipe::registration::epoch_of(&*coordinator, broker).await {
                Ok(None) => Err(ErrorCode::BrokerIdNotRegistered),
                Ok(Some(registered)) if registered != epoch => Err(ErrorCode::StaleBrokerEpoch),
                Ok(Some(_)) => recipe::producer_ids::allocate_block(&*coordinator, broker).await.map_err(|error| {
                    event::CoordinationFailed { cause: error.to_string() }.emit();
                    ErrorCode::UnknownServerError
                }),
                Err(error) => {
                    event::CoordinationFailed { cause: error.to_string() }.emit();
                    Err(ErrorCode::UnknownServerError)
                }
            };
            let _gone = reply.send(block);
        };
        ctx.spawn(allocate.into_actor(self));
    }
}
