//! As a leader: appends of clients, deletion of records, and what followers are seen to have.

use super::*;

impl PartitionActor {
    pub(super) fn append(&mut self, items: Vec<AppendItem>, ctx: &mut Context<Self>) {
        for AppendItem { batch, promise, all_until, under } in items {
            self.turn.batches.push(batch);
            self.turn.requests.push(Request { promise, all_until, under });
        }
        if !self.turn.draining {
            self.turn.draining = true;
            // Delivered when the mailbox is empty: all that arrived meanwhile is appended with one write.
            ctx.notify(Drain);
        }
    }

    pub(super) fn drain(&mut self, ctx: &mut Context<Self>) {
        self.turn.draining = false;
        self.turn.refuse_fenced(self.machine.leader_epoch(), &mut self.answers);
        let mut requests = std::mem::take(&mut self.turn.requests);
        let mut results = std::mem::take(&mut self.turn.results);
        match &mut self.log {
            // The ISR may be too small for `acks=all` only: those are refused one by one before anything is appended.
            Some(log) => match (self.machine.may_append(true), self.machine.may_append(false)) {
                (Ok(epoch), _) => {
                    let now = self.ports.clock.timestamp();
                    log.append_as_leader(&self.turn.batches, epoch, now, &mut results);
                }
                (Err(refused), Ok(epoch)) => {
                    let (kept, kept_requests) = self.turn.refuse_all_acks(&mut requests, refused, &mut self.answers);
                    let now = self.ports.clock.timestamp();
                    log.append_as_leader(&kept, epoch, now, &mut results);
                    requests = kept_requests;
                }
                (Err(refused), Err(_)) => {
                    requests.drain(..).for_each(|request| self.answers.push(request.refused(refused)));
                }
            },
            None => {
                requests.drain(..).for_each(|request| self.answers.push(request.refused(ErrorCode::KafkaStorageError)));
            }
        }
        self.turn.batches.clear();
        self.appended(requests.drain(..).zip(results.drain(..)), ctx);
        if self.log.as_ref().is_some_and(|log| log.failure().is_some()) {
            // An append failed and could not be taken back. Nothing more comes of this log.
            self.give_up(ctx);
        }
        self.flush_closed(UNFLUSHED_CLOSED_FILES_MAX, ctx);
        self.answers.send();
        (self.turn.requests, self.turn.results) = (requests, results);
    }

    /// Tells the machine of what was appended, and answers what need not wait.
    pub(super) fn appended(
        &mut self,
        appended: impl Iterator<Item = (Request, Result<Appended, AppendError>)>,
        ctx: &mut Context<Self>,
    ) {
        let Some(log) = &self.log else { return };
        let (end, log_start_offset) = (log.log_end_offset(), log.log_start_offset());
        let mut waits = Vec::new();
        for (request, result) in appended {
            let appended = match result {
                Ok(appended) => appended,
                Err(error) => {
                    self.failed |= needs_reopening(&error);
                    event::AppendRefused { partition: self.id.clone(), cause: error.to_string() }.emit();
                    self.answers.push(request.refused(error_code(&error)));
                    continue;
                }
            };
            let outcome = AppendOutcome {
                error: ErrorCode::None,
                base_offset: appended.base_offset,
                log_append_time: appended.log_append_time,
                log_start_offset,
            };
            let answer = Answer { promise: request.promise, outcome };
            match request.all_until {
                None => self.answers.push(answer),
                Some(deadline) => waits.push(Wait { until: appended.last_offset.next(), deadline, ticket: answer }),
            }
        }
        // A duplicate may wait for an older offset than what was appended before it.
        waits.sort_by_key(|wait| wait.until);
        self.published.appended(end);
        self.hear_of_resting(ctx);
        self.step(Event::Appended { end, waits }, ctx);
        if self.failed {
            self.give_up(ctx);
        }
    }

    pub(super) fn follower_fetched(
        &mut self,
        (replica, broker_epoch): (BrokerId, Option<BrokerEpoch>),
        offset: Offset,
        last_epoch: LeaderEpoch,
        log_start: Offset,
        ctx: &mut Context<Self>,
    ) -> Result<Progress, ErrorCode> {
        self.machine.may_append(false)?;
        if !self.machine.is_follower(replica) {
            return Err(ErrorCode::UnknownLeaderEpoch);
        }
        let log = self.log.as_ref().ok_or(ErrorCode::KafkaStorageError)?;
        if last_epoch != LeaderEpoch::NONE && !Bug::B2.is_back() {
            let (epoch, end) = log.end_offset_for_epoch(last_epoch).ok_or(ErrorCode::OffsetOutOfRange)?;
            if offset < log.log_start_offset() {
                return Err(ErrorCode::OffsetOutOfRange);
            }
            if (epoch < last_epoch && !Bug::B3.is_back()) || end < offset {
                return Ok(Progress::Parted(epoch, end));
            }
        }
        if offset < log.log_start_offset() || log.log_end_offset() < offset {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        self.step(Event::Fetched { replica, broker_epoch, offset, log_start }, ctx);
        self.answers.send();
        let rests = self.machine.rests(replica);
        let rests = rests.then(|| self.resting.give(replica, offset, self.ports.clock.moment()));
        Ok(Progress::Same { rests, in_sync: self.machine.is_in_sync(replica) })
    }

    pub(super) fn wish_for(
        &mut self,
        isr: Vec<BrokerId>,
        leader_epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        ctx: &mut Context<Self>,
    ) {
        event::IsrWished { partition: self.id.clone(), isr: event::Brokers(isr.clone()) }.emit();
        let (partition, topic_id) = (self.id.clone(), self.published.topic_id());
        let joins = self.machine.joins(&isr);
        let change = IsrChange { partition, topic_id, leader_epoch, partition_epoch, isr, joins, recovering: false };
        // Noted before it is asked for: whoever comes after this actor must know that it may be granted.
        self.asked = Some(change.clone());
        self.note_standing();
        if self.isr_changes.try_send(Wish { change, partition: ctx.address() }).is_err() {
            // Too many at once: with the next fetch or tick it is wished for again.
            ctx.notify(NotAsked);
        }
    }

    /// Tells the machine when followers were last seen that it does not hear of with each fetch.
    pub(super) fn hear_of_resting(&mut self, ctx: &mut Context<Self>) {
        let seen = self.resting.news();
        if !seen.is_empty() {
            self.step(Event::CaughtUp(seen), ctx);
        }
    }

    pub(super) fn delete_records(
        &mut self,
        before: Offset,
        deadline: Moment,
        live: BTreeSet<BrokerId>,
        reply: oneshot::Sender<Result<Offset, ErrorCode>>,
        ctx: &mut Context<Self>,
    ) {
        let until = match self.move_log_start(before, ctx) {
            Ok(until) => until,
            Err(error) => {
                let _gone = reply.send(Err(error));
                return;
            }
        };
        self.deletions += 1;
        let number = self.deletions;
        self.deleting.insert(number, reply);
        self.step(Event::DeletionAwaited { number, until, deadline, live }, ctx);
        self.answers.send();
    }

    fn move_log_start(&mut self, before: Offset, ctx: &mut Context<Self>) -> Result<Offset, ErrorCode> {
        self.machine.may_append(false)?;
        let high_watermark = self.machine.high_watermark();
        let before = if before == Offset::NONE { high_watermark } else { before };
        let log = self.log.as_mut().ok_or(ErrorCode::KafkaStorageError)?;
        if before < Offset(0) || high_watermark < before {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        log.advance_log_start(before);
        let start = log.log_start_offset();
        self.step(Event::StartMoved { start }, ctx);
        self.answers.send();
        Ok(before)
    }
}

/// Whether the disk failed in a way that more room or fewer open files do not mend.
pub(super) fn needs_reopening(error: &AppendError) -> bool {
    match error {
        AppendError::LogFailed(_) => true,
        AppendError::Disk(error) => !error.passes(),
        AppendError::BatchTooLarge { .. }
        | AppendError::OutOfOrder { .. }
        | AppendError::Producer(_)
        | AppendError::NotValidated(_) => false,
    }
}

/// The protocol's name for what the log said.
pub(super) fn error_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::BatchTooLarge { .. } => ErrorCode::RecordListTooLarge,
        AppendError::OutOfOrder { .. } => ErrorCode::UnknownServerError,
        AppendError::Producer(error) => error.into(),
        AppendError::NotValidated(_) => ErrorCode::InvalidRecord,
        AppendError::Disk(_) | AppendError::LogFailed(_) => ErrorCode::KafkaStorageError,
    }
}
