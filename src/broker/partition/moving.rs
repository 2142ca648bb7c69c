//! What a partition does for its [mover], which makes a copy of its log in another log dir: it owns the log, so that
//! only it may go on as the copy.

use actix::Context;
use tokio::sync::oneshot;

use super::PartitionActor;
use crate::broker::mover::{self, Ended, JoinMeans, LetIn};
use crate::machine::log_dir_move::Original;
use crate::machine::partition::Event;
use crate::model::{LeaderEpoch, Offset};
use crate::storage::log::Log;
use crate::storage::log_dirs::PartitionOffsets;

/// What a mover asks of a partition.
pub enum MovingStep {
    /// Say where the log stands, seen from a copy.
    Compare {
        /// The newest leader epoch in the copy.
        last_epoch: LeaderEpoch,
        /// Where it ends.
        end: Offset,
        /// Who hears of it; nobody when there is no log.
        reply: oneshot::Sender<Original>,
    },
    /// Go on as the copy.
    Join {
        /// It; little is missing.
        copy: Box<Log>,
        /// How.
        means: JoinMeans,
        /// Hears whether that was done.
        reply: oneshot::Sender<LetIn>,
    },
}

impl PartitionActor {
    pub(super) fn relocate(&mut self, step: MovingStep, ctx: &mut Context<Self>) {
        match step {
            MovingStep::Compare { last_epoch, end, reply } => {
                if let Some(log) = &self.log {
                    let _gone = reply.send(mover::compare(log, last_epoch, end));
                }
            }
            MovingStep::Join { copy, means, reply } => self.join(copy, means, reply, ctx),
        }
    }

    fn join(&self, copy: Box<Log>, means: JoinMeans, reply: oneshot::Sender<LetIn>, ctx: &mut Context<Self>) {
        let (id, high_watermark) = (self.id.clone(), self.machine.high_watermark());
        let (moment, now) = (self.ports.clock.moment(), self.ports.clock.timestamp());
        let work = move |log: &mut Log| {
            let offsets = PartitionOffsets {
                recovery_point: log.recovery_point(),
                log_start: log.log_start_offset(),
                high_watermark,
                first_dirty: log.view().first_dirty_offset(),
            };
            let let_in = mover::let_in(&id, log, copy, &means, offsets, moment, now);
            (let_in, log.failure().is_some())
        };
        self.with_log(ctx, work, |actor, done, ctx| {
            let Some((let_in, failed)) = done else { return actor.give_up(ctx) };
            if matches!(let_in, LetIn::Ended(Ended::Moved { .. })) && !failed {
                actor.joined(ctx);
            }
            let _gone = reply.send(let_in);
            if failed {
                actor.give_up(ctx);
            }
        });
    }

    /// The log is the copy now, which is flushed.
    fn joined(&mut self, ctx: &mut Context<Self>) {
        let epoch = self.machine.epoch_start().map(|_| self.machine.leader_epoch());
        if let (Some(log), Some(epoch)) = (&mut self.log, epoch) {
            // A leadership without records is not among what was copied.
            log.start_leader_epoch(epoch);
        }
        self.publish(self.machine.high_watermark());
        self.step(Event::Tick, ctx);
        self.answers.send();
    }
}
