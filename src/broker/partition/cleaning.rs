//! What a partition does for the cleaner, which works beside it: it owns the log, so that only it may put segments into place.

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use tokio::sync::oneshot;

use super::PartitionActor;
use crate::model::Offset;
use crate::storage::log::cleaner::{Begun, CleanedSegment};
use crate::storage::log::{DiskError, PendingDelete};

/// What the [cleaner](crate::broker::cleaner) asks of a partition.
pub enum CleaningStep {
    /// Say what only the log's owner knows.
    Begin {
        /// Who hears of it; nobody when there is no log.
        reply: oneshot::Sender<Begun>,
    },
    /// Put a segment that was written anew into place.
    Replace {
        /// It.
        cleaned: CleanedSegment,
        /// Hears which files are to be removed; `None` when the log changed meanwhile.
        reply: oneshot::Sender<Result<Option<PendingDelete>, DiskError>>,
    },
    /// All below an offset is clean.
    Finish {
        /// From the beginning.
        begun: Begun,
        /// Exclusive.
        end: Offset,
    },
}

impl PartitionActor {
    pub(super) fn clean(&mut self, step: CleaningStep, ctx: &mut Context<Self>) {
        match step {
            CleaningStep::Begin { reply } => {
                if let Some(log) = &self.log {
                    let _gone = reply.send(log.begin_cleaning());
                }
            }
            CleaningStep::Replace { cleaned, reply } => self.replace_segments(cleaned, reply, ctx),
            CleaningStep::Finish { begun, end } => {
                if let Some(log) = &mut self.log {
                    log.cleaned(&begun, end);
                }
            }
        }
    }

    /// On the disk pool, while the mailbox waits: names are made durable in between.
    fn replace_segments(
        &mut self,
        cleaned: CleanedSegment,
        reply: oneshot::Sender<Result<Option<PendingDelete>, DiskError>>,
        ctx: &mut Context<Self>,
    ) {
        // What else is under way here (a flush that comes back) may still be polled between this handler and the wait, and must
        // find the log: it is taken when the wait itself is polled, and then nothing else is until that ends.
        let waiting = std::future::ready(()).into_actor(self);
        let replaced = waiting.then(move |(), actor, _| {
            let (log, moment) = (actor.log.take(), actor.ports.clock.moment());
            let work = actor.placement.blocking(move || {
                let mut log = log?;
                let replaced = log.replace_segments(cleaned, moment);
                Some((log, replaced))
            });
            work.into_actor(actor)
        });
        ctx.wait(replaced.map(move |done, actor, ctx| {
            let Some((log, replaced)) = done.flatten() else {
                actor.give_up(ctx);
                return;
            };
            let failed = log.failure().is_some();
            actor.log = Some(log);
            let _gone = reply.send(replaced);
            if failed {
                // The files are half put into place: opening the log again ends that.
                actor.give_up(ctx);
            }
        }));
    }
}
