//! What the followers of one leader do: when it is asked, for what, and what becomes of its answers (Kafka's replica fetcher).
//!
//! *Owner*: a fetcher, which talks to the leader and to the partitions here, and performs what this decides.
//! *Invariant*: one fetch is under way at most, and none begins while a partition owes an answer: it asks for what comes behind
//! what every partition has. What does not change costs nothing: the leader remembers it (KIP-227), and nobody here looks at it.
//! *Does not know*: bytes, sockets, versions of requests. What the leader sent is an opaque `Records` here.
//!
//! Source: Kafka 3.9 `AbstractFetcherThread.scala`, `FetchSessionHandler.java`, KIP-595.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::session::Session;
use super::fetch_session::TopicKey;
use crate::model::{Bug, ErrorCode, LeaderEpoch, Moment, Offset, PartitionIndex, TopicId, TopicName, TopicPartition};

mod session;
mod throttle;

#[cfg(test)]
mod tests;

/// Wait after a partition's first failure; it doubles up to [`Rules::backoff_max`]. While a leadership changes one broker hears
/// of it before the other, and that is over at once.
const FIRST_BACKOFF: Duration = Duration::from_millis(20);

/// The followers of one leader.
#[derive(Debug)]
pub struct ReplicaFetcher {
    rules: Rules,
    partitions: BTreeMap<TopicPartition, Followed>,
    /// What the topics are called that answers name by their ids.
    names: BTreeMap<TopicId, TopicName>,
    session: Session,
    /// The partitions in [`Phase::Waiting`], each with the moment at which its wait is over.
    waiting: BTreeSet<(Moment, TopicPartition)>,
    /// Answers that partitions, or the leader's ListOffsets, owe.
    owed: usize,
    /// The fetch under way.
    fetching: Option<u64>,
    /// A partition that the fetch under way does not ask for was not asked for ever: it does not wait for the answer.
    fresh: bool,
    /// The leader was not reached: not before.
    resume: Option<Moment>,
    /// Partitions that are copied no faster than the quota allows, as long as they are behind.
    throttled: BTreeSet<TopicPartition>,
    /// More than the quota went through until then.
    exceeded_until: Option<Moment>,
    /// Partitions are held back: then it is looked again.
    held_until: Option<Moment>,
    connected: bool,
    fetches: u64,
    turns: u64,
}

/// The settings that these decisions depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// `replica.fetch.backoff.ms`.
    pub backoff_max: Duration,
    /// `replica.fetch.wait.max.ms`.
    pub fetch_wait: Duration,
}

#[derive(Debug)]
struct Followed {
    topic_id: TopicId,
    leader_epoch: LeaderEpoch,
    /// Tells what was asked for an earlier following of it apart.
    turn: u64,
    phase: Phase,
    /// Failures one after the other.
    failures: u32,
    /// The leader's high watermark and log start offset that the partition was told last; `None`: it has not heard.
    told: Option<(Offset, Offset)>,
    /// Never asked for since it is followed.
    fresh: bool,
    /// Left out of the fetch under way, or of the next: it is throttled.
    held: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Then it is asked where it stands.
    Waiting { until: Moment },
    /// It is being asked where it stands.
    Finding,
    /// It has something to do that the leader's answer told, or the leader is asked where its log lies: `at` it asked.
    Working { at: FetchPosition, cut: bool },
    /// The leader is asked for what comes behind.
    Fetching(FetchPosition),
}

/// Where a follower goes on fetching.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchPosition {
    /// It has all below: flushed, where that is wanted, since this is what the leader counts.
    pub offset: Offset,
    /// The newest leader epoch in its log.
    pub last_epoch: LeaderEpoch,
    /// First readable offset.
    pub log_start: Offset,
}

/// Where a log is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CutTo {
    /// Where it parts from the leader's, whose largest epoch up to our last one is this, and ends there.
    Divergence(LeaderEpoch, Offset),
    /// At an offset.
    Offset(Offset),
    /// It begins anew at an offset: the leader has nothing below.
    Anew(Offset),
}

/// A partition that is asked something, and what for: the answer must carry the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Which.
    pub partition: TopicPartition,
    /// Which following of it.
    pub turn: u64,
    /// Under which leadership.
    pub leader_epoch: LeaderEpoch,
}

/// What the leader is asked of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Id of its topic; zero when it has none.
    pub topic_id: TopicId,
    /// The leadership that we believe in.
    pub leader_epoch: LeaderEpoch,
    /// Where to go on.
    pub position: FetchPosition,
}

/// A request to the leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    /// Which: the answer must carry the same.
    pub number: u64,
    /// The leader's session; 0: none yet.
    pub session_id: i32,
    /// Which request of the session; 0: a new session.
    pub session_epoch: i32,
    /// Every topic has an id: from version 13 on they are named by it.
    pub by_id: bool,
    /// How long the leader may hold it: until a partition that waits can be tried again, at most.
    pub max_wait: Duration,
    /// All partitions, or in a session those that changed. In order.
    pub wanted: Vec<(TopicPartition, Wanted)>,
    /// Partitions that the session has to forget. In order.
    pub forgotten: Vec<(TopicPartition, TopicId)>,
}

/// The leader's answer to a fetch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer<Records> {
    /// About the request as a whole.
    pub error: ErrorCode,
    /// The session it belongs to; 0: none.
    pub session_id: i32,
    /// In a session only those with news.
    pub partitions: Vec<PartitionAnswer<Records>>,
}

/// The leader's answer about one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionAnswer<Records> {
    /// As the version names it.
    pub topic: TopicKey,
    /// Its number.
    pub partition: PartitionIndex,
    /// What went wrong, if anything.
    pub error: ErrorCode,
    /// Where the logs part, if they do.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// The leader's.
    pub high_watermark: Offset,
    /// The leader's.
    pub log_start: Offset,
    /// What it sent; `None`: nothing.
    pub records: Option<Records>,
}

/// The offsets at which the leader's log begins and ends; `None`: it did not say.
pub type LeaderLog = Option<(Offset, Offset)>;

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<Records> {
    /// A partition has this leader, under this epoch, or has an actor anew. What it is to do is said with the next tick.
    Follow {
        /// Which.
        partition: TopicPartition,
        /// The id of its topic; zero when it has none.
        topic_id: TopicId,
        /// Under which leadership.
        leader_epoch: LeaderEpoch,
    },
    /// A partition has this leader no more.
    Leave(TopicPartition),
    /// Whether a partition that is followed is throttled (`follower.replication.throttled.replicas`). As for the two above.
    Throttle {
        /// Which.
        partition: TopicPartition,
        /// Whether it is.
        throttled: bool,
    },
    /// Until when more than `follower.replication.throttled.rate` went through; `None`: less did. To be said before what is to be
    /// decided by it, while [something is throttled](ReplicaFetcher::is_throttled).
    Quota(Option<Moment>),
    /// Partitions did what [`Effect::FindPosition`], [`Effect::Replicate`] or [`Effect::Truncate`] asked of them, and say where
    /// they go on: one answer to each.
    Told(Vec<(Asked, Result<FetchPosition, ErrorCode>)>),
    /// What the leader says to [`Effect::FindOffsets`]: one answer to each.
    Offsets(Vec<(Asked, LeaderLog)>),
    /// The leader's answer to a fetch.
    Answered {
        /// To which.
        number: u64,
        /// What it says.
        answer: Answer<Records>,
    },
    /// The leader did not answer, or could not be reached. The connection is gone.
    Unreachable {
        /// Which fetch it was.
        number: u64,
    },
    /// Time passed, see [`ReplicaFetcher::next_deadline`], or partitions came or went.
    Tick,
}

/// What to do, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect<Records> {
    /// Ask the partition where it stands.
    FindPosition(Asked),
    /// Have the partition append what the leader sent.
    Replicate {
        /// Which.
        asked: Asked,
        /// Whole batches; `None`: only the offsets are news.
        records: Option<Records>,
        /// The leader's.
        high_watermark: Offset,
        /// The leader's.
        log_start: Offset,
        /// What was sent counts for the quota.
        throttled: bool,
    },
    /// Have the partition cut its log.
    Truncate {
        /// Which.
        asked: Asked,
        /// Where.
        to: CutTo,
    },
    /// Ask the leader where its log begins and ends. No fetch is under way.
    FindOffsets(Asked),
    /// Ask the leader. No other fetch is under way.
    Fetch(Fetch),
    /// Nobody waits for the fetch under way: the connection ends with it.
    Abandon,
    /// Nothing is copied from this leader: the connection is not needed.
    Disconnect,
    /// A partition cannot be copied for so long now that somebody should know.
    Report {
        /// Which.
        partition: TopicPartition,
        /// Why.
        error: ErrorCode,
    },
}

impl Followed {
    fn wanted(&self) -> Option<Wanted> {
        match self.phase {
            Phase::Fetching(position) if !self.held => {
                Some(Wanted { topic_id: self.topic_id, leader_epoch: self.leader_epoch, position })
            }
            Phase::Fetching(_) | Phase::Waiting { .. } | Phase::Finding | Phase::Working { .. } => None,
        }
    }

    fn asked(&self, partition: &TopicPartition) -> Asked {
        Asked { partition: partition.clone(), turn: self.turn, leader_epoch: self.leader_epoch }
    }
}

impl ReplicaFetcher {
    /// Without partitions.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            partitions: BTreeMap::new(),
            names: BTreeMap::new(),
            session: Session::default(),
            waiting: BTreeSet::new(),
            owed: 0,
            fetching: None,
            fresh: false,
            resume: None,
            throttled: BTreeSet::new(),
            exceeded_until: None,
            held_until: None,
            connected: false,
            fetches: 0,
            turns: 0,
        }
    }

    /// Whether a partition is followed under this very leadership.
    #[must_use]
    pub fn follows(&self, partition: &TopicPartition, topic_id: TopicId, leader_epoch: LeaderEpoch) -> bool {
        let known = self.partitions.get(partition);
        known.is_some_and(|known| known.leader_epoch == leader_epoch && known.topic_id == topic_id)
    }

    /// When to send [`Event::Tick`] at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let waiting = self.waiting.first().map(|(moment, _)| *moment);
        let idle = [self.resume, self.held_until].into_iter().flatten().filter(|_| self.fetching.is_none());
        waiting.into_iter().chain(idle).min()
    }

    /// Takes in what happened; `effects` gets what to do about it.
    pub fn step<Records>(&mut self, now: Moment, event: Event<Records>, effects: &mut Vec<Effect<Records>>) {
        match event {
            Event::Follow { partition, topic_id, leader_epoch } => {
                return self.follow(now, partition, topic_id, leader_epoch);
            }
            Event::Leave(partition) => return self.leave(&partition),
            Event::Throttle { partition, throttled } => return self.throttle(partition, throttled),
            Event::Quota(exceeded_until) => {
                self.exceeded_until = exceeded_until;
                return;
            }
            Event::Told(answers) => {
                for (asked, found) in answers {
                    self.owed = self.owed.saturating_sub(1);
                    self.told(now, &asked, found, effects);
                }
            }
            Event::Offsets(answers) => {
                for (asked, found) in answers {
                    self.owed = self.owed.saturating_sub(1);
                    self.leader_log(now, &asked, found, effects);
                }
            }
            Event::Answered { number, answer } => {
                if self.fetching.take_if(|current| *current == number).is_some() {
                    self.answered(now, answer, effects);
                }
            }
            Event::Unreachable { number } => {
                if self.fetching.take_if(|current| *current == number).is_some() {
                    self.session.restart();
                    self.resume = Some(now.after(self.rules.backoff_max));
                }
            }
            Event::Tick => {}
        }
        self.go_on(now, effects);
    }

    fn follow(&mut self, now: Moment, partition: TopicPartition, topic_id: TopicId, leader_epoch: LeaderEpoch) {
        // The controller says that this leader is there: what was found out before does not count.
        self.resume = None;
        let kept = self.partitions.get(&partition).map(|known| known.phase);
        self.leave(&partition);
        self.turns += 1;
        let phase = match kept {
            Some(Phase::Fetching(at)) if Bug::B4.is_back() => {
                Phase::Fetching(FetchPosition { last_epoch: LeaderEpoch::NONE, ..at })
            }
            _ => Phase::Waiting { until: now },
        };
        let followed = Followed {
            topic_id,
            leader_epoch,
            turn: self.turns,
            phase,
            failures: 0,
            told: None,
            fresh: true,
            held: false,
        };
        if matches!(phase, Phase::Waiting { .. }) {
            self.waiting.insert((now, partition.clone()));
        }
        if !topic_id.is_zero() {
            self.names.insert(topic_id, partition.topic.clone());
        }
        self.partitions.insert(partition, followed);
    }

    fn leave(&mut self, partition: &TopicPartition) {
        let Some(left) = self.partitions.remove(partition) else { return };
        if let Phase::Waiting { until } = left.phase {
            self.waiting.remove(&(until, partition.clone()));
        }
        self.throttled.remove(partition);
        self.session.touch(partition);
        let first = TopicPartition { topic: partition.topic.clone(), partition: PartitionIndex(i32::MIN) };
        let mut others = self.partitions.range(first..).take_while(|(id, _)| id.topic == partition.topic);
        if !others.any(|(_, other)| other.topic_id == left.topic_id) {
            self.names.remove(&left.topic_id);
        }
    }

    /// Begins whatever can begin now.
    fn go_on<Records>(&mut self, now: Moment, effects: &mut Vec<Effect<Records>>) {
        self.held_until.take_if(|until| *until <= now);
        while self.waiting.first().is_some_and(|(until, _)| *until <= now) {
            let Some((_, partition)) = self.waiting.pop_first() else { break };
            if let Some(followed) = self.partitions.get_mut(&partition) {
                followed.phase = Phase::Finding;
                self.owed += 1;
                effects.push(Effect::FindPosition(followed.asked(&partition)));
            }
        }
        if self.owed != 0 || self.resume.is_some_and(|moment| now < moment) {
            return;
        }
        if self.fetching.is_some() {
            if !self.fresh {
                return;
            }
            self.fetching = None;
            self.session.restart();
            effects.push(Effect::Abandon);
        }
        self.resume = None;
        self.fetch(now, effects);
    }

    fn fetch<Records>(&mut self, now: Moment, effects: &mut Vec<Effect<Records>>) {
        self.fresh = false;
        self.hold_back(now);
        let Some(request) = self.session.request(&self.partitions) else {
            if self.partitions.is_empty() && std::mem::replace(&mut self.connected, false) {
                effects.push(Effect::Disconnect);
            }
            return;
        };
        let retry = self.waiting.first().map(|(moment, _)| *moment).into_iter().chain(self.held_until).min();
        let retry = retry.map_or(Duration::MAX, |moment| moment.since(now));
        self.fetches += 1;
        self.connected = true;
        self.fetching = Some(self.fetches);
        effects.push(Effect::Fetch(Fetch {
            number: self.fetches,
            max_wait: self.rules.fetch_wait.min(retry),
            ..request
        }));
    }

    fn answered<Records>(&mut self, now: Moment, answer: Answer<Records>, effects: &mut Vec<Effect<Records>>) {
        if answer.error.is_error() {
            if !self.session.refused(answer.error) {
                self.resume = Some(now.after(self.rules.backoff_max));
            }
            return;
        }
        self.session.granted(answer.session_id);
        for answer in answer.partitions {
            self.partition_answered(now, answer, effects);
        }
    }

    fn partition_answered<Records>(
        &mut self,
        now: Moment,
        answer: PartitionAnswer<Records>,
        effects: &mut Vec<Effect<Records>>,
    ) {
        let (topic, topic_id) = match &answer.topic {
            TopicKey::Name(name) => (TopicName::new(name).ok(), None),
            TopicKey::Id(id) => (self.names.get(id).cloned(), Some(*id)),
        };
        let Some(topic) = topic else { return };
        let partition = TopicPartition { topic, partition: answer.partition };
        let Some(followed) = self.partitions.get_mut(&partition) else { return };
        let Some(wanted) = followed.wanted().filter(|wanted| topic_id.is_none_or(|id| id == wanted.topic_id)) else {
            return;
        };
        // What was asked is what is still wanted, or the answer is about something else.
        if !self.session.knows(&partition, &wanted) {
            return;
        }
        let at = wanted.position;
        let asked = followed.asked(&partition);
        let (working, effect) = match (answer.error, answer.diverging) {
            (ErrorCode::OffsetOutOfRange, _) => (Phase::Working { at, cut: true }, Effect::FindOffsets(asked)),
            (error, _) if error.is_error() => return self.failed(now, &partition, error, effects),
            (_, Some((epoch, end))) => {
                assert!(!Bug::B15.is_back(), "this replica has more than its leader");
                (Phase::Working { at, cut: true }, Effect::Truncate { asked, to: CutTo::Divergence(epoch, end) })
            }
            (_, None) => {
                let (high_watermark, log_start) = (answer.high_watermark, answer.log_start);
                if answer.records.is_none() && followed.told == Some((high_watermark, log_start)) {
                    followed.failures = 0;
                    return;
                }
                followed.told = Some((high_watermark, log_start));
                let (records, throttled) = (answer.records, self.throttled.contains(&partition));
                let replicate = Effect::Replicate { asked, records, high_watermark, log_start, throttled };
                (Phase::Working { at, cut: false }, replicate)
            }
        };
        followed.phase = working;
        self.session.touch(&partition);
        self.owed += 1;
        effects.push(effect);
    }

    fn told<Records>(
        &mut self,
        now: Moment,
        asked: &Asked,
        found: Result<FetchPosition, ErrorCode>,
        effects: &mut Vec<Effect<Records>>,
    ) {
        let current = self.partitions.get_mut(&asked.partition);
        let Some(followed) = current.filter(|current| current.turn == asked.turn) else { return };
        let position = match (found, followed.phase) {
            // A cut that cuts nothing would be told again at once.
            (Ok(position), Phase::Working { at, cut: true }) if position == at => Err(ErrorCode::OffsetOutOfRange),
            (found, _) => found,
        };
        match position {
            Ok(position) => {
                if matches!(followed.phase, Phase::Working { .. }) {
                    followed.failures = 0;
                }
                followed.phase = Phase::Fetching(position);
                self.fresh |= std::mem::take(&mut followed.fresh);
                self.session.touch(&asked.partition);
            }
            Err(error) => self.failed(now, &asked.partition, error, effects),
        }
    }

    /// The leader said that its log does not reach to where a partition stands, or begins behind it.
    fn leader_log<Records>(
        &mut self,
        now: Moment,
        asked: &Asked,
        found: LeaderLog,
        effects: &mut Vec<Effect<Records>>,
    ) {
        let current = self.partitions.get(&asked.partition).filter(|current| current.turn == asked.turn);
        let Some(Phase::Working { at, .. }) = current.map(|current| current.phase) else { return };
        let to = match found {
            Some((_, end)) if end < at.offset => CutTo::Offset(end),
            Some((start, _)) if at.offset < start => CutTo::Anew(start),
            Some(_) | None => return self.failed(now, &asked.partition, ErrorCode::OffsetOutOfRange, effects),
        };
        self.owed += 1;
        effects.push(Effect::Truncate { asked: asked.clone(), to });
    }

    /// It is tried again, the later the more often it failed. Kafka never asks again after `FENCED_LEADER_EPOCH`; here it costs a
    /// request per [`Rules::backoff_max`], and no news that got lost can stop the partition for ever.
    fn failed<Records>(
        &mut self,
        now: Moment,
        partition: &TopicPartition,
        error: ErrorCode,
        effects: &mut Vec<Effect<Records>>,
    ) {
        let Some(followed) = self.partitions.get_mut(partition) else { return };
        let wait = FIRST_BACKOFF.saturating_mul(1 << followed.failures.min(10)).min(self.rules.backoff_max);
        let until = now.after(wait);
        followed.phase = Phase::Waiting { until };
        followed.failures = followed.failures.saturating_add(1);
        // What it was to be told may not have reached it.
        followed.told = None;
        self.waiting.insert((until, partition.clone()));
        self.session.touch(partition);
        // Ever more rarely: while ZooKeeper is away, or a disk is full, thousands of partitions fail once a second.
        if wait == self.rules.backoff_max && followed.failures.saturating_add(1).is_power_of_two() {
            effects.push(Effect::Report { partition: partition.clone(), error });
        }
    }
}
