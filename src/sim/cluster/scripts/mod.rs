//! Faults that take several steps, in an order that chance alone hardly ever finds: each is the story of a known bug, told with what
//! the seed draws. Most let everybody be well before they begin and after they end.

mod heirs;
mod namesake;
mod outage;
mod replaced;
mod stranded;
mod succession;
mod upstart;

use std::time::Duration;

use super::super::oracle::Place;
use super::super::passing::write_to;
use super::World;
use super::admin::{self, Fate};
use crate::coordination::Coordinator as _;
use crate::coordination::znode::topic;
use crate::model::{BrokerId, ErrorCode, TopicName};

/// How long it may take until everybody is well.
const WELL_BEFORE: Duration = Duration::from_secs(30);

/// The same, after something went wrong.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// How long it is waited for a topic of a script's own to be gone.
const GONE_WAIT: Duration = Duration::from_secs(10);

/// How long it is waited after a refusal.
const BACK_OFF: Duration = Duration::from_millis(100);

impl World {
    /// Where a broker is among the nodes, if its process lives.
    fn node_of(&self, id: BrokerId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id.0 && node.is_up())
    }

    /// Makes a topic of a script's own when it is gone, with so many replicas, and writes to it: whether all of that came about.
    async fn is_made(&self, place: &Place, replicas: i16) -> bool {
        let over = self.around.clock.moment().after(GONE_WAIT);
        while self.is_there(place).await {
            if over <= self.around.clock.moment() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        admin::create(&self.life, &place.topic, place, replicas).await == Fate::There && self.is_written(place).await
    }

    /// Whether its topic is in the tree.
    async fn is_there(&self, place: &Place) -> bool {
        let Ok(name) = TopicName::new(&place.topic) else { return false };
        matches!(self.around.ensemble.get(&topic::path(&name)).await, Ok(Some(_)))
    }

    /// Writes a few records: whether they are acknowledged. Where they are not, a client would look for the leader again after a while.
    async fn is_written(&self, place: &Place) -> bool {
        let mut client = self.life.connect("script", Some(place)).await;
        match write_to(&self.life, &mut client, place).await {
            Ok(ErrorCode::None) => return true,
            Ok(_) => {}
            Err(trouble) => self.life.trouble(&trouble),
        }
        tokio::time::sleep(BACK_OFF).await;
        false
    }
}
