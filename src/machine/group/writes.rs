//! Writes that were decided and are not committed yet: what each is for, and what follows from its outcome.
//!
//! Source: Kafka 3.9 `GroupMetadataManager.storeGroup`, `storeOffsets`, `createPutCacheCallback`.

use std::collections::VecDeque;
use std::sync::Arc;

use super::api::{JoinReply, Now, Reply, SyncReply};
use super::consumer::Done;
use super::members::Terms;
use super::{Coordinator, Effect, Group, Phase, Step, WriteId};
use crate::model::{ErrorCode, LeaderEpoch, Offset, ProducerId};
use crate::wire::Str;
use crate::wire::group_record::GroupRecord;

/// What a write is for.
#[derive(Debug)]
pub(super) enum Purpose<T> {
    /// The leader said who reads what.
    Assignment {
        /// In this generation.
        generation: i32,
    },
    /// A static member came back, and nothing else changed.
    StaticRejoin(StaticRejoin),
    /// The last member is gone. If this fails, an earlier generation is in the log: nobody is left of it either.
    Emptied,
    /// A client commits; the outcomes if the write succeeds.
    Commit(T, Vec<ErrorCode>),
    /// Something of a group of the consumer protocol.
    Consumer(Done<T>),
    /// Offsets go, and the group if nothing else was left. Who waits for it, if anybody does.
    Removal(Option<(T, Removal)>),
}

/// What somebody who waits for a removal asked for.
#[derive(Debug)]
pub(super) enum Removal {
    /// The whole group.
    Group,
    /// Some offsets; the outcomes if the write succeeds.
    Offsets(Vec<ErrorCode>),
}

/// A static member that came back to a stable group.
#[derive(Debug)]
pub(super) struct StaticRejoin {
    pub(super) generation: i32,
    pub(super) old: Str,
    pub(super) new: Str,
    /// What it said before.
    pub(super) before: Terms,
    /// Older clients hear of the old leader, so that they do not think that they are it and assign.
    pub(super) leader_before: Str,
    pub(super) can_skip_assignment: bool,
}

impl<T> Purpose<T> {
    /// What whoever waits is told when the write fails.
    pub(super) fn refused(self, error: ErrorCode) -> Option<(T, Reply)> {
        match self {
            Self::Commit(ticket, outcomes) => {
                let outcome = |before: ErrorCode| if before.is_error() { before } else { error };
                Some((ticket, Reply::Commit(outcomes.into_iter().map(outcome).collect())))
            }
            Self::Consumer(done) => done.refused(error),
            Self::Removal(asked) => asked.map(|(ticket, removal)| (ticket, removal.reply(Err(error)))),
            Self::Assignment { .. } | Self::StaticRejoin(_) | Self::Emptied => None,
        }
    }
}

impl Removal {
    pub(super) fn reply(self, result: Result<(), ErrorCode>) -> Reply {
        match self {
            Self::Group => Reply::Delete(result.err().unwrap_or(ErrorCode::None)),
            Self::Offsets(outcomes) => Reply::DeleteOffsets(result.map(|()| outcomes)),
        }
    }
}

/// A write that is not committed yet.
#[derive(Debug)]
pub(super) struct Write<T> {
    pub(super) number: u64,
    group: Str,
    producer: Option<ProducerId>,
    records: Arc<[GroupRecord]>,
    purpose: Purpose<T>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Writes<T> {
    epoch: LeaderEpoch,
    next: u64,
    /// By number. They end in about that order.
    in_flight: VecDeque<Write<T>>,
}

impl<T> Writes<T> {
    pub(super) const fn new(epoch: LeaderEpoch) -> Self {
        Self { epoch, next: 0, in_flight: VecDeque::new() }
    }

    /// A new leadership. Numbers are never used again.
    pub(super) const fn restart(&mut self, epoch: LeaderEpoch) {
        self.epoch = epoch;
    }

    pub(super) fn len(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn begin(
        &mut self,
        group: Str,
        producer: Option<ProducerId>,
        records: Arc<[GroupRecord]>,
        purpose: Purpose<T>,
    ) -> WriteId {
        let number = self.next;
        self.next += 1;
        self.in_flight.push_back(Write { number, group, producer, records, purpose });
        WriteId { epoch: self.epoch, number }
    }

    fn finish(&mut self, id: WriteId) -> Option<Write<T>> {
        if id.epoch != self.epoch {
            return None;
        }
        let at = self.in_flight.binary_search_by_key(&id.number, |write| write.number).ok()?;
        self.in_flight.remove(at)
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Purpose<T>> + use<T> {
        std::mem::take(&mut self.in_flight).into_iter().map(|write| write.purpose)
    }
}

impl<T> Coordinator<T> {
    pub(super) fn written(
        &mut self,
        now: Now,
        id: WriteId,
        result: Result<Offset, ErrorCode>,
        effects: &mut Vec<Effect<T>>,
    ) {
        let Some(write) = self.writes.finish(id) else { return };
        let is_in_log = result.is_ok() || write.counts_when_late() && result.is_err_and(is_late);
        if is_in_log {
            // Where the records of a write that is late lie does not matter: none of them is an offset.
            let base = result.unwrap_or(Offset::NONE);
            let offsets = (base.0..).map(Offset);
            for (at, record) in offsets.zip(write.records.iter()) {
                self.replay(at, write.producer, record);
            }
        }
        let group = write.group.clone();
        self.with_group(now, &group, effects, |group, step| group.written(write, result.map(|_| ()), is_in_log, step));
    }
}

impl<T> Group<T> {
    fn written(&mut self, write: Write<T>, result: Result<(), ErrorCode>, is_in_log: bool, step: &mut Step<'_, T>) {
        match write.purpose {
            Purpose::Consumer(done) => self.consumer_written(done, result, is_in_log, step),
            Purpose::Assignment { generation } => self.assignment_written(write.number, generation, result, step),
            Purpose::StaticRejoin(rejoin) => self.static_rejoin_written(rejoin, result, step),
            Purpose::Emptied => {}
            Purpose::Commit(ticket, outcomes) => {
                self.offsets.settled(write.number, write.producer, &write.records, result.is_ok());
                let (to, reply) = match result {
                    Ok(()) => (ticket, Reply::Commit(outcomes)),
                    Err(error) => match Purpose::Commit(ticket, outcomes).refused(commit_error(error)) {
                        Some(refused) => refused,
                        None => return,
                    },
                };
                step.reply(to, reply);
            }
            Purpose::Removal(asked) => self.removed(write.number, asked, result.map_err(store_error), step),
        }
    }

    fn assignment_written(
        &mut self,
        number: u64,
        generation: i32,
        result: Result<(), ErrorCode>,
        step: &mut Step<'_, T>,
    ) {
        let Phase::CompletingRebalance { storing, unsynced } = &mut self.phase else { return };
        if *storing != Some(number) || generation != self.generation {
            return;
        }
        if let Err(error) = result {
            *storing = None;
            self.propagate_assignment_error(store_error(error), step);
            self.prepare_rebalance(step);
            return;
        }
        let unsynced = std::mem::take(unsynced);
        for stored in self.metadata.iter().flat_map(|metadata| &metadata.members) {
            if let Some(member) = self.members.get_mut(&stored.member_id) {
                member.assignment = stored.assignment.clone();
            }
        }
        self.enter(Phase::Stable { unsynced }, step);
        let ids = self.members.ids().cloned().collect::<Vec<_>>();
        for member_id in ids {
            if let Some(ticket) = self.members.get_mut(&member_id).and_then(|member| member.sync.take()) {
                let reply = self.sync_reply(&member_id);
                step.reply(ticket, Reply::Sync(reply));
                self.restart_session(&member_id, step);
            }
        }
    }

    fn static_rejoin_written(&mut self, rejoin: StaticRejoin, result: Result<(), ErrorCode>, step: &mut Step<'_, T>) {
        let still = matches!(self.phase, Phase::Stable { .. })
            && self.generation == rejoin.generation
            && self.members.contains(&rejoin.new);
        if !still {
            // A rebalance has begun, whose end is its answer; or another one has come in its name.
            return;
        }
        let ticket = self.members.take_join(&rejoin.new);
        // While it waited it was excused, however long that took.
        self.restart_session(&rejoin.new, step);
        let reply = match result {
            Ok(()) if rejoin.can_skip_assignment => {
                let leads = self.is_leader(&rejoin.new);
                JoinReply { skip_assignment: leads, ..self.join_reply(&rejoin.new, leads) }
            }
            Ok(()) => JoinReply { leader: rejoin.leader_before, ..self.join_reply(&rejoin.new, false) },
            Err(error) => {
                // In the log the member still has its old id, and whoever loads it knows no other.
                self.members.update(&rejoin.new, rejoin.before);
                self.rename_member(&rejoin.new, &rejoin.old, step);
                self.restart_session(&rejoin.old, step);
                let sync = self.members.get_mut(&rejoin.old).and_then(|member| member.sync.take());
                if let Some(ticket) = sync {
                    step.reply(ticket, Reply::Sync(SyncReply::refused(ErrorCode::UnknownMemberId)));
                }
                JoinReply {
                    error: store_error(error),
                    leader: rejoin.leader_before,
                    member_id: Str::default(),
                    ..self.join_reply(&rejoin.new, false)
                }
            }
        };
        if let Some(ticket) = ticket {
            step.reply(ticket, Reply::Join(reply));
        }
    }
}

impl<T> Write<T> {
    /// Whether its records are replayed even if nobody knows yet that they are committed.
    const fn counts_when_late(&self) -> bool {
        matches!(self.purpose, Purpose::Consumer(_))
    }
}

/// Whether the records lie in the leader's log, but were not committed in time.
const fn is_late(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::RequestTimedOut | ErrorCode::NotEnoughReplicasAfterAppend)
}

/// What a member is told when its group could not be written.
pub(super) fn store_error(error: ErrorCode) -> ErrorCode {
    if error == ErrorCode::RequestTimedOut {
        ErrorCode::RebalanceInProgress
    } else if is_too_large(error) {
        ErrorCode::UnknownServerError
    } else {
        log_error(error)
    }
}

/// What a client is told when its offsets could not be written.
fn commit_error(error: ErrorCode) -> ErrorCode {
    if is_too_large(error) { ErrorCode::InvalidCommitOffsetSize } else { log_error(error) }
}

const fn is_too_large(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize)
}

/// Errors of the log in the words of a coordinator. Others stay what they are.
const fn log_error(error: ErrorCode) -> ErrorCode {
    if matches!(
        error,
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::NotEnoughReplicasAfterAppend
    ) {
        ErrorCode::CoordinatorNotAvailable
    } else if matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError) {
        ErrorCode::NotCoordinator
    } else {
        error
    }
}
