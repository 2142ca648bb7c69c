//! What all clients of one life of the broker share: the network to it, the oracle that hears what they were told, chance.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::io::DuplexStream;

use super::client::{Client, Trouble};
use super::disk::{Failure, FlushFailures};
use super::oracle::{Oracle, Place, Span, Strength, Violation};
use super::power::Power;
use super::trace::Trace;
use crate::model::{Clock, Moment};
use crate::storage::disk::sim::Dice;

/// How long the broker may be unable to serve something without a fault that explains it.
pub const RECOVERY_PATIENCE: Duration = Duration::from_secs(90);

/// How clients get to a broker.
pub trait Way {
    /// Connects to whoever serves a partition, or to the controller where none is named, and says who that is; `None` when there
    /// is nobody now.
    fn connect<'a>(&'a self, place: Option<&'a Place>) -> LocalBoxFuture<'a, Option<(DuplexStream, i32)>>;
}

/// See the module.
pub struct Life {
    /// The way to the broker that is meant.
    pub way: Rc<dyn Way>,
    /// What happens.
    pub trace: Trace,
    /// Whether the broker's machine is on.
    pub power: Power,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Logs whose flush failed.
    pub failures: FlushFailures,
    /// The judge.
    pub oracle: Rc<RefCell<Oracle>>,
    /// What clients draw from.
    pub dice: RefCell<Dice>,
    /// Producers finish what they have and begin nothing new.
    pub draining: Cell<bool>,
    /// Whether the disk has no room for more.
    pub disk_is_full: Cell<bool>,
    /// Partitions that had a fault of their own in this life.
    pub faulted: RefCell<BTreeSet<Place>>,
    /// Whether the coordinator was hard to reach in this life: a request that took effect may have been made again.
    pub coordinator_failed: Cell<bool>,
    /// How often the disk was full so far.
    pub disk_fills: Cell<u64>,
}

impl Life {
    /// A number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.dice.borrow_mut().below(bound)
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&self, percent: u64) -> bool {
        self.dice.borrow_mut().percent(percent)
    }

    /// Waits up to `millis` ms, at least one.
    pub async fn pause(&self, millis: u64) {
        let wait = self.below(millis).saturating_add(1);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }

    /// Connects to whoever serves a partition, or to the controller, however often it takes.
    pub async fn connect(&self, name: &str, place: Option<&Place>) -> Client {
        loop {
            if let Some((stream, broker)) = self.way.connect(place).await {
                return Client::new(stream, &self.trace, name).with(broker);
            }
            self.pause(200).await;
        }
    }

    /// Time since the life began.
    pub fn now(&self) -> Moment {
        self.clock.moment()
    }

    /// From when something was asked until now.
    pub fn since(&self, asked: Moment) -> Span {
        Span { asked, heard: self.now() }
    }

    /// Something is wrong.
    pub fn violation(&self, violation: Violation) {
        if self.power.is_on() {
            self.trace.note(format_args!("violation: {violation}"));
            self.oracle.borrow_mut().violation(violation);
        }
    }

    /// What a connection that failed says about the broker.
    pub fn trouble(&self, trouble: &Trouble) {
        match trouble {
            Trouble::Disconnected => {}
            Trouble::Silence(api) => self.violation(Violation::Other(format!("a {api} request got no answer"))),
            Trouble::Unreadable(error) => self.violation(Violation::Other(format!("an answer is no answer: {error}"))),
        }
    }

    /// Tells the oracle of a batch that was acknowledged; it was asked for at `asked`.
    pub fn acknowledged(&self, place: &Place, base_offset: i64, values: &[Vec<u8>], strength: Strength, asked: Moment) {
        let failure = self.flush_failure(place);
        let flushed = self.oracle.borrow().places().any(|(other, promise)| other == place && promise.flushed);
        if let Some(Failure { at, reopened: false }) = failure
            && at < asked
            && flushed
            && strength == Strength::Firm
        {
            self.violation(Violation::AcknowledgedUnflushed { place: place.clone(), offset: base_offset });
        }
        self.oracle.borrow_mut().acknowledged(place, base_offset, values, strength);
    }

    /// The last failed flush of a partition in this life; the oracle is told of it.
    pub fn flush_failure(&self, place: &Place) -> Option<Failure> {
        let failure = self.failures.of(&place.to_string());
        if failure.is_some() {
            self.oracle.borrow_mut().flush_failed(place);
        }
        failure
    }
}
