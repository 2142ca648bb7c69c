//! How fast replicas are copied, and how fast they may be (KIP-73, KIP-113): one quota for each kind of copying, which all loops share.
//!
//! *Who calls*: what leads records what it sent of throttled partitions, what follows what it got. The rates are settings that
//! change while the broker runs.

use std::sync::{Arc, Mutex, PoisonError};

use crate::config::ReplicationConfig;
use crate::machine::quota::{Quota, Windows};
use crate::model::Moment;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Quotas {
    /// Of what is sent to followers.
    pub leader: SharedQuota,
    /// Of what followers here get.
    pub follower: SharedQuota,
    /// Of what goes from one log dir to another.
    pub log_dirs: SharedQuota,
}

/// One of them. Locked only for what is throttled.
#[derive(Clone)]
pub struct SharedQuota(Arc<Mutex<Quota>>);

impl Quotas {
    /// As configured; that is read once.
    #[must_use]
    pub fn new(config: &ReplicationConfig) -> Self {
        let windows = Windows { count: config.quota_windows, size: config.quota_window_size };
        let of_moves = Windows { count: config.move_quota_windows, size: config.move_quota_window_size };
        Self {
            leader: SharedQuota::new(windows),
            follower: SharedQuota::new(windows),
            log_dirs: SharedQuota::new(of_moves),
        }
    }
}

impl SharedQuota {
    fn new(windows: Windows) -> Self {
        Self(Arc::new(Mutex::new(Quota::new(windows))))
    }

    /// So much went through.
    pub fn record(&self, now: Moment, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).record(now, bytes);
    }

    /// Until when more than `rate` bytes per second went through; `None`: less already.
    #[must_use]
    pub fn exceeded_until(&self, now: Moment, rate: u64) -> Option<Moment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).exceeded_until(now, rate)
    }
}
