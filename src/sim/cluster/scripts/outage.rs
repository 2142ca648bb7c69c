//! The coordinator is away for longer than any session: nobody leads. Then every broker begins another one. Where a partition has one replica
//! only, that leads on under the same epoch: what it was told under its old session must not make it believe that there is nothing new
//! (KAFKA-9307).

use std::time::Duration;

use super::super::super::client::Client;
use super::super::super::life::RECOVERY_PATIENCE;
use super::super::super::oracle::{Place, Violation};
use super::super::super::passing::write_to;
use super::super::World;
use super::super::fabric::Party;
use super::WELL_BEFORE;
use crate::coordination::Coordinator as _;
use crate::coordination::znode::broker;
use crate::model::{BrokerId, ErrorCode};

/// Its topic; it belongs to nobody else.
const NAME: &str = "alone";

/// How long leaders may go on when their sessions have ended: they work off what was sent to them before.
const FENCED_WITHIN: Duration = Duration::from_secs(1);

/// Longest time in ms that nobody has a session, beyond that.
const AWAY_MS: u64 = 3_000;

/// Longest time in ms between the returns of two brokers, where they do not return all at once: then the first one is the controller before
/// another one is there, and has others lead.
const APART_MS: u64 = 20;

impl World {
    /// Everybody is well before and must be well after.
    pub(in super::super) async fn outage(&mut self) {
        if !self.is_well(WELL_BEFORE).await {
            return;
        }
        let alone = Place { topic: NAME.to_owned(), partition: 0 };
        if !self.is_there(&alone).await && !self.is_made(&alone, 1).await {
            return;
        }
        let mut coordinators = self.nodes.iter().filter_map(|node| node.coordinator()).collect::<Vec<_>>();
        coordinators.iter().for_each(|coordinator| coordinator.expire());
        tokio::time::sleep(FENCED_WITHIN).await;
        if let Some(leader) = self.leader_of(&alone)
            && self.takes_records(leader, &alone).await
            && !self.is_registered(leader).await
        {
            let wrong = format!("broker {leader} has no session, and leads {alone}");
            self.life.violation(Violation::Other(wrong));
        }
        let away = self.dice.below(AWAY_MS);
        tokio::time::sleep(Duration::from_millis(away)).await;
        let apart_ms = if self.dice.percent(50) { APART_MS } else { 0 };
        let first = self.dice.below_usize(coordinators.len().max(1));
        coordinators.rotate_left(first);
        for coordinator in coordinators {
            coordinator.reconnect();
            let apart = self.dice.below(apart_ms + 1);
            tokio::time::sleep(Duration::from_millis(apart)).await;
        }
        if let Some(wrong) = self.not_in_sync(RECOVERY_PATIENCE).await {
            self.life.violation(Violation::Other(format!("all sessions end, and then {wrong}")));
        }
        for place in self.places().into_iter().chain([alone]) {
            let written = async { while !self.is_written(&place).await {} };
            if tokio::time::timeout(RECOVERY_PATIENCE, written).await.is_err() {
                let wrong = format!("all sessions end, and then nothing is written to {place} any more");
                self.life.violation(Violation::Other(wrong));
            }
        }
    }

    /// Whether it is in the tree: it may have found back by itself from what had gone wrong before.
    async fn is_registered(&self, id: BrokerId) -> bool {
        matches!(self.around.ensemble.get(&broker::path(id)).await, Ok(Some(_)))
    }

    /// Whether records that are sent to this broker are acknowledged in time.
    async fn takes_records(&self, id: BrokerId, place: &Place) -> bool {
        let taken = async {
            let stream = self.around.fabric.connect(Party::Clients, id.0).await?;
            let mut client = Client::new(stream, &self.life.trace, "script").with(id.0);
            write_to(&self.life, &mut client, place).await.ok()
        };
        let taken = tokio::time::timeout(FENCED_WITHIN, taken).await;
        matches!(taken, Ok(Some(ErrorCode::None)))
    }
}
