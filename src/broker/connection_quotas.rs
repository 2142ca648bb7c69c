//! How many connections there may be, over all listeners, and how fast new ones come in (Kafka's `ConnectionQuotas`).
//!
//! *Invariant*: a connection counts as long as its [`ConnectionSlot`] lives.
//! *Does not know*: sockets, where the limits come from.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::Moment;

/// What is allowed on one listener. The limits may change while connections are open: that closes none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allowed {
    /// `max.connections`, over all listeners. `None` for the inter-broker listener beside others: clients must not be able
    /// to shut the other brokers out.
    pub all_max: Option<usize>,
    /// `listener.name.NAME.max.connections`.
    pub of_listener_max: usize,
    /// `max.connections.per.ip`.
    pub of_ip_max: usize,
    /// `max.connections.per.ip.overrides`.
    pub overrides: Arc<BTreeMap<IpAddr, usize>>,
}

/// The connections of one broker.
#[derive(Debug, Default)]
pub struct ConnectionQuotas(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    of_listener: BTreeMap<Arc<str>, usize>,
    of_ip: BTreeMap<IpAddr, usize>,
    /// When the connection after the last one is due at the rate allowed.
    due: Moment,
}

/// Room for one connection; free again when dropped.
#[derive(Debug)]
pub struct ConnectionSlot {
    quotas: Arc<ConnectionQuotas>,
    listener: Arc<str>,
    ip: IpAddr,
}

impl ConnectionQuotas {
    /// Room for a connection of `ip`.
    ///
    /// # Errors
    /// The key of the limit that is reached.
    pub fn admit(
        self: &Arc<Self>,
        listener: &Arc<str>,
        ip: IpAddr,
        limits: &Allowed,
    ) -> Result<ConnectionSlot, &'static str> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let here = counts.of_listener.get(listener).copied().unwrap_or(0);
        if limits.all_max.is_some_and(|most| most <= counts.all) || limits.of_listener_max <= here {
            return Err("max.connections");
        }
        let of_ip_max = limits.overrides.get(&ip).copied().unwrap_or(limits.of_ip_max);
        if of_ip_max <= counts.of_ip.get(&ip).copied().unwrap_or(0) {
            return Err("max.connections.per.ip");
        }
        counts.all += 1;
        *counts.of_listener.entry(Arc::clone(listener)).or_default() += 1;
        *counts.of_ip.entry(ip).or_default() += 1;
        drop(counts);
        Ok(ConnectionSlot { quotas: Arc::clone(self), listener: Arc::clone(listener), ip })
    }

    /// Connections that are counted by address.
    #[cfg(test)]
    pub(super) fn of_ips(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).of_ip.values().sum()
    }

    /// How long the next connection must wait so that no more than `rate` come in per second; a second's worth may come at
    /// once. Each call is for one connection. A rate of 0 counts as 1: a broker that takes nobody in cannot be told
    /// otherwise.
    pub fn delay(&self, rate: u32, now: Moment) -> Duration {
        const SECOND: Duration = Duration::from_secs(1);
        let step = SECOND / rate.max(1);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The moment at which all that were let in would have come one by one.
        let due = counts.due.max(now);
        counts.due = due.after(step);
        due.since(now).saturating_sub(SECOND.saturating_sub(step))
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut counts = self.quotas.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(count) = counts.of_listener.get_mut(&self.listener) {
            *count -= 1;
        }
        if let Some(count) = counts.of_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.of_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Allowed {
        Allowed { all_max: Some(3), of_listener_max: usize::MAX, of_ip_max: 2, overrides: Arc::default() }
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn every_limit_holds_and_a_slot_is_free_again_when_its_connection_ends() {
        let quotas = Arc::new(ConnectionQuotas::default());
        let (a, b): (Arc<str>, Arc<str>) = ("A".into(), "B".into());
        let admit = |listener: &Arc<str>, last, limits: &Allowed| quotas.admit(listener, ip(last), limits);
        let first = admit(&a, 1, &limits()).expect("the first");
        let _second = admit(&b, 1, &limits()).expect("the second");
        assert_eq!(admit(&a, 1, &limits()).err(), Some("max.connections.per.ip"), "over both listeners");
        let trusted = Allowed { overrides: Arc::new(BTreeMap::from([(ip(1), 9)])), ..limits() };
        let third = admit(&a, 1, &trusted).expect("an exception");
        assert_eq!(admit(&a, 2, &limits()).err(), Some("max.connections"));
        let of_brokers = Allowed { all_max: None, ..limits() };
        let _fourth = admit(&b, 2, &of_brokers).expect("brokers come in all the same");
        assert_eq!(
            admit(&b, 3, &Allowed { of_listener_max: 2, ..of_brokers }).err(),
            Some("max.connections"),
            "its own limit holds for it too"
        );
        drop((first, third));
        let _fifth = admit(&a, 1, &limits()).expect("there is room again");
    }

    #[test]
    fn a_second_s_worth_comes_at_once_and_the_rest_waits_its_turn() {
        let quotas = ConnectionQuotas::default();
        let now = Moment(Duration::from_secs(100));
        for _ in 0..10 {
            assert_eq!(quotas.delay(10, now), Duration::ZERO);
        }
        assert_eq!(quotas.delay(10, now), Duration::from_millis(100));
        assert_eq!(quotas.delay(10, now), Duration::from_millis(200));
        let later = Moment(Duration::from_secs(102));
        assert_eq!(quotas.delay(10, later), Duration::ZERO, "quiet seconds make room again");
        assert!(quotas.delay(0, later) <= Duration::from_secs(1), "nobody is shut out for ever");
    }
}
