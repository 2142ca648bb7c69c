//! As a follower: what its fetcher asks of a partition.
//!
//! *Invariant*: it goes on copying only behind what it has (flushed, where that is wanted), and cuts its log only where its leader says.

use super::leading::{error_code, needs_reopening};
use super::*;

impl PartitionActor {
    /// Whether another broker leads, under this epoch.
    pub(super) fn follows(&self, leader_epoch: LeaderEpoch) -> Result<(), ErrorCode> {
        if self.machine.leader_epoch() != leader_epoch || self.machine.epoch_start().is_some() {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        Ok(())
    }

    pub(super) fn replicate(&mut self, replication: Replication, ctx: &mut Context<Self>) {
        let Replication { leader_epoch, records, high_watermark, log_start, reply } = replication;
        let appended = self.follows(leader_epoch).and_then(|()| self.append_replica(leader_epoch, &records));
        match (appended, &self.log) {
            (Ok(()), Some(log)) => {
                let end = log.log_end_offset();
                self.step(Event::Replicated { end, high_watermark }, ctx);
                let start = log_start.min(self.machine.high_watermark());
                if let Some(log) = &mut self.log {
                    log.advance_log_start(start);
                    let start = log.log_start_offset();
                    self.step(Event::StartMoved { start }, ctx);
                }
                self.positions.push(reply);
                self.answer_positions();
            }
            (Err(error), _) => {
                let _gone = reply.send(Err(error));
            }
            (Ok(()), None) => {
                let _gone = reply.send(Err(ErrorCode::KafkaStorageError));
            }
        }
        if self.failed {
            self.give_up(ctx);
        }
    }

    pub(super) fn append_replica(&mut self, leader_epoch: LeaderEpoch, records: &Bytes) -> Result<(), ErrorCode> {
        let log = self.log.as_mut().ok_or(ErrorCode::KafkaStorageError)?;
        let mut batches = Vec::new();
        for batch in Batches::new(records) {
            let (header, batch) = batch.map_err(|_| ErrorCode::CorruptMessage)?;
            verify_crc(&header, batch).map_err(|_| ErrorCode::CorruptMessage)?;
            if leader_epoch < header.leader_epoch {
                // Appended under a leadership that we have not heard of (KAFKA-18723).
                break;
            }
            let body = batch.get(BATCH_HEADER_BYTES..).ok_or(ErrorCode::CorruptMessage)?;
            batches.push(NewBatch { header, body: records.slice_ref(body), origin: Origin::Replication });
        }
        if batches.is_empty() {
            return Ok(());
        }
        log.append_as_follower(&batches, self.ports.clock.timestamp()).map_err(|error| {
            self.failed |= needs_reopening(&error);
            event::AppendRefused { partition: self.id.clone(), cause: error.to_string() }.emit();
            error_code(&error)
        })
    }

    /// Answers fetchers once all is flushed, or at once where that is not wanted.
    pub(super) fn answer_positions(&mut self) {
        let Some(log) = &self.log else {
            self.positions.clear();
            return;
        };
        let flushed = self.published.settings().leader.durability == Durability::Flushed && !Bug::B14.is_back();
        if self.positions.is_empty() || (flushed && log.recovery_point() < log.log_end_offset()) {
            return;
        }
        let position = FetchPosition {
            offset: log.log_end_offset(),
            last_epoch: log.latest_leader_epoch().unwrap_or(LeaderEpoch::NONE),
            log_start: log.log_start_offset(),
        };
        for reply in self.positions.drain(..) {
            let _gone = reply.send(Ok(position));
        }
    }

    pub(super) fn fetch_position(
        &mut self,
        leader_epoch: LeaderEpoch,
        reply: oneshot::Sender<Result<FetchPosition, ErrorCode>>,
        ctx: &mut Context<Self>,
    ) {
        if let Err(error) = self.follows(leader_epoch) {
            let _gone = reply.send(Err(error));
            return;
        }
        let high_watermark = self.machine.high_watermark();
        let ahead = self
            .log
            .as_ref()
            .is_some_and(|log| log.latest_leader_epoch().is_none() && high_watermark < log.log_end_offset());
        if ahead || Bug::B1.is_back() || Bug::B2.is_back() {
            // Without epochs nobody can say where the logs part; up to the high watermark they are one.
            self.truncate(leader_epoch, CutTo::Offset(high_watermark), reply, ctx);
            return;
        }
        self.positions.push(reply);
        self.step(Event::Tick, ctx);
        self.answer_positions();
    }

    /// Cuts the log on the disk pool, while the mailbox waits.
    pub(super) fn truncate(
        &mut self,
        leader_epoch: LeaderEpoch,
        to: CutTo,
        reply: oneshot::Sender<Result<FetchPosition, ErrorCode>>,
        ctx: &mut Context<Self>,
    ) {
        let follows = self.follows(leader_epoch);
        let end = self.log.as_ref().map(Log::log_end_offset).ok_or(ErrorCode::KafkaStorageError);
        let end = match follows.and(end) {
            Ok(end) => end,
            Err(error) => {
                let _gone = reply.send(Err(error));
                return;
            }
        };
        let now = self.ports.clock.timestamp();
        event::LogTruncated { partition: self.id.clone(), end, cut: format!("{to:?}") }.emit();
        let after_cut = Arc::clone(&self.after_cut);
        let work = move |log: &mut Log| {
            let before = log.recovery_point();
            let cut = cut(log, to, now);
            let is_noted = log.recovery_point() == before || after_cut();
            (cut.is_ok() && is_noted).then(|| (log.log_start_offset(), log.log_end_offset()))
        };
        self.with_log(ctx, work, move |actor, bounds, ctx| {
            let Some((start, end)) = bounds.flatten() else {
                let _gone = reply.send(Err(ErrorCode::KafkaStorageError));
                actor.give_up(ctx);
                return;
            };
            actor.step(Event::Truncated { start, end }, ctx);
            actor.publish(actor.machine.high_watermark());
            actor.positions.push(reply);
            actor.answer_positions();
        });
    }
}

/// Cuts a log where it parts from another, or where it is told. Waits for the disk.
pub(in crate::broker) fn cut(log: &mut Log, to: CutTo, now: Timestamp) -> Result<(), ReadError> {
    let end = log.log_end_offset();
    match to {
        CutTo::Offset(offset) => log.truncate_to(offset, now),
        CutTo::Anew(offset) => log.truncate_fully_and_start_at(offset, now),
        CutTo::Divergence(epoch, theirs) => {
            let offset = match log.end_offset_for_epoch(epoch) {
                Some((ours, our_end)) if ours != epoch && !Bug::B3.is_back() => our_end,
                Some(_) if Bug::B3.is_back() => theirs,
                Some((_, our_end)) => our_end.min(theirs),
                None => theirs,
            };
            log.truncate_to(offset.min(end).max(log.log_start_offset()), now)
        }
    }
}
