//! A leader dies, and so does its successor as soon as it is elected; that one is back at once.

use std::time::Duration;

use super::super::World;
use super::super::faults::Heal;
use super::super::node::Death;
use crate::model::BrokerId;

/// How long it is waited for a leader's successor.
const ELECTION_WAIT: Duration = Duration::from_secs(5);

impl World {
    pub(in super::super) async fn succession(&mut self) {
        let places = self.all_places();
        let pick = self.dice.below_usize(places.len());
        let Some(place) = places.get(pick) else { return };
        let Some(first) = self.leader_of(place) else { return };
        let Some(at) = self.node_of(first) else { return };
        self.kill(at, Death::Process).await;
        let over = self.around.clock.moment().after(ELECTION_WAIT);
        while self.around.clock.moment() < over {
            if let Some(next) = self.leader_of(place).filter(|next| *next != first && *next != BrokerId::NONE) {
                let (moment, away) = (self.dice.below(30), self.dice.below(300));
                tokio::time::sleep(Duration::from_millis(moment)).await;
                let Some(at) = self.node_of(next) else { return };
                self.kill(at, Death::Process).await;
                tokio::time::sleep(Duration::from_millis(away)).await;
                return self.end(Heal::Revive(at)).await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
