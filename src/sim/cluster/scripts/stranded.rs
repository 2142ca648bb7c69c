//! The leader of the compacted topic is cut off from its followers, is written to and cleans, and then leads no more.

use std::time::Duration;

use super::super::World;
use super::super::fabric::Party;
use super::super::faults::Heal;
use super::super::node::Death;
use super::super::plan::Topic;

/// Longest time in ms that a leader without followers is written to, beyond the time that its cleaner needs.
const STRANDED_MS: u64 = 1_200;

impl World {
    pub(in super::super) async fn stranded(&mut self) {
        let Some(place) = self.plan.table.iter().flat_map(Topic::places).next() else { return };
        let Some(id) = self.leader_of(&place) else { return };
        let Some(victim) = self.node_of(id) else { return };
        let leader = Party::Broker(id.0);
        let others = self.nodes.iter().map(|node| Party::Broker(node.id)).filter(|other| *other != leader);
        let pairs = others.flat_map(|other| [(leader, other), (other, leader)]).collect::<Vec<_>>();
        pairs.iter().for_each(|(from, to)| self.around.fabric.block(*from, *to));
        let moment = 300 + self.dice.below(STRANDED_MS);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        if self.dice.percent(50) {
            self.kill(victim, Death::Process).await;
        } else if let Some(coordinator) = self.nodes.get(victim).and_then(|node| node.coordinator()) {
            coordinator.expire();
            self.later(Heal::Reconnect(victim));
        }
        self.later(Heal::Unblock(pairs));
    }
}
