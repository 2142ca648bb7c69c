//! The actor that keeps offsets for groups of the ZooKeeper era: OffsetCommit 0 and OffsetFetch 0, which any broker answers.
//!
//! *State owned*: none; the coordinator has it all. *Who calls*: the handlers of these two.

use std::rc::Rc;

use actix::{Actor, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use tokio::sync::oneshot;

use super::supervisor::DeathNotice;
use crate::coordination::recipe::{RecipeError, consumer_offsets};
use crate::coordination::{CoordinationError, Coordinator};
use crate::model::ErrorCode;
use crate::telemetry::{Event as _, event};
use crate::wire::Str;

/// See the module.
pub struct ZookeeperOffsets {
    coordinator: Rc<dyn Coordinator>,
    _notice: DeathNotice,
}

/// What the actor does. Answers stand in the order of what was asked.
#[derive(Message)]
#[rtype(result = "()")]
pub enum ZookeeperOffsetsCommand {
    /// Writes offsets of a group.
    Commit {
        /// The group, whose name is one name in a path.
        group: Str,
        /// Topic, partition, offset.
        offsets: Vec<(Str, i32, i64)>,
        /// Who hears of it.
        reply: oneshot::Sender<Vec<Result<(), ErrorCode>>>,
    },
    /// Reads offsets of a group; `None` where it has none.
    Fetch {
        /// The group.
        group: Str,
        /// Topic, partition.
        partitions: Vec<(Str, i32)>,
        /// Who hears of it.
        reply: oneshot::Sender<Vec<Result<Option<i64>, ErrorCode>>>,
    },
}

impl ZookeeperOffsets {
    /// With the session of the broker.
    #[must_use]
    pub fn new(coordinator: Rc<dyn Coordinator>, notice: DeathNotice) -> Self {
        Self { coordinator, _notice: notice }
    }
}

impl Actor for ZookeeperOffsets {
    type Context = Context<Self>;
}

impl Handler<ZookeeperOffsetsCommand> for ZookeeperOffsets {
    type Result = ();

    fn handle(&mut self, command: ZookeeperOffsetsCommand, ctx: &mut Context<Self>) {
        let coordinator = Rc::clone(&self.coordinator);
        let work = async move {
            match command {
                ZookeeperOffsetsCommand::Commit { group, offsets, reply } => {
                    let mut done = Vec::with_capacity(offsets.len());
                    for (topic, partition, offset) in offsets {
                        let set = consumer_offsets::set(&*coordinator, (&group, &topic, partition), offset).await;
                        done.push(set.map_err(|error| refused(&error)));
                    }
                    let _gone = reply.send(done);
                }
                ZookeeperOffsetsCommand::Fetch { group, partitions, reply } => {
                    let mut found = Vec::with_capacity(partitions.len());
                    for (topic, partition) in partitions {
                        let get = consumer_offsets::get(&*coordinator, (&group, &topic, partition)).await;
                        found.push(get.map_err(|error| refused(&error)));
                    }
                    let _gone = reply.send(found);
                }
            }
        };
        ctx.spawn(work.into_actor(self));
    }
}

/// Where Kafka says `UNKNOWN_SERVER_ERROR` to whatever goes wrong, the client is told what to do.
fn refused(error: &RecipeError) -> ErrorCode {
    let code = match error {
        RecipeError::Coordination(CoordinationError::Refused(_)) => return ErrorCode::InvalidGroupId,
        RecipeError::Coordination(CoordinationError::ConnectionLoss | CoordinationError::SessionExpired) => {
            ErrorCode::CoordinatorNotAvailable
        }
        RecipeError::Coordination(_)
        | RecipeError::Decode(_)
        | RecipeError::BrokerIdTaken { .. }
        | RecipeError::NoClusterId { .. }
        | RecipeError::OtherCluster { .. }
        | RecipeError::OlderTree { .. }
        | RecipeError::NoController
        | RecipeError::Migrating
        | RecipeError::ProducerIdsExhausted => ErrorCode::UnknownServerError,
    };
    event::CoordinationFailed { cause: error.to_string() }.emit();
    code
}
