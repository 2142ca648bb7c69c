//! What a partition can be asked.

use super::*;

/// Everything that a partition can be asked.
#[derive(Message)]
#[rtype(result = "()")]
pub enum PartitionCommand {
    /// Append batches that one connection brought in one turn.
    Append {
        /// In order.
        items: Vec<AppendItem>,
    },
    /// The controller decided who leads.
    Assign(Leadership),
    /// Go on leading where the actor before this one was.
    Resume(Standing),
    /// The session with the coordinator ended: lead no more until told again.
    Fence,
    /// The topic's settings changed.
    Configure(Arc<TopicSettings>),
    /// Delete all records below an offset; −1 is the high watermark. Answers where all live replicas begin, once that is there.
    DeleteRecords {
        /// Exclusive.
        before: Offset,
        /// Give up at this moment.
        deadline: Moment,
        /// Brokers that are alive.
        live: BTreeSet<BrokerId>,
        /// Who hears of it.
        reply: oneshot::Sender<Result<Offset, ErrorCode>>,
    },
    /// Other brokers are alive than when records were to be deleted.
    LiveBrokers(BTreeSet<BrokerId>),
    /// Do what is done from time to time.
    Housekeep {
        /// What.
        chore: Chore,
        /// Files to remove later.
        reply: oneshot::Sender<Option<PendingDelete>>,
    },
    /// Where the records of a leader epoch end (OffsetForLeaderEpoch): the largest known epoch up to it, and its end.
    EndOffsetForEpoch {
        /// The epoch asked for.
        epoch: LeaderEpoch,
        /// Who hears of it; `None` when it is newer than all that is known.
        reply: oneshot::Sender<Option<(LeaderEpoch, Offset)>>,
    },
    /// State of the idempotent producers (DescribeProducers).
    DescribeProducers {
        /// Who hears of it.
        reply: oneshot::Sender<Vec<ProducerDescription>>,
    },
    /// A follower asks for what comes behind an offset.
    FollowerFetched {
        /// Who, and the epoch under which it is registered, if it says so.
        replica: (BrokerId, Option<BrokerEpoch>),
        /// It has all below.
        offset: Offset,
        /// The leader epoch of its last record; none in an empty log.
        last_epoch: LeaderEpoch,
        /// Where its log begins.
        log_start: Offset,
        /// Hears whether the logs are one.
        reply: oneshot::Sender<Result<Progress, ErrorCode>>,
    },
    /// What the controller says of the last wish for another ISR.
    IsrAltered(IsrAnswer),
    /// Where to go on fetching, under a leadership of another broker.
    FetchPosition {
        /// Which leadership.
        leader_epoch: LeaderEpoch,
        /// Who hears of it.
        reply: oneshot::Sender<Result<FetchPosition, ErrorCode>>,
    },
    /// Append what the leader sent.
    Replicate(Replication),
    /// The leader does not have the end of this log: cut it.
    Truncate {
        /// Under which leadership.
        leader_epoch: LeaderEpoch,
        /// Where.
        to: CutTo,
        /// Hears where to go on.
        reply: oneshot::Sender<Result<FetchPosition, ErrorCode>>,
    },
    /// Something that compaction needs.
    Clean(CleaningStep),
    /// Something that its move to another log dir needs.
    Move(MovingStep),
    /// Write out everything and end. Answers the log, closed, as its recovery point; `None` when that failed.
    Close {
        /// Who hears of it.
        reply: oneshot::Sender<Option<Offset>>,
        /// Whether the log will be deleted, so that nothing need be written.
        discard: bool,
    },
}

/// What a leader says to a follower's progress.
#[derive(Clone, Debug)]
pub enum Progress {
    /// The follower's log is the beginning of this one.
    Same {
        /// To be noted, instead of telling the same again, while the follower has all that there is.
        rests: Option<Arc<CaughtUp>>,
        /// Whether it is a member of the ISR. One that rests is.
        in_sync: bool,
    },
    /// The logs part: the largest epoch that both may share, and where it ends here.
    Parted(LeaderEpoch, Offset),
}

/// What a leader sent of a partition.
#[derive(Debug)]
pub struct Replication {
    /// The leadership that was asked.
    pub leader_epoch: LeaderEpoch,
    /// Whole batches, or nothing.
    pub records: Bytes,
    /// The leader's.
    pub high_watermark: Offset,
    /// The leader's.
    pub log_start: Offset,
    /// Hears where to go on, once all is flushed where that is wanted.
    pub reply: oneshot::Sender<Result<FetchPosition, ErrorCode>>,
}

/// What a partition does from time to time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chore {
    /// Remove what retention no longer keeps.
    Retention,
    /// Forget producers that are silent.
    Producers,
    /// What is done with every checkpoint: write the indexes of the active segment to their files, flush the closed ones.
    Checkpoint,
}

/// One batch to append.
pub struct AppendItem {
    /// Validated.
    pub batch: NewBatch,
    /// The answer owed.
    pub promise: Promise,
    /// `acks=all`: give up at this moment.
    pub all_until: Option<Moment>,
    /// Append it only under this leadership: it was decided under it (law 5).
    pub under: Option<LeaderEpoch>,
}

/// What is to be done, on the disk pool, when the log was cut and before anything is appended; whether it worked.
pub type AfterCut = Arc<dyn Fn() -> bool + Send + Sync>;
