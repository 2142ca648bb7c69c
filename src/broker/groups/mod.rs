//! Groups: an actor per partition of `__consumer_offsets` that is led here, and the way to the one that coordinates a group.
//!
//! *Owner*: the replicas actor says which partitions are led here ([`Tenures`]); handlers ask ([`Groups`]).
//! *Does not know*: what a group is; that is [`machine::group`](crate::machine::group)'s.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use actix::Addr;
use arc_swap::ArcSwap;
use futures::future::join_all;
use tokio::sync::watch;

use self::coordinator::CoordinatorParts;
pub use self::coordinator::{GroupCommand, GroupCoordinator};
use self::topics::TopicsView;
use super::ask;
use super::directory::PartitionHandle;
use super::image::{Metadata, TopicImage};
use super::placement::{LoopId, Placement};
use super::ports::Ports;
use super::supervisor::DeathNotice;
use crate::config::GroupConfig;
use crate::machine::group::{Reply, Request, partition_for};
use crate::model::{LeaderEpoch, PartitionIndex};
use crate::wire::Str;

mod appends;
mod coordinator;
mod load;
mod topics;

/// The way to the coordinators of groups that are here. Cheap to clone.
#[derive(Clone, Default)]
pub struct Groups(Arc<ArcSwap<BTreeMap<PartitionIndex, Addr<GroupCoordinator>>>>);

/// That a partition is led here.
#[derive(Clone)]
pub struct Tenure {
    /// The leadership.
    pub epoch: LeaderEpoch,
    /// The partition.
    pub partition: PartitionHandle,
}

impl Groups {
    /// The coordinator of a partition, if it was ever led here.
    #[must_use]
    pub fn coordinator(&self, partition: PartitionIndex) -> Option<Addr<GroupCoordinator>> {
        self.0.load().get(&partition).cloned()
    }

    /// Asks the coordinator of a partition; `None` when it was never here, or is gone.
    pub fn ask(&self, partition: PartitionIndex, request: Request) -> impl Future<Output = Option<Reply>> + use<> {
        let coordinators = self.0.load();
        let asked = coordinators.get(&partition).map(|to| ask(to, |reply| GroupCommand::Ask { request, reply }));
        async move { asked?.await }
    }

    /// All that were ever led here.
    #[must_use]
    pub fn all(&self) -> Vec<Addr<GroupCoordinator>> {
        self.0.load().values().cloned().collect()
    }

    /// Lets every coordinator know that topics were deleted; returns when all do.
    pub async fn topics_deleted(&self, topics: BTreeSet<Str>) {
        if topics.is_empty() {
            return;
        }
        let told = self.all().into_iter().map(|coordinator| {
            let topics = topics.clone();
            async move { coordinator.send(GroupCommand::TopicsDeleted(topics)).await }
        });
        // One that died meanwhile reads the log anew; what it has of these topics stays until it is too old.
        let _told = join_all(told).await;
    }
}

/// The partition of `__consumer_offsets` that a group is kept in.
#[must_use]
pub fn partition_of(group: &str, offsets: &TopicImage) -> PartitionIndex {
    let partitions = u32::try_from(offsets.partitions.len()).unwrap_or(u32::MAX);
    PartitionIndex(partition_for(group, partitions).cast_signed())
}

/// Which partitions of `__consumer_offsets` are led here, for the replicas actor: it starts a coordinator with the first
/// leadership of each.
pub struct Tenures {
    groups: Groups,
    config: GroupConfig,
    topics: TopicsView,
    ports: Ports,
    placement: Placement,
    known: BTreeMap<PartitionIndex, watch::Sender<Option<Tenure>>>,
}

impl Tenures {
    /// With none.
    #[must_use]
    pub fn new(groups: Groups, config: GroupConfig, metadata: Metadata, ports: Ports, placement: Placement) -> Self {
        Self { groups, config, topics: TopicsView::new(metadata), ports, placement, known: BTreeMap::new() }
    }

    /// The partition is led here, or is not any more. On the main loop.
    pub fn set(
        &mut self,
        partition: PartitionIndex,
        tenure: Option<Tenure>,
        notice: impl FnOnce(PartitionIndex) -> DeathNotice,
    ) {
        match (self.known.get(&partition), tenure) {
            (None, None) => {}
            (None, Some(tenure)) => self.start(partition, Some(tenure), notice),
            (Some(known), tenure) => {
                known.send_if_modified(|current| {
                    let same = match (&*current, &tenure) {
                        (None, None) => true,
                        (Some(a), Some(b)) => a.epoch == b.epoch && a.partition.addr == b.partition.addr,
                        (None, Some(_)) | (Some(_), None) => false,
                    };
                    *current = tenure;
                    !same
                });
            }
        }
    }

    /// Starts a coordinator again that died.
    pub fn restart(&mut self, partition: PartitionIndex, notice: impl FnOnce(PartitionIndex) -> DeathNotice) {
        let tenure = self.known.get(&partition).and_then(|known| known.borrow().clone());
        self.start(partition, tenure, notice);
    }

    fn start(
        &mut self,
        partition: PartitionIndex,
        tenure: Option<Tenure>,
        notice: impl FnOnce(PartitionIndex) -> DeathNotice,
    ) {
        let home = tenure.as_ref().map_or(LoopId(0), |tenure| tenure.partition.home);
        let (known, tenures) = watch::channel(tenure);
        self.known.insert(partition, known);
        let parts = CoordinatorParts {
            config: self.config.clone(),
            topics: self.topics.clone(),
            ports: self.ports.clone(),
            placement: self.placement.clone(),
            tenures,
            notice: notice(partition),
        };
        let addr = self.placement.start(home, move |_| GroupCoordinator::new(parts));
        let mut next = BTreeMap::clone(&self.groups.0.load());
        next.insert(partition, addr);
        self.groups.0.store(Arc::new(next));
    }
}
