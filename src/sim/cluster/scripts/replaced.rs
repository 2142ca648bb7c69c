//! A broker that is about to join the ISR dies and comes back at once with an empty disk, and what its leader asked for it is late.

use std::time::Duration;

use super::super::World;
use super::super::fabric::Party;
use super::super::faults::Heal;
use super::super::node::{Death, Node};
use super::{WELL_AFTER, WELL_BEFORE};
use crate::model::BrokerId;

impl World {
    /// Everybody is well before and after: what is in sync on one disk alone nobody promises to keep.
    pub(in super::super) async fn replaced(&mut self, victim: usize) {
        if !self.is_well(WELL_BEFORE).await {
            return;
        }
        let Some(id) = self.nodes.get(victim).map(|node| BrokerId(node.id)) else { return };
        let before = self.witness.borrow().in_sync(id);
        self.kill(victim, Death::Process).await;
        if self.come_true(|world| world.witness.borrow().in_sync(id).is_empty()).await {
            self.comes_back_empty(victim, id, &before).await;
        }
        let _late = self.is_well(WELL_AFTER).await;
    }

    /// `before` are the paths of the states where it was in sync.
    async fn comes_back_empty(&mut self, victim: usize, id: BrokerId, before: &[String]) {
        let Some(controller) = self.controller().await else { return };
        let state = |world: &Self, path: &str| world.witness.borrow().state(path).cloned();
        let led = before.iter().filter_map(|path| Some((path, state(self, path)?.leader)));
        let by_others =
            led.filter(|(_, leader)| *leader != controller && *leader != BrokerId::NONE).collect::<Vec<_>>();
        let pick = self.dice.below_usize(by_others.len().max(1));
        let Some((path, leader)) = by_others.get(pick).copied() else { return };
        let is_in_sync = |world: &Self| state(world, path).is_some_and(|state| state.isr.contains(&id));
        let (asks, follows) = (500 + self.dice.below(2_000), 1_000 + self.dice.below(2_000));
        self.around.fabric.slow_down(Party::Broker(leader.0), Party::Broker(controller.0), asks);
        self.end(Heal::Revive(victim)).await;
        if !self.come_true(|world| world.nodes.get(victim).is_some_and(Node::serves)).await {
            return;
        }
        let moment = self.dice.below(asks / 4);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        // The leader dies too: what the disk has that is gone must be with others that live.
        if is_in_sync(self) || self.needs(id, leader) {
            return;
        }
        for (from, to) in [(id, leader), (leader, id)] {
            self.around.fabric.slow_down(Party::Broker(from.0), Party::Broker(to.0), follows);
        }
        // Which session was its own it knows from its disk: under another one it would wait until that has ended.
        if let Some(coordinator) = self.nodes.get(victim).and_then(|node| node.coordinator()) {
            coordinator.expire();
        }
        self.kill(victim, Death::Process).await;
        if let Some(node) = self.nodes.get_mut(victim) {
            node.replace_disk();
        }
        self.end(Heal::Revive(victim)).await;
        self.come_true(is_in_sync).await;
        if let Some(leader) = self.node_of(leader) {
            self.kill(leader, Death::Process).await;
        }
        let moment = self.dice.below(2_000);
        tokio::time::sleep(Duration::from_millis(moment)).await;
    }

    /// Whether some partition has its records in sync on these two alone, as far as brokers live.
    fn needs(&self, one: BrokerId, other: BrokerId) -> bool {
        let lives = |id: &BrokerId| self.nodes.iter().any(|node| node.id == id.0 && node.serves());
        let has_more = |isr: &[BrokerId]| isr.iter().any(|id| *id != one && *id != other && lives(id));
        self.witness.borrow().states().any(|state| state.isr.contains(&one) && !has_more(&state.isr))
    }
}
