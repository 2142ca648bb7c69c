//! A new leader does not know yet that its last record is committed, and a follower without that record, which is not in sync, asks it for
//! more: it must not join the ISR before it has what the leader began with (KIP-207). If it did, and those with the record died, it would
//! lead.
//!
//! The leader that was before is still in the ISR, though nobody hears of it: alone, the new one would know that all it has is committed. So
//! it does not die, but leadership moves to the preferred replica, and the controller is none of the three.

use std::time::Duration;

use super::super::super::oracle::Place;
use super::super::World;
use super::super::admin::{self, REPLICAS};
use super::super::fabric::Party;
use super::super::faults::Heal;
use super::super::node::Death;
use super::{WELL_AFTER, WELL_BEFORE};
use crate::model::BrokerId;

/// Its topic; it belongs to nobody else.
const NAME: &str = "upstart";

/// Longest time in ms that each of the new leader's answers takes.
const LATE_MS: u64 = 1_000;

/// Longest time in ms that the successor may be without followers in sync before the others are back.
const ALONE_MS: u64 = 2_000;

impl World {
    /// Everybody is well before and after.
    pub(in super::super) async fn upstart(&mut self) {
        if !self.is_well(WELL_BEFORE).await {
            return;
        }
        let place = Place { topic: NAME.to_owned(), partition: 0 };
        if !self.is_there(&place).await && !self.is_made(&place, REPLICAS).await {
            return;
        }
        let Some(controller) = self.controller().await else { return };
        let others = self.nodes.iter().map(|node| BrokerId(node.id)).filter(|id| *id != controller);
        let mut others = others.collect::<Vec<_>>();
        let first = self.dice.below_usize(others.len().max(1));
        others.rotate_left(first);
        // With three brokers the controller would be one of them.
        let &[former, next, upstart, ..] = others.as_slice() else { return };
        if self.is_arranged(&place, [former, next, upstart]).await {
            self.joins_early(&place, [former, next, upstart]).await;
        }
        let _late = self.is_well(WELL_AFTER).await;
    }

    /// The first one leads, and the second one is the preferred leader.
    async fn is_arranged(&self, place: &Place, [former, next, upstart]: [BrokerId; 3]) -> bool {
        self.is_on(place, [former, next, upstart]).await
            && self.is_led_by(place, former).await
            && self.is_on(place, [next, former, upstart]).await
            && self.is_written(place).await
    }

    async fn joins_early(&mut self, place: &Place, [former, next, upstart]: [BrokerId; 3]) {
        let party = |id: BrokerId| Party::Broker(id.0);
        let is_in_sync = |world: &Self| world.state_of(place).is_some_and(|state| state.isr.contains(&upstart));
        let Some(at) = self.node_of(upstart) else { return };
        self.kill(at, Death::Process).await;
        if !self.come_true(|world| !is_in_sync(world)).await || !self.is_written(place).await {
            return;
        }
        // In sync are two, and one does not hear any more that the other has it too.
        self.around.fabric.block(party(former), party(next));
        self.around.fabric.slow_down(party(next), party(upstart), LATE_MS);
        if !self.is_led_by(place, next).await {
            return;
        }
        self.end(Heal::Revive(at)).await;
        let _joined = self.come_true(is_in_sync).await;
        for id in [former, next] {
            if let Some(victim) = self.node_of(id) {
                self.kill(victim, Death::Process).await;
            }
        }
        let moment = self.dice.below(ALONE_MS);
        tokio::time::sleep(Duration::from_millis(moment)).await;
    }

    /// Moves the partition: whether it is in sync there in time.
    async fn is_on(&self, place: &Place, ids: [BrokerId; 3]) -> bool {
        let replicas = ids.map(|id| id.0);
        let mut client = self.life.connect("script", None).await;
        let moved = admin::move_to(&self.life, &mut client, place, Some(replicas.to_vec())).await;
        if let Err(trouble) = moved {
            self.life.trouble(&trouble);
            return false;
        }
        let is_there = |world: &Self| {
            world
                .state_of(place)
                .is_some_and(|state| state.isr.len() == ids.len() && ids.iter().all(|id| state.isr.contains(id)))
        };
        self.come_true(is_there).await && self.replicas_of(place).await == replicas
    }

    /// Lets the preferred replica lead: whether it is this one, in time.
    async fn is_led_by(&self, place: &Place, id: BrokerId) -> bool {
        let mut client = self.life.connect("script", None).await;
        if let Err(trouble) = admin::elect(&mut client).await {
            self.life.trouble(&trouble);
            return false;
        }
        self.come_true(|world| world.leader_of(place) == Some(id)).await
    }
}
