//! What one turn of the mailbox brings, and what is answered at its end.

use super::*;

/// Room for answers that is kept from turn to turn.
const ANSWERS_KEPT: usize = 64;

/// What arrived in this turn of the mailbox.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) batches: Vec<NewBatch>,
    pub(super) requests: Vec<Request>,
    pub(super) results: Vec<Result<Appended, AppendError>>,
    pub(super) draining: bool,
}

pub(super) struct Request {
    pub(super) promise: Promise,
    /// `acks=all`: give up at this moment. `None`: answer when it is in the log.
    pub(super) all_until: Option<Moment>,
    pub(super) under: Option<LeaderEpoch>,
}

/// A produce on its way through the machine.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) promise: Promise,
    pub(super) outcome: AppendOutcome,
}

impl Turn {
    /// Refuses what was decided under another leadership.
    pub(super) fn refuse_fenced(&mut self, epoch: LeaderEpoch, answers: &mut Answers) {
        let fenced = |request: &Request| request.under.is_some_and(|under| under != epoch);
        if !self.requests.iter().any(fenced) {
            return;
        }
        let all = self.requests.drain(..).zip(self.batches.drain(..)).collect::<Vec<_>>();
        for (request, batch) in all {
            if fenced(&request) {
                answers.push(request.refused(ErrorCode::NotLeaderOrFollower));
            } else {
                self.requests.push(request);
                self.batches.push(batch);
            }
        }
    }

    /// Splits off what asks for all replicas, refused; the rest is to be appended.
    pub(super) fn refuse_all_acks(
        &mut self,
        requests: &mut Vec<Request>,
        refused: ErrorCode,
        answers: &mut Answers,
    ) -> (Vec<NewBatch>, Vec<Request>) {
        let (mut kept, mut kept_requests) = (Vec::new(), Vec::new());
        for (request, batch) in requests.drain(..).zip(self.batches.drain(..)) {
            if request.all_until.is_some() {
                answers.push(request.refused(refused));
            } else {
                kept.push(batch);
                kept_requests.push(request);
            }
        }
        (kept, kept_requests)
    }
}

impl Request {
    pub(super) fn refused(self, error: ErrorCode) -> Answer {
        Answer { promise: self.promise, outcome: AppendOutcome::refused(error) }
    }
}

impl Answer {
    pub(super) fn refused(self, error: ErrorCode) -> Self {
        Self { outcome: AppendOutcome::refused(error), ..self }
    }
}

/// Answers of one turn, in the order in which they were decided.
#[derive(Default)]
pub(super) struct Answers(Vec<(AppendReply, Ticket, AppendOutcome)>);

impl Answers {
    pub(super) fn push(&mut self, answer: Answer) {
        let Answer { mut promise, outcome } = answer;
        if let Some(reply) = promise.reply.take() {
            self.0.push((reply, promise.ticket, outcome));
        }
    }

    /// One message to each connection, as long as its answers lie behind one another.
    pub(super) fn send(&mut self) {
        let of_one = |(one, ..): &(AppendReply, _, _), (next, ..): &(AppendReply, _, _)| Arc::ptr_eq(one, next);
        for answers in self.0.chunk_by(of_one) {
            let Some((reply, ..)) = answers.first() else { continue };
            reply.put(answers.iter().map(|(_, ticket, outcome)| (*ticket, *outcome)));
        }
        self.0.clear();
        self.0.shrink_to(ANSWERS_KEPT);
    }
}

impl Drop for Answers {
    /// Also while unwinding: what was decided before a panic holds.
    fn drop(&mut self) {
        self.send();
    }
}
