//! A topic whose name is given anew while a broker has yet to hear that the first one is deleted: the word is on its way, under the
//! broker epoch of a registration that has ended meanwhile. A StopReplica of a deletion has no leader epoch that would tell the two apart.

use std::rc::Rc;
use std::time::Duration;

use super::super::oracle::{Place, Violation};
use super::super::passing::write_to;
use super::admin::{self, Fate};
use super::fabric::Party;
use super::{RECOVERY_PATIENCE, World};
use crate::coordination::Coordinator as _;
use crate::coordination::znode::topic;
use crate::model::{BrokerId, TopicName};

/// Its name; it belongs to nobody else.
const NAME: &str = "namesake";

/// How late the controller's words are, in ms: time enough for a session to end, and for the name to be given anew.
const LATE_MS: u64 = 10_000;

/// How long a broker has no session.
const AWAY: Duration = Duration::from_millis(50);

impl World {
    /// Everybody is well before and must be well after.
    pub(super) async fn namesake(&mut self) {
        let (Ok(name), place) = (TopicName::new(NAME), Place { topic: NAME.to_owned(), partition: 0 }) else { return };
        if !self.is_well(Duration::from_secs(30)).await {
            return;
        }
        if self.is_there(&name).await {
            admin::delete(&self.life, NAME, &place).await;
        }
        if !self.is_made(&name, &place).await {
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
        if self.is_made(&name, &place).await {
            tokio::time::sleep(Duration::from_millis(LATE_MS)).await;
            if let Some(wrong) = self.not_in_sync(RECOVERY_PATIENCE).await {
                self.life.violation(Violation::Other(format!("a name is given anew, and then {wrong}")));
            }
        }
    }

    /// Makes the topic when it is gone, and writes to it: whether all of that came about.
    async fn is_made(&self, name: &TopicName, place: &Place) -> bool {
        let over = self.around.clock.moment().after(Duration::from_millis(LATE_MS));
        while self.is_there(name).await {
            if over <= self.around.clock.moment() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if admin::create(&self.life, NAME, place).await != Fate::There {
            return false;
        }
        let mut client = self.life.connect("namesake", Some(place)).await;
        let written = write_to(&self.life, &mut client, place).await;
        written.inspect_err(|trouble| self.life.trouble(trouble)).is_ok()
    }

    async fn is_there(&self, name: &TopicName) -> bool {
        matches!(self.around.ensemble.get(&topic::path(name)).await, Ok(Some(_)))
    }

    /// A broker in sync that neither leads nor controls.
    fn follower_of(&self, place: &Place, controller: BrokerId) -> Option<usize> {
        let state = self.state_of(place)?;
        let id = state.isr.into_iter().find(|id| *id != controller && *id != state.leader)?;
        self.nodes.iter().position(|node| node.id == id.0 && node.is_up())
    }
}
