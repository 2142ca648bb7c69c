//! What a partition does for the cleaner, which works beside it: it owns the log, so that only it may put segments into place.

use actix::Context;
use tokio::sync::oneshot;

use super::PartitionActor;
use crate::model::Offset;
use crate::storage::log::cleaner::{Begun, CleanedSegment};
use crate::storage::log::{DiskError, Log, PendingDelete};

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
        let moment = self.ports.clock.moment();
        let work = move |log: &mut Log| (log.replace_segments(cleaned, moment), log.failure().is_some());
        self.with_log(ctx, work, |actor, done, ctx| {
            let failed = done.is_none_or(|(replaced, failed)| {
                let _gone = reply.send(replaced);
                failed
            });
            if failed {
                // The files are half put into place: opening the log again ends that.
                actor.give_up(ctx);
            }
        });
    }
}
