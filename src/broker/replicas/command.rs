//! What the replicas actor can be asked.

use std::path::PathBuf;

use super::moves::FutureReplica;
use super::*;
use crate::broker::mover::Ended;

/// Everything that the replicas actor can be asked.
#[derive(Message)]
#[rtype(result = "()")]
pub enum ReplicasCommand {
    /// Load what lies in the log dirs. Answers how many partitions there are.
    Load {
        /// Who hears of it.
        reply: oneshot::Sender<usize>,
    },
    /// The controller says who leads these partitions (LeaderAndIsr). Answers an error code per partition.
    LeaderAndIsr {
        /// Which controller: one that another has replaced by now has no effect.
        controller_epoch: ControllerEpoch,
        /// In the controller's order.
        partitions: Vec<PartitionNotice>,
        /// Who hears of it.
        reply: oneshot::Sender<Vec<(TopicPartition, ErrorCode)>>,
    },
    /// The controller says that these replicas fetch no more, or go (StopReplica). Answers an error code per partition.
    StopReplica {
        /// As for LeaderAndIsr.
        controller_epoch: ControllerEpoch,
        /// Which.
        partitions: Vec<StoppedReplica>,
        /// Who hears of it.
        reply: oneshot::Sender<Vec<(TopicPartition, ErrorCode)>>,
    },
    /// The session with the coordinator ended, or the broker stops: no partition leads until told again.
    Fence {
        /// Only those that have other replicas: these cannot commit anything any more when the broker takes no more fetches.
        only_shared: bool,
        /// Who hears that all were told.
        reply: oneshot::Sender<()>,
    },
    /// The settings of a topic changed; `None`: of all.
    Configure(Option<TopicName>),
    /// What lies in the log dirs.
    Describe {
        /// Who hears of it.
        reply: oneshot::Sender<Vec<(LogDirDescription, Vec<FutureReplica>)>>,
    },
    /// Move replicas to other log dirs (AlterReplicaLogDirs). Answers an error code per replica, in their order, when they are on
    /// their way.
    AlterDirs {
        /// Each with one of `log.dirs`, as the client wrote it.
        wanted: Vec<(TopicPartition, PathBuf)>,
        /// Who hears of it.
        reply: oneshot::Sender<Vec<ErrorCode>>,
    },
    /// A replica is in another log dir, or stays where it is.
    MoveEnded {
        /// Which.
        id: TopicPartition,
        /// Which move of it.
        number: u64,
        /// How.
        ended: Ended,
    },
    /// A partition ended without having been asked to.
    Died {
        /// Which.
        id: TopicPartition,
        /// Which actor of it.
        incarnation: u64,
        /// How.
        death: Death,
    },
    /// A coordinator of groups ended without having been asked to.
    CoordinatorDied {
        /// Of which partition of `__consumer_offsets`.
        partition: PartitionIndex,
        /// How.
        death: Death,
    },
    /// Start it again.
    CoordinateAgain(PartitionIndex),
    /// A fetcher ended without having been asked to.
    FetcherDied {
        /// Which.
        fetcher: FetcherId,
        /// How.
        death: Death,
    },
    /// Follow this leader again.
    FollowAgain(BrokerId),
    /// Start a partition again that died.
    Reopen(TopicPartition),
    /// The disk failed when it was asked for something in a log dir.
    DirFailed {
        /// Which.
        dir: LogDirIndex,
        /// How.
        error: DiskError,
    },
    /// The cleaner put segments into place: these files are to be removed. `None`: it is done with a log, which is to be noted.
    Cleaned(Option<PendingDelete>),
    /// Flush and close everything, and write the clean-shutdown markers.
    Shutdown {
        /// Whether all was written.
        reply: oneshot::Sender<bool>,
    },
}

/// A replica that is to be stopped.
#[derive(Clone, Debug)]
pub struct StoppedReplica {
    /// Which.
    pub partition: TopicPartition,
    /// Of the leadership that the controller knows; negative: not compared.
    pub leader_epoch: LeaderEpoch,
    /// Whether its data goes too.
    pub delete: bool,
}

impl StoppedReplica {
    /// That of a topic that is deleted (`LeaderAndIsr.EpochDuringDelete`).
    #[must_use]
    pub fn of_deleted_topic(partition: TopicPartition) -> Self {
        Self { partition, leader_epoch: LeaderEpoch(-2), delete: true }
    }
}
