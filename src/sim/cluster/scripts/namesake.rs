//! A topic whose name is given anew while a broker has yet to hear that the first one is deleted: the word is on its way, under the
//! broker epoch of a registration that has ended meanwhile. A StopReplica of a deletion has no leader epoch that would tell the two apart.

use std::rc::Rc;
use std::time::Duration;

use super::super::super::life::RECOVERY_PATIENCE;
use super::super::super::oracle::{Place, Violation};
use super::super::World;
use super::super::admin::{self, REPLICAS};
use super::super::fabric::Party;
use super::WELL_BEFORE;
use crate::model::BrokerId;

/// Its name; it belongs to nobody else.
const NAME: &str = "namesake";

/// How late the controller's words are, in ms: time enough for a session to end, and for the name to be given anew.
const LATE_MS: u64 = 10_000;

/// How long a broker has no session.
const AWAY: Duration = Duration::from_millis(50);

impl World {
    /// Everybody is well before and must be well after.
    pub(in super::super) async fn namesake(&mut self) {
        let place = Place { topic: NAME.to_owned(), partition: 0 };
        if !self.is_well(WELL_BEFORE).await {
            return;
        }
        if self.is_there(&place).await {
            admin::delete(&self.life, NAME, &place).await;
        }
        if !self.is_made(&place, REPLICAS).await {
            return;
        }
        let Some(controller) = self.controller().await else { return };
        let Some(victim) = self.follower_of(&place, controller) else { return };
        let Some(id) = self.nodes.get(victim).map(|node| node.id) else { return };
        let (from, to) = (Party::Broker(controller.0), Party::Broker(id));
        self.around.fabric.slow_down(from, to, LATE_MS);
        // It is answered when all replicas are gone.
        let (life, first) = (Rc::clone(&self.life), place.clone());
        let deletion = tokio::task::spawn_local(async move { admin::delete(&life, NAME, &first).await });
        // It hears first that there is no leader any more, then that its replica goes.
        let moment = self.dice.below(2 * LATE_MS);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        // What is under way stays late.
        self.around.fabric.speed_up(from, to);
        let Some(coordinator) = self.nodes.get(victim).and_then(|node| node.coordinator()) else { return };
        coordinator.expire();
        tokio::time::sleep(AWAY).await;
        coordinator.reconnect();
        // What it comes to does not matter: the topic is there or not.
        let _fate = deletion.await;
        if self.is_made(&place, REPLICAS).await {
            tokio::time::sleep(Duration::from_millis(LATE_MS)).await;
            if let Some(wrong) = self.not_in_sync(RECOVERY_PATIENCE).await {
                self.life.violation(Violation::Other(format!("a name is given anew, and then {wrong}")));
            }
        }
    }

    /// A broker in sync that neither leads nor controls.
    fn follower_of(&self, place: &Place, controller: BrokerId) -> Option<usize> {
        let state = self.state_of(place)?;
        let id = state.isr.into_iter().find(|id| *id != controller && *id != state.leader)?;
        self.node_of(id)
    }
}
