//! What a member of either protocol has to commit: what it has read, and what somebody wants to be committed and waits for.
//!
//! *Invariant*: of everything that is wanted one outcome is told, in order. One commit is on its way at most; what is wanted goes first.
//! *Does not know*: when a member may commit, and in which generation or epoch.

use std::collections::VecDeque;

use super::member::{CommitId, Effect, Offsets, Partition};
use crate::client::error::ClientError;
use crate::model::{Moment, Offset};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Commits {
    /// Read so far and not committed.
    read: Offsets,
    /// What the commit that is on its way says.
    sent: Offsets,
    /// What somebody waits for, and until when; the first is on its way if `is_waited_for`.
    wanted: VecDeque<(CommitId, Offsets, Moment)>,
    is_waited_for: bool,
}

impl Commits {
    /// A partition was read up to here.
    pub(super) fn read(&mut self, partition: Partition, next: Offset) {
        self.read.insert(partition, next);
    }

    pub(super) fn has_read(&self) -> bool {
        !self.read.is_empty()
    }

    /// What was read of these partitions is not to be committed any more.
    pub(super) fn forget<'p>(&mut self, partitions: impl IntoIterator<Item = &'p Partition>) {
        for partition in partitions {
            self.read.remove(partition);
        }
    }

    /// Nothing is to be committed any more, and who waits hears why.
    pub(super) fn abandon(&mut self, why: impl Fn() -> ClientError, effects: &mut Vec<Effect>) {
        self.read.clear();
        self.is_waited_for = false;
        effects.extend(self.wanted.drain(..).map(|(id, ..)| Effect::Committed(id, Err(why()))));
    }

    /// Somebody waits, until then.
    pub(super) fn want(&mut self, id: CommitId, offsets: Offsets, until: Moment) {
        self.wanted.push_back((id, offsets, until));
    }

    pub(super) fn has_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// When somebody no longer waits.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.wanted.iter().map(|(.., until)| *until).min()
    }

    /// What is to be sent now: what is wanted, or what was read, if that is to be committed `by_itself`.
    pub(super) fn next(&self, by_itself: bool) -> Option<Offsets> {
        match self.wanted.front() {
            Some((_, offsets, _)) => Some(offsets.clone()),
            None => (by_itself && self.has_read()).then(|| self.read.clone()),
        }
    }

    /// That is on its way.
    pub(super) fn sent(&mut self, offsets: Offsets) {
        self.is_waited_for = self.has_wanted();
        self.sent = offsets;
    }

    /// What was on its way is committed; more may have been read since. Who waited for it.
    pub(super) fn written(&mut self) -> Option<CommitId> {
        let sent = std::mem::take(&mut self.sent);
        self.read.retain(|partition, next| sent.get(partition) != Some(next));
        if self.came_back() { self.take_first() } else { None }
    }

    /// What was on its way is not on its way any more. Whether somebody waits for it.
    pub(super) fn came_back(&mut self) -> bool {
        std::mem::take(&mut self.is_waited_for)
    }

    /// Who waits first.
    pub(super) fn take_first(&mut self) -> Option<CommitId> {
        self.wanted.pop_front().map(|(id, ..)| id)
    }

    /// Who has waited for too long. The answer to what is on its way comes, or its time is over.
    pub(super) fn take_late(&mut self, now: Moment) -> Option<CommitId> {
        let is_late = !self.is_waited_for && self.wanted.front().is_some_and(|(.., until)| *until <= now);
        if is_late { self.take_first() } else { None }
    }
}
