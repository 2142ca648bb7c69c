//! What one replica of a partition decides. The leader: when records are committed, what an acknowledgement waits for, which
//! followers are in sync. Every replica: when its log must be flushed.
//!
//! *Owner*: the partition's actor, which tells it what happened to the log and performs what it answers.
//! *Invariant*: log start offset ≤ high watermark ≤ log end offset, and the high watermark never goes back while one
//! leadership lasts. With [`Durability::Flushed`] it never passes what is flushed here (law 9), and in every in-sync replica:
//! a follower asks only for what comes behind what it has flushed.
//! *Does not know*: bytes, files, who asked. A waiting produce is an opaque `Ticket` here.
//!
//! Source: Kafka 3.9 `Partition.scala` (`maybeIncrementLeaderHW`, `checkEnoughReplicasReachOffset`, `maybeExpandIsr`,
//! `maybeShrinkIsr`), KIP-497.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use self::deletion::Deletions;
use self::followers::Follower;
use super::isr_change::IsrAnswer;
use crate::model::{BrokerEpoch, BrokerId, Bug, Durability, ErrorCode, LeaderEpoch, Moment, Offset, PartitionEpoch};

mod deletion;
mod followers;

#[cfg(test)]
mod tests;

/// The leader's side of one partition.
#[derive(Debug)]
pub struct Partition<Ticket> {
    local: BrokerId,
    rules: Rules,
    role: Role,
    log: LogBounds,
    high_watermark: Offset,
    flush: Flush,
    /// When the oldest record came in that is not flushed, nor covered by the flush under way.
    unflushed_since: Option<Moment>,
    /// Waiting produces, in the order of the offsets that they wait for.
    waits: VecDeque<Wait<Ticket>>,
    deletions: Deletions,
}

/// The topic's settings that these decisions depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// What `acks=all` promises.
    pub durability: Durability,
    /// `min.insync.replicas`: with fewer in the ISR, `acks=all` is refused.
    pub min_insync_replicas: usize,
    /// `flush.messages`: with so many unflushed records a flush starts, whoever waits for it. `None`: never.
    pub flush_records: Option<u64>,
    /// `flush.ms`: no record stays unflushed longer than that before a flush starts. `None`: for ever. Kafka looks only every
    /// `log.flush.scheduler.interval.ms`, by default never; here it is exact.
    pub flush_age: Option<Duration>,
    /// `replica.lag.time.max.ms`: a follower that has not caught up for so long leaves the ISR.
    pub lag_max: Duration,
}

/// Where the replica's log stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogBounds {
    /// First readable offset.
    pub start: Offset,
    /// Offset that the next record gets.
    pub end: Offset,
    /// Everything below this offset is on disk for good.
    pub flushed: Offset,
}

/// What the controller said of this partition (LeaderAndIsr, or the `state` znode).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leadership {
    /// Who leads.
    pub leader: BrokerId,
    /// Which leadership this is.
    pub leader_epoch: LeaderEpoch,
    /// Version of the state that carried it.
    pub partition_epoch: PartitionEpoch,
    /// Brokers that count for `acks=all`, the leader among them, in the order of the state.
    pub isr: Vec<BrokerId>,
    /// All assigned replicas in order of preference.
    pub replicas: Vec<BrokerId>,
}

/// A produce with `acks=all` that is in the log and not yet committed.
#[derive(Debug)]
pub struct Wait<Ticket> {
    /// Committed when the high watermark has reached this offset (one past the produce's last record).
    pub until: Offset,
    /// Then the producer gives up.
    pub deadline: Moment,
    /// Whom to answer.
    pub ticket: Ticket,
}

/// What happened.
#[derive(Debug)]
pub enum Event<Ticket> {
    /// The controller decided who leads. Older epochs than the known one are ignored.
    Assigned(Leadership),
    /// The log was opened again, and the leadership goes on that was the local broker's: with the ISR that holds by now, and with the
    /// wish for another one whose answer was not heard of. It may have been granted, so it counts until it is answered.
    Resumed {
        /// As it was.
        leadership: Leadership,
        /// The ISR that the controller was asked for. It is asked again by whoever says this.
        wish: Option<Vec<BrokerId>>,
    },
    /// The broker lost its session: others may lead now, so it does not, until it is told again. The epoch stays.
    Fenced,
    /// Records were appended to the local log.
    Appended {
        /// The log afterwards.
        end: Offset,
        /// Produces that wait for these records to be committed.
        waits: Vec<Wait<Ticket>>,
    },
    /// Segments that nobody appends to any more wait to be flushed: all below `up_to`. Said from time to time.
    SegmentsClosed {
        /// Exclusive.
        up_to: Offset,
    },
    /// The flush that [`Effect::Flush`] or [`Effect::FlushClosed`] asked for came back: everything below `up_to` is on disk.
    Flushed {
        /// Exclusive.
        up_to: Offset,
    },
    /// The flush failed: nothing is acknowledged from this log until it was reopened (law 9).
    FlushFailed,
    /// A follower asks for what comes behind `offset`, so it has all below (flushed, if its topic wants that).
    Fetched {
        /// Who.
        replica: BrokerId,
        /// Under which epoch it is registered, if it says so.
        broker_epoch: Option<BrokerEpoch>,
        /// Exclusive.
        offset: Offset,
        /// Where its log begins.
        log_start: Offset,
    },
    /// Followers that [rest](Partition::rests) had all that there was, at these moments. To be said before anything that is appended,
    /// and before a tick.
    CaughtUp(Vec<(BrokerId, Moment)>),
    /// What the controller says of the last [`Effect::AlterIsr`].
    IsrAltered(IsrAnswer),
    /// Records of the leader were appended here, or nothing was new but its high watermark.
    Replicated {
        /// The log afterwards.
        end: Offset,
        /// The leader's.
        high_watermark: Offset,
    },
    /// The log's end was cut off: the leader does not have it.
    Truncated {
        /// The log afterwards.
        start: Offset,
        /// The log afterwards.
        end: Offset,
    },
    /// The log's first readable offset moved.
    StartMoved {
        /// The new log start offset.
        start: Offset,
    },
    /// The log start was moved by request, which waits until all live replicas begin there.
    DeletionAwaited {
        /// Names it; the effect carries the same.
        number: u64,
        /// Exclusive.
        until: Offset,
        /// Then its client gives up.
        deadline: Moment,
        /// Brokers that are alive.
        live: BTreeSet<BrokerId>,
    },
    /// Others are alive now. To be said while deletions wait.
    LiveBrokers(BTreeSet<BrokerId>),
    /// The topic's settings changed.
    Configured(Rules),
    /// Time passed; see [`Partition::next_deadline`].
    Tick,
}

/// What to do, in this order (law 2).
#[derive(Debug, PartialEq, Eq)]
pub enum Effect<Ticket> {
    /// Flush the log up to its end and report back. At most one is under way.
    Flush,
    /// Flush the closed segments and report back. Nobody waits for it: it bounds what recovery has to read. No other flush is
    /// under way.
    FlushClosed,
    /// Let consumers read below this offset.
    HighWatermarkMoved(Offset),
    /// Ask the controller for these in-sync replicas, and report. One wish at a time.
    AlterIsr {
        /// The ISR to be.
        isr: Vec<BrokerId>,
        /// Under which leadership.
        leader_epoch: LeaderEpoch,
        /// Upon which state.
        partition_epoch: PartitionEpoch,
    },
    /// The produce is committed: tell the producer.
    Acknowledge(Ticket),
    /// The produce is not known to be committed: tell the producer why.
    Refuse(Ticket, ErrorCode),
    /// Tell the client of a deletion where the logs of all live replicas begin at the latest, or why that is not known to be behind
    /// what it deleted.
    RecordsDeleted {
        /// Which.
        number: u64,
        /// What.
        outcome: Result<Offset, ErrorCode>,
    },
}

#[derive(Debug)]
enum Role {
    /// Nothing heard from the controller yet, or another broker leads.
    NotLeader { leader_epoch: LeaderEpoch },
    Leader {
        leadership: Leadership,
        /// Where the log ended when it began.
        epoch_start: Offset,
        /// Every other assigned replica.
        followers: BTreeMap<BrokerId, Follower>,
        /// The ISR that the controller was asked for, and has not answered.
        wish: Option<Vec<BrokerId>>,
        /// After a refusal nothing is wished for until then.
        no_wish_before: Moment,
    },
    /// A flush failed.
    Broken { leader_epoch: LeaderEpoch },
}

#[derive(Debug, PartialEq, Eq)]
enum Flush {
    Idle,
    UnderWay {
        /// Exclusive.
        up_to: Offset,
    },
}

impl<Ticket> Partition<Ticket> {
    /// A replica that has not heard from the controller. `high_watermark` is the checkpointed one; it is held within the log.
    #[must_use]
    pub fn new(local: BrokerId, log: LogBounds, high_watermark: Offset, rules: Rules) -> Self {
        let high_watermark = high_watermark.clamp(log.start, log.end);
        let role = Role::NotLeader { leader_epoch: LeaderEpoch::NONE };
        Self {
            local,
            rules,
            role,
            log,
            high_watermark,
            flush: Flush::Idle,
            unflushed_since: None,
            waits: VecDeque::new(),
            deletions: Deletions::default(),
        }
    }

    /// Whether `leadership` makes this broker lead anew: its epoch is newer and the leader is us.
    #[must_use]
    pub fn begins(&self, leadership: &Leadership) -> bool {
        leadership.leader == self.local && self.leader_epoch() < leadership.leader_epoch
    }

    /// One past the last committed record.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The newest leader epoch heard of.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        match &self.role {
            Role::NotLeader { leader_epoch } | Role::Broken { leader_epoch } => *leader_epoch,
            Role::Leader { leadership, .. } => leadership.leader_epoch,
        }
    }

    /// This broker's leadership, with the ISR that it knows of.
    #[must_use]
    pub fn leadership(&self) -> Option<&Leadership> {
        match &self.role {
            Role::Leader { leadership, .. } => Some(leadership),
            Role::NotLeader { .. } | Role::Broken { .. } => None,
        }
    }

    /// Whether the controller was asked for another ISR and has not answered.
    #[must_use]
    pub fn wishes(&self) -> bool {
        matches!(&self.role, Role::Leader { wish: Some(_), .. })
    }

    /// Where the log ended when this broker began to lead; `None` when it does not.
    ///
    /// Until the high watermark is there, what an earlier leader committed may not be known to be committed here.
    #[must_use]
    pub fn epoch_start(&self) -> Option<Offset> {
        match &self.role {
            Role::Leader { epoch_start, .. } => Some(*epoch_start),
            Role::NotLeader { .. } | Role::Broken { .. } => None,
        }
    }

    /// Whether a broker holds another replica, as the leader knows.
    #[must_use]
    pub fn is_follower(&self, replica: BrokerId) -> bool {
        matches!(&self.role, Role::Leader { followers, .. } if followers.contains_key(&replica))
    }

    /// Whether a produce may be appended now, and under which leader epoch.
    ///
    /// # Errors
    /// `NOT_LEADER_OR_FOLLOWER`; `KAFKA_STORAGE_ERROR` after a failed flush; `NOT_ENOUGH_REPLICAS` when `all` replicas are
    /// asked for and the ISR is too small.
    pub fn may_append(&self, all: bool) -> Result<LeaderEpoch, ErrorCode> {
        match &self.role {
            Role::NotLeader { .. } => Err(ErrorCode::NotLeaderOrFollower),
            Role::Broken { .. } => Err(ErrorCode::KafkaStorageError),
            Role::Leader { leadership, .. } if all && leadership.isr.len() < self.effective_min_isr(leadership) => {
                Err(ErrorCode::NotEnoughReplicas)
            }
            Role::Leader { leadership, .. } => Ok(leadership.leader_epoch),
        }
    }

    /// When to send [`Event::Tick`] at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let waits = self.waits.iter().map(|wait| wait.deadline).min();
        waits.into_iter().chain(self.flush_due()).chain(self.lag_due()).chain(self.deletions.due()).min()
    }

    /// Takes in what happened; `effects` gets what to do about it.
    pub fn step(&mut self, now: Moment, event: Event<Ticket>, effects: &mut Vec<Effect<Ticket>>) {
        match event {
            Event::Assigned(leadership) => self.assigned(now, leadership, effects),
            Event::Resumed { leadership, wish } => self.resumed(now, leadership, wish, effects),
            Event::Fenced => self.fenced(effects),
            Event::Appended { end, waits } => {
                self.log.end = end;
                self.waits.extend(waits);
            }
            Event::SegmentsClosed { up_to } => self.flush_closed(up_to, effects),
            Event::Flushed { up_to } => {
                self.flush = Flush::Idle;
                self.log.flushed = self.log.flushed.max(up_to);
            }
            Event::FlushFailed => self.broken(effects),
            Event::Fetched { replica, broker_epoch, offset, log_start } => {
                self.fetched(now, (replica, broker_epoch), offset, log_start);
            }
            Event::CaughtUp(seen) => self.caught_up(&seen),
            Event::IsrAltered(answer) => self.isr_altered(now, answer),
            Event::Replicated { end, high_watermark } => self.replicated(end, high_watermark, effects),
            Event::Truncated { start, end } => self.truncated(start, end, effects),
            Event::StartMoved { start } => {
                self.log.start = start;
                self.high_watermark = self.high_watermark.max(start);
            }
            Event::DeletionAwaited { number, until, deadline, live } => {
                self.deletions.live(live);
                self.deletions.add(number, until, deadline);
                if !matches!(self.role, Role::Leader { .. }) {
                    self.refuse_deletions(ErrorCode::NotLeaderOrFollower, effects);
                }
            }
            Event::LiveBrokers(live) => self.deletions.live(live),
            Event::Configured(rules) => self.rules = rules,
            Event::Tick => {}
        }
        self.flush_if_needed(now, effects);
        self.advance_high_watermark(now, effects);
        self.expire(now, effects);
        self.answer_deletions(now, effects);
        self.wish_for_another_isr(now, effects);
        self.check();
    }

    fn assigned(&mut self, now: Moment, leadership: Leadership, effects: &mut Vec<Effect<Ticket>>) {
        let known = self.leader_epoch();
        if leadership.leader_epoch < known || matches!(self.role, Role::Broken { .. }) {
            return;
        }
        if leadership.leader != self.local {
            self.refuse_all(ErrorCode::NotLeaderOrFollower, effects);
            self.role = Role::NotLeader { leader_epoch: leadership.leader_epoch };
            return;
        }
        let before = std::mem::replace(&mut self.role, Role::NotLeader { leader_epoch: known });
        let (epoch_start, mut followers) = match before {
            Role::Leader { leadership: current, epoch_start, followers, wish, no_wish_before }
                if known == leadership.leader_epoch =>
            {
                if leadership.partition_epoch <= current.partition_epoch {
                    self.role = Role::Leader { leadership: current, epoch_start, followers, wish, no_wish_before };
                    return;
                }
                (epoch_start, followers)
            }
            // It led already: where its followers are is still true.
            Role::Leader { followers, .. } => (self.log.end, followers),
            Role::NotLeader { .. } | Role::Broken { .. } => (self.log.end, BTreeMap::new()),
        };
        let others = leadership.replicas.iter().copied().filter(|id| *id != self.local);
        let begins = known < leadership.leader_epoch;
        followers = others
            .map(|id| {
                let in_sync = leadership.isr.contains(&id).then_some(now);
                let follower = match followers.remove(&id) {
                    Some(follower) if begins => follower.begun(in_sync),
                    Some(follower) => follower,
                    None => Follower::unknown(in_sync),
                };
                (id, follower)
            })
            .collect();
        self.role = Role::Leader { leadership, epoch_start, followers, wish: None, no_wish_before: now };
    }

    fn resumed(
        &mut self,
        now: Moment,
        leadership: Leadership,
        asked: Option<Vec<BrokerId>>,
        effects: &mut Vec<Effect<Ticket>>,
    ) {
        self.assigned(now, leadership, effects);
        if let Role::Leader { followers, wish, .. } = &mut self.role {
            // Who was to join had caught up, as the members of the ISR have.
            for id in asked.iter().flatten() {
                if let Some(follower) = followers.get_mut(id) {
                    *follower = Follower::unknown(Some(now));
                }
            }
            *wish = asked;
        }
    }

    fn fenced(&mut self, effects: &mut Vec<Effect<Ticket>>) {
        if matches!(self.role, Role::Leader { .. }) {
            self.refuse_all(ErrorCode::NotLeaderOrFollower, effects);
            self.role = Role::NotLeader { leader_epoch: self.leader_epoch() };
        }
    }

    fn broken(&mut self, effects: &mut Vec<Effect<Ticket>>) {
        self.flush = Flush::Idle;
        self.refuse_all(ErrorCode::KafkaStorageError, effects);
        self.role = Role::Broken { leader_epoch: self.leader_epoch() };
    }

    fn flush_closed(&mut self, up_to: Offset, effects: &mut Vec<Effect<Ticket>>) {
        let may_flush = self.flush == Flush::Idle && !matches!(self.role, Role::Broken { .. });
        if may_flush && self.log.flushed < up_to {
            self.flush = Flush::UnderWay { up_to };
            effects.push(Effect::FlushClosed);
        }
    }

    fn replicated(&mut self, end: Offset, high_watermark: Offset, effects: &mut Vec<Effect<Ticket>>) {
        if matches!(self.role, Role::NotLeader { .. }) {
            self.log.end = end;
            self.follow_high_watermark(high_watermark, effects);
        }
    }

    fn truncated(&mut self, start: Offset, end: Offset, effects: &mut Vec<Effect<Ticket>>) {
        (self.log.start, self.log.end) = (start, end);
        self.log.flushed = self.log.flushed.min(end);
        self.flush = Flush::Idle;
        self.follow_high_watermark(self.high_watermark, effects);
    }

    /// The leader's, as far as the log goes.
    fn follow_high_watermark(&mut self, high_watermark: Offset, effects: &mut Vec<Effect<Ticket>>) {
        let within = high_watermark.max(self.log.start).min(self.log.end);
        if within != self.high_watermark {
            self.high_watermark = within;
            effects.push(Effect::HighWatermarkMoved(within));
        }
    }

    /// With durable acks nothing is committed before it is flushed, whoever asked for it, so any unflushed record starts a
    /// flush; all that arrives while it runs is covered by the next one (group commit).
    ///
    /// Otherwise the number and the age of the unflushed records decide.
    fn flush_if_needed(&mut self, now: Moment, effects: &mut Vec<Effect<Ticket>>) {
        let covered = match self.flush {
            Flush::Idle => self.log.flushed,
            Flush::UnderWay { up_to } => up_to,
        };
        if self.log.end <= covered {
            self.unflushed_since = None;
            return;
        }
        self.unflushed_since.get_or_insert(now);
        let wanted = match (&self.role, self.rules.durability) {
            (Role::Broken { .. }, _) => false,
            (Role::Leader { .. }, Durability::Flushed) => true,
            // A follower too: what it has flushed is what the leader counts.
            (Role::NotLeader { .. }, Durability::Flushed) => true,
            (Role::Leader { .. } | Role::NotLeader { .. }, Durability::PageCache) => {
                let records = u64::try_from(self.log.end.0 - covered.0).unwrap_or(0);
                self.rules.flush_records.is_some_and(|most| most <= records)
                    || self.flush_due().is_some_and(|due| due <= now)
            }
        };
        if wanted && self.flush == Flush::Idle {
            self.flush = Flush::UnderWay { up_to: self.log.end };
            self.unflushed_since = None;
            effects.push(Effect::Flush);
        }
    }

    /// When the unflushed records are too old.
    fn flush_due(&self) -> Option<Moment> {
        let idle = self.flush == Flush::Idle && !matches!(self.role, Role::Broken { .. });
        let since = self.unflushed_since.filter(|_| idle)?;
        self.rules.flush_age.map(|age| since.after(age))
    }

    fn advance_high_watermark(&mut self, now: Moment, effects: &mut Vec<Effect<Ticket>>) {
        let Role::Leader { leadership, followers, wish, no_wish_before, .. } = &self.role else { return };
        if leadership.isr.len() < self.effective_min_isr(leadership) {
            return;
        }
        let ours = match self.rules.durability {
            Durability::Flushed if !Bug::B14.is_back() => self.log.flushed.min(self.log.end),
            Durability::Flushed | Durability::PageCache => self.log.end,
        };
        // A follower that is about to join counts already, or it would chase the high watermark for ever. Not one that the controller
        // does not let join: its broker stops, or is gone, and everybody would wait for it until it is late.
        let counts = |(id, follower): &(&BrokerId, &Follower)| {
            let maximal = leadership.isr.contains(id) || wish.as_ref().is_some_and(|wish| wish.contains(id));
            let joins = *no_wish_before <= now && follower.caught_up_within(self.rules.lag_max, now);
            if Bug::B6.is_back() { leadership.isr.contains(id) } else { maximal || joins }
        };
        let counted = followers.iter().filter(counts).map(|(_, follower)| follower.end).fold(ours, Offset::min);
        if self.high_watermark < counted {
            self.high_watermark = counted;
            effects.push(Effect::HighWatermarkMoved(counted));
        }
        while let Some(wait) = self.waits.pop_front_if(|wait| wait.until <= self.high_watermark) {
            effects.push(Effect::Acknowledge(wait.ticket));
        }
    }

    fn expire(&mut self, now: Moment, effects: &mut Vec<Effect<Ticket>>) {
        if self.waits.iter().all(|wait| now < wait.deadline) {
            return;
        }
        for wait in std::mem::take(&mut self.waits) {
            if now < wait.deadline {
                self.waits.push_back(wait);
            } else {
                effects.push(Effect::Refuse(wait.ticket, ErrorCode::RequestTimedOut));
            }
        }
    }

    fn refuse_all(&mut self, error: ErrorCode, effects: &mut Vec<Effect<Ticket>>) {
        effects.extend(self.waits.drain(..).map(|wait| Effect::Refuse(wait.ticket, error)));
        self.refuse_deletions(error, effects);
    }

    /// `min.insync.replicas`, but never more than there are replicas.
    fn effective_min_isr(&self, leadership: &Leadership) -> usize {
        self.rules.min_insync_replicas.min(leadership.replicas.len())
    }

    fn check(&self) {
        assert!(self.log.start <= self.high_watermark, "the log start passed the high watermark");
        assert!(self.high_watermark <= self.log.end, "the high watermark passed the log end");
        assert!(
            (self.waits.is_empty() && self.deletions.is_empty()) || matches!(self.role, Role::Leader { .. }),
            "only a leader has produces and deletions waiting"
        );
    }
}
