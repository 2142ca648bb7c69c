//! The leader's followers: how far each is, and which of them are in sync.
//!
//! *Invariant*: the ISR changes only when the controller has said so; until then a member that is to join counts, and one that is
//! to leave counts too.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Effect, Partition, Role};
use crate::machine::isr_change::IsrAnswer;
use crate::model::{BrokerEpoch, BrokerId, Bug, ErrorCode, Moment, Offset};

/// How long a leader waits after the controller refused a wish.
const REFUSED_PAUSE: Duration = Duration::from_millis(500);

/// What the leader knows of a follower.
#[derive(Clone, Copy, Debug)]
pub(super) struct Follower {
    /// It has all below. [`Offset::NONE`] until it was heard of.
    pub(super) end: Offset,
    /// Where its log begins. [`Offset::NONE`] until it was heard of.
    pub(super) log_start: Offset,
    /// Under which epoch it was registered when it last asked, if it said so.
    broker_epoch: Option<BrokerEpoch>,
    /// When it last had all that the leader had.
    caught_up: Option<Moment>,
    /// When it last asked, and where the leader's log ended then.
    last_fetch: Option<(Moment, Offset)>,
}

impl Follower {
    /// One that was not heard of under this leadership. A member of the ISR counts as having caught up when it began.
    pub(super) fn unknown(caught_up: Option<Moment>) -> Self {
        Self { end: Offset::NONE, log_start: Offset::NONE, broker_epoch: None, caught_up, last_fetch: None }
    }

    /// The same under a new leadership: its members of the ISR count as having caught up when it began.
    pub(super) fn begun(self, caught_up: Option<Moment>) -> Self {
        Self { caught_up, last_fetch: None, ..self }
    }

    pub(super) fn caught_up_within(&self, lag: Duration, now: Moment) -> bool {
        self.end != Offset::NONE && self.caught_up.is_some_and(|moment| now <= moment.after(lag))
    }

    fn fetched(&mut self, now: Moment, offset: Offset, leader_end: Offset) {
        if leader_end <= offset || self.last_fetch.is_none() && Bug::B7.is_back() {
            self.caught_up = self.caught_up.max(Some(now));
        } else if let Some((moment, end_then)) = self.last_fetch
            && end_then <= offset
        {
            // It has all that there was when it asked before.
            self.caught_up = self.caught_up.max(Some(moment));
        }
        self.end = offset;
        self.last_fetch = Some((now, leader_end));
    }
}

impl<Ticket> Partition<Ticket> {
    pub(super) fn fetched(
        &mut self,
        now: Moment,
        (replica, broker_epoch): (BrokerId, Option<BrokerEpoch>),
        offset: Offset,
        log_start: Offset,
    ) {
        let leader_end = self.log.end;
        let Role::Leader { followers, .. } = &mut self.role else { return };
        // One that is not assigned is told so by whoever answers it.
        if let Some(follower) = followers.get_mut(&replica).filter(|_| offset <= leader_end) {
            follower.fetched(now, offset, leader_end);
            follower.log_start = log_start;
            follower.broker_epoch = broker_epoch;
        }
    }

    /// Of those replicas that are not in the ISR: under which epochs they were registered when they last asked, where they said so.
    #[must_use]
    pub fn joins(&self, isr: &[BrokerId]) -> BTreeMap<BrokerId, BrokerEpoch> {
        let Role::Leader { leadership, followers, .. } = &self.role else { return BTreeMap::new() };
        let joining = isr.iter().filter(|id| !leadership.isr.contains(id));
        joining.filter_map(|id| Some((*id, followers.get(id)?.broker_epoch?))).collect()
    }

    /// Whether a replica is a member of the ISR, as the leader knows.
    #[must_use]
    pub fn is_in_sync(&self, replica: BrokerId) -> bool {
        matches!(&self.role, Role::Leader { leadership, .. } if leadership.isr.contains(&replica))
    }

    /// Whether a follower is a member of the ISR, has all that there is, and is to stay: while it asks for the same again and
    /// again, only the last moment at which it did matters ([`Event::CaughtUp`](super::Event::CaughtUp)).
    #[must_use]
    pub fn rests(&self, replica: BrokerId) -> bool {
        let Role::Leader { leadership, followers, wish: None, .. } = &self.role else { return false };
        leadership.isr.contains(&replica) && followers.get(&replica).is_some_and(|known| known.end == self.log.end)
    }

    pub(super) fn caught_up(&mut self, seen: &[(BrokerId, Moment)]) {
        let Role::Leader { followers, .. } = &mut self.role else { return };
        for (replica, moment) in seen {
            if let Some(follower) = followers.get_mut(replica) {
                follower.caught_up = follower.caught_up.max(Some(*moment));
            }
        }
    }

    pub(super) fn isr_altered(&mut self, now: Moment, answer: IsrAnswer) {
        let Role::Leader { leadership, followers, wish, no_wish_before, .. } = &mut self.role else { return };
        match answer {
            Ok(state) => {
                let newer = leadership.partition_epoch <= state.partition_epoch;
                if state.leader_epoch == leadership.leader_epoch && newer {
                    leadership.isr = state.isr;
                    leadership.partition_epoch = state.partition_epoch;
                    *wish = None;
                }
            }
            // The state that holds is the one that was known. The same may be granted later.
            Err(ErrorCode::IneligibleReplica | ErrorCode::OperationNotAttempted) => {
                let refused = wish.take().unwrap_or_default();
                for id in refused.iter().filter(|id| !leadership.isr.contains(id)) {
                    // Until it is heard of again.
                    followers.insert(*id, Follower::unknown(None));
                }
                *no_wish_before = now.after(REFUSED_PAUSE);
            }
            // Somebody else changed the state: the controller will say so.
            Err(_) => {}
        }
    }

    /// Members that are behind for too long leave, and others that have all that was committed join.
    pub(super) fn wish_for_another_isr(&mut self, now: Moment, effects: &mut Vec<Effect<Ticket>>) {
        let (high_watermark, end, lag) = (self.high_watermark, self.log.end, self.rules.lag_max);
        let Role::Leader { leadership, epoch_start, followers, wish, no_wish_before } = &mut self.role else { return };
        if wish.is_some() || now < *no_wish_before {
            return;
        }
        let stays = |id: &BrokerId| {
            followers.get(id).is_none_or(|follower| follower.end == end || !is_late(follower, lag, now))
        };
        let mut isr = leadership.isr.iter().copied().filter(stays).collect::<Vec<_>>();
        let joins = |(id, follower): &(&BrokerId, &Follower)| {
            let has_start = *epoch_start <= follower.end || Bug::B7.is_back();
            let has_all = high_watermark <= follower.end && has_start;
            !leadership.isr.contains(id) && has_all && !is_late(follower, lag, now)
        };
        isr.extend(followers.iter().filter(joins).map(|(id, _)| *id));
        if isr == leadership.isr {
            return;
        }
        *wish = Some(isr.clone());
        let (leader_epoch, partition_epoch) = (leadership.leader_epoch, leadership.partition_epoch);
        effects.push(Effect::AlterIsr { isr, leader_epoch, partition_epoch });
    }

    /// When the first member of the ISR that is behind has been so for too long.
    pub(super) fn lag_due(&self) -> Option<Moment> {
        let Role::Leader { leadership, followers, wish: None, no_wish_before, .. } = &self.role else { return None };
        let behind =
            followers.iter().filter(|(id, follower)| leadership.isr.contains(id) && follower.end != self.log.end);
        behind.map(|(_, follower)| due(follower, self.rules.lag_max).max(*no_wish_before)).min()
    }
}

fn is_late(follower: &Follower, lag: Duration, now: Moment) -> bool {
    due(follower, lag) <= now
}

/// A moment after which it counts as behind.
fn due(follower: &Follower, lag: Duration) -> Moment {
    follower.caught_up.map_or(Moment::default(), |moment| moment.after(lag).after(Duration::from_millis(1)))
}
