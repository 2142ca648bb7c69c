//! The coordinator of a group dies when a commit is with one of its two followers only, and that one coordinates. It must not say where the
//! group stands by a commit that may be lost yet, for it dies too, and the next one has not got it.

use std::time::Duration;

use super::super::super::groups::place_of;
use super::super::super::oracle::Place;
use super::super::World;
use super::super::fabric::Party;
use super::super::node::Death;
use super::{WELL_AFTER, WELL_BEFORE};
use crate::model::BrokerId;

/// How long it is waited for a commit.
const COMMIT_WAIT: Duration = Duration::from_secs(1);

/// How long a commit takes until a follower has it, at least and at most, in ms.
const COMMIT_MS: (u64, u64) = (8, 30);

/// How long each of the two who come after it is asked.
const ASKED: Duration = Duration::from_millis(700);

/// How long it is waited after no answer, or none that says where the group stands.
const PAUSE: Duration = Duration::from_millis(20);

impl World {
    /// Everybody is well before and after.
    pub(in super::super) async fn heirs(&mut self) {
        if !self.is_well(WELL_BEFORE).await {
            return;
        }
        let Some((groups, plan)) = self.groups.as_ref().zip(self.plan.groups.as_ref()) else { return };
        let names = groups.names();
        let pick = self.dice.below_usize(names.len().max(1));
        let Some(group) = names.iter().nth(pick).copied().map(str::to_owned) else { return };
        let place = place_of(&group, plan.partitions);
        let Some(leader) = self.leader_of(&place) else { return };
        let replicas = self.replicas_of(&place).await;
        // The first in the assignment is elected.
        let mut heirs = replicas.into_iter().map(BrokerId).filter(|id| *id != leader);
        if let (Some(first), Some(second)) = (heirs.next(), heirs.next()) {
            self.inherit(&group, &place, [leader, first, second]).await;
        }
        let _late = self.is_well(WELL_AFTER).await;
    }

    async fn inherit(&mut self, group: &str, place: &Place, [leader, first, second]: [BrokerId; 3]) {
        let Some(commits) = self.groups.as_ref().map(super::super::Groups::commits) else { return };
        let hears_nothing = [leader, first].map(|id| (Party::Broker(id.0), Party::Broker(second.0)));
        hears_nothing.iter().for_each(|(from, to)| self.around.fabric.block(*from, *to));
        let begun = async { while commits.next().await != leader.0 {} };
        if tokio::time::timeout(COMMIT_WAIT, begun).await.is_err() {
            return;
        }
        let moment = COMMIT_MS.0 + self.dice.below(COMMIT_MS.1 - COMMIT_MS.0);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        for (dies, heir) in [(leader, first), (first, second)] {
            let Some(victim) = self.node_of(dies) else { return };
            self.kill(victim, Death::Process).await;
            if !self.come_true(|world| world.leader_of(place) == Some(heir)).await {
                return;
            }
            let Some(groups) = &self.groups else { return };
            let asked = async {
                while !groups.says_where(group).await {
                    tokio::time::sleep(PAUSE).await;
                }
            };
            let _unknown = tokio::time::timeout(ASKED, asked).await;
        }
    }
}
