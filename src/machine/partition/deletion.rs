//! Records that are deleted by request: that is answered when no live replica has them any more.
//!
//! *Invariant*: only a leader has such requests waiting; each gets one answer.
//!
//! Source: Kafka 3.9 `DelayedDeleteRecords.scala`, `Partition.lowWatermarkIfLeader`.

use std::collections::BTreeSet;

use super::{Effect, Partition, Role};
use crate::model::{BrokerId, ErrorCode, Moment, Offset};

/// DeleteRecords requests that wait.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    waiting: Vec<Deletion>,
    /// Replicas on other brokers are not waited for.
    live: BTreeSet<BrokerId>,
}

#[derive(Debug)]
struct Deletion {
    number: u64,
    until: Offset,
    deadline: Moment,
}

impl Deletions {
    pub(super) fn add(&mut self, number: u64, until: Offset, deadline: Moment) {
        self.waiting.push(Deletion { number, until, deadline });
    }

    pub(super) fn live(&mut self, live: BTreeSet<BrokerId>) {
        self.live = live;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn due(&self) -> Option<Moment> {
        self.waiting.iter().map(|deletion| deletion.deadline).min()
    }
}

impl<Ticket> Partition<Ticket> {
    /// Where the log of every live replica begins at the latest, as far as the leader knows: Kafka's low watermark.
    fn low_watermark(&self) -> Offset {
        let Role::Leader { followers, .. } = &self.role else { return self.log.start };
        let live = followers.iter().filter(|(id, _)| self.deletions.live.contains(id));
        live.map(|(_, follower)| follower.log_start).fold(self.log.start, Offset::min)
    }

    pub(super) fn answer_deletions(&mut self, now: Moment, effects: &mut Vec<Effect<Ticket>>) {
        if self.deletions.is_empty() {
            return;
        }
        let low = self.low_watermark();
        let outcome = |deletion: &Deletion| match deletion {
            Deletion { until, .. } if *until <= low => Some(Ok(low)),
            Deletion { deadline, .. } if *deadline <= now => Some(Err(ErrorCode::RequestTimedOut)),
            Deletion { .. } => None,
        };
        self.deletions.waiting.retain(|deletion| {
            let outcome = outcome(deletion);
            effects.extend(outcome.map(|outcome| Effect::RecordsDeleted { number: deletion.number, outcome }));
            outcome.is_none()
        });
    }

    pub(super) fn refuse_deletions(&mut self, error: ErrorCode, effects: &mut Vec<Effect<Ticket>>) {
        let refused = |deletion: Deletion| Effect::RecordsDeleted { number: deletion.number, outcome: Err(error) };
        effects.extend(self.deletions.waiting.drain(..).map(refused));
    }
}
