//! The follower's side of an incremental fetch session (KIP-227): the leader is told once what is wanted, and then only what
//! changed.
//!
//! *Invariant*: after every request the leader's session holds exactly what `known` says; when that is not sure the next request
//! is a full one, which replaces the session.
//!
//! Source: Kafka 3.9 `FetchSessionHandler.java`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Fetch, Followed, Wanted};
use crate::machine::fetch_session::{INITIAL_EPOCH, NO_SESSION, next_epoch};
use crate::model::{ErrorCode, TopicPartition};

#[derive(Debug)]
pub(super) struct Session {
    /// Also after the session was given up: the full fetch names it, so that the leader forgets it.
    id: i32,
    /// Of the request under way, or else of the next.
    epoch: i32,
    /// Topics are named by their ids: that does not change within a session.
    by_id: bool,
    /// What the leader was asked for.
    known: BTreeMap<TopicPartition, Wanted>,
    /// Those of which something else may be wanted.
    touched: BTreeSet<TopicPartition>,
}

impl Default for Session {
    fn default() -> Self {
        Self { id: NO_SESSION, epoch: INITIAL_EPOCH, by_id: true, known: BTreeMap::new(), touched: BTreeSet::new() }
    }
}

impl Session {
    /// What is wanted of a partition may have changed.
    pub(super) fn touch(&mut self, partition: &TopicPartition) {
        self.touched.insert(partition.clone());
    }

    /// Whether this is what the leader was asked for.
    pub(super) fn knows(&self, partition: &TopicPartition, wanted: &Wanted) -> bool {
        self.known.get(partition) == Some(wanted)
    }

    /// Nobody knows what the leader remembers: the next request tells all.
    pub(super) fn restart(&mut self) {
        self.epoch = INITIAL_EPOCH;
    }

    /// The next request, without its number and wait; `None` when nothing is wanted.
    pub(super) fn request(&mut self, partitions: &BTreeMap<TopicPartition, Followed>) -> Option<Fetch> {
        let touched = std::mem::take(&mut self.touched);
        let mut unnamed = touched.iter().filter_map(|id| partitions.get(id)?.wanted());
        if self.epoch != INITIAL_EPOCH && self.by_id && unnamed.any(|wanted| wanted.topic_id.is_zero()) {
            self.restart();
        }
        let (mut wanted, mut forgotten) = (Vec::new(), Vec::new());
        if self.epoch == INITIAL_EPOCH {
            wanted.extend(partitions.iter().filter_map(|(id, followed)| Some((id.clone(), followed.wanted()?))));
            self.known = wanted.iter().cloned().collect();
            self.by_id = wanted.iter().all(|(_, wanted)| !wanted.topic_id.is_zero());
        } else {
            for id in touched {
                let now = partitions.get(&id).and_then(Followed::wanted);
                let before = match now {
                    Some(now) => self.known.insert(id.clone(), now),
                    None => self.known.remove(&id),
                };
                if before == now {
                    continue;
                }
                let replaced = now.is_none_or(|now| self.by_id && before.is_some_and(|b| b.topic_id != now.topic_id));
                forgotten.extend(before.filter(|_| replaced).map(|before| (id.clone(), before.topic_id)));
                wanted.extend(now.map(|now| (id, now)));
            }
        }
        if self.known.is_empty() {
            self.restart();
            return None;
        }
        Some(Fetch {
            number: 0,
            session_id: self.id,
            session_epoch: self.epoch,
            by_id: self.by_id,
            max_wait: Duration::ZERO,
            wanted,
            forgotten,
        })
    }

    /// The leader answered the request under way.
    pub(super) fn granted(&mut self, session_id: i32) {
        if self.epoch == INITIAL_EPOCH {
            self.id = session_id;
            self.epoch = if session_id == NO_SESSION { INITIAL_EPOCH } else { next_epoch(INITIAL_EPOCH) };
        } else if session_id == self.id {
            self.epoch = next_epoch(self.epoch);
        } else {
            // It gave the session up.
            self.id = NO_SESSION;
            self.restart();
        }
    }

    /// The leader refused the request under way. Whether telling it all at once may help: never twice.
    pub(super) fn refused(&mut self, error: ErrorCode) -> bool {
        let incremental = self.epoch != INITIAL_EPOCH;
        self.restart();
        let is_of_session = matches!(
            error,
            ErrorCode::FetchSessionIdNotFound
                | ErrorCode::InvalidFetchSessionEpoch
                | ErrorCode::FetchSessionTopicIdError
        );
        if error == ErrorCode::FetchSessionIdNotFound {
            self.id = NO_SESSION;
        }
        incremental && is_of_session
    }
}
