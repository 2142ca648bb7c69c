//! Where members of groups find brokers in a cluster, and which broker coordinates a group as the tree has it.

use std::cell::RefCell;
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use tokio::io::DuplexStream;

use super::super::groups::{Guide, place_of};
use super::fabric::{Fabric, Party};
use super::witness::Witness;
use crate::coordination::znode::topic;
use crate::model::{PartitionIndex, TopicName};
use crate::storage::disk::sim::Dice;

/// See the module.
pub struct ClusterGuide {
    fabric: Fabric,
    brokers: i32,
    dice: RefCell<Dice>,
    witness: Rc<RefCell<Witness>>,
    /// Of `__consumer_offsets`.
    partitions: u32,
}

impl ClusterGuide {
    /// Through a cluster whose brokers are numbered from 1.
    #[must_use]
    pub const fn new(fabric: Fabric, brokers: i32, dice: Dice, witness: Rc<RefCell<Witness>>, partitions: u32) -> Self {
        Self { fabric, brokers, dice: RefCell::new(dice), witness, partitions }
    }
}

impl Guide for ClusterGuide {
    fn anybody(&self) -> LocalBoxFuture<'_, Option<(DuplexStream, i32)>> {
        Box::pin(async move {
            let id = 1 + i32::try_from(self.dice.borrow_mut().below(u64::try_from(self.brokers).ok()?)).ok()?;
            Some((self.broker(id).await?, id))
        })
    }

    fn broker(&self, id: i32) -> LocalBoxFuture<'_, Option<DuplexStream>> {
        Box::pin(self.fabric.connect(Party::Clients, id))
    }

    fn tenure(&self, group: &str) -> Option<(i32, i32)> {
        let place = place_of(group, self.partitions);
        let name = TopicName::new(&place.topic).ok()?;
        let witness = self.witness.borrow();
        let state = witness.state(&topic::state_path(&name, PartitionIndex(place.partition)))?;
        Some((state.leader.0, state.leader_epoch.0))
    }
}
